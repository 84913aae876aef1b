"""Named series: a column each, or rows of name and value."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from hostcap._arrays import FloatArray
from hostcap.errors import ProfileError
from hostcap.findings import counted
from hostcap.plugins._nearest import suggestion
from hostcap.profiles import Series, Window, as_datetime, as_us
from hostcap_stock.profiles.config import SeriesConfig
from hostcap_stock.profiles.files import TimedFile, UsArray
from hostcap_stock.profiles.intake import numbers_of, times_of
from hostcap_stock.profiles.readings import instants_of


def read_series(config: SeriesConfig, files: Sequence[TimedFile], name: str, window: Window) -> Series:
    """One series over a window.

    Raises:
        ProfileError: There is none of that name, or a value of the window is missing, twice, or no number.
    """
    instant = instants_of(window, config.interval_minutes, "profiles.series")
    value = np.full(instant.size, np.nan)
    filled = np.zeros(instant.size, dtype=bool)
    step, first = times_of(config).step_us, int(instant[0].astype(np.int64))
    rows, found = 0, False
    for file in files:
        if config.name_column is None:
            if name not in file.names or name == config.time_column:
                continue
            found = True
        for end_us, numbers in _rows(config, file, name, window):
            row = (end_us - first) // step
            value[row] = numbers
            filled[row] = True
            rows += row.size
    where = f"profiles.series: {name!r}"
    if rows == 0 and not found and name not in (known := _names(config, files)):
        raise ProfileError(f"profiles.series: no series named {name!r}{suggestion(name, sorted(known), 'there are')}")
    if rows > int(filled.sum()):
        raise ProfileError(
            f"{where} has {counted(rows - int(filled.sum()), 'value')} twice from "
            f"{as_datetime(instant[0]).isoformat()} to {as_datetime(instant[-1]).isoformat()}; a "
            "clock put back does that: write times in UTC"
        )
    missing = np.flatnonzero(~np.isfinite(value))
    if missing.size:
        raise ProfileError(
            f"{where} has no value at {missing.size} of {counted(instant.size, 'instant')}, such as "
            f"{as_datetime(instant[int(missing[0])]).isoformat()}; the table holds {extent_of(files)}"
        )
    return Series(name=name, instant=instant, value=value)


def extent_of(files: Sequence[TimedFile]) -> str:
    """What some files cover, for messages."""
    extents = [extent for file in files if (extent := file.extent()) is not None]
    if not extents:
        return "nothing"
    return f"{min(low for low, _ in extents).isoformat()} to {max(high for _, high in extents).isoformat()}"


def _rows(config: SeriesConfig, file: TimedFile, name: str, window: Window) -> Iterator[tuple[UsArray, FloatArray]]:
    span = as_us(window.start), as_us(window.end)
    if config.name_column is None:
        for batch in file.batches([name], *span):
            yield batch.end_us, numbers_of(batch, name)
        return
    import pyarrow as pa
    import pyarrow.compute as pc

    for batch in file.batches([config.name_column, config.value_column], *span):
        own = pc.call_function("equal", [batch.columns[config.name_column].cast(pa.string()), pa.scalar(name)])
        kept = np.flatnonzero(np.asarray(pc.fill_null(own, False)))
        yield batch.end_us[kept], numbers_of(batch, config.value_column)[kept]


def _names(config: SeriesConfig, files: Sequence[TimedFile]) -> set[str]:
    if config.name_column is None:
        return {name for file in files for name in file.names if name != config.time_column}
    return {name for file in files for some in file.texts(config.name_column) for name in some if name is not None}
