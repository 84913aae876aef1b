"""Files that a study's parts name are input: they are in the id of the run, and bound to the folder where untrusted."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from hostcap.config import file_hashes, refused_untrusted, structure_study
from hostcap.errors import ConfigError
from hostcap.plugins import default_registry
from hostcap.work_package import WorkPackage


def package(folder: Path, *, profiles: dict[str, Any] | None, injection: str = "negative-load") -> WorkPackage:
    """A study with profiles on a feeder that nobody loads."""
    data: dict[str, Any] = {
        "name": "n",
        "scope": {"feeders": ["a", "b"], "year": 2025},
        "study": {"plugin": "lv-headroom"},
        "network": {"plugin": "opendss", "master": "{feeder}.dss", "frequency_hz": 50.0},
        "constraints": [{"plugin": "voltage", "lv_max_v": 253.0}],
        "injection": {"plugin": injection} | ({"profile": "sun"} if injection == "pv-system" else {}),
    }
    if profiles is not None:
        data["profiles"] = {"plugin": "table"} | profiles
    return WorkPackage(document=structure_study(data, folder, default_registry()))


def readings(*files: str) -> dict[str, Any]:
    """Settings of readings."""
    return {"readings": {"files": list(files), "interval_minutes": 30, "unit": "kW", "import_column": "kw"}}


def test_every_file_of_every_feeder_has_its_hash(tmp_path: Path) -> None:
    for name in ("a.csv", "b.csv", "both.csv", "a.dss"):
        (tmp_path / name).write_text(name)
    document = package(tmp_path, profiles=readings("{feeder}.csv", "both.csv", "none.csv")).document
    assert file_hashes(document, without=("network",)) == {
        "profiles.readings.files[0]: a.csv": hashlib.sha256(b"a.csv").hexdigest(),
        "profiles.readings.files[0]: b.csv": hashlib.sha256(b"b.csv").hexdigest(),
        "profiles.readings.files[1]: both.csv": hashlib.sha256(b"both.csv").hexdigest(),
    }


def test_the_id_of_a_run_follows_the_content_of_its_readings(tmp_path: Path) -> None:
    (tmp_path / "r.csv").write_text("one")
    work_package = package(tmp_path, profiles=readings("r.csv"))
    first = work_package.id_from({"a": "x"} | work_package.file_hashes())
    assert first == work_package.id_from({"a": "x"} | work_package.file_hashes())
    (tmp_path / "r.csv").write_text("two")
    assert first != work_package.id_from({"a": "x"} | work_package.file_hashes())


@pytest.mark.parametrize(
    ("file", "why"), [("../r.csv", "leads out of"), ("/data/r.csv", "is absolute"), ("link.csv", "leads out of")]
)
def test_readings_of_an_untrusted_study_stay_in_its_folder(tmp_path: Path, file: str, why: str) -> None:
    folder = tmp_path / "study"
    folder.mkdir()
    (folder / "link.csv").symlink_to(tmp_path / "r.csv")
    (problem,) = refused_untrusted(package(folder, profiles=readings(file)).document)
    assert problem.startswith("profiles.readings.files[0]: ")
    assert why in problem


def test_a_part_that_follows_profiles_asks_for_them_before_anything_is_loaded(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"injection: 'pv-system' follows readings or series; add \[profiles\]"):
        package(tmp_path, profiles=None, injection="pv-system").study()
    package(tmp_path, profiles=readings("r.csv"), injection="pv-system").study()
