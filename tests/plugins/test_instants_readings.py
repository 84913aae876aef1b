"""Instants of real readings: the model's own smart-meter days as a table; both solvers, and the oracle at one."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from headroom_oracle import oracle

from hostcap._arrays import FloatArray
from hostcap.config import structure_study
from hostcap.plugins import default_registry
from hostcap.running import run
from hostcap.tables import Results
from hostcap.work_package import WorkPackage

pytestmark = pytest.mark.shared
RUN_ID = "00000000-0000-4000-8000-00000000000c"
DAY = datetime(2025, 2, 3, tzinfo=UTC)
HALF_HOURS = (5, 15, 25, 37, 38, 39)
"""Half-hours of the day that are searched: night, morning, noon, and the evening."""
STEP_KW, MAX_STEPS = 0.25, 60
LIMITS = {"lv_min_v": 216.0, "lv_max_v": 253.0, "hv_min_pu": 0.9, "hv_max_pu": 1.1}
BASES = (22.0, 0.4)


def half_hourly(networks: Path) -> tuple[dict[str, FloatArray], FloatArray]:
    """kW and kvar of each load, shape (48, 2), and the panels' output: means of the model's five-minute shapes."""
    folder = networks / "au-oe-lv28"
    shapes: dict[str, FloatArray] = {}
    for line in (folder / "LoadShapes.txt").read_text(encoding="utf-8").splitlines():
        if match := re.match(r"new loadshape\.(\S+)", line.strip(), re.IGNORECASE):
            found = {k.lower(): np.array(v.replace(",", " ").split(), dtype=float) for k, v in _lists(line)}
            kw = found["pmult" if "pmult" in found else "mult"].reshape(48, -1).mean(axis=1)
            kvar = found["qmult"].reshape(48, -1).mean(axis=1) if "qmult" in found else np.zeros(48)
            shapes[match[1].lower()] = np.stack([kw, kvar], axis=1)
    loads = {}
    for line in (folder / "Customers.txt").read_text(encoding="utf-8").splitlines():
        if match := re.match(r"new load\.(\S+) .*daily=(\S+)", line.strip(), re.IGNORECASE):
            loads[match[1].lower()] = shapes[match[2].lower()]
    return loads, shapes["pvshape1"][:, 0]


def _lists(line: str) -> list[tuple[str, str]]:
    return re.findall(r"\b(pmult|qmult|mult)\s*=\s*[\[(]([^\])]*)[\])]", line, re.IGNORECASE)


def panels(networks: Path) -> set[str]:
    """Loads that have panels."""
    text = (networks / "au-oe-lv28" / "PVSystems.txt").read_text(encoding="utf-8")
    return {name.lower() for name in re.findall(r"pvsystem\.PV_(\S+)", text, re.IGNORECASE)}


@pytest.fixture(scope="module")
def readings(networks: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A long table: import and export of each customer, kW, and its kvar."""
    loads, sun = half_hourly(networks)
    own = panels(networks)
    rows = ["time,customer,import_kw,import_kvar,export_kw"]
    for half_hour in range(48):
        stamp = (DAY + timedelta(minutes=30 * (half_hour + 1))).strftime("%Y-%m-%dT%H:%M:%SZ")
        for name, powers in loads.items():
            kw, kvar = np.maximum(powers[half_hour, 0], 0.0), powers[half_hour, 1]
            rows.append(f"{stamp},{name},{float(kw)!r},{float(kvar)!r},{5.0 * float(sun[half_hour]) * (name in own)!r}")
    path = tmp_path_factory.mktemp("readings") / "day.csv"
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


def study(readings: Path, networks: Path, initial: dict[str, Any], **changes: Any) -> Results:
    """Run the feeder from the readings."""
    data: dict[str, Any] = {
        "name": "lv28",
        "scope": {"feeders": ["lv28"], "year": 2025},
        "network": {
            "plugin": "opendss",
            "master": str(networks / "au-oe-lv28" / "Master.txt"),
            "frequency_hz": 50.0,
            "voltage_bases_kv": list(BASES),
        },
        "profiles": {
            "plugin": "table",
            "readings": {
                "files": [str(readings)],
                "interval_minutes": 30.0,
                "unit": "kW",
                "import_column": "import_kw",
                "import_kvar_column": "import_kvar",
                "export_column": "export_kw",
            },
        },
        "study": {"plugin": "lv-headroom", "step_kw_per_customer": STEP_KW, "max_steps": MAX_STEPS},
        "initial_state": initial,
        "injection": {"direction": "both"},
        "constraints": [{"plugin": "voltage", **LIMITS}, {"plugin": "thermal"}],
        **changes,
    }
    document = structure_study(data, readings.parent, default_registry())
    results = run(WorkPackage(document=document, given_id=RUN_ID))
    assert not results.failed, results.failed
    return results


