"""What the OpenDSS source makes of a model: section 1 of the headroom method, on circuits that fit on a screen."""

from __future__ import annotations

import math
import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import opendssdirect
import pytest

from hostcap.errors import ModelError
from hostcap.findings import Finding
from hostcap.network import Network
from hostcap_stock.initial_states import AsModelled
from hostcap_stock.opendss.config import OpenDssConfig
from hostcap_stock.opendss.source import OpenDssSource

SQRT3 = math.sqrt(3.0)
HEAD = "clear\nnew circuit.c basekv=22 pu=1 bus1=src mvasc3=2000 mvasc1=2000\n"
BASES = "set voltagebases=[22 .4]\ncalcvoltagebases\n"
NO_BASES = ""


def unit(name: str, hv: str, lv: str, more: str = "") -> str:
    """A three-phase 22/0.4 kV transformer of 100 kVA."""
    return (
        f"new transformer.{name} phases=3 windings=2 buses=[{hv} {lv}] conns=[delta wye] kvs=[22 .4] kvas=[100 100] "
        f"xhl=4 {more}\n"
    )


def one_phase_unit(name: str, hv: str, lv: str) -> str:
    return (
        f"new transformer.{name} phases=1 windings=2 buses=[{hv} {lv}] conns=[wye wye] kvs=[12.7 .23] kvas=[25 25] "
        "xhl=4\n"
    )


def split_phase(name: str, hv: str, lv: str) -> str:
    """A centre-tapped unit between two 22 kV phases, 2 x 240 V, 50 kVA."""
    return (
        f"new transformer.{name} phases=1 windings=3 buses=[{hv} {lv}.1.0 {lv}.0.2] conns=[delta wye wye] "
        "kvs=[22 .24 .24] kvas=[50 50 50] xhl=4 xht=4 xlt=2.6\n"
    )


def line(name: str, left: str, right: str, more: str = "") -> str:
    return f"new line.{name} bus1={left} bus2={right} r1=.3 x1=.1 r0=.6 x0=.2 c1=0 c0=0 length=.1 units=km {more}\n"


def house(name: str, bus: str, more: str = "phases=1 kv=.23 kw=2 kvar=.5") -> str:
    return f"new load.{name} bus1={bus} {more}\n"


class Sourced(Protocol):
    def __call__(self, body: str, bases: str = BASES, head: str = HEAD, **config: Any) -> OpenDssSource: ...


class Loaded(Protocol):
    def __call__(self, body: str, bases: str = BASES, head: str = HEAD, **config: Any) -> Network: ...


@pytest.fixture
def source(tmp_path: Path) -> Sourced:
    """Writes a circuit and gives the source that reads it."""

    def make(body: str, bases: str = BASES, head: str = HEAD, **config: Any) -> OpenDssSource:
        master = tmp_path / "master.dss"
        master.write_text(head + body + bases, encoding="utf-8")
        settings: dict[str, Any] = {"master": master, "frequency_hz": 50.0, **config}
        return OpenDssSource(config=OpenDssConfig(**settings))

    return make


@pytest.fixture
def load(source: Sourced) -> Loaded:
    return lambda body, bases=BASES, head=HEAD, **config: source(body, bases, head, **config).load("f")


def buses_of(network: Network) -> dict[str, set[str]]:
    """Buses of every group, by its id."""
    return {
        str(identity): {str(b) for b in network.buses.name[network.buses.group == place]}
        for place, identity in enumerate(network.groups.id, start=1)
    }


def customers_of(network: Network) -> dict[str, list[str]]:
    """Elements of every customer."""
    return {
        str(identity): [str(network.injectors.name[e]) for e in network.customers.elements(place)]
        for place, identity in enumerate(network.customers.id)
    }


def codes(network: Network) -> list[str]:
    return [finding.code for finding in network.findings]


def finding(network: Network, code: str) -> Finding:
    (found,) = (each for each in network.findings if each.code == code)
    return found


def refusal(action: Callable[[], object]) -> str:
    """The message of a refused model, which must be one line."""
    with pytest.raises(ModelError) as caught:
        action()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def nodes_where(network: Network, chosen: Any) -> set[str]:
    return set(network.node_names(np.flatnonzero(chosen)))


def conductors(network: Network, name: str) -> list[dict[str, Any]]:
    """Conductors of one piece of equipment, as rows."""
    place = list(network.equipment.name).index(name)
    c = network.conductors
    names = ("terminal", "node", "phase", "lv", "watched", "normal_a", "emergency_a")
    return [{n: getattr(c, n)[i] for n in names} for i in np.flatnonzero(c.equipment == place)]


def ratings(network: Network, name: str) -> list[tuple[float, float]]:
    """Normal and emergency amps by terminal; the conductors of one terminal must agree."""
    found: dict[int, set[tuple[float, float]]] = {}
    for row in conductors(network, name):
        pair = (round(float(row["normal_a"]), 6), round(float(row["emergency_a"]), 6))
        found.setdefault(int(row["terminal"]), set()).add(pair)
    assert all(len(pairs) == 1 for pairs in found.values()) or all("nan" in str(p) for p in found.values())
    return [next(iter(found[terminal])) for terminal in sorted(found)]


# Capacity groups


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


# Customers

TWO = unit("t", "src", "a") + line("l", "a", "b")


