"""Registers the headroom studies."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hostcap.plugins import StudyPlugin, hookimpl
from hostcap.plugins.kinds import Takes
from hostcap_stock.headroom.config import HvNodeHeadroomConfig, LvHeadroomConfig
from hostcap_stock.headroom.debug_schemas import DEBUG_CONDUCTORS, DEBUG_NODES, DEBUG_SNAPSHOTS
from hostcap_stock.headroom.feeder_tables import FEEDER_BRANCHES, FEEDER_BUSES, NODE_VOLTAGES
from hostcap_stock.headroom.schemas import (
    BINDING_CONSTRAINTS,
    BINDING_USAGE,
    CONSTRAINT_VIOLATIONS,
    CUSTOMER_ALLOCATIONS,
    HEADROOM_PROFILE,
    HV_NODE_HEADROOM,
    HV_NODE_HEADROOM_PROFILE,
    LV_GROUP_HOSTING_CAPACITY,
)

if TYPE_CHECKING:
    from hostcap.plugins.kinds import Study
    from hostcap.report import Report
    from hostcap.tables import Results, Table


def _lv(config: LvHeadroomConfig, parts: Mapping[str, Any]) -> Study:
    from hostcap_stock.headroom.lv import LvHeadroomStudy

    return LvHeadroomStudy(config=config, **parts)


def _summarise(results: Results) -> Sequence[Table]:
    from hostcap_stock.headroom.summary import by_transformer
    from hostcap_stock.headroom.usage_summary import by_limit

    return [*by_transformer(results), *by_limit(results)]


def _hv(config: HvNodeHeadroomConfig, parts: Mapping[str, Any]) -> Study:
    from hostcap_stock.headroom.hv_node import HvNodeHeadroomStudy

    return HvNodeHeadroomStudy(config=config, **parts)


def _summarise_locations(results: Results) -> Sequence[Table]:
    from hostcap_stock.headroom.summary import by_location
    from hostcap_stock.headroom.usage_summary import by_limit

    return [*by_location(results), *by_limit(results)]


def _report(results: Results) -> Report:
    from hostcap_stock.headroom.report import headroom_report

    return headroom_report(results)


LV_HEADROOM = StudyPlugin(
    name="lv-headroom",
    summary="Headroom of every customer under every distribution transformer",
    config=LvHeadroomConfig,
    parts={
        "network": Takes(required=True),
        "profiles": Takes(),
        "initial_state": Takes(default="as-modelled"),
        "injection": Takes(default="negative-load"),
        "allocation": Takes(default="uniform"),
        "constraints": Takes(required=True),
        "solver": Takes(default="batched"),
    },
    make=_lv,
    tables=(
        LV_GROUP_HOSTING_CAPACITY,
        CUSTOMER_ALLOCATIONS,
        CONSTRAINT_VIOLATIONS,
        BINDING_CONSTRAINTS,
        BINDING_USAGE,
        HEADROOM_PROFILE,
        DEBUG_SNAPSHOTS,
        DEBUG_NODES,
        DEBUG_CONDUCTORS,
        NODE_VOLTAGES,
        FEEDER_BUSES,
        FEEDER_BRANCHES,
    ),
    summarise=_summarise,
    report=_report,
)

HV_NODE_HEADROOM_STUDY = StudyPlugin(
    name="hv-node-headroom",
    summary="Headroom of each HV location by itself",
    config=HvNodeHeadroomConfig,
    parts={
        "network": Takes(required=True),
        "profiles": Takes(),
        "initial_state": Takes(default="as-modelled"),
        "injection": Takes(default="negative-load"),
        "constraints": Takes(required=True),
        "solver": Takes(default="batched"),
    },
    make=_hv,
    tables=(
        HV_NODE_HEADROOM,
        CONSTRAINT_VIOLATIONS,
        BINDING_CONSTRAINTS,
        BINDING_USAGE,
        HV_NODE_HEADROOM_PROFILE,
        DEBUG_SNAPSHOTS,
        DEBUG_NODES,
        DEBUG_CONDUCTORS,
        FEEDER_BUSES,
        FEEDER_BRANCHES,
    ),
    summarise=_summarise_locations,
    report=_report,
)


@hookimpl
def hostcap_studies() -> Iterable[StudyPlugin[Any]]:
    """The studies."""
    return [LV_HEADROOM, HV_NODE_HEADROOM_STUDY]
