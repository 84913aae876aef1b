"""What a study says about the model's loads and generation in its place: every start fulfils its two-bus circuit.

One phase, 230 V behind nothing, a line of 0.4 + 0.1j ohm, one house. With V at the house and S(u) what it draws at
u = |V| / 230, the circuit says 230 V = V + Z conj(S(u) / V); S is written out by hand in each test.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from attrs import evolve
from studying import answers, demo_cases

from hostcap.errors import ConfigError, ModelError
from hostcap.growth import Direction, customer_growth
from hostcap.limits import LimitSet
from hostcap.operating_point import FeederScope, OperatingPoint
from hostcap.running import run
from hostcap_stock.batched.config import BatchedConfig
from hostcap_stock.batched.solver import BatchedSolver
from hostcap_stock.constraints.config import VoltageConfig
from hostcap_stock.constraints.voltage import Voltage
from hostcap_stock.initial_states import AsModelled, FixedLoad, FixedLoadConfig
from hostcap_stock.injections import NegativeLoad
from hostcap_stock.opendss.config import OpenDssConfig
from hostcap_stock.opendss.frozen import FrozenOpenDss
from hostcap_stock.opendss.source import OpenDssSource

E, Z = 230.0, complex(0.4, 0.1)
SCOPE = FeederScope(feeder="f", year=2025)
HEAD = """clear
new circuit.c bus1=s.1 phases=1 basekv=0.23 pu=1 r1=0 x1=1e-7 r0=0 x0=1e-7
new line.w bus1=s.1 bus2=e.1 phases=1 r1=0.4 x1=0.1 r0=0.4 x0=0.1 c1=0 c0=0 length=1
"""
TAIL = "set voltagebases=[0.3983717]\ncalcvoltagebases\n"
HOUSE = "new load.house bus1=e.1 phases=1 kv=0.23 kw=4 kvar=1 vminpu=0.1 vmaxpu=3\n"
ROOF = {
    "generator": "new generator.g bus1=e.1 phases=1 kv=.23 kw=5 kvar=1 vminpu=.1 vmaxpu=3\n",
    "pvsystem": "new pvsystem.g bus1=e.1 phases=1 kv=.23 kva=9 pmpp=5 irradiance=1 pf=.8 vminpu=.1 vmaxpu=3\n",
    "storage": "new storage.g bus1=e.1 phases=1 kv=.23 kwrated=5 kwhrated=20 state=discharging vminpu=.1 vmaxpu=3\n",
    "volt-var": "new xycurve.vv npts=4 yarray=[1 1 -1 -1] xarray=[.5 1.0 1.25 1.5]\n"
    "new pvsystem.g bus1=e.1 phases=1 kv=.23 kva=9 pmpp=5 irradiance=1 vminpu=.1 vmaxpu=3\n"
    "new invcontrol.i mode=voltvar vvc_curve1=vv derlist=[pvsystem.g] deltaq_factor=.2\n",
    "negative load": "new load.g bus1=e.1 phases=1 kv=.23 kw=-5 kvar=2 vminpu=.1 vmaxpu=3\n",
}


def source(tmp_path: Path, body: str, **config: Any) -> OpenDssSource:
    master = tmp_path / "two.dss"
    master.write_text(HEAD + body + TAIL, encoding="utf-8")
    return OpenDssSource(config=OpenDssConfig(master=master, frequency_hz=50.0, **config))


def start(made: OpenDssSource, state: Any = None) -> FrozenOpenDss:
    network = made.load("f")
    point: OperatingPoint = (state or AsModelled()).operating_point(network, SCOPE)
    return made.freeze(network, point)


def house_v(frozen: FrozenOpenDss) -> complex:
    (node,) = [i for i, name in enumerate(frozen.network.node_names(range(2))) if name == "e.1"]
    return complex(frozen.start.node_v[0, node])


def assert_circuit(
    frozen: FrozenOpenDss, kw: float, kvar: float, *, watts: float = 0.0, varies: float = 0.0, rel: float = 1e-7
) -> None:
    """The start fulfils its circuit with S = kW u^watts + j kvar u^varies drawn at the house."""
    v = house_v(frozen)
    u = abs(v) / 230.0
    drawn = 1000.0 * complex(kw * u**watts, kvar * u**varies)
    assert v + Z * (drawn / v).conjugate() == pytest.approx(E, rel=rel)
    # The other solver's arithmetic, on the start as arrays, is at the same state.
    step = np.where(frozen.network.customers.grows, 1.0, 0.0)
    growth = customer_growth(frozen.network, step, NegativeLoad().unit(Direction.EXPORT))
    limits = LimitSet(Voltage(config=VoltageConfig(lv_max_v=1000.0)).limits(frozen.network), group_count=1)
    plan = BatchedSolver(config=BatchedConfig(tolerance_pu=1e-10)).plan(frozen, growth, limits)
    states = plan.solve(np.zeros((1, 1), dtype=np.int32), {"nodes"})
    assert states.solution is not None
    assert states.solution.node_v[0] == pytest.approx(frozen.start.node_v[0], rel=1e-8)


# --- power factors: positive consumes, negative supplies, for loads and generation alike ----------------------------


@pytest.mark.parametrize(("power_factor", "kvar"), [(0.8, 3.0), (-0.8, -3.0), (1.0, 0.0), (-1.0, 0.0)])
@pytest.mark.parametrize(
    "state",
    [AsModelled(), FixedLoad(config=FixedLoadConfig(load_kw_per_customer=4.0, load_kvar_per_customer=-2.0))],
    ids=lambda state: state.name,
)
def test_a_power_factor_of_loads_overrides_every_kvar(
    power_factor: float, kvar: float, state: Any, tmp_path: Path
) -> None:
    # tan(acos 0.8) = 0.75: 4 kW with 3 kvar.
    made = source(tmp_path, HOUSE, load_power_factor=power_factor)
    with start(made, state) as frozen:
        assert_circuit(frozen, 4.0, kvar)
        assert frozen.operating_point.load_kvar.tolist() == pytest.approx([kvar], abs=1e-12)
    assert made.load("f").injectors.load_kvar.tolist() == pytest.approx([kvar], abs=1e-12)


@pytest.mark.parametrize(("power_factor", "kvar"), [(0.8, 3.75), (-0.8, -3.75), (1.0, 0.0)])
@pytest.mark.parametrize("kind", list(ROOF))
def test_a_power_factor_of_generation_overrides_model_and_controls(
    power_factor: float, kvar: float, kind: str, tmp_path: Path
) -> None:
    """5 kW generated with 3.75 kvar consumed (+) or supplied (-), beside 4 kW and 1 kvar of load."""
    made = source(tmp_path, HOUSE + ROOF[kind], generation_power_factor=power_factor)
    with start(made) as frozen:
        (generated,) = frozen.operating_point.generation_kw[frozen.operating_point.generation_kw > 0]
        assert generated == pytest.approx(5.0, rel=2e-4)
        assert frozen.operating_point.generation_kvar.sum() == pytest.approx(kvar * generated / 5.0, abs=1e-9)
        assert_circuit(frozen, 4.0 - generated, 1.0 + kvar * generated / 5.0)


@pytest.mark.parametrize(("kvar", "supplied"), [(2.0, -1.5), (-2.0, 1.5), (0.0, 0.0)])
def test_fixed_kvar_of_load_and_generation_consume_where_positive(kvar: float, supplied: float, tmp_path: Path) -> None:
    """4 kW drawn and 1 kW generated at one connection: 3 kW, and both kvar add up."""
    given = FixedLoadConfig(
        load_kw_per_customer=4.0,
        load_kvar_per_customer=kvar,
        generation_kw_per_customer=1.0,
        generation_kvar_per_customer=supplied,
    )
    with start(source(tmp_path, HOUSE), FixedLoad(config=given)) as frozen:
        assert_circuit(frozen, 3.0, kvar + supplied)
    both = source(tmp_path, HOUSE, load_power_factor=0.8, generation_power_factor=-0.8)
    with start(both, FixedLoad(config=given)) as frozen:
        assert_circuit(frozen, 3.0, 3.0 - 0.75)


def test_power_factors_of_the_study_are_said_in_the_findings(tmp_path: Path) -> None:
    network = source(tmp_path, HOUSE + ROOF["pvsystem"], load_power_factor=0.95, generation_power_factor=-0.9).load("f")
    found = {f.message.split()[0]: f for f in network.findings if f.code == "power-factor-of-study"}
    assert set(found) == {"network.load_power_factor", "network.generation_power_factor"}
    assert (found["network.load_power_factor"].count, found["network.load_power_factor"].kw) == (1, 4.0)
    assert found["network.generation_power_factor"].kw == pytest.approx(5.0, rel=2e-4)
    plain = source(tmp_path, HOUSE).load("f")
    assert "power-factor-of-study" not in {f.code for f in plain.findings}


def test_a_load_multiplier_keeps_the_power_factor(tmp_path: Path) -> None:
    with start(source(tmp_path, HOUSE, load_power_factor=0.8, commands=("set loadmult=0.5",))) as frozen:
        assert_circuit(frozen, 2.0, 1.5)


# --- load models ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "watts", "varies"),
    [(1, 0.0, 0.0), (2, 2.0, 2.0), (3, 0.0, 2.0), (4, 1.0, 2.0), (5, 1.0, 1.0)],
)
def test_a_load_model_replaces_that_of_every_base_load(model: int, watts: float, varies: float, tmp_path: Path) -> None:
    body = HOUSE.replace("kvar=1", "kvar=1 model=2")
    with start(source(tmp_path, body, load_model=model)) as frozen:
        assert_circuit(frozen, 4.0, 1.0, watts=watts, varies=varies)
    with start(
        source(tmp_path, body, load_model=model),
        FixedLoad(config=FixedLoadConfig(load_kw_per_customer=3.0, load_kvar_per_customer=-1.0)),
    ) as frozen:
        assert_circuit(frozen, 3.0, -1.0, watts=watts, varies=varies)


@pytest.mark.parametrize("u", [0.3, 0.49, 0.6, 0.94, 0.97, 1.03, 1.1])
def test_model_3_is_a_power_law_inside_and_outside_its_band(u: float, tmp_path: Path) -> None:
    """The engine itself, at several voltages, against the arrays that the other solver reads."""
    body = HOUSE.replace("vminpu=0.1 vmaxpu=3", "vminpu=0.95 vmaxpu=1.05 model=3")
    made = source(tmp_path, body, commands=(f"vsource.source.pu={u}", "line.w.r1=1e-6 x1=0 r0=1e-6 x0=0"))
    with start(made) as frozen:
        ports = frozen.linear().base
        drawn = ports.drawn_a(np.asarray([house_v(frozen)]))
        frozen.engine().dss.Circuit.SetActiveElement("load.house")
        by_engine = complex(*frozen.engine().dss.CktElement.Currents()[:2])
        assert complex(drawn[0]) == pytest.approx(by_engine, rel=1e-7)


@pytest.mark.parametrize(("model", "varies"), [(6, 0.0), (7, 2.0)])
def test_models_with_fixed_kvar_are_the_engines_alone(model: int, varies: float, tmp_path: Path) -> None:
    with start(source(tmp_path, HOUSE, load_model=model)) as frozen:
        v = house_v(frozen)
        drawn = 1000.0 * complex(4.0, (abs(v) / 230.0) ** varies)
        assert v + Z * (drawn / v).conjugate() == pytest.approx(E, rel=1e-7)
        with pytest.raises(ModelError, match=rf"house \(model {model}\); set solver.plugin = .opendss."):
            frozen.linear()


# --- bands of generating elements ------------------------------------------------------------------------------------


def test_a_band_of_generation_decides_what_the_start_is_solved_at(tmp_path: Path) -> None:
    """14 kW lift the house above 1.05 pu: there the model's own band holds an impedance, a wider one the power."""
    roof = ROOF["generator"].replace("kw=5 kvar=1 vminpu=.1 vmaxpu=3", "kw=14 kvar=0 vmaxpu=1.05")
    with start(source(tmp_path, HOUSE + roof)) as frozen:
        v = house_v(frozen)
        assert abs(v) > 1.05 * 230.0
        held = 14.0 * (abs(v) / (1.05 * 230.0)) ** 2
        # Held at what the controlled solve, at the model's own tolerance of 1e-4, makes of it.
        assert_circuit(frozen, 4.0 - held, 1.0, rel=1e-5)
    with start(source(tmp_path, HOUSE + roof, generation_vmax_pu=2.0)) as frozen:
        assert_circuit(frozen, 4.0 - 14.0, 1.0, rel=1e-5)
    low = ROOF["generator"].replace("kw=5 kvar=1 vminpu=.1", "kw=2 kvar=0 vminpu=.1").replace("kw=4", "kw=8")
    with start(source(tmp_path, HOUSE.replace("kw=4", "kw=20") + low, generation_vmin_pu=0.98)) as frozen:
        v = house_v(frozen)
        assert abs(v) < 0.98 * 230.0
        assert_circuit(frozen, 20.0 - 2.0 * (abs(v) / (0.98 * 230.0)) ** 2, 1.0, rel=1e-5)


