"""The allocation ``weighted``: weights by hand, and answers against closed forms and an oracle, by both solvers."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import opendssdirect
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from headroom_oracle import oracle
from hypothesis import given
from hypothesis import strategies as st
from studying import Case, answers, demo_cases, real_cases

from hostcap.errors import ConfigError, HostcapError
from hostcap.network import Network
from hostcap.operating_point import FeederScope
from hostcap.running import run
from hostcap.testing.frozen import ArrayFrozen, at_nominal
from hostcap.testing.networks import SmallNetwork
from hostcap_stock.allocations import Weighted, WeightedConfig
from hostcap_stock.initial_states import AsModelled, FixedLoad, FixedLoadConfig, ZeroLoad

SCOPE = FeederScope(feeder="F1", year=2025)


def three_groups() -> Network:
    """Three groups. Net kW: a 4, b 1, sunny 2 - 5 = -3, roof alone -9 (does not grow); c 2, d -1; idle 0."""
    return (
        SmallNetwork()
        .group("t1", "t2", "t3")
        .bus("x", 0.4, group=1)
        .bus("y", 0.4, group=2)
        .bus("z", 0.4, group=3)
        .load("a", "x", (1, 0), kw=4.0)
        .load("b", "x", (2, 0), kw=1.0)
        .load("sun", "x", (3, 0), kw=2.0)
        .pv("sun_pv", "x", (3, 0), kw=5.0)
        .pv("roof", "x", (1, 0), kw=9.0)
        .load("c", "y", (1, 0), kw=2.0)
        .load("d", "y", (2, 0), kw=0.0)
        .pv("d_pv", "y", (2, 0), kw=1.0)
        .load("idle", "z", (1, 0), kw=0.0)
        .customer("a")
        .customer("b")
        .customer("sunny", "sun", "sun_pv")
        .customer("roof")
        .customer("c")
        .customer("d", "d", "d_pv")
        .customer("idle")
        .build()
    )


STREETS = three_groups()


@pytest.fixture
def streets() -> Network:
    return STREETS


def started(network: Network, state: Any = None) -> ArrayFrozen:
    return at_nominal(network, (state or AsModelled()).operating_point(network, SCOPE))


def with_column(network: Network, values: Any, name: str = "kw") -> Network:
    """The network as if its customer table had one further column."""
    column = np.asarray(values, dtype=np.float64 if all(isinstance(v, float) for v in values) else object)
    return attrs.evolve(network, customers=attrs.evolve(network.customers, columns={name: column}))


def weights(frozen: ArrayFrozen, **config: Any) -> dict[str, float]:
    found = Weighted(config=WeightedConfig(**config)).weights(frozen)
    return dict(zip(map(str, frozen.network.customers.id), found.tolist(), strict=True))


@pytest.mark.parametrize(
    ("basis", "scope", "expected"),
    [
        # Net import: a 4, b 1, c 2. The largest of the feeder is 4.
        ("existing-import", "feeder-wide", {"a": 1.0, "b": 0.25, "c": 0.5}),
        # Of x it is 4, of y 2.
        ("existing-import", "within-group", {"a": 1.0, "b": 0.25, "c": 1.0}),
        # Net export: sunny 5 - 2 = 3, d 1; the roof alone does not grow, so its 9 kW are nobody's largest.
        ("existing-export", "feeder-wide", {"sunny": 1.0, "d": 1.0 / 3.0}),
        ("existing-export", "within-group", {"sunny": 1.0, "d": 1.0}),
    ],
)
def test_a_weight_is_net_kw_over_the_largest_in_scope(
    basis: str, scope: str, expected: dict[str, float], streets: Network
) -> None:
    found = weights(started(streets), basis=basis, scope=scope)
    assert {name: weight for name, weight in found.items() if weight != 0.0} == pytest.approx(expected)


def test_a_column_gives_weights_whatever_the_start(streets: Network) -> None:
    frozen = started(with_column(streets, [2.0, 8.0, 0.0, 99.0, 1.0, 4.0, 0.0]), ZeroLoad())
    assert weights(frozen, column="kw", scope="feeder-wide") == {
        "a": 0.25, "b": 1.0, "sunny": 0.0, "roof": 0.0, "c": 0.125, "d": 0.5, "idle": 0.0
    }  # fmt: skip
    within = weights(frozen, column="kw", scope="within-group")
    assert (within["b"], within["c"], within["d"], within["idle"]) == (1.0, 0.25, 1.0, 0.0)


def test_what_a_customer_that_does_not_grow_has_in_the_column_is_not_looked_at(streets: Network) -> None:
    frozen = started(with_column(streets, [1.0, 1.0, 1.0, math.nan, 1.0, 1.0, 2.0]))
    assert weights(frozen, column="kw", scope="feeder-wide")["roof"] == 0.0
    frozen = started(with_column(streets, ["1", "1", "1", "none", "1", "1", "2"]))
    assert weights(frozen, column="kw", scope="feeder-wide")["a"] == 0.5


@given(
    st.lists(st.floats(0.01, 1e6), min_size=7, max_size=7),
    st.floats(1e-3, 1e3),
    st.sampled_from(["feeder-wide", "within-group"]),
)
def test_weights_keep_the_ratios_of_a_column_and_forget_its_scale(
    values: list[float], factor: float, scope: str
) -> None:
    one = weights(started(with_column(STREETS, values)), column="kw", scope=scope)
    other = weights(started(with_column(STREETS, [v * factor for v in values])), column="kw", scope=scope)
    assert one == pytest.approx(other)
    assert one["a"] / one["b"] == pytest.approx(values[0] / values[1])
    assert max(one.values()) == 1.0


@pytest.mark.parametrize(
    "state", [ZeroLoad(), FixedLoad(config=FixedLoadConfig(load_kw_per_customer=0.0))], ids=lambda state: state.name
)
def test_weights_by_a_start_that_is_equal_by_construction_are_refused(state: Any, streets: Network) -> None:
    with pytest.raises(
        HostcapError, match=r"allocation\.basis: the initial state gives every customer the same"
    ) as caught:
        weights(started(streets, state), basis="existing-import", scope="feeder-wide")
    assert "column" in str(caught.value)


def test_weights_that_are_all_0_are_refused_with_the_instant(streets: Network) -> None:
    point = AsModelled().operating_point(streets, SCOPE)
    # Inverters at night are solved at microwatts: noise is no export.
    night = attrs.evolve(point, generation_kw=np.full(point.load_kw.size, 5e-7), load_kw=np.zeros(point.load_kw.size))
    for basis, verb in (("existing-export", "exports"), ("existing-import", "imports")):
        with pytest.raises(
            HostcapError, match=f"allocation.basis: no customer that grows {verb} at the start .2025-01-01"
        ):
            weights(at_nominal(streets, night), basis=basis, scope="within-group")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([1.0, math.nan, 1.0, 1.0, math.nan, 1.0, 1.0], r"no number for 2 of 6 customers that grow \(b: nan, c: nan\)"),
        ([1.0, -2.0, 1.0, 1.0, 1.0, 1.0, 1.0], r"below 0 for 1 of 6 customers that grow \(b: -2.0\)"),
        ([1.0, math.inf, 1.0, 1.0, 1.0, 1.0, 1.0], r"not finite for 1 of 6 customers that grow \(b: inf\)"),
        (["1", "flat", "1", "", "2", "", "1"], r"no number for 2 of 6 customers that grow \(b: flat, d: \)"),
        ([0.0, 0.0, 0.0, 5.0, 0.0, 0.0, 0.0], r"is 0 for every customer that grows"),
    ],
)
def test_a_column_that_gives_no_weights_is_refused_by_customer(values: Any, message: str, streets: Network) -> None:
    with pytest.raises(HostcapError, match=rf"allocation\.column: 'kw' of network\.customers .*{message}"):
        weights(started(with_column(streets, values)), column="kw", scope="feeder-wide")


def test_a_column_that_is_not_there_is_refused_with_those_that_are(streets: Network) -> None:
    with pytest.raises(HostcapError, match=r"no column 'pv_kv'; did you mean 'pv_kw'\?; found pv_kw"):
        weights(started(with_column(streets, [1.0] * 7, "pv_kw")), column="pv_kv", scope="feeder-wide")
    with pytest.raises(HostcapError, match=r"no column 'pv_kw'; it has no further columns, or there is no such file"):
        weights(started(streets), column="pv_kw", scope="feeder-wide")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"scope": "feeder-wide"}, "give basis"),
        ({"scope": "feeder-wide", "basis": "existing-export", "column": "kw"}, "give basis or column, not both"),
        ({"scope": "feeder-wide", "column": " "}, "must not be blank"),
    ],
)
def test_wrong_settings_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        WeightedConfig(**settings)


# --- two buses: closed form ----------------------------------------------------------------------------------------

TWO_BUS = """clear
new circuit.c bus1=s.1 phases=1 basekv=0.23 pu=1 r1=0 x1=1e-6 r0=0 x0=1e-6
new line.w bus1=s.1 bus2=e.1 phases=1 r1=0.4 x1=0 r0=0.4 x0=0 c1=0 c0=0 length=1
new load.big bus1=e.1 phases=1 kv=0.23 kw=2 kvar=0 model=1 vminpu=0.1 vmaxpu=3
new load.small bus1=e.1 phases=1 kv=0.23 kw=0.5 kvar=0 model=1 vminpu=0.1 vmaxpu=3
set voltagebases=[0.3983717]
calcvoltagebases
"""


@pytest.mark.parametrize("solver", ["opendss", "batched"])
def test_two_customers_of_2_and_half_a_kw_grow_four_to_one_until_the_voltage_of_the_closed_form(
    solver: str, tmp_path: Path
) -> None:
    (tmp_path / "two.dss").write_text(TWO_BUS, encoding="utf-8")
    case = Case(
        master=tmp_path / "two.dss", frequency_hz=50.0, initial="as-modelled", direction="import", step_kw=0.1,
        max_steps=200, hv=(None, None),
    )  # fmt: skip
    allocation = {"plugin": "weighted", "basis": "existing-import", "scope": "within-group"}
    results = case.run(solver={"plugin": solver, "tolerance_pu": 1e-9}, parts={"allocation": allocation})

    # V^2 - E V + R P = 0 with E = 230 V, R = 0.4 ohm; P = 2.5 kW + n x 0.1 x (1 + 0.25).
    def volts(n: int) -> float:
        return (230.0 + math.sqrt(230.0**2 - 4 * 0.4 * 1000.0 * (2.5 + 0.125 * n))) / 2.0

    level = max(n for n in range(200) if volts(n) >= 216.0)
    (group,) = results["lv_group_hosting_capacity"].rows()
    assert group["status"] == "bound"
    assert group["headroom_kw_per_customer"] == pytest.approx(0.1 * level)
    assert group["total_kw_added"] == pytest.approx(0.125 * level)
    assert group["addition_kw_scaling_applied"]
    (broken,) = (row for row in results["constraint_violations"].rows() if row["binding"])
    assert broken["violating_value"] == pytest.approx(volts(level + 1), rel=1e-6)
    rows = {row["usage_point_id"]: row for row in results["customer_allocations"].rows()}
    assert {name: row["scaling_factor"] for name, row in rows.items()} == {"big": 1.0, "small": 0.25}
    assert rows["small"]["allocated_kw"] == pytest.approx(0.025 * level)


# --- the demo: an oracle with weights of its own ---------------------------------------------------------------------


def net_kw(folder: Path) -> dict[str, float]:
    """Net kW of each LV load: its line of the model's text, less what a bare engine solves its PV system at.

    (One of them, t4_c4, is above its voltage band and so at 3.64 kW, not at 60 % of its 6 kW.)
    """
    lines = (folder / "feeder" / "Loads.dss").read_text(encoding="utf-8")
    kw = {name: float(value) for name, value in re.findall(r"New Load\.(t\w+) .* kW=([\d.]+)", lines)}
    engine = opendssdirect.NewContext()
    engine.Basic.AllowChangeDir(False)
    engine.Commands([f'compile "{folder / "feeder" / "Master.dss"}"', "solve mode=snapshot"])
    for name in engine.PVsystems.AllNames():
        engine.Circuit.SetActiveElement(f"pvsystem.{name}")
        kw[name] += sum(engine.CktElement.Powers()[::2])
    return kw


def shares(kw: Mapping[str, float], scope: Callable[[str], str]) -> dict[str, float]:
    largest: dict[str, float] = {}
    for name, value in kw.items():
        largest[scope(name)] = max(largest.get(scope(name), 0.0), value)
    return {name: max(value, 0.0) / largest[scope(name)] for name, value in kw.items() if largest[scope(name)] > 0}


def assert_oracles(case: Case, weight: Mapping[str, float], solver: str, **changes: Any) -> set[str]:
    """Weights, headroom, status and binding of every group are the oracle's; returns the statuses."""
    results = case.run(solver={"plugin": solver, "tolerance_pu": 1e-9}, **changes)
    expected = oracle(str(case.master), **{**case.arguments, "tolerance_pu": 1e-9}, weights=weight)
    rows = list(results["customer_allocations"].rows())
    assert {r["usage_point_id"]: r["scaling_factor"] for r in rows} == pytest.approx(weight, rel=1e-5)
    found = answers(results, case.step_kw)
    groups = {row["capacity_group_head_id"]: row for row in results["lv_group_hosting_capacity"].rows()}
    for group, right in expected.items():
        own = [r["scaling_factor"] for r in rows if r["capacity_group_head_id"] == group]
        step_kw = right["level"] * case.step_kw
        assert groups[group]["headroom_kw_per_customer"] == pytest.approx(step_kw * max(own, default=0.0), rel=1e-5)
        assert groups[group]["total_kw_added"] == pytest.approx(step_kw * sum(own), rel=1e-5)
        assert groups[group]["growing_customer_count"] == sum(w > 0 for w in own)
        assert found[group]["status"] == right["status"], group
        assert found[group]["breached_after_lock_at"] == right["breached_after_lock_at"]
        assert (found[group]["binding"] or ())[:4] == (right["binding"] or ())[:4]
    return {group["status"] for group in found.values()}


