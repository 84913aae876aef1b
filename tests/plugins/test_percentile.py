"""LV limits on a percentile of each group: bare engine voltages and a sort give the same answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import hv_oracle
import numpy as np
import pytest
from headroom_oracle import oracle
from hv_studying import demo_case, differing, locations, real_hv_cases
from hypothesis import given
from hypothesis import strategies as st
from studying import Case, answers, demo_cases, real_cases

from hostcap.config import structure
from hostcap.errors import ConfigError
from hostcap.limits import LimitSet, LinearLimits
from hostcap.network import Network
from hostcap.solution import Solution
from hostcap.testing import street
from hostcap_stock.constraints.config import VoltageConfig
from hostcap_stock.constraints.percentile import PercentileOfVoltages, nearest_rank
from hostcap_stock.constraints.voltage import Voltage

SOLVERS = ["batched", "opendss"]


def assert_same(case: Case, solver: str) -> None:
    expected = oracle(str(case.master), **case.arguments)
    found = answers(case.run(solver={"plugin": solver}), case.step_kw)
    assert set(found) == set(expected)
    for group, right in expected.items():
        left = found[group]
        ours, theirs = left.pop("binding") or (), right.pop("binding") or ()
        assert (left, tuple(ours[:4])) == (right, tuple(theirs[:4])), group
        assert ours[4:] == pytest.approx(theirs[4:], rel=1e-4)  # as test_against_oracle.py


class TestAgainstTheOracle:
    """Levels, statuses and what binds, by both solvers; the oracle sorts the engine's own voltages."""

    @pytest.mark.parametrize("solver", SOLVERS)
    @pytest.mark.parametrize(("name", "percentile"), [("export", 75), ("import", 90), ("no-lock", 60)])
    def test_the_demo_in_every_group(self, name: str, percentile: int, solver: str, demo_folder: Path) -> None:
        case = attrs.evolve(demo_cases(demo_folder)[name], lv_percentile=percentile, tolerance_pu=1e-9)
        assert_same(case, solver)

    @pytest.mark.shared
    @pytest.mark.parametrize("solver", SOLVERS)
    @pytest.mark.parametrize(
        ("name", "percentile"), [("eu-lv-export", 80), ("csiro-n-import", 95), ("p1uhs23-export", 75)]
    )
    def test_a_real_feeder_in_every_group(self, name: str, percentile: int, solver: str, networks: Path) -> None:
        case = attrs.evolve(real_cases(networks)[name], lv_percentile=percentile, tolerance_pu=1e-9)
        assert_same(case, solver)

    @pytest.mark.parametrize("solver", SOLVERS)
    def test_the_demo_in_every_hv_location(self, solver: str, demo_folder: Path) -> None:
        case = demo_case(demo_folder, lv=(0.94, 1.09), lv_percentile=70)
        expected = hv_oracle.oracle(str(case.master), **case.arguments)
        found = locations(case.run(solver={"plugin": solver}), case.step_kw, case.direction)
        assert set(found) == set(expected)
        assert not differing(found, expected, 1e-6)
        assert {found[key]["binding"][0] for key in found if found[key]["binding"]} >= {"voltage-high"}

    @pytest.mark.shared
    @pytest.mark.slow
    def test_a_real_feeder_in_every_hv_location(self, networks: Path) -> None:
        case = attrs.evolve(real_hv_cases(networks)["p1uhs23-export"], lv=(0.94, 1.04), lv_unit="pu", lv_percentile=60)
        expected = hv_oracle.oracle(str(case.master), **case.arguments)
        found = locations(case.run(), case.step_kw, case.direction)
        assert not differing(found, expected, 1e-6)


class TestLaws:
    def test_the_hundredth_percentile_is_every_node(self, demo_folder: Path) -> None:
        """Of 100 the greatest, of 0 the least: the same answers as magnitude gives, and the same that binds."""
        case = demo_cases(demo_folder)["export"]
        whole, hundredth = (
            answers(each.run(solver={"plugin": "batched"}), case.step_kw)
            for each in (case, attrs.evolve(case, lv_percentile=100))
        )
        assert whole == hundredth

    def test_a_lower_percentile_never_gives_a_group_that_binds_alone_less(self, demo_folder: Path) -> None:
        """Without locks in between: each group is decided by its own first violation on one and the same path."""
        case = demo_cases(demo_folder)["no-lock"]
        levels = [
            {g: a["level"] for g, a in answers(attrs.evolve(case, lv_percentile=p).run(), case.step_kw).items()}
            for p in (100, 80, 60)
        ]
        assert all(levels[0][g] <= levels[1][g] <= levels[2][g] for g in levels[0])
        assert levels[0] != levels[2]

    def test_magnitude_said_is_magnitude_unsaid(self) -> None:
        said, unsaid = (
            Voltage(config=VoltageConfig(lv_min_v=216.0, lv_max_v=253.0, **more)).limits(street())
            for more in ({"lv_measurement": "magnitude"}, {})
        )
        assert len(said) == len(unsaid) == 1
        assert isinstance(said[0], LinearLimits) and said[0] == unsaid[0]

    @given(
        count=st.integers(1, 40),
        percentile=st.sampled_from([50.0, 60.0, 66.6, 75.0, 90.0, 95.0, 99.0, 99.9, 100.0]),
        seed=st.integers(0, 999),
    )
    def test_the_nearest_rank_is_numpys_inverted_cdf(self, count: int, percentile: float, seed: int) -> None:
        values = np.random.default_rng(seed).normal(size=count)
        expected = np.percentile(values, percentile, method="inverted_cdf")
        assert np.sort(values)[nearest_rank(percentile, count) - 1] == expected

    @pytest.mark.parametrize(
        ("percentile", "count", "rank"),
        [(95.0, 20, 19), (95.0, 19, 19), (5.0, 20, 1), (5.0, 21, 2), (0.0, 7, 1), (100.0, 7, 7), (99.9, 1000, 999)],
    )
    def test_ranks_by_hand(self, percentile: float, count: int, rank: int) -> None:
        assert nearest_rank(percentile, count) == rank


