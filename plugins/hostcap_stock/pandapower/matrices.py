"""Admittances of a net in the order of the network's nodes, from the matrices that pandapower builds for itself.

pandapower solves on buses of its own: closed bus-bus switches make one of several, and open ends of lines, star points
and the like are added. Here each node of the network has a row again. In a balanced network a node stands for three
phases, so that its row is three times that of one phase: what flows into it is the sum of the phases.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import field, frozen

from hostcap._arrays import BoolArray, ComplexArray, FloatArray, IntArray, bools, complexes, floats, ints
from hostcap.network import SQRT3

if TYPE_CHECKING:
    from scipy.sparse import csr_array

HELD_A, HELD_BESIDE_A = 1e13, 1e10
"""Current that would move the voltage of a source by itself, A; less beside other sequences, whose digits stay."""
UNFELT = 1e-12
"""What is left of a source's own row: what flows out of it does not move it, and its neighbours keep their digits."""
TIED_A = 1e10
"""Current between two buses of one closed switch that would part their voltages by themselves, A: what is injected at
the second flows there, and it is not so stiff that digits of the admittances beside it are lost."""
_TURN = np.exp(2j * np.pi / 3)
PHASES_OF_SEQUENCES = complexes([[1, 1, 1], [1, _TURN**2, _TURN], [1, _TURN, _TURN**2]])
"""Phases A, B, C of zero, positive and negative sequence."""
SEQUENCES_OF_PHASES = complexes(np.linalg.inv(PHASES_OF_SEQUENCES))


@frozen(kw_only=True, eq=False)
class Places:
    """Where buses and terminals of the network are in pandapower's own arrays.

    Attributes:
        bus: Solver bus of each bus of the network; -1 where it is dead, shape (bus,).
        row: Solver branch of each terminal; -1 where nothing flows, shape (terminal,).
        far: Whether the terminal is at the branch's second end.
        kv: Base of each solver bus, kV.
        base_mva: Of three phases in a balanced power flow, of one in an unbalanced.
        held: Solver buses that a source holds.
        held_pu: Voltage of phase A there, per unit, complex.
    """

    bus: IntArray = field(converter=ints)
    row: IntArray = field(converter=ints)
    far: BoolArray = field(converter=bools)
    kv: FloatArray = field(converter=floats)
    base_mva: float
    held: IntArray = field(converter=ints)
    held_pu: ComplexArray = field(converter=complexes)

    @property
    def volts(self) -> FloatArray:
        """Volts of one per unit, phase to ground, of each solver bus."""
        return self.kv * 1000.0 / SQRT3


@frozen(kw_only=True, eq=False)
class SequenceNetwork:
    """One sequence of pandapower's network, per unit; a balanced power flow has the positive one alone.

    Attributes:
        y: Nodal admittance, shape (solver bus, solver bus).
        near, far: Currents into the two ends of each branch, shape (solver branch, solver bus).
    """

    y: Any
    near: Any
    far: Any

    def terminals(self, places: Places) -> csr_array:
        """Current into each terminal, per unit of the base at it, shape (terminal, solver bus)."""
        from scipy.sparse import csr_array, vstack

        branches, size = self.near.shape
        rows = vstack([csr_array(self.near), csr_array(self.far), csr_array((1, size), dtype=complex)]).tocsr()
        which = np.where(places.row < 0, 2 * branches, places.row + branches * places.far)
        return csr_array(rows[which])


@frozen(kw_only=True, eq=False)
class Circuit:
    """The net without what injects.

    Attributes:
        y: Nodal admittance over the network's nodes, S, CSR, shape (node, node).
        conductors: Currents of the network's conductors, S, CSR, shape (conductor, node).
        source_a: What sources inject, A, shape (node,).
    """

    y: csr_array
    conductors: csr_array
    source_a: ComplexArray = field(converter=complexes)


def terminal_amps(places: Places, terminal_bus: IntArray, *, three_phase: bool) -> FloatArray:
    """Amps of one per unit at each terminal."""
    kv = places.kv[np.maximum(places.bus[terminal_bus], 0)]
    return places.base_mva * 1e3 / (SQRT3 * kv) * (3.0 if three_phase else 1.0)


