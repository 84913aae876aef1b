"""HV node headroom of a balanced net: one node a bus, phases ``ABC``, against a closed form, by both solvers."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hv_studying import KINDS, across, terminal

from hostcap.config import structure_study
from hostcap.plugins import default_registry
from hostcap.running import run
from hostcap.work_package import WorkPackage

pp = pytest.importorskip("pandapower", reason="pandapower is not installed: pip install 'hostcap[pandapower]'")

OHM = complex(0.3, 0.35)
"""Of each km."""
STEP_KW, LIMIT_PU = 100.0, 1.03


def net(folder: Path) -> Path:
    """Source, 5 km, a tee with three spurs of 5 km, a transformer at the end of one, a switch in the first line."""
    made = pp.create_empty_network(f_hz=50.0)
    source, a, b, c, d = (pp.create_bus(made, 22.0, name=name) for name in ("source", "a", "b", "c", "d"))
    low = pp.create_bus(made, 0.4, name="low")
    pp.create_ext_grid(made, source, vm_pu=1.0)
    for number, (first, second) in enumerate(((source, a), (a, b), (a, c), (a, d))):
        pp.create_line_from_parameters(made, first, second, 5.0, OHM.real, OHM.imag, 0.0, 1.0, name=f"l{number}")
    pp.create_transformer_from_parameters(made, b, low, 0.4, 22.0, 0.4, 1.0, 4.0, 0.0, 0.0, name="t")
    pp.create_load(made, low, 0.02, name="home")
    pp.create_switch(made, source, 0, et="l", closed=True, name="breaker")
    path = folder / "net.json"
    pp.to_json(made, str(path))
    assert json.loads(path.read_text(encoding="utf-8"))
    return path


@pytest.mark.parametrize("solver", ["batched", "pandapower"])
def test_three_kinds_of_locations_stop_where_the_closed_form_says(solver: str, tmp_path: Path) -> None:
    data: dict[str, Any] = {
        "name": "x",
        "scope": {"feeders": ["f"], "year": 2025},
        "network": {"plugin": "pandapower", "file": str(net(tmp_path))},
        "study": {
            "plugin": "hv-node-headroom",
            "step_kw_per_node": STEP_KW,
            "max_steps_per_node": 150,
            "location_kinds": list(KINDS),
        },
        "initial_state": {"plugin": "zero-load"},
        "constraints": [{"plugin": "voltage", "hv_max_pu": LIMIT_PU}],
        "solver": {"plugin": solver, "tolerance_pu": 1e-9},
    }
    results = run(WorkPackage(document=structure_study(data, tmp_path, default_registry())))
    rows = {terminal(row): row for row in results["hv_node_headroom"].rows()}
    assert {row["phase_code"] for row in rows.values()} == {"ABC"}

    def expected_kw(km: float) -> float:
        """All three phases in one: line-to-line volts, three-phase power."""
        for n in range(1, 151):
            if abs(across(22_000.0, km * OHM, -n * STEP_KW * 1000.0)) > LIMIT_PU * 22_000.0:
                return (n - 1) * STEP_KW
        return 150 * STEP_KW

    assert {key: row["available_headroom_kw"] for key, row in rows.items()} == {
        ("dtx-hv-terminal", "t", 1): expected_kw(10.0),
        ("switch-upstream-terminal", "l0", 1): 150 * STEP_KW,
        ("line-tee", "a", 0): expected_kw(5.0),
    }
    first = next(row for row in results["constraint_violations"].rows() if row["binding"])
    volts = abs(across(22_000.0, 10.0 * OHM, -(expected_kw(10.0) + STEP_KW) * 1000.0))
    assert (first["conducting_equipment_mrid"], first["phase"]) == ("b", "ABC")
    assert math.isclose(first["violating_value"], volts / 22_000.0, rel_tol=1e-8)


@pytest.mark.parametrize(("solver", "checker"), [("batched", "pandapower"), ("pandapower", "batched")])
def test_reported_states_are_solved_again_and_kept(solver: str, checker: str, tmp_path: Path) -> None:
    """The CIGRE MV net as pandapower ships it: each site at its headroom and its breaking step, by both solvers."""
    data: dict[str, Any] = {
        "name": "x",
        "scope": {"feeders": ["f"], "year": 2025},
        "network": {"plugin": "pandapower", "function": "create_cigre_network_mv"},
        "study": {
            "plugin": "hv-node-headroom",
            "step_kw_per_node": 500.0,
            "max_steps_per_node": 40,
            "location_kinds": ["line-tee"],
            "cross_check": checker,
            "debug_snapshots": True,
        },
        "initial_state": {"plugin": "as-modelled"},
        "constraints": [{"plugin": "voltage", "hv_max_pu": 1.1, "hv_min_pu": 0.9}, {"plugin": "thermal"}],
        "solver": {"plugin": solver, "tolerance_pu": 1e-9},
    }
    results = run(WorkPackage(document=structure_study(data, tmp_path, default_registry())))
    assert not results.failed, results.failed
    kept = {(row["growth_at"], row["iteration"]) for row in results["debug_snapshots"].rows()}
    (found,) = [row for row in results["findings"].rows() if row["code"].startswith("cross-check")]
    assert (found["code"], found["element"], found["count"]) == ("cross-check", checker, len(kept))
    assert "which changes nothing" in found["message"]
    assert {(row["growth_at"], row["iteration"]) for row in results["debug_nodes"].rows()} == kept
