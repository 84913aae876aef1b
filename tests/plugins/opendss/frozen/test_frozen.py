"""The start: section 2 of the headroom method, checked by bare readings of the engine."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import opendssdirect
import pytest
from small_feeders import (
    BASES,
    EARLY,
    FEEDER,
    HEAD,
    HOUSES,
    MIXED,
    REGULATED,
    STREET,
    Sourced,
    consumed,
    frozen_at,
    house,
    line,
    plan_of,
    unit,
    voltages,
)

from hostcap.errors import ModelError, NotConvergedError
from hostcap.network import Network
from hostcap.power_flow import Settling
from hostcap_stock.initial_states import AsModelled, FixedLoad, FixedLoadConfig, ZeroLoad


def fixed(load_kw: float, load_kvar: float = 0.0, gen_kw: float = 0.0, gen_kvar: float = 0.0) -> FixedLoad:
    return FixedLoad(
        config=FixedLoadConfig(
            load_kw_per_customer=load_kw,
            load_kvar_per_customer=load_kvar,
            generation_kw_per_customer=gen_kw,
            generation_kvar_per_customer=gen_kvar,
        )
    )


def engine_v(dss: Any, network: Network) -> Any:
    """Voltages that the engine itself reports by name, in the network's order."""
    volts = np.asarray(dss.Circuit.AllBusVolts()).reshape(-1, 2)
    by_name = dict(zip((n.lower() for n in dss.Circuit.AllNodeNames()), volts[:, 0] + 1j * volts[:, 1], strict=True))
    return np.asarray([by_name[n.lower()] for n in network.node_names(range(network.nodes.bus.size))])


def solved_bare(body: str, commands: Sequence[str], head: str = HEAD, bases: str = BASES) -> Any:
    """The circuit in a bare engine of its own, after some commands and a controlled solve."""
    folder = Path.cwd()
    dss = opendssdirect.dss.NewContext()
    os.chdir(folder)  # a new context moves the process to where the library was imported
    text = ["set defaultbasefrequency=50", *(head + body + bases).splitlines()]
    for command in [*text, "set maxiterations=100 maxcontroliter=200", *commands, "solve"]:
        if command.strip():
            dss.Text.Command(command)
    return dss


@pytest.mark.parametrize("state", [AsModelled(), ZeroLoad(), fixed(1.5, 0.5)], ids=lambda s: s.name)
def test_the_start_is_what_a_bare_engine_solves(source: Sourced, state: Any) -> None:
    with frozen_at(source(FEEDER), state) as frozen:
        commands = {
            "as-modelled": [],
            "zero-load": ["batchedit load..* kw=0 kvar=0"],
            "fixed-load": ["batchedit load..* kw=1.5 kvar=.5"],
        }[state.name]
        bare = engine_v(solved_bare(FEEDER, commands), frozen.network)
        assert np.abs(frozen.start.node_v[0]) == pytest.approx(np.abs(bare), rel=2e-4)
        assert np.allclose(frozen.start.node_v[0], engine_v(frozen.engine().dss, frozen.network), atol=1e-9)


@pytest.mark.parametrize("state", [AsModelled(), ZeroLoad(), fixed(1.0)], ids=lambda s: s.name)
def test_voltages_are_those_of_their_nodes_whatever_the_order_of_the_file(source: Sourced, state: Any) -> None:
    with frozen_at(source(EARLY), state) as frozen:
        dss = frozen.engine().dss
        assert np.allclose(frozen.start.node_v[0], engine_v(dss, frozen.network), atol=1e-6)
        states = plan_of(frozen, 2.0).solve(np.asarray([[3]], dtype=np.int32), want={"nodes"})
        assert states.solution is not None
        assert np.allclose(states.solution.node_v[0], engine_v(dss, frozen.network), atol=1e-6)


def test_a_node_that_only_a_generating_element_has_is_no_crash(source: Sourced) -> None:
    """Its star point is node 4; disabling it takes the node out of the engine."""
    body = FEEDER + "new generator.g bus1=c.1.2.3.4 phases=3 kv=.4 kw=5\n"
    with frozen_at(source(body), ZeroLoad()) as frozen:
        network = frozen.network
        kept = np.flatnonzero(network.nodes.number < 4)
        listed = [n.lower() for n in frozen.engine().dss.Circuit.AllNodeNames()]
        volts = np.asarray(frozen.engine().dss.Circuit.AllBusVolts()).reshape(-1, 2)
        by_name = dict(zip(listed, volts[:, 0] + 1j * volts[:, 1], strict=True))
        due = [by_name[n.lower()] for n in network.node_names(kept)]
        assert np.allclose(frozen.start.node_v[0][kept], due, atol=1e-6)