def test_bands_reach_every_class_of_generating_element(tmp_path: Path) -> None:
    body = HOUSE + "".join(ROOF[kind].replace(".g ", f".{kind[0]} ") for kind in ("generator", "pvsystem", "storage"))
    with start(source(tmp_path, body, generation_vmin_pu=0.7, generation_vmax_pu=2.0)) as frozen:
        dss = frozen.engine().dss
        for kind in ("generator.g", "pvsystem.p", "storage.s"):
            dss.Circuit.SetActiveElement(kind)
            assert [float(dss.Properties.Value(key)) for key in ("vminpu", "vmaxpu")] == [0.7, 2.0]


# --- wrong values ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrong",
    [
        {"load_model": 0},
        {"load_model": 8},
        {"load_power_factor": 0.0},
        {"load_power_factor": -1.01},
        {"generation_power_factor": 2.0},
        {"generation_power_factor": math.nan},
        {"generation_vmin_pu": 1.1},
        {"generation_vmax_pu": 0.9},
        {"generation_vmax_pu": 50.0},
    ],
)
def test_wrong_values_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must"):
        OpenDssConfig(master=Path("a.dss"), frequency_hz=50.0, **wrong)


# --- the engine's own bands -------------------------------------------------------------------------------------------

BANDS = {"normal_vmin_pu": 0.9, "normal_vmax_pu": 1.054, "emergency_vmin_pu": 0.8, "emergency_vmax_pu": 1.1}
OPTIONS = ("normvminpu", "normvmaxpu", "emergvminpu", "emergvmaxpu")


