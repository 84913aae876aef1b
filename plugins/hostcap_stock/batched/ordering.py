"""In which order nodes are eliminated: by minimum degree, with nodes that nothing injects into first.

The phases of a bus are joined to the same neighbours. Eliminated together, as a *block*, they leave a factor in which a
line without charging passes on exactly what it is given: most of a sweep becomes additions. Networks of single phases
are better off node by node, where junctions that nothing injects into can go first.
"""

from __future__ import annotations

import heapq

import numpy as np
from attrs import field, frozen

from hostcap._arrays import IntArray, ints

DEGREE_CAP = 8
"""A node without injection goes first only while it has at most this many neighbours; more would fill the factor."""
BLOCK_DEGREE_CAP = 2
"""The same of blocks: junctions stay, so that the network stays a tree, and what lines pass on stays exact."""
WORTHWHILE = 0.75
"""Blocks are tried where there are at most this many of them for each node."""


@frozen(kw_only=True, eq=False)
class Ordering:
    """An elimination order and the pattern of the factor.

    Attributes:
        node: Node eliminated at each step, shape (node,).
        block_ptr: Steps of each block: neighbours of one another with the same other neighbours.
        later_ptr, later: Steps that each step's node was joined to when it went, rising; the pattern of U, ragged.
    """

    node: IntArray = field(converter=ints)
    block_ptr: IntArray = field(converter=ints)
    later_ptr: IntArray = field(converter=ints)
    later: IntArray = field(converter=ints)


def order_nodes(pointer: IntArray, index: IntArray, injecting: IntArray) -> Ordering:
    """Order the nodes of a symmetric pattern one by one.

    Args:
        pointer: CSR pointer of the pattern, shape (node + 1,).
        index: CSR columns.
        injecting: Nodes with a port.
    """
    size = pointer.size - 1
    return _order(pointer, index, injecting, np.arange(size, dtype=np.int32), DEGREE_CAP)


def order_blocks(pointer: IntArray, index: IntArray, injecting: IntArray) -> Ordering | None:
    """The same, nodes with the same neighbours together; None where hardly any have."""
    size = pointer.size - 1
    # A node's neighbours and itself as one number each: a sum of numbers that are drawn once and for all.
    drawn = np.random.default_rng(20240229).integers(1, 2**63, size=size, dtype=np.uint64)
    row = np.repeat(np.arange(size), np.diff(pointer))
    off = row != index
    total = drawn.copy()
    np.add.at(total, row[off], drawn[index[off]])
    _, block = np.unique(total, return_inverse=True)
    block = block.astype(np.int32)
    if block.max(initial=0) + 1 > WORTHWHILE * size:
        return None
    return _order(pointer, index, injecting, ints(block), BLOCK_DEGREE_CAP)


def _order(pointer: IntArray, index: IntArray, injecting: IntArray, block: IntArray, cap: int) -> Ordering:
    size, count = pointer.size - 1, int(block.max(initial=-1)) + 1
    by_block = np.argsort(block, kind="stable")
    bounds = np.searchsorted(block[by_block], np.arange(count + 1)).tolist()
    members = [by_block[bounds[b] : bounds[b + 1]].tolist() for b in range(count)]
    of = block.tolist()
    columns, ends = index.tolist(), pointer.tolist()
    neighbours: list[set[int]] = [set() for _ in range(count)]
    for i in range(size):
        own = neighbours[of[i]]
        for j in columns[ends[i] : ends[i + 1]]:
            own.add(of[j])
    for b, others in enumerate(neighbours):
        others.discard(b)
        for other in others:
            neighbours[other].add(b)
    waits = np.zeros(count, dtype=bool)
    waits[block[injecting]] = True
    eliminated: list[int] = []
    met: list[set[int]] = []
    done = [False] * count
    _eliminate([b for b in range(count) if not waits[b]], cap, neighbours, done, eliminated, met)
    _eliminate([b for b in range(count) if not done[b]], count, neighbours, done, eliminated, met)
    node = [i for b in eliminated for i in members[b]]
    step_of = [0] * size
    for step, i in enumerate(node):
        step_of[i] = step
    later: list[int] = []
    counts: list[int] = []
    block_ptr = [0]
    for b, others in zip(eliminated, met, strict=True):
        first, after = block_ptr[-1], block_ptr[-1] + len(members[b])
        beyond = sorted(step_of[i] for other in others for i in members[other])
        for step in range(first, after):
            later.extend(range(step + 1, after))
            later.extend(beyond)
            counts.append(after - step - 1 + len(beyond))
        block_ptr.append(after)
    return Ordering(node=node, block_ptr=block_ptr, later_ptr=np.concatenate([[0], np.cumsum(counts)]), later=later)


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