@pytest.mark.parametrize("solver", ["opendss", "batched"])
@pytest.mark.parametrize("basis", ["existing-import", "existing-export"])
@pytest.mark.parametrize("scope", ["feeder-wide", "within-group"])
def test_the_demo_gives_the_oracles_levels_for_weights_of_its_own(
    basis: str, scope: str, solver: str, demo_folder: Path
) -> None:
    net = net_kw(demo_folder)
    wanted = net if basis == "existing-import" else {name: -kw for name, kw in net.items()}
    weight = shares(wanted, (lambda name: name.split("_")[0]) if scope == "within-group" else (lambda name: "feeder"))
    case = attrs.evolve(demo_cases(demo_folder)["import"], step_kw=0.4, max_steps=75)
    assert_oracles(case, weight, solver, parts={"allocation": {"plugin": "weighted", "basis": basis, "scope": scope}})


@pytest.mark.parametrize("solver", ["opendss", "batched"])
def test_a_group_whose_column_is_0_does_not_grow_and_moves_nothing(
    solver: str, demo_folder: Path, tmp_path: Path
) -> None:
    drawn = np.random.default_rng(7).integers(0, 9, 200).tolist()
    panels = {name: 0 if name.startswith("t7") else kw for name, kw in zip(net_kw(demo_folder), drawn, strict=False)}
    lines = [f"{name},{name},{kw}" for name, kw in panels.items()]
    (tmp_path / "customers.csv").write_text("\n".join(["customer,element,panels_kw", *lines]), encoding="utf-8")
    statuses = assert_oracles(
        demo_cases(demo_folder)["export"],
        shares(panels, lambda name: name.split("_")[0]) | {name: 0.0 for name in panels if name.startswith("t7")},
        solver,
        parts={"allocation": {"plugin": "weighted", "column": "panels_kw", "scope": "within-group"}},
        network={"customers": str(tmp_path / "customers.csv")},
    )
    assert {"no_growth", "bound", "no_customers"} <= statuses


