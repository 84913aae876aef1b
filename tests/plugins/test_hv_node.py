"""The study ``hv-node-headroom`` on the demo feeder: tables, choice of locations, both directions, instants, errors."""

from __future__ import annotations

import collections
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest
from hv_studying import KINDS, codes, demo_case, locations

from hostcap.errors import ConfigError, StoppedError
from hostcap.growth import Direction
from hostcap.limits import LimitSet
from hostcap.network import Regulators
from hostcap.one_at_a_time import AloneResult
from hostcap.operating_point import FeederScope
from hostcap.power_flow import States
from hostcap.running import check, run
from hostcap.search import NEVER, STATUSES, Status
from hostcap.solution import Solution
from hostcap.tables import Results
from hostcap.testing.networks import street
from hostcap_stock.constraints.thermal import Thermal
from hostcap_stock.headroom.hv_choice import LocationChoice, choose_locations
from hostcap_stock.headroom.hv_findings import site_findings
from hostcap_stock.headroom.hv_least import LeastOfSites, SitesSearched
from hostcap_stock.headroom.schemas import HV_NODE_HEADROOM
from hostcap_stock.initial_states import AsModelled


def failure(folder: Path, **changed: Any) -> str:
    """Why the demo feeder fails."""
    results = run(demo_case(folder).work_package(**changed))
    return str(results.failed["f"])


def nodes(results: Results) -> list[dict[str, Any]]:
    return list(results["hv_node_headroom"].rows())


# --- the tables ----------------------------------------------------------------------------------------------------


def test_a_run_keeps_the_published_tables_and_those_of_the_map(demo_folder: Path) -> None:
    results = demo_case(demo_folder).run()
    published = ("hv_node_headroom", "constraint_violations", "binding_constraints", "binding_usage")
    assert results.names == (*published, "feeder_buses", "feeder_branches", "findings")


PUBLISHED = """
    work_package_id scenario timestamp feeder location_type asset_name terminal_mrid conducting_equipment_mrid
    associated_equipment_mrids nominal_voltage_kv phase_code total_base_net_import_kw total_base_net_export_kw
    available_headroom_kw headroom_direction binding_id convergence
"""


def test_the_published_columns_are_there_in_their_order() -> None:
    names, published = list(HV_NODE_HEADROOM.names), PUBLISHED.split()
    assert names[: len(published)] == published
    assert names[len(published) :] == ["status", "iteration", "injected_kw"]


def test_a_row_says_where_it_is_and_what_is_tied_to_it(demo_folder: Path) -> None:
    results = demo_case(demo_folder, initial="fixed-load", load_kw=0.5).run()
    by_terminal = {row["terminal_mrid"]: row for row in nodes(results)}
    split = by_terminal["t6_split_phase.1"]
    assert split["location_type"] == "dtx-hv-terminal"
    assert (split["asset_name"], split["conducting_equipment_mrid"]) == ("t6_split_phase", "t6_split_phase")
    assert split["associated_equipment_mrids"] == ("mv_l5", "mv_l6", "t8_spare")
    assert (split["nominal_voltage_kv"], split["phase_code"]) == (pytest.approx(22.0), "AB")
    tee = by_terminal["mv2"]
    assert (tee["location_type"], tee["conducting_equipment_mrid"], tee["phase_code"]) == ("line-tee", "mv2", "ABC")
    # Of the whole feeder, repeated on every row: each of the demo's customers, and each HV load, at 0.5 kW.
    base = {row["total_base_net_import_kw"] for row in nodes(results)}
    customers = demo_case(demo_folder).work_package().source().load("f").customers.live.sum()
    assert sorted(base) == pytest.approx([0.5 * (customers + 1)]), "hv_quarry is the HV load"
    assert {row["total_base_net_export_kw"] for row in nodes(results)} == {0.0}