def test_every_lv_load_is_a_customer_and_hv_loads_are_none(load: Loaded) -> None:
    network = load(TWO + house("d", "b.1") + house("e", "b.1") + house("mine", "src", "kv=22 kw=100"))
    assert customers_of(network) == {"d": ["d"], "e": ["e"]}
    place = list(network.injectors.name).index("mine")
    assert network.injectors.group[place] == 0
    assert list(network.customers.grows) == [True, True]


@pytest.mark.parametrize(
    ("houses", "generator", "owners"),
    [
        (["d"], "g", {"d": ["d", "g"]}),
        (["d", "g"], "g", {"d": ["d"], "g": ["g", "g"]}),
        (["d", "e"], "g", {"d": ["d", "g"], "e": ["e"]}),
    ],
    ids=["one customer", "several, one of equal name", "several, the first"],
)
@pytest.mark.parametrize(
    "kind",
    [
        "generator.{} bus1=b.1 phases=1 kv=.23 kw=3",
        "pvsystem.{} bus1=b.1 phases=1 kv=.23 kva=3 pmpp=3 irradiance=1",
        "storage.{} bus1=b.1 phases=1 kv=.23 kwrated=3 kwhrated=6 state=discharging",
    ],
    ids=["generator", "pvsystem", "storage"],
)
def test_a_generating_element_belongs_to_a_customer_of_its_bus(
    load: Loaded, houses: list[str], generator: str, owners: Mapping[str, list[str]], kind: str
) -> None:
    body = TWO + "".join(house(name, "b.1") for name in houses) + f"new {kind.format(generator)}\n"
    network = load(body)
    assert customers_of(network) == owners
    assert all(network.customers.grows)
    ambiguous = houses == ["d", "e"]
    assert ("generation-of-several-customers" in codes(network)) == ambiguous
    if ambiguous:
        assert finding(network, "generation-of-several-customers").kw == pytest.approx(3.0, abs=0.05)


def test_a_generating_element_alone_on_its_bus_is_a_customer_that_does_not_grow(load: Loaded) -> None:
    network = load(TWO + house("d", "a.1") + "new generator.g bus1=b.2 phases=1 kv=.23 kw=3\n")
    assert customers_of(network) == {"d": ["d"], "g": ["g"]}
    assert list(network.customers.grows) == [True, False]
    assert list(network.customers.live) == [True, True]


def test_an_hv_generator_is_no_customer(load: Loaded) -> None:
    network = load(TWO + house("d", "a.1") + "new generator.g bus1=src kv=22 kw=300\n")
    assert customers_of(network) == {"d": ["d"]}


@pytest.fixture
def table(tmp_path: Path) -> Callable[[str | bytes], Path]:
    def write(content: str | bytes) -> Path:
        path = tmp_path / "customers.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


LEGS = (
    split_phase("t", "src.1.2", "a")
    + house("leg1", "a.1")
    + house("leg2", "a.2")
    + house("d", "a.1")
    + unit("t2", "src", "b")
    + house("other", "b.1")
    + house("mine", "src", "kv=22 kw=100")
)


def test_a_customer_file_joins_the_legs_of_a_house_and_carries_columns(
    load: Loaded, table: Callable[[str | bytes], Path]
) -> None:
    rows = "customer,element,pv_kw,tariff\nhouse 7,leg1,3.5,flat\nhouse 7,Load.LEG2,,\nnew,d,,time\n"
    network = load(LEGS, customers=table("\ufeff" + rows))
    assert customers_of(network) == {"house 7": ["leg1", "leg2"], "new": ["d"], "other": ["other"]}
    assert network.customers.phase_code[0] == "AB"
    assert network.customers.columns["pv_kw"].tolist() == pytest.approx([3.5, math.nan, math.nan], nan_ok=True)
    assert network.customers.columns["pv_kw"].dtype == np.float64
    assert network.customers.columns["tariff"].tolist() == ["flat", "time", ""]
    rest = finding(network, "loads-not-in-customer-table")
    assert (rest.count, rest.element, rest.kw) == (1, "other", 2.0)


@pytest.mark.parametrize(
    ("content", "fragment"),
    [
        ("element,kw\nleg1,1\n", "column 'customer' is missing; found element, kw"),
        ("customer,name\na,leg1\n", "column 'element' is missing"),
        ("customer,element\na,leg9\n", "element 'leg9' of customer 'a' is not in the model"),
        ("customer,element\na,mine\n", "element 'mine' of customer 'a' is no load at an LV bus"),
        ("customer,element\na,leg1\nb,leg1\n", "line 3: element 'leg1' already belongs to 'a'"),
        ("customer,element\na,leg1\na,other\n", "customer 'a' joins loads of two groups"),
        ("customer,element\na,leg1,7\n", "line 2"),
        ("customer,element,kw\na,leg1\n", "line 2"),
        ("customer,element\n,leg1\n", "line 2: customer and element must not be empty"),
        ("customer,element,kw\na,leg1,1\na,leg2,2\n", "line 3: kw of 'a' is 2, was 1"),
        ("customer,element\nd,leg1\n", "has the name of a load that it does not list"),
        ("customer,element\ncaf\u00e9,leg1\n".encode("latin-1"), "UTF-8"),
        ("customer,element\na,leg1\n".encode("utf-16"), "UTF-8"),
        ("", "is missing; found nothing"),
        ('customer,element\n"a,leg1\n', "cannot be read as UTF-8 CSV"),
        ("customer,element\n", "has a header alone"),
    ],
)
def test_a_wrong_customer_file_is_refused_in_one_line(
    load: Loaded, table: Callable[[str | bytes], Path], content: str | bytes, fragment: str
) -> None:
    path = table(content)
    message = refusal(lambda: load(LEGS, customers=path))
    assert message.startswith(f"network.customers: {path}: ")
    assert fragment in message


