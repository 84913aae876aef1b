"""A study with a variant of the network is the study of the model with its projects' commands, whoever runs them."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from headroom_oracle import oracle
from studying import answers, demo_cases

from hostcap.config import structure_study
from hostcap.plugins import StudyPlugin, default_registry
from hostcap.results_folder import read_results
from hostcap.running import check, run
from hostcap.tables import Results
from hostcap.work_package import WorkPackage

BIGGER = ("edit transformer.t6_split_phase kvas=[500 500 500]", "edit line.t6_span1 normamps=400")
TAP = ("edit transformer.t4_high_tap wdg=1 tap=1.0",)
PROJECTS = [
    {"name": "bigger t6", "commissioning_year": 2024, "status": "approved", "commands": list(BIGGER)},
    {"name": "tap of t4", "commissioning_year": 2023, "status": "approved", "commands": list(TAP)},
    {"name": "late", "commissioning_year": 2030, "status": "approved", "commands": ["edit line.mv_l1 length=9"]},
]


def study(folder: Path, network: dict[str, Any] | None = None, **tables: Any) -> WorkPackage:
    """The demo's export, with further tables, and keys of the network."""
    case = demo_cases(folder)["export"]
    return case.work_package(network=network, parts=tables)


def with_projects(folder: Path, **more: Any) -> WorkPackage:
    scope = {"feeders": ["f"], "year": 2025, "variant": "plan"}
    tables = {"variants": {"plan": {"statuses": ["approved"]}}, "projects": PROJECTS, "scope": scope}
    return study(folder, **tables | more)


def values(results: Results) -> dict[str, list[str]]:
    """Rows of all tables but findings, as text; without ids, which derive from what the study file says."""
    return {
        name: [
            str({k: v for k, v in row.items() if not k.endswith("_id") or k == "capacity_group_head_id"})
            for row in results[name].rows()
        ]
        for name in results.names
        if name != "findings"
    }


def test_it_is_the_study_of_the_model_with_their_commands(demo_folder: Path) -> None:
    """Tap first, as its project comes first; the engine's own answer is the oracle's, which runs the commands bare."""
    results = run(with_projects(demo_folder))
    commanded = run(study(demo_folder, network={"commands": [*TAP, *BIGGER]}))
    assert not results.failed and not commanded.failed
    assert values(results) == values(commanded)

    case = demo_cases(demo_folder)["export"]
    expected = oracle(str(case.master), **case.arguments, commands=(*TAP, *BIGGER))
    found = answers(results, case.step_kw)
    today = answers(run(study(demo_folder)), case.step_kw)
    for group, right in expected.items():
        assert (found[group]["level"], found[group]["status"]) == (right["level"], right["status"]), group
    assert today["t6_split_phase"]["level"] < found["t6_split_phase"]["level"]
    assert today["t4_high_tap"]["status"] == "bound_at_start" != found["t4_high_tap"]["status"]


def test_findings_list_what_is_built_and_what_is_not(demo_folder: Path) -> None:
    report = check(with_projects(demo_folder))
    listed = [
        (row["code"], row["element"], row["count"], row["message"])
        for row in report.findings.rows()
        if row["code"].startswith("project")
    ]
    assert [line[:3] for line in listed] == [
        ("project-applied", "tap of t4", 1),
        ("project-applied", "bigger t6", 2),
        ("projects-left-out", "late", 1),
    ]
    assert "commissioned in 2023 (neutral); 1 engine command" in listed[0][3]
    assert listed[2][3] == "1 project is not in the network: commissioned after 2025"


def test_results_say_the_variant_and_no_column_is_added(demo_folder: Path, tmp_path: Path) -> None:
    results = run(with_projects(demo_folder), out=tmp_path / "out")
    today = run(study(demo_folder))
    again = read_results(tmp_path / "out")
    for found in (results, again):
        assert {found[name].metadata.get("variant") for name in found.names} == {"plan"}
        assert found.summary["scope"] == {"feeders": ["f"], "year": 2025, "variant": "plan"}
    assert [results[name].schema for name in results.names] == [today[name].schema for name in today.names]
    assert "variant" not in today["findings"].metadata
    assert "variant" not in today.summary["scope"]
    assert results.work_package_id != today.work_package_id


def test_a_report_says_the_variant_where_there_is_one(demo_folder: Path) -> None:
    record: Any = default_registry().get(StudyPlugin, "lv-headroom")
    named, today = (record.report(run(package)) for package in (with_projects(demo_folder), study(demo_folder)))
    assert named.subtitle.endswith("year: 2025; variant of the network: plan.")
    assert today.subtitle.endswith("year: 2025.")


