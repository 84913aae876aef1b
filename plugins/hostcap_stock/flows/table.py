"""Solved flows in any CSV or Parquet files, their columns mapped to the names that flows have here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from functools import cached_property
from pathlib import Path

import numpy as np
from attrs import frozen

from hostcap._arrays import FloatArray
from hostcap.errors import FlowsError
from hostcap.findings import some
from hostcap.flows import Days, FailedPeriod, FlowPeriod
from hostcap.plugins._nearest import did_you_mean
from hostcap_stock.flows.assembling import Assembler, Branches, NodeMap, NodeMw, When
from hostcap_stock.flows.config import TableConfig
from hostcap_stock.flows.monthly import unique_nodes
from hostcap_stock.flows.reading import Rows, Stream, Vocabulary, Wanted, columns_of, first_words, periods, refuse_mixed
from hostcap_stock.flows.times import content_hash, placed, wall_time, zone

_BRANCH = ("branch", "from_bus", "to_bus", "flow_mw", "loss_mw", "received_mw", "fixed_loss_mw", "from_mw", "to_mw")
_NODE = ("node", "bus", "factor", "generation_mw", "load_mw")
_MAP = ("node", "bus", "factor")
_WORDS = {"branch", "from_bus", "to_bus", "node", "bus"}
_START = "start"


@frozen(kw_only=True)
class TableFlows:
    """Periods of a file of branches and a file of nodes."""

    config: TableConfig

    def hashes(self) -> Mapping[str, str]:
        """Content hash of every file, by its name."""
        return {path.name: content_hash(path) for path in self._paths()}

    def days(self) -> Sequence[date]:
        """The calendar days that there are."""
        return sorted({self._start(key, self.config.branches).date() for key in self._keys})

    def periods(self, days: Days) -> Iterator[FlowPeriod | FailedPeriod]:
        """The periods of some days, in the order of the files, which must be that of their starts."""
        try:
            yield from self._periods(days)
        except FlowsError:
            self._refuse_mixed()
            raise

    def _periods(self, days: Days) -> Iterator[FlowPeriod]:
        config = self.config
        assembler = Assembler(normalise=config.factor_sums == "normalise")
        times = Vocabulary()
        branches = self._stream(config.branches, _BRANCH, config.branch_columns, assembler, times)
        nodes = self._stream(config.nodes, _NODE, config.node_columns, assembler, times)
        maps = None
        if config.bus_node_map is not None:
            maps = self._stream(config.bus_node_map, _MAP, config.map_columns, assembler, times)
        where: Rows | None = None
        last: datetime | None = None
        while branches.key is not None:
            start = self._start(branches.key, config.branches)
            if last is not None and start.astimezone(UTC) <= last.astimezone(UTC):
                raise FlowsError(f"{config.branches}: {start} comes after {last}; expected rising times")
            last = start
            rows, own = branches.take(), self._same(nodes, start)
            if maps is not None and (where is None or maps.timed):
                where = self._same(maps, start)
            if start.date() in days:
                when = When(label="", start=start, minutes=config.minutes)
                yield self._period(assembler, when, rows, own, where)
        if nodes.key is not None:
            raise FlowsError(f"{config.nodes}: period {' '.join(nodes.key)} is not in {config.branches.name}")

    def _refuse_mixed(self) -> None:
        config = self.config
        mapped = (config.branch_columns, config.node_columns, config.map_columns)
        for path, columns in zip((config.branches, config.nodes, config.bus_node_map), mapped, strict=True):
            title = columns.get(_START, _START)
            if path is not None and title in columns_of(path):
                refuse_mixed(path, [(title,)])

    def _paths(self) -> list[Path]:
        given = (self.config.branches, self.config.nodes, self.config.bus_node_map)
        return [path for path in given if path is not None]

    @cached_property
    def _keys(self) -> tuple[tuple[str, ...], ...]:
        title = self.config.branch_columns.get(_START, _START)
        if title not in columns_of(self.config.branches):
            return ((),)
        return tuple(first_words(self.config.branches, [(title,)], required=1))

    def _stream(
        self, path: Path, names: Sequence[str], mapped: Mapping[str, str], assembler: Assembler, times: Vocabulary
    ) -> _Timed:
        for name in mapped:
            if name not in (_START, *names):
                raise FlowsError(f"columns of {path.name}: {name!r} is not ours{did_you_mean(name, (_START, *names))}")
        found = columns_of(path)
        vocabularies = {"branch": assembler.branches, "node": assembler.nodes}
        wanted = [
            Wanted(
                name=name,
                titles=(mapped.get(name, name),),
                vocabulary=vocabularies.get(name, assembler.buses) if name in _WORDS else None,
                optional=name not in _required(names, found, mapped) and name not in mapped,
            )
            for name in names
        ]
        title = mapped.get(_START, _START)
        timed = title in found or _START in mapped
        if timed:
            wanted.append(Wanted(name=_START, titles=(title,), vocabulary=times))
        elif path != self.config.bus_node_map and self.config.start is None:
            raise FlowsError(
                f"{path}: no column {title!r} says when its periods start; map one as start, or give the setting"
                " start where there is one period alone"
            )
        return _Timed(path, periods(path, wanted, (_START,) if timed else ()), timed=timed)

    def _start(self, key: tuple[str, ...], path: Path) -> datetime:
        if not key:
            if self.config.start is None:
                raise FlowsError(f"{path}: nothing says when its period starts; give the setting start")
            return self.config.start
        wall = wall_time(key[0], path)
        if wall.utcoffset() is not None:
            return wall if self.config.time_zone is None else wall.astimezone(zone(self.config.time_zone))
        if self.config.time_zone is None:
            raise FlowsError(
                f"{path}: time {key[0]!r} has no offset; expected such as 2025-01-27T10:00+13:00, or the setting"
                " time_zone"
            )
        return placed(wall, zone(self.config.time_zone))

    def _same(self, stream: _Timed, start: datetime) -> Rows:
        """The next period of a file, which must be that of the branches."""
        if stream.key is None or (stream.timed and self._start(stream.key, stream.path) != start):
            found = "the end of the file" if stream.key is None else stream.key[0]
            raise FlowsError(
                f"{stream.path}: expected the rows of {start} next, as in {self.config.branches.name}, and found"
                f" {found}"
            )
        return stream.take()

    def _period(self, assembler: Assembler, when: When, rows: Rows, own: Rows, where: Rows | None) -> FlowPeriod:
        config = self.config
        if where is None and "bus" not in own.columns:
            raise FlowsError(f"{config.nodes}: no column 'bus'; map one, or give bus_node_map")
        names, generation = unique_nodes(own, "generation_mw", when, config.nodes, assembler.nodes)
        _, load = unique_nodes(own, "load_mw", when, config.nodes, assembler.nodes)
        source = own if where is None else where
        factor = source.number("factor") if "factor" in source.columns else np.ones(len(source))
        flow, loss = self._flows(rows, when, assembler)
        return assembler.period(
            when,
            Branches(
                name=rows.word("branch"),
                from_bus=rows.word("from_bus"),
                to_bus=rows.word("to_bus"),
                flow_mw=flow,
                loss_mw=loss,
                fixed_loss_mw=_given(rows, "fixed_loss_mw"),
            ),
            NodeMw(name=names, generation_mw=generation, load_mw=load),
            NodeMap(
                node=source.word("node"),
                bus=source.word("bus"),
                factor=factor,
                source=(config.nodes if where is None else config.bus_node_map or config.nodes).name,
            ),
        )

    def _flows(self, rows: Rows, when: When, assembler: Assembler) -> tuple[FloatArray, FloatArray]:
        """MW at the sending end, signed, and what is lost on the way."""
        if "flow_mw" in rows.columns:
            flow = rows.number("flow_mw")
            if "received_mw" in rows.columns:
                return flow, np.abs(flow) - np.abs(rows.number("received_mw"))
            return flow, _given(rows, "loss_mw")
        start, end = rows.number("from_mw"), rows.number("to_mw")
        against = np.flatnonzero(start * end < 0)
        if against.size:
            listed = assembler.branches.text(rows.word("branch")[against])
            raise FlowsError(
                f"{self.config.branches}: period {when.name}: branch {some(listed)} takes MW in at both ends or gives"
                " at both; expected from_mw and to_mw in one direction, from -> to"
            )
        forward = start + end >= 0
        sent, received = np.where(forward, start, -end), np.where(forward, end, -start)
        return np.where(forward, sent, -sent), sent - received


class _Timed(Stream):
    """A stream that says whether its file has times."""

    def __init__(self, path: Path, rows: Iterator[Rows], *, timed: bool) -> None:
        super().__init__(path, rows)
        self.timed = timed


def _required(names: Sequence[str], found: Sequence[str], mapped: Mapping[str, str]) -> set[str]:
    """Columns that a file must have; the ways to say a branch's MW are two."""
    if "branch" in names:
        both = {"from_mw", "to_mw"}
        measured = any(mapped.get(name, name) in found for name in both)
        told = mapped.get("flow_mw", "flow_mw") in found
        return {"branch", "from_bus", "to_bus"} | (both if measured and not told else {"flow_mw"})
    if "generation_mw" in names:
        return {"node", "generation_mw", "load_mw"}
    return {"node", "bus", "factor"}


def _given(rows: Rows, name: str) -> FloatArray:
    return rows.number(name) if name in rows.columns else np.zeros(len(rows))
