"""Stock parts: injection, allocation, initial states, and how they meet in a study file; signs and sums by hand."""

from __future__ import annotations

import math
from collections.abc import Collection
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import hostcap_stock.allocations.plugin
import hostcap_stock.batched.plugin
import hostcap_stock.constraints.plugin
import hostcap_stock.headroom.plugin
import hostcap_stock.initial_states.plugin
import hostcap_stock.injections.plugin
import hostcap_stock.opendss.plugin
import hostcap_stock.writers.plugin
from hostcap import WorkPackage
from hostcap.errors import ConfigError
from hostcap.growth import Direction, Directions, customer_growth
from hostcap.limits import LimitSet, LinearLimits, RowLabels
from hostcap.network import Network
from hostcap.operating_point import FeederScope, OperatingPoint
from hostcap.plugins import Registry
from hostcap.power_flow import States
from hostcap.search import STATUSES, SearchRules, Status, lock_out_search
from hostcap.solution import Solution
from hostcap.testing.networks import SmallNetwork
from hostcap_stock.allocations import Uniform
from hostcap_stock.headroom.answer import solve_answer
from hostcap_stock.initial_states import (
    AsModelled,
    AsModelledConfig,
    FixedLoad,
    FixedLoadConfig,
    ZeroLoad,
    ZeroLoadConfig,
)
from hostcap_stock.injections import NegativeLoad, NegativeLoadConfig

STOCK = Registry.of(
    hostcap_stock.batched.plugin,
    hostcap_stock.allocations.plugin,
    hostcap_stock.constraints.plugin,
    hostcap_stock.headroom.plugin,
    hostcap_stock.initial_states.plugin,
    hostcap_stock.injections.plugin,
    hostcap_stock.opendss.plugin,
    hostcap_stock.writers.plugin,
    distribution="stock",
)
SCOPE = FeederScope(feeder="F1", year=2031)
# tan(acos 0.95) = sqrt(1 - 0.95^2) / 0.95 = 0.3122498999 / 0.95
TAN_95 = 0.3286841051788632


@pytest.fixture
def street() -> Network:
    """A house on two legs with PV, a three-phase farm, a shed on a dead bus, PV alone, a mill and a wind farm at HV."""
    return (
        SmallNetwork()
        .bus("hv", 22.0)
        .bus("a", 0.4, (1, 2, 3, 4), group=1)
        .bus("cut", 0.4, (1,), group=1, live=False)
        .group("t1")
        .load("leg1", "a", (1, 4), kw=1.0, kvar=0.2)
        .load("leg2", "a", (2, 4), kw=0.5)
        .load("farm", "a", (1, 2, 3, 4), kw=9.0, kvar=-3.0, kv=0.4)
        .load("shed", "cut", (1, 0), kw=0.7)
        .load("mill", "hv", (1, 2, 3), kw=100.0, kvar=30.0, kv=22.0)
        .pv("roof", "a", (1, 4), kw=5.0, kvar=-1.0)
        .pv("alone", "a", (2, 4), kw=3.0)
        .pv("wind", "hv", (1, 2, 3), kw=500.0, kvar=50.0, kv=22.0)
        .customer("house", "leg1", "leg2", "roof")
        .customer("farm")
        .customer("shed", live=False)
        .customer("alone")
        .build()
    )


def by_injector(network: Network, values: Any) -> dict[str, float]:
    """What is not 0, by injector."""
    return {str(n): float(v) for n, v in zip(network.injectors.name, values, strict=True) if v != 0.0}


# --- negative-load -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("direction", "power_factor", "p_kw", "q_kvar"),
    [
        # kW and kvar *into* the network for 1 kW of growth. Lagging (positive) consumes kvar, leading supplies it.
        (Direction.EXPORT, 0.95, 1.0, -TAN_95),
        (Direction.EXPORT, -0.95, 1.0, TAN_95),
        (Direction.IMPORT, 0.95, -1.0, -TAN_95),
        (Direction.IMPORT, -0.95, -1.0, TAN_95),
        (Direction.EXPORT, 1.0, 1.0, 0.0),
        (Direction.IMPORT, -1.0, -1.0, 0.0),
        # tan(acos 0.6) = 0.8 / 0.6
        (Direction.EXPORT, -0.6, 1.0, 4.0 / 3.0),
        (Direction.IMPORT, 0.6, -1.0, -4.0 / 3.0),
    ],
)
def test_one_kw_of_growth_has_the_sign_of_its_direction_and_kvar_by_the_sign_of_the_power_factor(
    direction: Direction, power_factor: float, p_kw: float, q_kvar: float
) -> None:
    injection = NegativeLoad(config=NegativeLoadConfig(direction=Directions(direction), power_factor=power_factor))
    unit = injection.unit(direction)
    assert unit.p_kw == p_kw
    assert unit.q_kvar == pytest.approx(q_kvar, rel=1e-12, abs=1e-15)
    assert (injection.directions, injection.power_factor) == ((direction,), power_factor)