def test_another_year_is_another_run_and_another_network(demo_folder: Path) -> None:
    now, later = (
        run(with_projects(demo_folder, scope={"feeders": ["f"], "year": year, "variant": "plan"}))
        for year in (2022, 2025)
    )
    assert now.work_package_id != later.work_package_id
    assert now.summary["inputs"] != later.summary["inputs"]
    assert not [row for row in now["findings"].rows() if row["code"] == "project-applied"]


def test_workers_build_the_same_projects(demo_folder: Path) -> None:
    package = with_projects(demo_folder)
    assert values(run(package, workers=2)) == values(run(package))
    assert [f for f in run(package, workers=2)["findings"].rows() if f["code"] == "project-applied"]


@pytest.mark.parametrize(
    ("command", "why"),
    [
        (
            "edit transformer.t66 kva=1",
            "OpenDSS would pass over 'edit transformer.t66 kva=1': the model has no transformer",
        ),
        ("transformer.t66.kva=1", "OpenDSS refused 'transformer.t66.kva=1'"),
        ("disable line.mv_l11", "the model has no line 'mv_l11'; did you mean 'mv_l1'?"),
        ("batchedit line.zz.* length=1", "'zz.*' fits none of"),
        ("edit transformer.t6_split_phase kilowatts=3", "Unknown parameter"),
        ("frobnicate", "Unknown Command"),
    ],
)
def test_a_command_that_the_engine_refuses_or_passes_over_is_one_line_with_its_project(
    command: str, why: str, demo_folder: Path
) -> None:
    listed = [PROJECTS[1], PROJECTS[0] | {"commands": [BIGGER[0], command]}]
    results = run(with_projects(demo_folder, projects=listed))
    message = results.failed["f"]
    assert message.startswith("projects[1].commands[1] of project 'bigger t6': ")
    assert why in message
    assert "\n" not in message


def test_a_variant_may_be_another_model(demo_folder: Path, tmp_path: Path) -> None:
    """The name stands for {variant} in the path; a file that is not there is named."""
    shutil.copytree(demo_folder / "feeder", tmp_path / "plan")
    (tmp_path / "plan" / "Master.dss").write_text(
        (demo_folder / "feeder" / "Master.dss").read_text(encoding="utf-8") + "\n" + "\n".join((*TAP, *BIGGER)) + "\n",
        encoding="utf-8",
    )
    data: dict[str, Any] = {
        "name": "case",
        "scope": {"feeders": ["f"], "year": 2025, "variant": "plan"},
        "network": {
            "plugin": "opendss",
            "master": "{variant}/Master.dss",
            "frequency_hz": 50,
            "voltage_bases_kv": [22, 0.4],
        },
        "study": {"plugin": "lv-headroom", "step_kw_per_customer": 0.1, "max_steps": 150},
        "initial_state": {"plugin": "zero-load"},
        "constraints": [
            {"plugin": "voltage", "lv_min_v": 216.0, "lv_max_v": 253.0, "hv_min_pu": 0.94, "hv_max_pu": 1.06},
            {"plugin": "thermal"},
        ],
        "solver": {"plugin": "opendss"},
    }
    found = run(WorkPackage(document=structure_study(data, tmp_path, default_registry())))
    projects = run(with_projects(demo_folder))
    assert answers(found, 0.1) == answers(projects, 0.1)
    data["scope"]["variant"] = "other"
    failed = run(WorkPackage(document=structure_study(data, tmp_path, default_registry()))).failed
    assert "other/Master.dss" in failed["f"].replace("\\", "/")


def test_a_pandapower_net_has_a_file_for_each_variant(tmp_path: Path) -> None:
    """The line of half the length has twice the room; both nets are pandapower's own."""
    pandapower = pytest.importorskip("pandapower")
    networks = pytest.importorskip("pandapower.networks")
    for name, factor in (("today", 1.0), ("plan", 0.5)):
        net = networks.create_kerber_landnetz_freileitung_1()
        net.line["length_km"] *= factor
        (tmp_path / name).mkdir()
        pandapower.to_json(net, str(tmp_path / name / "net.json"))
    headroom = {}
    for name in ("today", "plan"):
        data = {
            "name": "case",
            "scope": {"feeders": ["f"], "year": 2025, "variant": name},
            "network": {"plugin": "pandapower", "file": "{variant}/net.json"},
            "study": {"plugin": "lv-headroom", "step_kw_per_customer": 0.5, "max_steps": 100},
            "initial_state": {"plugin": "zero-load"},
            "constraints": [{"plugin": "voltage", "lv_max_pu": 1.03}],
        }
        results = run(WorkPackage(document=structure_study(data, tmp_path, default_registry())))
        assert not results.failed
        (row,) = results["lv_group_hosting_capacity"].rows()
        headroom[name] = row["headroom_kw_per_customer"]
    assert 1.5 < headroom["plan"] / headroom["today"] < 2.5