# --- in files ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_column_of_a_customer_file_weighs(suffix: str, tmp_path: Path) -> None:
    (tmp_path / "two.dss").write_text(TWO_BUS, encoding="utf-8")
    path = tmp_path / f"customers.{suffix}"
    if suffix == "csv":
        path.write_text("customer,element,pv_kw\none,big,3\ntwo,small,6.0\n", encoding="utf-8")
    else:
        pq.write_table(pa.table({"customer": ["one", "two"], "element": ["big", "small"], "pv_kw": [3, 6]}), path)
    case = Case(
        master=tmp_path / "two.dss", frequency_hz=50.0, initial="zero-load", direction="export", step_kw=0.1,
        max_steps=3, hv=(None, None),
    )  # fmt: skip
    allocation = {"plugin": "weighted", "column": "pv_kw", "scope": "feeder-wide"}
    results = case.run(parts={"allocation": allocation}, network={"customers": str(path)})
    rows = {row["usage_point_id"]: row for row in results["customer_allocations"].rows()}
    assert {name: row["allocated_kw"] for name, row in rows.items()} == pytest.approx({"one": -0.15, "two": -0.3})
    (group,) = results["lv_group_hosting_capacity"].rows()
    assert (group["headroom_kw_per_customer"], group["status"]) == (pytest.approx(0.3), "unconstrained")


