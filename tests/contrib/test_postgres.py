"""The writer ``postgres`` on a real server: rows are those of the files, and a run is there whole or not at all."""

from __future__ import annotations

import json
import math
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pyarrow.parquet
import pytest
from flow_files import vspd_day
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from hostcap import WorkPackage, run
from hostcap.errors import OutputError, StoppedError
from hostcap.results_folder import RESUME
from hostcap.tables import Chunk, Column, Results, Table, TableSchema
from hostcap.testing import Case, WriterSuite

pytest.importorskip("adbc_driver_postgresql", reason="the driver is not installed: pip install 'hostcap[test]'")
from hostcap_contrib.postgres import writer as writing
from hostcap_contrib.postgres.config import PostgresConfig
from hostcap_contrib.postgres.writer import PostgresWriter

NUMBERS = count()
NO_SHRINKING = (Phase.explicit, Phase.reuse, Phase.generate)
"""Each example is a load: a law that fails is told at once."""
VARIABLE = "HOSTCAP_TEST_POSTGRES"
TYPES = {
    "string": "text",
    "list<element: string>": "text[]",
    "int64": "bigint",
    "double": "double precision",
    "bool": "boolean",
    "timestamp[us, tz=UTC]": "timestamp with time zone",
}
"""What each type of a Parquet file is in the database."""


class TestPostgres(WriterSuite):
    """What waits for the whole run keeps the kit's rules for files."""

    @pytest.fixture
    def case(self) -> Case:
        wrong = [{"connection_variable": "postgresql://u:p@h/d"}, {"schema": " "}, {"tables": []}]
        return Case(module="hostcap_contrib.postgres.plugin", kind="writer", name="postgres", wrong=wrong)


@pytest.fixture
def schema(postgres: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    """A new schema, with a name that must be quoted."""
    monkeypatch.setenv(VARIABLE, postgres.uri())
    name = f'Runs "{next(NUMBERS)}"'
    postgres.sql(f"CREATE SCHEMA {quoted(name)}")
    return name


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def writer(schema: str, **settings: Any) -> PostgresWriter:
    return PostgresWriter(config=PostgresConfig(connection_variable=VARIABLE, schema=schema, **settings))


def both_writers(schema: str) -> str:
    return (
        '\n[[writers]]\nplugin = "parquet"\n\n[[writers]]\nplugin = "postgres"\n'
        f'connection_variable = "{VARIABLE}"\nschema = {json.dumps(schema)}\n'
    )


def held(server: Any, schema: str) -> dict[str, list[str]]:
    """All that a schema holds, in no order, but when it was loaded."""
    names = server.sql(f"SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = {regnamespace(schema)}")
    found = {}
    for name in names.split():
        rows = server.rows(f"{quoted(schema)}.{name}")
        found[name] = unordered({k: v for k, v in row.items() if k != "loaded_at"} for row in rows)
    return found


def regnamespace(schema: str) -> str:
    return f"(SELECT oid FROM pg_namespace WHERE nspname = '{schema}')"


def unordered(rows: Iterable[dict[str, Any]]) -> list[str]:
    """Rows as texts in order."""
    return sorted(json.dumps({key: plain(value) for key, value in row.items()}) for row in rows)


def plain(value: Any) -> Any:
    """A value as the database says it in JSON."""
    if isinstance(value, datetime):
        text = value.astimezone(UTC).isoformat()
        return f"{text[:-6].rstrip('0')}{text[-6:]}" if "." in text else text
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value) if abs(value) != math.inf else "Infinity" if value > 0 else "-Infinity"
    return value


def parquet(folder: Path) -> dict[str, tuple[dict[str, str], list[str]]]:
    """Types of columns, and rows in no order, of every table of a results folder."""
    found: dict[str, tuple[dict[str, str], list[str]]] = {}
    for path in sorted(folder.glob("*/*/*/*.parquet")):
        table = pyarrow.parquet.ParquetFile(path).read()
        types = {field.name: TYPES[str(field.type)] for field in table.schema}
        known, before = found.setdefault(path.parts[-4], (types, []))
        assert known == types
        before += unordered(table.to_pylist())
    return {name: (types, sorted(rows)) for name, (types, rows) in found.items()}


