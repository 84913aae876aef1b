"""Other linear limits that bind: parts of the change from the start, by sensitivity."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from hostcap._arrays import ComplexArray, FloatArray, IntArray, ints, sums
from hostcap.linear import Ports
from hostcap_stock.headroom.usage_owners import Who
from hostcap_stock.headroom.usage_records import LEAST, Bound, Usage
from hostcap_stock.headroom.usage_start import Batch, Start


class Moves:
    """Shares out how values of linear rows moved, from one start."""

    def __init__(self, start: Start, linear_row: IntArray) -> None:
        """Nothing is factored yet.

        Args:
            start: What all limits share.
            linear_row: Place of each row of the limits among the linear ones, shape (row,).
        """
        self._start, self._linear_row = start, linear_row

    @cached_property
    def _matrices(self) -> Any:
        """Linear rows as forms of voltages and of currents, CSR."""
        linear = self._start.linear
        return self._start.limits.matrices(linear.node_count, linear.conductor_count)

    def of(self, batch: Batch, bounds: Sequence[tuple[Bound, int]]) -> Iterator[tuple[Bound, Usage | str]]:
        """Usage of each limit, or why there is none.

        Args:
            batch: Solved states.
            bounds: Limits with their states in the batch.
        """
        if not bounds:
            return
        start, linear = self._start, self._start.linear
        rows, which = np.unique([self._linear_row[bound.row] for bound, _ in bounds], return_inverse=True)
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
            # Along the mean of both states parts of the change of the magnitude are exact.
            turn = np.conj(before + after) / max(abs(before) + abs(after), 1e-300)
            own = np.concatenate([_pull(z, linear.base, base[state]), _pull(z, start.grown, grown[state])])
            amount = sums(ints(user[kept]), (own * turn).real[kept], injectors + start.growth.name.size)
            parts = self._parts(int(start.limits.labels.group[bound.row]), amount)
            sides = {"moves": (float(abs(after) - abs(before)), parts)}
            found = Usage.of("sensitivity", str(start.limits.labels.unit[bound.row]), sides)
            yield bound, found or "nothing that injects has moved it"

    def _parts(self, group: int, amount: FloatArray) -> dict[Who, float]:
        """Amounts of users by who they are; customers of the group by themselves, others by their group."""
        owners = self._start.owners
        far, codes = owners.is_far(group), owners.codes(group)
        near = ~far & (np.abs(amount) > LEAST)
        of_code = sums(codes, np.where(far | near, amount, 0.0), len(owners.listed))
        return {owners.listed[code]: float(of_code[code]) for code in np.flatnonzero(np.abs(of_code) > LEAST).tolist()}


def _pull(z: ComplexArray, ports: Ports, drawn_a: ComplexArray) -> ComplexArray:
    """What the drawn currents do to a form: they leave the network at a, and come back at b."""
    grounded = np.append(z, 0.0)
    return np.asarray((grounded[ports.node_b] - grounded[ports.node_a]) * drawn_a)
