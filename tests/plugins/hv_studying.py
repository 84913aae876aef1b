"""Running HV node headroom in tests: from the oracle's keywords to the answer of every location."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from attrs import frozen
from studying import binds

from hostcap.config import structure_study
from hostcap.plugins import default_registry
from hostcap.running import run
from hostcap.tables import Results, Table
from hostcap.work_package import WorkPackage

KINDS = ("dtx-hv-terminal", "switch-upstream-terminal", "line-tee")


@frozen(kw_only=True)
class HvCase:
    """A study in the words of the oracle; ``hv_oracle.oracle`` takes ``arguments`` as they are."""

    master: Path
    frequency_hz: float
    initial: str
    step_kw: float
    max_steps: int
    direction: str = "export"
    kinds: Sequence[str] = KINDS
    voltage_bases_kv: Sequence[float] | None = None
    load_kw: float = 0.0
    load_kvar: float = 0.0
    power_factor: float = 1.0
    lv: tuple[float | None, float | None] = (None, None)
    lv_unit: str = "pu"
    lv_percentile: int | None = None
    hv: tuple[float | None, float | None] = (0.94, 1.06)
    thermal_percent: float = 100.0
    tolerance_pu: float = 1e-9

    @property
    def arguments(self) -> dict[str, Any]:
        """Keywords of the oracle."""
        return {a.name: getattr(self, a.name) for a in self.__attrs_attrs__ if a.name != "master"}

    def document(self, **changed: Mapping[str, Any]) -> dict[str, Any]:
        """The same study as a study file says it; tables of ``changed`` are added to, key by key."""
        voltage: dict[str, Any] = {"plugin": "voltage"}
        for level, unit, limits in (("lv", self.lv_unit, self.lv), ("hv", "pu", self.hv)):
            for side, value in zip(("min", "max"), limits, strict=True):
                if value is not None:
                    voltage[f"{level}_{side}_{unit}"] = float(value)
        if self.lv_percentile is not None:
            voltage |= {"lv_measurement": "percentile", "lv_percentile": self.lv_percentile}
        initial: dict[str, Any] = {"plugin": self.initial}
        if self.initial == "fixed-load":
            initial |= {"load_kw_per_customer": self.load_kw, "load_kvar_per_customer": self.load_kvar}
        tables: dict[str, Any] = {
            "name": "case",
            "scope": {"feeders": ["f"], "year": 2025},
            "network": {
                "plugin": "opendss",
                "master": str(self.master),
                "frequency_hz": self.frequency_hz,
                "voltage_bases_kv": list(self.voltage_bases_kv or ()),
            },
            "study": {
                "plugin": "hv-node-headroom",
                "step_kw_per_node": self.step_kw,
                "max_steps_per_node": self.max_steps,
                "location_kinds": list(self.kinds),
            },
            "initial_state": initial,
            "injection": {"direction": self.direction, "power_factor": self.power_factor},
            "constraints": [voltage, {"plugin": "thermal", "percent_of_rating": self.thermal_percent}],
            "solver": {"plugin": "batched", "tolerance_pu": self.tolerance_pu},
        }
        for table, values in changed.items():
            tables[table] = {**tables.get(table, {}), **values}
        return tables

    def work_package(self, **changed: Any) -> WorkPackage:
        """The study, read as a file would be."""
        return WorkPackage(document=structure_study(self.document(**changed), self.master.parent, default_registry()))

    def run(self, **changed: Any) -> Results:
        """Run it; a feeder that fails fails the test."""
        results = run(self.work_package(**changed))
        assert not results.failed, results.failed
        return results


def terminal(row: Mapping[str, Any]) -> tuple[str, str, int]:
    """Kind, equipment and terminal of a row; terminal 0 where the location is a bus."""
    name, number = str(row["conducting_equipment_mrid"]), str(row["terminal_mrid"])
    return row["location_type"], name, int(number[len(name) + 1 :]) if number != name else 0


def locations(results: Results, step_kw: float, direction: str = "export") -> dict[tuple[str, str, int], Any]:
    """Level, status, binding violation and phases of every location, as the oracle gives them."""
    binding = {row["binding_id"]: row for row in results["constraint_violations"].rows() if row["binding"]}
    found = {}
    for row in results["hv_node_headroom"].rows():
        if row["headroom_direction"] != direction:
            continue
        what = binding.get(row["binding_id"])
        found[terminal(row)] = {
            "level": round(row["available_headroom_kw"] / step_kw),
            "status": row["status"],
            "phases": tuple("ABC".index(letter) + 1 for letter in row["phase_code"]),
            "binding": binds(what),
        }
    return found


def differing(
    found: Mapping[tuple[str, str, int], Any], expected: Mapping[tuple[str, str, int], Any], rel: float
) -> dict[tuple[str, str, int], Any]:
    """Locations with another level, status, phases or binding violation; values may be ``rel`` apart.

    The method ranks excesses rounded to 1e-6. Two equal currents (the phases of a coil between two) may lie on both
    sides of a rounding's edge, 1e-7 apart: then either binds, and their excess is compared instead of their names.
    """
    different = {}
    for key, right in expected.items():
        left = found[key]
        same = all(left[name] == right[name] for name in ("level", "status", "phases"))
        ours, theirs = left["binding"] or (), right["binding"] or ()
        if same and ours and theirs and ours[:4] != theirs[:4]:
            excess = [abs(value - limit) / abs(limit) for *_, value, limit in (ours, theirs)]
            same = ours[0] == theirs[0] and abs(excess[0] - excess[1]) < 1e-6
        else:
            same = same and ours[:4] == theirs[:4] and np.allclose(ours[4:], theirs[4:], rtol=rel, atol=0.0)
        if not same:
            different[key] = (left, right)
    return different


def across(e: complex, z: complex, s_va: complex) -> complex:
    """Voltage of what draws ``s_va`` over ``z`` from ``e``, in closed form; see test_hv_two_bus.py."""
    drop = z * s_va.conjugate()
    half = abs(e) ** 2 / 2.0 - drop.real
    squared = half + math.sqrt(half**2 - abs(drop) ** 2)
    return ((squared + drop) / e).conjugate()


def codes(findings: Table) -> list[str]:
    """Codes of findings."""
    return [str(code) for code in findings["code"]]


def demo_case(folder: Path, **changed: Any) -> HvCase:
    """The demo feeder: without load, LV watched loosely enough that its start is whole."""
    given: dict[str, Any] = {
        "master": folder / "feeder" / "Master.dss",
        "frequency_hz": 50.0,
        "voltage_bases_kv": (22.0, 0.4),
        "initial": "zero-load",
        "step_kw": 40.0,
        "max_steps": 60,
        "lv": (0.9, 1.14),
    }
    return HvCase(**given | changed)


def real_hv_cases(networks: Path) -> dict[str, HvCase]:
    """Studies of the public feeders."""
    cre21: dict[str, Any] = {
        "master": networks / "au-cre21-mvlv" / "Network-CRE21" / "Master.txt",
        "frequency_hz": 50.0,
        "voltage_bases_kv": (66.0, 22.0, 0.400, 0.2309),
        "initial": "zero-load",
        "lv": (216.0, 253.0),
        "lv_unit": "v",
    }
    p1uhs23: dict[str, Any] = {
        "master": networks / "us-smartds-p1uhs23" / "substations" / "p1uhs23_1247" / "Master.dss",
        "frequency_hz": 60.0,
        "initial": "as-modelled",
        "hv": (0.95, 1.05),
        "thermal_percent": 150.0,
    }
    ckt5: dict[str, Any] = {
        "master": networks / "epri-ckt5" / "Master_ckt5.dss",
        "frequency_hz": 60.0,
        "initial": "as-modelled",
        "hv": (0.9, 1.06),
        "thermal_percent": 200.0,
    }
    ieee8500: dict[str, Any] = {
        "master": networks / "ieee-8500" / "Master.dss",
        "frequency_hz": 60.0,
        "initial": "as-modelled",
        "hv": (0.85, 1.1),
    }
    return {
        "cre21-export": HvCase(**cre21, step_kw=2000.0, max_steps=2),
        "cre21-import": HvCase(**cre21, step_kw=2000.0, max_steps=2, direction="import", power_factor=0.95),
        "p1uhs23-export": HvCase(**p1uhs23, step_kw=100.0, max_steps=40),
        "p1uhs23-import": HvCase(**p1uhs23, step_kw=100.0, max_steps=40, direction="import", power_factor=-0.9),
        "ckt5-export": HvCase(**ckt5, step_kw=1800.0, max_steps=1),
        "8500-export": HvCase(**ieee8500, step_kw=500.0, max_steps=1),
    }
