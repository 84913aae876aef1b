"""Daily results of vSPD, New Zealand's model of scheduling, pricing and dispatch, in its layouts of 2015 and 2025.

The later layout has the columns ``CaseID`` and ``Period`` beside ``DateTime``; what is traced is the same in both. Bus
numbers change from period to period, so that each period needs its own map of nodes to buses.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from functools import cached_property, lru_cache
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
from attrs import evolve, field, frozen

from hostcap.errors import FlowsError
from hostcap.findings import Finding, Severity
from hostcap.flows import Days, FailedPeriod, FlowPeriod
from hostcap_stock.flows.assembling import Assembler, Branches, NodeMap, NodeMw, When
from hostcap_stock.flows.config import VspdConfig
from hostcap_stock.flows.reading import Rows, Stream, Vocabulary, Wanted, first_words, periods, refuse_mixed
from hostcap_stock.flows.times import HALF_HOUR, content_hash, placed, step_minutes, wall_time, zone

RTD_MINUTES = 5.0
"""Length of a period of the real-time dispatch."""
_BRANCH, _NODE, _BUS = "BranchResults_TP.csv", "NodeResults_TP.csv", "BusResults_TP.csv"
_GENERATION, _LOAD = ("Generation (MW)",), ("Load (MW)",)


@frozen(kw_only=True)
class ResultSet:
    """Files that belong together, and the periods in them.

    Attributes:
        branches, nodes: Results.
        buses: Results of buses, where they are and are asked for.
        starts: Start of each period in the file's order.
        minutes: Length of its periods.
        assumed: Whether the length is assumed, as there is one period alone.
    """

    branches: Path
    nodes: Path
    buses: Path | None
    starts: tuple[datetime, ...] = field(repr=False)
    minutes: float
    assumed: bool


@frozen(kw_only=True)
class VspdFlows:
    """Periods of a folder of vSPD results."""

    config: VspdConfig

    @cached_property
    def sets(self) -> tuple[ResultSet, ...]:
        """The result files, in the order of their first periods.

        Raises:
            FlowsError: There are none, or one lacks its fellow.
        """
        folder = self.config.folder
        if not folder.is_dir():
            raise FlowsError(f"{folder}: no such folder; expected one with *{_BRANCH} (or .csv.gz)")
        found = sorted(path for path in folder.rglob(f"*{_BRANCH}*") if path.name.endswith((_BRANCH, f"{_BRANCH}.gz")))
        if not found:
            raise FlowsError(f"{folder}: no *{_BRANCH} (or .csv.gz) in it or in its folders; is it the folder Output?")
        sets = sorted((self._set(path) for path in found), key=lambda s: s.starts[0].astimezone(UTC))
        for before, after in pairwise(sets):
            if after.starts[0] <= before.starts[-1]:
                raise FlowsError(
                    f"{after.branches} begins at {after.starts[0]:%Y-%m-%d %H:%M}, before {before.branches} ends"
                    f" ({before.starts[-1]:%Y-%m-%d %H:%M}); expected one case for every period: keep one"
                )
        return tuple(sets)

    def hashes(self) -> Mapping[str, str]:
        """Content hash of every file that is read, by its path within the folder."""
        paths = [p for s in self.sets for p in (s.branches, s.nodes, s.buses) if p is not None]
        paths += sorted({self._map_path(s, day) for s in self.sets for day in {start.date() for start in s.starts}})
        folder = self.config.folder
        named = {p.relative_to(folder).as_posix() if p.is_relative_to(folder) else p.name: p for p in paths}
        return {name: content_hash(path) for name, path in named.items()}

    def days(self) -> Sequence[date]:
        """The calendar days that there are."""
        return sorted({start.date() for s in self.sets for start in s.starts})

    def periods(self, days: Days) -> Iterator[FlowPeriod | FailedPeriod]:
        """The periods of some days, in the order of their starts; files of other days are not read."""
        assembler = Assembler(normalise=self.config.factor_sums == "normalise")
        for files in self.sets:
            if any(start.date() in days for start in files.starts):
                try:
                    yield from self._of_set(files, days, assembler)
                except FlowsError:
                    for path in (files.branches, files.nodes):
                        refuse_mixed(path, [("DateTime",)])
                    raise

    def _set(self, branches: Path) -> ResultSet:
        nodes = _beside(branches, _NODE)
        if nodes is None:
            raise FlowsError(f"{branches}: no {branches.name.replace(_BRANCH, _NODE)} beside it")
        buses = _beside(branches, _BUS) if self.config.bus_results == "check" else None
        where = zone(self.config.time_zone)
        stamp = nodes.stat()
        starts = _starts(nodes, where, (stamp.st_mtime_ns, stamp.st_size, stamp.st_ino))
        if not starts:
            raise FlowsError(f"{nodes}: no rows; expected the nodes of at least one period")
        for before, after in pairwise(starts):
            if after.astimezone(UTC) <= before.astimezone(UTC):
                raise FlowsError(
                    f"{nodes}: period {after:%Y-%m-%d %H:%M} comes after {before:%Y-%m-%d %H:%M}; expected rising"
                    " times, and all rows of a period together"
                )
        minutes = self.config.minutes or step_minutes(starts)
        guess = HALF_HOUR if starts[0].minute % HALF_HOUR == 0 else RTD_MINUTES
        return ResultSet(
            branches=branches,
            nodes=nodes,
            buses=buses,
            starts=starts,
            minutes=minutes or guess,
            assumed=minutes is None,
        )

    def _of_set(self, files: ResultSet, days: Days, assembler: Assembler) -> Iterator[FlowPeriod]:
        labels = Vocabulary()
        branches, nodes, buses, maps = self._streams(files, assembler, labels)
        note = files.assumed
        while branches.key is not None:
            rows = branches.take()
            wall = wall_time(rows.key[0], files.branches)
            own = [rows, _of(nodes, wall, files.branches)]
            if buses is not None:
                own.append(_of(buses, wall, files.branches))
            when = self._when(files, wall, own, labels)
            if when.start.date() not in days:
                continue
            period = _assembled(assembler, when, own, maps.of(wall, when), files)
            if note:
                period, note = evolve(period, findings=(*period.findings, _assumed(files))), False
            yield period
        if nodes.key is not None:
            raise FlowsError(f"{files.nodes}: period {' '.join(nodes.key)} is not in {files.branches.name}")

    def _streams(
        self, files: ResultSet, assembler: Assembler, labels: Vocabulary
    ) -> tuple[Stream, Stream, Stream | None, _Maps]:
        times = Vocabulary()
        lead = (
            Wanted(name="time", titles=("DateTime",), vocabulary=times),
            Wanted(name="case", titles=("CaseID", "RunTime"), vocabulary=labels, optional=True),
            Wanted(name="period", titles=("Period",), vocabulary=labels, optional=True),
        )
        branch_columns = (
            *lead,
            Wanted(name="branch", titles=("Branch",), vocabulary=assembler.branches),
            Wanted(name="from_bus", titles=("FromBus",), vocabulary=assembler.buses),
            Wanted(name="to_bus", titles=("ToBus",), vocabulary=assembler.buses),
            Wanted(name="flow_mw", titles=("Flow (MW) (From->To)", "Flow (MW)")),
            Wanted(name="loss_mw", titles=("DynamicLoss (MW)",)),
            Wanted(name="fixed_loss_mw", titles=("FixedLoss (MW)",)),
        )
        at = (Wanted(name="generation_mw", titles=_GENERATION), Wanted(name="load_mw", titles=_LOAD))
        node_columns = (*lead, Wanted(name="node", titles=("Node",), vocabulary=assembler.nodes), *at)
        bus_columns = (*lead, Wanted(name="bus", titles=("Bus",), vocabulary=assembler.buses), *at)
        return (
            Stream(files.branches, periods(files.branches, branch_columns, ("time",))),
            Stream(files.nodes, periods(files.nodes, node_columns, ("time",))),
            None if files.buses is None else Stream(files.buses, periods(files.buses, bus_columns, ("time",))),
            _Maps(self, files, assembler, times),
        )

    def _when(self, files: ResultSet, wall: datetime, own: Sequence[Rows], labels: Vocabulary) -> When:
        for column in ("case", "period"):
            said = [rows.word(column) for rows in own if column in rows.columns]
            if any(np.count_nonzero(codes != said[0][0]) for codes in said):
                raise FlowsError(
                    f"{files.branches} and the files beside it: rows of several cases ({column}) at"
                    f" {wall:%Y-%m-%d %H:%M}; expected one case for every period"
                )
        label = labels.names[own[0].word("period")[0]] if "period" in own[0].columns else ""
        start = placed(wall, zone(self.config.time_zone), half_hour=_half_hour(label))
        label = label or f"TP{1 + 2 * wall.hour + wall.minute // 30:02d}"
        return When(label=label, start=start, minutes=files.minutes)

    def _map_path(self, files: ResultSet, day: date) -> Path:
        """The map of one day."""
        given = self.config.bus_node_map
        if given is not None and not given.is_dir():
            return given
        folder = files.branches.parent if given is None else given
        named = sorted(p for p in folder.iterdir() if re.fullmatch(r".*\.(csv|csv\.gz|parquet)", p.name))
        of_day = [p for p in named if f"{day:%Y%m%d}" in p.name and "Results" not in p.name]
        general = [p for p in named if re.match(r"bus_?node_?map", p.name, re.IGNORECASE)]
        chosen = of_day or general
        if len(chosen) != 1:
            raise FlowsError(
                f"{folder}: {'no map' if not chosen else 'several maps'} of nodes to buses for {day}"
                f"{'' if not chosen else ': ' + ', '.join(p.name for p in chosen)}; expected busnodemap.csv or"
                f" {day:%Y%m%d}.csv (columns DateTime, Node, Bus, Allo), or set bus_node_map"
            )
        return chosen[0]


@lru_cache(maxsize=64)
def _starts(nodes: Path, where: ZoneInfo, stamp: tuple[int, ...]) -> tuple[datetime, ...]:
    """Start of each period of a file; a run asks several times, and the stamp says that the file is the same."""
    del stamp
    said = first_words(nodes, [("DateTime",), ("Period",)], required=1)
    return tuple(placed(wall_time(time, nodes), where, half_hour=_half_hour(period)) for time, period in said)


class _Maps:
    """The maps of a result set, period by period."""

    def __init__(self, flows: VspdFlows, files: ResultSet, assembler: Assembler, times: Vocabulary) -> None:
        self._flows, self._files = flows, files
        self._columns = (
            Wanted(name="time", titles=("DateTime",), vocabulary=times),
            Wanted(name="node", titles=("Node",), vocabulary=assembler.nodes),
            Wanted(name="bus", titles=("Bus",), vocabulary=assembler.buses),
            Wanted(name="factor", titles=("Allo", "AllocationFactor")),
        )
        self._stream: Stream | None = None
        self._paths: dict[date, Path] = {}

    def of(self, wall: datetime, when: When) -> NodeMap:
        """The map of one period; periods that the results do not have are passed over."""
        day = when.start.date()
        path = self._paths.get(day)
        if path is None:
            path = self._paths[day] = self._flows._map_path(self._files, day)
        if self._stream is None or self._stream.path != path:
            self._stream = Stream(path, periods(path, self._columns, ("time",)))
        stream = self._stream
        while stream.key is not None and wall_time(stream.key[0], path) < wall:
            stream.take()
        if stream.key is None or wall_time(stream.key[0], path) != wall:
            raise FlowsError(
                f"{path}: no rows for period {when.name}; expected its map, as bus numbers change from period to period"
            )
        rows = stream.take()
        return NodeMap(node=rows.word("node"), bus=rows.word("bus"), factor=rows.number("factor"), source=path.name)


def _assembled(assembler: Assembler, when: When, own: Sequence[Rows], where: NodeMap, files: ResultSet) -> FlowPeriod:
    branches, nodes = own[0], own[1]
    buses = own[2] if len(own) > 2 else None
    period = assembler.period(
        when,
        Branches(
            name=branches.word("branch"),
            from_bus=branches.word("from_bus"),
            to_bus=branches.word("to_bus"),
            flow_mw=branches.number("flow_mw"),
            loss_mw=branches.number("loss_mw"),
            fixed_loss_mw=branches.number("fixed_loss_mw"),
        ),
        NodeMw(name=nodes.word("node"), generation_mw=nodes.number("generation_mw"), load_mw=nodes.number("load_mw")),
        where,
        more_buses=None if buses is None else np.intersect1d(buses.word("bus"), where.bus),
    )
    if buses is None or files.buses is None:
        return period
    found = assembler.bus_differences(
        period, buses.word("bus"), buses.number("generation_mw"), buses.number("load_mw"), files.buses.name
    )
    return evolve(period, findings=period.findings + found) if found else period


def _of(stream: Stream, wall: datetime, branches: Path) -> Rows:
    """The next period of a file, which must be that of the branches."""
    if stream.key is None or wall_time(stream.key[0], stream.path) != wall:
        found = "the end of the file" if stream.key is None else stream.key[0]
        raise FlowsError(
            f"{stream.path}: expected period {wall:%Y-%m-%d %H:%M} next, as in {branches.name}, and found {found};"
            " are files of different cases mixed?"
        )
    return stream.take()


def _beside(branches: Path, kind: str) -> Path | None:
    """Another result file of the same case, packed or not."""
    plain = branches.parent / branches.name.removesuffix(".gz").replace(_BRANCH, kind)
    return next((p for p in (plain, plain.with_name(f"{plain.name}.gz")) if p.is_file()), None)


@lru_cache(maxsize=256)
def _half_hour(label: str) -> int | None:
    match = re.fullmatch(r"TP(\d{1,2})", label)
    return int(match[1]) if match else None


def _assumed(files: ResultSet) -> Finding:
    return Finding(
        severity=Severity.INFO,
        code="period-length-assumed",
        element=files.branches.name,
        message=f"a file of one period does not say how long it is: {files.minutes:g} minutes assumed; set minutes",
    )
