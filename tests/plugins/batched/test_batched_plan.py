"""What must hold of every batch: order, splits and threads change nothing, and limits are judged as the core does."""

from __future__ import annotations

import pickle
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from attrs import frozen
from batched.cases import (
    PLANS,
    all_limits,
    chain,
    demo_config,
    dense,
    growth,
    plan,
    ports,
    random_levels,
    uniform,
    voltage_limits,
)
from batched.cases import frozen as frozen_at
from hypothesis import given, settings
from hypothesis import strategies as st

from hostcap._arrays import FloatArray
from hostcap.errors import HostcapError
from hostcap.limits import LimitSet, RowLabels
from hostcap.linear import growth_ports
from hostcap.solution import Solution
from hostcap_stock.batched.config import BatchedConfig
from hostcap_stock.batched.equations import iteration_admittance
from hostcap_stock.batched.reference import ReferencePlan
from hostcap_stock.batched.solver import BatchedPlan, BatchedSolver

EVERYTHING = {"extremes", "violations", "nodes", "branches"}


@pytest.fixture(scope="module")
def demo() -> Any:
    """The demo feeder as modelled: linear network, growth, limits, levels."""
    with frozen_at(demo_config(), "as-modelled") as start:
        network = start.network
        linear = start.linear()
        return (
            linear,
            uniform(network, "import"),
            all_limits(network),
            random_levels(network, 37, highest=60),
            start.start,
        )


def solved(demo: Any, levels: Any = None, want: Any = EVERYTHING, **config: Any) -> Any:
    linear, grown, limits, own, start = demo
    plan = BatchedPlan(linear, grown, limits, BatchedConfig(**{"threads": 1} | config), start)
    try:
        return plan.solve(own if levels is None else levels, want)
    finally:
        plan.close()


def bits(states: Any, which: Any = slice(None)) -> list[bytes]:
    """All that was reported of some states, bit for bit."""
    s, e = states.solution, states.extremes
    arrays = (states.converged, states.iterations, s.node_v, s.conductor_a, e.margin, e.row)
    return [a[which].tobytes() for a in arrays]


def test_any_split_of_a_batch_gives_the_same_bits(demo: Any) -> None:
    whole, levels = solved(demo), demo[3]
    for size in (1, 3, 8, 20):
        for begin in range(0, len(levels), size):
            part = slice(begin, begin + size)
            assert bits(solved(demo, levels[part])) == bits(whole, part)


def test_one_thread_or_two_give_the_same_bits(demo: Any) -> None:
    assert bits(solved(demo, threads=1)) == bits(solved(demo, threads=2))


def test_the_order_of_states_does_not_matter(demo: Any) -> None:
    order = np.random.default_rng(5).permutation(len(demo[3]))
    assert bits(solved(demo, demo[3][order])) == bits(solved(demo), order)


def test_a_plan_gives_the_same_bits_again_and_whatever_else_is_wanted(demo: Any) -> None:
    linear, grown, limits, levels, start = demo
    plan = BatchedPlan(linear, grown, limits, BatchedConfig(threads=2), start)
    first, again = plan.solve(levels, {"extremes"}), plan.solve(levels, {"extremes"})
    assert first == again
    assert first.extremes == solved(demo).extremes
    assert plan.solve(levels, {"nodes"}).solution.conductor_a.shape == (len(levels), 0)
    plan.close()
    assert plan.solve(levels[:3], {"extremes"}).extremes.margin.shape[0] == 3


def test_an_empty_batch_is_an_empty_answer(demo: Any) -> None:
    states = solved(demo, demo[3][:0])
    assert states.converged.size == 0
    assert states.solution.node_v.shape == (0, demo[0].node_count)


def test_extremes_and_violations_are_those_of_the_limit_set(demo: Any) -> None:
    states, limits = solved(demo), demo[2]
    assert np.any(states.extremes.broken)
    whole = limits.extremes(states.solution)
    assert np.array_equal(np.isinf(states.extremes.margin), np.isinf(whole.margin))
    watched = np.isfinite(whole.margin)
    assert np.max(np.abs(states.extremes.margin[watched] - whole.margin[watched])) < 1e-12
    assert np.array_equal(states.extremes.broken, whole.broken)
    assert states.violations == limits.violations(states.solution)
    # Rows may differ only where two are equal to the last digits.
    value = limits.values(states.solution)
    for s, g, f in np.argwhere(states.extremes.row != whole.row):
        pair = states.extremes.row[s, g, f], whole.row[s, g, f]
        assert value[s, pair[0]] == pytest.approx(value[s, pair[1]], rel=1e-12)


