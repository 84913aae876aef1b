"""A folder of results: claimed by one run, described by its summary, read back as ``Results``."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hostcap.errors import OutputError
from hostcap.tables import Chunk, Results, Table

RUN_FILE = "hostcap-run.json"
"""What marks a results folder, and sums its run up."""


def check_writable(folder: Path) -> None:
    """Refuse a folder that cannot be written, before anything is computed.

    Raises:
        OutputError: It cannot be made or written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".{os.getpid()}.part"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise OutputError(
            f"{folder}: results cannot be written there: {error.strerror or error}; give another folder with --out"
        ) from error


def claim(folder: Path, summary: Mapping[str, Any]) -> None:
    """Mark a folder as this run's.

    Raises:
        OutputError: It holds another study's run, or anything else.
    """
    marker = folder / RUN_FILE
    if marker.exists():
        try:
            held = json.loads(marker.read_text(encoding="utf-8"))["work_package_id"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise OutputError(f"{marker}: cannot be read ({error}); give another folder with --out") from error
        if held != summary["work_package_id"]:
            raise OutputError(
                f"{folder}: holds the run of another study or of other input ({held}); remove it, or give --out"
            )
    elif any(not each.name.startswith(".") for each in folder.iterdir()):
        raise OutputError(f"{folder}: is not empty and holds no hostcap run; give an empty or new folder with --out")
    write_summary(folder, {**summary, "state": "running"})


def write_summary(folder: Path, summary: Mapping[str, Any]) -> None:
    """Write the run's summary, whole or not at all."""
    path = folder / RUN_FILE
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        beside.write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
        beside.replace(path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise OutputError(f"{path}: cannot be written: {error.strerror or error}") from error


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
    tables: dict[tuple[str, int, str], list[Table]] = {}
    for path in sorted(folder.glob("*/*/*/*.parquet")):
        name, scenario, feeder = path.relative_to(folder).parts[:3]
        tables.setdefault((scenario, int(path.stem), feeder), []).append(_read_table(path, name))
    if not tables:
        found = "CSV files alone, which carry no types" if any(folder.glob("*/*/*/*.csv")) else "no tables"
        raise OutputError(f"{folder}: holds {found}; run the study with the 'parquet' writer")
    return Results(
        work_package_id=run_id,
        chunks=tuple(
            Chunk(scenario=scenario, year=year, feeder=feeder, tables=tuple(found))
            for (scenario, year, feeder), found in tables.items()
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