def test_a_customer_file_with_a_header_alone_does_not_miss_its_columns(
    load: Loaded, table: Callable[[str | bytes], Path]
) -> None:
    assert "is missing" not in refusal(lambda: load(LEGS, customers=table("customer,element\n")))


def test_a_customer_file_that_is_not_there_is_refused(load: Loaded, tmp_path: Path) -> None:
    message = refusal(lambda: load(LEGS, customers=tmp_path / "none.csv"))
    assert "none.csv: no such file" in message
    assert "customer, element" in message


def test_a_feeder_without_lv_customers_is_read_for_studies_that_need_none(load: Loaded) -> None:
    network = load(TWO + house("mine", "src", "kv=22 kw=100"))
    assert customers_of(network) == {} and list(network.injectors.name) == ["mine"]
    assert customers_of(load(TWO)) == {} and load(TWO).injectors.name.size == 0


def test_a_load_that_touches_ground_alone_is_no_crash(load: Loaded) -> None:
    body = TWO + house("d", "b.1") + house("z", "b.0")
    try:
        network = load(body)
    except ModelError as error:
        assert "z" in str(error)  # noqa: PT017
    else:
        assert customers_of(network)["d"] == ["d"]


# Dead nodes


def test_a_three_phase_line_below_a_split_phase_unit_leaves_its_third_phase_dead(load: Loaded) -> None:
    body = split_phase("t", "src.1.2", "a") + line("l", "a", "b")
    network = load(
        body + house("d", "b.1") + house("gone", "b.3", "phases=1 kv=.23 kw=4") + house("half", "b", "kv=.4 kw=9")
    )
    assert nodes_where(network, ~network.nodes.live) == {"a.3", "b.3"}
    assert finding(network, "dead-nodes").count == 2
    assert dict(zip(network.customers.id, network.customers.live, strict=True)) == {
        "d": True,
        "gone": False,
        "half": False,
    }
    assert list(network.customers.grows) == [True, False, False]
    dead = finding(network, "customers-on-missing-phases")
    assert (dead.count, dead.kw, dead.element) == (2, 13.0, "gone, half")
    watched = [row for row in conductors(network, "l") if row["watched"]]
    assert sorted((int(r["terminal"]), str(r["phase"])) for r in watched) == [(1, "A"), (1, "B"), (2, "A"), (2, "B")]


@pytest.mark.parametrize(
    ("connections", "dead"),
    [("[delta wye]", set()), ("[wye wye]", {"m.1", "a.1"}), ("[wye delta]", set())],
)
def test_a_coil_joins_its_nodes_over_all_windings(load: Loaded, connections: str, dead: set[str]) -> None:
    """Behind an open HV conductor a delta winding on either side reaches the phase; two grounded wyes do not."""
    body = line("feeder", "src", "m") + unit("t", "m", "a").replace("[delta wye]", connections) + house("d", "a.2")
    network = load(body, BASES + "open line.feeder 1 1\n")
    assert nodes_where(network, ~network.nodes.live) == dead


def test_a_coil_reaches_its_ungrounded_star_point(load: Loaded) -> None:
    body = unit("t", "src", "a.1.2.3.4") + house("d", "a.1.4")
    network = load(body)
    assert nodes_where(network, ~network.nodes.live) == set()


def test_an_island_behind_an_open_line_is_dead_and_in_no_distribution_group(load: Loaded) -> None:
    network = load(TWO + house("d", "a.1") + house("lost", "b.1"), BASES + "open line.l 1\n")
    assert nodes_where(network, ~network.nodes.live) == {"b.1", "b.2", "b.3"}
    assert dict(zip(network.customers.id, network.customers.live, strict=True)) == {"d": True, "lost": False}
    dead = finding(network, "customers-on-dead-nodes")
    assert (dead.count, dead.kw, dead.element) == (1, 2.0, "lost")
    heads = dict(zip(network.groups.id, network.groups.head_type, strict=True))
    assert heads == {"t": "distribution-transformer", "source": "source"}


# Neutrals

FOUR_WIRE = (
    unit("t", "src", "a.1.2.3.4")
    + "new line.l bus1=a.1.2.3.4 bus2=b.1.2.3.4 phases=4 r1=.3 x1=.1 r0=.3 x0=.1 c1=0 c0=0 length=.1\n"
    + "new reactor.earth bus1=a.4 bus2=a.0 phases=1 r=.1 x=0\n"
    + house("d", "b.1.4")
)


