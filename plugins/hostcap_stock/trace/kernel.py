"""The compiled sums of traced periods into means.

Columns stand in blocks of ``LANES`` side by side: a row that is added again and again, as a part of the shares of many
branches, is laid out in blocks once, and a block is added at a stroke. Users that share branches have columns near
each other, so that few blocks hold a row.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy as np
from numba import njit  # noqa: TID253 - imported with the study's first period

from hostcap._arrays import FloatArray, IntArray

F = TypeVar("F", bound=Callable[..., Any])
LANES = 8
"""Columns of a block: a line of the processor's cache."""
_SHIFT, _MASK = 3, 7  # of LANES
_1, _2, _3, _4, _5, _6, _7 = (np.uint64(n) for n in range(1, LANES))


def _compiled(function: F) -> F:
    return cast(F, njit(cache=True, nogil=True, error_model="numpy")(function))


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
def _in_blocks(first: IntArray, column: IntArray, mw: FloatArray, place: IntArray, columns: int) -> Any:
    """Sparse rows in blocks of their places, -1 left out: first block of each row, and place and MW of each block."""
    rows = first.size - 1
    begin = np.zeros(rows + 1, dtype=np.int64)
    last, there = np.full(columns >> _SHIFT, -1, dtype=np.int64), np.empty(columns >> _SHIFT, dtype=np.int64)
    at, values = np.empty(mw.size, dtype=np.int64), np.empty(mw.size << _SHIFT)
    made = 0
    for n in range(rows):
        for q in range(np.uint64(first[n]), np.uint64(first[n + 1])):
            k = place[np.uint64(column[q])]
            if k < 0:
                continue
            block = np.uint64(k >> _SHIFT)
            if last[block] != n:
                last[block], there[block], at[made] = n, made << _SHIFT, block << np.uint64(_SHIFT)
                for lane in range(np.uint64(made << _SHIFT), np.uint64((made + 1) << _SHIFT)):
                    values[lane] = 0.0
                made += 1
            values[np.uint64(there[block] + (k & _MASK))] += mw[q]
        begin[n + 1] = made
    return begin, at, values


@_compiled
def _add_blocks(
    total: FloatArray,
    row: IntArray,
    target: IntArray,
    source: IntArray,
    factor: FloatArray,
    weight: float,
    begin: Any,
    at: Any,
    values: FloatArray,
) -> None:
    """Add parts of rows in blocks; ``row`` is the place of each target."""
    width = total.shape[1]
    flat = total.reshape(total.size)
    for n in range(target.size):
        if target[n] < 0 or not factor[n] > 0.0:
            continue
        line, part = row[target[n]] * width, weight * factor[n]
        for b in range(begin[source[n]], begin[source[n] + 1]):
            # Unsigned, and all that is read comes before all that is written: so it is one instruction for all lanes.
            i, j = np.uint64(line + at[b]), np.uint64(b * LANES)
            v0, v1, v2, v3 = values[j], values[j + _1], values[j + _2], values[j + _3]
            v4, v5, v6, v7 = values[j + _4], values[j + _5], values[j + _6], values[j + _7]
            t0, t1, t2, t3 = flat[i], flat[i + _1], flat[i + _2], flat[i + _3]
            t4, t5, t6, t7 = flat[i + _4], flat[i + _5], flat[i + _6], flat[i + _7]
            flat[i], flat[i + _1] = t0 + part * v0, t1 + part * v1
            flat[i + _2], flat[i + _3] = t2 + part * v2, t3 + part * v3
            flat[i + _4], flat[i + _5] = t4 + part * v4, t5 + part * v5
            flat[i + _6], flat[i + _7] = t6 + part * v6, t7 + part * v7


