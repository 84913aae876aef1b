"""Every stock part passes the kit that strangers' parts pass."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import attrs
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from attrs import frozen

from hostcap.errors import ProfileError
from hostcap.network import Network
from hostcap.profiles import PowerProfiles, Series, Window
from hostcap.testing import (
    AllocationSuite,
    Case,
    ConstraintSuite,
    InitialStateSuite,
    InjectionSuite,
    ProfilesSuite,
    SolverSuite,
    WriterSuite,
    street,
)

NOON, NIGHT = datetime(2025, 1, 6, 12, tzinfo=UTC), datetime(2025, 1, 7, tzinfo=UTC)


class TestNegativeLoad(InjectionSuite):
    @pytest.fixture(
        params=[{}, {"direction": "import", "power_factor": -0.95}, {"power_factor": 0.9}],
        ids=["default", "import", "export"],
    )
    def case(self, request: pytest.FixtureRequest) -> Case:
        return Case(
            module="hostcap_stock.injections.plugin",
            kind="injection",
            name="negative-load",
            settings=request.param,
            wrong=[{"power_factor": 0.0}, {"power_factor": 1.2}, {"direction": "sideways"}],
        )


class Sunny:
    """Profiles with one series: 0.9 kW from each kW of panels, all day long."""

    def customers(self, network: Network, window: Window) -> PowerProfiles:
        raise ProfileError("there are no customers here")

    def series(self, network: Network, name: str, window: Window) -> Series:
        instant = window.instants(30)
        return Series(name=name, instant=instant, value=np.full(instant.size, 0.9))


class TestPvSystem(InjectionSuite):
    @pytest.fixture(params=[{}, {"dc_ac_ratio": 1.3, "power_factor": -0.9, "efficiency": 0.95}], ids=["plain", "full"])
    def case(self, request: pytest.FixtureRequest) -> Case:
        return Case(
            module="hostcap_stock.injections.plugin",
            kind="injection",
            name="pv-system",
            settings={"profile": "rooftop", **request.param},
            wrong=[{"profile": ""}, {"efficiency": 1.1}, {"dc_ac_ratio": 0.0}, {"direction": "import"}],
            parts={"profiles": Sunny()},
        )


class TestUniform(AllocationSuite):
    @pytest.fixture
    def case(self) -> Case:
        return Case(module="hostcap_stock.allocations.plugin", kind="allocation", name="uniform")


class TestWeighted(AllocationSuite):
    @pytest.fixture(
        params=[
            {"scope": "feeder-wide", "basis": "existing-import"},
            {"scope": "within-group", "basis": "existing-export"},
            {"scope": "within-group", "column": "panels_kw"},
        ],
        ids=["import", "export", "column"],
    )
    def case(self, request: pytest.FixtureRequest) -> Case:
        network = street()
        # Twice the generation, so that c4 exports at the start.
        injectors = attrs.evolve(network.injectors, generation_kw=network.injectors.generation_kw * 2.0)
        columns = {"panels_kw": np.array([3.0, 0.0, 5.0, 6.0, np.nan])}
        customers = attrs.evolve(network.customers, columns=columns)
        return Case(
            module="hostcap_stock.allocations.plugin",
            kind="allocation",
            name="weighted",
            settings=request.param,
            network=attrs.evolve(network, injectors=injectors, customers=customers),
            wrong=[{"scope": "everywhere"}, {"basis": "existing"}, {"basis": "existing-export", "column": "panels_kw"}],
        )


class TestVoltage(ConstraintSuite):
    @pytest.fixture(
        params=[
            {"lv_min_v": 216.0, "lv_max_v": 253.0},
            {"hv_max_pu": 1.06, "lv_min_pu": 0.9},
            {"lv_min_v": 216.0, "lv_max_v": 253.0, "lv_measurement": "percentile", "lv_percentile": 90.0},
        ]
    )
    def case(self, request: pytest.FixtureRequest) -> Case:
        return Case(
            module="hostcap_stock.constraints.plugin",
            kind="constraint",
            name="voltage",
            settings=request.param,
            wrong=[{"lv_max_v": -1.0}, {"lv_max_v": "high"}, {"lv_percentile": 30.0}],
        )


class TestThermal(ConstraintSuite):
    @pytest.fixture(params=[{}, {"voltage_level": "lv", "rating_basis": "emergency", "percent_of_rating": 80.0}])
    def case(self, request: pytest.FixtureRequest) -> Case:
        return Case(
            module="hostcap_stock.constraints.plugin",
            kind="constraint",
            name="thermal",
            settings=request.param,
            wrong=[{"percent_of_rating": 0.0}, {"voltage_level": "mv"}],
        )


class TestInitialStates(InitialStateSuite):
    @pytest.fixture(params=["as-modelled", "zero-load", "fixed-load"])
    def case(self, request: pytest.FixtureRequest) -> Case:
        return Case(
            module="hostcap_stock.initial_states.plugin",
            kind="initial_state",
            name=request.param,
            settings={"load_kw_per_customer": 1.5} if request.param == "fixed-load" else {},
            wrong=[{"start_time": "yesterday"}],
        )


@frozen(kw_only=True)
class HalfHours:
    """Profiles of the kit's street: a load that rises through the day, and export at noon."""

    def customers(self, network: Network, window: Window) -> PowerProfiles:
        instant = window.instants(30)
        place = (instant.astype(np.int64) // 1_800_000_000) % 48
        is_load = network.injectors.kind == "load"
        load = np.outer(0.1 + place / 48, is_load)
        generation = np.outer(np.where(place == 24, 9.0, 0.0), is_load)
        return PowerProfiles(
            instant=instant,
            interval_minutes=30,
            load_kw=load,
            load_kvar=0.2 * load,
            generation_kw=generation,
            generation_kvar=0.0 * generation,
        )

    def series(self, network: Network, name: str, window: Window) -> Series:
        raise ProfileError(f"no series {name}")


class TestFollowing(InitialStateSuite):
    @pytest.fixture(
        params=[
            ("fixed-time", {"start_time": NOON, "load_scaling_factor": 0.5}, {"start_time": "noon"}),
            ("peak-import", {"start_time": NOON, "end_time": NIGHT}, {"end_time": NOON}),
            (
                "peak-export",
                {"start_time": NOON, "end_time": NIGHT, "include_loads": False},
                {"der_scaling_factor": -1.0},
            ),
            ("instants", {"instants": [NOON, NIGHT]}, {"start_time": NOON}),
            ("instants", {"start_time": NOON, "end_time": NIGHT}, {"instants": [NOON, NOON]}),
        ],
        ids=["fixed-time", "peak-import", "peak-export", "list", "window"],
    )
    def case(self, request: pytest.FixtureRequest) -> Case:
        name, settings, wrong = request.param
        return Case(
            module="hostcap_stock.initial_states.plugin",
            kind="initial_state",
            name=name,
            settings=settings,
            wrong=[wrong, {"load_kw_per_customer": 1.0}],
            parts={"profiles": HalfHours()},
        )


class TestTable(ProfilesSuite):
    """A day of half hours of the kit's street, long and wide, and a series beside it."""

    @pytest.fixture(params=["long", "wide"])
    def case(self, request: pytest.FixtureRequest, tmp_path: Path) -> Case:
        times = [datetime(2025, 1, 6, tzinfo=UTC) + timedelta(minutes=30 * k) for k in range(1, 49)]
        names = ("c1", "c2", "c3", "c4", "c5", "mill")
        kw = {name: [round(0.1 * (k % 7) + place, 1) for k in range(48)] for place, name in enumerate(names)}
        wide = pa.table({"time": times, **kw, "sun": [0.01 * k for k in range(48)]})
        pq.write_table(wide, tmp_path / "wide.parquet")
        rows = [(t, name, kw[name][k]) for k, t in enumerate(times) for name in names]
        pq.write_table(
            pa.table(dict(zip(("time", "customer", "kw"), map(list, zip(*rows, strict=True)), strict=True))),
            tmp_path / "long.parquet",
        )
        readings = {
            "long": {"import_column": "kw"},
            "wide": {"layout": "wide", "import_column": "{customer}", "unknown_customers": "leave-out"},
        }[request.param]
        common = {"interval_minutes": 30}
        readings |= {"files": [f"{request.param}.parquet"], "unit": "kW", **common}
        return Case(
            module="hostcap_stock.profiles.plugin",
            kind="profile",
            name="table",
            settings={"readings": readings, "series": {"files": ["wide.parquet"], **common}},
            wrong=[{"readings": {**readings, "unit": "MW"}}, {"series": {"files": [], **common}}],
            folder=tmp_path,
            series="sun",
        )


class TestWriters(WriterSuite):
    @pytest.fixture(params=["parquet", "csv"])
    def case(self, request: pytest.FixtureRequest) -> Case:
        return Case(module="hostcap_stock.writers.plugin", kind="writer", name=request.param)


class TestBatched(SolverSuite):
    @pytest.fixture
    def case(self) -> Case:
        return Case(
            module="hostcap_stock.batched.plugin",
            kind="solver",
            name="batched",
            wrong=[{"tolerance_pu": 0.0}, {"threads": -1}],
        )
