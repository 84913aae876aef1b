"""Study files on real feeders, their answers solved again by bare engine calls: a level holds, and the next breaks.

Starts, weights and growth are made here from the models and the study files alone; only the answer is the product's.
Tolerances: values of binding violations 2e-5 of themselves, as both sides iterate to about 1e-7 pu; kW 1e-6.
"""

from __future__ import annotations

import csv
import json
import random
import re
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from bare_engine import add_at_hv, add_growth, again, at_hour, broken, compiled, measured, reactive, snapshot
from click.testing import CliRunner

from hostcap.cli.main import main
from hostcap.profiles import as_datetime
from hostcap.running import run
from hostcap.tables import Results
from hostcap.work_package import WorkPackage

pytestmark = pytest.mark.shared
HOUR = 3600
CONSTANT = "model=1 status=fixed vminpu=0.1 vmaxpu=3"
"""What is given at the start is held at any voltage."""
P1UHS23 = ("us-smartds-p1uhs23/substations/p1uhs23_1247/Master.dss", 60.0)
CRE21 = ("au-cre21-mvlv/Network-CRE21/Master.txt", 50.0, (66.0, 22.0, 0.400, 0.2309))
LV28 = ("au-oe-lv28/Master.txt", 50.0, (22.0, 0.4))


def answer(studies: Path, name: str, *overrides: str) -> Results:
    results = run(WorkPackage.read(studies / f"{name}.toml", overrides=list(overrides)))
    assert not results.failed
    return results


def groups_of(results: Results) -> dict[str, dict[str, Any]]:
    return {row["capacity_group_head_id"]: row for row in results["lv_group_hosting_capacity"].rows()}


def weights_of(results: Results) -> dict[str, float]:
    return {row["conducting_equipment_mrid"]: row["scaling_factor"] for row in results["customer_allocations"].rows()}


def members_of(results: Results) -> dict[str, set[str]]:
    """Elements of the customers of each group."""
    found: dict[str, set[str]] = {}
    for row in results["customer_allocations"].rows():
        found.setdefault(row["capacity_group_head_id"], set()).add(row["conducting_equipment_mrid"])
    return found


def verify(
    results: Results,
    start: Callable[[], Any],
    *,
    step_kw: float,
    weights: Mapping[str, float],
    sign: int,
    power_factor: float = 1.0,
    seconds: int | None = None,
    sample: int = 6,
    per_kw: float = 1.0,
) -> list[str]:
    """Solve some bound groups at their level and the next, growth by ``weights``; returns their names.

    ``per_kw`` is what one kW of growth injects or draws.
    """
    customers = list(results["customer_allocations"].rows())
    largest: dict[str, float] = {}
    for row in customers:
        group, weight = row["capacity_group_head_id"], weights[row["conducting_equipment_mrid"]]
        largest[group] = max(largest.get(group, 0.0), weight)
    groups = groups_of(results)
    level = {
        name: round(row["headroom_kw_per_customer"] / (step_kw * (largest[name] or 1.0)))
        for name, row in groups.items()
        if name in largest
    }
    binding = {row["binding_id"]: row for row in results["constraint_violations"].rows() if row["binding"]}
    bound = [name for name, row in groups.items() if row["status"] == "bound"]
    chosen = random.Random(7).sample(bound, min(sample, len(bound)))
    for name in chosen:
        row = binding[groups[name]["binding_id"]]
        assert row["iteration"] == level[name] + 1
        for step in (level[name], level[name] + 1):
            dss = start()
            kw = {}
            for customer in customers:
                own = level[customer["capacity_group_head_id"]]
                element = customer["conducting_equipment_mrid"]
                kw[element] = sign * per_kw * step_kw * (step if step <= own + 1 else own) * weights[element]
            add_growth(dss, kw, power_factor)
            again(dss, seconds)
            value = measured(dss, row)
            dss.Basic.ClearAll()
            assert broken(value, row) == (step == row["iteration"]), (name, step, value)
            if step == row["iteration"]:
                assert value == pytest.approx(row["violating_value"], rel=2e-5)
    return chosen


