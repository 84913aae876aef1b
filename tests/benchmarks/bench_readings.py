"""A year of half-hourly readings of many customers: an instant, a week, and the peak of the year, from one file."""

from __future__ import annotations

import gc
import resource
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from bench_timing import Section, Settings, clock, digits

from hostcap.network import Network
from hostcap.operating_point import FeederScope, OperatingPoint
from hostcap.profiles import PowerProfiles, Window
from hostcap.testing import SmallNetwork
from hostcap_stock.initial_states.timed import PeakConfig, peak_import
from hostcap_stock.profiles.config import ReadingsConfig, TableConfig
from hostcap_stock.profiles.table import TableProfiles

BEGIN = datetime(2025, 1, 1, tzinfo=UTC)
HALF_HOUR = timedelta(minutes=30)
PEAK = 9_000
"""Half-hour of the year, counted from 1, that is made the peak."""


def kw_of(first: int, last: int, customers: range) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """Import in some half-hours, shape (half-hour, customer): a day's rise and fall, to 0.01 kW; one peak."""
    half_hour = np.arange(first, last)[:, None]
    phase = np.asarray(customers)[None, :] * 0.37
    kw = np.round(0.6 + 0.5 * np.sin(half_hour * 2 * np.pi / 48 + phase), 2)
    kw[half_hour[:, 0] == PEAK - 1] += 1.0
    return kw


def write(path: Path, customers: int, half_hours: int, *, by_time: bool) -> None:
    """The table, sorted by time and customer, or by customer and time; in row groups of about 120 000 rows."""
    names = pa.array([f"c{number}" for number in range(customers)])
    kind = pa.schema(
        {
            "time": pa.timestamp("ms", tz="UTC"),
            "customer": pa.dictionary(pa.int32(), pa.string()),
            "import_kw": pa.float64(),
        }
    )
    start_ms = int(BEGIN.timestamp() * 1000)
    with pq.ParquetWriter(path, kind, compression="zstd") as writer:
        size = max(1, 120_000 // (customers if by_time else half_hours))
        for first in range(0, half_hours if by_time else customers, size):
            if by_time:
                last = min(first + size, half_hours)
                kw = kw_of(first, last, range(customers)).ravel()
                when, who = np.repeat(np.arange(first, last), customers), np.tile(np.arange(customers), last - first)
            else:
                last = min(first + size, customers)
                kw = np.concatenate(
                    [kw_of(0, half_hours, range(number, number + 1))[:, 0] for number in range(first, last)]
                )
                when, who = np.tile(np.arange(half_hours), last - first), np.repeat(np.arange(first, last), half_hours)
            time_ms = pa.array(start_ms + (when + 1) * 1_800_000, pa.int64()).cast(kind.field("time").type)
            code = pa.DictionaryArray.from_arrays(pa.array(who, pa.int32()), names)
            writer.write_table(pa.table([time_ms, code, pa.array(kw)], schema=kind), row_group_size=150_000)


def feeder(customers: int) -> Network:
    """So many loads on one bus."""
    made = SmallNetwork().bus("source", 11.0).bus("lv", 0.4, group=1).group("t")
    made = made.transformer("t", ("source", (1, 2, 3), 1.0, 1.0), ("lv", (1, 2, 3), 1.0, 1.0))
    for number in range(customers):
        made = made.load(f"c{number}", "lv", (number % 3 + 1, 0), kw=1.0).customer(f"c{number}", f"c{number}")
    return made.build()


def by_pandas(path: Path, names: list[str], window: Window) -> np.ndarray[Any, Any]:
    """The same window by pandas, filters pushed down: what a user would write."""
    rows = pd.read_parquet(path, filters=[("time", ">", window.start), ("time", "<=", window.end)])
    table = rows.pivot_table(index="time", columns="customer", values="import_kw", aggfunc="first", observed=True)
    return table[names].to_numpy()


def _megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _timed(work: Callable[[], Any]) -> tuple[Any, float]:
    gc.collect()
    began = clock()
    found = work()
    return found, clock() - began


def _read(table: TableConfig, network: Network, window: Window) -> PowerProfiles:
    return TableProfiles(table).customers(network, window)


def _peak(table: TableConfig, network: Network, config: PeakConfig) -> OperatingPoint:
    return peak_import(config).operating_point(network, FeederScope(feeder="f", year=2025), TableProfiles(table))


def run(settings: Settings) -> Section:
    """Write the tables, read them, compare."""
    customers, half_hours = (5_000, 17_520) if settings.full else (40, 48 * 200)
    network = feeder(customers)
    names = [f"c{number}" for number in range(customers)]
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for by_time in (True, False):
            path = Path(folder) / "readings.parquet"
            write(path, customers, half_hours, by_time=by_time)
            sorted_by = "time" if by_time else "customer"
            config = ReadingsConfig(files=(path,), interval_minutes=30, unit="kW", import_column="import_kw")
            table = TableConfig(readings=config)
            for what, first, last in (("one instant", 4_000, 4_001), ("a week", 4_000, 4_336)):
                window = Window(start=BEGIN + first * HALF_HOUR, end=BEGIN + last * HALF_HOUR)
                read = partial(_read, table, network, window)
                (own, seconds), (_, again) = _timed(read), _timed(read)
                other, baseline = _timed(partial(by_pandas, path, names, window))
                assert np.array_equal(own.load_kw, other)
                best = min(seconds, again)
                rows.append(
                    [sorted_by, what, digits(best), digits(baseline), f"{baseline / best:.1f}x", digits(_megabytes())]
                )
            config_of_peak = PeakConfig(start_time=BEGIN, end_time=BEGIN + half_hours * HALF_HOUR)
            point, seconds = _timed(partial(_peak, table, network, config_of_peak))
            assert point.instant == BEGIN + PEAK * HALF_HOUR
            rows.append([sorted_by, "peak of the year", digits(seconds), "", "", digits(_megabytes())])
            megabytes = path.stat().st_size / 1e6
    head = ("sorted by", "asked for", "seconds", "pandas, seconds", "pandas / hostcap", "peak memory so far, MB")
    return Section(
        name="readings",
        title="A year of readings",
        text=[
            f"{customers} customers, {half_hours} half-hours, {customers * half_hours / 1e6:.3g} million rows in one "
            f"Parquet file of {megabytes:.0f} MB (zstd, row groups of about 120 000 rows), read by the profiles "
            "`table`. The baseline is `pandas.read_parquet` with the window as filter, and a pivot, and checks "
            "nothing; both give equal arrays, to the bit. The peak of the year is found in pieces that fit the "
            "memory (`peak-import`), and is the instant that was made the peak. Better of two for hostcap.",
        ],
        tables=[(head, rows)],
    )
