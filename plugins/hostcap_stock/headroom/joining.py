"""One set of tables from all searches of a feeder: directions one after the other, each group at its own instant."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import attrs
import numpy as np

from hostcap._arrays import IntArray
from hostcap.findings import Finding, Severity, some
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


IN_FULL = 3
"""Findings of one kind that differ from search to search: so many are told in full, the rest is counted."""


def joined_findings(found: Iterable[tuple[str, Finding]]) -> list[Finding]:
    """Findings of several searches: equal ones as one, its message led by where it was found; of many alike a few.

    Args:
        found: Findings, each with the search it is about in words; empty where it is about all of them.
    """
    places: dict[Finding, list[str]] = {}
    for where, finding in found:
        places.setdefault(finding, []).append(where)
    told: dict[tuple[Severity, str], list[Finding]] = {}
    more: dict[tuple[Severity, str], list[str]] = {}
    for finding, at in places.items():
        kind = (finding.severity, finding.code)
        if at[0] and len(told.setdefault(kind, [])) == IN_FULL:
            more.setdefault(kind, []).extend(at)
        elif at[0]:
            told[kind].append(attrs.evolve(finding, message=f"{some(at, most=2)}: {finding.message}"))
        else:
            told.setdefault(kind, []).append(finding)
    return [
        finding for kind, findings in told.items() for finding in (*findings, *_counted(findings, more.get(kind, [])))
    ]


def _counted(told: Sequence[Finding], where: Sequence[str]) -> list[Finding]:
    """One finding in place of those that are like the ones told, at further searches."""
    distinct = list(dict.fromkeys(where))
    if not distinct:
        return []
    message = f"{some(distinct, most=2)}: the same with other numbers; search these instants alone to read them"
    return [attrs.evolve(told[-1], element=some(distinct), count=len(where), kw=None, message=message)]


def search_words(searched: Searched, *, directions: int, instants: int) -> str:
    """Which of several searches: ``export at 2025-01-01T12:30Z``; empty where there is one alone."""
    words = [searched.direction.value] if directions > 1 else []
    words += [f"at {instant_words(searched.instant)}"] if instants > 1 else []
    return " ".join(words)
