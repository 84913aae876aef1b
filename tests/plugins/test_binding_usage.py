"""Table ``binding_usage``: laws, one case by hand, and voltages moved again by single customers."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest
from studying import Case

from hostcap.growth import Direction, customer_growth
from hostcap.limits import LimitSet
from hostcap.operating_point import FeederScope
from hostcap.plugins.kinds import Moment
from hostcap.power_flow import Settling
from hostcap.running import run
from hostcap.tables import Results
from hostcap_stock.batched.config import BatchedConfig
from hostcap_stock.batched.solver import BatchedSolver
from hostcap_stock.constraints.config import ThermalConfig
from hostcap_stock.constraints.thermal import Thermal
from hostcap_stock.headroom.usage_summary import by_limit
from hostcap_stock.initial_states import ZeroLoad
from hostcap_stock.injections import NegativeLoad
from hostcap_stock.opendss.config import OpenDssConfig
from hostcap_stock.opendss.source import OpenDssSource

# A short cable of 100 A behind a stiff transformer; one load on phase A before it grows, two customers behind it.
CABLE = """
clear
new circuit.c basekv=11 phases=3 bus1=grid mvasc3=5000 mvasc1=5000
new transformer.tx phases=3 buses=[grid lv] conns=[delta wye] kvs=[11 0.4] kvas=[2000 2000] xhl=1 %loadloss=0.01
new linecode.k nphases=3 r1=0.0001 x1=0.0001 r0=0.0001 x0=0.0001 c1=0 c0=0 units=km normamps=100 emergamps=150
new line.cable phases=3 bus1=lv bus2=end linecode=k length=0.01 units=km
new load.one bus1=end.1 phases=1 kv=0.230940 kw=6 kvar=0 model=1
new load.two bus1=end.1 phases=1 kv=0.230940 kw=2 kvar=0 model=1
new load.there bus1=lv.1 phases=1 kv=0.230940 kw=5 kvar=0 model=1
set voltagebases=[11 0.4]
calcvoltagebases
solve
"""


def case_of(master: Path, **changes: Any) -> Case:
    given: dict[str, Any] = {
        "master": master,
        "frequency_hz": 50.0,
        "initial": "as-modelled",
        "direction": "import",
        "step_kw": 0.1,
        "max_steps": 300,
        "lv": (None, None),
        "hv": (0.5, 1.5),
    }
    return Case(**(given | changes))


def results_of(case: Case, **more: Any) -> Results:
    results = run(case.work_package(**more))
    assert not results.failed
    return results


def rows_of(results: Results) -> list[dict[str, Any]]:
    return list(results["binding_usage"].rows())


@pytest.fixture
def cable(tmp_path: Path) -> Case:
    path = tmp_path / "Master.dss"
    path.write_text(CABLE)
    return case_of(path)


def test_the_cable_by_hand(cable: Case) -> None:
    """100 A at 230.9 V are 23.1 kW; 8 kW are there before, so that each of two grows by 7.6 kW at the breaking step."""
    results = results_of(cable)
    rows = [r for r in rows_of(results) if r["side"] == "takes"]
    assert {(r["conducting_equipment_mrid"], r["phase"], r["metric"]) for r in rows} == {("cable", "A", "thermal")}
    assert {r["method"] for r in rows} == {"traced-phase"}
    kw = {(r["user_id"], r["part"]): r["kw"] for r in rows}
    assert kw == {
        ("one", "growth"): pytest.approx(7.6, rel=1e-3),
        ("two", "growth"): pytest.approx(7.6, rel=1e-3),
        ("one", "existing"): pytest.approx(6.0, rel=1e-3),
        ("two", "existing"): pytest.approx(2.0, rel=1e-3),
    }
    share = {(r["user_id"], r["part"]): r["share"] for r in rows}
    assert share["one", "existing"] == pytest.approx(6.0 / 23.2, rel=1e-3)
    (supply,) = [r for r in rows_of(results) if r["side"] == "supplies"]
    assert (supply["user_kind"], supply["share"]) == ("network", pytest.approx(1.0))
    (line,) = by_limit(results)[0].rows()
    assert (line["growth"], line["existing"]) == ("65.5 %", "34.5 %")


def test_export_is_supplied_by_growth_and_taken_by_the_network(cable: Case, tmp_path: Path) -> None:
    """Exporting 23.1 kW over the cable: 8 kW of load stand there, so that growth feeds them first, in proportion."""
    export = case_of(cable.master, direction="export")
    rows = [r for r in rows_of(results_of(export)) if r["side"] == "supplies"]
    assert {(r["user_id"], r["part"]) for r in rows} == {("one", "growth"), ("two", "growth")}
    assert [r["share"] for r in rows] == pytest.approx([0.5, 0.5])
    assert sum(r["kw"] for r in rows) == pytest.approx(23.1, rel=0.01)


@pytest.mark.parametrize("solver", ["batched", "opendss"])
@pytest.mark.parametrize("direction", ["export", "import"])
def test_shares_of_every_side_add_up_and_changes_are_those_of_the_tables(
    demo_folder: Path, solver: str, direction: str
) -> None:
    case = case_of(
        demo_folder / "feeder" / "Master.dss",
        direction=direction,
        initial="fixed-load",
        load_kw=0.4,
        voltage_bases_kv=(22.0, 0.4),
        lv=(0.94, 1.1),
        lv_unit="pu",
        hv=(0.94, 1.06),
        max_steps=150,
    )
    results = results_of(case, solver={"plugin": solver})
    found, changes = defaultdict(float), defaultdict(float)
    for row in rows_of(results):
        found[row["violation_id"], row["side"]] += row["share"]
        if row["method"] == "sensitivity":
            changes[row["violation_id"]] += row["change"]
            assert np.isnan(row["kw"])
        else:
            assert row["kw"] > 0 and np.isnan(row["change"])
    assert list(found.values()) == pytest.approx([1.0] * len(found), abs=1e-4)
    binding = {r["violation_id"]: r for r in results["constraint_violations"].rows() if r["binding"]}
    assert set(changes) <= set(binding) and {key for key, _ in found} <= set(binding)
    start = (
        {(r["bus"], r["phase"]): r for r in results["node_voltages"].rows()} if "node_voltages" in results.names else {}
    )
    for key, change in changes.items():
        row = binding[key]
        place = start.get((row["conducting_equipment_mrid"], row["phase"]))
        if place is not None and row["unit"] == "V":
            assert change == pytest.approx(row["violating_value"] - place["start_v"], rel=1e-3)
    assert changes and len(changes) < len(found), "both kinds"
    at_start = {key for key, row in binding.items() if row["iteration"] == 0 and row["metric"] != "thermal"}
    assert {key for key, _ in found} == set(binding) - at_start
    unknown = [row for row in results["findings"].rows() if row["code"] == "binding-usage-unknown"]
    assert sum(row["count"] for row in unknown) == len(at_start)
    assert all("broken at the start" in row["message"] for row in unknown)


def test_both_solvers_name_the_same_users(demo_folder: Path) -> None:
    case = case_of(demo_folder / "feeder" / "Master.dss", direction="export", initial="zero-load", max_steps=150)
    first, second = (rows_of(results_of(case, solver={"plugin": name})) for name in ("batched", "opendss"))
    key = ("conducting_equipment_mrid", "side", "user_kind", "user_id", "part")

    def shares(rows: list[dict[str, Any]]) -> dict[tuple[str, ...], float]:
        return {tuple(row[k] for k in key): row["share"] for row in rows if abs(row["share"]) > 1e-4}

    assert shares(first) == pytest.approx(shares(second), abs=1e-4)


def test_a_customer_alone_moves_the_voltage_by_its_part(demo_folder: Path) -> None:
    """The growth of one customer at a time, solved again from the start: within 5 % of its part, where it is large."""
    master = demo_folder / "feeder" / "Master.dss"
    case = case_of(
        master,
        direction="export",
        initial="zero-load",
        max_steps=150,
        lv=(None, 1.1),
        lv_unit="pu",
        thermal_percent=900.0,
    )
    results = results_of(case)
    rows = [r for r in rows_of(results) if r["method"] == "sensitivity" and r["user_kind"] == "customer"]
    binding = {r["violation_id"]: r for r in results["constraint_violations"].rows()}
    source = OpenDssSource(config=OpenDssConfig(master=master, frequency_hz=50.0))
    network = source.load("f")
    point = ZeroLoad().operating_point(network, FeederScope(feeder="f", year=2025), None)
    compared = 0
    with source.freeze(network, point, Settling()) as frozen:
        unit = NegativeLoad().unit(Direction.EXPORT, Moment(network=network, instant=point.instant))
        limits = LimitSet(Thermal(config=ThermalConfig()).limits(network), group_count=len(network.groups))
        names = network.node_names(np.arange(network.nodes.bus.size))
        for row in sorted(rows, key=lambda r: -abs(r["share"]))[:6]:
            limit = binding[row["violation_id"]]
            step = np.zeros(network.customers.id.size)
            step[network.customers.id == row["user_id"]] = 0.1
            plan = BatchedSolver(config=BatchedConfig(tolerance_pu=1e-9)).plan(
                frozen, customer_growth(network, step, unit), limits
            )
            levels = np.full((1, len(network.groups)), limit["iteration"], dtype=np.int32)
            solution = plan.solve(levels, want={"nodes"}).solution
            assert solution is not None
            node = names.index(f"{limit['conducting_equipment_mrid']}.{' ABC'.index(limit['phase'])}")
            moved = abs(solution.node_v[0, node]) - abs(frozen.start.node_v[0, node])
            plan.close()
            assert moved == pytest.approx(row["change"], rel=0.08)
            compared += 1
    assert compared == 6


def test_the_voltage_of_a_percentile_is_explained_as_that_of_its_node(demo_folder: Path) -> None:
    """A measure, and no linear form: its value is a node's voltage, and so is what moved it."""
    case = case_of(
        demo_folder / "feeder" / "Master.dss",
        direction="export",
        initial="zero-load",
        max_steps=150,
        lv=(None, 1.1),
        lv_unit="pu",
        thermal_percent=900.0,
    )
    found = {}
    for name, changes in (("every", {}), ("percentile", {"lv_percentile": 80})):
        results = results_of(attrs.evolve(case, **changes))
        broken = [r for r in results["constraint_violations"].rows() if r["binding"] and r["iteration"]]
        binding = {r["violation_id"]: r for r in broken}
        start = {(r["bus"], r["phase"]): r["start_v"] for r in results["node_voltages"].rows()}
        change: dict[str, float] = defaultdict(float)
        for row in rows_of(results):
            change[row["violation_id"]] += row["change"]
        assert set(change) == set(binding) and binding
        for key, moved in change.items():
            row = binding[key]
            at_start = start[row["conducting_equipment_mrid"], row["phase"]]
            assert moved == pytest.approx(row["violating_value"] - at_start, rel=1e-3)
        found[name] = {r["conducting_equipment_mrid"] for r in binding.values()}
        unknown = [row["message"] for row in results["findings"].rows() if row["code"] == "binding-usage-unknown"]
        assert all("broken at the start" in message for message in unknown)
    assert found["every"] != found["percentile"], "another node binds"


