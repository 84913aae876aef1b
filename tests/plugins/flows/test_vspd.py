"""Reader of vSPD's daily results: both layouts, maps of each period, and one clear error for each fault."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flow_files import BRANCH_TITLES, BRANCHES, MAP, NODES, vspd_day, write

from hostcap.errors import FlowsError
from hostcap.flows import Days, FlowPeriod
from hostcap.tracing import directed
from hostcap_stock.flows import reading
from hostcap_stock.flows.config import VspdConfig
from hostcap_stock.flows.vspd import VspdFlows

TIMES = ("27-JAN-2025 10:00", "27-JAN-2025 10:30")


def flows(folder: Path, **settings: Any) -> VspdFlows:
    return VspdFlows(config=VspdConfig(folder=folder, **settings))


def read(folder: Path, days: Days | None = None, **settings: Any) -> list[FlowPeriod]:
    found = list(flows(folder, **settings).periods(days or Days()))
    assert all(isinstance(period, FlowPeriod) for period in found)
    return found  # type: ignore[return-value]


def refused(folder: Path, **settings: Any) -> str:
    with pytest.raises(FlowsError) as caught:
        read(folder, **settings)
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize("later", [True, False], ids=["layout of 2025", "layout of 2015"])
def test_both_layouts_give_the_same_periods(tmp_path: Path, later: bool) -> None:
    first, second = read(vspd_day(tmp_path, TIMES, later=later))
    assert first.network is second.network
    assert first.network.branch.tolist() == ["A_B.1", "C_B.1"]
    assert set(first.network.bus) == {"1", "2", "3"}
    ends = [first.network.bus[i] for i in (*first.network.from_bus, *first.network.to_bus)]
    assert ends == ["1", "3", "2", "2"]
    assert first.flow_mw.tolist() == [10.0, -19.3]
    assert first.loss_mw.tolist() == [0.5, 0.3]
    assert first.fixed_loss_mw.tolist() == [0.2, 0.0]
    assert first.generation_mw.tolist() == [20.0, 0.0, 0.0]
    assert first.load_mw.tolist() == [0.0, 19.0, 0.0]
    assert [first.label, second.label] == ["TP21", "TP22"]
    assert (first.minutes, second.minutes) == (30.0, 30.0)
    # New Zealand's summer time is 13 hours ahead; the times of the files are starts.
    assert first.start == datetime(2025, 1, 26, 21, 0, tzinfo=UTC)
    assert first.day == date(2025, 1, 27)
    # By hand: bus 1 has 10.1 in, 10 out and 0.1 of fixed loss; bus 2 has 9.5 + 9.9 in, 19.3 out and 0.1 of fixed
    # loss; bus 3 has 19 in and out.
    assert np.abs(directed(first).mismatch_mw).max() < 1e-9
    assert not [f for f in first.findings if f.code != "node-without-bus"]


def test_days_of_folders_are_read_in_the_order_of_time_with_maps_of_their_own(tmp_path: Path) -> None:
    """The layout of 2015: a folder for each day, maps in a folder of their own."""
    for day in ("02", "01"):
        vspd_day(
            tmp_path / "Output" / f"201401{day}",
            [f"{day}-JAN-2014 00:00", f"{day}-JAN-2014 00:30"],
            later=False,
            prefix=f"201401{day}_",
            map_name=f"../../mappings/201401{day}.csv",
        )
    source = flows(tmp_path / "Output", bus_node_map=tmp_path / "mappings")
    assert source.days() == [date(2014, 1, 1), date(2014, 1, 2)]
    periods = list(source.periods(Days()))
    assert [p.start.isoformat() for p in periods] == [
        f"2014-01-0{day}T00:{minute}:00+13:00" for day in (1, 2) for minute in ("00", "30")
    ]
    assert [p.label for p in periods] == ["TP01", "TP02", "TP01", "TP02"]
    assert len(source.hashes()) == 6
    only = list(source.periods(Days(first=date(2014, 1, 2), last=date(2014, 1, 2))))
    assert [p.day for p in only] == [date(2014, 1, 2)] * 2


def test_a_file_of_several_days_takes_the_map_of_each_day(tmp_path: Path) -> None:
    times = ("27-JAN-2025 23:30", "28-JAN-2025 00:00")
    vspd_day(tmp_path, times, map_name="20250127.csv", map_times=times[:1])
    vspd_day(tmp_path, times, map_name="20250128.csv", map_times=times[1:], node_map=[*MAP[:3], ("DDD0111", "2", 1.0)])
    before, after = read(tmp_path)
    assert before.network is not after.network
    assert len(read(tmp_path, Days(first=date(2025, 1, 28)))) == 1


def test_bus_numbers_belong_to_their_period(tmp_path: Path) -> None:
    """The same number names another bus in the next period; the map of each period decides."""
    vspd_day(tmp_path / "a", TIMES[:1])
    swap = {"1": "2", "2": "1", "3": "3"}
    vspd_day(
        tmp_path / "b",
        TIMES[1:],
        branches=[(n, swap[a], swap[b], *rest) for n, a, b, *rest in BRANCHES],
        node_map=[(node, swap[bus], factor) for node, bus, factor in MAP],
    )
    first, second = read(tmp_path, minutes=30.0)
    for period in (first, second):
        assert np.abs(directed(period).mismatch_mw).max() < 1e-9


def test_a_map_of_more_periods_than_the_results_serves(tmp_path: Path) -> None:
    vspd_day(tmp_path, TIMES, map_times=["27-JAN-2025 09:30", *TIMES, "27-JAN-2025 11:00"])
    assert len(read(tmp_path)) == 2


def test_small_blocks_give_the_same_periods(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Periods reach over the blocks that a file is read in."""
    times = [f"27-JAN-2025 {hour:02d}:{minute}" for hour in range(24) for minute in ("00", "30")]
    whole = read(vspd_day(tmp_path, times))
    monkeypatch.setattr(reading, "BLOCK_BYTES", 500)
    assert read(tmp_path) == whole
    assert len(whole) == 48


