"""Rows of Parquet and CSV files, some at a time and in the order of the file: what pyarrow does, and nothing else.

A Parquet file is read by row group, and only those that may hold rows of a window; of a file with thousands of columns,
some columns at a time. What is held at once does not grow with the file, whatever the size of its row groups. A CSV
file is parsed from the beginning to the end each time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import pyarrow  # noqa: TID253 - imported when a file is opened
import pyarrow.csv  # noqa: TID253
import pyarrow.dataset  # noqa: TID253
import pyarrow.parquet  # noqa: TID253

from hostcap.errors import ProfileError

PARQUET, CSV = (".parquet", ".pq"), (".csv", ".txt")
MOST_ROWS = 1 << 16
"""Most rows of a batch of Parquet."""
MOST_CELLS = 1 << 21
"""Most cells of a batch of Parquet: 16 MB of numbers."""
_MOST_HEAD = 1 << 20
"""Most bytes of a line of names; that many pyarrow takes at once."""
UNREADABLE = (OSError, ValueError)
"""What pyarrow raises; its own errors are of these."""


class Rows(Protocol):
    """The rows of one file."""

    @property
    def schema(self) -> Any:
        """Names and types of its columns."""
        ...

    def head(self, column: str, rows: int) -> Any:
        """The first rows of a column."""
        ...

    def scan(self, columns: Sequence[str], always: str | None = None, window: Any = None) -> Iterator[Any]:
        """Batches of some columns.

        Args:
            columns: Their names; of many, a batch may have some of them, and then all rows come again with others.
            always: A column that every batch has.
            window: A filter; rows that it keeps are all there, and others may be.
        """
        ...


def rows_of(path: Path, texts: Sequence[str], time_column: str) -> Rows:
    """A file, opened.

    Args:
        path: Parquet or CSV, by its ending.
        texts: Columns of names, read as text whatever they look like.
        time_column: Column of times; text in CSV.

    Raises:
        ProfileError: It is not there, or cannot be read.
    """
    ending = path.suffix.lower()
    if ending not in PARQUET + CSV:
        raise ProfileError(f"{path}: expected a file that ends in {', '.join(PARQUET + CSV)}")
    if not path.is_file():
        raise ProfileError(f"{path}: no such file")
    try:
        return _Parquet(path, (time_column, *texts)) if ending in PARQUET else _Csv(path, (time_column, *texts))
    except UNREADABLE as error:
        raise ProfileError(f"{path}: cannot be read: {one_line(error)}") from error


def one_line(error: BaseException) -> str:
    """What pyarrow says, in a line."""
    return " ".join(str(error).split())


class _Parquet:
    def __init__(self, path: Path, texts: Sequence[str]) -> None:
        self._path, self._texts = path, list(texts)
        _refuse_twins(path, pyarrow.parquet.read_schema(path).names)
        kind = pyarrow.dataset.ParquetFileFormat(dictionary_columns=set(texts))
        self._dataset: Any = pyarrow.dataset.dataset(str(path), format=kind)
        [self._fragment] = self._dataset.get_fragments()
        self.schema = self._dataset.schema

    def head(self, column: str, rows: int) -> Any:
        return self._dataset.head(rows, columns=[column]).column(column).combine_chunks()

    def scan(self, columns: Sequence[str], always: str | None = None, window: Any = None) -> Iterator[Any]:
        part = self._fragment if window is None else self._fragment.subset(window)
        groups = [group.id for group in part.row_groups]
        if not groups:
            return
        metadata = self._fragment.metadata
        rows = min(MOST_ROWS, max(metadata.row_group(group).num_rows for group in groups))
        width = max(1, MOST_CELLS // max(rows, 1))
        fixed, free = [] if always is None else [always], [name for name in columns if name != always]
        file = pyarrow.parquet.ParquetFile(self._path, metadata=metadata, read_dictionary=self._texts, pre_buffer=False)
        with file:
            for first in range(0, max(len(free), 1), width):
                some = [*fixed, *free[first : first + width]]
                yield from file.iter_batches(batch_size=MOST_ROWS, row_groups=groups, columns=some)


class _Csv:
    def __init__(self, path: Path, texts: Sequence[str]) -> None:
        self._path = path
        _refuse_other_separators(path)
        name = pyarrow.dictionary(pyarrow.int32(), pyarrow.string())
        with self._reader(dict.fromkeys(texts, name)) as reader:
            found = reader.schema
        _refuse_twins(path, found.names)
        # pyarrow infers types from the first rows: a meter that is at 0, or away, all night is no column of integers.
        self.schema: Any = pyarrow.schema([field.with_type(_number(field.type)) for field in found])
        self._kinds = {field.name: field.type for field in self.schema}

    def head(self, column: str, rows: int) -> Any:
        found, count = [], 0
        with self._reader(self._kinds, [column]) as reader:
            for batch in reader:
                found.append(batch.column(0))
                count += batch.num_rows
                if count >= rows:
                    break
        return pyarrow.chunked_array(found, self._kinds[column]).slice(0, rows).unify_dictionaries().combine_chunks()

    def scan(self, columns: Sequence[str], always: str | None = None, window: Any = None) -> Iterator[Any]:
        with self._reader(self._kinds, dict.fromkeys([*([] if always is None else [always]), *columns])) as reader:
            yield from reader

    def _reader(self, kinds: Mapping[str, Any], columns: Iterable[str] = ()) -> Any:
        """Batches as they are parsed; a dataset would parse ahead of who takes them, up to gigabytes."""
        convert = pyarrow.csv.ConvertOptions(
            column_types=kinds, include_columns=list(columns), strings_can_be_null=True
        )
        return pyarrow.csv.open_csv(self._path, convert_options=convert)


def _refuse_other_separators(path: Path) -> None:
    """Spreadsheets of many countries write semicolons, and commas in numbers."""
    with path.open("rb") as file:
        head = file.readline(_MOST_HEAD)
    for separator, word in ((b";", "semicolons"), (b"\t", "tabs")):
        if separator in head and b"," not in head:
            raise ProfileError(
                f"{path}: {word} are between its columns; expected commas, and points in numbers: save it so, or as "
                "Parquet"
            )


def _refuse_twins(path: Path, names: Iterable[str]) -> None:
    for name, times in Counter(names).items():
        if times > 1:
            raise ProfileError(f"{path}: has {times} columns {name!r}; rename one")


def _number(kind: Any) -> Any:
    return pyarrow.float64() if pyarrow.types.is_integer(kind) or pyarrow.types.is_null(kind) else kind