def bands_of(made: OpenDssSource) -> list[float]:
    """As the engine says them, of which no part of hostcap asks."""
    with made.opened("f") as engine:
        return [float(engine.command(f"get {option}")) for option in OPTIONS]


def test_bands_are_the_engines_where_a_study_says_them_and_the_models_where_it_does_not(tmp_path: Path) -> None:
    own = HOUSE + "set normvminpu=0.93 normvmaxpu=1.07\n"
    assert bands_of(source(tmp_path, own)) == pytest.approx([0.93, 1.07, 0.9, 1.08])  # the last two are OpenDSS's
    assert bands_of(source(tmp_path, own, **BANDS)) == pytest.approx(list(BANDS.values()))
    assert bands_of(source(tmp_path, own, normal_vmax_pu=1.1)) == pytest.approx([0.93, 1.1, 0.9, 1.08])


def test_bands_move_no_answer(demo_folder: Path) -> None:
    case = demo_cases(demo_folder)["export"]
    tight = {"normal_vmin_pu": 0.999, "normal_vmax_pu": 1.001, "emergency_vmin_pu": 0.998, "emergency_vmax_pu": 1.002}
    assert answers(case.run(network=tight), case.step_kw) == answers(case.run(), case.step_kw)


@pytest.mark.parametrize("band", ["normal", "emergency"])
def test_a_band_without_room_is_refused(band: str) -> None:
    wrong: dict[str, Any] = {f"{band}_vmin_pu": 1.1, f"{band}_vmax_pu": 0.9}
    with pytest.raises(ConfigError, match=rf"{band}_vmin_pu: 1.1 must be below {band}_vmax_pu, 0.9"):
        OpenDssConfig(master=Path("a.dss"), frequency_hz=50.0, **wrong)


