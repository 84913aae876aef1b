"""Studies of the networks that pandapower ships, every answer checked again by bare power flows."""

from __future__ import annotations

import math
import random
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pp = pytest.importorskip("pandapower", reason="pandapower is not installed: pip install 'hostcap[pandapower]'")

import pandapower.networks as nets  # noqa: E402
from pandapower_nets.bare import BareNet, check_every_location, grown, reported  # noqa: E402
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

LIMITS = {"lv_min_pu": 0.9, "lv_max_pu": 1.1, "hv_min_pu": 0.9, "hv_max_pu": 1.1}
ZERO, FIXED = {"plugin": "zero-load"}, {"plugin": "fixed-load", "load_kw_per_customer": 0.4}
CIGRE_LV, CIGRE_MV = "create_cigre_network_lv", "create_cigre_network_mv"
CASES = [
    (CIGRE_LV, "export", 1.0, "thermal", ZERO),
    (CIGRE_LV, "import", 0.95, "thermal", ZERO),
    (CIGRE_LV, "both", 0.95, "voltage", FIXED),
    ("create_kerber_landnetz_freileitung_2", "export", -0.95, "thermal", ZERO),
    ("create_kerber_landnetz_kabel_1", "import", 0.9, "voltage", ZERO),
    ("create_kerber_dorfnetz", "both", 1.0, "thermal", {"plugin": "as-modelled"}),
    ("create_synthetic_voltage_control_lv_network", "export", 1.0, "voltage", ZERO),
    ("create_synthetic_voltage_control_lv_network", "import", 0.95, "voltage", ZERO),
]
STEP_KW = 0.5
NODES: dict[str, Any] = {"step_kw": 100.0, "most": 200}
NOON = datetime(2025, 1, 15, 12, tzinfo=UTC)


def document(name: str, initial: Any, thermal: float | None, **parts: Any) -> dict[str, Any]:
    constraints: list[dict[str, Any]] = [{"plugin": "voltage", **LIMITS}]
    if thermal is not None:
        constraints.append({"plugin": "thermal", "percent_of_rating": thermal})
    return {
        "name": "stock",
        "scope": {"feeders": ["stock"], "year": 2025},
        "network": {"plugin": "pandapower", "function": name},
        "initial_state": initial,
        "constraints": constraints,
        "solver": {"plugin": "batched", "tolerance_pu": 1e-9},
        **parts,
    }


def ran(data: dict[str, Any], folder: Path = Path()) -> Any:
    results = run(WorkPackage(document=structure_study(data, folder, default_registry())))
    assert not results.failed, results.failed
    return results


def study(name: str, direction: str, power_factor: float, kind: str, initial: Any = ZERO, **own: Any) -> Any:
    own = {"solver": "batched", **own}
    solver = {"plugin": own.pop("solver")}
    return ran(
        document(
            name,
            initial,
            100.0 if kind == "thermal" else None,
            study={"plugin": "lv-headroom", "step_kw_per_customer": STEP_KW, "max_steps": 600, **own},
            injection={"direction": direction, "power_factor": power_factor},
            solver=solver,
        )
    )


def bare(name: str, initial: Any, limits: dict[str, float]) -> BareNet:
    load_kw = {"zero-load": 0.0, "as-modelled": None}
    plugin = initial["plugin"]
    start_kw = load_kw[plugin] if plugin in load_kw else float(initial["load_kw_per_customer"])
    random.seed(0)  # some of Kerber's choose cables at random; by this seed where a study says none
    return BareNet(getattr(nets, name)(), limits).start(start_kw)


@pytest.mark.parametrize(
    ("name", "direction", "power_factor", "kind", "initial"),
    CASES,
    ids=[f"{name}-{direction}-{kind}-{initial['plugin']}" for name, direction, _, kind, initial in CASES],
)
def test_every_violation_of_lv_headroom_is_there_in_a_bare_power_flow_and_not_one_step_before(
    name: str, direction: str, power_factor: float, kind: str, initial: Any
) -> None:
    results = study(name, direction, power_factor, kind, initial)
    limits = LIMITS | ({"percent_of_rating": 100.0} if kind == "thermal" else {})
    net = bare(name, initial, limits)
    for way in ("export", "import") if direction == "both" else (direction,):
        groups = [g for g in results["lv_group_hosting_capacity"].rows() if g["headroom_direction"] == way]
        level = {g["capacity_group_head_id"]: round(g["headroom_kw_per_customer"] / STEP_KW) for g in groups}
        customers = [c for c in results["customer_allocations"].rows() if c["headroom_direction"] == way]
        of_bus = [(int(net.net.load.bus.at[net.index("load", c["usage_point_id"])]), c) for c in customers]
        rows = [row for row in results["constraint_violations"].rows() if row["headroom_direction"] == way]
        assert sum(bool(row["binding"]) for row in rows) == sum(g["status"] == "bound" for g in groups) > 0

        def at(step: int, way: str = way, level: Any = level, of_bus: Any = of_bus) -> BareNet:
            here: dict[int, complex] = {}
            for bus, customer in of_bus:
                own = level[customer["capacity_group_head_id"]]
                kw = STEP_KW * (step if step <= own + 1 else own)
                here[bus] = here.get(bus, 0.0) + grown(kw, way, power_factor)
            return net.solve(here)

        for step in sorted({row["iteration"] for row in rows}):
            here = [row for row in rows if row["iteration"] == step]
            broken, values = at(step).broken(), [net.value(row) for row in here]
            for row, value in zip(here, values, strict=True):
                assert value == pytest.approx(row["violating_value"], rel=1e-6)
                assert (value > row["constraint_limit"]) == (row["metric"] != "voltage-low")
            before, values = at(step - 1).broken(), [net.value(row) for row in here]
            for row, value in zip(here, values, strict=True):
                assert (value > row["constraint_limit"]) != (row["metric"] != "voltage-low") or not row["binding"]
            if len(groups) == 1:
                assert not before and set(broken) == set(reported(here, here[0]["binding_id"]))


