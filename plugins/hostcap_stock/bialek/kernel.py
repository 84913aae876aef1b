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
_0, _1 = np.uint64(0), np.uint64(1)
F = TypeVar("F", bound=Callable[..., Any])


def compiled(function: F) -> F:
    """Compile on first call, keep the code in numba's cache, let other threads run meanwhile."""
    return cast(F, njit(cache=True, nogil=True, error_model="numpy")(function))


@compiled
def packed(integers: Any, numbers: Any) -> Any:
    """Arrays one after the other in one of each type, and where each of them ends.

    To hand many arrays to Python takes longer than what is in them.
    """
    ends = np.empty(len(integers) + len(numbers), dtype=np.int64)
    place, size = 0, 0
    for array in integers:
        size += array.size
        ends[place] = size
        place += 1
    all_integers = np.empty(size, dtype=np.int32)
    size = 0
    for array in integers:
        all_integers[size : size + array.size] = array
        size += array.size
    size = 0
    for array in numbers:
        size += array.size
        ends[place] = size
        place += 1
    all_numbers = np.empty(size)
    size = 0
    for array in numbers:
        all_numbers[size : size + array.size] = array
        size += array.size
    return all_integers, all_numbers, ends


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
    return ordered_by(first, listed, head)


@compiled
def ordered_by(first: Long, listed: Long, head: IntArray) -> tuple[Long, int]:
    """``ordering`` where the branches that leave each bus are known."""
    size = first.size - 1
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
    first_in: Long,
    in_branch: Long,
    tail: IntArray,
    passed: FloatArray,
    row_bus: IntArray,
    of_row: IntArray,
    row_mw: FloatArray,
    users: int,
) -> tuple[IntArray, FloatArray, IntArray, IntArray, FloatArray]:
    """What flows through each bus by user: its own, and parts of the rows of the buses before it.

    Most buses have nothing of their own and are reached from one bus: what flows through them is part of a row
    that is there already. Only where something is added a row is made.

    Args:
        order: Buses; no branch leads from a later to an earlier one.
        backwards: Whether the order is to be taken from its end.
        first_in: First branch of each bus in ``in_branch``.
        in_branch: Branches with MW by the bus that they lead to, as of ``leaving``.
        tail: Bus that each branch is reached from.
        passed: Part of the tail's row that the head receives.
        row_bus: Bus of each row of what users put in.
        of_row: User of each row; -1 is none.
        row_mw: MW of each row.
        users: Number of users.

    Returns:
        For each bus the row that it has a part of, and the part; and first entry of each row, and user and MW of each
        entry: those of a ``ShareRows``. Row 0 is empty.
    """
    size = order.size
    first_own, own_row = leaving(row_bus, row_mw, size)
    source, part = np.zeros(size, dtype=np.int32), np.zeros(size)
    first = np.zeros(size + 2, dtype=np.int32)
    column, mw = np.empty(4 * size + users, dtype=np.int32), np.empty(4 * size + users)
    scratch, touched = np.zeros(users), np.empty(users + 1, dtype=np.int32)
    marked = np.zeros(users, dtype=np.bool_)
    of_source, met = np.zeros(size + 1), np.empty(size + 1, dtype=np.int32)
    made, used = 1, 0
    for place in range(size):
        bus = order[size - 1 - place] if backwards else order[place]
        sources = 0
        for p in range(first_in[bus], first_in[bus + 1]):
            e = in_branch[p]
            more, row = passed[e] * part[tail[e]], source[tail[e]]
            if more > 0.0:
                if of_source[row] == 0.0:
                    met[sources] = row
                    sources += 1
                of_source[row] += more
        low, high = first_own[bus], first_own[bus + 1]
        if low == high and sources <= 1:
            if sources:
                source[bus], part[bus] = met[0], of_source[met[0]]
                of_source[met[0]] = 0.0
            continue
        # Indices that are unsigned cannot be meant from an array's end, which compiled code asks of others every time.
        met_users = _0
        for p in range(low, high):
            k = of_row[own_row[p]]
            if k >= 0:
                if not marked[k]:
                    marked[k] = True
                    touched[met_users] = k
                    met_users += _1
                scratch[k] += row_mw[own_row[p]]
        for n in range(sources):
            row = met[n]
            more, of_source[row] = of_source[row], 0.0
            for q in range(np.uint64(first[row]), np.uint64(first[row + 1])):
                k = np.uint64(column[q])
                # No jump here, as nobody could foresee it.
                touched[met_users] = k
                met_users += _0 if marked[k] else _1
                marked[k] = True
                scratch[k] += more * mw[q]
        count: Any = np.int64(met_users)
        if used + count > column.size:
            column, mw = wider(column, used, count), wider(mw, used, count)
        for i in range(met_users):
            k, at = np.uint64(touched[i]), np.uint64(used) + i
            column[at], mw[at] = k, scratch[k]
            scratch[k], marked[k] = 0.0, False
        used += count
        source[bus], part[bus] = made, 1.0
        made += 1
        first[made] = used
    return source, part, first[: made + 1].copy(), column[:used].copy(), mw[:used].copy()


@compiled
def through(source: IntArray, part: FloatArray, first: IntArray, mw: FloatArray) -> FloatArray:
    """What flows through each bus, all users together."""
    of_row = np.zeros(first.size - 1)
    for row in range(of_row.size):
        for q in range(first[row], first[row + 1]):
            of_row[row] += mw[q]
    found = np.empty(source.size)
    for bus in range(source.size):
        found[bus] = part[bus] * of_row[source[bus]] if part[bus] > 0.0 else 0.0
    return found


@compiled
def parts(order: Long, first_in: Long, in_branch: Long, tail: IntArray, most: FloatArray) -> int:
    """Number of separate parts of a network, counted over buses with flow.

    Args:
        order: All buses; in topological order this is quick, and any will do.
        first_in: First branch of each bus in ``in_branch``.
        in_branch: Branches with MW by the bus that they lead to, as of ``leaving``.
        tail: Bus that each branch is reached from.
        most: MW that come to or leave each bus, whichever is more.
    """
    root = np.arange(order.size)
    for place in range(order.size):
        bus = order[place]
        top = bus
        while root[top] != top:
            root[top] = root[root[top]]
            top = root[top]
        for p in range(first_in[bus], first_in[bus + 1]):
            other = tail[in_branch[p]]
            while root[other] != other:
                root[other] = root[root[other]]
                other = root[other]
            root[top] = other
            top = other
    count = 0
    seen = np.zeros(order.size, dtype=np.bool_)
    for bus in range(order.size):
        if most[bus] > 0.0:
            top = bus
            while root[top] != top:
                root[top] = root[root[top]]
                top = root[top]
            if not seen[top]:
                seen[top] = True
                count += 1
    return count
