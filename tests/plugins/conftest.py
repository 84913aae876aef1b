"""Study files of the how-to pages, placed beside the public networks."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

STUDIES = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "studies"


@pytest.fixture
def studies(tmp_path: Path, networks: Path) -> Path:
    """The study files, and the networks where they look for them, wherever those are."""
    folder = tmp_path / "main" / "docs" / "how-to" / "studies"
    folder.mkdir(parents=True)
    for path in (*STUDIES.glob("*.toml"), *STUDIES.glob("*.csv")):
        shutil.copyfile(path, folder / path.name)
    data = tmp_path / "shared" / "data"
    data.mkdir(parents=True)
    (data / "networks").symlink_to(networks, target_is_directory=True)
    return folder
