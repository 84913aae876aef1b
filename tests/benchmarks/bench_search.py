"""(b) The lock-out search of a feeder, against linear stepping on OpenDSS; every state checked on both sides."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from attrs import frozen
from bench_engine import DEFAULT_TOLERANCE, USAGES, Usage
from bench_feeders import CRE21, DEMO, Feeder, frozen_feeder, growth_of, limits_in_volts, watched
from bench_timing import Section, Settings, clock, digits, judged, ratio, times

from hostcap._arrays import sums
from hostcap.network import Network
from hostcap.search import STATUSES, SearchResult, SearchRules, Status, lock_out_search
from hostcap_stock.batched.config import BatchedConfig
from hostcap_stock.batched.solver import BatchedSolver

EXPORT_GOALS = {"bulk API": 18.0, "usual script": 100.0}
IMPORT_GOALS = {"bulk API": 12.0}
TILE = 8
STEP_KW = {CRE21.name: 0.05, DEMO.name: 0.5}


@frozen(kw_only=True)
class Answer:
    """Level and status of every group, as plain lists, and the states it took.

    Attributes:
        iterations: Of all states together; 0 where nobody counts.
    """

    level: list[int]
    status: list[str]
    states: int
    iterations: int = 0


def linear_stepping(engine: Usage, open_groups: Any, idle: Any, most: int) -> Answer:
    """The headroom method's section 5, written for this comparison alone: one step, one solve, all limits.

    Args:
        engine: How OpenDSS is used.
        open_groups: Groups that may grow.
        idle: Statuses of the others, index into ``STATUSES``.
        most: Last step.
    """
    size = open_groups.size
    level, grows = np.zeros(size, dtype=np.int32), open_groups.copy()
    status = ["" if grows[g] else STATUSES[idle[g]].value for g in range(size)]
    states = iterations = 0

    def settle(which: Any, at: int, how: Status) -> None:
        for g in np.flatnonzero(which):
            level[g], status[g] = at, how.value
        grows[which] = False

    for step in range(most + 1):
        solved, broken = engine.state(np.where(grows, step, level))
        states += 1
        iterations += int(engine.dss.Solution.Iterations())
        if not solved:
            settle(grows.copy(), step - 1, Status.DIVERGED)
            break
        settle(grows & broken[1:], max(step - 1, 0), Status.BOUND if step else Status.BOUND_AT_START)
        if broken[0]:
            settle(grows.copy(), max(step - 1, 0), Status.STOPPED_BY_HV)
        if not grows.any():
            break
    else:
        settle(grows.copy(), most, Status.UNCONSTRAINED)
    return Answer(level=level.tolist(), status=status, states=states, iterations=iterations)


class Profiled:
    """A plan that counts tiles and the time spent in it."""

    def __init__(self, plan: Any) -> None:
        self.plan, self.tiles, self.seconds = plan, 0, 0.0

    def solve(self, levels: Any, want: Any) -> Any:
        """As the plan."""
        began = clock()
        solved = self.plan.solve(levels, want)
        self.seconds += clock() - began
        self.tiles += -(-len(levels) // TILE)
        return solved

    def close(self) -> None:
        """Nothing: the plan is somebody else's."""


@frozen(kw_only=True)
class Outcome:
    """One search: seconds of each side."""

    name: str
    direction: str
    groups: int
    steps: int
    distinct: int
    ties: int
    states: int
    rounds: int
    engine_states: int
    engine: dict[str, float]
    ours: dict[str, float]
    ratios: dict[str, float]
    plan: float
    one_by_one: float
    tiles: int
    iterations: dict[str, float]
    in_plan: float

    @property
    def seconds(self) -> float:
        """Median of hostcap's search, over all sides."""
        return float(np.median(list(self.ours.values())))


def _open(network: Network) -> tuple[Any, Any]:
    size = len(network.groups)
    index = network.customers.group - 1
    counted = sums(index, network.customers.live, size)
    growing = sums(index, network.customers.grows, size)
    idle = np.where(counted > 0, STATUSES.index(Status.NO_GROWTH), STATUSES.index(Status.NO_CUSTOMERS))
    return growing > 0, idle.astype(np.int32)


def _answer(result: SearchResult) -> Answer:
    status = [STATUSES[s].value for s in result.status.tolist()]
    return Answer(level=result.level.tolist(), status=status, states=result.states)