def test_node_4_is_the_neutral_that_phases_are_measured_to(load: Loaded) -> None:
    network = load(FOUR_WIRE)
    assert nodes_where(network, network.nodes.neutral) == {"a.4", "b.4"}
    reference = {
        name: "ground" if other < 0 else network.node_names([other])[0]
        for name, other in zip(network.node_names(range(network.nodes.bus.size)), network.nodes.reference, strict=True)
    }
    assert reference == (
        {f"src.{k}": "ground" for k in (1, 2, 3)}
        | {f"{bus}.{k}": f"{bus}.4" for bus in ("a", "b") for k in (1, 2, 3)}
        | {"a.4": "ground", "b.4": "ground"}
    )
    rows = conductors(network, "l")
    assert [str(r["phase"]) for r in rows if r["watched"]] == ["A", "B", "C"] * 2
    assert [str(r["phase"]) for r in rows if not r["watched"]] == ["", ""]
    assert list(network.customers.phase_code) == ["A"]


def test_the_study_may_say_which_nodes_are_neutrals(load: Loaded) -> None:
    body = unit("t", "src", "a") + line("l", "a.1.3", "b.1.3", "phases=2") + house("d", "b.1.3")
    network = load(body, neutral_nodes=(3,))
    assert nodes_where(network, network.nodes.neutral) == {"src.3", "a.3", "b.3"}
    names = network.node_names(range(network.nodes.bus.size))
    assert network.node_names([network.nodes.reference[names.index("b.1")]]) == ["b.3"]


# Voltage bases


def test_missing_bases_are_refused_with_the_line_to_type(load: Loaded) -> None:
    body = TWO + house("d", "b.1")
    message = refusal(lambda: load(body, NO_BASES))
    assert "network.voltage_bases_kv" in message
    assert message.endswith("voltage_bases_kv = [22.0, 0.4]")
    network = load(body, NO_BASES, voltage_bases_kv=(22.0, 0.4))
    assert np.unique(network.buses.nominal_kv) == pytest.approx([0.4, 22.0])


def test_the_suggested_bases_work_for_split_phase_and_swer(load: Loaded) -> None:
    body = (
        split_phase("t", "src.1.2", "a")
        + house("d", "a.1")
        + "new transformer.isolator phases=1 windings=2 buses=[src.2.3 swer.1] conns=[delta wye] kvs=[22 12.7] "
        "kvas=[50 50] xhl=4\n"
        "new transformer.farm phases=1 windings=2 buses=[swer.1 yard.1] conns=[wye wye] kvs=[12.7 .25] kvas=[25 25]\n"
        + house("e", "yard.1", "phases=1 kv=.25 kw=1")
    )
    message = refusal(lambda: load(body, NO_BASES))
    suggested = tuple(float(part) for part in message.rpartition("[")[2].rstrip("]").split(","))
    assert suggested == pytest.approx((22.0, 0.433), abs=0.01)
    assert set(buses_of(load(body, NO_BASES, voltage_bases_kv=suggested))) == {"t", "farm"}


@pytest.mark.parametrize(("base", "fits"), [(0.33, True), (0.31, False), (0.47, True), (0.49, False)])
def test_a_base_more_than_20_percent_off_is_refused(load: Loaded, base: float, fits: bool) -> None:
    body = TWO + house("d", "b.1")
    bases = f"set voltagebases=[22 {base}]\ncalcvoltagebases\n"
    if fits:
        assert load(body, bases).buses.nominal_kv.min() == pytest.approx(base)
        return
    message = refusal(lambda: load(body, bases))
    assert "more than 20 % off" in message
    assert f"has base {base} kV" in message
    assert message.endswith("voltage_bases_kv = [22.0, 0.4]")  # the line to type, as where bases are missing


@pytest.mark.parametrize(
    "more",
    [
        "phases=1 kv=.48 kw=1",  # over 2 across the legs: 0.24 kV to ground
        "phases=2 kv=.4157 kw=1",  # over sqrt 3 for two phases
        "phases=1 conn=delta kv=.48 kw=1",
    ],
)
def test_a_load_across_the_legs_of_a_centre_tapped_unit_is_accepted(load: Loaded, more: str) -> None:
    body = split_phase("t", "src.1.2", "a") + line("l", "a.1.2", "b.1.2", "phases=2") + house("d", "b.1.2", more)
    assert list(load(body).customers.live) == [True]


@pytest.mark.parametrize(
    ("load_of", "fits"),
    [
        ("b.1.2 phases=1 kv=.4 kw=1", True),
        ("b.1.2 phases=1 kv=.6 kw=1", False),  # over sqrt 3 on a three-phase island: 0.346 kV
        ("b phases=3 kv=.4 kw=1", True),
        ("b phases=3 kv=.23 kw=1", False),
        ("b.1 phases=1 kv=.4 kw=1", False),
        ("src phases=3 kv=11 kw=1", False),
        ("src phases=3 kv=22 kw=1", True),
    ],
)
def test_rated_kv_is_taken_to_ground_by_connection(load: Loaded, load_of: str, fits: bool) -> None:
    body = TWO + house("d", "a.1") + f"new load.x bus1={load_of}\n"
    if fits:
        load(body)
    else:
        assert "load x is rated for" in refusal(lambda: load(body))


def test_hv_windings_are_not_compared(load: Loaded) -> None:
    booster = (
        "new transformer.booster phases=1 windings=2 buses=[src.1.0 m.1.src] conns=[wye wye] kvs=[12.7 1.27] "
        "kvas=[50 50]\n"
    ).replace("m.1.src", "m.1.0")
    line_to = line("by", "src", "m")
    network = load(booster + line_to + unit("t", "m", "a") + house("d", "a.1"))
    assert set(buses_of(network)) == {"t"}


