"""CSV and Parquet files as a stream of periods: columns by title, checked, one block at a time.

A file is never held whole: what is kept is one block of rows and the rows of one period.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import frozen

from hostcap._arrays import FloatArray, IntArray
from hostcap.errors import FlowsError
from hostcap.findings import counted
from hostcap.plugins._nearest import nearest

if TYPE_CHECKING:
    import pyarrow as pa

BLOCK_BYTES = 1 << 20
"""Bytes of a CSV file that are read at once."""
_MIXED = (
    "rows of the period {period} come back after those of another: two periods are mixed; expected all rows of a period"
    " together, so sort the file by its times"
)
_ENCODING = "utf-8-sig"


class Vocabulary:
    """Names as running numbers, shared by the columns that speak of the same things; numbers never change."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self._number: dict[str, int] = {}

    def codes(self, words: Sequence[str]) -> IntArray:
        """Number of each word; new words get the next ones."""
        numbers, known = self._number, len(self.names)
        found = np.array([numbers.setdefault(word, len(numbers)) for word in words], dtype=np.int32)
        if len(numbers) > known:
            self.names += list(numbers)[known:]  # a dictionary keeps its order
        return found

    def text(self, codes: IntArray) -> list[str]:
        """The names of some numbers."""
        return [self.names[code] for code in codes]


@frozen(kw_only=True)
class Wanted:
    """A column to read.

    Attributes:
        name: What the reader calls it.
        titles: What a file may call it; the first that is there is taken.
        vocabulary: Numbers its words; None for a column of numbers.
        optional: A file may lack it.
    """

    name: str
    titles: tuple[str, ...]
    vocabulary: Vocabulary | None = None
    optional: bool = False


@frozen(kw_only=True, eq=False)
class Rows:
    """The rows of one period.

    Attributes:
        key: Values of the key columns.
        columns: By ``Wanted.name``: numbers as float64, words as int32 numbers of their vocabulary.
        first_line: Line (or row, for Parquet) of the file where they begin, from 1.
    """

    key: tuple[str, ...]
    columns: Mapping[str, Any]
    first_line: int

    def __len__(self) -> int:
        return int(next(iter(self.columns.values())).size)

    def number(self, name: str) -> FloatArray:
        """A column of numbers."""
        values: FloatArray = self.columns[name]
        return values

    def word(self, name: str) -> IntArray:
        """A column of words, as numbers of its vocabulary."""
        values: IntArray = self.columns[name]
        return values


def periods(path: Path, wanted: Sequence[Wanted], keys: Sequence[str], *, header: bool = True) -> Iterator[Rows]:
    """The rows of a file, one period after the other, in the file's order.

    Args:
        path: ``.csv``, ``.csv.gz`` or ``.parquet``.
        wanted: Columns to read; without a header they are all the columns there are, in order.
        keys: Names of the (text) columns that say which period a row belongs to; none: the file is one period.
        header: Whether the first line of a CSV file holds titles.

    Raises:
        FlowsError: A file or column is missing; a cell is empty, no number, or not finite; the rows of two periods
            are mixed.
    """
    pieces: list[tuple[int, dict[str, Any]]] = []
    current: tuple[str, ...] | None = None
    seen: set[tuple[str, ...]] = set()
    by_name = {column.name: column for column in wanted}
    line = 2 if header and not _parquet(path) else 1
    for block in _blocks(path, wanted, None if header else [column.name for column in wanted]):
        size = int(next(iter(block.values())).size)
        for low, high in _runs([block[key] for key in keys], size):
            key = tuple(_vocabulary(by_name[key]).names[int(block[key][low])] for key in keys)
            if key != current:
                if current is not None:
                    yield _joined(current, pieces)
                if key in seen:
                    raise FlowsError(f"{path}, line {line + low}: {_MIXED.format(period=' '.join(key))}")
                seen.add(key)
                current, pieces = key, []
            pieces.append((line + low, {name: values[low:high] for name, values in block.items()}))
        line += size
    if current is not None:
        yield _joined(current, pieces)


