"""HV locations of a network: where single growth may be asked for, from index arrays alone (no engine).

The rules are section 6 of docs/explanation/headroom-method.md. Every network source uses them. Three kinds:

- ``dtx-hv-terminal``: each HV winding of each distribution transformer;
- ``switch-upstream-terminal``: each HV switch, at the side with fewer branches to the source;
- ``line-tee``: each HV bus with three or more neighbouring HV buses over lines.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from attrs import frozen

from hostcap._arrays import BoolArray, FloatArray, IntArray, NameArray, ints
from hostcap.network import PHASE_LETTERS, Buses, Conductors, Equipment, HvLocations, Nodes, phase_code

DTX_HV_TERMINAL, SWITCH_UPSTREAM_TERMINAL, LINE_TEE = "dtx-hv-terminal", "switch-upstream-terminal", "line-tee"
LOCATION_KINDS = (DTX_HV_TERMINAL, SWITCH_UPSTREAM_TERMINAL, LINE_TEE)
"""Kinds of HV locations, in the order of tables."""
TEE_NEIGHBOURS = 3
"""Fewest neighbouring HV buses of a tee."""


@frozen(kw_only=True)
class _Terminal:
    """One terminal of one piece of equipment at a bus, with the nodes of its phase conductors."""

    equipment: int
    number: int
    bus: int
    nodes: tuple[int, ...]


def find_hv_locations(
    *,
    buses: Buses,
    nodes: Nodes,
    equipment: Equipment,
    conductors: Conductors,
    switch: BoolArray,
    left: IntArray,
    right: IntArray,
    source_buses: IntArray,
) -> HvLocations:
    """Find every HV location, dead ones included.

    Args:
        buses: Of the network.
        nodes: Of the network.
        equipment: Enabled lines and transformers.
        conductors: Of these.
        switch: Whether each piece of equipment is a line that is a switch, shape (equipment,).
        left: First bus of each branch that conducts (closed lines, reactors, series capacitors, transformers).
        right: Second bus of each.
        source_buses: Buses of the voltage sources.

    Returns:
        Kind by kind in the order of ``LOCATION_KINDS``, each in model order.
    """
    terminals = _terminals(nodes, equipment, conductors)
    is_line = equipment.kind == "Line"
    hops = _branches_to_source(buses.name.size, left, right, source_buses)
    kind: list[str] = []
    found: list[_Terminal] = []
    for number, own in enumerate(terminals):
        hv = [t for t in own if not buses.lv[t.bus]]
        if equipment.kind[number] == "Transformer" and 0 < len(hv) < len(own):
            kind += [DTX_HV_TERMINAL] * len(hv)
            found += hv
    for number, own in enumerate(terminals):
        hv = [t for t in own if not buses.lv[t.bus]]
        if is_line[number] and switch[number] and hv:
            kind.append(SWITCH_UPSTREAM_TERMINAL)
            # min takes the first of equals: terminal 1.
            found.append(min(hv, key=lambda t: hops[t.bus]))
    of_bus = _phase_nodes_of_buses(nodes, buses.name.size)
    for bus in _tees(buses, [own for number, own in enumerate(terminals) if is_line[number]]):
        kind.append(LINE_TEE)
        found.append(_Terminal(equipment=-1, number=0, bus=bus, nodes=of_bus[bus]))
    return _record(kind, found, nodes=nodes, equipment=equipment, buses=buses, terminals=terminals)


def location_sites(locations: HvLocations, chosen: IntArray) -> tuple[IntArray, IntArray]:
    """Locations of equal bus and phases are one site, which is solved once.

    Args:
        locations: All of them.
        chosen: Indices of live ones.

    Returns:
        Site of each chosen location, shape (chosen,), and the first location of each site, shape (site,); sites are
        numbered as they first appear.
    """
    number: dict[tuple[int, ...], int] = {}
    of_location, first = [], []
    for location in map(int, chosen):
        key = (int(locations.bus[location]), *map(int, locations.nodes(location)))
        if key not in number:
            number[key] = len(number)
            first.append(location)
        of_location.append(number[key])
    return ints(of_location), ints(first)


def phase_codes(locations: HvLocations, nodes: Nodes) -> NameArray:
    """Live phases of each location, such as ``ABC``, shape (location,)."""
    codes = np.empty(len(locations), dtype=object)
    codes[:] = [phase_code([int(n) for n in nodes.number[locations.nodes(i)]]) for i in range(len(locations))]
    return codes


def _terminals(nodes: Nodes, equipment: Equipment, conductors: Conductors) -> list[list[_Terminal]]:
    """Terminals of each piece of equipment that touch a bus, in order."""
    found: list[dict[int, list[int]]] = [{} for _ in range(equipment.name.size)]
    for own, terminal, node in zip(conductors.equipment, conductors.terminal, conductors.node, strict=True):
        if node >= 0:
            found[own].setdefault(int(terminal), []).append(int(node))
    return [
        [
            _Terminal(equipment=own, number=number, bus=int(nodes.bus[at[0]]), nodes=_phases(nodes, at))
            for number, at in sorted(of_terminal.items())
        ]
        for own, of_terminal in enumerate(found)
    ]


def _phases(nodes: Nodes, at: Iterable[int]) -> tuple[int, ...]:
    """Phase nodes among some nodes of a bus, by node number."""
    phases = {n for n in at if not nodes.neutral[n] and int(nodes.number[n]) in PHASE_LETTERS}
    return tuple(sorted(phases, key=lambda n: int(nodes.number[n])))


def _phase_nodes_of_buses(nodes: Nodes, size: int) -> list[tuple[int, ...]]:
    of_bus: list[list[int]] = [[] for _ in range(size)]
    for node, bus in enumerate(nodes.bus):
        of_bus[bus].append(node)
    return [_phases(nodes, at) for at in of_bus]


def _branches_to_source(size: int, left: IntArray, right: IntArray, sources: IntArray) -> FloatArray:
    """Fewest branches between each bus and a source; infinite where none is reached, shape (bus,)."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import dijkstra

    graph = coo_array((np.ones(left.size), (left, right)), shape=(size, size)).tocsr()
    at = np.unique(sources)
    if at.size == 0:
        return np.full(size, np.inf)
    hops = dijkstra(graph, directed=False, indices=at, unweighted=True, min_only=True)
    return np.asarray(hops, dtype=np.float64)


