"""The factors of the admittance in a given order: ``Y = L D U``, without pivoting.

Distribution admittances are diagonally strong and symmetric in pattern, and the order is fixed by
``ordering``, so pivots are taken as they come; a plan checks the result against the start.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np
from attrs import frozen
from numba import njit  # noqa: TID253 - imported when a plan is made

from hostcap._arrays import ComplexArray, FloatArray, IntArray
from hostcap.errors import ModelError
from hostcap_stock.batched.ordering import Ordering

if TYPE_CHECKING:
    from scipy.sparse import csr_array

F = TypeVar("F", bound=Callable[..., Any])


def compiled(function: F) -> F:
    """Compile on first call, keep the code in numba's cache, let other threads run meanwhile."""
    return cast(F, njit(cache=True, nogil=True, error_model="numpy")(function))


@frozen(kw_only=True, eq=False)
class Factor:
    """``L`` by rows (unit diagonal), ``1/D``, and ``U`` by rows (unit diagonal), all by elimination step.

    Attributes:
        lower_ptr, lower, lower_value: Rows of L; columns rise.
        upper_ptr, upper, upper_value: Rows of U; columns rise.
        inverse_pivot: 1/D.
        node: Node of each step.
    """

    lower_ptr: IntArray
    lower: IntArray
    lower_value: ComplexArray
    upper_ptr: IntArray
    upper: IntArray
    upper_value: ComplexArray
    inverse_pivot: ComplexArray
    node: IntArray

    def solve(self, injected: ComplexArray) -> ComplexArray:
        """Voltages of injected currents, both by node, complex128, shape (node,)."""
        x = injected[self.node].astype(np.complex128)
        _solve(
            self.lower_ptr, self.lower, self.lower_value, self.upper_ptr, self.upper, self.upper_value,
            self.inverse_pivot, x,
        )  # fmt: skip
        result = np.empty_like(x)
        result[self.node] = x
        return result


def factorise(admittance: csr_array, ordering: Ordering) -> Factor:
    """Factorise.

    Raises:
        ModelError: A pivot vanishes: a live part of the network is joined to nothing.
    """
    from scipy.sparse import csr_array

    size = ordering.node.size
    by_step = csr_array(admittance[ordering.node][:, ordering.node])
    upper_ptr, upper = np.asarray(ordering.later_ptr), np.asarray(ordering.later)
    pattern = csr_array((np.arange(1, upper.size + 1), upper, upper_ptr), shape=(size, size))
    turned = pattern.T.tocsr()
    turned.sort_indices()
    lower_ptr, lower = turned.indptr.astype(np.int32), turned.indices.astype(np.int32)
    lower_value, upper_value = np.zeros(lower.size, np.complex128), np.zeros(upper.size, np.complex128)
    inverse = np.zeros(size, np.complex128)
    _factorise(
        by_step.indptr.astype(np.int32), by_step.indices.astype(np.int32), by_step.data.astype(np.complex128),
        lower_ptr, lower, lower_value, upper_ptr, upper, upper_value, inverse,
    )  # fmt: skip
    if not np.all(np.isfinite(inverse)):
        raise ModelError('the admittance without injectors has no inverse; set solver.plugin = "opendss"')
    return Factor(
        lower_ptr=lower_ptr,
        lower=lower,
        lower_value=lower_value,
        upper_ptr=upper_ptr,
        upper=upper,
        upper_value=upper_value,
        inverse_pivot=inverse,
        node=np.asarray(ordering.node),
    )


def amplification(factor: Factor, ordering: Ordering, nominal_v: FloatArray) -> float:
    """How much further than any path node a node off the paths can move, both per unit of nominal.

    A node off the paths is a fixed linear form of path nodes; the factor is the largest sum of the absolute
    coefficients, in per unit. Nodes with nominal ``inf`` (dead ones) do not count.
    """
    by_row = np.empty(ordering.row.size, dtype=np.int32)
    by_row[ordering.row] = np.arange(by_row.size)
    nominal = nominal_v[factor.node]
    return float(
        _amplification(
            factor.upper_ptr, factor.upper, factor.upper_value, np.asarray(ordering.row), by_row, ordering.path_rows,
            nominal,
        )
    )  # fmt: skip


