"""Registers the flows."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from hostcap.plugins import FlowsPlugin, hookimpl
from hostcap_stock.flows.config import PowerFlowConfig, TableConfig, VspdConfig, VspdMonthlyConfig

if TYPE_CHECKING:
    from hostcap.plugins.kinds import Flows, NetworkFlows


def _vspd(config: VspdConfig) -> Flows:
    from hostcap_stock.flows.vspd import VspdFlows

    return VspdFlows(config=config)


def _monthly(config: VspdMonthlyConfig) -> Flows:
    from hostcap_stock.flows.monthly import VspdMonthlyFlows

    return VspdMonthlyFlows(config=config)


def _table(config: TableConfig) -> Flows:
    from hostcap_stock.flows.table import TableFlows

    return TableFlows(config=config)


def _power_flow(config: PowerFlowConfig) -> NetworkFlows:
    from hostcap_stock.flows.power_flow import PowerFlow

    return PowerFlow(config=config)


VSPD = FlowsPlugin(
    name="vspd",
    summary="Daily results of vSPD, with the map of nodes to buses of every period",
    config=VspdConfig,
    make=_vspd,
    place="folder",
)
VSPD_MONTHLY = FlowsPlugin(
    name="vspd-monthly",
    summary="Headerless monthly files b_YYYYMM.csv and n_YYYYMM.csv",
    config=VspdMonthlyConfig,
    make=_monthly,
    place="folder",
)
TABLE = FlowsPlugin(
    name="table",
    summary="Any CSV or Parquet files of branches and of nodes, their columns mapped",
    config=TableConfig,
    make=_table,
    place="branches",
)
POWER_FLOW = FlowsPlugin(
    name="power-flow",
    summary="The solved start of the study's network, phases summed or those of one LV group one by one",
    config=PowerFlowConfig,
    make=_power_flow,
    capabilities=frozenset({"network"}),
)


@hookimpl
def hostcap_flows() -> Iterable[FlowsPlugin[Any]]:
    """The flows."""
    return [VSPD, VSPD_MONTHLY, TABLE, POWER_FLOW]
