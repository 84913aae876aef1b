"""The solver ``batched``: states in tiles of eight on compiled kernels."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

import numpy as np
from attrs import frozen

from hostcap._arrays import FloatArray, IntArray
from hostcap.errors import HostcapError
from hostcap.growth import ConstantPower, Growth
from hostcap.limits import Extremes, LimitSet, Violations
from hostcap.linear import LinearNetwork
from hostcap.power_flow import FrozenNetwork, JointPlan, Plan, Settling, States, Want, checked_injections
from hostcap.solution import Solution
from hostcap_stock.batched.compiling import kernels
from hostcap_stock.batched.config import BatchedConfig
from hostcap_stock.batched.mixed import Split
from hostcap_stock.batched.running import Out, Rooms, Runner, Tiles, extremes_of
from hostcap_stock.batched.shared import Shared

if TYPE_CHECKING:
    from hostcap_stock.batched.layout import Layout

_WRITTEN: frozenset[Want] = frozenset({"nodes", "branches"})
"""What a full solution has."""
WRITTEN_BYTES = 64 * 2**20
"""Full solutions are written out in chunks of about this size."""


@frozen(kw_only=True)
class BatchedSolver:
    """Solves on its own arithmetic what a frozen network gives as arrays."""

    config: BatchedConfig = BatchedConfig()
    laws: frozenset[type] = frozenset({ConstantPower})
    needs: frozenset[str] = frozenset({"linearise"})
    states_at_once: int = 64

    @property
    def settling(self) -> Settling:
        """How long the start's controlled solve may take."""
        return Settling(
            max_iterations=self.config.max_iterations, max_control_iterations=self.config.max_control_iterations
        )

    def plan(self, frozen: FrozenNetwork, growth: Growth, limits: LimitSet) -> Plan:
        """Order and factorise.

        Raises:
            HostcapError: The growth's voltage law is not known here.
            ModelError: The network has no linear form, by name.
        """
        self._check_law(growth)
        return BatchedPlan(frozen.linear(), growth, limits, self.config, frozen.start)

    def joint_plan(self, starts: Sequence[tuple[FrozenNetwork, Growth]], limits: LimitSet) -> JointPlan:
        """Order once where the starts allow, and factorise each.

        Raises:
            HostcapError: The growth's voltage law is not known here.
            ModelError: A start has no linear form, by name.
        """
        from hostcap_stock.batched.joint import JointBatchedPlan

        for _, growth in starts:
            self._check_law(growth)
        return JointBatchedPlan(starts, limits, self.config)

    def _check_law(self, growth: Growth) -> None:
        if type(growth.law) not in self.laws:
            raise HostcapError(f"solver 'batched' does not know the voltage law {type(growth.law).__name__}")


@frozen(kw_only=True, eq=False)
class _Batch:
    """What multiplies the parts of some states, read-only, shape (state, row of levels)."""

    tiles: Tiles
    levels: FloatArray
    reactive: FloatArray

    @property
    def count(self) -> int:
        """Number of states."""
        return len(self.levels)

    def part(self, chunk: slice) -> _Batch:
        """Some of the states."""
        return _Batch(tiles=self.tiles, levels=self.levels[chunk], reactive=self.reactive[chunk])


