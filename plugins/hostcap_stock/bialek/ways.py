"""One period traced in both directions: at once where nothing special happens, step by step otherwise."""

from __future__ import annotations

from typing import Any

import numpy as np
from attrs import frozen

from hostcap._arrays import FloatArray, IntArray, ints, sums
from hostcap.flows import FlowNetwork, FlowPeriod
from hostcap.tracing import DirectedFlows, MixedRows, ShareRows
from hostcap_stock.bialek.equations import Equations
from hostcap_stock.bialek.fused import NUMBER, traced
from hostcap_stock.bialek.kernel import Long

Cells = tuple[IntArray, IntArray, FloatArray]
NO_CELLS: Cells = (ints(()), ints(()), np.empty(0))
NO_CELLS[2].setflags(write=False)
_COUNTED = ints(np.arange(4096))


@frozen(kw_only=True, eq=False)
class Way:
    """One direction traced.

    Attributes:
        upstream: Whether the users are those who supply.
        user: Nodes that put something in, shape (user,).
        of_row: User of each row of the map, -1 for none, shape (row,).
        user_mw: What each user puts in.
        local: Factor of the row of a bus for what is taken or supplied there, shape (bus,).
        shared: Factor of the row of a branch's tail, shape (branch,).
        bus: Rows of buses.
    """

    upstream: bool
    user: IntArray
    of_row: IntArray
    user_mw: FloatArray
    local: FloatArray
    shared: FloatArray
    bus: ShareRows


def done(*arrays: Any) -> Any:
    """Read-only, so that they are kept without a copy."""
    for array in arrays:
        array.setflags(write=False)
    return arrays


def counted(size: int) -> IntArray:
    """0, 1, 2 and so on; read-only."""
    global _COUNTED
    held = _COUNTED  # other threads may put another one there
    if size > held.size:
        held = _COUNTED = ints(np.arange(2 * size))
    return held[:size]


def mixed(
    base: ShareRows,
    target: IntArray,
    source: IntArray,
    factor: FloatArray,
    size: int,
    width: int,
    *,
    column: IntArray | None = None,
    cells: Cells = NO_CELLS,
) -> MixedRows:
    """Mixed rows; users are those of ``base`` unless ``column`` says otherwise."""
    return MixedRows(
        base=base,
        column=counted(base.width) if column is None else column,
        target=target,
        source=source,
        factor=factor,
        cell_row=cells[0],
        cell_column=cells[1],
        cell_mw=cells[2],
        size=size,
        width=width,
    )


def at_once(
    period: FlowPeriod, network: FlowNetwork, given_row: IntArray, mode: str
) -> tuple[DirectedFlows, Way, Way] | None:
    """A period without netting, on the network that it is traced on; None where flows run in a circle."""
    own = period.network
    acyclic, flows, up, down = traced(
        NUMBER[mode],
        network.bus.size,
        network.node.size,
        own.from_bus,
        own.to_bus,
        period.flow_mw,
        period.loss_mw,
        period.fixed_loss_mw,
        own.row_node,
        own.row_factor,
        given_row,
        network.row_node,
        network.row_bus,
        period.generation_mw,
        period.load_mw,
    )
    if not acyclic:
        return None
    send, receive, sent, received, supplied, taken, in_mw, out_mw, mismatch, lost = done(*flows)
    directed = DirectedFlows(
        send=send,
        receive=receive,
        sent_mw=sent,
        received_mw=received,
        generation_mw=supplied,
        load_mw=taken,
        in_mw=in_mw,
        out_mw=out_mw,
        mismatch_mw=mismatch,
        lost=lost,
    )
    return directed, _way(up, upstream=True), _way(down, upstream=False)


def _way(given: Any, *, upstream: bool) -> Way:
    user, of_row, user_mw, local, shared, first, column, mw = done(*given)
    return Way(
        upstream=upstream,
        user=user,
        of_row=of_row,
        user_mw=user_mw,
        local=local,
        shared=shared,
        bus=ShareRows(first=first, column=column, mw=mw, width=user.size),
    )


def by_steps(network: FlowNetwork, row_mw: FloatArray, way: Equations, order: Long | None) -> Way:
    """One direction of directed flows, whatever was done to them; without an order, by a sparse LU."""
    of_node = sums(network.row_node, row_mw, network.node.size)
    user = np.flatnonzero(of_node > 0).astype(np.int32)
    place = np.full(network.node.size, -1, dtype=np.int32)
    place[user] = np.arange(user.size, dtype=np.int32)
    of_row = place[network.row_node]
    given = (network.row_bus, of_row, row_mw, user.size)
    user_mw = of_node[user]
    done(user, of_row, user_mw, way.local, way.shared)
    return Way(
        upstream=way.upstream,
        user=user,
        of_row=of_row,
        user_mw=user_mw,
        local=way.local,
        shared=way.shared,
        bus=way.solved(*given) if order is None else way.swept(order, *given),
    )
