"""Studies of the networks that pandapower ships, each binding violation checked again by one bare power flow."""

from __future__ import annotations

import copy
import math
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pp = pytest.importorskip("pandapower", reason="pandapower is not installed: pip install 'hostcap[pandapower]'")

import pandapower.networks as nets  # noqa: E402
from pandapower_nets.nets import growing  # noqa: E402

from hostcap import WorkPackage, run  # noqa: E402
from hostcap.config import structure_study  # noqa: E402
from hostcap.operating_point import FeederScope  # noqa: E402
from hostcap.plugins import default_registry  # noqa: E402
from hostcap.testing import watched  # noqa: E402
from hostcap_stock.batched.solver import BatchedSolver  # noqa: E402
from hostcap_stock.initial_states import AsModelled, ZeroLoad  # noqa: E402
from hostcap_stock.opendss.config import OpenDssConfig  # noqa: E402
from hostcap_stock.opendss.source import OpenDssSource  # noqa: E402
from hostcap_stock.pandapower.config import PandapowerConfig  # noqa: E402
from hostcap_stock.pandapower.source import PandapowerSource  # noqa: E402

VOLTAGES = {"plugin": "voltage", "lv_min_pu": 0.9, "lv_max_pu": 1.1, "hv_min_pu": 0.9, "hv_max_pu": 1.1}
CASES = [
    ("create_cigre_network_lv", "export", 1.0, "thermal"),
    ("create_cigre_network_lv", "import", 0.95, "thermal"),
    ("create_kerber_landnetz_freileitung_2", "export", -0.95, "thermal"),
    ("create_kerber_landnetz_kabel_1", "import", 0.9, "voltage"),
    ("create_synthetic_voltage_control_lv_network", "export", 1.0, "voltage"),
    ("create_synthetic_voltage_control_lv_network", "import", 0.95, "voltage"),
]
STEP_KW = 0.5


def study(name: str, direction: str, power_factor: float, kind: str, solver: str = "batched", **own: Any) -> Any:
    constraints = [VOLTAGES] if kind == "voltage" else [VOLTAGES, {"plugin": "thermal"}]
    data = {
        "name": "stock",
        "scope": {"feeders": ["stock"], "year": 2025},
        "network": {"plugin": "pandapower", "function": name},
        "study": {"plugin": "lv-headroom", "step_kw_per_customer": STEP_KW, "max_steps": 600, **own},
        "initial_state": {"plugin": "zero-load"},
        "injection": {"direction": direction, "power_factor": power_factor},
        "constraints": constraints,
        "solver": {"plugin": solver},
    }
    results = run(WorkPackage(document=structure_study(data, Path(), default_registry())))
    assert not results.failed
    return results


class Bare:
    """The network as the library makes it, without its loads and generation: growth is written, one runpp solves it."""

    def __init__(self, name: str) -> None:
        self.net = getattr(nets, name)()
        self.net.load["p_mw"] = self.net.load["q_mvar"] = 0.0
        self.net.sgen["in_service"] = False
        self.row = {}
        for i, stated in self.net.load.name.items():
            known = isinstance(stated, str) and stated
            self.row[stated if known else f"load {i}"] = i

    def solved(self, kw: dict[str, float], direction: str, power_factor: float) -> Any:
        """kW of growth by customer."""
        net = copy.deepcopy(self.net)
        sign = -1.0 if direction == "export" else 1.0
        tangent = math.copysign(math.tan(math.acos(abs(power_factor))), power_factor)
        for customer, grown in kw.items():
            net.load.loc[self.row[customer], ["p_mw", "q_mvar"]] = [sign * grown / 1000, tangent * grown / 1000]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            pp.runpp(net, tolerance_mva=1e-9)
        return net

    def value(self, net: Any, row: Any) -> float:
        """What a row of ``constraint_violations`` is about."""
        name, terminal = row["conducting_equipment_mrid"], row["terminal_sequence_number"]
        if row["conducting_equipment_type"] == "Bus":
            at = self.find(net.bus, "bus", name)
            pu = net.res_bus.vm_pu.at[at]
            return float(pu * (net.bus.vn_kv.at[at] * 1000 / math.sqrt(3) if row["unit"] == "V" else 1.0))
        table = "line" if row["conducting_equipment_type"] == "Line" else "trafo"
        sides = ("from", "to") if table == "line" else ("hv", "lv")
        at = self.find(net[table], table, name)
        return float(net[f"res_{table}"].loc[at, f"i_{sides[terminal - 1]}_ka"] * 1000)

    def find(self, table: Any, kind: str, name: str) -> int:
        found = table.index[table.name == name]
        return int(found[0]) if len(found) else int(name.removeprefix(f"{kind} "))


