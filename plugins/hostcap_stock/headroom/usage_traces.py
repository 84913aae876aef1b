"""Thermal limits that bind: the flow at the conductor in the breaking state, traced to those who supply and take it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np

from hostcap._arrays import ComplexArray, FloatArray, IntArray, ints, sums
from hostcap.errors import FlowsError
from hostcap_stock.flows.behind import behind_each
from hostcap_stock.flows.solved import Place, equipment_names
from hostcap_stock.headroom.usage_owners import Who
from hostcap_stock.headroom.usage_records import LEAST, Bound, Method, Usage
from hostcap_stock.headroom.usage_start import Batch, Start

_Placed = Sequence[tuple[Bound, int]]


class Traces:
    """Traces the flows of breaking states from one start."""

    def __init__(self, start: Start) -> None:
        """Nothing is laid out yet."""
        self._start = start
        self._places: dict[tuple[int, bool], Place | str] = {}
        self._branches: dict[tuple[int, bool], dict[str, int]] = {}
        self._names: list[str] = []

    def of(self, batch: Batch, bounds: _Placed) -> Iterator[tuple[Bound, Usage | str]]:
        """Usage of each limit, or why there is none.

        Args:
            batch: Solved states.
            bounds: Limits with their states in the batch.
        """
        if not bounds:
            return
        self._names = self._names or equipment_names(self._start.network)
        conductor_a = np.asarray((self._start.conductors @ batch.node_v.T).T)
        labels = self._start.limits.labels
        by_phase: dict[int, list[tuple[Bound, int]]] = defaultdict(list)
        whole: dict[int, list[tuple[Bound, int]]] = defaultdict(list)
        for bound, state in bounds:
            group = int(labels.group[bound.row])
            single = group > 0 and labels.equipment_type[bound.row] == "Line" and labels.phase[bound.row]
            (by_phase if single else whole)[group].append((bound, state))
        for group, listed in by_phase.items():
            for bound, state, found in self._traced(batch, conductor_a, group, listed, by_phase=True):
                if isinstance(found, str):
                    whole[group].append((bound, state))  # What a phase does not allow, the sum of phases does.
                else:
                    yield bound, found
        for group, listed in whole.items():
            for bound, _, found in self._traced(batch, conductor_a, group, listed, by_phase=False):
                yield bound, found

    def _traced(
        self, batch: Batch, conductor_a: ComplexArray, group: int, bounds: _Placed, *, by_phase: bool
    ) -> Iterator[tuple[Bound, int, Usage | str]]:
        place = self._place(group, by_phase)
        if isinstance(place, str):
            yield from ((bound, state, place) for bound, state in bounds)
            return
        branch = [self._branch(bound.row, group, by_phase, place) for bound, _ in bounds]
        known = [(*pair, at) for pair, at in zip(bounds, branch, strict=True) if at >= 0]
        yield from (
            (bound, state, "no line or transformer of its name carries a flow")
            for (bound, state), at in zip(bounds, branch, strict=True)
            if at < 0
        )
        if not known:
            return
        states = np.asarray([state for _, state, _ in known])
        chosen = Batch(node_v=batch.node_v[states], levels=batch.levels[states])
        user_kw = self._start.parts_kw(chosen, by_phase=by_phase)[:, place.part]
        flows = place.layout.flows(chosen.node_v, conductor_a[states], user_kw)
        behind = behind_each(place.layout, flows, ints([at for *_, at in known]))
        codes = self._start.owners.codes(group)[place.layout.user]
        method: Method = "traced-phase" if by_phase else "traced"
        for number, (bound, state, _) in enumerate(known):
            if behind.refused[number]:
                yield bound, state, str(behind.refused[number])
                continue
            sides = {
                side: (float(kw.sum()), self._parts(place, codes, kw))
                for side, kw in (("supplies", behind.supplied_kw[number]), ("takes", behind.taken_kw[number]))
            }
            yield bound, state, Usage.of(method, "kW", sides) or "no real power flows there"

    def _place(self, group: int, by_phase: bool) -> Place | str:
        """The part of the network to sum, or why it cannot be; made once."""
        key = (group, by_phase)
        if key not in self._places:
            start = self._start
            of, node = start.parts()
            try:
                if by_phase:
                    place: Place | str = Place.of_phases(start.network, group, of, node)
                else:
                    place = Place.summed(start.network, start.source, of, node, group=group or None)
            except FlowsError as error:
                place = str(error)
            self._places[key] = place
            if isinstance(place, Place):
                branches = place.layout.branch.tolist()
                self._branches[key] = {name: number for number, name in reversed(list(enumerate(branches)))}
        return self._places[key]

    def _branch(self, row: int, group: int, by_phase: bool, place: Place) -> int:
        """The branch, or the leg of a star, that a row is about; -1 where there is none."""
        labels, network, listed = self._start.limits.labels, self._start.network, self._branches[group, by_phase]
        equipment = network.equipment
        same = (equipment.name == labels.equipment[row]) & (equipment.kind == labels.equipment_type[row])
        if not np.any(same):
            return -1
        number = int(np.flatnonzero(same)[0])
        if by_phase:
            return listed.get(f"{equipment.name[number]}.{labels.phase[row]}", -1)
        name = self._names[number]
        if name in listed:
            return listed[name]
        conductors = network.conductors
        here = (conductors.equipment == number) & (conductors.terminal == labels.terminal[row]) & (conductors.node >= 0)
        if not np.any(here):
            return -1
        bus = network.buses.one_with[network.nodes.bus[conductors.node[np.flatnonzero(here)[0]]]]
        return listed.get(f"{name} at {network.buses.name[bus]}", -1)

    def _parts(self, place: Place, codes: IntArray, kw: FloatArray) -> dict[Who, float]:
        """Parts by who they are; customers of the group by themselves, others by their group."""
        layout, owners = place.layout, self._start.owners
        losses, users = layout.loss_bus.size, layout.user.size
        total: dict[Who, float] = {}
        for row in np.flatnonzero(kw[:losses] > LEAST).tolist():
            total["network", f"losses of {layout.sides.name[layout.loss_thing[row]]}", "existing"] = float(kw[row])
        own = kw[losses : losses + users]
        of_code = sums(codes, np.where(own > LEAST, own, 0.0), len(owners.listed))
        for code in np.flatnonzero(of_code).tolist():
            total[owners.listed[code]] = float(of_code[code])
        for bus in np.flatnonzero(kw[losses + users :] > LEAST).tolist():
            total["network", place.rest_name(bus), "existing"] = float(kw[losses + users + bus])
        return total
