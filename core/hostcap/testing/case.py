"""What an author tells the kit about a plugin."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any

from attrs import field, frozen

from hostcap.config import structure
from hostcap.network import Network
from hostcap.plugins import PluginRecord, Registry
from hostcap.power_flow import FrozenNetwork
from hostcap.profiles import Window
from hostcap.testing.networks import street


@frozen(kw_only=True, slots=False)
class Case:
    """One plugin, and the settings that it is tried with.

    Attributes:
        module: Module with the hook implementations, as the entry point names it.
        kind: Such as ``constraint``.
        name: Name of the plugin.
        settings: Its table of a study file, without ``plugin``.
        wrong: Tables that must be refused with a ``ConfigError``.
        folder: Relative paths of the settings start here.
        network: A feeder to try parts on; made by the kit where None.
        feeder: Name of the feeder that a network source is asked for.
        frozen: Makes a frozen feeder, for parts that need the solved start; the kit makes one from arrays where None.
        flows: Makes the flows that are tried, where the plugin's object needs a network to make them.
        parts: Objects by table name, which a study is made with.
        window: What profiles are asked for.
        series: Name of a series that profiles have; empty where they have none.
        expected_failures: Names of tests that must fail, each with its reason; one that passes is an error.
    """

    module: str
    kind: str
    name: str
    settings: Mapping[str, Any] = field(factory=dict)
    wrong: Sequence[Mapping[str, Any]] = ()
    folder: Path = field(factory=Path)
    network: Network | None = None
    feeder: str = "feeder"
    frozen: Callable[[], FrozenNetwork] | None = None
    flows: Callable[[], Any] | None = None
    parts: Mapping[str, Any] = field(factory=dict)
    window: Window = Window(start=datetime(2025, 1, 6, tzinfo=UTC), end=datetime(2025, 1, 7, tzinfo=UTC))
    series: str = ""
    expected_failures: Mapping[str, str] = field(factory=dict)

    @cached_property
    def registry(self) -> Registry:
        """The plugins of the module alone."""
        return Registry.of(import_module(self.module), distribution=self.module)

    @cached_property
    def record(self) -> PluginRecord[Any]:
        """The plugin's record."""
        return self.registry.get(self.kind, self.name)

    def config(self, settings: Mapping[str, Any] | None = None) -> Any:
        """The plugin's config, from ``settings`` or from the case's own."""
        table = self.settings if settings is None else settings
        return structure(dict(table), self.record.config, path=self.name, folder=self.folder)

    def make(self) -> Any:
        """A new object of the plugin."""
        record: Any = self.record
        return record.make(self.config())

    def feeder_network(self) -> Network:
        """The feeder that parts are tried on."""
        return self.network if self.network is not None else street()
