"""What the layouts of several starts of one feeder have in common, found once and held once.

The elimination orders hang on the pattern of the admittance and on where something injects; the rows that are watched
and the forms of the full solution on taps and switches, but not on loads. What depends on numbers that differ is made
anew for each start, by the same steps as alone, so that sharing moves no bit of an answer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from hostcap._arrays import ComplexArray, FloatArray, IntArray
from hostcap.limits import LimitSet
from hostcap.linear import LinearNetwork
from hostcap_stock.batched.checks import Watched, watched_forms
from hostcap_stock.batched.equations import Rows
from hostcap_stock.batched.mixed import Split
from hostcap_stock.batched.ordering import Ordering, order_blocks, order_nodes

if TYPE_CHECKING:
    from hostcap_stock.batched.bundles import Arrangement


class Shared:
    """Memory of the last layout; a new one shares nothing."""

    def __init__(self) -> None:
        """Nothing is known yet."""
        self._split: Split | None = None
        self._orderings: tuple[IntArray, IntArray, IntArray, tuple[Ordering, ...]] | None = None
        self._watched: tuple[LimitSet, LinearNetwork, Watched] | None = None
        self._conductors: tuple[LinearNetwork, Rows] | None = None
        self._nodes: Rows | None = None
        self._arranged: tuple[Watched, IntArray, Arrangement] | None = None
        self._arrays: dict[str, tuple[Rows, IntArray, IntArray, FloatArray]] = {}

    def split(self, limits: LimitSet) -> Split:
        """As ``Split.of``; one for all plans, which know their checks again by it."""
        if self._split is None or self._split.whole is not limits:
            self._split = Split.of(limits)
        return self._split

    def orderings(self, pointer: IntArray, column: IntArray, injecting: IntArray) -> tuple[Ordering, ...]:
        """As ``order_nodes`` and, where they are worth a try, ``order_blocks``."""
        known = self._orderings
        if known is None or not all(
            np.array_equal(a, b) for a, b in zip(known[:3], (pointer, column, injecting), strict=True)
        ):
            blocks = order_blocks(pointer, column, injecting)
            found = (order_nodes(pointer, column, injecting), *([] if blocks is None else [blocks]))
            known = self._orderings = (pointer, column, injecting, found)
        return known[3]

    def watched(self, limits: LimitSet, linear: LinearNetwork) -> Watched:
        """As ``watched_forms``."""
        known = self._watched
        if known is None or known[0] is not limits or not _equal_conductors(known[1], linear):
            known = self._watched = (limits, linear, watched_forms(limits, linear))
        return known[2]

    def arrangement(self, watched: Watched, row: IntArray, moved_v: Callable[[], ComplexArray]) -> Arrangement:
        """As ``arranged``; in which order lines are looked at is the first start's, which moves no bit of an answer."""
        from hostcap_stock.batched.bundles import arranged  # imports numba

        known = self._arranged
        if known is None or known[0] is not watched or not np.array_equal(known[1], row):
            known = self._arranged = (watched, row, arranged(watched, row, moved_v()))
        return known[2]

    def conductors(self, linear: LinearNetwork) -> Rows:
        """Currents of conductors as forms of node voltages."""
        known = self._conductors
        if known is None or not _equal_conductors(known[0], linear):
            known = self._conductors = (linear, Rows.of(linear.conductors()))
        return known[1]

    def nodes(self, size: int) -> Rows:
        """Node voltages as forms of themselves."""
        if self._nodes is None or self._nodes.column.size != size:
            self._nodes = Rows(
                np.arange(size + 1, dtype=np.int32), np.arange(size, dtype=np.int32), np.ones(size, np.complex128)
            )
        return self._nodes

    def arrays(self, name: str, matrix: Rows, row: IntArray) -> tuple[IntArray, FloatArray]:
        """Columns by the solver's rows, and values in pairs, of a matrix over nodes."""
        known = self._arrays.get(name)
        if known is None or known[0] is not matrix or not np.array_equal(known[1], row):
            known = self._arrays[name] = (matrix, row, row[matrix.column], pairs(matrix.value))
        return known[2], known[3]


def _equal_conductors(one: LinearNetwork, other: LinearNetwork) -> bool:
    """By identity: starts of equal taps hold the same arrays."""
    names = ("conductor_ptr", "conductor_index", "conductor_siemens")
    return all(getattr(one, name) is getattr(other, name) for name in names)


def pairs(values: Any) -> FloatArray:
    """Complex numbers as real and imaginary part, one after the other."""
    flat: FloatArray = np.ascontiguousarray(values, dtype=np.complex128).view(np.float64)
    return flat
