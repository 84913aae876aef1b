"""The factors of the admittance in a given order, block by block: ``Y = L D U``, without pivoting.

Distribution admittances are diagonally strong and symmetric in pattern, and the order is fixed by
``ordering``, so pivots are taken as they come; a plan checks the result against the start.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np
from attrs import frozen
from numba import njit  # noqa: TID253 - imported when a plan is made

from hostcap._arrays import ComplexArray, IntArray
from hostcap.errors import ModelError
from hostcap_stock.batched.ordering import Ordering

if TYPE_CHECKING:
    from scipy.sparse import csr_array

F = TypeVar("F", bound=Callable[..., Any])


def compiled(function: F) -> F:
    """Compile on first call, keep the code in numba's cache, let other threads run meanwhile."""
    return cast(F, njit(cache=True, nogil=True, error_model="numpy")(function))


EXACT = 1e-12
"""Entries within this of a unit matrix's are that: what is left is the rounding of an elimination."""


@frozen(kw_only=True, eq=False)
class Factor:
    """``L`` (unit blocks on the diagonal), inverses of the diagonal blocks, and ``U``, all by elimination step.

    Attributes:
        node: Node of each step.
        block_ptr: Steps of each block.
        lower_ptr, lower, lower_value: Rows of L without the diagonal; columns rise.
        own_ptr, own, own_value: Rows of the inverse diagonal blocks; columns rise.
        upper_ptr, upper, upper_value: Rows of U without the diagonal; columns rise.
    """

    node: IntArray
    block_ptr: IntArray
    lower_ptr: IntArray
    lower: IntArray
    lower_value: ComplexArray
    own_ptr: IntArray
    own: IntArray
    own_value: ComplexArray
    upper_ptr: IntArray
    upper: IntArray
    upper_value: ComplexArray

    def solve(self, injected: ComplexArray) -> ComplexArray:
        """Voltages of injected currents, both by node, complex128, shape (node,)."""
        x = injected[self.node].astype(np.complex128)
        _solve(
            self.lower_ptr, self.lower, self.lower_value, self.own_ptr, self.own, self.own_value, self.upper_ptr,
            self.upper, self.upper_value, x,
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
    block_ptr = np.asarray(ordering.block_ptr)
    width = np.repeat(np.diff(block_ptr), np.diff(block_ptr))
    own_ptr = np.concatenate([[0], np.cumsum(width)]).astype(np.int32)
    own_value = np.zeros(int(own_ptr[-1]), np.complex128)
    _join(block_ptr, lower_ptr, lower, lower_value, upper_ptr, upper, upper_value, inverse, own_ptr, own_value)
    first = np.repeat(block_ptr[:-1], np.diff(block_ptr))
    own = (np.repeat(first - own_ptr[:-1], width) + np.arange(own_value.size)).astype(np.int32)
    return Factor(
        node=np.asarray(ordering.node),
        block_ptr=block_ptr,
        **_entries("lower", lower_ptr, lower, lower_value, block_ptr),
        own_ptr=own_ptr,
        own=own,
        own_value=own_value,
        **_entries("upper", upper_ptr, upper, upper_value, block_ptr),
    )


def _entries(name: str, ptr: IntArray, index: IntArray, value: ComplexArray, block_ptr: IntArray) -> dict[str, Any]:
    """Entries outside the diagonal blocks; a block that is minus the unit matrix but for rounding is that."""
    sizes = np.diff(block_ptr)
    block = np.repeat(np.arange(sizes.size), sizes)
    place = np.arange(block.size) - np.repeat(block_ptr[:-1], sizes)
    row = np.repeat(np.arange(ptr.size - 1), np.diff(ptr))
    kept = (block[row] != block[index]) & (value != 0.0)
    row, index, value = row[kept], index[kept], value[kept]
    unit = np.where(place[row] == place[index], -1.0, 0.0)
    fits = (np.abs(value - unit) <= EXACT) & (sizes[block[row]] == sizes[block[index]])
    _, pair = np.unique(block[row].astype(np.int64) * sizes.size + block[index], return_inverse=True)
    whole = np.bincount(pair[~fits], minlength=int(pair.max(initial=-1)) + 1) == 0
    value = np.where(whole[pair], unit, value)
    kept = value != 0.0
    counts = np.bincount(row[kept], minlength=ptr.size - 1)
    return {
        f"{name}_ptr": np.concatenate([[0], np.cumsum(counts)]).astype(np.int32),
        name: index[kept],
        f"{name}_value": value[kept],
    }


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
def _join(
    block_ptr: IntArray,
    lower_ptr: IntArray,
    lower: IntArray,
    lower_value: ComplexArray,
    upper_ptr: IntArray,
    upper: IntArray,
    upper_value: ComplexArray,
    inverse: ComplexArray,
    own_ptr: IntArray,
    own_value: ComplexArray,
) -> None:
    """From factors of single steps to those of blocks: the triangles on the diagonal go into the blocks' inverses."""
    block = np.empty(inverse.size, np.int32)
    for b in range(block_ptr.size - 1):
        first, end = block_ptr[b], block_ptr[b + 1]
        block[first:end] = b
        for r in range(end - 2, first - 1, -1):
            for k in range(r + 1, end):
                crossing = upper_value[upper_ptr[r] + k - r - 1]
                mine, theirs = upper_ptr[r] + end - 1 - r, upper_ptr[k] + end - 1 - k
                for t in range(upper_ptr[k + 1] - theirs):
                    upper_value[mine + t] -= crossing * upper_value[theirs + t]
        for c in range(first, end):  # one column of the inverse at a time
            for r in range(first, end):
                total = 1.0 + 0.0j if r == c else 0.0j
                for k in range(first, r):
                    total -= lower_value[lower_ptr[r + 1] - r + k] * own_value[own_ptr[k] + c - first]
                own_value[own_ptr[r] + c - first] = total
            for r in range(end - 1, first - 1, -1):
                total = own_value[own_ptr[r] + c - first] * inverse[r]
                for k in range(r + 1, end):
                    total -= upper_value[upper_ptr[r] + k - r - 1] * own_value[own_ptr[k] + c - first]
                own_value[own_ptr[r] + c - first] = total
    for i in range(inverse.size):
        end = lower_ptr[i + 1]
        while end > lower_ptr[i]:
            begin = end - 1
            b = block[lower[begin]]
            while begin > lower_ptr[i] and block[lower[begin - 1]] == b:
                begin -= 1
            if b != block[i]:
                for e in range(end - 2, begin - 1, -1):
                    for f in range(e + 1, end):
                        k, c = lower[f], lower[e]
                        lower_value[e] -= lower_value[f] * lower_value[lower_ptr[k + 1] - k + c]
            end = begin


@compiled
def _solve(
    lower_ptr: IntArray,
    lower: IntArray,
    lower_value: ComplexArray,
    own_ptr: IntArray,
    own: IntArray,
    own_value: ComplexArray,
    upper_ptr: IntArray,
    upper: IntArray,
    upper_value: ComplexArray,
    x: ComplexArray,
) -> None:
    size = x.size
    for i in range(size):
        for e in range(lower_ptr[i], lower_ptr[i + 1]):
            x[i] -= lower_value[e] * x[lower[e]]
    y = x.copy()
    for i in range(size - 1, -1, -1):
        total = 0.0j
        for e in range(own_ptr[i], own_ptr[i + 1]):
            total += own_value[e] * y[own[e]]
        for e in range(upper_ptr[i], upper_ptr[i + 1]):
            total -= upper_value[e] * x[upper[e]]
        x[i] = total