def drawn_kw(dss: Any, kind: str) -> dict[str, tuple[str, float]]:
    """Bus and kW drawn of each element of a class."""
    found = {}
    for name in (full.partition(".")[2] for full in dss.Circuit.AllElementNames() if full.lower().startswith(kind)):
        dss.Circuit.SetActiveElement(f"{kind}.{name}")
        found[name] = dss.CktElement.BusNames()[0].partition(".")[0], sum(dss.CktElement.Powers()[::2])
    return found


# Weights


def test_panels_grow_where_panels_export(studies: Path, networks: Path) -> None:
    """13:00 of the model's day, by the engine's own daily solution: net export of each customer over the largest."""
    path, frequency_hz, bases = LV28

    def start() -> Any:
        return at_hour(compiled(networks / path, frequency_hz, bases), "daily", 13 * HOUR)

    results = answer(studies, "oe-lv28-export-weighted")
    dss = start()
    loads, panels = drawn_kw(dss, "load"), drawn_kw(dss, "pvsystem")
    assert (len(loads), len(panels)) == (114, 35)
    owners = {bus: name for name, (bus, _) in reversed(loads.items())}
    net = {name: kw for name, (_, kw) in loads.items()}
    for bus, kw in panels.values():
        net[owners[bus]] += kw
    export = {name: max(-kw, 0.0) for name, kw in net.items()}
    weights = {name: kw / max(export.values()) for name, kw in export.items()}
    found = weights_of(results)
    assert found == {name: pytest.approx(weight, abs=2e-4) for name, weight in weights.items()}
    assert 20 < sum(weight > 0 for weight in found.values()) <= 35
    assert verify(results, start, step_kw=0.1, weights=found, sign=-1, seconds=13 * HOUR) == ["hv_f0_lv28_tx"]


def test_growth_over_a_whole_feeder_follows_its_largest_customer(studies: Path, networks: Path) -> None:
    """Weights are kW of the model's loads over the largest of 1 379; the stop is the substation's own transformer."""

    def start() -> Any:
        return snapshot(compiled(networks / "epri-ckt5/Master_ckt5.dss", 60.0))

    results = answer(studies, "ckt5-import-feeder-wide")
    dss = start()
    kw = {}
    for name in dss.Loads.AllNames():
        dss.Loads.Name(name)
        kw[name] = dss.Loads.kW()
    largest = max(kw[name] for name in weights_of(results))
    weights = {name: pytest.approx(kw[name] / largest, rel=1e-9) for name in weights_of(results)}
    found = weights_of(results)
    assert found == weights
    assert max(found.values()) == 1.0
    groups = groups_of(results).values()
    stopped = [row for row in groups if row["status"] == "stopped_by_hv"]
    assert len(stopped) > 400
    # Everybody who was still growing stopped at one level, so headrooms are in proportion to the largest weights.
    largest_of = {group: max(found[name] for name in own) for group, own in members_of(results).items()}
    levels = {
        round(row["headroom_kw_per_customer"] / (0.5 * largest_of[row["capacity_group_head_id"]]), 6) for row in stopped
    }
    assert len(levels) == 1
    verify(results, start, step_kw=0.5, weights=found, sign=1, power_factor=0.95, sample=3)


def test_chargers_grow_by_the_column_of_the_customer_file(studies: Path, networks: Path) -> None:
    """Midnight of the model's day; the weights are those of the CSV file, read here without hostcap."""
    path, frequency_hz = P1UHS23

    def start() -> Any:
        return at_hour(compiled(networks / path, frequency_hz), "yearly", 24 * HOUR)

    results = answer(studies, "p1uhs23-import-chargers")
    with (studies / "p1uhs23-customers.csv").open(newline="", encoding="utf-8") as file:
        charger = {row["element"].lower(): float(row["charger_kw"]) for row in csv.DictReader(file)}
    found = weights_of(results)
    members = members_of(results)
    for group, row in groups_of(results).items():
        own = members[group]
        largest = max(charger[name.lower()] for name in own)
        assert (row["status"] == "no_growth") == (largest == 0)
        for name in own:
            assert found[name] == pytest.approx(charger[name.lower()] / largest if largest else 0.0)
    assert Counter(row["status"] for row in groups_of(results).values()) == {"bound": 50, "no_growth": 4}
    assert len(verify(results, start, step_kw=0.2, weights=found, sign=1, seconds=24 * HOUR)) == 6


# Readings of a pool


