"""Stock flows and tracers pass the kit that strangers' pass."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from flow_files import vspd_day, write

from hostcap.operating_point import FeederScope
from hostcap.plugins.kinds import Job
from hostcap.testing import Case, FlowsSuite, TracerSuite, TwoBusSource
from hostcap_stock.flows.config import PowerFlowConfig
from hostcap_stock.flows.power_flow import PowerFlow
from hostcap_stock.initial_states import AsModelled


class TestExampleFlows(FlowsSuite):
    @pytest.fixture(params=["three-bus", "bialek-four-bus", "bialek-four-bus-lossless"])
    def case(self, request: pytest.FixtureRequest) -> Case:
        return Case(
            module="hostcap_stock.example_flows.plugin",
            kind="flow",
            name="example",
            settings={"system": request.param},
            wrong=[{"system": "five-bus"}],
        )


TIMES = [f"27-JAN-2025 {hour:02d}:00" for hour in (22, 23)] + ["28-JAN-2025 00:00"]


class TestVspd(FlowsSuite):
    @pytest.fixture(params=["2015", "2025"])
    def case(self, request: pytest.FixtureRequest, tmp_path: Path) -> Case:
        return Case(
            module="hostcap_stock.flows.plugin",
            kind="flow",
            name="vspd",
            settings={"folder": str(vspd_day(tmp_path, TIMES, later=request.param == "2025"))},
            wrong=[{"folder": "x", "minutes": 0.0}, {"folder": "x", "factor_sums": "guess"}],
        )


class TestVspdMonthly(FlowsSuite):
    @pytest.fixture
    def case(self, tmp_path: Path) -> Case:
        keys = [("2011-01-01", 48), ("2011-01-02", 1), ("2011-01-02", 2)]
        write(tmp_path / "b_201101.csv", None, [(*key, "L1", 60.0, 1.0, 0.5, 1, 2) for key in keys])
        rows = [("n1", 1, 1.0, 60.25, 0, 0), ("n2", 2, 1.0, 0, 50.0, 8.75)]
        write(tmp_path / "n_201101.csv", None, [(*key, *row) for key in keys for row in rows])
        return Case(
            module="hostcap_stock.flows.plugin",
            kind="flow",
            name="vspd-monthly",
            settings={"folder": str(tmp_path)},
            wrong=[{"folder": "x", "minutes": -30.0}],
        )


class TestTable(FlowsSuite):
    @pytest.fixture
    def case(self, tmp_path: Path) -> Case:
        times = ["2025-01-01T23:00Z", "2025-01-02T00:00Z"]
        branches = write(
            tmp_path / "branches.csv",
            ("start", "branch", "from_bus", "to_bus", "flow_mw", "loss_mw"),
            [(time, "L1", "a", "b", 10.0, 0.5) for time in times],
        )
        rows = [("g", "a", 10.0, 0.0), ("d", "b", 0.0, 9.5)]
        nodes = write(
            tmp_path / "nodes.csv",
            ("start", "node", "bus", "generation_mw", "load_mw"),
            [(time, *row) for time in times for row in rows],
        )
        return Case(
            module="hostcap_stock.flows.plugin",
            kind="flow",
            name="table",
            settings={"branches": str(branches), "nodes": str(nodes), "minutes": 60.0},
            wrong=[
                {"branches": "x", "nodes": "y", "start": "yesterday"},
                {"branches": "x", "nodes": "y", "minutes": 0},
            ],
        )


class TestBialek(TracerSuite):
    @pytest.fixture(params=["balanced", "standard", "actual", "compat"])
    def case(self, request: pytest.FixtureRequest) -> Case:
        return Case(
            module="hostcap_stock.bialek.plugin",
            kind="tracer",
            name="bialek",
            settings={"mode": request.param},
            wrong=[{"mode": "textbook"}, {"mode": "compat", "netting": "bus"}, {"circulation": "ignore"}],
        )


def solved_two_buses() -> Any:
    """The kit's two buses at their start."""
    source = TwoBusSource()
    job = Job(
        source=source,
        network=source.load("feeder"),
        scope=FeederScope(feeder="feeder", year=2025),
        work_package_id="0",
        progress=lambda stage, done, total: None,
        should_stop=lambda: False,
    )
    return PowerFlow(config=PowerFlowConfig()).on(job, {"initial_state": AsModelled()})


class TestPowerFlow(FlowsSuite):
    @pytest.fixture
    def case(self) -> Case:
        return Case(
            module="hostcap_stock.flows.plugin",
            kind="flow",
            name="power-flow",
            wrong=[{"phases": "both"}, {"minutes": 0.0}],
            flows=solved_two_buses,
        )
