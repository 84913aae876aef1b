"""One whole state of a feeder as rows: every node, and every conductor."""

from __future__ import annotations

from typing import Any

import numpy as np
from attrs import frozen

from hostcap._arrays import ComplexArray, FloatArray, IntArray
from hostcap.network import Network
from hostcap.tables import Table
from hostcap_stock.headroom.debug_schemas import DEBUG_CONDUCTORS, DEBUG_NODES
from hostcap_stock.headroom.labels import Labels

START, LAST_VALID, VIOLATING = "start", "last-valid", "violating"
EVERYWHERE = "groups"
"""Where growth is when all capacity groups grow together."""
LOCATION_KEYS = ("location_type", "terminal_mrid", "conducting_equipment_mrid", "phase_code")


@frozen(kw_only=True, eq=False)
class FullState:
    """One state in full.

    Attributes:
        node_v: Node voltages, V, complex, shape (node,).
        conductor_a: Conductor currents, A, complex, shape (conductor,).
    """

    node_v: ComplexArray
    conductor_a: ComplexArray


def growth_at(where: str, step: int) -> str:
    """Where growth is at a step of a search that grows ``where``; at step 0 it is nowhere."""
    return where if step else START


def snapshot_columns(labels: Labels, size: int) -> dict[str, Any]:
    """The columns that lead every table of snapshots."""
    return {**labels.run_columns(size), "headroom_direction": [labels.direction.value] * size}


def node_rows(
    network: Network, labels: Labels, where: str, step: int, state: FullState, bounds: tuple[FloatArray, FloatArray]
) -> Table:
    """``debug_nodes`` of one state.

    Args:
        network: The feeder.
        labels: Of the search.
        where: Where growth is, as ``growth_at`` says it.
        step: Step of the state.
        state: The state.
        bounds: Lowest and highest voltage of each node that the limits allow, V; nan where there is none.
    """
    nodes, volts = network.nodes, state.node_v
    size = volts.size
    referred = volts - np.where(nodes.reference >= 0, volts[nodes.reference], 0.0)
    return Table.build(
        DEBUG_NODES,
        {
            **snapshot_columns(labels, size),
            "iteration": [step] * size,
            "bus": network.buses.name[nodes.bus],
            "node": nodes.number,
            "capacity_group_head_id": _heads(network)[network.buses.group[nodes.bus]],
            "live": nodes.live,
            "voltage_v": np.abs(volts),
            "voltage_deg": np.degrees(np.angle(volts)),
            "to_neutral_v": np.abs(referred),
            "nominal_v": nodes.nominal_v,
            "min_v": bounds[0],
            "max_v": bounds[1],
            "growth_at": [where] * size,
        },
        labels.metadata,
    )


def conductor_rows(network: Network, labels: Labels, where: str, step: int, state: FullState) -> Table:
    """``debug_conductors`` of one state; arguments as in ``node_rows``."""
    conductors, equipment = network.conductors, network.equipment
    amps = state.conductor_a
    node = conductors.node
    bus = network.buses.name[network.nodes.bus[np.maximum(node, 0)]].copy()
    bus[node < 0] = None
    return Table.build(
        DEBUG_CONDUCTORS,
        {
            **snapshot_columns(labels, amps.size),
            "iteration": [step] * amps.size,
            "conducting_equipment_mrid": equipment.name[conductors.equipment],
            "conducting_equipment_type": equipment.kind[conductors.equipment],
            "terminal_sequence_number": conductors.terminal,
            "conductor": _place_at_terminal(network),
            "phase": conductors.phase,
            "bus": bus,
            "node": np.where(node >= 0, network.nodes.number[np.maximum(node, 0)], 0),
            "capacity_group_head_id": _heads(network)[equipment.group[conductors.equipment]],
            "current_a": np.abs(amps),
            "current_deg": np.degrees(np.angle(amps)),
            "normal_a": conductors.normal_a,
            "emergency_a": conductors.emergency_a,
            "growth_at": [where] * amps.size,
        },
        labels.metadata,
    )


def _heads(network: Network) -> Any:
    return np.asarray([None, *network.groups.id], dtype=object)


def _place_at_terminal(network: Network) -> IntArray:
    """1, 2, ... within each terminal, in model order."""
    conductors = network.conductors
    fresh = np.ones(conductors.node.size, dtype=bool)
    fresh[1:] = (np.diff(conductors.equipment) != 0) | (np.diff(conductors.terminal) != 0)
    first = np.maximum.accumulate(np.where(fresh, np.arange(fresh.size), 0))
    return np.asarray(np.arange(fresh.size) - first + 1, dtype=np.int32)
