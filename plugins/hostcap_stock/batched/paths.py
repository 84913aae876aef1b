"""Which rows of a factor an iteration needs at all, and in which order they lie in memory.

Currents are injected at ports, and voltages are needed at ports. What is left are the *path* rows, those between a port
and the root of the elimination tree; all others are substituted back once, when a state has converged.
"""

from __future__ import annotations

import numpy as np
from attrs import field, frozen

from hostcap._arrays import BoolArray, ComplexArray, FloatArray, IntArray, ints
from hostcap_stock.batched.factor import Factor, compiled
from hostcap_stock.batched.ordering import Ordering


@frozen(kw_only=True, eq=False)
class Paths:
    """Rows of the solver's arrays.

    Attributes:
        row: Row of each step: path rows come first, children before parents; then the others, each after all that it
            needs for back-substitution.
        count: How many rows are on paths.
    """

    row: IntArray = field(converter=ints)
    count: int


def paths_of(ordering: Ordering, factor: Factor, injecting: IntArray) -> Paths:
    """Find the paths of a factor.

    Args:
        ordering: The order of elimination.
        factor: The factor.
        injecting: Nodes with a port.
    """
    size = factor.node.size
    step = np.empty(size, dtype=np.int32)
    step[factor.node] = np.arange(size)
    needed = np.zeros(size, dtype=bool)
    needed[step[injecting]] = True
    on_path = _reached(
        factor.block_ptr, factor.lower_ptr, factor.lower, factor.upper_ptr, factor.upper, needed.copy(), needed
    )
    parent = _parents(np.asarray(ordering.later_ptr), np.asarray(ordering.later), on_path)
    row = np.empty(size, dtype=np.int32)
    first = _children_first(parent, on_path)
    row[first] = np.arange(first.size)
    rest = np.flatnonzero(~on_path)[::-1]
    row[rest] = np.arange(first.size, size)
    return Paths(row=row, count=int(first.size))


@compiled
def _reached(
    block_ptr: IntArray,
    lower_ptr: IntArray,
    lower: IntArray,
    upper_ptr: IntArray,
    upper: IntArray,
    fed: BoolArray,
    needed: BoolArray,
) -> BoolArray:
    """Steps whose current may differ from zero, or whose voltage some port depends on; parents come later."""
    on_path = np.zeros(fed.size, np.bool_)
    for b in range(block_ptr.size - 1):
        count = 0
        for i in range(block_ptr[b], block_ptr[b + 1]):
            for e in range(lower_ptr[i], lower_ptr[i + 1]):
                if fed[lower[e]]:
                    fed[i] = True
            count += fed[i] or needed[i]
        for i in range(block_ptr[b], block_ptr[b + 1]):
            # A single phase of a block is on its own; of several each needs all of the block's currents.
            on_path[i] = count > 1 or (count == 1 and (fed[i] or needed[i]))
            if on_path[i]:
                for e in range(upper_ptr[i], upper_ptr[i + 1]):
                    needed[upper[e]] = True
    return on_path


@compiled
def _parents(later_ptr: IntArray, later: IntArray, on_path: BoolArray) -> IntArray:
    """The first later step on a path that each was joined to when it went; -1 for roots and off the paths.

    It is the pattern that says so, and not the factor's entries, of which some are zero: later steps that one step was
    joined to are joined to one another, so each depends on nothing but its ancestors.
    """
    parent = np.full(on_path.size, -1, np.int32)
    for i in range(on_path.size):
        if on_path[i]:
            for e in range(later_ptr[i], later_ptr[i + 1]):
                if on_path[later[e]]:
                    parent[i] = later[e]
                    break
    return parent


