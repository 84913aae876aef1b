"""A source of circuits that fit on a screen."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from circuits import BASES, HEAD, Loaded, Sourced

from hostcap_stock.opendss.config import OpenDssConfig
from hostcap_stock.opendss.source import OpenDssSource


@pytest.fixture
def source(tmp_path: Path) -> Sourced:
    """Writes a circuit and gives the source that reads it."""

    def make(body: str, bases: str = BASES, head: str = HEAD, **config: Any) -> OpenDssSource:
        master = tmp_path / "master.dss"
        master.write_text(head + body + bases, encoding="utf-8")
        settings: dict[str, Any] = {"master": master, "frequency_hz": 50.0, **config}
        return OpenDssSource(config=OpenDssConfig(**settings))

    return make


@pytest.fixture
def load(source: Sourced) -> Loaded:
    return lambda body, bases=BASES, head=HEAD, **config: source(body, bases, head, **config).load("f")


@pytest.fixture
def table(tmp_path: Path) -> Callable[[str | bytes], Path]:
    def write(content: str | bytes) -> Path:
        path = tmp_path / "customers.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write
