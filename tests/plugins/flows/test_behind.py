"""Who is behind single branches: by hand on Bialek's system, and as the tracer says on random networks."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostcap.flows import FlowNetwork, FlowPeriod
from hostcap_stock.bialek.config import BialekConfig
from hostcap_stock.bialek.tracer import BialekTracer
from hostcap_stock.flows.behind import BehindEach, behind, behind_each
from hostcap_stock.flows.layout import Flows


def period(
    ends: list[tuple[int, int]], flow: list[float], loss: list[float], net: list[float], buses: int
) -> FlowPeriod:
    kw = np.asarray(net)
    return FlowPeriod(
        network=FlowNetwork(
            branch=[f"b{i}" for i in range(len(ends))],
            bus=[f"{i}" for i in range(buses)],
            node=[f"n{i}" for i in range(buses)],
            from_bus=[a for a, _ in ends],
            to_bus=[b for _, b in ends],
            row_node=range(buses),
            row_bus=range(buses),
            row_factor=np.ones(buses),
        ),
        label="",
        start=datetime(2025, 1, 1, tzinfo=UTC),
        minutes=30.0,
        flow_mw=flow,
        loss_mw=loss,
        fixed_loss_mw=np.zeros(len(ends)),
        generation_mw=np.maximum(kw, 0.0),
        load_mw=np.maximum(-kw, 0.0),
    )


def each(made: FlowPeriod) -> BehindEach:
    """Every branch of a period, as the only one asked about of a state of its own."""
    network, size = made.network, made.network.branch.size
    layout: Any = SimpleNamespace(
        bus=network.bus, from_bus=network.from_bus, to_bus=network.to_bus, row_bus=network.row_bus
    )
    net = made.generation_mw - made.load_mw
    kw = [np.tile(mw * 1000.0, (size, 1)) for mw in (made.flow_mw, made.loss_mw, net)]
    states = Flows(flow_kw=kw[0], loss_kw=kw[1], row_kw=kw[2], negative_kw=np.zeros((size, size)), refused=[""] * size)
    return behind_each(layout, states, np.arange(size, dtype=np.int32))


def dense(made: FlowPeriod) -> tuple[Any, Any]:
    """Method, section 3, ``actual``, by a dense inverse: shares of every branch, MW, shape (branch, bus)."""
    network, buses = made.network, made.network.bus.size
    supply, take = made.generation_mw, made.load_mw
    into, out = np.diag(supply.copy()), np.diag(take.copy())
    mixed, split = np.zeros((buses, buses)), np.zeros((buses, buses))
    ends = []
    for e, flow in enumerate(made.flow_mw):
        a, b = int(network.from_bus[e]), int(network.to_bus[e])
        send, receive = (a, b) if flow >= 0 else (b, a)
        sent, received = abs(flow), abs(flow) - made.loss_mw[e]
        into[receive, receive] += received
        out[send, send] += sent
        mixed[receive, send] += received
        split[send, receive] += sent
        ends.append((send, receive, sent, received))
    of_bus = np.linalg.solve(into + np.diag(into.diagonal() == 0) - mixed, np.diag(supply))
    to_bus = np.linalg.solve(out + np.diag(out.diagonal() == 0) - split, np.diag(take))
    up = np.asarray([sent * of_bus[send] for send, _, sent, _ in ends])
    down = np.asarray([received * to_bus[receive] for _, receive, _, received in ends])
    return up, down


# Fig. 2 of Bialek (1996): L1 1-2, L2 2-4, L3 1-4, L4 1-3, L5 4-3.
FOUR = period(
    [(0, 1), (1, 3), (0, 3), (0, 2), (3, 2)],
    [60.0, 173.0, 115.0, 225.0, 83.0],
    [1.0, 2.0, 3.0, 7.0, 1.0],
    [400.0, 114.0, -300.0, -200.0],
    4,
)


def test_bialeks_network() -> None:
    """Method, section 9, columns "actual"; L2 and L5."""
    found = behind(FOUR, [1, 4])
    assert found.supplied_mw[0] == pytest.approx([59.0, 114.0, 0.0, 0.0], abs=1e-9)
    assert found.taken_mw[0] == pytest.approx([0.0, 0.0, 50.151943, 120.848057], abs=1e-6)
    assert found.supplied_mw[1] == pytest.approx([49.951899, 33.048101, 0.0, 0.0], abs=1e-6)
    assert found.taken_mw[1] == pytest.approx([0.0, 0.0, 82.0, 0.0], abs=1e-9)


@given(st.integers(0, 10_000))
def test_single_branches_are_those_of_the_whole_trace(seed: int) -> None:
    """Random trees and meshes; MW at buses close the balance."""
    random = np.random.default_rng(seed)
    buses = int(random.integers(2, 8))
    ends = [(int(random.integers(0, i)), i) for i in range(1, buses)]
    ends += [(int(a), int(b)) for a, b in random.integers(0, buses, size=(3, 2)) if a != b]
    flow = np.round(random.normal(0.0, 50.0, len(ends)), 3) * (random.random(len(ends)) > 0.1)
    loss = np.abs(flow) * random.uniform(0.0, 0.05, len(ends))
    net = np.zeros(buses)
    for (a, b), f, lost in zip(ends, flow, loss, strict=True):
        send, receive = (a, b) if f >= 0 else (b, a)
        net[send] += abs(f)
        net[receive] -= abs(f) - lost
    made = period(ends, flow.tolist(), loss.tolist(), net.tolist(), buses)
    trace = BialekTracer(BialekConfig(mode="actual", circulation="drop")).trace(made)
    if trace.balance.cycle:
        return
    found = behind(made, range(len(ends)))
    for shares, mine in ((trace.up, found.supplied_mw), (trace.down, found.taken_mw)):
        whole = np.zeros((len(ends), buses))
        whole[:, shares.user] = shares.branch_mw
        assert mine == pytest.approx(whole, abs=1e-8)


@given(st.integers(0, 10_000), st.booleans())
def test_each_branch_by_itself_is_that_of_a_dense_inverse(seed: int, circles: bool) -> None:
    """Random meshes, every bus with a load and a supply somewhere behind it; with flows in circles, if asked."""
    random = np.random.default_rng(seed)
    buses = int(random.integers(3, 8))
    ends = [(int(random.integers(0, i)), i) for i in range(1, buses)]
    ends += [(int(a), int(b)) for a, b in random.integers(0, buses, size=(3, 2)) if a != b]
    flow = np.round(random.uniform(1.0, 50.0, len(ends)), 3)
    if circles:
        ends += [(0, 1), (1, 2), (2, 0)]
        flow = np.append(flow, [7.0, 6.5, 6.0])
    else:
        ends = [(min(pair), max(pair)) for pair in ends]
    loss = flow * random.uniform(0.0, 0.05, len(flow))
    net = np.zeros(buses)
    for (a, b), f, lost in zip(ends, flow, loss, strict=True):
        net[a] += f
        net[b] -= f - lost
    made = period(ends, flow.tolist(), loss.tolist(), net.tolist(), buses)
    found, (up, down) = each(made), dense(made)
    assert set(found.refused) == {""}
    assert found.supplied_kw / 1000.0 == pytest.approx(up, abs=1e-8)
    assert found.taken_kw / 1000.0 == pytest.approx(down, abs=1e-8)


def test_each_branch_of_bialeks_network() -> None:
    """Method, section 9, columns "actual": L2 and L5."""
    found = each(FOUR)
    assert found.supplied_kw[4] / 1000.0 == pytest.approx([49.951899, 33.048101, 0.0, 0.0], abs=1e-6)
    assert found.taken_kw[1] / 1000.0 == pytest.approx([0.0, 0.0, 50.151943, 120.848057], abs=1e-6)


def test_a_circulation_without_a_source_refuses_its_state_alone() -> None:
    """Three buses pass 10 MW round and round; beside them one feeds another."""
    ends = [(0, 1), (1, 2), (2, 0), (3, 4)]
    found = each(period(ends, [10.0, 10.0, 10.0, 5.0], [0.0] * 4, [0.0, 0.0, 0.0, 5.0, -5.0], 5))
    assert ["circulates" in why for why in found.refused] == [True] * 4