def hv_study(name: str, initial: Any, thermal: float, folder: Path = Path(), **parts: Any) -> Any:
    kinds = ["dtx-hv-terminal", "switch-upstream-terminal", "line-tee"]
    own = {"step_kw_per_node": NODES["step_kw"], "max_steps_per_node": NODES["most"], "location_kinds": kinds}
    return ran(document(name, initial, thermal, study={"plugin": "hv-node-headroom", **own}, **parts), folder)


@pytest.mark.parametrize(
    ("initial", "thermal", "direction", "power_factor"),
    [
        (ZERO, 100.0, "both", 1.0),
        ({"plugin": "fixed-load", "load_kw_per_customer": 150.0}, 100.0, "both", 0.95),
        ({"plugin": "as-modelled"}, 130.0, "both", -0.95),
    ],
    ids=["zero-load", "fixed-load", "as-modelled"],
)
@pytest.mark.parametrize("solver", ["batched", "pandapower"])
def test_every_location_of_cigre_mv_breaks_where_bare_power_flows_break(
    solver: str, initial: Any, thermal: float, direction: str, power_factor: float
) -> None:
    """A feeder without LV customers: 18 loads at 20 kV."""
    results = hv_study(
        CIGRE_MV,
        initial,
        thermal,
        injection={"direction": direction, "power_factor": power_factor},
        solver={"plugin": solver, "tolerance_pu": 1e-9},
    )
    net = bare(CIGRE_MV, initial, LIMITS | {"percent_of_rating": thermal})
    assert "bound" in check_every_location(results, net, **NODES, power_factor=power_factor)
    assert len(results["hv_node_headroom"]) == 12
    (told,) = [f for f in results["findings"].rows() if f["code"] == "no-lv-customer"]
    assert told["count"] == 18 and told["kw"] == pytest.approx(float(net_of_cigre_mv().load.p_mw.sum()) * 1000)


def net_of_cigre_mv() -> Any:
    return getattr(nets, CIGRE_MV)()


def test_cigre_mv_follows_readings_and_panels(tmp_path: Path) -> None:
    names = [str(name) for name in net_of_cigre_mv().load.name]
    lines = ["time,customer,import", *(f"2025-01-15T12:00Z,{name},{40 * i}" for i, name in enumerate(names))]
    lines += [f"2025-01-15T11:00Z,{name},1" for name in names]
    (tmp_path / "readings.csv").write_text("\n".join([*lines, ""]))
    (tmp_path / "sun.csv").write_text("time,pv\n2025-01-15T11:00Z,0.2\n2025-01-15T12:00Z,0.6\n")
    results = hv_study(
        CIGRE_MV,
        {"plugin": "peak-import", "start_time": NOON.replace(hour=10), "end_time": NOON},
        100.0,
        tmp_path,
        injection={"plugin": "pv-system", "profile": "pv"},
        profiles={
            "plugin": "table",
            "readings": {"files": ["readings.csv"], "interval_minutes": 60, "unit": "kW", "import_column": "import"},
            "series": {"files": ["sun.csv"], "interval_minutes": 60},
        },
    )
    net = BareNet(net_of_cigre_mv(), LIMITS | {"percent_of_rating": 100.0})
    net.start({name: 40.0 * i for i, name in enumerate(names)})
    assert "bound" in check_every_location(results, net, **NODES, injected=0.6)


def test_growth_of_customers_is_refused_on_cigre_mv_with_its_loads() -> None:
    data = document(CIGRE_MV, ZERO, None, study={"plugin": "lv-headroom"})
    failed = run(WorkPackage(document=structure_study(data, Path(), default_registry()))).failed
    assert "no LV customer" in failed["stock"] and "found 18 HV loads: Load R1, " in failed["stock"]


@pytest.mark.parametrize(
    "name", [CIGRE_LV, "create_kerber_landnetz_freileitung_2", "create_kerber_vorstadtnetz_kabel_1"]
)
def test_transformers_at_the_source_itself_bear_all_that_is_asked(name: str) -> None:
    """The HV side of these networks is their ideal source: nothing moves, whatever grows there."""
    results = hv_study(name, {"plugin": "as-modelled"}, 200.0, injection={"direction": "both"})
    net = bare(name, {"plugin": "as-modelled"}, LIMITS | {"percent_of_rating": 200.0})
    assert check_every_location(results, net, **NODES) == {"unconstrained"}
    assert len(results["hv_node_headroom"]) == 2 * len(net.net.trafo)


def test_the_engines_own_solver_gives_the_same_study() -> None:
    one, other = (study(CIGRE_LV, "import", 0.95, "voltage", solver=solver) for solver in ("batched", "pandapower"))
    for table in ("lv_group_hosting_capacity", "constraint_violations"):
        for a, b in zip(one[table].rows(), other[table].rows(), strict=True):
            for key in a:
                if key.endswith("_id") and "head" not in key:
                    continue
                assert a[key] == (pytest.approx(b[key], rel=1e-6) if isinstance(a[key], float) else b[key]), key


def test_a_study_is_cross_checked_by_the_engine() -> None:
    results = study(CIGRE_LV, "export", 1.0, "thermal", cross_check="pandapower")
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
