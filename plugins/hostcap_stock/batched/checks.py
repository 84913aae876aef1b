"""The rows of a limit set as linear forms of node voltages, each check that can decide once."""

from __future__ import annotations

import numpy as np
from attrs import frozen

from hostcap._arrays import FloatArray, IntArray
from hostcap.limits import LimitSet
from hostcap.linear import LinearNetwork
from hostcap_stock.batched.equations import Rows


@frozen(kw_only=True, eq=False)
class Watched:
    """Checks in the order of the limit set, without those that repeat another.

    Attributes:
        rows: One row per check, over nodes, in the unit of the limit.
        segment_ptr: Checks of each segment of one group and family.
        segment_group, segment_family: As in the limit set.
        sign, limit, scale: Of each check.
        check: Its number in the limit set.
    """

    rows: Rows
    segment_ptr: IntArray
    segment_group: IntArray
    segment_family: IntArray
    sign: FloatArray
    limit: FloatArray
    scale: FloatArray
    check: IntArray

    @classmethod
    def nothing(cls) -> Watched:
        """No check at all."""
        none, no_index = np.empty(0), np.empty(0, dtype=np.int32)
        return cls(
            rows=Rows(np.zeros(1, dtype=np.int32), no_index, np.empty(0, dtype=np.complex128)),
            segment_ptr=np.zeros(1, dtype=np.int32),
            segment_group=no_index,
            segment_family=no_index,
            sign=none,
            limit=none,
            scale=none,
            check=no_index,
        )


def watched_forms(limits: LimitSet, linear: LinearNetwork) -> Watched:
    """Write every check ``abs(a V + b I)`` as ``abs((a + b C) V)``.

    A line without charging has the same current at both ends; the second check can never be nearer than the first, and
    of equals the first decides, so it is left out.

    Args:
        limits: Linear limits alone.
        linear: The network; C gives its conductors' currents.
    """
    from scipy.sparse import csr_array

    a, b = limits.matrices(linear.node_count, linear.conductor_count)
    matrix = csr_array(csr_array(a + b @ linear.conductors())[limits.check_row])
    rows = Rows.of(matrix)
    segment = np.zeros(limits.check_row.size, dtype=np.int64)
    segment[limits.segment_start[1:]] = 1
    segment = np.cumsum(segment)
    own = (segment.astype(np.float64), limits.check_sign, limits.check_limit, limits.check_scale)
    kept = _first_of_equals(rows, np.stack(own, axis=1))
    return Watched(
        rows=Rows.of(csr_array(matrix[kept])),
        segment_ptr=np.searchsorted(segment[kept], np.arange(limits.segment_start.size + 1)).astype(np.int32),
        segment_group=limits.segment_group,
        segment_family=limits.segment_family,
        sign=limits.check_sign[kept],
        limit=limits.check_limit[kept],
        scale=limits.check_scale[kept],
        check=kept.astype(np.int32),
    )


def _first_of_equals(matrix: Rows, keys: FloatArray) -> IntArray:
    """First of the rows that are equal up to sign, bit for bit, and have equal keys; rising."""
    counts = np.diff(matrix.ptr)
    kept = []
    for count in np.unique(counts):
        rows = np.flatnonzero(counts == count)
        places = matrix.ptr[rows][:, None] + np.arange(count)
        values = matrix.value[places]
        if count:
            lead = np.where(values[:, 0].real != 0.0, values[:, 0].real, values[:, 0].imag)
            values = values * np.where(lead < 0.0, -1.0, 1.0)[:, None]
        # Adding 0.0 makes one zero of the two that floats have.
        table = np.concatenate([keys[rows], matrix.column[places], values.real + 0.0, values.imag + 0.0], axis=1)
        as_bytes = np.ascontiguousarray(table).view(np.dtype((np.void, table.dtype.itemsize * table.shape[1])))
        _, first = np.unique(as_bytes.ravel(), return_index=True)
        kept.append(rows[first])
    return np.sort(np.concatenate(kept)).astype(np.int32)