# --- both solvers, a whole search ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "network",
    [
        {"load_model": 2, "load_power_factor": -0.9},
        {"load_model": 3, "generation_power_factor": 0.9},
        {"load_model": 5, "generation_vmax_pu": 2.0, "load_vmin_pu": 0.8, "load_vmax_pu": 1.15},
    ],
    ids=lambda keys: "-".join(keys),
)
def test_both_solvers_give_one_answer_under_overrides(network: dict[str, Any], demo_folder: Path) -> None:
    case = evolve(demo_cases(demo_folder)["import"], step_kw=0.3)
    ours = case.run(solver={"plugin": "batched", "tolerance_pu": 1e-9}, network=network)
    theirs = case.run(solver={"plugin": "opendss", "tolerance_pu": 1e-9}, network=network, search="linear")
    plain = run(case.work_package(solver={"plugin": "batched", "tolerance_pu": 1e-9}))
    levels = [{g: (r["level"], r["status"]) for g, r in answers(each, 0.3).items()} for each in (ours, theirs, plain)]
    assert levels[0] == levels[1]
    values = [each["customer_allocations"]["customer_v_min_v"] for each in (ours, plain)]
    assert not np.allclose(values[0], values[1], rtol=1e-6, equal_nan=True), "the override changes nothing"