def _tees(buses: Buses, lines: list[list[_Terminal]]) -> list[int]:
    neighbours: dict[int, set[int]] = {}
    for own in lines:
        ends = {t.bus for t in own if not buses.lv[t.bus]}
        for bus in ends:
            neighbours.setdefault(bus, set()).update(ends - {bus})
    return sorted(bus for bus, others in neighbours.items() if len(others) >= TEE_NEIGHBOURS)


def _record(
    kind: list[str],
    found: list[_Terminal],
    *,
    nodes: Nodes,
    equipment: Equipment,
    buses: Buses,
    terminals: list[list[_Terminal]],
) -> HvLocations:
    at_bus: dict[int, list[int]] = {}
    for own in terminals:
        for terminal in own:
            if terminal.equipment not in at_bus.setdefault(terminal.bus, []):
                at_bus[terminal.bus].append(terminal.equipment)
    live = [[n for n in t.nodes if nodes.live[n]] for t in found]
    tied = [[e for e in at_bus.get(t.bus, []) if e != t.equipment] for t in found]
    return HvLocations(
        kind=kind,
        name=[str(buses.name[t.bus] if t.equipment < 0 else equipment.name[t.equipment]) for t in found],
        equipment_type=["Bus" if t.equipment < 0 else str(equipment.kind[t.equipment]) for t in found],
        terminal=[t.number for t in found],
        bus=[t.bus for t in found],
        node_ptr=np.cumsum([0, *map(len, live)]),
        node=[n for own in live for n in own],
        dead_phases=[phase_code([int(nodes.number[n]) for n in t.nodes if not nodes.live[n]]) for t in found],
        tied_ptr=np.cumsum([0, *map(len, tied)]),
        tied=[e for own in tied for e in own],
    )