class BatchedPlan:
    """States of one frozen network, each from the start's voltages, many at once."""

    def __init__(
        self,
        linear: LinearNetwork,
        growth: Growth,
        limits: LimitSet,
        config: BatchedConfig,
        start: Solution,
        shared: Shared | None = None,
        rooms: Rooms | None = None,
    ) -> None:
        """Prepare.

        Args:
            linear: The frozen network as arrays.
            growth: What grows.
            limits: What is watched.
            config: When a state counts as solved.
            start: The start, for limits that look at it.
            shared: What plans of other starts of the feeder have found already.
            rooms: Their working memory.
        """
        self._kernels = kernels()
        self._linear, self._growth, self._limits, self._config, self._start = linear, growth, limits, config, start
        self._split = Split.of(limits) if shared is None else shared.split(limits)
        self._checked = self._split.linear
        layout = self._lay_out(growth, shared)
        self.growing = Tiles(layout, config, rooms)
        self._injecting: Tiles | None = None
        self._runner = Runner(config)

    def _lay_out(self, growth: Growth | None, shared: Shared | None = None) -> Layout:
        """Arrange, with the linear limits for the kernels to check."""
        checked = self._checked
        return self._kernels.lay_out(
            self._linear, growth, checked or self._limits, fused=checked is not None, shared=shared
        )

    def close(self) -> None:
        """Give threads and working memory back."""
        self._runner.close()
        self.growing.rooms.clear()
        self._injecting = None

    def solve(self, levels: IntArray, want: Collection[Want]) -> States:
        """Solve states; see ``hostcap.power_flow.Plan``."""
        steps = np.atleast_2d(np.asarray(levels, dtype=np.int32)).astype(np.float64, order="C")
        return self._answer(_Batch(tiles=self.growing, levels=steps, reactive=np.empty((len(steps), 0))), want)

    def solve_injections(self, p_kw: FloatArray, q_kvar: FloatArray, want: Collection[Want]) -> States:
        """Solve states by injections; see ``hostcap.power_flow.Plan``.

        The first call orders and factorises once more: here every injector has a port.
        """
        p, q = checked_injections(p_kw, q_kvar, self._linear.injector_count)
        if self._injecting is None:
            self._injecting = Tiles(self._lay_out(None), self._config)
        return self._answer(_Batch(tiles=self._injecting, levels=p, reactive=q), want)

    def _answer(self, batch: _Batch, want: Collection[Want]) -> States:
        judged = "violations" in want or ("extremes" in want and self._split.rest is not None)
        if not judged:
            return self._solved(batch, want)
        parts = [self._judged(batch.part(chunk), want) for chunk in self._chunks(batch.count)]
        return joined(parts, self._limits.families)

    def _chunks(self, count: int) -> list[slice]:
        each = 16 * (self._linear.node_count + self._linear.conductor_count)
        size = max(8, WRITTEN_BYTES // each // 8 * 8)
        return [slice(begin, begin + size) for begin in range(0, max(count, 1), size)]

    def _solved(self, batch: _Batch, want: Collection[Want]) -> States:
        """States of which nothing leaves the kernel but what is wanted."""
        count = batch.count
        checked = self._checked if "extremes" in want else None
        out = Out.of(
            count,
            segments=self.growing.layout.segment_group.size if checked is not None else 0,
            nodes=self._linear.node_count if "nodes" in want else 0,
            branches=self._linear.conductor_count if "branches" in want else 0,
        )
        spans = self._runner.spans(batch.tiles, 0, count)
        converged, iterations = self._runner.run(spans, batch.levels, batch.reactive, out)
        nodes, branches = out.nodes, out.branches
        solution: Solution | None = None
        if {"nodes", "branches"} & set(want):
            nodes[~converged] = branches[~converged] = np.nan
            for values in (nodes, branches):
                values.setflags(write=False)
            solution = Solution(
                node_v=nodes.view(np.complex128),
                conductor_a=branches.view(np.complex128),
                converged=converged,
                iterations=iterations,
            )
        return States(
            converged=converged,
            iterations=iterations,
            extremes=None if checked is None else extremes_of(checked, self.growing.layout, converged, out),
            solution=solution,
        )

    def _judged(self, batch: _Batch, want: Collection[Want]) -> States:
        """States whose solution limits look at: all of them for violations, and those that are not linear always."""
        rest = self._split.rest
        needs = frozenset() if rest is None or "extremes" not in want else rest.needs
        inner: set[Want] = {each for each in _WRITTEN if "violations" in want or each in want or each in needs}
        inner |= {"nodes", "extremes"} if "extremes" in want else {"nodes"}
        solved = self._solved(batch, inner)
        full = solved.solution
        if full is None:
            raise HostcapError("a full solution was asked for and is missing")
        extremes = solved.extremes
        if "extremes" in want and rest is not None:
            extremes = self._split.joined(extremes, rest.extremes(full, self._start))
        kept: Solution | None = None
        if {"nodes", "branches"} & set(want):
            kept = Solution(
                node_v=full.node_v[:, : None if "nodes" in want else 0],
                conductor_a=full.conductor_a[:, : None if "branches" in want else 0],
                converged=full.converged,
                iterations=full.iterations,
            )
        return States(
            converged=solved.converged,
            iterations=solved.iterations,
            extremes=extremes,
            violations=self._limits.violations(full, self._start) if "violations" in want else None,
            solution=kept,
        )


def joined(parts: list[States], families: tuple[str, ...]) -> States:
    """Chunks of states as one batch."""
    if len(parts) == 1:
        return parts[0]

    def stacked(records: list[Extremes] | list[Solution], name: str) -> FloatArray:
        return np.concatenate([getattr(record, name) for record in records])

    converged = np.concatenate([p.converged for p in parts])
    iterations = np.concatenate([p.iterations for p in parts])
    offsets = np.cumsum([0, *(p.converged.size for p in parts)])
    extremes = [p.extremes for p in parts if p.extremes is not None]
    solutions = [p.solution for p in parts if p.solution is not None]
    violations = [p.violations for p in parts if p.violations is not None]
    return States(
        converged=converged,
        iterations=iterations,
        extremes=Extremes(margin=stacked(extremes, "margin"), row=stacked(extremes, "row"), families=families)
        if extremes
        else None,
        violations=Violations(
            state=np.concatenate([v.state + o for v, o in zip(violations, offsets, strict=False)]),
            **{
                name: np.concatenate([getattr(v, name) for v in violations])
                for name in ("row", "group", "family", "value", "limit", "excess")
            },
            families=families,
        )
        if violations
        else None,
        solution=Solution(
            node_v=stacked(solutions, "node_v"),
            conductor_a=stacked(solutions, "conductor_a"),
            converged=converged,
            iterations=iterations,
        )
        if solutions
        else None,
    )
