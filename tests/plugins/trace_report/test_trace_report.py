"""Study ``trace-report`` and its command: from a trace's folder, from files of the original, and what did not match."""

from __future__ import annotations

import csv
import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from flow_files import write

from hostcap import read_results
from hostcap.cli.main import main
from hostcap.config import structure_study
from hostcap.plugins import default_registry
from hostcap.running import run
from hostcap.tables import Results
from hostcap.work_package import WorkPackage
from hostcap_stock.trace_report.matrices import read_pairs

# Method, section 9: the four-bus network of Bialek (1996).
GROSS = {"n3": (276.325088, 33.434629), "n4": (123.674912, 80.565371)}


def call(*arguments: str) -> Any:
    return CliRunner().invoke(main, list(arguments))


def report(folder: Path, **settings: Any) -> Results:
    data = {"name": "report", "study": {"plugin": "trace-report", **settings}}
    results = run(WorkPackage(document=structure_study(data, folder, default_registry()), registry=default_registry()))
    assert not results.failed
    return results


def codes(results: Results) -> dict[str, dict[str, Any]]:
    return {row["code"]: row for row in results["findings"].rows()}


@pytest.fixture
def traced(tmp_path: Path) -> Path:
    done = call("trace", "--example", "bialek-four-bus", "--out", str(tmp_path / "traced"))
    assert done.exit_code == 0, done.output
    return tmp_path / "traced"


def test_concentration_of_every_branch_by_user_and_by_map(traced: Path, tmp_path: Path) -> None:
    """L5 upstream is 51.325088 of n1 and 33.434629 of n2: 10000 x (0.60554^2 + 0.39446^2) = 5222.8."""
    results = report(tmp_path, results=str(traced))
    rows = {(r["direction"], r["asset"]): r for r in results["asset_concentration"].rows()}
    a, b = 51.325088, 33.434629
    assert rows["up", "L5"]["hhi"] == pytest.approx(1e4 * (a * a + b * b) / (a + b) ** 2, rel=1e-6)
    assert rows["up", "L1"]["hhi"] == 10_000.0
    assert rows["down", "L4"]["users"] == 1
    one = report(
        tmp_path, results=str(traced), user_map=str(write(tmp_path / "m.csv", None, [("n1", "X"), ("n2", "X")]))
    )
    rows = {(r["direction"], r["asset"]): r for r in one["asset_concentration"].rows()}
    assert rows["up", "L5"]["hhi"] == 10_000.0
    lost = [r for r in one["findings"].rows() if r["code"] == "label-without-target"]
    assert [r["element"] for r in lost] == ["n3, n4"], "kept, and said"
    total = float(np.nansum([r["mw"] for r in results["asset_use"].rows() if r["direction"] == "down"]))
    assert lost[0]["kw"] == pytest.approx(1000.0 * total)


def test_every_label_that_a_join_does_not_match_is_a_row(traced: Path, tmp_path: Path) -> None:
    """Values by hand: L1 6, C9 5 and AAA_T1 3 in use or not; what users get and what is listed is all there is."""
    register = tmp_path / "register.csv"
    register.write_text(
        "ASSET ID,type,id,C/N_flag,sum_NBV\n"
        "A,Transmission Line,A,Interconnection,6e6\n"
        "B,Transmission Line,B,Connection,5e6\n"
        "D,Transmission Line,D,Interconnection,2e6\n"
        "t,Transformer,AAA_T1,Interconnection,3e6\n"
    )
    circuits = tmp_path / "circuits.csv"
    circuits.write_text("line,circuits,length\nA,L1,1\nB,C9,1\nX,L2,1\n")
    results = report(
        tmp_path,
        results=str(traced),
        register=str(register),
        circuits=str(circuits),
        rentals=str(write(tmp_path / "rentals.csv", None, [("L1", 10.0), ("old", 7.0)])),
        peaks_down=str(write(tmp_path / "peaks.csv", None, [("n3", 400.0), ("gone", 9.0)])),
    )
    rows = [r for r in results["unmatched_labels"].rows() if r["direction"] == "down"]
    found = {(r["join"], r["side"], r["label"]): r["amount"] for r in rows}
    assert np.isnan(found.pop(("circuits", "file", "L2")))
    flows = {r["asset"]: r["mw"] for r in results["asset_concentration"].rows() if r["direction"] == "down"}
    users = {r["user"]: r for r in results["user_values"].rows() if r["direction"] == "down"}
    assert found == pytest.approx(
        {
            ("circuits", "file", "D"): 2.0,
            ("register", "file", "C9"): 5.0,
            ("register", "file", "AAA_T1"): 3.0,
            **{("register", "trace", f"L{n}"): flows[f"L{n}"] for n in (2, 3, 4, 5)},
            **{("rentals", "trace", f"L{n}"): flows[f"L{n}"] for n in (2, 3, 4, 5)},
            ("rentals", "file", "old"): 7.0,
            ("peaks", "trace", "n4"): users["n4"]["mw"],
            ("peaks", "file", "gone"): 9.0,
        }
    )
    handed = sum(users[n]["value_interconnection"] + users[n]["value_connection"] for n in users)
    assert handed + 2.0 + 5.0 + 3.0 == pytest.approx(16.0), "all of the register"


def test_carbon_of_each_load_and_suppliers_without_it(traced: Path, tmp_path: Path) -> None:
    carbon = write(tmp_path / "carbon.csv", None, [("n1", 1.0), ("n2", 0.1)])
    rows = {
        r["user"]: r for r in report(tmp_path, results=str(traced), attribute=str(carbon))["user_attributes"].rows()
    }
    for load, (first, second) in GROSS.items():
        assert rows[load]["amount"] == pytest.approx(first + 0.1 * second, abs=1e-4)
        assert rows[load]["rate"] == pytest.approx((first + 0.1 * second) / (first + second), abs=1e-6)
    write(tmp_path / "carbon.csv", None, [("n1", 1.0)])
    less = report(tmp_path, results=str(traced), attribute=str(carbon))
    assert codes(less)["supplier-without-attribute"]["kw"] == pytest.approx(114_000.0, rel=1e-6)


