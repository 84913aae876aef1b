"""The injection ``pv-system``: units by hand, and headroom in installed kW against the closed form of two buses."""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from attrs import field, frozen
from hypothesis import given
from hypothesis import strategies as st

from hostcap.config import structure_study
from hostcap.errors import ConfigError, ProfileError
from hostcap.growth import Direction, UnitInjection
from hostcap.network import Network
from hostcap.plugins import ProfilesPlugin, Registry, default_registry, hookimpl
from hostcap.plugins.kinds import Moment
from hostcap.profiles import PowerProfiles, Series, Window, as_datetime
from hostcap.running import check, run
from hostcap.tables import Results
from hostcap.testing import street
from hostcap.work_package import WorkPackage
from hostcap_stock.headroom.summary import by_transformer
from hostcap_stock.injections import PvSystem, PvSystemConfig

NOON = datetime(2025, 1, 15, 2, tzinfo=UTC)
"""Noon in the east of Australia."""


@frozen(kw_only=True)
class Sun:
    """Half-hourly output of panels at an instant: ``noon`` at 02:00 UTC, half of it an hour earlier, else 0."""

    noon: float = field(default=0.6)

    def customers(self, network: Network, window: Window) -> PowerProfiles:
        raise ProfileError("nobody asks a series for customers")

    def series(self, network: Network, name: str, window: Window) -> Series:
        if name != "rooftop":
            raise ProfileError(f"profiles: no series named {name!r}; there is: rooftop")
        instant = window.instants(30)
        hour = [as_datetime(each).hour + as_datetime(each).minute / 60 for each in instant]
        value = [{2.0: self.noon, 1.0: self.noon / 2}.get(h, 0.0) for h in hour]
        return Series(name=name, instant=instant, value=np.asarray(value, dtype=np.float64))


def moment(noon: float = 0.6, *, instant: datetime = NOON, stated: bool = True, profiles: bool = True) -> Moment:
    sun = Sun(noon=noon) if profiles else None
    return Moment(network=street(), instant=instant, profiles=sun, instant_stated=stated)


def unit(noon: float = 0.6, **config: Any) -> UnitInjection:
    return PvSystem(config=PvSystemConfig(profile="rooftop", **config)).unit(Direction.EXPORT, moment(noon))


@pytest.mark.parametrize(
    ("noon", "config", "p_kw", "q_kvar"),
    [
        # kW x profile x efficiency.
        (0.6, {}, 0.6, 0.0),
        (0.6, {"efficiency": 0.9}, 0.54, 0.0),
        # 1 kW of panels on 1 / 1.25 = 0.8 kVA: 0.95 x 0.9 = 0.855 kW is more than the inverter's 0.8.
        (0.95, {"efficiency": 0.9, "dc_ac_ratio": 1.25}, 0.8, 0.0),
        # The inverter leaves 0.8 x 0.9 = 0.72 kW beside its kvar: 0.8 x sqrt(1 - 0.81) = 0.348712; leading supplies.
        (0.95, {"dc_ac_ratio": 1.25, "power_factor": -0.9}, 0.72, 0.8 * math.sqrt(0.19)),
        # Below its limit: 0.6 kW, and 0.6 x tan(acos 0.8) = 0.45 kvar consumed.
        (0.6, {"dc_ac_ratio": 1.25, "power_factor": 0.8}, 0.6, -0.45),
        # Exactly at it: 0.8 kVA x 0.8.
        (0.64, {"dc_ac_ratio": 1.25, "power_factor": 0.8}, 0.64, -0.48),
        (0.0101, {}, 0.0101, 0.0),
    ],
)
def test_one_kw_of_panels_injects_what_profile_and_inverter_let_through(
    noon: float, config: dict[str, float], p_kw: float, q_kvar: float
) -> None:
    found = unit(noon, **config)
    assert (found.p_kw, found.q_kvar) == (pytest.approx(p_kw, rel=1e-12), pytest.approx(q_kvar, rel=1e-12, abs=1e-15))
    assert (found.law.vmin_pu, found.law.vmax_pu, found.law.vlow_pu) == (0.7, 2.0, 0.5)


