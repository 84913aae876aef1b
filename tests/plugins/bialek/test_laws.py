"""Laws of proportional sharing on random networks, and agreement with a dense oracle written from the method alone."""

from __future__ import annotations

from typing import Any

import attrs
import numpy as np
import pytest
import tracing_oracle as oracle
from hypothesis import given, settings
from hypothesis import strategies as st
from tracing_cases import period_of, random_case

from hostcap._arrays import sums
from hostcap.errors import TraceError
from hostcap.flows import FailedPeriod, FlowPeriod
from hostcap.tracing import Trace, directed
from hostcap_stock.bialek.config import BialekConfig
from hostcap_stock.bialek.equations import equations
from hostcap_stock.bialek.kernel import ordering
from hostcap_stock.bialek.tracer import BialekTracer
from hostcap_stock.trace.sums import BLOCKS, Index, Sums

MW = 1e-10
MODES = ("balanced", "standard", "actual")
SEEDS = st.integers(0, 10**6)
few = settings(max_examples=60)


def traced(period: FlowPeriod, mode: Any = "balanced", **settings: Any) -> Trace:
    return BialekTracer(BialekConfig(mode=mode, **settings)).trace(period)


def dense(found: dict[Any, float], rows: Any, columns: Any) -> Any:
    return np.array([[found.get((row, column), 0.0) for column in columns] for row in rows])


def close(scale: float) -> dict[str, float]:
    return {"abs": MW * max(1.0, scale), "rel": 1e-12}


@few
@given(seed=SEEDS, cyclic=st.booleans(), mode=st.sampled_from(MODES))
def test_shares_are_those_of_the_dense_oracle(seed: int, cyclic: bool, mode: str) -> None:
    branches, rows = random_case(seed, cyclic=cyclic)
    try:
        trace = traced(period_of(branches, rows), mode)
    except TraceError:
        assert cyclic
        return
    found = oracle.trace(branches, rows, mode)
    network = trace.network
    up, down = network.node[trace.up.user], network.node[trace.down.user]
    scale = max(1.0, *(abs(v) for v in found["up"].values()), *(abs(v) for v in found["down"].values())) / 100.0
    assert trace.up.branch_mw == pytest.approx(dense(found["up"], network.branch, up), **close(scale))
    assert trace.down.branch_mw == pytest.approx(dense(found["down"], network.branch, down), **close(scale))
    assert trace.up_mw == pytest.approx(dense(found["gross"], up, down), **close(scale))
    assert trace.down_mw == pytest.approx(dense(found["net"], up, down), **close(scale))
    # Nothing is left out: the oracle has no share of a node that is no user.
    assert sum(found["up"].values()) == pytest.approx(trace.up.branch_mw.sum())
    if mode != "actual":
        buses = [int(name) for name in network.bus]
        assert trace.up.bus_mw == pytest.approx(dense(found["bus_up"], buses, up), **close(scale))
        assert trace.down.bus_mw == pytest.approx(dense(found["bus_down"], buses, down), **close(scale))


@few
@given(seed=SEEDS, mode=st.sampled_from((*MODES, "compat")))
def test_the_sweep_and_the_sparse_factor_agree(seed: int, mode: Any) -> None:
    flows = directed(period := period_of(*random_case(seed, cyclic=False)))
    order, count = ordering(flows.send, flows.receive, flows.sent_mw, period.network.bus.size)
    assert count == period.network.bus.size
    rng = np.random.default_rng(seed)
    given_at = (np.arange(30, dtype=np.int32) % 12, rng.integers(-1, 5, 30).astype(np.int32), rng.uniform(0, 9, 30), 5)
    for way in ("up", "down"):
        system = equations(flows, mode, way)
        swept, solved = system.swept(order, *given_at), system.solved(*given_at)
        assert swept.every.rows.dense() == pytest.approx(solved.every.rows.dense(), abs=MW)
        assert system.branches(swept).rows.dense() == pytest.approx(system.branches(solved).rows.dense(), abs=MW)
        assert swept.every.rows.sums() == pytest.approx(swept.every.rows.dense().sum(axis=1))


