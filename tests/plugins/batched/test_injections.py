"""States by injections: both implementations, the engine, the closed forms of two nodes, and what never changes."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from attrs import evolve
from batched.cases import PLANS, all_limits, chain, demo_config, growth, plan, ports, random_levels, uniform
from batched.cases import frozen as frozen_at
from batched.test_parity import PUBLIC

from hostcap.errors import HostcapError
from hostcap_stock.batched.config import BatchedConfig
from hostcap_stock.batched.reference import ReferencePlan
from hostcap_stock.batched.solver import BatchedPlan, BatchedSolver
from hostcap_stock.opendss.config import OpenDssSolverConfig
from hostcap_stock.opendss.solver import OpenDssSolver

both = pytest.mark.parametrize("kind", PLANS)
EVERYTHING = {"extremes", "violations", "nodes", "branches"}
R, E = 0.5, 240.0
GROWN = growth([(1, -1, 1.0, 0.0, 0)], scopes=1)


def end_v(net_kw: float) -> float:
    """Upper root of E = V + R P / V."""
    return (E + math.sqrt(E**2 - 4 * R * net_kw * 1000)) / 2


def with_injectors(linear: Any, rows: Any) -> Any:
    """A network whose injectors are these ports, one each."""
    listed = [{"kw": 1.0, "kvar": 1.0, "injector": k} | row for k, row in enumerate(rows)]
    return evolve(linear, injecting=ports(listed), injector_count=len(listed))


def bits(states: Any, which: Any = slice(None)) -> list[bytes]:
    """All that was reported of some states, bit for bit."""
    s, e = states.solution, states.extremes
    return [a[which].tobytes() for a in (states.converged, states.iterations, s.node_v, s.conductor_a, e.margin, e.row)]


@both
@pytest.mark.parametrize("base_kw", [0.0, 2.0])
def test_two_nodes_by_hand(kind: Any, base_kw: float) -> None:
    """What the load did at the start does not matter, nor that its impedance is in the matrix."""
    base = ports([{"kw": base_kw, "kvar": 0.5, "injector": 0}] if base_kw else [])
    linear = with_injectors(chain([R], base), [{}])
    p = np.array([[-6.0], [0.0], [4.0]])
    states = plan(kind, linear, GROWN).solve_injections(p, np.zeros_like(p), {"nodes"})
    assert np.abs(states.solution.node_v[:, 1]) == pytest.approx([end_v(6.0), E, end_v(-4.0)], rel=1e-9)


@both
def test_kvar_is_injected_too(kind: Any) -> None:
    z, linear = 0.3 + 0.2j, with_injectors(chain([0.3 + 0.2j], ports([])), [{}])
    v = plan(kind, linear, GROWN).solve_injections([[-5.0]], [[2.0]], {"nodes"}).solution.node_v[0, 1]
    assert v + z * np.conj((5000 - 2000j) / v) == pytest.approx(E, rel=1e-9)


@both
@pytest.mark.parametrize(("row", "drawn"), [({"model": 2}, 2.0), ({"model": 5}, 1.0), ({"model": 4}, 1.0)])
def test_each_injector_keeps_its_voltage_law(kind: Any, row: Any, drawn: float) -> None:
    """Nominal at 1 pu: the power drawn is (V / base)^2, V / base, or the power law's (watts 1)."""
    linear = with_injectors(chain([R], ports([{**row, "kw": 3.0, "injector": 0}])), [row])
    v = plan(kind, linear, GROWN).solve_injections([[-6.0]], [[0.0]], {"nodes"}).solution.node_v[0, 1]
    assert v + R * 6000 * (abs(v) / 240.0) ** drawn / v == pytest.approx(E, rel=1e-9)


@both
def test_injectors_on_one_port_add_up_and_others_stay(kind: Any) -> None:
    """Three injectors on a node, one of them off at the start, beside a load that is nobody's injector."""
    base = ports([{"kw": 1.0, "injector": 0}, {"kw": 2.5, "injector": -1}, {"kw": -2.0, "injector": 2}])
    linear = with_injectors(chain([R], base), [{}, {}, {}])
    states = plan(kind, linear, GROWN).solve_injections([[-2.0, -0.5, 1.0]], [[0.0, 0.0, 0.0]], {"nodes"})
    assert states.solution.node_v[0, 1] == pytest.approx(end_v(2.5 + 1.5), rel=1e-9)


