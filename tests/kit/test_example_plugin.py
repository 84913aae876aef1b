"""The example distribution from outside: its constraints bind on feeders, at the level that a bare solve confirms."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import hostcap_example
import numpy as np
import pytest

from hostcap import WorkPackage, run
from hostcap.config import read_toml, structure_study
from hostcap.plugins import default_registry
from hostcap.plugins.registry import Registry

REGISTRY = default_registry() | Registry.of(hostcap_example)
EXAMPLE = Path(__file__).resolve().parents[1] / "example_plugin" / "study.toml"


def package(data: Any, folder: Path) -> WorkPackage:
    return WorkPackage(document=structure_study(data, folder, REGISTRY), registry=REGISTRY)


def binding(results: Any) -> list[dict[str, Any]]:
    return [row for row in results["constraint_violations"].rows() if row["binding"]]


def test_its_study_file_runs_on_the_demo_feeder_with_its_own_writer(demo_folder: Path, tmp_path: Path) -> None:
    data = read_toml(EXAMPLE)
    data["network"]["master"] = str(demo_folder / "feeder" / "Master.dss")
    results = run(package(data, tmp_path), out=tmp_path / "results")
    assert not results.failed
    (written,) = (tmp_path / "results").glob("*.txt")
    assert written.read_text(encoding="utf-8").startswith("# lv_group_hosting_capacity\n")
    weights = results["customer_allocations"]
    one_phase = np.asarray([len(code) == 1 for code in weights["customer_phase_code"]])
    assert set(weights["scaling_factor"][one_phase]) == {0.5}
    assert set(weights["scaling_factor"][~one_phase]) == {1.0}


@pytest.mark.shared
@pytest.mark.parametrize("solver", ["batched", "opendss"])
def test_the_neutral_current_binds_on_a_four_wire_feeder(networks: Path, tmp_path: Path, solver: str) -> None:
    data = {
        "name": "neutral",
        "scope": {"feeders": ["n"], "year": 2025},
        "network": {
            "plugin": "opendss",
            "master": str(networks / "au-lv-fourwire" / "Master.dss"),
            "frequency_hz": 50,
            "voltage_bases_kv": [22.0, 0.415],
        },
        "study": {"plugin": "lv-headroom", "step_kw_per_customer": 0.25, "max_steps": 200},
        "initial_state": {"plugin": "zero-load"},
        "injection": {"direction": "import"},
        "constraints": [{"plugin": "neutral-current", "max_a": 40.0}],
        "solver": {"plugin": solver},
    }
    results = run(package(data, tmp_path))
    (row,) = results["lv_group_hosting_capacity"].rows()
    (found,) = binding(results)
    assert row["status"] == "bound"
    assert row["headroom_kw_per_customer"] > 0
    assert found["metric"] == "neutral-current"
    assert found["phase"] == "N"
    # From no load the neutral's current is nearly in proportion to the step: one step before it was within 40 A.
    before = found["violating_value"] * (found["iteration"] - 1) / found["iteration"]
    assert before < 1.01 * 40.0 < 1.01 * found["violating_value"]


@pytest.mark.shared
def test_unbalance_binds_on_a_feeder_and_both_solvers_agree(networks: Path, tmp_path: Path) -> None:
    found = {}
    for solver in ("batched", "opendss"):
        data = {
            "name": "unbalance",
            "scope": {"feeders": ["j"], "year": 2025},
            "network": {
                "plugin": "opendss",
                "master": str(networks / "au-csiro-lv" / "N" / "Master.dss"),
                "frequency_hz": 50,
                "voltage_bases_kv": [22.0, 0.415],
            },
            "study": {"plugin": "lv-headroom", "step_kw_per_customer": 0.25, "max_steps": 400},
            "initial_state": {"plugin": "zero-load"},
            "injection": {"direction": "import"},
            "constraints": [{"plugin": "voltage-unbalance", "max_percent": 1.0}],
            "solver": {"plugin": solver},
        }
        results = run(package(data, tmp_path))
        (row,) = results["lv_group_hosting_capacity"].rows()
        (worst,) = binding(results)
        assert row["status"] == "bound"
        assert worst["metric"] == "voltage-unbalance"
        found[solver] = (row["headroom_kw_per_customer"], worst["conducting_equipment_mrid"], worst["iteration"])
    assert found["batched"] == found["opendss"]
