"""Compiled text of wide files: every cell of a table with a few decimals, most of which are 0."""

from __future__ import annotations

import numpy as np
from numba import njit  # noqa: TID253 - imported with the first wide file
from numpy.typing import NDArray

from hostcap._arrays import FloatArray

Bytes = NDArray[np.uint8]
Places = NDArray[np.int64]
LARGEST = 1e15
"""Numbers from here on are left to Python, as those are that lie between two numbers of so many decimals."""


def numbers(values: FloatArray, decimals: int) -> Places:
    """Values in units of the last decimal, rounded as Python formats them."""
    scaled = values * 10.0**decimals
    near_half = np.abs(scaled - np.floor(scaled) - 0.5) < 1e-15 * (1.0 + scaled)
    found = np.floor(np.where(scaled < LARGEST, scaled, 0.0) + 0.5).astype(np.int64)
    for place in np.flatnonzero(near_half | (scaled >= LARGEST)).tolist():
        found[place] = int(f"{values[place]:.{decimals}f}".replace(".", ""))
    return found


@njit(cache=True, nogil=True)
def cells(
    head: Bytes,
    names: Bytes,
    name_end: Places,
    first: Places,
    column: Places,
    values: Places,
    width: int,
    decimals: int,
) -> Bytes:
    """Lines of a name and ``width`` cells each.

    Args:
        head: What stands before them.
        names: Names of the lines, one after the other.
        name_end: End of each.
        first: First entry of each line, and the end of the last.
        column: Column of each entry, each once in a line.
        values: Of each entry, as ``numbers`` gives them.
        width: Number of columns.
        decimals: Decimals, at least 1.
    """
    lines = name_end.size
    text = np.empty(head.size + names.size + lines * (1 + width * (3 + decimals)) + 20 * values.size, dtype=np.uint8)
    number, digits = np.zeros(width, dtype=np.int64), np.empty(24, dtype=np.uint8)
    # Cells of 0, as many as there may be side by side.
    nothing = 3 + decimals
    nought = np.full(width * nothing, 48, dtype=np.uint8)
    for k in range(width):
        nought[k * nothing], nought[k * nothing + 2] = 44, 46
    text[: head.size] = head
    at, begin = head.size, 0
    for line in range(lines):
        for n in range(begin, name_end[line]):
            text[at] = names[n]
            at += 1
        begin = name_end[line]
        for n in range(first[line], first[line + 1]):
            number[column[n]] = values[n]
        k = 0
        while k < width:
            if number[k] == 0:
                low = k
                while k < width and number[k] == 0:
                    k += 1
                run = (k - low) * nothing
                text[at : at + run] = nought[:run]
                at += run
                continue
            text[at] = 44  # a comma
            at += 1
            left, count = number[k], 0
            while left > 0 or count <= decimals:
                digits[count] = 48 + left % 10
                left //= 10
                count += 1
            for place in range(count - 1, -1, -1):
                text[at] = digits[place]
                at += 1
                if place == decimals:
                    text[at] = 46  # a point
                    at += 1
            k += 1
        text[at] = 10
        at += 1
        for n in range(first[line], first[line + 1]):
            number[column[n]] = 0
    return text[:at]