def first_words(
    path: Path, titles: Sequence[tuple[str, ...]], *, required: int, columns: Sequence[str] | None = None
) -> Iterator[tuple[str, ...]]:
    """What some text columns say, each stretch of equal rows once; optional columns that are missing say nothing.

    Args:
        path: As of ``periods``.
        titles: Titles of each column.
        required: How many of them, the first ones, must be there.
        columns: All columns of a file without a header.
    """
    wanted = [
        Wanted(name=str(place), titles=names, vocabulary=Vocabulary(), optional=place >= required)
        for place, names in enumerate(titles)
    ]
    last: tuple[str, ...] | None = None
    for block in _blocks(path, wanted, columns):
        size = int(next(iter(block.values())).size)
        for low, _ in _runs(list(block.values()), size):
            said = tuple(
                _vocabulary(column).names[int(block[column.name][low])] if column.name in block else ""
                for column in wanted
            )
            if said != last:
                yield said
            last = said


def refuse_mixed(path: Path, titles: Sequence[tuple[str, ...]], columns: Sequence[str] | None = None) -> None:
    """Look through a file for a period whose rows are not together.

    For errors alone: that a period is short of rows may be a sign of it.

    Raises:
        FlowsError: There is one.
    """
    seen: set[tuple[str, ...]] = set()
    for said in first_words(path, titles, required=len(titles), columns=columns):
        if said in seen:
            raise FlowsError(f"{path}: {_MIXED.format(period=' '.join(said))}")
        seen.add(said)


def columns_of(path: Path) -> list[str]:
    """Titles of a file's columns.

    Raises:
        FlowsError: There is no such file, or it cannot be read.
    """
    if not path.is_file():
        raise FlowsError(f"{path}: no such file")
    if not _parquet(path):
        return next(_lines(path), [])
    with _parquet_file(path) as file:
        names: list[str] = file.schema_arrow.names
        return names


def _vocabulary(column: Wanted) -> Vocabulary:
    if column.vocabulary is None:
        raise TypeError(f"column {column.name!r} holds numbers; a period is named by words")
    return column.vocabulary


def _runs(keys: Sequence[IntArray], size: int) -> Iterator[tuple[int, int]]:
    """Stretches of rows with equal keys."""
    changes = np.zeros(max(size - 1, 0), dtype=bool)
    for key in keys:
        changes |= key[1:] != key[:-1]
    edges = [0, *(np.flatnonzero(changes) + 1).tolist(), size]
    return ((low, high) for low, high in pairwise(edges) if high > low)


def _joined(key: tuple[str, ...], pieces: list[tuple[int, dict[str, Any]]]) -> Rows:
    if len(pieces) == 1:
        return Rows(key=key, columns=pieces[0][1], first_line=pieces[0][0])
    columns = {name: np.concatenate([piece[name] for _, piece in pieces]) for name in pieces[0][1]}
    return Rows(key=key, columns=columns, first_line=pieces[0][0])


def _parquet(path: Path) -> bool:
    return path.suffix == ".parquet"


def _blocks(path: Path, wanted: Sequence[Wanted], headerless: Sequence[str] | None) -> Iterator[dict[str, Any]]:
    """Columns of one block of rows after the other; ``headerless`` names all columns of a file without titles."""
    if not path.is_file():
        raise FlowsError(f"{path}: no such file")
    done = 0
    if not _parquet(path):
        from hostcap_stock.flows.plain import NotPlainError

        found = _found(path, headerless)
        try:
            for block in _plain_blocks(path, wanted, _titles(path, wanted, found), found, header=headerless is None):
                yield block
                done += int(next(iter(block.values())).size)
            return
        except NotPlainError:
            pass
    batches = _parquet_batches(path, wanted) if _parquet(path) else _csv_batches(path, wanted, headerless, after=done)
    line = done + (2 if headerless is None and not _parquet(path) else 1)
    for titles, batch in batches:
        if batch.num_rows:
            yield {c.name: _values(path, c, titles[c.name], batch, line) for c in wanted if c.name in titles}
        line += batch.num_rows


def _found(path: Path, headerless: Sequence[str] | None) -> list[str]:
    """Titles of all columns of a CSV file."""
    found = next(_lines(path), []) if headerless is None else list(headerless)
    if not found:
        raise FlowsError(f"{path}: the file is empty; expected a line of titles")
    return found


