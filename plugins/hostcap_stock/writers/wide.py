"""The wide files of a trace: rows assets, columns nodes, MW; one file an interval, kind and direction.

``td`` and ``tu`` are branches, downstream and upstream; ``sd`` and ``su`` are stations. They stand in the folders
``tp``, ``d``, ``m``, ``y`` and ``t`` by level: ``d/td_20140131.csv``. Source: the layout of the New Zealand
Electricity Authority's program of 2015, whose columns and rows without a share are left out as well.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from hostcap.tables import Chunk, Table, Words

_FOLDERS = {"period": "tp", "day": "d", "month": "m", "year": "y", "total": "t"}
_KINDS = {"branch_shares": ("t", "branch"), "station_shares": ("s", "station")}
DECIMALS = 4
_SPECIAL = re.compile(r'[",\r\n]')


def wide_files(chunk: Chunk) -> Iterator[tuple[PurePosixPath, Callable[[], memoryview]]]:
    """Path and text of each wide file of a chunk; none where it holds no shares of a trace."""
    for table in chunk.tables:
        if table.name not in _KINDS:
            continue
        kind, asset = _KINDS[table.name]
        # The feeder, where flows are made of a network and a run has several.
        below = PurePosixPath(table.metadata.get("system", ""))
        level, interval, direction = (table.words(name) for name in ("level", "interval", "direction"))
        which = level.place.astype(np.int64) * interval.names.size + interval.place
        for first in _first_of_each(which):
            at = which == which[first]
            words = str(level.names[level.place[first]]), str(interval.names[interval.place[first]])
            for way in ("down", "up"):
                rows = np.flatnonzero(at & (direction.names == way)[direction.place])
                name = "_".join([f"{kind}{way[0]}", *_stamp(*words)])
                yield PurePosixPath(_FOLDERS[words[0]]) / below / f"{name}.csv", _Wide(table, asset, rows)


def _first_of_each(values: np.ndarray[Any, Any]) -> list[int]:
    """Place of the first of each value, in the order met."""
    if not values.size or (values[0] == values).all():
        return [0] if values.size else []
    _, first = np.unique(values, return_index=True)
    return sorted(first.tolist())


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

    def __call__(self) -> memoryview:
        """The text."""
        assets, row = _coded(self._table.words(self._asset), self._rows)
        nodes, column = _coded(self._table.words("node"), self._rows)
        order = np.argsort(row, kind="stable")
        values = np.asarray(self._table["mw"][self._rows], dtype=np.float64)[order]
        first = np.searchsorted(row[order], np.arange(len(assets) + 1))
        head = (",".join(["", *_quoted(nodes)]) + "\n").encode()
        return _text(head, _quoted(assets), first, column[order], values, len(nodes))


def _text(
    head: bytes,
    names: list[str],
    first: np.ndarray[Any, Any],
    column: np.ndarray[Any, Any],
    values: np.ndarray[Any, Any],
    width: int,
) -> memoryview:
    """After the head a line for each name; what its cells do not say is 0."""
    from hostcap_stock.writers.cells import cells, numbers

    encoded = [name.encode() for name in names]
    ends = np.cumsum([len(name) for name in encoded], dtype=np.int64)
    before, joined = (np.frombuffer(text, dtype=np.uint8) for text in (head, b"".join(encoded)))
    return cells(before, joined, ends, first, column, numbers(values, DECIMALS), width, DECIMALS).data


def _coded(words: Words, rows: np.ndarray[Any, Any]) -> tuple[list[str], np.ndarray[Any, Any]]:
    """Names of some rows in order, each once, and the place of each row's among them."""
    place = words.place[rows]
    met = np.flatnonzero(np.bincount(place, minlength=words.names.size))
    names = words.names[met].tolist()
    listed = sorted(set(names))
    number = {name: n for n, name in enumerate(listed)}
    code = np.zeros(words.names.size, dtype=np.int64)
    code[met] = [number[name] for name in names]
    return listed, code[place]


def _quoted(names: list[str]) -> list[str]:
    """Names as cells of CSV."""
    if not _SPECIAL.search("".join(names)):
        return names
    return ['"' + name.replace('"', '""') + '"' if _SPECIAL.search(name) else name for name in names]
