"""Stock flows and tracers pass the kit that strangers' pass."""

from __future__ import annotations

import pytest

from hostcap.testing import Case, FlowsSuite


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
