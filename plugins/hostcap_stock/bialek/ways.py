"""One period traced in both directions: at once where nothing special happens, step by step otherwise."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from hostcap._arrays import FloatArray, IntArray, sums
from hostcap.flows import FlowNetwork, FlowPeriod
from hostcap.tracing import DirectedFlows, ShareRows
from hostcap_stock.bialek.cycles import Cycle
from hostcap_stock.bialek.equations import Equations
from hostcap_stock.bialek.fused import INTEGERS, NUMBER, NUMBERS, closed, traced
from hostcap_stock.bialek.joining import INTEGERS as JOINED
from hostcap_stock.bialek.joining import traced_joined
from hostcap_stock.bialek.kernel import Long, leaving
from hostcap_stock.bialek.rows import BusRows, done, unpacked


class Way(NamedTuple):
    """One direction traced.

    Attributes:
        upstream: Whether the users are those who supply.
        user: Nodes that put something in, shape (user,).
        of_row: User of each row of the map, -1 for none, shape (row,).
        user_mw: What each user puts in.
        local: Factor of the row of a bus for what is taken or supplied there, shape (bus,).
        bus: Rows of buses.
    """

    upstream: bool
    user: IntArray
    of_row: IntArray
    user_mw: FloatArray
    local: FloatArray
    bus: BusRows


class Closed(NamedTuple):
    """How a period adds up, as compiled code says it; see ``closed``."""

    branches: Any
    pairs: Any
    stations: Any
    noticed: Any
    sums: Any

    @classmethod
    def of(cls, given: Any) -> Closed:
        """From compiled code."""
        branches, pairs, stations, noticed, sums_of = given
        done(*branches, *pairs, *stations, *noticed)
        return cls(branches=branches, pairs=pairs, stations=stations, noticed=noticed, sums=sums_of)


class Found(NamedTuple):
    """Both directions of a period.

    Attributes:
        up, down: The directions.
        generation_mw, load_mw: What each row supplies and takes.
        closed: How they add up.
        circling: Cycles in it.
        dropped: Loops that were dropped, in words, and the MW that go round each.
        joined: Integers and numbers of ``joined``, where it was done at once.
    """

    up: Way
    down: Way
    generation_mw: FloatArray
    load_mw: FloatArray
    closed: Closed
    circling: tuple[Cycle, ...] = ()
    dropped: tuple[tuple[str, float], ...] = ()
    joined: tuple[list[IntArray], list[FloatArray]] | None = None


def at_once(
    period: FlowPeriod, network: FlowNetwork, given_row: IntArray, mode: str, labels: Any = None
) -> Found | None:
    """A period without netting, on the network that it is traced on; None where flows run in a circle.

    Args:
        period: What is traced.
        network: On what.
        given_row: Row of the network for each row of the period's own, -1 for none.
        mode: The mode.
        labels: What ``traced_joined`` takes beside the period, for mode compat.
    """
    own = period.network
    given = (
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
        network.bus_station,
        period.generation_mw,
        period.load_mw,
    )
    acyclic, integers, numbers, ends, sums_of = traced(given) if labels is None else traced_joined(given, *labels)
    if not acyclic:
        return None
    of, mw = unpacked(integers, numbers, ends, INTEGERS if labels is None else INTEGERS + 2 * JOINED)
    return Found(
        up=_way(of[:5], mw[:4], upstream=True),
        down=_way(of[5:10], mw[4:8], upstream=False),
        generation_mw=mw[16],
        load_mw=mw[17],
        closed=Closed(
            branches=(of[10], mw[8], of[11], mw[9]),
            pairs=(of[12], mw[10], mw[11], of[13], mw[12], mw[13]),
            stations=(*of[14:18], mw[14]),
            noticed=(*of[18:INTEGERS], mw[15]),
            sums=sums_of,
        ),
        joined=None if labels is None else (of[INTEGERS:], mw[NUMBERS:]),
    )


def _way(given: list[IntArray], numbers: list[FloatArray], *, upstream: bool) -> Way:
    user, of_row, source, first, column = given
    user_mw, local, part, mw = numbers
    return Way(
        upstream=upstream,
        user=user,
        of_row=of_row,
        user_mw=user_mw,
        local=local,
        bus=BusRows(
            rows=ShareRows(first=first, column=column, mw=mw, width=user.size),
            source=source,
            part=part,
        ),
    )


def closed_of(
    network: FlowNetwork,
    fixed_loss_mw: FloatArray,
    flows: DirectedFlows,
    up: tuple[Way, FloatArray],
    down: tuple[Way, FloatArray],
    *,
    compat: bool,
) -> Closed:
    """How a period that was traced step by step adds up; with each way its factors ``shared``."""
    size = network.bus.size
    return Closed.of(
        closed(
            (compat, np.arange(size), *leaving(flows.receive, flows.sent_mw, size), flows.lost),
            (
                *(flows.send, flows.receive, flows.sent_mw, flows.received_mw),
                *(flows.in_mw, flows.out_mw, flows.mismatch_mw, fixed_loss_mw),
            ),
            (network.row_bus, flows.generation_mw, flows.load_mw, network.bus_station),
            (up[0].of_row, up[0].local, up[1], _arrays(up[0].bus)),
            (down[0].local, down[1], _arrays(down[0].bus)),
        )
    )


def _arrays(bus: BusRows) -> Any:
    return bus.source, bus.part, bus.rows.first, bus.rows.column, bus.rows.mw


def by_steps(network: FlowNetwork, row_mw: FloatArray, way: Equations, order: Long | None) -> Way:
    """One direction of directed flows, whatever was done to them; without an order, by a sparse LU."""
    of_node = sums(network.row_node, row_mw, network.node.size)
    user = np.flatnonzero(of_node > 0).astype(np.int32)
    place = np.full(network.node.size, -1, dtype=np.int32)
    place[user] = np.arange(user.size, dtype=np.int32)
    of_row = place[network.row_node]
    given = (network.row_bus, of_row, row_mw, user.size)
    user_mw = of_node[user]
    done(user, of_row, user_mw, way.local)
    return Way(
        upstream=way.upstream,
        user=user,
        of_row=of_row,
        user_mw=user_mw,
        local=way.local,
        bus=way.solved(*given) if order is None else way.swept(order, *given),
    )
