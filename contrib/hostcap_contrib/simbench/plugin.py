"""Registers the network source ``simbench``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from hostcap.plugins import Extra, NetworkPlugin, hookimpl
from hostcap_contrib.simbench.config import SimbenchConfig

if TYPE_CHECKING:
    from hostcap.plugins.kinds import NetworkSource

EXTRA = Extra(modules=("pandapower", "simbench"), install="hostcap[simbench]")


def _make(config: SimbenchConfig) -> NetworkSource:
    EXTRA.require("network 'simbench'")
    from hostcap_contrib.simbench.source import SimbenchSource

    return SimbenchSource(config=config)


SIMBENCH = NetworkPlugin(
    name="simbench",
    summary="SimBench benchmark networks by their code, as pandapower nets",
    config=SimbenchConfig,
    make=_make,
    capabilities=frozenset({"pandapower-engine", "linearise"}),
    extra=EXTRA,
)


@hookimpl
def hostcap_networks() -> Iterable[NetworkPlugin[Any]]:
    """The network source."""
    return [SIMBENCH]
