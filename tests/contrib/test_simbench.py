"""The network source ``simbench``: the kit, and studies whose binding violations a bare power flow has as well."""

from __future__ import annotations

import copy
import math
import warnings
from pathlib import Path
from typing import Any

import pytest

from hostcap import WorkPackage, run
from hostcap.config import structure_study
from hostcap.errors import ModelError, PluginError
from hostcap.plugins import default_registry
from hostcap.testing import Case, NetworkSuite
from hostcap_contrib.simbench import plugin
from hostcap_contrib.simbench.config import SimbenchConfig
from hostcap_contrib.simbench.source import SimbenchSource

MISSING = "simbench is not installed: pip install 'hostcap[simbench]'"
MV_LV = "1-MVLV-rural-1.108-0-sw"
STEP_KW = {"lv-headroom": 0.5, "hv-node-headroom": 100.0}


def source(code: str) -> Any:
    pytest.importorskip("simbench", reason=MISSING)
    return plugin.SIMBENCH.make(SimbenchConfig(code=code))


class TestKit(NetworkSuite):
    @pytest.fixture
    def case(self) -> Case:
        pytest.importorskip("simbench", reason=MISSING)
        return Case(
            module="hostcap_contrib.simbench.plugin",
            kind="network",
            name="simbench",
            settings={"code": "1-LV-rural1--0-sw"},
            wrong=[{"code": ""}, {"code": 3}, {"code": "x", "emergency_factor": -1.0}],
        )


def test_without_the_package_it_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plugin, "find_spec", lambda name: None)
    with pytest.raises(PluginError, match=r"pandapower, simbench; pip install 'hostcap\[simbench\]'"):
        plugin.SIMBENCH.make(SimbenchConfig(code=MV_LV))
    with pytest.raises(PluginError, match=r"pandapower, simbench; pip install 'hostcap\[simbench\]'"):
        SimbenchSource(config=SimbenchConfig(code=MV_LV)).load("feeder")


def test_a_code_that_is_not_there_is_answered() -> None:
    with pytest.raises(ModelError, match="SimBench has no network '1-LV-rural1--0-sv'; did you mean"):
        source("1-LV-rural1--0-sv").load("feeder")


def test_networks_without_low_voltage_are_refused_with_their_loads() -> None:
    with pytest.raises(ModelError, match="no LV customer"):
        source("1-MV-rural--0-sw").load("feeder")


def study(kind: str, **own: Any) -> Any:
    pytest.importorskip("simbench", reason=MISSING)
    data = {
        "name": "simbench",
        "scope": {"feeders": [MV_LV], "year": 2025},
        "network": {"plugin": "simbench", "code": "{feeder}"},
        "study": {"plugin": kind, **own},
        "initial_state": {"plugin": "as-modelled"},
        "injection": {"direction": "export", "power_factor": 1.0},
        "constraints": [
            {"plugin": "voltage", "lv_min_pu": 0.85, "lv_max_pu": 1.1, "hv_min_pu": 0.9, "hv_max_pu": 1.08},
            {"plugin": "thermal"},
        ],
        "solver": {"plugin": "batched", "tolerance_pu": 1e-9},
    }
    results = run(WorkPackage(document=structure_study(data, Path(), default_registry())))
    assert not results.failed
    return results


@pytest.fixture(scope="module")
def bare() -> Any:
    """The benchmark's own net."""
    simbench = pytest.importorskip("simbench", reason=MISSING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return simbench.get_simbench_net(MV_LV)


def solved(bare: Any, grown_kw: dict[int, float]) -> Any:
    """kW of export by bus, one plain runpp."""
    import pandapower as pp

    net = copy.deepcopy(bare)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for bus, kw in grown_kw.items():
            pp.create_sgen(net, bus, kw / 1000.0)
        pp.runpp(net, tolerance_mva=1e-9, calculate_voltage_angles=True)
    return net


def value(net: Any, row: Any) -> float:
    name, terminal = row["conducting_equipment_mrid"], row["terminal_sequence_number"]
    if row["conducting_equipment_type"] == "Bus":
        at = net.bus.index[net.bus.name == name][0]
        volts = net.bus.vn_kv.at[at] * 1000 / math.sqrt(3) if row["unit"] == "V" else 1.0
        return float(net.res_bus.vm_pu.at[at] * volts)
    table = "line" if row["conducting_equipment_type"] == "Line" else "trafo"
    side = (("from", "to") if table == "line" else ("hv", "lv"))[terminal - 1]
    return float(net[f"res_{table}"].loc[net[table].index[net[table].name == name][0], f"i_{side}_ka"] * 1000)


def there_and_not_before(row: Any, breaking: float, before: float) -> None:
    above = row["metric"] != "voltage-low"
    assert breaking == pytest.approx(row["violating_value"], rel=1e-6)
    assert (breaking > row["constraint_limit"]) == above
    assert (before > row["constraint_limit"]) != above


def test_lv_headroom_breaks_where_a_bare_power_flow_breaks(bare: Any) -> None:
    results = study("lv-headroom", step_kw_per_customer=STEP_KW["lv-headroom"], max_steps=400)
    groups = list(results["lv_group_hosting_capacity"].rows())
    customers = [c["usage_point_id"] for c in results["customer_allocations"].rows()]
    (binding,) = [row for row in results["constraint_violations"].rows() if row["binding"]]
    assert [g["status"] for g in groups] == ["bound"] and len(customers) == 13
    found = []
    for step in (binding["iteration"], binding["iteration"] - 1):
        grown: dict[int, float] = {}
        for customer in customers:
            bus = int(bare.load.bus[bare.load.name == customer].iloc[0])
            grown[bus] = grown.get(bus, 0.0) + step * STEP_KW["lv-headroom"]
        found.append(value(solved(bare, grown), binding))
    there_and_not_before(binding, *found)


def test_hv_node_headroom_breaks_where_a_bare_power_flow_breaks(bare: Any) -> None:
    kinds = ["dtx-hv-terminal", "line-tee"]
    step = STEP_KW["hv-node-headroom"]
    results = study("hv-node-headroom", step_kw_per_node=step, max_steps_per_node=400, location_kinds=kinds)
    rows = {row["binding_id"]: row for row in results["hv_node_headroom"].rows() if row["binding_id"]}
    assert rows
    checked = 0
    for binding in results["constraint_violations"].rows():
        if not binding["binding"] or checked == 12:
            continue
        checked += 1
        row = rows[binding["binding_id"]]
        name = row["conducting_equipment_mrid"]
        at_bus = bare.bus.index[bare.bus.name == name]
        bus = int(at_bus[0]) if len(at_bus) else int(bare.trafo.hv_bus[bare.trafo.name == name].iloc[0])
        assert row["available_headroom_kw"] == pytest.approx((binding["iteration"] - 1) * step)
        found = [
            value(solved(bare, {bus: n * step}), binding) for n in (binding["iteration"], binding["iteration"] - 1)
        ]
        there_and_not_before(binding, *found)
    assert checked
