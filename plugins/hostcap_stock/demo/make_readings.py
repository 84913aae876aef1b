"""Readings of the demo's customers: four seasonal weeks of half-hours, and the output of a rooftop PV system.

All is made up, from sums of bells over the day and an integer hash for what differs between customers, days and
half-hours. Nothing is random, and no function of the machine's mathematics library decides a digit: the same script
gives the same numbers everywhere. kW and kvar are rounded to 0.01.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

LOCAL = timezone(timedelta(hours=10))
"""The demo's clock, which never changes; times in the files are UTC."""
MONDAYS = {
    "summer": datetime(2025, 1, 13, tzinfo=LOCAL),
    "autumn": datetime(2025, 4, 14, tzinfo=LOCAL),
    "winter": datetime(2025, 7, 14, tzinfo=LOCAL),
    "spring": datetime(2025, 10, 13, tzinfo=LOCAL),
}
HALF_HOURS = 7 * 48
HEATING = {"summer": 0.6, "autumn": 0.8, "winter": 1.3, "spring": 0.7}
"""Evening kW of a home beside its cooking, of mean size."""
COOLING = {"summer": 0.9, "autumn": 0.1, "winter": 0.0, "spring": 0.1}
SUN = {"summer": (0.95, 14.0), "autumn": (0.75, 11.0), "winter": (0.6, 9.5), "spring": (0.9, 12.5)}
"""Output at noon of a cloudless day per installed kW, and hours of light."""
SIZE = {1: 1.0, 2: 1.5, 3: 2.2}
"""Of homes, by the number of their nodes."""
QUARRY = "hv_quarry"
QUARRY_KVAR_PER_KW = 0.2
"""As in the feeder's file: 180 kvar beside 900 kW."""
FloatArray = NDArray[np.float64]


def hashed(*keys: int) -> float:
    """A number from 0 to 1 that depends on some integers alone (the mixing steps of SplitMix64)."""
    mask, state = (1 << 64) - 1, 0
    for key in keys:
        state = (state + 0x9E3779B97F4A7C15 * (key + 1)) & mask
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & mask
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & mask
        state ^= state >> 31
    return (state >> 11) / float(1 << 53)


def bell(hour: float, middle: float, width: float) -> float:
    """1 in the middle, 0 from ``width`` hours on, smooth between."""
    away = min(abs(hour - middle), 24.0 - abs(hour - middle)) / width
    left = max(1.0 - away * away, 0.0)
    return left * left


def instants(season: str) -> list[datetime]:
    """Ends of the half-hours of a week, UTC."""
    return [(MONDAYS[season] + timedelta(minutes=30 * k)).astimezone(UTC) for k in range(1, HALF_HOURS + 1)]


def pv_per_kw(season: str) -> FloatArray:
    """Output of one installed kW, mean of each half-hour: a bell of light, less clouds that differ by day."""
    noon, light = SUN[season]
    values = []
    for k in range(HALF_HOURS):
        day, hour = k // 48, (k % 48 + 0.5) / 2
        clear = 0.35 + 0.65 * hashed(list(SUN).index(season), day)
        values.append(noon * bell(hour, 12.5, light / 2) * clear)
    return np.asarray(values, dtype=np.float64).round(3)


def load_kw(season: str, number: int, size: float) -> FloatArray:
    """What a home uses, mean kW of each half-hour."""
    number_of_season = list(MONDAYS).index(season)
    habit = 0.6 + 0.8 * hashed(number)
    shift = 2.0 * hashed(number, 1) - 1.0
    values = []
    for k in range(HALF_HOURS):
        day, hour = k // 48, (k % 48 + 0.5) / 2
        weekend = day >= 5
        kw = 0.25
        kw += 0.7 * bell(hour, (9.0 if weekend else 7.0) + shift, 2.0)
        kw += (0.9 + HEATING[season]) * bell(hour, 18.5 + shift, 4.0)
        kw += COOLING[season] * bell(hour, 15.5, 4.0)
        kw += 0.5 * bell(hour, 13.0, 4.0) if weekend else 0.0
        kw += 1.8 if hashed(number, number_of_season, k) > 0.97 else 0.0  # a kettle, a dryer, an oven
        values.append(kw * size * habit * (0.8 + 0.4 * hashed(number, number_of_season, day, 3)))
    return np.asarray(values)


def quarry_kw(season: str) -> FloatArray:
    """The quarry works on weekdays from seven to four."""
    return np.asarray([900.0 if k // 48 < 5 and 14 <= k % 48 < 32 else 5.0 for k in range(HALF_HOURS)])


def kvar_per_kw(number: int) -> float:
    """What a home's appliances draw beside each kW: 0.15 to 0.35, power factors of 0.99 to 0.94."""
    return 0.15 + 0.2 * hashed(number, 5)


def readings(homes: Sequence[tuple[str, int, float]]) -> Iterator[tuple[str, str, FloatArray, FloatArray, FloatArray]]:
    """Customer, season, import and export in kW, and kvar drawn, of each half-hour.

    PV supplies no kvar, so that a meter sees those of the appliances, whichever way the kW go.

    Args:
        homes: Name, number of nodes, and installed PV in kW of each.
    """
    for number, (name, nodes, pv_kw) in enumerate(homes):
        for season in MONDAYS:
            used = load_kw(season, number, SIZE[nodes])
            net = used - pv_kw * pv_per_kw(season)
            kvar = used * kvar_per_kw(number)
            yield name, season, np.maximum(net, 0.0).round(2), np.maximum(-net, 0.0).round(2), kvar.round(2)
    for season in MONDAYS:
        kw = quarry_kw(season)
        yield QUARRY, season, kw, np.zeros(HALF_HOURS), (kw * QUARRY_KVAR_PER_KW).round(2)


def tables(homes: Sequence[tuple[str, int, float]]) -> dict[str, Any]:
    """The two tables by file name, as pyarrow has them."""
    import pyarrow as pa

    ends = {season: instants(season) for season in MONDAYS}
    when: list[datetime] = []
    who: list[str] = []
    taken: list[FloatArray] = []
    given: list[FloatArray] = []
    reactive: list[FloatArray] = []
    for name, season, imported, exported, kvar in readings(homes):
        when += ends[season]
        who += [name] * HALF_HOURS
        taken.append(imported)
        given.append(exported)
        reactive.append(kvar)
    time = pa.timestamp("ms", tz="UTC")
    return {
        "readings.parquet": pa.table(
            {
                "time": pa.array(when, time),
                "customer": pa.array(who),
                "import_kw": pa.array(np.concatenate(taken)),
                "export_kw": pa.array(np.concatenate(given)),
                "import_kvar": pa.array(np.concatenate(reactive)),
            }
        ),
        "series.parquet": pa.table(
            {
                "time": pa.array([end for season in MONDAYS for end in ends[season]], time),
                "rooftop_pv": pa.array(np.concatenate([pv_per_kw(season) for season in MONDAYS])),
            }
        ),
    }


def write(homes: Sequence[tuple[str, int, float]], folder: Path) -> tuple[Path, ...]:
    """Write both tables as Parquet."""
    import pyarrow.parquet

    made = tables(homes)
    for name, table in made.items():
        # Times rise evenly: their differences are small, and their dictionary would not be.
        others: Any = [column for column in table.column_names if column != "time"]
        pyarrow.parquet.write_table(
            table,
            folder / name,
            compression="zstd",
            compression_level=19,
            use_dictionary=others,
            column_encoding={"time": "DELTA_BINARY_PACKED"},
        )
    return tuple(folder / name for name in made)
