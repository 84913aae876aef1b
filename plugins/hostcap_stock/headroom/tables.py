"""Tables of a headroom run, from the answer of its search."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from attrs import field, frozen

from hostcap._arrays import BoolArray, FloatArray, IntArray, sums
from hostcap.growth import Direction
from hostcap.limits import LimitSet, Violations
from hostcap.network import BALANCED, PHASE_LETTERS, Network
from hostcap.search import NEVER, STATUSES, SearchResult, Status
from hostcap.tables import Table
from hostcap_stock.headroom.answer import Answer, SolvedState
from hostcap_stock.headroom.feeder_tables import place_tables, voltage_table
from hostcap_stock.headroom.labels import Labels
from hostcap_stock.headroom.preparing import Searched, tidy
from hostcap_stock.headroom.schemas import (
    CUSTOMER_ALLOCATIONS,
    LV_GROUP_HOSTING_CAPACITY,
)
from hostcap_stock.headroom.violations import BrokenSet, bindings_table, violations_table

HV_SET = "hv-stop"
"""Key of the binding set that all groups stopped by the same HV state share."""


@frozen(kw_only=True, eq=False)
class BindingSets:
    """Which broken limits stopped which groups.

    Attributes:
        of_group: Key of each group's set, or None.
        rows: Violations by key, with their step, in table order.
    """

    of_group: list[str | None]
    rows: dict[str, tuple[int, Violations]] = field(factory=dict)


def binding_sets(network: Network, result: SearchResult, answer: Answer, chosen: BoolArray) -> BindingSets:
    """Which broken limits stopped which of the chosen groups."""
    of_group: list[str | None] = [None] * len(network.groups)
    rows: dict[str, tuple[int, Violations]] = {}
    for step, state in answer.breaking.items():
        decided = np.flatnonzero(chosen & (result.iteration == step))
        own = [g for g in decided if STATUSES[result.status[g]] in (Status.BOUND, Status.BOUND_AT_START)]
        for group in own:
            key = str(network.groups.id[group])
            of_group[group] = key
            rows[key] = (step, state.violations.select(state.violations.group == group + 1))
        stopped = [g for g in decided if STATUSES[result.status[g]] is Status.STOPPED_BY_HV]
        for group in stopped:
            of_group[group] = HV_SET
        if stopped:
            rows[HV_SET] = (step, state.violations.select(state.violations.group == 0))
    return BindingSets(of_group=of_group, rows=rows)


def headroom_tables(
    *,
    labels: Labels,
    network: Network,
    searched: Searched,
    answer: Answer,
    chosen: BoolArray,
) -> tuple[Table, ...]:
    """All tables of one search but the findings, in their published order, of the chosen groups alone."""
    prepared, result = searched.prepared, searched.result
    sets = binding_sets(network, result, answer, chosen)
    violations = _violations(labels, prepared.limits, sets, answer)
    return (
        _groups(labels, network, searched, sets, np.flatnonzero(chosen).astype(np.int32)),
        _customers(labels, network, searched, answer, chosen),
        violations,
        bindings_table(violations),
        _voltages(labels, network, searched, answer, chosen),
    )


def network_tables(labels: Labels, network: Network) -> tuple[Table, ...]:
    """Tables of one feeder that no search changes: where its buses and branches are."""
    first = {name: values[0] for name, values in labels.run_columns(1).items() if name != "timestamp"}
    return place_tables(network, first, labels.metadata)


def group_columns(network: Network, groups: IntArray) -> dict[str, Any]:
    """The columns that name groups."""
    return {
        "capacity_group_head_id": network.groups.id[groups],
        "capacity_group_head_type": network.groups.head_type[groups],
        "terminal_sequence_number": network.groups.terminal[groups],
    }


def _by_group(network: Network, values: FloatArray | BoolArray) -> FloatArray:
    return sums(network.customers.group - 1, values, len(network.groups))


def _groups(labels: Labels, network: Network, searched: Searched, sets: BindingSets, chosen: IntArray) -> Table:
    size, result, weights = chosen.size, searched.result, searched.prepared.weights
    load_kw, generation_kw = searched.prepared.operating_point.group_kw(network)
    statuses = [STATUSES[s] for s in result.status[chosen]]
    later = result.breached_after_lock_at[chosen]
    keys = [sets.of_group[g] for g in chosen]
    return Table.build(
        LV_GROUP_HOSTING_CAPACITY,
        {
            **labels.run_columns(size),
            **group_columns(network, chosen),
            "headroom_direction": [labels.direction.value] * size,
            "mode": [labels.mode] * size,
            "initial_condition_selector": [labels.initial_state] * size,
            "status": [status.value for status in statuses],
            "included_customer_count": _by_group(network, network.customers.live)[chosen],
            "growing_customer_count": _by_group(network, weights > 0)[chosen],
            "headroom_kw_per_customer": searched.headroom_kw(network, labels.step_kw)[chosen],
            "addition_kw_scaling_applied": [labels.scaled] * size,
            "total_kw_added": searched.total_kw(network, labels.step_kw)[chosen],
            "injected_kw": searched.injected_kw(network, labels.step_kw)[chosen],
            "binding_id": [None if key is None else labels.id_of("binding", key) for key in keys],
            "convergence": [status is not Status.DIVERGED for status in statuses],
            "breached_after_lock_at": [None if s == NEVER else int(s) for s in later],
            "total_base_net_import_kw": load_kw[chosen],
            "total_base_net_export_kw": generation_kw[chosen],
        },
        labels.metadata,
    )


def _state_of(result: SearchResult, answer: Answer, group: int) -> SolvedState:
    """The state whose voltages a group's customers are shown: the one that decided it."""
    status = STATUSES[result.status[group]]
    if status in (Status.BOUND, Status.BOUND_AT_START, Status.STOPPED_BY_HV):
        return answer.breaking[int(result.iteration[group])]
    if status in (Status.UNCONSTRAINED, Status.DIVERGED) or answer.final is None:
        return answer.last_solved
    return answer.final


