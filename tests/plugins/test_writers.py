"""Writers: where tables are kept, whole or not at all, and what comes back."""

from __future__ import annotations

import csv
import errno
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest

from hostcap import read_results
from hostcap.errors import OutputError
from hostcap.tables import Chunk, Column, Table, TableSchema
from hostcap_stock.writers import CsvConfig, CsvWriter, ParquetConfig, ParquetWriter

GROUPS = TableSchema(
    name="groups",
    meaning="One row a group.",
    columns=(
        Column("group", "text", "Group", key=True),
        Column("headroom_kw", "number", "Headroom", unit="kW"),
        Column("step", "integer", "Step"),
        Column("at", "timestamp", "When"),
    ),
)
NOTES = TableSchema(name="notes", meaning="Notes.", columns=(Column("text", "text", "Note"),))
RUN_FILE = "hostcap-run.json"
AT = np.datetime64("2025-01-01T00:00:00", "us")
FULL = OSError(errno.ENOSPC, "No space left on device")


def groups(*names: str) -> Table:
    size = len(names)
    headroom = [1.25 * i if i else math.nan for i in range(size)]
    return Table.build(
        GROUPS,
        {"group": names, "headroom_kw": headroom, "step": [None, *range(1, size)][:size], "at": np.full(size, AT)},
        {"limits": "LV 216-253 V"},
    )


def notes(*texts: str) -> Table:
    return Table.build(NOTES, {"text": texts})


def chunk(*tables: Table, feeder: str = "CRE21", year: int = 2025) -> Chunk:
    return Chunk(scenario="base", year=year, feeder=feeder, tables=tables or (groups("a", "b"), notes('x, "y"')))


def files(folder: Path) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def marked(folder: Path, **more: Any) -> Path:
    """A folder with the file that makes it a run."""
    folder.mkdir(parents=True, exist_ok=True)
    record = {"work_package_id": "00000000-0000-5000-8000-000000000000", "state": "complete", **more}
    (folder / RUN_FILE).write_text(json.dumps(record), encoding="utf-8")
    return folder


WRITERS = [(ParquetWriter(), "parquet"), (CsvWriter(), "csv")]
either = pytest.mark.parametrize(("writer", "ending"), WRITERS, ids=["parquet", "csv"])


@pytest.mark.parametrize(
    ("writer", "ending"),
    [
        (ParquetWriter(config=ParquetConfig(tables=("notes",))), "parquet"),
        (CsvWriter(config=CsvConfig(tables=("notes",))), "csv"),
    ],
    ids=["parquet", "csv"],
)
def test_chosen_tables_alone_are_kept(writer: Any, ending: str, tmp_path: Path) -> None:
    writer.write(tmp_path, chunk())
    assert files(tmp_path) == [f"notes/base/CRE21/2025.{ending}"]


# --- where ---------------------------------------------------------------------------------------------------------


@either
def test_each_table_has_a_file_by_table_scenario_feeder_and_year(writer: Any, ending: str, tmp_path: Path) -> None:
    writer.write(tmp_path, chunk())
    writer.write(tmp_path, chunk(feeder="CPM3B3", year=2030))
    assert files(tmp_path) == [
        f"groups/base/CPM3B3/2030.{ending}",
        f"groups/base/CRE21/2025.{ending}",
        f"notes/base/CPM3B3/2030.{ending}",
        f"notes/base/CRE21/2025.{ending}",
    ]


@either
def test_writing_again_replaces_what_was_there(writer: Any, ending: str, tmp_path: Path) -> None:
    writer.write(tmp_path, chunk(notes("old")))
    writer.write(tmp_path, chunk(notes("new")))
    assert files(tmp_path) == [f"notes/base/CRE21/2025.{ending}"]
    content = (tmp_path / f"notes/base/CRE21/2025.{ending}").read_bytes()
    assert b"new" in content
    assert b"old" not in content


@either
def test_the_same_tables_give_the_same_bytes(writer: Any, ending: str, tmp_path: Path) -> None:
    writer.write(tmp_path / "one", chunk())
    writer.write(tmp_path / "two", chunk())
    path = f"groups/base/CRE21/2025.{ending}"
    assert (tmp_path / "one" / path).read_bytes() == (tmp_path / "two" / path).read_bytes()


# --- what ----------------------------------------------------------------------------------------------------------


def test_a_parquet_file_carries_units_keys_and_the_limits_in_its_schema(tmp_path: Path) -> None:
    ParquetWriter().write(tmp_path, chunk())
    schema = pyarrow.parquet.read_schema(tmp_path / "groups/base/CRE21/2025.parquet")
    assert schema.field("headroom_kw").metadata[b"unit"] == b"kW"
    assert schema.field("group").metadata[b"key"] == b"true"
    assert str(schema.field("at").type) == "timestamp[us, tz=UTC]"
    assert json.loads(schema.metadata[b"hostcap"])["metadata"] == {"limits": "LV 216-253 V"}


