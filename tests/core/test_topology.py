"""Live nodes, coils and capacity groups, on small graphs drawn in the tests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hostcap.topology import (
    CapacityGroups,
    FeedingTransformer,
    capacity_groups,
    coil_nodes,
    components,
    live_nodes,
)

Pairs = Sequence[tuple[int, int]]


def ends(pairs: Pairs) -> tuple[np.ndarray, np.ndarray]:
    table = np.array(pairs, dtype=np.int32).reshape(-1, 2)
    return table[:, 0], table[:, 1]


def partition(labels: Sequence[int]) -> set[frozenset[int]]:
    """Which vertices share a label."""
    members: dict[int, set[int]] = {}
    for vertex, label in enumerate(labels):
        members.setdefault(int(label), set()).add(vertex)
    return {frozenset(m) for m in members.values()}


# --- components and live nodes -------------------------------------------------------------------------------------


def test_vertices_joined_by_edges_share_a_component() -> None:
    label = components(6, *ends([(0, 1), (2, 1), (3, 4)]))
    assert partition(label) == {frozenset({0, 1, 2}), frozenset({3, 4}), frozenset({5})}


def test_ground_joins_nothing() -> None:
    assert partition(components(3, *ends([(0, -1), (-1, 1), (2, -1)]))) == {frozenset({v}) for v in range(3)}


def test_a_graph_without_edges_or_vertices_has_components_too() -> None:
    assert components(0, *ends([])).tolist() == []
    assert len(set(components(3, *ends([])).tolist())) == 3


def test_nodes_are_live_where_conductors_or_coils_lead_to_a_source() -> None:
    # 0, 1, 2 are the source's phases; 0-3, 1-4 a line of two phases, 2-5 open; 3-6 a coil to the secondary; 7-8 an
    # island; 9 a neutral that only ground holds.
    joined = [(0, 3), (1, 4), (3, 6), (7, 8), (9, -1)]
    live = live_nodes(10, *ends(joined), np.array([0, 1, 2, -1], dtype=np.int32))
    assert np.flatnonzero(live).tolist() == [0, 1, 2, 3, 4, 6]


def test_without_a_source_nothing_is_live() -> None:
    assert not live_nodes(3, *ends([(0, 1)]), np.array([], dtype=np.int32)).any()
    assert not live_nodes(3, *ends([(0, 1)]), np.array([-1], dtype=np.int32)).any()


# --- coils ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("conductors", "phases", "delta", "coils"),
    [
        # Wye: between a phase and the neutral, the conductor behind the phases; ground where it is -1.
        ([10, 11, 12, -1], 3, False, [(10, -1), (11, -1), (12, -1)]),
        ([10, 11, 12, 13], 3, False, [(10, 13), (11, 13), (12, 13)]),
        ([10, 11, -1], 2, False, [(10, -1), (11, -1)]),
        ([10, -1], 1, False, [(10, -1)]),
        ([10, 14], 1, False, [(10, 14)]),
        # One phase between two phases of a bus, as wye: bus.1.2.
        ([10, 11], 1, False, [(10, 11)]),
        # One half of a centre-tapped winding that runs from ground to the second leg: bus.0.2.
        ([-1, 11], 1, False, [(-1, 11)]),
        # A winding without a neutral conductor stands on ground.
        ([10], 1, False, [(10, -1)]),
        # Delta: around the triangle, and open for one and two phases.
        ([10, 11, 12], 3, True, [(10, 11), (11, 12), (12, 10)]),
        ([10, 11, 12], 2, True, [(10, 11), (11, 12)]),
        ([10, 11], 1, True, [(10, 11)]),
    ],
)
def test_a_coil_lies_between_its_two_conductors(
    conductors: list[int], phases: int, delta: bool, coils: list[tuple[int, int]]
) -> None:
    assert coil_nodes(np.array(conductors, dtype=np.int32), phases=phases, delta=delta) == coils


# --- capacity groups -----------------------------------------------------------------------------------------------


def transformer(name: str, *lv: tuple[int, int]) -> FeedingTransformer:
    """A distribution transformer by its LV windings: (bus, number of the winding)."""
    return FeedingTransformer(name=name, lv_buses=tuple(b for b, _ in lv), lv_windings=tuple(w for _, w in lv))


def groups(
    lv: str, branches: Pairs, transformers: list[FeedingTransformer], *, wanted: str | None = None
) -> CapacityGroups:
    """``lv``: a letter a bus, ``l`` LV or ``h`` HV; ``wanted``: the same with ``w``, all LV buses if left out."""
    left, right = ends(branches)
    return capacity_groups(
        lv=np.array([letter == "l" for letter in lv]),
        left=left,
        right=right,
        transformers=transformers,
        source_name="source",
        wanted=np.array([letter == "w" for letter in (wanted or lv.replace("l", "w"))]),
    )


def test_each_transformer_heads_the_lv_island_below_it() -> None:
    # h0 - h1 on a HV line; t1: h0/l2, t2: h1/l4; LV lines 2-3 and 4-5.
    found = groups("hhllll", [(0, 1), (2, 3), (4, 5)], [transformer("t1", (2, 2)), transformer("t2", (4, 2))])
    assert found.ids == ("t1", "t2")
    assert found.bus_group.tolist() == [0, 0, 1, 1, 2, 2]
    assert found.head_types == ("distribution-transformer",) * 2
    assert found.terminals == (2, 2)
    assert found.transformer_group.tolist() == [1, 2]
    assert found.transformer_counts == (1, 1)


def test_a_branch_between_an_hv_and_an_lv_bus_joins_no_islands() -> None:
    found = groups("hll", [(1, 0), (0, 2)], [transformer("t1", (1, 2)), transformer("t2", (2, 2))])
    assert found.bus_group.tolist() == [0, 1, 2]


def test_three_one_phase_transformers_on_one_lv_bus_are_one_group_named_by_all() -> None:
    # The bank's letters are out of order in the model; ids are sorted.
    bank = [transformer("tb", (1, 2)), transformer("tc", (1, 2)), transformer("ta", (1, 2))]
    found = groups("hll", [(1, 2)], bank)
    assert found.ids == ("ta+tb+tc",)
    assert found.bus_group.tolist() == [0, 1, 1]
    assert found.transformer_group.tolist() == [1, 1, 1]
    assert found.transformer_counts == (3,)


def test_two_islands_fed_by_one_three_winding_transformer_are_one_group() -> None:
    found = groups("hllll", [(1, 2), (3, 4)], [transformer("t", (1, 3), (3, 2))])
    assert found.ids == ("t",)
    assert found.bus_group.tolist() == [0, 1, 1, 1, 1]
    assert found.terminals == (2,)


def test_the_terminal_of_a_group_is_the_lowest_lv_winding_of_any_head() -> None:
    found = groups("hl", [], [transformer("tb", (1, 3)), transformer("ta", (1, 1))])
    assert found.terminals == (1,)


def test_a_transformer_between_lv_buses_joins_its_islands_and_heads_nothing() -> None:
    # The 400/230 V transformer 2-3 comes as a bus pair; only t is a distribution transformer.
    found = groups("hllll", [(1, 2), (2, 3), (3, 4)], [transformer("t", (1, 2))])
    assert found.ids == ("t",)
    assert found.bus_group.tolist() == [0, 1, 1, 1, 1]


def test_an_lv_tie_makes_one_group_of_two_transformers() -> None:
    found = groups("hlll", [(1, 2), (2, 3)], [transformer("t9", (1, 2)), transformer("t10", (3, 2))])
    assert found.ids == ("t10+t9",)


def test_lv_islands_below_no_transformer_form_one_group_headed_by_the_source_and_listed_last() -> None:
    found = groups("lllhl", [(0, 1)], [transformer("t", (4, 2))])
    assert found.ids == ("t", "source")
    assert found.head_types == ("distribution-transformer", "source")
    assert found.bus_group.tolist() == [2, 2, 2, 0, 1]
    assert found.transformer_counts == (1, 0)


def test_a_feeder_that_is_lv_throughout_is_one_group_of_the_source() -> None:
    found = groups("lll", [(0, 1), (1, 2)], [])
    assert (found.ids, found.bus_group.tolist(), found.transformer_group.tolist()) == (("source",), [1, 1, 1], [])


def test_dead_lv_buses_without_injectors_make_no_group_of_the_source() -> None:
    found = groups("hll", [], [transformer("t", (1, 2))], wanted=".w.")
    assert found.ids == ("t",)
    assert found.bus_group.tolist() == [0, 1, 0]


# --- laws ----------------------------------------------------------------------------------------------------------


@st.composite
def feeders(draw: st.DrawFn) -> tuple[str, list[tuple[int, int]], list[FeedingTransformer]]:
    size = draw(st.integers(2, 8))
    lv = "h" + "".join(draw(st.lists(st.sampled_from("hlll"), min_size=size - 1, max_size=size - 1)))
    bus = st.integers(0, size - 1)
    branches = draw(st.lists(st.tuples(bus, bus), max_size=6))
    low = [i for i, letter in enumerate(lv) if letter == "l"]
    transformers = []
    if low:
        windings = st.lists(st.sampled_from(low), min_size=1, max_size=2)
        for number, buses in enumerate(draw(st.lists(windings, max_size=4))):
            transformers.append(transformer(f"t{number}", *((b, w) for w, b in enumerate(buses, start=2))))
    return lv, branches, transformers


def by_name(found: CapacityGroups) -> dict[str, tuple[frozenset[int], str, int, int]]:
    """Each group by its id: buses, head, terminal, transformers."""
    return {
        name: (frozenset(np.flatnonzero(found.bus_group == number).tolist()), *about)
        for number, (name, *about) in enumerate(
            zip(found.ids, found.head_types, found.terminals, found.transformer_counts, strict=True), start=1
        )
    }


@settings(max_examples=80, deadline=None, derandomize=True)
@given(feeder=feeders(), order=st.randoms(use_true_random=False))
def test_groups_do_not_depend_on_the_order_of_branches_or_transformers(
    feeder: tuple[str, list[tuple[int, int]], list[FeedingTransformer]], order: Any
) -> None:
    lv, branches, transformers = feeder
    first = groups(lv, branches, transformers)
    mixed, turned = list(transformers), [pair[::-1] for pair in branches]
    order.shuffle(mixed)
    order.shuffle(turned)
    second = groups(lv, turned, mixed)
    assert by_name(first) == by_name(second)
    of = {t.name: second.ids[g - 1] for t, g in zip(mixed, second.transformer_group, strict=True)}
    assert of == {t.name: first.ids[g - 1] for t, g in zip(transformers, first.transformer_group, strict=True)}


@settings(max_examples=80, deadline=None, derandomize=True)
@given(feeder=feeders())
def test_groups_are_what_flooding_from_each_bus_finds(
    feeder: tuple[str, list[tuple[int, int]], list[FeedingTransformer]],
) -> None:
    lv, branches, transformers = feeder
    found = groups(lv, branches, transformers)
    joined = [(a, b) for a, b in branches if lv[a] == lv[b] == "l"]
    joined += [(t.lv_buses[0], b) for t in transformers for b in t.lv_buses]
    for bus, letter in enumerate(lv):
        if letter == "h":
            assert found.bus_group[bus] == 0
            continue
        reached, before = {bus}, set()
        while reached != before:
            before = set(reached)
            reached |= {b for a, b in joined if a in reached} | {a for a, b in joined if b in reached}
        heads = sorted(t.name for t in transformers if t.lv_buses[0] in reached)
        assert found.ids[found.bus_group[bus] - 1] == ("+".join(heads) or "source")
