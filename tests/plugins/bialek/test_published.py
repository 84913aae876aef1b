"""The numbers of the method's section 9, in every mode. Source: Bialek (1996), figure 2, worked out in the method."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tracing_cases import BIALEK, period_of

from hostcap.flows import FlowPeriod
from hostcap.tracing import Trace
from hostcap_stock.bialek.config import BialekConfig
from hostcap_stock.bialek.tracer import BialekTracer
from hostcap_stock.example_flows.config import ExampleConfig
from hostcap_stock.example_flows.systems import Example

GROSS_AND_NET = [
    [60.0, 0.0, 16.897772, 41.214077],
    [60.0, 114.0, 49.547703, 120.848057],
    [115.0, 0.0, 32.452297, 79.151943],
    [225.0, 0.0, 218.0, 0.0],
    [51.325088, 33.434629, 82.0, 0.0],
]
ACTUAL = [
    [60.0, 0.0, 17.303887, 41.696113],
    [59.0, 114.0, 50.151943, 120.848057],
    [115.0, 0.0, 32.848057, 79.151943],
    [225.0, 0.0, 218.0, 0.0],
    [49.951899, 33.048101, 82.0, 0.0],
]


def traced(period: FlowPeriod, mode: Any = "balanced", **settings: Any) -> Trace:
    return BialekTracer(BialekConfig(mode=mode, **settings)).trace(period)


def example(system: Any) -> FlowPeriod:
    return Example(config=ExampleConfig(system=system)).period


def near(values: Any) -> Any:
    return pytest.approx(np.array(values), abs=6e-7)  # printed to six places


@pytest.mark.parametrize(
    "period", [period_of(*BIALEK), example("bialek-four-bus")], ids=["as-negative-load", "example"]
)
@pytest.mark.parametrize(
    ("mode", "table"),
    [("balanced", GROSS_AND_NET), ("standard", GROSS_AND_NET), ("compat", GROSS_AND_NET), ("actual", ACTUAL)],
)
def test_branch_shares_of_four_buses(period: FlowPeriod, mode: str, table: Any) -> None:
    trace = traced(period, mode)
    assert trace.network.branch.tolist() == ["L1", "L2", "L3", "L4", "L5"]
    assert trace.network.node[trace.up.user].tolist() == ["n1", "n2"]
    assert trace.network.node[trace.down.user].tolist() == ["n3", "n4"]
    assert np.hstack([trace.up.branch_mw, trace.down.branch_mw]) == near(table)


@pytest.mark.parametrize("mode", ["balanced", "standard", "compat"])
def test_bus_flows_demand_generation_and_pairs_of_four_buses(mode: str) -> None:
    trace = traced(period_of(*BIALEK), mode)
    assert trace.up.bus_mw.sum(axis=1) == near([400.0, 174.0, 309.759717, 289.0])
    assert trace.down.bus_mw.sum(axis=1) == near([387.716089, 170.395760, 300.0, 282.0])
    assert trace.up_mw == near([[276.325088, 123.674912], [33.434629, 80.565371]])
    assert trace.down_mw == near([[267.350068, 120.366021], [32.649932, 79.633979]])
    assert trace.up_mw.sum(axis=0) == near([309.759717, 204.240283])
    assert trace.down_mw.sum(axis=1) == near([387.716089, 112.283911])
    assert trace.loss_of_takers_mw() == near([9.759717, 4.240283])
    assert trace.loss_of_suppliers_mw() == near([12.283911, 1.716089])
    assert (trace.balance.gross_demand_mw, trace.balance.net_generation_mw) == pytest.approx((514.0, 500.0))


def test_factors_of_branches_for_their_generators() -> None:
    """Method, section 9: of n1, 0.5625 goes over L4, 0.2875 over L3 and 0.15 over L1; L2 carries 0.15 and all of n2."""
    trace = traced(period_of(*BIALEK))
    assert trace.up.branch_mw[[3, 2, 0], 0] / 400.0 == near([0.5625, 0.2875, 0.15])
    assert trace.up.branch_mw[1] / [400.0, 114.0] == near([0.15, 1.0])


def test_the_lossless_system_as_an_independent_program_traces_it() -> None:
    """Source: netallocation's numbers, in the method's section 9, printed to four places."""
    for mode in ("balanced", "standard", "actual"):
        trace = traced(example("bialek-four-bus-lossless"), mode)
        shares = dict(zip(trace.network.branch, trace.up.branch_mw.tolist(), strict=True))
        four = {"abs": 6e-5}
        assert trace.up_mw.ravel().tolist() == pytest.approx([271.4912, 123.0088, 32.5088, 79.9912], **four)
        assert trace.down_mw.ravel().tolist() == pytest.approx([271.4912, 123.0088, 32.5088, 79.9912], **four)
        assert shares["L5"] == pytest.approx([49.9912, 32.5088], **four)
        assert shares["L2"] == pytest.approx([59.5, 112.5], **four)
        assert [shares["L3"][0], shares["L4"][0], shares["L1"][0]] == pytest.approx([113.5, 221.5, 59.5])


@pytest.mark.parametrize("mode", ["balanced", "standard", "actual", "compat"])
def test_three_buses(mode: str) -> None:
    """testA: n3 takes 1 MW over L3 from n1 and 1 MW over L2 from n2; L1 carries nothing."""
    trace = traced(example("three-bus"), mode)
    assert trace.up.branch_mw.tolist() == [[0.0, 0.0], [0.0, 1.0], [1.0, 0.0]]
    assert trace.down.branch_mw.tolist() == [[0.0], [1.0], [1.0]]
    assert trace.down.bus_mw[:, 0].tolist() == [1.0, 1.0, 2.0]
    assert trace.balance.islands == 1


def test_station_use_counts_what_enters() -> None:
    """Each bus a station: n1 feeds 400 MW from its own generator; bus 3 is entered by L4 and L5."""
    trace = traced(example("bialek-four-bus"))
    by_station = dict(zip(trace.network.stations, trace.up.station_mw.tolist(), strict=True))
    assert by_station["station 1"] == pytest.approx([400.0, 0.0])
    assert by_station["station 3"] == near([225.0 + 51.325088, 33.434629])
    down = dict(zip(trace.network.stations, trace.down.station_mw.tolist(), strict=True))
    assert down["station 1"] == near([267.350068, 120.366021])
    assert down["station 4"] == near([49.547703 + 32.452297, 200.0])


def test_compat_books_half_of_a_bus_s_own_power_on_its_diagonal() -> None:
    """Method, section 9: compat sd of testB, rows buses, columns n1 to n4."""
    trace = traced(period_of(*BIALEK), "compat")
    assert trace.network.node[trace.down.station_user].tolist() == ["n1", "n2", "n3", "n4"]
    assert trace.down.station_mw == pytest.approx(
        np.array(
            [
                [193.858, 0.0, 133.675, 60.183],
                [0.0, 56.142, 33.2227, 81.0311],
                [0.0, 0.0, 300.0, 0.0],
                [0.0, 0.0, 82.0, 200.0],
            ]
        ),
        abs=6e-4,
    )
    # The right total of each bus all the same: its net flow.
    assert trace.down.station_mw.sum(axis=1) == near([387.716089, 170.395760, 300.0, 282.0])


def test_compat_joins_parallel_branches_with_sign_and_gives_a_bus_to_its_last_node() -> None:
    """Two circuits 1-2 carry 30 and -10: the original sees 20 under one label; nodes a and b of bus 1 become b."""
    branches = [("y", 1, 2, 30.0, 0.0, 0.0), ("x", 1, 2, -10.0, 0.0, 0.0), ("z", 2, 3, 20.0, 0.0, 0.0)]
    rows = [("a", 1, 1.0, 15.0, 0.0), ("b", 1, 1.0, 5.0, 0.0), ("c", 3, 1.0, 0.0, 20.0), ("gone", 4, 1.0, 7.0, 7.0)]
    trace = traced(period_of(branches, rows), "compat")
    assert trace.network.branch.tolist() == ["x, y", "z"]
    assert trace.network.node[trace.up.user].tolist() == ["b"]
    assert trace.up.branch_mw[:, 0] == near([20.0, 20.0])


def test_compat_negative_power_replaces_what_stands_beside_it() -> None:
    """A row with generation 9 and load -4 supplies 4 in the original, and 13 in every other mode."""
    branches = [("z", 1, 2, 13.0, 0.0, 0.0)]
    rows = [("a", 1, 1.0, 9.0, -4.0), ("c", 2, 1.0, 0.0, 13.0)]
    assert traced(period_of(branches, rows), "compat").up.user_mw.tolist() == [4.0]
    assert traced(period_of(branches, rows)).up.user_mw.tolist() == [13.0]


def test_netting_takes_away_what_is_supplied_and_taken_at_one_place() -> None:
    """Bus 1 has a (+50), b (-20, of which 5 are its own generation's); by node b has -15, by bus 1 has +30 left."""
    branches = [("z", 1, 2, 30.0, 0.0, 0.0)]
    rows = [("a", 1, 1.0, 45.0, 0.0), ("b", 1, 1.0, 5.0, 20.0), ("c", 2, 1.0, 0.0, 30.0)]
    period = period_of(branches, rows)
    by = {how: traced(period, netting=how) for how in ("none", "node", "bus")}
    named = {
        how: dict(zip(t.network.node[t.up.user].tolist(), t.up.user_mw.tolist(), strict=True)) for how, t in by.items()
    }
    assert named["none"] == {"a": 45.0, "b": 5.0}
    assert named["node"] == {"a": 45.0}
    assert named["bus"] == pytest.approx({"a": 27.0, "b": 3.0})
    assert by["bus"].down.user_mw.tolist() == [30.0]
