"""A year of half-hourly readings of many customers: an instant, a week, and the peak of the year, from one file."""

from __future__ import annotations

import gc
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.dataset
import pyarrow.parquet as pq
from attrs import frozen
from bench_timing import Section, Settings, clock, digits, peak_mb

from hostcap._arrays import FloatArray
from hostcap.network import Network
from hostcap.operating_point import FeederScope
from hostcap.profiles import Window, as_us
from hostcap.testing import SmallNetwork
from hostcap_stock.initial_states.timed import PeakConfig, peak_import
from hostcap_stock.profiles.config import ReadingsConfig, TableConfig
from hostcap_stock.profiles.table import TableProfiles

BEGIN = datetime(2025, 1, 1, tzinfo=UTC)
HALF_HOUR = timedelta(minutes=30)
PEAK = 9_000
"""Half-hour of the year, counted from 1, that is made the peak."""
TIME = pa.timestamp("ms", tz="UTC")
LONG = pa.schema({"time": TIME, "customer": pa.string(), "import_kw": pa.float64(), "export_kw": pa.float64()})
TEXT = pa.schema([pa.field("time", pa.string()), *list(LONG)[1:]])
GROUP_ROWS = 120_000
FILES = {"time": "time.parquet", "customer": "customer.parquet", "wide": "wide.parquet", "csv": "time.csv"}


def kw_of(first: int, last: int, customers: range) -> FloatArray:
    """Import less export in some half-hours, shape (half-hour, customer): a day, a hash of both, and one peak; to 1 W.

    Noise matters: a file whose numbers come again is read faster than meters' are.
    """
    half_hour, customer = np.arange(first, last)[:, None], np.asarray(customers)[None, :]
    mixed = (half_hour.astype(np.uint64) * np.uint64(1_000_003) + customer.astype(np.uint64)) * np.uint64(
        0x9E3779B97F4A7C15
    )
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    noise = ((mixed ^ (mixed >> np.uint64(27))) >> np.uint64(40)) / 2.0**24
    kw = np.round(0.5 * np.sin(half_hour * 2 * np.pi / 48 + customer * 0.37) + noise - 0.5, 3)
    kw[half_hour[:, 0] == PEAK - 1] += 1.0
    return kw


def _ends(first: int, last: int) -> Any:
    """Ends of half-hours."""
    ms = as_us(BEGIN) // 1000 + (np.arange(first, last) + 1) * 1_800_000
    return pa.array(ms).cast(TIME)