@both
def test_growth_neither_shows_nor_changes(kind: Any) -> None:
    linear = with_injectors(chain([R, R], ports([{"kw": 2.0, "injector": 0}])), [{}])
    made = plan(kind, linear, GROWN)
    before = bits(made.solve([[0], [7]], EVERYTHING))
    first = bits(made.solve_injections([[-6.0]], [[1.0]], EVERYTHING))
    assert bits(made.solve([[0], [7]], EVERYTHING)) == before
    assert bits(made.solve_injections([[-6.0]], [[1.0]], EVERYTHING)) == first


@both
def test_a_state_without_a_solution_is_reported_and_spoils_no_other(kind: Any) -> None:
    linear = with_injectors(chain([R], ports([])), [{"vmin_pu": 0.02, "vlow_pu": 0.01}])
    p = np.array([[-5.0], [-60.0], [-20.0]])  # at most 28.8 kW pass
    states = plan(kind, linear, GROWN, max_iterations=60).solve_injections(p, 0 * p, EVERYTHING)
    assert states.converged.tolist() == [True, False, True]
    assert np.all(np.isnan(states.solution.node_v[1]))
    assert np.all(np.isnan(states.extremes.margin[1]))
    assert states.solution.node_v[2, 1] == pytest.approx(end_v(20.0), rel=1e-9)


@both
def test_what_has_another_shape_or_is_no_number_is_refused(kind: Any) -> None:
    made = plan(kind, with_injectors(chain([R], ports([])), [{}, {}]), GROWN)
    for p, q, said in (
        ([-1.0, 0.0], [[0.0, 0.0]], r"p_kw has the shape \(2,\); expected \(state, 2\)"),
        ([[0.0, 0.0]], [[0.0]], "q_kvar has the shape"),
        ([[0.0, 0.0]], [[0.0, 0.0]] * 2, "p_kw has 1 states and q_kvar has 2"),
        ([[0.0, 0.0]], [[0.0, math.inf]], "q_kvar is inf in state 0 at injector 1"),
    ):
        with pytest.raises(HostcapError, match=said):
            made.solve_injections(p, q, {"nodes"})


# The demo


@pytest.fixture(scope="module")
def demo() -> Any:
    """The demo feeder as modelled, and random injections around nothing."""
    with frozen_at(demo_config(), "as-modelled") as start:
        network, linear = start.network, start.linear()
        p = np.random.default_rng(3).uniform(-6.0, 4.0, (37, network.injectors.name.size))
        return linear, uniform(network, "import"), all_limits(network), p, 0.2 * p[:, ::-1], start.start, network


def solved(demo: Any, which: Any = slice(None), kind: Any = BatchedPlan, **config: Any) -> Any:
    """Everything about some states of the demo."""
    linear, grown, limits, p, q, start, _ = demo
    made = kind(linear, grown, limits, BatchedConfig(**{"threads": 1} | config), start)
    try:
        return made.solve_injections(p[which], q[which], EVERYTHING)
    finally:
        made.close()


def test_any_split_order_or_number_of_threads_gives_the_same_bits(demo: Any) -> None:
    whole = solved(demo)
    assert bits(solved(demo, threads=2)) == bits(whole)
    for size in (3, 8, 20):
        part = slice(size, 2 * size)
        assert bits(solved(demo, part)) == bits(whole, part)
    order = np.random.default_rng(5).permutation(37)
    assert bits(solved(demo, order)) == bits(whole, order)


def test_arrays_that_cannot_be_written_or_lie_otherwise_are_as_good(demo: Any) -> None:
    linear, grown, limits, p, q, start, _ = demo
    made = BatchedPlan(linear, grown, limits, BatchedConfig(threads=1), start)
    locked = p.copy()
    locked.setflags(write=False)
    assert bits(made.solve_injections(locked, np.asfortranarray(q), EVERYTHING)) == bits(solved(demo))
    assert p.flags.writeable
    made.close()
    assert bits(made.solve_injections(p, q, EVERYTHING)) == bits(solved(demo))