def test_growth_of_5_kw_at_power_factor_0_95_exports_5_kw_and_consumes_1_643_kvar(street: Network) -> None:
    unit = NegativeLoad(config=NegativeLoadConfig(power_factor=0.95)).unit(Direction.EXPORT)
    growth = customer_growth(street, np.array([0.0, 5.0, 0.0, 0.0]), unit)
    assert growth.p_kw.tolist() == pytest.approx([5.0])
    assert growth.q_kvar.tolist() == pytest.approx([-1.643420526], rel=1e-9)


def test_growth_keeps_constant_power_between_0_7_and_2_pu() -> None:
    law = NegativeLoad().unit(Direction.EXPORT).law
    assert (law.vmin_pu, law.vmax_pu, law.vlow_pu) == (0.7, 2.0, 0.5)


@pytest.mark.parametrize("wrong", [0.0, 1.0001, -1.2, math.nan, math.inf])
def test_a_power_factor_outside_0_to_1_is_refused(wrong: float) -> None:
    with pytest.raises(ValueError, match=r"0 < \|power factor\| <= 1"):
        NegativeLoadConfig(power_factor=wrong)


# --- uniform -------------------------------------------------------------------------------------------------------


def test_uniform_weighs_every_customer_1(street: Network) -> None:
    assert Uniform().weights(SimpleNamespace(network=street)).tolist() == [1.0] * 4
    assert Uniform().scaled is False


# --- initial states ------------------------------------------------------------------------------------------------


def test_as_modelled_is_the_models_snapshot_and_writes_nothing(street: Network) -> None:
    point = AsModelled().operating_point(street, SCOPE)
    assert point.as_modelled
    assert by_injector(street, point.load_kw) == {"leg1": 1.0, "leg2": 0.5, "farm": 9.0, "shed": 0.7, "mill": 100.0}
    assert by_injector(street, point.load_kvar) == {"leg1": 0.2, "farm": -3.0, "mill": 30.0}
    assert by_injector(street, point.generation_kw) == {"roof": 5.0, "alone": 3.0, "wind": 500.0}
    assert by_injector(street, point.generation_kvar) == {"roof": -1.0, "wind": 50.0}
    assert point.comparable


def test_zero_load_sets_every_injector_to_0(street: Network) -> None:
    point = ZeroLoad().operating_point(street, SCOPE)
    assert not point.as_modelled
    for values in (point.load_kw, point.load_kvar, point.generation_kw, point.generation_kvar):
        assert values.tolist() == [0.0] * 8
    assert not point.comparable


def test_fixed_load_gives_each_live_customer_and_each_hv_load_the_same(street: Network) -> None:
    config = FixedLoadConfig(load_kw_per_customer=0.5, load_kvar_per_customer=-0.1)
    point = FixedLoad(config=config).operating_point(street, SCOPE)
    # The house's half kW is split over the phases of its two legs; the shed hangs on a dead node; PV is off.
    assert by_injector(street, point.load_kw) == {"leg1": 0.25, "leg2": 0.25, "farm": 0.5, "mill": 0.5}
    assert by_injector(street, point.load_kvar) == {"leg1": -0.05, "leg2": -0.05, "farm": -0.1, "mill": -0.1}
    assert by_injector(street, point.generation_kw) == {}
    assert by_injector(street, point.generation_kvar) == {}
    assert not point.as_modelled
    assert not point.comparable


def test_fixed_load_splits_a_customer_evenly_over_the_phases_of_its_loads() -> None:
    network = (
        SmallNetwork()
        .bus("a", 0.4, group=1)
        .group("t")
        .load("big", "a", (1, 2, 3), kv=0.4)
        .load("small", "a", (2, 0))
        .customer("farm", "small", "big")
        .build()
    )
    point = FixedLoad(config=FixedLoadConfig(load_kw_per_customer=2.0)).operating_point(network, SCOPE)
    assert by_injector(network, point.load_kw) == {"big": 1.5, "small": 0.5}
    assert point.customer_kw(network).tolist() == [2.0]


