"""The start and the states beyond it: section 2 of the headroom method, checked by bare readings of the engine."""

from __future__ import annotations

import itertools
import json
import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import attrs
import numpy as np
import opendssdirect
import pytest
from studying import Case, demo_cases, real_cases

from hostcap.errors import HostcapError, ModelError, NotConvergedError
from hostcap.growth import Growth, UnitInjection, customer_growth
from hostcap.limits import LimitSet
from hostcap.network import Network
from hostcap.operating_point import FeederScope
from hostcap.power_flow import Settling
from hostcap.tables import Results
from hostcap_stock.constraints.config import VoltageConfig
from hostcap_stock.constraints.voltage import Voltage
from hostcap_stock.initial_states import AsModelled, FixedLoad, FixedLoadConfig, ZeroLoad
from hostcap_stock.opendss.config import OpenDssConfig, OpenDssSolverConfig
from hostcap_stock.opendss.frozen import FrozenOpenDss
from hostcap_stock.opendss.solver import OpenDssPlan, OpenDssSolver
from hostcap_stock.opendss.source import OpenDssSource

SQRT3 = math.sqrt(3.0)
SCOPE = FeederScope(feeder="f", year=2025)
HEAD = "clear\nnew circuit.c basekv=22 pu=1 bus1=src mvasc3=2000 mvasc1=2000\n"
BASES = "set voltagebases=[22 .4]\ncalcvoltagebases\n"
LAW = "vminpu=.7 vmaxpu=2"


def unit(name: str, hv: str, lv: str) -> str:
    return (
        f"new transformer.{name} phases=3 windings=2 buses=[{hv} {lv}] conns=[delta wye] kvs=[22 .4] kvas=[200 200] "
        "xhl=4\n"
    )


def line(name: str, left: str, right: str, more: str = "") -> str:
    return f"new line.{name} bus1={left} bus2={right} r1=.3 x1=.1 r0=.6 x0=.2 c1=0 c0=0 length=.1 units=km {more}\n"


def house(name: str, bus: str, more: str = "phases=1 kv=.23 kw=2 kvar=.5") -> str:
    return f"new load.{name} bus1={bus} {LAW} {more}\n"


STREET = unit("t", "src", "a") + line("l1", "a", "b") + line("l2", "b", "c")
HOUSES = house("d", "b.1") + house("e", "c.2") + house("f", "c", "phases=3 kv=.4 kw=9 kvar=3")
FEEDER = STREET + HOUSES


class Sourced(Protocol):
    def __call__(self, body: str, bases: str = BASES, head: str = HEAD, **config: Any) -> OpenDssSource: ...


@pytest.fixture
def source(tmp_path: Path) -> Sourced:
    numbers = itertools.count()

    def make(body: str, bases: str = BASES, head: str = HEAD, **config: Any) -> OpenDssSource:
        master = tmp_path / f"master{next(numbers)}.dss"
        master.write_text(head + body + bases, encoding="utf-8")
        settings: dict[str, Any] = {"master": master, "frequency_hz": 50.0, **config}
        return OpenDssSource(config=OpenDssConfig(**settings))

    return make


def frozen_at(made: OpenDssSource, state: Any, settling: Settling | None = None) -> FrozenOpenDss:
    network = made.load("f")
    point = state.operating_point(network, SCOPE)
    return made.freeze(network, point) if settling is None else made.freeze(network, point, settling)


def fixed(load_kw: float, load_kvar: float = 0.0, gen_kw: float = 0.0, gen_kvar: float = 0.0) -> FixedLoad:
    return FixedLoad(
        config=FixedLoadConfig(
            load_kw_per_customer=load_kw,
            load_kvar_per_customer=load_kvar,
            generation_kw_per_customer=gen_kw,
            generation_kvar_per_customer=gen_kvar,
        )
    )


