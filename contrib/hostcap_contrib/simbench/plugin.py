"""Registers the network source ``simbench``."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from hostcap.errors import PluginError
from hostcap.plugins import NetworkPlugin, hookimpl
from hostcap_contrib.simbench.config import SimbenchConfig

if TYPE_CHECKING:
    from hostcap.plugins.kinds import NetworkSource


def require_simbench() -> None:
    """Say how to install what is missing.

    Raises:
        PluginError: simbench or pandapower is not installed.
    """
    missing = [name for name in ("pandapower", "simbench") if getattr(find_spec(name), "origin", None) is None]
    if missing:
        raise PluginError(f"network 'simbench': not installed: {', '.join(missing)}; pip install 'hostcap[simbench]'")


def _make(config: SimbenchConfig) -> NetworkSource:
    require_simbench()
    from hostcap_contrib.simbench.source import SimbenchSource

    return SimbenchSource(config=config)


SIMBENCH = NetworkPlugin(
    name="simbench",
    summary="SimBench benchmark networks by their code, as pandapower nets",
    config=SimbenchConfig,
    make=_make,
    capabilities=frozenset({"pandapower-engine", "linearise"}),
)


@hookimpl
def hostcap_networks() -> Iterable[NetworkPlugin[Any]]:
    """The network source."""
    return [SIMBENCH]
