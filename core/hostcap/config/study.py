"""What a study file says, as objects: scope, parts, and the document that holds them."""

from __future__ import annotations

from collections.abc import Container, Mapping
from pathlib import Path
from typing import Any, Generic, TypeVar

import attrs
from attrs import field, frozen, validators

from hostcap.config.fields import about, between, each, folder_name, in_schema, not_empty, unique
from hostcap.plugins.kinds import StudyPlugin

ConfigT = TypeVar("ConfigT")


@in_schema(const="base")
def _base_only(instance: Any, attribute: attrs.Attribute[str], value: str) -> None:
    if value != "base":
        raise ValueError(f"only 'base' can be run, as no scenario plugin is installed; got {value!r}")


@frozen(kw_only=True)
class Scope:
    """Which feeders a study is about, and how its results are labelled."""

    feeders: tuple[str, ...] = field(
        validator=[not_empty, unique, each(folder_name)],
        metadata=about("Names of the feeders, each put in place of {feeder} in paths"),
    )
    scenario: str = field(
        default="base", validator=_base_only, metadata=about("Scenario; base until a plugin adds more")
    )
    year: int = field(validator=between(1900, 2200), metadata=about("Label of the year in results"))


UNDATED = 1900
"""Year of the scope of a bare study, whose flows say their own dates; no result carries it."""


BARE = "bare"
"""Capability of a study that takes neither network nor flows: it reads what its own settings name."""


def is_bare(record: StudyPlugin[Any], tables: Container[str]) -> bool:
    """Whether a study runs without a network: it says so, or it takes flows and the file's tables name none."""
    return BARE in record.capabilities or ("flows" in record.parts and "network" not in tables)


def bare_scope(name: str) -> Scope:
    """The scope of a bare study: its own name in place of a feeder's."""
    return Scope(feeders=(name,), year=UNDATED)


@frozen(kw_only=True)
class Part(Generic[ConfigT]):
    """One table of a study: the plugin that was picked, and its settings.

    Attributes:
        kind: Such as ``solvers``.
        plugin: Name of the plugin.
        config: Its config, with absolute paths.
    """

    kind: str
    plugin: str
    config: ConfigT


@frozen(kw_only=True)
class StudyDocument:
    """A study file after reading: checked, plugins found, every default filled in.

    Attributes:
        name: Name of the study; results are kept under it.
        scope: Feeders, scenario and year.
        parts: By table, in the order of a study file; ``constraints`` and ``writers`` are tuples.
        folder: Absolute; relative paths of the file start here.
    """

    name: str = field(validator=folder_name)
    scope: Scope
    parts: Mapping[str, Part[Any] | tuple[Part[Any], ...]]
    folder: Path = field(validator=validators.instance_of(Path))

    @property
    def bare(self) -> bool:
        """Whether it runs without a network."""
        return "network" not in self.parts and self.scope == bare_scope(self.name)
