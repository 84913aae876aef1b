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


@hookimpl
def hostcap_initial_states() -> Iterable[InitialStatePlugin[Any]]:
    """The initial states."""
    return [AS_MODELLED, ZERO_LOAD, FIXED_LOAD]
