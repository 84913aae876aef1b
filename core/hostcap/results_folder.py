"""A folder of results: claimed by one run, described by its summary, read back as ``Results``."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from hostcap.errors import OutputError
from hostcap.tables import Chunk, Results, Table

RUN_FILE = "hostcap-run.json"
"""What marks a results folder, and sums its run up."""
RESUME = ".resume"
"""Folder beside the tables that an interrupted run can be resumed from, and where chunks wait for the whole run."""
WIDE_FOLDERS = ("tp", "d", "m", "y", "t")
"""Folders of the wide files that a trace's shares may be kept in as well."""
TABLE_ENDINGS = ("parquet", "csv")
"""Files of tables, at ``<table>/<scenario>/<feeder>/<year>.<ending>``, or ``<year>-<part>.<ending>``."""


def check_writable(folder: Path) -> None:
    """Refuse a folder that cannot be written, before anything is computed.

    Raises:
        OutputError: It cannot be made or written.
    """
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{folder}: is a file, not a folder; give a folder with --out")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".{os.getpid()}.part"
        try:
            probe.touch()
        finally:
            probe.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(
            f"{folder}: results cannot be written there: {error.strerror or error}; give another folder with --out"
        ) from error


def claim(folder: Path, summary: Mapping[str, Any], *, replace: bool = False) -> None:
    """Mark a folder as this run's.

    A run that failed or was stopped before any feeder had an answer is replaced without asking.

    Raises:
        OutputError: It holds another study's run, or anything else.
    """
    marker = folder / RUN_FILE
    if marker.exists():
        try:
            record = json.loads(marker.read_text(encoding="utf-8"))
            held, study = record["work_package_id"], record["study"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise OutputError(f"{marker}: cannot be read ({error}); give another folder with --out") from error
        if held != summary["work_package_id"] or study != summary["study"]:
            if not replace and any(path.parts[-4] != "findings" for path in _tables(folder)):
                what = "other input" if study == summary["study"] else "another study"
                raise OutputError(
                    f"{folder}: holds a run of {what} ({record.get('name')!r}); give --replace, or another --out"
                )
            _clear(folder)
    elif _holds_files(folder):
        raise OutputError(f"{folder}: is not empty and holds no hostcap run; give an empty or new folder with --out")
    write_summary(folder, {**summary, "state": "running"})


def _holds_files(folder: Path) -> bool:
    try:
        return any(not each.name.startswith(".") for each in folder.iterdir())
    except OSError as error:
        raise OutputError(f"{folder}: cannot be listed: {error.strerror or error}; give another --out") from error


def release(folder: Path) -> None:
    """Leave no empty folder behind where a run ended before it claimed it."""
    with suppress(OSError):
        folder.rmdir()


def resume_folder(folder: Path, run_id: str) -> Path:
    """Where a run keeps what a later run of the same study and input can go on from; made when it is used."""
    return folder / RESUME / run_id


def waiting_folder(folder: Path, name: str) -> Path:
    """Where a writer keeps the chunks of a run until it is whole; it goes when the folder gets another run."""
    return folder / RESUME / "writers" / name


def clear_resume(folder: Path) -> None:
    """Remove what runs could be resumed from."""
    shutil.rmtree(folder / RESUME, ignore_errors=True)


def _tables(folder: Path) -> list[Path]:
    found = [path for ending in TABLE_ENDINGS for path in sorted(folder.glob(f"*/*/*/*.{ending}"))]
    for level in WIDE_FOLDERS:
        found += sorted((folder / level).glob("**/[ts][du]*.csv"))
    return found


def _clear(folder: Path) -> None:
    """Remove the tables of the run that a folder holds, and the folders that they leave empty; nothing else."""
    clear_resume(folder)
    try:
        for path in _tables(folder):
            path.unlink()
            for parent in list(path.parents)[:3]:
                if any(parent.iterdir()):
                    break
                parent.rmdir()
    except OSError as error:
        raise OutputError(f"{folder}: its run cannot be replaced: {error.strerror or error}") from error


def write_summary(folder: Path, summary: Mapping[str, Any]) -> None:
    """Write the run's summary, whole or not at all."""
    path = folder / RUN_FILE
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        beside.write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
        beside.replace(path)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror or error}") from error
    finally:
        beside.unlink(missing_ok=True)


def read_results(folder: Path | str) -> Results:
    """Read a run back from its folder.

    Raises:
        OutputError: The folder holds no run, or a table that hostcap did not write.
    """
    folder = Path(folder)
    marker = folder / RUN_FILE
    try:
        summary = json.loads(marker.read_text(encoding="utf-8"))
        run_id = str(summary["work_package_id"])
    except (FileNotFoundError, NotADirectoryError):
        raise OutputError(f"{folder}: holds no hostcap run ({RUN_FILE} is missing); give the folder of a run") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise OutputError(f"{marker}: cannot be read: {error}") from error
    tables: dict[tuple[str, int, str, str], list[Table]] = {}
    for path in sorted(folder.glob("*/*/*/*.parquet")):
        name, scenario, feeder = path.relative_to(folder).parts[:3]
        year, _, part = path.stem.partition("-")
        if not year.isdecimal():
            raise OutputError(f"{path}: is not a year of hostcap's results; remove it")
        tables.setdefault((scenario, int(year), feeder, part), []).append(_read_table(path, name))
    if not tables:
        found = "CSV files alone, which carry no types" if any(folder.glob("*/*/*/*.csv")) else "no tables"
        raise OutputError(f"{folder}: holds {found}; run the study with the 'parquet' writer")
    order = {feeder: place for place, feeder in enumerate(summary.get("scope", {}).get("feeders", ()))}
    keys = sorted(tables, key=lambda key: (order.get(key[2], len(order)), key))
    return Results(
        work_package_id=run_id,
        chunks=tuple(
            Chunk(scenario=key[0], year=key[1], feeder=key[2], part=key[3], tables=tuple(tables[key])) for key in keys
        ),
        failed=summary.get("failed", {}),
        summary=summary,
    )


def _read_table(path: Path, name: str) -> Table:
    import pyarrow as pa
    import pyarrow.parquet

    try:
        table = Table.from_arrow(pyarrow.parquet.ParquetFile(path).read())
    except (OSError, ValueError, KeyError, pa.ArrowException) as error:
        raise OutputError(f"{path}: cannot be read: {error}") from error
    if table.name != name:
        raise OutputError(f"{path}: holds table {table.name!r}, expected {name!r}")
    return table
