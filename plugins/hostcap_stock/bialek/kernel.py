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
def sweep(
    order: Long,
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
        tail: Bus that each branch is reached from.
        head: Bus that it leads to.
        passed: Part of the tail's row that the head receives.
        shared: Part of the tail's row that is the branch's share.
        bus_mw: What users put in at each bus; becomes what flows through, shape (bus, user).
        branch_mw: Filled, shape (branch, user).
    """
    size, users = bus_mw.shape
    first, listed = leaving(tail, np.maximum(passed, shared), size)
    for place in range(order.size):
        bus = order[place]
        for p in range(first[bus], first[bus + 1]):
            e = listed[p]
            other, part, given = head[e], shared[e], passed[e]
            for k in range(users):
                mw = bus_mw[bus, k]
                branch_mw[e, k] = part * mw
                bus_mw[other, k] += given * mw


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
