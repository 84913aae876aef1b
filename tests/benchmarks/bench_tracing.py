"""(g) Tracing: real periods of the New Zealand grid, against the program of 2015 done anew in today's pandas."""

from __future__ import annotations

import gzip
import re
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
import tracing_original as original
from bench_timing import Section, Settings, clock, digits, judged, times
from tracing_cases import DATA, period_of, random_case, real_periods

from hostcap import WorkPackage
from hostcap import run as run_study
from hostcap.config import structure_study
from hostcap.flows import FlowPeriod
from hostcap.plugins import default_registry
from hostcap.tracing import Trace
from hostcap_stock.bialek.config import BialekConfig
from hostcap_stock.bialek.tracer import BialekTracer
from hostcap_stock.flows import vspd
from hostcap_stock.trace.sums import Index, Sums

GOAL, CHAIN_GOAL, TOLERANCE_MW = 1000.0, 300.0, 1e-6
CASE, REPEATED, PERIODS = "20250127_NRSS", 31, 48
"""Eight half-hours; how often one timing of hostcap takes them; periods of the day of the whole chain."""
TIME = re.compile(r"\d\d-[A-Z]{3}-\d{4} \d\d:\d\d")


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


def hostcap(periods: Sequence[FlowPeriod], mode: Any) -> Sums:
    """Means of everything."""
    sums, tracer = Sums(Index()), BialekTracer(BialekConfig(mode=mode, threads=1))
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
        users = sums.index.supplier if block.endswith("up") else sums.index.taker
        ours = pd.DataFrame(sums.mean(block), index=rows.listed, columns=users.listed)
        index, columns = ours.index.union(theirs.index), ours.columns.union(theirs.columns)
        a, b = (f.reindex(index=index, columns=columns).fillna(0.0).to_numpy() for f in (ours, theirs))
        worst = max(worst, float(np.abs(a - b).max(initial=0.0)))
    return worst


def a_day(folder: Path) -> Path:
    """The real files as plain CSV, six times after each other as a day of 48 half-hours."""
    (folder / "Output").mkdir()
    for path in (DATA / "vspd_real" / CASE).glob("*.csv.gz"):
        if path.name.startswith("BusResults"):
            continue
        head, *lines = gzip.decompress(path.read_bytes()).decode().splitlines()
        times = list(dict.fromkeys(TIME.findall("\n".join(lines))))
        written = [head]
        for number in range(PERIODS):
            old = times[number % len(times)]
            new = f"27-JAN-2025 {number // 2:02d}:{number % 2 * 30:02d}"
            label, other = f'"TP{21 + number % len(times)}"', f'"TP{number + 1}"'
            written += [line.replace(old, new, 1).replace(label, other, 1) for line in lines if old in line]
        (folder / "Output" / path.stem).write_text("\n".join(written) + "\n", encoding="utf-8")
    return folder / "Output"


def chain_of_2015(source: Path, out: Path) -> dict[str, Any]:
    """CSV in, daily means out."""
    files = [source / name for name in ("BranchResults_TP.csv", "NodeResults_TP.csv", "busnodemap.csv")]
    traced = [original.traced(*each) for each in original.loaded(*files)]
    means = {kind: original.mean([t[kind] for t in traced]) for kind in ("td", "tu", "sd", "su")}
    for kind, mean in means.items():
        mean.to_csv(out / f"{kind}_20250127.csv", float_format="%.4f")
    return means


def chain_of_hostcap(source: Path, out: Path) -> None:
    """The same by a study: CSV in, daily means out in the same wide files."""
    data = {
        "name": "chain",
        "study": {"plugin": "trace", "levels": ["day"], "least_mw": 0.0},
        "flows": {"plugin": "vspd", "folder": str(source)},
        "tracer": {"mode": "compat", "threads": 1},
        "writers": [{"plugin": "csv", "wide": True, "tables": ["trace_balance"]}],
    }
    registry = default_registry()
    package = WorkPackage(document=structure_study(data, source, registry), registry=registry)
    run_study(package, out=out, replace=True)


