"""Feeders whose LV networks are not modelled: refused by ``lv-headroom``, searched by ``hv-node-headroom``."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import attrs
import pytest
from click.testing import CliRunner
from hv_oracle import oracle
from hv_studying import HvCase, across, differing, locations

from hostcap.cli.main import main
from hostcap.config import structure_study
from hostcap.errors import ModelError
from hostcap.plugins import default_registry
from hostcap.running import check, run
from hostcap.work_package import WorkPackage
from hostcap_stock.constraints.thermal import Thermal
from hostcap_stock.headroom import LVHeadroom
from hostcap_stock.opendss.config import OpenDssConfig
from hostcap_stock.opendss.source import OpenDssSource

MODEL = """\
clear
new circuit.f bus1=src basekv=22 pu=1 r1=0.0001 x1=0.0001 r0=0.0001 x0=0.0001
new linecode.c nphases=3 basefreq=50 r1=0.3 x1=0.35 r0=0.3 x0=0.35 c1=0 c0=0 units=km normamps=400
new line.l1 bus1=src bus2=a length=5 units=km linecode=c
new line.l2 bus1=a bus2=b length=5 units=km linecode=c switch=yes
new load.mine bus1=b phases=3 kv=22 kw=300 kvar=0 model=1
new load.mill bus1=a phases=3 kv=22 kw=200 kvar=0 model=1
set voltagebases=[22]
calcvoltagebases
"""
STEP_KW, LIMIT_PU = 100.0, 1.03
FOUND = "no LV customer (a load at a bus below 1 kV line-to-line); found 2 HV loads: mine, mill"
READINGS = """\
time,customer,import
2025-01-01T01:00Z,mine,100
2025-01-01T01:00Z,mill,100
2025-01-01T02:00Z,mine,900
2025-01-01T02:00Z,mill,0
"""


def at(hour: int) -> datetime:
    return datetime(2025, 1, 1, hour, tzinfo=UTC)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "Master.dss").write_text(MODEL)
    (tmp_path / "readings.csv").write_text(READINGS)
    return tmp_path


def document(study: str, initial: dict[str, Any], **more: Any) -> dict[str, Any]:
    step = {"lv-headroom": "step_kw_per_customer", "hv-node-headroom": "step_kw_per_node"}[study]
    own: dict[str, Any] = {"plugin": study, step: STEP_KW}
    if study == "hv-node-headroom":
        own |= {"max_steps_per_node": 400, "location_kinds": ["switch-upstream-terminal"]}
    return {
        "name": "hv alone",
        "scope": {"feeders": ["f"], "year": 2025},
        "network": {"plugin": "opendss", "master": "Master.dss", "frequency_hz": 50},
        "study": own,
        "initial_state": initial,
        "constraints": [{"plugin": "voltage", "hv_max_pu": LIMIT_PU}],
        **more,
    }


def package(folder: Path, *arguments: Any, **more: Any) -> WorkPackage:
    return WorkPackage(document=structure_study(document(*arguments, **more), folder, default_registry()))


def test_growth_of_customers_is_refused_with_the_hv_loads_named_in_run_check_and_python(folder: Path) -> None:
    given = package(folder, "lv-headroom", {"plugin": "zero-load"})
    network = OpenDssSource(config=OpenDssConfig(master=folder / "Master.dss", frequency_hz=50.0)).load("f")
    assert FOUND in run(given).failed["f"] and FOUND in check(given).failed["f"]
    for ask in (LVHeadroom(constraints=[Thermal()]).run, LVHeadroom(constraints=[Thermal()]).check):
        with pytest.raises(ModelError) as caught:
            ask(network)
        assert FOUND in str(caught.value) and "hv-node-headroom" in str(caught.value)


@pytest.mark.parametrize("command", ["run", "check", "bench"])
def test_the_command_line_refuses_it_with_the_code_of_a_failed_feeder(command: str, folder: Path) -> None:
    text = """
    name = "x"
    scope = {feeders = ["f"], year = 2025}
    network = {plugin = "opendss", master = "Master.dss", frequency_hz = 50}
    study = {plugin = "lv-headroom"}
    constraints = [{plugin = "thermal"}]
    """
    (folder / "study.toml").write_text(text)
    result = CliRunner().invoke(main, [command, str(folder / "study.toml")])
    assert result.exit_code == 3
    assert FOUND in result.output


def allowed_kw(start_kw: float, far_kw: float) -> float:
    """Largest export at bus a, 5 km from the source, by the closed form of two buses; the far load is 5 km further."""
    z = complex(1.5, 1.75)
    for n in range(1, 401):
        v = 22_000.0
        for _ in range(60):  # the far load draws what its own line loses, too
            far = across(v, z, complex(far_kw * 1e3))
            loss = abs((v - far) / z) ** 2 * z
            v = abs(across(22_000.0, z + complex(1e-4, 1e-4), (start_kw - n * STEP_KW) * 1e3 + far_kw * 1e3 + loss))
        if v > LIMIT_PU * 22_000.0:
            return (n - 1) * STEP_KW
    return 400 * STEP_KW


@pytest.mark.parametrize(
    ("initial", "near_kw", "far_kw"),
    [
        ({"plugin": "zero-load"}, 0.0, 0.0),
        ({"plugin": "as-modelled"}, 200.0, 300.0),
        ({"plugin": "fixed-load", "load_kw_per_customer": 500.0}, 500.0, 500.0),
        (
            {"plugin": "peak-import", "start_time": at(0), "end_time": at(2)},
            0.0,
            900.0,
        ),
    ],
    ids=lambda value: value["plugin"] if isinstance(value, dict) else None,
)
def test_a_place_takes_what_the_closed_form_says_from_every_start(
    initial: dict[str, Any], near_kw: float, far_kw: float, folder: Path
) -> None:
    more: dict[str, Any] = {}
    if initial["plugin"] == "peak-import":
        readings = {"files": ["readings.csv"], "interval_minutes": 60, "unit": "kW", "import_column": "import"}
        more["profiles"] = {"plugin": "table", "readings": readings}
    results = run(package(folder, "hv-node-headroom", initial, **more))
    assert not results.failed
    (row,) = results["hv_node_headroom"].rows()
    assert (row["conducting_equipment_mrid"], row["status"]) == ("l2", "bound")
    # Bus a has the highest voltage; without load beyond it, b has the same.
    assert row["available_headroom_kw"] == allowed_kw(near_kw, far_kw)
    (told,) = [f for f in results["findings"].rows() if f["code"] == "no-lv-customer"]
    assert (told["element"], told["count"], told["kw"], told["severity"]) == ("mine, mill", 2, 500.0, "info")


def test_both_directions_and_panels_are_asked_too(folder: Path) -> None:
    (folder / "pv.csv").write_text("time,pv\n2025-01-01T01:00Z,0.5\n2025-01-01T02:00Z,0.8\n")
    series = {"files": ["pv.csv"], "interval_minutes": 60}
    initial = {"plugin": "zero-load", "start_time": at(1)}
    found = {}
    for name, more in (
        ("plain", {"injection": {"direction": "both"}}),
        (
            "panels",
            {
                "injection": {"plugin": "pv-system", "profile": "pv"},
                "profiles": {"plugin": "table", "series": series},
            },
        ),
    ):
        results = run(package(folder, "hv-node-headroom", initial, **more))
        assert not results.failed, results.failed
        for row in results["hv_node_headroom"].rows():
            found[name, row["headroom_direction"]] = row["available_headroom_kw"]
    assert found["plain", "import"] == 400 * STEP_KW  # nothing watches low voltage
    assert found["plain", "export"] == allowed_kw(0.0, 0.0)
    # Half a kW of each installed one: as many whole steps of twice the size.
    assert found["panels", "export"] // (2 * STEP_KW) == allowed_kw(0.0, 0.0) // STEP_KW


@pytest.mark.shared
@pytest.mark.parametrize(
    ("master", "initial", "direction"),
    [
        ("34Bus/ieee34Mod2.dss", "zero-load", "export"),
        ("34Bus/ieee34Mod2.dss", "fixed-load", "import"),
        ("123Bus/IEEE123Master.dss", "zero-load", "export"),
        ("123Bus/IEEE123Master.dss", "as-modelled", "import"),
    ],
)
@pytest.mark.parametrize("solver", ["batched", "opendss"])
def test_ieee_feeders_without_lv_customers_give_the_oracles_answer(
    master: str, initial: str, direction: str, solver: str, networks: Path
) -> None:
    """The oracle solves each state with bare engine calls, one place after the other."""
    case = HvCase(
        master=networks / "ieee-feeders" / master,
        frequency_hz=60.0,
        initial=initial,
        direction=direction,
        step_kw=400.0,
        max_steps=25,
        load_kw=2.0,
        hv=(0.85, 1.08),
    )
    expected = oracle(str(case.master), **case.arguments)
    found = locations(case.run(solver={"plugin": solver}), case.step_kw, case.direction)
    assert set(found) == set(expected)
    assert not differing(found, expected, 1e-6)
    assert "bound" in {row["status"] for row in found.values()}
    grown = attrs.evolve(case, max_steps=1).document()
    grown["study"] = {"plugin": "lv-headroom"}
    refused = run(WorkPackage(document=structure_study(grown, case.master.parent, default_registry())))
    assert "no LV customer" in refused.failed["f"] and "HV loads" in refused.failed["f"]
