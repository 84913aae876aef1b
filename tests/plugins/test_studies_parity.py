"""Every study file by both solvers: one answer in every group, location and instant.

``batched`` with the fast search against the engine with linear stepping, both at 1e-9 pu; nets of pandapower against
pandapower's own power flow. Nothing may differ, near-tie or not, but names of binding violations of equal excess: the
method ranks by excess rounded to 1e-6, and two phases of one current may lie on both sides of a rounding's edge.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from comparing import assert_one_answer

from hostcap.running import run
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
    "ckt5-export",
    "ckt5-import-feeder-wide",
    "csiro-n-pool-import",
    "ckt5-fixed-time",
    "eu-lv-day-readings",
    "eu-lv-pandapower-export",
    "ieee8500-import",
    "p1uhs23-day-instants",
    "p1uhs23-hv-day",
    "p1uhs23-hv-nodes",
    "simbench-rural-import",
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

COARSER = {"eu-lv-pandapower-export": 1e-6}
"""Where pandapower's power flow of unbalanced nets comes no nearer."""


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
    fewer = [*FEWER.get(name, []), f"solver.tolerance_pu={COARSER.get(name, 1e-9)!r}"]
    engine = [f"solver.plugin={'pandapower' if package else 'opendss'}"]
    if 'plugin = "lv-headroom"' in (studies / f"{name}.toml").read_text(encoding="utf-8"):
        engine += ["study.search=linear", "study.binding_usage=false"]
    ours, theirs = (
        run(WorkPackage.read(studies / f"{name}.toml", overrides=[*fewer, *solver]))
        for solver in (["solver.plugin=batched"], engine)
    )
    assert_one_answer(ours, theirs)
