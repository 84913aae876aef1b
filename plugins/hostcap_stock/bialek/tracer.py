"""Tracing periods: directed, ordered, swept or solved, and summed by place."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import attrs
import numpy as np

from hostcap._arrays import IntArray, sums
from hostcap.errors import TraceError
from hostcap.flows import FailedPeriod, FlowNetwork, FlowPeriod, PerNetwork
from hostcap.tracing import DirectedFlows, MixedRows, Shares, Trace, TraceBalance, directed
from hostcap_stock.bialek.compat import join_of, shares
from hostcap_stock.bialek.config import BialekConfig
from hostcap_stock.bialek.cycles import Cycle, cycles, loop_mw, loop_words
from hostcap_stock.bialek.equations import equations
from hostcap_stock.bialek.findings import Dropped, findings_of
from hostcap_stock.bialek.kernel import ordering
from hostcap_stock.bialek.rows import NO_CELLS, counted, mixed
from hostcap_stock.bialek.ways import Found, at_once, by_steps, closed_of

AHEAD = 2
"""Periods that wait for each thread."""


class BialekTracer:
    """Proportional sharing, upstream and downstream; see the tracing method."""

    def __init__(self, config: BialekConfig) -> None:
        self.config = config
        self._joins = PerNetwork(join_of)

    @property
    def mode(self) -> str:
        """The mode, as tables call it."""
        return self.config.mode

    def trace(self, period: FlowPeriod) -> Trace:
        """Trace one period.

        Raises:
            TraceError: A loop of branches circulates, and nothing leaves it or comes into it.
        """
        mode = self.config.mode
        join = self._joins.of(period.network) if mode == "compat" else None
        network = join.single if join else period.network
        found = None
        if self.config.netting == "none":
            if join:
                found = at_once(period, network, join.row, mode, join.labels)
            else:
                found = at_once(period, network, counted(network.row_node.size), mode)
        if found is None:
            found = self._by_steps(join.period(period) if join else period, network)
        up, down = found.up, found.down
        taker, taker_part, _, giver, giver_part, _ = found.closed.pairs
        balance = _balance(network, found.closed.sums, found.circling)
        findings = findings_of(network, balance, found.closed.noticed, found.closed.sums[-1], found.dropped)
        if join:
            (up_shares, by_supplier), (down_shares, by_taker) = shares(join, period, found)
        else:
            up_shares, down_shares = _shares(network, found)
            by_taker, by_supplier = down.of_row, up.of_row
        suppliers, takers = up_shares.user.size, down_shares.user.size
        return Trace(
            period=period,
            network=join.network if join else network,
            up=up_shares,
            down=down_shares,
            up_mw=mixed(up.bus.rows, by_taker, taker, taker_part, takers, suppliers, column=_column(up_shares)),
            down_mw=mixed(
                down.bus.rows, by_supplier, giver, giver_part, suppliers, takers, column=_column(down_shares)
            ),
            balance=balance,
            findings=findings,
        )

    def _by_steps(self, period: FlowPeriod, network: FlowNetwork) -> Found:
        """A period that is netted or has a cycle."""
        flows = directed(period, netting=self.config.netting)
        size = network.bus.size
        order, ordered = ordering(flows.send, flows.receive, flows.sent_mw, size)
        circling: tuple[Cycle, ...] = ()
        dropped: tuple[Dropped, ...] = ()
        if ordered < size:
            circling = cycles(flows, network.row_bus)
            flows, circling, dropped = self._without_circulation(period, network, flows, circling)
            order, ordered = ordering(flows.send, flows.receive, flows.sent_mw, size)
        acyclic = order if ordered == size else None
        mode = self.config.mode
        by_up, by_down = equations(flows, mode, "up"), equations(flows, mode, "down")
        up = by_steps(network, flows.generation_mw, by_up, acyclic)
        down = by_steps(network, flows.load_mw, by_down, acyclic)
        both = ((up, by_up.shared), (down, by_down.shared))
        return Found(
            up=up,
            down=down,
            generation_mw=flows.generation_mw,
            load_mw=flows.load_mw,
            closed=closed_of(network, period.fixed_loss_mw, flows, *both, compat=mode == "compat"),
            circling=circling,
            dropped=dropped,
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
    ) -> tuple[DirectedFlows, tuple[Cycle, ...], tuple[Dropped, ...]]:
        """Flows without loops that nothing leaves, the other loops, and those that were dropped."""
        closed = [cycle for cycle in found if cycle.closed]
        if not closed:
            return flows, found, ()
        branch = np.concatenate([cycle.branch for cycle in closed])
        dropped = tuple((loop_words(network, flows, cycle), loop_mw(flows, cycle)) for cycle in closed)
        if self.config.circulation == "refuse":
            raise TraceError(
                f"period {period.name}: {'; and '.join(f'{mw:.6g} MW circulate over {loop}' for loop, mw in dropped)},"
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


def _shares(network: FlowNetwork, found: Found) -> tuple[Shares, Shares]:
    """Shares of both directions; stations: what enters over branches from others, and their own generation."""
    up, down = found.up, found.down
    up_source, up_factor, down_source, down_factor = found.closed.branches
    entered, own, target, source, factor = found.closed.stations
    both = []
    for way, branch, (to, at, part), cells in (
        (up, (up_source, up_factor), (entered, up_source, up_factor), (own, up.of_row, found.generation_mw)),
        # What is generated at a station is shared as its bus is.
        (down, (down_source, down_factor), (target, source, factor), NO_CELLS),
    ):
        users, rows, branches, column = way.user.size, way.bus.rows, branch[0].size, counted(way.user.size)
        both.append(
            Shares(
                user=way.user,
                user_mw=way.user_mw,
                branch_mw=mixed(rows, counted(branches), *branch, branches, users, column=column),
                bus_mw=way.bus.every,
                station_mw=mixed(rows, to, at, part, network.stations.size, users, column=column, cells=cells),
            )
        )
    return both[0], both[1]


def _column(shares: Shares) -> IntArray:
    parts = shares.branch_parts
    return parts.column if isinstance(parts, MixedRows) else counted(parts.width)


def _balance(network: FlowNetwork, sums_of: Any, circling: tuple[Cycle, ...]) -> TraceBalance:
    generation, load, lost_mw, fixed_mw, gross_mw, net_mw, dead_end_mw, worst_mw, worst, islands, _ = sums_of
    looped = [str(network.branch[e]) for cycle in circling for e in cycle.branch.tolist()]
    return TraceBalance(
        generation_mw=generation,
        load_mw=load,
        loss_mw=lost_mw,
        fixed_loss_mw=fixed_mw,
        gross_demand_mw=gross_mw,
        net_generation_mw=net_mw,
        dead_end_mw=dead_end_mw,
        unexplained_up_mw=generation - gross_mw - dead_end_mw,
        unexplained_down_mw=load - net_mw,
        mismatch_mw=worst_mw,
        mismatch_bus=str(network.bus[worst]) if worst >= 0 else "",
        islands=islands,
        cycle=tuple(looped),
    )