def states(network: Network, volts: Any) -> Solution:
    """Solved states of some volts at each node, to ground, phases as they are."""
    count, nodes = np.shape(volts)
    return Solution(
        node_v=np.asarray(volts) * np.exp(1j * np.arange(nodes)),
        conductor_a=np.zeros((count, network.conductors.node.size), dtype=complex),
        converged=np.ones(count, dtype=bool),
        iterations=np.ones(count, dtype=np.int32),
    )


class TestTheMeasure:
    @given(seed=st.integers(0, 9999), percentile=st.sampled_from([50.0, 75.0, 90.0, 100.0]))
    def test_one_node_of_each_group_speaks_for_it(self, seed: int, percentile: float) -> None:
        network = street()
        limits = Voltage(
            config=VoltageConfig(lv_min_v=216.0, lv_max_v=253.0, lv_measurement="percentile", lv_percentile=percentile)
        ).limits(network)
        rng = np.random.default_rng(seed)
        solution = states(network, rng.uniform(200.0, 270.0, (3, network.nodes.bus.size)))
        assert [limit.metric_high or limit.metric_low for limit in limits] == ["voltage-high", "voltage-low"]
        for limit, share in zip(limits, (percentile, 100.0 - percentile), strict=True):
            assert isinstance(limit, PercentileOfVoltages)
            values = limit.evaluate(solution, None)
            reference = network.nodes.reference[limit.node]
            to = np.where(reference >= 0, solution.node_v[:, reference], 0.0)
            size = np.abs(solution.node_v[:, limit.node] - to)
            assert np.all(np.isnan(values) | (values == size))
            for group in np.unique(limit.labels.group):
                own = limit.labels.group == group
                assert (np.isfinite(values[:, own]).sum(axis=1) == 1).all()
                expected = np.percentile(size[:, own], share, axis=1, method="inverted_cdf")
                assert np.nanmax(values[:, own], axis=1) == pytest.approx(expected, rel=1e-12)

    def test_per_unit_limits_rank_nodes_by_their_share_of_their_own_limit(self) -> None:
        """Of nominals 230 V and 120 V, 120 V at 1.08 is beyond, and 230 V at 1.02 is not, whatever their volts."""
        network = street()
        nominal = network.nodes.nominal_v.copy()
        lv = np.flatnonzero(network.node_lv & network.nodes.live & ~network.nodes.neutral)
        nominal[lv[::2]] = 120.0
        nodes = attrs.evolve(network.nodes, nominal_v=nominal)
        evolved = attrs.evolve(network, nodes=nodes)
        config = VoltageConfig(lv_max_pu=1.05, lv_measurement="percentile", lv_percentile=100.0)
        per_unit = np.where(nominal == 120.0, 1.08, 1.02)
        found = LimitSet(Voltage(config=config).limits(evolved), group_count=len(network.groups)).violations(
            states(evolved, [np.where(nodes.neutral, 0.0, nominal * per_unit)])
        )
        groups = set(network.buses.group[network.nodes.bus[lv]].tolist())
        assert set(found.group.tolist()) == groups
        assert found.value == pytest.approx(120.0 * 1.08)
        assert found.limit == pytest.approx(120.0 * 1.05)


class TestBadSettings:
    @pytest.mark.parametrize(
        ("keys", "message"),
        [
            ({"lv_max_v": 253.0, "lv_measurement": "percentile"}, "needs lv_percentile, such as 95.0"),
            ({"lv_max_v": 253.0, "lv_percentile": 95.0}, 'lv_percentile is for lv_measurement = "percentile"'),
            ({"lv_max_v": 253.0, "lv_measurement": "percentile", "lv_percentile": 30.0}, "must be 50.0 to 100.0"),
            ({"lv_max_v": 253.0, "lv_measurement": "mean"}, "lv_measurement"),
            ({"hv_max_pu": 1.06, "lv_measurement": "percentile", "lv_percentile": 95.0}, "needs an LV limit"),
        ],
    )
    def test_one_line_says_what_is_wrong(self, keys: dict[str, Any], message: str, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match=message):
            structure(keys, VoltageConfig, path="constraints.0", folder=tmp_path)
