"""Tables with times: Parquet and CSV files, read batch by batch and never whole.

Times become the ends of intervals, in microseconds of UTC. What has no offset is refused, unless the study says which
one holds all year: where clocks change, an hour of local time is there twice in autumn and not at all in spring.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from hostcap.errors import ProfileError
from hostcap.findings import counted
from hostcap.plugins._nearest import did_you_mean
from hostcap.profiles import as_datetime, interval_us
from hostcap_stock.profiles.scans import UNREADABLE, one_line, rows_of

_MINUTE_US, _DAY_US = 60_000_000, 86_400_000_000
_SPACING_ROWS = 100_000
UsArray = NDArray[np.int64]


@frozen(kw_only=True)
class Times:
    """How a table says its times.

    Attributes:
        column: Name of the column.
        interval_minutes: Length of an interval.
        stamp: Whether a time is the end or the start of its interval.
        utc_offset: Of times without one, such as ``+10:00``; None refuses them.
    """

    column: str
    interval_minutes: float
    stamp: Literal["end", "start"]
    utc_offset: str | None

    @property
    def step_us(self) -> int:
        """Length of an interval, us."""
        return interval_us(self.interval_minutes)

    @property
    def offset_us(self) -> int:
        """What is taken from a time without an offset for UTC, us."""
        if self.utc_offset is None:
            return 0
        hours, minutes = self.utc_offset[1:].split(":")
        return (-1 if self.utc_offset[0] == "-" else 1) * (int(hours) * 60 + int(minutes)) * _MINUTE_US

    @property
    def to_end_us(self) -> int:
        """What is added to a time for the end of its interval, us."""
        return self.step_us if self.stamp == "start" else 0


@frozen(kw_only=True)
class Batch:
    """Some rows of a file that end in the window.

    Attributes:
        file: Which file.
        end_us: End of each row's interval, us of UTC.
        columns: The columns asked for, pyarrow arrays by name.
    """

    file: Path
    end_us: UsArray
    columns: dict[str, Any]


class TimedFile:
    """One file of a table.

    Args:
        path: Parquet or CSV, by its ending.
        times: How it says its times.
        texts: Columns that hold names; read as text whatever they look like.

    Raises:
        ProfileError: It is not there, cannot be read, has no such column of times, or other intervals.
    """

    def __init__(self, path: Path, times: Times, *, texts: Sequence[str] = ()) -> None:
        self.path = path
        self._times = times
        self._rows = rows_of(path, texts, times.column)
        self.names: tuple[str, ...] = tuple(self._rows.schema.names)
        self._kinds = {field.name: field.type for field in self._rows.schema}
        self.need([times.column])
        self._kind = _time_kind(path, self._kinds[times.column], times)
        self._check_spacing()

    def need(self, columns: Sequence[str]) -> None:
        """Refuse the file if it lacks one of some columns."""
        for column in columns:
            if column not in self._kinds:
                hint = did_you_mean(column, self.names) or f"; it has {', '.join(self.names[:12])}"
                raise ProfileError(f"{self.path}: no column {column!r}{hint}")

    def batches(self, columns: Sequence[str], start_us: int, end_us: int) -> Iterator[Batch]:
        """Rows whose interval ends after ``start_us`` and not after ``end_us``, in the order of the file.

        Of many columns a batch has some, and the rows come again with others.
        """
        self.need(columns)
        times, wanted = self._times, set(columns)
        for raw in self._scanned(columns, times.column, self._filter(start_us, end_us)):
            end = self._ends(raw.column(times.column))
            low, high = int(end.min()), int(end.max())
            if low > end_us or high <= start_us:
                continue
            if low <= start_us or high > end_us:
                kept = np.flatnonzero((end > start_us) & (end <= end_us))
                if not kept.size:
                    continue
                raw, end = raw.take(_arrow().array(kept)), end[kept]
            off = np.flatnonzero(end - end // times.step_us * times.step_us)
            if off.size:
                raise ProfileError(self._off_grid(int(end[off[0]])))
            named = zip(raw.schema.names, raw.columns, strict=True)
            found = {name: column for name, column in named if name in wanted}
            yield Batch(file=self.path, end_us=end, columns=found)

    def extent(self) -> tuple[datetime, datetime] | None:
        """First and last end of an interval in the file; None where it has no rows."""
        low = high = None
        for raw in self._scanned([self._times.column]):
            end = self._ends(raw.column(self._times.column))
            low = int(end.min()) if low is None else min(low, int(end.min()))
            high = int(end.max()) if high is None else max(high, int(end.max()))
        return None if low is None or high is None else (_when(low), _when(high))

    def texts(self, column: str) -> Iterator[list[str | None]]:
        """What is in a column of names, some at a time."""
        self.need([column])
        for raw in self._scanned([column]):
            yield raw.column(column).unique().to_pylist()

    # Reading

    def _scanned(self, columns: Sequence[str], always: str | None = None, window: Any = None) -> Iterator[Any]:
        try:
            yield from (batch for batch in self._rows.scan(columns, always, window) if batch.num_rows)
        except UNREADABLE as error:
            raise ProfileError(f"{self.path}: cannot be read: {one_line(error)}") from error

    def _filter(self, start_us: int, end_us: int) -> Any:
        """The window in the file's own times, so that row groups outside it are not read; None for times in text."""
        import pyarrow.compute as pc

        if self._kind == "text":
            return None
        shift = (self._times.offset_us if self._kind == "naive" else 0) - self._times.to_end_us
        column, kind = pc.field(self._times.column), self._kinds[self._times.column]
        arrow = _arrow()
        # Rounded outwards where the file's unit is coarser; rows are looked at again.
        unit_us = {"s": 1_000_000, "ms": 1_000}.get(kind.unit, 1)
        low, high = (start_us + shift) // unit_us * unit_us, -(-(end_us + shift) // unit_us) * unit_us
        first, last = (arrow.scalar(value, arrow.timestamp("us", tz=kind.tz)).cast(kind) for value in (low, high))
        return (column >= first) & (column <= last)

    def _ends(self, column: Any) -> UsArray:
        import pyarrow.compute as pc

        arrow, times = _arrow(), self._times
        if column.null_count:
            raise ProfileError(
                f"{self.path}: {counted(column.null_count, 'row')} without a time in column {times.column!r}"
            )
        if arrow.types.is_dictionary(column.type):  # each text once, however many rows have it
            ends: UsArray = self._ends(column.dictionary)[np.asarray(column.indices)]
            return ends
        naive = self._kind == "naive"
        if self._kind == "text":
            naive = times.utc_offset is not None
            zone = None if naive else "UTC"
            try:
                column = pc.cast(column.cast(arrow.string()), arrow.timestamp("us", tz=zone))
            except ValueError as error:
                raise ProfileError(_wrong_text(self.path, column.to_pylist(), times)) from error
        us = np.asarray(column.cast(arrow.timestamp("us", tz=column.type.tz), safe=False).cast(arrow.int64()))
        shift = times.to_end_us - (times.offset_us if naive else 0)
        return us + shift if shift else us

    # Checks

    def _check_spacing(self) -> None:
        """Refuse intervals of another length than the study says, which would turn kWh into wrong kW."""
        try:
            head = self._rows.head(self._times.column, _SPACING_ROWS)
        except UNREADABLE as error:
            raise ProfileError(f"{self.path}: cannot be read: {one_line(error)}") from error
        if not len(head):
            raise ProfileError(f"{self.path}: has no rows")
        end = np.unique(self._ends(head))
        step = self._times.step_us
        off = np.flatnonzero(end % step)
        if off.size:
            raise ProfileError(self._off_grid(int(end[off[0]])))
        apart = np.gcd.reduce(np.diff(end)) if end.size > 2 else step
        if step < apart <= _DAY_US:
            found = apart / _MINUTE_US
            raise ProfileError(
                f"{self.path}: readings are {found:g} minutes apart, and interval_minutes is "
                f"{self._times.interval_minutes:g}; set interval_minutes = {found:g}"
            )

    def _off_grid(self, end_us: int) -> str:
        times = self._times
        written = _when(end_us - times.to_end_us)
        return (
            f"{self.path}: {written.isoformat()} is not the {times.stamp} of an interval of "
            f"{times.interval_minutes:g} minutes; set interval_minutes to the table's own, or mend the times"
        )


