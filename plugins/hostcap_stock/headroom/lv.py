"""The study ``lv-headroom``: how much more every customer under every distribution transformer can have."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator, Sequence

import attrs
import numpy as np
from attrs import frozen

from hostcap.errors import ConfigError, StoppedError
from hostcap.findings import Finding
from hostcap.growth import Direction, Growth, UnitInjection, customer_growth
from hostcap.limits import LimitSet, stated
from hostcap.network import Network
from hostcap.operating_point import OperatingPoint
from hostcap.plugins.kinds import (
    Allocation,
    Constraint,
    InitialState,
    Injection,
    Job,
    Moment,
    Preview,
    Profiles,
    SeveralInstants,
)
from hostcap.power_flow import LINEARISE, FrozenArrays, FrozenNetwork, JointSolver, Plan, Solver
from hostcap.search import LockOutWalk, SearchResult, SearchRules, joint_lock_out_search, lock_out_search
from hostcap.tables import Chunk, Table, concatenate, findings_table
from hostcap_stock.headroom.config import LvHeadroomConfig
from hostcap_stock.headroom.cross_check import cross_check_findings
from hostcap_stock.headroom.findings import answer_findings, start_findings
from hostcap_stock.headroom.growing_customers import require_customers
from hostcap_stock.headroom.joining import joined_findings, joined_tables, profile_table, search_words
from hostcap_stock.headroom.labels import Labels
from hostcap_stock.headroom.least import Answered, Item, Least
from hostcap_stock.headroom.preparing import (
    Prepared,
    Searched,
    instant_words,
    open_groups,
    start_at,
    starting_points,
)
from hostcap_stock.headroom.run_summary import Stopwatch, run_summary
from hostcap_stock.headroom.snapshots import SnapshotRequest, snapshot_tables
from hostcap_stock.headroom.tables import network_tables
from hostcap_stock.headroom.usage import explain_of
from hostcap_stock.headroom.usage_records import Explain
from hostcap_stock.headroom.usage_table import unexplained, usage_table

INSTANTS_AT_ONCE = 64
"""Most instants whose starts are held at once, which bounds memory; answers do not depend on it."""


@frozen(kw_only=True)
class LvHeadroomStudy:
    """All groups grow together, step by step; a group with a broken limit is locked; see the headroom method."""

    config: LvHeadroomConfig
    initial_state: InitialState
    injection: Injection
    allocation: Allocation
    constraints: Sequence[Constraint]
    solver: Solver
    profiles: Profiles | None = None
    checker: Solver | None = None

    def __attrs_post_init__(self) -> None:
        if self.config.cross_check is not None and self.checker is None:
            raise ConfigError("cross_check names a solver in study files; in Python give the solver itself as checker")

    def limits(self, network: Network) -> LimitSet:
        """Everything that is watched."""
        return LimitSet(stated(self.constraints, network), group_count=len(network.groups))

    def points(self, job: Job) -> tuple[OperatingPoint, ...]:
        """What the starts are frozen at, instants rising; one unless the initial state stands for several.

        Raises:
            ModelError: The feeder has no LV customer.
            HostcapError: The initial state or the injection has nothing for this feeder.
        """
        require_customers(job.network)
        return starting_points(self.initial_state, job, self.profiles, self.injection)

    def prepare(self, frozen: FrozenNetwork, limits: LimitSet | None = None) -> Prepared:
        """Weights, open groups and limits of a feeder at its start; ``limits`` where they are at hand."""
        network = frozen.network
        weights = np.where(network.customers.grows, self.allocation.weights(frozen), 0.0)
        may_grow, idle = open_groups(network, weights)
        return Prepared(
            operating_point=frozen.operating_point,
            weights=weights,
            open_groups=may_grow,
            idle=idle,
            limits=limits or self.limits(network),
        )

    def plan(self, frozen: FrozenNetwork, prepared: Prepared, direction: Direction | None = None) -> Plan:
        """The states of this study on a frozen network; its first direction unless another is given."""
        unit = self._unit(frozen, direction or self.injection.directions[0])
        return self.solver.plan(frozen, self._growth(frozen, prepared, unit), prepared.limits)

    def _unit(self, frozen: FrozenNetwork, direction: Direction) -> UnitInjection:
        return self.injection.unit(direction, Moment.of(frozen.network, frozen.operating_point, self.profiles))

    def _growth(self, frozen: FrozenNetwork, prepared: Prepared, unit: UnitInjection) -> Growth:
        return customer_growth(frozen.network, prepared.weights * self.config.step_kw_per_customer, unit)

    def check(self, job: Job) -> Preview:
        """Solve the first start and its first step, and say how many states a run solves at most."""
        points = self.points(job)
        SnapshotRequest.of(self.config, job.network)  # refuses groups that are not there
        limits = self.limits(job.network)
        with start_at(job, points, 0, self.solver) as frozen:
            prepared = self.prepare(frozen, limits)
            plan = self.plan(frozen, prepared)
            try:
                levels = np.stack([np.zeros_like(prepared.idle), prepared.open_groups.astype(np.int32)])
                # The first solve may compile; what is timed comes after it.
                start = plan.solve(levels[:1], want={"extremes", "violations"}).violations
                began = time.perf_counter()
                states = plan.solve(levels, want={"extremes"})
                seconds = (time.perf_counter() - began) / len(levels)
            finally:
                plan.close()
            found = [*job.network.findings, *points[0].findings, *frozen.findings]
        if start is not None:
            found += start_findings(prepared.limits, start)
        network, customers = job.network, job.network.customers
        most = (self.config.max_steps + 1) * len(points) * len(self.injection.directions)
        load_kw, generation_kw = prepared.operating_point.group_kw(network)
        broken = int(np.sum(states.extremes.broken[0])) if states.extremes is not None else 0
        facts = [
            ("buses, nodes", f"{network.buses.name.size}, {network.nodes.bus.size}"),
            ("lines and transformers", str(int(np.isin(network.equipment.kind, ("Line", "Transformer")).sum()))),
            ("capacity groups, open", f"{len(network.groups)}, {int(prepared.open_groups.sum())}"),
            ("customers, growing", f"{int(customers.live.sum())}, {int(np.sum(prepared.weights > 0))}"),
            ("directions", ", ".join(direction.value for direction in self.injection.directions)),
        ]
        if isinstance(self.initial_state, SeveralInstants):
            first, last = instant_words(points[0].instant), instant_words(points[-1].instant)
            facts.append(("instants", f"{len(points)}, {first} to {last}; what follows is of the first"))
        facts += [
            ("LV load, generation at the start", f"{load_kw.sum():.6g} kW, {generation_kw.sum():.6g} kW"),
            ("limits", prepared.limits.description),
            ("limit rows", str(prepared.limits.row_count)),
            ("groups with a broken limit at the start", str(broken)),
            ("states to solve at most", str(most)),
            ("seconds at most, about", f"{most * seconds:.3g}"),
        ]
        return Preview(feeder=job.scope.feeder, facts=tuple(facts), findings=tuple(found))

    def run(self, job: Job) -> Iterator[Chunk]:
        """Search one feeder, each direction from each instant; yields one chunk with all tables."""
        job.progress("preparing the start", 0, 0)
        clock = Stopwatch()
        points = self.points(job)
        limits = self.limits(job.network)
        clock.lap("prepare")
        snapshots = SnapshotRequest.of(self.config, job.network)
        leasts = {
            direction: Least(job.network, self.config.step_kw_per_customer, snapshots)
            for direction in self.injection.directions
        }
        for block in self._blocks(job, points, limits, clock):
            leasts[block[0][0].direction].add(block)
            clock.lap("answer")
        chunk = self._chunk(job, list(leasts.values()))
        clock.lap("tables")
        yield attrs.evolve(chunk, summary=run_summary(job.network, list(leasts.values()), clock.seconds))

    def _blocks(
        self, job: Job, points: Sequence[OperatingPoint], limits: LimitSet, clock: Stopwatch
    ) -> Iterator[list[Item]]:
        """Searches of one direction, instants rising, with their plans, which are closed when more is asked for.

        A solver that needs no engine takes many instants in one batch; others one after the other.
        """
        solver = self.solver
        if len(points) > 1 and isinstance(solver, JointSolver) and solver.needs <= {LINEARISE}:
            for first in range(0, len(points), INSTANTS_AT_ONCE):
                starts = self._arrays(job, points, range(first, min(first + INSTANTS_AT_ONCE, len(points))))
                clock.lap("start")
                yield from self._joint_blocks(job, solver, list(enumerate(starts, start=first)), limits, clock)
            return
        for number in range(len(points)):
            with start_at(job, points, number, self.solver) as frozen:
                clock.lap("start")
                yield from self._single_blocks(job, number, frozen, limits, clock)

    def _single_blocks(
        self, job: Job, number: int, frozen: FrozenNetwork, limits: LimitSet, clock: Stopwatch
    ) -> Iterator[list[Item]]:
        prepared = self.prepare(frozen, limits)
        for direction in self.injection.directions:
            unit = self._unit(frozen, direction)
            growth = self._growth(frozen, prepared, unit)
            plan = self.solver.plan(frozen, growth, limits)
            clock.lap("plan")
            try:
                result = self._search(job, plan, prepared)
                clock.lap("search")
                searched = _searched(number, direction, frozen, prepared, unit, result)
                yield [(searched, plan, self._explain(frozen, growth, limits))]
            finally:
                plan.close()

    def _joint_blocks(
        self,
        job: Job,
        solver: JointSolver,
        starts: Sequence[tuple[int, FrozenNetwork]],
        limits: LimitSet,
        clock: Stopwatch,
    ) -> Iterator[list[Item]]:
        prepared = [self.prepare(frozen, limits) for _, frozen in starts]
        for direction in self.injection.directions:
            units = [self._unit(frozen, direction) for _, frozen in starts]
            grown = [
                (frozen, self._growth(frozen, p, unit))
                for (_, frozen), p, unit in zip(starts, prepared, units, strict=True)
            ]
            plan = solver.joint_plan(grown, limits)
            clock.lap("plan")
            try:
                walks = [LockOutWalk(open_scopes=p.open_groups, idle=p.idle, rules=self._rules) for p in prepared]

                def report(done: int, most: int, direction: Direction = direction) -> None:
                    self._report(job, f"searching {direction.value}, instants", done, most)

                results = joint_lock_out_search(plan, walks, widest=self._widest, report=report)
                clock.lap("search")
                yield [
                    (
                        _searched(number, direction, frozen, p, unit, result),
                        plan.of(place),
                        self._explain(frozen, growth, limits),
                    )
                    for place, ((number, _), (frozen, growth), p, unit, result) in enumerate(
                        zip(starts, grown, prepared, units, results, strict=True)
                    )
                ]
            finally:
                plan.close()

    def _explain(self, frozen: FrozenNetwork, growth: Growth, limits: LimitSet) -> Explain | None:
        """What explains binding limits, where that is asked for."""
        return explain_of(frozen, growth, limits) if self.config.binding_usage else None

    def _arrays(self, job: Job, points: Sequence[OperatingPoint], numbers: range) -> list[FrozenNetwork]:
        """Starts frozen one by one, their engines given back; those of equal taps share one linear network."""
        kept: list[FrozenNetwork] = []
        like: list[FrozenArrays] = []  # one of each setting of the taps
        for number in numbers:
            self._report(job, "freezing instants", number, len(points))
            with start_at(job, points, number, self.solver) as frozen:
                start = FrozenArrays.of(frozen, like)
            if all(start.arrays.y_siemens is not other.arrays.y_siemens for other in like):
                like.append(start)
            kept.append(start)
        return kept

    @property
    def _rules(self) -> SearchRules:
        return SearchRules(
            max_steps=self.config.max_steps,
            stop_on_hv_violation=self.config.stop_on_hv_violation,
            lock_group_on_violation=self.config.lock_group_on_violation,
        )

    @property
    def _widest(self) -> int:
        return self.solver.states_at_once if self.config.search == "fast" else 1

    def _report(self, job: Job, stage: str, done: int, most: int) -> None:
        job.progress(stage, done, most)
        if job.should_stop():
            raise StoppedError(f"feeder {job.scope.feeder!r}: stopped at {stage}, {done} of {most}")

    def _search(self, job: Job, plan: Plan, prepared: Prepared) -> SearchResult:
        return lock_out_search(
            plan,
            open_scopes=prepared.open_groups,
            idle=prepared.idle,
            rules=self._rules,
            widest=self._widest,
            report=lambda step, most: self._report(job, "searching", step, most),
        )

    def _labels(self, job: Job, searched: Searched) -> Labels:
        return Labels(
            work_package_id=job.work_package_id,
            scope=job.scope,
            direction=searched.direction,
            instant=searched.instant,
            mode="lv-headroom",
            initial_state=self.initial_state.name,
            scaled=self.allocation.scaled,
            power_factor=self.injection.power_factor,
            step_kw=self.config.step_kw_per_customer,
            limits=searched.prepared.limits.description,
        )

    def _chunk(self, job: Job, leasts: Sequence[Least]) -> Chunk:
        labels_of = functools.partial(self._labels, job)
        tables = joined_tables(job.network, leasts, labels_of)
        if isinstance(self.initial_state, SeveralInstants):
            tables = (*tables, profile_table(job.network, leasts, labels_of))
        if self.config.binding_usage:
            tables = (*tables, concatenate([self._usage(job.network, a, labels_of) for a in _answered(leasts)]))
        kept, left_out = snapshot_tables(job.network, leasts, labels_of)
        findings = findings_table(
            [*job.network.findings, *self._findings(job.network, leasts), *self._cross_checked(job, leasts), *left_out],
            work_package_id=job.work_package_id,
            scenario=job.scope.scenario,
            feeder=job.scope.feeder,
            metadata=tables[0].metadata,
        )
        return Chunk(
            scenario=job.scope.scenario,
            year=job.scope.year,
            feeder=job.scope.feeder,
            tables=(*tables, *kept, *network_tables(labels_of(leasts[0].searches[0]), job.network), findings),
        )

    def _usage(self, network: Network, answered: Answered, labels_of: Callable[[Searched], Labels]) -> Table:
        searched = answered.searched
        limits, usage = searched.prepared.limits, answered.explained.usage
        return usage_table(labels_of(searched), limits, answered.binding(network), usage)

    def _cross_checked(self, job: Job, leasts: Sequence[Least]) -> list[Finding]:
        if self.checker is None:
            return []
        job.progress("cross-checking", 0, 0)
        name = self.config.cross_check or type(self.checker).__name__

        def grow(frozen: FrozenNetwork, searched: Searched) -> Growth:
            return self._growth(frozen, searched.prepared, self._unit(frozen, searched.direction))

        return cross_check_findings(job, self.checker, name, leasts, grow)

    def _findings(self, network: Network, leasts: Sequence[Least]) -> list[Finding]:
        """What was noticed at every start, and about every answer."""
        instants = len(leasts[0].searches)
        # What is noted of readings is about all instants.
        points = [searched.prepared.operating_point for searched in leasts[0].searches]
        starts = [("", finding) for point in points for finding in point.findings]
        starts += [
            (search_words(searched, directions=1, instants=instants), finding)
            for searched in leasts[0].searches
            for finding in searched.started
        ]
        answers = [
            (search_words(answered.searched, directions=len(leasts), instants=instants), finding)
            for least in leasts
            for answered in least.answered
            for finding in (
                *answer_findings(network, answered),
                *unexplained(answered.searched.prepared.limits, answered.binding(network), answered.explained.unsaid),
            )
        ]
        return [*joined_findings(starts), *joined_findings(answers)]


def _answered(leasts: Sequence[Least]) -> list[Answered]:
    return [answered for least in leasts for answered in least.answered]


def _searched(
    number: int,
    direction: Direction,
    frozen: FrozenNetwork,
    prepared: Prepared,
    unit: UnitInjection,
    result: SearchResult,
) -> Searched:
    return Searched(
        number=number,
        direction=direction,
        prepared=prepared,
        per_kw=abs(unit.p_kw),
        result=result,
        started=frozen.findings,
    )
