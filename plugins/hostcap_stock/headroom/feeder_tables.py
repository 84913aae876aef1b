"""What a picture of a headroom run is drawn from: buses and branches of the feeder, voltages of start and stop."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from hostcap._arrays import ComplexArray, FloatArray, IntArray, ints
from hostcap.limits import LimitSet, LinearLimits
from hostcap.network import PHASE_LETTERS, Network
from hostcap.tables import Column, Table, TableSchema

_PLACE = (
    Column("work_package_id", "text", "Run", key=True),
    Column("scenario", "text", "Scenario", key=True),
    Column("feeder", "text", "Feeder", key=True),
)
_HEAD = Column("capacity_group_head_id", "text", "Capacity group that it belongs to; empty for the feeder (HV)")

FEEDER_BUSES = TableSchema(
    name="feeder_buses",
    meaning="Where one bus of the feeder is: along the lines, and on the map.",
    order="model order",
    columns=(
        *_PLACE,
        Column("bus", "text", "Bus", key=True),
        _HEAD,
        Column("voltage_level", "text", "LV or HV"),
        Column("nominal_kv", "number", "Nominal line-to-line voltage", unit="kV"),
        Column("distance_km", "number", "Shortest way along lines from the source; empty where none leads there"),
        Column("x", "number", "Coordinate in the model's own system; empty where the model has none"),
        Column("y", "number", "Coordinate in the model's own system; empty where the model has none"),
    ),
)

FEEDER_BRANCHES = TableSchema(
    name="feeder_branches",
    meaning="One line, or one winding of a transformer beyond the first: which buses it joins.",
    order="model order",
    columns=(
        *_PLACE,
        Column("conducting_equipment_mrid", "text", "Line or transformer", key=True),
        Column("conducting_equipment_type", "text", "Line or Transformer", key=True),
        Column("terminal_sequence_number", "integer", "Terminal at `to_bus`", key=True),
        _HEAD,
        Column("from_bus", "text", "Bus of terminal 1"),
        Column("to_bus", "text", "Bus of the other terminal"),
    ),
)

NODE_VOLTAGES = TableSchema(
    name="node_voltages",
    meaning="Voltage of one live phase of a bus at the start, and in the state that stopped its group.",
    order="by direction and instant; HV first, then group by group; within a group in model order",
    columns=(
        *_PLACE[:2],
        Column("timestamp", "timestamp", "Instant of the start, UTC, end of its interval", key=True),
        _PLACE[2],
        Column("headroom_direction", "text", "export or import", key=True),
        Column("bus", "text", "Bus", key=True),
        Column("phase", "text", "A, B or C", key=True),
        _HEAD,
        Column("nominal_v", "number", "Nominal voltage to ground", unit="V"),
        Column("min_v", "number", "Lowest that the limits allow; empty where there is none", unit="V"),
        Column("max_v", "number", "Highest that the limits allow; empty where there is none", unit="V"),
        Column("start_v", "number", "At the start, to neutral or ground", unit="V"),
        Column(
            "stop_v",
            "number",
            "LV: in the state shown in customer_allocations; HV: in the last state of the search that was solved",
            unit="V",
        ),
    ),
)


def place_tables(network: Network, columns: Mapping[str, str], metadata: Mapping[str, str]) -> tuple[Table, Table]:
    """Buses and branches of a feeder.

    Args:
        network: The feeder.
        columns: ``work_package_id``, ``scenario`` and ``feeder``.
        metadata: Of the tables.
    """
    buses = network.buses
    heads = np.asarray([None, *network.groups.id], dtype=object)
    bus_table = Table.build(
        FEEDER_BUSES,
        {
            **_spread(columns, buses.name.size),
            "bus": buses.name,
            "capacity_group_head_id": heads[buses.group],
            "voltage_level": np.where(buses.lv, "LV", "HV").astype(object),
            "nominal_kv": buses.nominal_kv,
            "distance_km": buses.distance_km,
            "x": buses.x,
            "y": buses.y,
        },
        metadata,
    )
    equipment, terminal, first, other = _branches(network)
    branch_table = Table.build(
        FEEDER_BRANCHES,
        {
            **_spread(columns, equipment.size),
            "conducting_equipment_mrid": network.equipment.name[equipment],
            "conducting_equipment_type": network.equipment.kind[equipment],
            "terminal_sequence_number": terminal,
            "capacity_group_head_id": heads[network.equipment.group[equipment]],
            "from_bus": buses.name[first],
            "to_bus": buses.name[other],
        },
        metadata,
    )
    return bus_table, branch_table


def _spread(columns: Mapping[str, str], size: int) -> dict[str, Any]:
    return {name: [value] * size for name, value in columns.items()}


def _branches(network: Network) -> tuple[IntArray, IntArray, IntArray, IntArray]:
    """Equipment, terminal and the two buses of each pair (terminal 1, other terminal); grounded ends have none."""
    conductors = network.conductors
    kept = np.flatnonzero(conductors.node >= 0)
    order = kept[np.lexsort((conductors.terminal[kept], conductors.equipment[kept]))]
    equipment, terminal = conductors.equipment[order], conductors.terminal[order]
    fresh = np.ones(order.size, dtype=bool)
    fresh[1:] = (np.diff(equipment) != 0) | (np.diff(terminal) != 0)
    equipment, terminal = equipment[fresh], terminal[fresh]
    bus = network.nodes.bus[conductors.node[order[fresh]]]
    head = np.full(network.equipment.name.size, -1, dtype=np.int32)
    head[equipment[terminal == 1]] = bus[terminal == 1]
    joined = (terminal > 1) & (head[equipment] >= 0)
    return equipment[joined], terminal[joined], head[equipment[joined]], bus[joined]


def voltage_table(
    network: Network,
    limits: LimitSet,
    *,
    run_columns: Mapping[str, Any],
    direction: str,
    start_v: ComplexArray | None,
    stop_v: Mapping[int, ComplexArray],
    metadata: Mapping[str, str],
) -> Table:
    """Voltages of every live phase of the feeder and of some groups.

    Args:
        network: The feeder.
        limits: What the study watches.
        run_columns: One value each of the columns that lead most tables.
        direction: export or import.
        start_v: Node voltages of the start, V, shape (node,); None where it has none.
        stop_v: Node voltages to show, V, shape (node,), by group, 0 for the feeder; others are not listed.
        metadata: Of the table.
    """
    nodes = network.nodes
    group = network.buses.group[nodes.bus]
    listed = np.isin(group, list(stop_v))
    shown = ints(np.flatnonzero(nodes.live & ~nodes.neutral & np.isin(nodes.number, list(PHASE_LETTERS)) & listed))
    shown = shown[np.argsort(group[shown], kind="stable")]
    low, high = voltage_bounds(network, limits)
    stopped = np.full(shown.size, np.nan)
    for place in np.unique(group[shown]).tolist():
        own = group[shown] == place
        stopped[own] = _to_reference(network, stop_v[place], shown[own])
    heads = np.asarray([None, *network.groups.id], dtype=object)
    return Table.build(
        NODE_VOLTAGES,
        {
            **{name: np.repeat(np.asarray(value), shown.size) for name, value in run_columns.items()},
            "headroom_direction": [direction] * shown.size,
            "bus": network.buses.name[nodes.bus[shown]],
            "phase": [PHASE_LETTERS[int(n)] for n in nodes.number[shown]],
            "capacity_group_head_id": heads[group[shown]],
            "nominal_v": nodes.nominal_v[shown],
            "min_v": low[shown],
            "max_v": high[shown],
            "start_v": np.full(shown.size, np.nan) if start_v is None else _to_reference(network, start_v, shown),
            "stop_v": stopped,
        },
        metadata,
    )


def _to_reference(network: Network, node_v: ComplexArray, which: IntArray) -> FloatArray:
    reference = network.nodes.reference[which]
    return np.asarray(np.abs(node_v[which] - np.where(reference >= 0, node_v[reference], 0.0)))


def voltage_bounds(network: Network, limits: LimitSet) -> tuple[FloatArray, FloatArray]:
    """Lowest and highest voltage of each node to its reference that linear limits allow, V; nan where unlimited."""
    low = np.full(network.nodes.bus.size, -np.inf)
    high = np.full(network.nodes.bus.size, np.inf)
    for limit in limits.limits:
        if not isinstance(limit, LinearLimits) or limit.node_index.size == 0:
            continue
        count = np.diff(limit.node_ptr)
        first = limit.node_ptr[:-1][count > 0]
        row = np.flatnonzero(count > 0)
        node = limit.node_index[first]
        last = limit.node_index[first + count[row] - 1]
        # A row that watches a phase itself: to ground, or to the neutral that the phase refers to.
        reference = network.nodes.reference[node]
        itself = np.where(count[row] == 1, reference < 0, (count[row] == 2) & (last == reference))
        itself &= np.diff(limit.conductor_ptr)[row] == 0
        row, node, scale = row[itself], node[itself], np.abs(limit.node_coefficient[first[itself]])
        np.fmax.at(low, node, limit.lower[row] / scale)
        np.fmin.at(high, node, limit.upper[row] / scale)
    return np.where(np.isfinite(low), low, np.nan), np.where(np.isfinite(high), high, np.nan)