def test_a_feeder_starts_at_the_peak_of_the_pool_that_its_customer_file_names(studies: Path, networks: Path) -> None:
    """The trial's own file, its homes by the customer file: the half-hour of the peak, every start, and the level."""
    results = answer(studies, "csiro-p-pool-peak")
    trial = json.loads((networks / "au-halfhour-profiles/smartgridsmartcities.json").read_text(encoding="utf-8"))
    with (studies / "csiro-p-customers.csv").open(newline="", encoding="utf-8") as file:
        meter = {row["element"]: row["meter"] for row in csv.DictReader(file)}
    clocks = [f"{minutes // 60:02}:{minutes % 60:02}" for minutes in range(0, 24 * 60, 30)]
    kw = {clock: {name: trial[own]["p"][at(trial[own], clock)] for name, own in meter.items()} for clock in clocks}
    assert len(meter) == 109
    peak = max(kw, key=lambda clock: sum(kw[clock].values()))
    (group,) = groups_of(results).values()
    assert f"{as_datetime(group['timestamp']) + timedelta(hours=10):%H:%M}" == peak
    starts = {row["conducting_equipment_mrid"]: row["initial_kw"] for row in results["customer_allocations"].rows()}
    assert starts == {name: pytest.approx(own) for name, own in kw[peak].items()}

    def start() -> Any:
        dss = compiled(networks / "au-csiro-lv/P/Master.dss", 50.0)
        for name, own in kw[peak].items():
            dss.Text.Command(f"load.{name}.kw={own!r}")
            dss.Text.Command(f"load.{name}.kvar={reactive(own, 0.95)!r}")
        return snapshot(dss)

    ones = dict.fromkeys(weights_of(results), 1.0)
    assert verify(results, start, step_kw=0.1, weights=ones, sign=1, power_factor=0.95) == ["1"]


def at(day: Mapping[str, Any], clock: str) -> int:
    """Place of a time of day in a day of 48 half-hours that may begin at any of them."""
    (place,) = [place for place, own in enumerate(day["time"]) if own[11:16] == clock]
    return int(place)


# Shapes as series, traced weights, a large feeder


def test_panels_follow_the_models_own_shape_at_each_instant(studies: Path, networks: Path) -> None:
    """1 kW of panels gives what the shape says, or 0.95 / 1.2 kW if that is less; the least is at 15:00."""
    path, frequency_hz, bases = LV28
    seconds = 15 * HOUR

    def start() -> Any:
        return at_hour(compiled(networks / path, frequency_hz, bases), "daily", seconds)

    results = answer(studies, "oe-lv28-panels-instants")
    profile = list(results["headroom_profile"].rows())
    assert [as_datetime(row["timestamp"]).hour for row in profile] == [0, 2, 5]  # 10:00, 12:00 and 15:00 at UTC+10
    assert min(profile, key=lambda row: row["headroom_kw_per_customer"])["is_least"]
    dss = start()
    dss.LoadShape.Name("pvshape1")
    shape = np.asarray(dss.LoadShape.PMult())
    for row, hour in zip(profile, (10, 12, 15), strict=True):
        per_kw = min(float(shape[12 * hour - 1]), 0.95 / 1.2)
        assert row["injected_kw"] == pytest.approx(row["total_kw_added"] * per_kw)
    ones = dict.fromkeys(weights_of(results), 1.0)
    verified = verify(
        results, start, step_kw=0.1, weights=ones, sign=-1, power_factor=0.95, seconds=seconds, per_kw=per_kw
    )
    assert verified == ["hv_f0_lv28_tx"]


def test_traced_growth_goes_to_those_behind_the_transformers_export(studies: Path, networks: Path) -> None:
    """Nobody who imports at 13:00 has a share; the level holds for the weights that the answer states."""
    path, frequency_hz, bases = LV28

    def start() -> Any:
        return at_hour(compiled(networks / path, frequency_hz, bases), "daily", 13 * HOUR)

    results = answer(studies, "oe-lv28-export-traced")
    weights = weights_of(results)
    assert max(weights.values()) == 1.0
    for row in results["customer_allocations"].rows():
        assert (row["scaling_factor"] > 0) <= (row["initial_kw"] < 0)
    assert 20 < sum(weight > 0 for weight in weights.values()) <= 35
    assert verify(results, start, step_kw=0.1, weights=weights, sign=-1, seconds=13 * HOUR) == ["hv_f0_lv28_tx"]