def measure(feeder: Feeder, direction: str, most: int, settings: Settings, usages: Sequence[type[Usage]]) -> Outcome:
    """Time one search on every usage."""
    seconds: dict[str, float] = {}
    mine: dict[str, float] = {}
    ratios: dict[str, float] = {}
    with frozen_feeder(feeder, settings.networks) as start:
        network = start.network
        growth = growth_of(network, step_kw=STEP_KW[feeder.name], direction=direction, power_factor=1.0)
        limits = limits_in_volts(network)
        open_groups, idle = _open(network)
        solver = BatchedSolver(config=BatchedConfig(threads=1))
        start.linear()
        solver.plan(start, growth, limits).close()  # imports and compiled code are there
        began = clock()
        plan = solver.plan(start, growth, limits)
        planned = clock() - began

        def search(widest: int = solver.states_at_once, on: Any = plan) -> SearchResult:
            rules = SearchRules(max_steps=most)
            return lock_out_search(on, open_scopes=open_groups, idle=idle, rules=rules, widest=widest)

        result = search()
        ours = _answer(result)
        one: list[float] = []
        engine_states = 0
        iterations: dict[str, float] = {}
        for usage in usages:
            engine = usage(start, growth, *watched(limits))
            once = usage.writes_all and settings.full
            both: tuple[list[float], list[float]] = ([], [])
            for _ in range(1 if once else settings.repetitions):
                engine.restart()
                began = clock()
                theirs = linear_stepping(engine, open_groups, idle, most)
                both[0].append(clock() - began)
                assert (theirs.level, theirs.status) == (ours.level, ours.status), usage.name
                engine_states, iterations[usage.name] = theirs.states, theirs.iterations / theirs.states
                for _ in range(settings.repetitions if once else 1):
                    began = clock()
                    again = search()
                    both[1].append(clock() - began)
                    assert _answer(again) == ours
            seconds[usage.name], mine[usage.name] = float(np.median(both[0])), float(np.median(both[1]))
            ratios[usage.name] = seconds[usage.name] / mine[usage.name] if once else ratio(*both)
        for _ in range(settings.repetitions):
            began = clock()
            linear = search(widest=1)
            one.append(clock() - began)
        profiled = Profiled(plan)
        began = clock()
        search(on=profiled)
        in_plan = profiled.seconds / (clock() - began)
        assert (_answer(linear).level, _answer(linear).status) == (ours.level, ours.status)
        plan.close()
    return Outcome(
        name=f"{feeder.name} {direction}, {most} steps",
        direction=direction,
        groups=int(open_groups.sum()),
        steps=int(result.last_step),
        distinct=len(set(result.iteration[result.iteration >= 0].tolist())),
        ties=int(result.near_tie.sum()),
        states=result.states,
        rounds=result.rounds,
        engine_states=engine_states,
        engine=seconds,
        ours=mine,
        ratios=ratios,
        plan=planned,
        one_by_one=float(np.median(one)),
        tiles=profiled.tiles,
        iterations=iterations,
        in_plan=in_plan,
    )


def _profile(o: Outcome) -> str:
    """Where the time of a search goes that missed its goal."""
    lanes, each = TILE * o.tiles, 1e6 * o.in_plan * o.seconds / (TILE * o.tiles)
    without = o.ratios["bulk API"] * o.seconds * 1e6 / (o.engine_states * each)
    return (
        f"{o.name}, profile: {o.engine_states} steps need {o.states} states under guesses, which fill {o.tiles} tiles, "
        f"{lanes} lanes at {digits(each)} us; {100.0 * o.in_plan:.0f} % of the time is in the plan, the rest in the "
        "walk "
        f"in Python. With no wrong guess, no spare lane and no walk the same kernel would stand at {times(without)}. "
        f"OpenDSS needs {digits(1e6 * o.engine['bulk API'] / o.engine_states)} us for each of its states: from one "
        "step "
        f"to the next little changes, so it goes on from its last state with {o.iterations['bulk API']:.1f} iterations "
        "at 1e-4."
    )


def run(settings: Settings) -> Section:
    """Time export and import, to the two ends."""
    real = settings.networks is not None and settings.full
    feeder = CRE21 if real else DEMO
    found = [
        measure(feeder, direction, most, settings, USAGES)
        for direction in ("export", "import")
        for most in ((175, 1000) if real else (40,))
    ]
    names = [usage.name for usage in USAGES]
    rows = [
        [
            o.name,
            *(f"{o.engine[name]:.3g} ({times(o.ratios[name])})" for name in names),
            f"{o.seconds:.3g}",
            f"{o.plan:.2g}",
            f"{o.one_by_one:.3g}",
        ]
        for o in found
    ]
    walks = [
        [
            o.name,
            str(o.steps),
            f"{o.groups}, {o.distinct}",
            str(o.engine_states),
            f"{o.states} in {o.rounds}",
            f"{o.states / (o.steps + 1):.2f}",
            digits(1e6 * o.seconds / o.states),
            f"{o.tiles}, {100.0 * o.in_plan:.0f} %",
            str(o.ties),
        ]
        for o in found
    ]
    after = []
    for o in found if real else ():
        goals = EXPORT_GOALS if o.direction == "export" else IMPORT_GOALS
        after += [judged(f"{o.name}, {n}", o.ratios[n], goal) for n, goal in goals.items()]
        if any(o.ratios[n] < goal for n, goal in goals.items()):
            after.append(_profile(o))
    return Section(
        name="search",
        title="The lock-out search",
        text=[
            f"{feeder.name} from no load, power factor 1, {STEP_KW[feeder.name]} kW for every customer and step, "
            "LV 216 to 253 V, HV 0.94 to 1.06, thermal 100 % of nameplate, all groups together. OpenDSS: linear "
            "stepping, one solve a step, loads written that changed (the usual script writes all of them), every "
            "watched voltage and current of every state compared; warm, at its default tolerance of "
            f"{DEFAULT_TOLERANCE:g}. "
            "hostcap: the exact fast search, one thread, tolerance 1e-6, every state from the start's voltages and "
            "every limit of every state "
            "checked. Level and status of every group are asserted equal on all sides, in every repetition.",
            "Seconds, and how many times longer than hostcap. A tighter OpenDSS is hardly slower at 1e-5, and cannot "
            'be asked for 1e-6 here: floating dead nodes keep its own verdict at "not converged". The usual script '
            "runs once, the others as often as "
            "hostcap. Loading and freezing are the same on both sides and left out; what hostcap does once more for a "
            'network, ordering and factorising it, is the column "plan". "One by one" is hostcap\'s own linear '
            'stepping (`search = "linear"`).',
        ],
        tables=[
            (("search", *names, "hostcap", "plan", "hostcap one by one"), rows),
            (
                (
                    "search",
                    "last step",
                    "open groups, distinct lock steps",
                    "states, OpenDSS",
                    "states and rounds, hostcap",
                    "states for each step",
                    "us for each state",
                    "tiles of eight, time in them",
                    "near-ties",
                ),
                walks,
            ),
        ],
        after=after,
    )
