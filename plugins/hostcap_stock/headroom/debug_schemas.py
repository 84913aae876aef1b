"""Schemas of the debug snapshots."""

from __future__ import annotations

from hostcap.tables import Column, TableSchema
from hostcap_stock.headroom.schemas import DIRECTION, GROUP, RUN

_GROWTH_AT = Column(
    "growth_at",
    "text",
    "What has grown in the state: groups (all, at their levels), or the bus and nodes of an HV location alone, such as "
    "b.1.2.3; start where nothing has",
    key=True,
)

DEBUG_SNAPSHOTS = TableSchema(
    name="debug_snapshots",
    meaning="Which state debug_nodes and debug_conductors keep for a group or an HV location; only where asked for. "
    "A row has the key of a group (lv-headroom) or of a location (hv-node-headroom); the other is empty.",
    order="by direction and instant, groups in model order, locations as in hv_node_headroom; start, last-valid, "
    "violating",
    columns=(
        *RUN,
        *GROUP,
        DIRECTION,
        Column("snapshot", "text", "start, last-valid or violating; no violating where no limit stopped", key=True),
        Column("iteration", "integer", "Step of the state"),
        Column("status", "text", "How the search of the group or location ended"),
        Column("location_type", "text", "As in hv_node_headroom; empty for a group", key=True),
        Column("terminal_mrid", "text", "As in hv_node_headroom; empty for a group", key=True),
        Column("conducting_equipment_mrid", "text", "As in hv_node_headroom; empty for a group", key=True),
        Column("phase_code", "text", "Phases on which the location grows; empty for a group"),
        _GROWTH_AT,
    ),
)
DEBUG_NODES = TableSchema(
    name="debug_nodes",
    meaning="One node, dead or neutral ones too, in one kept state.",
    order="by direction, instant, location and step; nodes in model order",
    columns=(
        *RUN,
        DIRECTION,
        Column("iteration", "integer", "Step of the state; 0 is the start", key=True),
        Column("bus", "text", "Bus", key=True),
        Column("node", "integer", "Number of the node at its bus: 1, 2, 3 for A, B, C; 4 and higher neutral", key=True),
        Column("capacity_group_head_id", "text", "Group of the bus; empty for the feeder (HV)"),
        Column("live", "boolean", "Reached from a source; voltages of others are no answer"),
        Column("voltage_v", "number", "Size of the voltage to ground", unit="V"),
        Column("voltage_deg", "number", "Angle of the voltage to ground", unit="degree"),
        Column("to_neutral_v", "number", "Size of the voltage to neutral, else to ground, as limits see it", unit="V"),
        Column("nominal_v", "number", "Nominal voltage to ground", unit="V"),
        Column("min_v", "number", "Lowest to_neutral_v that the limits allow; empty where there is none", unit="V"),
        Column("max_v", "number", "Highest to_neutral_v that the limits allow; empty where there is none", unit="V"),
        _GROWTH_AT,
    ),
)
DEBUG_CONDUCTORS = TableSchema(
    name="debug_conductors",
    meaning="One conductor at one terminal of a line or transformer in one kept state.",
    order="by direction, instant, location and step; conductors in model order",
    columns=(
        *RUN,
        DIRECTION,
        Column("iteration", "integer", "Step of the state; 0 is the start", key=True),
        Column("conducting_equipment_mrid", "text", "Line or transformer", key=True),
        Column("conducting_equipment_type", "text", "Line or Transformer", key=True),
        Column("terminal_sequence_number", "integer", "Terminal or winding", key=True),
        Column("conductor", "integer", "1, 2, ... at its terminal", key=True),
        Column("phase", "text", "A, B, C; two letters between phases; empty for neutral and ground"),
        Column("bus", "text", "Bus where it ends; empty at ground"),
        Column("node", "integer", "Number of the node there; 0 at ground"),
        Column("capacity_group_head_id", "text", "Group of the equipment; empty for the feeder (HV)"),
        Column("current_a", "number", "Size of the current into the equipment", unit="A"),
        Column("current_deg", "number", "Its angle", unit="degree"),
        Column("normal_a", "number", "Normal rating by the method; empty where unrated", unit="A"),
        Column("emergency_a", "number", "Emergency rating by the method; empty where unrated", unit="A"),
        _GROWTH_AT,
    ),
)
