"""Registers the initial states."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from hostcap.plugins import InitialStatePlugin, hookimpl
from hostcap_stock.initial_states import (
    AsModelled,
    AsModelledConfig,
    FixedLoad,
    FixedLoadConfig,
    ZeroLoad,
    ZeroLoadConfig,
)
from hostcap_stock.initial_states.instants import Instants, InstantsConfig
from hostcap_stock.initial_states.timed import FixedTime, FixedTimeConfig, PeakConfig, peak_export, peak_import

_FOLLOWS = frozenset({"profiles"})
AS_MODELLED = InitialStatePlugin(
    name="as-modelled",
    summary="The model's own snapshot, its multipliers applied",
    config=AsModelledConfig,
    make=lambda config: AsModelled(config=config),
)
ZERO_LOAD = InitialStatePlugin(
    name="zero-load",
    summary="Nothing consumed, nothing generated",
    config=ZeroLoadConfig,
    make=lambda config: ZeroLoad(config=config),
)
FIXED_LOAD = InitialStatePlugin(
    name="fixed-load",
    summary="The same kW and kvar for every customer and HV load",
    config=FixedLoadConfig,
    make=lambda config: FixedLoad(config=config),
)
FIXED_TIME = InitialStatePlugin(
    name="fixed-time",
    summary="The readings of one instant",
    config=FixedTimeConfig,
    make=lambda config: FixedTime(config=config),
    capabilities=_FOLLOWS,
)
PEAK_IMPORT = InitialStatePlugin(
    name="peak-import",
    summary="The readings of the instant at which the feeder's net import is largest",
    config=PeakConfig,
    make=peak_import,
    capabilities=_FOLLOWS,
)
PEAK_EXPORT = InitialStatePlugin(
    name="peak-export",
    summary="The readings of the instant at which the feeder's net export is largest",
    config=PeakConfig,
    make=peak_export,
    capabilities=_FOLLOWS,
)
INSTANTS = InitialStatePlugin(
    name="instants",
    summary="The readings of several instants, each searched by itself",
    config=InstantsConfig,
    make=lambda config: Instants(config=config),
    capabilities=_FOLLOWS,
)


@hookimpl
def hostcap_initial_states() -> Iterable[InitialStatePlugin[Any]]:
    """The initial states."""
    return [AS_MODELLED, ZERO_LOAD, FIXED_LOAD, FIXED_TIME, PEAK_IMPORT, PEAK_EXPORT, INSTANTS]
