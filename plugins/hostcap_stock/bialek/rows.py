"""Rows of buses as parts of fewer rows, and what is mixed of them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from hostcap._arrays import FloatArray, IntArray, ints
from hostcap.tracing import MixedRows, ShareRows

Cells = tuple[IntArray, IntArray, FloatArray]
NO_CELLS: Cells = (ints(()), ints(()), np.empty(0))
NO_CELLS[2].setflags(write=False)
_COUNTED = ints(np.arange(4096))


def done(*arrays: Any) -> Any:
    """Read-only, so that they are kept without a copy."""
    for array in arrays:
        array.setflags(write=False)
    return arrays


def unpacked(integers: IntArray, numbers: FloatArray, ends: Any, count: int) -> tuple[list[IntArray], list[FloatArray]]:
    """The arrays of ``packed``, read-only.

    Args:
        integers: One after the other.
        numbers: The same.
        ends: Where each ends, in both.
        count: Arrays that are integers.
    """
    done(integers, numbers)
    at = ends.tolist()
    return _pieces(integers, at[:count]), _pieces(numbers, at[count:])


def _pieces(array: Any, ends: list[int]) -> list[Any]:
    low, pieces = 0, []
    for high in ends:
        pieces.append(array[low:high])
        low = high
    return pieces


def counted(size: int) -> IntArray:
    """0, 1, 2 and so on; read-only."""
    global _COUNTED
    held = _COUNTED  # other threads may put another one there
    if size > held.size:
        held = _COUNTED = ints(np.arange(2 * size))
    return held[:size]


class BusRows(NamedTuple):
    """What flows through each bus by user: a part of a row, as most buses pass on what they get from one other.

    Attributes:
        rows: The rows.
        source: Row of each bus, shape (bus,).
        part: What of it flows there; 0 where nothing flows, shape (bus,).
    """

    rows: ShareRows
    source: IntArray
    part: FloatArray

    @classmethod
    def of(cls, rows: ShareRows) -> BusRows:
        """Buses that have each a row of their own."""
        size = rows.first.size - 1
        (ones,) = done(np.ones(size))
        return cls(rows=rows, source=counted(size), part=ones)

    def mixed(self, bus: IntArray, factor: FloatArray) -> MixedRows:
        """A row for each entry of ``bus``: ``factor`` times that bus's."""
        size = bus.size
        source, part = done(self.source[bus], factor * self.part[bus])
        return mixed(self.rows, counted(size), source, part, size, self.rows.width)

    @property
    def every(self) -> MixedRows:
        """The rows of all buses."""
        return mixed(self.rows, counted(self.part.size), self.source, self.part, self.part.size, self.rows.width)


def mixed(
    base: ShareRows,
    target: IntArray,
    source: IntArray,
    factor: FloatArray,
    size: int,
    width: int,
    *,
    column: IntArray | None = None,
    cells: Cells = NO_CELLS,
) -> MixedRows:
    """Mixed rows; users are those of ``base`` unless ``column`` says otherwise."""
    return MixedRows(
        base=base,
        column=counted(base.width) if column is None else column,
        target=target,
        source=source,
        factor=factor,
        cell_row=cells[0],
        cell_column=cells[1],
        cell_mw=cells[2],
        size=size,
        width=width,
    )


def rows(first: IntArray, column: IntArray, mw: FloatArray, width: int) -> ShareRows:
    """Rows of arrays that nobody else holds, kept without a copy."""
    done(first, column, mw)
    return ShareRows(first=first, column=column, mw=mw, width=width)
