"""Who is behind each limit that binds, one line for each, as the command line prints it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

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
    columns: dict[str, list[Any]] = {name: [] for name in USAGE_SUMMARY.names}
    for rows in list(sets.values())[:MOST]:
        for name, value in _line(rows).items():
            columns[name].append(value)
    if not columns["feeder"]:
        return []
    name = USAGE_SUMMARY.name if len(sets) <= MOST else f"{USAGE_SUMMARY.name}, {MOST} of {len(sets)}"
    schema = TableSchema(name=name, meaning=USAGE_SUMMARY.meaning, columns=USAGE_SUMMARY.columns)
    return [Table.build(schema, columns)]


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
