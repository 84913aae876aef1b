"""Limits over a few nodes, and solutions to judge by them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from hostcap.limits import VOLTAGE_HIGH, VOLTAGE_LOW, LinearLimits, RowLabels
from hostcap.solution import Solution

NONE = math.nan


def labels(groups: Sequence[int], **given: Any) -> RowLabels:
    size = len(groups)
    columns: dict[str, Any] = {
        "equipment": [f"bus{i}" for i in range(size)],
        "equipment_type": ["Bus"] * size,
        "terminal": [0] * size,
        "phase": ["A"] * size,
        "unit": ["V"] * size,
        "group": list(groups),
        "v_base_v": [400.0] * size,
    }
    return RowLabels(**(columns | given))


def sparse(rows: Sequence[dict[int, complex]]) -> tuple[list[int], list[int], list[complex]]:
    """CSR of rows written as {column: coefficient}."""
    pointer, index, coefficient = [0], [], []
    for row in rows:
        index += list(row)
        coefficient += list(row.values())
        pointer.append(len(index))
    return pointer, index, coefficient


def linear(
    groups: Sequence[int],
    *,
    nodes: Sequence[dict[int, complex]] | None = None,
    conductors: Sequence[dict[int, complex]] | None = None,
    lower: Sequence[float] | None = None,
    upper: Sequence[float] | None = None,
    low: str = VOLTAGE_LOW,
    high: str = VOLTAGE_HIGH,
    scale: Any = None,
    **about: Any,
) -> LinearLimits:
    size = len(groups)
    node_ptr, node_index, node_coefficient = sparse(nodes or [{}] * size)
    conductor_ptr, conductor_index, conductor_coefficient = sparse(conductors or [{}] * size)
    return LinearLimits(
        labels=labels(groups, **about),
        node_ptr=node_ptr,
        node_index=node_index,
        node_coefficient=node_coefficient,
        conductor_ptr=conductor_ptr,
        conductor_index=conductor_index,
        conductor_coefficient=conductor_coefficient,
        lower=[NONE] * size if lower is None else lower,
        upper=[NONE] * size if upper is None else upper,
        metric_low=low,
        metric_high=high,
        scale=None if scale is None else np.asarray(scale, dtype=np.float64),
    )


def solution(
    node_v: Sequence[Sequence[complex]],
    conductor_a: Sequence[Sequence[complex]] | None = None,
    converged: Sequence[bool] | None = None,
) -> Solution:
    states = len(node_v)
    return Solution(
        node_v=node_v,
        conductor_a=np.zeros((states, 0)) if conductor_a is None else conductor_a,
        converged=[True] * states if converged is None else converged,
        iterations=[1] * states,
    )