def build_circuit(sequences: Sequence[SequenceNetwork], places: Places, terminal_bus: IntArray) -> Circuit:
    """Put sequence networks together as admittances of the network's nodes.

    Args:
        sequences: The positive one alone (balanced), or zero, positive and negative (unbalanced).
        places: Where buses and terminals are.
        terminal_bus: Bus of each terminal, shape (terminal,).
    """
    from scipy.sparse import csr_array, kron

    three_phase = len(sequences) == 3
    held = HELD_BESIDE_A if three_phase else HELD_A
    amps_each = terminal_amps(places, terminal_bus, three_phase=three_phase)
    volts = places.volts
    amps = places.base_mva * 1e3 / (SQRT3 * places.kv) * (3.0 if three_phase else 1.0)
    parts_y, parts_c = [], []
    for number, sequence in enumerate(sequences):
        y = _scaled(csr_array(sequence.y), amps, 1.0 / volts)
        if number == 1 or not three_phase:
            rows = np.ones(volts.size)
            rows[places.held] = UNFELT
            y = _scaled(y, rows, np.ones(volts.size))
            y = y + _diagonal(places.held, held / volts[places.held], volts.size)
        own = _scaled(sequence.terminals(places), amps_each, 1.0 / volts)
        y, own = _without_added(y, own, places)
        spread = _spread(places)
        y, own = spread.T @ y @ spread + _together(places), own @ spread
        if three_phase:
            block = np.outer(PHASES_OF_SEQUENCES[:, number], SEQUENCES_OF_PHASES[number])
            parts_y.append(csr_array(kron(y, block)))
            parts_c.append(csr_array(kron(own, block)))
        else:
            parts_y.append(3.0 * y)
            parts_c.append(own)
    injected = np.zeros(places.bus.size, dtype=complex)
    first = _first_of(places)
    for bus, pu in zip(places.held, places.held_pu, strict=True):
        injected[first[int(bus)]] += held * pu
    source = np.kron(injected, PHASES_OF_SEQUENCES[:, 1]) if three_phase else 3.0 * injected
    return Circuit(y=_summed(parts_y), conductors=_summed(parts_c), source_a=source)


def _summed(parts: list[Any]) -> Any:
    """The sum, by rows."""
    from scipy.sparse import csr_array

    total = csr_array(parts[0])
    for part in parts[1:]:
        total = csr_array(total + part)
    total.sum_duplicates()
    total.sort_indices()
    return total


def _scaled(matrix: Any, rows: FloatArray, columns: FloatArray) -> Any:
    from scipy.sparse import csr_array, diags_array

    return csr_array(diags_array(rows) @ matrix @ diags_array(columns))


def _diagonal(where: IntArray, values: FloatArray, size: int) -> Any:
    from scipy.sparse import coo_array, csr_array

    return csr_array(coo_array((values.astype(complex), (where, where)), shape=(size, size)))


def _first_of(places: Places) -> dict[int, int]:
    """First bus of the network that each solver bus stands for."""
    first: dict[int, int] = {}
    for bus, solver in enumerate(places.bus):
        if solver >= 0:
            first.setdefault(int(solver), bus)
    return first


def _spread(places: Places) -> Any:
    """Solver buses that the network knows, by the first of its buses that each stands for."""
    from scipy.sparse import coo_array, csr_array

    known = sorted(_first_of(places).items())
    rows = np.arange(len(known))
    columns = np.asarray([bus for _, bus in known], dtype=np.int64)
    return csr_array(coo_array((np.ones(len(known)), (rows, columns)), shape=(len(known), places.bus.size)))


def _together(places: Places) -> Any:
    """Buses that closed switches make one: the first of them, and a stiff link to each other."""
    from scipy.sparse import coo_array, csr_array

    first = _first_of(places)
    pairs = [(first[int(s)], bus) for bus, s in enumerate(places.bus) if s >= 0 and first[int(s)] != bus]
    a, b = np.asarray(pairs, dtype=np.int64).reshape(-1, 2).T
    stiff = TIED_A / places.volts[places.bus[b]]
    size = places.bus.size
    row, column = np.concatenate([a, b, a, b]), np.concatenate([a, b, b, a])
    value = np.concatenate([stiff, stiff, -stiff, -stiff]).astype(complex)
    return csr_array(coo_array((value, (row, column)), shape=(size, size)))


def _without_added(y: Any, own: Any, places: Places) -> tuple[Any, Any]:
    """Leave out solver buses that the network does not have, where nothing injects: their voltages follow."""
    from scipy.sparse import csr_array
    from scipy.sparse.linalg import splu

    known = np.asarray(sorted(_first_of(places)), dtype=np.int64)
    added = np.setdiff1d(np.arange(y.shape[0]), known)
    kept, owned = csr_array(y[known][:, known]), csr_array(own[:, known])
    if added.size == 0:
        return kept, owned
    follows = csr_array(splu(csr_array(y[added][:, added]).tocsc()).solve(y[added][:, known].toarray()))
    return kept - csr_array(y[known][:, added]) @ follows, owned - csr_array(own[:, added]) @ follows
