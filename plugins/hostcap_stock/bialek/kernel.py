"""The compiled kernels: ordering of buses, the sweep that carries shares along branches, and sums by place.

They hold no lock of Python's, so that threads trace several periods at once. Buses, branches and users are counted by
int64; MW and factors are float64.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy as np
from numba import njit  # noqa: TID253 - imported with the tracer's first period
from numpy.typing import NDArray

from hostcap._arrays import FloatArray, IntArray

Long = NDArray[np.int64]
F = TypeVar("F", bound=Callable[..., Any])


def _compiled(function: F) -> F:
    """Compile on first call, keep the code in numba's cache, let other threads run meanwhile."""
    return cast(F, njit(cache=True, nogil=True)(function))


@_compiled
def leaving(tail: IntArray, mw: FloatArray, size: int) -> tuple[Long, Long]:
    """Branches with MW by the bus they leave: ``listed[first[bus]:first[bus + 1]]``."""
    first = np.zeros(size + 1, dtype=np.int64)
    for e in range(tail.size):
        if mw[e] > 0.0:
            first[tail[e] + 1] += 1
    for bus in range(size):
        first[bus + 1] += first[bus]
    listed = np.empty(first[size], dtype=np.int64)
    filled = first[:-1].copy()
    for e in range(tail.size):
        if mw[e] > 0.0:
            listed[filled[tail[e]]] = e
            filled[tail[e]] += 1
    return first, listed


@_compiled
def ordering(tail: IntArray, head: IntArray, mw: FloatArray, size: int) -> tuple[Long, int]:
    """Buses in topological order (Kahn), and how many could be ordered: fewer than all where a cycle is directed."""
    first, listed = leaving(tail, mw, size)
    pending = np.zeros(size, dtype=np.int64)
    for p in range(listed.size):
        pending[head[listed[p]]] += 1
    order = np.empty(size, dtype=np.int64)
    count = 0
    for bus in range(size):
        if pending[bus] == 0:
            order[count] = bus
            count += 1
    done = 0
    while done < count:
        bus = order[done]
        done += 1
        for p in range(first[bus], first[bus + 1]):
            other = head[listed[p]]
            pending[other] -= 1
            if pending[other] == 0:
                order[count] = other
                count += 1
    return order, count


@_compiled
def put_in(row_bus: IntArray, of_row: IntArray, row_mw: FloatArray, bus_mw: FloatArray) -> None:
    """What users put in at each bus: ``bus_mw[row_bus, of_row] += row_mw``, everything else 0; -1 is no user."""
    bus_mw[:] = 0.0
    for n in range(row_bus.size):
        if of_row[n] >= 0:
            bus_mw[row_bus[n], of_row[n]] += row_mw[n]


@_compiled
def sweep(
    order: Long,
    backwards: bool,
    tail: IntArray,
    head: IntArray,
    passed: FloatArray,
    shared: FloatArray,
    bus_mw: FloatArray,
    branch_mw: FloatArray,
) -> None:
    """Carry each bus's row of shares along its branches, in order.

    Args:
        order: Buses; no branch leads from a later to an earlier one.
        backwards: Whether the order is to be taken from its end.
        tail: Bus that each branch is reached from.
        head: Bus that it leads to.
        passed: Part of the tail's row that the head receives.
        shared: Part of the tail's row that is the branch's share.
        bus_mw: What users put in at each bus; becomes what flows through, shape (bus, user).
        branch_mw: Filled, shape (branch, user).
    """
    size, users = bus_mw.shape
    live = np.maximum(passed, shared)
    first, listed = leaving(tail, live, size)
    for e in range(tail.size):
        if live[e] <= 0.0:
            branch_mw[e, :] = 0.0
    for place in range(size):
        bus = order[size - 1 - place] if backwards else order[place]
        source = bus_mw[bus]
        for p in range(first[bus], first[bus + 1]):
            e = listed[p]
            target, share = bus_mw[head[e]], branch_mw[e]
            part, given = shared[e], passed[e]
            for k in range(users):
                mw = source[k]
                share[k] = part * mw
                target[k] += given * mw


