"""Tiles of states on threads: what runs the kernels, and where they write."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Lock
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hostcap._arrays import BoolArray, FloatArray, IntArray
from hostcap.limits import Extremes, LimitSet
from hostcap_stock.batched.compiling import kernels
from hostcap_stock.batched.config import BatchedConfig

if TYPE_CHECKING:
    from hostcap_stock.batched.kernel import Room
    from hostcap_stock.batched.layout import Layout

JOBS_PER_THREAD = 4


class Rooms:
    """Working memory of threads, by what it is made for; a tile leaves nothing behind that another one reads."""

    def __init__(self) -> None:
        """Nothing is taken yet."""
        self._free: dict[tuple[int, ...], list[Room]] = {}
        self._lock = Lock()

    @contextmanager
    def of(self, layout: Layout) -> Iterator[Room]:
        """Working memory for a layout that no other thread has meanwhile."""
        it, checks = layout.iteration, layout.checks
        size = (it.rows, it.path_rows, it.port_a.size, checks.segments, layout.levels)
        with self._lock:
            free = self._free.setdefault(size, [])
            found = free.pop() if free else None
        room: Room = kernels().room_for(it, checks, layout.levels) if found is None else found
        yield room
        with self._lock:
            free.append(room)

    def clear(self) -> None:
        """Give all of it back."""
        with self._lock:
            self._free.clear()


class Tiles:
    """A layout and the working memory of the threads that solve on it."""

    def __init__(self, layout: Layout, config: BatchedConfig, rooms: Rooms | None = None) -> None:
        """Nothing is taken yet; ``rooms`` where other layouts lend theirs."""
        self.layout = layout
        self.tolerance2 = (config.tolerance_pu / layout.amplification) ** 2
        self.rooms = Rooms() if rooms is None else rooms


class Out(NamedTuple):
    """What kernels write; arrays without columns are left out."""

    margin: FloatArray
    row: IntArray
    nodes: FloatArray
    branches: FloatArray

    @classmethod
    def of(cls, count: int, *, segments: int = 0, nodes: int = 0, branches: int = 0) -> Out:
        """Room for so many states."""
        return cls(
            np.empty((count, segments)),
            np.empty((count, segments), dtype=np.int32),
            np.empty((count, 2 * nodes)),
            np.empty((count, 2 * branches)),
        )


class Runner:
    """Runs tiles on threads."""

    def __init__(self, config: BatchedConfig) -> None:
        """Nothing is taken yet."""
        self._kernels, self._most = kernels(), config.max_iterations
        self._threads = min(config.threads, os.cpu_count() or 1)
        self._pool: ThreadPoolExecutor | None = None

    def close(self) -> None:
        """Give threads back."""
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None

    def spans(self, tiles: Tiles, first: int, count: int) -> list[tuple[Tiles, int, int]]:
        """Whole tiles of some states, in as many pieces as the threads want."""
        size = -(-count // self._kernels.lanes)
        jobs = min(size, JOBS_PER_THREAD * self._threads) if self._threads > 1 else min(size, 1)
        edges = (
            [first + min(count, self._kernels.lanes * (size * job // jobs)) for job in range(jobs + 1)] if jobs else []
        )
        return [(tiles, begin, end) for begin, end in itertools.pairwise(edges)]

    def run(
        self,
        spans: Sequence[tuple[Tiles, int, int]],
        levels: FloatArray,
        reactive: FloatArray,
        out: Out,
    ) -> tuple[BoolArray, IntArray]:
        """Solve spans of states, each on its own layout.

        Returns:
            Converged and iterations of every state.
        """
        # One type of array, read-only, whoever made it: the kernel is compiled once.
        levels, reactive = _read_only(levels), _read_only(reactive)
        converged, iterations = np.zeros(len(levels), dtype=bool), np.zeros(len(levels), dtype=np.int32)

        def work(tiles: Tiles, first: int, last: int) -> None:
            layout = tiles.layout
            with tiles.rooms.of(layout) as room:
                self._kernels.solve_tiles(
                    first, last, levels, reactive, layout.iteration, tiles.tolerance2, self._most,
                    layout.checks, layout.nodes, layout.conductors, room, converged, iterations,
                    out.margin, out.row, out.nodes, out.branches,
                )  # fmt: skip

        if len(spans) <= 1:
            for span in spans:
                work(*span)
        else:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="hostcap-batched")
            for future in [self._pool.submit(work, *span) for span in spans]:
                future.result()
        return converged, iterations


def extremes_of(limits: LimitSet, layout: Layout, converged: BoolArray, out: Out) -> Extremes:
    """What kernels wrote of a layout's checks, by group and family."""
    shape = (converged.size, limits.group_count + 1, len(limits.families))
    margins, rows = np.full(shape, np.inf), np.full(shape, -1, dtype=np.int32)
    margins[:, layout.segment_group, layout.segment_family] = out.margin
    found = np.where(out.row >= 0, limits.check_row[np.maximum(out.row, 0)], -1)
    rows[:, layout.segment_group, layout.segment_family] = found
    margins[~converged], rows[~converged] = np.nan, -1
    return Extremes(margin=margins, row=rows, families=limits.families)


def _read_only(values: FloatArray) -> FloatArray:
    view = values.view()
    view.setflags(write=False)
    return view
