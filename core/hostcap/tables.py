"""Tables of results: schemas, columns, chunks, and what a run returns.

Columns are numpy arrays; None (in object arrays) and nan (in numbers) are missing values. A cell of a ``texts`` column
is a tuple of strings. pandas and pyarrow are imported when they are asked for.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, cast, get_args

import attrs
import numpy as np
from attrs import field, frozen

from hostcap.findings import Finding

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

ColumnType = Literal["text", "texts", "integer", "number", "boolean", "timestamp"]
_SCHEMA_KEY = b"hostcap"
_TEXT = {str, type(None)}
_NUMPY: Mapping[str, Any] = {
    "integer": np.int64,
    "number": np.float64,
    "boolean": np.bool_,
    "timestamp": "datetime64[us]",
}


@frozen
class Column:
    """One column: name, type, meaning, unit, and whether it is part of the key."""

    name: str
    type: ColumnType
    meaning: str
    unit: str = ""
    key: bool = False


@frozen(kw_only=True)
class TableSchema:
    """What a table holds.

    Attributes:
        name: Published name.
        meaning: What one row is.
        columns: In order.
        order: How rows are ordered, in words.
        narrow: For tables that are printed: what a terminal too narrow for all columns says on a line of its own below
            a row, such as ``"{asset}: {value}, limit {limit}"``; the columns named are left out of the row above.
    """

    name: str
    meaning: str
    columns: tuple[Column, ...]
    order: str = ""
    narrow: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """Column names in order."""
        return tuple(column.name for column in self.columns)


def _column_array(column: Column, values: Any) -> np.ndarray[Any, Any] | Words:
    if isinstance(values, Words):
        if column.type == "text":
            return values
        raise ValueError(f"column {column.name}: words in a column of {column.type}")
    listed = list(values) if not isinstance(values, np.ndarray) else values
    if column.type == "texts":
        # numpy would take lists of equal length for a second axis.
        return np.fromiter((None if v is None else tuple(map(str, v)) for v in listed), dtype=object, count=len(listed))
    if column.type == "text" or (isinstance(listed, list) and any(v is None for v in listed)):
        if isinstance(listed, np.ndarray) and listed.dtype == object and set(map(type, listed)) <= _TEXT:
            return listed
        array = np.empty(len(listed), dtype=object)
        array[:] = [None if v is None else (str(v) if column.type == "text" else v) for v in listed]
        return array
    if column.type == "integer":
        numbers = np.asarray(listed, dtype=np.float64)
        if np.any(np.trunc(numbers[~np.isnan(numbers)]) != numbers[~np.isnan(numbers)]):
            raise ValueError(f"column {column.name}: holds a number that is no integer")
    held = isinstance(listed, np.ndarray) and listed.dtype.kind == "O"
    return np.asarray(listed) if held else np.asarray(listed, _NUMPY[column.type])


@frozen(eq=False)
class Words:
    """A column of text as places in a list: what a maker of many rows has, and spares reading every cell.

    Attributes:
        names: The list, object array; a name may stand there twice.
        place: Place of each row's text, shape (row,).
    """

    names: np.ndarray[Any, Any]
    place: np.ndarray[Any, Any]

    @classmethod
    def same(cls, text: str, size: int) -> Words:
        """A column that says the same in every row."""
        return cls(np.array([text], dtype=object), np.broadcast_to(np.int32(0), (size,)))

    @classmethod
    def of(cls, array: np.ndarray[Any, Any]) -> Words:
        """From an array of texts."""
        import pyarrow as pa

        coded = pa.array(array, pa.string()).dictionary_encode()
        names = np.array([*coded.dictionary.to_pylist(), None], dtype=object)
        return cls(names, coded.indices.fill_null(names.size - 1).to_numpy())

    @property
    def size(self) -> int:
        """Number of rows."""
        return int(self.place.size)

    def array(self) -> np.ndarray[Any, Any]:
        """The texts."""
        found: np.ndarray[Any, Any] = self.names[self.place]
        return found

    def to_arrow(self) -> pa.Array:
        """As a pyarrow array of strings."""
        import pyarrow as pa

        place = pa.array(np.ascontiguousarray(self.place, dtype=np.int32))
        return pa.DictionaryArray.from_arrays(place, pa.array(self.names, pa.string())).dictionary_decode()


class _Columns(Mapping[str, Any]):
    """Columns by name; texts become arrays when somebody asks for them."""

    def __init__(self, held: Mapping[str, Any]) -> None:
        self._held = dict(held)

    def __getitem__(self, name: str) -> np.ndarray[Any, Any]:
        found: np.ndarray[Any, Any] | Words = self._held[name]
        return found.array() if isinstance(found, Words) else found

    def __iter__(self) -> Iterator[str]:
        return iter(self._held)

    def __len__(self) -> int:
        return len(self._held)

    def held(self, name: str) -> Any:
        """A column as its maker gave it."""
        return self._held[name]


def _columns(given: Mapping[str, Any]) -> _Columns:
    return given if isinstance(given, _Columns) else _Columns(given)


@frozen(kw_only=True, eq=False)
class Table:
    """One table.

    Attributes:
        schema: What it holds.
        columns: Arrays by name, in the schema's order, all of one length.
        metadata: What belongs to the whole table, such as the limits applied.
    """

    schema: TableSchema
    columns: Mapping[str, np.ndarray[Any, Any]] = field(converter=_columns)
    metadata: Mapping[str, str] = field(factory=dict)

    @classmethod
    def build(cls, schema: TableSchema, columns: Mapping[str, Any], metadata: Mapping[str, str] | None = None) -> Table:
        """Make a table; every column of the schema must be there, and no other; texts may be ``Words``.

        Raises:
            ValueError: A column is missing, unknown, or of another length.
        """
        wrong = set(schema.names) ^ set(columns)
        if wrong:
            raise ValueError(f"table {schema.name}: columns that differ from its schema: {sorted(wrong)}")
        arrays = {column.name: _column_array(column, columns[column.name]) for column in schema.columns}
        if len({a.size for a in arrays.values()}) > 1:
            raise ValueError(f"table {schema.name}: lengths differ: { {n: a.size for n, a in arrays.items()} }")
        return cls(schema=schema, columns=arrays, metadata=dict(metadata or {}))

    @property
    def name(self) -> str:
        """Published name of the table."""
        return self.schema.name

    def __len__(self) -> int:
        return int(self._held(self.schema.columns[0].name).size) if self.columns else 0

    def __getitem__(self, column: str) -> np.ndarray[Any, Any]:
        return self.columns[column]

    def words(self, column: str) -> Words:
        """A column of text as places in a list of names."""
        held = self._held(column)
        return held if isinstance(held, Words) else Words.of(held)

    def _held(self, column: str) -> np.ndarray[Any, Any] | Words:
        held: np.ndarray[Any, Any] | Words = cast("_Columns", self.columns).held(column)
        return held

    def rows(self) -> Iterator[dict[str, Any]]:
        """Rows as dictionaries, for printing."""
        for values in zip(*self.columns.values(), strict=True):
            yield dict(zip(self.columns, values, strict=True))

    def to_arrow(self) -> pa.Table:
        """As a pyarrow table; units, keys, meanings and metadata travel in the schema's metadata."""
        return self._arrow(described=True)

    def _arrow(self, *, described: bool) -> pa.Table:
        import pyarrow as pa

        types = {
            "text": pa.string(),
            "texts": pa.list_(pa.string()),
            "integer": pa.int64(),
            "number": pa.float64(),
            "boolean": pa.bool_(),
            "timestamp": pa.timestamp("us", tz="UTC"),
        }
        arrays, fields = [], []
        for column in self.schema.columns:
            held = self._held(column.name)
            if isinstance(held, Words):
                arrays.append(held.to_arrow())
            else:
                arrays.append(pa.array(held, type=types[column.type], from_pandas=True))
            about = {"unit": column.unit, "key": str(column.key).lower(), "meaning": column.meaning}
            fields.append(pa.field(column.name, types[column.type], metadata=about if described else None))
        if not described:
            return pa.Table.from_arrays(arrays, schema=pa.schema(fields))
        whole = json.dumps({"schema": _plain(self.schema), "metadata": dict(self.metadata)})
        return pa.Table.from_arrays(arrays, schema=pa.schema(fields, metadata={_SCHEMA_KEY: whole.encode()}))

    def to_flat_arrow(self) -> pa.Table:
        """As ``to_arrow``, with lists of text as one text, ``;`` between, and undescribed: CSV knows neither."""
        import pyarrow as pa
        import pyarrow.compute

        arrow = self._arrow(described=False)
        for place, column in enumerate(self.schema.columns):
            if column.type == "texts":
                # Names of equipment hold blanks and commas, semicolons hardly ever.
                joined = pyarrow.compute.call_function("binary_join", [arrow[column.name], pa.scalar(";")])
                arrow = arrow.set_column(place, column.name, joined)
        return arrow

    @classmethod
    def from_arrow(cls, table: pa.Table) -> Table:
        """Back from ``to_arrow``.

        Raises:
            ValueError: The table was not written by hostcap.
        """
        described = (table.schema.metadata or {}).get(_SCHEMA_KEY)
        if described is None:
            raise ValueError("was not written by hostcap: its schema carries no 'hostcap' metadata")
        record = json.loads(described)
        schema = schema_from(record["schema"])
        columns = {}
        for column in schema.columns:
            values = table.column(column.name)
            if column.type == "number":
                columns[column.name] = values.to_numpy()
            elif column.type == "texts":
                columns[column.name] = values.to_pylist()
            elif column.type == "timestamp" and values.null_count == 0:
                columns[column.name] = np.asarray(values.cast("timestamp[us]").to_numpy(), dtype="datetime64[us]")
            elif values.null_count == 0 and column.type != "text":
                columns[column.name] = values.to_numpy()
            else:
                columns[column.name] = np.asarray(values.to_pylist(), dtype=object)
        return cls.build(schema, columns, record["metadata"])

    def to_pandas(self) -> pd.DataFrame:
        """As a data frame."""
        frame: pd.DataFrame = self.to_arrow().to_pandas()
        return frame