def test_a_day_of_fifty_half_hours_has_fifty_different_instants(tmp_path: Path) -> None:
    """Clocks show the hour from 2 to 3 twice on 6 April 2025; the number of the trading period tells them apart."""
    source = tmp_path / "x"
    starts = []
    for number in (5, 6, 7, 8):
        hour = "02:00" if number % 2 else "02:30"
        folder = vspd_day(source / str(number), [f"06-APR-2025 {hour}"])
        for path in folder.glob("*Results_TP.csv"):
            text = path.read_text()
            path.write_text(text.replace("TP05" if number % 2 else "TP06", f"TP{number:02d}"))
        (period,) = read(folder, minutes=30.0)
        starts.append(period.start.astimezone(UTC))
    assert starts == [datetime(2025, 4, 5, 13, 0, tzinfo=UTC) + timedelta(minutes=30 * i) for i in range(4)]


@pytest.mark.parametrize(("time", "minutes"), [("26-FEB-2025 11:55", 5.0), ("26-FEB-2025 11:30", 30.0)])
def test_the_length_of_a_single_period_is_assumed_and_said(tmp_path: Path, time: str, minutes: float) -> None:
    vspd_day(tmp_path, [time])
    (period,) = read(tmp_path)
    assert period.minutes == minutes
    assert "period-length-assumed" in {f.code for f in period.findings}
    (told,) = read(tmp_path, minutes=7.5)
    assert told.minutes == 7.5
    assert "period-length-assumed" not in {f.code for f in told.findings}