def _voltages(labels: Labels, network: Network, searched: Searched, answer: Answer, chosen: BoolArray) -> Table:
    states = {g + 1: _state_of(searched.result, answer, g) for g in np.flatnonzero(chosen).tolist()}
    return voltage_table(
        network,
        searched.prepared.limits,
        run_columns={name: values[0] for name, values in labels.run_columns(1).items()},
        direction=labels.direction.value,
        start_v=None if answer.start is None else answer.start.node_v,
        stop_v={0: answer.last_solved.node_v} | {group: state.node_v for group, state in states.items()},
        metadata=labels.metadata,
    )


def _customers(labels: Labels, network: Network, searched: Searched, answer: Answer, chosen: BoolArray) -> Table:
    customers, result = network.customers, searched.result
    point, weights = searched.prepared.operating_point, searched.prepared.weights
    counted = np.flatnonzero(customers.live & chosen[customers.group - 1])
    order = counted[np.argsort(customers.group[counted], kind="stable")]
    group = customers.group[order] - 1
    sign = -1.0 if labels.direction is Direction.EXPORT else 1.0
    volts = customer_volts(network, {g: _state_of(result, answer, g) for g in np.flatnonzero(chosen).tolist()})[order]
    allocated_kw = tidy(sign * result.level[group] * labels.step_kw * weights[order])
    first = customers.element[customers.element_ptr[order]]
    with np.errstate(invalid="ignore"):
        least, greatest = np.fmin.reduce(volts, axis=1), np.fmax.reduce(volts, axis=1)
    return Table.build(
        CUSTOMER_ALLOCATIONS,
        {
            **labels.run_columns(order.size),
            **group_columns(network, group),
            "conducting_equipment_mrid": network.injectors.name[first],
            "usage_point_id": customers.id[order],
            "headroom_direction": [labels.direction.value] * order.size,
            "initial_kw": point.customer_kw(network)[order],
            "allocated_kw": allocated_kw,
            "injected_kw": tidy(allocated_kw * searched.per_kw),
            "scaling_factor": weights[order],
            "power_factor": np.full(order.size, labels.power_factor),
            "customer_phase_code": customers.phase_code[order],
            "customer_v_a_v": volts[:, 0],
            "customer_v_b_v": volts[:, 1],
            "customer_v_c_v": volts[:, 2],
            "customer_v_min_v": least,
            "customer_v_max_v": greatest,
        },
        labels.metadata,
    )


def customer_volts(network: Network, states: Mapping[int, SolvedState]) -> FloatArray:
    """Voltages of each customer's phases to neutral or ground, V, shape (customer, 3); nan where not connected.

    Args:
        network: The feeder.
        states: The state to read, by group; customers of groups that have none are left out.
    """
    injectors, customers, nodes = network.injectors, network.customers, network.nodes
    # One entry per conductor of every customer's elements; of several on one phase the first counts.
    counts = np.diff(injectors.terminal_ptr)[customers.element]
    owner = np.repeat(customers.of_element, counts)
    starts = injectors.terminal_ptr[customers.element]
    offset = np.arange(owner.size) - np.repeat(np.cumsum(counts) - counts, counts)
    node = injectors.terminal_node[np.repeat(starts, counts) + offset]
    phase = np.where(node >= 0, nodes.number[node], 0)
    kept = (node >= 0) & np.isin(phase, list(PHASE_LETTERS)) & ~nodes.neutral[node]
    owner, node, phase = owner[kept][::-1], node[kept][::-1], phase[kept][::-1]
    column = np.where(phase == BALANCED, 1, phase) - 1
    volts = np.full((customers.id.size, 3), np.nan)
    distinct = {id(state): state for state in states.values()}
    group = customers.group[owner] - 1
    state_key = np.zeros(len(network.groups), dtype=np.int64)
    state_key[list(states)] = [id(state) for state in states.values()]
    for key, state in distinct.items():
        here = state_key[group] == key
        reference = nodes.reference[node[here]]
        to = np.where(reference >= 0, state.node_v[reference], 0.0)
        volts[owner[here], column[here]] = np.abs(state.node_v[node[here]] - to)
    # The one voltage of a balanced bus is that of all its phases.
    balanced = owner[phase == BALANCED]
    volts[balanced] = volts[balanced, :1]
    return volts


def _violations(labels: Labels, limits: LimitSet, sets: BindingSets, answer: Answer) -> Table:
    broken = [BrokenSet(step=step, key=key, violations=rows) for key, (step, rows) in sets.rows.items()]
    broken += [BrokenSet(step=step, key=None, violations=rows) for step, rows in answer.hv_recorded.items()]
    return violations_table(labels, limits, broken)
