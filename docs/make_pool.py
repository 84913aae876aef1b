"""Write the pool of readings of a study: ``python docs/make_pool.py smartgridsmartcities.json pool.parquet``.

The JSON holds a day of 48 half-hours for each of 408 anonymous customers of the trial Smart Grid, Smart City (folder
``data`` of csiro-energy-systems/RepresentativeLVNetworks). Their days begin at 32 times of day, on many dates; here
each value goes to its own time of day on one date, so that all of them are a day of one street. A time is taken for the
end of its interval, on a clock of UTC+10 without summer time. Meters without each of the 48 times are left out.
"""

from __future__ import annotations

import argparse
import json
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

EAST = timezone(timedelta(hours=10))
PER_DAY = 48
MIDNIGHT = datetime(2025, 7, 16, tzinfo=EAST)


def rows_of(days: dict[str, dict[str, list[Any]]]) -> list[tuple[datetime, str, float]]:
    """End of interval in UTC, meter and kW, in the order of meters and of the day; the day ends with 24:00."""
    rows = []
    for meter, day in sorted(days.items()):
        if len({str(stamp)[11:] for stamp in day["time"]}) != PER_DAY:
            continue
        for stamp, kw in zip(day["time"], day["p"], strict=True):
            at = datetime.fromisoformat(str(stamp))
            into = timedelta(hours=at.hour, minutes=at.minute) or timedelta(days=1)
            rows.append((MIDNIGHT + into, meter, float(kw)))
    return sorted(((when.astimezone(UTC), meter, kw) for when, meter, kw in rows), key=lambda row: (row[1], row[0]))


def make(source: Path, target: Path) -> None:
    """Write the Parquet file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    time, meter, kw = zip(*rows_of(json.loads(source.read_text(encoding="utf-8"))), strict=True)
    table = pa.table({"time": pa.array(time, pa.timestamp("us", "UTC")), "customer": meter, "import_kw": kw})
    pq.write_table(table, target)


def main() -> None:
    """Write the file that the command line names."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("source", type=Path)
    arguments.add_argument("target", type=Path)
    given = arguments.parse_args()
    make(given.source, given.target)


if __name__ == "__main__":
    main()
