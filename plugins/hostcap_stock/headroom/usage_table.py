"""Table ``binding_usage``, and the limits that nobody could be named for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from hostcap.findings import Finding, Severity, some
from hostcap.limits import THERMAL, LimitSet, Violations
from hostcap.network import Network
from hostcap.tables import Table, concatenate
from hostcap_stock.headroom.labels import Labels
from hostcap_stock.headroom.least import Answered, Least
from hostcap_stock.headroom.preparing import Searched
from hostcap_stock.headroom.schemas import BINDING_USAGE
from hostcap_stock.headroom.tables import binding_sets
from hostcap_stock.headroom.violations import violation_id


def usage_table(network: Network, leasts: Sequence[Least], labels_of: Callable[[Searched], Labels]) -> Table:
    """``binding_usage`` of all directions; the binding limits of the searches that answer for their groups."""
    answered = [a for least in leasts for a in least.answered]
    return concatenate([_of_one(network, a, labels_of(a.searched)) for a in answered])


def _of_one(network: Network, answered: Answered, labels: Labels) -> Table:
    searched, limits = answered.searched, answered.searched.prepared.limits
    sets = binding_sets(network, searched.result, answered.answer, answered.chosen).rows
    by_key = {usage.key: usage for usage in answered.usage}
    columns: dict[str, list[Any]] = {name: [] for name in BINDING_USAGE.names}
    for key, (step, violations) in sorted(sets.items(), key=lambda item: item[1][0]):
        usage = by_key.get(key)
        if usage is None:
            continue
        row, metric = int(violations.row[0]), limits.families[int(violations.family[0])]
        size, label = usage.amount.size, limits.labels
        nothing = [np.nan] * size
        traced = usage.method != "sensitivity"
        with np.errstate(divide="ignore", invalid="ignore"):
            share = usage.amount / usage.whole
        cells = {
            **labels.run_columns(size),
            "binding_id": [labels.id_of("binding", key)] * size,
            "violation_id": [violation_id(labels, limits, key, step, row, metric)] * size,
            "headroom_direction": [labels.direction.value] * size,
            "conducting_equipment_mrid": [label.equipment[row]] * size,
            "conducting_equipment_type": [label.equipment_type[row]] * size,
            "terminal_sequence_number": [int(label.terminal[row])] * size,
            "phase": [label.phase[row]] * size,
            "metric": [metric] * size,
            "method": [usage.method] * size,
            "side": usage.side,
            "user_kind": usage.kind,
            "user_id": usage.user,
            "part": usage.part,
            "kw": usage.amount if traced else nothing,
            "change": nothing if traced else usage.amount,
            "unit": [usage.unit] * size,
            "share": share,
        }
        for name, values in cells.items():
            columns[name].extend(values)
    return Table.build(BINDING_USAGE, columns, labels.metadata)


def unexplained(network: Network, answered: Answered) -> list[Finding]:
    """Binding limits without a row in ``binding_usage``, but voltages that nothing has moved; at most one finding."""
    sets = binding_sets(network, answered.searched.result, answered.answer, answered.chosen).rows
    named = {usage.key for usage in answered.usage}
    limits = answered.searched.prepared.limits
    lost = [
        str(limits.labels.equipment[violations.row[0]])
        for key, (step, violations) in sets.items()
        if key not in named and violations.row.size and (step > 0 or _thermal(limits, violations))
    ]
    if not lost:
        return []
    return [
        Finding(
            severity=Severity.INFO,
            code="binding-usage-unknown",
            element=some(lost),
            count=len(lost),
            message="limits bind that binding_usage says nothing about: they are no linear form, or the network source"
            " does not state how loads answer to voltage",
        )
    ]


def _thermal(limits: LimitSet, violations: Violations) -> bool:
    return limits.families[int(violations.family[0])] == THERMAL
