"""What two runs of one study say, to be compared: every group, location and instant, and what binds it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hostcap.tables import Results

KEYS = {
    "lv_group_hosting_capacity": ("headroom_kw_per_customer", "breached_after_lock_at"),
    "headroom_profile": ("headroom_kw_per_customer", "is_least"),
    "hv_node_headroom": ("available_headroom_kw", "injected_kw"),
    "hv_node_headroom_profile": ("available_headroom_kw", "is_least"),
}
WHERE = ("feeder", "timestamp", "headroom_direction", "capacity_group_head_id", "location_type", "terminal_mrid")


def answers(results: Results) -> dict[tuple[Any, ...], Any]:
    """What is said of each group, location and instant."""
    found = {}
    for table, columns in KEYS.items():
        for row in results[table].rows() if table in results else ():
            what = tuple(round(row[c], 9) if isinstance(row[c], float) else row[c] for c in columns)
            found[table, *(row.get(column) for column in WHERE)] = (row["status"], *what)
    return found


def bindings(results: Results) -> dict[tuple[Any, ...], tuple[Any, ...]]:
    """The binding violation of each answer: what, and by how much."""
    sets = {row["binding_id"]: row for row in results["constraint_violations"].rows() if row["binding"]}
    found = {}
    for table in ("lv_group_hosting_capacity", "hv_node_headroom"):
        for row in results[table].rows() if table in results else ():
            what = sets.get(row["binding_id"])
            found[tuple(row.get(column) for column in WHERE)] = () if what is None else binding(what)
    return found


def binding(row: Mapping[str, Any]) -> tuple[Any, ...]:
    place = ("conducting_equipment_mrid", "terminal_sequence_number", "phase")
    excess = abs(row["violating_value"] - row["constraint_limit"]) / abs(row["constraint_limit"])
    return row["metric"], row["iteration"], excess, *(row[column] for column in place)


def same(one: tuple[Any, ...], other: tuple[Any, ...]) -> bool:
    """One metric and step, and one place, or another of the same excess."""
    if not one or not other:
        return one == other
    return one[:2] == other[:2] and abs(one[2] - other[2]) < (2e-6 if one[3:] != other[3:] else 1e-6)


def assert_one_answer(ours: Results, theirs: Results) -> None:
    """Equal answers everywhere; binding violations of one metric, step and excess."""
    assert not ours.failed and not theirs.failed, (ours.failed, theirs.failed)
    left, right = answers(ours), answers(theirs)
    assert len(left) > 0
    assert list(left) == list(right)
    assert {key: (left[key], right[key]) for key in right if left[key] != right[key]} == {}
    left, right = bindings(ours), bindings(theirs)
    assert {key: (left[key], right[key]) for key in right if not same(left[key], right[key])} == {}
