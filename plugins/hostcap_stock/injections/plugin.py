"""Registers the injections."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from hostcap.plugins import InjectionPlugin, hookimpl
from hostcap_stock.injections import NegativeLoad, NegativeLoadConfig, PvSystem, PvSystemConfig

NEGATIVE_LOAD = InjectionPlugin(
    name="negative-load",
    summary="Constant power beside the base load, exported or imported",
    config=NegativeLoadConfig,
    make=lambda config: NegativeLoad(config=config),
)
PV_SYSTEM = InjectionPlugin(
    name="pv-system",
    summary="Installed panels behind an inverter, exporting what a profile says at the instant",
    config=PvSystemConfig,
    capabilities=frozenset({"profiles"}),
    make=lambda config: PvSystem(config=config),
)


@hookimpl
def hostcap_injections() -> Iterable[InjectionPlugin[Any]]:
    """The injections."""
    return [NEGATIVE_LOAD, PV_SYSTEM]
