"""(a) One snapshot: set injections, solve, every voltage and every current against its limits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from attrs import frozen
from bench_engine import DEFAULT_TOLERANCE, TIGHT_TOLERANCE, USAGES, Pointers, Usage
from bench_feeders import (
    DEMO,
    PUBLIC,
    Feeder,
    frozen_feeder,
    limits_in_pu,
    snapshot_growth,
    snapshot_levels,
    watched,
)
from bench_timing import Section, Settings, digits, in_turns, judged, ratio, times, us

from hostcap_stock.batched.config import BatchedConfig
from hostcap_stock.batched.solver import BatchedSolver
from hostcap_stock.opendss.frozen import FrozenOpenDss

BULK_GOAL, BULK_MEDIAN_GOAL, SCRIPT_GOAL = 20.0, 28.0, 140.0
COMPARED = 16
"""States that the engine solves in one timing."""
SCRIPT_COMPARED = 4
NEAR = 2e-4
"""Margins within this are not compared at the engine's default tolerance, which is that coarse."""


@frozen(kw_only=True)
class Outcome:
    """One feeder: seconds per state of each side, and how far the answers are apart."""

    feeder: str
    nodes: int
    ports: int
    rows: int
    engine: dict[str, float]
    checked: float
    written: float
    ports_only: float
    iterations: tuple[float, float]
    apart_pu: float
    apart_tight_pu: float
    near: int
    compared: int
    volts_pu: tuple[float, float]
    broken: float


def measure(feeder: Feeder, settings: Settings) -> Outcome:
    """Time one feeder."""
    with frozen_feeder(feeder, settings.networks) as start:
        network = start.network
        growth, limits = snapshot_growth(feeder, network), limits_in_pu(network)
        levels = snapshot_levels(network, settings.states)
        plan: Any = BatchedSolver(config=BatchedConfig(threads=1)).plan(start, growth, limits)
        tight: Any = BatchedSolver(config=BatchedConfig(threads=1, tolerance_pu=TIGHT_TOLERANCE)).plan(
            start, growth, limits
        )
        small = levels[: min(64, len(levels))]
        sides = watched(limits)
        apart, near, count, iterations = 0.0, 0, 0, 0.0
        seconds: dict[str, float] = {}
        mine: dict[str, list[float]] = {"checked": [], "written": [], "converged": []}
        for usage in USAGES:
            engine = usage(start, growth, *sides, tolerance=DEFAULT_TOLERANCE)
            some = levels[: SCRIPT_COMPARED if usage.writes_all else COMPARED]
            found = _same(engine, plan, start, some)
            apart, near, count = max(apart, found[0]), near + found[1], count + found[2]
            iterations = found[3] if usage is Pointers else iterations
            taken = in_turns(
                {
                    "engine": lambda e=engine, s=some: [e.state(x) for x in s],
                    "checked": lambda: plan.solve(levels, {"extremes"}),
                    "written": lambda: plan.solve(small, {"nodes", "branches"}),
                    "converged": lambda: plan.solve(levels, ()),
                },
                settings.repetitions,
            )
            seconds[usage.name] = float(np.median(taken["engine"])) / len(some)
            for name, each in mine.items():
                each.append(float(np.median(taken[name])) / (len(small) if name == "written" else len(levels)))
            seconds[f"{usage.name}: ratio"] = ratio(taken["engine"], taken["checked"]) * len(levels) / len(some)
        engine = Pointers(start, growth, *sides, tolerance=TIGHT_TOLERANCE)
        apart_tight = _same(engine, tight, start, levels[:4], near=1e-6, most=1e-7)[0]
        outcome = Outcome(
            feeder=feeder.name,
            nodes=network.nodes.bus.size,
            ports=len(growth.name),
            rows=limits.row_count,
            engine=seconds,
            checked=float(np.median(mine["checked"])),
            written=float(np.median(mine["written"])),
            ports_only=float(np.median(mine["converged"])),
            iterations=(iterations, float(plan.solve(levels, ()).iterations.mean())),
            apart_pu=apart,
            apart_tight_pu=apart_tight,
            near=near,
            compared=count,
            volts_pu=_range_pu(plan, start, small),
            broken=float(plan.solve(small, {"extremes"}).extremes.broken.sum(axis=1).mean()),
        )
        plan.close()
        tight.close()
    return outcome


def _range_pu(plan: Any, start: FrozenOpenDss, levels: Any) -> tuple[float, float]:
    """Lowest and highest live phase voltage of some states."""
    nodes = start.network.nodes
    phases = nodes.live & ~nodes.neutral
    found = np.abs(plan.solve(levels, {"nodes"}).solution.node_v[:, phases]) / nodes.nominal_v[phases]
    return float(found.min()), float(found.max())


