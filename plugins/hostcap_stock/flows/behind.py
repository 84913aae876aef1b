"""Who is behind the flow of a few branches, without the shares of all the others.

The tracer's mode ``actual`` for single branches, which for thousands of users costs a small part of a whole trace: many
branches of one period over a sparse factor, or one branch of each of many states by a compiled sweep. The tests hold
both to the tracer.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from attrs import field, frozen

from hostcap._arrays import FloatArray, IntArray, NameArray, floats, names, sums
from hostcap.errors import TraceError
from hostcap.flows import FlowPeriod
from hostcap.network import _ByContent
from hostcap.tracing import ZERO_MW, directed
from hostcap_stock.flows.layout import KILO, Flows, Layout


@frozen(kw_only=True, eq=False)
class Behind(_ByContent):
    """Shares of some branches.

    Attributes:
        supplied_mw: Of what the branch takes up at its sending end, by the nodes that supply, shape (branch, node).
        taken_mw: Of what it gives at its receiving end, by the nodes that take, shape (branch, node).
    """

    supplied_mw: FloatArray = field(converter=floats)
    taken_mw: FloatArray = field(converter=floats)


def behind(period: FlowPeriod, branches: Sequence[int]) -> Behind:
    """Shares of some branches of a period: those of suppliers add up to what is sent, those of takers to what comes.

    Args:
        period: Solved flows.
        branches: Their places in ``period.network.branch``.

    Raises:
        TraceError: A loop of branches circulates without a source, so that shares are not defined.
    """
    flows, network = directed(period), period.network
    size = network.bus.size
    chosen = np.asarray(branches, dtype=np.int64)
    send, receive = flows.send[chosen], flows.receive[chosen]
    up = _rows(flows.in_mw, flows.receive, flows.send, flows.received_mw, send, size)
    down = _rows(flows.out_mw, flows.send, flows.receive, flows.sent_mw, receive, size)
    return Behind(
        supplied_mw=_by_node(period, flows.generation_mw, up * flows.sent_mw[chosen][:, None]),
        taken_mw=_by_node(period, flows.load_mw, down * flows.received_mw[chosen][:, None]),
    )


@frozen(kw_only=True, eq=False)
class BehindEach(_ByContent):
    """Shares of one branch of each of some states, by the rows of a layout.

    Attributes:
        supplied_kw: Of what the branch takes up at its sending end, shape (state, row).
        taken_kw: Of what it gives at its receiving end, shape (state, row).
        refused: Why a state has no shares; empty where it has, shape (state,).
    """

    supplied_kw: FloatArray = field(converter=floats)
    taken_kw: FloatArray = field(converter=floats)
    refused: NameArray = field(converter=names)


def behind_each(layout: Layout, flows: Flows, branch: IntArray) -> BehindEach:
    """Shares of one branch of each state.

    Args:
        layout: Where flows go.
        flows: Summed states.
        branch: Place of the branch in ``layout.branch``, shape (state,).
    """
    from hostcap_stock.flows.weights import weights

    mw = [np.ascontiguousarray(kw / KILO) for kw in (flows.flow_kw, flows.loss_kw, flows.row_kw)]
    flow, loss, row = mw
    size = layout.bus.size
    up, down, ordered = weights(layout.from_bus, layout.to_bus, flow, loss, layout.row_bus, row, branch, size)
    refused = flows.refused.copy()
    for state in np.flatnonzero(~ordered & (refused == "")):
        try:
            up[state], down[state] = _of_circle(layout, flow[state], loss[state], row[state], int(branch[state]))
        except TraceError as error:
            refused[state] = str(error)
    at = layout.row_bus
    return BehindEach(
        supplied_kw=up[:, at] * np.maximum(flows.row_kw, 0.0),
        taken_kw=down[:, at] * np.maximum(-flows.row_kw, 0.0),
        refused=refused,
    )


def _of_circle(
    layout: Layout, flow: FloatArray, loss: FloatArray, row: FloatArray, branch: int
) -> tuple[FloatArray, FloatArray]:
    """Weights of the buses for one branch where flows run in a circle and have no order."""
    size, forward = layout.bus.size, flow >= 0.0
    send = np.where(forward, layout.from_bus, layout.to_bus)
    receive = np.where(forward, layout.to_bus, layout.from_bus)
    sent = np.abs(flow)
    received = np.maximum(sent - np.maximum(loss, 0.0), 0.0)
    comes = sums(receive, received, size) + sums(layout.row_bus, np.maximum(row, 0.0), size)
    leaves = sums(send, sent, size) + sums(layout.row_bus, np.maximum(-row, 0.0), size)
    up = _rows(comes, receive, send, received, send[[branch]], size)[0] * sent[branch]
    down = _rows(leaves, send, receive, sent, receive[[branch]], size)[0] * received[branch]
    return up, down


def _rows(
    through: FloatArray, at: IntArray, other: IntArray, moved: FloatArray, ends: IntArray, size: int
) -> FloatArray:
    """Rows of the inverse of ``diag(through) - moved``: of what one MW at an end is made, shape (end, bus)."""
    from scipy.sparse import coo_array, csc_array
    from scipy.sparse.linalg import splu

    flowing = np.maximum(through, 0.0)
    diagonal = np.where(flowing >= ZERO_MW, flowing, 1.0)
    used = (moved >= ZERO_MW) & (flowing[at] >= ZERO_MW)
    every = np.arange(size)
    entries = (
        np.concatenate([diagonal, -moved[used]]),
        (np.concatenate([every, at[used]]), np.concatenate([every, other[used]])),
    )
    try:
        factor = splu(csc_array(coo_array(entries, shape=(size, size))).T.tocsc())
    except RuntimeError as error:
        raise TraceError("a loop of branches circulates without a source: its flow has no shares") from error
    wanted = np.zeros((size, ends.size))
    wanted[ends, np.arange(ends.size)] = 1.0
    return np.asarray(factor.solve(wanted).T)


def _by_node(period: FlowPeriod, own_mw: FloatArray, weight: FloatArray) -> FloatArray:
    network = period.network
    total = np.zeros((weight.shape[0], network.node.size))
    np.add.at(total.T, network.row_node, (weight[:, network.row_bus] * own_mw).T)
    return total