def _plain_blocks(
    path: Path, wanted: Sequence[Wanted], titles: Mapping[str, str], found: Sequence[str], *, header: bool
) -> Iterator[dict[str, Any]]:
    """The rows of a CSV file as far as it is plain.

    Raises:
        NotPlainError: From here on.
    """
    from hostcap_stock.flows.plain import NUMBER, SKIPPED, WORD, Layout, NotPlainError, lines_of

    kinds, lists = [SKIPPED] * len(found), dict[int, int]()
    vocabularies: list[Vocabulary] = []
    columns = {column.name: found.index(titles[column.name]) for column in wanted if column.name in titles}
    for column in wanted:
        if column.name not in columns:
            continue
        at, vocabulary = columns[column.name], column.vocabulary
        kind = NUMBER if vocabulary is None else WORD
        if vocabulary is not None:
            if vocabulary not in vocabularies:
                vocabularies.append(vocabulary)
            lists.setdefault(at, vocabularies.index(vocabulary))
        if kinds[at] not in (SKIPPED, kind) or (vocabulary and vocabularies[lists[at]] is not vocabulary):
            raise NotPlainError  # read in two ways
        kinds[at] = kind
    layout = Layout(kinds=tuple(kinds), words=lists)
    codes = [np.empty(0, dtype=np.int32)] * len(vocabularies)
    same = [False] * len(vocabularies)
    for lines in lines_of(path, layout, header=header, block_bytes=BLOCK_BYTES):
        for place, words in enumerate(lines.new):
            if words:
                codes[place] = np.concatenate([codes[place], vocabularies[place].codes(words)])
                # The first file that speaks of something numbers it as the vocabulary does.
                same[place] = np.array_equal(codes[place], np.arange(codes[place].size))
        yield {
            name: lines.numbers[at]
            if kinds[at] == NUMBER
            else lines.codes[at]
            if same[lists[at]]
            else codes[lists[at]][lines.codes[at]]
            for name, at in columns.items()
        }


def _values(path: Path, column: Wanted, title: str, batch: pa.RecordBatch, line: int) -> Any:
    """One column of a block, without empty cells and without what is no finite number."""
    array = batch.column(title)
    if array.null_count:
        row = int(np.flatnonzero(array.is_null().to_numpy(zero_copy_only=False))[0])
        raise FlowsError(f"{path}, line {line + row}: column {title!r} is empty; expected {_expected(column)}")
    if column.vocabulary is not None:
        words = array.dictionary.to_pylist()
        return column.vocabulary.codes(words)[array.indices.to_numpy()]
    values = array.to_numpy(zero_copy_only=False)
    # A sum is finite where every number is; a look at each is due only where it is not.
    if not np.isfinite(values.sum()) and not np.all(np.isfinite(values)):
        row = int(np.flatnonzero(~np.isfinite(values))[0])
        raise FlowsError(f"{path}, line {line + row}: column {title!r} is {values[row]}; expected a finite number")
    return values


def _expected(column: Wanted) -> str:
    return "a name" if column.vocabulary is not None else "a number"


def _titles(path: Path, wanted: Sequence[Wanted], found: Sequence[str]) -> dict[str, str]:
    """Title of each wanted column in a file; those that are optional and missing are left out."""
    chosen: dict[str, str] = {}
    missing = []
    for column in wanted:
        title = next((title for title in column.titles if title in found), None)
        if title is not None:
            if list(found).count(title) > 1:
                raise FlowsError(f"{path}: two columns are called {title!r}; expected one")
            chosen[column.name] = title
        elif not column.optional:
            close = nearest(column.titles[0], found)
            missing.append(repr(column.titles[0]) + (f" (is it {close!r}?)" if close else ""))
    if missing:
        raise FlowsError(f"{path}: no column {', '.join(missing)}; found: {', '.join(found) or 'nothing'}")
    return chosen