def test_no_states_are_an_empty_answer(demo: Any) -> None:
    assert solved(demo, slice(0, 0)).solution.node_v.shape == (0, demo[0].node_count)


def test_kernel_and_reference_agree_and_limits_are_those_of_the_limit_set(demo: Any) -> None:
    ours, theirs = (solved(demo, slice(0, 6), k, tolerance_pu=1e-10) for k in (BatchedPlan, ReferencePlan))
    assert np.all(ours.converged & theirs.converged)
    assert np.max(np.abs(ours.solution.node_v - theirs.solution.node_v) / demo[0].nominal_v) < 1e-9
    whole = demo[2].extremes(ours.solution)
    watched = np.isfinite(whole.margin)
    assert np.any(whole.broken)
    assert np.max(np.abs(ours.extremes.margin[watched] - whole.margin[watched])) < 1e-12
    assert ours.violations == demo[2].violations(ours.solution)


def test_growth_solves_bit_for_bit_as_before(demo: Any) -> None:
    linear, grown, limits, p, q, start, network = demo
    levels = random_levels(network, 9, highest=40)
    made = BatchedPlan(linear, grown, limits, BatchedConfig(threads=2), start)
    before = bits(made.solve(levels, EVERYTHING))
    made.solve_injections(p, q, {"extremes"})
    assert bits(made.solve(levels, EVERYTHING)) == before
    made.close()


# The engine


def check_parity(config: dict[str, Any], initial: str, states: int, *, kw: float) -> None:
    """Random injections, and the operating point itself, on both solvers at one tolerance."""
    with frozen_at(config, initial) as start:
        network, point = start.network, start.operating_point
        grown, limits, size = uniform(network, "export"), all_limits(network), network.injectors.name.size
        rng = np.random.default_rng(7)
        p, q = rng.uniform(-kw, kw / 2, (states, size)), rng.uniform(-kw / 3, kw / 3, (states, size))
        p[0], q[0] = point.p_kw, point.q_kvar
        found: Any
        expected: Any
        ours = BatchedSolver(config=BatchedConfig(tolerance_pu=1e-9)).plan(start, grown, limits)
        found = ours.solve_injections(p, q, {"extremes", "nodes", "branches"})
        ours.close()
        engine = OpenDssSolver(config=OpenDssSolverConfig(tolerance_pu=1e-9)).plan(start, grown, limits)
        expected = engine.solve_injections(p, q, {"extremes", "nodes", "branches"})
        engine.close()
        at_start = np.abs(found.solution.node_v[0] - start.start.node_v[0]) / network.nodes.nominal_v
    live, nominal, conductors = network.nodes.live, network.nodes.nominal_v, network.conductors
    assert np.all(found.converged & expected.converged)
    assert np.max(at_start[live]) <= 1e-7
    assert np.max((np.abs(found.solution.node_v - expected.solution.node_v) / nominal)[:, live]) <= 1e-7
    rated = conductors.watched & (conductors.normal_a > 0)
    current = np.abs(found.solution.conductor_a - expected.solution.conductor_a)[:, rated] / conductors.normal_a[rated]
    assert np.max(current, initial=0.0) <= 1e-4
    margin, theirs = found.extremes.margin, expected.extremes.margin
    assert np.array_equal(np.isinf(margin), np.isinf(theirs))
    watched = np.isfinite(theirs)
    assert np.max(np.abs(margin[watched] - theirs[watched])) <= 1e-5


@pytest.mark.parametrize("initial", ["as-modelled", "zero-load"])
def test_the_demo_is_solved_as_by_the_engine(initial: str) -> None:
    check_parity(demo_config(), initial, 6, kw=6.0)


@pytest.mark.shared
@pytest.mark.parametrize("initial", ["as-modelled", "zero-load"])
@pytest.mark.parametrize(("name", "kw"), [("eu-lv", 4.0), ("cre21", 2.0), ("lv28", 2.0), ("8500-unbalanced", 3.0)])
def test_public_networks_are_solved_as_by_the_engine(networks: Path, name: str, initial: str, kw: float) -> None:
    config = PUBLIC[name]
    check_parity(config | {"master": networks / config["master"]}, initial, 4, kw=kw)
