"""Debug snapshots: the states that a search solved, node by node and conductor by conductor, bounded, on request."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest
from instants import Day, run_from, table
from studying import Case, demo_cases, real_cases

from hostcap.config import structure_study
from hostcap.errors import ConfigError
from hostcap.growth import Directions
from hostcap.network import Network
from hostcap.plugins import default_registry
from hostcap.running import check, run
from hostcap.search import STATUSES, SearchRules, Status, lock_out_search
from hostcap.tables import Chunk, Results
from hostcap.work_package import WorkPackage
from hostcap_stock.headroom.snapshots import levels_at
from hostcap_stock.injections import NegativeLoad, NegativeLoadConfig

DEBUG = ["debug_snapshots", "debug_nodes", "debug_conductors"]


def results(case: Case, **study: Any) -> Results:
    """A case with snapshots."""
    return case.run(solver={"plugin": "batched"}, debug_snapshots=True, **study)


def states(found: Any, name: str) -> set[int]:
    return {int(step) for step in found[name]["iteration"]}


@pytest.mark.parametrize("name", ["export", "import", "no-lock", "no-hv-stop"])
def test_every_group_has_its_start_last_valid_and_violating_state(name: str, demo_folder: Path) -> None:
    found = results(demo_cases(demo_folder)[name])
    step_kw = demo_cases(demo_folder)[name].step_kw
    rows = list(found["debug_snapshots"].rows())
    wanted = set()
    for group in found["lv_group_hosting_capacity"].rows():
        own = {
            r["snapshot"]: r["iteration"]
            for r in rows
            if r["capacity_group_head_id"] == group["capacity_group_head_id"]
        }
        level = round(group["headroom_kw_per_customer"] / step_kw)
        assert own.pop("start") == 0
        if group["status"] in ("bound", "stopped_by_hv"):
            assert own == {"last-valid": level, "violating": level + 1}
        elif group["status"] == "unconstrained":
            assert own == {"last-valid": level}
        wanted |= {0, *own.values()}
    assert wanted == states(found, "debug_nodes") == states(found, "debug_conductors")


def test_the_violating_state_shows_the_binding_value_and_the_last_valid_one_holds(demo_folder: Path) -> None:
    """The value of a binding violation by another way: read from the snapshot at its bus or winding."""
    case = demo_cases(demo_folder)["import"]
    found = results(case)
    nodes = {(r["iteration"], r["bus"], r["node"]): r for r in found["debug_nodes"].rows()}
    amps: dict[Any, float] = {}
    for r in found["debug_conductors"].rows():
        place = (r["iteration"], r["conducting_equipment_mrid"], r["terminal_sequence_number"], r["phase"])
        amps[place] = max(amps.get(place, 0.0), r["current_a"])
    checked = set()
    for row in found["constraint_violations"].rows():
        step, limit, high = row["iteration"], row["constraint_limit"], row["metric"] != "voltage-low"
        values = []
        for at in (step, step - 1) if step else (step,):
            if row["metric"] == "thermal":
                place = (at, row["conducting_equipment_mrid"], row["terminal_sequence_number"], row["phase"])
                values.append(amps[place])
            else:
                node = nodes[at, row["conducting_equipment_mrid"], "ABC".index(row["phase"]) + 1]
                values.append(node["to_neutral_v"] / (1.0 if row["unit"] == "V" else node["nominal_v"]))
        assert values[0] == pytest.approx(row["violating_value"], rel=1e-9)
        if step:
            assert (values[1] <= limit * (1 + 1e-6)) if high else (values[1] >= limit * (1 - 1e-6))
        checked.add(row["metric"])
    assert checked


def test_every_node_and_conductor_is_there_once_for_each_state(demo_folder: Path) -> None:
    case = demo_cases(demo_folder)["export"]
    found = results(case)
    network = case.work_package().source().load("f")
    steps = len(states(found, "debug_nodes"))
    assert len(found["debug_nodes"]) == steps * network.nodes.bus.size
    assert len(found["debug_conductors"]) == steps * network.conductors.node.size
    for name in DEBUG:
        keys = [c.name for c in found[name].schema.columns if c.key]
        rows = [tuple(row[k] for k in keys) for row in found[name].rows()]
        assert len(set(rows)) == len(rows)
    start = found["debug_conductors"]["iteration"] == 0
    assert np.max(found["debug_conductors"]["current_a"][start]) < 50.0  # nothing is consumed: magnetising and charging


def test_levels_of_a_step_are_those_that_the_search_solved(demo_folder: Path) -> None:
    """``breaking_levels`` and ``last_solved_levels`` were kept by the search itself."""
    for name in ("export", "import", "no-lock", "no-hv-stop"):
        case = demo_cases(demo_folder)[name]
        work_package = case.work_package(solver={"plugin": "batched"})
        network = work_package.source().load("f")
        study: Any = work_package.study()
        job = work_package.job(network, "0" * 32)
        with job.source.freeze(network, study.points(job)[0], study.solver.settling) as frozen:
            prepared = study.prepare(frozen)
            plan = study.plan(frozen, prepared)
            result = lock_out_search(
                plan,
                open_scopes=prepared.open_groups,
                idle=prepared.idle,
                rules=SearchRules(
                    max_steps=case.max_steps,
                    stop_on_hv_violation=case.stop_on_hv_violation,
                    lock_group_on_violation=case.lock_group_on_violation,
                ),
            )
        for step, levels in zip(result.breaking_step.tolist(), result.breaking_levels, strict=True):
            assert np.array_equal(levels_at(result, step, lock=case.lock_group_on_violation), levels)
        last = levels_at(result, result.last_solved_step, lock=case.lock_group_on_violation)
        assert np.array_equal(last, result.last_solved_levels)


def test_stops_beyond_the_bound_are_left_out_and_counted(demo_folder: Path) -> None:
    case = demo_cases(demo_folder)["import"]
    everything = results(case)
    ends = {}
    for row in everything["debug_snapshots"].rows():
        ends[row["capacity_group_head_id"]] = max(ends.get(row["capacity_group_head_id"], 0), row["iteration"])
    assert len(set(ends.values())) > 1, "the demo's groups end at several steps"
    found = results(case, debug_snapshot_stops=1)
    first = next(iter(ends.values()))
    kept = {row["capacity_group_head_id"] for row in found["debug_snapshots"].rows()}
    assert kept == {group for group, end in ends.items() if end == first}
    assert states(found, "debug_nodes") <= {0, first - 1, first}
    (told,) = [row for row in found["findings"].rows() if row["code"] == "snapshots-left-out"]
    assert told["count"] == len(ends) - len(kept)
    assert "debug_snapshot_stops" in told["message"]
    assert "snapshots-left-out" not in {row["code"] for row in everything["findings"].rows()}


def test_groups_are_chosen_by_name_and_a_name_of_none_is_refused(demo_folder: Path) -> None:
    case = demo_cases(demo_folder)["export"]
    names = [str(g) for g in case.run()["lv_group_hosting_capacity"]["capacity_group_head_id"]]
    found = results(case, debug_snapshot_groups=[names[1][:-1] + "?"])
    kept = {row["capacity_group_head_id"] for row in found["debug_snapshots"].rows()}
    assert names[1] in kept
    assert kept <= {name for name in names if len(name) == len(names[1])}
    package = case.work_package(solver={"plugin": "batched"}, debug_snapshots=True, debug_snapshot_groups=["nosuch*"])
    for failed in (run(package).failed, check(package).failed):
        assert "no group of feeder 'f' matches 'nosuch*'" in failed["f"]
        assert names[0] in failed["f"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"debug_snapshots": "yes"}, r"debug_snapshots: expected true or false"),
        ({"debug_snapshot_stops": 0}, r"debug_snapshot_stops: must be 1 to 10000"),
        ({"debug_snapshot_groups": []}, r"debug_snapshot_groups"),
        ({"debug_snapshot_groups": ["t1*"]}, r"debug_snapshot_groups says which .*; add debug_snapshots = true"),
        ({"debug_snapshot_stops": 3, "debug_snapshots": False}, r"debug_snapshot_stops says which .*; add debug_sn"),
        ({"debug_snapshot": True}, r"unknown key; did you mean 'debug_snapshots'"),
        ({"max_steps": 10_001}, r"max_steps: must be 1 to 10000"),
        ({"max_steps": 0}, r"max_steps: must be 1 to 10000"),
        ({"lock_group_on_violation": 1}, r"lock_group_on_violation: expected true or false"),
        ({"stop_on_hv_violation": "no"}, r"stop_on_hv_violation: expected true or false"),
    ],
)
def test_wrong_settings_are_refused_by_name(settings: dict[str, Any], message: str, demo_folder: Path) -> None:
    data = {
        "name": "x",
        "scope": {"feeders": ["f"], "year": 2025},
        "network": {"plugin": "opendss", "master": "x.dss", "frequency_hz": 50.0},
        "study": {"plugin": "lv-headroom", **settings},
        "constraints": [{"plugin": "voltage", "lv_max_v": 253.0}],
    }
    with pytest.raises(ConfigError, match=message):
        structure_study(data, demo_folder, default_registry())


def test_without_a_request_there_are_none(demo_folder: Path) -> None:
    assert not set(DEBUG) & set(demo_cases(demo_folder)["export"].run().names)


def loaded(case: Case, **study: Any) -> tuple[WorkPackage, Network]:
    work_package = case.work_package(solver={"plugin": "batched"}, debug_snapshots=True, **study)
    return work_package, work_package.source().load("f")


def test_of_several_instants_each_group_has_those_of_its_own_instant_in_both_directions(demo_folder: Path) -> None:
    both = NegativeLoad(config=NegativeLoadConfig(direction=Directions.BOTH))
    case = demo_cases(demo_folder)["export"]
    work_package, network = loaded(case)
    chunk: Chunk = run_from(work_package, network, Day(count=4, mean_kw=0.8), injection=both)
    own = {
        (row["headroom_direction"], row["capacity_group_head_id"]): row["timestamp"]
        for row in table(chunk, "lv_group_hosting_capacity").rows()
    }
    rows = list(table(chunk, "debug_snapshots").rows())
    assert {(r["headroom_direction"], r["capacity_group_head_id"]) for r in rows} == set(own)
    for row in rows:
        assert row["timestamp"] == own[row["headroom_direction"], row["capacity_group_head_id"]]
    keys = ("headroom_direction", "timestamp", "iteration")
    wanted = {tuple(row[k] for k in keys) for row in rows}
    for name in DEBUG[1:]:
        assert {tuple(row[k] for k in keys) for row in table(chunk, name).rows()} == wanted


@pytest.mark.shared
def test_a_diverged_and_a_broken_start_have_no_state_that_is_not_there(networks: Path) -> None:
    case = attrs.evolve(real_cases(networks)["p1uhs23-export"], max_steps=30)
    found = results(case, debug_snapshot_stops=3)
    by_group: dict[str, dict[str, int]] = {}
    status = {}
    for row in found["debug_snapshots"].rows():
        by_group.setdefault(row["capacity_group_head_id"], {})[row["snapshot"]] = row["iteration"]
        status[row["capacity_group_head_id"]] = row["status"]
    at_start = [g for g, s in status.items() if s == Status.BOUND_AT_START.value]
    assert all(by_group[g] == {"start": 0, "violating": 0} for g in at_start)
    assert len({max(steps.values()) for steps in by_group.values()}) <= 3
    assert set(status.values()) <= {s.value for s in STATUSES}
