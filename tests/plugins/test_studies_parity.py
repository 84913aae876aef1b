"""Every study file by both solvers: one answer in every group, location and instant.

``batched`` with the fast search against the engine with linear stepping, both at 1e-9 pu; nets of pandapower against
pandapower's own power flow. Nothing may differ, near-tie or not, but names of binding violations of equal excess: the
method ranks by excess rounded to 1e-6, and two phases of one current may lie on both sides of a rounding's edge.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from hostcap.running import run
from hostcap.tables import Results
from hostcap.work_package import WorkPackage

pytestmark = pytest.mark.shared
STUDIES = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "studies"
FEWER = {
    "cre21-export-zero-load": ["study.step_kw_per_customer=0.25", "study.max_steps=40"],
    "cre21-export-fixed-load": ["study.step_kw_per_customer=0.25", "study.max_steps=40"],
    "cre21-export-pv-system": ["study.step_kw_per_customer=0.25", "study.max_steps=40"],
    "cre21-import-zero-load": ["study.step_kw_per_customer=0.25", "study.max_steps=40"],
    "cre21-import-fixed-load": ["study.step_kw_per_customer=0.25", "study.max_steps=40"],
    "cre21-hv-nodes": ["study.step_kw_per_node=1000.0", "study.max_steps_per_node=5"],
    "cre21-hv-panels": ["study.step_kw_per_node=2000.0", "study.max_steps_per_node=5"],
    "p1uhs23-hv-nodes": ["study.step_kw_per_node=150.0", "study.max_steps_per_node=26"],
    "p1uhs23-hv-day": ["study.step_kw_per_node=150.0", "study.max_steps_per_node=26"],
}
"""Fewer states where the engine, one state after the other, would take minutes."""
SLOW = {
    "ckt5-fixed-time",
    "eu-lv-day-readings",
    "ieee8500-import",
    "p1uhs23-day-instants",
    "p1uhs23-hv-day",
    "p1uhs23-hv-nodes",
    "cre21-export-zero-load",
    "cre21-export-fixed-load",
    "cre21-export-pv-system",
    "cre21-import-zero-load",
    "cre21-import-fixed-load",
    "cre21-hv-nodes",
    "cre21-hv-panels",
}
ELSEWHERE = {
    "cigre-lv-export": "pandapower",
    "eu-lv-pandapower-export": "pandapower",
    "simbench-rural-import": "simbench",
}
"""Nets of pandapower, and the package that must be there."""
KEYS = {
    "lv_group_hosting_capacity": ("headroom_kw_per_customer", "breached_after_lock_at"),
    "headroom_profile": ("headroom_kw_per_customer", "is_least"),
    "hv_node_headroom": ("available_headroom_kw", "injected_kw"),
    "hv_node_headroom_profile": ("available_headroom_kw", "is_least"),
}
WHERE = ("feeder", "timestamp", "headroom_direction", "capacity_group_head_id", "location_type", "terminal_mrid")


def answers(results: Results) -> dict[tuple[Any, ...], Any]:
    """What is said of each group, location and instant."""
    found = {}
    for table, columns in KEYS.items():
        for row in results[table].rows() if table in results.names else ():
            what = tuple(round(row[c], 9) if isinstance(row[c], float) else row[c] for c in columns)
            found[table, *(row.get(column) for column in WHERE)] = (row["status"], *what)
    return found


def bindings(results: Results) -> dict[tuple[Any, ...], tuple[Any, ...]]:
    """The binding violation of each answer: what, and by how much."""
    sets = {row["binding_id"]: row for row in results["constraint_violations"].rows() if row["binding"]}
    found = {}
    for table in ("lv_group_hosting_capacity", "hv_node_headroom"):
        for row in results[table].rows() if table in results.names else ():
            what = sets.get(row["binding_id"])
            found[tuple(row.get(column) for column in WHERE)] = () if what is None else binding(what)
    return found


def binding(row: Mapping[str, Any]) -> tuple[Any, ...]:
    place = ("conducting_equipment_mrid", "terminal_sequence_number", "phase")
    excess = abs(row["violating_value"] - row["constraint_limit"]) / abs(row["constraint_limit"])
    return row["metric"], row["iteration"], excess, *(row[column] for column in place)


def same(one: tuple[Any, ...], other: tuple[Any, ...]) -> bool:
    """One metric and step, and one place, or another of the same excess."""
    if not one or not other:
        return one == other
    return one[:2] == other[:2] and abs(one[2] - other[2]) < (2e-6 if one[3:] != other[3:] else 1e-6)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(path.stem, marks=[pytest.mark.slow] if path.stem in SLOW else [])
        for path in sorted(STUDIES.glob("*.toml"))
    ],
)
def test_a_study_file_has_one_answer_by_both_solvers(name: str, studies: Path) -> None:
    package = ELSEWHERE.get(name)
    if package:
        pytest.importorskip(package, reason=f"{package} is not installed: pip install 'hostcap[{package}]'")
    fewer = [*FEWER.get(name, []), "solver.tolerance_pu=1e-9"]
    engine = [f"solver.plugin={'pandapower' if package else 'opendss'}"]
    if 'plugin = "lv-headroom"' in (studies / f"{name}.toml").read_text(encoding="utf-8"):
        engine += ["study.search=linear", "study.binding_usage=false"]
    ours, theirs = (
        run(WorkPackage.read(studies / f"{name}.toml", overrides=[*fewer, *solver]))
        for solver in (["solver.plugin=batched"], engine)
    )
    assert not ours.failed and not theirs.failed
    left, right = answers(ours), answers(theirs)
    assert len(left) > 0
    assert list(left) == list(right)
    assert {key: (left[key], right[key]) for key in right if left[key] != right[key]} == {}
    left, right = bindings(ours), bindings(theirs)
    assert {key: (left[key], right[key]) for key in right if not same(left[key], right[key])} == {}