def types(server: Any, schema: str, table: str) -> dict[str, str]:
    told = server.sql(
        "SELECT attname || '|' || format_type(atttypid, atttypmod) FROM pg_attribute "
        "JOIN pg_class c ON c.oid = attrelid "
        f"WHERE relnamespace = {regnamespace(schema)} AND relname = '{table}' AND attnum > 0 ORDER BY attnum"
    )
    return dict(line.split("|") for line in told.splitlines())


def study(kind: str, demo: Path, folder: Path, schema: str, *, name: str = "one") -> WorkPackage:
    """A study of each kind that keeps its tables in files and in the database."""
    if kind == "trace":
        days = [f"{day} {hour}:00" for day in ("30-JAN-2014", "31-JAN-2014", "01-FEB-2014") for hour in ("10", "11")]
        vspd_day(folder / "flows", days)
        parts = f'[study]\nplugin = "trace"\n[flows]\nplugin = "vspd"\nfolder = {str(folder / "flows")!r}\n'
    else:
        for feeder in ("north", "south"):
            shutil.copytree(demo / "feeder", folder / feeder, dirs_exist_ok=True)
        step = "_per_node" if kind == "hv-node-headroom" else "_per_customer"
        most = "_per_node" if kind == "hv-node-headroom" else ""
        parts = (
            f'[scope]\nfeeders = ["north", "south"]\nyear = 2025\n[network]\nplugin = "opendss"\n'
            "master = '{feeder}/Master.dss'\nfrequency_hz = 50\nvoltage_bases_kv = [22.0, 0.4]\n"
            f'[study]\nplugin = "{kind}"\nstep_kw{step} = 2.0\nmax_steps{most} = 20\n'
            '[initial_state]\nplugin = "zero-load"\n'
            '[[constraints]]\nplugin = "voltage"\nlv_min_v = 216.0\nlv_max_v = 253.0\n'
            "hv_min_pu = 0.94\nhv_max_pu = 1.06\n"
            '[[constraints]]\nplugin = "thermal"\npercent_of_rating = 100.0\n'
        )
    writers = (
        f'[[writers]]\nplugin = "parquet"\n[[writers]]\nplugin = "postgres"\n'
        f"connection_variable = {VARIABLE!r}\nschema = {schema!r}\n"
    )
    path = folder / f"{name}.toml"
    path.write_text(f'name = "{name}"\n{parts}{writers}', encoding="utf-8")
    return WorkPackage.read(path)


@pytest.mark.parametrize("kind", ["lv-headroom", "hv-node-headroom", "trace"])
def test_rows_are_those_of_the_files_value_for_value_and_type_for_type(
    kind: str, postgres: Any, schema: str, demo_folder: Path, tmp_path: Path
) -> None:
    results = run(study(kind, demo_folder, tmp_path, schema), out=tmp_path / "one")
    files = parquet(tmp_path / "one")
    assert len(files) > 4 and sum(len(rows) for _, rows in files.values()) > 50
    found = held(postgres, schema)
    assert set(found) == {*files, "hostcap_runs", "hostcap_tables"}
    for name, (said, rows) in files.items():
        assert types(postgres, schema, name) == said, name
        assert found[name] == rows, name
    (about,) = postgres.rows(f"{quoted(schema)}.hostcap_runs")
    assert (about["work_package_id"], about["state"], about["study"]) == (
        results.work_package_id,
        "complete",
        results.summary["study"],
    )
    parts = postgres.rows(f"{quoted(schema)}.hostcap_tables")
    counts = Counter[str]()
    for part in parts:
        counts[part["table_name"]] += part["row_count"]
    assert dict(counts) == {name: len(rows) for name, (_, rows) in files.items()}
    if kind != "trace":
        assert {json.loads(part["metadata"])["limits"] for part in parts} == {
            "LV 216-253 V; HV 0.94-1.06 pu phase-to-ground; thermal 100 % of normal rating, LV and HV"
        }
    # What waited for the whole run is gone.
    assert not (tmp_path / "one" / RESUME).exists()


