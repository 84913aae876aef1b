"""Real periods of New Zealand's system: every one closes its balance, and both layouts of one case agree."""

from __future__ import annotations

import gzip
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from hostcap.flows import Days, FlowPeriod
from hostcap.tracing import directed
from hostcap_stock.flows.config import VspdConfig, VspdMonthlyConfig
from hostcap_stock.flows.monthly import VspdMonthlyFlows
from hostcap_stock.flows.vspd import VspdFlows

pytestmark = pytest.mark.shared
CASES = {"20250127_NRSS": (8, 30.0), "20250226_PRSS": (8, 30.0), "20250226_RTD": (1, 5.0)}


def vspd(folder: Path, case: str) -> list[FlowPeriod]:
    source = VspdFlows(config=VspdConfig(folder=folder / "vspd_real" / case))
    return list(source.periods(Days()))  # type: ignore[arg-type]


@pytest.mark.parametrize("case", list(CASES))
def test_every_period_closes_its_balance(tracing_data: Path, case: str) -> None:
    """What comes less what leaves is half of the fixed loss of each branch, within 0.0001 MW (the data's README)."""
    periods = vspd(tracing_data, case)
    count, minutes = CASES[case]
    assert (len(periods), {p.minutes for p in periods}) == (count, {minutes})
    for period in periods:
        flows = directed(period)
        assert np.abs(flows.mismatch_mw).max() < 1e-4
        total = float(period.generation_mw.sum() - period.load_mw.sum())
        losses = float((flows.sent_mw - flows.received_mw).sum() + period.fixed_loss_mw.sum())
        assert total == pytest.approx(losses, abs=0.01)
        codes = {f.code for f in period.findings}
        # Only the price-responsive case has demand bids in the results of its buses and not of its nodes.
        assert ("bus-results-differ" in codes) == (case == "20250226_PRSS")


def test_the_bids_of_the_price_responsive_case_are_found_at_seven_buses(tracing_data: Path) -> None:
    found = [
        finding
        for period in vspd(tracing_data, "20250226_PRSS")
        for finding in period.findings
        if finding.code == "bus-results-differ"
    ]
    assert [finding.count for finding in found] == [7] * 8
    assert np.mean([finding.kw or 0.0 for finding in found]) == pytest.approx(100_000.0, rel=0.15)


def test_the_monthly_layout_of_a_case_says_the_same(tracing_data: Path) -> None:
    daily = vspd(tracing_data, "20250127_NRSS")
    source = VspdMonthlyFlows(config=VspdMonthlyConfig(folder=tracing_data / "tpm_layout"))
    monthly = list(source.periods(Days()))
    assert len(monthly) == len(daily)
    for one, other in zip(monthly, daily, strict=True):
        assert isinstance(one, FlowPeriod)
        assert (one.label, one.start) == (other.label, other.start)
        assert one.network.branch.tolist() == other.network.branch.tolist()
        assert np.array_equal(one.flow_mw, other.flow_mw) and np.array_equal(one.loss_mw, other.loss_mw)
        by_name = dict(zip(other.network.node, other.generation_mw - other.load_mw, strict=True))
        net = [by_name[node] for node in one.network.node]
        assert one.generation_mw - one.load_mw == pytest.approx(net, abs=1e-9)
        assert np.abs(directed(one).mismatch_mw).max() < 1e-4


@pytest.mark.parametrize(("test", "buses"), [("testA", 3), ("testB", 4)])
def test_the_toy_systems_of_the_original_are_read(tracing_data: Path, test: str, buses: int) -> None:
    (period,) = VspdMonthlyFlows(config=VspdMonthlyConfig(folder=tracing_data / test)).periods(Days())
    assert isinstance(period, FlowPeriod)
    assert period.network.bus.size == buses
    assert np.abs(directed(period).mismatch_mw).max() < 1e-12


def test_the_map_of_a_day_of_2014_is_read_and_its_rounded_factors_scaled(tracing_data: Path, tmp_path: Path) -> None:
    """48 periods of 647 rows; the results beside it are made, as none of that day are public: nodes without MW."""
    packed = tracing_data / "vspd_real" / "busnodemap_20140101.csv.gz"
    with gzip.open(packed, "rt") as text:
        rows = [line.rstrip("\n").replace('"', "").split(",") for line in text][1:]
    times = list(dict.fromkeys(row[0] for row in rows))
    assert (len(rows), len(times)) == (48 * 647, 48)
    with (tmp_path / "20140101_BranchResults_TP.csv").open("w") as branches:
        branches.write('"DateTime","Branch","FromBus","ToBus","Flow (MW)","DynamicLoss (MW)","FixedLoss (MW)"\n')
        for time in times:
            buses = sorted({row[2] for row in rows if row[0] == time})
            branches.writelines(f"{time},{a}_{b},{a},{b},0,0,0\n" for a, b in pairwise(buses))
    with (tmp_path / "20140101_NodeResults_TP.csv").open("w") as nodes:
        nodes.write('"DateTime","Node","Generation (MW)","Load (MW)"\n')
        for time in times:
            nodes.writelines(f"{time},{node},1,1\n" for node in sorted({row[1] for row in rows if row[0] == time}))
    config = VspdConfig(folder=tmp_path, bus_node_map=packed)
    periods = list(VspdFlows(config=config).periods(Days()))
    assert len(periods) == 48
    for period in periods:
        assert isinstance(period, FlowPeriod)
        assert period.network.row_node.size == 647
        assert period.network.factor_sums == pytest.approx(np.ones(period.network.node.size))
        (found,) = [f for f in period.findings if f.code == "allocation-factors-rounded"]
        assert found.kw is not None and 0 < found.kw < 2000.0