@_compiled
def spread(
    of_row: IntArray,
    row_bus: IntArray,
    row_mw: FloatArray,
    local: FloatArray,
    bus_mw: FloatArray,
    out: FloatArray,
    transposed: bool,
) -> None:
    """What each row of the other direction has of the users of this one, added up by ``of_row``; -1 is left out."""
    out[:] = 0.0
    for n in range(of_row.size):
        other, bus = of_row[n], row_bus[n]
        part = row_mw[n] * local[bus]
        if other < 0 or part == 0.0:
            continue
        if transposed:
            for k in range(bus_mw.shape[1]):
                out[k, other] += part * bus_mw[bus, k]
        else:
            for k in range(bus_mw.shape[1]):
                out[other, k] += part * bus_mw[bus, k]


@_compiled
def into_stations(
    send: IntArray, receive: IntArray, bus_station: IntArray, branch_mw: FloatArray, station_mw: FloatArray
) -> None:
    """Shares of branches that lead into a station from outside of it."""
    station_mw[:] = 0.0
    for e in range(send.size):
        station = bus_station[receive[e]]
        if station >= 0 and station != bus_station[send[e]]:
            for k in range(branch_mw.shape[1]):
                station_mw[station, k] += branch_mw[e, k]


@_compiled
def add_rows(target: IntArray, source: IntArray, factor: FloatArray, rows: FloatArray, out: FloatArray) -> None:
    """``out[target] += factor * rows[source]``, where the target is >= 0 and the factor is not 0."""
    for n in range(target.size):
        if target[n] < 0 or factor[n] == 0.0:
            continue
        for k in range(out.shape[1]):
            out[target[n], k] += factor[n] * rows[source[n], k]


@_compiled
def add_cells(row: IntArray, column: IntArray, mw: FloatArray, out: FloatArray) -> None:
    """``out[row, column] += mw``, where both are >= 0."""
    for n in range(row.size):
        if row[n] >= 0 and column[n] >= 0:
            out[row[n], column[n]] += mw[n]


@_compiled
def scaled_rows(source: IntArray, factor: FloatArray, rows: FloatArray, out: FloatArray) -> None:
    """``out = factor * rows[source]``."""
    for n in range(source.size):
        if factor[n] == 0.0:
            out[n, :] = 0.0
            continue
        row, target = rows[source[n]], out[n]
        for k in range(out.shape[1]):
            target[k] = factor[n] * row[k]


@_compiled
def halves(first: IntArray, second: IntArray, branch_mw: FloatArray, column: IntArray, out: FloatArray) -> None:
    """Half of each branch's row at both of its places; -1 is none.

    Args:
        first: One place of each branch.
        second: The other.
        branch_mw: Shape (branch, user).
        column: Column of each user, rising.
        out: Filled, shape (place, column).
    """
    width = column.size
    begin = np.empty(width + 1, dtype=np.int64)
    stretches = 0
    for j in range(width):
        if j == 0 or column[j] != column[j - 1] + 1:
            begin[stretches] = j
            stretches += 1
    begin[stretches] = width
    out[:] = 0.0
    for e in range(first.size):
        for place in (first[e], second[e]):
            if place < 0:
                continue
            for s in range(stretches):
                start, size = begin[s], begin[s + 1] - begin[s]
                source = branch_mw[e, start : start + size]
                target = out[place, column[start] : column[start] + size]
                for j in range(size):
                    target[j] += 0.5 * source[j]


@_compiled
def add_columns(column: IntArray, values: FloatArray, out: FloatArray) -> None:
    """``out[:, column] += values``."""
    for i in range(values.shape[0]):
        for j in range(column.size):
            out[i, column[j]] += values[i, j]


@_compiled
def parts(tail: IntArray, head: IntArray, mw: FloatArray, through: FloatArray) -> int:
    """Number of separate parts of a network, counted over buses with flow."""
    size = through.size
    root = np.arange(size)
    for e in range(tail.size):
        if mw[e] > 0.0:
            a, b = tail[e], head[e]
            while root[a] != a:
                root[a] = root[root[a]]
                a = root[a]
            while root[b] != b:
                root[b] = root[root[b]]
                b = root[b]
            root[a] = b
    count = 0
    seen = np.zeros(size, dtype=np.bool_)
    for bus in range(size):
        if through[bus] > 0.0:
            top = bus
            while root[top] != top:
                top = root[top]
            if not seen[top]:
                seen[top] = True
                count += 1
    return count