def test_a_customer_file_in_parquet_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "two.dss").write_text(TWO_BUS, encoding="utf-8")
    path = tmp_path / "customers.parquet"
    case = Case(
        master=tmp_path / "two.dss", frequency_hz=50.0, initial="zero-load", direction="export", step_kw=0.1,
        max_steps=3, hv=(None, None),
    )  # fmt: skip

    def refusal() -> str:
        (message,) = run(case.work_package(network={"customers": str(path)})).failed.values()
        return message

    assert "no such file" in refusal()
    path.write_text("customer,element", encoding="utf-8")
    assert "cannot be read as Parquet" in refusal()
    pq.write_table(pa.table({"customer": ["one", None], "element": ["big", "small"]}), path)
    assert "row 2: customer and element must not be empty" in refusal()


def test_a_study_file_that_gives_weights_wrongly_is_refused_by_key(tmp_path: Path) -> None:
    case = Case(
        master=tmp_path / "two.dss",
        frequency_hz=50.0,
        initial="as-modelled",
        direction="export",
        step_kw=0.1,
        max_steps=3,
    )
    for table, words in (
        ({}, "allocation.scope: required key is missing"),
        ({"scope": "feeder"}, "feeder-wide"),
        ({"scope": "feeder-wide", "basis": "export"}, "existing-export"),
        ({"scope": "feeder-wide", "basis": "existing-export", "colum": "a"}, "colum"),
    ):
        with pytest.raises(ConfigError, match=words):
            case.work_package(parts={"allocation": {"plugin": "weighted", **table}})