def test_currents_are_those_of_their_conductors_with_disabled_elements_between(source: Sourced) -> None:
    body = STREET.replace("new line.l2", line("gone", "a", "b", "enabled=no") + "new line.l2") + HOUSES
    with frozen_at(source(body), AsModelled()) as frozen:
        dss, network = frozen.engine().dss, frozen.network
        assert "gone" not in network.equipment.name
        for place, (kind, name) in enumerate(zip(network.equipment.kind, network.equipment.name, strict=True)):
            dss.Circuit.SetActiveElement(f"{kind}.{name}")
            pairs = np.asarray(dss.CktElement.Currents()).reshape(-1, 2)
            own = frozen.start.conductor_a[0][network.conductors.equipment == place]
            assert np.allclose(own, pairs[:, 0] + 1j * pairs[:, 1], atol=1e-6)


def tap_of(dss: Any) -> float:
    dss.Transformers.Name("reg")
    dss.Transformers.Wdg(2)
    return float(dss.Transformers.Tap())


def test_taps_stay_where_the_controlled_start_left_them(source: Sourced) -> None:
    with frozen_at(source(REGULATED), AsModelled()) as frozen:
        dss = frozen.engine().dss
        due = tap_of(solved_bare(REGULATED, []))
        assert due > 1.02  # the control acted
        assert tap_of(dss) == due
        plan = plan_of(frozen, -5.0)
        low = np.abs(voltages(plan, [0], [10]))
        assert low[1].min() < 0.97 * low[0].min()  # far enough for the control to act if it could
        assert tap_of(dss) == due
        assert frozen.start.node_v[0] == pytest.approx(voltages(plan, [0])[0], abs=1e-5)


def test_the_controlled_start_belongs_to_the_operating_point(source: Sourced) -> None:
    made = source(REGULATED)
    with frozen_at(made, fixed(60.0)) as heavy, frozen_at(made, ZeroLoad()) as empty:
        assert tap_of(heavy.engine().dss) == tap_of(solved_bare(REGULATED, ["batchedit load..* kw=60 kvar=0"]))
        assert tap_of(heavy.engine().dss) > tap_of(empty.engine().dss)


def test_zero_load_leaves_no_injector_on(source: Sourced) -> None:
    made = source(MIXED, BASES + "set loadmult=3\n")
    with frozen_at(made, ZeroLoad()) as frozen:
        dss = frozen.engine().dss
        for bus in ("src", "b", "c"):
            assert abs(consumed(dss, bus)) < 1e-6
        more = dss.Loads.First()
        while more:
            assert (dss.Loads.kW(), dss.Loads.kvar()) == (0.0, 0.0)
            more = dss.Loads.Next()


@pytest.mark.parametrize("commands", ["", "set loadmult=3\n", "set mode=daily\n"])
def test_fixed_load_is_written_to_every_customer_and_hv_load(source: Sourced, commands: str) -> None:
    with frozen_at(source(MIXED, BASES + commands), fixed(2.0, 0.6)) as frozen:
        dss = frozen.engine().dss
        assert consumed(dss, "b") == pytest.approx(2 + 0.6j, abs=1e-4)
        assert consumed(dss, "c") == pytest.approx(2 * (2 + 0.6j), abs=1e-4)
        dss.Circuit.SetActiveElement("load.mine")
        powers = np.asarray(dss.CktElement.Powers())
        assert complex(powers[0::2].sum(), powers[1::2].sum()) == pytest.approx(2 + 0.6j, abs=1e-4)


@pytest.mark.parametrize("state", [AsModelled(), ZeroLoad(), fixed(2.0)], ids=lambda s: s.name)
@pytest.mark.parametrize("later", ["set year=3 %growth=10", "set %growth=10 year=3 loadmult=2"])
@pytest.mark.parametrize("place", ["model", "commands"])
def test_no_load_growth_of_the_model_gets_into_a_state(source: Sourced, state: Any, later: str, place: str) -> None:
    """`set year` makes the engine grow even fixed loads: base load, frozen generation and growth itself."""
    body = STREET + house("d", "b.1", "phases=1 kv=.23 kw=1 kvar=0") + "new generator.g bus1=c.1 phases=1 kv=.23 kw=5\n"
    in_model = place == "model"
    made = source(body, BASES + f"{later}\n" if in_model else BASES, commands=() if in_model else (later,))
    with pytest.raises(ModelError, match="year"):
        frozen_at(made, state)
    put_back = source(body, BASES + f"{later}\n", commands=("set year=0 loadmult=1",))
    with frozen_at(put_back, state) as frozen:
        base = {"as-modelled": 1.0, "zero-load": 0.0, "fixed-load": 2.0}[state.name]
        dss = frozen.engine().dss
        assert consumed(dss, "b").real == pytest.approx(base, abs=1e-4)
        assert consumed(dss, "c").real == pytest.approx(-5 if state.name == "as-modelled" else 0, abs=1e-3)
        voltages(plan_of(frozen, 1.0), [5])
        assert consumed(dss, "b").real == pytest.approx(base - 5, abs=1e-4)