def test_kernel_and_reference_agree(demo: Any) -> None:
    linear, grown, limits, levels, start = demo
    ours = solved(demo, levels[:6], tolerance_pu=1e-10)
    theirs = ReferencePlan(linear, grown, limits, BatchedConfig(tolerance_pu=1e-10), start).solve(
        levels[:6], EVERYTHING
    )
    assert np.array_equal(ours.converged, theirs.converged)
    moved = np.abs(ours.solution.node_v - theirs.solution.node_v) / linear.nominal_v
    assert np.max(moved) < 1e-9
    assert np.array_equal(ours.extremes.broken, theirs.extremes.broken)
    assert np.array_equal(ours.violations.row, theirs.violations.row)


def test_ties_go_to_the_first_row() -> None:
    """Two customers of one group on two equal stubs: the first bus decides, however many lanes there are."""
    y = np.array([[1e9 + 10, -5, -5], [-5, 5, 0], [-5, 0, 5]], dtype=complex)
    linear = dense(y, np.zeros((1, 3)), ports([]), source={0: 2.4e11}, nominal_v=np.full(3, 240.0))
    grown = growth([(1, -1, 1.0, 0.0, 0), (2, -1, 1.0, 0.0, 0)], scopes=1)
    states = plan(BatchedPlan, linear, grown).solve([[3]] * 9, {"extremes"})
    assert np.all(states.extremes.row[:, 1, 0] == 1)


def test_the_last_iteration_moved_no_live_node_further_than_the_tolerance(demo: Any) -> None:
    """Judged on the iterated rows, by a tolerance tightened for the rest: seen here on all nodes, by plain algebra."""
    linear, grown, _, levels, _ = demo
    extra, base = growth_ports(grown), linear.base
    inverse = np.linalg.inv(iteration_admittance(linear).toarray())

    def after(v: Any, steps: Any) -> Any:
        injected = linear.source_a.copy()
        u = base.voltage_v(v)
        for which, drawn in (
            (base, base.drawn_a(u) - base.siemens * u),
            (extra, steps * extra.drawn_a(extra.voltage_v(v))),
        ):
            for node, sign in ((which.node_a, -1.0), (which.node_b, 1.0)):
                np.add.at(injected, node[node >= 0], sign * drawn[node >= 0])
        return inverse @ injected

    for tolerance in (1e-4, 1e-6):
        states = solved(demo, levels[:8], {"nodes"}, tolerance_pu=tolerance)
        for k in range(8):
            steps = levels[k][grown.scope[extra.injector]]
            v, last = linear.start_v, np.inf
            for _ in range(states.iterations[k]):
                before, v = v, after(v, steps)
                last = np.max((np.abs(v - before) / linear.nominal_v)[linear.live])
            assert last <= tolerance * (1 + 1e-3)
            assert np.max(np.abs(v - states.solution.node_v[k]) / linear.nominal_v) < 1e-9


def test_currents_balance_at_every_node_and_ports_take_their_power(demo: Any) -> None:
    """Kirchhoff, from written results alone: what enters equipment at a node is what ports inject there."""
    linear, grown, _, levels, _ = demo
    states = solved(demo, levels[:5], {"nodes", "branches"}, tolerance_pu=1e-11)
    with frozen_at(demo_config(), "as-modelled") as start:
        network = start.network
    extra = growth_ports(grown)
    v, conductor_node = states.solution.node_v, network.conductors.node
    for k in range(5):
        injected = np.zeros(linear.node_count, dtype=complex)
        base_drawn = linear.base.drawn_a(linear.base.voltage_v(v[k]))
        steps = levels[k][grown.scope[extra.injector]]
        grown_u = extra.voltage_v(v[k])
        grown_drawn = steps * extra.drawn_a(grown_u)
        for which, drawn in ((linear.base, base_drawn), (extra, grown_drawn)):
            for node, sign in ((which.node_a, -1.0), (which.node_b, 1.0)):
                np.add.at(injected, node[node >= 0], sign * drawn[node >= 0])
        into = np.zeros(linear.node_count, dtype=complex)
        np.add.at(into, conductor_node[conductor_node >= 0], states.solution.conductor_a[k][conductor_node >= 0])
        quiet = linear.source_a == 0
        assert np.max(np.abs(into - injected)[quiet]) < 1e-4
        inside = (np.abs(grown_u) / extra.base_v > 0.7) & (np.abs(grown_u) / extra.base_v < 2.0)
        power = grown_u * np.conj(grown_drawn) / 1000.0
        assert power[inside] == pytest.approx((steps * (extra.kw + 1j * extra.kvar))[inside], rel=1e-9, abs=1e-12)