@few
@given(seed=SEEDS, cyclic=st.booleans())
def test_what_must_hold(seed: int, cyclic: bool) -> None:
    """Method, section 3: signs, sums over users, and columns."""
    period = period_of(*random_case(seed, cyclic=cyclic))
    flows = directed(period)
    try:
        by = {mode: traced(period, mode) for mode in MODES}
    except TraceError:
        assert cyclic
        return
    scale = max(1.0, float(max(t.up.branch_mw.max() for t in by.values())))
    for trace in by.values():
        for shares in (trace.up, trace.down):
            assert shares.branch_mw.min() >= -MW * scale
            assert np.isfinite(shares.branch_mw).all() and np.isfinite(shares.bus_mw).all()
            assert not shares.branch_mw[flows.sent_mw == 0].any()
    balanced, actual = by["balanced"], by["actual"]
    tolerance = MW * scale
    if not cyclic:
        assert (balanced.up.branch_mw.sum(axis=1) >= flows.sent_mw - tolerance).all()
        assert (balanced.down.branch_mw.sum(axis=1) <= flows.received_mw + tolerance).all()
    assert actual.up.branch_mw.sum(axis=1) == pytest.approx(flows.sent_mw, abs=tolerance)
    assert actual.down.branch_mw.sum(axis=1) == pytest.approx(flows.received_mw, abs=tolerance)
    # Columns, balanced: every load is what is sent to it net; every generator what it is charged with gross, less what
    # dead ends take.
    assert balanced.down_mw.sum(axis=0) == pytest.approx(balanced.down.user_mw, abs=tolerance)
    dead = flows.out_mw < 1e-9
    charged = balanced.up_mw.sum(axis=1) + balanced.up.bus_mw[dead].sum(axis=0)
    assert charged == pytest.approx(balanced.up.user_mw, abs=tolerance)
    assert balanced.balance.unexplained_up_mw == pytest.approx(0.0, abs=100 * tolerance)
    assert balanced.balance.unexplained_down_mw == pytest.approx(0.0, abs=100 * tolerance)
    assert abs(balanced.balance.mismatch_mw) < 1e-9


@few
@given(seed=SEEDS, cyclic=st.booleans(), mode=st.sampled_from((*MODES, "compat")))
def test_names_and_order_change_nothing(seed: int, cyclic: bool, mode: Any) -> None:
    branches, rows = random_case(seed, cyclic=cyclic)
    rng = np.random.default_rng(seed)
    other_branches = [branches[i] for i in rng.permutation(len(branches))]
    other_rows = [rows[i] for i in rng.permutation(len(rows))]
    turn = {bus: f"Z{(7 * bus) % 13}" for bus in range(12)}
    renamed = [(name, turn[a], turn[b], *mw) for name, a, b, *mw in other_branches]
    moved = [(node, turn[bus], *mw) for node, bus, *mw in other_rows]
    try:
        first = traced(period_of(branches, rows), mode)
    except TraceError:
        with pytest.raises(TraceError):
            traced(period_of(renamed, moved), mode)
        return
    second = traced(period_of(renamed, moved), mode)
    for one, other in ((first.up, second.up), (first.down, second.down)):
        a, b = by_name(first, one), by_name(second, other)
        assert set(a) == set(b)
        worst = max(1.0, max(a.values(), default=1.0))
        assert max((abs(a[key] - b[key]) for key in a), default=0.0) <= MW * worst


def by_name(trace: Trace, shares: Any) -> dict[tuple[str, str], float]:
    users = trace.network.node[shares.user]
    return {
        (branch, user): shares.branch_mw[e, k]
        for e, branch in enumerate(trace.network.branch)
        for k, user in enumerate(users)
    }


