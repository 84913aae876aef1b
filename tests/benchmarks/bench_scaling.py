"""(e) Time and memory of the batched solver against the size of feeder, batch, threads and groups."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))

from bench_feeders import (
    CRE21,
    DEMO,
    EU_LV,
    PUBLIC,
    Feeder,
    frozen_feeder,
    limits_in_pu,
    snapshot_growth,
    snapshot_levels,
)
from bench_timing import Section, Settings, clock, digits, peak_mb, times, us

from hostcap.network import Network
from hostcap_stock.batched.config import BatchedConfig
from hostcap_stock.batched.solver import BatchedSolver
from hostcap_stock.opendss.frozen import FrozenOpenDss

SIZES = (1, 2, 4, 8, 16, 64, 256, 1024, 4096)
GROUPS = (1, 4, 16, 79)
MEMORY_SIZES = (64, 4096)
Table = tuple[Sequence[str], Sequence[Sequence[str]]]


def _plan(start: FrozenOpenDss, growth: Any, limits: Any, threads: int = 1) -> Any:
    return BatchedSolver(config=BatchedConfig(threads=threads)).plan(start, growth, limits)


def _median(work: Any, repetitions: int, ticks: Any = clock) -> float:
    found = []
    work()
    for _ in range(repetitions):
        began = ticks()
        work()
        found.append(ticks() - began)
    return float(np.median(found))


def by_size(feeder: Feeder, settings: Settings) -> list[str]:
    """Microseconds for each state, by states in one call."""
    with frozen_feeder(feeder, settings.networks) as start:
        network = start.network
        plan = _plan(start, snapshot_growth(feeder, network), limits_in_pu(network))
        levels = snapshot_levels(network, max(_sizes(settings)))
        cells = [feeder.name]
        for size in _sizes(settings):
            calls = max(1, 64 // size)
            batches = [levels[n * size : (n + 1) * size] for n in range(calls)] if calls * size <= len(levels) else []
            batches = batches or [levels[:size]]
            taken = _median(lambda b=batches: [plan.solve(x, {"extremes"}) for x in b], settings.repetitions)
            cells.append(us(taken / (len(batches) * size)))
        plan.close()
    return cells


def _sizes(settings: Settings) -> Sequence[int]:
    return SIZES if settings.full and settings.networks is not None else SIZES[:5]


def by_threads(feeder: Feeder, settings: Settings) -> list[str]:
    """Wall-clock microseconds for each state on one and two threads, equal to the last bit."""
    with frozen_feeder(feeder, settings.networks) as start:
        network = start.network
        growth, limits = snapshot_growth(feeder, network), limits_in_pu(network)
        levels = snapshot_levels(network, settings.states)
        plans = [_plan(start, growth, limits, threads) for threads in (1, 2)]
        one, two = (plan.solve(levels, {"extremes"}).extremes.margin for plan in plans)
        assert np.array_equal(one, two)
        found: list[list[float]] = [[], []]
        for _ in range(settings.repetitions * 6):
            for plan, seconds in zip(plans, found, strict=True):
                seconds.append(_median(lambda p=plan: p.solve(levels, {"extremes"}), 1, time.perf_counter))
        for plan in plans:
            plan.close()
    # The least disturbed of the runs: others use the second core, too.
    best = [min(seconds) / len(levels) for seconds in found]
    return [feeder.name, us(best[0]), us(best[1]), times(best[0] / best[1])]


def merged(network: Network, count: int) -> Network:
    """The same feeder with its groups merged into ``count``."""

    def label(group: Any) -> Any:
        return np.where(group > 0, (group - 1) % count + 1, 0)

    return attrs.evolve(
        network,
        buses=attrs.evolve(network.buses, group=label(network.buses.group)),
        equipment=attrs.evolve(network.equipment, group=label(network.equipment.group)),
        injectors=attrs.evolve(network.injectors, group=label(network.injectors.group)),
        customers=attrs.evolve(network.customers, group=label(network.customers.group)),
        groups=attrs.evolve(network.groups, **{f.name: getattr(network.groups, f.name)[:count] for f in _columns()}),
    )


def _columns() -> Any:
    from hostcap.network import Groups

    return attrs.fields(Groups)


def by_groups(feeder: Feeder, settings: Settings) -> list[list[str]]:
    """Microseconds for each state with groups merged; the states themselves are the same."""
    rows = []
    with frozen_feeder(feeder, settings.networks) as start:
        for count in (g for g in GROUPS if g <= len(start.network.groups)):
            network = merged(start.network, count)
            plan = _plan(start, snapshot_growth(feeder, network), limits_in_pu(network))
            levels = np.full((settings.states, count), 5, dtype=np.int32)
            levels += np.arange(settings.states, dtype=np.int32)[:, None] % 5
            taken = _median(lambda p=plan, x=levels: p.solve(x, {"extremes"}), settings.repetitions)
            rows.append([feeder.name, str(count), us(taken / len(levels))])
            plan.close()
    return rows


def child(name: str, networks: Path | None) -> dict[str, float]:
    """In a process of its own: seconds and peak memory by stage."""
    feeder = {f.name: f for f in (*PUBLIC, DEMO)}[name]
    found = {"import": peak_mb()}
    with frozen_feeder(feeder, networks) as start:
        found["nodes"] = float(start.network.nodes.bus.size)
        found["frozen"] = peak_mb()
        growth, limits = snapshot_growth(feeder, start.network), limits_in_pu(start.network)
        _plan(start, growth, limits).close()
        began = clock()
        plan = _plan(start, growth, limits)
        found["plan seconds"], found["plan"] = clock() - began, peak_mb()
        for size in MEMORY_SIZES:
            plan.solve(snapshot_levels(start.network, size), {"extremes"})
            found[f"solve {size}"] = peak_mb()
        levels = snapshot_levels(start.network, 512)
        found["us"] = 1e6 * _median(lambda: plan.solve(levels, {"extremes"}), 5) / 512
        plan.close()
    return found


def by_nodes(feeder: Feeder, settings: Settings) -> list[str]:
    """One feeder in a fresh process."""
    command = [sys.executable, str(Path(__file__)), feeder.name, str(settings.networks or "")]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    nodes = int(found["nodes"])
    return [
        feeder.name,
        digits(nodes),
        f"{found['plan seconds']:.2g}",
        us(found["us"] * 1e-6),
        f"{1e3 * found['us'] / nodes:.3g}",
        *(f"{found[stage]:.0f}" for stage in ("import", "frozen", "plan", *(f"solve {s}" for s in MEMORY_SIZES))),
    ]


def run(settings: Settings) -> Section:
    """Measure along every axis."""
    real = settings.full and settings.networks is not None
    few, every = ((EU_LV, CRE21), PUBLIC) if real else ((DEMO,), (DEMO,))
    pinned = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()
    tables: list[Table] = [
        (
            (
                "feeder",
                "nodes",
                "plan, s",
                "us a state",
                "ns a state and node",
                "peak MB: imports",
                "frozen",
                "plan",
                *(f"{size} states" for size in MEMORY_SIZES),
            ),
            [by_nodes(feeder, settings) for feeder in every],
        ),
        (
            ("us a state, states a call", *map(str, _sizes(settings))),
            [by_size(feeder, settings) for feeder in every],
        ),
        (("feeder", "groups", "us a state"), by_groups(few[-1], settings)),
    ]
    if pinned:
        os.sched_setaffinity(0, set(range(os.cpu_count() or 1)))
    tables.append(
        (
            ("feeder", "one thread, us a state", "two threads", "faster"),
            [by_threads(feeder, settings) for feeder in every],
        )
    )
    if pinned:
        os.sched_setaffinity(0, pinned)
    return Section(
        name="scaling",
        title="How it scales",
        text=[
            f"Every limit checked, {settings.states} states a call and one thread unless stated, states as in the "
            "snapshot. First, by feeder, in a process of its own each: seconds of a plan once the feeder is frozen and "
            "read, microseconds for each state, and the largest memory of the process up to each stage. Then by the "
            "number of states in one call: a tile holds eight, so fewer than eight cost as much as eight. Then with "
            "the groups of one feeder merged: a group costs next to nothing in time; its margins show in the memory "
            "of large calls. Last on two threads (wall clock, the "
            "least of several runs; on a machine whose second core is busy it shows no gain); margins are equal to "
            "the last bit.",
        ],
        tables=tables,
    )


if __name__ == "__main__":
    found = child(sys.argv[1], Path(sys.argv[2]) if sys.argv[2] else None)
    sys.stdout.write(json.dumps(found) + "\n")