def test_fixed_load_gives_generation_beside_the_load_positive_kvar_consuming(street: Network) -> None:
    config = FixedLoadConfig(load_kw_per_customer=0.5, generation_kw_per_customer=2.0, generation_kvar_per_customer=0.4)
    point = FixedLoad(config=config).operating_point(street, SCOPE)
    net = dict(zip(street.customers.id, point.customer_kw(street).tolist(), strict=True))
    assert net["house"] == pytest.approx(-1.5)
    assert net["farm"] == pytest.approx(-1.5)
    house = [i for i, name in enumerate(street.injectors.name) if name in ("leg1", "leg2", "roof")]
    assert point.generation_kvar[house].sum() == pytest.approx(0.4)
    assert point.q_kvar[house].sum() == pytest.approx(-0.4)
    # The wind farm is off, and the mill is an HV load like any other.
    assert by_injector(street, point.generation_kw).get("wind") is None
    assert by_injector(street, point.generation_kw)["mill"] == 2.0


def test_fixed_load_reaches_a_customer_of_generation_alone_with_the_given_generation(street: Network) -> None:
    # "each customer ... at the given kW and kvar": a generating element without a load on its bus is a customer.
    config = FixedLoadConfig(generation_kw_per_customer=2.0)
    point = FixedLoad(config=config).operating_point(street, SCOPE)
    net = dict(zip(street.customers.id, point.customer_kw(street).tolist(), strict=True))
    assert net["alone"] == -2.0