@given(
    kw_dc=st.floats(0.1, 1e4),
    noon=st.floats(0.011, 1.5),
    efficiency=st.floats(0.1, 1.0),
    ratio=st.floats(0.1, 10.0),
    pf=st.floats(0.05, 1.0).flatmap(lambda size: st.sampled_from([size, -size])),
)
def test_any_size_injects_its_size_times_the_unit_and_never_more_kva_than_its_inverter(
    kw_dc: float, noon: float, efficiency: float, ratio: float, pf: float
) -> None:
    """The minimum of two numbers that are proportional to the size is proportional to it."""
    one = unit(noon, efficiency=efficiency, dc_ac_ratio=ratio, power_factor=pf)
    kva = kw_dc / ratio
    assert kw_dc * one.p_kw == pytest.approx(min(kw_dc * noon * efficiency, kva * abs(pf)), rel=1e-12)
    assert kw_dc * math.hypot(one.p_kw, one.q_kvar) <= kva * (1 + 1e-12) or kva * abs(pf) > kw_dc * noon * efficiency
    assert math.copysign(1.0, -one.q_kvar) == math.copysign(1.0, pf) or one.q_kvar == 0.0


@pytest.mark.parametrize(
    ("at", "words"),
    [
        (moment(profiles=False), r"injection\.profile: 'rooftop' needs a table \[profiles\]"),
        (moment(stated=False), r"initial_state\.start_time: required, as growth follows the profile 'rooftop'"),
        (moment(instant=datetime(2025, 1, 15, 12, tzinfo=UTC)), r"is 0 at 2025-01-15T12:00:00\+00:00, not above 0\.01"),
        (moment(0.01), r"is 0\.01 at .*, not above 0\.01, .*; choose an instant with light"),
        (moment(-0.5), r"is -0\.5 at"),
        (moment(math.nan), r"is nan at"),
        (moment(3.7), r"is 3\.7 at .*, above 1\.5; expected output per installed kW"),
        (moment(instant=datetime(2025, 1, 15, 2, 10, tzinfo=UTC)), r"no interval that ends at 2025-01-15T02:10:00"),
    ],
)
def test_an_instant_without_light_or_without_profile_is_refused(at: Moment, words: str) -> None:
    with pytest.raises(ProfileError, match=words):
        PvSystem(config=PvSystemConfig(profile="rooftop")).unit(Direction.EXPORT, at)


@pytest.mark.parametrize(
    "wrong",
    [
        {"profile": " "},
        {"dc_ac_ratio": 0.0},
        {"dc_ac_ratio": -1.2},
        {"efficiency": 0.0},
        {"efficiency": 90.0},
        {"power_factor": 0.0},
        {"power_factor": 1.1},
        {"efficiency": math.nan},
    ],
)
def test_wrong_settings_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"must"):
        PvSystemConfig(**{"profile": "rooftop", **wrong})


# --- in a study ----------------------------------------------------------------------------------------------------

TWO_BUS = """clear
new circuit.c bus1=s.1 phases=1 basekv=0.23 pu=1 r1=0 x1=1e-6 r0=0 x0=1e-6
new line.w bus1=s.1 bus2=e.1 phases=1 r1=0.4 x1=0.1 r0=0.4 x0=0.1 c1=0 c0=0 length=1
new load.home bus1=e.1 phases=1 kv=0.23 kw=1 kvar=0 model=1 vminpu=0.1 vmaxpu=3
set voltagebases=[0.3983717]
calcvoltagebases
"""
SUN = ProfilesPlugin(name="sun", summary="Sun at noon", config=Sun, make=lambda config: config)


class Almanac:
    """A plugin module of one profile."""

    @hookimpl
    def hostcap_profiles(self) -> Iterable[ProfilesPlugin[Any]]:
        return [SUN]


def package(folder: Path, **parts: Any) -> WorkPackage:
    """A study of the two buses; a part that is None is left out."""
    (folder / "two.dss").write_text(TWO_BUS, encoding="utf-8")
    stock = default_registry()
    registry = Registry.of(*stock_modules(), Almanac(), distribution="test")
    assert set(stock.names("injections")) == set(registry.names("injections"))
    data: dict[str, Any] = {
        "name": "panels",
        "scope": {"feeders": ["f"], "year": 2025},
        "network": {"plugin": "opendss", "master": str(folder / "two.dss"), "frequency_hz": 50.0},
        "profiles": {"plugin": "sun", "noon": 0.95},
        "study": {"plugin": "lv-headroom", "step_kw_per_customer": 0.1, "max_steps": 300},
        "initial_state": {"plugin": "as-modelled", "start_time": NOON},
        "injection": {"plugin": "pv-system", "profile": "rooftop"},
        "constraints": [{"plugin": "voltage", "lv_max_v": 241.0}],
        "solver": {"plugin": "batched", "tolerance_pu": 1e-9},
        **parts,
    }
    data = {name: value for name, value in data.items() if value is not None}
    return WorkPackage(document=structure_study(data, folder, registry), registry=registry)


def stock_modules() -> list[Any]:
    from importlib import import_module

    rooms = ("allocations", "batched", "constraints", "headroom", "initial_states", "injections", "opendss", "writers")
    return [import_module(f"hostcap_stock.{room}.plugin") for room in rooms]