@few
@given(seed=SEEDS)
def test_stations_count_what_enters_and_their_own_generation(seed: int) -> None:
    branches, rows = random_case(seed, cyclic=False)
    station_of = {str(bus): f"S{bus % 4}" for bus in range(12)}
    period = period_of(branches, rows, stations=station_of)
    trace, flows, network = traced(period), directed(period), period.network
    found = oracle.trace(branches, rows, "balanced")
    for s, station in enumerate(network.stations):
        inside = {bus for bus, name in enumerate(network.bus) if station_of[name] == station}
        enters = [
            network.branch[e]
            for e in range(network.branch.size)
            if flows.receive[e] in inside and flows.send[e] not in inside
        ]
        for k, user in enumerate(network.node[trace.up.user]):
            own = sum(
                flows.generation_mw[r] for r in range(len(rows)) if rows[r][0] == user and network.row_bus[r] in inside
            )
            due = own + sum(found["up"].get((branch, user), 0.0) for branch in enters)
            assert trace.up.station_mw[s, k] == pytest.approx(due, abs=1e-9)
        for k, user in enumerate(network.node[trace.down.user]):
            entering = sum(found["down"].get((branch, user), 0.0) for branch in enters)
            assert trace.down.station_mw[s, k] >= entering - 1e-9
    generated = sums(network.bus_station[network.row_bus], flows.generation_mw, 4)
    assert (trace.up.station_mw.sum(axis=1) >= generated - 1e-9).all()


@few
@given(seed=SEEDS)
def test_several_nodes_of_a_bus_share_in_proportion_to_their_own_mw(seed: int) -> None:
    branches, rows = random_case(seed, cyclic=False)
    split = [
        piece
        for node, bus, w, g, t in rows
        for piece in (
            [(f"{node}x", bus, w, 0.25 * g, 0.25 * t), (f"{node}y", bus, w, 0.75 * g, 0.75 * t)]
            if node.startswith("g")
            else [(node, bus, w, g, t)]
        )
    ]
    whole, parts = traced(period_of(branches, rows)), traced(period_of(branches, split))
    a, b = by_name(whole, whole.up), by_name(parts, parts.up)
    for (branch, user), mw in a.items():
        if user.startswith("g"):
            assert b[branch, f"{user}x"] == pytest.approx(0.25 * mw, abs=1e-9)
            assert b[branch, f"{user}y"] == pytest.approx(0.75 * mw, abs=1e-9)


def test_opposing_flows_on_a_pair_stay_apart_and_the_cycle_is_named() -> None:
    """HVDC poles in opposite directions: 100 north on one, 20 south on the other; 80 net from 1 to 2."""
    branches = [("pole1", 1, 2, 100.0, 0.0, 0.0), ("pole2", 1, 2, -20.0, 0.0, 0.0)]
    rows = [("g", 1, 1.0, 80.0, 0.0), ("l", 2, 1.0, 0.0, 80.0)]
    trace = traced(period_of(branches, rows))
    # P1 = 80 + 0.2 P2, P2 = P1: 100 through each bus.
    assert trace.up.branch_mw[:, 0] == pytest.approx([100.0, 20.0])
    assert trace.balance.cycle == ("pole1", "pole2")
    (finding,) = trace.findings
    assert (finding.code, finding.element) == ("directed-cycle", "pole1, pole2")


def test_a_pure_circulation_is_refused_by_name_or_dropped_when_asked() -> None:
    loop = [("a", 1, 2, 10.0, 0.0, 0.0), ("b", 2, 3, 10.0, 0.0, 0.0), ("c", 3, 1, 10.0, 0.0, 0.0)]
    line = [("d", 4, 5, 7.0, 0.0, 0.0)]
    rows = [("g", 4, 1.0, 7.0, 0.0), ("l", 5, 1.0, 0.0, 7.0)]
    period = period_of(loop + line, rows)
    named = r"TP1: 10 MW circulate over a, b, c round the buses 1, 2, 3, .*'drop'"
    with pytest.raises(TraceError, match=named):
        traced(period)
    (failed,) = BialekTracer(BialekConfig()).traces([period])
    assert isinstance(failed, FailedPeriod) and "a, b, c" in failed.reason
    trace = traced(period, circulation="drop")
    assert trace.up.branch_mw[:, 0].tolist() == [0.0, 0.0, 0.0, 7.0]
    (finding,) = trace.findings
    assert (finding.code, finding.count) == ("circulation-dropped", 1)
    assert finding.element == "a, b, c round the buses 1, 2, 3"
    assert finding.kw == pytest.approx(10_000.0)