def chain(settings: Settings) -> tuple[float, float, float]:
    """Processor seconds a period of both whole chains, and the largest difference of their files, MW."""
    ours = []
    with TemporaryDirectory() as folder:
        source, one = a_day(Path(folder)), Path(folder) / "2015"
        one.mkdir()
        began = clock()
        chain_of_2015(source, one)
        theirs = (clock() - began) / PERIODS
        for repetition in range(settings.repetitions + 1):
            vspd._starts.cache_clear()  # every run reads all of its input itself
            other = Path(folder) / f"hostcap{repetition}"
            began = clock()
            chain_of_hostcap(source, other)
            ours.append((clock() - began) / PERIODS)
        worst = 0.0
        for kind in ("td", "tu", "sd", "su"):
            a, b = (_added(pd.read_csv(p / f"{kind}_20250127.csv", index_col=0), kind) for p in (one, other / "d"))
            index, columns = a.index.union(b.index), a.columns.union(b.columns)
            x, y = (f.reindex(index=index, columns=columns).fillna(0.0).to_numpy() for f in (a, b))
            worst = max(worst, float(np.abs(x - y).max()))
    return theirs, float(np.median(ours[1:])), worst


def _added(frame: Any, kind: str) -> Any:
    """A wide file; buses of one node, which both sides number in their own order, added for bus use."""
    if kind[0] == "t":
        return frame
    plain = frame.rename(index=lambda n: re.sub(r"\.\d+$", "", n), columns=lambda n: re.sub(r"\.\d+$", "", n))
    return plain.groupby(level=0).sum().T.groupby(level=0).sum().T


def run(settings: Settings) -> Section:
    """Measure, and hold both sides' means together."""
    real = DATA.is_dir() and settings.full
    periods = real_periods(CASE) if real else [period_of(*random_case(n, cyclic=False), number=n) for n in range(3)]
    repeated = REPEATED if real else 1
    modes = ("compat", "balanced", "actual")
    held = hostcap(periods, "compat")
    theirs: list[float] = []
    ours: dict[str, list[float]] = {mode: [] for mode in modes}
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
    net = periods[0].network
    slow = float(np.median(theirs))
    ratio = {mode: slow / float(np.median(seconds)) for mode, seconds in ours.items()}
    rows = [["the way of 2015", digits(slow * 1e3), "", ""]]
    rows += [
        [
            f"hostcap, `{mode}`",
            "",
            digits(float(np.median(ours[mode])) * 1e3),
            times(ratio[mode]),
        ]
        for mode in modes
    ]
    apart = 0.0
    after = [judged(f"`{mode}`, one thread", ratio[mode], GOAL) for mode in modes] if real else []
    if real:
        of_2015, of_hostcap, apart = chain(settings)
        whole = of_2015 / of_hostcap
        assert apart <= 1e-3, f"files of four places differ by {apart} MW"  # sums of rounded cells
        rows.append(["whole chain, 2015", digits(of_2015 * 1e3), "", ""])
        rows.append(["whole chain, `compat`", "", digits(of_hostcap * 1e3), times(whole)])
        after.append(judged("whole chain (CSV in, daily means out as CSV), one thread", whole, CHAIN_GOAL))
    return Section(
        name="tracing",
        title="Tracing: who uses what, one period up and down, and its part of the mean",
        text=[
            f"{len(periods)} real periods of the New Zealand grid ({net.branch.size} branches, {net.bus.size} buses,"
            f" {net.node.size} nodes): shares of every branch, bus and station upstream and downstream, who feeds"
            " whom, and the mean over the periods (hostcap takes them 31 times over)."
            " *The way of 2015* is the New Zealand Electricity Authority's"
            " program, step by step and with its means (data frames, `iterrows`, a dense inverse each way, dense"
            " squares of buses), in today's pandas; `tests/benchmarks/tracing_original.py` shares no code with hostcap."
            f" In mode `compat` the means of all four of its tables are the same within {difference:.1g} MW (at most"
            f" {TOLERANCE_MW:g} is allowed), in this very run.",
            "*Whole chain*: a day of 48 half-hours (the eight, six times) as CSV files in, their means as CSV files"
            f" out; both sides write the same wide files of four places, which agree within {apart:.1g} MW.",
            "Milliseconds of one processor for each period, both sides on one thread.",
        ],
        tables=[(("", "2015", "hostcap", "faster"), rows)],
        after=after,
    )
