"""The compiled sum of a traced period into means."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy as np
from numba import njit  # noqa: TID253 - imported with the study's first period

from hostcap._arrays import FloatArray, IntArray

F = TypeVar("F", bound=Callable[..., Any])


def _compiled(function: F) -> F:
    return cast(F, njit(cache=True, nogil=True)(function))


@_compiled
def add_block(total: FloatArray, row: IntArray, column: IntArray, values: FloatArray, weight: float) -> None:
    """``total[row, column] += weight * values``, for every row and column of ``values``.

    Columns that follow each other in both are added as one stretch, which is nearly all of them from one period to the
    next: the compiler then adds many at once.
    """
    width = column.size
    begin = np.empty(width + 1, dtype=np.int64)
    stretches = 0
    for j in range(width):
        if j == 0 or column[j] != column[j - 1] + 1:
            begin[stretches] = j
            stretches += 1
    begin[stretches] = width
    for i in range(values.shape[0]):
        for s in range(stretches):
            first, size = begin[s], begin[s + 1] - begin[s]
            source = values[i, first : first + size]
            target = total[row[i], column[first] : column[first] + size]
            for j in range(size):
                target[j] += weight * source[j]
