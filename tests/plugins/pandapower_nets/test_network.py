"""What is read of a net, by hand: groups, customers, ratings, taps, switches, findings, and what is refused."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pp = pytest.importorskip("pandapower", reason="pandapower is not installed: pip install 'hostcap[pandapower]'")

from pandapower_nets.nets import frozen, street, town  # noqa: E402

from hostcap.errors import ModelError  # noqa: E402
from hostcap.network import BALANCED  # noqa: E402
from hostcap_stock.constraints.thermal import Thermal  # noqa: E402
from hostcap_stock.headroom import LVHeadroom  # noqa: E402
from hostcap_stock.pandapower.source import PandapowerSource  # noqa: E402


def loaded(net: Any, **reading: Any) -> Any:
    return PandapowerSource.of(net, **reading).load("net")


def codes(network: Any) -> dict[str, Any]:
    return {f.code: f for f in network.findings}


def test_a_balanced_net_has_one_node_per_bus_phase_abc() -> None:
    network = loaded(town())
    assert (network.nodes.number == BALANCED).all()
    assert list(network.nodes.bus) == list(range(10))
    assert set(network.conductors.phase) == {"ABC"}
    assert set(network.customers.phase_code) == {"ABC"}
    assert network.nodes.nominal_v[5] == pytest.approx(400 / math.sqrt(3))
    assert codes(network)["pandapower-power-flow"].message.startswith("the power flow is balanced (runpp)")


def test_an_unbalanced_net_has_three_nodes_per_bus() -> None:
    network = loaded(street())
    assert list(network.nodes.number) == [1, 2, 3] * 4
    assert codes(network)["pandapower-power-flow"].message.startswith("the power flow is unbalanced (runpp_3ph)")
    phases = dict(zip(network.customers.id, network.customers.phase_code, strict=True))
    assert phases == {
        "on A": "A",
        "on B and C": "BC",
        "three": "ABC",
        "between C and A": "AC",
        "two between": "ABC",
        "balanced": "ABC",
    }
    injectors = network.injectors
    rated = dict(zip(injectors.name, injectors.kv, strict=True))
    assert rated["on B and C"] == 0.4 and rated["between C and A"] == 0.4
    on_a = [kv for name, kind, kv in zip(injectors.name, injectors.kind, injectors.kv, strict=True) if name == "on A"]
    assert on_a == pytest.approx([0.4 / math.sqrt(3), 0.4])


def test_groups_and_customers_follow_the_method() -> None:
    network = loaded(town())
    # The dead bus has a load, and so a group that the source heads.
    assert list(network.groups.id) == ["town", "grid"]
    assert list(network.groups.terminal) == [2, 1]
    assert [str(b) for b in network.buses.name[network.buses.lv]] == ["bar", "house", "shed", "end", "dead"]
    customers = network.customers
    assert list(customers.id) == ["House 1", "House 2", "load 2", "nobody", "giving"]
    # The PV has the name of one of the two customers on its bus; the battery is on the bus of one alone.
    owned = {
        str(c): [str(n) for n in network.injectors.name[customers.elements(i)]] for i, c in enumerate(customers.id)
    }
    assert owned["House 2"] == ["House 2", "House 2"]
    assert owned["load 2"] == ["load 2", "battery"]
    assert not customers.live[3] and not customers.grows[3]


def test_powers_have_the_nets_scaling_and_their_natural_direction() -> None:
    injectors = loaded(town()).injectors
    row = {(str(k), str(n)): i for i, (k, n) in enumerate(zip(injectors.kind, injectors.name, strict=True))}
    at = row["load", "House 2"]
    assert (injectors.load_kw[at], injectors.load_kvar[at]) == pytest.approx((5.0, 1.5))
    at = row["pvsystem", "House 2"]
    assert (injectors.generation_kw[at], injectors.generation_kvar[at]) == pytest.approx((6.0, 1.0))
    at = row["load", "giving"]
    assert (injectors.load_kw[at], injectors.generation_kw[at]) == pytest.approx((0.0, 4.0))
    at = row["storage", "battery"]
    assert injectors.load_kw[at] == pytest.approx(5.0)


def test_ratings_are_those_of_the_net() -> None:
    """250 A x 0.9 x 2; 2 x 250 kVA over sqrt 3 x 20 kV and 0.42 kV; 40, 25 and 15 MVA over 110, 20 and 10 kV."""
    network = loaded(town(), emergency_factor=1.2)
    conductors, equipment = network.conductors, network.equipment
    rated = {
        str(name): conductors.normal_a[conductors.equipment == i].tolist() for i, name in enumerate(equipment.name)
    }
    assert rated["cable"] == pytest.approx([450.0, 450.0])
    assert rated["town"] == pytest.approx([500 / math.sqrt(3) / 20, 500 / math.sqrt(3) / 0.42])
    assert rated["three"] == pytest.approx(
        [mva * 1000 / math.sqrt(3) / kv for mva, kv in ((40, 110), (25, 20), (15, 10))]
    )
    assert conductors.emergency_a == pytest.approx(conductors.normal_a * 1.2)
    assert dict(zip(equipment.name, equipment.group, strict=True)) == {
        "cable": 0, "first": 1, "second": 1, "third": 1, "ring": 1, "town": 1, "three": 0,
    }  # fmt: skip


@pytest.mark.parametrize("amps", [math.nan, 0.0])
def test_a_line_without_a_rating_is_not_watched_and_told(amps: float) -> None:
    net = town()
    net.line.loc[1, "max_i_ka"] = amps
    network = loaded(net)
    own = network.conductors.equipment == list(network.equipment.name).index("first")
    assert np.isnan(network.conductors.normal_a[own]).all()
    assert (codes(network)["unrated-lines"].element, codes(network)["unrated-lines"].count) == ("first", 1)


def test_open_ends_and_what_is_off_are_told_and_not_watched() -> None:
    network = loaded(town())
    ring = np.flatnonzero(network.conductors.equipment == list(network.equipment.name).index("ring"))
    assert network.conductors.watched[ring].tolist() == [True, False]
    assert "cut" not in network.equipment.name
    found = codes(network)
    assert (found["open-switches"].element, found["open-switches"].count) == ("ring switch", 1)
    assert found["out-of-service"].count == 2 and found["out-of-service"].kw == pytest.approx(15.0)
    assert found["dead-nodes"].element == "dead"
    assert (found["customers-on-dead-nodes"].element, found["customers-on-dead-nodes"].kw) == ("nobody", 3.0)
    assert found["elements-left-as-modelled"].element == "motor 0, ward 0"
    assert found["names-made"].element == "load 2"
    assert list(network.hv_locations.kind) == ["dtx-hv-terminal"]
    assert (network.buses.x[1], network.buses.y[1]) == (1.5, 2.5)


def test_a_transformer_that_is_switched_off_feeds_nobody() -> None:
    net = town()
    bar = 5
    pp.create_transformer_from_parameters(net, 3, bar, 0.1, 20.0, 0.4, 1.2, 4.0, 0.3, 0.3, name="spare")
    assert list(loaded(net).groups.id) == ["spare+town", "grid"]
    pp.create_switch(net, bar, net.trafo.index[-1], et="t", closed=False)
    assert list(loaded(net).groups.id) == ["town", "grid"]


def test_a_tap_is_the_nets_own() -> None:
    """The tap lies on the high side: a step of 2.5 % up brings about 2.5 % less below it."""
    levels = []
    for position in (0, 1):
        net = town()
        net.trafo.loc[0, "tap_pos"] = position
        with frozen(net) as start:
            levels.append(abs(start.start.node_v[0, 5]) / 230.94)
    assert levels[0] / levels[1] == pytest.approx(1.025, abs=2e-3)


@pytest.mark.parametrize("how", [{"tap_side": "middle"}, {"tap_changer_type": None}, {"tap_step_percent": math.nan}])
def test_a_tap_that_pandapower_ignores_is_told(how: Any) -> None:
    found = codes(loaded(changed(town(), "trafo", 0, **how)))["taps-without-effect"]
    assert (found.element, found.count) == ("trafo 0", 1)
    assert "taps-without-effect" not in codes(loaded(town()))


def test_names_are_there_once_whatever_their_case() -> None:
    net = town()
    net.load.loc[0, "name"] = "HOUSE 2"
    network = loaded(net)
    assert list(network.customers.id)[:2] == ["HOUSE 2 (load 0)", "House 2 (load 1)"]


def test_customers_may_be_joined(tmp_path: Path) -> None:
    path = tmp_path / "customers.csv"
    path.write_text("customer,element\nfarm,House 1\nfarm,giving\n")
    network = loaded(town(), customers=path)
    assert "farm" in network.customers.id


def changed(net: Any, table: str, row: int, **values: Any) -> Any:
    for column, value in values.items():
        net[table].loc[row, column] = value
    return net


def text_for_truth(net: Any) -> Any:
    net.load["in_service"] = ["no", *[True] * (len(net.load) - 1)]
    return net


def with_xward(net: Any) -> Any:
    pp.create_xward(net, 1, 0.1, 0.1, 0.0, 0.0, 0.1, 0.1, 1.0)
    return net


def with_dcline(net: Any) -> Any:
    pp.create_dcline(net, 1, 2, 0.1, 1.0, 0.01, 1.0, 1.0)
    return net


def with_gen(net: Any) -> Any:
    pp.create_gen(net, 1, 0.01, vm_pu=1.0)
    return net


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: changed(street(), "trafo", 0, vector_group="Yyn"), r"trafo 0 \(vector group Yyn; runpp_3ph knows Dyn"),
        (lambda: changed(street(), "trafo", 0, vector_group="Yd"), r"trafo 0 \(vector group Yd"),
        (lambda: changed(street(), "trafo", 0, vector_group="Ii0"), "one phase, as SWER and split-phase units"),
        (lambda: changed(town(), "trafo", 0, vector_group="Iii"), "one phase, as SWER and split-phase units"),
        (lambda: changed(street(), "trafo", 0, vector_group=None), "vector group not stated"),
        (lambda: with_xward(town()), "xward 0"),
        (lambda: with_dcline(town()), "dcline 0"),
        (lambda: with_gen(street()), "gen 0"),
        (lambda: changed(town(), "load", 2, const_i_p_percent=10), "1 load partly of constant current"),
        (lambda: changed(town(), "load", 1, p_mw=math.nan), "load 1: p_mw must be a finite number"),
        (lambda: changed(town(), "load", 1, scaling=math.nan), "load 1: scaling must be a finite number"),
        (lambda: changed(street(), "line", 1, r0_ohm_per_km=math.nan), r"line 1: r0_ohm_per_km has no value"),
        (lambda: changed(town(), "load", 1, bus=77), "load 1: bus is 77, and the net has no such bus"),
        (lambda: changed(town(), "bus", 5, vn_kv=0.0), "bus 5: vn_kv must be > 0"),
        (lambda: changed(town(), "bus", 5, vn_kv=0.69), r"bus bar has vn_kv 0\.69.*rated for 0\.42"),
        (lambda: changed(town(), "ext_grid", 0, in_service=False), "no source"),
        (lambda: changed(town(), "switch", 1, element=99), "switch 1: et 'l' with element 99"),
        (lambda: changed(town(), "line", 1, length_km=-0.1), r"line 1: length_km must be > 0, found -0\.1"),
        (lambda: text_for_truth(town()), "load 0: in_service must be true or false, found 'no'"),
    ],
)
def test_what_has_no_form_or_no_sense_is_refused_by_name(make: Any, told: str) -> None:
    with pytest.raises(ModelError, match=told):
        loaded(make())


def test_a_net_without_lv_customers_is_read_and_refused_by_growth_of_customers() -> None:
    net = town()
    net.load = net.load[net.load.name == "works"]
    source = PandapowerSource.of(net)
    network = source.load("net")
    assert "works" in network.injectors.name
    with pytest.raises(ModelError, match=r"no LV customer .* found 1 HV loads: works"):
        LVHeadroom(constraints=[Thermal()]).run(network)


def test_what_the_engine_would_stumble_over_or_refuses_is_an_error_of_ours() -> None:
    net = street()
    net.trafo = net.trafo.drop(columns="vk0_percent")
    with pytest.raises(ModelError, match="table trafo has no vk0_percent, which an unbalanced power flow needs"):
        loaded(net)
    net = town()
    net.trafo = net.trafo.drop(columns="vk_percent")
    with pytest.raises(ModelError, match="pandapower refuses the net: "):
        frozen(net)


@pytest.mark.parametrize("make", [town, street])
@pytest.mark.parametrize("off", [("trafo", "trafo3w", "line", "switch"), ("trafo", "trafo3w")])
def test_a_net_in_which_nothing_is_fed_is_an_error_of_ours(make: Any, off: tuple[str, ...]) -> None:
    """A bus that a closed switch joins to the source's is that bus, and makes nothing to solve either."""
    net = make()
    for table in off:
        if len(net[table]):
            net[table]["closed" if table == "switch" else "in_service"] = False
    beside = pp.create_bus(net, float(net.bus.vn_kv.iloc[0]))
    pp.create_switch(net, int(net.bus.index[0]), beside, et="b")
    with pytest.raises(ModelError, match=r"^no bus but those of the sources is fed; close switches"):
        frozen(net)


def test_a_net_that_an_impedance_alone_feeds_is_solved() -> None:
    net = pp.create_empty_network(f_hz=50.0)
    source, house = (pp.create_bus(net, 0.4, name=name) for name in ("source", "house"))
    pp.create_ext_grid(net, source)
    pp.create_impedance(net, source, house, rft_pu=0.01, xft_pu=0.02, sn_mva=0.1)
    pp.create_load(net, house, 0.05)
    with frozen(net) as start:
        volts = abs(start.start.node_v[0, 1]) / (400 / math.sqrt(3))
    # v = 1 - z conj(s / v) on a base of 0.1 MVA: half a unit of load over 0.01 + 0.02j.
    expected = complex(1.0)
    for _ in range(50):
        expected = 1 - complex(0.01, 0.02) * (0.5 / expected).conjugate()
    assert volts == pytest.approx(abs(expected), abs=1e-8)


def test_a_frequency_that_the_study_did_not_expect_is_told() -> None:
    assert "frequency-of-file" in codes(loaded(town(), frequency_hz=60.0))
    assert "frequency-of-file" not in codes(loaded(town(), frequency_hz=50.0))
