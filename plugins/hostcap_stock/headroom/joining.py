"""One set of tables from all searches of a feeder: directions one after the other, each group at its own instant."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import attrs
import numpy as np

from hostcap._arrays import IntArray
from hostcap.findings import Finding, some
from hostcap.network import Network
from hostcap.search import STATUSES
from hostcap.tables import Table, concatenate
from hostcap_stock.headroom.labels import Labels
from hostcap_stock.headroom.least import Answered, Least
from hostcap_stock.headroom.preparing import Searched, instant_words
from hostcap_stock.headroom.schemas import CUSTOMER_ALLOCATIONS, HEADROOM_PROFILE, LV_GROUP_HOSTING_CAPACITY
from hostcap_stock.headroom.tables import group_columns, headroom_tables

LabelsOf = Callable[[Searched], Labels]


def joined_tables(network: Network, leasts: Sequence[Least], labels_of: LabelsOf) -> tuple[Table, ...]:
    """The published tables of all directions, in their order."""
    of_direction = [_of_one_direction(network, least.answered, labels_of) for least in leasts]
    return tuple(concatenate(tables) for tables in zip(*of_direction, strict=True))


def _of_one_direction(network: Network, answered: Sequence[Answered], labels_of: LabelsOf) -> list[Table]:
    by_instant = [
        headroom_tables(
            labels=labels_of(a.searched), network=network, searched=a.searched, answer=a.answer, chosen=a.chosen
        )
        for a in answered
    ]
    tables = [concatenate(tables) for tables in zip(*by_instant, strict=True)]
    place = {str(name): i for i, name in enumerate(network.groups.id)}
    return [
        _in_model_order(table, place)
        if table.schema in (LV_GROUP_HOSTING_CAPACITY, CUSTOMER_ALLOCATIONS) and len(by_instant) > 1
        else table
        for table in tables
    ]


def _in_model_order(table: Table, place: dict[str, int]) -> Table:
    group = np.asarray([place[str(head)] for head in table["capacity_group_head_id"]], dtype=np.int32)
    order = np.argsort(group, kind="stable")
    return attrs.evolve(table, columns={name: values[order] for name, values in table.columns.items()})


def profile_table(network: Network, leasts: Sequence[Least], labels_of: LabelsOf) -> Table:
    """``headroom_profile``: a row for each group and instant of each direction."""
    return concatenate([_profile(network, least, labels_of) for least in leasts])


def _profile(network: Network, least: Least, labels_of: LabelsOf) -> Table:
    every = np.arange(len(network.groups), dtype=np.int32)
    return concatenate([_at_one_instant(network, least, i, labels_of, every) for i in range(len(least.searches))])


def _at_one_instant(network: Network, least: Least, number: int, labels_of: LabelsOf, every: IntArray) -> Table:
    searched = least.searches[number]
    labels, size = labels_of(searched), every.size
    load_kw, generation_kw = searched.prepared.operating_point.group_kw(network)
    return Table.build(
        HEADROOM_PROFILE,
        {
            **labels.run_columns(size),
            **group_columns(network, every),
            "headroom_direction": [labels.direction.value] * size,
            "initial_condition_selector": [labels.initial_state] * size,
            "status": [STATUSES[s].value for s in searched.result.status],
            "headroom_kw_per_customer": searched.headroom_kw(network, labels.step_kw),
            "total_kw_added": searched.total_kw(network, labels.step_kw),
            "injected_kw": searched.injected_kw(network, labels.step_kw),
            "is_least": least.answering == number,
            "total_base_net_import_kw": load_kw,
            "total_base_net_export_kw": generation_kw,
        },
        labels.metadata,
    )


def joined_findings(found: Iterable[tuple[str, Finding]]) -> list[Finding]:
    """Equal findings of several searches as one, its message led by where it was found.

    Args:
        found: Findings, each with the search it is about in words; empty where there is one search alone.
    """
    places: dict[Finding, list[str]] = {}
    for where, finding in found:
        places.setdefault(finding, []).append(where)
    return [
        attrs.evolve(finding, message=f"{some(where, most=2)}: {finding.message}") if where[0] else finding
        for finding, where in places.items()
    ]


def search_words(searched: Searched, *, directions: int, instants: int) -> str:
    """Which of several searches: ``export at 2025-01-01T12:30Z``; empty where there is one alone."""
    words = [searched.direction.value] if directions > 1 else []
    words += [f"at {instant_words(searched.instant)}"] if instants > 1 else []
    return " ".join(words)
