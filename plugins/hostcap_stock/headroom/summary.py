"""A headroom run as a planner reads it first: one line a transformer and direction."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import numpy as np

from hostcap.tables import Results, Table
from hostcap_stock.headroom.schemas import GROUP_SUMMARY


def by_transformer(results: Results) -> Sequence[Table]:
    """Customers, headroom, status, what stops each group, and the limits; direction and instant where they differ."""
    if "lv_group_hosting_capacity" not in results.names:
        return []
    groups, violations = results["lv_group_hosting_capacity"], results["constraint_violations"]
    binding = {row["binding_id"]: row for row in violations.rows() if row["binding"]}
    columns: dict[str, list[object]] = {name: [] for name in GROUP_SUMMARY.names}
    for row in groups.rows():
        what = binding.get(row["binding_id"])
        cells = {
            "feeder": row["feeder"],
            "direction": row["headroom_direction"],
            "instant": _minute(row["timestamp"]),
            "transformer": row["capacity_group_head_id"],
            "customers": row["included_customer_count"],
            "headroom_kw": row["headroom_kw_per_customer"],
            "total_kw": row["total_kw_added"],
            "status": row["status"],
            "binding": _place(what) if what else "",
            "metric": what["metric"] if what else "",
            "value": _amount(what, "violating_value") if what else "",
            "limit": _amount(what, "constraint_limit") if what else "",
        }
        for name, value in cells.items():
            columns[name].append(value)
    told_apart = {"direction": "headroom_direction", "instant": "timestamp"}
    kept = tuple(
        c
        for c in GROUP_SUMMARY.columns
        if c.name not in told_apart or len(set(groups[told_apart[c.name]].tolist())) > 1
    )
    schema = attrs.evolve(GROUP_SUMMARY, columns=kept)
    return [Table.build(schema, {column.name: columns[column.name] for column in kept}, groups.metadata)]


def _minute(timestamp: np.datetime64) -> str:
    return f"{np.datetime_as_string(timestamp, unit='m')}Z"


def _place(row: dict[str, object]) -> str:
    terminal = f" terminal {row['terminal_sequence_number']}" if row["terminal_sequence_number"] else ""
    kind = str(row["conducting_equipment_type"]).lower()
    return f"{kind} {row['conducting_equipment_mrid']}{terminal} phase {row['phase']}"


def _amount(row: dict[str, object], column: str) -> str:
    value = row[column]
    return f"{value:.5g} {row['unit']}" if isinstance(value, float) else str(value)
