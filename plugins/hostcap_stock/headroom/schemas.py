"""Schemas of the headroom tables: the published names, and what hostcap adds."""

from __future__ import annotations

from hostcap.tables import Column, TableSchema

RUN = (
    Column("work_package_id", "text", "Run; all other ids derive from it", key=True),
    Column("scenario", "text", "Scenario", key=True),
    Column("timestamp", "timestamp", "Instant of the start, UTC, end of its interval", key=True),
    Column("feeder", "text", "Feeder", key=True),
)
GROUP = (
    Column("capacity_group_head_id", "text", "Transformers that feed the group, joined with +", key=True),
    Column("capacity_group_head_type", "text", "distribution-transformer or source", key=True),
    Column("terminal_sequence_number", "integer", "Lowest LV winding of the head", key=True),
)
DIRECTION = Column("headroom_direction", "text", "export or import", key=True)

LV_GROUP_HOSTING_CAPACITY = TableSchema(
    name="lv_group_hosting_capacity",
    meaning="Headroom of one capacity group: a distribution transformer and the LV network below it.",
    order="by direction; then model order of the transformers, the group below no transformer last",
    columns=(
        *RUN,
        *GROUP,
        DIRECTION,
        Column("mode", "text", "Study that made the row"),
        Column("initial_condition_selector", "text", "Initial state's plugin"),
        Column("status", "text", "How the search of the group ended; see the headroom method"),
        Column("included_customer_count", "integer", "Customers in the group, those on dead nodes left out"),
        Column("growing_customer_count", "integer", "Those of them that grow"),
        Column("headroom_kw_per_customer", "number", "Extra kW of the customer of largest weight", unit="kW"),
        Column("addition_kw_scaling_applied", "boolean", "Growth weighted by existing import or export"),
        Column("total_kw_added", "number", "Extra kW of the whole group, positive in both directions", unit="kW"),
        Column("binding_id", "text", "Link to constraint_violations and binding_constraints"),
        Column("convergence", "boolean", "False where the next step did not converge"),
        Column(
            "breached_after_lock_at", "integer", "First step after the lock at which a limit of the group is broken"
        ),
        Column("total_base_net_import_kw", "number", "Load of the group at the start, gross", unit="kW"),
        Column("total_base_net_export_kw", "number", "Generation of the group at the start, gross", unit="kW"),
        Column(
            "injected_kw", "number", "What total_kw_added injects or draws at the instant: less for panels", unit="kW"
        ),
    ),
)

CUSTOMER_ALLOCATIONS = TableSchema(
    name="customer_allocations",
    meaning="What each customer was given, and its voltages in the state that stopped its group.",
    order="by direction; then groups as in lv_group_hosting_capacity, customers in model order",
    columns=(
        *RUN,
        *GROUP,
        Column("conducting_equipment_mrid", "text", "Load element at the connection point", key=True),
        Column("usage_point_id", "text", "Customer", key=True),
        DIRECTION,
        Column("initial_kw", "number", "Before the search; negative exports", unit="kW"),
        Column("allocated_kw", "number", "Extra at the group's level; negative exports", unit="kW"),
        Column("scaling_factor", "number", "Weight"),
        Column("power_factor", "number", "Of the addition; positive consumes kvar"),
        Column("customer_phase_code", "text", "Phases of the connection"),
        Column("customer_v_a_v", "number", "Voltage of phase A to neutral or ground", unit="V"),
        Column("customer_v_b_v", "number", "Voltage of phase B to neutral or ground", unit="V"),
        Column("customer_v_c_v", "number", "Voltage of phase C to neutral or ground", unit="V"),
        Column("customer_v_min_v", "number", "Least of its phases", unit="V"),
        Column("customer_v_max_v", "number", "Greatest of its phases", unit="V"),
        Column(
            "injected_kw", "number", "What allocated_kw is at the instant: less for panels; negative exports", unit="kW"
        ),
    ),
)

