"""The OpenDSS engine without hostcap around it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from engine_cases import new_context


@pytest.fixture
def dss() -> Iterator[Any]:
    """A context of its own at 50 Hz, emptied afterwards."""
    context = new_context()
    yield context
    context.Text.Command("clearall")
