"""In which order nodes are eliminated, and which of them an iteration needs at all.

Minimum degree, with nodes that nothing injects into first: they drop out of the iteration. What is left are the
*path* rows, those on the way from a port to the root of the elimination tree; all others are substituted back once,
when a state has converged.
"""

from __future__ import annotations

import heapq

import numpy as np
from attrs import field, frozen

from hostcap._arrays import IntArray, ints

DEGREE_CAP = 8
"""A node without injection goes first only while it has at most this many neighbours; more would fill the factor."""


@frozen(kw_only=True, eq=False)
class Ordering:
    """An elimination order and the pattern of the factor.

    Attributes:
        node: Node eliminated at each step, shape (node,).
        later_ptr, later: Steps that each step's node was joined to when it went, rising; the pattern of U, ragged.
        row: Row of each step in the solver's arrays: path rows come first, children before parents; then the
            others, each after all that it needs for back-substitution.
        path_rows: How many rows are on paths.
    """

    node: IntArray = field(converter=ints)
    later_ptr: IntArray = field(converter=ints)
    later: IntArray = field(converter=ints)
    row: IntArray = field(converter=ints)
    path_rows: int


def order_nodes(pointer: IntArray, index: IntArray, injecting: IntArray) -> Ordering:
    """Order the nodes of a symmetric pattern.

    Args:
        pointer: CSR pointer of the pattern, shape (node + 1,).
        index: CSR columns.
        injecting: Nodes with a port.
    """
    size = pointer.size - 1
    columns, bounds = index.tolist(), pointer.tolist()
    neighbours = [set(columns[bounds[i] : bounds[i + 1]]) for i in range(size)]
    for i, others in enumerate(neighbours):
        others.discard(i)
        for other in others:
            neighbours[other].add(i)
    waits = np.zeros(size, dtype=bool)
    waits[injecting] = True
    eliminated: list[int] = []
    met: list[set[int]] = []
    done = [False] * size
    _eliminate([i for i in range(size) if not waits[i]], DEGREE_CAP, neighbours, done, eliminated, met)
    _eliminate([i for i in range(size) if not done[i]], size, neighbours, done, eliminated, met)
    step_of = [0] * size
    for step, i in enumerate(eliminated):
        step_of[i] = step
    later = [sorted(step_of[other] for other in others) for others in met]
    parent = np.asarray([own[0] if own else -1 for own in later], dtype=np.int32)
    on_path = waits[eliminated]
    for step in range(size):  # parents come later, so one pass is enough
        if on_path[step] and parent[step] >= 0:
            on_path[parent[step]] = True
    row = np.empty(size, dtype=np.int32)
    paths = _children_first(parent, on_path)
    row[paths] = np.arange(paths.size)
    rest = np.flatnonzero(~on_path)[::-1]
    row[rest] = np.arange(paths.size, size)
    return Ordering(
        node=eliminated,
        later_ptr=np.concatenate([[0], np.cumsum([len(own) for own in later])]),
        later=[step for own in later for step in own],
        row=row,
        path_rows=int(paths.size),
    )


def _eliminate(
    candidates: list[int],
    cap: int,
    neighbours: list[set[int]],
    done: list[bool],
    eliminated: list[int],
    met: list[set[int]],
) -> None:
    """Eliminate candidates by degree, then number, while they have at most ``cap`` neighbours."""
    allowed = [False] * len(done)
    for i in candidates:
        allowed[i] = True
    heap = [(len(neighbours[i]), i) for i in candidates if len(neighbours[i]) <= cap]
    heapq.heapify(heap)
    while heap:
        degree, i = heapq.heappop(heap)
        own = neighbours[i]
        if done[i] or degree != len(own):
            continue
        done[i] = True
        eliminated.append(i)
        met.append(own)
        for other in own:
            theirs = neighbours[other]
            theirs |= own
            theirs.discard(other)
            theirs.discard(i)
            if allowed[other] and len(theirs) <= cap:
                heapq.heappush(heap, (len(theirs), other))


def _children_first(parent: IntArray, on_path: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> IntArray:
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
