"""Who is behind the limits that bind, for the picture of the chosen transformer."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from hostcap.findings import counted
from hostcap.report import Columns, Figure
from hostcap_stock.headroom.report.figures import usage_figure
from hostcap_stock.headroom.report.places import Place
from hostcap_stock.headroom.report.reading import Reader, number

MOST = 12
"""Users that are shown by name."""
SIDES = {"export": ("supplies", "moves"), "import": ("takes", "moves")}
"""The side of a flow that growth in each direction is on; a voltage is moved in both."""


def add_usage(
    reader: Reader, places: Sequence[Place], choosing: str, figures: list[Figure], data: dict[str, Columns]
) -> None:
    """Add the figure and its data set, where the run holds ``binding_usage``."""
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in reader.rows("binding_usage", "user_id", "share", "side", "part"):
        if row["side"] in SIDES.get(reader.direction, ()):
            found[row["binding_id"]].append(row)
    names = ("choice", "user", "kind", "part", "share", "amount", "how", "rank")
    columns: dict[str, list[Any]] = {name: [] for name in names}
    if not found:
        return
    for place in places:
        rows = found.get(place.binding["binding_id"], []) if place.binding is not None else []
        # A picture without a row has no axis: who has no users gets a row that says so.
        nobody = ("nothing binds" if place.binding is None else "nobody is listed", "", "growth", 0.0, "", "", 0)
        for values in _ranked(rows) or [nobody]:
            for name, value in zip(names, (place.id, *values), strict=True):
                columns[name].append(value)
    data["usage"] = columns
    figures.append(usage_figure(choosing, MOST))


def _ranked(rows: Sequence[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """The largest users, and the others as one for each part."""
    total: dict[tuple[str, str], float] = defaultdict(float)
    for row in rows:
        total[row["user_kind"], row["user_id"]] += abs(row["share"])
    order = sorted(total, key=lambda user: (-total[user], user))
    rank = {user: i for i, user in enumerate(order)}
    shown: list[tuple[Any, ...]] = []
    others: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        place = rank[row["user_kind"], row["user_id"]]
        part = "growth" if row["part"] == "growth" else "existing"
        amount = row["kw"] if row["unit"] == "kW" else row["change"]
        if place < MOST:
            words = number(amount, row["unit"])
            shown.append((row["user_id"], row["user_kind"], part, 100.0 * row["share"], words, row["method"], place))
        else:
            others[part].append(100.0 * row["share"])
    name = counted(len(order) - MOST, "other")
    shown += [(name, "several", part, sum(shares), "", "", MOST) for part, shares in others.items()]
    return shown