@pytest.mark.parametrize("what", ["kw=nan", "kv=0"])
def test_a_load_that_ruins_the_models_own_bases_is_not_answered_with_missing_bases(load: Loaded, what: str) -> None:
    """The file does set its bases; telling the user to add them leads nowhere."""
    body = TWO + house("d", "b.1") + f"new load.bad bus1=b.1 phases=1 kv=.23 kw=1 {what}\n"
    assert "no voltage base" not in refusal(lambda: load(body))


# Frequency


def test_the_studys_frequency_is_pinned_at_every_load(load: Loaded) -> None:
    body = TWO + house("d", "b.1")
    answers = [load(body, frequency_hz=hertz) for hertz in (60.0, 50.0, 60.0, 50.0)]
    assert [network.frequency_hz for network in answers] == [60.0, 50.0, 60.0, 50.0]
    hashes = [network.origin.content_hash for network in answers if network.origin]
    assert hashes[0] == hashes[2] != hashes[1] == hashes[3]
    assert not any("frequency-of-file" in codes(network) for network in answers)


def test_a_frequency_that_the_file_sets_wins_with_a_finding(load: Loaded) -> None:
    head = HEAD.replace("clear\n", "clear\nset defaultbasefrequency=60\n")
    network = load(TWO + house("d", "b.1"), head=head, frequency_hz=50.0)
    assert network.frequency_hz == 60.0
    message = finding(network, "frequency-of-file").message
    assert "60 Hz" in message
    assert "50 Hz" in message
    # It does not leak into the next load.
    assert load(TWO + house("d", "b.1"), frequency_hz=50.0).frequency_hz == 50.0


# Ratings of lines

CODES = """new linecode.both nphases=3 r1=.3 x1=.1 normamps=250 emergamps=300
new linecode.norm nphases=3 r1=.3 x1=.1 normamps=250
new linecode.silent nphases=3 r1=.3 x1=.1
new linecode.zero nphases=3 r1=.3 x1=.1 normamps=0
new linecode.typed nphases=3 r1=.3 x1=.1 normamps=400
new wiredata.wire gmrac=.2 gmrunits=cm radius=.3 radunits=cm rac=.3 runits=km normamps=300
new wiredata.quiet gmrac=.2 gmrunits=cm radius=.3 radunits=cm rac=.3 runits=km
new linegeometry.wires nconds=3 nphases=3 cond=1 wire=wire x=0 h=9 units=m cond=2 wire=wire x=1 h=9 cond=3 wire=wire x=2 h=9
new linegeometry.own nconds=3 nphases=3 normamps=280 cond=1 wire=wire x=0 h=9 units=m cond=2 wire=wire x=1 h=9 cond=3 wire=wire x=2 h=9
new linegeometry.mute nconds=3 nphases=3 cond=1 wire=quiet x=0 h=9 units=m cond=2 wire=quiet x=1 h=9 cond=3 wire=quiet x=2 h=9
"""  # noqa: E501
NAN = math.nan
LINES = {
    "code states both": ("linecode=both", (250.0, 300.0)),
    "code states normal alone": ("linecode=norm", (250.0, 375.0)),
    "code is silent": ("linecode=silent", (NAN, NAN)),
    "code states 0": ("linecode=zero", (NAN, NAN)),
    "code states 400": ("linecode=typed", (400.0, 600.0)),
    "own amps beside a silent code": ("linecode=silent normamps=180", (180.0, 270.0)),
    "own amps that differ from the code": ("linecode=both normamps=180 emergamps=190", (180.0, 190.0)),
    "own 400 beside a silent code": ("linecode=silent normamps=400", (NAN, NAN)),
    "own amps, no code": ("r1=.3 x1=.1 normamps=400", (400.0, 600.0)),
    "own emergency beside": ("r1=.3 x1=.1 normamps=120 emergamps=130", (120.0, 130.0)),
    "nothing, no code": ("r1=.3 x1=.1", (NAN, NAN)),
    "code dropped by switch": ("linecode=norm switch=y", (250.0, 375.0)),
    "geometry of rated wires": ("geometry=wires", (300.0, 450.0)),
    "geometry with its own amps": ("geometry=own", (280.0, 420.0)),
    "geometry of silent wires": ("geometry=mute", (NAN, NAN)),
}


@pytest.fixture(scope="module")
def rated(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Network]:
    """One model with every kind of line, read with given options."""
    master = tmp_path_factory.mktemp("rated") / "master.dss"
    lines = "".join(
        f"new line.l{place} bus1=a bus2=b{place} length=.1 units=km {definition}\n"
        for place, (definition, _) in enumerate(LINES.values())
    )
    copies = "new line.copy like=l1 bus1=a bus2=c\n"
    body = HEAD + CODES + unit("t", "src", "a") + lines + copies + house("d", "b0.1") + BASES
    master.write_text(body, encoding="utf-8")

    def read(**options: Any) -> Network:
        config = OpenDssConfig(master=master, frequency_hz=50.0, **options)
        return OpenDssSource(config=config).load("f")

    return read


@pytest.mark.parametrize("name", list(LINES))
def test_a_line_rating_counts_as_the_model_states_it(rated: Callable[..., Network], name: str) -> None:
    place = list(LINES).index(name)
    for pair in ratings(rated(), f"l{place}"):
        assert pair == pytest.approx(LINES[name][1], nan_ok=True)


