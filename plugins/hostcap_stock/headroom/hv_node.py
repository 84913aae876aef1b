"""The study ``hv-node-headroom``: how much more each HV location can take by itself."""

from __future__ import annotations

import functools
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import attrs
import numpy as np
from attrs import frozen

from hostcap.errors import ConfigError, StoppedError
from hostcap.findings import Finding
from hostcap.growth import Direction, Growth, UnitInjection, location_growth
from hostcap.limits import LimitSet, stated
from hostcap.network import Network
from hostcap.one_at_a_time import AloneResult, search_one_at_a_time
from hostcap.operating_point import OperatingPoint
from hostcap.plugins.kinds import (
    Constraint,
    InitialState,
    Injection,
    Job,
    Moment,
    Preview,
    Profiles,
    SeveralInstants,
)
from hostcap.power_flow import FrozenNetwork, Plan, Solver
from hostcap.tables import Chunk, findings_table
from hostcap_stock.headroom.config import HvNodeHeadroomConfig
from hostcap_stock.headroom.findings import start_findings
from hostcap_stock.headroom.growing_customers import without_customers
from hostcap_stock.headroom.hv_choice import LocationChoice, PreparedSites, choose_locations
from hostcap_stock.headroom.hv_cross_check import hv_cross_check_findings
from hostcap_stock.headroom.hv_findings import site_findings
from hostcap_stock.headroom.hv_least import LeastOfSites, SitesSearched
from hostcap_stock.headroom.hv_snapshots import SiteSnapshots
from hostcap_stock.headroom.hv_tables import node_profile, node_tables, node_usage, unexplained_sites
from hostcap_stock.headroom.joining import joined_findings
from hostcap_stock.headroom.labels import Labels
from hostcap_stock.headroom.preparing import instant_words, start_at, starting_points
from hostcap_stock.headroom.run_summary import Stopwatch
from hostcap_stock.headroom.tables import network_tables
from hostcap_stock.headroom.usage import explain_of
from hostcap_stock.headroom.usage_records import Explain


