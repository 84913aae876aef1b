"""Sums of many rows and columns of which few cells are ever met: memory follows those cells, not rows times columns.

On a radial feeder a customer has a part in the branches that lead to it, and in no others.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from hostcap._arrays import FloatArray, IntArray

WIDE = 4_000_000
"""Cells above which sums are kept as scattered ones: 32 MB."""


class Scattered:
    """A sum of sparse parts; it grows with the places that are added."""

    def __init__(self) -> None:
        """Nothing is summed yet."""
        from scipy.sparse import csr_array

        self._held: Any = csr_array((0, 0), dtype=np.float64)

    @classmethod
    def of(cls, values: FloatArray) -> Scattered:
        """The cells of an array."""
        made = cls()
        row, column = np.nonzero(values)
        made.add(row.astype(np.int32), column.astype(np.int32), values[row, column])
        return made

    def clear(self) -> None:
        """Back to nothing."""
        self.__init__()  # type: ignore[misc]

    def add(self, row: IntArray, column: IntArray, value: FloatArray) -> None:
        """Add to cells; those that are named several times add up.

        Args:
            row: Shape (entry,).
            column: Shape (entry,).
            value: Shape (entry,).
        """
        from scipy.sparse import coo_array

        if not row.size:
            return
        rows, columns = self._held.shape
        shape = (max(rows, int(row.max()) + 1), max(columns, int(column.max()) + 1))
        if shape != (rows, columns):
            self._held.resize(shape)
        self._held = self._held + coo_array((value, (row, column)), shape=shape).tocsr()

    def cells(self) -> tuple[IntArray, IntArray, FloatArray]:
        """Rows, columns and values, by row and column; shape (cell,)."""
        self._held.sort_indices()
        held = self._held.tocoo()
        row, column = held.coords
        return row.astype(np.int32), column.astype(np.int32), held.data.copy()

    def dense(self, rows: int, columns: int) -> FloatArray:
        """All cells as an array of shape (rows, columns)."""
        values = np.zeros((rows, columns))
        row, column, value = self.cells()
        values[row, column] = value
        return values