def ends() -> list[datetime]:
    return [DAY + timedelta(minutes=30 * (h + 1)) for h in HALF_HOURS]


@pytest.fixture(scope="module")
def day(readings: Path, networks: Path) -> Results:
    return study(readings, networks, {"plugin": "instants", "instants": ends()})


def test_both_solvers_find_the_same_at_every_instant(day: Results, readings: Path, networks: Path) -> None:
    other = study(readings, networks, {"plugin": "instants", "instants": ends()}, solver={"plugin": "opendss"})
    for name in ("timestamp", "headroom_direction", "status", "headroom_kw_per_customer", "is_least"):
        assert day["headroom_profile"][name].tolist() == other["headroom_profile"][name].tolist()
    one, two = day["constraint_violations"], other["constraint_violations"]
    for name in ("iteration", "conducting_equipment_mrid", "phase", "metric"):
        assert one[name].tolist() == two[name].tolist()
    assert one["violating_value"] == pytest.approx(two["violating_value"], rel=1e-5)


def customers(results: Results, group: dict[str, Any]) -> list[str]:
    """Rows of the customers of a group, to the last digit."""
    direction = group["headroom_direction"]
    return [repr(r) for r in results["customer_allocations"].rows() if r["headroom_direction"] == direction]


def test_each_instant_is_that_of_a_study_from_it_alone(day: Results, readings: Path, networks: Path) -> None:
    """The plugin ``fixed-time`` reads by another way; every number is the same to the last digit."""
    rows = list(day["headroom_profile"].rows())
    least = [r for r in rows if r["is_least"]]
    for instant in ends():
        alone = study(readings, networks, {"plugin": "fixed-time", "start_time": instant})
        for group in alone["lv_group_hosting_capacity"].rows():
            (own,) = [
                r
                for r in rows
                if r["timestamp"] == group["timestamp"] and r["headroom_direction"] == group["headroom_direction"]
            ]
            shared = (set(own) & set(group)) - {"initial_condition_selector"}
            assert {k: own[k] for k in shared} == {k: group[k] for k in shared}
            if own in least:
                assert customers(day, own) == customers(alone, own)


def test_export_is_least_at_noon_and_import_in_the_evening(day: Results, networks: Path) -> None:
    least = {r["headroom_direction"]: r for r in day["headroom_profile"].rows() if r["is_least"]}
    noon, evening = ends()[2], ends()[3:]
    assert least["export"]["timestamp"] == np.datetime64(noon.replace(tzinfo=None), "us")
    assert least["import"]["timestamp"] in {np.datetime64(e.replace(tzinfo=None), "us") for e in evening}
    sun = half_hourly(networks)[1][HALF_HOURS[2]]
    assert least["export"]["total_base_net_export_kw"] == pytest.approx(35 * 5.0 * sun, rel=1e-9)
    assert sun > 0.5


@pytest.mark.parametrize("direction", ["export", "import"])
def test_the_oracle_gives_the_same_at_an_instant(direction: str, day: Results, networks: Path) -> None:
    """Bare engine calls: every load edited to its reading, panels off, as it is night; no code is shared."""
    loads, sun = half_hourly(networks)
    half_hour = HALF_HOURS[0]
    assert sun[half_hour] == 0.0
    commands = ["batchedit pvsystem..* enabled=no", "batchedit invcontrol..* enabled=no"]
    for name, powers in loads.items():
        kw, kvar = powers[half_hour].tolist()
        commands.append(f"edit load.{name} kw={max(kw, 0.0)!r} kvar={kvar!r}")
    expected = oracle(
        str(networks / "au-oe-lv28" / "Master.txt"),
        frequency_hz=50.0,
        voltage_bases_kv=BASES,
        initial="as-modelled",
        commands=commands,
        direction=direction,
        step_kw=STEP_KW,
        max_steps=MAX_STEPS,
        lv=(216.0, 253.0),
        hv=(0.9, 1.1),
    )
    ((_, right),) = expected.items()
    instant = np.datetime64(ends()[0].replace(tzinfo=None), "us")
    (own,) = [
        r for r in day["headroom_profile"].rows() if r["timestamp"] == instant and r["headroom_direction"] == direction
    ]
    assert (round(own["headroom_kw_per_customer"] / STEP_KW), own["status"]) == (right["level"], right["status"])
