"""The study ``trace``: periods stream through the tracer into sums of days, months, years and everything."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from itertools import groupby
from typing import Any

import attrs
from attrs import define, field, frozen

from hostcap.errors import ConfigError, FlowsError, StoppedError
from hostcap.flows import Days, FailedPeriod, FlowNetwork, FlowPeriod, PerNetwork, with_stations
from hostcap.plugins.kinds import BareJob, Flows, Job, NetworkFlows, Preview, Tracer
from hostcap.tables import Chunk, Table, findings_table
from hostcap.tracing import Trace
from hostcap_stock.trace.config import TraceConfig
from hostcap_stock.trace.notes import Notes
from hostcap_stock.trace.resume import Kept
from hostcap_stock.trace.sums import Index, Sums
from hostcap_stock.trace.tables import Labels, Left, balance_table, joined, share_tables


@frozen(kw_only=True)
class TraceStudy:
    """Who uses what; see the tracing method.

    Attributes:
        parts: What flows that are made of a network are told.
    """

    config: TraceConfig
    flows: Flows | NetworkFlows
    tracer: Tracer
    parts: Mapping[str, Any] = field(factory=dict)

    def check(self, job: BareJob) -> Preview:
        """Trace the first period, and say how many days a run traces."""
        flows = self._source(job)
        days = self._days(flows)
        first = next(iter(flows.periods(Days(first=days[0], last=days[0]))))
        facts = [("days", f"{len(days)}, {days[0]} to {days[-1]}"), ("mode", self.tracer.mode)]
        findings = first.findings if isinstance(first, FlowPeriod) else ()
        placed = self._stationed()(first)
        if isinstance(placed, FlowPeriod):
            trace = self.tracer.trace(placed)
            network, balance = trace.network, trace.balance
            facts += [
                ("first period", placed.name),
                ("branches, buses, nodes", f"{network.branch.size}, {network.bus.size}, {network.node.size}"),
                ("stations", str(network.stations.size)),
                ("nodes that supply, take", f"{trace.up.user.size}, {trace.down.user.size}"),
                ("generation, load", f"{balance.generation_mw:.6g} MW, {balance.load_mw:.6g} MW"),
                ("gross demand, net generation", f"{balance.gross_demand_mw:.6g}, {balance.net_generation_mw:.6g} MW"),
            ]
            findings += trace.findings
        else:
            facts.append(("first period", f"{placed.name} failed: {placed.reason}"))
        of_network = job.network.findings if isinstance(job, Job) else ()
        return Preview(feeder=job.scope.feeder, facts=tuple(facts), findings=(*of_network, *findings))

    def run(self, job: BareJob) -> Iterator[Chunk]:
        """Yield a chunk for each day, month and year that is kept, and a last one for everything."""
        flows = self._source(job)
        days = self._days(flows)
        yield from _Run(study=self, job=job, flows=flows, days=days).chunks()

    def traces(self, flows: Flows, days: Days) -> Iterator[Trace | FailedPeriod]:
        """The traced periods of some days, with stations."""
        return self.tracer.traces(map(self._stationed(), flows.periods(days)))

    def _source(self, job: BareJob) -> Flows:
        if isinstance(job, Job):
            made: Any = self.flows
            on_network: Flows = made.on(job, self.parts)
            return on_network
        flows: Any = self.flows
        bare: Flows = flows
        return bare

    def _days(self, flows: Flows) -> Sequence[date]:
        wanted = Days(first=self.config.start, last=self.config.end)
        there = flows.days()
        days = [day for day in there if day in wanted]
        if not days:
            held = f"there are {len(there)} days, {there[0]} to {there[-1]}" if there else "there are none at all"
            held = f"there is only {there[0]}" if len(there) == 1 else held
            raise FlowsError(f"flows: no day from {wanted}; {held}; set study.start and study.end within them")
        return days

    def _stationed(self) -> _Stationed:
        config = self.config
        named: Mapping[str, str] | None = None
        if config.stations is not None:
            try:
                with config.stations.open(encoding="utf-8", newline="") as file:
                    rows = [row for row in csv.reader(file) if row]
            except (OSError, UnicodeDecodeError) as error:
                raise ConfigError(f"study.stations: {config.stations}: cannot be read: {error}") from error
            bad = [number for number, row in enumerate(rows, 1) if len(row) != 2]
            if bad:
                raise ConfigError(f"study.stations: {config.stations}: line {bad[0]}: expected name,station")
            named = {name.strip(): station.strip() for name, station in rows}
        return _Stationed(letters=config.station_letters, named=named)


class _Stationed:
    """Gives the networks of periods stations: named ones, or the first letters of each node."""

    def __init__(self, letters: int, named: Mapping[str, str] | None) -> None:
        self._letters, self._named = letters, named
        self._networks = PerNetwork(self._on)

    def __call__(self, period: FlowPeriod | FailedPeriod) -> FlowPeriod | FailedPeriod:
        """The period, on a network with stations; a network that has stations of its own keeps them."""
        if isinstance(period, FailedPeriod):
            return period
        if self._named is None and (period.network.stations.size or not self._letters):
            return period
        return period.on(self._networks.of(period.network))

    def _on(self, network: FlowNetwork) -> FlowNetwork:
        named = self._named
        return with_stations(
            network, {node: node[: self._letters] for node in network.node.tolist()} if named is None else named
        )


@define(kw_only=True, eq=False)
class _Run:
    """One run: what is summed so far."""

    study: TraceStudy
    job: BareJob
    flows: Flows
    days: Sequence[date]
    index: Index = field(factory=Index)
    notes: Notes = field(factory=Notes)
    left: Left = field(factory=Left)
    today: Sums | None = None

    @property
    def labels(self) -> Labels:
        """What all tables say."""
        bare = not isinstance(self.job, Job)
        return Labels(
            work_package_id=self.job.work_package_id,
            scope=self.job.scope,
            least_mw=self.study.config.least_mw,
            metadata={"mode": self.study.tracer.mode, "system": "" if bare else self.job.scope.feeder},
        )

    def chunks(self) -> Iterator[Chunk]:
        """Days as they are finished, months and years as they end, everything last."""
        levels, as_one = self.study.config.levels, self.study.config.averaging == "averages"
        month, year, total = Sums(self.index), Sums(self.index), Sums(self.index)
        of_shares = not {"month", "year", "total"}.isdisjoint(levels)
        following = [*self.days[1:], None]
        for (day, sums, chunk), next_day in zip(self._by_day(), following, strict=True):
            if chunk is not None:
                yield chunk
            month.merge(sums, as_one=as_one, shares=of_shares)
            if next_day is not None and (next_day.year, next_day.month) == (day.year, day.month):
                continue
            if "month" in levels:
                yield self._chunk(day.year, f"{day:%m}", self._tables("month", f"{day:%Y-%m}", month))
            year.merge(month, as_one=as_one, shares=of_shares, last_use=True)
            month = Sums(self.index)
            if next_day is not None and next_day.year == day.year:
                continue
            if "year" in levels:
                yield self._chunk(day.year, "", self._tables("year", f"{day:%Y}", year))
            total.merge(year, as_one=as_one, shares=of_shares, last_use=True)
            year = Sums(self.index)
        yield self._last(total)

    def _last(self, total: Sums) -> Chunk:
        if not total.used:
            (first,) = [f for f in self.notes.findings(Left()) if f.code == "period-failed"]
            none = "the only period could not" if total.failed == 1 else f"none of {total.failed} periods could"
            raise FlowsError(f"{none} be traced; {first.element} {first.message}")
        labels, scope = self.labels, self.job.scope
        tables = [balance_table(labels, "total", "total", total)]
        if "total" in self.study.config.levels:
            tables = joined([*share_tables(labels, "total", "total", total, self.left), *tables])
        of_network = self.job.network.findings if isinstance(self.job, Job) else ()
        findings = findings_table(
            (*of_network, *self.notes.findings(self.left)),
            work_package_id=self.job.work_package_id,
            scenario=scope.scenario,
            feeder=scope.feeder,
            metadata=labels.metadata,
        )
        summary = {"days": len(self.days), "periods_used": total.used, "periods_failed": total.failed}
        chunk = self._chunk(self.days[-1].year, "total", [*tables, findings])
        return attrs.evolve(chunk, passing=False, summary=summary)

    def _by_day(self) -> Iterator[tuple[date, Sums, Chunk | None]]:
        """Each day's sums, and its chunk unless it was kept by an earlier run."""
        kept = Kept(folder=self.job.resume)
        finished = kept.finished(self.days)
        done = 0
        for old, group in groupby(self.days, key=finished.__contains__):
            days = list(group)
            if old:
                for day in days:
                    sums, notes = kept.read(day, self.index)
                    self.notes.merge(notes)
                    done += 1
                    yield day, sums, None
                continue
            for day, sums, tables, notes in self._traced(days, done):
                done += 1
                yield day, sums, self._chunk(day.year, f"{day:%m-%d}", tables) if tables else None
                # Only now is the chunk written.
                kept.keep(day, sums, notes)

    def _traced(self, days: Sequence[date], before: int) -> Iterator[tuple[date, Sums, list[Table], list[Any]]]:
        traced = self.study.traces(self.flows, Days(first=days[0], last=days[-1]))
        expected = iter(days)
        for number, (day, group) in enumerate(groupby(self._watched(traced, before), key=_day)):
            if day != next(expected, None):
                raise FlowsError(f"flows: a period of {day}, which is out of order or not among the days of the source")
            self.job.progress(f"tracing {day}", before + number, len(self.days))
            yield day, *self._of_day(day, group)
        if (missing := next(expected, None)) is not None:
            raise FlowsError(f"flows: no period of {missing}, which is among the days of the source")

    def _watched(self, traced: Iterable[Trace | FailedPeriod], before: int) -> Iterator[Trace | FailedPeriod]:
        for period in traced:
            if self.job.should_stop():
                raise StoppedError(f"{self.job.scope.feeder}: stopped in {_day(period)}; finished days are kept")
            yield period

    def _of_day(self, day: date, group: Iterable[Trace | FailedPeriod]) -> tuple[Sums, list[Table], list[Any]]:
        levels, labels = self.study.config.levels, self.labels
        # The day before is written and merged by now.
        sums = self.today = self.today.cleared() if self.today is not None else Sums(self.index)
        notes, tables = Notes(), []
        for period in group:
            each = Sums(self.index) if "period" in levels else None
            if isinstance(period, Trace):
                name = period.period.name
                notes.add((*period.period.findings, *period.findings), name)
                sums.add(period)
                if each is not None:
                    each.add(period)
                    tables += share_tables(labels, "period", name, each)
            else:
                name = period.name
                notes.add_failed(period)
                sums.add_failed(period)
                if each is not None:
                    each.add_failed(period)
            if each is not None:
                tables.append(balance_table(labels, "period", name, each))
        if "day" in levels:
            tables += self._tables("day", f"{day}", sums)
        state = notes.state()
        self.notes.merge(state)
        return sums, joined(tables), state

    def _tables(self, level: str, interval: str, sums: Sums) -> list[Table]:
        return [*share_tables(self.labels, level, interval, sums), balance_table(self.labels, level, interval, sums)]

    def _chunk(self, year: int, part: str, tables: Sequence[Table]) -> Chunk:
        scope = self.job.scope
        return Chunk(
            scenario=scope.scenario, year=year, feeder=scope.feeder, part=part, passing=True, tables=tuple(tables)
        )


def _day(period: Trace | FailedPeriod) -> date:
    return period.day if isinstance(period, FailedPeriod) else period.period.day
