"""Files of readings for a few customers, and the profiles that read them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from hostcap.config import structure
from hostcap.network import Network
from hostcap.profiles import PowerProfiles, Window
from hostcap_stock.profiles.config import TableConfig
from hostcap_stock.profiles.table import TableProfiles

NAMES = ("c1", "c2", "c3", "c4", "c5", "mill")
NOON = datetime(2025, 1, 6, 12, tzinfo=UTC)
HALF_HOUR = timedelta(minutes=30)


def at(*places: int) -> list[datetime]:
    """Ends of half hours after noon: 1 is 12:30."""
    return [NOON + place * HALF_HOUR for place in places]


def window(first: int, last: int) -> Window:
    """The half hours that end at ``first`` to ``last``."""
    return Window(start=NOON + (first - 1) * HALF_HOUR, end=NOON + last * HALF_HOUR)


def long_rows(places: Sequence[int] = (1, 2, 3, 4)) -> list[dict[str, Any]]:
    """Customer k of the street imports k + place/10 kW at each place; c4 and c5 export place kW."""
    return [
        {
            "time": when,
            "customer": name,
            "in": number + place / 10 if name != "c5" else 0.0,
            "out": float(place) if name in ("c4", "c5") else 0.0,
        }
        for place, when in zip(places, at(*places), strict=True)
        for number, name in enumerate(NAMES, start=1)
    ]


def write(folder: Path, rows: Sequence[dict[str, Any]], name: str = "readings.parquet") -> Path:
    """Rows as a Parquet or CSV file."""
    path = folder / name
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(list(rows)), path)
    else:
        keys = list(rows[0])
        lines = [",".join(keys), *(",".join(_cell(row[key]) for key in keys) for row in rows)]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def _cell(value: Any) -> str:
    return "" if value is None else value.isoformat() if isinstance(value, datetime) else str(value)


def profiles(folder: Path, *, file: str = "readings.parquet", **settings_: Any) -> TableProfiles:
    """The profiles of a study file in ``folder``."""
    readings = {
        "files": [file],
        "interval_minutes": 30,
        "unit": "kW",
        "import_column": "in",
        "export_column": "out",
    } | settings_
    given_ = {key: value for key, value in readings.items() if value is not None}
    return TableProfiles(structure({"readings": given_}, TableConfig, path="profiles", folder=folder))


def of(found: PowerProfiles, network: Network, name: str, quantity: str = "load_kw") -> list[float]:
    """What one injector does."""
    values: list[float] = getattr(found, quantity)[:, list(network.injectors.name).index(name)].tolist()
    return values
