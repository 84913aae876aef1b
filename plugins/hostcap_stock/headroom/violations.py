"""Tables of broken limits: ``constraint_violations`` and its join with what they bind."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from attrs import frozen

from hostcap._arrays import FloatArray
from hostcap.limits import LimitSet, Violations
from hostcap.tables import Table
from hostcap_stock.headroom.labels import Labels
from hostcap_stock.headroom.schemas import BINDING_CONSTRAINTS, CONSTRAINT_VIOLATIONS


@frozen(kw_only=True, eq=False)
class BrokenSet:
    """Broken limits of one state that belong together.

    Attributes:
        step: Step at which they were seen; 0 is the start.
        key: What the set binds; None where it binds nothing.
        violations: The limits, the binding one first.
    """

    step: int
    key: str | None
    violations: Violations


def violation_id(labels: Labels, limits: LimitSet, key: str | None, step: int, row: int, metric: str) -> str:
    """Id of one row of ``constraint_violations``."""
    label = limits.labels
    place = (label.equipment_type[row], label.equipment[row], label.terminal[row], label.phase[row])
    return labels.id_of("violation", key, step, *place, metric)


def violations_table(labels: Labels, limits: LimitSet, sets: Sequence[BrokenSet]) -> Table:
    """``constraint_violations`` of one search: sets by step, those of one step in the order given."""
    ordered = sorted(sets, key=lambda broken: broken.step)
    total = sum(broken.violations.row.size for broken in ordered)
    label = limits.labels

    def spread(values: Iterable[Any]) -> list[Any]:
        return [v for v, broken in zip(values, ordered, strict=True) for _ in range(broken.violations.row.size)]

    def joined(name: str) -> FloatArray:
        return np.concatenate([getattr(broken.violations, name) for broken in ordered] or [np.empty(0)])

    row = joined("row").astype(np.int32)
    key = spread(broken.key for broken in ordered)
    iteration = spread(broken.step for broken in ordered)
    first = [broken.key is not None and i == 0 for broken in ordered for i in range(broken.violations.row.size)]
    metric = [limits.families[int(f)] for f in joined("family")]
    binding = {broken.key: labels.id_of("binding", broken.key) for broken in ordered if broken.key is not None}
    return Table.build(
        CONSTRAINT_VIOLATIONS,
        {
            "violation_id": [
                violation_id(labels, limits, k, i, r, m) for k, i, r, m in zip(key, iteration, row, metric, strict=True)
            ],
            "binding_id": [None if k is None else binding[k] for k in key],
            **labels.run_columns(total),
            "headroom_direction": [labels.direction.value] * total,
            "iteration": iteration,
            "binding": first,
            "conducting_equipment_mrid": label.equipment[row],
            "conducting_equipment_type": label.equipment_type[row],
            "terminal_sequence_number": label.terminal[row],
            "phase": label.phase[row],
            "metric": metric,
            "violating_value": joined("value"),
            "constraint_limit": joined("limit"),
            "unit": label.unit[row],
            "v_base": label.v_base_v[row],
        },
        labels.metadata,
    )


def bindings_table(violations: Table) -> Table:
    """``binding_constraints``: each violation of ``constraint_violations`` that belongs to a binding set."""
    linked = np.asarray([b is not None for b in violations["binding_id"]], dtype=bool)
    columns = {name: violations[name][linked] for name in BINDING_CONSTRAINTS.names}
    return Table.build(BINDING_CONSTRAINTS, columns, violations.metadata)