def test_violations_of_a_location_are_one_set_that_the_join_lists(demo_folder: Path) -> None:
    results = demo_case(demo_folder).run()
    violations = list(results["constraint_violations"].rows())
    sets = collections.Counter(row["binding_id"] for row in violations)
    assert set(sets) == {row["binding_id"] for row in nodes(results) if row["binding_id"]}
    assert sum(row["binding"] for row in violations) == len(sets)
    joined = [(row["binding_id"], row["violation_id"]) for row in results["binding_constraints"].rows()]
    assert joined == [(row["binding_id"], row["violation_id"]) for row in violations]
    assert len({row["violation_id"] for row in violations}) == len(violations)
    assert [row["iteration"] for row in violations] == sorted(row["iteration"] for row in violations)
    for row in nodes(results):
        own = [v for v in violations if v["binding_id"] == row["binding_id"]]
        assert {v["iteration"] for v in own} == ({row["iteration"]} if row["binding_id"] else set())
        excess = [abs(v["violating_value"] - v["constraint_limit"]) / abs(v["constraint_limit"]) for v in own]
        assert not own or (own[0]["binding"] and excess[0] >= max(excess) - 1e-6)


def test_locations_of_equal_bus_and_phases_have_one_answer_and_one_binding_set(demo_folder: Path) -> None:
    rows = {row["terminal_mrid"]: row for row in nodes(demo_case(demo_folder).run())}
    switch, transformer, tee = rows["mv_section_switch.1"], rows["t2_small_unit.1"], rows["mv2"]
    assert switch["binding_id"] == transformer["binding_id"] == tee["binding_id"] is not None
    assert len({row["available_headroom_kw"] for row in (switch, transformer, tee)}) == 1


def test_a_broken_start_is_0_everywhere_with_one_binding_set(demo_folder: Path) -> None:
    results = demo_case(demo_folder, lv=(0.9, 1.05)).run()
    assert {row["status"] for row in nodes(results)} == {"bound_at_start"}
    assert {row["available_headroom_kw"] for row in nodes(results)} == {0.0}
    assert {row["iteration"] for row in nodes(results)} == {0}
    assert len({row["binding_id"] for row in nodes(results)}) == 1
    violations = results["constraint_violations"]
    assert set(violations["iteration"]) == {0}
    assert violations["binding"].tolist() == [True] + [False] * (len(violations) - 1)
    assert "violation-at-start" in codes(results["findings"])


def test_without_lv_limits_lv_does_not_stop_a_location(demo_folder: Path) -> None:
    watched = locations(demo_case(demo_folder).run(), 40.0)
    hv_only = demo_case(demo_folder, lv=(None, None), thermal_percent=1000.0).run()
    free = locations(hv_only, 40.0)
    assert {row["unit"] for row in hv_only["constraint_violations"].rows()} <= {"pu", "A"}
    assert all(free[key]["level"] >= watched[key]["level"] for key in free)
    assert any(free[key]["level"] > watched[key]["level"] for key in free)


# --- both directions, instants, solvers -----------------------------------------------------------------------------


def test_both_directions_are_two_searches_and_one_set_of_tables(demo_folder: Path) -> None:
    case = demo_case(demo_folder)
    both = case.run(injection={"direction": "both"})
    for direction in ("export", "import"):
        alone = locations(case.run(injection={"direction": direction}), case.step_kw, direction)
        assert locations(both, case.step_kw, direction) == alone
    ids = [row["violation_id"] for row in both["constraint_violations"].rows()]
    assert len(set(ids)) == len(ids)
    assert [row["headroom_direction"] for row in nodes(both)] == ["export"] * 12 + ["import"] * 12


