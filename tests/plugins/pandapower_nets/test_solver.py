"""States of the solver against bare calls of pandapower on the net as its author made it, and against ``batched``."""

from __future__ import annotations

import copy
import warnings
from typing import Any

import numpy as np
import pytest

pp = pytest.importorskip("pandapower", reason="pandapower is not installed: pip install 'hostcap[pandapower]'")

from pandapower_nets.nets import frozen, growing, solved, street, tight, town  # noqa: E402

from hostcap.errors import HostcapError, ModelError, NotConvergedError  # noqa: E402
from hostcap.power_flow import Settling  # noqa: E402
from hostcap.testing import watched  # noqa: E402
from hostcap_stock.batched.config import BatchedConfig  # noqa: E402
from hostcap_stock.batched.solver import BatchedSolver  # noqa: E402
from hostcap_stock.initial_states import FixedLoad, FixedLoadConfig, ZeroLoad  # noqa: E402
from hostcap_stock.pandapower.solver import PandapowerSolver  # noqa: E402

TIGHT = BatchedSolver(config=BatchedConfig(tolerance_pu=1e-11, threads=1))


def quietly(call: Any, *arguments: Any, **options: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        call(*arguments, **options)


def bare_balanced(net: Any, start: Any, growth_mw: dict[int, complex]) -> Any:
    """The net as it is, its generators at their solved power, and growth as static generators: one plain runpp."""
    net = copy.deepcopy(net)
    quietly(pp.runpp, net, calculate_voltage_angles=True, tolerance_mva=1e-9)
    for i in net.gen.index:
        pp.create_sgen(net, net.gen.bus.at[i], net.res_gen.p_mw.at[i], net.res_gen.q_mvar.at[i])
    net.gen["in_service"] = False
    for bus, s in growth_mw.items():
        pp.create_sgen(net, bus, s.real, s.imag)
    quietly(pp.runpp, net, calculate_voltage_angles=True, tolerance_mva=1e-9)
    return net


def amps_of(net: Any, start: Any, table: str, columns: list[str], amps: Any) -> None:
    """Currents of each terminal against the library's own results, A."""
    network = start.network
    size = len(columns)
    kinds = {"line": "Line", "trafo": "Transformer", "trafo3w": "Transformer"}
    first = net[table].name
    for i, name in first.items():
        if not net[table].in_service.at[i]:
            continue
        own = np.flatnonzero((network.equipment.name == name) & (network.equipment.kind == kinds[table]))[0]
        at = np.flatnonzero(network.conductors.equipment == own)
        width = at.size // size
        found = np.abs(amps[at]).reshape(size, width)[:, 0]
        expected = net[f"res_{table}"].loc[i, columns].to_numpy(float) * 1000.0
        assert found == pytest.approx(expected, abs=2e-3, rel=1e-6), name


@pytest.fixture(scope="module")
def town_start() -> Any:
    return frozen(town())


def test_a_town_has_the_voltages_and_currents_of_a_bare_runpp(town_start: Any) -> None:
    """To 1e-8 pu: both stop below it. Growth of 2 kW for each customer at each step, at its own bus."""
    start, net = town_start, town()
    states = solved(tight(), start, [[0], [3], [9]], step=2.0, q_kvar=-0.25)
    assert states.converged.all()
    buses = {"House 1": 6, "House 2": 6, "load 2": 8, "giving": 7}
    growing_now = [str(c) for c in start.network.customers.id[start.network.customers.grows]]
    assert sorted(growing_now) == sorted(buses)
    for place, level in enumerate((0, 3, 9)):
        # The partly constant impedance of one load: an sgen beside it would take its share in pandapower.
        grown: dict[int, complex] = {}
        for bus in buses.values():
            grown[bus] = grown.get(bus, 0.0) + 2.0 * level * (1.0 - 0.25j) / 1000.0
        bare = bare_balanced(with_shunt_for_impedance(net), start, grown)
        live = start.network.nodes.live
        found = np.abs(states.solution.node_v[place]) / start.network.nodes.nominal_v
        assert found[live] == pytest.approx(bare.res_bus.vm_pu.to_numpy()[live], abs=1e-8)
        amps = states.solution.conductor_a[place]
        amps_of(bare, start, "line", ["i_from_ka", "i_to_ka"], amps)
        amps_of(bare, start, "trafo", ["i_hv_ka", "i_lv_ka"], amps)
        amps_of(bare, start, "trafo3w", ["i_hv_ka", "i_mv_ka", "i_lv_ka"], amps)


def with_shunt_for_impedance(net: Any) -> Any:
    """The 40 and 60 % of load 2 that are impedances, as a shunt written by hand."""
    net = copy.deepcopy(net)
    net.load.loc[2, ["const_z_p_percent", "const_z_q_percent"]] = 0.0
    net.load.loc[2, ["p_mw", "q_mvar"]] = [0.020 * 0.6, 0.005 * 0.4]
    pp.create_shunt(net, net.load.bus.at[2], q_mvar=0.005 * 0.6, p_mw=0.020 * 0.4)
    return net


def test_one_load_of_constant_impedance_alone_is_what_pandapower_makes_of_it() -> None:
    """Without growth and another element beside it pandapower's own percentages mean the same, to 1e-8 pu."""
    net = town()
    net.storage["in_service"] = False
    with frozen(net) as start:
        bare = copy.deepcopy(net)
        quietly(pp.runpp, bare, calculate_voltage_angles=True, tolerance_mva=1e-9, voltage_depend_loads=True)
        live = start.network.nodes.live
        pu = np.abs(start.start.node_v[0]) / start.network.nodes.nominal_v
        assert pu[live] == pytest.approx(bare.res_bus.vm_pu.to_numpy()[live], abs=1e-8)


def test_batched_gives_the_same_states_of_a_town(town_start: Any) -> None:
    levels = np.arange(0, 40, 5)[:, None]
    both = [solved(s, town_start, levels, step=2.0) for s in (tight(), TIGHT)]
    nominal = town_start.network.nodes.nominal_v
    assert np.abs(both[0].solution.node_v - both[1].solution.node_v).max(axis=0) / nominal == pytest.approx(0, abs=2e-8)
    assert both[0].solution.conductor_a == pytest.approx(both[1].solution.conductor_a, abs=2e-3)
    assert np.array_equal(both[0].extremes.broken, both[1].extremes.broken)


def test_a_street_has_the_phase_voltages_of_a_bare_runpp_3ph() -> None:
    """To 1e-5 pu: runpp_3ph stops once the positive sequence is near, which leaves a few 1e-6."""
    net = street()
    with frozen(net) as start:
        states = solved(PandapowerSolver(), start, [[0], [4]], step=1.0, q_kvar=0.2)
        for place, level in enumerate((0, 4)):
            bare = copy.deepcopy(net)
            if level:
                grown = level * (1.0 + 0.2j) / 1000.0
                own = {"p_{}_mw": grown.real, "q_{}_mvar": grown.imag}

                def add(bus: int, shares: dict[str, float], kind: str = "wye", own: Any = own, to: Any = bare) -> None:
                    powers = {n.format(k): v * share for n, v in own.items() for k, share in shares.items()}
                    pp.create_asymmetric_sgen(to, bus, type=kind, **powers)

                add(2, {"a": 1.0})
                add(3, {"b": 0.5, "c": 0.5})
                add(3, {"a": 1 / 3, "b": 1 / 3, "c": 1 / 3})
                add(2, {"c": 1.0}, "delta")
                add(3, {"a": 0.5, "c": 0.5}, "delta")
                add(3, {"a": 1 / 3, "b": 1 / 3, "c": 1 / 3})
            # A static generator of another type than wye and delta is left out by runpp_3ph, without a word.
            bare.sgen["type"] = "wye"
            quietly(pp.runpp_3ph, bare)
            expected = bare.res_bus_3ph[["vm_a_pu", "vm_b_pu", "vm_c_pu"]].to_numpy().ravel()
            found = np.abs(states.solution.node_v[place]) / start.network.nodes.nominal_v
            assert found == pytest.approx(expected, abs=1e-5)
            amps = np.abs(states.solution.conductor_a[place]).reshape(-1, 3)
            ka = bare.res_line_3ph[["i_a_from_ka", "i_b_from_ka", "i_c_from_ka"]].to_numpy()
            assert amps[[0, 2]] / 1000.0 == pytest.approx(ka, abs=2e-5)


def test_batched_gives_the_same_states_of_a_street() -> None:
    """The three sequences of pandapower as one three-phase admittance, to 1e-7 pu."""
    with frozen(street()) as start:
        levels = np.arange(0, 12, 3)[:, None]
        both = [solved(s, start, levels, p_kw=-1.0, q_kvar=-0.3) for s in (tight(), TIGHT)]
        assert both[0].converged.all() and both[1].converged.all()
        difference = np.abs(both[0].solution.node_v - both[1].solution.node_v) / start.network.nodes.nominal_v
        assert difference.max() < 1e-7
        assert both[0].solution.conductor_a == pytest.approx(both[1].solution.conductor_a, abs=2e-3)


@pytest.mark.parametrize("make", [town, street])
def test_written_points_draw_what_they_say_by_both_solvers(make: Any) -> None:
    state = FixedLoad(config=FixedLoadConfig(load_kw_per_customer=2.0, generation_kw_per_customer=0.7))
    with frozen(make(), state) as start:
        both = [solved(s, start, [[0], [2]]) for s in (tight(), TIGHT)]
        difference = np.abs(both[0].solution.node_v - both[1].solution.node_v) / start.network.nodes.nominal_v
        assert difference.max() < 1e-7
    with frozen(make(), ZeroLoad()) as start:
        slack = np.abs(start.linear().base.kw).sum()
        assert slack == pytest.approx(np.abs(start.others.kw).sum())


@pytest.mark.parametrize("make", [town, street])
def test_time_series_have_the_states_of_batched(make: Any) -> None:
    with frozen(make()) as start:
        rng = np.random.default_rng(4)
        size = start.network.injectors.name.size
        p, q = rng.uniform(-4.0, 3.0, (3, size)), rng.uniform(-1.0, 1.0, (3, size))
        found = []
        for solver in (tight(), TIGHT):
            plan = solver.plan(start, growing(start), watched(start.network))
            found.append(plan.solve_injections(p, q, {"nodes"}).solution.node_v)
            before = plan.solve(np.zeros((1, 1), dtype=np.int32), {"nodes"}).solution.node_v
            assert np.abs(before - start.start.node_v).max() < 1e-3
        assert np.abs(found[0] - found[1]).max(axis=0) / start.network.nodes.nominal_v == pytest.approx(0, abs=1e-7)


def test_the_operating_points_own_injections_give_the_start_again(town_start: Any) -> None:
    point = town_start.operating_point
    plan = tight().plan(town_start, growing(town_start), watched(town_start.network))
    states = plan.solve_injections(point.p_kw[None, :], point.q_kvar[None, :], {"nodes"})
    assert np.abs(states.solution.node_v - town_start.start.node_v).max() < 1e-3


def test_a_generator_is_held_at_what_it_was_solved_at(town_start: Any) -> None:
    """It keeps 1.01 pu at the start, and its reactive power from there on."""
    network, point = town_start.network, town_start.operating_point
    hydro = list(network.injectors.name).index("hydro")
    far = list(network.buses.name).index("far")
    assert abs(town_start.start.node_v[0, far]) / network.nodes.nominal_v[far] == pytest.approx(1.01, abs=1e-8)
    assert point.generation_kw[hydro] == pytest.approx(400.0)
    assert abs(point.generation_kvar[hydro]) > 1.0
    grown = solved(tight(), town_start, [[20]], step=2.0).solution.node_v[0, far]
    assert abs(abs(grown) / network.nodes.nominal_v[far] - 1.01) > 1e-5


def test_a_state_far_below_the_law_s_band_is_solved_by_the_law() -> None:
    """At 0.6 pu growth draws less than its power, by the line of hostcap's law; batched, which knows it, agrees."""
    with frozen(street()) as start:
        levels = np.array([[60]], dtype=np.int32)
        both = [solved(s, start, levels, p_kw=-1.0, q_kvar=0.0, step=1.0) for s in (tight(), TIGHT)]
        if not both[1].converged[0]:
            pytest.fail("choose a level that has a solution")
        u = np.abs(both[1].solution.node_v[0]) / start.network.nodes.nominal_v
        assert u.min() < 0.7, "choose a level that leaves the band"
        difference = np.abs(both[0].solution.node_v - both[1].solution.node_v) / start.network.nodes.nominal_v
        assert difference.max() < 1e-6


def test_a_start_without_a_solution_is_an_error_of_ours() -> None:
    net = town()
    net.load.loc[0, "p_mw"] = 500.0
    with pytest.raises(NotConvergedError, match="the start does not converge"):
        frozen(net)


def test_it_refuses_networks_of_other_sources(town_start: Any) -> None:
    class Other:
        network = town_start.network

    with pytest.raises(HostcapError, match="works on networks of source 'pandapower'"):
        PandapowerSolver().plan(Other(), growing(town_start), watched(town_start.network))  # type: ignore[arg-type]


def test_a_closed_start_says_so() -> None:
    start = frozen(town())
    start.close()
    with pytest.raises(HostcapError, match="was closed"):
        start.engine()


def test_a_net_that_has_changed_since_is_refused() -> None:
    from hostcap_stock.pandapower.source import PandapowerSource

    net = town()
    network = PandapowerSource.of(net).load("net")
    net.line.loc[0, "length_km"] = 4.0
    from pandapower_nets.nets import AsModelled, FeederScope

    point = AsModelled().operating_point(network, FeederScope(feeder="net", year=2025))
    with pytest.raises(ModelError, match="has changed since"):
        PandapowerSource.of(net).freeze(network, point, Settling())


@pytest.mark.parametrize(("make", "counted"), [(town, "_powerflow"), (street, "_pd2ppc")])
def test_the_librarys_matrices_are_kept_and_only_powers_change(
    make: Any, counted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is built afresh for states: runpp goes its recycled way, runpp_3ph takes its admittances as they are."""
    import pandapower.pd2ppc
    import pandapower.run

    built: list[str] = []
    module = pandapower.run if counted == "_powerflow" else pandapower.pd2ppc
    own = getattr(module, counted)
    monkeypatch.setattr(module, counted, lambda *a, **k: built.append(counted) or own(*a, **k))
    with frozen(make()) as start:
        solved(tight(), start, np.zeros((1, len(start.network.groups))))
        assert built, "what is counted is what the start needs"
        built.clear()
        states = solved(tight(), start, np.arange(6)[:, None] * np.ones(len(start.network.groups)))
    assert states.converged.all()
    assert not built
