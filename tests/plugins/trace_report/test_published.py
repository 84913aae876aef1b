"""The published chain of 2011-2013: roll-up, companies, HHI and asset values follow from the stored totals."""

from __future__ import annotations

import csv
import gzip
from pathlib import Path

import numpy as np
import pytest

from hostcap_stock.trace_report.asset_values import asset_values, read_circuits, read_register
from hostcap_stock.trace_report.concentration import hhi
from hostcap_stock.trace_report.matrices import UseMatrix, by_letters, positive_only, read_pairs, read_wide, rolled_up

pytestmark = pytest.mark.shared


@pytest.fixture(scope="module")
def total(tracing_data: Path) -> UseMatrix:
    return read_wide(tracing_data / "published" / "tpm_2011_2013_td.csv.gz")


@pytest.fixture(scope="module")
def published(tracing_data: Path) -> UseMatrix:
    return read_wide(tracing_data / "published" / "tpm_2011_2013_td_spreadsheet.csv.gz")


@pytest.fixture(scope="module")
def rolled(total: UseMatrix, published: UseMatrix, tracing_data: Path) -> UseMatrix:
    """Rolled up to the assets of the published file: its map of assets is older than the one that is public."""
    nodes = read_pairs(tracing_data / "nz_maps" / "nodes_load.csv")
    return rolled_up(total, assets={label: label for label in published.asset}, users=nodes)[0]


def test_the_roll_up_is_the_published_one(rolled: UseMatrix, published: UseMatrix) -> None:
    assert rolled.asset.tolist() == published.asset.tolist()
    assert rolled.user.tolist() == published.user.tolist()
    assert np.abs(rolled.mw - published.mw).max() < 1e-9


def test_what_the_original_drops_in_silence_is_said(total: UseMatrix, published: UseMatrix, tracing_data: Path) -> None:
    """91 MW of the rows in the published file; far more with the map that is public, which is newer."""
    nodes = read_pairs(tracing_data / "nz_maps" / "nodes_load.csv")
    _, lost, lost_users = rolled_up(total, assets={label: label for label in published.asset}, users=nodes)
    assert lost.mw == pytest.approx(91.0, abs=0.1)
    assert len(lost.labels) == 9 and "BEN0162b" in lost.labels
    assert set(lost_users.labels) == {"MKE1101 MKE1", "OKI2201"}
    newer = read_pairs(tracing_data / "nz_maps" / "trans_load.csv")
    _, lost, _ = rolled_up(total, assets=newer, users=nodes)
    assert (len(lost.labels), lost.mw) == (100, pytest.approx(3947.652, abs=1e-3))


def test_companies_and_their_concentration_are_the_published_ones(rolled: UseMatrix, tracing_data: Path) -> None:
    companies = read_pairs(tracing_data / "nz_maps" / "elb2gxp.csv")
    by_company, _, lost = rolled_up(rolled, users=companies, user_letters=7)
    assert not lost.labels
    with gzip.open(tracing_data / "published" / "tpm_2011_2013_td_hhi.csv.gz", "rt") as text:
        titles, *rows = csv.reader(text)
    assert titles[1:-1] == by_company.user.tolist()
    assert [row[0] for row in rows] == by_company.asset.tolist()
    numbers = np.asarray([[float(cell or "nan") for cell in row[1:]] for row in rows])
    assert np.abs(numbers[:, :-1] - by_company.mw).max() < 1e-9
    index = hhi(by_company.mw)
    assert np.array_equal(np.isnan(index), np.isnan(numbers[:, -1])), "a row without flow has no index"
    assert np.nanmax(np.abs(index - numbers[:, -1])) < 1e-4, "printed to 4 decimals"


def test_asset_values_are_the_published_ones(tracing_data: Path) -> None:
    """Method, section 8: sum of RAB_IC 1911.9923, 248 rows without a value, class of every row."""
    rab = tracing_data / "RAB"
    values = asset_values(read_register(rab / "RAB_2014.csv.gz"), read_circuits(rab / "RAB_electrical_mapping.csv"))
    with gzip.open(tracing_data / "published" / "tpm_2011_2013_td_hhi_rab.csv.gz", "rt") as text:
        rows = list(csv.DictReader(text))
    found = [values.of(row[""]) for row in rows]
    for value, row in zip(found, rows, strict=True):
        if value is None:
            assert row["RAB_IC"] == row["RAB_C"] == ""
        else:
            assert value.interconnection == pytest.approx(float(row["RAB_IC"]), abs=1e-9)
            assert value.connection == pytest.approx(float(row["RAB_C"]), abs=1e-9)
    assert [values.class_of(row[""]) for row in rows] == [row["ic"] for row in rows]
    assert sum(v.interconnection for v in found if v is not None) == pytest.approx(1911.9923, abs=5e-5)
    assert sum(v is None for v in found) == 248
    assert "ARI_PAK.1" in values.circuits_without_line


def test_the_finished_values_of_2014_follow_from_the_later_mapping(tracing_data: Path) -> None:
    rab = tracing_data / "RAB"
    values = asset_values(
        read_register(rab / "RAB_2014.csv.gz"), read_circuits(rab / "RAB_electrical_mapping_vspd.csv")
    )
    with (rab / "2014_rab.csv").open() as text:
        rows = list(csv.DictReader(text))
    different = []
    for row in rows:
        label = row["0"]
        value = values.station(label) if len(label) == 3 else values.of(label)
        found = "" if value is None else f"{value.interconnection:.6f}"
        wanted = "" if row["RAB_IC"] == "" else f"{float(row['RAB_IC']):.6f}"
        if found != wanted:
            different.append(label)
    assert different == []
    assert sum(len(row["0"]) == 3 for row in rows) > 150


def test_stations_of_the_original_add_up_by_their_letters(tracing_data: Path) -> None:
    """Its files of stations have a row for each bus, several of one node; grouped by three letters, then the index."""
    stations = read_wide(tracing_data / "published" / "tpm_2011_2013_sd.csv.gz")
    kept = positive_only(stations)
    grouped = by_letters(kept, 3)
    assert grouped.mw.sum() == pytest.approx(kept.mw.sum())
    assert {len(label) for label in grouped.asset} == {3}
    index = hhi(grouped.mw)
    assert np.nanmin(index) > 0 and np.nanmax(index) <= 10_000.0 + 1e-9
