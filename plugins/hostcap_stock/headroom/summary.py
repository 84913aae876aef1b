"""A headroom run as a planner reads it first: one line a transformer or location, and direction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import numpy as np

from hostcap.tables import Results, Table, TableSchema
from hostcap_stock.headroom.schemas import (
    GROUP_SUMMARY,
    HEADROOM_PROFILE,
    HV_NODE_HEADROOM_PROFILE,
    LOCATION_SUMMARY,
)


def by_transformer(results: Results) -> Sequence[Table]:
    """Customers, headroom, status, what stops each group, and the limits; direction, instant, injected kW if needed."""
    if "lv_group_hosting_capacity" not in results.names:
        return []
    return [
        _summary(
            results,
            results["lv_group_hosting_capacity"],
            GROUP_SUMMARY,
            {
                "transformer": "capacity_group_head_id",
                "customers": "included_customer_count",
                "headroom_kw": "headroom_kw_per_customer",
                "total_kw": "total_kw_added",
                "injected_kw": "injected_kw",
            },
            HEADROOM_PROFILE.name,
        )
    ]


def by_location(results: Results) -> Sequence[Table]:
    """Headroom, status, what stops each HV location, and the limits; direction and instant where they differ."""
    if "hv_node_headroom" not in results.names:
        return []
    return [
        _summary(
            results,
            results["hv_node_headroom"],
            LOCATION_SUMMARY,
            {
                "kind": "location_type",
                "location": "terminal_mrid",
                "phases": "phase_code",
                "headroom_kw": "available_headroom_kw",
                "injected_kw": "injected_kw",
            },
            HV_NODE_HEADROOM_PROFILE.name,
        )
    ]


def _summary(results: Results, answers: Table, schema: TableSchema, own: Mapping[str, str], profile: str) -> Table:
    """A row for each answer: its own columns by their names in the answers' table, and what binds it."""
    binding = {row["binding_id"]: row for row in results["constraint_violations"].rows() if row["binding"]}
    columns: dict[str, list[Any]] = {name: [] for name in schema.names}
    for row in answers.rows():
        what = binding.get(row["binding_id"])
        cells = {
            "feeder": row["feeder"],
            "direction": row["headroom_direction"],
            "instant": _minute(row["timestamp"]),
            **{name: row[column] for name, column in own.items()},
            "status": row["status"],
            "binding": _place(what) if what else "",
            "metric": what["metric"] if what else "",
            "value": _amount(what, "violating_value") if what else "",
            "limit": _amount(what, "constraint_limit") if what else "",
        }
        for name, value in cells.items():
            columns[name].append(value)
    told_apart = {"direction": "headroom_direction", "instant": "timestamp"}
    left_out = {name for name, column in told_apart.items() if len(set(answers[column].tolist())) <= 1}
    if profile in results.names:  # of several instants the answer is that of one, which nothing else says
        left_out.discard("instant")
    if np.array_equal(answers["injected_kw"], answers[own.get("total_kw", own["headroom_kw"])]):
        left_out.add("injected_kw")
    kept = tuple(c for c in schema.columns if c.name not in left_out)
    shown = attrs.evolve(schema, columns=kept)
    return Table.build(shown, {column.name: columns[column.name] for column in kept}, answers.metadata)


def _minute(timestamp: np.datetime64) -> str:
    return f"{np.datetime_as_string(timestamp, unit='m')}Z"


def _place(row: dict[str, object]) -> str:
    terminal = f" terminal {row['terminal_sequence_number']}" if row["terminal_sequence_number"] else ""
    kind = str(row["conducting_equipment_type"]).lower()
    return f"{kind} {row['conducting_equipment_mrid']}{terminal} phase {row['phase']}"


def _amount(row: dict[str, object], column: str) -> str:
    value = row[column]
    return f"{value:.5g} {row['unit']}" if isinstance(value, float) else str(value)
