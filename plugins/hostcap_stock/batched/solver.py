"""The solver ``batched``: states in tiles of eight on compiled kernels."""

from __future__ import annotations

import itertools
import os
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np
from attrs import frozen

from hostcap._arrays import FloatArray, IntArray
from hostcap.errors import HostcapError
from hostcap.growth import ConstantPower, Growth
from hostcap.limits import Extremes, LimitSet, LinearLimits, Violations
from hostcap.linear import LinearNetwork
from hostcap.power_flow import FrozenNetwork, Plan, Settling, States, Want
from hostcap.solution import Solution
from hostcap_stock.batched.compiling import kernels
from hostcap_stock.batched.config import BatchedConfig

if TYPE_CHECKING:
    from hostcap_stock.batched.kernel import Room

WRITTEN_BYTES = 64 * 2**20
"""Full solutions are written out in chunks of about this size."""
JOBS_PER_THREAD = 4


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
        if type(growth.law) not in self.laws:
            raise HostcapError(f"solver 'batched' does not know the voltage law {type(growth.law).__name__}")
        return BatchedPlan(frozen.linear(), growth, limits, self.config, frozen.start)


class BatchedPlan:
    """States of one frozen network, each from the start's voltages, many at once."""

    def __init__(
        self, linear: LinearNetwork, growth: Growth, limits: LimitSet, config: BatchedConfig, start: Solution
    ) -> None:
        """Prepare.

        Args:
            linear: The frozen network as arrays.
            growth: What grows.
            limits: What is watched.
            config: When a state counts as solved.
            start: The start, for limits that look at it.
        """
        self._kernels = kernels()
        self._linear, self._growth, self._limits, self._config, self._start = linear, growth, limits, config, start
        self._fused = all(isinstance(limit, LinearLimits) for limit in limits.limits)
        self._layout = self._kernels.lay_out(linear, growth, limits, fused=self._fused)
        self._tolerance2 = (config.tolerance_pu / self._layout.amplification) ** 2
        self._threads = min(config.threads, os.cpu_count() or 1)
        self._pool: ThreadPoolExecutor | None = None
        self._rooms: list[Room] = []
        self._lock = Lock()

    def close(self) -> None:
        """Give threads and working memory back."""
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None
        self._rooms.clear()

    def solve(self, levels: IntArray, want: Collection[Want]) -> States:
        """Solve states; see ``hostcap.power_flow.Plan``."""
        levels = np.ascontiguousarray(np.atleast_2d(levels), dtype=np.int32)
        judged = "violations" in want or ("extremes" in want and not self._fused)
        if not judged:
            return self._solved(levels, want)
        parts = [self._judged(levels[chunk], want) for chunk in self._chunks(len(levels))]
        return _joined(parts, self._limits.families)

    def _chunks(self, count: int) -> list[slice]:
        each = 16 * (self._linear.node_count + self._linear.conductor_count)
        size = max(8, WRITTEN_BYTES // each // 8 * 8)
        return [slice(begin, begin + size) for begin in range(0, max(count, 1), size)]

    def _solved(self, levels: IntArray, want: Collection[Want]) -> States:
        """States of which nothing leaves the kernel but what is wanted."""
        count = len(levels)
        fused = "extremes" in want and self._fused
        segments = self._layout.segment_group.size if fused else 0
        margin, row = np.empty((count, segments)), np.empty((count, segments), dtype=np.int32)
        nodes = np.empty((count, 2 * self._linear.node_count if "nodes" in want else 0))
        branches = np.empty((count, 2 * self._linear.conductor_count if "branches" in want else 0))
        converged, iterations = self._run(levels, margin, row, nodes, branches)
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
            extremes=self._extremes(converged, margin, row) if fused else None,
            solution=solution,
        )

    def _judged(self, levels: IntArray, want: Collection[Want]) -> States:
        """States whose full solution the limit set looks at: for violations, and for limits that are not linear."""
        inner: list[Want] = ["nodes", "branches"]
        if "extremes" in want and self._fused:
            inner.append("extremes")
        solved = self._solved(levels, inner)
        full = solved.solution
        if full is None:
            raise HostcapError("a full solution was asked for and is missing")
        extremes = solved.extremes
        if "extremes" in want and not self._fused:
            extremes = self._limits.extremes(full, self._start)
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

    def _run(
        self, levels: IntArray, margin: FloatArray, row: IntArray, nodes: FloatArray, branches: FloatArray
    ) -> tuple[np.ndarray[tuple[int], np.dtype[np.bool_]], IntArray]:
        count, layout = len(levels), self._layout
        converged, iterations = np.zeros(count, dtype=bool), np.zeros(count, dtype=np.int32)

        def work(first: int, last: int) -> None:
            room = self._take_room()
            self._kernels.solve_tiles(
                first, last, levels, layout.iteration, self._tolerance2, self._config.max_iterations, layout.limits,
                layout.checks, layout.nodes, layout.conductors, room, converged, iterations, margin, row, nodes,
                branches,
            )  # fmt: skip
            with self._lock:
                self._rooms.append(room)

        tiles = -(-count // self._kernels.lanes)
        jobs = min(tiles, JOBS_PER_THREAD * self._threads) if self._threads > 1 else min(tiles, 1)
        edges = [min(count, self._kernels.lanes * (tiles * job // jobs)) for job in range(jobs + 1)] if jobs else [0]
        spans = list(itertools.pairwise(edges))
        if len(spans) <= 1:
            for first, last in spans:
                work(first, last)
        else:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="hostcap-batched")
            for future in [self._pool.submit(work, first, last) for first, last in spans]:
                future.result()
        return converged, iterations

    def _take_room(self) -> Room:
        with self._lock:
            if self._rooms:
                return self._rooms.pop()
        room: Room = self._kernels.room_for(self._layout.iteration, self._growth.scope_count)
        return room

    def _extremes(
        self, converged: np.ndarray[tuple[int], np.dtype[np.bool_]], margin: FloatArray, check: IntArray
    ) -> Extremes:
        limits, layout = self._limits, self._layout
        shape = (converged.size, limits.group_count + 1, len(limits.families))
        margins, rows = np.full(shape, np.inf), np.full(shape, -1, dtype=np.int32)
        margins[:, layout.segment_group, layout.segment_family] = margin
        found = np.where(check >= 0, limits.check_row[np.maximum(check, 0)], -1)
        rows[:, layout.segment_group, layout.segment_family] = found
        margins[~converged], rows[~converged] = np.nan, -1
        return Extremes(margin=margins, row=rows, families=limits.families)


def _joined(parts: list[States], families: tuple[str, ...]) -> States:
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
