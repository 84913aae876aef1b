"""The writer ``postgres`` on a real server: rows are those of the files, and a run is there whole or not at all."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pyarrow.parquet
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from postgres_cases import (
    ROWS,
    RUN,
    VARIABLE,
    first,
    held,
    parquet,
    quoted,
    regnamespace,
    small,
    study,
    types,
    unordered,
    writer,
)

from hostcap import run
from hostcap.results_folder import RESUME
from hostcap.testing import Case, WriterSuite

pytest.importorskip("adbc_driver_postgresql", reason="the driver is not installed: pip install 'hostcap[test]'")
from hostcap_contrib.postgres import writer as writing

NO_SHRINKING = (Phase.explicit, Phase.reuse, Phase.generate)
"""Each example is a load: a law that fails is told at once."""


class TestPostgres(WriterSuite):
    """What waits for the whole run keeps the kit's rules for files."""

    @pytest.fixture
    def case(self) -> Case:
        wrong = [{"connection_variable": "postgresql://u:p@h/d"}, {"schema": " "}, {"tables": []}]
        return Case(module="hostcap_contrib.postgres.plugin", kind="writer", name="postgres", wrong=wrong)


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


def test_a_database_of_another_encoding_holds_the_same_letters(postgres: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    postgres.sql("CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0 LOCALE 'C'")
    monkeypatch.setenv(VARIABLE, postgres.uri(database="latin"))
    writer("public").load(small(words=("Zürich",)))
    (row,) = postgres.rows("public.second", database="latin")
    assert row["Select"] == "Zürich"