def _children_first(parent: IntArray, on_path: BoolArray) -> IntArray:
    """Path steps in a postorder of the elimination tree: subtrees stay together, and so in cache."""
    children: dict[int, list[int]] = {}
    roots = []
    for step in np.flatnonzero(on_path)[::-1].tolist():
        if parent[step] >= 0:
            children.setdefault(int(parent[step]), []).append(step)
        else:
            roots.append(step)
    reverse: list[int] = []
    stack = roots[::-1]
    while stack:
        step = stack.pop()
        reverse.append(step)
        stack.extend(children.get(step, ()))
    return np.asarray(reverse[::-1], dtype=np.int32)


def amplification(factor: Factor, paths: Paths, nominal_v: FloatArray) -> float:
    """How much further than any path node a node off the paths can move, both per unit of nominal.

    A node off the paths is a fixed linear form of path nodes; the factor is the largest sum of the absolute
    coefficients, in per unit. Nodes with nominal ``inf`` (dead ones) do not count.
    """
    by_row = np.empty(paths.row.size, dtype=np.int32)
    by_row[paths.row] = np.arange(by_row.size)
    return float(
        _amplification(
            factor.upper_ptr, factor.upper, factor.upper_value, factor.own_ptr, factor.own, factor.own_value,
            np.asarray(paths.row), by_row, paths.count, nominal_v[factor.node],
        )
    )  # fmt: skip


@compiled
def _amplification(
    upper_ptr: IntArray,
    upper: IntArray,
    upper_value: ComplexArray,
    own_ptr: IntArray,
    own: IntArray,
    own_value: ComplexArray,
    row: IntArray,
    by_row: IntArray,
    path_rows: int,
    nominal: FloatArray,
) -> float:
    size = row.size
    form_ptr = np.zeros(size - path_rows + 1, np.int64)
    form_step = np.empty(1024, np.int32)
    form_value = np.empty(1024, np.complex128)
    work = np.zeros(size, np.complex128)
    seen = np.zeros(size, np.bool_)
    touched = np.empty(size, np.int32)
    most = 1.0  # what the path nodes themselves move
    for place in range(size - path_rows):
        i = by_row[path_rows + place]
        count = 0
        # The one phase of the block that carries a current, if any: its current is known by its own voltage.
        fed, share = -1, 0.0j
        for e in range(own_ptr[i], own_ptr[i + 1]):
            if row[own[e]] < path_rows:
                fed = own[e]
                for f in range(own_ptr[fed], own_ptr[fed + 1]):
                    if own[f] == fed:
                        share = own_value[e] / own_value[f]
                if not seen[fed]:
                    seen[fed] = True
                    touched[count] = fed
                    count += 1
                work[fed] += share
        for turn in range(2):
            step, times = (i, -1.0 + 0.0j) if turn == 0 else (fed, share)
            if step < 0:
                continue
            for e in range(upper_ptr[step], upper_ptr[step + 1]):
                j = upper[e]
                if row[j] < path_rows:
                    if not seen[j]:
                        seen[j] = True
                        touched[count] = j
                        count += 1
                    work[j] += times * upper_value[e]
                    continue
                other = row[j] - path_rows
                for f in range(form_ptr[other], form_ptr[other + 1]):
                    k = form_step[f]
                    if not seen[k]:
                        seen[k] = True
                        touched[count] = k
                        count += 1
                    work[k] += times * upper_value[e] * form_value[f]
        end = form_ptr[place] + count
        if end > form_step.size:
            room = np.empty(2 * end, np.int32)
            room[: form_ptr[place]] = form_step[: form_ptr[place]]
            wide = np.empty(2 * end, np.complex128)
            wide[: form_ptr[place]] = form_value[: form_ptr[place]]
            form_step, form_value = room, wide
        total = 0.0
        for t in range(count):
            k = touched[t]
            form_step[form_ptr[place] + t] = k
            form_value[form_ptr[place] + t] = work[k]
            if np.isfinite(nominal[k]):
                total += abs(work[k]) * nominal[k]
            work[k] = 0.0
            seen[k] = False
        form_ptr[place + 1] = end
        if total > most * nominal[i]:
            most = float(total / nominal[i])
    return most
