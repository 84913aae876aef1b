"""What both implementations share: an admittance that can be factorised."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hostcap._arrays import ComplexArray, IntArray
from hostcap.linear import LinearNetwork

if TYPE_CHECKING:
    from scipy.sparse import csr_array

FLOATING = 1e-10
"""Shunt that holds dead nodes, as a part of their own admittance: a floating part alone has no solution."""


class Rows(NamedTuple):
    """A sparse matrix by rows (CSR), with columns rising."""

    ptr: IntArray
    column: IntArray
    value: ComplexArray

    @classmethod
    def of(cls, matrix: csr_array) -> Rows:
        """The arrays of a scipy matrix, int32 and complex128."""
        matrix.sort_indices()
        return cls(matrix.indptr.astype(np.int32), matrix.indices.astype(np.int32), matrix.data.astype(np.complex128))


def iteration_admittance(linear: LinearNetwork) -> csr_array:
    """The matrix that is factorised: Y with every base load as the impedance that draws its power at rated voltage.

    What a base load draws beyond that is injected. It is the engine's own splitting, for the engine's own reason (a
    load is nearer to an impedance than to nothing), and more: where a law jumps at the end of its band, a state can
    have several solutions, and from the same start the same iteration finds the same one.

    Dead nodes stay in the equations, lightly held to ground: a conductor that carries nothing still takes up the
    voltage that its neighbours induce in it.

    Returns:
        S, CSR complex128, shape (node, node).
    """
    from scipy.sparse import coo_array, csr_array

    base, y = linear.base, held_admittance(linear)
    a, b = base.node_a, base.node_b
    row, column = np.concatenate([a, b, a, b]), np.concatenate([a, b, b, a])
    value = np.concatenate([base.siemens, base.siemens, -base.siemens, -base.siemens])
    kept = (row >= 0) & (column >= 0)
    loads = coo_array((value[kept], (row[kept], column[kept])), shape=y.shape)
    return csr_array(y + loads)


def held_admittance(linear: LinearNetwork) -> csr_array:
    """The network without its injectors, dead nodes lightly held to ground; S, CSR complex128, shape (node, node)."""
    from scipy.sparse import csr_array, diags_array

    y = linear.admittance()
    own = np.abs(y.diagonal())
    held = np.where(linear.live, 0.0, FLOATING * np.where(own > 0.0, own, 1.0))
    return csr_array(y + diags_array(held))