def test_several_instants_give_the_least_of_each_location_with_its_instant(demo_folder: Path) -> None:
    from datetime import UTC, datetime

    from hostcap_stock.initial_states import FixedLoad, FixedLoadConfig

    times = [datetime(2025, 7, 1, hour, tzinfo=UTC) for hour in (3, 9, 12)]
    loads = [0.2, 3.0, 0.2]

    @attrs.frozen
    class Hours(AsModelled):
        """Three hours, by customers' kW."""

        name: str = "hours"

        def operating_points(self, network: Any, scope: Any, profiles: Any) -> list[Any]:
            states = [
                FixedLoad(config=FixedLoadConfig(load_kw_per_customer=kw, start_time=time))
                for kw, time in zip(loads, times, strict=True)
            ]
            return [state.operating_point(network, scope, profiles) for state in states]

    case = demo_case(demo_folder, direction="export")
    package = case.work_package()
    study = attrs.evolve(package.study(), initial_state=Hours())
    job = package.job(package.source().load("f"), "6ba7b810-9dad-11d1-80b4-00c04fd430c8", lambda *_: None)
    (chunk,) = study.run(job)
    tables = {table.name: table for table in chunk.tables}
    alone = [
        locations(case.run(initial_state={"plugin": "fixed-load", "load_kw_per_customer": kw}), case.step_kw)
        for kw in loads[:2]
    ]
    results = Results(work_package_id="x", chunks=(chunk,))
    answer = locations(results, case.step_kw)
    assert {key: row["level"] for key, row in answer.items()} == {
        key: min(one[key]["level"] for one in alone) for key in answer
    }
    for row, key in zip(nodes(results), answer, strict=True):
        first = 0 if alone[0][key]["level"] <= alone[1][key]["level"] else 1
        assert row["timestamp"] == np.datetime64(times[first].replace(tzinfo=None), "us")
    profile = tables["hv_node_headroom_profile"]
    assert len(profile) == 3 * 12
    assert profile["is_least"].sum() == 12
    assert set(results["constraint_violations"]["binding_id"]) == {r["binding_id"] for r in nodes(results)} - {None}
    for number, one in enumerate((*alone, alone[0])):
        here = profile["timestamp"] == np.datetime64(times[number].replace(tzinfo=None), "us")
        levels = [round(kw / case.step_kw) for kw in profile["available_headroom_kw"][here]]
        assert levels == [row["level"] for row in one.values()]


@pytest.mark.parametrize("more", [{}, {"direction": "import", "power_factor": 0.95}, {"power_factor": -0.9}])
def test_both_solvers_give_every_location_the_same_answer(more: dict[str, Any], demo_folder: Path) -> None:
    case = demo_case(demo_folder, **more)
    ours, theirs = (locations(case.run(solver=s), case.step_kw, case.direction) for s in ({}, {"plugin": "opendss"}))
    assert list(ours) == list(theirs)
    for key, row in theirs.items():
        binding, other = ours[key].pop("binding"), row.pop("binding")
        assert ours[key] == row
        assert (binding or ())[:4] == (other or ())[:4]
        assert (binding or ())[4:] == pytest.approx((other or ())[4:], rel=1e-7)


# --- regulators ------------------------------------------------------------------------------------------------------


class OneVoltagePlan:
    """Node 0 stands at 12 000 V and 20 V more a step of either scope."""

    def solve(self, levels: Any, want: Any) -> States:
        assert set(want) == {"nodes", "branches"}
        volts = 12_000.0 + 20.0 * levels.sum(axis=1, keepdims=True)
        solution = Solution(
            node_v=volts.astype(complex),
            conductor_a=np.zeros((len(levels), 1)),
            converged=np.ones(len(levels)),
            iterations=np.ones(len(levels)),
        )
        return States(converged=solution.converged, iterations=solution.iterations, solution=solution)

    def solve_injections(self, p_kw: Any, q_kvar: Any, want: Any) -> States:
        raise AssertionError("not a time series")

    def close(self) -> None: ...