def test_rentals_and_peaks_and_what_did_not_match(traced: Path, tmp_path: Path) -> None:
    """L1's rental of 100 falls to n3 and n4 by 16.897772 and 41.214077 MW; n4 has a peak of 200 MW."""
    results = report(
        tmp_path,
        results=str(traced),
        rentals=str(write(tmp_path / "r.csv", None, [("L1", 60.0), ("L1", 40.0), ("L9", 7.0)])),
        peaks_down=str(write(tmp_path / "p.csv", None, [("n4", 200.0)])),
    )
    rows = {(r["direction"], r["user"]): r for r in results["user_values"].rows()}
    a, b = 16.897772, 41.214077
    assert rows["down", "n3"]["rental"] == pytest.approx(100.0 * a / (a + b), rel=1e-6)
    assert rows["down", "n4"]["rental_per_mw"] == pytest.approx(100.0 * b / (a + b) / 200.0, rel=1e-6)
    assert np.isnan(rows["down", "n3"]["rental_per_mw"])
    found = codes(results)
    assert found["value-without-asset"]["element"] == "L9"
    assert found["user-without-peak"]["element"] == "n3"
    assert found["asset-without-value"]["count"] == 4


def test_the_link_counts_once_in_values_and_has_an_index_of_its_own(tmp_path: Path) -> None:
    write(tmp_path / "td.csv", ("", "a", "b"), [("BEN_HAY1.1", 30, 0), ("BEN_HAY2.1", 0, 30), ("X.1", 5, 5)])
    write(tmp_path / "r.csv", None, [("BEN_HAY1.1", 10.0), ("BEN_HAY2.1", 20.0), ("X.1", 1.0)])
    results = report(tmp_path, down="td.csv", rentals="r.csv")
    rows = {r["asset"]: r for r in results["asset_concentration"].rows()}
    assert (rows["HVDC"]["hhi"], rows["BEN_HAY1.1"]["hhi"]) == (5000.0, 10000.0)
    values = {r["user"]: r["rental"] for r in results["user_values"].rows()}
    assert values == {"a": pytest.approx(10.5), "b": pytest.approx(20.5)}


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({}, "give results, or down and up"),
        ({"results": "x", "down": "y"}, "give results, or down and up"),
        ({"down": "td.csv", "register": "r"}, "give register and circuits, or neither"),
        ({"down": "td.csv", "attribute": "a"}, "attribute needs results"),
        ({"down": "none.csv"}, "none.csv: no such file"),
        ({"results": "nowhere"}, "no table branch_shares in Parquet; expected the results folder of a trace"),
    ],
)
def test_wrong_settings_are_one_line(tmp_path: Path, settings: Any, told: str) -> None:
    lines = "\n".join(f'{key} = "{value}"' for key, value in settings.items())
    (tmp_path / "study.toml").write_text(f'name = "report"\n[study]\nplugin = "trace-report"\n{lines}\n')
    done = call("run", str(tmp_path / "study.toml"), "--out", str(tmp_path / "out"))
    assert done.exit_code != 0
    assert told in done.output


def test_the_command_prints_and_keeps_the_same(traced: Path, tmp_path: Path) -> None:
    companies = write(tmp_path / "m.csv", None, [(f"n{i}", f"C{i}") for i in range(1, 5)])
    done = call("trace-report", str(traced), "--by", str(companies), "--out", str(tmp_path / "out"))
    assert done.exit_code == 0, done.output
    assert "asset_concentration, 10 of 10 by mw" in done.output or "5222." in done.output
    kept = read_results(tmp_path / "out")
    assert set(kept["asset_use"]["user"].tolist()) == {"C1", "C2", "C3", "C4"}
    wrong = call("trace-report", str(traced), "--interval", "2014-07")
    assert wrong.exit_code != 0 and "has no interval '2014-07'" in wrong.output


@pytest.mark.shared
def test_the_published_chain_as_a_study(tracing_data: Path, tmp_path: Path) -> None:
    """Roll-up, companies, index and values of 2011-2013 from the stored totals, as the original: dropped, not kept."""
    published, maps, rab = (tracing_data / name for name in ("published", "nz_maps", "RAB"))
    company, node = read_pairs(maps / "elb2gxp.csv"), read_pairs(maps / "nodes_load.csv")
    pairs = [(label, company[target[:7]]) for label, target in node.items() if target[:7] in company]
    write(tmp_path / "companies.csv", None, pairs)
    results = report(
        tmp_path,
        down=str(published / "tpm_2011_2013_td.csv.gz"),
        user_map="companies.csv",
        unmapped="drop",
        register=str(rab / "RAB_2014.csv.gz"),
        circuits=str(rab / "RAB_electrical_mapping.csv"),
        joined={},
    )
    rows = {r["asset"]: r for r in results["asset_concentration"].rows()}
    compared = 0
    with gzip.open(published / "tpm_2011_2013_td_hhi_rab.csv.gz", "rt") as text:
        lines = list(csv.DictReader(text))
    for row in lines:
        mine = rows[row[""]]
        if row["HHI"]:
            assert mine["hhi"] == pytest.approx(float(row["HHI"]), abs=1e-3)
        if row["RAB_IC"]:
            assert mine["value_interconnection"] == pytest.approx(float(row["RAB_IC"]), abs=1e-9)
        compared += 1
    assert compared == 822
    assert codes(results)["label-without-target"]["count"] == 2
