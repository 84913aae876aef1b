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
def add_mixed(
    total: FloatArray,
    transposed: bool,
    row: IntArray,
    place: IntArray,
    weight: float,
    column: IntArray,
    target: IntArray,
    source: IntArray,
    factor: FloatArray,
    cell_row: IntArray,
    cell_column: IntArray,
    cell_mw: FloatArray,
    first: IntArray,
    base_column: IntArray,
    mw: FloatArray,
) -> None:
    """``add_rows`` of mixed rows, which are never made; ``transposed``: rows and columns of ``total`` change places."""
    width = column.size
    to = np.zeros(width, dtype=np.uint32)
    whole = True
    for k in range(width):
        if column[k] >= 0:
            to[k] = place[column[k]]
        else:
            whole = False
    for n in range(target.size):
        if target[n] < 0 or not factor[n] > 0.0:
            continue
        at, part = row[target[n]], weight * factor[n]
        for q in range(first[source[n]], first[source[n] + 1]):
            if whole or column[base_column[q]] >= 0:
                k = to[np.uint32(base_column[q])]
                if transposed:
                    total[k, at] += part * mw[q]
                else:
                    total[at, k] += part * mw[q]
    for n in range(cell_row.size):
        if cell_row[n] >= 0 and cell_column[n] >= 0 and cell_mw[n] > 0.0:
            if transposed:
                total[place[cell_column[n]], row[cell_row[n]]] += weight * cell_mw[n]
            else:
                total[row[cell_row[n]], place[cell_column[n]]] += weight * cell_mw[n]


@_compiled
def add_block(total: FloatArray, row: IntArray, column: IntArray, values: FloatArray, weight: float) -> None:
    """``total[row, column] += weight * values``, for every row and column of ``values``."""
    for i in range(row.size):
        for j in range(column.size):
            total[row[i], column[j]] += weight * values[i, j]
