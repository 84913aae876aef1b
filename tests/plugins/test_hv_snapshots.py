"""Debug snapshots of HV locations: whole states of chosen ones, equal to bare engine solves of those states."""

from __future__ import annotations

import math
from collections import defaultdict
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest
from headroom_oracle import load
from hv_studying import HvCase, demo_case, real_hv_cases
from instants import RUN_ID, Day

from hostcap.config import structure_study
from hostcap.errors import ConfigError, StoppedError
from hostcap.plugins import default_registry
from hostcap.results_folder import read_results
from hostcap.running import check, run
from hostcap.tables import Results
from hostcap_stock.constraints.config import VoltageConfig
from hostcap_stock.constraints.voltage import Voltage
from hostcap_stock.headroom import HVNodeHeadroom
from hostcap_stock.opendss.config import OpenDssConfig
from hostcap_stock.opendss.source import OpenDssSource

DEBUG = ["debug_snapshots", "debug_nodes", "debug_conductors"]
LOCATION = ("location_type", "terminal_mrid", "conducting_equipment_mrid")


def snapshots(case: HvCase, **study: Any) -> Results:
    """A case with snapshots; all locations unless the study says otherwise."""
    return case.run(study={"debug_snapshots": True, "debug_snapshot_stops": 1000, **study})


def stops(found: Results) -> dict[Any, dict[str, dict[str, Any]]]:
    """Rows of ``debug_snapshots`` of each location by the name of the snapshot."""
    rows: dict[Any, dict[str, dict[str, Any]]] = defaultdict(dict)
    for row in found["debug_snapshots"].rows():
        rows[tuple(row[name] for name in ("headroom_direction", *LOCATION))][row["snapshot"]] = row
    return rows


def states(found: Results, name: str) -> dict[Any, list[dict[str, Any]]]:
    """Rows of whole states by direction, what has grown and step."""
    rows = defaultdict(list)
    for row in found[name].rows():
        rows[row["headroom_direction"], row["growth_at"], row["iteration"]].append(row)
    return rows


@pytest.mark.parametrize(
    "more", [{}, {"direction": "both"}, {"lv": (0.9, 1.05)}, {"lv": (None, None), "step_kw": 200.0}]
)
def test_every_location_has_its_start_last_valid_and_violating_state(more: dict[str, Any], demo_folder: Path) -> None:
    case = demo_case(demo_folder, **more)
    found = snapshots(case)
    kept, statuses = stops(found), set()
    for row in found["hv_node_headroom"].rows():
        own = kept.pop(tuple(row[name] for name in ("headroom_direction", *LOCATION)))
        steps = {name: other["iteration"] for name, other in own.items()}
        level = round(row["available_headroom_kw"] / case.step_kw)
        assert steps.pop("start") == 0
        if row["status"] == "bound":
            assert steps == {"last-valid": level, "violating": level + 1}
        else:
            assert steps == ({"violating": 0} if row["status"] == "bound_at_start" else {"last-valid": level})
        for other in own.values():
            assert other["status"] == row["status"]
            assert other["phase_code"] == row["phase_code"]
            assert other["timestamp"] == row["timestamp"]
            assert (other["growth_at"] == "start") == (other["iteration"] == 0)
        statuses.add(row["status"])
    assert not kept
    wanted = {(r["headroom_direction"], r["growth_at"], r["iteration"]) for r in found["debug_snapshots"].rows()}
    network = case.work_package().source().load("f")
    for name, size in (("debug_nodes", network.nodes.bus.size), ("debug_conductors", network.conductors.node.size)):
        assert {key: len(rows) for key, rows in states(found, name).items()} == dict.fromkeys(wanted, size)
        keys = [column.name for column in found[name].schema.columns if column.key]
        assert len({tuple(row[key] for key in keys) for row in found[name].rows()}) == len(found[name])


