"""Findings about a net: which power flow serves it, and what of it is off, made up or not read."""

from __future__ import annotations

import numpy as np

from hostcap.findings import Finding, Severity, counted, some
from hostcap_stock.pandapower.branches import Branches
from hostcap_stock.pandapower.columns import Columns
from hostcap_stock.pandapower.elements import Elements
from hostcap_stock.pandapower.reading import NetTables


def note_emergency(rated: list[str], emergency_factor: float, findings: list[Finding]) -> None:
    """A net states no emergency rating of anything."""
    if rated:
        findings.append(
            Finding(
                severity=Severity.INFO,
                code="emergency-ratings-derived",
                element=some(rated),
                count=len(rated),
                message=f"pandapower nets state no emergency ratings: {emergency_factor:g} x normal is used for all "
                f"{len(rated)} rated lines and transformers where emergency ratings are asked for; set "
                "network.emergency_factor",
            )
        )


def _idle_taps(net: NetTables) -> list[str]:
    """Transformers whose tap position does nothing."""
    found = []
    for name, sides in (("trafo", ("hv", "lv")), ("trafo3w", ("hv", "mv", "lv"))):
        table = Columns(net, name)
        off = table.floats("tap_pos", missing=True) - table.floats("tap_neutral", missing=True)
        steps = np.abs(table.floats("tap_step_percent", missing=True)) + np.abs(
            np.nan_to_num(table.floats("tap_step_degree", missing=True))
        )
        known = [
            kind not in ("", "None") and side in sides
            for kind, side in zip(table.texts("tap_changer_type"), table.texts("tap_side"), strict=True)
        ]
        acts = np.asarray(known, dtype=bool) & (np.nan_to_num(steps) > 0)
        idle = table.bools("in_service") & (np.nan_to_num(off) != 0) & ~acts
        found += [f"{name} {row}" for row in table.index[idle]]
    return found


def note_net(
    net: NetTables,
    unbalanced: list[str],
    elements: Elements,
    branches: Branches,
    made_names: list[str],
    findings: list[Finding],
) -> None:
    """Add what a reader of the results should know about the net."""
    kind = "unbalanced (runpp_3ph)" if unbalanced else "balanced (runpp)"
    why = (
        f"{counted(len(unbalanced), 'element differs', 'elements differ')} by phase"
        if unbalanced
        else "no element differs by phase"
    )
    findings.append(
        Finding(
            severity=Severity.INFO,
            code="pandapower-power-flow",
            element=some(unbalanced),
            count=max(1, len(unbalanced)),
            message=f"the power flow is {kind}: {why}",
        )
    )
    off = {**branches.off, **{name: count for name, (count, _) in elements.off.items()}}
    if off:
        listed = ", ".join(f"{count} {name}" for name, count in off.items())
        findings.append(
            Finding(
                severity=Severity.INFO,
                code="out-of-service",
                element=some(sorted(off)),
                count=sum(off.values()),
                kw=sum(kw for _, kw in elements.off.values()),
                message=f"out of service in the net, and left out: {listed}; kW are those of loads and generators",
            )
        )
    if branches.open_switches:
        findings.append(
            Finding(
                severity=Severity.INFO,
                code="open-switches",
                element=some(list(branches.open_switches)),
                count=len(branches.open_switches),
                message=f"{counted(len(branches.open_switches), 'switch is', 'switches are')} open",
            )
        )
    if net.controllers:
        findings.append(
            Finding(
                severity=Severity.WARNING,
                code="controllers-not-run",
                element=some(list(net.controllers)),
                count=len(net.controllers),
                message=f"{counted(len(net.controllers), 'controller')} of the net not run: taps and powers stay as "
                "the net has them; run them in pandapower, and save the net as it is then",
            )
        )
    if made_names:
        findings.append(
            Finding(
                severity=Severity.INFO,
                code="names-made",
                element=some(made_names),
                count=len(made_names),
                message=f"{counted(len(made_names), 'element')} without a name of its own, called by table and number",
            )
        )
    idle = _idle_taps(net)
    if idle:
        findings.append(
            Finding(
                severity=Severity.WARNING,
                code="taps-without-effect",
                element=some(idle),
                count=len(idle),
                message=f"{counted(len(idle), 'transformer')} off the neutral tap, which pandapower ignores without "
                "tap_changer_type, known tap_side and step; state them, or set tap_pos to tap_neutral",
            )
        )
    if net.unread:
        findings.append(
            Finding(
                severity=Severity.INFO,
                code="parts-not-read",
                element=some(list(net.unread)),
                count=len(net.unread),
                message=f"{counted(len(net.unread), 'part')} of the net not read, as the power flow has no use for it",
            )
        )
