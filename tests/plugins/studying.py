"""Running studies in tests: from keywords to the answer of every group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import frozen

from hostcap.config import structure_study
from hostcap.plugins import default_registry
from hostcap.running import run
from hostcap.tables import Results
from hostcap.work_package import WorkPackage


@frozen(kw_only=True)
class Case:
    """A study in the words of the oracle; ``oracle`` takes ``arguments`` as they are."""

    master: Path
    frequency_hz: float
    initial: str
    direction: str
    step_kw: float
    max_steps: int
    voltage_bases_kv: Sequence[float] | None = None
    load_kw: float = 0.0
    load_kvar: float = 0.0
    power_factor: float = 1.0
    lv: tuple[float | None, float | None] = (216.0, 253.0)
    lv_unit: str = "v"
    lv_percentile: int | None = None
    hv: tuple[float | None, float | None] = (0.94, 1.06)
    thermal_percent: float = 100.0
    rating_basis: str = "normal"
    stop_on_hv_violation: bool = True
    lock_group_on_violation: bool = True
    tolerance_pu: float = 1e-6

    @property
    def arguments(self) -> dict[str, Any]:
        """Keywords of the oracle."""
        names = [a.name for a in self.__attrs_attrs__ if a.name != "master"]
        return {name: getattr(self, name) for name in names}

    def work_package(
        self,
        *,
        solver: Mapping[str, Any] | None = None,
        network: Mapping[str, Any] | None = None,
        parts: Mapping[str, Any] | None = None,
        **study: Any,
    ) -> WorkPackage:
        """The same study for the product; further keys of solver and network, and further parts."""
        voltage: dict[str, Any] = {"plugin": "voltage"}
        for level, unit, limits in (("lv", self.lv_unit, self.lv), ("hv", "pu", self.hv)):
            for side, value in zip(("min", "max"), limits, strict=True):
                if value is not None:
                    voltage[f"{level}_{side}_{unit}"] = float(value)
        if self.lv_percentile is not None:
            voltage |= {"lv_measurement": "percentile", "lv_percentile": self.lv_percentile}
        thermal = {
            "plugin": "thermal",
            "percent_of_rating": self.thermal_percent,
            "rating_basis": self.rating_basis,
        }
        model: dict[str, Any] = {
            "plugin": "opendss",
            "master": str(self.master),
            "frequency_hz": self.frequency_hz,
            "voltage_bases_kv": list(self.voltage_bases_kv or ()),
            **(network or {}),
        }
        initial: dict[str, Any] = {"plugin": self.initial}
        if self.initial == "fixed-load":
            initial |= {"load_kw_per_customer": self.load_kw, "load_kvar_per_customer": self.load_kvar}
        data = {
            "name": "case",
            "scope": {"feeders": [study.pop("feeder", "f")], "year": 2025},
            "network": model,
            "study": {
                "plugin": "lv-headroom",
                "step_kw_per_customer": self.step_kw,
                "max_steps": self.max_steps,
                "stop_on_hv_violation": self.stop_on_hv_violation,
                "lock_group_on_violation": self.lock_group_on_violation,
                **study,
            },
            "initial_state": initial,
            "injection": {"direction": self.direction, "power_factor": self.power_factor},
            "constraints": [voltage, thermal],
            "solver": {"plugin": "opendss", "tolerance_pu": self.tolerance_pu, **(solver or {})},
            **(parts or {}),
        }
        return WorkPackage(document=structure_study(data, self.master.parent, default_registry()))

    def run(self, **changes: Any) -> Results:
        """Run it; a feeder that fails fails the test."""
        results = run(self.work_package(**changes))
        assert not results.failed
        return results


def binds(row: Mapping[str, Any] | None) -> tuple[Any, ...] | None:
    """The limit that a row of constraint_violations names, and by how much it is broken."""
    if row is None:
        return None
    equipment = ("metric", "conducting_equipment_mrid", "terminal_sequence_number", "phase")
    return tuple(row[name] for name in (*equipment, "violating_value", "constraint_limit"))


def answers(results: Results, step_kw: float) -> dict[str, dict[str, Any]]:
    """Level, status, customers, later breach and binding violation of every group, as the oracle gives them."""
    binding = {row["binding_id"]: row for row in results["constraint_violations"].rows() if row["binding"]}
    found = {}
    for row in results["lv_group_hosting_capacity"].rows():
        what = binding.get(row["binding_id"])
        found[row["capacity_group_head_id"]] = {
            "level": round(row["headroom_kw_per_customer"] / step_kw),
            "status": row["status"],
            "customers": row["included_customer_count"],
            "breached_after_lock_at": row["breached_after_lock_at"],
            "binding": binds(what),
        }
    return found


def real_cases(networks: Path) -> dict[str, Case]:
    """Studies of the public feeders."""
    cre21 = networks / "au-cre21-mvlv" / "Network-CRE21" / "Master.txt"
    cre21_bases = (66.0, 22.0, 0.400, 0.2309)
    p1uhs23 = networks / "us-smartds-p1uhs23" / "substations" / "p1uhs23_1247" / "Master.dss"
    return {
        "cre21-export": Case(
            master=cre21,
            frequency_hz=50.0,
            voltage_bases_kv=cre21_bases,
            initial="zero-load",
            direction="export",
            step_kw=0.05,
            max_steps=120,
        ),
        "cre21-import": Case(
            master=cre21,
            frequency_hz=50.0,
            voltage_bases_kv=cre21_bases,
            initial="zero-load",
            direction="import",
            step_kw=0.05,
            max_steps=120,
        ),
        "p1uhs23-export": Case(
            master=p1uhs23,
            frequency_hz=60.0,
            initial="as-modelled",
            direction="export",
            step_kw=0.5,
            max_steps=200,
            lv=(0.95, 1.05),
            lv_unit="pu",
        ),
        "p1uhs23-import": Case(
            master=p1uhs23,
            frequency_hz=60.0,
            initial="zero-load",
            direction="import",
            step_kw=0.5,
            max_steps=200,
            lv=(0.95, 1.05),
            lv_unit="pu",
            power_factor=0.95,
        ),
        "eu-lv-export": Case(
            master=networks / "eu-lv-test-feeder" / "Master.dss",
            frequency_hz=50.0,
            initial="as-modelled",
            direction="export",
            step_kw=0.1,
            max_steps=200,
        ),
        "csiro-n-import": Case(
            master=networks / "au-csiro-lv" / "N" / "Master.dss",
            frequency_hz=50.0,
            initial="fixed-load",
            load_kw=0.5,
            load_kvar=0.1,
            direction="import",
            step_kw=0.1,
            max_steps=200,
        ),
        "ckt5-export": Case(
            master=networks / "epri-ckt5" / "Master_ckt5.dss",
            frequency_hz=60.0,
            initial="as-modelled",
            direction="export",
            step_kw=0.5,
            max_steps=100,
            lv=(0.90, 1.05),
            lv_unit="pu",
        ),
    }


def demo_cases(folder: Path) -> dict[str, Case]:
    """Studies of the demo feeder."""
    base: dict[str, Any] = {
        "master": folder / "feeder" / "Master.dss",
        "frequency_hz": 50.0,
        "voltage_bases_kv": (22.0, 0.4),
        "step_kw": 0.1,
        "max_steps": 150,
    }
    return {
        "export": Case(**base, initial="zero-load", direction="export"),
        "import": Case(**base, initial="as-modelled", direction="import", power_factor=0.95),
        "export-leading": Case(**base, initial="fixed-load", load_kw=0.4, direction="export", power_factor=-0.9),
        "no-hv-stop": Case(**base, initial="as-modelled", direction="import", stop_on_hv_violation=False),
        "no-lock": Case(**base, initial="zero-load", direction="export", lock_group_on_violation=False),
    }