def bare(case: HvCase, site: str | None, level: int) -> tuple[dict[Any, complex], dict[Any, list[complex]]]:
    """Volts of nodes, and amps of the terminals of lines and transformers, of one state in bare OpenDSS."""
    arguments = case.arguments
    keys = ("frequency_hz", "initial", "voltage_bases_kv", "load_kw", "load_kvar")
    d = load(str(case.master), **{key: arguments[key] for key in keys})
    if site is not None and level:
        bus, *numbers = site.split(".")
        d.Circuit.SetActiveBus(bus)
        kv = d.Bus.kVBase() * (1.0 if len(numbers) == 1 else math.sqrt(3.0))
        kw = level * case.step_kw * (-1.0 if case.direction == "export" else 1.0)
        tangent = math.tan(math.acos(abs(case.power_factor))) * math.copysign(1.0, case.power_factor)
        d.Text.Command(
            f"new load.alone bus1={site} phases={3 if len(numbers) == 3 else 1} "
            f"conn={'delta' if len(numbers) == 2 else 'wye'} kv={kv!r} kw={kw!r} "
            f"kvar={level * case.step_kw * tangent!r} model=1 status=fixed vminpu=0.7 vmaxpu=2 vlowpu=0.5"
        )
    d.Commands(["set tolerance=1e-10"])
    for _ in range(3):
        d.Solution.Solve()
    volts = {}
    for bus in d.Circuit.AllBusNames():
        d.Circuit.SetActiveBus(bus)
        pairs = np.asarray(d.Bus.Voltages()).view(complex)
        volts |= {(bus, int(node)): complex(v) for node, v in zip(d.Bus.Nodes(), pairs, strict=True)}
    amps = {}
    element = d.CktElement
    for full in d.PDElements.AllNames():
        kind, name = full.split(".", 1)
        if kind not in ("Line", "Transformer") or d.Circuit.SetActiveElement(full) < 0 or not element.Enabled():
            continue
        currents = np.asarray(element.Currents()).view(complex).reshape(element.NumTerminals(), -1)
        amps |= {(kind, name, t + 1): list(map(complex, row)) for t, row in enumerate(currents)}
    return volts, amps


def assert_as_solved_directly(case: HvCase, found: Results, kept: dict[str, dict[str, Any]]) -> None:
    nodes, conductors = (states(found, name) for name in DEBUG[1:])
    for row in kept.values():
        key = (case.direction, row["growth_at"], row["iteration"])
        site = None if row["growth_at"] == "start" else row["growth_at"]
        volts, amps = bare(case, site, int(row["iteration"]))
        live = [node for node in nodes[key] if node["live"]]
        assert len(live) > 50
        for node in live:
            shown = node["voltage_v"] * np.exp(1j * np.radians(node["voltage_deg"]))
            assert abs(shown - volts[node["bus"], node["node"]]) < 1e-6 * node["nominal_v"], (key, node)
        compared = 0
        for c in conductors[key]:
            place = (c["conducting_equipment_type"], c["conducting_equipment_mrid"], c["terminal_sequence_number"])
            shown = c["current_a"] * np.exp(1j * np.radians(c["current_deg"]))
            expected = amps[place][c["conductor"] - 1]
            # 1e-6 of a volt across the stiffest line is a few mA; a current is looked at beside what flows there.
            assert abs(shown - expected) < 1e-2 + 1e-4 * abs(expected), (key, c)
            compared += abs(expected) > 1.0
        assert compared or not row["iteration"], "growth draws current"


@pytest.mark.parametrize("more", [{}, {"direction": "import", "power_factor": 0.95}])
def test_a_kept_state_of_the_demo_is_what_the_bare_engine_solves(more: dict[str, Any], demo_folder: Path) -> None:
    case = demo_case(demo_folder, **more)
    found = snapshots(case)
    for key, kept in list(stops(found).items())[::4]:
        assert key[0] == case.direction
        assert_as_solved_directly(case, found, kept)


@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "locations"),
    [
        ("p1uhs23-export", ["tr(r:p1udt6532-p1udt6532lv)", "tr(r:p1udt4549-p1udt4549lv)"]),
        pytest.param("cre21-import", ["hv_f0_lv1_*", "hv_f0_n439"], marks=pytest.mark.slow),
    ],
)
def test_a_kept_state_of_a_real_feeder_is_what_the_bare_engine_solves(
    name: str, locations: list[str], networks: Path
) -> None:
    case = real_hv_cases(networks)[name]
    found = snapshots(case, debug_snapshot_locations=locations)
    kept = stops(found)
    assert len(kept) >= 2
    for own in kept.values():
        assert_as_solved_directly(case, found, own)


@pytest.mark.parametrize(("percent", "expected"), [(100.0, "thermal"), (1000.0, "voltage-low")])
def test_the_violating_state_shows_the_binding_value_and_the_last_valid_one_holds(
    percent: float, expected: str, demo_folder: Path
) -> None:
    case = demo_case(demo_folder, direction="import", power_factor=0.95, thermal_percent=percent, step_kw=200.0)
    found = snapshots(case)
    nodes, conductors = (states(found, name) for name in DEBUG[1:])
    binding = {row["binding_id"]: row for row in found["constraint_violations"].rows() if row["binding"]}
    kept, metrics = stops(found), set()
    for row in found["hv_node_headroom"].rows():
        if row["binding_id"] is None:
            continue
        what, own = binding[row["binding_id"]], kept[tuple(row[n] for n in ("headroom_direction", *LOCATION))]
        values = []
        for name in ("violating", "last-valid"):
            key = ("import", own[name]["growth_at"], own[name]["iteration"])
            if what["metric"] == "thermal":
                same = ("conducting_equipment_mrid", "conducting_equipment_type", "terminal_sequence_number", "phase")
                amps = [c["current_a"] for c in conductors[key] if all(c[n] == what[n] for n in same)]
                # Both ends of a coil between phases bear the same name, and differ by what leaks to ground.
                values.append(min(amps, key=lambda a: abs(a - what["violating_value"])))
            else:
                number = "ABC".index(what["phase"]) + 1
                (n,) = [n for n in nodes[key] if n["bus"] == what["conducting_equipment_mrid"] and n["node"] == number]
                values.append(n["to_neutral_v"] / (1.0 if what["unit"] == "V" else n["nominal_v"]))
        violating, valid = values
        assert violating == pytest.approx(what["violating_value"], rel=1e-9)
        low = what["metric"] == "voltage-low"
        limit = what["constraint_limit"]
        assert (valid >= limit * (1 - 1e-6)) if low else (valid <= limit * (1 + 1e-6))
        metrics.add(what["metric"])
    assert expected in metrics