@pytest.mark.parametrize(("name", "direction", "power_factor", "kind"), CASES, ids=[f"{c[0]}-{c[1]}" for c in CASES])
def test_every_binding_violation_is_there_in_a_bare_power_flow_and_not_one_step_before(
    name: str, direction: str, power_factor: float, kind: str
) -> None:
    results = study(name, direction, power_factor, kind)
    groups = list(results["lv_group_hosting_capacity"].rows())
    level = {g["capacity_group_head_id"]: round(g["headroom_kw_per_customer"] / STEP_KW) for g in groups}
    of_customer = {c["usage_point_id"]: c["capacity_group_head_id"] for c in results["customer_allocations"].rows()}
    binding = [row for row in results["constraint_violations"].rows() if row["binding"]]
    assert len(binding) == sum(g["status"] == "bound" for g in groups) > 0
    bare = Bare(name)
    for row in binding:
        step = row["iteration"]

        def at(s: int) -> Any:
            grown = {c: STEP_KW * (s if s <= level[g] + 1 else level[g]) for c, g in of_customer.items()}
            return bare.solved(grown, direction, power_factor)

        breaking, before = (bare.value(at(s), row) for s in (step, step - 1))
        limit = row["constraint_limit"]
        above = row["metric"] != "voltage-low"
        assert breaking == pytest.approx(row["violating_value"], rel=1e-6)
        assert (breaking > limit) == above and (before > limit) != above


def test_the_engines_own_solver_gives_the_same_study() -> None:
    one, other = (
        study("create_cigre_network_lv", "import", 0.95, "voltage", solver) for solver in ("batched", "pandapower")
    )
    for table in ("lv_group_hosting_capacity", "constraint_violations"):
        for a, b in zip(one[table].rows(), other[table].rows(), strict=True):
            for key in a:
                if key.endswith("_id") and "head" not in key:
                    continue
                assert a[key] == (pytest.approx(b[key], rel=1e-6) if isinstance(a[key], float) else b[key]), key


def test_a_study_is_cross_checked_by_the_engine() -> None:
    results = study("create_cigre_network_lv", "export", 1.0, "thermal", cross_check="pandapower")
    (found,) = [row for row in results["findings"].rows() if row["code"].startswith("cross-check")]
    assert found["code"] == "cross-check" and "solved again by 'pandapower', which changes nothing" in found["message"]


@pytest.mark.shared
def test_the_european_feeder_has_nearly_the_voltages_of_its_opendss_form(networks: Path) -> None:
    """Loads of the library's scenario in both. They differ in the source, which is stiff in pandapower's positive
    sequence, and in the zero sequence of the transformer, whose magnetising branch pandapower states: 7e-4 pu."""
    source = PandapowerSource(config=PandapowerConfig(function="ieee_european_lv_asymmetric"))
    network, scope = source.load("eu"), FeederScope(feeder="eu", year=2025)
    config = OpenDssConfig(
        master=networks / "eu-lv-test-feeder" / "Master.dss", frequency_hz=50.0, load_vmin_pu=0.7, load_vmax_pu=1.3
    )
    other = OpenDssSource(config=config)
    theirs = other.load("eu")
    place = {str(name).lower(): i for i, name in enumerate(network.injectors.name)}
    order = [place[str(name).lower()] for name in theirs.injectors.name]
    assert list(theirs.customers.phase_code) == list(network.customers.phase_code[order])
    with (
        source.freeze(network, AsModelled().operating_point(network, scope)) as start,
        other.freeze(theirs, ZeroLoad().operating_point(theirs, scope)) as dss,
    ):
        plan = BatchedSolver().plan(dss, growing(dss), watched(theirs))
        drawn = (-network.injectors.load_kw[order][None, :], -network.injectors.load_kvar[order][None, :])
        states = plan.solve_injections(*drawn, {"nodes"}).solution.node_v[0]
        found = []
        for net, node_v in ((network, start.start.node_v[0]), (theirs, states)):
            names = [f"{net.buses.name[b]}.{n}".lower() for b, n in zip(net.nodes.bus, net.nodes.number, strict=True)]
            found.append(dict(zip(names, np.abs(node_v), strict=True)))
    assert set(found[0]) == set(found[1])
    nominal = {name: 11000 / math.sqrt(3) if name.startswith("sourcebus") else 416 / math.sqrt(3) for name in found[0]}
    worst = max(abs(found[0][name] - found[1][name]) / nominal[name] for name in found[0])
    assert 1e-4 < worst < 1e-3