@compiled
def _factorise(
    ptr: IntArray,
    index: IntArray,
    value: ComplexArray,
    lower_ptr: IntArray,
    lower: IntArray,
    lower_value: ComplexArray,
    upper_ptr: IntArray,
    upper: IntArray,
    upper_value: ComplexArray,
    inverse: ComplexArray,
) -> None:
    size = ptr.size - 1
    work = np.zeros(size, np.complex128)
    for i in range(size):
        for e in range(ptr[i], ptr[i + 1]):
            work[index[e]] = value[e]
        for e in range(lower_ptr[i], lower_ptr[i + 1]):
            j = lower[e]
            crossing = work[j]
            lower_value[e] = crossing * inverse[j]
            work[j] = 0.0
            # Rows of U are kept divided by their pivot, so the product is with the undivided entry.
            for k in range(upper_ptr[j], upper_ptr[j + 1]):
                work[upper[k]] -= crossing * upper_value[k]
        pivot = 1.0 / work[i]
        inverse[i] = pivot
        work[i] = 0.0
        for k in range(upper_ptr[i], upper_ptr[i + 1]):
            upper_value[k] = work[upper[k]] * pivot
            work[upper[k]] = 0.0


@compiled
def _solve(
    lower_ptr: IntArray,
    lower: IntArray,
    lower_value: ComplexArray,
    upper_ptr: IntArray,
    upper: IntArray,
    upper_value: ComplexArray,
    inverse: ComplexArray,
    x: ComplexArray,
) -> None:
    size = x.size
    for i in range(size):
        for e in range(lower_ptr[i], lower_ptr[i + 1]):
            x[i] -= lower_value[e] * x[lower[e]]
    for i in range(size - 1, -1, -1):
        x[i] *= inverse[i]
        for e in range(upper_ptr[i], upper_ptr[i + 1]):
            x[i] -= upper_value[e] * x[upper[e]]


@compiled
def _amplification(
    upper_ptr: IntArray,
    upper: IntArray,
    upper_value: ComplexArray,
    row: IntArray,
    by_row: IntArray,
    path_rows: int,
    nominal: FloatArray,
) -> float:
    size = row.size
    form_ptr = np.zeros(size - path_rows + 1, np.int64)
    form_step = np.empty(1024, np.int32)
    form_value = np.empty(1024, np.complex128)
    work = np.zeros(size, np.complex128)
    seen = np.zeros(size, np.bool_)
    touched = np.empty(size, np.int32)
    most = 1.0  # what the path nodes themselves move
    for place in range(size - path_rows):
        i = by_row[path_rows + place]
        count = 0
        for e in range(upper_ptr[i], upper_ptr[i + 1]):
            j = upper[e]
            if row[j] < path_rows:
                if not seen[j]:
                    seen[j] = True
                    touched[count] = j
                    count += 1
                work[j] -= upper_value[e]
                continue
            other = row[j] - path_rows
            for f in range(form_ptr[other], form_ptr[other + 1]):
                k = form_step[f]
                if not seen[k]:
                    seen[k] = True
                    touched[count] = k
                    count += 1
                work[k] -= upper_value[e] * form_value[f]
        end = form_ptr[place] + count
        if end > form_step.size:
            room = np.empty(2 * end, np.int32)
            room[: form_ptr[place]] = form_step[: form_ptr[place]]
            wide = np.empty(2 * end, np.complex128)
            wide[: form_ptr[place]] = form_value[: form_ptr[place]]
            form_step, form_value = room, wide
        total = 0.0
        for t in range(count):
            k = touched[t]
            form_step[form_ptr[place] + t] = k
            form_value[form_ptr[place] + t] = work[k]
            if np.isfinite(nominal[k]):
                total += abs(work[k]) * nominal[k]
            work[k] = 0.0
            seen[k] = False
        form_ptr[place + 1] = end
        if total > most * nominal[i]:
            most = float(total / nominal[i])
    return most
