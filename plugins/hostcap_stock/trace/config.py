"""Settings of the study ``trace``; light to import."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any, Literal, get_args

import attrs
from attrs import field, frozen

from hostcap.config import about, between, non_negative, not_empty, unique

Level = Literal["period", "day", "month", "year", "total"]
LEVELS: tuple[str, ...] = get_args(Level)


def _not_before_start(instance: Any, attribute: attrs.Attribute[date | None], value: date | None) -> None:
    if value is not None and instance.start is not None and value < instance.start:
        raise ValueError(f"must not be before start, {instance.start}; got {value}")


@frozen(kw_only=True)
class TraceConfig:
    """Which days are traced, and which means are kept."""

    start: date | None = field(default=None, metadata=about("First day, in the time of the data; unset for the first"))
    end: date | None = field(
        default=None, validator=_not_before_start, metadata=about("Last day, itself included; unset for the last")
    )
    levels: tuple[Level, ...] = field(
        default=("day", "month", "year", "total"),
        validator=[not_empty, unique],
        metadata=about("Means that are kept: of each trading period (itself), day, month, year, and of everything"),
    )
    averaging: Literal["periods", "averages"] = field(
        default="periods",
        metadata=about(
            "Means of months, years and the total: over periods by their length, or as the original program did,"
            " over days, months and years that count the same"
        ),
    )
    stations: Path | None = field(
        default=None,
        metadata=about("CSV of name, station by node or by bus; unset for the first letters of nodes"),
    )
    station_letters: int = field(
        default=3,
        validator=between(0, 200),
        metadata=about("Letters of a node's name that are its station, where no file says; 0 for no stations"),
    )
    least_mw: float = field(
        default=1e-6,
        validator=non_negative,
        metadata=about("Smaller shares are left out of the tables, and their sum is a finding", unit="MW"),
    )
