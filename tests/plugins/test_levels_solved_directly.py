"""A reported level is re-verified by bare engine solves: whole at the level, broken at the next step.

Shares no code with the product but its answer: the model is compiled, growth is added as new loads, and one
element's volts or amps are read with the engine's own calls.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bare_engine import add_growth, again, broken, compiled, measured, snapshot
from studying import Case, answers, demo_cases, real_cases

from hostcap.network import Network
from hostcap.tables import Results


def bare_start(case: Case) -> Any:
    dss = compiled(case.master, case.frequency_hz, case.voltage_bases_kv or ())
    stated = [f"batchedit {kind}..* enabled=no" for kind in ("generator", "pvsystem", "storage")]
    stated.append(f"batchedit load..* kw={case.load_kw} kvar={case.load_kvar} status=fixed")
    return snapshot(dss, *(stated if case.initial != "as-modelled" else ()))


def grown(dss: Any, case: Case, customers: list[dict[str, Any]], growth_kw: dict[str, float]) -> None:
    """Growth as new loads beside those of the customers, by name."""
    sign = -1.0 if case.direction == "export" else 1.0
    kw = {row["conducting_equipment_mrid"]: sign * growth_kw[row["usage_point_id"]] for row in customers}
    add_growth(dss, kw, case.power_factor)
    again(dss)


def growth_at(
    step: int, case: Case, customers: list[dict[str, Any]], found: dict[str, dict[str, Any]]
) -> dict[str, float]:
    """kW of every customer at a step: a group is at the step until the one after its level, then at its level."""
    kw = {}
    for row in customers:
        level = found[row["capacity_group_head_id"]]["level"]
        kw[row["usage_point_id"]] = case.step_kw * (step if step <= level + 1 else level)
    return kw


def assert_group_whole(dss: Any, case: Case, network: Network, group: int) -> None:
    """Every live phase node and every rated conductor of a group is within its limits, by the engine's own reading."""
    nodes, conductors = network.nodes, network.conductors
    low, high = case.lv
    base = 1.0 if case.lv_unit == "v" else None
    for node in np.flatnonzero(nodes.live & ~nodes.neutral & (network.buses.group[nodes.bus] == group)):
        dss.Circuit.SetActiveBus(str(network.buses.name[nodes.bus[node]]))
        volt = dss.Bus.VMagAngle()[::2][dss.Bus.Nodes().index(int(nodes.number[node]))]
        nominal = base or dss.Bus.kVBase() * 1000.0
        assert low is None or volt >= low * nominal * (1.0 - 2e-6)
        assert high is None or volt <= high * nominal * (1.0 + 2e-6)
    rated = conductors.watched & (conductors.normal_a > 0) & (network.equipment.group[conductors.equipment] == group)
    for conductor in np.flatnonzero(rated):
        own = conductors.equipment[conductor]
        dss.Circuit.SetActiveElement(f"{network.equipment.kind[own]}.{network.equipment.name[own]}")
        first = int(np.argmax(conductors.equipment == own))
        amps = dss.CktElement.CurrentsMagAng()[::2][conductor - first]
        assert amps <= conductors.normal_a[conductor] * case.thermal_percent / 100.0 * (1.0 + 2e-6)


def check_groups(case: Case, results: Results, wanted: int) -> int:
    """Verify some bound groups; returns how many."""
    customers = list(results["customer_allocations"].rows())
    found = answers(results, case.step_kw)
    violations = list(results["constraint_violations"].rows())
    by_id = {row["binding_id"]: row for row in violations if row["binding"]}
    groups = [row for row in results["lv_group_hosting_capacity"].rows() if row["status"] == "bound"]
    chosen = random.Random(4).sample(groups, min(wanted, len(groups)))
    network = case.work_package().source().load("f")
    number = {str(name): index + 1 for index, name in enumerate(network.groups.id)}
    asked: dict[int, list[tuple[str, dict[str, Any]]]] = {}
    for group in chosen:
        name, row = group["capacity_group_head_id"], by_id[group["binding_id"]]
        assert row["iteration"] == found[name]["level"] + 1
        for step in (row["iteration"] - 1, row["iteration"]):
            asked.setdefault(step, []).append((name, row))
    for step, rows in asked.items():
        dss = bare_start(case)
        grown(dss, case, customers, growth_at(step, case, customers, found))
        for name, row in rows:
            value = measured(dss, row)
            assert broken(value, row) == (step == row["iteration"]), name
            if step == row["iteration"]:
                assert value == pytest.approx(row["violating_value"], rel=2e-5)
            else:
                assert_group_whole(dss, case, network, number[name])
        dss.Basic.ClearAll()
    return len(chosen)


def test_levels_of_the_demo_hold_when_solved_directly(demo_folder: Path) -> None:
    case = demo_cases(demo_folder)["export"]
    assert check_groups(case, case.run(), 20) == 6


@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("p1uhs23-export", 20),
        pytest.param("cre21-export", 20, marks=pytest.mark.slow),
        ("ckt5-export", 20),
        ("eu-lv-export", 1),
        ("csiro-n-import", 1),
    ],
)
def test_levels_of_real_feeders_hold_when_solved_directly(name: str, count: int, networks: Path) -> None:
    case = real_cases(networks)[name]
    assert check_groups(case, case.run(), count) == count