def test_a_copied_line_is_judged_by_its_amps(rated: Callable[..., Network]) -> None:
    assert ratings(rated(), "copy") == [(250.0, 375.0)] * 2


def test_unstated_ratings_are_counted(rated: Callable[..., Network]) -> None:
    network = rated()
    silent = sum(math.isnan(amps[0]) for _, amps in LINES.values())
    assert finding(network, "unrated-lines").count == silent
    assert f"{silent} of {len(LINES) + 1} lines" in finding(network, "unrated-lines").message
    stated_both = ("code states both", "own amps that differ from the code", "own emergency beside")
    assert finding(network, "emergency-ratings-derived").count == len(LINES) + 1 - silent - len(stated_both)


def test_the_emergency_factor_is_the_studys(rated: Callable[..., Network]) -> None:
    network = rated(emergency_factor=2.0)
    assert ratings(network, "l1") == [(250.0, 500.0)] * 2
    assert ratings(network, "l0") == [(250.0, 300.0)] * 2


def test_the_engines_defaults_are_taken_where_the_study_says_so(rated: Callable[..., Network]) -> None:
    network = rated(unrated="engine-default")
    assert ratings(network, "l2") == [(400.0, 600.0)] * 2
    assert "unrated-lines" not in codes(network)


def test_the_engines_defaults_do_not_replace_a_derived_emergency_rating(rated: Callable[..., Network]) -> None:
    """`unrated` is about lines without a normal rating; 600 A is no emergency rating of a line of 250 A."""
    assert ratings(rated(unrated="engine-default"), "l1") == [(250.0, 375.0)] * 2


def test_a_line_with_an_emergency_rating_alone_is_unrated(load: Loaded) -> None:
    code = "new linecode.odd nphases=3 r1=.3 x1=.1 emergamps=500\n"
    network = load(
        code + unit("t", "src", "a") + "new line.l bus1=a bus2=b linecode=odd length=.1\n" + house("d", "b.1")
    )
    assert finding(network, "unrated-lines").element == "l"
    for pair in ratings(network, "l"):
        assert pair == pytest.approx((NAN, NAN), nan_ok=True)  # left out of thermal limits, of either basis


# Ratings of windings


@pytest.mark.parametrize(
    ("transformer", "normal"),
    [
        (unit("t", "src", "a"), [100 / (SQRT3 * 22), 100 / (SQRT3 * 0.4)]),
        (one_phase_unit("t", "src.1", "a.1"), [25 / 12.7, 25 / 0.23]),
        (
            "new transformer.t phases=2 windings=2 buses=[src.1.2 a.1.2] kvs=[22 .4] kvas=[50 50] xhl=4\n",
            [25 / (22 / SQRT3), 25 / (0.4 / SQRT3)],
        ),
        (split_phase("t", "src.1.2", "a"), [50 / 22, 25 / 0.24, 25 / 0.24]),
        (
            "new transformer.t phases=3 windings=3 buses=[src a b] conns=[delta wye wye] kvs=[22 .4 .4] "
            "kvas=[100 60 40] xhl=4 xht=4 xlt=4\n",
            [100 / (SQRT3 * 22), 60 / (SQRT3 * 0.4), 40 / (SQRT3 * 0.4)],
        ),
    ],
    ids=["3 phases", "1 phase", "2 phases", "centre-tapped", "3 windings"],
)
@pytest.mark.parametrize(("rating", "factor"), [("nameplate", 1.0), ("engine", 1.1)])
def test_windings_are_rated_by_hand_arithmetic(
    load: Loaded, transformer: str, normal: list[float], rating: str, factor: float
) -> None:
    network = load(transformer + house("d", "a.1"), transformer_rating=rating)
    expected = [(amps * factor, amps * 1.5) for amps in normal]
    for found, due in zip(ratings(network, "t"), expected, strict=True):
        assert found == pytest.approx(due, rel=1e-6)


def test_stated_normal_and_emergency_kva_set_the_ratios(load: Loaded) -> None:
    body = unit("t", "src", "a", "normhkva=120 emerghkva=130") + house("d", "a.1")
    rated_a = 100 / (SQRT3 * 0.4)
    assert ratings(load(body), "t")[1] == pytest.approx((rated_a, 1.3 * rated_a))
    assert ratings(load(body, transformer_rating="engine"), "t")[1] == pytest.approx((1.2 * rated_a, 1.3 * rated_a))


# Injectors as modelled


def test_injectors_carry_the_snapshot_with_its_multipliers(load: Loaded) -> None:
    body = TWO + (
        house("plain", "b.1", "phases=1 kv=.23 kw=4 kvar=1")
        + house("fixed", "b.2", "phases=1 kv=.23 kw=4 kvar=1 status=fixed")
        + house("exempt", "b.2", "phases=1 kv=.23 kw=4 kvar=1 status=exempt")
        + house("pv", "b.3", "phases=1 kv=.23 kw=-6 kvar=2")
        + "new loadshape.day npts=2 interval=1 mult=[.1 .2]\n"
        + house("shaped", "b.3", "phases=1 kv=.23 kw=4 kvar=1 daily=day yearly=day")
    )
    injectors = load(body, BASES + "set loadmult=.5\n").injectors
    rows = {
        str(n): (float(a), float(b), float(c), float(d))
        for n, a, b, c, d in zip(
            injectors.name,
            injectors.load_kw,
            injectors.load_kvar,
            injectors.generation_kw,
            injectors.generation_kvar,
            strict=True,
        )
    }
    assert rows == {
        "plain": (2.0, 0.5, 0.0, 0.0),
        "fixed": (4.0, 1.0, 0.0, 0.0),
        "exempt": (4.0, 1.0, 0.0, 0.0),
        "pv": (0.0, 0.0, 3.0, 1.0),
        "shaped": (2.0, 0.5, 0.0, 0.0),
    }


