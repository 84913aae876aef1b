"""Write the series of the PV studies: ``python docs/make_clear_day.py``.

A made day, no measurement: output per installed kW of panels is 0.85 times the sine of the sun's height from 06:00 to
18:00 of UTC+10, in half hours by the end of each, UTC.
"""

from __future__ import annotations

import csv
import math
from datetime import UTC, datetime, timedelta
from pathlib import Path

STUDIES = Path(__file__).resolve().parent / "how-to" / "studies"
MIDNIGHT, MOST = datetime(2025, 1, 14, 14, tzinfo=UTC), 0.85
"""Midnight of UTC+10, and output at noon."""


def rows() -> list[tuple[str, str]]:
    """Time and output of each half hour."""
    found = []
    for k in range(1, 49):
        output = max(0.0, MOST * math.sin(math.pi * (k / 2.0 - 6.0) / 12.0))
        found.append(((MIDNIGHT + timedelta(minutes=30 * k)).strftime("%Y-%m-%dT%H:%M:%SZ"), f"{output:.4f}"))
    return found


def main() -> None:
    """Write the file."""
    with (STUDIES / "clear-day.csv").open("w", newline="", encoding="utf-8") as file:
        lines = csv.writer(file, lineterminator="\n")
        lines.writerow(["time", "rooftop"])
        lines.writerows(rows())


if __name__ == "__main__":
    main()
