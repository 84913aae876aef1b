"""Tables of an HV node headroom run: a row for each location, and the broken limits that stopped it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import attrs
import numpy as np

from hostcap._arrays import IntArray, floats
from hostcap.findings import Finding
from hostcap.growth import site_name
from hostcap.hv_locations import phase_codes
from hostcap.limits import LimitSet
from hostcap.network import Network
from hostcap.search import NEVER, STATUSES, Status
from hostcap.tables import Table, TableSchema, concatenate
from hostcap_stock.headroom.hv_choice import LocationChoice
from hostcap_stock.headroom.hv_least import START, LeastOfSites, SitesSearched
from hostcap_stock.headroom.labels import Labels
from hostcap_stock.headroom.preparing import tidy
from hostcap_stock.headroom.schemas import HV_NODE_HEADROOM, HV_NODE_HEADROOM_PROFILE
from hostcap_stock.headroom.usage_table import unexplained, usage_table
from hostcap_stock.headroom.violations import BrokenSet, bindings_table, violations_table

LabelsOf = Callable[[SitesSearched], Labels]
START_KEY = "start"
"""Key of the binding set that all locations share where the start is broken."""


def node_tables(
    network: Network, choice: LocationChoice, limits: LimitSet, leasts: Sequence[LeastOfSites], labels_of: LabelsOf
) -> tuple[Table, ...]:
    """``hv_node_headroom``, ``constraint_violations`` and ``binding_constraints`` of all directions."""
    nodes = concatenate([_answers(network, choice, least, labels_of) for least in leasts])
    violations = concatenate(
        [
            _violations(network, choice, limits, least, place, labels_of)
            for least in leasts
            for place in range(len(least.searches))
        ]
    )
    return nodes, violations, bindings_table(violations)


def node_profile(
    network: Network, choice: LocationChoice, leasts: Sequence[LeastOfSites], labels_of: LabelsOf
) -> Table:
    """``hv_node_headroom_profile``: a row for each location and instant of each direction."""
    every = np.arange(choice.location.size, dtype=np.int32)
    return concatenate(
        [
            _rows(network, choice, least, place, every, labels_of, HV_NODE_HEADROOM_PROFILE)
            for least in leasts
            for place in range(len(least.searches))
        ]
    )


def _answers(network: Network, choice: LocationChoice, least: LeastOfSites, labels_of: LabelsOf) -> Table:
    """Each location at the instant that answers for it, in the order of the choice."""
    place = least.answering[choice.site]
    at = [(p, np.flatnonzero(place == p).astype(np.int32)) for p in np.unique(place).tolist()]
    table = concatenate([_rows(network, choice, least, p, which, labels_of, HV_NODE_HEADROOM) for p, which in at])
    order = np.argsort(np.concatenate([which for _, which in at]), kind="stable")
    return attrs.evolve(table, columns={name: values[order] for name, values in table.columns.items()})


def _rows(
    network: Network,
    choice: LocationChoice,
    least: LeastOfSites,
    place: int,
    which: IntArray,
    labels_of: LabelsOf,
    schema: TableSchema,
) -> Table:
    """Some of the chosen locations in one search."""
    searched, locations = least.searches[place], network.hv_locations
    labels, at, site, size = labels_of(searched), choice.location[which], choice.site[which], which.size
    result, point = searched.result, searched.operating_point
    statuses = [STATUSES[s] for s in result.status[site]]
    steps = result.iteration[site].tolist()
    available_kw = tidy(floats(result.level[site]) * labels.step_kw)
    columns: dict[str, Any] = {
        **labels.run_columns(size),
        "location_type": locations.kind[at],
        "asset_name": locations.name[at],
        "terminal_mrid": [terminal_name(network, location) for location in at.tolist()],
        "conducting_equipment_mrid": locations.name[at],
        "associated_equipment_mrids": [network.equipment.name[locations.tied_to(i)] for i in at.tolist()],
        "nominal_voltage_kv": network.buses.nominal_kv[locations.bus[at]],
        "phase_code": phase_codes(locations, network.nodes)[at],
        "total_base_net_import_kw": np.full(size, point.load_kw.sum()),
        "total_base_net_export_kw": np.full(size, point.generation_kw.sum()),
        "available_headroom_kw": available_kw,
        "injected_kw": tidy(available_kw * searched.per_kw),
        "headroom_direction": [labels.direction.value] * size,
        "binding_id": [
            None if step == NEVER else labels.id_of("binding", _key(network, choice, START if step == 0 else own))
            for own, step in zip(site.tolist(), steps, strict=True)
        ],
        "convergence": [status is not Status.DIVERGED for status in statuses],
        "status": [status.value for status in statuses],
        "iteration": [None if step == NEVER else step for step in steps],
        "initial_condition_selector": [labels.initial_state] * size,
        "is_least": least.answering[site] == place,
    }
    return Table.build(schema, {name: columns[name] for name in schema.names}, labels.metadata)


def terminal_name(network: Network, location: int) -> str:
    """Equipment and terminal, such as ``tx.1``; the bus itself where the location is a bus."""
    locations = network.hv_locations
    name, terminal = locations.name[location], int(locations.terminal[location])
    return f"{name}.{terminal}" if terminal else str(name)


def _key(network: Network, choice: LocationChoice, site: int) -> str:
    return START_KEY if site == START else site_name(network, int(choice.first[site]))


def _violations(
    network: Network,
    choice: LocationChoice,
    limits: LimitSet,
    least: LeastOfSites,
    place: int,
    labels_of: LabelsOf,
) -> Table:
    return violations_table(labels_of(least.searches[place]), limits, broken_sets(network, choice, least, place))


def broken_sets(network: Network, choice: LocationChoice, least: LeastOfSites, place: int) -> list[BrokenSet]:
    """Broken limits of one search, by the sites that it answers for."""
    return [_set(network, choice, least, place, site) for of, site in sorted(least.violations) if of == place]


def _set(network: Network, choice: LocationChoice, least: LeastOfSites, place: int, site: int) -> BrokenSet:
    return BrokenSet(
        step=0 if site == START else int(least.searches[place].result.iteration[site]),
        key=_key(network, choice, site),
        violations=least.violations[place, site],
    )


def node_usage(
    network: Network, choice: LocationChoice, limits: LimitSet, leasts: Sequence[LeastOfSites], labels_of: LabelsOf
) -> Table:
    """``binding_usage``: who is behind the limit that stopped each location, where it answers for itself."""
    return concatenate(
        [
            usage_table(
                labels_of(searched),
                limits,
                broken_sets(network, choice, least, place),
                {_key(network, choice, site): usage for (of, site), usage in least.usage.items() if of == place},
            )
            for least in leasts
            for place, searched in enumerate(least.searches)
        ]
    )


def unexplained_sites(
    network: Network, choice: LocationChoice, limits: LimitSet, least: LeastOfSites, place: int
) -> list[Finding]:
    """Findings about limits that ``binding_usage`` says nothing about, of one search."""
    unsaid = {_key(network, choice, site): why for (of, site), why in least.unsaid.items() if of == place}
    return unexplained(limits, broken_sets(network, choice, least, place), unsaid)
