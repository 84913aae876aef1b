"""HV locations of an OpenDSS model: which lines are switches, and which branches conduct."""

from __future__ import annotations

import numpy as np

from hostcap._arrays import IntArray
from hostcap.hv_locations import find_hv_locations
from hostcap.network import Buses, Conductors, Equipment, HvLocations, Nodes
from hostcap_stock.opendss.model import Model


def read_hv_locations(
    model: Model, *, buses: Buses, nodes: Nodes, equipment: Equipment, conductors: Conductors
) -> HvLocations:
    """Find the HV locations of a model; its lines lead the equipment, its transformers follow."""
    switch = np.zeros(equipment.name.size, dtype=bool)
    switch[: len(model.lines)] = [line.switch for line in model.lines]
    left, right = _conducting(model)
    return find_hv_locations(
        buses=buses,
        nodes=nodes,
        equipment=equipment,
        conductors=conductors,
        switch=switch,
        left=left,
        right=right,
        source_buses=model.node_bus[model.source_nodes[model.source_nodes >= 0]],
    )


def _conducting(model: Model) -> tuple[IntArray, IntArray]:
    """Bus pairs of closed lines, reactors, series capacitors and transformers."""
    pairs = [
        (model.bus_of(terminals.nodes[0]), model.bus_of(terminals.nodes[1]))
        for terminals in [*(line.terminals for line in model.lines), *(join.terminals for join in model.joins)]
        if terminals.joined
    ]
    for transformer in model.transformers:
        terminals = transformer.terminals
        shut = [model.bus_of(n) for n, closed in zip(terminals.nodes, terminals.closed, strict=True) if any(closed)]
        pairs += [(a, b) for place, a in enumerate(shut) for b in shut[place + 1 :]]
    array = np.asarray([(a, b) for a, b in pairs if a >= 0 and b >= 0], dtype=np.int32).reshape(-1, 2)
    return array[:, 0], array[:, 1]
