"""Findings about the answer of a headroom search."""

from __future__ import annotations

import numpy as np

from hostcap.findings import Finding, Severity, counted, some
from hostcap.limits import LimitSet, Violations
from hostcap.network import Network
from hostcap.search import STATUSES, SearchResult, Status
from hostcap_stock.headroom.answer import Answer
from hostcap_stock.headroom.least import Answered


def _worst(limits: LimitSet, violations: Violations) -> str:
    """The first (highest ranked) violation in words."""
    row, label = violations.row[0], limits.labels
    terminal = f" terminal {label.terminal[row]}" if label.terminal[row] else ""
    return (
        f"{str(label.equipment_type[row]).lower()} {label.equipment[row]}{terminal} phase {label.phase[row]}: "
        f"{violations.value[0]:.5g} against {violations.limit[0]:.5g} {label.unit[row]} "
        f"({violations.excess[0] * 100.0:.2g} % beyond)"
    )


def start_findings(limits: LimitSet, start: Violations) -> list[Finding]:
    """Limits that are broken before anything grows, by metric, with the worst."""
    found = []
    for family, metric in enumerate(limits.families):
        broken = start.select(start.family == family)
        if broken.row.size:
            found.append(
                Finding(
                    severity=Severity.WARNING,
                    code="violation-at-start",
                    element=str(limits.labels.equipment[broken.row[0]]),
                    count=int(broken.row.size),
                    message=f"{counted(broken.row.size, f'{metric} limit')} broken before anything grows, worst "
                    f"{_worst(limits, broken)}; check the initial state and the limits",
                )
            )
    return found


def answer_findings(network: Network, answered: Answered) -> list[Finding]:
    """Violations at the start and at the final levels, near-ties, regulators, and where the search ended early."""
    limits, result, answer = answered.searched.prepared.limits, answered.searched.result, answered.answer
    start = answer.breaking.get(0)
    found = start_findings(limits, start.violations) if start is not None else []
    found += _final(network, limits, result, answer)
    found += _regulators(network, answer)
    ties = np.flatnonzero(answered.chosen & result.near_tie)
    if ties.size:
        found.append(
            Finding(
                severity=Severity.INFO,
                code="near-tie",
                element=some([str(network.groups.id[g]) for g in ties]),
                count=int(ties.size),
                message=f"{counted(ties.size, 'group')} decided by a value within 1e-5 of its limit; another solver "
                "or tolerance may give one step more or less",
            )
        )
    diverged = sum(STATUSES[status] is Status.DIVERGED for status in result.status[answered.chosen])
    if diverged:
        found.append(
            Finding(
                severity=Severity.WARNING,
                code="diverged",
                count=diverged,
                message=f"step {result.last_step} has no solution within the solver's iterations, so that "
                f"{counted(diverged, 'open group')} ended one step below; if a limit should have broken first, raise "
                "solver.max_iterations",
            )
        )
    return found


def _final(network: Network, limits: LimitSet, result: SearchResult, answer: Answer) -> list[Finding]:
    """What is broken when every group is at its final level: joint effects."""
    if answer.final is None:
        return [
            Finding(
                severity=Severity.WARNING,
                code="final-levels-diverge",
                message="all groups together at their final levels have no solution; their headroom holds one by one",
            )
        ]
    start = np.asarray([STATUSES[s] is Status.BOUND_AT_START for s in result.status], dtype=bool)
    # What was broken before anything grew is no joint effect; it has a finding of its own.
    before = [answer.breaking[0].violations] if 0 in answer.breaking else []
    before += [answer.hv_recorded[0]] if 0 in answer.hv_recorded else []
    rows = np.concatenate([violations.row for violations in before]) if before else np.empty(0, dtype=np.int32)
    final = answer.final.violations
    joint = final.select(~(np.isin(final.group, np.flatnonzero(start) + 1) | np.isin(final.row, rows)))
    if joint.row.size == 0:
        return []
    groups = np.unique(joint.group[joint.group > 0])
    whose = [counted(groups.size, "group")] if groups.size else []
    whose += ["the feeder"] if np.any(joint.group == 0) else []
    return [
        Finding(
            severity=Severity.WARNING,
            code="violation-at-final-levels",
            element=str(limits.labels.equipment[joint.row[0]]),
            count=int(joint.row.size),
            message=f"with every group at its headroom at once, {counted(joint.row.size, 'limit')} of "
            f"{' and '.join(whose)} broken, worst {_worst(limits, joint)}; groups that went on growing move the "
            "voltages and currents of those already locked, so less fits together than group by group",
        )
    ]


def _regulators(network: Network, answer: Answer) -> list[Finding]:
    """Regulators, frozen at the start, that would have acted at the final levels."""
    regulators = network.regulators
    if answer.final is None or regulators.name.size == 0:
        return []
    sensed = regulators.sensed_v(answer.final.node_v, answer.final.conductor_a)
    beyond = regulators.beyond_v(sensed)
    outside = np.flatnonzero(beyond > 0)
    if outside.size == 0:
        return []
    worst = outside[np.argmax(beyond[outside])]
    return [
        Finding(
            severity=Severity.WARNING,
            code="regulator-outside-band",
            element=some([str(n) for n in regulators.name[outside]]),
            count=int(outside.size),
            message=f"at the final levels {counted(outside.size, 'regulator')} out of band, worst "
            f"{regulators.name[worst]}: {sensed[worst]:.2f} V, band "
            f"{regulators.low_v[worst]:g}-{regulators.high_v[worst]:g} V; taps were frozen at the start, in service "
            "they would move",
        )
    ]