def _long(customers: int, half_hours: int, *, by_time: bool) -> Iterator[pa.Table]:
    """Rows, some at a time."""
    names = pa.array([f"c{number}" for number in range(customers)])
    size = max(1, GROUP_ROWS // (customers if by_time else half_hours))
    for first in range(0, half_hours if by_time else customers, size):
        if by_time:
            last = min(first + size, half_hours)
            kw = kw_of(first, last, range(customers)).ravel()
            when, who = np.repeat(np.arange(first, last), customers), np.tile(np.arange(customers), last - first)
        else:
            last = min(first + size, customers)
            kw = kw_of(0, half_hours, range(first, last)).T.ravel()
            when, who = np.tile(np.arange(half_hours), last - first), np.repeat(np.arange(first, last), half_hours)
        time = _ends(0, half_hours).take(pa.array(when))
        columns = [time, names.take(pa.array(who)), pa.array(np.maximum(kw, 0.0)), pa.array(np.maximum(-kw, 0.0))]
        yield pa.table(columns, schema=LONG)


def write(path: Path, layout: str, customers: int, half_hours: int) -> None:
    """The same year in one of the layouts."""
    if layout == "wide":
        kw = kw_of(0, half_hours, range(customers))
        columns: dict[str, Any] = {"time": _ends(0, half_hours)}
        for number in range(customers):
            columns[f"c{number} import"] = np.maximum(kw[:, number], 0.0)
            columns[f"c{number} export"] = np.maximum(-kw[:, number], 0.0)
        pq.write_table(pa.table(columns), path, compression="zstd")
    elif layout == "csv":
        ends = [(BEGIN + (k + 1) * HALF_HOUR).strftime("%Y-%m-%dT%H:%M:%SZ") for k in range(half_hours)]
        rows = iter(_long(customers, half_hours, by_time=True))
        with pyarrow.csv.CSVWriter(path, TEXT, write_options=pyarrow.csv.WriteOptions(quoting_style="none")) as writer:
            first = 0
            for table in rows:
                texts = np.repeat(ends[first : first + table.num_rows // customers], customers)
                first += table.num_rows // customers
                writer.write_table(table.set_column(0, "time", pa.array(texts, pa.string())))
    else:
        with pq.ParquetWriter(path, LONG, compression="zstd") as writer:
            for table in _long(customers, half_hours, by_time=layout == "time"):
                writer.write_table(table)


def feeder(customers: int) -> Network:
    """So many loads on one bus."""
    made = SmallNetwork().bus("source", 11.0).bus("lv", 0.4, group=1).group("t")
    made = made.transformer("t", ("source", (1, 2, 3), 1.0, 1.0), ("lv", (1, 2, 3), 1.0, 1.0))
    for number in range(customers):
        made = made.load(f"c{number}", "lv", (number % 3 + 1, 0), kw=1.0).customer(f"c{number}", f"c{number}")
    return made.build()


@frozen(kw_only=True)
class Asked:
    """What is asked of a file."""

    path: Path
    layout: str
    customers: int
    first: int
    last: int
    peak: bool

    @property
    def window(self) -> Window:
        """From the end of half-hour ``first`` to that of ``last``."""
        return Window(start=BEGIN + self.first * HALF_HOUR, end=BEGIN + self.last * HALF_HOUR)


def by_hostcap(asked: Asked) -> Callable[[], list[Any]]:
    """The profiles ``table``."""
    network = feeder(asked.customers)
    columns = {"import_column": "import_kw", "export_column": "export_kw"}
    if asked.layout == "wide":
        columns = {"layout": "wide", "import_column": "{customer} import", "export_column": "{customer} export"}
    readings = ReadingsConfig(files=(asked.path,), interval_minutes=30, unit="kW", **columns)  # type: ignore[arg-type]
    config = TableConfig(readings=readings)

    def work() -> list[Any]:
        table = TableProfiles(config)
        if asked.peak:
            state = peak_import(PeakConfig(start_time=asked.window.start, end_time=asked.window.end))
            point = state.operating_point(network, FeederScope(feeder="f", year=2025), table)
            return [as_us(point.instant), round(float(point.load_kw.sum() - point.generation_kw.sum()), 6)]
        found = table.customers(network, asked.window)
        return [found.load_kw.sum(), found.generation_kw.sum(), found.load_kw[-1, -1]]

    return work


def by_others(asked: Asked) -> Callable[[], list[Any]]:
    """What a user would write: pandas for a window, filters pushed down; pyarrow for the peak, all columns read."""
    last = f"c{asked.customers - 1}"
    span = (asked.window.start, asked.window.end)

    def text() -> Any:
        kinds = {"time": TIME, "customer": pa.dictionary(pa.int32(), pa.string())}
        return pyarrow.csv.read_csv(asked.path, convert_options=pyarrow.csv.ConvertOptions(column_types=kinds))

    def peak() -> list[Any]:
        if asked.layout == "wide":
            table = pq.read_table(asked.path)
            net = np.zeros(table.num_rows)
            for name in table.column_names[1:]:
                net += table[name].to_numpy() * (1.0 if name.endswith("import") else -1.0)
            time = table["time"]
        else:
            numbers = ["time", "import_kw", "export_kw"]
            table = text() if asked.layout == "csv" else pq.read_table(asked.path, columns=numbers)
            sums = table.group_by("time").aggregate([("import_kw", "sum"), ("export_kw", "sum")])
            net = (sums["import_kw_sum"].to_numpy() - sums["export_kw_sum"].to_numpy()).round(6)
            time = sums["time"]
        place = int(np.argmax(net))
        return [as_us(time[place].as_py()), round(float(net[place]), 6)]

    def window() -> list[Any]:
        import pandas as pd

        if asked.layout == "csv":
            field = pyarrow.dataset.field("time")
            rows = text().filter((field > pa.scalar(span[0], TIME)) & (field <= pa.scalar(span[1], TIME))).to_pandas()
        else:
            rows = pd.read_parquet(asked.path, filters=[("time", ">", span[0]), ("time", "<=", span[1])])
        if asked.layout == "wide":
            wide = rows.set_index("time")
            taken, given = wide.filter(like="import").to_numpy(), wide.filter(like="export").to_numpy()
            return [taken.sum(), given.sum(), wide[f"{last} import"].iloc[-1]]
        values = ["import_kw", "export_kw"]
        table = rows.pivot_table(index="time", columns="customer", values=values, aggfunc="first", observed=True)
        taken, given = table["import_kw"], table["export_kw"]
        return [taken.to_numpy().sum(), given.to_numpy().sum(), taken[last].iloc[-1]]

    return peak if asked.peak else window


def measured(asked: Asked, whose: str, *, alone: bool) -> dict[str, Any]:
    """Seconds, the better of two, and the largest memory of the process: one of its own, or this one."""
    if not alone:
        return _measured(asked, whose)
    command = [sys.executable, str(Path(__file__)), whose, asked.layout, str(asked.path), str(asked.customers)]
    command += [str(asked.first), str(asked.last), str(int(asked.peak))]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _measured(asked: Asked, whose: str) -> dict[str, Any]:
    work = (by_hostcap if whose == "hostcap" else by_others)(asked)
    imports = peak_mb()
    seconds, answer = [], []
    for _ in range(1 if asked.layout == "csv" else 2):
        gc.collect()
        began = clock()
        answer = [float(each) for each in work()]
        seconds.append(clock() - began)
    return {"seconds": min(seconds), "imports": imports, "megabytes": peak_mb(), "answer": answer}


def main() -> None:
    """One measurement, for a process of its own."""
    whose, layout, path, customers, *span, peak = sys.argv[1:]
    first, last = map(int, span)
    asked = Asked(
        path=Path(path), layout=layout, customers=int(customers), first=first, last=last, peak=bool(int(peak))
    )
    sys.stdout.write(json.dumps(_measured(asked, whose)) + "\n")


def run(settings: Settings) -> Section:
    """Write the tables, read them, compare."""
    customers, half_hours = (5_000, 17_520) if settings.full else (40, 48 * 200)
    questions = {"one instant": (4_000, 4_001), "a week": (4_000, 4_336), "peak of the year": (0, half_hours)}
    words = {
        "time": "long, sorted by time",
        "customer": "long, sorted by customer",
        "wide": "wide",
        "csv": "CSV, long, sorted by time",
    }
    rows, sizes, imports = [], [], 0.0
    for layout, name in FILES.items():
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / name
            write(path, layout, customers, half_hours)
            sizes.append(f"{words[layout]} {digits(path.stat().st_size / 1e6)} MB")
            for what, (first, last) in questions.items():
                if layout == "csv" and what == "a week":
                    continue  # as an instant: all is parsed
                peak = last == half_hours
                asked = Asked(path=path, layout=layout, customers=customers, first=first, last=last, peak=peak)
                own, other = (measured(asked, whose, alone=settings.full) for whose in ("hostcap", "others"))
                imports = own["imports"]
                assert np.allclose(own["answer"], other["answer"], rtol=1e-12, atol=1e-6), (own, other)
                assert not peak or own["answer"][0] == as_us(BEGIN + PEAK * HALF_HOUR)
                numbers = (own["seconds"], own["megabytes"], other["seconds"], other["megabytes"])
                rows.append([words[layout], what, *map(digits, numbers), f"{numbers[2] / numbers[0]:.1f}x"])
    head = ("file", "asked for", "hostcap, s", "MB", "baseline, s", "MB", "baseline / hostcap")
    return Section(
        name="readings",
        title="A year of readings",
        text=[
            f"{customers} customers, {half_hours} half-hours, {customers * half_hours / 1e6:.3g} million readings of "
            "import and export in watts, with noise; one Parquet file (zstd; long ones in row groups of about "
            f"{GROUP_ROWS} rows, the wide one in one row group) or a CSV file, read by the profiles `table`: "
            f"{', '.join(sizes)}. The peak of the year is that of `peak-import`: the sums of every half-hour, and the "
            "readings of the largest.",
            "The baseline checks nothing, neither customers nor gaps nor duplicates. For a window it is "
            "`pandas.read_parquet` with the window as filter, and a pivot; for the peak, pyarrow reads the columns of "
            "numbers whole and sums them by time; of CSV, pyarrow reads the whole in both. Answers are equal: sums of "
            "a window to 1e-12, the peak's instant, and its kW to 1e-6. Every number is of a process of its own: "
            f"memory is the largest of it, {imports:.0f} MB of which imports and the network take; of two times the "
            "better (of CSV one), so that compiling is not in it.",
        ],
        tables=[(head, rows)],
        after=[
            "A CSV file is parsed from its beginning whatever is asked for; pyarrow's parser takes most of that time."
        ],
    )


if __name__ == "__main__":
    main()
