"""The compiled sum of a traced period into means."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

from numba import njit  # noqa: TID253 - imported with the study's first period

from hostcap._arrays import FloatArray, IntArray

F = TypeVar("F", bound=Callable[..., Any])


def _compiled(function: F) -> F:
    return cast(F, njit(cache=True, nogil=True)(function))


@_compiled
def add_rows(
    total: FloatArray,
    row: IntArray,
    place: IntArray,
    first: IntArray,
    column: IntArray,
    mw: FloatArray,
    weight: float,
) -> None:
    """``total[row, place[column]] += weight * mw``, for every entry of sparse rows."""
    for n in range(row.size):
        for q in range(first[n], first[n + 1]):
            total[row[n], place[column[q]]] += weight * mw[q]


@_compiled
def add_block(total: FloatArray, row: IntArray, column: IntArray, values: FloatArray, weight: float) -> None:
    """``total[row, column] += weight * values``, for every row and column of ``values``."""
    for i in range(row.size):
        for j in range(column.size):
            total[row[i], column[j]] += weight * values[i, j]
