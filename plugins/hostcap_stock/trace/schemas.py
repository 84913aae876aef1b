"""Schemas of the tables of a trace."""

from __future__ import annotations

from hostcap.tables import Column, TableSchema

_WHEN = (
    Column("work_package_id", "text", "Run; all other ids derive from it", key=True),
    Column("scenario", "text", "Scenario", key=True),
    Column("feeder", "text", "Feeder; the study's name where flows come without a network", key=True),
    Column("level", "text", "period, day, month, year or total", key=True),
    Column("interval", "text", "Such as 2014-01-31 10:00 TP21, 2014-01-31, 2014-01, 2014, total", key=True),
    Column("timestamp", "timestamp", "End of the interval's last period, UTC"),
)
_COUNTS = (
    Column("periods_used", "integer", "Trading periods in the mean"),
    Column("periods_failed", "integer", "Trading periods left out of it, as they failed"),
)
_SHARE = (
    Column("direction", "text", "up: node supplies; down: node takes", key=True),
    Column("node", "text", "Node whose share it is", key=True),
    Column("mw", "number", "Its share, mean over the periods used, weighted by their length", unit="MW"),
)

BRANCH_SHARES = TableSchema(
    name="branch_shares",
    meaning="Share of one node in the flow of one branch.",
    order="by level and interval; up before down; branches as first met, nodes that share branches side by side",
    columns=(*_WHEN, Column("branch", "text", "Branch", key=True), *_SHARE, *_COUNTS),
)
STATION_SHARES = TableSchema(
    name="station_shares",
    meaning="Share of one node in what enters one station: over branches from others, and from its own generation.",
    order="by level and interval; up before down; stations as first met, nodes that share branches side by side",
    columns=(*_WHEN, Column("station", "text", "Station", key=True), *_SHARE, *_COUNTS),
)
GENERATOR_TO_LOAD = TableSchema(
    name="generator_to_load",
    meaning="What one node that supplies sends to one node that takes.",
    order="by level and interval; up before down; nodes that share branches side by side",
    columns=(
        *_WHEN,
        Column("direction", "text", "up: as traced from loads, gross; down: as traced from generators, net", key=True),
        Column("generator", "text", "Node that supplies", key=True),
        Column("load", "text", "Node that takes", key=True),
        Column("mw", "number", "Mean over the periods used, weighted by their length", unit="MW"),
        *_COUNTS,
    ),
)
NODE_LOSSES = TableSchema(
    name="node_losses",
    meaning="What one node supplies or takes, and the losses that it is charged with.",
    order="by level and interval; up before down; nodes that share branches side by side",
    columns=(
        *_WHEN,
        Column("direction", "text", "up: node supplies; down: node takes", key=True),
        Column("node", "text", "Node", key=True),
        Column("mw", "number", "What it supplies (up) or takes (down)", unit="MW"),
        Column("traced_mw", "number", "Its net generation (up) or gross demand (down)", unit="MW"),
        Column("loss_mw", "number", "Loss charged to it, >= 0: the difference", unit="MW"),
        *_COUNTS,
    ),
)
TRACE_BALANCE = TableSchema(
    name="trace_balance",
    meaning="How the MW of one interval add up, as means over its periods.",
    order="by level and interval",
    columns=(
        *_WHEN,
        *_COUNTS,
        Column("minutes", "number", "Length of the periods used", unit="min"),
        Column("generation_mw", "number", "What nodes supply", unit="MW"),
        Column("load_mw", "number", "What nodes take", unit="MW"),
        Column("loss_mw", "number", "Dynamic losses: sent and not received", unit="MW"),
        Column("fixed_loss_mw", "number", "Fixed losses", unit="MW"),
        Column("gross_demand_mw", "number", "All loads as traced upstream", unit="MW"),
        Column("net_generation_mw", "number", "All generation as traced downstream", unit="MW"),
        Column("dead_end_mw", "number", "What dead ends take: fixed losses, or loads that the input lacks", unit="MW"),
        Column(
            "unexplained_up_mw",
            "number",
            "Generation less gross demand and dead ends; in mode actual the losses, which nobody is charged with",
            unit="MW",
        ),
        Column("unexplained_down_mw", "number", "Load less net generation", unit="MW"),
        Column("mismatch_mw", "number", "Largest mismatch at a bus in any period", unit="MW"),
        Column("mismatch_bus", "text", "Where; names of buses belong to their period"),
        Column("islands", "integer", "Most separate parts with flow in any period"),
        Column("periods_with_cycle", "integer", "Periods with a directed cycle"),
    ),
)
TABLES = (BRANCH_SHARES, STATION_SHARES, GENERATOR_TO_LOAD, NODE_LOSSES, TRACE_BALANCE)
"""In the order in which they are kept."""