def test_results_of_buses_that_differ_from_the_nodes_are_a_finding_with_their_mw(tmp_path: Path) -> None:
    vspd_day(tmp_path, TIMES, buses=[("1", 10.1, 0.0), ("2", 9.9, 0.0), ("3", 0.0, 21.5)])
    found = [f for f in read(tmp_path)[0].findings if f.code == "bus-results-differ"]
    assert [(f.element, f.count, f.kw) for f in found] == [("3", 1, pytest.approx(2500.0))]
    assert not [f for f in read(tmp_path, bus_results="ignore")[0].findings if f.code == "bus-results-differ"]
    vspd_day(tmp_path, TIMES, buses=[("1", 10.1, 0.0), ("2", 9.9, 0.0), ("3", 0.0, 19.0)])
    assert not [f for f in read(tmp_path)[0].findings if f.code == "bus-results-differ"]


def test_factors_off_by_their_rounding_are_scaled_and_said(tmp_path: Path) -> None:
    """Maps of 2014 print two decimals: three thirds add up to 0.99."""
    thirds = [("AAA0111 G1", bus, 0.33) for bus in ("1", "2", "3")]
    vspd_day(tmp_path, TIMES, node_map=[*thirds, ("CCC0331", "3", 1.0)])
    period = read(tmp_path)[0]
    assert period.network.factor_sums == pytest.approx([1.0, 1.0, 0.0])
    (found,) = [f for f in period.findings if f.code == "allocation-factors-rounded"]
    assert found.kw == pytest.approx(0.01 * 20.0 * 1000.0)


def test_other_factor_sums_are_refused_or_normalised_where_the_study_asks(tmp_path: Path) -> None:
    vspd_day(tmp_path, TIMES, node_map=[("AAA0111 G1", "1", 0.5), ("AAA0111 G1", "2", 0.4), *MAP[2:]])
    message = refused(tmp_path)
    assert "AAA0111 G1" in message and "0.9" in message
    period = read(tmp_path, factor_sums="normalise")[0]
    assert period.network.factor_sums == pytest.approx([1.0, 1.0, 1.0])
    (found,) = [f for f in period.findings if f.code == "allocation-factors-normalised"]
    assert found.kw == pytest.approx(0.1 * 20.0 * 1000.0)


def test_a_factor_below_0_is_refused_with_its_period_although_factors_add_up_to_1(tmp_path: Path) -> None:
    vspd_day(tmp_path, TIMES, node_map=[("AAA0111 G1", "1", 2.0), ("AAA0111 G1", "2", -1.0), *MAP[2:]])
    message = refused(tmp_path)
    assert message.startswith("period ") and "gives node AAA0111 G1 at bus 2 the factor -1; expected" in message


def test_a_missing_column_is_named_with_those_that_are_there(tmp_path: Path) -> None:
    vspd_day(tmp_path, TIMES)
    path = tmp_path / "BranchResults_TP.csv"
    path.write_text(path.read_text().replace("DynamicLoss (MW)", "Dynamic Loss (MW)"))
    message = refused(tmp_path)
    assert "BranchResults_TP.csv: no column 'DynamicLoss (MW)' (is it 'Dynamic Loss (MW)'?)" in message
    assert "FixedLoss (MW)" in message


@pytest.mark.parametrize(
    ("cell", "told"),
    [
        ("NaN", "is nan; expected a finite number"),
        ("inf", "is inf; expected a finite number"),
        ("", "is empty; expected a number"),
        ("twelve", "is 'twelve'; expected a number"),
        ("12,5", "is '12,5'; expected a number"),
    ],
)
def test_a_cell_that_is_no_number_is_named_with_its_line_and_column(tmp_path: Path, cell: str, told: str) -> None:
    vspd_day(tmp_path, TIMES, branches=[BRANCHES[0], ("C_B.1", "3", "2", cell, 99, 0.3, 0.0)])
    message = refused(tmp_path)
    assert "BranchResults_TP.csv, line 3: column 'Flow (MW) (From->To)'" in message
    assert told in message