def test_locations_beyond_the_bound_are_left_out_and_counted_and_those_of_one_site_count_once(
    demo_folder: Path,
) -> None:
    case = demo_case(demo_folder)
    everything = snapshots(case)
    order = list(stops(everything))
    site = {key: own["last-valid"]["growth_at"] for key, own in stops(everything).items()}
    assert len(set(site.values())) < len(site), "some of the demo's locations are one site"
    found = snapshots(case, debug_snapshot_stops=2)
    kept = [key for key in order if site[key] in list(dict.fromkeys(site.values()))[:2]]
    assert list(stops(found)) == kept
    (told,) = [row for row in found["findings"].rows() if row["code"] == "snapshots-left-out"]
    assert told["count"] == len(order) - len(kept)
    assert "debug_snapshot_stops" in told["message"]
    assert "snapshots-left-out" not in {row["code"] for row in everything["findings"].rows()}


def test_locations_are_chosen_by_name_and_a_name_of_none_is_refused(demo_folder: Path) -> None:
    case = demo_case(demo_folder)
    found = snapshots(case, debug_snapshot_locations=["T7*", "mv?"])
    names = {key[-1] for key in stops(found)}
    assert "t7_swer" in names
    assert names == {
        n for n in (r["asset_name"] for r in found["hv_node_headroom"].rows()) if n[:2] in ("t7", "mv")
    } - {
        "mv_breaker",
        "mv_section_switch",
    }
    package = case.work_package(study={"debug_snapshots": True, "debug_snapshot_locations": ["t7_swerr"]})
    for failed in (run(package).failed, check(package).failed):
        assert "study.debug_snapshot_locations: 't7_swerr' matches none of the 12 HV locations" in failed["f"]
        assert "did you mean 't7_swer'?" in failed["f"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"debug_snapshots": "yes"}, r"debug_snapshots: expected true or false"),
        ({"debug_snapshot_stops": 0, "debug_snapshots": True}, r"debug_snapshot_stops: must be 1 to 10000"),
        ({"debug_snapshot_locations": []}, r"debug_snapshot_locations"),
        ({"debug_snapshot_locations": ["t1*"]}, r"debug_snapshot_locations says which .*; add debug_snapshots = true"),
        ({"debug_snapshot_stops": 3}, r"debug_snapshot_stops says which .*; add debug_snapshots = true"),
        ({"debug_snapshot_groups": ["t1*"]}, r"unknown key"),
    ],
)
def test_wrong_settings_are_refused_by_name(settings: dict[str, Any], message: str, demo_folder: Path) -> None:
    with pytest.raises(ConfigError, match=message):
        structure_study(demo_case(demo_folder).document(study=settings), demo_folder, default_registry())


