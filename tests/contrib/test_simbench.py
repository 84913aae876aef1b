"""The network source ``simbench``: the kit, and studies whose binding violations a bare power flow has as well."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest

from hostcap import WorkPackage, run
from hostcap.config import structure_study
from hostcap.errors import MissingPackageError, ModelError
from hostcap.plugins import default_registry, extras
from hostcap.testing import Case, NetworkSuite
from hostcap_contrib.simbench import plugin
from hostcap_contrib.simbench.config import SimbenchConfig
from hostcap_contrib.simbench.source import SimbenchSource

MISSING = "simbench is not installed: pip install 'hostcap[simbench]'"
MV_LV = "1-MVLV-rural-1.108-0-sw"
MV = "1-MV-rural--0-sw"
STEP_KW = 0.5
LIMITS = {"lv_min_pu": 0.85, "lv_max_pu": 1.1, "hv_min_pu": 0.9, "hv_max_pu": 1.08, "percent_of_rating": 100.0}


def source(code: str) -> Any:
    pytest.importorskip("simbench", reason=MISSING)
    return plugin.SIMBENCH.make(SimbenchConfig(code=code))


class TestKit(NetworkSuite):
    @pytest.fixture
    def case(self) -> Case:
        return Case(
            module="hostcap_contrib.simbench.plugin",
            kind="network",
            name="simbench",
            settings={"code": "1-LV-rural1--0-sw"},
            wrong=[{"code": ""}, {"code": 3}, {"code": "x", "emergency_factor": -1.0}],
        )


def test_without_the_package_it_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extras, "find_spec", lambda name: None)
    line = r"pandapower, simbench are not installed; pip install 'hostcap\[simbench\]'"
    with pytest.raises(MissingPackageError, match=line):
        plugin.SIMBENCH.make(SimbenchConfig(code=MV_LV))
    with pytest.raises(MissingPackageError, match=line):
        SimbenchSource(config=SimbenchConfig(code=MV_LV)).load("feeder")


def test_a_code_that_is_not_there_is_answered() -> None:
    with pytest.raises(ModelError, match="SimBench has no network '1-LV-rural1--0-sv'; did you mean"):
        source("1-LV-rural1--0-sv").load("feeder")


def package(kind: str, direction: str = "export", code: str = MV_LV, **own: Any) -> WorkPackage:
    pytest.importorskip("simbench", reason=MISSING)
    data = {
        "name": "simbench",
        "scope": {"feeders": [code], "year": 2025},
        "network": {"plugin": "simbench", "code": "{feeder}"},
        "study": {"plugin": kind, **own},
        "initial_state": {"plugin": "as-modelled"},
        "injection": {"direction": direction, "power_factor": 1.0},
        "constraints": [
            {"plugin": "voltage", **{key: value for key, value in LIMITS.items() if key != "percent_of_rating"}},
            {"plugin": "thermal", "percent_of_rating": LIMITS["percent_of_rating"]},
        ],
        "solver": {"plugin": "batched", "tolerance_pu": 1e-9},
    }
    return WorkPackage(document=structure_study(data, Path(), default_registry()))


def study(kind: str, direction: str = "export", code: str = MV_LV, **own: Any) -> Any:
    results = run(package(kind, direction, code, **own))
    assert not results.failed
    return results


@pytest.fixture(scope="module")
def bare() -> Any:
    """The benchmark's own net."""
    simbench = pytest.importorskip("simbench", reason=MISSING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return simbench.get_simbench_net(MV_LV)


def at_start(bare: Any) -> Any:
    from pandapower_nets.bare import BareNet

    return BareNet(bare, LIMITS)


def test_lv_headroom_breaks_where_a_bare_power_flow_breaks(bare: Any) -> None:
    """All limits in bare numbers: none is broken at the level, and at the next those that are reported alone."""
    from pandapower_nets.bare import reported

    results, net = study("lv-headroom", step_kw_per_customer=STEP_KW, max_steps=400), at_start(bare)
    groups = list(results["lv_group_hosting_capacity"].rows())
    customers = [str(c["usage_point_id"]) for c in results["customer_allocations"].rows()]
    rows = list(results["constraint_violations"].rows())
    (binding,) = [row for row in rows if row["binding"]]
    assert [g["status"] for g in groups] == ["bound"] and len(customers) == 13

    def broken(step: int) -> dict[Any, float]:
        grown: dict[int, complex] = {}
        for customer in customers:
            bus = int(bare.load.bus[bare.load.name == customer].iloc[0])
            grown[bus] = grown.get(bus, 0.0) + step * STEP_KW
        return dict(net.solve(grown).broken())

    assert broken(binding["iteration"] - 1) == {}
    assert broken(binding["iteration"]) == pytest.approx(reported(rows, binding["binding_id"]), rel=1e-6)


@pytest.mark.parametrize("direction", ["export", "import"])
def test_hv_node_headroom_breaks_where_bare_power_flows_break_at_every_location(direction: str, bare: Any) -> None:
    from pandapower_nets.bare import check_every_location

    kinds = ["dtx-hv-terminal", "line-tee"]
    given = {"step_kw_per_node": 100.0, "max_steps_per_node": 400, "location_kinds": kinds}
    results = study("hv-node-headroom", direction, **given)
    assert len(results["hv_node_headroom"]) == 10
    assert "bound" in check_every_location(results, at_start(bare), step_kw=100.0, most=400)


@pytest.mark.slow
def test_a_network_without_low_voltage_has_places_and_no_customers() -> None:
    """18 cables and no LV network: each location is checked, and growth of customers refused."""
    simbench = pytest.importorskip("simbench", reason=MISSING)
    from pandapower_nets.bare import BareNet, check_every_location

    given = {"step_kw_per_node": 500.0, "max_steps_per_node": 60, "location_kinds": ["line-tee"]}
    results = study("hv-node-headroom", code=MV, **given)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        net = BareNet(simbench.get_simbench_net(MV), LIMITS)
    assert "bound" in check_every_location(results, net, step_kw=500.0, most=60)
    assert "no-lv-customer" in [str(row["code"]) for row in results["findings"].rows()]
    failed = run(package("lv-headroom", code=MV)).failed
    assert "no LV customer" in failed[MV] and "HV loads: " in failed[MV]
