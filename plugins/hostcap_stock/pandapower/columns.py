"""Columns of a net's table as checked arrays, and names that are there once."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hostcap._arrays import BoolArray, FloatArray, IntArray
from hostcap.errors import ModelError
from hostcap.findings import counted
from hostcap_stock.pandapower.reading import NetTables

if TYPE_CHECKING:
    import pandas as pd


class Columns:
    """One table of a net; a table that is not there has no rows."""

    def __init__(self, net: NetTables, name: str) -> None:
        """Find the table."""
        self.name = name
        self._frame: pd.DataFrame | None = net.tables.get(name)

    def __len__(self) -> int:
        return 0 if self._frame is None else len(self._frame)

    @property
    def index(self) -> NDArray[np.int64]:
        """Numbers of the rows, shape (row,)."""
        return np.empty(0, np.int64) if self._frame is None else self._frame.index.to_numpy(np.int64)

    def has(self, column: str) -> bool:
        """Whether the table has the column."""
        return self._frame is not None and column in self._frame

    def _values(self, column: str) -> Any:
        if self._frame is None:
            return np.empty(0, dtype=object)
        if column not in self._frame:
            raise ModelError(
                f"table {self.name} has no column {column}; load and save the net with a present pandapower"
            )
        return self._frame[column]

    def floats(
        self, column: str, *, default: float | None = None, missing: bool = False, filled: bool = False
    ) -> FloatArray:
        """Numbers, shape (row,).

        Args:
            column: Its name.
            default: What a table without the column stands for; None refuses that.
            missing: Whether the column may be missing, and cells without a value stay nan.
            filled: Whether cells without a value stand for the default as well.

        Raises:
            ModelError: A cell that is no finite number.
        """
        if not self.has(column) and (default is not None or missing):
            return np.full(len(self), np.nan if default is None else default)
        import pandas as pd

        try:
            values = pd.to_numeric(self._values(column)).to_numpy(np.float64, copy=True) if len(self) else np.empty(0)
        except (TypeError, ValueError, OverflowError) as error:
            raise ModelError(f"table {self.name}: {column} holds something that is no number: {error}") from error
        if filled and default is not None:
            values[np.isnan(values)] = default
        bad = np.isinf(values) if missing else ~np.isfinite(values)
        if np.any(bad):
            row = self.index[np.flatnonzero(bad)[0]]
            raise ModelError(
                f"{self.name} {row}: {column} must be a finite number, found {values[bad][0]} ({int(bad.sum())} of "
                f"{counted(len(self), 'row')})"
            )
        return values

    def whole(self, column: str) -> NDArray[np.int64]:
        """Numbers of rows, shape (row,).

        Raises:
            ModelError: A cell that is no whole number.
        """
        values = self.floats(column)
        odd = (values % 1.0 != 0.0) | (np.abs(values) >= 2.0**62)
        if np.any(odd):
            row = np.flatnonzero(odd)[0]
            raise ModelError(f"{self.name} {self.index[row]}: {column} must be a whole number, found {values[row]:g}")
        return values.astype(np.int64)

    def bools(self, column: str, *, default: bool = True) -> BoolArray:
        """Truth values, shape (row,); a cell without a value is ``default``.

        Raises:
            ModelError: A cell that is neither true nor false, such as a text.
        """
        if not self.has(column):
            return np.full(len(self), default)
        values = self._values(column)
        odd = np.asarray(values.notna() & ~values.isin([True, False]), dtype=bool)
        if np.any(odd):
            row = np.flatnonzero(odd)[0]
            raise ModelError(
                f"{self.name} {self.index[row]}: {column} must be true or false, found {values.iloc[row]!r}"
            )
        return np.asarray(values.where(values.notna(), default).astype(bool).to_numpy(), dtype=bool)

    def texts(self, column: str) -> list[str]:
        """Texts without blanks around them; empty where there is none."""
        if not self.has(column):
            return [""] * len(self)
        values = self._values(column)
        return ["" if absent else str(each).strip() for each, absent in zip(values, values.isna(), strict=True)]

    def places(self, column: str, other: Columns) -> IntArray:
        """Row numbers of another table as positions in it, int32, shape (row,).

        Raises:
            ModelError: A row that the other table does not have.
        """
        wanted = self.whole(column)
        at = np.searchsorted(other.index, wanted)
        found = np.minimum(at, max(len(other) - 1, 0))
        lost = np.ones(wanted.size, dtype=bool) if not len(other) else other.index[found] != wanted
        if np.any(lost):
            row = np.flatnonzero(lost)[0]
            raise ModelError(
                f"{self.name} {self.index[row]}: {column} is {wanted[row]}, and the net has no such {other.name}"
            )
        return found.astype(np.int32)


def names_once(tables: list[Columns]) -> tuple[list[str], list[str]]:
    """Names of the rows of some tables, each once, whatever its case.

    Returns:
        All names in order, and those that were made here: of rows without a name, and of rows that share theirs.
    """
    stated = [(t.name, int(i), text) for t in tables for i, text in zip(t.index, t.texts("name"), strict=True)]
    counts = Counter(text.casefold() for _, _, text in stated)
    names, made, taken = [], [], set(counts)
    for table, index, text in stated:
        name = text
        if not text or counts[text.casefold()] > 1:
            name = f"{table} {index}" if not text else f"{text} ({table} {index})"
            while name.casefold() in taken:
                name += "'"
            taken.add(name.casefold())
            made.append(name)
        names.append(name)
    return names, made