@lru_cache(maxsize=256)
def _plain(schema: TableSchema) -> Mapping[str, Any]:
    """A schema as plain values."""
    return attrs.asdict(schema)


def schema_from(record: Mapping[str, Any]) -> TableSchema:
    """A schema back from its dictionary form."""
    columns = tuple(Column(**{**c, "type": _checked_type(c["type"])}) for c in record["columns"])
    return TableSchema(
        name=record["name"],
        meaning=record["meaning"],
        columns=columns,
        order=record["order"],
        narrow=record.get("narrow", ""),
    )


def _checked_type(text: str) -> ColumnType:
    for known in get_args(ColumnType):
        if text == known:
            return known  # type: ignore[no-any-return]
    raise ValueError(f"unknown column type {text!r}")


def concatenate(tables: Sequence[Table]) -> Table:
    """Several tables of one schema as one, in order; metadata of the first."""
    first = tables[0]
    if len(tables) == 1:
        return first
    columns: dict[str, Any] = {}
    for name in first.columns:
        held = [t._held(name) for t in tables]
        words = [h for h in held if isinstance(h, Words)]
        if len(words) == len(held):
            columns[name] = joined_words(words)
            continue
        parts = [t.columns[name] for t in tables]
        if any(p.dtype == object for p in parts):
            parts = [p.astype(object) for p in parts]
        columns[name] = np.concatenate(parts)
    return Table(schema=first.schema, columns=columns, metadata=first.metadata)


