"""Runs to load into a database, and what it holds then, for the tests of the writer ``postgres``."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet
from flow_files import vspd_day

from hostcap import WorkPackage
from hostcap.tables import Chunk, Column, Results, Table, TableSchema
from hostcap_contrib.postgres.config import PostgresConfig
from hostcap_contrib.postgres.writer import PostgresWriter

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
    names = server.sql(
        f"SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = {regnamespace(schema)}"
    ).split()
    told = server.sql(*(f"SELECT '{name}|' || row_to_json(t) FROM {quoted(schema)}.{name} t" for name in names))
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    for line in told.split("\n")[:-1]:
        name, _, row = line.partition("|")
        found[name].append(json.loads(row, parse_int=float))
    return {
        name: unordered({k: v for k, v in row.items() if k != "loaded_at"} for row in rows)
        for name, rows in found.items()
    }


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
