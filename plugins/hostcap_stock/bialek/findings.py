"""What a reader of a trace should know about its period."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from hostcap._arrays import IntArray
from hostcap.findings import Finding, Severity, some
from hostcap.flows import FlowNetwork
from hostcap.tracing import DirectedFlows, TraceBalance

MISMATCH_MW = 0.01
"""Difference at a bus that is worth a finding."""
DEAD_END_MW = 0.001
"""What dead ends may take without a finding."""


def findings_of(
    network: FlowNetwork, flows: DirectedFlows, balance: TraceBalance, dead_end: IntArray, dropped_mw: float
) -> tuple[Finding, ...]:
    """Loops, losses larger than flows, dead ends and mismatches of one period, with their MW."""
    return tuple(_found(network, flows, balance, dead_end, dropped_mw))


def _found(
    network: FlowNetwork, flows: DirectedFlows, balance: TraceBalance, dead_end: IntArray, dropped_mw: float
) -> Iterator[Finding]:
    if balance.cycle:
        yield Finding(
            severity=Severity.WARNING,
            code="directed-cycle",
            element=some(list(balance.cycle), 6),
            count=len(balance.cycle),
            message="flows run in a circle; shares are solved, and a branch's may exceed the output of their source",
        )
    if dropped_mw:
        yield Finding(
            severity=Severity.WARNING,
            code="circulation-dropped",
            kw=1000.0 * dropped_mw,
            message="loops that nothing leaves were dropped, as tracer.circulation asks for",
        )
    if flows.lost.size:
        yield Finding(
            severity=Severity.WARNING,
            code="loss-exceeds-flow",
            element=some(network.branch[flows.lost].tolist()),
            count=int(flows.lost.size),
            kw=1000.0 * float(flows.sent_mw[flows.lost].sum()),
            message="branches lose more than they carry; nothing is received from them",
        )
    if balance.dead_end_mw > DEAD_END_MW:
        yield Finding(
            severity=Severity.INFO,
            code="dead-end",
            element=some(network.bus[dead_end].tolist()),
            count=int(dead_end.size),
            kw=1000.0 * balance.dead_end_mw,
            message="buses that nothing leaves feed fixed losses alone; what flows there is charged to no load",
        )
    off = np.flatnonzero(np.abs(flows.mismatch_mw) > MISMATCH_MW)
    if off.size:
        yield Finding(
            severity=Severity.WARNING,
            code="bus-mismatch",
            element=some(network.bus[off[np.abs(flows.mismatch_mw[off]).argsort()[::-1]]].tolist()),
            count=int(off.size),
            kw=1000.0 * float(np.abs(flows.mismatch_mw[off]).sum()),
            message="what comes to a bus and what leaves it differ by more than fixed losses explain",
        )
