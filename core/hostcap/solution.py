"""Solved states: voltages and currents, batch axis first."""

from __future__ import annotations

from attrs import field, frozen

from hostcap._arrays import BoolArray, ComplexArray, IntArray, bools, complexes, ints
from hostcap.network import _ByContent


@frozen(kw_only=True, eq=False)
class Solution(_ByContent):
    """Voltages and currents of some states.

    Attributes:
        node_v: Voltage of each node to ground, V, complex128, shape (state, node).
        conductor_a: Current into the equipment at each conductor, A, complex128, shape (state, conductor).
        converged: False for diverged states; their voltages and currents are nan, shape (state,).
        iterations: Iterations used, int32, shape (state,).
    """

    node_v: ComplexArray = field(converter=complexes)
    conductor_a: ComplexArray = field(converter=complexes)
    converged: BoolArray = field(converter=bools)
    iterations: IntArray = field(converter=ints)