def _csv_batches(
    path: Path, wanted: Sequence[Wanted], headerless: Sequence[str] | None, *, after: int = 0
) -> Iterator[tuple[dict[str, str], pa.RecordBatch]]:
    """Rows of a CSV file of any kind, without the first ones, which are read."""
    import pyarrow as pa
    import pyarrow.csv as pa_csv

    header = headerless is None
    found = _found(path, headerless)
    titles = _titles(path, wanted, found)
    by_title = {titles[c.name]: c for c in wanted if c.name in titles}
    word = pa.dictionary(pa.int32(), pa.string())
    try:
        reader = pa_csv.open_csv(
            path,
            read_options=pa_csv.ReadOptions(
                block_size=BLOCK_BYTES, column_names=found, skip_rows=1 if header else 0, use_threads=False
            ),
            convert_options=pa_csv.ConvertOptions(
                column_types={t: pa.float64() if c.vocabulary is None else word for t, c in by_title.items()},
                include_columns=list(by_title),
                null_values=[""],
                strings_can_be_null=True,
                quoted_strings_can_be_null=True,
            ),
        )
        for batch in reader:
            read = min(after, batch.num_rows)
            after -= read
            yield titles, batch.slice(read)
    except pa.ArrowInvalid as error:
        raise _first_fault(path, found, by_title, header=header) or FlowsError(f"{path}: {error}") from error
    except OSError as error:  # a gzip file that was cut short
        raise FlowsError(f"{path}: cannot be read: {error}") from error


def _lines(path: Path) -> Iterator[list[str]]:
    """The cells of a CSV file, line by line, in Python: slow, and used for the first line and for faults alone."""
    import gzip

    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding=_ENCODING, newline="") as text:
        try:
            yield from csv.reader(text)
        except (UnicodeDecodeError, csv.Error, EOFError, OSError) as error:
            raise FlowsError(f"{path}: cannot be read as CSV in UTF-8: {error}") from error


def _first_fault(path: Path, found: list[str], by_title: Mapping[str, Wanted], *, header: bool) -> FlowsError | None:
    """What the reader stumbled over, with its line: it says so itself only in some versions."""
    for line, cells in enumerate(_lines(path), start=1):
        if (line == 1 and header) or not cells:
            continue
        if len(cells) != len(found):
            return FlowsError(f"{path}, line {line}: {counted(len(cells), 'column')}; expected {len(found)}")
        for title, column in by_title.items():
            cell = cells[found.index(title)]
            if column.vocabulary is None and not _is_number(cell):
                return FlowsError(f"{path}, line {line}: column {title!r} is {cell!r}; expected a number")
    return None


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return "_" not in cell


def _parquet_batches(path: Path, wanted: Sequence[Wanted]) -> Iterator[tuple[dict[str, str], pa.RecordBatch]]:
    import pyarrow as pa

    with _parquet_file(path) as file:
        schema = file.schema_arrow
        titles = _titles(path, wanted, schema.names)
        for column in wanted:
            if column.name in titles:
                _check_type(path, column, titles[column.name], schema.field(titles[column.name]).type)
        for batch in file.iter_batches(columns=list(dict.fromkeys(titles.values()))):
            arrays = [
                _cast(batch.column(title), by_words=_worded(wanted, titles, title)) for title in batch.schema.names
            ]
            yield titles, pa.RecordBatch.from_arrays(arrays, names=batch.schema.names)


def _parquet_file(path: Path) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.ParquetFile(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise FlowsError(f"{path}: cannot be read as Parquet: {error}") from error


def _worded(wanted: Sequence[Wanted], titles: Mapping[str, str], title: str) -> bool:
    return any(c.vocabulary is not None for c in wanted if titles.get(c.name) == title)


def _cast(array: pa.Array, *, by_words: bool) -> pa.Array:
    import pyarrow as pa

    if not by_words:
        return array.cast(pa.float64())
    plain = array.cast(pa.string()) if not pa.types.is_dictionary(array.type) else array.dictionary_decode()
    return plain.cast(pa.string()).dictionary_encode()


def _check_type(path: Path, column: Wanted, title: str, found: Any) -> None:
    import pyarrow as pa

    if column.vocabulary is None and not (pa.types.is_integer(found) or pa.types.is_floating(found)):
        raise FlowsError(f"{path}: column {title!r} holds {found}; expected numbers")


class Stream:
    """A file's periods, one after the other, with a look at the next one.

    Attributes:
        path: The file, for messages.
    """

    def __init__(self, path: Path, rows: Iterator[Rows]) -> None:
        self.path = path
        self._rows = rows
        self._next: Rows | None = next(rows, None)
        if self._next is None:
            raise FlowsError(f"{path}: no rows; expected those of at least one period")

    @property
    def key(self) -> tuple[str, ...] | None:
        """Key of the next period; None at the end."""
        return None if self._next is None else self._next.key

    def take(self) -> Rows:
        """The next period."""
        if self._next is None:
            raise StopIteration
        taken, self._next = self._next, next(self._rows, None)
        return taken