def limits_of(network: Network) -> LimitSet:
    """Limits so wide that nothing breaks: plans want some."""
    voltage = Voltage(config=VoltageConfig(lv_min_pu=0.01, lv_max_pu=9.0))
    return LimitSet(list(voltage.limits(network)), group_count=len(network.groups))


def growth_of(network: Network, kw: float, kvar: float = 0.0) -> Growth:
    """``kw`` and ``kvar`` into the network for each customer and step."""
    step = np.where(network.customers.grows, 1.0, 0.0)
    return customer_growth(network, step, UnitInjection(p_kw=kw, q_kvar=kvar))


def plan_of(frozen: FrozenOpenDss, kw: float = 1.0, kvar: float = 0.0, tolerance_pu: float = 1e-6) -> OpenDssPlan:
    solver = OpenDssSolver(config=OpenDssSolverConfig(tolerance_pu=tolerance_pu))
    return solver.plan(frozen, growth_of(frozen.network, kw, kvar), limits_of(frozen.network))


def voltages(plan: OpenDssPlan, *levels: Sequence[int]) -> Any:
    """Node voltages of some states, shape (state, node); every one must converge."""
    states = plan.solve(np.asarray(levels, dtype=np.int32), want={"nodes"})
    assert states.converged.all()
    assert states.solution is not None
    return states.solution.node_v


def engine_v(dss: Any, network: Network) -> Any:
    """Voltages that the engine itself reports by name, in the network's order."""
    volts = np.asarray(dss.Circuit.AllBusVolts()).reshape(-1, 2)
    by_name = dict(zip((n.lower() for n in dss.Circuit.AllNodeNames()), volts[:, 0] + 1j * volts[:, 1], strict=True))
    return np.asarray([by_name[n.lower()] for n in network.node_names(range(network.nodes.bus.size))])


def consumed(dss: Any, bus: str) -> complex:
    """Solved kVA of all enabled loads and generating elements at a bus, bare reading."""
    total = 0j
    more = dss.Circuit.FirstPCElement()
    while more:
        if dss.CktElement.BusNames()[0].lower().split(".")[0] == bus and dss.CktElement.Enabled():
            powers = np.asarray(dss.CktElement.Powers())
            total += complex(powers[0::2].sum(), powers[1::2].sum())
        more = dss.Circuit.NextPCElement()
    return total


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


# Reading the start


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


# A generating element that stands in the file before the lines gives its bus an early place in the engine's
# order of nodes; when it is taken out, the engine makes that order anew.
EARLY = (
    unit("t", "src", "a")
    + "new generator.g bus1=c.1 phases=1 kv=.23 kw=5 kvar=1\n"
    + house("e", "c.2")
    + "new pvsystem.p bus1=d.3 phases=1 kv=.23 kva=4 pmpp=4 irradiance=1\n"
    + line("l1", "a", "b")
    + line("l2", "b", "c")
    + line("l3", "c", "d")
    + house("d", "b.1", "phases=1 kv=.23 kw=6 kvar=2")
)


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


# Regulators

REGULATED = (
    "new transformer.reg phases=3 windings=2 buses=[src m] conns=[wye wye] kvs=[22 22] kvas=[300 300] xhl=4 "
    "%rs=[3 3]\nnew regcontrol.rc transformer=reg winding=2 vreg=125 band=2 ptratio=105.8\n"
    + line("mv", "m", "m2", "length=60")
    + unit("t", "m2", "a")
    + line("l1", "a", "b")
    + line("l2", "b", "c")
    + HOUSES
)


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


# Operating points, as the engine has them

MIXED = (
    STREET
    + house("d", "b.1", "phases=1 kv=.23 kw=4 kvar=2")
    + house("e", "c", "phases=3 kv=.4 kw=9 kvar=3 status=fixed")
    + house("x", "c.2", "phases=1 kv=.23 kw=-3 kvar=0")
    + house("mine", "src", "phases=3 kv=22 kw=300 kvar=100")
    + "new generator.g bus1=b.1 phases=1 kv=.23 kw=5 kvar=0\n"
    + "new pvsystem.p bus1=c.2 phases=1 kv=.23 kva=4 pmpp=4 irradiance=1\n"
    + "new storage.s bus1=c.3 phases=1 kv=.23 kwrated=4 kwhrated=8 state=discharging\n"
    + "new generator.wind bus1=src phases=3 kv=22 kw=500\n"
)


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


