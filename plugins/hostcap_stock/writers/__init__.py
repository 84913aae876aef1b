"""Writers of tables: ``parquet`` and ``csv``."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path, PurePosixPath

from attrs import field, frozen

from hostcap.config import about, not_empty, unique
from hostcap.errors import OutputError
from hostcap.tables import Chunk, Table
from hostcap_stock.writers.wide import wide_files

_TABLES = about("Tables to keep; unset keeps all that the study makes", names_tables=True)


@frozen(kw_only=True)
class ParquetConfig:
    """One Parquet file a table, scenario, feeder and year."""

    tables: tuple[str, ...] | None = field(default=None, validator=[not_empty, unique], metadata=_TABLES)


@frozen(kw_only=True)
class CsvConfig:
    """One CSV file a table, scenario, feeder and year."""

    tables: tuple[str, ...] | None = field(default=None, validator=[not_empty, unique], metadata=_TABLES)
    wide: bool = field(
        default=False,
        metadata=about("A trace's shares also as wide files, td_, tu_, sd_ and su_ in the folders tp, d, m, y and t"),
    )


def _parquet(table: Table, path: Path) -> None:
    import pyarrow.parquet

    pyarrow.parquet.write_table(table.to_arrow(), path)


def _csv(table: Table, path: Path) -> None:
    import pyarrow.csv

    pyarrow.csv.write_csv(table.to_flat_arrow(), path)


def chunk_path(folder: Path, table: Table, chunk: Chunk, ending: str) -> Path:
    """``<folder>/<table>/<scenario>/<feeder>/<year>.<ending>``, or ``<year>-<part>.<ending>``."""
    return folder / table.name / chunk.scenario / chunk.feeder / f"{chunk.stem}.{ending}"


def _write_whole(
    folder: Path,
    chunk: Chunk,
    tables: tuple[str, ...] | None,
    ending: str,
    write: Callable[[Table, Path], None],
    more: Iterable[tuple[PurePosixPath, Callable[[], memoryview]]] = (),
) -> None:
    """Write every chosen table, and more texts, beside their places, then move all there: whole or not at all."""
    moves: list[tuple[Path, Path]] = []
    folders: set[Path] = set()

    def beside_of(final: Path) -> Path:
        if final.parent not in folders:
            final.parent.mkdir(parents=True, exist_ok=True)
            folders.add(final.parent)
        beside = final.with_name(f".{final.name}.{os.getpid()}.part")
        moves.append((beside, final))
        return beside

    try:
        for table in chunk.tables:
            if tables is not None and table.name not in tables:
                continue
            write(table, beside_of(chunk_path(folder, table, chunk, ending)))
        for place, text in more:
            beside_of(folder / place).write_bytes(text())
        _move_all(moves)
        moves.clear()
    except OSError as error:
        raise OutputError(f"{folder}: cannot write results: {error.strerror or error}") from error
    finally:
        for beside, _ in moves:
            with suppress(OSError):
                beside.unlink(missing_ok=True)


def _move_all(moves: list[tuple[Path, Path]]) -> None:
    """Move every file to its place; an interruption waits until all are there."""
    interrupted: KeyboardInterrupt | None = None
    while True:
        try:
            for beside, final in moves:
                with suppress(FileNotFoundError):  # moved before the interruption
                    beside.replace(final)
            break
        except KeyboardInterrupt as error:
            interrupted = error
    if interrupted is not None:
        raise interrupted


@frozen(kw_only=True)
class ParquetWriter:
    """Parquet with units, keys and limits in the schema's metadata."""

    config: ParquetConfig = ParquetConfig()

    def write(self, folder: Path, chunk: Chunk) -> None:
        """Write one chunk, whole or not at all."""
        _write_whole(folder, chunk, self.config.tables, "parquet", _parquet)


@frozen(kw_only=True)
class CsvWriter:
    """CSV with a header line; units and keys are in docs/reference/tables.md."""

    config: CsvConfig = CsvConfig()

    def write(self, folder: Path, chunk: Chunk) -> None:
        """Write one chunk, whole or not at all."""
        _write_whole(folder, chunk, self.config.tables, "csv", _csv, wide_files(chunk) if self.config.wide else ())
