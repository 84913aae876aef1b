"""Tables of results as tables of a database: what they are made with, and whether one that is there fits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs

from hostcap.errors import OutputError
from hostcap.tables import Column, TableSchema
from hostcap_contrib.postgres.connection import WHO, execute, identifier, literal, rows

RUN_KEY = "work_package_id"
"""Column that tells runs apart."""
SQL_TYPES: Mapping[str, str] = {
    "text": "text",
    "texts": "text[]",
    "integer": "bigint",
    "number": "double precision",
    "boolean": "boolean",
    "timestamp": "timestamp with time zone",
}
RUNS = TableSchema(
    name="hostcap_runs",
    meaning="One run whose tables are in this schema.",
    order="as loaded",
    columns=(
        Column(RUN_KEY, "text", "Run", key=True),
        Column("name", "text", "Name of the study"),
        Column("state", "text", "complete, or failed where feeders have no results"),
        Column("feeders", "texts", "Feeders of the study"),
        Column("year", "integer", "Year of the study"),
        Column("failed", "texts", "Feeders without results, each with its reason"),
        Column("study", "text", "The study file as it ran, every default written out"),
        Column("inputs", "texts", "Content hash of each input"),
        Column("versions", "texts", "Version of each package that took part"),
        Column("loaded_at", "timestamp", "When it was loaded, UTC"),
    ),
)
TABLES = TableSchema(
    name="hostcap_tables",
    meaning="One part of a table of a run: what a feeder and year, or a part of the year, gave.",
    order="as loaded",
    columns=(
        Column(RUN_KEY, "text", "Run", key=True),
        Column("table_name", "text", "Table", key=True),
        Column("scenario", "text", "Scenario", key=True),
        Column("feeder", "text", "Feeder", key=True),
        Column("year_part", "text", "Year, or year and part, such as 2014-01-31", key=True),
        Column("row_count", "integer", "Number of rows"),
        Column("metadata", "text", "What belongs to the whole of it, such as the limits applied, as JSON"),
    ),
)
_KINDS = {"r": "", "p": "", "v": "a view", "m": "a materialised view", "f": "a foreign table", "S": "a sequence"}


def keyed(schema: TableSchema) -> TableSchema:
    """A schema with the column that tells runs apart, before the others where it has none."""
    if RUN_KEY in schema.names:
        return schema
    return attrs.evolve(schema, columns=(Column(RUN_KEY, "text", "Run", key=True), *schema.columns))


def place(schema: str, table: str) -> str:
    """A table as SQL text."""
    return f"{identifier(schema)}.{identifier(table)}"


def check(connection: Any, schema: str, tables: Sequence[TableSchema]) -> frozenset[str]:
    """Refuse tables that the database cannot take.

    Returns:
        Names of those that are there.

    Raises:
        OutputError: The schema or a right is missing, or a table that is there does not fit: everything, in one line.
    """
    found = rows(
        connection,
        "SELECT current_user::text AS who, has_schema_privilege(oid, 'USAGE') AS may_use, "
        "has_schema_privilege(oid, 'CREATE') AS may_create "
        f"FROM pg_catalog.pg_namespace WHERE nspname = {literal(schema)}",
    )
    if not found:
        raise OutputError(
            f"{WHO}: the database has no schema {schema!r}; have it made with CREATE SCHEMA {identifier(schema)}, "
            "or name another with schema"
        )
    rights = found[0]
    if not rights["may_use"]:
        raise OutputError(
            f"{WHO}: user {rights['who']!r} may not use schema {schema!r}; have it granted with "
            f"GRANT USAGE, CREATE ON SCHEMA {identifier(schema)} TO {identifier(rights['who'])}"
        )
    there = _there(connection, schema, [table.name for table in tables])
    problems = [problem for table in tables for problem in _misfits(table, there, schema, rights["who"])]
    missing = [table.name for table in tables if table.name not in there]
    if missing and not rights["may_create"]:
        problems.append(
            f"user {rights['who']!r} may not create tables ({', '.join(missing)}); have it granted with "
            f"GRANT CREATE ON SCHEMA {identifier(schema)} TO {identifier(rights['who'])}"
        )
    if problems:
        raise OutputError(f"{WHO}: schema {schema!r}: {'; '.join(problems)}")
    return frozenset(there)


def create(connection: Any, schema: str, table: TableSchema) -> None:
    """Make a table with types, keys, and what is meant as comments."""
    columns = [f"{identifier(column.name)} {SQL_TYPES[column.type]}" for column in table.columns]
    keys = [identifier(column.name) for column in table.columns if column.key]
    if keys:
        columns.append(f"PRIMARY KEY ({', '.join(keys)})")
    at = place(schema, table.name)
    execute(connection, f"CREATE TABLE {at} ({', '.join(columns)})")
    if not keys or keys[0] != identifier(RUN_KEY):
        execute(connection, f"CREATE INDEX ON {at} ({identifier(RUN_KEY)})")
    order = f" Rows in files: {table.order}." if table.order else ""
    execute(connection, f"COMMENT ON TABLE {at} IS {literal(table.meaning + order)}")
    for column in table.columns:
        unit = f" [{column.unit}]" if column.unit else ""
        execute(connection, f"COMMENT ON COLUMN {at}.{identifier(column.name)} IS {literal(column.meaning + unit)}")


def _there(connection: Any, schema: str, names: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
    """Columns of each table that is there; one without columns has a single row of nothing."""
    listed = ", ".join(literal(name) for name in names)
    found = rows(
        connection,
        "SELECT c.relname::text AS table, c.relkind::text AS kind, a.attname::text AS column, "
        "format_type(a.atttypid, a.atttypmod) AS type, "
        "a.attnotnull AND NOT a.atthasdef AND a.attidentity::text = '' AS demanded, "
        "has_table_privilege(c.oid, 'SELECT') AND has_table_privilege(c.oid, 'INSERT') "
        "AND has_table_privilege(c.oid, 'DELETE') AS allowed "
        "FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
        "LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped "
        f"WHERE n.nspname = {literal(schema)} AND c.relname IN ({listed}) ORDER BY c.relname, a.attnum",
    )
    there: dict[str, list[dict[str, Any]]] = {}
    for row in found:
        there.setdefault(row["table"], []).append(row)
    return there


def _misfits(table: TableSchema, there: Mapping[str, list[dict[str, Any]]], schema: str, who: str) -> Iterator[str]:
    for name in (table.name, *table.names):
        if len(name.encode()) > 63:
            yield f"{name!r} of table {table.name!r} is longer than the 63 bytes that PostgreSQL keeps of a name"
    if table.name not in there:
        return
    held = there[table.name]
    kind = _KINDS.get(held[0]["kind"], "no table")
    if kind:
        yield f"{table.name!r} is {kind}, expected a table; rename it"
        return
    if not held[0]["allowed"]:
        at = place(schema, table.name)
        yield (
            f"user {who!r} may not read, add and delete rows of {table.name!r}; have it granted with "
            f"GRANT SELECT, INSERT, DELETE ON {at} TO {identifier(who)}"
        )
    types = {row["column"]: row["type"] for row in held if row["column"] is not None}
    change = f"ALTER TABLE {place(schema, table.name)}"
    for column in table.columns:
        wanted = SQL_TYPES[column.type]
        if column.name not in types:
            add = f"{change} ADD COLUMN {identifier(column.name)} {wanted}"
            yield f"table {table.name!r} has no column {column.name!r}; add it with {add}, or name another schema"
        elif types[column.name] != wanted:
            yield (
                f"table {table.name!r}: column {column.name!r} is {types[column.name]}, expected {wanted}; "
                "name another schema"
            )
    for row in held:
        if row["demanded"] and row["column"] not in table.names:
            yield (
                f"table {table.name!r}: column {row['column']!r}, which the run has not, must not be empty; give it a "
                "default, or name another schema"
            )
