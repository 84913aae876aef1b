"""Headerless monthly files of solved flows: ``b_YYYYMM.csv`` of branches beside ``n_YYYYMM.csv`` of nodes.

Branches: date, trading period, branch, flow MW, dynamic loss MW, fixed loss MW, from bus, to bus. Nodes: date, trading
period, node, bus, factor, generation MW, load MW, bid MW; what a node takes is its load and its cleared bids.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from functools import cached_property
from pathlib import Path

import numpy as np
from attrs import frozen

from hostcap._arrays import FloatArray, IntArray
from hostcap.errors import FlowsError
from hostcap.findings import some
from hostcap.flows import Days, FailedPeriod, FlowPeriod
from hostcap_stock.flows.assembling import Assembler, Branches, NodeMap, NodeMw, When
from hostcap_stock.flows.config import VspdMonthlyConfig
from hostcap_stock.flows.reading import Rows, Stream, Vocabulary, Wanted, first_words, periods, refuse_mixed
from hostcap_stock.flows.times import content_hash, of_half_hour, wall_time, zone

_MONTH = re.compile(r"b_(\d{4})(\d{2})\.csv(\.gz)?")
_BRANCH_COLUMNS = ("date", "period", "branch", "flow_mw", "loss_mw", "fixed_loss_mw", "from_bus", "to_bus")
_NODE_COLUMNS = ("date", "period", "node", "bus", "factor", "generation_mw", "load_mw", "bid_mw")


@frozen(kw_only=True)
class VspdMonthlyFlows:
    """Periods of a folder of monthly files."""

    config: VspdMonthlyConfig

    @cached_property
    def months(self) -> tuple[tuple[Path, Path], ...]:
        """Files of branches and of nodes, month by month.

        Raises:
            FlowsError: There are none, or a month lacks its file of nodes.
        """
        folder = self.config.folder
        if not folder.is_dir():
            raise FlowsError(f"{folder}: no such folder; expected one with b_YYYYMM.csv and n_YYYYMM.csv")
        found: dict[str, tuple[Path, Path]] = {}
        for path in sorted(folder.iterdir()):
            match = _MONTH.fullmatch(path.name)
            if match is None:
                continue
            month = match[1] + match[2]
            nodes = next((p for p in (folder / f"n_{month}.csv", folder / f"n_{month}.csv.gz") if p.is_file()), None)
            if nodes is None:
                raise FlowsError(f"{path}: no n_{month}.csv (or .csv.gz) beside it")
            if month in found:
                raise FlowsError(f"{path} and {found[month][0].name} are of one month; keep one")
            found[month] = (path, nodes)
        if not found:
            raise FlowsError(f"{folder}: no b_YYYYMM.csv (or .csv.gz) in it")
        return tuple(found[month] for month in sorted(found))

    def hashes(self) -> Mapping[str, str]:
        """Content hash of every file, by its name."""
        return {path.name: content_hash(path) for pair in self.months for path in pair}

    @cached_property
    def _days_of(self) -> Mapping[Path, tuple[date, ...]]:
        """The calendar days of each file of branches."""
        days: dict[Path, tuple[date, ...]] = {}
        for path, _ in self.months:
            said = first_words(path, [(_BRANCH_COLUMNS[0],)], required=1, columns=_BRANCH_COLUMNS)
            days[path] = tuple(wall_time(word, path).date() for (word,) in said)
        return days

    def days(self) -> Sequence[date]:
        """The calendar days that there are."""
        return sorted({day for days in self._days_of.values() for day in days})

    def periods(self, days: Days) -> Iterator[FlowPeriod | FailedPeriod]:
        """The periods of some days, in the order of their starts."""
        assembler = Assembler(normalise=self.config.factor_sums == "normalise")
        last: When | None = None
        for branches, nodes in self.months:
            if not any(day in days for day in self._days_of[branches]):
                continue
            try:
                for when, rows, own in self._pairs(branches, nodes, assembler):
                    if last is not None and when.start.astimezone(UTC) <= last.start.astimezone(UTC):
                        raise FlowsError(
                            f"{branches}: period {when.name} comes after {last.name}; expected rising times"
                        )
                    last = when
                    if when.start.date() in days:
                        yield self._period(assembler, when, rows, own, nodes)
            except FlowsError:
                for path, columns in ((branches, _BRANCH_COLUMNS), (nodes, _NODE_COLUMNS)):
                    refuse_mixed(path, [("date",), ("period",)], columns)
                raise

    def _pairs(self, branches: Path, nodes: Path, assembler: Assembler) -> Iterator[tuple[When, Rows, Rows]]:
        words = Vocabulary()
        vocabularies = {
            "date": words,
            "period": words,
            "branch": assembler.branches,
            "node": assembler.nodes,
            **dict.fromkeys(("from_bus", "to_bus", "bus"), assembler.buses),
        }
        first, second = (
            Stream(
                path,
                periods(
                    path,
                    [Wanted(name=n, titles=(n,), vocabulary=vocabularies.get(n)) for n in columns],
                    ("date", "period"),
                    header=False,
                ),
            )
            for path, columns in ((branches, _BRANCH_COLUMNS), (nodes, _NODE_COLUMNS))
        )
        while first.key is not None:
            if second.key is None or self._when(second.key, nodes) != self._when(first.key, branches):
                found = "the end of the file" if second.key is None else " ".join(second.key)
                raise FlowsError(
                    f"{nodes}: expected date and period {' '.join(first.key)} next, as in {branches.name}, and found"
                    f" {found}"
                )
            when = self._when(first.key, branches)
            yield when, first.take(), second.take()
        if second.key is not None:
            raise FlowsError(f"{nodes}: date and period {' '.join(second.key)} is not in {branches.name}")

    def _when(self, key: tuple[str, ...], path: Path) -> When:
        day: datetime = wall_time(key[0], path)
        try:
            number = float(key[1])
        except ValueError:
            number = float("nan")
        if not (number == np.floor(number) and 1 <= number <= 24 * 60 / self.config.minutes + 60 / self.config.minutes):
            raise FlowsError(
                f"{path}: trading period {key[1]!r} of {key[0]}; expected a number from 1 (minutes ="
                f" {self.config.minutes:g})"
            )
        start = of_half_hour(day, int(number), self.config.minutes, zone(self.config.time_zone))
        if start.date() != day.date():
            raise FlowsError(f"{path}: trading period {key[1]} is past the end of {key[0]}, in {self.config.time_zone}")
        return When(label=f"TP{int(number):02d}", start=start, minutes=self.config.minutes)

    def _period(self, assembler: Assembler, when: When, rows: Rows, own: Rows, path: Path) -> FlowPeriod:
        names, generation = unique_nodes(own, "generation_mw", when, path, assembler.nodes)
        _, load = unique_nodes(own, "load_mw", when, path, assembler.nodes)
        _, bid = unique_nodes(own, "bid_mw", when, path, assembler.nodes)
        return assembler.period(
            when,
            Branches(
                name=rows.word("branch"),
                from_bus=rows.word("from_bus"),
                to_bus=rows.word("to_bus"),
                flow_mw=rows.number("flow_mw"),
                loss_mw=rows.number("loss_mw"),
                fixed_loss_mw=rows.number("fixed_loss_mw"),
            ),
            NodeMw(name=names, generation_mw=generation, load_mw=load + bid),
            NodeMap(node=own.word("node"), bus=own.word("bus"), factor=own.number("factor"), source=path.name),
        )


def unique_nodes(rows: Rows, column: str, when: When, path: Path, names: Vocabulary) -> tuple[IntArray, FloatArray]:
    """Nodes of rows that repeat a node for each of its buses: number and MW, in order of appearance.

    Raises:
        FlowsError: The rows of a node say different MW.
    """
    node, values = rows.word("node"), rows.number(column)
    _, first, inverse = np.unique(node, return_index=True, return_inverse=True)
    different = np.flatnonzero(values != values[first][inverse])
    if different.size:
        listed = names.text(np.unique(node[different]))
        raise FlowsError(
            f"{path}: period {when.name}: rows of node {some(listed)} say different {column}; expected the node's MW"
            " in each of its rows, and its factor beside it"
        )
    place = np.sort(first).astype(np.int32)
    return node[place], values[place]
