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
    names: Bytes, name_end: Places, first: Places, column: Places, values: Places, width: int, decimals: int
) -> Bytes:
    """Lines of a name and ``width`` cells each.

    Args:
        names: Names of the lines, one after the other.
        name_end: End of each.
        first: First entry of each line, and the end of the last.
        column: Column of each entry, each once in a line.
        values: Of each entry, as ``numbers`` gives them.
        width: Number of columns.
        decimals: Decimals, at least 1.
    """
    lines = name_end.size
    text = np.empty(names.size + lines * (1 + width * (3 + decimals)) + 20 * values.size, dtype=np.uint8)
    number, digits = np.zeros(width, dtype=np.int64), np.empty(24, dtype=np.uint8)
    at, begin = 0, 0
    for line in range(lines):
        for n in range(begin, name_end[line]):
            text[at] = names[n]
            at += 1
        begin = name_end[line]
        for n in range(first[line], first[line + 1]):
            number[column[n]] = values[n]
        for k in range(width):
            text[at] = 44  # a comma
            at += 1
            if number[k] == 0:
                text[at], text[at + 1] = 48, 46
                for place in range(decimals):
                    text[at + 2 + place] = 48
                at += 2 + decimals
                continue
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
        text[at] = 10
        at += 1
        for n in range(first[line], first[line + 1]):
            number[column[n]] = 0
    return text[:at]
