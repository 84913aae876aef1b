"""Limits that are no linear form beside those that are: extremes are those of the whole limit set, bit for bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from batched.cases import demo_config, frozen, random_levels, uniform
from hypothesis import given
from hypothesis import strategies as st

from hostcap._arrays import FloatArray
from hostcap.limit_rows import node_rows
from hostcap.limits import Limits, LimitSet
from hostcap.network import Network
from hostcap.solution import Solution
from hostcap.testing import street
from hostcap.testing.part_suites import random_states
from hostcap_stock.batched.config import BatchedConfig
from hostcap_stock.batched.mixed import Split
from hostcap_stock.batched.solver import BatchedSolver
from hostcap_stock.constraints.config import ThermalConfig, VoltageConfig
from hostcap_stock.constraints.thermal import Thermal
from hostcap_stock.constraints.voltage import Voltage

PERCENTILE = VoltageConfig(
    lv_min_pu=0.9, lv_max_pu=1.04, hv_min_pu=0.94, hv_max_pu=1.06, lv_measurement="percentile", lv_percentile=75.0
)


class Rise:
    """Change of each LV node's voltage from the start, pu; a family of its own, nan in every fifth row."""

    needs = frozenset({"nodes", "start"})
    metric_low, metric_high, scale, description = "", "rise", None, "rise at most 2 %"

    def __init__(self, network: Network) -> None:
        self.node = np.flatnonzero(network.node_lv & network.nodes.live & ~network.nodes.neutral)
        self.nominal = network.nodes.nominal_v[self.node]
        self.labels = node_rows(network, self.node).labels
        self.lower, self.upper = np.full(self.node.size, np.nan), np.full(self.node.size, 0.02)

    def evaluate(self, solution: Solution, start: Solution | None) -> FloatArray:
        assert start is not None
        now, then = np.abs(solution.node_v[:, self.node]), np.abs(start.node_v[:, self.node])
        values: FloatArray = (now - then) / self.nominal
        values[:, ::5] = np.nan
        return values


class Most:
    """Largest current of all conductors, A; it belongs to the feeder and needs currents."""

    needs = frozenset({"branches"})
    metric_low, metric_high, scale, description = "", "thermal", None, "no more than 300 A anywhere"

    def __init__(self, network: Network) -> None:
        self.labels = node_rows(network, [0], unit="A").labels
        self.lower, self.upper = np.array([np.nan]), np.array([300.0])

    def evaluate(self, solution: Solution, start: Solution | None) -> FloatArray:
        most: FloatArray = np.abs(solution.conductor_a).max(axis=1, keepdims=True)
        return most


def limits_of(network: Network, which: str) -> LimitSet:
    """Limits by letters, in their order."""
    given: dict[str, list[Limits]] = {
        "p": list(Voltage(config=PERCENTILE).limits(network)),
        "t": list(Thermal(config=ThermalConfig()).limits(network)),
        "r": [Rise(network)],
        "m": [Most(network)],
        "v": list(Voltage(config=VoltageConfig(lv_max_pu=1.05)).limits(network)),
    }
    return LimitSet([limit for letter in which for limit in given[letter]], group_count=len(network.groups))


def same(found: Any, expected: Any, *, exactly: bool) -> None:
    assert found.families == expected.families
    assert np.array_equal(found.row, expected.row)
    if exactly:
        assert np.array_equal(found.margin, expected.margin, equal_nan=True)
    else:
        finite = np.isfinite(expected.margin)
        assert np.array_equal(finite, np.isfinite(found.margin))
        assert found.margin[finite] == pytest.approx(expected.margin[finite], abs=1e-9)


class TestTheSplit:
    @given(
        which=st.sampled_from(["p", "pt", "tp", "trv", "vr", "vv", "rv", "vmt", "mtr", "r", "v", "ptrmv"]),
        twins=st.booleans(),
    )
    def test_joined_extremes_are_those_of_the_whole(self, which: str, twins: bool) -> None:
        """Also where rows of both parts are equal, and where a state has no solution."""
        network = street()
        limits = limits_of(network, which + which if twins else which)
        batch = random_states(network, 5)
        batch.converged.setflags(write=True)
        batch.converged[2] = False
        split = Split.of(limits)
        parts = [None if part is None else part.extremes(batch, batch) for part in (split.linear, split.rest)]
        found = split.joined(*parts)
        same(found, limits.extremes(batch, batch), exactly=True)


@pytest.mark.parametrize("which", ["pt", "trv", "mtr", "r", "ptrmv"])
def test_a_plan_says_what_the_limit_set_says_of_its_full_solutions(which: str) -> None:
    """To 1e-9: kernels add up a current in another order than the limit set does."""
    pytest.importorskip("opendssdirect", reason="needs the OpenDSS engine")
    with frozen(demo_config(), "as-modelled") as start:
        network = start.network
        limits = limits_of(network, which)
        plan = BatchedSolver(config=BatchedConfig()).plan(start, uniform(network, "export"), limits)
        levels = random_levels(network, 12, highest=20)
        alone: Any = plan.solve(levels, {"extremes"})
        whole: Any = plan.solve(levels, {"extremes", "violations", "nodes", "branches"})
        plan.close()
        expected = limits.extremes(whole.solution, start.start)
        assert alone.solution is None
        same(alone.extremes, expected, exactly=False)
        same(whole.extremes, expected, exactly=False)
        theirs = limits.violations(whole.solution, start.start)
        assert np.array_equal(whole.violations.row, theirs.row)


def test_starts_in_one_batch_say_what_each_says_alone(tmp_path: Path) -> None:
    pytest.importorskip("opendssdirect", reason="needs the OpenDSS engine")
    with frozen(demo_config(), "as-modelled") as one, frozen(demo_config(), "zero-load") as other:
        limits = limits_of(one.network, "ptr")
        starts = [(each, uniform(each.network, "export")) for each in (one, other)]
        solver = BatchedSolver(config=BatchedConfig())
        joint = solver.joint_plan(starts, limits)
        levels = random_levels(one.network, 6, highest=20)
        found: Any = joint.extremes(np.array([0, 0, 0, 1, 1, 1], dtype=np.int32), levels)
        for place, states in ((0, slice(0, 3)), (1, slice(3, 6))):
            plan = solver.plan(*starts[place], limits)
            alone: Any = plan.solve(levels[states], {"extremes"})
            assert np.array_equal(found.extremes.margin[states], alone.extremes.margin, equal_nan=True)
            assert np.array_equal(found.extremes.row[states], alone.extremes.row)
            plan.close()
        joint.close()