def test_a_model_of_a_later_year_is_refused_because_the_engine_would_grow_every_load(load: Loaded) -> None:
    """`set year` raises variable and fixed loads, and so growth steps, by (1 + %growth)^year."""
    body, later = TWO + house("d", "b.1", "phases=1 kv=.23 kw=4"), BASES + "set year=2 %growth=10\n"
    message = refusal(lambda: load(body, later))
    assert "year=2" in message
    assert 'commands = ["set year=0"]' in message
    assert load(body, later, commands=("set year=0",)).injectors.load_kw[0] == pytest.approx(4.0)


def test_a_daily_model_is_read_as_a_snapshot(load: Loaded) -> None:
    shape = "new loadshape.day npts=2 interval=1 mult=[.1 .2]\n"
    body = shape + TWO + house("d", "b.1", "phases=1 kv=.23 kw=4 daily=day")
    assert load(body, BASES + "set mode=daily number=2\nsolve\n").injectors.load_kw[0] == 4.0


# The process around it


def test_loading_and_freezing_leave_the_process_and_other_circuits_alone(
    source: Sourced, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, other = Path.cwd(), opendssdirect.dss.NewContext()
    os.chdir(folder)
    other.Basic.AllowChangeDir(True)  # one switch of the whole process, which other tests turn
    for command in ("clear", "new circuit.mine basekv=11 bus1=s", "new line.l bus1=s bus2=e", "solve"):
        other.Text.Command(command)
    voltages, frequency = other.Circuit.AllBusVolts(), other.Solution.Frequency()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    made = source(TWO + house("d", "b.1"))
    network = made.load("f")
    point = AsModelled().operating_point(network, _scope())
    with made.freeze(network, point) as frozen:
        assert Path.cwd() == elsewhere
        frozen.engine()
    broken = source(TWO + "redirect nowhere.dss\n")
    refusal(lambda: broken.load("f"))
    assert Path.cwd() == elsewhere
    assert not os.listdir(elsewhere)
    assert other.Circuit.Name() == "mine"
    assert other.Circuit.AllBusVolts() == voltages
    assert other.Solution.Frequency() == frequency
    assert other.Basic.AllowChangeDir()


ELSEWHERE = """
import os, sys
from pathlib import Path
import opendssdirect  # notes the folder that it is imported in
from hostcap.operating_point import FeederScope
from hostcap_stock.initial_states import ZeroLoad
from hostcap_stock.opendss.config import OpenDssConfig
from hostcap_stock.opendss.source import OpenDssSource
os.chdir(sys.argv[2])
source = OpenDssSource(config=OpenDssConfig(master=Path(sys.argv[1]), frequency_hz=50.0))
network = source.load("f")
print(Path.cwd())
point = ZeroLoad().operating_point(network, FeederScope(feeder="f", year=2025))
with source.freeze(network, point), source.freeze(network, point):
    print(Path.cwd())
"""


def test_the_first_engine_of_a_process_does_not_move_it_either(source: Sourced, tmp_path: Path) -> None:
    """A new engine context goes back to the folder in which the engine's library was imported."""
    master = source(TWO + house("d", "b.1")).config.master
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    command = [sys.executable, "-c", ELSEWHERE, str(master), str(elsewhere)]
    shown = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path).stdout
    assert shown.split() == [str(elsewhere)] * 2


def _scope() -> Any:
    from hostcap.operating_point import FeederScope

    return FeederScope(feeder="f", year=2025)


