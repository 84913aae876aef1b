"""How fast a study's solver is on the user's own feeder, where the time goes, and whether another one agrees."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar, cast

import attrs
import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from hostcap._arrays import BoolArray, FloatArray, IntArray
from hostcap.config import Part
from hostcap.errors import ConfigError, HostcapError
from hostcap.limits import NEAR_TIE
from hostcap.network import Network
from hostcap.operating_point import OperatingPoint
from hostcap.plugins.extras import require_all
from hostcap.plugins.kinds import Job, NetworkPlugin, Progress, SolverPlugin
from hostcap.power_flow import LINEARISE, FrozenNetwork, Plan, Solver, States
from hostcap.work_package import NAMESPACE, WorkPackage, silent

SIZES = (1, 8, 64, 512)
"""States in one call."""
COMPARED = 16
"""States that both solvers judge."""
REPETITIONS = 5
HIGHEST = 1 << 12
DoneT = TypeVar("DoneT")


class _Prepared(Protocol):
    """What grows; a study whose scopes grow one at a time says so by ``alone``."""

    @property
    def open_groups(self) -> BoolArray: ...

    @property
    def alone(self) -> bool: ...


class _Planned(Protocol):
    """A study whose states can be solved apart from its search."""

    solver: Solver

    def points(self, job: Job) -> Sequence[OperatingPoint]: ...

    def prepare(self, frozen: FrozenNetwork) -> _Prepared: ...

    def plan(self, frozen: FrozenNetwork, prepared: _Prepared) -> Plan: ...


@frozen(kw_only=True)
class Stage:
    """One stage.

    Attributes:
        name: What was done.
        seconds: How long it took.
        peak_mb: Largest memory of the process up to its end, MB; nan where the system does not say.
    """

    name: str
    seconds: float
    peak_mb: float


@frozen(kw_only=True)
class SolverTimes:
    """One solver on one feeder.

    Attributes:
        solver: Its name.
        stages: Plan and first solve, plan again.
        per_state: Seconds for each state, by states in one call; sizes that would take too long are left out.
        mean_iterations: Of the states.
        peak_mb: Largest memory of the process up to its end, MB.
    """

    solver: str
    stages: tuple[Stage, ...]
    per_state: dict[int, float]
    mean_iterations: float
    peak_mb: float


@frozen(kw_only=True)
class Agreement:
    """How far two solvers are apart on the same states.

    Attributes:
        states: States compared.
        margin: Largest difference of a margin, relative to its limit.
        differing: (state, group) pairs that one calls broken and the other does not, near-ties left out.
        near_ties: Pairs within a hair of their limit.
        verdicts: States that one calls diverged and the other does not.
    """

    states: int
    margin: float
    differing: int
    near_ties: int
    verdicts: int


@frozen(kw_only=True)
class BenchReport:
    """What was measured on one feeder.

    Attributes:
        feeder: Its name.
        facts: Sizes, (what, value).
        stages: Loading and freezing.
        solvers: The study's solver first.
        agreement: None where there was nothing to compare with; ``reason`` says why.
        reason: Why there is no other solver; empty where there is.
    """

    feeder: str
    facts: tuple[tuple[str, str], ...]
    stages: tuple[Stage, ...]
    solvers: tuple[SolverTimes, ...]
    agreement: Agreement | None
    reason: str


def bench(
    work_package: WorkPackage,
    feeder: str,
    *,
    against: str = "opendss",
    most_seconds: float = 5.0,
    sizes: Sequence[int] = SIZES,
    progress: Progress = silent,
) -> BenchReport:
    """Measure one feeder of a study.

    Levels of the states are random, up to the step at which half of the groups have a broken limit; where scopes grow
    one at a time, such as HV locations, of one of them in each state, up to the step at which half of them break one.
    Of several instants it is the first.

    Args:
        work_package: The study.
        feeder: One of its feeders.
        against: Solver to compare with.
        most_seconds: No call is repeated for longer, and none is tried that would take longer.
        sizes: States in one call.
        progress: Told (stage, done, total).

    Raises:
        ConfigError: The study has no plan of its own, or ``against`` is no solver.
        HostcapError: The feeder fails.
    """
    if feeder not in work_package.scope.feeders:
        known = ", ".join(work_package.scope.feeders)
        raise ConfigError(f"feeder: {feeder!r} is none of the study's; expected one of {known}")
    study = _planned(work_package)
    name = work_package.part("solver").plugin
    other, reason = _other(work_package, against, name)
    progress(f"{feeder}: loading", 0, 0)
    network, loading = _timed("load the feeder", lambda: work_package.loaded(work_package.source(feeder).load(feeder)))
    job = work_package.job(network, str(NAMESPACE), progress)
    point, preparing = _timed("find the operating point", lambda: study.points(job)[0])
    progress(f"{feeder}: freezing", 0, 0)
    frozen_network, freezing = _timed(
        "solve the start and freeze",
        lambda: job.source.freeze(network, point, study.solver.settling),
    )
    stages = [loading, preparing, freezing]
    with frozen_network as start:
        prepared = study.prepare(start)
        if LINEARISE in study.solver.needs:
            stages.append(_timed("read it as arrays", start.linear)[1])
        progress(f"{feeder}: {name}", 0, 0)
        levels = _levels(study, start, prepared, max(*sizes, COMPARED) + 1)
        solvers = [_measure(study, name, start, prepared, levels, sizes, most_seconds)]
        agreement = None
        if other is not None:
            progress(f"{feeder}: {against}", 0, 0)
            theirs = cast(_Planned, attrs.evolve(cast(Any, study), solver=other))
            solvers.append(_measure(theirs, against, start, prepared, levels, sizes, most_seconds))
            compared = levels[:COMPARED]
            agreement = _agreement(*(_judged(each, start, prepared, compared) for each in (study, theirs)))
    return BenchReport(
        feeder=feeder,
        facts=(*_facts(network), _growing(prepared)),
        stages=tuple(stages),
        solvers=tuple(solvers),
        agreement=agreement,
        reason=reason,
    )


def _planned(work_package: WorkPackage) -> _Planned:
    study: Any = work_package.study()
    if not attrs.has(type(study)) or not all(hasattr(study, name) for name in ("points", "prepare", "plan", "solver")):
        raise ConfigError(
            f"study: {work_package.study_record.name!r} does not say how its states are solved, so there is nothing to "
            "measure; bench takes studies that search feeders, such as lv-headroom and hv-node-headroom"
        )
    return cast(_Planned, study)


def _other(work_package: WorkPackage, against: str, own: str) -> tuple[Solver | None, str]:
    """The solver to compare with, with the study's settings where it has them too; or why there is none."""
    record: Any = work_package.registry.get(SolverPlugin, against)
    if against == own:
        return None, f"the study's solver is {own!r} itself"
    require_all([(f"solver {against!r}", record.extra)])
    network = work_package.document.parts["network"]
    offers = (
        work_package.registry.get(NetworkPlugin, network.plugin).capabilities
        if isinstance(network, Part)
        else frozenset[str]()
    )
    missing = sorted(record.capabilities - offers)
    if missing:
        return None, f"solver {against!r} needs {', '.join(missing)}, which the network does not offer"
    mine: Any = work_package.part("solver").config
    shared = {f.name for f in attrs.fields(record.config)} & {f.name for f in attrs.fields(type(mine))}
    solver: Solver = record.make(record.config(**{n: getattr(mine, n) for n in shared if n != "threads"}))
    return solver, ""


