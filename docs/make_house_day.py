"""Write the pool of readings and the customers of a study: ``python docs/make_house_day.py``.

A made winter day, no measurement: six houses in half hours, by the end of each, UTC; and which of them each of the 55
customers of the European LV feeder follows, with the kW of panels that its roof has room for.
"""

from __future__ import annotations

import csv
import math
from datetime import UTC, datetime, timedelta
from pathlib import Path

STUDIES = Path(__file__).resolve().parent / "how-to" / "studies"
MIDNIGHT = datetime(2025, 2, 1, 0, tzinfo=UTC)
HOUSES = {
    "flat": (0.15, ((7.0, 0.3), (19.5, 0.9)), 0.0),
    "couple": (0.2, ((7.5, 0.6), (18.5, 1.4)), 0.0),
    "family": (0.3, ((7.0, 1.2), (12.5, 0.6), (18.0, 2.6)), 0.0),
    "sunny": (0.25, ((7.5, 0.8), (19.0, 1.8)), 1.5),
    "big-roof": (0.35, ((7.0, 1.0), (18.5, 2.2)), 2.5),
    "shop": (0.4, ((10.0, 1.5), (14.5, 1.8)), 0.0),
}
"""All day's kW; hour and kW of each peak; and kW of panels."""
CUSTOMERS = 55
ROOF_KW = (0, 3, 5, 4, 6, 8, 4)


def power_kw(house: str, hour: float) -> float:
    """Import less export."""
    base, peaks, panels = HOUSES[house]
    load = base + sum(kw * math.exp(-((hour - middle) ** 2) / 2.0) for middle, kw in peaks)
    return load - panels * 0.7 * max(0.0, math.sin(math.pi * (hour - 7.5) / 9.0))


def main() -> None:
    """Write both files."""
    with (STUDIES / "house-day.csv").open("w", newline="", encoding="utf-8") as file:
        lines = csv.writer(file, lineterminator="\n")
        lines.writerow(["time", *(f"{house} {way}" for house in HOUSES for way in ("import", "export"))])
        for k in range(1, 49):
            net = [round(power_kw(house, k / 2.0), 2) for house in HOUSES]
            stamp = (MIDNIGHT + timedelta(minutes=30 * k)).strftime("%Y-%m-%dT%H:%M:%SZ")
            lines.writerow([stamp, *(f"{kw:.2f}" for one in net for kw in (max(one, 0.0), max(-one, 0.0)))])
    with (STUDIES / "eu-lv-customers.csv").open("w", newline="", encoding="utf-8") as file:
        lines = csv.writer(file, lineterminator="\n")
        lines.writerow(["customer", "element", "house", "roof_kw"])
        for k in range(1, CUSTOMERS + 1):
            lines.writerow([f"house-{k}", f"load{k}", list(HOUSES)[5 * k // 2 % 6], ROOF_KW[k % len(ROOF_KW)]])


if __name__ == "__main__":
    main()
