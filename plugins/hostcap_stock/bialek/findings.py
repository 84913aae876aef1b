"""What a reader of a trace should know about its period."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from hostcap._arrays import FloatArray, IntArray
from hostcap.findings import Finding, Severity, some
from hostcap.flows import FlowNetwork
from hostcap.tracing import TraceBalance

DEAD_END_MW = 0.001
"""What dead ends may take without a finding."""

Dropped = tuple[str, float]
"""A loop that was dropped, in words, and the MW that go round it."""


def findings_of(
    network: FlowNetwork, balance: TraceBalance, noticed: Any, lost_mw: float, dropped: Sequence[Dropped]
) -> tuple[Finding, ...]:
    """Loops, losses larger than flows, dead ends and mismatches of one period, with their MW.

    Args:
        network: That was traced.
        balance: How it adds up.
        noticed: Branches that lose more than they carry; dead ends; buses with a mismatch, and its MW.
        lost_mw: What the branches send that lose more than they carry.
        dropped: Loops that were dropped.
    """
    return tuple(_found(network, balance, noticed, lost_mw, dropped))


def _found(
    network: FlowNetwork, balance: TraceBalance, noticed: Any, lost_mw: float, dropped: Sequence[Dropped]
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
    if dropped:
        yield Finding(
            severity=Severity.WARNING,
            code="circulation-dropped",
            element="; ".join(loop for loop, _ in dropped),
            count=len(dropped),
            kw=1000.0 * sum(mw for _, mw in dropped),
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
        yield _dead_ends(network, balance, dead_end, *_within(dead_end, off, off_mw))
    if off.size:
        yield Finding(
            severity=Severity.WARNING,
            code="bus-mismatch",
            element=some(network.bus[off[np.abs(off_mw).argsort()[::-1]]].tolist()),
            count=int(off.size),
            kw=1000.0 * float(np.abs(off_mw).sum()),
            message="what comes to a bus and what leaves it differ by more than fixed losses explain",
        )


def _within(dead_end: IntArray, off: IntArray, off_mw: FloatArray) -> tuple[IntArray, FloatArray]:
    """Dead ends at which more arrives than fixed losses explain, the largest first, and those MW."""
    if not off.size:
        return off, off_mw
    here = np.isin(off, dead_end) & (off_mw > 0)
    order = np.argsort(-off_mw[here], kind="stable")
    return off[here][order], off_mw[here][order]


def _dead_ends(
    network: FlowNetwork, balance: TraceBalance, dead_end: IntArray, bus: IntArray, rest_mw: FloatArray
) -> Finding:
    """Buses that nothing leaves: fixed losses explain what arrives, or a load is missing."""
    charged = f"nothing leaves these buses, so that {balance.dead_end_mw:.6g} MW of generation are charged to no load; "
    others = np.setdiff1d(dead_end, bus) if bus.size else dead_end
    element, count = some(network.bus[np.concatenate([bus, others])].tolist()), int(dead_end.size)
    kw = 1000.0 * balance.dead_end_mw
    if not bus.size:
        message = f"{charged}they feed the fixed losses there"
        return Finding(severity=Severity.INFO, code="dead-end", element=element, count=count, kw=kw, message=message)
    message = (
        f"{charged}{rest_mw.sum():.6g} MW of what arrives are no fixed losses, most at {network.bus[bus[0]]}"
        f" ({rest_mw[0]:.6g} MW): look there for a load that the input lacks or has on another bus"
    )
    return Finding(severity=Severity.WARNING, code="dead-end", element=element, count=count, kw=kw, message=message)