def joined_words(words: Sequence[Words]) -> Words:
    """Columns of words one after the other."""
    lists: dict[int, int] = {}
    names: list[np.ndarray[Any, Any]] = []
    size, places = 0, []
    for each in words:
        if id(each.names) not in lists:
            lists[id(each.names)] = size
            names.append(each.names)
            size += each.names.size
        places.append(each.place + np.int32(lists[id(each.names)]))
    return Words(np.concatenate(names), np.concatenate(places))


@frozen(kw_only=True)
class Chunk:
    """Tables of one scenario, year and feeder, or of a part of them: what is written whole or not at all.

    Attributes:
        part: Such as ``01-31``, where a year has several chunks; letters, digits and dashes.
        passing: One of many: a run that writes does not keep it in memory as well.
        summary: How they were come by, for the run's summary: states solved, seconds by stage; plain values alone.
    """

    scenario: str
    year: int
    feeder: str
    tables: tuple[Table, ...]
    part: str = ""
    passing: bool = False
    summary: Mapping[str, Any] = field(factory=dict, eq=False)

    @property
    def stem(self) -> str:
        """What files of the chunk are called: ``<year>`` or ``<year>-<part>``."""
        return f"{self.year}-{self.part}" if self.part else str(self.year)


@frozen(kw_only=True)
class Results:
    """What a run returns.

    Attributes:
        work_package_id: Id that all other ids derive from.
        chunks: In the order of the study's feeders.
        failed: Message by feeder, for feeders without results.
        summary: The run as a whole: study as run, versions, seconds.
    """

    work_package_id: str
    chunks: tuple[Chunk, ...]
    failed: Mapping[str, str] = field(factory=dict)
    summary: Mapping[str, Any] = field(factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the tables there are."""
        return tuple(dict.fromkeys(table.name for chunk in self.chunks for table in chunk.tables))

    def __iter__(self) -> Iterator[str]:
        """Names of the tables, as a mapping has its keys."""
        return iter(self.names)

    def __contains__(self, name: object) -> bool:
        """Whether there is a table of that name."""
        return name in self.names

    def __getitem__(self, name: str) -> Table:
        """One table over all feeders.

        Raises:
            KeyError: There is no such table.
        """
        found = [table for chunk in self.chunks for table in chunk.tables if table.name == name]
        if not found:
            raise KeyError(f"no table {name!r}; there are: {', '.join(self.names) or 'none'}")
        return concatenate(found)

    def to_pandas(self, name: str) -> pd.DataFrame:
        """One table over all feeders, as a data frame."""
        return self[name].to_pandas()


FINDINGS = TableSchema(
    name="findings",
    meaning="What was noticed in the input or the answer of a feeder.",
    order="errors, warnings, infos; each in the order found",
    columns=(
        Column("work_package_id", "text", "Run", key=True),
        Column("scenario", "text", "Scenario", key=True),
        Column("feeder", "text", "Feeder", key=True),
        Column("number", "integer", "Running number within the feeder", key=True),
        Column("severity", "text", "error, warning or info"),
        Column("code", "text", "Kind of finding"),
        Column("element", "text", "Element concerned, or the first of several"),
        Column("count", "integer", "How many elements it concerns"),
        Column("kw", "number", "kW concerned, where that makes sense", unit="kW"),
        Column("message", "text", "What was found, and what to do about it"),
    ),
)


def findings_table(
    findings: Iterable[Finding],
    *,
    work_package_id: str,
    scenario: str,
    feeder: str,
    metadata: Mapping[str, str] | None = None,
) -> Table:
    """The ``findings`` table of one feeder."""
    rank = {"error": 0, "warning": 1, "info": 2}
    listed = sorted(findings, key=lambda f: rank[f.severity.value])
    size = len(listed)
    return Table.build(
        FINDINGS,
        {
            "work_package_id": [work_package_id] * size,
            "scenario": [scenario] * size,
            "feeder": [feeder] * size,
            "number": list(range(1, size + 1)),
            "severity": [f.severity.value for f in listed],
            "code": [f.code for f in listed],
            "element": [f.element for f in listed],
            "count": [f.count for f in listed],
            "kw": [np.nan if f.kw is None else f.kw for f in listed],
            "message": [f.message for f in listed],
        },
        metadata,
    )
