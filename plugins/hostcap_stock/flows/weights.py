"""The compiled kernel of ``behind_each``: what one branch of a state is made of, without the shares of the others."""

from __future__ import annotations

import numpy as np

from hostcap._arrays import BoolArray, FloatArray, IntArray
from hostcap.tracing import ZERO_MW
from hostcap_stock.bialek.kernel import compiled, leaving, ordering

_ZERO = ZERO_MW


@compiled
def weights(
    from_bus: IntArray,
    to_bus: IntArray,
    flow: FloatArray,
    loss: FloatArray,
    row_bus: IntArray,
    row: FloatArray,
    branch: IntArray,
    size: int,
) -> tuple[FloatArray, FloatArray, BoolArray]:
    """How much of what each bus supplies and takes is in the flow of one branch, state by state; MW.

    The sweep of a trace turned round: from the branch backwards to those who supply it, and onwards to those who take.

    Args:
        from_bus: Shape (branch,).
        to_bus: Shape (branch,).
        flow: At the sending end, positive from ``from_bus``, shape (state, branch).
        loss: Shape (state, branch).
        row_bus: Bus of each row, shape (row,).
        row: What is supplied (positive) and taken, shape (state, row).
        branch: Whose flow it is, shape (state,).
        size: Number of buses.

    Returns:
        Part of the supply and of the load of each bus, shape (state, bus), and whether the flows of a state have an
        order: without one its parts are 0.
    """
    states, branches = flow.shape
    up, down = np.zeros((states, size)), np.zeros((states, size))
    ordered = np.zeros(states, dtype=np.bool_)
    send, receive = np.empty(branches, dtype=np.int32), np.empty(branches, dtype=np.int32)
    sent, received = np.empty(branches), np.empty(branches)
    for s in range(states):
        comes, leaves, flowing = np.zeros(size), np.zeros(size), np.zeros(size)
        for e in range(branches):
            forward = flow[s, e] >= 0.0
            send[e] = from_bus[e] if forward else to_bus[e]
            receive[e] = to_bus[e] if forward else from_bus[e]
            sent[e] = abs(flow[s, e])
            received[e] = max(sent[e] - max(loss[s, e], 0.0), 0.0)
            comes[receive[e]] += received[e]
            leaves[send[e]] += sent[e]
        for r in range(row_bus.size):
            comes[row_bus[r]] += max(row[s, r], 0.0)
            leaves[row_bus[r]] += max(-row[s, r], 0.0)
        order, count = ordering(send, receive, sent, size)
        if count < size:
            continue
        ordered[s] = True
        at = branch[s]
        first, listed = leaving(receive, received, size)
        flowing[send[at]] = sent[at]
        for place in range(size - 1, -1, -1):
            bus = order[place]
            if flowing[bus] > 0.0 and comes[bus] >= _ZERO:
                part = flowing[bus] / comes[bus]
                up[s, bus] = part
                for p in range(first[bus], first[bus + 1]):
                    flowing[send[listed[p]]] += part * received[listed[p]]
        first, listed = leaving(send, sent, size)
        flowing[:] = 0.0
        flowing[receive[at]] = received[at]
        for place in range(size):
            bus = order[place]
            if flowing[bus] > 0.0 and leaves[bus] >= _ZERO:
                part = flowing[bus] / leaves[bus]
                down[s, bus] = part
                for p in range(first[bus], first[bus + 1]):
                    flowing[receive[listed[p]]] += part * sent[listed[p]]
    return up, down, ordered
