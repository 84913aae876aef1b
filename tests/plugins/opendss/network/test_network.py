"""What the OpenDSS source makes of a model: live nodes, neutrals, bases and frequency (section 1 of the method)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from circuits import (
    BASES,
    HEAD,
    NO_BASES,
    TWO,
    Loaded,
    buses_of,
    codes,
    conductors,
    finding,
    house,
    line,
    refusal,
    split_phase,
    unit,
)

from hostcap.network import Network


def nodes_where(network: Network, chosen: Any) -> set[str]:
    return set(network.node_names(np.flatnonzero(chosen)))


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