def test_each_of_several_circulations_is_named_with_its_mw() -> None:
    """Given backwards, and the buses out of order: what is named is the way that the power goes."""
    first = [("a", 3, 1, -10.0, 0.0, 0.0), ("b", 3, 2, 10.0, 0.0, 0.0), ("c", 2, 1, 10.0, 0.0, 0.0)]
    second = [("p", 8, 9, 4.0, 0.0, 0.0), ("q", 9, 8, 4.0, 0.0, 0.0)]
    trace = traced(period_of(first + second, [("g", 5, 1.0, 1.0, 1.0)]), circulation="drop")
    (finding,) = trace.findings
    assert finding.element == "a, b, c round the buses 1, 3, 2; p, q round the buses 8, 9"
    assert (finding.count, finding.kw) == (2, pytest.approx(14_000.0))


def test_a_loop_that_loses_power_but_has_no_source_is_refused_too() -> None:
    """With losses I - T of the textbook's mode is not singular, and its numbers would mean nothing."""
    loop = [("a", 1, 2, 10.0, 1.0, 0.0), ("b", 2, 1, 9.0, 0.5, 0.0)]
    for mode in MODES:
        with pytest.raises(TraceError, match="circulate over a, b"):
            traced(period_of(loop, [("g", 3, 1.0, 1.0, 1.0)]), mode)


def test_a_branch_that_loses_more_than_it_carries_receives_nothing_and_is_reported() -> None:
    branches = [("weak", 1, 2, 0.1, 0.3, 0.0), ("line", 1, 2, 5.0, 0.0, 0.0)]
    trace = traced(period_of(branches, [("g", 1, 1.0, 5.1, 0.0), ("l", 2, 1.0, 0.0, 5.0)]))
    assert trace.down.branch_mw[:, 0].tolist() == [0.0, 5.0]
    assert ("loss-exceeds-flow", "weak") in [(f.code, f.element) for f in trace.findings]


def test_a_dead_end_feeds_fixed_losses_alone_and_is_reported() -> None:
    """1 MW goes to bus 2, whose only use is the fixed loss of the branch."""
    branches = [("stub", 1, 2, 1.0, 0.0, 2.0), ("line", 1, 3, 5.0, 0.0, 0.0)]
    trace = traced(period_of(branches, [("g", 1, 1.0, 7.0, 0.0), ("l", 3, 1.0, 0.0, 5.0)]))
    assert trace.balance.dead_end_mw == pytest.approx(7.0 / 6.0)  # gross: 6 MW leave bus 1, 7 are generated
    assert trace.balance.unexplained_up_mw == pytest.approx(0.0, abs=1e-12)
    (finding,) = [f for f in trace.findings if f.code == "dead-end"]
    assert (finding.severity.value, finding.element, finding.kw) == ("info", "2", pytest.approx(7000.0 / 6.0))
    assert "they feed the fixed losses there" in finding.message


def test_a_dead_end_that_fixed_losses_do_not_explain_says_what_is_missing_and_where() -> None:
    """174 MW go to a bus whose load is not in the input; 2 MW to another, whose load is a fixed loss."""
    branches = [("stub", 1, 2, 2.0, 0.0, 4.0), ("gone", 1, 4, 174.0, 0.0, 0.0), ("line", 1, 3, 5.0, 0.0, 0.0)]
    trace = traced(period_of(branches, [("g", 1, 1.0, 183.0, 0.0), ("l", 3, 1.0, 0.0, 5.0)]))
    (finding,) = [f for f in trace.findings if f.code == "dead-end"]
    assert (finding.severity.value, finding.element, finding.count) == ("warning", "4, 2", 2)
    assert finding.kw == pytest.approx(1000.0 * 176.0 * 183.0 / 181.0)  # gross: 181 MW leave bus 1, 183 are generated
    assert "174 MW of what arrives are no fixed losses, most at 4 (174 MW): look there for a load" in finding.message