# Generating elements are held at their solved P and Q

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


# A start without a solution

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


# Plans


def test_two_frozen_networks_live_side_by_side(source: Sourced) -> None:
    first, second = source(FEEDER), source(EARLY, frequency_hz=60.0)
    with frozen_at(first, AsModelled()) as alone:
        due_first = voltages(plan_of(alone, 2.0), [0], [4])
    with frozen_at(second, AsModelled()) as alone:
        due_second = voltages(plan_of(alone, 2.0), [0], [4])
    with frozen_at(first, AsModelled()) as one, frozen_at(second, AsModelled()) as two:
        plan_one, plan_two = plan_of(one, 2.0), plan_of(two, 2.0)
        got = [(voltages(plan_one, [n]), voltages(plan_two, [n])) for n in (0, 4)]
    assert np.array_equal(np.concatenate([a for a, _ in got]), due_first)
    assert np.array_equal(np.concatenate([b for _, b in got]), due_second)


@pytest.mark.parametrize("body", [FEEDER, REGULATED, MIXED], ids=["plain", "regulated", "mixed"])
def test_a_state_does_not_depend_on_what_was_solved_before(source: Sourced, body: str) -> None:
    made = source(body)
    with frozen_at(made, AsModelled()) as frozen:
        plan = plan_of(frozen, 3.0, -1.0)
        alone = {n: voltages(plan, [n]) for n in (7, 0, 3)}
        rng = np.random.default_rng(1)
        for n in rng.choice([0, 3, 7, 20, 2000], size=30):
            states = plan.solve(np.asarray([[n]], dtype=np.int32), want={"nodes"})
            if n in alone:
                assert states.solution is not None
                assert np.array_equal(states.solution.node_v, alone[n])
        batch = voltages(plan, [3], [7], [0], [3])
        assert np.array_equal(batch, np.concatenate([alone[n] for n in (3, 7, 0, 3)]))
    with frozen_at(made, AsModelled()) as again:
        assert np.array_equal(voltages(plan_of(again, 3.0, -1.0), [7]), alone[7])


def test_a_diverged_state_gives_no_voltages_and_leaves_no_trace(source: Sourced) -> None:
    with frozen_at(source(FEEDER), AsModelled()) as frozen:
        plan = plan_of(frozen, -1.0)
        due = voltages(plan, [2])
        states = plan.solve(np.asarray([[10**7], [2]], dtype=np.int32), want={"nodes", "extremes", "branches"})
        assert states.solution is not None
        assert states.extremes is not None
        if not states.converged[0]:
            assert np.isnan(states.solution.node_v[0]).all()
            assert np.isnan(states.solution.conductor_a[0]).all()
            assert not states.extremes.broken[0].any()
        assert np.array_equal(states.solution.node_v[1], due[0])


def test_a_closed_plan_leaves_the_frozen_network_as_it_was(source: Sourced) -> None:
    with frozen_at(source(FEEDER), AsModelled()) as frozen:
        plan = plan_of(frozen, 2.0)
        due = voltages(plan, [0], [5])
        plan.close()
        again = plan_of(frozen, 2.0)
        assert np.allclose(voltages(again, [0], [5]), due, rtol=0, atol=1e-6)
        assert np.allclose(frozen.start.node_v, due[:1], atol=1e-3)
        again.close()
        other = plan_of(frozen, -2.0)
        assert np.abs(voltages(other, [5])).min() < np.abs(due[0]).min()


