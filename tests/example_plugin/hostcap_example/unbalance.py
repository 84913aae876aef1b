"""Voltage unbalance as a Measure: a ratio, which no linear row can say."""

from typing import Any

import numpy as np
from attrs import frozen

from hostcap.limits import RowLabels

A = np.exp(2j * np.pi / 3.0)
"""Turns a phasor by 120 degrees."""


@frozen(kw_only=True, eq=False)
class Unbalance:
    """|V2| / |V1| in percent. Source: IEC 61000-2-2; V1, V2 by Fortescue's transform of the three phase voltages."""

    labels: RowLabels
    node: Any  # three nodes of each row, shape (row, 3)
    reference: Any  # what they are measured to; -1 is ground
    lower: Any
    upper: Any
    description: str
    metric_low: str = ""
    metric_high: str = "voltage-unbalance"
    scale: Any = None
    needs: frozenset[str] = frozenset({"nodes"})

    @classmethod
    def of(cls, network: Any, buses: Any, node: Any, most: float) -> "Unbalance":
        """Rows of some three-phase buses."""
        size = buses.size
        labels = RowLabels(
            equipment=network.buses.name[buses],
            equipment_type=["Bus"] * size,
            terminal=np.zeros(size),
            phase=["ABC"] * size,
            unit=["%"] * size,
            group=network.buses.group[buses],
            v_base_v=network.buses.nominal_kv[buses] * 1000.0,
        )
        return cls(
            labels=labels,
            node=node,
            reference=network.nodes.reference[node],
            lower=np.full(size, np.nan),
            upper=np.full(size, float(most)),
            description=f"voltage unbalance <= {most:g} %",
        )

    def evaluate(self, solution: Any, start: Any) -> Any:
        """Unbalance of each state and row, %, shape (state, row)."""
        volts = solution.node_v[:, self.node]
        volts = volts - np.where(self.reference >= 0, solution.node_v[:, self.reference], 0.0)
        a, b, c = volts[..., 0], volts[..., 1], volts[..., 2]
        positive, negative = np.abs(a + A * b + A**2 * c), np.abs(a + A**2 * b + A * c)
        return 100.0 * negative / positive
