"""Who is behind each limit that binds, one line for each, as the command line prints it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs

from hostcap.tables import Column, Results, Table, TableSchema

MOST = 12
"""Limits that are listed; the table of the run has all of them."""
USERS = 3
_SIDE = {"import": "takes", "export": "supplies"}

USAGE_SUMMARY = TableSchema(
    name="behind the limits that bind",
    meaning="Shares of growth and of what was there before, and the largest users; binding_usage has all of them.",
    narrow="{metric}, {method}: {largest}",
    columns=(
        Column("feeder", "text", "Feeder"),
        Column("stops", "text", "HV location that it stops"),
        Column("limit", "text", "Equipment and phase"),
        Column("metric", "text", "Kind of limit"),
        Column("method", "text", "traced, or sensitivity of the voltage"),
        Column("growth", "text", "Share of growth"),
        Column("existing", "text", "Share of existing load or generation, and of the network"),
        Column("largest", "text", "Largest users, with their shares"),
    ),
)


def by_limit(results: Results) -> Sequence[Table]:
    """One line for each of the first limits that bind; those who take for import, those who supply for export."""
    if "binding_usage" not in results.names:
        return []
    sets: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in results["binding_usage"].rows():
        if row["side"] in ("moves", _SIDE[row["headroom_direction"]]):
            sets.setdefault((row["binding_id"], row["timestamp"]), []).append(row)
    stopped = _stopped(results)
    shown = tuple(column for column in USAGE_SUMMARY.columns if stopped or column.name != "stops")
    columns: dict[str, list[Any]] = {column.name: [] for column in shown}
    for rows in list(sets.values())[:MOST]:
        line = _line(rows) | ({"stops": stopped[rows[0]["binding_id"]]} if stopped else {})
        for name, value in line.items():
            columns[name].append(value)
    if not columns["feeder"]:
        return []
    note = f"{MOST} of {len(sets)} limits that bind; binding_usage has all of them" if len(sets) > MOST else ""
    return [Table.build(attrs.evolve(USAGE_SUMMARY, columns=shown), columns, {"note": note} if note else {})]


def _stopped(results: Results) -> dict[str, str]:
    """HV locations by the set that stops them: the first, and how many more at its bus; empty for LV groups."""
    if "hv_node_headroom" not in results.names:
        return {}
    names: dict[str, list[str]] = {}
    for row in results["hv_node_headroom"].rows():
        names.setdefault(row["binding_id"], []).append(str(row["terminal_mrid"]))
    return {key: found[0] + (f" and {len(found) - 1} more" if len(found) > 1 else "") for key, found in names.items()}


def _line(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    first = rows[0]
    parts = {part: sum(row["share"] for row in rows if row["part"] == part) for part in ("growth", "existing")}
    users: dict[str, float] = {}
    for row in rows:
        users[row["user_id"]] = users.get(row["user_id"], 0.0) + row["share"]
    largest = sorted(users.items(), key=lambda item: -abs(item[1]))[:USERS]
    return {
        "feeder": first["feeder"],
        "limit": f"{str(first['conducting_equipment_type']).lower()} {first['conducting_equipment_mrid']}"
        f" phase {first['phase']}",
        "metric": first["metric"],
        "method": first["method"],
        "growth": _percent(parts["growth"]),
        "existing": _percent(parts["existing"]),
        "largest": ", ".join(f"{name} {_percent(share)}" for name, share in largest),
    }


def _percent(share: float) -> str:
    return f"{100.0 * share:.3g} %"
