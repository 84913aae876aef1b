"""The demo teaches what its page says: each transformer is stopped by what the hand calculation says."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
from demo_bounds import HAND_BOUNDS, MV_LINE_BOUNDS, MV_STEP_KW, HandBound
from studying import answers

from hostcap.running import run
from hostcap.work_package import WorkPackage
from hostcap_stock.demo import make_feeder, make_readings


def assert_as_by_hand(study: Path, bounds: list[HandBound], step_kw: float) -> None:
    found = answers(run(WorkPackage.read(study)), step_kw)
    assert set(found) == {b.transformer for b in bounds}
    for bound in bounds:
        answer = found[bound.transformer]
        assert answer["status"] == bound.status
        assert abs(answer["level"] - bound.level) <= bound.tolerance_steps, bound.transformer
        if bound.metric is None:
            assert answer["binding"] is None
        else:
            assert answer["binding"][:2] == (bound.metric, bound.equipment)


def test_each_transformer_of_the_demo_is_stopped_as_by_hand(demo_folder: Path) -> None:
    assert_as_by_hand(demo_folder / "demo.toml", HAND_BOUNDS, 0.1)


def test_the_22_kv_line_stops_everything_in_the_second_study(demo_folder: Path) -> None:
    assert_as_by_hand(demo_folder / "mv-line.toml", MV_LINE_BOUNDS, MV_STEP_KW)


def test_the_script_makes_the_feeder_that_ships(demo_folder: Path) -> None:
    for name, text in make_feeder.files().items():
        assert (demo_folder / "feeder" / name).read_text(encoding="utf-8") == text


def test_the_script_makes_the_readings_that_ship(demo_folder: Path) -> None:
    for name, table in make_readings.tables(make_feeder.homes()).items():
        assert pq.read_table(demo_folder / "feeder" / name).equals(table)


def test_every_customer_of_the_demo_has_four_weeks_of_half_hours(demo_folder: Path) -> None:
    """Monday 00:30 to the next Monday 00:00 in the demo's time, UTC+10, four times; no reading missing or twice."""
    readings = pq.read_table(demo_folder / "feeder" / "readings.parquet").to_pandas()
    weeks = [
        pd.date_range(f"{monday} 00:30", periods=336, freq="30min", tz="+10:00")
        for monday in ("2025-01-13", "2025-04-14", "2025-07-14", "2025-10-13")
    ]
    expected = weeks[0].append(weeks[1:]).tz_convert("UTC")
    for name, own in readings.groupby("customer"):
        assert own["time"].tolist() == expected.tolist(), name
    loads = (demo_folder / "feeder" / "Loads.dss").read_text(encoding="utf-8")
    assert set(readings["customer"]) == set(re.findall(r"New Load\.(\S+)", loads))
    assert ((readings["import_kw"] == 0) | (readings["export_kw"] == 0)).all()
    assert (readings.groupby("customer")["import_kvar"].sum() > 0).all()


def test_kvar_of_the_demo_are_those_of_the_appliances(demo_folder: Path) -> None:
    """PV moves the kW of a meter and not its kvar: 0.15 to 0.35 for each kW that a home without PV takes."""
    readings = pq.read_table(demo_folder / "feeder" / "readings.parquet").to_pandas()
    sums = readings.groupby("customer")[["import_kw", "export_kw", "import_kvar"]].sum()
    without = sums[(sums["export_kw"] == 0) & (sums.index != "hv_quarry")]
    ratio = without["import_kvar"] / without["import_kw"]
    assert ratio.between(0.149, 0.351).all()  # readings are rounded
    assert ratio.max() - ratio.min() > 0.1
    at_noon = readings[(readings["time"] == pd.Timestamp("2025-10-18T02:00Z")) & (readings["export_kw"] > 0)]
    assert (at_noon["import_kvar"] > 0).all()
    assert sums["import_kvar"]["hv_quarry"] == pytest.approx(0.2 * sums["import_kw"]["hv_quarry"])


def test_the_evening_study_starts_at_the_peak_of_its_readings(demo_folder: Path) -> None:
    """The peak by pandas: the half-hour of the winter weekend with the largest sum of import less export."""
    readings = pq.read_table(demo_folder / "feeder" / "readings.parquet").to_pandas()
    net = readings.assign(net=readings["import_kw"] - readings["export_kw"]).groupby("time")["net"].sum().round(6)
    weekend = net[(net.index > "2025-07-18T14:00Z") & (net.index <= "2025-07-20T14:00Z")]
    results = run(WorkPackage.read(demo_folder / "evening-peak.toml"))
    [timestamp] = set(results["lv_group_hosting_capacity"].to_pandas()["timestamp"])
    assert pd.Timestamp(timestamp) == weekend.idxmax()
    groups = results["lv_group_hosting_capacity"].to_pandas()
    lv = readings[(readings["time"] == weekend.idxmax()) & (readings["customer"] != "hv_quarry")]
    assert groups["total_base_net_import_kw"].sum() == pytest.approx(lv["import_kw"].sum())
    assert groups["total_base_net_export_kw"].sum() == pytest.approx(lv["export_kw"].sum())


def test_the_demo_is_small(demo_folder: Path) -> None:
    assert 130_000 < (demo_folder / "feeder" / "readings.parquet").stat().st_size < 170_000
    size = sum(p.stat().st_size for p in demo_folder.rglob("*") if p.is_file() and "__pycache__" not in p.parts)
    assert size < 300_000


@pytest.mark.parametrize("study", ["demo.toml", "mv-line.toml", "evening-peak.toml"])
def test_the_demo_studies_say_what_they_will_do_in_full(study: str, demo_folder: Path) -> None:
    work_package = WorkPackage.read(demo_folder / study)
    assert 'plugin = "opendss"' in work_package.canonical
    assert work_package.scope.feeders == ("demo",)