CONSTRAINT_VIOLATIONS = TableSchema(
    name="constraint_violations",
    meaning="Every limit broken in a state that stopped a group or an HV location.",
    order="by direction, instant, iteration; then group by group, the HV stop last, or site by "
    "site of the HV locations; the binding violation first, then by excess",
    columns=(
        Column("violation_id", "text", "Row id", key=True),
        Column(
            "binding_id",
            "text",
            "Set that stopped a group or locations; empty for recorded HV violations",
        ),
        *(Column(c.name, c.type, c.meaning) for c in RUN),
        Column("headroom_direction", "text", "export or import"),
        Column("iteration", "integer", "Step at which it was seen; 0 is the start"),
        Column("binding", "boolean", "First of its set: the one that binds"),
        Column("conducting_equipment_mrid", "text", "Bus, line or transformer"),
        Column("conducting_equipment_type", "text", "Bus, Line or Transformer"),
        Column("terminal_sequence_number", "integer", "Terminal or winding; 0 for a bus"),
        Column("phase", "text", "A, B, C; two letters between phases; ABC for balanced networks"),
        Column("metric", "text", "voltage-high, voltage-low, thermal, or a plugin's own"),
        Column("violating_value", "number", "Value, in the row's unit"),
        Column("constraint_limit", "number", "Limit, in the row's unit"),
        Column("unit", "text", "V at LV, pu at HV, A"),
        Column("v_base", "number", "Nominal line-to-line voltage at the place", unit="V"),
    ),
)

BINDING_CONSTRAINTS = TableSchema(
    name="binding_constraints",
    meaning="Join of a binding set with its violations.",
    order="as in constraint_violations",
    columns=(
        Column("work_package_id", "text", "Run", key=True),
        Column("binding_id", "text", "Set", key=True),
        Column("violation_id", "text", "Violation", key=True),
        Column("headroom_direction", "text", "export or import", key=True),
    ),
)

BINDING_USAGE = TableSchema(
    name="binding_usage",
    meaning="Who is behind a limit that binds: whose power flows there, or who moved the voltage there.",
    order="as in constraint_violations; supplies, then takes; the largest first",
    columns=(
        *RUN,
        Column("binding_id", "text", "Set", key=True),
        Column("violation_id", "text", "Violation that binds", key=True),
        Column("headroom_direction", "text", "export or import", key=True),
        Column("conducting_equipment_mrid", "text", "Bus, line or transformer"),
        Column("conducting_equipment_type", "text", "Bus, Line or Transformer"),
        Column("terminal_sequence_number", "integer", "Terminal or winding; 0 for a bus"),
        Column("phase", "text", "Phase of the limit"),
        Column("metric", "text", "voltage-high, voltage-low, thermal, or a plugin's own"),
        Column("method", "text", "traced-phase, traced (phases summed) or sensitivity; see the explanation"),
        Column(
            "side", "text", "supplies or takes what flows through a conductor; moves a voltage from the start", key=True
        ),
        Column("user_kind", "text", "customer, group (all of another group), location, element or network", key=True),
        Column(
            "user_id",
            "text",
            "Customer, group, location that grows, load or generating element, source or other",
            key=True,
        ),
        Column("part", "text", "growth, or existing load and generation", key=True),
        Column("kw", "number", "Traced: kW of the flow in the breaking state; else empty", unit="kW"),
        Column("change", "number", "Sensitivity: part of the change since the start, in unit; else empty"),
        Column("unit", "text", "kW, or the unit of the limit"),
        Column("share", "number", "Of what all of the side add up to; a voltage may be held back: then below 0"),
    ),
)

HEADROOM_PROFILE = TableSchema(
    name="headroom_profile",
    meaning="Headroom of one capacity group at one instant; only of an initial state that stands for several instants.",
    order="by direction, then instant by instant, groups in model order",
    columns=(
        *RUN,
        *GROUP,
        DIRECTION,
        Column("initial_condition_selector", "text", "Initial state's plugin"),
        Column("status", "text", "How the search of the group ended at this instant"),
        Column("headroom_kw_per_customer", "number", "Extra kW of the customer of largest weight", unit="kW"),
        Column("total_kw_added", "number", "Extra kW of the whole group, positive in both directions", unit="kW"),
        Column(
            "is_least",
            "boolean",
            "Least of the group's instants (the earliest of equals): its row in lv_group_hosting_capacity",
        ),
        Column("total_base_net_import_kw", "number", "Load of the group at the instant, gross", unit="kW"),
        Column("total_base_net_export_kw", "number", "Generation of the group at the instant, gross", unit="kW"),
        Column(
            "injected_kw", "number", "What total_kw_added injects or draws at the instant: less for panels", unit="kW"
        ),
    ),
)

