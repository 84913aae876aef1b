"""Rows of result tables of one feeder and direction, as columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from attrs import frozen

from hostcap.tables import Results

Columns = Mapping[str, np.ndarray[Any, Any]]
MISSING = "-"


@frozen(kw_only=True)
class Reader:
    """Reads one feeder and direction of a run.

    Attributes:
        results: The run.
        feeder: Name of the feeder.
        direction: export or import.
    """

    results: Results
    feeder: str
    direction: str

    def columns(self, name: str, *needed: str) -> Columns | None:
        """Columns of a table; None where the run has no such table, or it lacks a column or any row."""
        if name not in self.results.names:
            return None
        columns = self.results[name].columns
        if not set(needed) <= set(columns):
            return None
        kept = columns["feeder"] == self.feeder
        if "headroom_direction" in columns:
            kept &= columns["headroom_direction"] == self.direction
        return {column: values[kept] for column, values in columns.items()} if np.any(kept) else None

    def rows(self, name: str, *needed: str) -> list[dict[str, Any]]:
        """The same as rows; empty where there are none."""
        columns = self.columns(name, *needed)
        if columns is None:
            return []
        return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def number(value: float | None, unit: str = "", digits: int = 4) -> str:
    """A number for people, with its unit; ``-`` where there is none."""
    if value is None or not np.isfinite(value):
        return MISSING
    text = f"{value:.{digits}g}" if abs(value) < 10.0**digits else f"{value:.0f}"
    return f"{text} {unit}" if unit else text


def span_of(values: Sequence[float]) -> tuple[float, float]:
    """An axis that holds some numbers, with air below and above."""
    seen = [value for value in values if np.isfinite(value)]
    air = 0.04 * max(max(seen) - min(seen), 0.01)
    return round(min(seen) - air, 3), round(max(seen) + 2 * air, 3)


def minute(timestamp: Any) -> str:
    """An instant to the minute, UTC."""
    return f"{np.datetime_as_string(np.datetime64(timestamp, 'us'), unit='m').replace('T', ' ')} UTC"
