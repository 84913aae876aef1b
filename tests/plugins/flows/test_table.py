"""Reader of any tables of branches and nodes."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flow_files import write

from hostcap.errors import FlowsError
from hostcap.flows import Days, FlowPeriod
from hostcap.tracing import directed
from hostcap_stock.flows.config import TableConfig
from hostcap_stock.flows.table import TableFlows

START = datetime(2025, 1, 1, tzinfo=UTC)
BRANCHES = (("L1", "a", "b", 10.0, 0.5), ("L2", "c", "b", -9.5, 0.25))
NODES = (("g", "a", 10.0, 0.0), ("d", "c", 0.0, 9.25))
TITLES = ("branch", "from_bus", "to_bus", "flow_mw", "loss_mw")
NODE_TITLES = ("node", "bus", "generation_mw", "load_mw")


def files(folder: Path, **settings: Any) -> TableFlows:
    branches = folder / "branches.csv"
    nodes = folder / "nodes.csv"
    if not branches.exists():
        write(branches, TITLES, BRANCHES)
    if not nodes.exists():
        write(nodes, NODE_TITLES, NODES)
    return TableFlows(config=TableConfig(**{"branches": branches, "nodes": nodes, "start": START} | settings))


def read(folder: Path, days: Days | None = None, **settings: Any) -> list[FlowPeriod]:
    return list(files(folder, **settings).periods(days or Days()))  # type: ignore[arg-type]


def refused(folder: Path, **settings: Any) -> str:
    with pytest.raises(FlowsError) as caught:
        read(folder, **settings)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_one_period_without_times(tmp_path: Path) -> None:
    (period,) = read(tmp_path, minutes=60.0)
    assert (period.start, period.minutes) == (START, 60.0)
    assert files(tmp_path).days() == [date(2025, 1, 1)]
    assert np.abs(directed(period).mismatch_mw).max() < 1e-12
    assert period.network.row_factor.tolist() == [1.0, 1.0]


def test_both_ends_measured_say_what_one_end_and_its_loss_say(tmp_path: Path) -> None:
    (by_loss,) = read(tmp_path / "loss")
    write(
        tmp_path / "ends" / "branches.csv",
        (*TITLES[:3], "from_mw", "to_mw"),
        [("L1", "a", "b", 10.0, 9.5), ("L2", "c", "b", -9.25, -9.5)],
    )
    (by_ends,) = read(tmp_path / "ends")
    write(
        tmp_path / "received" / "branches.csv",
        (*TITLES[:3], "flow_mw", "received_mw"),
        [("L1", "a", "b", 10.0, 9.5), ("L2", "c", "b", -9.5, 9.25)],
    )
    (by_received,) = read(tmp_path / "received")
    assert by_loss == by_ends == by_received


def test_columns_are_mapped_and_a_map_file_says_where_nodes_stand(tmp_path: Path) -> None:
    write(
        tmp_path / "branches.csv",
        ("Time", "Line", "A", "B", "P", "Loss"),
        [("2025-01-01T00:00Z", *r) for r in BRANCHES],
    )
    write(
        tmp_path / "nodes.csv",
        ("Time", "Name", "G", "L"),
        [("2025-01-01T00:00Z", node, g, load) for node, _, g, load in NODES],
    )
    write(tmp_path / "map.csv", ("Name", "Bus", "Share"), [("g", "a", 0.75), ("g", "b", 0.25), ("d", "c", 1)])
    settings = {
        "branch_columns": {
            "start": "Time",
            "branch": "Line",
            "from_bus": "A",
            "to_bus": "B",
            "flow_mw": "P",
            "loss_mw": "Loss",
        },
        "node_columns": {"start": "Time", "node": "Name", "generation_mw": "G", "load_mw": "L"},
        "map_columns": {"node": "Name", "bus": "Bus", "factor": "Share"},
        "bus_node_map": tmp_path / "map.csv",
        "start": None,
    }
    (period,) = read(tmp_path, **settings)
    assert period.network.row_factor.tolist() == [0.75, 0.25, 1.0]
    assert period.start == START
    assert "'flow' is not ours; did you mean 'flow_mw'" in refused(
        tmp_path, **settings | {"branch_columns": {"flow": "P"}}
    )


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_many_periods_of_csv_and_parquet(tmp_path: Path, kind: str) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    times = [f"2025-01-0{day} {hour:02d}:00" for day in (1, 2) for hour in range(24)]
    rows = {
        "branches": [(t, *row) for t in times for row in BRANCHES],
        "nodes": [(t, *r) for t in times for r in NODES],
    }
    titles = {"branches": ("start", *TITLES), "nodes": ("start", *NODE_TITLES)}
    paths = {}
    for name, listed in rows.items():
        paths[name] = tmp_path / f"{name}.{kind}"
        if kind == "csv":
            write(paths[name], titles[name], listed)
        else:
            columns = dict(zip(titles[name], zip(*listed, strict=True), strict=True))
            pq.write_table(pa.table({k: list(v) for k, v in columns.items()}), paths[name], row_group_size=7)
    settings = paths | {"start": None, "time_zone": "Europe/Berlin", "minutes": 60.0}
    periods = read(tmp_path, **settings)
    assert len(periods) == 48
    assert periods[0].start == datetime(2024, 12, 31, 23, tzinfo=UTC)
    assert len({id(p.network) for p in periods}) == 1
    assert len(read(tmp_path, Days(first=date(2025, 1, 2)), **settings)) == 24
    assert "has no offset" in refused(tmp_path, **settings | {"time_zone": None})


@pytest.mark.parametrize(
    ("branches", "nodes", "told"),
    [
        ((TITLES[:3], [r[:3] for r in BRANCHES]), None, "branches.csv: no column 'flow_mw'"),
        ((TITLES, [("L1", "a", "b", "ten", 0.5)]), None, "line 2: column 'flow_mw' is 'ten'; expected a number"),
        ((TITLES, [("L1", "a", "b", 10.0, "nan")]), None, "column 'loss_mw' is nan"),
        ((TITLES, [*BRANCHES, BRANCHES[0]]), None, "branch L1 is there twice"),
        ((TITLES, []), None, "branches.csv: no rows"),
        (
            ((*TITLES[:3], "from_mw", "to_mw"), [("L1", "a", "b", 5.0, -5.0), ("L2", "b", "c", 1.0, 1.0)]),
            None,
            "branch L1 takes MW in at both ends or gives at both",
        ),
        (
            ((*TITLES[:4], "received_mw"), [("L1", "a", "b", 5.0, 5.5), ("L2", "c", "b", -9, 9)]),
            None,
            "losses must be >= 0",
        ),
        (None, (NODE_TITLES, [*NODES, ("x", "zz", 1.0, 0.0)]), "puts node x on bus zz, where no branch ends"),
        (
            None,
            (NODE_TITLES[:1] + NODE_TITLES[2:], [("g", 1.0, 0.0)]),
            "no column 'bus'; map one, or give bus_node_map",
        ),
        (None, (NODE_TITLES, [*NODES, ("g", "b", 10.0, 0.0)]), "allocation factors of node g add up to 2"),
    ],
)
def test_what_cannot_be_right_is_one_clear_error(tmp_path: Path, branches: Any, nodes: Any, told: str) -> None:
    if branches is not None:
        write(tmp_path / "branches.csv", *branches)
    if nodes is not None:
        write(tmp_path / "nodes.csv", *nodes)
    assert told in refused(tmp_path)


def test_times_that_are_missing_or_mixed_are_refused(tmp_path: Path) -> None:
    assert "no column 'start' says when its periods start" in refused(tmp_path, start=None)
    rows = [(t, *row) for row in BRANCHES for t in ("2025-01-01T00:00Z", "2025-01-01T01:00Z")]
    write(tmp_path / "branches.csv", ("start", *TITLES), rows)
    write(
        tmp_path / "nodes.csv",
        ("start", *NODE_TITLES),
        [(t, *row) for t in ("2025-01-01T00:00Z", "2025-01-01T01:00Z") for row in NODES],
    )
    assert "two periods are mixed" in refused(tmp_path)


def test_numbers_that_are_text_in_parquet_are_refused(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = tmp_path / "branches.parquet"
    table = {"branch": ["L1"], "from_bus": ["a"], "to_bus": ["b"], "flow_mw": ["10"]}
    pq.write_table(pa.table(table), path)
    assert "column 'flow_mw' holds string; expected numbers" in refused(tmp_path, branches=path)
    path.write_bytes(b"not parquet")
    assert "cannot be read as Parquet" in refused(tmp_path, branches=path)
