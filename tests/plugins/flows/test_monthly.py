"""Reader of the headerless monthly files."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flow_files import write

from hostcap.errors import FlowsError
from hostcap.flows import Days, FlowPeriod
from hostcap.tracing import directed
from hostcap_stock.flows.config import VspdMonthlyConfig
from hostcap_stock.flows.monthly import VspdMonthlyFlows

# Fig. 2 of Bialek (1996), MW at both ends; the generator at n1 stands there as a load of -400.
BRANCHES: tuple[tuple[Any, ...], ...] = (
    ("L1", 60.0, 1.0, 0, 1, 2),
    ("L2", 173.0, 2.0, 0, 2, 4),
    ("L3", 115.0, 3.0, 0, 1, 4),
    ("L4", 225.0, 7.0, 0, 1, 3),
    ("L5", 83.0, 1.0, 0, 4, 3),
)
NODES: tuple[tuple[Any, ...], ...] = (
    ("n1", 1, 1, 0.0, -400.0, 0),
    ("n2", 2, 1, 114.0, 0, 0),
    ("n3", 3, 1, 0, 290.0, 10.0),
    ("n4", 4, 1, 0, 200.0, 0),
)


def month(
    folder: Path,
    keys: Sequence[tuple[str, Any]] = (("2011-01-01", 1.0),),
    branches: Sequence[Sequence[Any]] = BRANCHES,
    nodes: Sequence[Sequence[Any]] = NODES,
    name: str = "201101",
) -> Path:
    write(folder / f"b_{name}.csv", None, [(*key, *row) for key in keys for row in branches])
    write(folder / f"n_{name}.csv", None, [(*key, *row) for key in keys for row in nodes])
    return folder


def read(folder: Path, days: Days | None = None, **settings: Any) -> list[FlowPeriod]:
    found = VspdMonthlyFlows(config=VspdMonthlyConfig(folder=folder, **settings)).periods(days or Days())
    return list(found)  # type: ignore[arg-type]


def refused(folder: Path) -> str:
    with pytest.raises(FlowsError) as caught:
        read(folder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_figure_of_bialek_is_read_and_balances(tmp_path: Path) -> None:
    (period,) = read(month(tmp_path))
    assert period.network.node.tolist() == ["n1", "n2", "n3", "n4"]
    assert period.load_mw.tolist() == [-400.0, 0.0, 300.0, 200.0], "load and cleared bids"
    assert period.start == datetime(2010, 12, 31, 11, 0, tzinfo=UTC)
    assert (period.label, period.minutes, period.day) == ("TP01", 30.0, date(2011, 1, 1))
    flows = directed(period)
    assert np.abs(flows.mismatch_mw).max() < 1e-12
    assert sorted(flows.in_mw.tolist()) == [173.0, 283.0, 300.0, 400.0]


def test_months_and_days_come_in_their_order(tmp_path: Path) -> None:
    month(tmp_path, [("2011-02-01", 1), ("2011-02-01", 2)], name="201102")
    month(tmp_path, [("2011-01-30", 48), ("2011-01-31", 48)])
    periods = read(tmp_path)
    assert [p.start.isoformat() for p in periods] == [
        "2011-01-30T23:30:00+13:00",
        "2011-01-31T23:30:00+13:00",
        "2011-02-01T00:00:00+13:00",
        "2011-02-01T00:30:00+13:00",
    ]
    assert len({id(p.network) for p in periods}) == 1
    assert len(read(tmp_path, Days(first=date(2011, 1, 31), last=date(2011, 2, 1)))) == 3


def test_days_of_46_and_50_half_hours_end_at_midnight(tmp_path: Path) -> None:
    month(tmp_path, [("2011-04-03", n) for n in (1, 50)], name="201104")
    month(tmp_path, [("2011-09-25", n) for n in (1, 46)], name="201109")
    last = [p.end for p in read(tmp_path)][1::2]
    assert last == [datetime(2011, 4, 3, 12, tzinfo=UTC), datetime(2011, 9, 25, 11, tzinfo=UTC)]
    month(tmp_path, [("2011-09-25", 47)], name="201109")
    assert "trading period 47 is past the end of 2011-09-25" in refused(tmp_path)


def test_a_node_on_two_buses_counts_once(tmp_path: Path) -> None:
    nodes = [("n1", 1, 0.25, 0.0, -400.0, 0), ("n1", 2, 0.75, 0.0, -400.0, 0), *NODES[1:]]
    (period,) = read(month(tmp_path, nodes=nodes))
    assert period.network.node.tolist() == ["n1", "n2", "n3", "n4"]
    assert period.load_mw[0] == -400.0
    assert period.network.row_factor.tolist()[:2] == [0.25, 0.75]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"keys": [("2011-01-01", 0)]}, "trading period '0' of 2011-01-01; expected a number from 1"),
        ({"keys": [("2011-01-01", "one")]}, "trading period 'one'"),
        ({"keys": [("first", 1)]}, "time 'first' cannot be read"),
        ({"keys": [("2011-01-01", 2), ("2011-01-01", 1)]}, "comes after 2011-01-01 00:30 TP02; expected rising times"),
        ({"branches": [*BRANCHES, BRANCHES[0]]}, "branch L1 is there twice"),
        ({"branches": [row[:-1] for row in BRANCHES]}, "b_201101.csv, line 1: 7 columns; expected 8"),
        ({"branches": [("L1", "x", *BRANCHES[0][2:])]}, "column 'flow_mw' is 'x'; expected a number"),
        ({"nodes": [("n1", 1, 1, 0, "NaN", 0)]}, "n_201101.csv, line 1: column 'load_mw' is nan"),
        ({"nodes": [*NODES, ("n4", 3, 0, 0, 100.0, 0)]}, "rows of node n4 say different load_mw"),
        ({"nodes": [("n1", 1, 0.5, 0, -400, 0), *NODES[1:]]}, "allocation factors of node n1 add up to 0.5"),
        ({"nodes": [*NODES[:3], ("n4", 7, 1, 0, 200, 0)]}, "node n4 on bus 7, where no branch ends"),
    ],
)
def test_what_cannot_be_right_is_one_clear_error(tmp_path: Path, changes: Any, told: str) -> None:
    assert told in refused(month(tmp_path, **changes))


def test_files_that_do_not_belong_together_are_refused(tmp_path: Path) -> None:
    month(tmp_path, [("2011-01-01", 1), ("2011-01-01", 2)])
    write(tmp_path / "n_201101.csv", None, [("2011-01-01", 1, *row) for row in NODES])
    assert "expected date and period 2011-01-01 2 next" in refused(tmp_path)
    (tmp_path / "n_201101.csv").unlink()
    assert "no n_201101.csv (or .csv.gz) beside it" in refused(tmp_path)
    (tmp_path / "b_201101.csv").unlink()
    assert "no b_YYYYMM.csv" in refused(tmp_path)


def test_mixed_periods_are_refused(tmp_path: Path) -> None:
    month(tmp_path, [("2011-01-01", 1), ("2011-01-01", 2)])
    path = tmp_path / "b_201101.csv"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:4], lines[5], lines[4], *lines[6:]]) + "\n")
    assert "b_201101.csv: rows of the period 2011-01-01 1 come back" in refused(tmp_path)
