"""A desk with study, feeders and plugins made up, for the tests of running."""

from __future__ import annotations

from pathlib import Path

import pytest
from desks import Desk


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    folder = tmp_path / "desk"
    folder.mkdir()
    return Desk(folder=folder)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"