def test_states_are_written_in_parts_and_are_the_same_as_those_in_memory(
    demo_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = attrs.evolve(demo_case(demo_folder), max_steps=10)
    whole = snapshots(case)
    monkeypatch.setattr("hostcap_stock.headroom.hv_snapshots.ROWS_AT_ONCE", 1)
    package = case.work_package(study={"debug_snapshots": True, "debug_snapshot_stops": 1000})
    kept = run(package, out=tmp_path / "r")
    assert "debug_nodes" not in kept.names, "what was written is not held in memory"
    assert len(list((tmp_path / "r" / "debug_nodes").rglob("*.parquet"))) == len(states(whole, "debug_nodes"))
    read = read_results(tmp_path / "r")
    for name in DEBUG:
        for column in whole[name].columns:
            if column not in ("work_package_id",):
                assert sorted(map(str, read[name][column])) == sorted(map(str, whole[name][column])), (name, column)


def test_of_several_instants_each_location_has_the_states_and_the_trail_of_its_own_in_both_directions(
    demo_folder: Path,
) -> None:
    """A state of one instant of several is, to the last digit, that of a run of this instant alone."""
    case = demo_case(demo_folder, direction="both", step_kw=100.0, lv=(0.8, 1.14))
    package = case.work_package(study={"debug_snapshots": True, "debug_snapshot_stops": 1000})
    network = package.source().load("f")

    def ran(day: Day) -> Results:
        study: Any = attrs.evolve(package.study(), initial_state=day)  # type: ignore[type-var]
        return Results(work_package_id=RUN_ID, chunks=tuple(study.run(package.job(network, RUN_ID))))

    whole = ran(Day(count=3, mean_kw=1.5))
    alone = [ran(Day(count=3, mean_kw=1.5, only=i)) for i in range(3)]
    by_instant = {one["debug_snapshots"]["timestamp"][0]: one for one in alone}
    own = {tuple(r[n] for n in ("headroom_direction", *LOCATION)): r for r in whole["hv_node_headroom"].rows()}
    rows = list(whole["debug_snapshots"].rows())
    assert {tuple(row[n] for n in ("headroom_direction", *LOCATION)) for row in rows} == set(own)
    answering = {row["timestamp"] for row in rows}
    assert len(answering) > 1, "several instants answer"
    keys = ("headroom_direction", "timestamp", "growth_at", "iteration")
    wanted = {tuple(row[key] for key in keys) for row in rows}
    for name in DEBUG[1:]:
        assert {tuple(row[key] for key in keys) for row in whole[name].rows()} == wanted
    for row in rows:
        assert row["timestamp"] == own[tuple(row[n] for n in ("headroom_direction", *LOCATION))]["timestamp"]
    for key in sorted(wanted)[::5]:
        (direction, instant, grown, step), values = key, []
        for found in (whole, by_instant[key[1]]):
            nodes = found["debug_nodes"]
            here = (nodes["headroom_direction"] == direction) & (nodes["timestamp"] == instant)
            here &= (nodes["growth_at"] == grown) & (nodes["iteration"] == step)
            values.append(nodes["voltage_v"][here])
        assert values[0].size and np.array_equal(*values)
    trails = [trail for chunk in whole.chunks for trail in chunk.summary.get("trails", ())]
    assert len(trails) == len(own)
    for trail in trails:
        row = own[trail["direction"], trail["location_type"], trail["terminal_mrid"], trail_name(trail, own)]
        assert np.datetime64(trail["instant"].removesuffix("Z")) == row["timestamp"]
        assert len(trail["margin"]) == round(row["available_headroom_kw"] / case.step_kw) + (
            2 if row["status"] == "bound" else 1
        )


def trail_name(trail: dict[str, Any], own: Any) -> str:
    """Equipment of a trail's terminal."""
    (name,) = {key[3] for key in own if key[1:3] == (trail["location_type"], trail["terminal_mrid"])}
    return str(name)


def test_without_a_request_there_are_none_and_the_answer_is_the_same(demo_folder: Path) -> None:
    case = demo_case(demo_folder)
    plain, kept = case.run(), snapshots(case)
    assert not set(DEBUG) & set(plain.names)
    for name in plain["hv_node_headroom"].columns:
        if not name.endswith("_id"):
            assert list(map(str, plain["hv_node_headroom"][name])) == list(map(str, kept["hv_node_headroom"][name]))


def test_it_stops_between_parts(demo_folder: Path) -> None:
    package = demo_case(demo_folder).work_package(study={"debug_snapshots": True})
    stages: list[str] = []
    with pytest.raises(StoppedError, match="stopped while keeping debug snapshots"):
        run(
            package,
            progress=lambda stage, *_: stages.append(stage),
            should_stop=lambda: any("keeping debug snapshots" in stage for stage in stages[-1:]),
        )


def test_the_python_class_keeps_them_too_and_check_says_how_many(demo_folder: Path) -> None:
    config = OpenDssConfig(
        master=demo_folder / "feeder" / "Master.dss", frequency_hz=50.0, voltage_bases_kv=(22.0, 0.4)
    )
    network = OpenDssSource(config=config).load("demo")
    study = HVNodeHeadroom(
        constraints=[Voltage(config=VoltageConfig(hv_max_pu=1.06))],
        step_kw_per_node=500.0,
        max_steps_per_node=20,
        debug_snapshots=True,
        debug_snapshot_locations=("t1*",),
    )
    facts = dict(study.check(network).facts)
    rows = network.nodes.bus.size + network.conductors.node.size
    assert facts["debug snapshots at most"] == f"3 states of 1 location in each direction, {3 * rows} rows"
    found = study.run(network)
    assert set(DEBUG) <= set(found.names)
    assert {row["snapshot"] for row in found["debug_snapshots"].rows()} >= {"start", "last-valid"}
