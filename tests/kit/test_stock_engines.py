"""Stock network sources, solvers and studies pass the kit that strangers' pass."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from hostcap.operating_point import FeederScope
from hostcap.testing import AllocationSuite, Case, NetworkSuite, ProfilesSuite, SolverSuite, StudySuite, TwoBusSource
from hostcap_stock.allocations import Uniform
from hostcap_stock.batched.solver import BatchedSolver
from hostcap_stock.bialek.config import BialekConfig
from hostcap_stock.bialek.tracer import BialekTracer
from hostcap_stock.constraints.thermal import Thermal
from hostcap_stock.example_flows.config import ExampleConfig
from hostcap_stock.example_flows.systems import Example
from hostcap_stock.initial_states import AsModelled, ZeroLoad
from hostcap_stock.injections import NegativeLoad
from hostcap_stock.opendss.config import OpenDssConfig
from hostcap_stock.opendss.source import OpenDssSource


def demo(folder: Path) -> dict[str, Any]:
    """Settings of the demo feeder."""
    return {"master": str(folder / "feeder" / "Master.dss"), "frequency_hz": 50}


def frozen_demo(folder: Path, state: Any = None) -> Any:
    """The demo feeder on an engine, without load unless another initial state is given."""
    source = OpenDssSource(config=OpenDssConfig(master=folder / "feeder" / "Master.dss", frequency_hz=50.0))
    network = source.load("demo")
    point = (state or ZeroLoad()).operating_point(network, FeederScope(feeder="demo", year=2025))
    return source.freeze(network, point)


class TestOpenDssNetwork(NetworkSuite):
    @pytest.fixture
    def case(self, demo_folder: Path) -> Case:
        return Case(
            module="hostcap_stock.opendss.plugin",
            kind="network",
            name="opendss",
            settings=demo(demo_folder),
            wrong=[{"frequency_hz": -50}, {"unrated": "guess"}, {"master": 3}],
            feeder="demo",
        )


class TestOpenDssShapes(ProfilesSuite):
    """Hourly shapes of a house and of a PV system, on a feeder of two buses."""

    @pytest.fixture(params=["daily", "yearly"])
    def case(self, request: pytest.FixtureRequest, tmp_path: Path) -> Case:
        hours = " ".join(str(0.1 + hour / 24) for hour in range(24))
        (tmp_path / "m.dss").write_text(
            "clear\nnew circuit.c basekv=0.4\nnew line.l bus1=sourcebus bus2=b length=0.1\n"
            f"new loadshape.day npts=24 interval=1 mult=({hours})\n"
            "new load.house bus1=b.1 phases=1 kv=0.23 kw=2 pf=0.9 daily=day\n"
            "new pvsystem.roof bus1=b.1 phases=1 kv=0.23 kva=3 pmpp=3 daily=day\n"
            "set voltagebases=[0.4]\ncalcvoltagebases\n",
            encoding="utf-8",
        )
        source = OpenDssSource(config=OpenDssConfig(master=tmp_path / "m.dss", frequency_hz=50.0))
        settings = {"mode": request.param, "start_time": datetime(2025, 1, 1, tzinfo=UTC)}
        return Case(
            module="hostcap_stock.opendss.plugin",
            kind="profile",
            name="opendss-shapes",
            settings=settings,
            wrong=[{"mode": "duty"}, {"interval_minutes": -1.0}],
            network=source.load("f"),
            series="day",
        )


class TestOpenDssSolver(SolverSuite):
    steps = 5

    @pytest.fixture
    def case(self, demo_folder: Path) -> Case:
        return Case(
            module="hostcap_stock.opendss.plugin",
            kind="solver",
            name="opendss",
            wrong=[{"tolerance_pu": 0.0}, {"max_iterations": 0}],
            frozen=partial(frozen_demo, demo_folder),
        )


class TestTracedAllocation(AllocationSuite):
    @pytest.fixture(params=[{}, {"scope": "feeder-wide"}], ids=["default", "feeder-wide"])
    def case(self, request: pytest.FixtureRequest, demo_folder: Path) -> Case:
        return Case(
            module="hostcap_stock.allocations.plugin",
            kind="allocation",
            name="traced",
            settings=request.param,
            frozen=partial(frozen_demo, demo_folder, AsModelled()),
            wrong=[{"scope": "everywhere"}, {"basis": "existing-import"}, {"asset": ""}],
        )


class TestBatchedOnAnEngine(SolverSuite):
    @pytest.fixture
    def case(self, demo_folder: Path) -> Case:
        return Case(
            module="hostcap_stock.batched.plugin",
            kind="solver",
            name="batched",
            wrong=[{"max_iterations": 0}],
            frozen=partial(frozen_demo, demo_folder),
        )


def frozen_pandapower(name: str) -> Any:
    """A network that pandapower ships, as it is."""
    from hostcap_stock.pandapower.config import PandapowerConfig
    from hostcap_stock.pandapower.source import PandapowerSource

    source = PandapowerSource(config=PandapowerConfig(function=name))
    network = source.load("cigre")
    return source.freeze(network, AsModelled().operating_point(network, FeederScope(feeder="cigre", year=2025)))


class TestPandapowerNetwork(NetworkSuite):
    @pytest.fixture
    def case(self) -> Case:
        return Case(
            module="hostcap_stock.pandapower.plugin",
            kind="network",
            name="pandapower",
            settings={"function": "create_cigre_network_lv"},
            wrong=[{"function": 3}, {"options": 5}, {"emergency_factor": 0.0, "function": "x"}],
        )


class TestPandapowerSolver(SolverSuite):
    steps = 5

    @pytest.fixture
    def case(self) -> Case:
        return Case(
            module="hostcap_stock.pandapower.plugin",
            kind="solver",
            name="pandapower",
            wrong=[{"tolerance_pu": 0.0}, {"max_iterations": 0}],
            frozen=partial(frozen_pandapower, "create_cigre_network_lv"),
        )


class TestLvHeadroom(StudySuite):
    @pytest.fixture
    def case(self) -> Case:
        return Case(
            module="hostcap_stock.headroom.plugin",
            kind="study",
            name="lv-headroom",
            settings={"step_kw_per_customer": 0.5, "max_steps": 60},
            wrong=[{"max_steps": 0}, {"step_kw_per_customer": -1.0}, {"search": "bisection"}],
            parts={
                "network": TwoBusSource(),
                "initial_state": AsModelled(),
                "injection": NegativeLoad(),
                "allocation": Uniform(),
                "constraints": (Thermal(),),
                "solver": BatchedSolver(),
            },
        )


class TestHvNodeHeadroom(StudySuite):
    @pytest.fixture
    def case(self, demo_folder: Path) -> Case:
        return Case(
            module="hostcap_stock.headroom.plugin",
            kind="study",
            name="hv-node-headroom",
            settings={
                "step_kw_per_node": 100.0,
                "max_steps_per_node": 30,
                "location_kinds": ["dtx-hv-terminal", "switch-upstream-terminal", "line-tee"],
            },
            wrong=[
                {"max_steps_per_node": 0},
                {"max_steps_per_node": 1001},
                {"step_kw_per_node": 0.0},
                {"location_kinds": []},
                {"location_kinds": ["DTX_HV_TERMINAL"]},
                {"location_kinds": ["line-tee", "line-tee"]},
                {"location_names": []},
                {"search": "linear"},
            ],
            feeder="demo",
            parts={
                "network": OpenDssSource(
                    config=OpenDssConfig(master=demo_folder / "feeder" / "Master.dss", frequency_hz=50.0)
                ),
                "initial_state": AsModelled(),
                "injection": NegativeLoad(),
                "constraints": (Thermal(),),
                "solver": BatchedSolver(),
            },
        )


class TestTrace(StudySuite):
    @pytest.fixture
    def case(self) -> Case:
        return Case(
            module="hostcap_stock.trace.plugin",
            kind="study",
            name="trace",
            settings={"levels": ["period", "day", "month", "year", "total"]},
            wrong=[{"levels": ["week"]}, {"levels": []}, {"station_letters": -1}, {"averaging": "mean"}],
            feeder="four-buses",
            parts={
                "flows": Example(config=ExampleConfig(system="bialek-four-bus")),
                "tracer": BialekTracer(BialekConfig()),
            },
        )


class TestTraceReport(StudySuite):
    @pytest.fixture
    def case(self, tmp_path: Path) -> Case:
        (tmp_path / "td.csv").write_text(",a,b\nL1,3,1\nL2,0,2\n", encoding="utf-8")
        return Case(
            module="hostcap_stock.trace_report.plugin",
            kind="study",
            name="trace-report",
            settings={"down": str(tmp_path / "td.csv")},
            wrong=[{"results": "x"}, {"unmapped": "guess"}, {"user_letters": 0}, {"register": "x"}],
            feeder="report",
        )
