"""States by injections on the engine: the start comes back, growth solves as before, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from batched.cases import all_limits, demo_config, frozen, random_levels, uniform

from hostcap.errors import HostcapError, ModelError
from hostcap.operating_point import FeederScope
from hostcap_stock.initial_states import FixedLoad, FixedLoadConfig
from hostcap_stock.opendss.config import OpenDssConfig, OpenDssSolverConfig
from hostcap_stock.opendss.solver import OpenDssPlan, OpenDssSolver
from hostcap_stock.opendss.source import OpenDssSource

pytest.importorskip("opendssdirect", reason="needs the OpenDSS engine")

EVERYTHING = {"extremes", "violations", "nodes", "branches"}
CIRCUIT = """
clear
new circuit.two basekv=0.4 pu=1 phases=3 bus1=a r1=1e-9 x1=1e-9 r0=1e-9 x0=1e-9
new transformer.t phases=3 windings=2 buses=[a b] kvs=[0.4 0.4] kvas=[500 500] xhl=0.0001 %r=0.00005 conns=[wye wye]
new linecode.l nphases=1 r1=0.5 x1=0 r0=0.5 x0=0 c1=0 c0=0 units=none
new line.s phases=1 bus1=b.1 bus2=c.1 linecode=l length=1 normamps=100
new load.house phases=1 bus1=c.1 kv=0.23094 kw=2 kvar=1 model=1 vminpu=0.7 vmaxpu=2
"""


def engine_plan(start: Any, direction: str = "export") -> OpenDssPlan:
    """A tight plan of growth beside every customer."""
    solver = OpenDssSolver(config=OpenDssSolverConfig(tolerance_pu=1e-10))
    return solver.plan(start, uniform(start.network, direction), all_limits(start.network))


def bits(states: Any) -> list[bytes]:
    """All that was reported, bit for bit."""
    s, e, v = states.solution, states.extremes, states.violations
    arrays = (states.converged, states.iterations, s.node_v, s.conductor_a, e.margin, e.row, v.row, v.value)
    return [a.tobytes() for a in arrays]


def moved(states: Any, start: Any) -> float:
    """Largest difference of a live node to the start, per unit."""
    nodes = start.network.nodes
    return float(np.max((np.abs(states.solution.node_v - start.start.node_v) / nodes.nominal_v)[:, nodes.live]))


def two_bus(folder: Path, *more: str) -> dict[str, Any]:
    """A source, a stiff transformer, 0.5 ohm to a house."""
    master = folder / "Master.dss"
    master.write_text("\n".join([CIRCUIT, *more, "set voltagebases=[0.4]", "calcv", "solve"]), encoding="utf-8")
    return {"master": master, "frequency_hz": 50.0, "voltage_bases_kv": (0.4,)}


def house_v(net_kw: float, source_v: float = 230.94) -> float:
    """Upper root of V^2 - E V + R P = 0 with R = 0.5 ohm, by hand."""
    return float((source_v + np.sqrt(source_v**2 - 4 * 0.5 * net_kw * 1000)) / 2)


@pytest.mark.parametrize("initial", ["as-modelled", "zero-load"])
def test_the_operating_point_given_back_is_the_start(initial: str) -> None:
    with frozen(demo_config(), initial) as start:
        plan, point = engine_plan(start), start.operating_point
        states = plan.solve_injections(point.p_kw[None], point.q_kvar[None], {"nodes"})
        plan.close()
    assert states.converged.all()
    assert moved(states, start) < 1e-8


@pytest.mark.parametrize("initial", ["as-modelled", "zero-load"])
def test_growth_solves_bit_for_bit_as_before(initial: str) -> None:
    with frozen(demo_config(), initial) as start:
        plan, levels = engine_plan(start), random_levels(start.network, 3, highest=30)
        before = bits(plan.solve(levels, EVERYTHING))
        p = np.random.default_rng(2).uniform(-5, 5, (2, start.network.injectors.name.size))
        first = bits(plan.solve_injections(p, 0.3 * p, EVERYTHING))
        assert bits(plan.solve(levels, EVERYTHING)) == before
        # nor does growth leave anything behind
        assert bits(plan.solve_injections(p, 0.3 * p, EVERYTHING)) == first
        assert first != before
        plan.close()


def test_two_buses_by_hand(tmp_path: Path) -> None:
    """Net kW at the end of 0.5 ohm, drawn and injected; kvar stays 0."""
    with frozen(two_bus(tmp_path), "as-modelled") as start:
        plan = engine_plan(start)
        p = np.array([[-4.0], [0.0], [3.0]])
        states = plan.solve_injections(p, np.zeros_like(p), {"nodes"})
        node = [n.lower() for n in start.network.node_names(range(start.network.nodes.bus.size))].index("c.1")
        plan.close()
    assert np.abs(states.solution.node_v[:, node]) == pytest.approx([house_v(k) for k in (4.0, 0.0, -3.0)], rel=1e-4)


def test_positive_kvar_raises_the_voltage_behind_a_reactance(tmp_path: Path) -> None:
    config = two_bus(tmp_path, "edit line.s x1=0.5 x0=0.5")
    with frozen(config, "as-modelled") as start:
        plan = engine_plan(start)
        zero = np.zeros((2, 1))
        states = plan.solve_injections(zero, np.array([[-1.0], [1.0]]), {"nodes"})
        node = [n.lower() for n in start.network.node_names(range(start.network.nodes.bus.size))].index("c.1")
        plan.close()
    lowered, raised = np.abs(states.solution.node_v[:, node])
    assert lowered < 230.0 < 231.0 < raised


def test_the_models_load_multiplier_does_not_scale_what_is_given(tmp_path: Path) -> None:
    with frozen(two_bus(tmp_path, "set loadmult=0.5"), "as-modelled") as start:
        plan, point = engine_plan(start), start.operating_point
        assert point.p_kw == pytest.approx([-1.0])
        back = plan.solve_injections(point.p_kw[None], point.q_kvar[None], {"nodes"})
        assert moved(back, start) < 1e-8
        states = plan.solve_injections(np.array([[-4.0]]), np.zeros((1, 1)), {"nodes"})
        node = [n.lower() for n in start.network.node_names(range(start.network.nodes.bus.size))].index("c.1")
        plan.close()
    assert abs(states.solution.node_v[0, node]) == pytest.approx(house_v(4.0), rel=1e-4)


def test_a_load_multiplier_of_zero_is_refused(tmp_path: Path) -> None:
    with frozen(two_bus(tmp_path, "set loadmult=0"), "as-modelled") as start:
        plan = engine_plan(start)
        with pytest.raises(ModelError, match="load multiplier of 0"):
            plan.solve_injections(np.zeros((1, 1)), np.zeros((1, 1)), {"nodes"})
        plan.close()


PV = "new pvsystem.roof phases=1 bus1=c.1 kv=0.23094 kva=5 pmpp=4 irradiance=1 pf=1"


@pytest.mark.parametrize("initial", ["as-modelled", "zero-load"])
def test_a_generating_element_injects_what_is_given_whatever_it_did(tmp_path: Path, initial: str) -> None:
    """House and roof share a bus: their sum decides; growth is as before afterwards."""
    with frozen(two_bus(tmp_path, PV), initial) as start:
        plan = engine_plan(start)
        names = [str(n).lower() for n in start.network.injectors.name]
        before = bits(plan.solve([[0], [4]], EVERYTHING))
        p = np.zeros((2, 2))
        p[:, names.index("house")], p[:, names.index("roof")] = (-4.0, -1.0), (1.5, 3.0)
        node = [n.lower() for n in start.network.node_names(range(start.network.nodes.bus.size))].index("c.1")
        for _ in range(2):
            states = plan.solve_injections(p, np.zeros_like(p), {"nodes"})
            found = np.abs(states.solution.node_v[:, node])
            assert found == pytest.approx([house_v(2.5), house_v(-2.0)], rel=1e-4)
            assert bits(plan.solve([[0], [4]], EVERYTHING)) == before
        assert start.linear().injector_count == 2
        point = start.operating_point
        assert moved(plan.solve_injections(point.p_kw[None], point.q_kvar[None], {"nodes"}), start) < 1e-8
        plan.close()


def test_generation_beside_a_load_is_netted_into_it(tmp_path: Path) -> None:
    source = OpenDssSource(config=OpenDssConfig(**two_bus(tmp_path)))
    network = source.load("feeder")
    settings = FixedLoadConfig(load_kw_per_customer=1.0, generation_kw_per_customer=3.0)
    point = FixedLoad(config=settings).operating_point(network, FeederScope(feeder="feeder", year=2025))
    with source.freeze(network, point) as start:
        plan = engine_plan(start)
        assert point.p_kw == pytest.approx([2.0])
        before = bits(plan.solve([[3]], EVERYTHING))
        assert moved(plan.solve_injections(point.p_kw[None], point.q_kvar[None], {"nodes"}), start) < 1e-8
        assert bits(plan.solve([[3]], EVERYTHING)) == before
        plan.close()


def test_what_has_another_shape_or_is_no_number_is_refused() -> None:
    with frozen(demo_config(), "zero-load") as start:
        plan, size = engine_plan(start), start.network.injectors.name.size
        zero = np.zeros((2, size))
        for p, q, said in (
            (zero[0], zero, f"p_kw has the shape .*expected .state, {size}"),
            (zero, zero[:, 1:], "q_kvar has the shape"),
            (zero, zero[:1], "p_kw has 2 states and q_kvar has 1"),
            (np.where(np.arange(size) == 1, np.nan, zero), zero, "p_kw is nan in state 0 at injector 1"),
        ):
            with pytest.raises(HostcapError, match=said):
                plan.solve_injections(p, q, {"nodes"})
        plan.close()


def test_a_state_without_a_solution_is_reported_and_spoils_no_other(tmp_path: Path) -> None:
    with frozen(two_bus(tmp_path, "edit load.house vminpu=0.05 vlowpu=0.02"), "as-modelled") as start:
        plan = engine_plan(start)
        p = np.array([[-2.0], [-60.0], [-2.0]])  # at most 26.7 kW pass 0.5 ohm
        states = plan.solve_injections(p, np.zeros_like(p), {"nodes", "extremes"})
        plan.close()
    assert states.converged.tolist() == [True, False, True]
    assert np.all(np.isnan(states.solution.node_v[1]))
    assert states.solution.node_v[0].tobytes() == states.solution.node_v[2].tobytes()
