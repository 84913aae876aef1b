"""Registers the constraints."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from hostcap.plugins import ConstraintPlugin, hookimpl
from hostcap_stock.constraints.config import ThermalConfig, VoltageConfig

if TYPE_CHECKING:
    from hostcap.plugins.kinds import Constraint


def _voltage(config: VoltageConfig) -> Constraint:
    from hostcap_stock.constraints.voltage import Voltage

    return Voltage(config=config)


def _thermal(config: ThermalConfig) -> Constraint:
    from hostcap_stock.constraints.thermal import Thermal

    return Thermal(config=config)


VOLTAGE = ConstraintPlugin(
    name="voltage",
    summary="Least and greatest voltage of LV and HV nodes",
    config=VoltageConfig,
    make=_voltage,
)
THERMAL = ConstraintPlugin(
    name="thermal",
    summary="Current of rated lines and transformer windings",
    config=ThermalConfig,
    make=_thermal,
)


@hookimpl
def hostcap_constraints() -> Iterable[ConstraintPlugin[Any]]:
    """The constraints."""
    return [VOLTAGE, THERMAL]
