"""Suites of flows and of tracers."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import attrs
import numpy as np
import pytest

from hostcap.flows import Days, FailedPeriod, FlowNetwork, FlowPeriod
from hostcap.plugins import FlowsPlugin, TracerPlugin
from hostcap.testing.case import Case
from hostcap.testing.flow_samples import THREE_BUSES, three_bus_period
from hostcap.testing.plugin_suite import PluginSuite
from hostcap.tracing import Trace, directed


class FlowsSuite(PluginSuite):
    """Periods in order, day by day, one at a time; ``Case.flows`` makes them where they need a network."""

    kind = FlowsPlugin

    @pytest.fixture
    def flows(self, case: Case) -> Any:
        """The flows."""
        return case.flows() if case.flows is not None else case.make()

    def test_there_are_periods_and_each_is_of_its_day(self, flows: Any) -> None:
        days = list(flows.days())
        assert days == sorted(set(days))
        found = list(flows.periods(Days()))
        assert found
        assert sorted({period.day for period in found}) == days

    def test_periods_come_in_the_order_of_their_starts(self, flows: Any) -> None:
        starts = [period.start for period in flows.periods(Days())]
        assert starts == sorted(set(starts))

    def test_days_that_are_not_asked_for_are_left_out(self, flows: Any) -> None:
        first, last = flows.days()[0], flows.days()[-1]
        assert {period.day for period in flows.periods(Days(first=last))} == {last}
        assert {period.day for period in flows.periods(Days(last=first))} == {first}
        before = first - timedelta(days=1)
        assert not list(flows.periods(Days(last=before)))

    def test_reading_twice_gives_the_same(self, flows: Any, case: Case) -> None:
        other = case.flows() if case.flows is not None else case.make()
        assert dict(flows.hashes()) == dict(other.hashes())
        assert all(flows.hashes().values())
        for one, again in zip(flows.periods(Days()), other.periods(Days()), strict=True):
            assert one == again

    def test_periods_are_given_one_by_one(self, flows: Any) -> None:
        given = flows.periods(Days())
        assert isinstance(given, Iterator), "a list holds every period at once; yield them"
        assert isinstance(next(given), (FlowPeriod, FailedPeriod))

    def test_periods_of_one_topology_share_it(self, flows: Any) -> None:
        previous: FlowNetwork | None = None
        for period in flows.periods(Days()):
            if isinstance(period, FailedPeriod):
                continue
            if previous is not None and previous == period.network:
                assert previous is period.network, "equal networks must be one object, or tracing is slow"
            previous = period.network

    def test_what_comes_to_a_bus_leaves_it_or_is_said(self, flows: Any) -> None:
        for period in flows.periods(Days()):
            if isinstance(period, FlowPeriod):
                worst = float(np.abs(directed(period).mismatch_mw).max(initial=0.0))
                scale = float(np.abs(period.flow_mw).max(initial=1.0))
                assert worst <= 1e-3 * scale or period.findings, f"{period.name}: {worst} MW are not explained"


class TracerSuite(PluginSuite):
    """Shapes, order, streaming, and what no way of sharing may depend on: names, order and size."""

    kind = TracerPlugin

    def test_shares_have_their_shapes_and_users(self, case: Case) -> None:
        trace = case.make().trace(three_bus_period())
        network = trace.network
        for shares in (trace.up, trace.down):
            users = shares.user.size
            assert shares.user_mw.shape == (users,)
            assert shares.branch_mw.shape == (network.branch.size, users)
            assert shares.bus_mw.shape == (network.bus.size, users)
            assert shares.station_mw.shape == (network.stations.size, shares.station_user.size)
            assert np.isfinite(shares.branch_mw).all() and np.isfinite(shares.bus_mw).all()
        assert network.node[trace.up.user].tolist() == ["a", "b"]
        assert network.node[trace.down.user].tolist() == ["c"]
        assert trace.up.user_mw.tolist() == [30.0, 20.0]
        assert trace.up_mw.shape == trace.down_mw.shape == (2, 1)

    def test_a_branch_without_flow_is_shared_by_nobody(self, case: Case) -> None:
        trace = case.make().trace(three_bus_period())
        idle = trace.network.branch.tolist().index("idle")
        assert not trace.up.branch_mw[idle].any() and not trace.down.branch_mw[idle].any()

    def test_twice_the_flows_are_twice_the_shares(self, case: Case) -> None:
        tracer = case.make()
        once, twice = tracer.trace(three_bus_period()), tracer.trace(three_bus_period(scale=2.0))
        assert 2.0 * once.up.branch_mw == pytest.approx(twice.up.branch_mw)
        assert 2.0 * once.down.branch_mw == pytest.approx(twice.down.branch_mw)

    def test_order_and_names_of_branches_change_nothing(self, case: Case) -> None:
        period, tracer = three_bus_period(), case.make()
        order = np.array([2, 0, 1])
        turned = attrs.evolve(
            THREE_BUSES,
            branch=[f"x{name}" for name in THREE_BUSES.branch[order]],
            from_bus=THREE_BUSES.from_bus[order],
            to_bus=THREE_BUSES.to_bus[order],
        )
        other = attrs.evolve(
            period,
            network=turned,
            flow_mw=period.flow_mw[order],
            loss_mw=period.loss_mw[order],
            fixed_loss_mw=period.fixed_loss_mw[order],
        )
        assert tracer.trace(period).up.branch_mw[order] == pytest.approx(tracer.trace(other).up.branch_mw, abs=1e-12)

    def test_many_periods_come_in_order_and_failed_ones_are_passed_on(self, case: Case) -> None:
        good = [three_bus_period(number, scale=1.0 + number) for number in range(6)]
        failed = FailedPeriod(label="TP7", start=three_bus_period(6).start, minutes=30.0, reason="not solved")
        tracer = case.make()
        traced = list(tracer.traces([*good, failed]))
        assert [t.period.label for t in traced[:-1]] == [period.label for period in good]
        assert traced[-1] == failed
        for trace, period in zip(traced, good, strict=False):
            assert isinstance(trace, Trace)
            assert np.array_equal(trace.up.branch_mw, tracer.trace(period).up.branch_mw)

    def test_it_reads_only_a_few_periods_ahead(self, case: Case) -> None:
        read = 0

        def many() -> Iterator[FlowPeriod]:
            nonlocal read
            for number in range(2000):
                read += 1
                yield three_bus_period(number)

        traced = case.make().traces(many())
        next(traced)
        assert read < 500, "memory must not grow with the number of periods"
        traced.close()

    def test_tracing_writes_to_nothing_and_gives_one_answer(self, case: Case) -> None:
        period = three_bus_period()
        before = pickle.dumps(period)
        first, second = case.make().trace(period), case.make().trace(period)
        assert np.array_equal(first.up_mw, second.up_mw) and np.array_equal(first.down_mw, second.down_mw)
        assert pickle.dumps(period) == before
        assert case.make().mode.strip()
