"""Buses, branches and voltages that pictures are drawn from, against the engine itself and against other tables."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import opendssdirect
import pytest
from hypothesis import given
from hypothesis import strategies as st
from studying import Case

from hostcap.running import run
from hostcap.tables import Results
from hostcap.topology import distances
from hostcap.work_package import WorkPackage

PHASES = {1: "A", 2: "B", 3: "C"}


@pytest.fixture(scope="module")
def results(demo_folder: Path) -> Results:
    return run(WorkPackage.read(demo_folder / "demo.toml"))


@pytest.fixture
def engine(demo_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The demo on an engine of its own, by bare calls."""
    monkeypatch.chdir(demo_folder)  # compiling changes the folder of the process; this puts it back
    dss = opendssdirect.NewContext()
    dss.Text.Command(f'compile "{demo_folder / "feeder" / "Master.dss"}"')
    yield dss
    dss.Basic.ClearAll()


def by(results: Results, table: str, *keys: str) -> dict[tuple[Any, ...], dict[str, Any]]:
    return {tuple(row[key] for key in keys): row for row in results[table].rows()}


def test_distances_are_those_of_the_engines_own_meter(results: Results, engine: Any) -> None:
    """An energy meter at the first line makes the engine measure the way to every bus below, in km."""
    engine.Text.Command("new energymeter.m element=line.mv_breaker terminal=1")
    engine.Text.Command("solve")
    compared = 0
    for (bus,), row in by(results, "feeder_buses", "bus").items():
        engine.Circuit.SetActiveBus(bus)
        assert row["distance_km"] == pytest.approx(engine.Bus.Distance(), abs=1e-6), bus
        compared += 1
    assert compared == engine.Circuit.NumBuses()
    assert by(results, "feeder_buses", "bus")["mv2",]["distance_km"] == pytest.approx(0.01 + 0.5 + 0.5)


def test_coordinates_are_those_of_the_models_file(results: Results, demo_folder: Path) -> None:
    with (demo_folder / "feeder" / "BusCoords.csv").open(encoding="utf-8") as file:
        listed = {name.strip(): (float(x), float(y)) for name, x, y in csv.reader(file)}
    found = {row["bus"]: (row["x"], row["y"]) for row in results["feeder_buses"].rows()}
    assert found == listed


def test_branches_join_the_buses_that_the_engine_names(results: Results, engine: Any) -> None:
    expected = {}
    for name in engine.Circuit.AllElementNames():
        kind, _, own = name.partition(".")
        if kind in ("Line", "Transformer"):
            engine.Circuit.SetActiveElement(name)
            buses = [bus.partition(".")[0] for bus in engine.CktElement.BusNames()]
            expected |= {(kind, own, terminal): (buses[0], bus) for terminal, bus in enumerate(buses[1:], start=2)}
    keys = ("conducting_equipment_type", "conducting_equipment_mrid", "terminal_sequence_number")
    found = {k: (r["from_bus"], r["to_bus"]) for k, r in by(results, "feeder_branches", *keys).items()}
    assert found == expected


def test_start_voltages_are_those_of_a_bare_solve(results: Results, engine: Any) -> None:
    """demo.toml starts at zero load: everything that draws or feeds in is switched off by bare commands."""
    for kind in ("load", "pvsystem"):
        engine.Text.Command(f"batchedit {kind}..* enabled=no")
    engine.Text.Command("solve")
    found = by(results, "node_voltages", "bus", "phase")
    compared = 0
    for bus in engine.Circuit.AllBusNames():
        engine.Circuit.SetActiveBus(bus)
        volts = np.asarray(engine.Bus.Voltages()).view(complex)
        at = dict(zip(engine.Bus.Nodes(), volts, strict=True))
        for number in set(at) & set(PHASES):
            expected = abs(at[number] - at.get(4, 0.0))
            assert found[bus, PHASES[number]]["start_v"] == pytest.approx(expected, rel=2e-5), (bus, number)
            compared += 1
    assert compared == len(found)


def test_stop_voltages_are_those_that_stopped_the_groups(results: Results) -> None:
    """At a customer's bus the voltages of its allocation; at a bus that binds the violating value and its limit."""
    nodes = by(results, "node_voltages", "bus", "phase")
    binding = [r for r in results["constraint_violations"].rows() if r["binding"] and r["unit"] == "V"]
    assert binding
    for row in binding:
        node = nodes[row["conducting_equipment_mrid"], row["phase"]]
        assert node["stop_v"] == pytest.approx(row["violating_value"], rel=1e-12)
        assert (node["max_v"] if row["metric"] == "voltage-high" else node["min_v"]) == row["constraint_limit"]
    highest: dict[str, float] = {}
    for row in nodes.values():
        if row["capacity_group_head_id"]:
            highest[row["capacity_group_head_id"]] = max(highest.get(row["capacity_group_head_id"], 0.0), row["stop_v"])
    for row in results["customer_allocations"].rows():
        assert row["customer_v_max_v"] <= highest[row["capacity_group_head_id"]] + 1e-9


