"""Voltage limits that a share of each group's nodes has to keep, and not every one of them."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Literal

import numpy as np
from attrs import Factory, field, frozen

from hostcap._arrays import FloatArray, IntArray
from hostcap.limits import RowLabels
from hostcap.solution import Solution

EQUAL = 1e-9
"""Relative difference up to which two voltages are one."""


def nearest_rank(percentile: float, count: int) -> int:
    """Which of ``count`` rising values is their percentile: the least that this share of them does not exceed.

    The rank is ceil(percentile / 100 x count), and 1 for a percentile of 0; as numpy's method ``inverted_cdf``.
    """
    return max(1, math.ceil(Fraction(str(percentile)) * count / 100))


def _by_group(measure: PercentileOfVoltages) -> tuple[tuple[IntArray, int], ...]:
    """Rows of each group by bus and phase, and the place of the percentile among its rising values."""
    labels = measure.labels
    order = np.lexsort((labels.phase.astype(str), labels.equipment.astype(str), labels.group)).astype(np.int32)
    edges = np.flatnonzero(np.diff(labels.group[order])) + 1
    groups = np.split(order, edges) if order.size else []
    return tuple((rows, nearest_rank(measure.percentile, rows.size) - 1) for rows in groups)


@frozen(kw_only=True, eq=False)
class PercentileOfVoltages:
    """A percentile of the voltages of each group, over its nodes, on one side; a ``Measure``.

    Each node has a row. In a state, the row of the node whose voltage is the group's percentile has that voltage as
    its value, and every other row of the group has none (nan), which is not broken. So what binds is a real node, and
    has its bus and phase. Where nodes of a group have several limits, as per-unit limits have where nominals differ,
    they are ranked by their share of their own limit. Nodes without a current between them have one voltage: of those
    within ``EQUAL`` of the percentile the first by bus and phase is taken, so that rounding does not name it.

    Attributes:
        node: Nodes, shape (row,).
        reference: What each is measured to; -1 for ground, shape (row,).
        labels: Of the rows.
        limit: Upper or lower limit of each, V, shape (row,).
        side: Which of the two it is.
        percentile: Which percentile, 0 to 100, by nearest rank.
        metric: What a violation is called.
        description: The limits in one line.
    """

    node: IntArray
    reference: IntArray
    labels: RowLabels
    limit: FloatArray
    side: Literal["lower", "upper"]
    percentile: float
    metric: str
    description: str
    _members: tuple[tuple[IntArray, int], ...] = field(init=False, default=Factory(_by_group, takes_self=True))

    @property
    def lower(self) -> FloatArray:
        """The limits, or nan where they are upper ones."""
        return self.limit if self.side == "lower" else np.full(self.limit.size, np.nan)

    @property
    def upper(self) -> FloatArray:
        """The limits, or nan where they are lower ones."""
        return self.limit if self.side == "upper" else np.full(self.limit.size, np.nan)

    @property
    def metric_low(self) -> str:
        """Name of a violation of a lower limit."""
        return self.metric if self.side == "lower" else ""

    @property
    def metric_high(self) -> str:
        """Name of a violation of an upper limit."""
        return self.metric if self.side == "upper" else ""

    @property
    def scale(self) -> FloatArray | None:
        """Excess is measured in the limit."""
        return None

    @property
    def needs(self) -> frozenset[str]:
        """Voltages alone."""
        return frozenset({"nodes"})

    def evaluate(self, solution: Solution, start: Solution | None) -> FloatArray:
        """The percentile of each group at the row of its node, V; shape (state, row)."""
        volts = solution.node_v[:, self.node]
        to_neutral = np.flatnonzero(self.reference >= 0)
        volts[:, to_neutral] -= solution.node_v[:, self.reference[to_neutral]]
        size = np.abs(volts)
        values = np.full(size.shape, np.nan)
        state = np.arange(len(size))
        for rows, place in self._members:
            share = size[:, rows] / self.limit[rows]
            ranked = np.partition(share, place, axis=1)[:, place]
            chosen = rows[np.argmax(np.abs(share - ranked[:, None]) <= EQUAL * ranked[:, None], axis=1)]
            values[state, chosen] = size[state, chosen]
        return values
