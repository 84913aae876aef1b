"""Other limits that bind, linear ones and voltages of nodes: parts of the change from the start, by sensitivity."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from attrs import frozen

from hostcap._arrays import ComplexArray, FloatArray, IntArray, ints, sums
from hostcap.limits import LimitSet, LinearLimits
from hostcap.linear import Ports
from hostcap.network import PHASE_LETTERS, Network
from hostcap_stock.headroom.usage_owners import Who
from hostcap_stock.headroom.usage_records import LEAST, NO_LINEAR_FORM, Bound, Usage
from hostcap_stock.headroom.usage_start import Batch, Start

SAME = 1e-5
"""Part of a value within which a measure's voltage is that of its node."""


class Moves:
    """Shares out how values of linear rows moved, from one start."""

    def __init__(self, start: Start) -> None:
        """Nothing is factored yet."""
        self._start = start

    @cached_property
    def _forms(self) -> Forms:
        return Forms.of(self._start.network, self._start.limits)

    def known(self, bound: Bound) -> bool:
        """Whether the limit is a linear form, or the voltage of a node."""
        return bool(self._forms.place[bound.row] >= 0)

    @cached_property
    def _matrices(self) -> Any:
        """Linear rows, then the voltage of every node, as forms of voltages and of currents, CSR."""
        from scipy.sparse import csr_array, eye_array, vstack

        linear, nodes = self._start.linear, self._start.network.nodes
        a, b = self._start.limits.matrices(linear.node_count, linear.conductor_count)
        back = np.flatnonzero(nodes.reference >= 0)
        shape = (linear.node_count, linear.node_count)
        references = csr_array((np.ones(back.size), (back, nodes.reference[back])), shape=shape)
        none = csr_array((linear.node_count, linear.conductor_count), dtype=np.complex128)
        own = eye_array(linear.node_count, format="csr") - references
        return vstack([a, own], format="csr"), vstack([b, none], format="csr")

    def of(self, batch: Batch, bounds: Sequence[tuple[Bound, int]]) -> Iterator[tuple[Bound, Usage | str]]:
        """Usage of each limit, or why there is none.

        Args:
            batch: Solved states.
            bounds: Limits with their states in the batch.
        """
        if not bounds:
            return
        start, linear = self._start, self._start.linear
        rows, which = np.unique([self._forms.place[bound.row] for bound, _ in bounds], return_inverse=True)
        a, b = self._matrices
        forms: Any = (a[rows] + b[rows] @ start.conductors).tocsr()
        impedance = start.impedance(np.asarray(forms.todense()))
        at_start, at_end = forms @ linear.start_v, np.asarray(forms @ batch.node_v.T)
        base = linear.base.drawn_a(linear.base.voltage_v(batch.node_v)) - start.drawn_at_start_a
        grown = start.grown.drawn_a(start.grown.voltage_v(batch.node_v)) * start.times(batch)
        injectors = start.network.injectors.name.size
        user = np.concatenate([linear.base.injector, start.grown.injector + injectors])
        kept = np.flatnonzero(user >= 0)
        for (bound, state), place in zip(bounds, which.tolist(), strict=True):
            before, after, z = at_start[place], at_end[place, state], impedance[place]
            per_unit = self._forms.scale[bound.row]
            if abs(abs(after) * per_unit - bound.value) > SAME * abs(bound.value):
                yield bound, NO_LINEAR_FORM
                continue
            # Along the mean of both states parts of the change of the magnitude are exact.
            turn = per_unit * np.conj(before + after) / max(abs(before) + abs(after), 1e-300)
            own = np.concatenate([_pull(z, linear.base, base[state]), _pull(z, start.grown, grown[state])])
            amount = sums(ints(user[kept]), (own * turn).real[kept], injectors + start.growth.name.size)
            parts = self._parts(int(start.limits.labels.group[bound.row]), amount)
            sides = {"moves": (float(abs(after) - abs(before)) * per_unit, parts)}
            found = Usage.of("sensitivity", str(start.limits.labels.unit[bound.row]), sides)
            yield bound, found or "nothing that injects has moved it"

    def _parts(self, group: int, amount: FloatArray) -> dict[Who, float]:
        """Amounts of users by who they are; customers of the group by themselves, others by their group."""
        owners = self._start.owners
        far, codes = owners.is_far(group), owners.codes(group)
        near = ~far & (np.abs(amount) > LEAST)
        of_code = sums(codes, np.where(far | near, amount, 0.0), len(owners.listed))
        return {owners.listed[code]: float(of_code[code]) for code in np.flatnonzero(np.abs(of_code) > LEAST).tolist()}


@frozen(kw_only=True, eq=False)
class Forms:
    """Which form each row of the limits is.

    Attributes:
        place: Among the linear rows, behind them the nodes; -1 for what is neither, shape (row,).
        scale: What the form's value is multiplied by, 1 but for voltages per unit, shape (row,).
    """

    place: IntArray
    scale: FloatArray

    @classmethod
    def of(cls, network: Network, limits: LimitSet) -> Forms:
        """Linear rows by their order; rows of measures that speak of a bus and a phase, in V or pu, by the node."""
        place, scale = np.full(limits.row_count, -1, dtype=np.int32), np.ones(limits.row_count)
        first = taken = 0
        for limit in limits.limits:
            size = limit.lower.size
            if isinstance(limit, LinearLimits):
                place[first : first + size] = taken + np.arange(size)
                taken += size
            first += size
        labels, nodes = limits.labels, network.nodes
        open_rows = np.flatnonzero((place < 0) & (labels.equipment_type == "Bus") & np.isin(labels.unit, ("V", "pu")))
        if open_rows.size:
            letters = [PHASE_LETTERS.get(int(number), "") for number in nodes.number]
            node_of = {
                (str(network.buses.name[bus]), letter): node
                for node, (bus, letter) in enumerate(zip(nodes.bus.tolist(), letters, strict=True))
            }
            for row in open_rows.tolist():
                node = node_of.get((str(labels.equipment[row]), str(labels.phase[row])), -1)
                place[row] = taken + node if node >= 0 else -1
                scale[row] = 1.0 / nodes.nominal_v[node] if labels.unit[row] == "pu" and node >= 0 else 1.0
        return cls(place=place, scale=scale)


def _pull(z: ComplexArray, ports: Ports, drawn_a: ComplexArray) -> ComplexArray:
    """What the drawn currents do to a form: they leave the network at a, and come back at b."""
    grounded = np.append(z, 0.0)
    return np.asarray((grounded[ports.node_b] - grounded[ports.node_a]) * drawn_a)
