"""Compiled loops over readings: sums by instant and by id, and which readings there are, a bit each.

Bits are by id, then by instant: ``bits[id, instant >> 3] >> (instant & 7) & 1``. Sums are of one reading after the
other in the order of the files, so that they do not depend on how many come at once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy as np
from numba import njit  # noqa: TID253 - imported when the first long window is summed
from numpy.typing import NDArray

from hostcap._arrays import FloatArray

Bits = NDArray[np.uint8]
Places = NDArray[np.int64]
IMPORT, EXPORT, NET, OTHER = 0, 1, 2, 3
"""What a column of a wide table holds."""
F = TypeVar("F", bound=Callable[..., Any])


def compiled(function: F) -> F:
    """Compile on first call, and keep the code in numba's cache."""
    return cast(F, njit(cache=True, nogil=True)(function))


@compiled
def add_rows(
    row: Places,
    place: Places,
    taken: FloatArray,
    given: FloatArray,
    others: FloatArray,
    is_net: bool,
    apart: Bits,
    filled: Bits,
    finite: Bits,
    again: Bits,
    first: int,
    share: FloatArray,
    net: FloatArray,
    read: FloatArray,
) -> tuple[int, float]:
    """Add rows of a long table.

    Args:
        row: Instant of each row, shape (row,).
        place: Id of each row, shape (row,).
        taken: Import, or import less export; empty where the table has none.
        given: Export; likewise.
        others: kvar, shape (column, row): a row counts where all its columns are there.
        is_net: Whether ``taken`` is import less export.
        apart: Readings that are dealt with elsewhere; empty for none.
        filled: Set where there is a row.
        finite: Set where it counts.
        again: Set where there is another.
        first: First instant of the window; those before it are there to look back at.
        share: Parts of each id's import and export that are drawn and given, shape (2, id).
        net: Sum of what is drawn less what is given, shape (instant,).
        read: Sums of import and export by id, shape (2, id).

    Returns:
        How many rows are there already, and the kW in them.
    """
    twice, dropped = 0, 0.0
    for k in range(row.size):
        r, p = row[k], place[k]
        byte, bit = r >> 3, np.uint8(1 << (r & 7))
        if apart.size and apart[p, byte] & bit:
            continue
        imported = taken[k] if taken.size else 0.0
        exported = given[k] if given.size else 0.0
        if filled[p, byte] & bit:
            again[p, byte] |= bit
            twice += 1
            dropped += 0.0 if np.isnan(imported) else abs(imported)
            dropped += 0.0 if np.isnan(exported) else abs(exported)
            continue
        filled[p, byte] |= bit
        whole = not (np.isnan(imported) or np.isnan(exported))
        for q in range(others.shape[0]):
            whole = whole and not np.isnan(others[q, k])
        if not whole:
            continue
        finite[p, byte] |= bit
        if is_net:
            exported = max(-imported, 0.0)
            imported = max(imported, 0.0)
        net[r] += imported * share[0, p] - exported * share[1, p]
        if r >= first:
            read[0, p] += imported
            read[1, p] += exported
    return twice, dropped


@compiled
def add_column(
    row: Places,
    p: int,
    values: FloatArray,
    kind: int,
    apart: Bits,
    filled: Bits,
    finite: Bits,
    again: Bits,
    first: int,
    share: FloatArray,
    net: FloatArray,
    read: FloatArray,
) -> tuple[int, float]:
    """Add a column of a wide table: the readings of one quantity of the id ``p``; the rest as in ``add_rows``."""
    twice, dropped = 0, 0.0
    for k in range(row.size):
        r, value = row[k], values[k]
        byte, bit = r >> 3, np.uint8(1 << (r & 7))
        if apart.size and apart[p, byte] & bit:
            continue
        if filled[p, byte] & bit:
            again[p, byte] |= bit
            twice += 1
            if kind != OTHER and not np.isnan(value):
                dropped += abs(value)
            continue
        filled[p, byte] |= bit
        if np.isnan(value):
            continue
        finite[p, byte] |= bit
        if kind == OTHER:
            continue
        side = 1 if kind == EXPORT or (kind == NET and value < 0.0) else 0
        kw = abs(value)
        net[r] += -kw * share[1, p] if side else kw * share[0, p]
        if r >= first:
            read[side, p] += kw
    return twice, dropped


@compiled
def pick_out(
    row: Places,
    place: Places,
    values: FloatArray,
    wanted: Bits,
    cell: Places,
    instants: int,
    later: bool,
    powers: int,
    found: FloatArray,
    got: Bits,
) -> float:
    """Pick out single readings.

    Args:
        row: Instant of each row, shape (row,).
        place: Id of each row, shape (row,).
        values: kW or kvar of some quantities, shape (quantity, row).
        wanted: Which readings.
        cell: The same, rising: instant + instants x id.
        instants: Number of instants.
        later: Whether of several the last counts, and not the first.
        powers: How many of the quantities are kW; they come first.
        found: Filled with them, shape (quantity, cell).
        got: Set where there is one, shape (cell,).

    Returns:
        Sum of the kW of the quantities that were passed over.
    """
    passed = 0.0
    for k in range(row.size):
        r, p = row[k], place[k]
        if not wanted[p, r >> 3] & np.uint8(1 << (r & 7)):
            continue
        at = np.searchsorted(cell, p * instants + r)
        for q in range(values.shape[0]):
            over = values[q, k]
            if later or not got[at]:
                over, found[q, at] = found[q, at], values[q, k]
            if q < powers and got[at] and not np.isnan(over):
                passed += abs(over)
        got[at] = 1
    return passed
