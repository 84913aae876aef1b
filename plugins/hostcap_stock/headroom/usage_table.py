"""Table ``binding_usage``, and the limits that nobody could be named for."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hostcap.findings import Finding, Severity, some
from hostcap.limits import LimitSet
from hostcap.tables import Table
from hostcap_stock.headroom.labels import Labels
from hostcap_stock.headroom.schemas import BINDING_USAGE
from hostcap_stock.headroom.usage_records import Usage
from hostcap_stock.headroom.violations import BrokenSet, violation_id


def usage_table(labels: Labels, limits: LimitSet, sets: Sequence[BrokenSet], usage: Mapping[str, Usage]) -> Table:
    """``binding_usage`` of one search: sets in the order of ``constraint_violations``, those that have a usage.

    Args:
        labels: Of the search.
        limits: What it watches.
        sets: Its broken limits.
        usage: Who is behind the first of each set, by the set's key.
    """
    columns: dict[str, list[Any]] = {name: [] for name in BINDING_USAGE.names}
    for broken in sorted(sets, key=lambda broken: broken.step):
        found = usage.get(broken.key or "")
        if found is None:
            continue
        for name, values in _cells(labels, limits, broken, found).items():
            columns[name].extend(values)
    return Table.build(BINDING_USAGE, columns, labels.metadata)


def _cells(labels: Labels, limits: LimitSet, broken: BrokenSet, usage: Usage) -> dict[str, Any]:
    row, metric = int(broken.violations.row[0]), limits.families[int(broken.violations.family[0])]
    size, label = usage.amount.size, limits.labels
    nothing = [np.nan] * size
    traced = usage.method != "sensitivity"
    with np.errstate(divide="ignore", invalid="ignore"):
        share = usage.amount / usage.whole
    return {
        **labels.run_columns(size),
        "binding_id": [labels.id_of("binding", broken.key)] * size,
        "violation_id": [violation_id(labels, limits, broken.key, broken.step, row, metric)] * size,
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


def unexplained(limits: LimitSet, sets: Sequence[BrokenSet], unsaid: Mapping[str, str]) -> list[Finding]:
    """Binding limits without a row in ``binding_usage``, one finding for each reason.

    Args:
        limits: What the search watches.
        sets: Its broken limits.
        unsaid: Why nobody is behind the first of a set, by the set's key.
    """
    lost: dict[str, list[str]] = defaultdict(list)
    for broken in sets:
        why = unsaid.get(broken.key or "")
        if why is not None:
            lost[why].append(str(limits.labels.equipment[broken.violations.row[0]]))
    return [
        Finding(
            severity=Severity.INFO,
            code="binding-usage-unknown",
            element=some(list(dict.fromkeys(names))),
            count=len(names),
            message=f"limits bind that binding_usage says nothing about: {why}",
        )
        for why, names in sorted(lost.items())
    ]