def test_a_regulator_that_a_location_puts_out_of_its_band_is_told() -> None:
    network = street()
    regulators = Regulators(
        name=["vreg"],
        node=[0],
        return_node=[-1],
        conductor=[-1],
        pt_ratio=[100.0],
        ct_primary_a=[100.0],
        compensation_v=[0.0],
        low_v=[118.0],
        high_v=[122.0],
    )
    # Site 0 at level 9: 121.8 V of the control, within its band; site 1 at level 15: 123 V, 1 V beyond.
    unconstrained = [STATUSES.index(Status.UNCONSTRAINED)] * 2
    result = AloneResult(
        level=[9, 15], status=unconstrained, iteration=[NEVER] * 2, near_tie_margin=[0.1, 0.1], states=1, rounds=1
    )
    point = AsModelled().operating_point(network, FeederScope(feeder="street", year=2025))
    searched = SitesSearched(direction=Direction.EXPORT, operating_point=point, per_kw=1.0, result=result, started=())
    least = LeastOfSites(2, regulators)
    least.add(searched, OneVoltagePlan(), widest=4)
    assert {key: volts.tolist() for key, volts in least.out_of_band.items()} == {(0, 1): [pytest.approx(1.0)]}
    choice = LocationChoice(location=[0, 1, 1], site=[0, 1, 1], first=[0, 1])
    limits = LimitSet(Thermal().limits(network), group_count=2)
    (told,) = site_findings(attrs.evolve(network, regulators=regulators), choice, limits, least, 0)
    assert (told.code, told.element, told.count) == ("regulator-outside-band", "vreg", 1)
    assert told.message == (
        "2 HV locations, each at its own headroom, put 1 regulator out of band, worst vreg by 1.00 V with growth at "
        "mid.1.2.3; taps were frozen at the start, in service they would move"
    )


# --- the choice of locations ----------------------------------------------------------------------------------------


def test_locations_are_chosen_by_name_whatever_the_case(demo_folder: Path) -> None:
    results = demo_case(demo_folder).run(study={"location_names": ["T[67]_*", "MV2"]})
    assert [row["terminal_mrid"] for row in nodes(results)] == ["t6_split_phase.1", "t7_swer.1", "mv2"]
    every = locations(demo_case(demo_folder).run(), 40.0)
    for key, row in locations(results, 40.0).items():
        assert {**row, "binding": row["binding"][:4]} == {**every[key], "binding": every[key]["binding"][:4]}


def test_by_default_the_transformers_are_asked(demo_folder: Path) -> None:
    document = demo_case(demo_folder).document()
    del document["study"]["location_kinds"]
    package = demo_case(demo_folder).work_package(study={"location_kinds": ["dtx-hv-terminal"]})
    assert {row["location_type"] for row in nodes(run(package))} == {"dtx-hv-terminal"}
    assert package.study().config.location_kinds == type(package.study().config)().location_kinds


def test_a_pattern_that_matches_nothing_is_told_and_one_alone_is_refused(demo_folder: Path) -> None:
    results = demo_case(demo_folder).run(study={"location_names": ["t1_*", "t99*"]})
    assert len(nodes(results)) == 1
    told = {row["code"]: row for row in results["findings"].rows()}["location-names-without-match"]
    assert "'t99*'" in told["message"]
    assert failure(demo_folder, study={"location_names": ["t8_sparr"]}) == (
        "study.location_names: 't8_sparr' matches none of the 12 HV locations asked of feeder 'f', which are "
        "t1_long_line, t2_small_unit, t3_thin_cable and 9 more; did you mean 't8_spare'?"
    )


def test_a_kind_that_the_feeder_lacks_is_told_and_refused_where_it_is_the_only_one(networks: Path) -> None:
    from hv_studying import HvCase

    if not networks.is_dir():
        pytest.skip("needs the public networks")
    case = HvCase(
        master=networks / "eu-lv-test-feeder" / "Master.dss",
        frequency_hz=50.0,
        initial="as-modelled",
        step_kw=100.0,
        max_steps=5,
        hv=(0.8, 1.2),
    )
    results = case.run()
    assert codes(results["findings"]).count("no-location-of-kind") == 2
    failed = run(case.work_package(study={"location_kinds": ["line-tee"]})).failed["f"]
    assert failed == (
        "study.location_kinds: feeder 'f' has no HV location of 'line-tee'; it has 1 dtx-hv-terminal, "
        "0 switch-upstream-terminal, 0 line-tee"
    )