def test_limits_of_each_level_are_volts_to_neutral(results: Results) -> None:
    buses = by(results, "feeder_buses", "bus")
    for row in results["node_voltages"].rows():
        level = buses[row["bus"],]["voltage_level"]
        expected = (216.0, 253.0) if level == "LV" else (0.94 * row["nominal_v"], 1.06 * row["nominal_v"])
        assert (row["min_v"], row["max_v"]) == pytest.approx(expected, rel=1e-12)


def test_where_no_voltage_is_watched_there_are_no_limits(demo_folder: Path) -> None:
    overrides = ['constraints=[{plugin="thermal"}]', "study.max_steps=3"]
    nodes = run(WorkPackage.read(demo_folder / "demo.toml", overrides=overrides))["node_voltages"]
    assert len(nodes)
    assert np.all(np.isnan(nodes["min_v"])) and np.all(np.isnan(nodes["max_v"]))
    assert np.all(nodes["stop_v"] > 0)


@given(
    st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7), st.sampled_from([0.0, 0.5, 1.0, 2.25])), max_size=16),
    st.lists(st.integers(0, 7), max_size=2),
)
def test_distances_are_the_least_over_all_ways(edges: list[tuple[int, int, float]], sources: list[int]) -> None:
    """Against Bellman-Ford, written out: parallel edges, loops and edges of length 0 included."""
    expected = [0.0 if vertex in sources else np.inf for vertex in range(8)]
    for _ in range(8):
        for a, b, km in edges:
            expected[a], expected[b] = min(expected[a], expected[b] + km), min(expected[b], expected[a] + km)
    ends = np.asarray([e[:2] for e in edges], dtype=np.int32).reshape(-1, 2)
    lengths = np.asarray([e[2] for e in edges])
    found = distances(8, ends[:, 0], ends[:, 1], lengths, np.asarray(sources, dtype=np.int32))
    assert found == pytest.approx(expected, abs=1e-8)


MODEL = """clear
new circuit.c basekv=11 bus1=s
new line.a bus1=s bus2=h phases=3 r1=.1 x1=.1 length=1.5 units=mi
new reactor.r bus1=h bus2=i phases=3 r=.01 x=.01
new transformer.t phases=3 windings=2 buses=[i l] conns=[delta wye] kvs=[11 .4] kvas=[100 100]
new line.b bus1=l bus2=m phases=3 r1=.1 x1=.1 length=200 {unit}
new line.c bus1=m bus2=n phases=3 r1=.1 x1=.1 length=100 units=ft
new line.sw bus1=n bus2=o phases=3 switch=yes
new line.open bus1=l bus2=o phases=3 r1=.1 x1=.1 length=1 units=m
open line.open 1
new load.x bus1=o phases=3 kv=.4 kw=3
"""


@pytest.mark.parametrize(("unit", "metres"), [("units=m", 200.0), ("units=km", 2e5), ("units=kft", 60960.0), ("", 0.0)])
def test_units_of_lengths_and_what_has_none(unit: str, metres: float, tmp_path: Path) -> None:
    (tmp_path / "m.dss").write_text(MODEL.format(unit=unit), encoding="utf-8")
    case = Case(
        master=tmp_path / "m.dss",
        frequency_hz=50.0,
        voltage_bases_kv=(11.0, 0.4),
        initial="as-modelled",
        direction="export",
        step_kw=1.0,
        max_steps=1,
    )
    results = case.run()
    km = {bus: row["distance_km"] for (bus,), row in by(results, "feeder_buses", "bus").items()}
    mile = 1.5 * 1.609344
    expected = {"s": 0, "h": mile, "i": mile, "l": mile, "m": mile + metres / 1e3}
    expected |= {"n": expected["m"] + 0.03048, "o": expected["m"] + 0.03048}
    assert km == pytest.approx(expected, abs=1e-9)
    noted = [r for r in results["findings"].rows() if r["code"] == "line-lengths-without-unit"]
    assert [(r["element"], r["count"]) for r in noted] == ([] if unit else [("b", 1)])