def test_runs_live_side_by_side_and_one_that_is_run_again_replaces_itself(
    postgres: Any, schema: str, demo_folder: Path, tmp_path: Path
) -> None:
    first = run(study("lv-headroom", demo_folder, tmp_path, schema), out=tmp_path / "one")
    alone = held(postgres, schema)
    second = run(study("lv-headroom", demo_folder, tmp_path, schema, name="two"), out=tmp_path / "two")
    assert first.work_package_id != second.work_package_id
    both = held(postgres, schema)
    assert {name: len(rows) for name, rows in both.items()} == {name: 2 * len(rows) for name, rows in alone.items()}
    for name, (_, rows) in parquet(tmp_path / "two").items():
        assert both[name] == sorted([*rows, *alone[name]])
    run(study("lv-headroom", demo_folder, tmp_path, schema, name="two"), out=tmp_path / "elsewhere")
    assert held(postgres, schema) == both


def test_chosen_tables_alone_are_kept(postgres: Any, schema: str) -> None:
    writer(schema, tables=("second",)).load(small())
    assert set(held(postgres, schema)) == {"second", "hostcap_runs", "hostcap_tables"}


FIRST = TableSchema(
    name="first",
    meaning="It's a row.",
    order="as given",
    columns=(
        Column("work_package_id", "text", "Run", key=True),
        Column("number", "integer", "Running number", key=True),
        Column("name", "text", "A name"),
        Column("names", "texts", "Several"),
        Column("kw", "number", "What it's worth", unit="kW"),
        Column("sure", "boolean", "Yes or no"),
        Column("at", "timestamp", "When"),
    ),
)
SECOND = TableSchema(name="second", meaning="No run.", columns=(Column("Select", "text", "A word", key=True),))
RUN = "00000000-0000-5000-8000-00000000000a"


def first(rows: Sequence[tuple[Any, ...]], run_id: str = RUN) -> Table:
    columns: Any = zip(*rows, strict=True) if rows else [()] * len(FIRST.columns[1:])
    named = dict(zip(FIRST.names[1:], columns, strict=True))
    return Table.build(FIRST, {"work_package_id": [run_id] * len(rows), **named})


ROWS: list[tuple[Any, ...]] = [
    (1, "a", ("x", "y, z"), 1.5, True, np.datetime64("2025-01-01T00:30", "us")),
    (2, None, None, math.nan, None, np.datetime64("1999-12-31T23:59:59.123456", "us")),
    (3, "\\ 'ü\n\t", (), -math.inf, False, np.datetime64("2025-01-01T00:30", "us")),
]


def small(rows: Sequence[tuple[Any, ...]] = ROWS, words: Sequence[str] = ("one", "two"), run_id: str = RUN) -> Results:
    """A run of two tables, the second of which does not say its run."""
    tables = (first(rows, run_id), Table.build(SECOND, {"Select": words}))
    chunk = Chunk(scenario="base", year=2025, feeder="f", tables=tables)
    summary = {"work_package_id": run_id, "name": "small", "state": "failed", "failed": {"g": "not there"}}
    return Results(work_package_id=run_id, chunks=(chunk,), summary=summary)


def test_every_type_what_is_missing_and_a_table_that_does_not_say_its_run(postgres: Any, schema: str) -> None:
    writer(schema).load(small())
    found = held(postgres, schema)
    assert [json.loads(row) for row in found["first"]] == [
        {"work_package_id": RUN, "number": 1.0, "name": "a", "names": ["x", "y, z"], "kw": 1.5, "sure": True,
         "at": "2025-01-01T00:30:00+00:00"},
        {"work_package_id": RUN, "number": 2.0, "name": None, "names": None, "kw": None, "sure": None,
         "at": "1999-12-31T23:59:59.123456+00:00"},
        {"work_package_id": RUN, "number": 3.0, "name": "\\ 'ü\n\t", "names": [], "kw": "-Infinity", "sure": False,
         "at": "2025-01-01T00:30:00+00:00"},
    ]  # fmt: skip
    assert found["second"] == unordered({"work_package_id": RUN, "Select": word} for word in ("one", "two"))
    assert [json.loads(row)["failed"] for row in found["hostcap_runs"]] == [["g: not there"]]