@frozen(kw_only=True)
class HvNodeHeadroomStudy:
    """Each location grows alone from the start, step by step, until any limit breaks; see the headroom method."""

    config: HvNodeHeadroomConfig
    initial_state: InitialState
    injection: Injection
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

    def choose(self, network: Network) -> LocationChoice:
        """The locations to ask."""
        return choose_locations(network, self.config.location_kinds, self.config.location_names)

    def points(self, job: Job) -> tuple[OperatingPoint, ...]:
        """What the starts are frozen at, instants rising; one unless the initial state stands for several."""
        return starting_points(self.initial_state, job, self.profiles, self.injection)

    def prepare(self, frozen: FrozenNetwork) -> PreparedSites:
        """Sites and limits of a feeder."""
        return PreparedSites(choice=self.choose(frozen.network), limits=self.limits(frozen.network))

    def plan(self, frozen: FrozenNetwork, prepared: PreparedSites) -> Plan:
        """The states of this study on a frozen network, of its first direction."""
        return self.site_plan(frozen, prepared.choice, prepared.limits)

    def site_plan(
        self, frozen: FrozenNetwork, choice: LocationChoice, limits: LimitSet, direction: Direction | None = None
    ) -> Plan:
        """States of growth at the sites, one scope each; the study's first direction unless another is given."""
        growth = self._growth(frozen, choice, direction or self.injection.directions[0])
        return self.solver.plan(frozen, growth, limits)

    def _growth(self, frozen: FrozenNetwork, choice: LocationChoice, direction: Direction) -> Growth:
        unit = self._unit(frozen, direction)
        return location_growth(frozen.network, choice.first, self.config.step_kw_per_node, unit)

    def _explain(
        self, frozen: FrozenNetwork, choice: LocationChoice, limits: LimitSet, direction: Direction
    ) -> Explain | None:
        """What explains binding limits, where that is asked for."""
        if not self.config.binding_usage:
            return None
        return explain_of(frozen, self._growth(frozen, choice, direction), limits, at_locations=True)

    def _unit(self, frozen: FrozenNetwork, direction: Direction) -> UnitInjection:
        return self.injection.unit(direction, Moment.of(frozen.network, frozen.operating_point, self.profiles))

    def check(self, job: Job) -> Preview:
        """Solve the first start and the first step of some sites, and say how many states a run solves at most."""
        choice, limits = self.choose(job.network), self.limits(job.network)
        kept = SiteSnapshots.of(self.config, job.network, choice)
        points = self.points(job)
        with start_at(job, points, 0, self.solver) as frozen:
            plan = self.site_plan(frozen, choice, limits)
            try:
                # One state tells little of solvers that fill tiles with them.
                levels = np.zeros((1 + min(self.solver.states_at_once, choice.first.size), choice.first.size), np.int32)
                levels[np.arange(1, len(levels)), np.arange(len(levels) - 1)] = 1
                # The first solve may compile; what is timed comes after it.
                start = plan.solve(levels[:1], want={"extremes", "violations"}).violations
                began = time.perf_counter()
                plan.solve(levels, want={"extremes"})
                seconds = (time.perf_counter() - began) / len(levels)
            finally:
                plan.close()
            found = [*_of_network(job.network, choice), *points[0].findings, *frozen.findings]
        if start is not None:
            found += start_findings(limits, start)
        network, kinds = job.network, job.network.hv_locations.kind[choice.location].tolist()
        searches = len(points) * len(self.injection.directions)
        most = (choice.first.size * self.config.max_steps_per_node + 1) * searches
        facts = [
            ("buses, nodes", f"{network.buses.name.size}, {network.nodes.bus.size}"),
            ("lines and transformers", str(int(np.isin(network.equipment.kind, ("Line", "Transformer")).sum()))),
            ("HV locations", ", ".join(f"{kinds.count(kind)} {kind}" for kind in self.config.location_kinds)),
            ("of different bus or phases", str(choice.first.size)),
            ("directions", ", ".join(direction.value for direction in self.injection.directions)),
        ]
        if isinstance(self.initial_state, SeveralInstants):
            first, last = instant_words(points[0].instant), instant_words(points[-1].instant)
            facts.append(("instants", f"{len(points)}, {first} to {last}; what follows is of the first"))
        load_kw, generation_kw = points[0].load_kw.sum(), points[0].generation_kw.sum()
        facts += [
            ("load, generation at the start", f"{load_kw:.6g} kW, {generation_kw:.6g} kW"),
            ("limits", limits.description),
            ("limit rows", str(limits.row_count)),
            ("limits broken at the start", "unknown" if start is None else str(start.row.size)),
            *([] if kept is None else [("debug snapshots at most", kept.words(network))]),
            ("states to solve at most", str(most)),
            ("seconds at most, about", f"{most * seconds:.3g}"),
        ]
        return Preview(feeder=job.scope.feeder, facts=tuple(facts), findings=tuple(found))

    def run(self, job: Job) -> Iterator[Chunk]:
        """Search every location, in each direction from each instant; yields snapshots if asked for, then one chunk."""
        job.progress("preparing the start", 0, 0)
        clock = Stopwatch()
        choice, limits = self.choose(job.network), self.limits(job.network)
        points = self.points(job)
        kept = SiteSnapshots.of(self.config, job.network, choice)
        regulators = job.network.regulators
        leasts = {d: LeastOfSites(choice.first.size, regulators) for d in self.injection.directions}
        clock.lap("prepare")
        for number, point in enumerate(points):
            with start_at(job, points, number, self.solver) as frozen:
                clock.lap("start")
                for direction, least in leasts.items():
                    self._search(job, frozen, point, choice, limits, direction, least, kept, clock)
        opened = functools.partial(self._opened, job, points, choice, limits)
        if kept is not None:
            labels_of = functools.partial(self._labels, job, limits)
            yield from kept.chunks(job, choice, limits, list(leasts.values()), labels_of, opened)
            clock.lap("snapshots")
        checked: list[Finding] = []
        if self.checker is not None:
            name = self.config.cross_check or type(self.checker).__name__
            by_checker = functools.partial(attrs.evolve(self, solver=self.checker)._opened, job, points, choice, limits)
            checked = hv_cross_check_findings(job, name, choice, limits, list(leasts.values()), opened, by_checker)
            clock.lap("cross-check")
        chunk = self._chunk(job, choice, limits, list(leasts.values()), kept, checked)
        clock.lap("tables")
        summary = _summary(list(leasts.values()), clock.seconds)
        if kept is not None:
            summary["trails"] = kept.trails(job.network, choice, list(leasts.values()))
        yield attrs.evolve(chunk, summary=summary)

    def _search(
        self,
        job: Job,
        frozen: FrozenNetwork,
        point: OperatingPoint,
        choice: LocationChoice,
        limits: LimitSet,
        direction: Direction,
        least: LeastOfSites,
        kept: SiteSnapshots | None,
        clock: Stopwatch,
    ) -> None:
        plan = self.site_plan(frozen, choice, limits, direction)
        clock.lap("plan")
        try:
            result = self._levels(job, plan, choice.first.size, () if kept is None else kept.sites.tolist())
            clock.lap("search")
            searched = SitesSearched(
                direction=direction,
                operating_point=point,
                per_kw=abs(self._unit(frozen, direction).p_kw),
                result=result,
                started=frozen.findings,
            )
            least.add(searched, plan, widest=self.solver.states_at_once)
            clock.lap("answer")
            explain = self._explain(frozen, choice, limits, direction)
            if explain is not None:
                least.explain(plan, explain)
                clock.lap("usage")
        finally:
            plan.close()

    @contextmanager
    def _opened(
        self,
        job: Job,
        points: Sequence[OperatingPoint],
        choice: LocationChoice,
        limits: LimitSet,
        least: LeastOfSites,
        place: int,
    ) -> Iterator[Plan]:
        """The plan of a search that was closed, once more."""
        with start_at(job, points, place, self.solver) as frozen:
            plan = self.site_plan(frozen, choice, limits, least.searches[place].direction)
            try:
                yield plan
            finally:
                plan.close()

    def _levels(self, job: Job, plan: Plan, sites: int, followed: Sequence[int]) -> AloneResult:
        def report(done: int, most: int) -> None:
            job.progress("searching", done, most)
            if job.should_stop():
                raise StoppedError(f"feeder {job.scope.feeder!r}: stopped with {done} of {most} steps decided")

        return search_one_at_a_time(
            plan,
            scopes=sites,
            max_steps=self.config.max_steps_per_node,
            widest=self.solver.states_at_once,
            followed=followed,
            report=report,
        )

    def _labels(self, job: Job, limits: LimitSet, searched: SitesSearched) -> Labels:
        return Labels(
            work_package_id=job.work_package_id,
            scope=job.scope,
            direction=searched.direction,
            instant=searched.instant,
            mode="hv-node-headroom",
            initial_state=self.initial_state.name,
            scaled=False,
            power_factor=self.injection.power_factor,
            step_kw=self.config.step_kw_per_node,
            limits=limits.description,
        )

    def _chunk(
        self,
        job: Job,
        choice: LocationChoice,
        limits: LimitSet,
        leasts: Sequence[LeastOfSites],
        kept: SiteSnapshots | None,
        checked: Sequence[Finding],
    ) -> Chunk:
        labels_of = functools.partial(self._labels, job, limits)
        tables = node_tables(job.network, choice, limits, leasts, labels_of)
        if self.config.binding_usage:
            tables = (*tables, node_usage(job.network, choice, limits, leasts, labels_of))
        if isinstance(self.initial_state, SeveralInstants):
            tables = (*tables, node_profile(job.network, choice, leasts, labels_of))
        found = [*_of_network(job.network, choice), *_findings(job.network, choice, limits, leasts), *checked]
        if kept is not None:
            tables = (*tables, kept.whose(job.network, choice, leasts, labels_of))
            found += kept.findings()
        findings = findings_table(
            found,
            work_package_id=job.work_package_id,
            scenario=job.scope.scenario,
            feeder=job.scope.feeder,
            metadata=tables[0].metadata,
        )
        return Chunk(
            scenario=job.scope.scenario,
            year=job.scope.year,
            feeder=job.scope.feeder,
            tables=(*tables, *network_tables(labels_of(leasts[0].searches[0]), job.network), findings),
        )