def _facts(network: Network) -> tuple[tuple[str, str], ...]:
    return (
        ("buses, nodes", f"{network.buses.name.size}, {network.nodes.bus.size}"),
        ("lines and transformers", str(network.equipment.name.size)),
        ("customers, capacity groups", f"{network.customers.id.size}, {len(network.groups)}"),
    )


def _timed(name: str, work: Callable[[], DoneT]) -> tuple[DoneT, Stage]:
    began = time.perf_counter()
    done = work()
    return done, Stage(name=name, seconds=time.perf_counter() - began, peak_mb=_peak_mb())


def _peak_mb() -> float:
    try:
        import resource
    except ImportError:  # Windows
        return float("nan")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10


def _margins(states: States) -> tuple[FloatArray, BoolArray]:
    if states.extremes is None:
        raise HostcapError("the solver returned no extremes although they were asked for")
    return np.min(states.extremes.margin, axis=2), states.extremes.broken


def _growing(prepared: _Prepared) -> tuple[str, str]:
    return "growing one at a time" if prepared.alone else "open groups", str(int(prepared.open_groups.sum()))


def _levels(study: _Planned, start: FrozenNetwork, prepared: _Prepared, count: int) -> IntArray:
    """Random levels of what grows; the first state is the start."""
    growing = prepared.open_groups
    plan = study.plan(start, prepared)
    try:
        highest = 1
        while highest < HIGHEST and not _half_broken(plan, prepared, highest):
            highest *= 2
    finally:
        plan.close()
    random = np.random.default_rng(1)
    levels = np.zeros((count, growing.size), dtype=np.int32)
    if prepared.alone:
        levels[np.arange(count), random.choice(np.flatnonzero(growing), count)] = random.integers(1, highest + 1, count)
    else:
        levels[:, growing] = random.integers(0, highest + 1, levels.shape)[:, growing]
    levels[0] = 0
    return levels


