"""Shares and supply of one interval, from the results folder of a trace."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from hostcap.errors import FlowsError
from hostcap.findings import counted
from hostcap_stock.trace_report.matrices import UseMatrix, from_long

_TABLES = {"branches": ("branch_shares", "branch"), "stations": ("station_shares", "station")}


def table_files(folder: Path) -> list[Path]:
    """Every Parquet file of a results folder."""
    return sorted(folder.glob("*/*/*/*.parquet"))


def read_shares(
    folder: Path, assets: Literal["branches", "stations"], interval: str
) -> dict[Literal["down", "up"], UseMatrix]:
    """Use of assets in one interval, by direction.

    Raises:
        FlowsError: The folder holds no such table or interval.
    """
    name, column = _TABLES[assets]
    rows = _rows(folder, name, interval, ("direction", column, "node", "mw"))
    direction = np.asarray(rows["direction"])
    found: dict[Literal["down", "up"], UseMatrix] = {}
    for way in ("down", "up"):
        chosen = np.flatnonzero(direction == way)
        asset, node = ([rows[key][i] for i in chosen] for key in (column, "node"))
        found[way] = from_long(asset, node, np.asarray(rows["mw"])[chosen])
    return found


def read_supply(folder: Path, interval: str) -> UseMatrix:
    """MW from each supplier (as asset) to each taker (as user), traced upstream, gross.

    Raises:
        FlowsError: The folder holds no such table or interval.
    """
    rows = _rows(folder, "generator_to_load", interval, ("direction", "generator", "load", "mw"))
    chosen = [i for i, way in enumerate(rows["direction"]) if way == "up"]
    supplier, taker = ([rows[key][i] for i in chosen] for key in ("generator", "load"))
    return from_long(supplier, taker, np.asarray(rows["mw"])[chosen])


def _rows(folder: Path, table: str, interval: str, columns: Sequence[str]) -> dict[str, list[Any]]:
    """Columns of the rows of one interval; only their row groups are read."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    files = sorted(folder.glob(f"{table}/*/*/*.parquet"))
    if not files:
        raise FlowsError(f"{folder}: no table {table} in Parquet; expected the results folder of a trace")
    parts = []
    there: dict[str, None] = {}
    for path in files:
        try:
            part = pq.read_table(path, columns=[*columns, "interval"], filters=[("interval", "==", interval)])
        except (OSError, ValueError, KeyError, pa.ArrowException) as error:
            raise FlowsError(f"{path}: cannot be read: {error}") from error
        if part.num_rows:
            parts.append(part)
        else:
            there[path.stem] = None
    if not parts:
        raise FlowsError(
            f"{folder}: table {table} has no interval {interval!r}; expected one that the trace kept, such as total, "
            f"among {counted(len(files), 'file')}"
        )
    whole = pa.concat_tables(parts)
    return {name: whole.column(name).to_pylist() for name in columns}
