"""Directed cycles: which branches and buses are in one, and whether anything leaves it."""

from __future__ import annotations

import numpy as np
from attrs import frozen

from hostcap._arrays import IntArray, sums
from hostcap.findings import some
from hostcap.flows import FlowNetwork
from hostcap.tracing import ZERO_MW, DirectedFlows


@frozen(kw_only=True, eq=False)
class Cycle:
    """Buses that can all be reached from each other along flows.

    Attributes:
        branch: Branches with flow between them, shape (branch,).
        closed: Nothing of what circulates leaves it, or nothing comes into it, so that it has no shares.
    """

    branch: IntArray
    closed: bool


MOST = 6
"""Branches and buses of a loop that are named."""


def loop_mw(flows: DirectedFlows, cycle: Cycle) -> float:
    """MW that go round: the largest flow of the loop."""
    return float(flows.sent_mw[cycle.branch].max())


def loop_words(network: FlowNetwork, flows: DirectedFlows, cycle: Cycle) -> str:
    """The branches of a loop, and its buses in the order in which they are passed."""
    following = dict(zip(flows.send[cycle.branch].tolist(), flows.receive[cycle.branch].tolist(), strict=True))
    bus = int(flows.send[cycle.branch[0]])
    passed: dict[int, None] = {}
    while bus not in passed:
        passed[bus] = None
        bus = following[bus]
    # What leads to the loop proper, where a cycle holds several, is passed but once.
    buses = list(passed) + [each for each in following if each not in passed]
    names = network.bus[buses].tolist()
    return f"{some(network.branch[cycle.branch].tolist(), MOST)} round the buses {some(names, MOST)}"


def cycles(flows: DirectedFlows, row_bus: IntArray) -> tuple[Cycle, ...]:
    """The directed cycles of a period, by the first branch of each.

    Args:
        flows: The period.
        row_bus: Bus of each row of generation and load.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    size, flowing = flows.in_mw.size, np.flatnonzero(flows.sent_mw > 0)
    send, receive = flows.send[flowing], flows.receive[flowing]
    graph = coo_array((np.ones(flowing.size), (send, receive)), shape=(size, size))
    _, part = connected_components(graph, directed=True, connection="strong")
    inside = part[send] == part[receive]
    # What leaves a part over branches or is taken in it, and what comes to it or is supplied in it.
    parts = int(part.max(initial=-1)) + 1
    leaves = sums(part[send], flows.sent_mw[flowing] * ~inside, parts) + sums(part[row_bus], flows.load_mw, parts)
    comes = sums(part[receive], flows.received_mw[flowing] * ~inside, parts)
    comes += sums(part[row_bus], flows.generation_mw, parts)
    found = []
    for each in dict.fromkeys(part[send[inside]].tolist()):
        branch = flowing[inside & (part[send] == each)]
        found.append(Cycle(branch=branch.astype(np.int32), closed=bool(min(leaves[each], comes[each]) < ZERO_MW)))
    return tuple(found)