@_compiled
def add_way(
    totals: Any, weight: float, users: Any, base: Any, branches: Any, stations: Any, cells: Any, pairs: Any, same: bool
) -> None:
    """Add one direction of a traced period.

    Args:
        totals: Sums of branches, of stations, of pairs (a row for each user of the other direction), and of users' own.
        weight: Of the period.
        users: Column of each node; users and what they put in; the users of stations.
        base: First entry, user and MW of the rows that everything is parts of.
        branches: Place of each branch; user of each column of ``base``; row, source and factor of each part.
        stations: The same.
        cells: Station, station user and MW that are added to stations, with -1 and what is not above 0 left out.
        pairs: Nodes of the rows' users, the place of each node as a row; row, source and factor of each part.
        same: Whether columns of ``base`` are the same users in stations as in branches.
    """
    branch_total, station_total, pair_total, own_total = totals
    column_of, user, user_mw, station_user = users
    other, other_column, pair_target, pair_source, pair_factor = pairs
    branch_row, branch_column, branch_target, branch_source, branch_factor = branches
    station_row, station_column, station_target, station_source, station_factor = stations
    cell_row, cell_user, cell_mw = cells
    row = np.empty(other.size, dtype=np.int32)
    for k in range(other.size):
        row[k] = other_column[other[k]]
    place = np.full(branch_column.size, -1, dtype=np.int32)
    for k in range(place.size):
        if branch_column[k] >= 0:
            place[k] = column_of[user[branch_column[k]]]
    begin, at, values = _in_blocks(base[0], base[1], base[2], place, branch_total.shape[1])
    _add_blocks(branch_total, branch_row, branch_target, branch_source, branch_factor, weight, begin, at, values)
    _add_blocks(pair_total, row, pair_target, pair_source, pair_factor, weight, begin, at, values)
    if not same:
        for k in range(place.size):
            place[k] = column_of[station_user[station_column[k]]] if station_column[k] >= 0 else -1
        begin, at, values = _in_blocks(base[0], base[1], base[2], place, station_total.shape[1])
    _add_blocks(station_total, station_row, station_target, station_source, station_factor, weight, begin, at, values)
    for n in range(cell_row.size):
        if cell_row[n] >= 0 and cell_user[n] >= 0 and cell_mw[n] > 0.0:
            station_total[station_row[cell_row[n]], column_of[station_user[cell_user[n]]]] += weight * cell_mw[n]
    for k in range(user.size):
        own_total[0, column_of[user[k]]] += weight * user_mw[k]


@_compiled
def entries(total: FloatArray, rows: int, columns: int) -> tuple[IntArray, IntArray, FloatArray]:
    """What of the first rows and columns is not 0: row, column and value of each, row by row."""
    first = np.zeros(rows + 1, dtype=np.int64)
    for n in range(rows):
        count = 0
        for k in range(columns):
            count += 1 if total[n, k] != 0.0 else 0
        first[n + 1] = first[n] + count
    row, column = np.empty(first[rows], dtype=np.int32), np.empty(first[rows], dtype=np.int32)
    value = np.empty(first[rows])
    for n in range(rows):
        at, end, k = first[n], first[n + 1], 0
        while at < end:
            if total[n, k] != 0.0:
                row[at], column[at], value[at] = n, k, total[n, k]
                at += 1
            k += 1
    return row, column, value


@_compiled
def add_entries(total: FloatArray, row: IntArray, column: IntArray, value: FloatArray, scale: float) -> None:
    """``total[row, column] += scale * value``."""
    for n in range(row.size):
        total[row[n], column[n]] += scale * value[n]


@_compiled
def known(
    up_column: IntArray,
    up_user: IntArray,
    up_station_user: IntArray,
    down_column: IntArray,
    down_user: IntArray,
    down_station_user: IntArray,
) -> bool:
    """Whether all users of both directions have columns."""
    return (
        _least(up_column, up_user) >= 0
        and _least(up_column, up_station_user) >= 0
        and _least(down_column, down_user) >= 0
        and _least(down_column, down_station_user) >= 0
    )


@_compiled
def _least(column: IntArray, user: IntArray) -> int:
    least = 0
    for k in range(user.size):
        least = min(least, int(column[user[k]]))
    return least


@_compiled
def side_by_side(first: IntArray, column: IntArray, width: int) -> IntArray:
    """Columns of sparse rows in an order that keeps those together that meet in early rows."""
    root, following, last = np.arange(width), np.full(width, -1), np.arange(width)
    for n in range(first.size - 1):
        top = -1
        for q in range(first[n], first[n + 1]):
            k = column[q]
            while root[k] != k:
                root[k] = root[root[k]]
                k = root[k]
            if top < 0:
                top = k
            elif k != top:
                top, k = min(top, k), max(top, k)
                root[k] = top
                following[last[top]] = k
                last[top] = last[k]
    order = np.empty(width, dtype=np.int32)
    count = 0
    for k in range(width):
        if root[k] == k:
            at = k
            while at >= 0:
                order[count] = at
                count += 1
                at = following[at]
    return order