def volts(p_kw: float, q_kvar: float) -> float:
    """|V| where p_kw and q_kvar are injected beside the 1 kW load: the upper root of the two buses' quartic.

    With S drawn, |V|^2 solves x^2 + (2 Re(Z conj(S)) - E^2) x + |Z S|^2 = 0.
    """
    z, s = complex(0.4, 0.1), 1000.0 * complex(1.0 - p_kw, -q_kvar)
    half = 230.0**2 / 2 - (z * s.conjugate()).real
    return math.sqrt(half + math.sqrt(half**2 - abs(z * s) ** 2))


@pytest.mark.parametrize("solver", ["batched", "opendss"])
@pytest.mark.parametrize(
    ("config", "per_kw"),
    [
        ({"efficiency": 0.9}, (0.855, 0.0)),
        ({"dc_ac_ratio": 1.25, "power_factor": -0.9}, (0.72, 0.8 * math.sqrt(0.19))),
        ({"dc_ac_ratio": 1.25, "power_factor": 0.9}, (0.72, -0.8 * math.sqrt(0.19))),
    ],
)
def test_headroom_is_in_installed_kw_up_to_the_voltage_of_the_closed_form(
    config: dict[str, float], per_kw: tuple[float, float], solver: str, tmp_path: Path
) -> None:
    study = package(
        tmp_path,
        injection={"plugin": "pv-system", "profile": "rooftop", **config},
        solver={"plugin": solver, "tolerance_pu": 1e-9},
    )
    results = run(study)
    assert not results.failed

    def at(n: int) -> float:
        return volts(0.1 * n * per_kw[0], 0.1 * n * per_kw[1])

    level = max(n for n in range(300) if at(n) <= 241.0)
    (group,) = results["lv_group_hosting_capacity"].rows()
    assert group["status"] == "bound"
    assert group["headroom_kw_per_customer"] == pytest.approx(0.1 * level)
    assert group["total_kw_added"] == pytest.approx(0.1 * level)
    assert group["injected_kw"] == pytest.approx(0.1 * level * per_kw[0], abs=1e-9)
    (broken,) = results["constraint_violations"].rows()
    assert broken["violating_value"] == pytest.approx(at(level + 1), rel=1e-7)
    (customer,) = results["customer_allocations"].rows()
    assert customer["allocated_kw"] == pytest.approx(-0.1 * level)
    assert customer["injected_kw"] == pytest.approx(-0.1 * level * per_kw[0], abs=1e-9)
    assert customer["power_factor"] == config.get("power_factor", 1.0)


def test_what_a_run_prints_says_what_panels_inject(tmp_path: Path) -> None:
    panels = run(package(tmp_path, injection={"plugin": "pv-system", "profile": "rooftop", "efficiency": 0.9}))
    (printed,) = by_transformer(panels)
    assert printed["injected_kw"] == pytest.approx(panels["lv_group_hosting_capacity"]["total_kw_added"] * 0.855)
    (plain,) = by_transformer(run(package(tmp_path, profiles=None, injection={"plugin": "negative-load"})))
    assert "injected_kw" not in plain.columns


def test_a_kw_of_growth_that_follows_no_profile_is_a_kw_at_any_instant(tmp_path: Path) -> None:
    results = run(package(tmp_path, profiles=None, injection={"plugin": "negative-load", "direction": "import"}))
    (group,) = results["lv_group_hosting_capacity"].rows()
    (customer,) = results["customer_allocations"].rows()
    assert group["injected_kw"] == group["total_kw_added"] == customer["injected_kw"] == customer["allocated_kw"] > 0


def failure(results: Results) -> str:
    (message,) = results.failed.values()
    return message


@pytest.mark.parametrize("plugin", ["as-modelled", "zero-load", "fixed-load"])
def test_growth_that_follows_a_profile_requires_a_start_time(plugin: str, tmp_path: Path) -> None:
    state: dict[str, Any] = {"plugin": plugin, **({"load_kw_per_customer": 0.0} if plugin == "fixed-load" else {})}
    results = run(package(tmp_path, initial_state=state))
    assert "initial_state.start_time: required, as growth follows the profile 'rooftop'" in failure(results)
    timed = package(tmp_path, initial_state={**state, "start_time": NOON})
    assert not run(timed).failed