def _half_broken(plan: Plan, prepared: _Prepared, level: int) -> bool:
    """Whether a level breaks a limit of half of what grows, or has no solution."""
    growing = np.flatnonzero(prepared.open_groups)
    if prepared.alone:
        some = growing[np.linspace(0, growing.size - 1, min(growing.size, COMPARED)).astype(np.intp)]
        states = plan.solve(_one_at_a_time(some, level, prepared.open_groups.size), want={"extremes"})
        return bool(np.mean(np.any(_margins(states)[1], axis=1) | ~states.converged) >= 0.5)
    states = plan.solve(np.where(prepared.open_groups, level, 0).astype(np.int32)[None, :], want={"extremes"})
    return bool(not states.converged[0] or np.sum(_margins(states)[1][0, 1:]) * 2 >= growing.size)


def _one_at_a_time(scopes: NDArray[np.intp], level: int, size: int) -> IntArray:
    levels = np.zeros((scopes.size, size), dtype=np.int32)
    levels[np.arange(scopes.size), scopes] = level
    return levels


def _measure(
    study: _Planned,
    name: str,
    start: FrozenNetwork,
    prepared: _Prepared,
    levels: IntArray,
    sizes: Sequence[int],
    most_seconds: float,
) -> SolverTimes:
    def first() -> None:
        plan = study.plan(start, prepared)
        try:
            plan.solve(levels[:1], want={"extremes"})
        finally:
            plan.close()

    _, cold = _timed(f"{name}: plan and one state, first time", first)
    plan, again = _timed(f"{name}: plan", lambda: study.plan(start, prepared))
    try:
        per_state: dict[int, float] = {}
        expected = 0.0
        for size in sizes:
            if expected * size > most_seconds:
                continue
            per_state[size] = expected = _seconds(plan, levels[1 : size + 1], most_seconds) / size
        iterations = plan.solve(levels[1 : COMPARED + 1], want=()).iterations
    finally:
        plan.close()
    return SolverTimes(
        solver=name,
        stages=(cold, again),
        per_state=per_state,
        mean_iterations=float(np.mean(iterations)),
        peak_mb=_peak_mb(),
    )


def _seconds(plan: Plan, levels: IntArray, most: float) -> float:
    """Median seconds of one call, of five or as many as there is time for."""
    plan.solve(levels, want={"extremes"})
    found: list[float] = []
    while len(found) < REPETITIONS and sum(found) < most:
        began = time.perf_counter()
        plan.solve(levels, want={"extremes"})
        found.append(time.perf_counter() - began)
    return float(np.median(found))


def _judged(study: _Planned, start: FrozenNetwork, prepared: _Prepared, levels: IntArray) -> States:
    plan = study.plan(start, prepared)
    try:
        return plan.solve(levels, want={"extremes"})
    finally:
        plan.close()


def _agreement(ours: States, theirs: States) -> Agreement:
    both = ours.converged & theirs.converged
    (margin, broken), (other, theirs_broken) = _margins(ours), _margins(theirs)
    finite = np.isfinite(margin) & np.isfinite(other) & both[:, None]
    tie = finite & (np.minimum(np.abs(margin), np.abs(other)) <= NEAR_TIE)
    return Agreement(
        states=int(both.size),
        margin=float(np.max(np.abs(margin[finite] - other[finite]), initial=0.0)),
        differing=int(np.sum((broken != theirs_broken) & both[:, None] & ~tie)),
        near_ties=int(np.sum(tie)),
        verdicts=int(np.sum(ours.converged != theirs.converged)),
    )