def _of_network(network: Network, choice: LocationChoice) -> list[Finding]:
    """What was noticed before anything was solved."""
    return [*network.findings, *without_customers(network), *choice.findings]


def _findings(
    network: Network, choice: LocationChoice, limits: LimitSet, leasts: Sequence[LeastOfSites]
) -> list[Finding]:
    """What was noticed at every start, and about every answer."""
    several = len(leasts[0].searches) > 1
    starts = [("", finding) for searched in leasts[0].searches for finding in searched.operating_point.findings]
    starts += [
        (f"at {instant_words(searched.instant)}" if several else "", finding)
        for searched in leasts[0].searches
        for finding in searched.started
    ]
    answers = []
    for least in leasts:
        for place, searched in enumerate(least.searches):
            words = [searched.direction.value] if len(leasts) > 1 else []
            words += [f"at {instant_words(searched.instant)}"] if several else []
            found = site_findings(network, choice, limits, least, place)
            found += unexplained_sites(network, choice, limits, least, place)
            answers += [(" ".join(words), finding) for finding in found]
    return [*joined_findings(starts), *joined_findings(answers)]


def _summary(leasts: Sequence[LeastOfSites], seconds: dict[str, float]) -> dict[str, Any]:
    """How the answer was come by: states and rounds of all searches, seconds by stage."""
    results = [searched.result for least in leasts for searched in least.searches]
    return {
        "states_solved": sum(result.states for result in results),
        "rounds": sum(result.rounds for result in results),
        "searches": len(results),
        "sites": int(leasts[0].answering.size),
        "seconds": seconds,
    }