def test_two_open_plans_of_one_network_do_not_mix(source: Sourced) -> None:
    with frozen_at(source(FEEDER), AsModelled()) as frozen:
        up = plan_of(frozen, 2.0)
        due = voltages(up, [5])
        up.close()
        up, down = plan_of(frozen, 2.0), plan_of(frozen, -2.0)
        voltages(down, [5])
        voltages(down, [0])
        assert np.allclose(voltages(up, [5]), due, atol=1e-6)


def test_a_closed_network_says_so(source: Sourced) -> None:
    frozen = frozen_at(source(FEEDER), AsModelled())
    plan = plan_of(frozen)
    frozen.close()
    frozen.close()
    with pytest.raises(HostcapError, match="freeze the network again"):
        plan.solve(np.asarray([[1]], dtype=np.int32), want={"nodes"})


# Growth

STIFF = "clear\nnew circuit.c basekv=.4 pu={pu} bus1=src mvasc3=1e6 mvasc1=1e6\n"
LOW = "set voltagebases=[.4]\ncalcvoltagebases\n"


@pytest.mark.parametrize("pu", [0.35, 0.45, 0.55, 0.65, 0.69, 0.71, 0.9, 1.1, 1.5, 1.99, 2.05, 2.3])
@pytest.mark.parametrize("kind", ["one phase", "three phases", "between phases"])
def test_growth_is_constant_power_from_0_7_to_2_and_the_engines_rule_outside(
    source: Sourced, pu: float, kind: str
) -> None:
    connection, rated_v = {
        "one phase": ("src.1 phases=1 kv=.230940108", 400 / SQRT3),
        "three phases": ("src phases=3 kv=.4", 400 / SQRT3),
        "between phases": ("src.1.2 phases=1 conn=delta kv=.4", 400.0),
    }[kind]
    body = line("stub", "src", "end") + f"new load.d bus1={connection} kw=0 kvar=0 {LAW}\n"
    head = STIFF.format(pu=pu)
    with frozen_at(source(body, LOW, head), ZeroLoad()) as frozen:
        v = voltages(plan_of(frozen, 6.0, -2.0, 1e-10), [1])[0]
        seen = abs(v[0] - v[1]) if kind == "between phases" else abs(v[0])
        u = seen / rated_v
        assert u == pytest.approx(pu, rel=1e-3)
        if u > 2.0:
            factor = (u / 2.0) ** 2
        elif u > 0.7:
            factor = 1.0
        elif u > 0.5:  # the current falls on a line from 1/0.7 at 0.7 to 0.5 at 0.5
            factor = u * (0.5 + (1 / 0.7 - 0.5) * (u - 0.5) / 0.2)
        else:
            factor = u**2
        # -2 kvar into the network is +2 consumed
        assert consumed(frozen.engine().dss, "src") == pytest.approx(-(6 - 2j) * factor, rel=2e-4)


def test_a_feeder_of_one_bus_is_no_crash(source: Sourced) -> None:
    """A source with a load and nothing between: the engine has no branch currents to give."""
    with frozen_at(source(house("d", "src.1"), LOW, STIFF.format(pu=1.0)), AsModelled()) as frozen:
        assert np.abs(frozen.start.node_v[0]) == pytest.approx([400 / SQRT3] * 3, rel=1e-3)


