"""(g) Tracing: real periods of the New Zealand grid, against the program of 2015 done anew in today's pandas."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import tracing_original as original
from bench_timing import Section, Settings, clock, digits, judged, times
from tracing_cases import DATA, period_of, random_case, real_periods

from hostcap.flows import FlowPeriod
from hostcap.tracing import Trace
from hostcap_stock.bialek.config import BialekConfig
from hostcap_stock.bialek.tracer import BialekTracer
from hostcap_stock.trace.sums import Index, Sums

GOAL, TOLERANCE_MW = 1000.0, 1e-6
CASE, REPEATED = "20250127_NRSS", 6
"""Eight half-hours, repeated as often as one timing of hostcap takes them."""


def frames(period: FlowPeriod) -> tuple[Any, Any, Any, Any]:
    """A period as the original's loader left it: nodes and branches by bus, and the maps of names."""
    net, factor = period.network, period.network.row_factor
    nodes = pd.DataFrame(
        {"GENERATION": factor * period.generation_mw[net.row_node], "LOAD": factor * period.load_mw[net.row_node]},
        index=pd.Index(net.row_bus, name="bus"),
    )
    branches = pd.DataFrame({"FROM": net.from_bus, "TO": net.to_bus, "FROM_MW": period.flow_mw, "LOSS": period.loss_mw})
    last: dict[int, str] = {}
    for node, bus in zip(net.row_node.tolist(), net.row_bus.tolist(), strict=True):
        last[bus] = max(last.get(bus, ""), net.node[node])
    pairs = pd.MultiIndex.from_arrays([net.from_bus, net.to_bus])
    return nodes, branches, pd.Series(last).sort_index(), pd.Series(net.branch, index=pairs)


def the_original(periods: Sequence[FlowPeriod]) -> tuple[dict[str, Any], float]:
    """Means of td, tu, sd and su, and processor seconds; conversion to frames is not counted."""
    given = [frames(period) for period in periods]
    began = clock()
    traced = [original.traced(*each) for each in given]
    means = {kind: original.mean([t[kind] for t in traced]) for kind in ("td", "tu", "sd", "su")}
    return means, clock() - began


def hostcap(periods: Sequence[FlowPeriod], mode: Any, threads: int = 1) -> Sums:
    """Means of everything."""
    sums, tracer = Sums(Index()), BialekTracer(BialekConfig(mode=mode, threads=threads))
    for trace in tracer.traces(iter(periods)):
        assert isinstance(trace, Trace)
        sums.add(trace)
    return sums


def worst_difference(sums: Sums, means: dict[str, Any]) -> float:
    """Largest difference of any cell, MW; a cell that one side lacks counts as 0 there."""
    worst = 0.0
    for kind, block, rows in (
        ("td", "branch_down", sums.index.branch),
        ("tu", "branch_up", sums.index.branch),
        ("sd", "station_down", sums.index.station),
        ("su", "station_up", sums.index.station),
    ):
        theirs = means[kind]
        ours = pd.DataFrame(sums.mean(block), index=rows.listed, columns=sums.index.node.listed)
        index, columns = ours.index.union(theirs.index), ours.columns.union(theirs.columns)
        a, b = (f.reindex(index=index, columns=columns).fillna(0.0).to_numpy() for f in (ours, theirs))
        worst = max(worst, float(np.abs(a - b).max(initial=0.0)))
    return worst


def run(settings: Settings) -> Section:
    """Measure, and hold both sides' means together."""
    real = DATA.is_dir() and settings.full
    periods = real_periods(CASE) if real else [period_of(*random_case(n, cyclic=False), number=n) for n in range(3)]
    repeated = REPEATED if real else 1
    modes = ("compat", "balanced", "actual")
    held = hostcap(periods, "compat")
    theirs: list[float] = []
    ours: dict[str, list[float]] = {mode: [] for mode in modes}
    wall: dict[str, list[float]] = {mode: [] for mode in modes}
    for mode in modes:
        hostcap(periods, mode)  # compiled code is read once
    for _ in range(settings.repetitions):
        means, seconds = the_original(periods)
        theirs.append(seconds / len(periods))
        difference = worst_difference(held, means)
        assert difference <= TOLERANCE_MW, f"means differ by {difference} MW"
        for mode in modes:
            began = clock()
            hostcap([*periods] * repeated, mode)
            ours[mode].append((clock() - began) / (len(periods) * repeated))
            start = time.perf_counter()
            hostcap([*periods] * repeated, mode, threads=2)
            wall[mode].append((time.perf_counter() - start) / (len(periods) * repeated))
    net = periods[0].network
    slow = float(np.median(theirs))
    ratio = {mode: slow / float(np.median(seconds)) for mode, seconds in ours.items()}
    rows = [["the way of 2015", digits(slow * 1e3), "", "", ""]]
    rows += [
        [
            f"hostcap, `{mode}`",
            "",
            digits(float(np.median(ours[mode])) * 1e3),
            digits(float(np.median(wall[mode])) * 1e3),
            times(ratio[mode]),
        ]
        for mode in modes
    ]
    return Section(
        name="tracing",
        title="Tracing: who uses what, one period up and down, and its part of the mean",
        text=[
            f"{len(periods)} real periods of the New Zealand grid ({net.branch.size} branches, {net.bus.size} buses,"
            f" {net.node.size} nodes): shares of every branch, bus and station upstream and downstream, who feeds"
            " whom, and the mean over the periods. *The way of 2015* is the New Zealand Electricity Authority's"
            " program, step by step and with its means (data frames, `iterrows`, a dense inverse each way, dense"
            " squares of buses), in today's pandas; `tests/benchmarks/tracing_original.py` shares no code with hostcap."
            f" In mode `compat` the means of all four of its tables are the same within {difference:.1g} MW (at most"
            f" {TOLERANCE_MW:g} is allowed), in this very run.",
            "Milliseconds a period: processor time of one thread, and time on the clock with two threads.",
        ],
        tables=[(("", "2015", "hostcap", "two threads, clock", "faster, one thread"), rows)],
        after=[judged(f"`{mode}`, one thread", ratio[mode], GOAL) for mode in modes] if real else (),
    )