def _same(
    engine: Usage, plan: Any, start: FrozenOpenDss, levels: Any, *, near: float = NEAR, most: float = NEAR
) -> tuple[float, int, int, float]:
    """Assert the same answers; largest difference of a live node, values too near to compare, comparisons."""
    states = plan.solve(levels, {"extremes", "nodes"})
    assert np.all(states.converged)
    live, nominal = start.network.nodes.live, start.network.nodes.nominal_v
    margin = np.min(states.extremes.margin, axis=2)
    apart, too_near, count, iterations = 0.0, 0, 0, 0
    for place, level in enumerate(levels):
        solved, broken = engine.state(level)
        iterations += int(engine.dss.Solution.Iterations())
        moved = np.abs(engine.node_v() - states.solution.node_v[place]) / nominal
        apart = max(apart, float(np.max(moved[live])))
        # At the tight tolerance the engine's own verdict can hang on floating dead nodes; the voltages say more.
        assert solved or most < 1e-6
        tie = np.abs(margin[place]) <= near
        assert np.array_equal(broken[~tie], states.extremes.broken[place][~tie]), "another group is broken"
        too_near, count = too_near + int(tie.sum()), count + tie.size
    assert apart <= most, f"voltages differ by {apart:.3g} pu"
    return apart, too_near, count, iterations / len(levels)


def run(settings: Settings) -> Section:
    """Time every feeder, and say which goals are met."""
    real = settings.networks is not None and settings.full
    feeders: Sequence[Feeder] = PUBLIC if real else (DEMO,)
    found = [measure(feeder, settings) for feeder in feeders]
    names = [usage.name for usage in USAGES]
    seconds = [
        [
            f"{o.feeder} ({digits(o.nodes)} nodes, {digits(o.ports)} loads)",
            *(us(o.engine[name]) for name in names),
            us(o.checked),
            us(o.written),
            us(o.ports_only),
        ]
        for o in found
    ]
    ratios = [[o.feeder, *(times(o.engine[f"{name}: ratio"]) for name in names)] for o in found]
    ratios.append(["median", *(times(float(np.median([o.engine[f"{name}: ratio"] for o in found]))) for name in names)])
    checks = [
        [
            o.feeder,
            digits(o.rows),
            f"{o.volts_pu[0]:.3f} to {o.volts_pu[1]:.3f}",
            f"{o.broken:.1f}",
            f"{o.iterations[0]:.1f}, {o.iterations[1]:.1f}",
            f"{o.apart_pu:.1e}",
            f"{o.apart_tight_pu:.1e}",
            f"{o.near} of {o.compared}",
        ]
        for o in found
    ]
    bulk = [o.engine["bulk API: ratio"] for o in found]
    script = [o.engine["usual script: ratio"] for o in found]
    goals = [
        *(judged(f"{o.feeder}, bulk API", r, BULK_GOAL) for o, r in zip(found, bulk, strict=True)),
        judged("median of the feeders, bulk API", float(np.median(bulk)), BULK_MEDIAN_GOAL),
        *(judged(f"{o.feeder}, usual script", r, SCRIPT_GOAL) for o, r in zip(found, script, strict=True)),
    ]
    return Section(
        name="snapshot",
        title="One snapshot, every voltage and current against its limits",
        text=[
            "Microseconds for one state: write every load's kW and kvar, solve, read all node voltages and all "
            "currents of lines and transformers, compare each with its limits (LV 0.9 to 1.1, HV 0.94 to 1.06, thermal "
            "100 %; lines without a stated rating count with the engine's 400 A, so that every current is compared). "
            "States are random: every customer has a power of its own, every group a level of its own. The model's "
            "own loads "
            "carry the power in OpenDSS, so that it has no more elements than the model.",
            f"OpenDSS goes on from its last state and stops at its default tolerance of {DEFAULT_TOLERANCE:g}; hostcap "
            "starts every state anew from the start and stops at 1e-6: the harder task is on its side. hostcap solves "
            f"{settings.states} states in one call on one thread, and the smallest margin of each group and kind "
            'leaves the kernel ("checked"). "Written" returns every complex voltage and current instead (64 states a '
            'call; most of it can be the system handing out fresh memory for the answers), "solved only" '
            "returns nothing but whether a state converged.",
            "*Usual script*: `edit load` for each load, `Solve`, `AllBusVMag`, `CurrentsMagAng` of each element. "
            "*Bulk API*: `Loads.kW` and `Loads.kvar`, `Solve`, `YNodeVarray` and `PDElements.AllCurrents` as numpy "
            "arrays, numpy comparison: the fastest documented use. *Pointer writes*: the same, but all loads are "
            "written by one undocumented call of the engine's library, as hostcap's own solver `opendss` does.",
        ],
        tables=[
            (("feeder", *names, "hostcap checked", "hostcap written", "hostcap solved only"), seconds),
            (("hostcap checked is faster than", *names), ratios),
            (
                (
                    "feeder",
                    "rows watched",
                    "voltages, pu",
                    "groups broken in a state",
                    "iterations, OpenDSS and hostcap",
                    "largest difference, pu",
                    "the same, both at 1e-9",
                    "groups not compared (margin within 2e-4)",
                ),
                checks,
            ),
        ],
        after=goals if real else (),
    )
