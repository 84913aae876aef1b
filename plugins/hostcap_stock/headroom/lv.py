"""The study ``lv-headroom``: how much more every customer under every distribution transformer can have."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

import attrs
import numpy as np
from attrs import frozen

from hostcap._arrays import BoolArray, FloatArray, IntArray, sums
from hostcap.errors import StoppedError
from hostcap.findings import Finding
from hostcap.growth import Direction, customer_growth
from hostcap.limits import LimitSet
from hostcap.network import Network
from hostcap.operating_point import OperatingPoint
from hostcap.plugins.kinds import Allocation, Constraint, InitialState, Injection, Job, Moment, Preview, Profiles
from hostcap.power_flow import FrozenNetwork, Plan, Solver
from hostcap.search import STATUSES, SearchResult, SearchRules, Status, lock_out_search
from hostcap.tables import Chunk, findings_table
from hostcap_stock.headroom.answer import Answer, solve_answer
from hostcap_stock.headroom.config import LvHeadroomConfig
from hostcap_stock.headroom.findings import answer_findings, start_findings
from hostcap_stock.headroom.run_summary import Stopwatch, search_summary
from hostcap_stock.headroom.tables import Labels, headroom_tables


@frozen(kw_only=True)
class Prepared:
    """A feeder made ready to search: what ``check`` shows before anything is searched.

    Attributes:
        operating_point: The start.
        weights: Weight of each customer; 0 where it does not grow, shape (customer,).
        open_groups: Groups that may grow, shape (group,).
        idle: Status index of those that may not, shape (group,).
        limits: What is watched.
    """

    operating_point: OperatingPoint
    weights: FloatArray
    open_groups: BoolArray
    idle: IntArray
    limits: LimitSet


@frozen(kw_only=True)
class LvHeadroom:
    """All groups grow together, step by step; a group with a broken limit is locked; see the headroom method."""

    config: LvHeadroomConfig
    initial_state: InitialState
    injection: Injection
    allocation: Allocation
    constraints: Sequence[Constraint]
    solver: Solver
    profiles: Profiles | None = None

    def limits(self, network: Network) -> LimitSet:
        """Everything that is watched."""
        limits = [limit for constraint in self.constraints for limit in constraint.limits(network)]
        return LimitSet(limits, group_count=len(network.groups))

    def point(self, job: Job) -> OperatingPoint:
        """What the start is frozen at."""
        return self.initial_state.operating_point(job.network, job.scope, self.profiles)

    def prepare(self, frozen: FrozenNetwork, limits: LimitSet | None = None) -> Prepared:
        """Weights, open groups and limits of a feeder at its start; ``limits`` where they are at hand."""
        network = frozen.network
        weights = np.where(network.customers.grows, self.allocation.weights(frozen), 0.0)
        open_groups, idle = _open_groups(network, weights)
        return Prepared(
            operating_point=frozen.operating_point,
            weights=weights,
            open_groups=open_groups,
            idle=idle,
            limits=limits or self.limits(network),
        )

    def plan(self, frozen: FrozenNetwork, prepared: Prepared, direction: Direction | None = None) -> Plan:
        """The states of this study on a frozen network; its first direction unless another is given."""
        step_kw = prepared.weights * self.config.step_kw_per_customer
        moment = Moment.of(frozen.network, prepared.operating_point, self.profiles)
        growth = customer_growth(
            frozen.network, step_kw, self.injection.unit(direction or self.injection.directions[0], moment)
        )
        return self.solver.plan(frozen, growth, prepared.limits)

    def check(self, job: Job) -> Preview:
        """Solve the start and the first step, and say how many states a run solves at most."""
        limits = self.limits(job.network)
        point = self.point(job)
        with job.source.freeze(job.network, point, self.solver.settling) as frozen:
            prepared = self.prepare(frozen, limits)
            plan = self.plan(frozen, prepared)
            try:
                levels = np.stack([np.zeros_like(prepared.idle), prepared.open_groups.astype(np.int32)])
                began = time.perf_counter()
                states = plan.solve(levels, want={"extremes"})
                seconds = (time.perf_counter() - began) / len(levels)
                start = plan.solve(levels[:1], want={"violations"}).violations
            finally:
                plan.close()
            found = [*job.network.findings, *point.findings, *frozen.findings]
        if start is not None:
            found += start_findings(prepared.limits, start)
        network, customers, most = job.network, job.network.customers, self.config.max_steps + 1
        load_kw, generation_kw = prepared.operating_point.group_kw(network)
        broken = int(np.sum(states.extremes.broken[0])) if states.extremes is not None else 0
        facts = [
            ("buses, nodes", f"{network.buses.name.size}, {network.nodes.bus.size}"),
            ("lines and transformers", str(network.equipment.name.size)),
            ("capacity groups, open", f"{len(network.groups)}, {int(prepared.open_groups.sum())}"),
            ("customers, growing", f"{int(customers.live.sum())}, {int(np.sum(prepared.weights > 0))}"),
            ("LV load, generation at the start", f"{load_kw.sum():.6g} kW, {generation_kw.sum():.6g} kW"),
            ("limits", "; ".join(dict.fromkeys(limit.description for limit in prepared.limits.limits))),
            ("limit rows", str(prepared.limits.row_count)),
            ("groups with a broken limit at the start", str(broken)),
            ("states to solve at most", str(most)),
            ("seconds at most, about", f"{most * seconds:.3g}"),
        ]
        return Preview(feeder=job.scope.feeder, facts=tuple(facts), findings=tuple(found))

    def run(self, job: Job) -> Iterator[Chunk]:
        """Search one feeder; yields one chunk with all tables of a headroom run."""
        job.progress("preparing the start", 0, 0)
        clock = Stopwatch()
        limits = self.limits(job.network)
        point = self.point(job)
        direction = self.injection.directions[0]
        clock.lap("prepare")
        with job.source.freeze(job.network, point, self.solver.settling) as frozen:
            clock.lap("start")
            prepared = self.prepare(frozen, limits)
            plan = self.plan(frozen, prepared, direction)
            clock.lap("plan")
            try:
                result = self._search(job, plan, prepared)
                clock.lap("search")
                answer = solve_answer(plan, result, prepared.limits.labels)
                clock.lap("answer")
            finally:
                plan.close()
            started = frozen.findings
        chunk = self._chunk(job, direction, prepared, result, answer, started)
        clock.lap("tables")
        yield attrs.evolve(chunk, summary=search_summary(job.network, result, clock.seconds))

    def _search(self, job: Job, plan: Plan, prepared: Prepared) -> SearchResult:
        def report(step: int, most: int) -> None:
            job.progress("searching", step, most)
            if job.should_stop():
                raise StoppedError(f"feeder {job.scope.feeder!r}: stopped at step {step} of {most}")

        return lock_out_search(
            plan,
            open_scopes=prepared.open_groups,
            idle=prepared.idle,
            rules=SearchRules(
                max_steps=self.config.max_steps,
                stop_on_hv_violation=self.config.stop_on_hv_violation,
                lock_group_on_violation=self.config.lock_group_on_violation,
            ),
            widest=self.solver.states_at_once if self.config.search == "fast" else 1,
            report=report,
        )

    def _chunk(
        self,
        job: Job,
        direction: Direction,
        prepared: Prepared,
        result: SearchResult,
        answer: Answer,
        started: tuple[Finding, ...],
    ) -> Chunk:
        labels = Labels(
            work_package_id=job.work_package_id,
            scope=job.scope,
            direction=direction,
            instant=prepared.operating_point.instant,
            mode="lv-headroom",
            initial_state=self.initial_state.name,
            scaled=self.allocation.scaled,
            power_factor=self.injection.power_factor,
            step_kw=self.config.step_kw_per_customer,
            limits="; ".join(dict.fromkeys(limit.description for limit in prepared.limits.limits)),
        )
        tables = headroom_tables(
            labels=labels,
            network=job.network,
            operating_point=prepared.operating_point,
            weights=prepared.weights,
            limits=prepared.limits,
            result=result,
            answer=answer,
        )
        noted = [*job.network.findings, *prepared.operating_point.findings, *started]
        noted += answer_findings(job.network, prepared.limits, result, answer)
        findings = findings_table(
            noted,
            work_package_id=job.work_package_id,
            scenario=job.scope.scenario,
            feeder=job.scope.feeder,
            metadata=labels.metadata,
        )
        return Chunk(
            scenario=job.scope.scenario, year=job.scope.year, feeder=job.scope.feeder, tables=(*tables, findings)
        )


def _open_groups(network: Network, weights: FloatArray) -> tuple[BoolArray, IntArray]:
    """Which groups may grow, and the status of those that may not."""
    size = len(network.groups)
    index = network.customers.group - 1
    counted = sums(index, network.customers.live, size)
    heaviest = np.zeros(size)
    np.maximum.at(heaviest, index, weights)
    idle = np.where(counted > 0, STATUSES.index(Status.NO_GROWTH), STATUSES.index(Status.NO_CUSTOMERS))
    return heaviest > 0, idle.astype(np.int32)