def _arrow() -> Any:
    import pyarrow

    return pyarrow


def _time_kind(path: Path, kind: Any, times: Times) -> Literal["zoned", "naive", "text"]:
    types = _arrow().types
    kind = kind.value_type if types.is_dictionary(kind) else kind
    if types.is_string(kind) or types.is_large_string(kind):
        return "text"
    if not types.is_timestamp(kind):
        raise ProfileError(
            f"{path}: column {times.column!r} holds {kind}; expected timestamps, or text such as 2026-01-31T18:30Z"
        )
    if kind.tz is None and times.utc_offset is None:
        raise ProfileError(f"{path}: column {times.column!r} holds times without an offset; {_WHY_OFFSET}")
    if kind.tz is not None and times.utc_offset is not None:
        raise ProfileError(f"{path}: column {times.column!r} states its zone, {kind.tz}; remove utc_offset")
    return "zoned" if kind.tz is not None else "naive"


_WHY_OFFSET = (
    "where clocks change, an hour of local time is there twice in autumn and never in spring, so such times cannot be "
    'told apart; write them in UTC (Z), or set utc_offset, such as "+10:00", if the clock never changes'
)


def _wrong_text(path: Path, texts: Sequence[str], times: Times) -> str:
    """What is wrong with the first text that is no time as it should be."""
    for text in texts:
        try:
            offset = datetime.fromisoformat(text).utcoffset()
        except ValueError:
            return f"{path}: {text!r} in column {times.column!r} is no time; expected one such as 2026-01-31T18:30Z"
        if offset is None and times.utc_offset is None:
            return f"{path}: {text!r} in column {times.column!r} has no offset; {_WHY_OFFSET}"
        if offset is not None and times.utc_offset is not None:
            return f"{path}: {text!r} in column {times.column!r} states its offset; remove utc_offset"
    return f"{path}: column {times.column!r} holds times that cannot be read, such as {texts[0]!r}"


def _when(us: int) -> datetime:
    return as_datetime(np.datetime64(us, "us"))


def per_interval(step_us: int) -> float:
    """Factor from the energy of an interval to its mean power: 2 for half an hour."""
    return timedelta(hours=1) / timedelta(microseconds=step_us)