def test_empty_and_idle_periods_have_no_shares() -> None:
    nothing = period_of([("a", 1, 2, 0.0, 0.0, 0.0)], [("g", 1, 1.0, 0.0, 0.0)])
    for mode in (*MODES, "compat"):
        trace = traced(nothing, mode)
        assert trace.up.branch_mw.shape == (1, 0)
        assert trace.balance.islands == 0


def test_threads_give_the_same_bits_as_one() -> None:
    periods = [period_of(*random_case(seed, cyclic=False), number=seed) for seed in range(12)]
    one = list(BialekTracer(BialekConfig(threads=1)).traces(periods))
    many = list(BialekTracer(BialekConfig(threads=3)).traces(periods))
    for a, b in zip(one, many, strict=True):
        assert isinstance(a, Trace) and isinstance(b, Trace)
        assert np.array_equal(a.up.branch_mw, b.up.branch_mw)
        assert np.array_equal(a.down_mw, b.down_mw)


def test_a_period_is_not_written_to() -> None:
    period = period_of(*random_case(3, cyclic=False))
    same = attrs.evolve(period)
    traced(period)
    assert period == same


@few
@given(seed=SEEDS, mode=st.sampled_from((*MODES, "compat")))
def test_a_period_at_once_is_a_period_step_by_step(seed: int, mode: Any) -> None:
    """Two programs of the same equations: compiled as one, and numpy's with the core's ``directed``."""
    period = period_of(*random_case(seed, cyclic=False), stations={f"g{bus}": f"s{bus // 3}" for bus in range(12)})
    tracer = BialekTracer(BialekConfig(mode=mode))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hostcap_stock.bialek.tracer.at_once", lambda *_: None)
        steps = tracer.trace(period)
    once = tracer.trace(period)
    for a, b in ((once.up, steps.up), (once.down, steps.down)):
        assert a.user.tolist() == b.user.tolist() and a.station_user.tolist() == b.station_user.tolist()
        for part in ("user_mw", "branch_mw", "bus_mw", "station_mw"):
            assert getattr(a, part) == pytest.approx(getattr(b, part), abs=1e-10)
    assert once.up_mw == pytest.approx(steps.up_mw, abs=1e-10)
    assert once.down_mw == pytest.approx(steps.down_mw, abs=1e-10)
    assert attrs.astuple(once.balance)[:10] == pytest.approx(attrs.astuple(steps.balance)[:10], abs=1e-9)
    assert [f.code for f in once.findings] == [f.code for f in steps.findings]


@few
@given(seed=SEEDS, cyclic=st.booleans(), mode=st.sampled_from((*MODES, "compat")))
def test_sums_of_mixed_rows_are_those_of_the_rows_that_they_stand_for(seed: int, cyclic: bool, mode: Any) -> None:
    trace = BialekTracer(BialekConfig(mode=mode)).trace(period_of(*random_case(seed, cyclic=cyclic)))
    plain = attrs.evolve(
        trace,
        up=attrs.evolve(trace.up, branch_mw=trace.up.branch_mw, bus_mw=trace.up.bus_mw, station_mw=trace.up.station_mw),
        down=attrs.evolve(
            trace.down, branch_mw=trace.down.branch_mw, bus_mw=trace.down.bus_mw, station_mw=trace.down.station_mw
        ),
        up_mw=trace.up_mw,
        down_mw=trace.down_mw,
    )
    index = Index()
    mixed, dense = Sums(index), Sums(index)
    mixed.add(trace)
    dense.add(plain)
    for block in BLOCKS:
        assert mixed.mean(block) == pytest.approx(dense.mean(block), abs=1e-10)
