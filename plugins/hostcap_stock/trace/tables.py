"""Tables of one interval from its sums."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from attrs import frozen

from hostcap.operating_point import FeederScope
from hostcap.tables import Table, TableSchema, Words, concatenate, joined_words
from hostcap_stock.trace.schemas import (
    BRANCH_SHARES,
    GENERATOR_TO_LOAD,
    NODE_LOSSES,
    STATION_SHARES,
    TRACE_BALANCE,
)
from hostcap_stock.trace.sums import Names, Sums

Columns = dict[str, Any]
_DIRECTIONS = ("up", "down")


@frozen(kw_only=True)
class Labels:
    """What all tables of a run say.

    Attributes:
        work_package_id, scope: Of the run.
        least_mw: Smaller shares are left out.
        metadata: Of every table.
    """

    work_package_id: str
    scope: FeederScope
    least_mw: float
    metadata: Mapping[str, str]


class Left:
    """What is left out of the tables of the total: shares that are too small to keep."""

    def __init__(self) -> None:
        self.count, self.mw = 0, 0.0

    def note(self, mw: np.ndarray[Any, Any]) -> None:
        """Count what is not kept."""
        self.count += int(mw.size)
        self.mw += float(mw.sum())


def share_tables(labels: Labels, level: str, interval: str, sums: Sums, left: Left | None = None) -> list[Table]:
    """The tables of shares of one interval, without its balance."""
    index = sums.index
    branch, station, users = index.branch, index.station, (index.supplier, index.taker)
    tables = []
    for schema, column, rows in ((BRANCH_SHARES, "branch", branch), (STATION_SHARES, "station", station)):
        parts = [
            {"direction": Words.same(way, mw.size), column: names, "node": nodes, "mw": mw}
            for way, names, nodes, mw in _cells(labels, sums, column, (rows, rows), users, left)
        ]
        tables.append(_built(labels, schema, level, interval, sums, parts))
    parts = [
        {"direction": Words.same(way, mw.size), "generator": names, "load": nodes, "mw": mw}
        for way, names, nodes, mw in _cells(labels, sums, "pair", (users[0], users[0]), (users[1], users[1]), None)
    ]
    tables.append(_built(labels, GENERATOR_TO_LOAD, level, interval, sums, parts))
    tables.append(_built(labels, NODE_LOSSES, level, interval, sums, list(_losses(sums, users))))
    return tables


def balance_table(labels: Labels, level: str, interval: str, sums: Sums) -> Table:
    """How one interval adds up."""
    row = {
        **sums.means(),
        "minutes": sums.minutes,
        "mismatch_mw": sums.mismatch_mw if sums.used else np.nan,
        "mismatch_bus": sums.mismatch_bus,
        "islands": sums.islands,
        "periods_with_cycle": sums.cycles,
    }
    return _built(labels, TRACE_BALANCE, level, interval, sums, [{name: np.array([v]) for name, v in row.items()}])


def joined(tables: list[Table]) -> list[Table]:
    """Tables of several intervals, one for each schema, in the order of ``TABLES``."""
    by_name: dict[str, list[Table]] = {}
    for table in tables:
        by_name.setdefault(table.name, []).append(table)
    order = [schema.name for schema in (BRANCH_SHARES, STATION_SHARES, GENERATOR_TO_LOAD, NODE_LOSSES, TRACE_BALANCE)]
    return [concatenate(by_name[name]) for name in order if name in by_name]


def _cells(
    labels: Labels, sums: Sums, kind: str, rows: tuple[Names, Names], columns: tuple[Names, Names], left: Left | None
) -> Iterator[tuple[str, Words, Words, np.ndarray[Any, Any]]]:
    """Direction, names of rows and columns, and MW of what is kept, up before down; both have names of each way."""
    for way, of_row, of_column in zip(_DIRECTIONS, rows, columns, strict=True):
        row, column, mean = sums.cells(f"{kind}_{way}")
        kept = mean > labels.least_mw
        if left is not None:
            left.note(mean[~kept])
        if not kept.all():
            row, column, mean = row[kept], column[kept], mean[kept]
        yield way, Words(of_row.array(), row), Words(of_column.array(), column), mean


def _losses(sums: Sums, users: tuple[Names, Names]) -> Iterator[Columns]:
    if not sums.used:
        return
    # What suppliers send as the downstream trace has it, and what takers take as the upstream trace has it.
    traced = []
    for place, names in enumerate(users):
        cells = sums.cells("pair_up" if place else "pair_down")
        traced.append(np.bincount(cells[place], weights=cells[2], minlength=len(names.listed)))
    for place, way in enumerate(_DIRECTIONS):
        (own,) = sums.mean(f"own_{way}")
        user = np.flatnonzero(own > 0)
        mw, other = own[user], traced[place][user]
        loss = mw - other if way == "up" else other - mw
        yield {
            "direction": Words.same(way, user.size),
            "node": Words(users[place].array(), user),
            "mw": mw,
            "traced_mw": other,
            "loss_mw": loss,
        }


def _built(labels: Labels, schema: TableSchema, level: str, interval: str, sums: Sums, parts: list[Columns]) -> Table:
    own = [name for name in schema.names if parts and name in parts[0]]
    columns: dict[str, Any] = {name: _after_each_other([part[name] for part in parts]) for name in own}
    size = columns[own[0]].size if own else 0
    end = np.datetime64("NaT") if sums.end is None else np.datetime64(sums.end.replace(tzinfo=None), "us")
    columns |= {
        "work_package_id": Words.same(labels.work_package_id, size),
        "scenario": Words.same(labels.scope.scenario, size),
        "feeder": Words.same(labels.scope.feeder, size),
        "level": Words.same(level, size),
        "interval": Words.same(interval, size),
        "timestamp": np.full(size, end, dtype="datetime64[us]"),
        "periods_used": np.full(size, sums.used),
        "periods_failed": np.full(size, sums.failed),
    }
    columns = {name: columns[name] if name in columns else np.empty(0, dtype=object) for name in schema.names}
    return Table.build(schema, columns, labels.metadata)


def _after_each_other(parts: list[Any]) -> Any:
    return joined_words(parts) if isinstance(parts[0], Words) else np.concatenate(parts)
