"""The same study gives the same bytes: twice, in any order of feeders, in one file or several, on workers.

Tables are compared by a hash of every column and of the metadata.
"""

from __future__ import annotations

import hashlib
import itertools
from pathlib import Path
from typing import Any

import pytest

from hostcap._arrays import update_hash
from hostcap.config import structure_study
from hostcap.plugins import default_registry
from hostcap.running import run
from hostcap.tables import Results
from hostcap.work_package import WorkPackage
from hostcap_stock.demo import make_feeder

GIVEN = "00000000-0000-4000-8000-000000000001"


def content(results: Results) -> dict[tuple[str, str], str]:
    """SHA-256 of every table by feeder and name."""
    found = {}
    for chunk in results.chunks:
        for table in chunk.tables:
            digest = hashlib.sha256()
            for name, values in table.columns.items():
                update_hash(digest, name)
                update_hash(digest, values)
            update_hash(digest, dict(table.metadata))
            found[chunk.feeder, table.name] = digest.hexdigest()
    return found


def study(folder: Path, feeders: tuple[str, ...], **limits: Any) -> dict[str, Any]:
    return {
        "name": "same",
        "scope": {"feeders": list(feeders), "year": 2025},
        "network": {"plugin": "opendss", "master": "{feeder}/Master.dss", "frequency_hz": 50.0},
        "study": {"plugin": "lv-headroom", "step_kw_per_customer": 0.2, "max_steps": 25},
        "initial_state": {"plugin": "zero-load"},
        "constraints": [{"plugin": "voltage", **limits}, {"plugin": "thermal"}],
    }


def solved(folder: Path, data: dict[str, Any], *, workers: int = 1, given_id: str | None = None) -> Results:
    document = structure_study(data, folder, default_registry())
    results = run(WorkPackage(document=document, given_id=given_id), workers=workers)
    assert not results.failed
    return results


def assert_same_bytes(folder: Path, names: tuple[str, str, str], **limits: Any) -> None:
    first = solved(folder, study(folder, names, **limits))
    expected = content(first)
    assert len(expected) == 27
    for order in itertools.islice(itertools.permutations(names), 0, 6, 2):
        again = solved(folder, study(folder, order, **limits))
        assert again.work_package_id == first.work_package_id
        assert content(again) == expected
    assert content(solved(folder, study(folder, names, **limits), workers=2)) == expected
    together = content(solved(folder, study(folder, names, **limits), given_id=GIVEN))
    apart: dict[tuple[str, str], str] = {}
    for name in reversed(names):
        apart |= content(solved(folder, study(folder, (name,), **limits), given_id=GIVEN))
    assert apart == together


def test_small_feeders_give_the_same_bytes_however_they_are_run(tmp_path: Path) -> None:
    for name, spans in (("first", "0.08"), ("second", "0.11"), ("third", "0.14")):
        folder = tmp_path / name
        folder.mkdir()
        for file, text in make_feeder.files().items():
            (folder / file).write_text(text.replace("length=0.08 ", f"length={spans} "), encoding="utf-8")
    assert_same_bytes(tmp_path, ("first", "second", "third"), lv_max_v=253.0)


@pytest.mark.shared
def test_real_feeders_of_different_kind_give_the_same_bytes_however_they_are_run(
    networks: Path, tmp_path: Path
) -> None:
    masters = {
        "urban": (
            networks / "au-cre21-mvlv" / "Network-CRE21" / "Master.txt",
            "Set VoltageBases=[66, 22, 0.4, 0.2309]",
        ),
        "split-phase": (networks / "us-smartds-p1uhs23" / "substations" / "p1uhs23_1247" / "Master.dss", ""),
        "unrated": (networks / "eu-lv-test-feeder" / "Master.dss", ""),
    }
    for name, (master, bases) in masters.items():
        (tmp_path / name).mkdir()
        hertz = 60 if name == "split-phase" else 50
        lines = [
            f"Set DefaultBaseFrequency={hertz}",
            f'Redirect "{master}"',
            bases,
            "CalcVoltageBases" if bases else "",
        ]
        (tmp_path / name / "Master.dss").write_text("\n".join(lines) + "\n", encoding="utf-8")
    assert_same_bytes(tmp_path, ("urban", "split-phase", "unrated"), lv_min_pu=0.9, lv_max_pu=1.1)
