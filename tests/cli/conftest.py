"""A good study of a small feeder, and of several."""

from __future__ import annotations

from pathlib import Path

import pytest
from turns import MASTER, STUDY


@pytest.fixture
def street(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a good study of a tiny feeder, as working directory."""
    (tmp_path / "study.toml").write_text(STUDY, encoding="utf-8")
    (tmp_path / "north.dss").write_text(MASTER, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path
