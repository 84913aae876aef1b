"""Flows of a solved network: its balance closes, and its powers are those that the bare engine reports."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hostcap.errors import FlowsError
from hostcap.flows import Days, FlowPeriod
from hostcap.operating_point import FeederScope
from hostcap.plugins.kinds import Job
from hostcap.power_flow import Settling
from hostcap.tracing import directed
from hostcap_stock.bialek.config import BialekConfig
from hostcap_stock.bialek.tracer import BialekTracer
from hostcap_stock.flows.config import PowerFlowConfig
from hostcap_stock.flows.power_flow import PowerFlow, flows_of_start
from hostcap_stock.initial_states import AsModelled, FixedLoad, FixedLoadConfig
from hostcap_stock.opendss.config import OpenDssConfig
from hostcap_stock.opendss.source import OpenDssSource

WATT_MW = 1e-6
THREE_WINDINGS = """
clear
new circuit.three basekv=33 pu=1.0 phases=3 bus1=grid mvasc3=500 mvasc1=400
new transformer.t phases=3 windings=3 buses=[grid mid low] conns=[delta wye wye] kvs=[33 11 0.4]
~ kvas=[2000 2000 500] xhl=8 xht=7 xlt=5 %loadloss=1.2 %noloadloss=0.3
new line.l phases=3 bus1=mid bus2=far length=2 units=km r1=0.3 x1=0.3 r0=0.6 x0=0.9 c1=10 c0=5
new transformer.idle phases=3 windings=2 buses=[far empty] conns=[delta wye] kvs=[11 0.4] kvas=[100 100] xhl=4
~ %noloadloss=0.5
new load.a bus1=far phases=3 kv=11 kw=900 kvar=200 model=1
new load.b bus1=low phases=3 kv=0.4 kw=150 kvar=30 model=2
new load.c bus1=low.1 phases=1 kv=0.230940 kw=20 kvar=0 model=5
new generator.pv bus1=low.2 phases=1 kv=0.230940 kw=60 kvar=0 model=1
set voltagebases=[33 11 0.4]
calcvoltagebases
solve
"""


def source_of(master: Path, bases: tuple[float, ...] = ()) -> OpenDssSource:
    return OpenDssSource(config=OpenDssConfig(master=master, frequency_hz=50.0, voltage_bases_kv=bases))


def start_of(source: OpenDssSource, load_kw: float | None = None) -> Any:
    network = source.load("f")
    state: Any = AsModelled() if load_kw is None else FixedLoad(config=FixedLoadConfig(load_kw_per_customer=load_kw))
    return source.freeze(network, state.operating_point(network, FeederScope(feeder="f", year=2025), None), Settling())


def engine_kw(frozen: Any, name: str) -> list[float]:
    """Real power into an element at each terminal, as the engine sums it."""
    element = frozen.engine().dss
    element.Circuit.SetActiveElement(name)
    powers = np.asarray(element.CktElement.Powers())[::2]
    return [float(part.sum()) for part in np.split(powers, element.CktElement.NumTerminals())]


def check_against_engine(frozen: Any, period: FlowPeriod) -> None:
    """Every two-ended branch and every load, and the source."""
    network = period.network
    place = {name: index for index, name in enumerate(network.branch.tolist())}
    equipment = frozen.network.equipment
    compared = 0
    for kind, name in zip(equipment.kind.tolist(), equipment.name.tolist(), strict=True):
        if name not in place:
            continue
        index = place[name]
        ends = engine_kw(frozen, f"{kind}.{name}")
        frozen.engine().dss.Circuit.SetActiveElement(f"{kind}.{name}")
        buses = [bus.split(".")[0] for bus in frozen.engine().dss.CktElement.BusNames()]
        kw = dict.fromkeys(buses, 0.0)
        for bus, power in zip(buses, ends, strict=True):
            kw[bus] += power
        start, end = (kw[str(network.bus[i])] for i in (network.from_bus[index], network.to_bus[index]))
        flow, loss = period.flow_mw[index] * 1000.0, period.loss_mw[index] * 1000.0
        if f"losses of {name}" in network.node:
            assert abs(flow) == pytest.approx(max(start, end), abs=1e-3)
        else:
            assert flow == pytest.approx(start if start >= 0 else -end, rel=1e-7, abs=1e-3)
            assert loss == pytest.approx(start + end, rel=1e-4, abs=2e-3)
        compared += 1
    assert compared > 0
    user = dict(zip(network.node.tolist(), (period.load_mw - period.generation_mw).tolist(), strict=True))
    injectors = frozen.network.injectors
    for kind, name in zip(injectors.kind.tolist(), injectors.name.tolist(), strict=True):
        if kind == "load":
            drawn = sum(engine_kw(frozen, f"load.{name}"))
            assert user.get(name, user.get(f"load.{name}", 0.0)) * 1000.0 == pytest.approx(drawn, rel=1e-6, abs=1e-4)
    total = -frozen.engine().dss.Circuit.TotalPower()[0]
    assert user["source"] * -1000.0 == pytest.approx(total, rel=1e-8, abs=1e-3)


@pytest.fixture
def three_windings(tmp_path: Path) -> Any:
    path = tmp_path / "Master.dss"
    path.write_text(THREE_WINDINGS)
    with start_of(source_of(path)) as frozen:
        yield frozen


def test_a_transformer_of_three_windings_is_a_star_that_closes(three_windings: Any) -> None:
    period = flows_of_start(three_windings, PowerFlowConfig())
    network = period.network
    legs = [name for name in network.branch.tolist() if name.startswith("t at ")]
    assert sorted(legs) == ["t at grid", "t at low", "t at mid"]
    by_leg = {name: index for index, name in enumerate(network.branch.tolist())}
    windings = dict(zip(("grid", "mid", "low"), engine_kw(three_windings, "transformer.t"), strict=True))
    for bus, kw in windings.items():
        index = by_leg[f"t at {bus}"]
        assert network.bus[network.to_bus[index]] == "t star"
        assert period.flow_mw[index] * 1000.0 == pytest.approx(kw, abs=1e-3)
    # Power comes in at the grid alone, so that its leg has all of the loss.
    losses = [period.loss_mw[by_leg[f"t at {bus}"]] * 1000.0 for bus in ("grid", "mid", "low")]
    assert losses == pytest.approx([sum(windings.values()), 0.0, 0.0], abs=1e-3)
    assert np.abs(directed(period).mismatch_mw).max() < WATT_MW
    check_against_engine(three_windings, period)


def test_an_idle_transformer_takes_its_losses_as_a_user_of_its_own(three_windings: Any) -> None:
    """0.5 % of 100 kVA at the voltage there: they arrive at the empty bus, and nothing goes missing in a trace."""
    period = flows_of_start(three_windings, PowerFlowConfig())
    place = period.network.branch.tolist().index("idle")
    taken = period.load_mw[period.network.node.tolist().index("losses of idle")]
    assert abs(period.flow_mw[place]) * 1000.0 == pytest.approx(0.5, rel=0.05)
    assert taken * 1000.0 == pytest.approx(sum(engine_kw(three_windings, "transformer.idle")), rel=1e-6)
    flows = directed(period)
    assert flows.received_mw[place] == flows.sent_mw[place]
    assert np.abs(flows.mismatch_mw).max() < WATT_MW
    balance = BialekTracer(BialekConfig()).trace(period).balance
    assert abs(balance.unexplained_up_mw) < 1e-9 and balance.dead_end_mw < 1e-9


def test_generation_and_load_stand_in_their_own_columns_and_groups_are_stations(three_windings: Any) -> None:
    period = flows_of_start(three_windings, PowerFlowConfig())
    by_name = {name: place for place, name in enumerate(period.network.node.tolist())}
    assert period.generation_mw[by_name["pv"]] * 1000.0 == pytest.approx(60.0, rel=1e-4), (
        "held at what the controlled solve gives"
    )
    assert period.load_mw[by_name["a"]] * 1000.0 == pytest.approx(900.0, rel=1e-6)
    assert period.load_mw[by_name["c"]] * 1000.0 < 20.0, "a constant current below its nominal voltage"
    network = period.network
    station = {
        bus: network.stations[s] if s >= 0 else "" for bus, s in zip(network.bus, network.bus_station, strict=True)
    }
    assert station["low"] == "t" and station["grid"] == ""


def test_the_demo_feeder_closes_and_is_the_engines(demo_folder: Path) -> None:
    with start_of(source_of(demo_folder / "feeder" / "Master.dss")) as frozen:
        period = flows_of_start(frozen, PowerFlowConfig())
        assert np.abs(directed(period).mismatch_mw).max() < WATT_MW
        assert {f.code for f in period.findings} <= {"losses-without-flow"}
        check_against_engine(frozen, period)


def test_phases_of_a_group_add_up_to_their_sum(demo_folder: Path) -> None:
    """Inside one LV group: flows of phases add up to the summed flow of each line, to what the neutral carries."""
    with start_of(source_of(demo_folder / "feeder" / "Master.dss")) as frozen:
        whole = flows_of_start(frozen, PowerFlowConfig())
        group = str(frozen.network.groups.id[0])
        phases = flows_of_start(frozen, PowerFlowConfig(phases="each", group=group))
    total: dict[str, float] = {}
    for name, flow in zip(phases.network.branch.tolist(), phases.flow_mw.tolist(), strict=True):
        line = name.rpartition(".")[0]
        total[line] = total.get(line, 0.0) + flow
    summed = dict(zip(whole.network.branch.tolist(), whole.flow_mw.tolist(), strict=True))
    assert total
    for line, flow in total.items():
        assert flow == pytest.approx(summed[line], rel=1e-3, abs=WATT_MW)
    assert np.abs(directed(phases).mismatch_mw).max() < WATT_MW
    heads = [name for name in phases.network.node.tolist() if name.startswith("head")]
    assert 1 <= len(heads) <= 3


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"phases": "each"}, 'phases = "each" needs group'),
        ({"phases": "each", "group": "trx"}, "no capacity group 'trx'"),
    ],
)
def test_phases_are_refused_without_a_group(demo_folder: Path, settings: Any, told: str) -> None:
    with (
        start_of(source_of(demo_folder / "feeder" / "Master.dss")) as frozen,
        pytest.raises(FlowsError) as caught,
    ):
        flows_of_start(frozen, PowerFlowConfig(**settings))
    assert told in str(caught.value)


def test_phases_are_refused_where_a_winding_changes_them(tmp_path: Path) -> None:
    path = tmp_path / "Master.dss"
    path.write_text(
        "clear\nnew circuit.c basekv=11 phases=3 bus1=grid mvasc3=500\n"
        "new transformer.head phases=3 buses=[grid lv] conns=[delta wye] kvs=[11 0.4] kvas=[200 200] xhl=4\n"
        "new transformer.small phases=3 buses=[lv lower] conns=[delta wye] kvs=[0.4 0.23] kvas=[20 20] xhl=4\n"
        "new load.a bus1=lower phases=3 kv=0.23 kw=5\nset voltagebases=[11 0.4 0.23]\ncalcvoltagebases\nsolve\n"
    )
    with start_of(source_of(path)) as frozen, pytest.raises(FlowsError) as caught:
        flows_of_start(frozen, PowerFlowConfig(phases="each", group=str(frozen.network.groups.id[0])))
    assert "holds the transformer small, whose windings change phases" in str(caught.value)


def test_the_plugin_gives_the_one_period_of_the_start(demo_folder: Path) -> None:
    source = source_of(demo_folder / "feeder" / "Master.dss")
    network = source.load("demo")
    job = Job(
        source=source,
        network=network,
        scope=FeederScope(feeder="demo", year=2025),
        work_package_id="0",
        progress=lambda stage, done, total: None,
        should_stop=lambda: False,
    )
    flows = PowerFlow(config=PowerFlowConfig(minutes=60.0)).on(job, {"initial_state": AsModelled()})
    (day,) = flows.days()
    (period,) = flows.periods(Days())
    assert (period.minutes, period.day) == (60.0, day)
    assert list(flows.periods(Days(last=day.replace(year=day.year - 1)))) == []
    with pytest.raises(FlowsError, match="no initial_state"):
        PowerFlow(config=PowerFlowConfig()).on(job, {})


# The source feeds through a reactor, the load through a series capacitor; shunts of both kinds, and one of each at LV.
IN_SERIES = """
clear
new circuit.series basekv=11 phases=3 bus1=grid mvasc3=500 mvasc1=400
new reactor.feed phases=3 bus1=grid bus2=station r=0.4 x=2
new line.same phases=3 bus1=station bus2=far length=2 units=km r1=0.3 x1=0.3 r0=0.6 x0=0.9 c1=0 c0=0
new capacitor.same phases=3 bus1=far bus2=end kv=11 kvar=5000
new capacitor.shunt phases=3 bus1=far kv=11 kvar=200
new reactor.shunt phases=3 bus1=far kv=11 kvar=100 r=5 x=1210
new load.a bus1=end phases=3 kv=11 kw=900 kvar=200 model=1
set voltagebases=[11]
calcvoltagebases
solve
"""


def test_what_is_in_series_is_a_branch_and_what_is_shunt_is_not(tmp_path: Path) -> None:
    """By hand: all of the 900 kW at the end go through the capacitor, and come from the source alone."""
    path = tmp_path / "Master.dss"
    path.write_text(IN_SERIES)
    with start_of(source_of(path)) as frozen:
        network = frozen.network
        assert network.equipment.kind.tolist() == ["Line", "Reactor", "Capacitor"]
        assert not network.conductors.watched[network.conductors.equipment > 0].any(), "no limit watches them"
        period = flows_of_start(frozen, PowerFlowConfig())
        assert set(period.network.branch) == {"Line.same", "feed", "Capacitor.same"}
        flow = dict(zip(period.network.branch, period.flow_mw * 1000.0, strict=True))
        assert flow["Capacitor.same"] == pytest.approx(900.0, rel=1e-4)
        assert flow["feed"] == pytest.approx(
            sum(engine_kw(frozen, "Line.same")[:1]) + period.loss_mw[1] * 1e3, rel=1e-6
        )
        assert {name for name in period.network.node if "other" not in name} == {"a", "source"}
        (others,) = [f for f in period.findings if f.code == "other-elements-in-flows"]
        assert (others.element, others.count) == ("far", 1)
        check_against_engine(frozen, period)
    trace = BialekTracer(BialekConfig()).trace(period)
    assert trace.network.node[trace.up.user].tolist() == ["source"]


@pytest.mark.shared
@pytest.mark.parametrize(
    ("master", "bases"),
    [
        ("au-cre21-mvlv/Network-CRE21/Master.txt", (66.0, 22.0, 0.4, 0.2309)),
        ("eu-lv-test-feeder/Master.dss", (11.0, 0.416)),
        ("epri-ckt5/Master_ckt5.dss", ()),
    ],
)
def test_real_feeders_close_and_are_the_engines(networks: Path, master: str, bases: tuple[float, ...]) -> None:
    with start_of(source_of(networks / master, bases), load_kw=1.5) as frozen:
        period = flows_of_start(frozen, PowerFlowConfig())
        assert np.abs(directed(period).mismatch_mw).max() < WATT_MW
        assert "source" in period.network.node
        assert not [f for f in period.findings if f.code == "other-elements-in-flows"]
        check_against_engine(frozen, period)


@pytest.mark.shared
def test_phases_of_the_european_feeder_are_traced_and_coupling_is_said(networks: Path) -> None:
    """Coupling makes the loss of some phases negative, by less than 1 W in all; the transformer's own are left out."""
    with start_of(source_of(networks / "eu-lv-test-feeder" / "Master.dss", (11.0, 0.416)), load_kw=1.5) as frozen:
        period = flows_of_start(frozen, PowerFlowConfig(phases="each", group="tr1"))
    flows = directed(period)
    assert np.abs(flows.mismatch_mw).max() < WATT_MW
    (found,) = [f for f in period.findings if f.code == "phase-loss-below-zero"]
    assert found.kw is not None and 0 < found.kw < 0.05
    assert period.generation_mw.sum() - period.load_mw.sum() == pytest.approx(period.loss_mw.sum(), abs=0.05e-3)
