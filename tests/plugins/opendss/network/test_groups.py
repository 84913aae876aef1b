"""Capacity groups of an OpenDSS model: section 1 of the headroom method, on circuits that fit on a screen."""

from __future__ import annotations

import pytest
from circuits import BASES, Loaded, buses_of, codes, conductors, finding, house, line, one_phase_unit, split_phase, unit


def test_two_transformers_make_two_groups(load: Loaded) -> None:
    network = load(
        unit("t1", "src", "a") + unit("t2", "src", "b") + line("l", "a", "a1") + house("d", "a1.1") + house("e", "b.2")
    )
    assert buses_of(network) == {"t1": {"a", "a1"}, "t2": {"b"}}
    assert list(network.groups.head_type) == ["distribution-transformer"] * 2
    assert list(network.groups.terminal) == [2, 2]
    assert list(network.customers.group) == [1, 2]
    assert network.buses.group[list(network.buses.name).index("src")] == 0
    equipment = dict(zip(network.equipment.name, network.equipment.group, strict=True))
    assert equipment == {"l": 1, "t1": 1, "t2": 2}


def test_a_bank_of_one_phase_units_on_one_lv_bus_is_one_group(load: Loaded) -> None:
    body = "".join(one_phase_unit(f"u{k}", f"src.{k}", f"bank.{k}") for k in (3, 1, 2)) + house("d", "bank.2")
    network = load(body)
    assert buses_of(network) == {"u1+u2+u3": {"bank"}}
    assert list(network.groups.transformer_count) == [3]
    assert finding(network, "group-fed-by-several-transformers").count == 1
    assert set(network.equipment.group) == {1}


def test_an_lv_ring_fed_by_two_transformers_is_one_group_with_both_names(load: Loaded) -> None:
    body = unit("zeta", "src", "b") + unit("alpha", "src", "a") + line("tie", "a", "b") + house("d", "a.1")
    network = load(body)
    assert buses_of(network) == {"alpha+zeta": {"a", "b"}}
    assert list(network.groups.terminal) == [2]


@pytest.mark.parametrize(
    ("switch", "groups"),
    [
        ("", {"t1+t2"}),
        ("open line.tie 1\n", {"t1", "t2"}),
        ("open line.tie 2\n", {"t1", "t2"}),
        ("open line.tie 1 2\n", {"t1+t2"}),  # one conductor: the other two still join the islands
        ("disable line.tie\n", {"t1", "t2"}),
        ("new swtcontrol.s switchedobj=line.tie switchedterm=1 normal=open state=open\n", {"t1", "t2"}),
    ],
    ids=["closed", "open at 1", "open at 2", "one conductor open", "disabled", "opened by its control"],
)
def test_a_tie_joins_islands_only_while_it_conducts(load: Loaded, switch: str, groups: set[str]) -> None:
    body = unit("t1", "src", "a") + unit("t2", "src", "b") + line("tie", "a", "b") + house("d", "a.1")
    network = load(body, BASES + switch)
    assert set(buses_of(network)) == groups
    assert "dead-nodes" not in codes(network)


@pytest.mark.parametrize(
    "tie",
    [
        "new reactor.tie bus1=a bus2=b phases=3 r=.01 x=.1\n",
        "new capacitor.tie bus1=a bus2=b phases=3 kvar=50 kv=.4\n",
        "new transformer.tie phases=3 windings=2 buses=[a b] conns=[wye wye] kvs=[.4 .4] kvas=[50 50]\n",
        line("tie", "a.1", "b.2", "phases=1"),  # whatever their phases
    ],
    ids=["reactor", "series capacitor", "LV/LV transformer", "line between phases"],
)
def test_what_joins_lv_islands(load: Loaded, tie: str) -> None:
    network = load(unit("t1", "src", "a") + unit("t2", "src", "b") + tie + house("d", "a.1"))
    assert buses_of(network) == {"t1+t2": {"a", "b"}}


def test_a_shunt_capacitor_or_reactor_joins_nothing(load: Loaded) -> None:
    shunts = "new capacitor.c1 bus1=a phases=3 kvar=5 kv=.4\nnew reactor.r1 bus1=b phases=3 kvar=5 kv=.4\n"
    network = load(unit("t1", "src", "a") + unit("t2", "src", "b") + shunts + house("d", "a.1"))
    assert set(buses_of(network)) == {"t1", "t2"}


