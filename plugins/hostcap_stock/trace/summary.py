"""A trace as a person wants to read it first: how it adds up, and shares of the total, all of a small system's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from hostcap.tables import Column, Results, Table, TableSchema

SMALL = 12
"""Most branches, and most nodes, of a system whose shares are printed as a whole."""
MOST = 15
"""Pairs that are printed of a larger one."""
BALANCE = TableSchema(
    name="trace in all",
    meaning="How everything adds up.",
    columns=(Column("what", "text", "What"), Column("value", "text", "MW, or a count")),
)
PAIRS = TableSchema(
    name="who feeds whom",
    meaning="Means over everything.",
    columns=(
        Column("generator", "text", "Node that supplies"),
        Column("load", "text", "Node that takes"),
        Column("gross_mw", "number", "Traced upstream", unit="MW"),
        Column("net_mw", "number", "Traced downstream", unit="MW"),
    ),
)


def first_read(results: Results) -> Sequence[Table]:
    """The balance; shares of branches where the system is small; the largest pairs of supplier and taker."""
    if "trace_balance" not in results.names:
        return []
    tables = [_balance(results["trace_balance"])]
    if "branch_shares" in results.names:
        tables += _shares(results["branch_shares"])
    if "generator_to_load" in results.names:
        tables += _pairs(results["generator_to_load"])
    return tables


def _balance(table: Table) -> Table:
    (row,) = [r for r in table.rows() if r["level"] == "total"]
    facts = [
        ("mode", table.metadata.get("mode", "")),
        ("periods used, failed", f"{row['periods_used']}, {row['periods_failed']}"),
        ("generation, load", f"{row['generation_mw']:.6g} MW, {row['load_mw']:.6g} MW"),
        ("losses, fixed losses", f"{row['loss_mw']:.6g} MW, {row['fixed_loss_mw']:.6g} MW"),
        ("gross demand, net generation", f"{row['gross_demand_mw']:.6g} MW, {row['net_generation_mw']:.6g} MW"),
        ("dead ends", f"{row['dead_end_mw']:.3g} MW"),
        ("unexplained up, down", f"{row['unexplained_up_mw']:.3g} MW, {row['unexplained_down_mw']:.3g} MW"),
        ("largest mismatch at a bus", f"{row['mismatch_mw']:.3g} MW at {row['mismatch_bus']}"),
    ]
    return Table.build(BALANCE, {"what": [f[0] for f in facts], "value": [f[1] for f in facts]})


def _shares(table: Table) -> list[Table]:
    rows = [row for row in table.rows() if row["level"] == "total"]
    branches = list(dict.fromkeys(row["branch"] for row in rows))
    users = sorted({(row["direction"] != "up", row["node"]) for row in rows})
    if len(branches) > SMALL or len(users) > SMALL:
        return []
    cell = {(row["branch"], row["direction"] != "up", row["node"]): row["mw"] for row in rows}
    columns = [Column("branch", "text", "Branch")]
    filled: dict[str, Any] = {"branch": branches}
    for down, node in users:
        name = f"{'down' if down else 'up'}_{node}"
        columns.append(Column(name, "number", "Share", unit="MW"))
        filled[name] = [cell.get((branch, down, node), 0.0) for branch in branches]
    return [Table.build(TableSchema(name="shares of branches", meaning="MW", columns=tuple(columns)), filled)]


def _pairs(table: Table) -> list[Table]:
    cell: dict[tuple[str, str], list[float]] = {}
    for row in table.rows():
        if row["level"] == "total":
            cell.setdefault((row["generator"], row["load"]), [0.0, 0.0])[row["direction"] != "up"] = row["mw"]
    if not cell:
        return []
    pairs = sorted(cell, key=lambda pair: -cell[pair][0])[:MOST]
    mw = np.array([cell[pair] for pair in pairs])
    columns = {
        "generator": [p[0] for p in pairs],
        "load": [p[1] for p in pairs],
        "gross_mw": mw[:, 0],
        "net_mw": mw[:, 1],
    }
    return [Table.build(PAIRS, columns)]
