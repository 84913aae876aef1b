"""How files are read: some rows and some columns at a time, and the same whatever the file's own layout is."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hostcap.errors import ProfileError
from hostcap_stock.profiles import scans
from hostcap_stock.profiles.files import TimedFile, Times

BEGIN = datetime(2025, 1, 6, tzinfo=UTC)
TIMES = Times(column="time", interval_minutes=30, stamp="end", utc_offset=None)
US = 1_000_000


def table(rows: int, columns: int) -> pa.Table:
    """Column k at row n is 1000 k + n."""
    time = [BEGIN + (n + 1) * timedelta(minutes=30) for n in range(rows)]
    values = {f"c{k}": 1000.0 * k + np.arange(rows) for k in range(columns)}
    return pa.table({"time": time, **values})


def read(file: TimedFile, columns: list[str], first: int, last: int) -> dict[str, list[float]]:
    """What the rows ``first`` to ``last`` say, by column."""
    begin = int(BEGIN.timestamp()) * US
    found: dict[str, list[float]] = {}
    for batch in file.batches(columns, begin + first * 1800 * US, begin + (last + 1) * 1800 * US):
        for name, values in batch.columns.items():
            found.setdefault(name, []).extend(values.to_pylist())
            assert len(batch.end_us) == len(values)
    return found


@pytest.mark.parametrize("group", [1, 7, 1000])
@pytest.mark.parametrize(("rows", "cells"), [(1 << 16, 1 << 21), (5, 30), (3, 1)])
def test_rows_and_columns_are_the_same_however_many_come_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, group: int, rows: int, cells: int
) -> None:
    monkeypatch.setattr(scans, "MOST_ROWS", rows)
    monkeypatch.setattr(scans, "MOST_CELLS", cells)
    pq.write_table(table(60, 9), tmp_path / "t.parquet", row_group_size=group)
    names = [f"c{k}" for k in range(9)]
    found = read(TimedFile(tmp_path / "t.parquet", TIMES), names, 11, 40)
    assert found == {f"c{k}": [1000.0 * k + n for n in range(11, 41)] for k in range(9)}


def test_only_row_groups_that_may_hold_the_window_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """40 rows in groups of 4; rows 9 to 13 are in the third and the fourth."""
    pq.write_table(table(40, 2), tmp_path / "t.parquet", row_group_size=4)
    asked: list[Any] = []
    plain = pq.ParquetFile.iter_batches

    def watched(self: Any, *args: Any, **more: Any) -> Iterator[Any]:
        asked.append(more["row_groups"])
        return plain(self, *args, **more)

    monkeypatch.setattr(pq.ParquetFile, "iter_batches", watched)
    assert read(TimedFile(tmp_path / "t.parquet", TIMES), ["c1"], 9, 13) == {"c1": [1009.0, 1010, 1011, 1012, 1013]}
    assert asked == [[2, 3]]
    assert read(TimedFile(tmp_path / "t.parquet", TIMES), ["c1"], 400, 401) == {}


def test_a_name_with_a_dot_is_one_column(tmp_path: Path) -> None:
    made = table(4, 2).rename_columns(["time", "c0", "c0.kW"])
    pq.write_table(made, tmp_path / "t.parquet")
    assert read(TimedFile(tmp_path / "t.parquet", TIMES), ["c0"], 0, 1) == {"c0": [0.0, 1.0]}
    assert read(TimedFile(tmp_path / "t.parquet", TIMES), ["c0.kW"], 0, 1) == {"c0.kW": [1000.0, 1001.0]}


def test_times_in_text_are_the_same_in_parquet(tmp_path: Path) -> None:
    made = table(6, 1)
    texts = [when.isoformat() for when in made["time"].to_pylist()]
    pq.write_table(made.set_column(0, "time", pa.array(texts)), tmp_path / "t.parquet")
    assert read(TimedFile(tmp_path / "t.parquet", TIMES), ["c0"], 2, 3) == {"c0": [2.0, 3.0]}


@pytest.mark.parametrize("first", ["0", ""])
def test_a_csv_that_begins_with_whole_numbers_or_nothing(tmp_path: Path, first: str) -> None:
    """More than the block that types are guessed from."""
    rows = [f"2025-01-06T{k % 24:02}:00:00Z,{first},{'x' * 80}" for k in range(15_000)]
    (tmp_path / "t.csv").write_text("time,c0,note\n" + "\n".join(rows) + "\n2025-01-07T00:30Z,0.35,end\n")
    found = read(TimedFile(tmp_path / "t.csv", TIMES), ["c0"], 48, 48)
    assert found == {"c0": [0.35]}


def test_what_is_no_number_further_down_a_csv_is_named(tmp_path: Path) -> None:
    rows = [f"2025-01-06T{k % 24:02}:00:00Z,0,{'x' * 80}" for k in range(15_000)]
    (tmp_path / "t.csv").write_text("time,c0,note\n" + "\n".join(rows) + "\n2025-01-07T00:30Z,much,end\n")
    with pytest.raises(ProfileError, match=r"t\.csv: cannot be read: .*invalid value 'much'"):
        read(TimedFile(tmp_path / "t.csv", TIMES), ["c0"], 48, 48)


def test_two_columns_of_a_name_are_refused(tmp_path: Path) -> None:
    pq.write_table(table(4, 2).rename_columns(["time", "c0", "c0"]), tmp_path / "t.parquet")
    with pytest.raises(ProfileError, match="has 2 columns 'c0'; rename one"):
        TimedFile(tmp_path / "t.parquet", TIMES)
    (tmp_path / "t.csv").write_text("time,c0,c0\n2025-01-06T00:30Z,1,2\n")
    with pytest.raises(ProfileError, match="has 2 columns 'c0'; rename one"):
        TimedFile(tmp_path / "t.csv", TIMES)


@pytest.mark.parametrize(("separator", "word"), [(";", "semicolons"), ("\t", "tabs")])
def test_other_separators_of_csv_are_named(tmp_path: Path, separator: str, word: str) -> None:
    rows = [["time", "c0"], ["2025-01-06T00:30:00Z", "0,35"], ["2025-01-06T01:00:00Z", "0,4"]]
    (tmp_path / "t.csv").write_text("\n".join(separator.join(row) for row in rows))
    with pytest.raises(ProfileError, match=f"t.csv: {word} are between its columns; expected commas"):
        TimedFile(tmp_path / "t.csv", TIMES)
