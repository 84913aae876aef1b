"""A reported level is re-verified by bare engine solves: whole at the level, broken at the next step.

Shares no code with the product but its answer: the model is compiled, growth is added as new loads, and one
element's volts or amps are read with the engine's own calls.
"""

from __future__ import annotations

import math
import random
from pathlib import Path
from typing import Any

import numpy as np
import opendssdirect
import pytest
from studying import Case, answers, demo_cases, real_cases

from hostcap.network import Network
from hostcap.tables import Results

NODE = {"A": 1, "B": 2, "C": 3}


def bare_start(case: Case) -> Any:
    dss = opendssdirect.dss.NewContext()
    dss.Basic.AllowChangeDir(False)
    dss.Text.Command("clear")
    dss.Text.Command(f"set defaultbasefrequency={case.frequency_hz}")
    dss.Text.Command(f'compile "{case.master}"')
    if case.voltage_bases_kv:
        dss.Text.Command(f"set voltagebases={list(case.voltage_bases_kv)}")
        dss.Text.Command("calcvoltagebases")
    if case.initial != "as-modelled":
        for kind in ("generator", "pvsystem", "storage"):
            dss.Text.Command(f"batchedit {kind}..* enabled=no")
        dss.Text.Command(f"batchedit load..* kw={case.load_kw} kvar={case.load_kvar} status=fixed")
    dss.Text.Command("set maxiterations=100 maxcontroliter=200")
    dss.Text.Command("solve mode=snapshot")
    dss.Text.Command("set controlmode=off tolerance=1e-8")
    return dss


def grown(dss: Any, case: Case, customers: list[dict[str, Any]], growth_kw: dict[str, float]) -> None:
    """Growth as new loads beside those of the customers, by name."""
    dss.Text.Command("solve")
    for number, row in enumerate(customers):
        dss.Loads.Name(row["conducting_equipment_mrid"])
        bus, phases = dss.CktElement.BusNames()[0], dss.CktElement.NumPhases()
        connection = "delta" if dss.Loads.IsDelta() else "wye"
        kv = dss.Loads.kV()
        kw = float(growth_kw[row["usage_point_id"]]) * (-1 if case.direction == "export" else 1)
        kvar = math.copysign(abs(kw) * math.tan(math.acos(abs(case.power_factor))), case.power_factor)
        dss.Text.Command(
            f"new load.grown{number} bus1={bus} phases={phases} conn={connection} kv={kv!r} kw={kw!r} kvar={kvar!r} "
            "vminpu=0.7 vmaxpu=2 vlowpu=0.5 model=1 status=fixed"
        )
    dss.Text.Command("solve")


def measured(dss: Any, row: dict[str, Any]) -> float:
    """The value of a binding violation's row, read with the engine's own calls, in its unit."""
    name, phase = row["conducting_equipment_mrid"], row["phase"]
    if row["conducting_equipment_type"] == "Bus":
        dss.Circuit.SetActiveBus(name)
        nodes, volts = dss.Bus.Nodes(), dss.Bus.VMagAngle()[::2]
        volt = volts[nodes.index(NODE[phase])]
        return volt if row["unit"] == "V" else volt / (dss.Bus.kVBase() * 1000.0)
    dss.Circuit.SetActiveElement(f"{row['conducting_equipment_type']}.{name}")
    conductors = dss.CktElement.NumConductors()
    first = (row["terminal_sequence_number"] - 1) * conductors
    amps = dss.CktElement.CurrentsMagAng()[::2][first : first + conductors]
    numbers = dss.CktElement.NodeOrder()[first : first + conductors]
    return max(a for a, n in zip(amps, numbers, strict=True) if n in {NODE[letter] for letter in phase})


def broken(value: float, row: dict[str, Any]) -> bool:
    limit = row["constraint_limit"]
    excess = limit - value if row["metric"] == "voltage-low" else value - limit
    return excess > 1e-6 * abs(limit)


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
