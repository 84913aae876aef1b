"""HV locations on small networks drawn in the tests."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostcap.growth import UnitInjection, location_growth
from hostcap.hv_locations import DTX_HV_TERMINAL, LINE_TEE, LOCATION_KINDS, SWITCH_UPSTREAM_TERMINAL, phase_codes
from hostcap.hv_locations import location_sites as sites
from hostcap.network import Network
from hostcap.testing import SmallNetwork

LV = (0.4, (1, 2, 3, 4))


def rows(network: Network) -> list[tuple[str, str, int, str, str]]:
    """Kind, equipment, terminal, bus and live phases of every location."""
    found = network.hv_locations
    where = (found.kind, found.name, found.terminal.tolist(), network.buses.name[found.bus])
    return list(zip(*where, phase_codes(found, network.nodes), strict=True))


def of_kind(network: Network, kind: str) -> list[tuple[str, int, str, str]]:
    return [row[1:] for row in rows(network) if row[0] == kind]


def small() -> SmallNetwork:
    """source - a - b - c in 22 kV, all of three phases."""
    network = SmallNetwork().group("t").bus("source", 22.0).bus("a", 22.0).bus("b", 22.0).bus("c", 22.0)
    return network.line("l1", "source", "a").line("l2", "a", "b").line("l3", "b", "c")


# --- distribution transformers -------------------------------------------------------------------------------------


def test_each_hv_winding_of_each_distribution_transformer_is_a_location_with_the_phases_of_its_terminal() -> None:
    network = small().bus("lv", *LV, group=1).bus("leg", 0.4, (1, 2), group=1).bus("two", 11.0)
    network.transformer("t3", ("b", (1, 2, 3), 1.0, 1.0), ("lv", (1, 2, 3, 4), 1.0, 1.0), group=1)
    network.transformer("t2", ("c", (1, 3), 1.0, 1.0), ("lv", (1, 4), 1.0, 1.0), group=1)
    network.transformer("t1", ("c", (2, 0), 1.0, 1.0), ("leg", (1, 0), 1.0, 1.0), ("leg", (0, 2), 1.0, 1.0), group=1)
    network.transformer("t32", ("a", (1, 2, 3), 1.0, 1.0), ("two", (1, 2, 3), 1.0, 1.0), ("lv", (1, 2, 3), 1.0, 1.0))
    network.transformer("zone", ("a", (1, 2, 3), 1.0, 1.0), ("two", (1, 2, 3), 1.0, 1.0))
    network.transformer("lvlv", ("lv", (1, 2, 3), 1.0, 1.0), ("leg", (1, 2), 1.0, 1.0), group=1)
    assert of_kind(network.build(), DTX_HV_TERMINAL) == [
        ("t3", 1, "b", "ABC"),
        ("t2", 1, "c", "AC"),
        ("t1", 1, "c", "B"),
        ("t32", 1, "a", "ABC"),
        ("t32", 2, "two", "ABC"),
    ]


def test_a_neutral_of_an_hv_terminal_is_no_phase_of_the_location() -> None:
    network = SmallNetwork().group("t").bus("source", 22.0, (1, 2, 3, 4)).bus("lv", *LV, group=1)
    network.transformer("t", ("source", (1, 2, 3, 4), 1.0, 1.0), ("lv", (1, 2, 3, 4), 1.0, 1.0), group=1)
    assert of_kind(network.build(), DTX_HV_TERMINAL) == [("t", 1, "source", "ABC")]


# --- switches ------------------------------------------------------------------------------------------------------


def test_a_switch_is_asked_at_the_side_with_fewer_branches_to_the_source() -> None:
    network = small().line("towards", "c", "a", switch=True, closed=False).line("away", "a", "c", switch=True)
    network.line("first", "source", "b", switch=True)
    # away and first are closed: a is one branch from the source, b one, c two.
    assert of_kind(network.build(), SWITCH_UPSTREAM_TERMINAL) == [
        ("towards", 2, "a", "ABC"),
        ("away", 1, "a", "ABC"),
        ("first", 1, "source", "ABC"),
    ]


def test_sides_as_far_from_the_source_as_each_other_are_decided_by_terminal_1() -> None:
    network = SmallNetwork().bus("source", 22.0).bus("a", 22.0).bus("b", 22.0)
    network.line("l1", "source", "a").line("l2", "source", "b")
    network.line("tie", "b", "a", switch=True).line("other", "a", "b", switch=True, closed=False)
    assert of_kind(network.build(), SWITCH_UPSTREAM_TERMINAL) == [("tie", 1, "b", "ABC"), ("other", 1, "a", "ABC")]


def test_an_lv_switch_and_a_line_that_is_none_are_no_locations() -> None:
    network = small().bus("lv", *LV, group=1).bus("end", *LV, group=1)
    network.line("lv_switch", "lv", "end", (1, 2, 3, 4), switch=True, group=1)
    assert of_kind(network.build(), SWITCH_UPSTREAM_TERMINAL) == []


# --- tees ----------------------------------------------------------------------------------------------------------


def test_a_tee_has_three_neighbouring_hv_buses_and_parallel_lines_count_once() -> None:
    network = small().bus("d", 22.0).bus("e", 22.0, (1, 2)).bus("lv", *LV, group=1)
    network.line("l4", "b", "d").line("l5", "b", "d")  # b: a, c, d
    network.line("l6", "a", "e", (1, 2)).line("l7", "a", "e", (1, 2))  # a: source, b, e
    network.line("l8", "c", "d").line("service", "c", "lv")  # c: b, d; the LV bus is no neighbour
    assert of_kind(network.build(), LINE_TEE) == [("a", 0, "a", "ABC"), ("b", 0, "b", "ABC")]


def test_lines_and_transformers_at_the_bus_are_tied_to_a_location_and_its_own_equipment_is_not() -> None:
    network = small().bus("lv", *LV, group=1).bus("d", 22.0).line("l4", "b", "d")
    network.transformer("t", ("b", (1, 2, 3), 1.0, 1.0), ("lv", (1, 2, 3, 4), 1.0, 1.0), group=1)
    built = network.build()
    found = built.hv_locations
    tied = {
        (found.kind[i], found.name[i]): [built.equipment.name[e] for e in found.tied_to(i)] for i in range(len(found))
    }
    assert tied == {(DTX_HV_TERMINAL, "t"): ["l2", "l3", "l4"], (LINE_TEE, "b"): ["l2", "l3", "l4", "t"]}


# --- dead ones, sites, growth --------------------------------------------------------------------------------------


def test_a_dead_location_is_found_without_phases() -> None:
    network = small().bus("lost", 22.0, live=False).bus("lv", *LV, group=1)
    network.transformer("t", ("lost", (1, 2, 3), 1.0, 1.0), ("lv", (1, 2, 3, 4), 1.0, 1.0), group=1)
    found = network.build().hv_locations
    assert found.live.tolist() == [False]
    assert found.dead_phases.tolist() == ["ABC"]
    assert found.nodes(0).tolist() == []


def test_kinds_come_in_the_order_of_tables() -> None:
    network = small().bus("lv", *LV, group=1).bus("d", 22.0).line("s", "b", "d", switch=True)
    network.transformer("t", ("b", (1, 2, 3), 1.0, 1.0), ("lv", (1, 2, 3, 4), 1.0, 1.0), group=1)
    assert [row[0] for row in rows(network.build())] == list(LOCATION_KINDS)


def test_locations_of_equal_bus_and_phases_are_one_site() -> None:
    network = small().bus("lv", *LV, group=1).bus("d", 22.0).line("s", "b", "d", switch=True)
    for name, numbers in (("t1", (1, 2, 3)), ("t2", (1, 2)), ("t3", (2, 1))):
        network.transformer(name, ("b", numbers, 1.0, 1.0), ("lv", (1, 2, 3, 4), 1.0, 1.0), group=1)
    built = network.build()
    of_location, first = sites(built.hv_locations, np.arange(5, dtype=np.int32))
    assert [row[1] for row in rows(built)] == ["t1", "t2", "t3", "s", "b"]
    assert of_location.tolist() == [0, 1, 1, 0, 0]
    assert first.tolist() == [0, 1]


def test_growth_is_wye_to_ground_for_three_phases_between_two_and_to_ground_for_one() -> None:
    network = small().bus("lv", *LV, group=1)
    for name, numbers in (("three", (1, 2, 3)), ("two", (1, 3)), ("one", (2, 0))):
        network.transformer(name, ("c", numbers, 1.0, 1.0), ("lv", (1, 2, 3, 4), 1.0, 1.0), group=1)
    built = network.build()
    growth = location_growth(built, np.arange(3, dtype=np.int32), 50.0, UnitInjection(p_kw=1.0, q_kvar=-0.2))
    a, b, c = (np.flatnonzero((built.nodes.bus == 3) & (built.nodes.number == n))[0] for n in (1, 2, 3))
    assert growth.name.tolist() == ["c.1.2.3", "c.1.3", "c.2"]
    assert [growth.terminals(i).tolist() for i in range(3)] == [[a, b, c, -1], [a, c], [b, -1]]
    assert growth.phases.tolist() == [3, 1, 1]
    assert growth.delta.tolist() == [False, True, False]
    assert growth.kv.tolist() == pytest.approx([22.0, 22.0, 22.0 / math.sqrt(3.0)])
    assert growth.scope.tolist() == [0, 1, 2]
    assert growth.p_kw.tolist() == [50.0] * 3
    assert growth.q_kvar.tolist() == [-10.0] * 3


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)).filter(lambda e: e[0] != e[1]), max_size=12))
def test_tees_and_upstream_sides_are_those_of_a_plain_search_through_the_graph(edges: list[tuple[int, int]]) -> None:
    network = SmallNetwork()
    for bus in range(7):
        network.bus(str(bus), 22.0, (1,))
    for number, (a, b) in enumerate(edges):
        network.line(f"l{number}", str(a), str(b), (1,), switch=True)
    around: dict[int, set[int]] = {bus: set() for bus in range(7)}
    for a, b in edges:
        around[a].add(b)
        around[b].add(a)
    far, reached = {0: 0}, [0]
    for bus in reached:
        for other in sorted(around[bus] - set(far)):
            far[other] = far[bus] + 1
            reached.append(other)
    built = network.build()
    assert [int(row[0]) for row in of_kind(built, LINE_TEE)] == [b for b in range(7) if len(around[b]) >= 3]
    upstream = [int(row[2]) for row in of_kind(built, SWITCH_UPSTREAM_TERMINAL)]
    assert upstream == [b if far.get(b, 99) < far.get(a, 99) else a for a, b in edges]
