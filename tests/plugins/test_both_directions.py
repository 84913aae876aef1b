"""``direction = "both"``: two searches, each from the start, in one set of tables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest
from studying import Case, answers, demo_cases, real_cases

from hostcap.config import structure_study
from hostcap.growth import Direction, Directions
from hostcap.plugins import default_registry
from hostcap.running import check, run
from hostcap.tables import Results, Table
from hostcap.work_package import WorkPackage
from hostcap_stock.headroom.summary import by_transformer
from hostcap_stock.injections import NegativeLoadConfig

RUN_ID = "00000000-0000-4000-8000-00000000000b"
SOLVERS = ["opendss", "batched"]


def work_package(case: Case, direction: str, solver: str) -> WorkPackage:
    """A case in another direction, its ids from a given one."""
    document = case.work_package(solver={"plugin": solver}).document
    data = {"direction": direction, "power_factor": case.power_factor}
    return WorkPackage(document=with_injection(document, data), given_id=RUN_ID)


def with_injection(document: Any, data: dict[str, Any]) -> Any:
    part = document.parts["injection"]
    config = NegativeLoadConfig(direction=Directions(data["direction"]), power_factor=data["power_factor"])
    return attrs.evolve(document, parts={**document.parts, "injection": attrs.evolve(part, config=config)})


def rows(table: Table, direction: str) -> dict[str, list[Any]]:
    """Columns of one direction's rows; all rows where directions do not matter, such as where buses are."""
    every = np.ones(len(table), dtype=bool)
    kept = table["headroom_direction"] == direction if "headroom_direction" in table.columns else every
    return {name: values[kept].tolist() for name, values in table.columns.items()}


def assert_both_is_each(case: Case, solver: str) -> Results:
    """Every table of a run of both directions is those of one direction each, byte for byte, export first."""
    both = run(work_package(case, "both", solver))
    assert not both.failed
    for direction in Direction:
        alone = run(work_package(case, direction.value, solver))
        for name in alone.names:
            if name == "findings":
                continue
            here, there = rows(both[name], direction.value), rows(alone[name], direction.value)
            assert repr(here) == repr(there), (name, direction)
    order = both["lv_group_hosting_capacity"]["headroom_direction"].tolist()
    assert order == sorted(order)
    return both


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("name", ["export", "import", "no-hv-stop"])
def test_both_directions_of_the_demo_are_each_alone_byte_for_byte(name: str, solver: str, demo_folder: Path) -> None:
    both = assert_both_is_each(demo_cases(demo_folder)[name], solver)
    groups = both["lv_group_hosting_capacity"]
    ids = {d.value: {i for i in rows(groups, d.value)["binding_id"] if i is not None} for d in Direction}
    assert ids["export"] and ids["import"] and not ids["export"] & ids["import"]
    assert len(set(both["constraint_violations"]["violation_id"])) == len(both["constraint_violations"])
    (facts,) = both.summary["feeders"].values()
    assert [search["direction"] for search in facts["searches"]] == ["export", "import"]
    assert facts["states_solved"] == sum(search["states_solved"] for search in facts["searches"])


@pytest.mark.shared
@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("name", ["eu-lv-export", "p1uhs23-import"])
def test_both_directions_of_a_real_feeder_are_each_alone(name: str, solver: str, networks: Path) -> None:
    assert_both_is_each(real_cases(networks)[name], solver)


@pytest.mark.shared
def test_findings_say_which_direction_they_are_about(networks: Path) -> None:
    case = attrs.evolve(real_cases(networks)["p1uhs23-import"], max_steps=40)

    def told(direction: str) -> list[tuple[str, str]]:
        results = run(work_package(case, direction, "batched"))
        return [(row["code"], row["message"]) for row in results["findings"].rows()]

    expected: dict[tuple[str, str], list[str]] = {}
    for direction in Direction:
        for code, message in told(direction.value):
            expected.setdefault((code, message), []).append(direction.value)
    about = {"violation-at-start", "violation-at-final-levels", "near-tie", "diverged", "regulator-outside-band"}
    found = told("both")
    assert len(found) == len(expected)
    for (code, message), directions in expected.items():
        lead = f"{', '.join(directions)}: " if code in about else ""
        assert (code, f"{lead}{message}") in found
    assert {code for code, _ in expected} & about


def test_the_printed_summary_has_a_direction_where_there_are_two(demo_folder: Path) -> None:
    case = demo_cases(demo_folder)["export"]
    (table,) = by_transformer(run(work_package(case, "both", "batched")))
    assert set(table["direction"]) == {"export", "import"}
    assert "instant" not in table.columns
    (table,) = by_transformer(run(work_package(case, "export", "batched")))
    assert "direction" not in table.columns


def test_check_counts_the_states_of_both(demo_folder: Path) -> None:
    case = demo_cases(demo_folder)["export"]
    for direction, most in (("export", 151), ("both", 302)):
        (preview,) = check(work_package(case, direction, "batched")).previews
        assert dict(preview.facts)["states to solve at most"] == str(most)


def test_a_direction_that_is_none_is_refused_with_the_three(demo_folder: Path) -> None:
    case = demo_cases(demo_folder)["export"]
    data = {
        "name": "x",
        "scope": {"feeders": ["f"], "year": 2025},
        "network": {"plugin": "opendss", "master": str(case.master)},
        "study": {"plugin": "lv-headroom"},
        "injection": {"direction": "sideways"},
        "constraints": [{"plugin": "voltage", "lv_max_v": 253.0}],
    }
    with pytest.raises(ValueError, match=r"injection\.direction.*export.*import.*both"):
        structure_study(data, demo_folder, default_registry())


def test_levels_of_both_are_those_of_the_demo_cases(demo_folder: Path) -> None:
    """The known answers by another way in: the study of one direction, solved on the engine."""
    case = demo_cases(demo_folder)["import"]
    both = run(work_package(case, "both", "batched"))
    levels = answers(case.run(), case.step_kw)
    found = rows(both["lv_group_hosting_capacity"], "import")
    for group, kw in zip(found["capacity_group_head_id"], found["headroom_kw_per_customer"], strict=True):
        assert round(kw / case.step_kw) == levels[group]["level"]
    assert np.isfinite(found["headroom_kw_per_customer"]).all()
