"""A source of small feeders."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
from small_feeders import BASES, HEAD, Sourced

from hostcap_stock.opendss.config import OpenDssConfig
from hostcap_stock.opendss.source import OpenDssSource


@pytest.fixture
def source(tmp_path: Path) -> Sourced:
    numbers = itertools.count()

    def make(body: str, bases: str = BASES, head: str = HEAD, **config: Any) -> OpenDssSource:
        master = tmp_path / f"master{next(numbers)}.dss"
        master.write_text(head + body + bases, encoding="utf-8")
        settings: dict[str, Any] = {"master": master, "frequency_hz": 50.0, **config}
        return OpenDssSource(config=OpenDssConfig(**settings))

    return make