def test_fixed_load_is_split_over_the_phases_of_joined_elements(source: Sourced, tmp_path: Path) -> None:
    rows = tmp_path / "c.csv"
    rows.write_text("customer,element\nfarm,d\nfarm,f\n", encoding="utf-8")
    with frozen_at(source(FEEDER, customers=rows), fixed(4.0, 2.0, gen_kw=8.0, gen_kvar=-4.0)) as frozen:
        dss = frozen.engine().dss
        assert consumed(dss, "b") == pytest.approx((4 - 8 + (2 - 4) * 1j) / 4, abs=1e-4)  # one of four phases
        whole = (4 - 8) + (2 - 4) * 1j
        assert consumed(dss, "c") == pytest.approx(0.75 * whole + whole, abs=1e-4)  # the other three, and e


def test_given_generation_stands_beside_the_load(source: Sourced) -> None:
    with frozen_at(source(MIXED), fixed(2.0, 0.6, gen_kw=5.0, gen_kvar=1.0)) as frozen:
        dss = frozen.engine().dss
        assert consumed(dss, "b") == pytest.approx(2 - 5 + (0.6 + 1.0) * 1j, abs=1e-4)
        load_kw, generation_kw = frozen.operating_point.group_kw(frozen.network)
        assert (load_kw[0], generation_kw[0]) == pytest.approx((6.0, 15.0))


def test_as_modelled_writes_nothing(source: Sourced) -> None:
    with frozen_at(source(MIXED, BASES + "set loadmult=.5\n"), AsModelled()) as frozen:
        dss = frozen.engine().dss
        assert consumed(dss, "b") == pytest.approx(2 - 5 + 1j, abs=0.01)
        assert dss.Solution.LoadMult() == 0.5
        dss.Loads.Name("d")
        assert dss.Loads.kW() == 4.0


def test_the_studys_own_load_limits_replace_the_models(source: Sourced) -> None:
    made = source(FEEDER, load_vmin_pu=0.85, load_vmax_pu=1.2)
    with frozen_at(made, AsModelled()) as frozen:
        frozen.engine().dss.Loads.Name("d")
        assert (frozen.engine().dss.Loads.Vminpu(), frozen.engine().dss.Loads.Vmaxpu()) == (0.85, 1.2)


GENERATING = {
    "pvsystem": "new pvsystem.g bus1=c.1 phases=1 kv=.23 kva=9 pmpp=8 irradiance=1 pf=-.95\n",
    "generator": "new generator.g bus1=c.1 phases=1 kv=.23 kw=8 kvar=-2\n",
    "regulating generator": "new generator.g bus1=c phases=3 kv=.4 kw=8 model=3 vpu=1.13 maxkvar=6 minkvar=-6\n",
    "delta generator": "new generator.g bus1=c phases=3 conn=delta kv=.4 kw=8 kvar=2\n",
    "storage": "new storage.g bus1=c.1 phases=1 kv=.23 kwrated=8 kwhrated=20 state=discharging\n",
    "charging storage": "new storage.g bus1=c.1 phases=1 kv=.23 kwrated=8 kwhrated=20 %stored=20 state=charging\n",
    "volt-var": "new xycurve.vv npts=4 yarray=[1 1 -1 -1] xarray=[.5 1.0 1.25 1.5]\n"
    "new pvsystem.g bus1=c.1 phases=1 kv=.23 kva=9 pmpp=8 irradiance=1\n"
    "new invcontrol.i mode=voltvar vvc_curve1=vv derlist=[pvsystem.g] deltaq_factor=.2\n",
}


