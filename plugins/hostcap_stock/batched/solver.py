"""The solver ``batched``: states in tiles of eight on compiled kernels."""

from __future__ import annotations

import itertools
import os
from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np
from attrs import frozen

from hostcap._arrays import FloatArray, IntArray
from hostcap.errors import HostcapError
from hostcap.growth import ConstantPower, Growth
from hostcap.limits import Extremes, LimitSet, LinearLimits, Violations
from hostcap.linear import LinearNetwork
from hostcap.power_flow import FrozenNetwork, Plan, Settling, States, Want, checked_injections
from hostcap.solution import Solution
from hostcap_stock.batched.compiling import kernels
from hostcap_stock.batched.config import BatchedConfig

if TYPE_CHECKING:
    from hostcap_stock.batched.kernel import Room
    from hostcap_stock.batched.layout import Layout

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


class _Tiles:
    """A layout and the working memory of the threads that solve on it."""

    def __init__(self, layout: Layout, config: BatchedConfig) -> None:
        """Nothing is taken yet."""
        self.layout = layout
        self.tolerance2 = (config.tolerance_pu / layout.amplification) ** 2
        self.rooms: list[Room] = []
        self._lock = Lock()

    @contextmanager
    def room(self) -> Iterator[Room]:
        """Working memory that no other thread has meanwhile."""
        with self._lock:
            found = self.rooms.pop() if self.rooms else None
        room: Room = kernels().room_for(self.layout.iteration, self.layout.levels) if found is None else found
        yield room
        with self._lock:
            self.rooms.append(room)


@frozen(kw_only=True, eq=False)
class _Batch:
    """What multiplies the parts of some states, read-only, shape (state, row of levels)."""

    tiles: _Tiles
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
        self._growing = _Tiles(self._kernels.lay_out(linear, growth, limits, fused=self._fused), config)
        self._injecting: _Tiles | None = None
        self._threads = min(config.threads, os.cpu_count() or 1)
        self._pool: ThreadPoolExecutor | None = None

    def close(self) -> None:
        """Give threads and working memory back."""
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None
        self._growing.rooms.clear()
        self._injecting = None

    def solve(self, levels: IntArray, want: Collection[Want]) -> States:
        """Solve states; see ``hostcap.power_flow.Plan``."""
        steps = np.atleast_2d(np.asarray(levels, dtype=np.int32)).astype(np.float64, order="C")
        return self._answer(_Batch(tiles=self._growing, levels=steps, reactive=np.empty((len(steps), 0))), want)

    def solve_injections(self, p_kw: FloatArray, q_kvar: FloatArray, want: Collection[Want]) -> States:
        """Solve states by injections; see ``hostcap.power_flow.Plan``.

        The first call orders and factorises once more: here every injector has a port.
        """
        p, q = checked_injections(p_kw, q_kvar, self._linear.injector_count)
        if self._injecting is None:
            layout = self._kernels.lay_out(self._linear, None, self._limits, fused=self._fused)
            self._injecting = _Tiles(layout, self._config)
        return self._answer(_Batch(tiles=self._injecting, levels=p, reactive=q), want)

    def _answer(self, batch: _Batch, want: Collection[Want]) -> States:
        judged = "violations" in want or ("extremes" in want and not self._fused)
        if not judged:
            return self._solved(batch, want)
        parts = [self._judged(batch.part(chunk), want) for chunk in self._chunks(batch.count)]
        return _joined(parts, self._limits.families)

    def _chunks(self, count: int) -> list[slice]:
        each = 16 * (self._linear.node_count + self._linear.conductor_count)
        size = max(8, WRITTEN_BYTES // each // 8 * 8)
        return [slice(begin, begin + size) for begin in range(0, max(count, 1), size)]

    def _solved(self, batch: _Batch, want: Collection[Want]) -> States:
        """States of which nothing leaves the kernel but what is wanted."""
        count = batch.count
        fused = "extremes" in want and self._fused
        segments = self._growing.layout.segment_group.size if fused else 0
        margin, row = np.empty((count, segments)), np.empty((count, segments), dtype=np.int32)
        nodes = np.empty((count, 2 * self._linear.node_count if "nodes" in want else 0))
        branches = np.empty((count, 2 * self._linear.conductor_count if "branches" in want else 0))
        converged, iterations = self._run(batch, margin, row, nodes, branches)
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

    def _judged(self, batch: _Batch, want: Collection[Want]) -> States:
        """States whose full solution the limit set looks at: for violations, and for limits that are not linear."""
        inner: list[Want] = ["nodes", "branches"]
        if "extremes" in want and self._fused:
            inner.append("extremes")
        solved = self._solved(batch, inner)
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
        self, batch: _Batch, margin: FloatArray, row: IntArray, nodes: FloatArray, branches: FloatArray
    ) -> tuple[np.ndarray[tuple[int], np.dtype[np.bool_]], IntArray]:
        count, run_on = batch.count, batch.tiles
        layout = run_on.layout
        # One type of array, read-only, whoever made it: the kernel is compiled once.
        levels, reactive = _read_only(batch.levels), _read_only(batch.reactive)
        converged, iterations = np.zeros(count, dtype=bool), np.zeros(count, dtype=np.int32)

        def work(first: int, last: int) -> None:
            with run_on.room() as room:
                self._kernels.solve_tiles(
                    first, last, levels, reactive, layout.iteration, run_on.tolerance2, self._config.max_iterations,
                    layout.limits, layout.checks, layout.nodes, layout.conductors, room, converged, iterations, margin,
                    row, nodes, branches,
                )  # fmt: skip

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

    def _extremes(
        self, converged: np.ndarray[tuple[int], np.dtype[np.bool_]], margin: FloatArray, check: IntArray
    ) -> Extremes:
        limits, layout = self._limits, self._growing.layout
        shape = (converged.size, limits.group_count + 1, len(limits.families))
        margins, rows = np.full(shape, np.inf), np.full(shape, -1, dtype=np.int32)
        margins[:, layout.segment_group, layout.segment_family] = margin
        found = np.where(check >= 0, limits.check_row[np.maximum(check, 0)], -1)
        rows[:, layout.segment_group, layout.segment_family] = found
        margins[~converged], rows[~converged] = np.nan, -1
        return Extremes(margin=margins, row=rows, families=limits.families)


def _read_only(values: FloatArray) -> FloatArray:
    view = values.view()
    view.setflags(write=False)
    return view


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