@pytest.mark.parametrize("kw", [-18.0, -9.0, 9.0, 18.0])
@pytest.mark.parametrize("kvar", [-6.0, 0.0, 6.0])
def test_a_solved_state_is_the_closed_form_of_two_buses(source: Sourced, kw: float, kvar: float) -> None:
    """|V2|^4 + (2 (R P + X Q) - |V1|^2) |V2|^2 + |Z|^2 |S|^2 = 0, with P and Q consumed at bus 2."""
    r, x = 0.2, 0.15
    body = (
        f"new line.l bus1=src.1 bus2=b.1 phases=1 rmatrix=[{r}] xmatrix=[{x}] cmatrix=[0] length=1\n"
        f"new load.d bus1=b.1 phases=1 kv=.23 kw=1 kvar=0 {LAW}\n"
    )
    with frozen_at(source(body, LOW, STIFF.format(pu=1.0)), ZeroLoad()) as frozen:
        v = dict(
            zip(
                frozen.network.node_names(range(frozen.network.nodes.bus.size)),
                voltages(plan_of(frozen, kw, kvar, 1e-12), [1])[0],
                strict=True,
            )
        )
    p, q = -kw * 1000 / 1, -kvar * 1000 / 1  # growth injects
    v1, v2 = abs(v["src.1"]), abs(v["b.1"])
    half = v1**2 / 2 - (r * p + x * q)
    due = math.sqrt(half + math.sqrt(half**2 - (r**2 + x**2) * (p**2 + q**2)))
    assert v2 == pytest.approx(due, rel=1e-8)
    turn = v["b.1"] / v["src.1"]
    drop = complex(p, q).conjugate() / v["b.1"].conjugate() * complex(r, x)
    assert v["src.1"] - v["b.1"] == pytest.approx(drop, rel=1e-6)
    assert abs(turn) == pytest.approx(due / v1, rel=1e-8)


def test_growth_of_joined_elements_is_even_over_all_their_phases(source: Sourced, tmp_path: Path) -> None:
    rows = tmp_path / "c.csv"
    rows.write_text("customer,element\nfarm,d\nfarm,f\n", encoding="utf-8")
    with frozen_at(source(FEEDER, customers=rows), ZeroLoad()) as frozen:
        voltages(plan_of(frozen, 4.0), [2])
        assert consumed(frozen.engine().dss, "b") == pytest.approx(-2, abs=1e-4)
        assert consumed(frozen.engine().dss, "c") == pytest.approx(-6 - 8, abs=1e-4)


# Same bytes

SMALL_50 = EARLY
SMALL_60 = REGULATED


def content(results: Results) -> dict[str, str]:
    """All tables as text that gives every bit of every number, metadata included."""
    return {
        name: results[name].to_pandas().to_csv(index=False) + json.dumps(dict(results[name].metadata), sort_keys=True)
        for name in results.names
    }


def small_cases(folder: Path, demo_folder: Path) -> dict[str, Case]:
    made = {}
    for name, body, hertz in (("early", SMALL_50, 50.0), ("regulated", SMALL_60, 60.0)):
        master = folder / f"{name}.dss"
        master.write_text(HEAD + body + BASES, encoding="utf-8")
        made[name] = Case(
            master=master,
            frequency_hz=hertz,
            initial="as-modelled",
            direction="export",
            step_kw=0.5,
            max_steps=60,
            lv=(0.9, 1.05),
            lv_unit="pu",
            hv=(0.8, 1.2),
        )
    return {**made, "demo": attrs.evolve(demo_cases(demo_folder)["export"], max_steps=40)}


def test_feeders_in_any_order_in_one_process_give_equal_bytes(tmp_path: Path, demo_folder: Path) -> None:
    cases = small_cases(tmp_path, demo_folder)
    answers: list[dict[str, dict[str, str]]] = [
        {name: content(cases[name].run()) for name in order} for order in itertools.permutations(cases)
    ]
    for answer in answers[1:]:
        assert answer == answers[0]


def test_the_same_study_twice_gives_equal_bytes(tmp_path: Path, demo_folder: Path) -> None:
    for case in small_cases(tmp_path, demo_folder).values():
        assert content(case.run()) == content(case.run())


@pytest.mark.shared
def test_real_feeders_in_two_orders_give_equal_bytes(networks: Path) -> None:
    cases = real_cases(networks)
    chosen = {
        "eu-lv-export": attrs.evolve(cases["eu-lv-export"], max_steps=6),
        "p1uhs23-import": attrs.evolve(cases["p1uhs23-import"], max_steps=12),
        "csiro-n-import": attrs.evolve(cases["csiro-n-import"], max_steps=12),
    }
    forward = {name: content(case.run()) for name, case in chosen.items()}
    backward = {name: content(case.run()) for name, case in reversed(chosen.items())}
    assert forward == backward