def test_islands_fed_by_one_three_winding_unit_are_one_group(load: Loaded) -> None:
    body = (
        "new transformer.t phases=3 windings=3 buses=[src a b] conns=[delta wye wye] kvs=[22 .4 .4] "
        "kvas=[100 60 40] xhl=4 xht=4 xlt=4\n"
    )
    network = load(body + house("d", "a.1") + house("e", "b.2"))
    assert buses_of(network) == {"t": {"a", "b"}}
    assert list(network.groups.terminal) == [2]


def test_the_terminal_of_a_group_is_its_lowest_lv_winding(load: Loaded) -> None:
    turned = "new transformer.t phases=3 windings=2 buses=[a src] conns=[wye delta] kvs=[.4 22] kvas=[100 100] xhl=4\n"
    assert list(load(turned + house("d", "a.1")).groups.terminal) == [1]


def test_an_lv_lv_transformer_belongs_to_the_group_around_it(load: Loaded) -> None:
    body = unit("t", "src", "a") + (
        "new transformer.inner phases=3 windings=2 buses=[a b] conns=[delta wye] kvs=[.4 .208] kvas=[30 30] xhl=4\n"
    )
    bases = "set voltagebases=[22 .4 .208]\ncalcvoltagebases\n"
    network = load(body + house("d", "b.1", "phases=1 kv=.12 kw=1"), bases)
    assert buses_of(network) == {"t": {"a", "b"}}
    assert dict(zip(network.equipment.name, network.equipment.group, strict=True)) == {"t": 1, "inner": 1}


def test_lv_below_no_transformer_is_headed_by_the_source(load: Loaded) -> None:
    network = load(
        line("l", "src", "a") + house("d", "a.1"),
        "set voltagebases=[.4]\ncalcvoltagebases\n",
        "clear\nnew circuit.c basekv=.4 pu=1 bus1=src\n",
    )
    assert buses_of(network) == {"source": {"src", "a"}}
    assert list(network.groups.head_type) == ["source"]
    assert list(network.groups.transformer_count) == [0]


def test_all_lv_islands_below_no_transformer_are_one_group(load: Loaded) -> None:
    more = "new vsource.v2 bus1=x basekv=.4\nnew vsource.v3 bus1=y basekv=.4\n" + house("e", "x.1") + house("g", "y.2")
    network = load(unit("t", "src", "a") + more + house("d", "a.1"))
    assert buses_of(network) == {"t": {"a"}, "source": {"x", "y"}}


def test_a_transformer_without_customers_is_a_group_without_customers(load: Loaded) -> None:
    network = load(unit("t1", "src", "a") + unit("spare", "src", "b") + house("d", "a.1"))
    assert buses_of(network) == {"t1": {"a"}, "spare": {"b"}}
    assert list(network.customers.group) == [1]


def test_a_centre_tapped_unit_is_one_group_with_two_legs(load: Loaded) -> None:
    network = load(
        split_phase("t", "src.1.2", "a")
        + line("l", "a.1.2", "b.1.2", "phases=2")
        + house("d", "b.1")
        + house("e", "b.1.2", "phases=1 kv=.48 kw=3")
    )
    assert buses_of(network) == {"t": {"a", "b"}}
    assert list(network.groups.terminal) == [2]
    assert list(network.customers.phase_code) == ["A", "AB"]
    assert "dead-nodes" not in codes(network)


def test_a_swer_isolation_chain_ends_in_the_group_of_its_last_unit(load: Loaded) -> None:
    body = (
        "new transformer.isolator phases=1 windings=2 buses=[src.2.3 swer.1] conns=[delta wye] kvs=[22 12.7] "
        "kvas=[50 50] xhl=4\n"
        + line("wire", "swer.1", "far.1", "phases=1")
        + "new transformer.farm phases=1 windings=2 buses=[far.1 yard.1] conns=[wye wye] kvs=[12.7 .25] kvas=[25 25] "
        "xhl=4\n" + house("d", "yard.1", "phases=1 kv=.25 kw=2")
    )
    network = load(body)
    assert buses_of(network) == {"farm": {"yard"}}
    assert dict(zip(network.equipment.name, network.equipment.group, strict=True)) == {
        "wire": 0,
        "isolator": 0,
        "farm": 1,
    }
    # A coil between two phases carries one current: watched once, under both letters.
    first = [row for row in conductors(network, "isolator") if row["terminal"] == 1]
    assert [row["phase"] for row in first if row["watched"]] == ["BC"]
