"""(b) The lock-out search of a feeder, against linear stepping on OpenDSS; every state checked on both sides."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from attrs import frozen

from bench_engine import DEFAULT_TOLERANCE, USAGES, Usage
from bench_feeders import CRE21, DEMO, Feeder, frozen_feeder, growth_of, limits_in_volts, watched
from bench_timing import Section, Settings, digits, judged, times
from hostcap._arrays import sums
from hostcap.network import Network
from hostcap.search import STATUSES, SearchResult, SearchRules, Status, lock_out_search
from hostcap_stock.batched.config import BatchedConfig
from hostcap_stock.batched.solver import BatchedSolver

EXPORT_GOALS = {"bulk API": 18.0, "usual script": 100.0}
IMPORT_GOALS = {"bulk API": 12.0}
STEP_KW = 0.05


@frozen(kw_only=True)
class Answer:
    """Level and status of every group, as plain lists, and the states it took."""

    level: list[int]
    status: list[str]
    states: int


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
    states = 0

    def settle(which: Any, at: int, how: Status) -> None:
        for g in np.flatnonzero(which):
            level[g], status[g] = at, how.value
        grows[which] = False

    for step in range(most + 1):
        solved, broken = engine.state(np.where(grows, step, level))
        states += 1
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
    return Answer(level=level.tolist(), status=status, states=states)


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
    plan: float
    one_by_one: float


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
    with frozen_feeder(feeder, settings.networks) as start:
        network = start.network
        growth = growth_of(network, step_kw=STEP_KW, direction=direction, power_factor=1.0)
        limits = limits_in_volts(network)
        open_groups, idle = _open(network)
        solver = BatchedSolver(config=BatchedConfig(threads=1))
        start.linear()
        solver.plan(start, growth, limits).close()  # imports and compiled code are there
        began = time.perf_counter()
        plan = solver.plan(start, growth, limits)
        planned = time.perf_counter() - began

        def search(widest: int = solver.states_at_once) -> SearchResult:
            rules = SearchRules(max_steps=most)
            return lock_out_search(plan, open_scopes=open_groups, idle=idle, rules=rules, widest=widest)

        result = search()
        ours = _answer(result)
        one: list[float] = []
        engine_states = 0
        for usage in usages:
            engine = usage(start, growth, *watched(limits), tolerance=DEFAULT_TOLERANCE)
            once = usage.writes_all and settings.full
            both: tuple[list[float], list[float]] = ([], [])
            for _ in range(1 if once else settings.repetitions):
                engine.restart()
                began = time.perf_counter()
                theirs = linear_stepping(engine, open_groups, idle, most)
                both[0].append(time.perf_counter() - began)
                assert (theirs.level, theirs.status) == (ours.level, ours.status), usage.name
                engine_states = theirs.states
                for _ in range(settings.repetitions if once else 1):
                    began = time.perf_counter()
                    again = search()
                    both[1].append(time.perf_counter() - began)
                    assert _answer(again) == ours
            seconds[usage.name], mine[usage.name] = float(np.median(both[0])), float(np.median(both[1]))
        for _ in range(settings.repetitions):
            began = time.perf_counter()
            linear = search(widest=1)
            one.append(time.perf_counter() - began)
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
        plan=planned,
        one_by_one=float(np.median(one)),
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
            *(f"{o.engine[name]:.3g} ({times(o.engine[name] / o.ours[name])})" for name in names),
            f"{np.median(list(o.ours.values())):.3g}",
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
            digits(1e6 * float(np.median(list(o.ours.values()))) / o.states),
            str(o.ties),
        ]
        for o in found
    ]
    after = []
    for o in found:
        goals = EXPORT_GOALS if o.direction == "export" else IMPORT_GOALS
        after += [judged(f"{o.name}, {n}", o.engine[n] / o.ours[n], goal) for n, goal in goals.items()]
    return Section(
        name="search",
        title="The lock-out search",
        text=[
            f"{feeder.name} from no load, power factor 1, {STEP_KW} kW for every customer and step, LV 216 to 253 V, HV "
            "0.94 to 1.06, thermal 100 % of nameplate, all groups together. OpenDSS: linear stepping, one solve a step, "
            "loads written that changed (the usual script writes all of them), every watched voltage and current of "
            f"every state compared; warm, at its default tolerance of {DEFAULT_TOLERANCE:g}. hostcap: the exact fast "
            "search, one thread, tolerance 1e-6, every state from the start's voltages and every limit of every state "
            "checked. Level and status of every group are asserted equal on all sides, in every repetition.",
            "Seconds, and how many times longer than hostcap. The usual script runs once, the others as often as "
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
                    "near-ties",
                ),
                walks,
            ),
        ],
        after=after,
    )
