"""Tracing periods: directed, ordered, swept or solved, and summed by place."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import attrs
import numpy as np
from attrs import frozen

from hostcap._arrays import FloatArray, IntArray, ints, sums
from hostcap.errors import TraceError
from hostcap.findings import Finding, some
from hostcap.flows import FailedPeriod, FlowNetwork, FlowPeriod
from hostcap.tracing import ZERO_MW, DirectedFlows, ShareRows, Shares, Trace, TraceBalance, directed
from hostcap_stock.bialek.compat import Join, Joins, added, half_and_half, renamed
from hostcap_stock.bialek.config import BialekConfig
from hostcap_stock.bialek.cycles import Cycle, cycles
from hostcap_stock.bialek.equations import Equations, equations, rows
from hostcap_stock.bialek.findings import findings_of
from hostcap_stock.bialek.kernel import Long, combined, ordering, parts, scaled, spread

ArrayT = TypeVar("ArrayT", FloatArray, IntArray)
AHEAD = 2
"""Periods that wait for each thread."""


@frozen(kw_only=True, eq=False)
class _Way:
    """One direction traced: users, what they put in, and the rows of buses and branches."""

    equations: Equations
    user: IntArray
    of_row: IntArray
    user_mw: FloatArray
    bus: ShareRows


class BialekTracer:
    """Proportional sharing, upstream and downstream; see the tracing method."""

    def __init__(self, config: BialekConfig) -> None:
        self.config = config
        self._joins = Joins()

    @property
    def mode(self) -> str:
        """The mode, as tables call it."""
        return self.config.mode

    def trace(self, period: FlowPeriod) -> Trace:
        """Trace one period.

        Raises:
            TraceError: A loop of branches circulates, and nothing leaves it or comes into it.
        """
        join = self._joins.of(period.network) if self.config.mode == "compat" else None
        traced = join.period(period) if join else period
        network = traced.network
        flows = directed(traced, netting=self.config.netting)
        size = network.bus.size
        order, ordered = ordering(flows.send, flows.receive, flows.sent_mw, size)
        circling: tuple[Cycle, ...] = ()
        dropped_mw = 0.0
        if ordered < size:
            circling = cycles(flows, network.row_bus)
            flows, circling, dropped_mw = self._without_circulation(period, network, flows, circling)
            order, ordered = ordering(flows.send, flows.receive, flows.sent_mw, size)
        acyclic = order if ordered == size else None
        up = _way(network, flows.generation_mw, equations(flows, self.config.mode, "up"), acyclic)
        down = _way(network, flows.load_mw, equations(flows, self.config.mode, "down"), acyclic)
        pairs = (up.user.size, down.user.size)
        up_mw, down_mw = np.empty(pairs), np.empty(pairs)
        for takers, row_mw, way, transposed, out in (
            (down, flows.load_mw, up, True, up_mw),
            (up, flows.generation_mw, down, False, down_mw),
        ):
            bus, local = way.bus, way.equations.local
            spread(takers.of_row, network.row_bus, row_mw, local, bus.first, bus.column, bus.mw, transposed, out)
        dead_end = ints(np.flatnonzero((flows.out_mw < ZERO_MW) & (flows.in_mw >= ZERO_MW)))
        dead_end_mw = float(up.bus.sums()[dead_end].sum())
        balance = _balance(traced, flows, up, down, float(up_mw.sum()), float(down_mw.sum()), dead_end_mw, circling)
        findings = findings_of(network, flows, balance, dead_end, dropped_mw)
        if join:
            return _compat(period, traced, join, flows, up, down, up_mw, down_mw, balance, findings)
        return Trace(
            period=period,
            network=network,
            up=_shares(network, flows, up),
            down=_shares(network, flows, down),
            up_mw=_done(up_mw),
            down_mw=_done(down_mw),
            balance=balance,
            findings=findings,
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


def _way(network: FlowNetwork, row_mw: FloatArray, way: Equations, order: Long | None) -> _Way:
    of_node = sums(network.row_node, row_mw, network.node.size)
    user = np.flatnonzero(of_node > 0).astype(np.int32)
    place = np.full(network.node.size, -1, dtype=np.int32)
    place[user] = np.arange(user.size, dtype=np.int32)
    of_row = place[network.row_node]
    given = (network.row_bus, of_row, row_mw, user.size)
    bus = way.solved(*given) if order is None else way.swept(order, *given)
    return _Way(equations=way, user=user, of_row=of_row, user_mw=of_node[user], bus=bus)


def _shares(network: FlowNetwork, flows: DirectedFlows, way: _Way) -> Shares:
    """Shares of one direction; stations: what enters over branches from others, and their own generation."""
    bus, equation, users = way.bus, way.equations, way.user.size
    station = network.bus_station[flows.receive]
    entered = np.where(station == network.bus_station[flows.send], -1, station)
    own = network.bus_station[network.row_bus]
    target, source, factor = entered, equation.tail, equation.shared
    cell_mw = flows.generation_mw
    if not equation.upstream:
        # What is generated at a station is shared as its bus is.
        target, source = np.concatenate([target, own]), np.concatenate([source, network.row_bus])
        factor = np.concatenate([factor, cell_mw * equation.local[network.row_bus]])
        own, cell_mw = own[:0], cell_mw[:0]
    entering = combined(
        network.stations.size,
        users,
        target,
        source,
        factor,
        bus.first,
        bus.column,
        bus.mw,
        own,
        way.of_row[: own.size],
        cell_mw,
    )
    return Shares(
        user=_done(way.user),
        user_mw=_done(way.user_mw),
        branch_mw=equation.branches(bus),
        bus_mw=bus,
        station_mw=rows(*entering, users),
    )


def _compat(
    period: FlowPeriod,
    traced: FlowPeriod,
    join: Join,
    flows: DirectedFlows,
    up: _Way,
    down: _Way,
    up_mw: FloatArray,
    down_mw: FloatArray,
    balance: TraceBalance,
    findings: tuple[Finding, ...],
) -> Trace:
    """The trace under the original's labels, columns of one node added but for its bus use."""
    (up_user, up_column), (down_user, down_column) = join.owned(up.user), join.owned(down.user)
    both = []
    for way, own, other, user, column in (
        (up, flows.generation_mw, flows.load_mw, up_user, up_column),
        (down, flows.load_mw, flows.generation_mw, down_user, down_column),
    ):
        factor, source = join.labelled(traced, way.equations)
        branch = rows(*scaled(source, factor, way.bus.first, way.bus.column, way.bus.mw), way.user.size)
        station_user, station = half_and_half(
            join.network, way.equations, way.user, own, other, way.bus, factor, source
        )
        both.append(
            Shares(
                user=user,
                user_mw=added(column, user.size, way.user_mw[None])[0],
                branch_mw=renamed(branch, column, user.size),
                bus_mw=renamed(way.bus, column, user.size),
                station_mw=station,
                station_user=station_user,
            )
        )

    def pairs(mw: FloatArray) -> FloatArray:
        by_taker = added(down_column, down_user.size, mw)
        return np.ascontiguousarray(added(up_column, up_user.size, np.ascontiguousarray(by_taker.T)).T)

    return Trace(
        period=period,
        network=join.network,
        up=both[0],
        down=both[1],
        up_mw=_done(pairs(up_mw)),
        down_mw=_done(pairs(down_mw)),
        balance=balance,
        findings=findings,
    )


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
    looped = [str(network.branch[e]) for cycle in circling for e in cycle.branch.tolist()]
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


def _done(array: ArrayT) -> ArrayT:
    """Read-only, so that it is kept without a copy."""
    array.setflags(write=False)
    return array
