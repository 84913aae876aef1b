"""A run is in the database whole or not at all: interruptions, ends of connections and processes, runs at once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Timer
from typing import Any

import pytest
from postgres_cases import (
    ROWS,
    RUN,
    VARIABLE,
    held,
    parquet,
    quoted,
    small,
    study,
    writer,
)

from hostcap import run
from hostcap.errors import OutputError, StoppedError
from hostcap.results_folder import RESUME
from hostcap.tables import Results

pytest.importorskip("adbc_driver_postgresql", reason="the driver is not installed: pip install 'hostcap[test]'")
from hostcap_contrib.postgres import connection as connecting
from hostcap_contrib.postgres import writer as writing


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
    assert str(caught.value) == "writer 'postgres': terminating connection due to administrator command"
    assert held(postgres, schema) == was


def waits_until_interrupted(schema: str) -> None:
    with connecting.connected(VARIABLE) as connection:
        connecting.execute(connection, f"DELETE FROM {quoted(schema)}.first")
        Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
        connecting.rows(connection, "SELECT 1 FROM pg_sleep(20)")


def test_control_c_while_the_driver_waits_for_the_server_stops_the_run(
    postgres: Any, schema: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer(schema).load(small())
    was = held(postgres, schema)
    with pytest.raises((StoppedError, KeyboardInterrupt)):
        waits_until_interrupted(schema)
    assert held(postgres, schema) == was


def test_runs_that_end_at_once_wait_for_each_other(postgres: Any, schema: str) -> None:
    """All of them would make the tables, and two of them are one run."""
    ids = [f"00000000-0000-5000-8000-{number:012}" for number in (1, 2, 2, 3)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda run_id: writer(schema).load(small(run_id=run_id)), ids))
    assert sorted(row["work_package_id"] for row in postgres.rows(f"{quoted(schema)}.hostcap_runs")) == sorted({*ids})
    assert len(held(postgres, schema)["first"]) == 3 * len(ROWS)


@pytest.mark.parametrize(
    ("results", "told"),
    [
        (lambda: small(words=("a", "a")), 'duplicate key value violates unique constraint "second_pkey" (Key '),
        (lambda: small(words=(None,)), 'null value in column "Select" of relation "second" violates not-null constr'),
        (lambda: small(words=("a\0b",)), 'invalid byte sequence for encoding "UTF8": 0x00'),
    ],
    ids=["a key twice", "a key without a value", "a character that no text may hold"],
)
def test_rows_that_the_database_does_not_take_are_told_in_one_line(
    results: Callable[[], Results], told: str, postgres: Any, schema: str
) -> None:
    with pytest.raises(OutputError) as caught:
        writer(schema).load(results())
    assert str(caught.value).startswith(f"writer 'postgres': {told}") and "\n" not in str(caught.value)
    assert held(postgres, schema) == {}


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


def test_what_waits_of_an_interrupted_run_goes_when_its_folder_gets_another(
    postgres: Any, schema: str, demo_folder: Path, tmp_path: Path
) -> None:
    waiting = tmp_path / "out" / RESUME / "writers"
    with pytest.raises(StoppedError):
        run(
            study("lv-headroom", demo_folder, tmp_path, schema),
            out=tmp_path / "out",
            should_stop=lambda: any(waiting.glob("*/*/*/north/*.parquet")),
        )
    assert any(waiting.glob("*/*/*/north/*.parquet")) and held(postgres, schema) == {}
    other = run(study("lv-headroom", demo_folder, tmp_path, schema, name="two"), out=tmp_path / "out", replace=True)
    (row,) = postgres.rows(f"{quoted(schema)}.hostcap_runs")
    assert row["work_package_id"] == other.work_package_id
    for name, (_, rows) in parquet(tmp_path / "out").items():
        assert held(postgres, schema)[name] == rows
    assert not waiting.exists()