def test_columns_say_what_they_mean_and_keys_are_kept(postgres: Any, schema: str) -> None:
    writer(schema).load(small())
    at = f"(SELECT oid FROM pg_class WHERE relname = 'first' AND relnamespace = {regnamespace(schema)})"
    assert postgres.sql(f"SELECT obj_description({at})").strip() == "It's a row. Rows in files: as given."
    assert postgres.sql(f"SELECT col_description({at}, 5)").strip() == "What it's worth [kW]"
    key = f"SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = {at} AND contype = 'p'"
    assert postgres.sql(key).strip() == "PRIMARY KEY (work_package_id, number)"


def test_a_run_with_fewer_rows_and_tables_leaves_nothing_of_the_earlier_one(postgres: Any, schema: str) -> None:
    other = "00000000-0000-5000-8000-00000000000b"
    writer(schema).load(small(run_id=other))
    writer(schema).load(small())
    writer(schema).load(small(rows=ROWS[:1], words=()))
    found = held(postgres, schema)
    own = {name: Counter(json.loads(row)["work_package_id"] == RUN for row in rows) for name, rows in found.items()}
    assert own == {
        "first": {True: 1, False: 3},
        "second": {False: 2},
        "hostcap_runs": {True: 1, False: 1},
        "hostcap_tables": {True: 2, False: 2},
    }


_TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=8)
_CELLS = st.tuples(
    st.none() | _TEXT,
    st.none() | st.lists(_TEXT, max_size=3).map(tuple),
    st.floats(allow_nan=True, allow_infinity=True),
    st.sampled_from([True, False, None]),
    st.datetimes(datetime(1700, 1, 1), datetime(2200, 1, 1)).map(lambda at: np.datetime64(at, "us")),
)


@settings(max_examples=8, phases=NO_SHRINKING, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), cells=st.lists(_CELLS, min_size=1, max_size=6))
def test_neither_the_order_of_rows_nor_their_chunks_matter(
    data: st.DataObject, cells: list[tuple[Any, ...]], postgres: Any, schema: str
) -> None:
    rows = [(number, *cell) for number, cell in enumerate(cells)]
    writer(schema).load(small(rows=rows))
    once = unordered(postgres.rows(f"{quoted(schema)}.first"))
    assert once == unordered(first(rows).to_arrow().to_pylist())
    mixed = data.draw(st.permutations(rows))
    cut = data.draw(st.integers(0, len(rows)))
    whole = small()
    (chunk,) = whole.chunks
    parts = [
        attrs.evolve(chunk, part=name, tables=(first(some),)) for name, some in (("a", mixed[:cut]), ("b", mixed[cut:]))
    ]
    writer(schema).load(attrs.evolve(whole, chunks=tuple(parts)))
    assert unordered(postgres.rows(f"{quoted(schema)}.first")) == once


def test_what_is_in_memory_is_a_part_of_a_table(schema: str, postgres: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "AT_ONCE", 10)
    sent: list[int] = []
    ingest = writing._ingest

    def counted(connection: Any, schema: str, name: str, reader: Any) -> None:
        def batches() -> Iterator[Any]:
            for batch in reader:
                sent.append(len(batch))
                yield batch

        ingest(connection, schema, name, pyarrow.RecordBatchReader.from_batches(reader.schema, batches()))

    monkeypatch.setattr(writing, "_ingest", counted)
    writer(schema).load(small(rows=[(number, *ROWS[0][1:]) for number in range(95)]))
    assert sent[:10] == [10] * 9 + [5]
    assert len(postgres.rows(f"{quoted(schema)}.first")) == 95