def test_fixed_load_requires_a_load_or_a_generation(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        study(tmp_path, '[initial_state]\nplugin = "fixed-load"\nload_kvar_per_customer = 0.1\n')
    (line,) = caught.value.problems
    assert "initial_state.load_kw_per_customer: required, or generation_kw_per_customer" in line


@pytest.mark.parametrize("key", ["load_kw_per_customer", "generation_kw_per_customer"])
def test_fixed_load_refuses_negative_kw(key: str) -> None:
    with pytest.raises(ValueError, match=">= 0"):
        FixedLoadConfig(**{key: -0.5})


@pytest.mark.parametrize(
    "state",
    [AsModelled(), ZeroLoad(), FixedLoad(config=FixedLoadConfig(load_kw_per_customer=0.0))],
    ids=lambda state: state.name,
)
def test_without_a_start_time_the_start_is_1_january_00_00_utc_of_the_scopes_year(state: Any, street: Network) -> None:
    assert state.operating_point(street, SCOPE).instant == datetime(2031, 1, 1, tzinfo=UTC)
    assert state.operating_point(street, SCOPE).instant.utcoffset() == timedelta(0)


@pytest.mark.parametrize(
    "state",
    [
        AsModelled(config=AsModelledConfig(start_time=datetime(2024, 7, 1, 10, tzinfo=timezone(timedelta(hours=10))))),
        ZeroLoad(config=ZeroLoadConfig(start_time=datetime(2024, 7, 1, tzinfo=UTC))),
        FixedLoad(config=FixedLoadConfig(start_time=datetime(2024, 7, 1, tzinfo=UTC), load_kw_per_customer=0.0)),
    ],
    ids=lambda state: state.name,
)
def test_a_start_time_is_the_instant_of_the_start(state: Any, street: Network) -> None:
    assert state.operating_point(street, SCOPE).instant == datetime(2024, 7, 1, tzinfo=UTC)


@pytest.mark.parametrize("config", [AsModelledConfig, ZeroLoadConfig, FixedLoadConfig])
def test_a_python_user_meets_the_refusal_of_naive_times_too(config: Any) -> None:
    with pytest.raises(ValueError, match=r"offset|naive|UTC"):
        config(start_time=datetime(2025, 1, 1))


# --- in a study file -----------------------------------------------------------------------------------------------

STUDY = """
name = "parts"
[scope]
feeders = ["F1"]
year = 2031
[network]
plugin = "opendss"
master = "Master.dss"
frequency_hz = 50
[study]
plugin = "lv-headroom"
[[constraints]]
plugin = "voltage"
lv_max_v = 253.0
"""


def study(tmp_path: Path, text: str = "") -> WorkPackage:
    path = tmp_path / "study.toml"
    path.write_text(STUDY + text, encoding="utf-8")
    return WorkPackage.read(path, registry=STOCK)


@pytest.mark.parametrize("plugin", ["as-modelled", "zero-load", "fixed-load"])
def test_a_naive_start_time_in_a_study_file_is_refused_with_the_utc_form_to_type(plugin: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        study(tmp_path, f'[initial_state]\nplugin = "{plugin}"\nstart_time = 2025-06-01T12:00:00\n')
    (line,) = caught.value.problems
    assert line.startswith("initial_state.start_time: ")
    assert "2025-06-01T12:00:00Z" in line


def test_a_start_time_with_an_offset_is_kept_in_utc(tmp_path: Path, street: Network) -> None:
    text = '[initial_state]\nplugin = "zero-load"\nstart_time = 2025-06-01T12:00:00+10:00\n'
    package = study(tmp_path, text)
    state = package.make(package.part("initial_state"))
    assert state.operating_point(street, SCOPE).instant == datetime(2025, 6, 1, 2, tzinfo=UTC)
    assert "2025-06-01 02:00:00+00:00" in package.canonical.replace("T", " ").replace("Z", "+00:00")


def test_what_a_study_file_leaves_out_is_as_modelled_export_at_power_factor_1_and_uniform(tmp_path: Path) -> None:
    package = study(tmp_path)
    assert package.make(package.part("initial_state")).name == "as-modelled"
    unit = package.make(package.part("injection")).unit(Direction.EXPORT)
    assert (unit.p_kw, unit.q_kvar) == (1.0, 0.0)
    assert isinstance(package.make(package.part("allocation")), Uniform)


def test_a_study_without_a_limit_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "study.toml"
    path.write_text(STUDY.split("[[constraints]]")[0], encoding="utf-8")
    with pytest.raises(ConfigError, match="constraints: a study needs at least one limit"):
        WorkPackage.read(path, registry=STOCK)


# --- HV violations that do not stop the search ---------------------------------------------------------------------


class Overloaded:
    """A plan of one scope whose HV line carries ``level`` x 60 A at both ends; limits 100 A and, twice, 150 A."""

    def __init__(self) -> None:
        size = 4
        self.limits = LimitSet(
            [
                LinearLimits(
                    labels=RowLabels(
                        equipment=["mv"] * size,
                        equipment_type=["Line"] * size,
                        terminal=[1, 2, 1, 2],
                        phase=["A", "A", "B", "B"],
                        unit=["A"] * size,
                        group=[0] * size,
                        v_base_v=[22000.0] * size,
                    ),
                    node_ptr=[0] * (size + 1),
                    node_index=[],
                    node_coefficient=[],
                    conductor_ptr=range(size + 1),
                    conductor_index=range(size),
                    conductor_coefficient=[1.0] * size,
                    lower=[math.nan] * size,
                    upper=[100.0, 100.0, 150.0, 150.0],
                    metric_low="",
                    metric_high="thermal",
                )
            ],
            group_count=1,
        )

    def solve(self, levels: Any, want: Collection[str]) -> States:
        size = levels.shape[0]
        state = Solution(
            node_v=np.zeros((size, 1)),
            conductor_a=np.repeat(60.0 * levels, 4, axis=1),
            converged=[True] * size,
            iterations=[1] * size,
        )
        return States(
            converged=state.converged,
            iterations=state.iterations,
            extremes=self.limits.extremes(state),
            violations=self.limits.violations(state),
            solution=state,
        )

    def close(self) -> None:
        pass


def test_hv_violations_that_do_not_stop_are_recorded_once_per_equipment_phase_and_metric() -> None:
    plan = Overloaded()
    result = lock_out_search(
        plan,
        open_scopes=np.array([True]),
        idle=np.array([STATUSES.index(Status.NO_GROWTH)], dtype=np.int32),
        rules=SearchRules(max_steps=4, stop_on_hv_violation=False),
    )
    recorded = solve_answer(plan, result, plan.limits.labels).hv_recorded
    # Phase A (100 A) is first seen at step 2 (120 A), phase B (150 A) at step 3 (180 A); both ends are one line.
    label = plan.limits.labels
    found = [(step, label.equipment[r], label.phase[r]) for step, rows in recorded.items() for r in rows.row]
    assert found == [(2, "mv", "A"), (3, "mv", "B")]


def test_a_point_of_a_python_user_has_kw_of_every_injector(street: Network) -> None:
    point = FixedLoad(config=FixedLoadConfig(load_kw_per_customer=1.0)).operating_point(street, SCOPE)
    assert isinstance(point, OperatingPoint)
    assert point.load_kw.shape == street.injectors.name.shape
    load_kw, generation_kw = point.group_kw(street)
    assert (load_kw.tolist(), generation_kw.tolist()) == ([2.0], [0.0])