@pytest.mark.shared
def test_a_real_feeder_gives_the_oracles_answer_for_a_column(networks: Path, tmp_path: Path) -> None:
    """CRE21, 3383 customers with sizes drawn by the test; every fourth has none, so that some groups do not grow."""
    case = attrs.evolve(real_cases(networks)["cre21-export"], step_kw=0.6, max_steps=6)
    customers = case.work_package().source().load("f").customers
    sizes = np.random.default_rng(3).choice([0.0, 3.3, 5.0, 6.6], customers.id.size)
    sizes[customers.group == 7] = 0.0
    weight = dict(zip(map(str, customers.id), (sizes / 6.6).tolist(), strict=True))
    lines = [f"{name},{name},{size}" for name, size in zip(customers.id, sizes, strict=True)]
    (tmp_path / "sizes.csv").write_text("\n".join(["customer,element,kw", *lines]), encoding="utf-8")
    dead = {str(name) for name in customers.id[~customers.live]}
    statuses = assert_oracles(
        case,
        {name: share for name, share in weight.items() if name not in dead},
        "batched",
        parts={"allocation": {"plugin": "weighted", "column": "kw", "scope": "feeder-wide"}},
        network={"customers": str(tmp_path / "sizes.csv")},
    )
    assert {"bound", "no_growth"} <= statuses
