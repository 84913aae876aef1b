"""Study files of the how-to pages, placed beside the public networks."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

STUDIES = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "studies"


@pytest.fixture(scope="session")
def smart_grid_day(networks: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pool of readings that some study files name, as ``docs/make_pool.py`` writes it."""
    target = tmp_path_factory.mktemp("pool") / "smart-grid-day.parquet"
    source = networks / "au-halfhour-profiles" / "smartgridsmartcities.json"
    command = [sys.executable, str(STUDIES.parents[1] / "make_pool.py"), str(source), str(target)]
    subprocess.run(command, check=True)
    return target


@pytest.fixture
def studies(tmp_path: Path, networks: Path, smart_grid_day: Path) -> Path:
    """The study files, and the networks where they look for them, wherever those are."""
    folder = tmp_path / "main" / "docs" / "how-to" / "studies"
    folder.mkdir(parents=True)
    for path in (*STUDIES.glob("*.toml"), *STUDIES.glob("*.csv")):
        shutil.copyfile(path, folder / path.name)
    shutil.copyfile(smart_grid_day, folder / smart_grid_day.name)
    data = tmp_path / "shared" / "data"
    data.mkdir(parents=True)
    (data / "networks").symlink_to(networks, target_is_directory=True)
    return folder