def failing_after(monkeypatch: pytest.MonkeyPatch, tables: int, fail: Callable[[], None]) -> None:
    """Something happens when so many tables were sent."""
    ingest, sent = writing._ingest, []

    def some(connection: Any, schema: str, name: str, reader: Any) -> None:
        if len(sent) == tables:
            fail()
        sent.append(name)
        ingest(connection, schema, name, reader)

    monkeypatch.setattr(writing, "_ingest", some)


@pytest.mark.parametrize("tables", [0, 1, 3])
@pytest.mark.parametrize("before", [True, False], ids=["again", "the first time"])
def test_an_interruption_leaves_the_database_as_it_was(
    tables: int, before: bool, postgres: Any, schema: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if before:
        writer(schema).load(small())
    was = held(postgres, schema)

    def interrupt() -> None:
        raise KeyboardInterrupt

    failing_after(monkeypatch, tables, interrupt)
    with pytest.raises(KeyboardInterrupt):
        writer(schema).load(small(rows=ROWS[:2], words=("other",)))
    assert held(postgres, schema) == was
    monkeypatch.undo()
    monkeypatch.setenv(VARIABLE, postgres.uri())
    writer(schema).load(small(rows=ROWS[:2], words=("other",)))
    assert len(held(postgres, schema)["first"]) == 2


def test_a_connection_that_the_server_ends_leaves_the_database_as_it_was(
    postgres: Any, schema: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer(schema).load(small())
    was = held(postgres, schema)
    ended = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'hostcap'"
    failing_after(monkeypatch, 2, lambda: postgres.sql(ended))
    with pytest.raises(OutputError) as caught:
        writer(schema).load(small(rows=ROWS[:2]))
    assert str(caught.value).startswith("writer 'postgres': ") and "\n" not in str(caught.value)
    assert held(postgres, schema) == was


def test_a_process_that_is_killed_leaves_the_database_as_it_was(postgres: Any, schema: str, tmp_path: Path) -> None:
    writer(schema).load(small())
    was = held(postgres, schema)
    folder = tmp_path / "waiting"
    for chunk in small(rows=ROWS[:1]).chunks:
        writer(schema).write(folder, chunk)
    script = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from hostcap_contrib.postgres import writer as writing\n"
        "from hostcap_contrib.postgres.config import PostgresConfig\n"
        "ingest = writing._ingest\n"
        "def killed(*given):\n"
        "    ingest(*given)\n"
        "    if given[2] == 'second':\n"
        "        print('half way', flush=True)\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "writing._ingest = killed\n"
        "config = PostgresConfig(connection_variable=sys.argv[1], schema=sys.argv[2])\n"
        "summary = {'work_package_id': sys.argv[4]}\n"
        "writing.PostgresWriter(config=config).finish(Path(sys.argv[3]), summary)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, VARIABLE, schema, folder, RUN], capture_output=True, encoding="utf-8"
    )
    assert (done.stdout, done.returncode) == ("half way\n", -signal.SIGKILL), done.stderr
    assert held(postgres, schema) == was
    # What waited is still there, so that the run can be finished.
    writer(schema).finish(folder, {"work_package_id": RUN})
    assert len(held(postgres, schema)["first"]) == 1


def test_a_run_that_is_stopped_is_not_loaded_and_one_that_is_resumed_is_whole(
    postgres: Any, schema: str, demo_folder: Path, tmp_path: Path
) -> None:
    """The days that an interrupted trace finished are not traced again, and are loaded with the others."""
    work = study("trace", demo_folder, tmp_path, schema)
    told: list[str] = []

    def stop() -> bool:
        return any((tmp_path / "out" / RESUME).glob("*/*.npz"))

    with pytest.raises(StoppedError):
        run(work, out=tmp_path / "out", should_stop=stop, progress=lambda stage, done, total: told.append(stage))
    assert held(postgres, schema) == {}
    run(work, out=tmp_path / "out")
    run(work, out=tmp_path / "whole")
    found = held(postgres, schema)
    for name, (_, rows) in parquet(tmp_path / "whole").items():
        assert found[name] == rows
    assert parquet(tmp_path / "out") == parquet(tmp_path / "whole")