@pytest.mark.parametrize("pu", [1.0, 1.14])
@pytest.mark.parametrize("kind", list(GENERATING))
def test_generation_stays_at_its_solved_power_above_its_own_voltage_band(source: Sourced, kind: str, pu: float) -> None:
    head = HEAD.replace("pu=1 ", f"pu={pu} ")
    body = STREET + house("d", "b.1") + house("e", "b.2") + GENERATING[kind]
    with frozen_at(source(body, head=head), AsModelled()) as frozen:
        dss = frozen.engine().dss
        bare = solved_bare(body, [], head)
        due = consumed(bare, "c")
        assert abs(due) > 6
        assert consumed(dss, "c") == pytest.approx(due, abs=0.02)
        assert np.abs(frozen.start.node_v[0]) == pytest.approx(np.abs(engine_v(bare, frozen.network)), rel=2e-4)
        held = consumed(dss, "c")
        plan = plan_of(frozen, 4.0)
        before, after = np.abs(voltages(plan, [0], [8]))
        lv = frozen.network.node_lv
        assert after[lv].max() > before[lv].max() + 3
        assert consumed(dss, "c") == pytest.approx(held, abs=1e-4)


def test_the_operating_point_reports_what_generation_was_solved_at(source: Sourced) -> None:
    body = STREET + house("d", "b.1") + GENERATING["generator"]
    made = source(body, head=HEAD.replace("pu=1 ", "pu=1.14 "))
    with frozen_at(made, AsModelled()) as frozen:
        solved = consumed(frozen.engine().dss, "c")
        place = list(frozen.network.injectors.name).index("g")
        assert frozen.operating_point.generation_kw[place] == pytest.approx(-solved.real, rel=1e-3)
        assert frozen.operating_point.generation_kvar[place] == pytest.approx(solved.imag, rel=1e-3)


IMPOSSIBLE = (
    unit("t", "src", "a")
    + line("l", "a", "b", "length=2")
    + ("new load.d bus1=b phases=3 kv=.4 kw=900 kvar=300 model=1 vminpu=.01 vlowpu=.005 vmaxpu=9\n")
)


def one_line(action: Callable[[], object]) -> NotConvergedError:
    with pytest.raises(NotConvergedError) as caught:
        action()
    assert "\n" not in str(caught.value)
    return caught.value


def test_a_start_that_does_not_converge_is_told_in_one_line(source: Sourced) -> None:
    bare = solved_bare(IMPOSSIBLE, [])
    assert not bare.Solution.Converged()  # so it really has no solution that the engine finds
    made = source(IMPOSSIBLE)
    error = one_line(lambda: frozen_at(made, AsModelled()))
    assert "does not converge" in str(error)
    assert error.iterations > 0
    frozen_at(made, ZeroLoad()).close()  # the model itself is sound


def test_a_start_under_control_that_does_not_converge_names_the_controls(source: Sourced) -> None:
    body = IMPOSSIBLE.replace("src a", "m a") + (
        "new transformer.reg phases=3 windings=2 buses=[src m] conns=[wye wye] kvs=[22 22] kvas=[1000 1000] xhl=1\n"
        "new regcontrol.rc transformer=reg winding=2 vreg=125 band=2 ptratio=105.8\n"
    )
    error = one_line(lambda: frozen_at(source(body), AsModelled()))
    assert "controls did not act" in str(error)
    assert "rc" in str(error)


HUNTING = (
    STREET
    + house("d", "c.1")
    + "new xycurve.vv npts=4 yarray=[1 1 -1 -1] xarray=[.5 .999 1.001 1.5]\n"
    + "new pvsystem.g bus1=c.1 phases=1 kv=.23 kva=90 pmpp=9 irradiance=1\n"
    + "new invcontrol.i mode=voltvar vvc_curve1=vv derlist=[pvsystem.g] deltaq_factor=1\n"
)


def test_a_control_loop_that_does_not_settle_is_told_in_one_line(source: Sourced) -> None:
    error = one_line(lambda: frozen_at(source(HUNTING), AsModelled(), Settling(max_control_iterations=15)))
    assert "control loop did not settle in 15 iterations" in str(error)
    # The engine's abort flag stays set after that: the next user of the context must not meet it.
    with frozen_at(source(FEEDER), AsModelled()) as frozen:
        assert np.abs(frozen.start.node_v).min() > 200


def test_controls_of_elements_that_a_zero_start_turns_off_do_no_harm(source: Sourced) -> None:
    body = STREET + house("d", "b.1") + GENERATING["volt-var"]
    with frozen_at(source(body), ZeroLoad()) as frozen:
        assert consumed(frozen.engine().dss, "c") == pytest.approx(0, abs=1e-6)


def test_a_control_loop_of_a_dead_inverter_does_not_fail_a_zero_start(source: Sourced) -> None:
    """With every generating element off there is nothing to hunt."""
    frozen_at(source(HUNTING), ZeroLoad()).close()
