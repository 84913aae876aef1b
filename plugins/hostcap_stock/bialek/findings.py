"""What a reader of a trace should know about its period."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from hostcap.findings import Finding, Severity, some
from hostcap.flows import FlowNetwork
from hostcap.tracing import TraceBalance

DEAD_END_MW = 0.001
"""What dead ends may take without a finding."""


def findings_of(
    network: FlowNetwork, balance: TraceBalance, noticed: Any, lost_mw: float, dropped_mw: float
) -> tuple[Finding, ...]:
    """Loops, losses larger than flows, dead ends and mismatches of one period, with their MW.

    Args:
        network: That was traced.
        balance: How it adds up.
        noticed: Branches that lose more than they carry; dead ends; buses with a mismatch, and its MW.
        lost_mw: What the branches send that lose more than they carry.
        dropped_mw: MW of loops that were dropped.
    """
    return tuple(_found(network, balance, noticed, lost_mw, dropped_mw))


def _found(
    network: FlowNetwork, balance: TraceBalance, noticed: Any, lost_mw: float, dropped_mw: float
) -> Iterator[Finding]:
    lost, dead_end, off, off_mw = noticed
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
    if lost.size:
        yield Finding(
            severity=Severity.WARNING,
            code="loss-exceeds-flow",
            element=some(network.branch[lost].tolist()),
            count=int(lost.size),
            kw=1000.0 * lost_mw,
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
    if off.size:
        yield Finding(
            severity=Severity.WARNING,
            code="bus-mismatch",
            element=some(network.bus[off[np.abs(off_mw).argsort()[::-1]]].tolist()),
            count=int(off.size),
            kw=1000.0 * float(np.abs(off_mw).sum()),
            message="what comes to a bus and what leaves it differ by more than fixed losses explain",
        )
