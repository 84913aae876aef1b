"""Plans of several starts of one feeder, solved in one batch."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from hostcap._arrays import IntArray
from hostcap.growth import Growth
from hostcap.limits import LimitSet, LinearLimits
from hostcap.power_flow import FrozenNetwork, Plan, States
from hostcap_stock.batched.config import BatchedConfig
from hostcap_stock.batched.running import Out, Rooms, Runner, extremes_of
from hostcap_stock.batched.shared import Shared
from hostcap_stock.batched.solver import BatchedPlan, joined


class JointBatchedPlan:
    """States of several starts of one feeder in one batch; a tile holds states of one start."""

    def __init__(self, starts: Sequence[tuple[FrozenNetwork, Growth]], limits: LimitSet, config: BatchedConfig) -> None:
        """Prepare each start; what is equal among them is found once."""
        shared, rooms = Shared(), Rooms()
        self._limits = limits
        self._plans = [
            BatchedPlan(frozen.linear(), growth, limits, config, frozen.start, shared, rooms)
            for frozen, growth in starts
        ]
        self._fused = all(isinstance(limit, LinearLimits) for limit in limits.limits)
        self._runner = Runner(config)

    def of(self, start: int) -> Plan:
        """The plan of one start."""
        return self._plans[start]

    def close(self) -> None:
        """Give threads and working memory back."""
        self._runner.close()
        for plan in self._plans:
            plan.close()

    def extremes(self, start: IntArray, levels: IntArray) -> States:
        """Solve states of several starts; see ``hostcap.power_flow.JointPlan``."""
        own, first = np.unique(start, return_index=True)
        edges = [*first.tolist(), len(start)]
        parts = list(zip(own.tolist(), itertools.pairwise(edges), strict=True))
        if not self._fused:
            solved = [self._plans[i].solve(levels[begin:end], {"extremes"}) for i, (begin, end) in parts]
            return joined(solved, self._limits.families)
        spans = [
            span for i, (begin, end) in parts for span in self._runner.spans(self._plans[i].growing, begin, end - begin)
        ]
        steps = np.asarray(levels, dtype=np.int32).astype(np.float64, order="C")
        layout = self._plans[0].growing.layout
        out = Out.of(len(steps), segments=layout.segment_group.size)
        converged, iterations = self._runner.run(spans, steps, np.empty((len(steps), 0)), out)
        # A check's number is the limit set's, so any start's layout reads the margins of all.
        return States(
            converged=converged,
            iterations=iterations,
            extremes=extremes_of(self._limits, layout, converged, out),
        )
