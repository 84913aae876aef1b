"""Tracing periods: directed, ordered, swept or solved, and summed by place."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import attrs
import numpy as np
from attrs import frozen

from hostcap._arrays import FloatArray, IntArray, ints, sums
from hostcap.errors import TraceError
from hostcap.findings import some
from hostcap.flows import FailedPeriod, FlowNetwork, FlowPeriod
from hostcap.tracing import ZERO_MW, DirectedFlows, Shares, Trace, TraceBalance, directed
from hostcap_stock.bialek.compat import Joined, half_and_half
from hostcap_stock.bialek.config import BialekConfig
from hostcap_stock.bialek.cycles import Cycle, cycles
from hostcap_stock.bialek.equations import Equations, equations
from hostcap_stock.bialek.findings import findings_of
from hostcap_stock.bialek.kernel import Long, add_cells, add_rows, ordering, parts

AHEAD = 2
"""Periods that wait for each thread."""


@frozen(kw_only=True, eq=False)
class _Way:
    """One direction traced: users, what they put in, and the rows of buses and branches."""

    equations: Equations
    user: IntArray
    of_row: IntArray
    user_mw: FloatArray
    bus_mw: FloatArray
    branch_mw: FloatArray


class BialekTracer:
    """Proportional sharing, upstream and downstream; see the tracing method."""

    def __init__(self, config: BialekConfig) -> None:
        self.config = config
        self._joined = Joined()

    @property
    def mode(self) -> str:
        """The mode, as tables call it."""
        return self.config.mode

    def trace(self, period: FlowPeriod) -> Trace:
        """Trace one period.

        Raises:
            TraceError: A loop of branches circulates, and nothing leaves it or comes into it.
        """
        compat = self.config.mode == "compat"
        traced = self._joined.period(period) if compat else period
        network = traced.network
        flows = directed(traced, netting=self.config.netting)
        flowing = flows.sent_mw
        order, ordered = ordering(flows.send, flows.receive, flowing, network.bus.size)
        circling: tuple[Cycle, ...] = ()
        dropped_mw = 0.0
        if ordered < network.bus.size:
            circling = cycles(flows, network.row_bus)
            flows, circling, dropped_mw = self._without_circulation(period, network, flows, circling)
            order, ordered = ordering(flows.send, flows.receive, flows.sent_mw, network.bus.size)
        acyclic = order if ordered == network.bus.size else None
        up = self._way(network, flows, flows.generation_mw, equations(flows, self.config.mode, "up"), acyclic)
        down = self._way(network, flows, flows.load_mw, equations(flows, self.config.mode, "down"), acyclic)
        up_mw = _spread(network, down, flows.load_mw, up)
        down_mw = _spread(network, up, flows.generation_mw, down)
        dead_end = ints(np.flatnonzero((flows.out_mw < ZERO_MW) & (flows.in_mw >= ZERO_MW)))
        dead_end_mw = float(up.bus_mw[dead_end].sum())
        balance = _balance(traced, flows, up, down, float(up_mw.sum()), float(down_mw.sum()), dead_end_mw, circling)
        return Trace(
            period=period,
            network=network,
            up=_shares(network, flows, up, compat=compat),
            down=_shares(network, flows, down, compat=compat),
            up_mw=_done(np.ascontiguousarray(up_mw.T)),
            down_mw=_done(down_mw),
            balance=balance,
            findings=findings_of(network, flows, balance, dead_end, dropped_mw),
        )

    def traces(self, periods: Iterable[FlowPeriod | FailedPeriod]) -> Iterator[Trace | FailedPeriod]:
        """Trace many periods, in order, several at once; a few are read ahead."""
        threads = self.config.threads or os.cpu_count() or 1
        if threads == 1:
            yield from map(self._or_failed, periods)
            return
        given = iter(periods)
        broken: Exception | None = None
        with ThreadPoolExecutor(threads, thread_name_prefix="hostcap-bialek") as pool:
            waiting: deque[Future[Trace | FailedPeriod]] = deque()
            try:
                while True:
                    # What a source raises comes after the periods that it gave before.
                    try:
                        while broken is None and len(waiting) < threads * AHEAD:
                            waiting.append(pool.submit(self._or_failed, next(given)))
                    except StopIteration:
                        given = iter(())
                    except Exception as error:
                        broken = error
                    if not waiting:
                        break
                    yield waiting.popleft().result()
            finally:
                for future in waiting:
                    future.cancel()
        if broken is not None:
            raise broken

    def _or_failed(self, period: FlowPeriod | FailedPeriod) -> Trace | FailedPeriod:
        if isinstance(period, FailedPeriod):
            return period
        try:
            return self.trace(period)
        except TraceError as error:
            return FailedPeriod(label=period.label, start=period.start, minutes=period.minutes, reason=str(error))

    def _without_circulation(
        self, period: FlowPeriod, network: FlowNetwork, flows: DirectedFlows, found: tuple[Cycle, ...]
    ) -> tuple[DirectedFlows, tuple[Cycle, ...], float]:
        """Flows without loops that nothing leaves, the other loops, and the MW dropped."""
        closed = [cycle for cycle in found if cycle.closed]
        if not closed:
            return flows, found, 0.0
        branch = np.concatenate([cycle.branch for cycle in closed])
        dropped = float(flows.sent_mw[branch].sum())
        if self.config.circulation == "refuse":
            raise TraceError(
                f"period {period.name}: {dropped:.6g} MW circulate over {some(network.branch[branch].tolist(), 6)},"
                " with nothing that comes in or leaves, so they have no shares; mend the flows, or drop such loops"
                " with tracer.circulation = 'drop'"
            )
        sent, received = flows.sent_mw.copy(), flows.received_mw.copy()
        size = network.bus.size
        in_mw = flows.in_mw - sums(flows.receive[branch], received[branch], size)
        out_mw = flows.out_mw - sums(flows.send[branch], sent[branch], size)
        sent[branch] = received[branch] = 0.0
        left = attrs.evolve(
            flows,
            sent_mw=sent,
            received_mw=received,
            in_mw=np.maximum(in_mw, 0.0),
            out_mw=np.maximum(out_mw, 0.0),
            mismatch_mw=flows.mismatch_mw,
        )
        return left, tuple(cycle for cycle in found if not cycle.closed), dropped

    @staticmethod
    def _way(
        network: FlowNetwork, flows: DirectedFlows, row_mw: FloatArray, way: Equations, order: Long | None
    ) -> _Way:
        of_node = sums(network.row_node, row_mw, network.node.size)
        user = np.flatnonzero(of_node > 0).astype(np.int32)
        place = np.full(network.node.size, -1, dtype=np.int32)
        place[user] = np.arange(user.size, dtype=np.int32)
        of_row = place[network.row_node]
        injected = np.zeros((network.bus.size, user.size))
        add_cells(network.row_bus, of_row, row_mw, injected)
        bus_mw, branch_mw = way.solved(injected) if order is None else way.swept(order, injected)
        return _Way(equations=way, user=user, of_row=of_row, user_mw=of_node[user], bus_mw=bus_mw, branch_mw=branch_mw)


def _spread(network: FlowNetwork, takers: _Way, row_mw: FloatArray, way: _Way) -> FloatArray:
    """What each user of the other direction has of the users of this one, shape (other, user)."""
    spread = np.zeros((takers.user.size, way.user.size))
    add_rows(takers.of_row, network.row_bus, row_mw * way.equations.local[network.row_bus], way.bus_mw, spread)
    return spread


def _shares(network: FlowNetwork, flows: DirectedFlows, way: _Way, *, compat: bool) -> Shares:
    column = way.user
    if compat:
        own, other = flows.generation_mw, flows.load_mw
        own, other = (own, other) if way.equations.upstream else (other, own)
        column, station_mw = half_and_half(network, way.equations, way.user, own, other, way.bus_mw, way.branch_mw)
    else:
        station_mw = np.zeros((network.stations.size, way.user.size))
        if network.stations.size:
            _into_stations(network, flows, way, station_mw)
    return Shares(
        user=way.user,
        station_user=column,
        user_mw=way.user_mw,
        branch_mw=_done(way.branch_mw),
        bus_mw=_done(way.bus_mw),
        station_mw=_done(station_mw),
    )


def _into_stations(network: FlowNetwork, flows: DirectedFlows, way: _Way, station_mw: FloatArray) -> None:
    """What enters each station: shares of branches from other stations, and of its own generation."""
    station = network.bus_station[flows.receive]
    entered = np.where(station == network.bus_station[flows.send], -1, station).astype(np.int32)
    every = np.arange(network.branch.size, dtype=np.int32)
    add_rows(entered, every, np.ones(every.size), way.branch_mw, station_mw)
    own = network.bus_station[network.row_bus]
    if way.equations.upstream:
        add_cells(own, way.of_row, flows.generation_mw, station_mw)
    else:
        factor = flows.generation_mw * way.equations.local[network.row_bus]
        add_rows(own, network.row_bus, factor, way.bus_mw, station_mw)


def _balance(
    period: FlowPeriod,
    flows: DirectedFlows,
    up: _Way,
    down: _Way,
    gross_mw: float,
    net_mw: float,
    dead_end_mw: float,
    circling: tuple[Cycle, ...],
) -> TraceBalance:
    network = period.network
    generation, load = float(up.user_mw.sum()), float(down.user_mw.sum())
    worst = int(np.abs(flows.mismatch_mw).argmax()) if network.bus.size else -1
    looped = [network.branch[e] for cycle in circling for e in cycle.branch.tolist()]
    return TraceBalance(
        generation_mw=generation,
        load_mw=load,
        loss_mw=float((flows.sent_mw - flows.received_mw).sum()),
        fixed_loss_mw=float(period.fixed_loss_mw.sum()),
        gross_demand_mw=gross_mw,
        net_generation_mw=net_mw,
        dead_end_mw=dead_end_mw,
        unexplained_up_mw=generation - gross_mw - dead_end_mw,
        unexplained_down_mw=load - net_mw,
        mismatch_mw=float(flows.mismatch_mw[worst]) if worst >= 0 else 0.0,
        mismatch_bus=str(network.bus[worst]) if worst >= 0 else "",
        islands=int(parts(flows.send, flows.receive, flows.sent_mw, np.maximum(flows.in_mw, flows.out_mw))),
        cycle=tuple(looped),
    )


def _done(array: FloatArray) -> FloatArray:
    """Read-only, so that it is kept without a copy."""
    array.setflags(write=False)
    return array
