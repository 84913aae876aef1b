"""Every mode on every feeder by both solvers: initial states, injections, allocations, flags and limits crossed.

One list of modes for each study, one of feeders; each pair has one answer in every group, location and instant,
whatever the solver and the search. The demo is quick; of the public feeders the whole table is a longer proof.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from batched.test_parity import PUBLIC
from comparing import answers, assert_one_answer

from hostcap.config import structure_study
from hostcap.plugins import default_registry
from hostcap.running import run
from hostcap.tables import Results
from hostcap.work_package import WorkPackage

SUN = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "studies" / "clear-day.csv"
NOON = {"start_time": "2025-01-15T02:00:00Z"}
FIXED = {
    "plugin": "fixed-load",
    "load_kw_per_customer": 0.6,
    "load_kvar_per_customer": 0.2,
    "generation_kw_per_customer": 0.9,
    "generation_kvar_per_customer": -0.3,
}
PANELS = {"plugin": "pv-system", "profile": "rooftop", "dc_ac_ratio": 1.3, "power_factor": -0.95}
SERIES = {"plugin": "table", "series": {"files": [str(SUN)], "interval_minutes": 30.0}}
TWICE = [
    {"plugin": "thermal", "voltage_level": "lv"},
    {"plugin": "thermal", "voltage_level": "hv", "rating_basis": "emergency", "percent_of_rating": 120.0},
]
LV: dict[str, dict[str, Any]] = {
    "zero-load, export": {"initial_state": {"plugin": "zero-load"}},
    "zero-load, import, lagging": {
        "initial_state": {"plugin": "zero-load"},
        "injection": {"direction": "import", "power_factor": 0.9},
    },
    "fixed-load with kvar, export, leading": {"initial_state": FIXED, "injection": {"power_factor": -0.9}},
    "as-modelled, both, nobody stops": {
        "injection": {"direction": "both"},
        "study": {"lock_group_on_violation": False, "stop_on_hv_violation": False, "max_steps": 25},
    },
    "weighted within group, import": {
        "injection": {"direction": "import"},
        "allocation": {"plugin": "weighted", "scope": "within-group", "basis": "existing-import"},
    },
    "weighted feeder-wide, export": {
        "allocation": {"plugin": "weighted", "scope": "feeder-wide", "basis": "existing-import"},
    },
    "panels at noon": {
        "profiles": SERIES,
        "initial_state": {"plugin": "fixed-load", "load_kw_per_customer": 0.4, **NOON},
        "injection": PANELS,
    },
    "thermal twice, phases to phases": {
        "injection": {"direction": "import", "power_factor": 0.95},
        "voltage": {"hv_reference": "phase-to-phase"},
        "thermal": TWICE,
    },
    "percentile of voltages": {"voltage": {"lv_measurement": "percentile", "lv_percentile": 95.0}},
}
HV: dict[str, dict[str, Any]] = {
    "zero-load, export, lagging": {"initial_state": {"plugin": "zero-load"}, "injection": {"power_factor": 0.95}},
    "fixed-load with kvar, both": {"initial_state": FIXED, "injection": {"direction": "both"}},
    "as-modelled, import, no LV limits": {
        "injection": {"direction": "import", "power_factor": -0.9},
        "voltage": {"lv_min_pu": None, "lv_max_pu": None},
    },
    "panels at noon": {"profiles": SERIES, "initial_state": {"plugin": "zero-load", **NOON}, "injection": PANELS},
    "thermal twice, phases to phases": {
        "injection": {"direction": "import"},
        "voltage": {"hv_reference": "phase-to-phase"},
        "thermal": TWICE,
    },
}
SMALL = ["p1uhs23", "eu-lv", "fourwire", "csiro-j", "csiro-n", "csiro-p", "ieee13", "lv28"]
LARGE = {"ckt5": 10, "cre21": 8}
"""Most steps."""
STEP_KW = {"ieee13": 50.0}
HV_STEP_KW = {"cre21": 1500.0, "ckt5": 600.0, "p1uhs23": 200.0, "ieee13": 300.0}


def asked(network: dict[str, Any], mode: dict[str, Any], study: dict[str, Any], *, linear: bool) -> Results:
    """A study of a feeder in a mode; on the engine with linear stepping, or batched and fast."""
    voltage = {"plugin": "voltage", "lv_min_pu": 0.88, "lv_max_pu": 1.12, "hv_min_pu": 0.88, "hv_max_pu": 1.12}
    voltage = {key: value for key, value in (voltage | mode.get("voltage", {})).items() if value is not None}
    search = {"search": "linear"} if linear and study["plugin"] == "lv-headroom" else {}
    parts = {key: value for key, value in mode.items() if key not in ("study", "voltage", "thermal")}
    data = {
        "name": "matrix",
        "scope": {"feeders": ["f"], "year": 2025},
        "network": {"plugin": "opendss", **network},
        "study": {**study, **mode.get("study", {}), **search},
        "constraints": [voltage, *mode.get("thermal", [{"plugin": "thermal"}])],
        "solver": {"plugin": "opendss" if linear else "batched", "tolerance_pu": 1e-9},
        **parts,
    }
    return run(WorkPackage(document=structure_study(times_read(data), SUN.parent, default_registry())))


def times_read(value: Any) -> Any:
    """Times as a TOML file would give them."""
    from datetime import datetime

    if isinstance(value, dict):
        return {
            key: datetime.fromisoformat(inner) if key == "start_time" else times_read(inner)
            for key, inner in value.items()
        }
    return value


def assert_solvers_agree(network: dict[str, Any], mode: dict[str, Any], study: dict[str, Any]) -> None:
    ours, theirs = (asked(network, mode, study, linear=linear) for linear in (False, True))
    assert_one_answer(ours, theirs)
    assert {what[0] for what in answers(ours).values()} & {"bound", "bound_at_start", "stopped_by_hv", "unconstrained"}


def lv_study(name: str) -> dict[str, Any]:
    return {
        "plugin": "lv-headroom",
        "step_kw_per_customer": STEP_KW.get(name, 0.6),
        "max_steps": LARGE.get(name, 40),
        "binding_usage": False,
    }


SOME = {"cre21": ["*[14]5*"], "ckt5": ["*77*"]}
"""Locations of the large feeders; test_hv_parity.py asks all of them in one mode."""


def hv_study(name: str) -> dict[str, Any]:
    return {
        "plugin": "hv-node-headroom",
        "step_kw_per_node": HV_STEP_KW.get(name, 40.0),
        "max_steps_per_node": 3 if name in LARGE else 12,
        "location_kinds": ["dtx-hv-terminal", "switch-upstream-terminal", "line-tee"],
        **({"location_names": SOME[name]} if name in SOME else {}),
    }


def public(networks: Path, name: str) -> dict[str, Any]:
    config = PUBLIC[name]
    return {
        "master": str(networks / config["master"]),
        "frequency_hz": config["frequency_hz"],
        "voltage_bases_kv": list(config.get("voltage_bases_kv", ())),
    }


def demo(folder: Path) -> dict[str, Any]:
    return {"master": str(folder / "feeder" / "Master.dss"), "frequency_hz": 50.0, "voltage_bases_kv": [22.0, 0.4]}


@pytest.mark.parametrize("mode", list(LV))
def test_every_mode_of_lv_headroom_has_one_answer_on_the_demo(mode: str, demo_folder: Path) -> None:
    assert_solvers_agree(demo(demo_folder), LV[mode], lv_study("demo"))


@pytest.mark.parametrize("mode", list(HV))
def test_every_mode_of_hv_node_headroom_has_one_answer_on_the_demo(mode: str, demo_folder: Path) -> None:
    assert_solvers_agree(demo(demo_folder), HV[mode], hv_study("demo"))


@pytest.mark.slow
@pytest.mark.shared
@pytest.mark.parametrize("mode", list(LV))
@pytest.mark.parametrize("name", [*SMALL, *LARGE])
def test_every_mode_of_lv_headroom_has_one_answer_on_public_feeders(name: str, mode: str, networks: Path) -> None:
    assert_solvers_agree(public(networks, name), LV[mode], lv_study(name))


@pytest.mark.slow
@pytest.mark.shared
@pytest.mark.parametrize("mode", list(HV))
@pytest.mark.parametrize("name", [*SMALL, *LARGE])
def test_every_mode_of_hv_node_headroom_has_one_answer_on_public_feeders(name: str, mode: str, networks: Path) -> None:
    assert_solvers_agree(public(networks, name), HV[mode], hv_study(name))
