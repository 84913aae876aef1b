"""Chunks wait in the results folder as Parquet; when the run is whole, all are loaded in one transaction."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import attrs
from attrs import frozen

from hostcap.results_folder import waiting_folder
from hostcap.tables import Chunk, Results, Table, TableSchema, schema_from
from hostcap_contrib.postgres.config import PostgresConfig
from hostcap_contrib.postgres.connection import WHO, connected, execute, rows
from hostcap_contrib.postgres.plugin import EXTRA
from hostcap_contrib.postgres.schemas import RUN_KEY, RUNS, TABLES, check, create, keyed, place
from hostcap_stock.writers import ParquetConfig, ParquetWriter

if TYPE_CHECKING:
    import pyarrow as pa

AT_ONCE = 100_000
"""Rows that are in memory at a time."""


@frozen(kw_only=True)
class PostgresWriter:
    """Keeps runs side by side in one schema of a database; a run that is written again replaces itself.

    A run is loaded when it is whole, by one transaction: no reader sees a part of it, an interruption leaves the
    database as it was, and no connection is held while the study computes.
    """

    config: PostgresConfig = PostgresConfig()

    def prepare(self, tables: Sequence[TableSchema]) -> None:
        """Refuse what the database could not take, before anything is computed.

        Raises:
            ConfigError: There is no connection string.
            OutputError: The server, the schema, a right or a table stands in the way.
            MissingPackageError: The driver is not installed.
        """
        EXTRA.require(WHO)
        chosen = [keyed(table) for table in tables if self.config.tables is None or table.name in self.config.tables]
        with connected(self.config.connection_variable) as connection:
            check(connection, self.config.schema, [*chosen, RUNS, TABLES])

    def write(self, folder: Path, chunk: Chunk) -> None:
        """Keep one chunk until the run is whole.

        Raises:
            OutputError: The folder cannot be written.
        """
        waiting = self._waiting(folder)
        ParquetWriter(config=ParquetConfig(tables=self.config.tables)).write(waiting, chunk)
        # The same chunk of an earlier try may have had tables that this one has not.
        names = {table.name for table in chunk.tables}
        for path in waiting.glob(f"*/*/*/{chunk.stem}.parquet"):
            name, scenario, feeder = path.relative_to(waiting).parts[:3]
            if (scenario, feeder) == (chunk.scenario, chunk.feeder) and name not in names:
                path.unlink()

    def finish(self, folder: Path, summary: Mapping[str, Any]) -> None:
        """Load the run: all tables in one transaction, in place of what the database holds of it.

        Raises:
            ConfigError: There is no connection string.
            OutputError: The database does not take it, and is as it was.
        """
        waiting = self._waiting(folder)
        with connected(self.config.connection_variable) as connection:
            _load(connection, self.config.schema, str(summary[RUN_KEY]), summary, _held(waiting))
        shutil.rmtree(waiting, ignore_errors=True)
        for parent in (waiting.parent, waiting.parent.parent):
            with suppress(OSError):  # others may wait there
                parent.rmdir()

    def load(self, results: Results) -> None:
        """Load a run that was kept in files, such as ``read_results`` gives.

        Raises:
            ConfigError: There is no connection string.
            OutputError: The database does not take it, and is as it was.
        """
        with TemporaryDirectory() as folder:
            for chunk in results.chunks:
                self.write(Path(folder), chunk)
            self.finish(Path(folder), results.summary)

    def _waiting(self, folder: Path) -> Path:
        """A place of its own for each writer of a study."""
        said = json.dumps(attrs.asdict(self.config), sort_keys=True)
        return waiting_folder(Path(folder), f"postgres-{hashlib.sha256(said.encode()).hexdigest()[:12]}")


@frozen(kw_only=True)
class _Part:
    """One file that waits."""

    path: Path
    scenario: str
    feeder: str
    stem: str


def _held(waiting: Path) -> dict[str, list[_Part]]:
    """Files that wait, by table."""
    found: dict[str, list[_Part]] = {}
    for path in sorted(waiting.glob("*/*/*/*.parquet")):
        name, scenario, feeder = path.relative_to(waiting).parts[:3]
        found.setdefault(name, []).append(_Part(path=path, scenario=scenario, feeder=feeder, stem=path.stem))
    return found


def _load(
    connection: Any, schema: str, run_id: str, summary: Mapping[str, Any], held: Mapping[str, list[_Part]]
) -> None:
    described = {name: [_described(part.path) for part in parts] for name, parts in held.items()}
    tables = {name: keyed(schema_from(records[0]["schema"])) for name, records in described.items()}
    # One after the other: two runs that make the same tables at once would get in each other's way.
    rows(connection, "SELECT 1 FROM pg_advisory_xact_lock(hashtext('hostcap'), hashtext($1))", [schema])
    wanted = [*tables.values(), RUNS, TABLES]
    there = check(connection, schema, wanted)
    for table in wanted:
        if table.name not in there:
            create(connection, schema, table)
        elif table is not TABLES:
            execute(connection, f"DELETE FROM {place(schema, table.name)} WHERE {RUN_KEY} = $1", [run_id])
    for name in tables:
        execute(
            connection,
            f"DELETE FROM {place(schema, TABLES.name)} WHERE {RUN_KEY} = $1 AND table_name = $2",
            [run_id, name],
        )
    counts = {}
    for name, parts in held.items():
        counts[name] = [_rows(part.path) for part in parts]
        if sum(counts[name]):
            _ingest(connection, schema, name, _reader(tables[name], parts, run_id))
    about = [
        (name, part.scenario, part.feeder, part.stem, count, json.dumps(record["metadata"]))
        for name, parts in held.items()
        for part, count, record in zip(parts, counts[name], described[name], strict=True)
    ]
    columns = dict(zip(TABLES.names[1:], zip(*about, strict=True), strict=True)) if about else {}
    kept = Table.build(TABLES, {RUN_KEY: [run_id] * len(about), **(columns or dict.fromkeys(TABLES.names[1:], ()))})
    for own in (kept, _run(run_id, summary)):
        if len(own):
            _ingest(connection, schema, own.name, own.to_arrow().to_reader())
    connection.commit()


def _ingest(connection: Any, schema: str, name: str, reader: pa.RecordBatchReader) -> None:
    with connection.cursor() as cursor:
        cursor.adbc_ingest(name, reader, mode="append", db_schema_name=schema)


def _reader(table: TableSchema, parts: Sequence[_Part], run_id: str) -> pa.RecordBatchReader:
    """Rows of all files of a table, read as they are sent."""
    import pyarrow as pa
    import pyarrow.parquet

    first = pyarrow.parquet.read_schema(parts[0].path).remove_metadata()
    added = RUN_KEY not in first.names
    plain = pa.schema([pa.field(each.name, each.type) for each in first])
    schema = plain.insert(0, pa.field(RUN_KEY, pa.string())) if added else plain

    def batches() -> Iterator[pa.RecordBatch]:
        for part in parts:
            with pyarrow.parquet.ParquetFile(part.path) as file:
                for batch in file.iter_batches(AT_ONCE):
                    columns = batch.columns
                    if added:
                        columns = [pa.array([run_id] * len(batch), pa.string()), *columns]
                    yield pa.RecordBatch.from_arrays(columns, schema=schema)

    return pa.RecordBatchReader.from_batches(schema, batches())


def _described(path: Path) -> dict[str, Any]:
    """Schema and metadata of a file, as hostcap wrote them."""
    import pyarrow.parquet

    found: dict[str, Any] = json.loads(pyarrow.parquet.read_schema(path).metadata[b"hostcap"])
    return found


def _rows(path: Path) -> int:
    import pyarrow.parquet

    return int(pyarrow.parquet.read_metadata(path).num_rows)


def _run(run_id: str, summary: Mapping[str, Any]) -> Table:
    """The run as a row."""
    scope = summary.get("scope", {})

    def said(key: str) -> list[str]:
        return [f"{name}: {value}" for name, value in summary.get(key, {}).items()]

    row = {
        RUN_KEY: run_id,
        "name": summary.get("name"),
        "state": summary.get("state"),
        "feeders": scope.get("feeders", []),
        "year": scope.get("year"),
        "failed": said("failed"),
        "study": summary.get("study"),
        "inputs": said("inputs"),
        "versions": said("versions"),
        "loaded_at": datetime.now(UTC).replace(tzinfo=None),
    }
    return Table.build(RUNS, {name: [value] for name, value in row.items()})
