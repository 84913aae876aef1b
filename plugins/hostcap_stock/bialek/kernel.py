"""The compiled kernels: ordering of buses, the sweep that carries shares along branches, and sums of rows.

Rows of shares are sparse, as in ``ShareRows``: of all users, one in ten has a part in a branch of a large grid.

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


def compiled(function: F) -> F:
    """Compile on first call, keep the code in numba's cache, let other threads run meanwhile."""
    return cast(F, njit(cache=True, nogil=True)(function))


@compiled
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


@compiled
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


@compiled
def wider(held: Any, used: Any, count: Any) -> Any:
    """An array with more room, which starts as ``held`` does."""
    more = np.empty(2 * held.size + count, dtype=held.dtype)
    more[:used] = held[:used]
    return more


@compiled
def sweep(
    order: Long,
    backwards: bool,
    tail: IntArray,
    head: IntArray,
    passed: FloatArray,
    row_bus: IntArray,
    of_row: IntArray,
    row_mw: FloatArray,
    users: int,
) -> tuple[IntArray, IntArray, FloatArray]:
    """What flows through each bus by user: its own, and parts of the rows of the buses before it.

    Args:
        order: Buses; no branch leads from a later to an earlier one.
        backwards: Whether the order is to be taken from its end.
        tail: Bus that each branch is reached from.
        head: Bus that it leads to.
        passed: Part of the tail's row that the head receives.
        row_bus: Bus of each row of what users put in.
        of_row: User of each row; -1 is none.
        row_mw: MW of each row.
        users: Number of users.

    Returns:
        First entry of each bus, and user and MW of each entry: rows of a ``ShareRows``.
    """
    size = order.size
    first_in, in_branch = leaving(head, passed, size)
    first_own, own_row = leaving(row_bus, row_mw, size)
    begin, end = np.zeros(size, dtype=np.int64), np.zeros(size, dtype=np.int64)
    column, mw = np.empty(8 * size + users, dtype=np.int32), np.empty(8 * size + users)
    scratch, touched = np.zeros(users), np.empty(users + 1, dtype=np.int32)
    marked = np.zeros(users, dtype=np.bool_)
    used = 0
    for place in range(size):
        bus = order[size - 1 - place] if backwards else order[place]
        count = 0
        for p in range(first_own[bus], first_own[bus + 1]):
            k = of_row[own_row[p]]
            if k >= 0:
                if not marked[k]:
                    marked[k] = True
                    touched[count] = k
                    count += 1
                scratch[k] += row_mw[own_row[p]]
        low, high = first_in[bus], first_in[bus + 1]
        if count == 0 and high - low == 1:
            # Most buses are reached over one branch: their rows are parts of a row, and nothing is to be added.
            part, source = passed[in_branch[low]], tail[in_branch[low]]
            count = end[source] - begin[source]
            if used + count > column.size:
                column, mw = wider(column, used, count), wider(mw, used, count)
            start = begin[source]
            for n in range(count):
                column[used + n] = column[start + n]
                mw[used + n] = part * mw[start + n]
            begin[bus] = used
            used += count
            end[bus] = used
            continue
        for p in range(low, high):
            part, source = passed[in_branch[p]], tail[in_branch[p]]
            for q in range(begin[source], end[source]):
                k = column[q]
                # No jump here, as nobody could foresee it.
                touched[count] = k
                count += 0 if marked[k] else 1
                marked[k] = True
                scratch[k] += part * mw[q]
        if used + count > column.size:
            column, mw = wider(column, used, count), wider(mw, used, count)
        begin[bus] = used
        for n in range(count):
            k = touched[n]
            column[used], mw[used] = k, scratch[k]
            scratch[k], marked[k] = 0.0, False
            used += 1
        end[bus] = used
    first = np.empty(size + 1, dtype=np.int32)
    by_bus, of_bus = np.empty(used, dtype=np.int32), np.empty(used)
    at = 0
    for bus in range(size):
        first[bus] = at
        for q in range(begin[bus], end[bus]):
            by_bus[at], of_bus[at] = column[q], mw[q]
            at += 1
    first[size] = at
    return first, by_bus, of_bus


@compiled
def scaled(
    source: IntArray, factor: FloatArray, first: IntArray, column: IntArray, mw: FloatArray
) -> tuple[IntArray, IntArray, FloatArray]:
    """Rows ``factor * rows[source]``; a factor of 0 gives an empty one."""
    begin = np.zeros(source.size + 1, dtype=np.int32)
    for n in range(source.size):
        held = first[source[n] + 1] - first[source[n]] if factor[n] > 0.0 else 0
        begin[n + 1] = begin[n] + held
    user, share = np.empty(begin[source.size], dtype=np.int32), np.empty(begin[source.size])
    at = 0
    for n in range(source.size):
        if factor[n] > 0.0:
            for q in range(first[source[n]], first[source[n] + 1]):
                user[at], share[at] = column[q], factor[n] * mw[q]
                at += 1
    return begin, user, share


@compiled
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
