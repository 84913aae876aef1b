"""Small files of solved flows, in the layouts that exist, for the tests of their readers."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

BRANCH_TITLES = (
    "Branch",
    "FromBus",
    "ToBus",
    "Flow (MW) (From->To)",
    "Capacity (MW)",
    "DynamicLoss (MW)",
    "FixedLoss (MW)",
)
NODE_TITLES = ("Node", "Generation (MW)", "Load (MW)", "Price ($/MWh)")
# Three buses: a generator of two buses at 1 and 2, a load at 3. Fixed losses of 0.2 MW charge 0.1 to each end.
BRANCHES: tuple[tuple[Any, ...], ...] = (
    ("A_B.1", "1", "2", 10.0, 99, 0.5, 0.2),
    ("C_B.1", "3", "2", -19.3, 99, 0.3, 0.0),
)
NODES: tuple[tuple[Any, ...], ...] = (("AAA0111 G1", 20.0, 0.0, 50), ("CCC0331", 0.0, 19.0, 60), ("DDD0111", 0, 0, 1))
MAP: tuple[tuple[Any, ...], ...] = (
    ("AAA0111 G1", "1", 0.505),
    ("AAA0111 G1", "2", 0.495),
    ("CCC0331", "3", 1.0),
    ("DDD0111", "3", 1.0),
)


def write(path: Path, titles: Sequence[str] | None, rows: Sequence[Sequence[Any]]) -> Path:
    """One CSV file; no titles for a file without a header."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        if titles is not None:
            writer.writerow(titles)
        writer.writerows(rows)
    return path


def vspd_day(
    folder: Path,
    times: Sequence[str],
    *,
    later: bool = True,
    prefix: str = "",
    branches: Sequence[Sequence[Any]] = BRANCHES,
    nodes: Sequence[Sequence[Any]] = NODES,
    node_map: Sequence[Sequence[Any]] = MAP,
    map_name: str = "busnodemap.csv",
    map_times: Sequence[str] | None = None,
    buses: Sequence[Sequence[Any]] | None = None,
) -> Path:
    """A folder of vSPD results; ``later`` adds the columns of the 2025 layout."""

    def lead(time: str) -> tuple[str, ...]:
        hour, minute = (int(part) for part in time.split()[1].split(":"))
        return ("case1", time, f"TP{1 + 2 * hour + minute // 30:02d}") if later else (time,)

    titles = ("CaseID", "DateTime", "Period") if later else ("DateTime",)
    for name, columns, rows in (("Branch", BRANCH_TITLES, branches), ("Node", NODE_TITLES, nodes)):
        write(
            folder / f"{prefix}{name}Results_TP.csv",
            (*titles, *columns),
            [(*lead(time), *row) for time in times for row in rows],
        )
    if buses is not None:
        columns = ("Bus", "Generation (MW)", "Load (MW)")
        write(
            folder / f"{prefix}BusResults_TP.csv",
            (*titles, *columns),
            [(*lead(time), *row) for time in times for row in buses],
        )
    write(
        folder / map_name,
        ("DateTime", "Node", "Bus", "Allo"),
        [(time, *row) for time in (times if map_times is None else map_times) for row in node_map],
    )
    return folder