def test_a_study_without_the_profile_or_at_night_fails_with_one_line_and_check_says_so_before(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"injection: 'pv-system' follows readings or series; add \[profiles\]"):
        run(package(tmp_path, profiles=None))
    night = {"plugin": "zero-load", "start_time": datetime(2025, 1, 15, 14, tzinfo=UTC)}
    dark = package(tmp_path, initial_state=night)
    assert "is 0 at 2025-01-15T14:00:00+00:00, not above 0.01" in failure(run(dark))
    assert "not above 0.01" in str(check(dark))
    named = package(tmp_path, injection={"plugin": "pv-system", "profile": "roof"})
    assert "no series named 'roof'" in failure(run(named))


@pytest.mark.parametrize(
    "study",
    [
        {"plugin": "lv-headroom", "step_kw_per_customer": 1.0, "max_steps": 3},
        {"plugin": "hv-node-headroom", "step_kw_per_node": 100.0, "max_steps_per_node": 3},
    ],
    ids=["lv", "hv"],
)
def test_one_dark_instant_of_several_is_named_by_check_too(study: dict[str, Any], demo_folder: Path) -> None:
    table = {"interval_minutes": 30.0}
    light, dark = datetime(2025, 1, 13, 2, tzinfo=UTC), datetime(2025, 1, 13, 14, 30, tzinfo=UTC)
    data: dict[str, Any] = {
        "name": "panels",
        "scope": {"feeders": ["demo"], "year": 2025},
        "network": {"plugin": "opendss", "master": "feeder/Master.dss", "frequency_hz": 50.0},
        "profiles": {
            "plugin": "table",
            "readings": {
                "files": ["feeder/readings.parquet"],
                "unit": "kW",
                "import_column": "import_kw",
                "export_column": "export_kw",
                **table,
            },
            "series": {"files": ["feeder/series.parquet"], **table},
        },
        "study": study,
        "injection": {"plugin": "pv-system", "profile": "rooftop_pv"},
        "constraints": [{"plugin": "voltage", "lv_max_v": 253.0, "hv_max_pu": 1.06}],
    }

    def of(*instants: datetime) -> WorkPackage:
        initial = {"plugin": "instants", "instants": list(instants)}
        return WorkPackage(
            document=structure_study({**data, "initial_state": initial}, demo_folder, default_registry())
        )

    assert "not above 0.01" not in str(check(of(light)))
    for told in (str(check(of(light, dark))), failure(run(of(light, dark)))):
        assert f"'rooftop_pv' is 0 at {dark.isoformat()}, not above 0.01" in told


def test_keys_of_the_other_injection_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"injection\.direction: unknown key"):
        package(tmp_path, injection={"plugin": "pv-system", "profile": "rooftop", "direction": "import"})
    with pytest.raises(ConfigError, match=r"injection\.profile: required key is missing"):
        package(tmp_path, injection={"plugin": "pv-system"})
    with pytest.raises(ConfigError, match=r"injection\.profile: unknown key"):
        package(tmp_path, injection={"plugin": "negative-load", "profile": "rooftop"})


@pytest.mark.parametrize("solver", ["batched", "opendss"])
def test_panels_at_an_hv_location_are_plain_growth_of_what_they_inject(
    solver: str, demo_folder: Path, tmp_path: Path
) -> None:
    """2 kW of panels on 1.6 kVA inject 0.76 of their kW at noon: what plain export finds in steps of 0.76 as much."""
    common: dict[str, Any] = {
        "network": {"plugin": "opendss", "master": str(demo_folder / "feeder" / "Master.dss"), "frequency_hz": 50.0},
        "initial_state": {"plugin": "zero-load", "start_time": NOON},
        "constraints": [{"plugin": "voltage", "hv_max_pu": 1.06}, {"plugin": "thermal"}],
        "solver": {"plugin": solver, "tolerance_pu": 1e-9},
    }

    def nodes(step_kw: float, **parts: Any) -> Any:
        study = {"plugin": "hv-node-headroom", "step_kw_per_node": step_kw, "max_steps_per_node": 40}
        results = run(package(tmp_path, study=study, **common, **parts))
        assert not results.failed
        return results["hv_node_headroom"]

    panels = {"plugin": "pv-system", "profile": "rooftop", "dc_ac_ratio": 1.25, "power_factor": 0.95}
    ours = nodes(50.0, injection=panels)
    plain = nodes(50.0 * 0.76, injection={"plugin": "negative-load", "power_factor": 0.95}, profiles=None)
    assert ours["status"].tolist() == plain["status"].tolist()
    assert ours["injected_kw"] == pytest.approx(plain["available_headroom_kw"], abs=1e-6)
    assert ours["available_headroom_kw"] == pytest.approx(plain["injected_kw"] / 0.76, abs=1e-6)
    assert 0.0 < min(ours["available_headroom_kw"]) < max(ours["available_headroom_kw"])