_LOCATION = (
    Column("location_type", "text", "dtx-hv-terminal, switch-upstream-terminal or line-tee", key=True),
    Column("asset_name", "text", "The transformer, the switch, or the bus of a tee"),
    Column("terminal_mrid", "text", "Equipment and terminal, such as tx.1; the bus of a tee", key=True),
    Column("conducting_equipment_mrid", "text", "The transformer, the switch, or the bus of a tee", key=True),
    Column("associated_equipment_mrids", "texts", "Other lines, transformers and series elements at the bus"),
    Column("nominal_voltage_kv", "number", "Nominal line-to-line voltage of the bus", unit="kV"),
    Column("phase_code", "text", "Live phases of the terminal, on which it grows"),
    Column("total_base_net_import_kw", "number", "Load of the whole feeder at the start, gross", unit="kW"),
    Column("total_base_net_export_kw", "number", "Generation of the whole feeder at the start, gross", unit="kW"),
    Column("available_headroom_kw", "number", "Extra kW at this location alone", unit="kW"),
    DIRECTION,
)
_INJECTED = Column(
    "injected_kw", "number", "What available_headroom_kw injects or draws at the instant: less for panels", unit="kW"
)
_HOW = Column("status", "text", "How the search of the location ended; see the headroom method")

HV_NODE_HEADROOM = TableSchema(
    name="hv_node_headroom",
    meaning="Headroom of one HV location by itself.",
    order="by direction; then kind by kind: transformers, switches, tees, each in model order",
    columns=(
        *RUN,
        *_LOCATION,
        Column("binding_id", "text", "Link to constraint_violations and binding_constraints"),
        Column("convergence", "boolean", "False where the next step did not converge"),
        _HOW,
        Column("iteration", "integer", "Step at which the violation was seen; 0 is the start"),
        _INJECTED,
    ),
)

HV_NODE_HEADROOM_PROFILE = TableSchema(
    name="hv_node_headroom_profile",
    meaning="Headroom of one HV location at one instant; only of an initial state that stands for several instants.",
    order="by direction, then instant by instant, locations as in hv_node_headroom",
    columns=(
        *RUN,
        *_LOCATION,
        Column("initial_condition_selector", "text", "Initial state's plugin"),
        _HOW,
        Column("is_least", "boolean", "Whether this instant answers for the location"),
        _INJECTED,
    ),
)

_NARROW = "{binding}: {metric} {value}, limit {limit}"

GROUP_SUMMARY = TableSchema(
    name="headroom by transformer",
    meaning="What a planner reads first.",
    narrow=_NARROW,
    columns=(
        Column("feeder", "text", "Feeder"),
        Column("direction", "text", "export or import; left out where the run has one"),
        Column("instant", "text", "Instant of the start; left out where the run has one"),
        Column("transformer", "text", "Head of the group"),
        Column("customers", "integer", "Customers in the group"),
        Column("headroom_kw", "number", "Per customer", unit="kW"),
        Column("total_kw", "number", "Whole group", unit="kW"),
        Column("injected_kw", "number", "What that is at the instant; left out where it is the same", unit="kW"),
        Column("status", "text", "How the search ended"),
        Column("binding", "text", "Equipment and phase that stop it"),
        Column("metric", "text", "Kind of limit"),
        Column("value", "text", "Value in the breaking state"),
        Column("limit", "text", "Limit"),
    ),
)

LOCATION_SUMMARY = TableSchema(
    name="headroom by HV location",
    meaning="What a planner reads first.",
    narrow=_NARROW,
    columns=(
        Column("feeder", "text", "Feeder"),
        Column("direction", "text", "export or import; left out where all rows have the same"),
        Column("instant", "text", "Instant of the start, UTC; left out where all rows have the same"),
        Column("kind", "text", "Kind of location"),
        Column("location", "text", "Equipment and terminal; the bus of a tee"),
        Column("phases", "text", "Phases that grow"),
        Column("headroom_kw", "number", "At this location alone", unit="kW"),
        Column("injected_kw", "number", "What that is at the instant; left out where it is the same", unit="kW"),
        Column("status", "text", "How the search ended"),
        Column("binding", "text", "Equipment and phase that stop it"),
        Column("metric", "text", "Kind of limit"),
        Column("value", "text", "Value in the breaking state"),
        Column("limit", "text", "Limit"),
    ),
)
