"""Cases of tracing: the published small systems, random networks, and the real periods of the shared folder."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from hostcap.flows import FlowNetwork, FlowPeriod, with_stations

DATA = Path(
    os.environ.get("HOSTCAP_TRACING", Path(__file__).resolve().parents[3] / "shared" / "data" / "tracing")
).absolute()
BIALEK = (
    [
        ("L1", 1, 2, 60.0, 1.0, 0.0),
        ("L2", 2, 4, 173.0, 2.0, 0.0),
        ("L3", 1, 4, 115.0, 3.0, 0.0),
        ("L4", 1, 3, 225.0, 7.0, 0.0),
        ("L5", 3, 4, -83.0, 1.0, 0.0),
    ],
    [("n1", 1, 1.0, 0.0, -400.0), ("n2", 2, 1.0, 114.0, 0.0), ("n3", 3, 1.0, 0.0, 300.0), ("n4", 4, 1.0, 0.0, 200.0)],
)
"""testB: branches as (name, from, to, F, d, x), rows as (node, bus, w, G, L)."""


def period_of(branches: Any, rows: Any, *, number: int = 0, stations: Any = None) -> FlowPeriod:
    """A plain case as a period."""
    buses = sorted({b for _, a, c, *_ in branches for b in (a, c)} | {bus for _, bus, *_ in rows}, key=str)
    nodes = list(dict.fromkeys(node for node, *_ in rows))
    bus_at, node_at = {bus: i for i, bus in enumerate(buses)}, {node: i for i, node in enumerate(nodes)}
    network = FlowNetwork(
        branch=[b[0] for b in branches],
        bus=map(str, buses),
        node=nodes,
        from_bus=[bus_at[b[1]] for b in branches],
        to_bus=[bus_at[b[2]] for b in branches],
        row_node=[node_at[r[0]] for r in rows],
        row_bus=[bus_at[r[1]] for r in rows],
        row_factor=[r[2] for r in rows],
    )
    if stations:
        network = with_stations(network, stations)
    of_node = {r[0]: r for r in rows}
    return FlowPeriod(
        network=network,
        label=f"TP{number + 1}",
        start=datetime(2025, 1, 5, tzinfo=UTC) + number * timedelta(minutes=30),
        minutes=30.0,
        flow_mw=[b[3] for b in branches],
        loss_mw=[b[4] for b in branches],
        fixed_loss_mw=[b[5] for b in branches],
        generation_mw=[of_node[n][3] for n in nodes],
        load_mw=[of_node[n][4] for n in nodes],
    )


def random_case(seed: int, *, cyclic: bool, size: int = 12, branches: int = 24) -> tuple[Any, Any]:
    """A network whose MW balance at every bus: islands, parallel branches, zero flows, nodes on several buses.

    Branches lead from lower to higher buses, unless it is to be cyclic; directions of FROM and TO are mixed.
    """
    rng = np.random.default_rng(seed)
    island = rng.integers(0, 2, size)
    listed, left = [], np.zeros(size)
    for e in range(branches):
        a, b = sorted(rng.choice(size, 2, replace=False).tolist())
        if island[a] != island[b]:
            continue
        if cyclic and rng.random() < 0.4:
            a, b = b, a
        sent = float(rng.choice([0.0, rng.uniform(0.1, 50.0)], p=[0.1, 0.9]))
        loss, fixed = sent * rng.choice([0.0, 0.03]), float(rng.choice([0.0, 0.2]))
        for k in range(2 if rng.random() < 0.2 else 1):
            name = f"b{e}.{k}"
            listed.append((name, a, b, sent, loss, fixed) if rng.random() < 0.5 else (name, b, a, -sent, loss, fixed))
            left[a] -= sent + fixed / 2
            left[b] += sent - loss - fixed / 2
    rows = []
    for bus in range(size):
        extra = float(rng.choice([0.0, rng.uniform(0.5, 20.0)]))
        supplied, taken = max(-left[bus], 0.0) + extra, max(left[bus], 0.0) + extra
        # What supplies may be written as negative load, and what takes as negative generation.
        rows.append(
            (f"g{bus}", bus, 1.0, supplied, 0.0) if rng.random() < 0.6 else (f"g{bus}", bus, 1.0, 0.0, -supplied)
        )
        parts = rng.dirichlet([1.0, 1.0])
        rows.append((f"l{bus}a", bus, 1.0, 0.0, taken * parts[0]))
        rows.append((f"l{bus}b", bus, 1.0, -taken * parts[1], 0.0))
    # One node on three buses, each of which takes as much again.
    for bus, factor in zip(rng.choice(size, 3, replace=False).tolist(), (0.2, 0.3, 0.5), strict=True):
        rows.append(("spread", bus, factor, 30.0, 0.0))
        rows.append((f"taker{bus}", bus, 1.0, 0.0, 30.0 * factor))
    return listed, rows


def real_periods(case: str, *, limit: int | None = None) -> list[FlowPeriod]:
    """Solved New Zealand periods, read here without any reader of hostcap's."""
    folder = DATA / "vspd_real" / case
    buses = {"FromBus": str, "ToBus": str, "Bus": str}
    branch = pd.read_csv(folder / "BranchResults_TP.csv.gz", dtype=buses)
    node = pd.read_csv(folder / "NodeResults_TP.csv.gz", dtype=buses)
    mapped = pd.read_csv(folder / "busnodemap.csv.gz", dtype=buses)
    periods = []
    for when, rows in list(branch.groupby("DateTime", sort=False))[:limit]:
        here, placed = node[node.DateTime == when], mapped[mapped.DateTime == when]
        bus = pd.unique(pd.concat([rows.FromBus, rows.ToBus, placed.Bus]))
        names = pd.unique(pd.concat([here.Node, placed.Node]))
        bus_at, node_at = pd.Index(bus), pd.Index(names)
        network = FlowNetwork(
            branch=rows.Branch,
            bus=bus,
            node=names,
            from_bus=bus_at.get_indexer(rows.FromBus),
            to_bus=bus_at.get_indexer(rows.ToBus),
            row_node=node_at.get_indexer(placed.Node),
            row_bus=bus_at.get_indexer(placed.Bus),
            row_factor=placed.Allo,
        )
        network = with_stations(network, {name: name[:3] for name in names})
        of_node = here.set_index("Node").reindex(names).fillna(0.0)
        # The data are New Zealand's local time in summer.
        start = pd.to_datetime(when, format="%d-%b-%Y %H:%M").tz_localize("Etc/GMT-13").to_pydatetime()
        periods.append(
            FlowPeriod(
                network=network,
                label=rows.Period.iloc[0],
                start=start,
                minutes=5.0 if case.endswith("RTD") else 30.0,
                flow_mw=rows["Flow (MW) (From->To)"],
                loss_mw=rows["DynamicLoss (MW)"],
                fixed_loss_mw=rows["FixedLoss (MW)"],
                generation_mw=of_node["Generation (MW)"],
                load_mw=of_node["Load (MW)"],
            )
        )
    return periods