def test_a_line_with_too_few_cells_is_named(tmp_path: Path) -> None:
    vspd_day(tmp_path, TIMES, nodes=[NODES[0], NODES[1][:2], NODES[2]])
    assert "NodeResults_TP.csv, line 3: 5 columns; expected 7" in refused(tmp_path)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"node_map": [*MAP, ("XXX0111", "3", 1.0)]}, "busnodemap.csv names node XXX0111, which the results do not"),
        ({"node_map": [*MAP[:2], ("CCC0331", "99", 1.0), MAP[3]]}, "puts node CCC0331 on bus 99, where no branch ends"),
        ({"node_map": MAP[2:]}, "node AAA0111 G1 has 20 MW and stands on no bus"),
        ({"node_map": [*MAP, MAP[0]]}, "node AAA0111 G1 on bus 1 twice; are two periods mixed?"),
        ({"branches": [*BRANCHES, BRANCHES[0]]}, "branch A_B.1 is there twice; are two periods or cases mixed?"),
        ({"nodes": [*NODES, NODES[1]]}, "node CCC0331 is there twice; are two periods or cases mixed?"),
        ({"map_times": TIMES[:1]}, "no rows for period 2025-01-27 10:30 TP22; expected its map"),
        ({"branches": [BRANCHES[0], ("C_B.1", "3", "2", -19.3, 9, -0.3, 0.0)]}, "losses must be >= 0"),
    ],
)
def test_what_does_not_fit_together_is_one_clear_error(tmp_path: Path, changes: Any, told: str) -> None:
    message = refused(vspd_day(tmp_path, TIMES, **changes))
    assert told in message


def test_mixed_periods_are_refused(tmp_path: Path) -> None:
    vspd_day(tmp_path, TIMES)
    path = tmp_path / "BranchResults_TP.csv"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0], lines[1], lines[3], lines[2], lines[4]]) + "\n")
    message = refused(tmp_path)
    assert "BranchResults_TP.csv: rows of the period 27-JAN-2025 10:00 come back" in message
    assert "two periods are mixed" in message


def test_two_cases_of_one_period_are_refused(tmp_path: Path) -> None:
    vspd_day(tmp_path, TIMES)
    path = tmp_path / "BranchResults_TP.csv"
    path.write_text(path.read_text().replace("case1", "case2", 1))
    assert "rows of several cases (case) at 2025-01-27 10:00" in refused(tmp_path)
    vspd_day(tmp_path / "more", TIMES[1:])
    assert "keep one" in refused(tmp_path)


def test_files_of_different_periods_are_refused(tmp_path: Path) -> None:
    vspd_day(tmp_path, TIMES)
    titles = ("CaseID", "DateTime", "Period", *BRANCH_TITLES)
    write(tmp_path / "BranchResults_TP.csv", titles, [("case1", TIMES[1], "TP22", *row) for row in BRANCHES])
    message = refused(tmp_path)
    assert "expected period 2025-01-27 10:30 next, as in BranchResults_TP.csv, and found 27-JAN-2025 10:00" in message


def test_folders_without_results_or_maps_say_what_is_missing(tmp_path: Path) -> None:
    assert "no such folder" in refused(tmp_path / "nowhere")
    assert "no *BranchResults_TP.csv" in refused(tmp_path)
    vspd_day(tmp_path, TIMES)
    (tmp_path / "busnodemap.csv").rename(tmp_path / "map.csv")
    assert "no map of nodes to buses for 2025-01-27" in refused(tmp_path)
    assert len(read(tmp_path, bus_node_map=tmp_path / "map.csv")) == 2
    (tmp_path / "NodeResults_TP.csv").unlink()
    assert "no NodeResults_TP.csv beside it" in refused(tmp_path)


def test_a_time_zone_or_time_that_is_none_is_refused(tmp_path: Path) -> None:
    vspd_day(tmp_path, TIMES)
    assert "time_zone 'Middle/Earth' is not known" in refused(tmp_path, time_zone="Middle/Earth")
    path = tmp_path / "NodeResults_TP.csv"
    path.write_text(path.read_text().replace("27-JAN-2025 10:30", "27-JANUAR-2025"))
    assert "time '27-JANUAR-2025' cannot be read" in refused(tmp_path)