@pytest.mark.slow
def test_a_feeder_of_8500_nodes_stops_on_low_voltage_far_from_its_regulators(studies: Path, networks: Path) -> None:
    results = answer(studies, "ieee8500-import")
    groups = groups_of(results).values()
    assert Counter(row["status"] for row in groups).keys() == {"bound", "stopped_by_hv"}
    assert len(groups) == 1177
    assert {row["metric"] for row in results["constraint_violations"].rows() if row["binding"]} == {"voltage-low"}
    assert "regulator-outside-band" in set(results["findings"]["code"])

    def start() -> Any:
        return snapshot(compiled(networks / "ieee-8500/Master.dss", 60.0))

    ones = dict.fromkeys(weights_of(results), 1.0)
    assert len(verify(results, start, step_kw=0.05, weights=ones, sign=1, power_factor=-0.98, sample=2)) == 2


# A stated load, snapshots, writers


def test_a_stated_load_and_generation_of_every_customer_from_the_command_line(
    studies: Path, networks: Path, tmp_path: Path
) -> None:
    """0.5 kW and 0.15 kvar drawn beside 1 kW given, which consumes 0.2 kvar, at each of 63 customers."""
    study, out = studies / "fourwire-export-fixed-load.toml", tmp_path / "o"
    done = CliRunner().invoke(main, ["run", str(study), "--out", str(out)])
    assert done.exit_code == 0, done.output
    (group,) = pq.read_table(next(out.rglob("lv_group_hosting_capacity/**/*.parquet"))).to_pylist()
    assert (group["total_base_net_import_kw"], group["total_base_net_export_kw"]) == pytest.approx((31.5, 63.0))

    def start() -> Any:
        dss = compiled(networks / "au-lv-fourwire/Master.dss", 50.0)
        dss.Text.Command("batchedit load..* kw=0.5 kvar=0.15 status=fixed")
        for number, name in enumerate(dss.Loads.AllNames()):
            dss.Loads.Name(name)
            bus, kv = dss.CktElement.BusNames()[0], dss.Loads.kV()
            dss.Text.Command(f"new load.given{number} bus1={bus} phases=1 kv={kv!r} kw=-1 kvar=0.2 {CONSTANT}")
        return snapshot(dss)

    results = answer(studies, "fourwire-export-fixed-load")
    assert next(iter(groups_of(results).values()))["headroom_kw_per_customer"] == group["headroom_kw_per_customer"]
    assert verify(results, start, step_kw=0.1, weights=dict.fromkeys(weights_of(results), 1.0), sign=-1) == ["1"]


def test_snapshots_are_the_engines_states_and_writers_keep_what_they_are_asked_for(
    studies: Path, networks: Path, tmp_path: Path
) -> None:
    """Every node of the start, of level and of level + 1 against the engine, to 1e-6 of nominal."""
    out = tmp_path / "o"
    done = CliRunner().invoke(main, ["run", str(studies / "csiro-p-export-snapshots.toml"), "--out", str(out)])
    assert done.exit_code == 0, done.output
    kept = {path.relative_to(out).parts[0] for path in out.rglob("*") if path.suffix in (".csv", ".parquet")}
    assert kept == {"lv_group_hosting_capacity", "constraint_violations", "findings", "debug_nodes", "debug_conductors"}
    with next((out / "lv_group_hosting_capacity").rglob("*.csv")).open(newline="", encoding="utf-8") as file:
        (group,) = csv.DictReader(file)
    level = round(float(group["headroom_kw_per_customer"]) / 0.1)
    nodes = pq.read_table(next((out / "debug_nodes").rglob("*.parquet"))).to_pandas()
    assert sorted(nodes["iteration"].unique()) == [0, level, level + 1]
    for step, own in nodes.groupby("iteration"):
        dss = snapshot(compiled(networks / "au-csiro-lv/P/Master.dss", 50.0))
        add_growth(dss, {name: -0.1 * float(step) for name in dss.Loads.AllNames()})
        again(dss)
        volts = dict(zip(map(str.lower, dss.Circuit.AllNodeNames()), dss.Circuit.AllBusVMag(), strict=True))
        engine = np.asarray([volts[f"{bus}.{node}".lower()] for bus, node in zip(own["bus"], own["node"], strict=True)])
        dss.Basic.ClearAll()
        assert len(own) == 368
        assert np.abs(own["voltage_v"] - engine).max() < 1e-6 * own["nominal_v"].min() * 100
        assert (own["to_neutral_v"][own["nominal_v"] < 1000.0].max() > 253.0) == (step == level + 1)


