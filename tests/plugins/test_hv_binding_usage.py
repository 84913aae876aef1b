"""Table ``binding_usage`` of HV node headroom: laws on the demo feeder, and an oracle on bare engines of real ones."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest
from hv_studying import HvCase
from usage_oracle import GROWTH, State

from hostcap.tables import Results
from hostcap_stock.headroom.usage_summary import by_limit

DEMO: dict[str, Any] = {
    "frequency_hz": 50.0,
    "initial": "fixed-load",
    "load_kw": 0.4,
    "step_kw": 50.0,
    "max_steps": 200,
    "voltage_bases_kv": (22.0, 0.4),
    "lv": (0.9, 1.13),
}


def demo(demo_folder: Path, **changes: Any) -> HvCase:
    return HvCase(master=demo_folder / "feeder" / "Master.dss", **(DEMO | changes))


def sets_of(results: Results) -> dict[str, list[dict[str, Any]]]:
    """Rows by binding set."""
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in results["binding_usage"].rows():
        found[row["binding_id"]].append(row)
    return found


def binding_of(results: Results) -> dict[str, dict[str, Any]]:
    return {row["binding_id"]: row for row in results["constraint_violations"].rows() if row["binding"]}


@pytest.mark.parametrize("solver", ["batched", "opendss"])
@pytest.mark.parametrize("direction", ["export", "import", "both"])
def test_every_location_that_is_stopped_has_shares_that_add_up(demo_folder: Path, solver: str, direction: str) -> None:
    changes: dict[str, Any] = {"solver": {"plugin": solver}, "injection": {"direction": direction}}
    results = demo(demo_folder).run(**changes)
    nodes = [row for row in results["hv_node_headroom"].rows() if row["binding_id"]]
    found = sets_of(results)
    assert nodes and set(found) == {row["binding_id"] for row in nodes}
    for key, rows in found.items():
        shares: dict[str, float] = defaultdict(float)
        for row in rows:
            shares[row["side"]] += row["share"]
        assert list(shares.values()) == pytest.approx([1.0] * len(shares), abs=1e-5)
        binding = binding_of(results)[key]
        assert {row["violation_id"] for row in rows} == {binding["violation_id"]}
        grown = {row["user_id"] for row in rows if row["part"] == "growth"}
        assert len(grown) <= 1, "one location grows, and nobody else"
        assert {row["user_kind"] for row in rows if row["part"] == "growth"} <= {"location"}
    (lines,) = by_limit(results)
    assert len(list(lines.rows())) == min(12, len(found))
    more = f"12 of {len(found)} limits that bind; binding_usage has all of them" if len(found) > 12 else None
    assert lines.metadata.get("note") == more
    stops = [row["stops"].partition(" and ")[0] for row in lines.rows()]
    assert set(stops) <= {row["terminal_mrid"] for row in nodes}


def test_both_solvers_name_the_same_users(demo_folder: Path) -> None:
    key = ("side", "user_kind", "user_id", "part")
    first, second = (
        {
            (*(row[k] for k in key), row["conducting_equipment_mrid"], row["phase"], name): row["share"]
            for name, rows in enumerate(sets_of(demo(demo_folder).run(solver={"plugin": plugin})).values())
            for row in rows
            if abs(row["share"]) > 1e-4
        }
        for plugin in ("batched", "opendss")
    )
    assert first == pytest.approx(second, abs=1e-4)


def test_instants_explain_the_one_that_answers(demo_folder: Path) -> None:
    """As-modelled at one instant is the same as without: and a broken start says why nobody is behind it."""
    results = demo(demo_folder, lv=(0.94, 1.001)).run()
    unknown = [row for row in results["findings"].rows() if row["code"] == "binding-usage-unknown"]
    assert [row["count"] for row in unknown] == [1], "all locations share the broken start"
    assert "broken at the start" in unknown[0]["message"]
    assert list(results["binding_usage"].rows()) == []


def test_without_the_setting_there_is_no_table(demo_folder: Path) -> None:
    assert "binding_usage" not in demo(demo_folder).run(study={"binding_usage": False}).names


REAL = {
    "cre21 import": HvCase(
        master=Path("au-cre21-mvlv/Network-CRE21/Master.txt"),
        frequency_hz=50.0,
        initial="fixed-load",
        load_kw=1.0,
        load_kvar=0.3,
        step_kw=50.0,
        max_steps=100,
        direction="import",
        kinds=("dtx-hv-terminal",),
        voltage_bases_kv=(66.0, 22.0, 0.400, 0.2309),
    ),
    "p1uhs23 export": HvCase(
        master=Path("us-smartds-p1uhs23/substations/p1uhs23_1247/Master.dss"),
        frequency_hz=60.0,
        initial="as-modelled",
        step_kw=10.0,
        max_steps=400,
        hv=(0.95, 1.05),
        thermal_percent=150.0,
    ),
}


@pytest.mark.shared
@pytest.mark.parametrize("name", [pytest.param("cre21 import", marks=pytest.mark.slow), "p1uhs23 export"])
def test_against_inverse_and_test_currents_on_a_bare_engine(name: str, networks: Path) -> None:
    """Some locations of each kind of limit: kW of every user within 0.01 % of the flow, moves within 0.5 %."""
    case = attrs.evolve(REAL[name], master=networks / REAL[name].master)
    results = case.run()
    binding, seen = binding_of(results), {"thermal": 0, "voltage": 0}
    found = sets_of(results)
    for node in results["hv_node_headroom"].rows():
        limit = binding.get(node["binding_id"])
        kind = "" if limit is None else str(limit["metric"]).partition("-")[0]
        if limit is None or node["iteration"] == 0 or seen.get(kind, 9) >= (1 if name.startswith("cre21") else 2):
            continue
        rows = found[node["binding_id"]]
        grown = next(row["user_id"] for row in rows if row["part"] == "growth")
        bus, *phases = grown.split(".")
        state = State(bus=bus, phases=[int(p) for p in phases], steps=node["iteration"], **_state_arguments(case))
        if kind == "thermal":
            _same_flow(state, limit, rows)
        else:
            _same_moves(state, limit, rows)
        seen[kind] += 1
    assert seen["thermal"] > 0, seen
    assert name != "p1uhs23 export" or seen["voltage"] > 0, seen


def _state_arguments(case: HvCase) -> dict[str, Any]:
    left_out = ("kinds", "lv_percentile", "max_steps", "power_factor", "tolerance_pu")
    return {"master": case.master} | {name: v for name, v in case.arguments.items() if name not in left_out}


def _same_flow(state: State, limit: dict[str, Any], rows: list[dict[str, Any]]) -> None:
    supplied, taken = state.behind(limit["conducting_equipment_mrid"])
    for side, theirs in (("supplies", supplied), ("takes", taken)):
        whole = sum(theirs.values())
        expected: dict[tuple[str, str], float] = defaultdict(float)
        for user, kw in theirs.items():
            expected[_who(state, user)] += kw
        ours: dict[tuple[str, str], float] = defaultdict(float)
        for row in rows:
            if row["side"] == side:
                place = (row["user_kind"], row["user_id"])
                ours[("network", "") if row["user_kind"] == "network" else place] += row["kw"]
        ours = {(GROWTH, "") if kind == "location" else (kind, user): kw for (kind, user), kw in ours.items()}
        for who in {*expected, *ours}:
            assert ours.get(who, 0.0) == pytest.approx(expected.get(who, 0.0), abs=1e-4 * whole), (side, who)


def _who(state: State, user: str) -> tuple[str, str]:
    if user == GROWTH:
        return GROWTH, ""
    if user.startswith(("rest at", "losses of")):
        return "network", ""
    state.d.Loads.Name(user)
    bus = state.d.CktElement.BusNames()[0].split(".")[0].lower()
    return ("group", state.group[bus]) if bus in state.group else ("customer", user)


def _same_moves(state: State, limit: dict[str, Any], rows: list[dict[str, Any]]) -> None:
    node = f"{limit['conducting_equipment_mrid']}.{' ABC'.index(limit['phase'])}"
    change = abs(state.node_v[node]) - abs(state.start_v[node])
    unit = 1.0 if limit["unit"] == "V" else 1.0 / (limit["v_base"] / np.sqrt(3.0))
    assert sum(row["change"] for row in rows) == pytest.approx(change * unit, rel=0.05), "the sum is the change"
    of_group: dict[str, list[str]] = defaultdict(list)
    for user in state.start_a:
        if user != "oracle_growth":
            kind, who = _who(state, user)
            of_group[who if kind == "group" else ""].append(user)
    largest = sorted((row for row in rows if row["user_kind"] == "group"), key=lambda row: -abs(row["share"]))[:3]
    wanted = {row["user_id"]: of_group[row["user_id"]] for row in largest}
    moved = state.moved(node, ["oracle_growth", *(user for users in wanted.values() for user in users)])
    (own,) = [row["change"] for row in rows if row["user_kind"] == "location"]
    assert own == pytest.approx(moved["oracle_growth"] * unit, rel=5e-3)
    assert own == pytest.approx(change * unit, rel=0.05), "what grows alone moves the voltage, all but for loads"
    for row in largest:
        expected = sum(moved[user] for user in wanted[row["user_id"]]) * unit
        assert row["change"] == pytest.approx(expected, rel=5e-3, abs=1e-4 * abs(change * unit))