def test_a_master_file_may_redirect_relative_to_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "a b" / "mod\u00e8le"
    (folder / "parts").mkdir(parents=True)
    (folder / "parts" / "net.dss").write_text(TWO + "redirect houses.dss\n", encoding="utf-8")
    (folder / "parts" / "houses.dss").write_text(house("d", "b.1"), encoding="utf-8")
    (folder / "master.dss").write_text(HEAD + "redirect parts/net.dss\n" + BASES, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    config = OpenDssConfig(master=folder / "master.dss", frequency_hz=50.0)
    assert customers_of(OpenDssSource(config=config).load("f")) == {"d": ["d"]}


def test_the_feeders_name_is_put_into_the_path(tmp_path: Path) -> None:
    (tmp_path / "north").mkdir()
    (tmp_path / "north" / "m.dss").write_text(HEAD + TWO + house("d", "b.1") + BASES, encoding="utf-8")
    config = OpenDssConfig(master=tmp_path / "{feeder}" / "m.dss", frequency_hz=50.0)
    assert OpenDssSource(config=config).load("north").feeder == "north"
    assert "no file" in refusal(lambda: OpenDssSource(config=config).load("south"))


@pytest.mark.parametrize(
    ("body", "fragments"),
    [
        ("new foo.x\n", ["master.dss", '"foo" not found', "line: 7"]),
        ("new line.x bsu1=a\n", ["master.dss", '"bsu1"', "line: 7"]),
        ("redirect nowhere.dss\n", ["nowhere.dss", "line: 7"]),
        ("new autotrans.x phases=3 windings=2 buses=[a z]\n", ["autotrans.x", "not supported"]),
    ],
)
def test_a_mistake_in_the_model_is_told_with_file_and_line(load: Loaded, body: str, fragments: list[str]) -> None:
    message = refusal(lambda: load(TWO + house("d", "b.1") + "! seven\n" + body))
    assert all(fragment in message for fragment in fragments), message


@pytest.mark.parametrize("content", ["", "clear\n", "! nothing\n"])
def test_a_model_without_a_circuit_is_refused(tmp_path: Path, content: str) -> None:
    master = tmp_path / "m.dss"
    master.write_text(content, encoding="utf-8")
    config = OpenDssConfig(master=master, frequency_hz=50.0)
    assert "defines no circuit" in refusal(lambda: OpenDssSource(config=config).load("f"))


def test_extra_commands_run_after_the_bases_and_are_listed(load: Loaded) -> None:
    commands = ("edit load.d kw=7", "set loadmult=2")
    network = load(TWO + house("d", "b.1"), NO_BASES, voltage_bases_kv=(22.0, 0.4), commands=commands)
    assert network.injectors.load_kw[0] == 14.0
    assert finding(network, "engine-commands").count == 2
    assert "'bogus'" in refusal(lambda: load(TWO + house("d", "b.1"), commands=("bogus",)))


# Identity of networks


def test_networks_and_sources_are_picklable(source: Sourced) -> None:
    made = source(TWO + house("d", "b.1"))
    network = made.load("f")
    assert network.node_lv.size == network.nodes.bus.size  # cached views do not spoil it
    again = pickle.loads(pickle.dumps(network))
    assert again == network
    assert hash(again) == hash(network)
    assert again.origin == network.origin
    assert pickle.loads(pickle.dumps(made)) == made
    assert again.origin.source.load("f") == network


def test_a_network_is_equal_by_content(load: Loaded) -> None:
    body = TWO + house("d", "b.1")
    assert load(body) == load(body)
    assert load(body) != load(body.replace("r1=.3", "r1=.3 normamps=100"))
    assert load(body) != "a network"


def test_networks_with_customer_columns_compare(load: Loaded, table: Callable[[str | bytes], Path]) -> None:
    rows = "customer,element,pv_kw\nhouse 7,leg1,3.5\nhouse 7,leg2,3.5\nnew,d,1\n"
    first = load(LEGS, customers=table(rows))
    assert load(LEGS, customers=table(rows)) == first
    assert pickle.loads(pickle.dumps(first)) == first
    assert load(LEGS, customers=table(rows.replace("new,d,1", "new,d,2"))) != first


def test_the_content_hash_is_equal_on_reload_and_changes_with_what_is_read(
    source: Sourced, table: Callable[[str | bytes], Path], tmp_path: Path
) -> None:
    """The model sits in a file that the master redirects to: what counts is what was loaded."""
    inner = tmp_path / "inner.dss"
    rows = table("customer,element\nx,d\n")
    body = (
        "new linecode.lc nphases=3 r1=.3 x1=.1 normamps=250\n"
        + TWO
        + "new line.c bus1=b bus2=c linecode=lc length=.1\n"
        + house("d", "c.1", "phases=1 kv=.23 kw=2 vminpu=.9")
        + "new generator.g bus1=c.2 phases=1 kv=.23 kw=1\n"
        + "new transformer.reg phases=3 windings=2 buses=[src m] kvs=[22 22] kvas=[900 900]\n"
        + "new regcontrol.rc transformer=reg winding=2 vreg=120 ptratio=105.8\n"
    )
    made = source("redirect inner.dss\n", customers=rows)

    def content(text: str) -> str:
        inner.write_text(text, encoding="utf-8")
        origin = made.load("f").origin
        assert origin is not None
        return origin.content_hash

    first = content(body)
    assert content(body) == first
    assert content(body + "! a remark changes nothing\n") == first
    changed = {
        "impedance": body.replace("r1=.3 x1=.1 r0", "r1=.31 x1=.1 r0"),
        "rating": body.replace("normamps=250", "normamps=251"),
        "load": body.replace("kw=2 vminpu", "kw=2.5 vminpu"),
        "law": body.replace("vminpu=.9", "vminpu=.91"),
        "generator": body.replace("kv=.23 kw=1\n", "kv=.23 kw=1.5\n"),
        "generator's law": body.replace("kv=.23 kw=1\n", "kv=.23 kw=1 vmaxpu=1.3\n"),
        "control": body.replace("vreg=120", "vreg=121"),
        "kva": body.replace("kvas=[100 100]", "kvas=[101 101]"),
    }
    hashes = {what: content(text) for what, text in changed.items()}
    assert first not in hashes.values(), [what for what, found in hashes.items() if found == first]
    assert len(set(hashes.values())) == len(hashes)
    rows.write_text("customer,element\ny,d\n", encoding="utf-8")
    assert content(body) != first