def test_without_the_setting_there_is_no_table(cable: Case) -> None:
    results = results_of(cable, binding_usage=False)
    assert "binding_usage" not in results.names
    assert by_limit(results) == []


# Phases B and C of the second line come from nowhere: dead conductors, in which the live one induces a voltage.
DEAD = """
clear
new circuit.c basekv=11 phases=3 bus1=grid mvasc3=500
new transformer.tx phases=3 buses=[grid lv] conns=[delta wye] kvs=[11 0.4] kvas=[200 200] xhl=4
new linecode.k nphases=3 r1=0.3 x1=0.1 r0=1.5 x0=0.9 c1=10 c0=5 units=km normamps=900
new line.one phases=1 bus1=lv.1 bus2=a.1 r1=0.3 x1=0.1 length=0.1 units=km
new line.two bus1=a.1.2.3 bus2=b.1.2.3 linecode=k length=0.3 units=km
new load.x bus1=b.1 phases=1 kv=0.230940 kw=1 kvar=0
new load.y bus1=lv.2 phases=1 kv=0.230940 kw=1 kvar=0
set voltagebases=[11 0.4]
calcvoltagebases
solve
"""


def test_dead_conductors_take_part_and_parts_add_up(tmp_path: Path) -> None:
    path = tmp_path / "Master.dss"
    path.write_text(DEAD)
    results = results_of(case_of(path, direction="import", lv=(200.0, None), thermal_percent=900.0))
    rows = rows_of(results)
    assert {(r["method"], r["conducting_equipment_mrid"]) for r in rows} == {("sensitivity", "b")}
    assert sum(r["share"] for r in rows) == pytest.approx(1.0, abs=1e-5)
    assert max(rows, key=lambda r: r["share"])["user_id"] == "x"