# HV locations


def test_each_hour_of_a_day_has_its_headroom_at_an_hv_location(studies: Path, networks: Path) -> None:
    """Some rows that say the least, at their instant: the kW hold there, and 10 kW more do not."""
    results = answer(studies, "p1uhs23-hv-day")
    profile = results["hv_node_headroom_profile"].to_pandas()
    assert profile["timestamp"].nunique() == 4
    rows = list(results["hv_node_headroom"].rows())
    assert len({row["timestamp"] for row in rows}) > 1
    least = profile.groupby("terminal_mrid")["available_headroom_kw"].min()
    assert {row["terminal_mrid"]: row["available_headroom_kw"] for row in rows} == least.to_dict()
    binding = {row["binding_id"]: row for row in results["constraint_violations"].rows() if row["binding"]}
    for row in random.Random(3).sample([row for row in rows if row["status"] == "bound"], 4):
        when, what = as_datetime(row["timestamp"]), binding[row["binding_id"]]
        seconds = ((when.hour - 6) % 24 or 24) * HOUR  # the day begins at 06:00 UTC
        for more in (0.0, 10.0):
            dss = at_hour(compiled(networks / P1UHS23[0], P1UHS23[1]), "yearly", seconds)
            place_at_hv(dss, row, row["available_headroom_kw"] + more, 0.0)
            again(dss, seconds)
            assert broken(measured(dss, what), what) == (more > 0), row["terminal_mrid"]
            dss.Basic.ClearAll()


def place_at_hv(dss: Any, row: Mapping[str, Any], kw: float, kvar: float) -> None:
    """Growth at the HV location of a row."""
    bus = element = row["conducting_equipment_mrid"]
    if row["location_type"] == "dtx-hv-terminal":
        dss.Circuit.SetActiveElement(f"transformer.{element}")
        bus = dss.CktElement.BusNames()[0].partition(".")[0]
    add_at_hv(dss, bus, row["phase_code"], kw, kvar)


def noon_output(studies: Path) -> float:
    """Output of 1 kW of panels at 02:00 UTC of the series file."""
    text = (studies / "clear-day.csv").read_text(encoding="utf-8")
    return float(re.findall(r"^2025-01-15T02:00:00Z,(\S+)$", text, re.MULTILINE)[0])


@pytest.mark.slow
def test_a_solar_farm_has_kw_of_panels_and_injects_what_its_inverter_gives(studies: Path, networks: Path) -> None:
    """min(kw x profile, kw / 1.3 x 0.95) of each kW of panels, and kvar consumed by its power factor."""
    check_farms(answer(studies, "cre21-hv-panels"), studies, networks, 8)


def test_a_solar_farm_at_some_tees(studies: Path, networks: Path) -> None:
    check_farms(answer(studies, "cre21-hv-panels", 'study.location_names=["hv_f0_n4*"]'), studies, networks, 1)


def check_farms(results: Results, studies: Path, networks: Path, sample: int) -> None:
    """Some bound tees solved at their kW of panels and 100 kW more."""
    per_kw = min(noon_output(studies), 0.95 / 1.3)
    rows = list(results["hv_node_headroom"].rows())
    assert {row["status"] for row in rows} == {"bound", "unconstrained"}
    for row in rows:
        assert row["injected_kw"] == pytest.approx(row["available_headroom_kw"] * per_kw)
    binding = {row["binding_id"]: row for row in results["constraint_violations"].rows() if row["binding"]}
    path, frequency_hz, bases = CRE21
    for row in random.Random(5).sample([row for row in rows if row["status"] == "bound"], sample):
        for more in (0.0, 100.0):
            dss = snapshot(compiled(networks / path, frequency_hz, bases), "batchedit load..* kw=0 kvar=0 status=fixed")
            kw = -(row["available_headroom_kw"] + more) * per_kw
            place_at_hv(dss, row, kw, reactive(kw, 0.95))
            again(dss)
            what = binding[row["binding_id"]]
            assert broken(measured(dss, what), what) == (more > 0), row["terminal_mrid"]
            dss.Basic.ClearAll()
