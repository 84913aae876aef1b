"""The wide files of a trace: rows assets, columns nodes, MW; one file an interval, kind and direction.

``td`` and ``tu`` are branches, downstream and upstream; ``sd`` and ``su`` are stations. They stand in the folders
``tp``, ``d``, ``m``, ``y`` and ``t`` by level: ``d/td_20140131.csv``. Source: the layout of the New Zealand
Electricity Authority's program of 2015, whose columns and rows without a share are left out as well.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from hostcap.tables import Chunk, Table

_FOLDERS = {"period": "tp", "day": "d", "month": "m", "year": "y", "total": "t"}
_KINDS = {"branch_shares": ("t", "branch"), "station_shares": ("s", "station")}
DECIMALS = 4


def wide_files(chunk: Chunk) -> Iterator[tuple[PurePosixPath, Callable[[], str]]]:
    """Path and text of each wide file of a chunk; none where it holds no shares of a trace."""
    for table in chunk.tables:
        if table.name not in _KINDS:
            continue
        kind, asset = _KINDS[table.name]
        # The feeder, where flows are made of a network and a run has several.
        below = PurePosixPath(table.metadata.get("system", ""))
        for level, interval in dict.fromkeys(zip(table["level"], table["interval"], strict=True)):
            at = (table["level"] == level) & (table["interval"] == interval)
            for direction in ("down", "up"):
                rows = np.flatnonzero(at & (table["direction"] == direction))
                name = "_".join([f"{kind}{direction[0]}", *_stamp(level, interval)])
                yield PurePosixPath(_FOLDERS[level]) / below / f"{name}.csv", _Wide(table, asset, rows)


def _stamp(level: str, interval: str) -> list[str]:
    """``20140131`` of a day; a period has its time and label as well."""
    if level == "total":
        return []
    day, _, rest = interval.partition(" ")
    return [day.replace("-", ""), *filter(None, re.sub(r"[^0-9A-Za-z ]+", "", rest).split())]


class _Wide:
    """One wide file, made when it is written."""

    def __init__(self, table: Table, asset: str, rows: np.ndarray[Any, Any]) -> None:
        self._table, self._asset, self._rows = table, asset, rows

    def __call__(self) -> str:
        """The text."""
        import csv

        assets, row = np.unique(self._table[self._asset][self._rows].astype(str), return_inverse=True)
        nodes, column = np.unique(self._table["node"][self._rows].astype(str), return_inverse=True)
        text = StringIO()
        written = csv.writer(text, lineterminator="\n")
        written.writerow(["", *nodes])
        empty = [f"{0.0:.{DECIMALS}f}"] * nodes.size
        order = np.argsort(row, kind="stable")
        mw = [f"{value:.{DECIMALS}f}" for value in self._table["mw"][self._rows][order].tolist()]
        columns, first = column[order].tolist(), np.searchsorted(row[order], np.arange(assets.size + 1)).tolist()
        for place, name in enumerate(assets.tolist()):
            cells = empty.copy()
            for entry in range(first[place], first[place + 1]):
                cells[columns[entry]] = mw[entry]
            written.writerow([name, *cells])
        return text.getvalue()