def test_a_parquet_file_can_be_read_without_hostcap(tmp_path: Path) -> None:
    ParquetWriter().write(tmp_path, chunk())
    path = tmp_path / "groups/base/CRE21/2025.parquet"
    assert pyarrow.parquet.ParquetFile(path).read().to_pydict()["headroom_kw"] == [None, 1.25]


def test_a_csv_file_has_a_header_quotes_what_needs_it_and_leaves_missing_values_empty(tmp_path: Path) -> None:
    CsvWriter().write(tmp_path, chunk())
    with (tmp_path / "groups/base/CRE21/2025.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [(r["group"], r["headroom_kw"], r["step"]) for r in rows] == [("a", "", ""), ("b", "1.25", "1")]
    assert rows[0]["at"].startswith("2025-01-01 00:00:00")
    assert rows[0]["at"].endswith("Z")
    with (tmp_path / "notes/base/CRE21/2025.csv").open(newline="", encoding="utf-8") as file:
        assert list(csv.DictReader(file)) == [{"text": 'x, "y"'}]


@either
def test_a_table_without_rows_is_written_too(writer: Any, ending: str, tmp_path: Path) -> None:
    writer.write(tmp_path, chunk(groups()))
    assert files(tmp_path) == [f"groups/base/CRE21/2025.{ending}"]


# --- whole or not at all -------------------------------------------------------------------------------------------


def broken(monkeypatch: pytest.MonkeyPatch, error: BaseException, *, at: int) -> Callable[[], int]:
    """The ``at``-th file breaks off halfway, whichever writer writes it; returns how many were begun."""
    begun = 0

    def breaking(original: Callable[..., None]) -> Callable[..., None]:
        def write(table: pa.Table, path: Any, *rest: Any, **more: Any) -> None:
            nonlocal begun
            begun += 1
            if begun == at:
                Path(path).write_bytes(b"half a ta")
                raise error
            original(table, path, *rest, **more)

        return write

    monkeypatch.setattr(pyarrow.parquet, "write_table", breaking(pyarrow.parquet.write_table))
    monkeypatch.setattr(pyarrow.csv, "write_csv", breaking(pyarrow.csv.write_csv))
    return lambda: begun


@either
@pytest.mark.parametrize("at", [1, 2])
def test_a_full_disk_leaves_no_file_of_the_chunk_and_says_where(
    writer: Any, ending: str, at: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = broken(monkeypatch, FULL, at=at)
    with pytest.raises(OutputError, match="No space left on device") as caught:
        writer.write(tmp_path, chunk())
    assert str(tmp_path) in str(caught.value)
    assert begun() == at
    assert files(tmp_path) == []


@either
def test_a_full_disk_leaves_an_earlier_run_of_the_chunk_as_it_was(
    writer: Any, ending: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer.write(tmp_path, chunk())
    before = {name: (tmp_path / name).read_bytes() for name in files(tmp_path)}
    broken(monkeypatch, FULL, at=2)
    with pytest.raises(OutputError):
        writer.write(tmp_path, chunk(groups("other"), notes("other")))
    assert {name: (tmp_path / name).read_bytes() for name in files(tmp_path)} == before


@either
@pytest.mark.parametrize("error", [KeyboardInterrupt(), RuntimeError("a bug")], ids=["Ctrl-C", "a bug"])
def test_whatever_breaks_in_midway_leaves_no_file(
    writer: Any, ending: str, error: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken(monkeypatch, error, at=2)
    with pytest.raises(type(error)):
        writer.write(tmp_path, chunk())
    assert files(tmp_path) == []


@either
def test_a_table_that_cannot_be_written_takes_the_tables_before_it_along(
    writer: Any, ending: str, tmp_path: Path
) -> None:
    # The second table holds text where its schema says integer, which Arrow refuses.
    wrong = Table(schema=GROUPS, columns=dict(groups("a").columns) | {"step": np.array(["one"], dtype=object)})
    with pytest.raises((OutputError, ValueError, TypeError)):
        writer.write(tmp_path, chunk(notes("fine"), wrong))
    assert files(tmp_path) == []


@either
def test_a_folder_that_cannot_be_made_is_an_output_error(writer: Any, ending: str, tmp_path: Path) -> None:
    (tmp_path / "groups").write_text("a file where a folder should be", encoding="utf-8")
    with pytest.raises(OutputError, match="cannot write results"):
        writer.write(tmp_path, chunk())
    assert files(tmp_path) == ["groups"]


# --- reading back --------------------------------------------------------------------------------------------------


def test_what_parquet_keeps_read_results_gives_back(tmp_path: Path) -> None:
    folder = marked(tmp_path / "run", failed={"F9": "no such file"})
    ParquetWriter().write(folder, chunk())
    ParquetWriter().write(folder, chunk(groups("c"), notes(), feeder="F2"))
    found = read_results(folder)
    assert found.work_package_id == "00000000-0000-5000-8000-000000000000"
    assert found.failed == {"F9": "no such file"}
    assert sorted(found.names) == ["groups", "notes"]
    by_feeder = {c.feeder: {t.name: t for t in c.tables} for c in found.chunks}
    assert {(c.scenario, c.year) for c in found.chunks} == {("base", 2025)}
    first = by_feeder["CRE21"]["groups"]
    assert first.schema == GROUPS
    assert first["group"].tolist() == ["a", "b"]
    assert math.isnan(first["headroom_kw"][0])
    assert first["headroom_kw"][1] == 1.25
    assert first["step"].tolist() == [None, 1]
    assert first["at"].tolist() == groups("a", "b")["at"].tolist()
    assert dict(first.metadata) == {"limits": "LV 216-253 V"}
    assert by_feeder["F2"]["groups"]["group"].tolist() == ["c"]
    assert len(by_feeder["F2"]["notes"]) == 0
    assert len(found["notes"]) == 1


def test_several_years_of_a_feeder_come_back_as_chunks_of_their_own(tmp_path: Path) -> None:
    folder = marked(tmp_path)
    for year in (2030, 2025):
        ParquetWriter().write(folder, chunk(notes(str(year)), year=year))
    assert sorted((c.year, c.tables[0]["text"].tolist()) for c in read_results(folder).chunks) == [
        (2025, ["2025"]),
        (2030, ["2030"]),
    ]


def test_half_written_files_are_not_read(tmp_path: Path) -> None:
    folder = marked(tmp_path)
    ParquetWriter().write(folder, chunk(notes("x")))
    (folder / "notes/base/CRE21/.2026.parquet.77.part").write_bytes(b"half")
    assert read_results(folder)["notes"]["text"].tolist() == ["x"]


def test_a_folder_that_holds_no_run_is_an_error_that_says_so(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="holds no hostcap run"):
        read_results(tmp_path)
    with pytest.raises(OutputError, match="holds no hostcap run"):
        read_results(tmp_path / "missing")


def test_a_run_kept_as_csv_alone_names_the_writer_to_use(tmp_path: Path) -> None:
    folder = marked(tmp_path)
    CsvWriter().write(folder, chunk())
    with pytest.raises(OutputError, match="'parquet' writer"):
        read_results(folder)


def test_a_run_without_tables_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="no tables"):
        read_results(marked(tmp_path))


def test_a_run_file_that_is_no_json_is_an_error_with_its_path(tmp_path: Path) -> None:
    (tmp_path / RUN_FILE).write_text("{", encoding="utf-8")
    with pytest.raises(OutputError, match=RUN_FILE):
        read_results(tmp_path)


@pytest.mark.parametrize("content", ["{}", "[]", "7"])
def test_a_run_file_without_an_id_is_an_error_with_its_path(content: str, tmp_path: Path) -> None:
    ParquetWriter().write(tmp_path, chunk())
    (tmp_path / RUN_FILE).write_text(content, encoding="utf-8")
    with pytest.raises(OutputError, match=RUN_FILE):
        read_results(tmp_path)


def test_a_parquet_file_of_somebody_else_is_an_error_with_its_path(tmp_path: Path) -> None:
    folder = marked(tmp_path)
    path = folder / "groups/base/CRE21/2025.parquet"
    path.parent.mkdir(parents=True)
    pyarrow.parquet.write_table(pa.table({"group": ["a"]}), path)
    with pytest.raises(OutputError, match=r"2025\.parquet: .*was not written by hostcap"):
        read_results(folder)


def test_a_parquet_file_cut_short_is_an_error_with_its_path(tmp_path: Path) -> None:
    folder = marked(tmp_path)
    ParquetWriter().write(folder, chunk())
    path = folder / "groups/base/CRE21/2025.parquet"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(OutputError, match=r"2025\.parquet: cannot be read"):
        read_results(folder)


def test_a_table_in_another_tables_place_is_an_error(tmp_path: Path) -> None:
    folder = marked(tmp_path)
    ParquetWriter().write(folder, chunk())
    (folder / "notes/base/CRE21/2025.parquet").replace(folder / "groups/base/CRE21/2025.parquet")
    with pytest.raises(OutputError, match="holds table 'notes', expected 'groups'"):
        read_results(folder)


def test_a_parquet_file_whose_name_is_no_year_is_an_error_with_its_path(tmp_path: Path) -> None:
    folder = marked(tmp_path)
    ParquetWriter().write(folder, chunk())
    (folder / "groups/base/CRE21/2025.parquet").replace(folder / "groups/base/CRE21/latest.parquet")
    with pytest.raises(OutputError, match=r"latest\.parquet"):
        read_results(folder)