def test_dead_locations_have_no_row_and_are_listed(demo_folder: Path) -> None:
    results = demo_case(demo_folder).run(network={"commands": ["open line.mv_section_switch 1"]})
    gone = {row["code"]: row for row in results["findings"].rows()}["dead-locations"]
    assert (gone["severity"], gone["count"]) == ("warning", 4)
    assert gone["element"].startswith("t3_thin_cable (dtx-hv-terminal), t4_high_tap (dtx-hv-terminal)")
    # The switch itself is open, and live on its side towards the source; mv2 has three neighbours as before.
    terminals = [row["terminal_mrid"] for row in nodes(results)]
    assert len(terminals) == 8
    assert {"mv_section_switch.1", "mv2"} <= set(terminals)
    failed = failure(
        demo_folder,
        network={"commands": ["open line.mv_section_switch 1"]},
        study={"location_names": ["t3_*", "t5_*"]},
    )
    assert failed.startswith("feeder 'f': no source reaches any of the 2 HV locations asked: t3_thin_cable")


def test_a_location_with_a_dead_phase_grows_on_the_others_and_is_told() -> None:
    network = street()
    lacking = attrs.evolve(network, hv_locations=attrs.evolve(network.hv_locations, dead_phases=["C", ""]))
    choice = choose_locations(lacking, KINDS, None)
    assert choice.location.tolist() == [0, 1]
    told = [f for f in choice.findings if f.code == "locations-on-missing-phases"]
    assert [(f.count, f.element) for f in told] == [(1, "t1 (dtx-hv-terminal)")]


# --- check, progress, wrong input -----------------------------------------------------------------------------------


def test_check_counts_locations_and_states(demo_folder: Path) -> None:
    (preview,) = check(demo_case(demo_folder).work_package(injection={"direction": "both"})).previews
    facts = dict(preview.facts)
    assert facts["HV locations"] == "9 dtx-hv-terminal, 2 switch-upstream-terminal, 1 line-tee"
    sites = int(facts["of different bus or phases"])
    assert facts["states to solve at most"] == str((sites * 60 + 1) * 2)
    assert facts["directions"] == "export, import"


def test_a_part_that_the_study_does_not_take_is_refused(demo_folder: Path) -> None:
    with pytest.raises(ConfigError, match="allocation: study 'hv-node-headroom' takes no allocation; remove the table"):
        demo_case(demo_folder).work_package(allocation={"plugin": "uniform"})


@pytest.mark.parametrize(
    ("study", "said"),
    [
        ({"max_steps_per_node": 1001}, "study.max_steps_per_node"),
        ({"step_kw_per_node": -5.0}, "study.step_kw_per_node: must be > 0"),
        ({"location_kinds": ["DTX_HV_TERMINAL"]}, r"study.location_kinds\[0\]: .*did you mean 'dtx-hv-terminal'"),
        ({"location_kinds": []}, "study.location_kinds"),
        ({"location_names": "t1*"}, "study.location_names: expected a list"),
        ({"max_steps": 10}, "study.max_steps: unknown key; did you mean 'max_steps_per_node'"),
    ],
)
def test_wrong_settings_are_refused_by_name(study: dict[str, Any], said: str, demo_folder: Path) -> None:
    with pytest.raises(ConfigError, match=said):
        demo_case(demo_folder).work_package(study=study)


def test_it_stops_between_batches(demo_folder: Path) -> None:
    package = demo_case(demo_folder).work_package(solver={"plugin": "opendss"})
    asked: list[int] = []

    def stop() -> bool:
        asked.append(1)
        return len(asked) > 3

    with pytest.raises(StoppedError, match="feeder 'f': stopped with 2 of 480 steps decided"):
        run(package, should_stop=stop)


def test_kinds_of_the_config_are_those_of_the_network() -> None:
    from typing import get_args

    from hostcap.hv_locations import LOCATION_KINDS
    from hostcap_stock.headroom.config import LocationKind

    assert get_args(LocationKind) == LOCATION_KINDS == KINDS