@settings(max_examples=25, deadline=None)
@given(
    ohms=st.lists(st.floats(0.001, 0.5), min_size=1, max_size=6),
    kw=st.lists(st.floats(-3.0, 3.0), min_size=6, max_size=6),
    levels=st.lists(st.integers(0, 8), min_size=1, max_size=11),
)
def test_on_any_small_chain_kernel_reference_and_circuit_agree(ohms: Any, kw: Any, levels: Any) -> None:
    linear = chain(ohms, ports([{"node_a": 1, "kw": 0.5, "model": 5}]))
    points = [(k + 1, -1, kw[k], 0.3 * kw[k], 0) for k in range(len(ohms))]
    grown = growth(points, scopes=1)
    batch = np.asarray(levels, dtype=np.int32)[:, None]
    ours, theirs = (plan(kind, linear, grown).solve(batch, {"nodes", "extremes"}) for kind in PLANS)
    assert np.array_equal(ours.converged, theirs.converged)
    good = ours.converged
    assert np.allclose(ours.solution.node_v[good], theirs.solution.node_v[good], rtol=0, atol=1e-6)
    assert np.allclose(ours.extremes.margin[good], theirs.extremes.margin[good], rtol=0, atol=1e-8)


@frozen(kw_only=True, eq=False)
class SpreadOfPhases:
    """A limit that is no linear form: highest minus lowest voltage of all nodes, V."""

    labels: RowLabels
    lower: FloatArray
    upper: FloatArray
    metric_low: str = ""
    metric_high: str = "spread"
    scale: Any = None
    description: str = "spread <= 10 V"
    needs: frozenset[str] = frozenset({"nodes"})

    def evaluate(self, solution: Solution, start: Solution | None) -> FloatArray:
        """Highest minus lowest."""
        size = np.abs(solution.node_v)
        return (size.max(axis=1) - size.min(axis=1))[:, None]


def test_limits_that_are_not_linear_are_judged_on_the_full_solution() -> None:
    linear = chain([0.2, 0.3], ports([]))
    labels = RowLabels(
        equipment=["b"], equipment_type=["Bus"], terminal=[0], phase=["A"], unit=["V"], group=[1], v_base_v=[415.0]
    )
    spread = SpreadOfPhases(labels=labels, lower=np.array([np.nan]), upper=np.array([10.0]))
    limits = LimitSet([*voltage_limits(linear).limits, spread], group_count=1)
    grown = growth([(2, -1, -1.0, 0.0, 0)], scopes=1)
    ours, theirs = (plan(kind, linear, grown, limits).solve([[0], [4], [9]], EVERYTHING) for kind in PLANS)
    family = ours.extremes.families.index("spread")
    assert ours.extremes.margin[:, 1, family] == pytest.approx(theirs.extremes.margin[:, 1, family], abs=1e-9)
    assert ours.extremes.margin[2, 1, family] < 0
    assert np.array_equal(ours.violations.row, theirs.violations.row)
    only = plan(BatchedPlan, linear, grown, limits).solve([[9]], {"extremes"})
    assert only.extremes.margin[0].tobytes() == ours.extremes.margin[2].tobytes()


def test_a_linear_network_survives_a_pickle_and_keeps_its_hash(demo: Any) -> None:
    linear = demo[0]
    copy = pickle.loads(pickle.dumps(linear))
    assert copy == linear
    assert copy.content_hash == linear.content_hash
    other = pickle.loads(pickle.dumps(linear))
    object.__setattr__(other, "start_v", linear.start_v + 1e-9)
    assert other != linear


def test_a_voltage_law_that_the_solver_does_not_know_is_refused() -> None:
    class VoltVar:
        pass

    grown = growth([(1, -1, 1.0, 0.0, 0)], scopes=1)
    object.__setattr__(grown, "law", VoltVar())
    with pytest.raises(HostcapError, match="does not know the voltage law VoltVar"):
        BatchedSolver().plan(None, grown, None)  # type: ignore[arg-type]


def test_registering_the_solver_imports_neither_numba_nor_scipy() -> None:
    code = "import sys, hostcap_stock.batched.plugin as p; p.SOLVER; print({'numba','scipy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
