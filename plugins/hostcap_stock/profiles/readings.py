"""Readings of a window as arrays: long and wide tables, what is twice, unknown or negative, and nothing filled yet."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any

import numpy as np
from attrs import define, field, frozen

from hostcap._arrays import BoolArray, FloatArray
from hostcap.errors import ProfileError
from hostcap.findings import some
from hostcap.profiles import InstantArray, Window, as_datetime, as_us
from hostcap_stock.profiles.config import CUSTOMER, ReadingsConfig
from hostcap_stock.profiles.files import Batch, TimedFile, Times, UsArray, per_interval

_UNKNOWN = -1
_POWERS = ("import", "export", "net")
_ROWS = "rows"
"""Key of what a long table has: all quantities in one row."""


@frozen(kw_only=True, eq=False)
class Readings:
    """What the files say of some ids in a window.

    Attributes:
        instant: Every end of an interval in the window, shape (instant,).
        values: By quantity, kW or kvar, shape (instant, id); nan where there is no reading.
        dropped: How many readings were there twice, and the mean kW over the window of those that do not count.
        unknown: Names that were not asked for, with their mean kW over the window; none where they are a pool.
        without: Ids that a wide table has no column of, by quantity.
    """

    instant: InstantArray
    values: Mapping[str, FloatArray]
    dropped: tuple[int, float]
    unknown: Mapping[str, float]
    without: Mapping[str, tuple[str, ...]]


def times_of(config: Any) -> Times:
    """How a table of readings or series says its times."""
    return Times(
        column=config.time_column,
        interval_minutes=config.interval_minutes,
        stamp=config.stamp,
        utc_offset=config.utc_offset,
    )


def opened(config: ReadingsConfig, paths: Iterable[Any]) -> list[TimedFile]:
    """The files of a table of readings.

    Raises:
        ProfileError: One is missing, or has no such columns.
    """
    texts = [config.customer_column] if config.layout == "long" else []
    files = [TimedFile(path, times_of(config), texts=texts) for path in paths]
    if config.layout == "long":
        for file in files:
            file.need([config.customer_column, *config.columns().values()])
        return files
    found = {quantity for file in files for quantity, _ in wide_columns(config, file.names).values()}
    for quantity, pattern in config.columns().items():
        if quantity not in found:
            raise ProfileError(
                f"{files[0].path}: no column fits {quantity}_column = {pattern!r}; "
                f"it has {some(list(files[0].names), 8)}"
            )
    return files


def read(config: ReadingsConfig, files: Sequence[TimedFile], ids: Sequence[str], window: Window) -> Readings:
    """What the files say of ``ids`` in a window; ids are found whatever their case.

    Raises:
        ProfileError: Something is twice, negative, or not a number, and no rule says what to do.
    """
    instant = instants_of(window, config.interval_minutes, "profiles.readings")
    sink = _Sink.of(config, instant, ids)
    for file in files:
        if config.layout == "long":
            for batch in file.batches([config.customer_column, *config.columns().values()], *_us(window)):
                sink.long(batch)
        else:
            places = _wide_places(config, file, sink)
            for batch in file.batches(list(places), *_us(window)):
                sink.wide(batch, places)
    return sink.readings()


def instants_of(window: Window, interval_minutes: float, where: str) -> InstantArray:
    """Ends of the intervals in a window.

    Raises:
        ProfileError: None ends there.
    """
    instant = window.instants(interval_minutes)
    if not instant.size:
        step = timedelta(minutes=interval_minutes)
        before = as_datetime(Window(start=window.end - step, end=window.end).instants(interval_minutes)[0])
        raise ProfileError(
            f"{where}: no interval of {interval_minutes:g} minutes ends after {window.start.isoformat()} and not after "
            f"{window.end.isoformat()}; ends near it are {before.isoformat()} and {(before + step).isoformat()}"
        )
    return instant


def named(config: ReadingsConfig, files: Sequence[TimedFile]) -> set[str]:
    """Every customer with a reading anywhere in the files, in folded case."""
    found: set[str] = set()
    for file in files:
        if config.layout == "long":
            for names in file.texts(config.customer_column):
                found |= {name.casefold() for name in names if name is not None}
        else:
            found |= {customer.casefold() for _, customer in wide_columns(config, file.names).values()}
    return found


def wide_columns(config: ReadingsConfig, names: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Quantity and customer of each column of a wide table that fits a pattern, the longest pattern first."""
    patterns = sorted(config.columns().items(), key=lambda item: -len(item[1]))
    found: dict[str, tuple[str, str]] = {}
    for name in names:
        if name == config.time_column:
            continue
        for quantity, pattern in patterns:
            before, after = pattern.split(CUSTOMER)
            if name.startswith(before) and name.endswith(after) and len(name) > len(before) + len(after):
                found[name] = (quantity, name[len(before) : len(name) - len(after)])
                break
    return found


def _wide_places(config: ReadingsConfig, file: TimedFile, sink: _Sink) -> dict[str, tuple[str, int, str]]:
    """Quantity, place and customer of the columns of a file."""
    columns = wide_columns(config, file.names)
    return {name: (quantity, sink.place(customer), customer) for name, (quantity, customer) in columns.items()}


def _us(window: Window) -> tuple[int, int]:
    return as_us(window.start), as_us(window.end)


@define(kw_only=True)
class _Sink:
    """Collects batches."""

    config: ReadingsConfig
    instant: InstantArray
    ids: Sequence[str]
    values: dict[str, FloatArray]
    known: dict[str, int]
    filled: dict[str, BoolArray] = field(factory=dict)
    rows: dict[str, int] = field(factory=dict)
    row_kw: float = 0.0
    unknown: dict[str, float] = field(factory=dict)
    seen: Any = None
    names: Sequence[str] = ()
    places: UsArray = field(factory=lambda: np.empty(0, dtype=np.int64))

    @classmethod
    def of(cls, config: ReadingsConfig, instant: InstantArray, ids: Sequence[str]) -> _Sink:
        """An empty one."""
        known: dict[str, int] = {}
        for place, name in enumerate(ids):
            if known.setdefault(name.casefold(), place) != place:
                raise ProfileError(
                    f"profiles: customers {name!r} and {ids[known[name.casefold()]]!r} differ in case only"
                )
        shape = (instant.size, len(ids))
        values = {quantity: np.full(shape, np.nan) for quantity in config.columns()}
        return cls(config=config, instant=instant, ids=ids, values=values, known=known)

    def place(self, customer: str) -> int:
        """Place of a customer among the ids."""
        return self.known.get(customer.casefold(), _UNKNOWN)

    def long(self, batch: Batch) -> None:
        """Take rows of customer and time."""
        import pyarrow as pa

        column = batch.columns[self.config.customer_column]
        if column.null_count:
            raise ProfileError(
                f"{batch.file}: {column.null_count} rows without a customer in column {self.config.customer_column!r}"
            )
        if not pa.types.is_dictionary(column.type):
            column = column.cast(pa.string()).dictionary_encode()
        code = np.asarray(column.indices)
        if self.seen is None or not self.seen.equals(column.dictionary):  # as a rule every batch has the same
            self.seen = column.dictionary
            self.names = [str(name) for name in column.dictionary.to_pylist()]
            self.places = np.asarray([self.place(name) for name in self.names], dtype=np.int64)
        names, place = self.names, self.places[code]
        values = {q: self._numbers(batch, name) for q, name in self.config.columns().items()}
        strange = place < 0
        if strange.any():
            self._note_unknown(names, code[strange], _kw(values)[strange])
            kept = np.flatnonzero(~strange)
            place, values = place[kept], {q: v[kept] for q, v in values.items()}
            end = batch.end_us[kept]
        else:
            end = batch.end_us
        row = self._row(end)
        for quantity in ("import", "export"):
            if quantity in values:
                self._refuse_negative(batch, quantity, values[quantity], row, place)
        self.row_kw += float(np.nansum(_kw(values)))
        filled = self._filled(_ROWS, row.size).reshape(-1)
        cell = row * len(self.ids) + place
        if self._first:
            fresh = np.flatnonzero(~filled[cell])[::-1]  # of equal cells the last one written stays
            cell, values = cell[fresh], {q: v[fresh] for q, v in values.items()}
        for quantity, numbers in values.items():
            self.values[quantity].reshape(-1)[cell] = numbers
        filled[cell] = True

    def wide(self, batch: Batch, places: Mapping[str, tuple[str, int, str]]) -> None:
        """Take rows of times with a column for each customer."""
        row = self._row(batch.end_us)
        for quantity in self.config.columns():
            is_power = quantity in _POWERS
            own = [(name, *places[name][1:]) for name in batch.columns if places[name][0] == quantity]
            for name, unknown, who in own:
                if unknown < 0:
                    kw = float(np.nansum(np.abs(self._numbers(batch, name)))) if is_power else 0.0
                    self.unknown[who] = self.unknown.get(who, 0.0) + kw
            known = [(name, there) for name, there, _ in own if there >= 0]
            if not known:
                continue
            values = np.stack([self._numbers(batch, name) for name, _ in known], axis=1)
            place = np.asarray([there for _, there in known], dtype=np.int64)
            if quantity in ("import", "export"):
                at, whose = np.broadcast_arrays(row[:, None], place[None, :])
                self._refuse_negative(batch, quantity, values.ravel(), at.ravel(), whose.ravel())
            self.row_kw += float(np.nansum(np.abs(values))) if is_power else 0.0
            filled = self._filled(quantity, values.size)
            counted = self._counted_rows(row)
            target, cells = self.values[quantity], (row[counted][:, None], place[None, :])
            values = values[counted]
            target[cells] = np.where(filled[cells], target[cells], values) if self._first else values
            filled[cells] = True

    @property
    def _first(self) -> bool:
        return self.config.duplicates == "first"

    def _counted_rows(self, row: UsArray) -> UsArray:
        """Of rows of one time, which one counts; numpy does not say which of several it writes last."""
        if self._first:
            return np.unique(row, return_index=True)[1]
        return row.size - 1 - np.unique(row[::-1], return_index=True)[1]

    def readings(self) -> Readings:
        """What was collected, checked."""
        twice = max((rows - int(self.filled[key].sum()) for key, rows in self.rows.items()), default=0)
        if twice and self.config.duplicates == "refuse":
            raise ProfileError(
                f"profiles.readings: {twice} readings are there twice in {self._window()}: same customer, same time. "
                'A clock put back does that: write times in UTC. Or set duplicates = "first" or "last"'
            )
        unknown = {} if self.config.missing_customers == "from-pool" else self.unknown
        if unknown and self.config.unknown_customers == "refuse":
            raise ProfileError(
                f"profiles.readings: readings of {len(unknown)} customers that the feeder does not have: "
                f"{some(sorted(unknown))} (it has {some(list(self.ids))}); mend the names, or set "
                'unknown_customers = "leave-out"'
            )
        count = max(self.instant.size, 1)
        kept = float(np.nansum(_kw(self.values)))
        return Readings(
            instant=self.instant,
            values=self.values,
            dropped=(twice, (self.row_kw - kept) / count if twice else 0.0),
            unknown={name: kw / count for name, kw in unknown.items()},
            without=self._without(),
        )

    def _without(self) -> dict[str, tuple[str, ...]]:
        """Ids with a column of one quantity and none of another: they do none of it where they have a reading."""
        if self.config.layout == "long" or not self.filled:
            return {}
        read = np.logical_or.reduce(list(self.filled.values()))
        found: dict[str, tuple[str, ...]] = {}
        for quantity, values in self.values.items():
            own = self.filled.get(quantity)
            lacking = read.any(axis=0) & (~own.any(axis=0) if own is not None else True)
            if lacking.any():
                values[:, lacking] = np.where(read[:, lacking], 0.0, values[:, lacking])
                found[quantity] = tuple(self.ids[int(place)] for place in np.flatnonzero(lacking))
        return found

    def _filled(self, key: str, rows: int) -> BoolArray:
        """Where there is a row of the key already; counts the rows that come."""
        self.rows[key] = self.rows.get(key, 0) + rows
        if key not in self.filled:
            self.filled[key] = np.zeros((self.instant.size, len(self.ids)), dtype=bool)
        return self.filled[key]

    def _row(self, end_us: UsArray) -> UsArray:
        first = int(self.instant[0].astype(np.int64))
        step = times_of(self.config).step_us
        return (end_us - first) // step

    def _numbers(self, batch: Batch, name: str) -> FloatArray:
        import pyarrow as pa

        column = batch.columns[name]
        try:
            numbers = np.asarray(column.cast(pa.float64()).to_numpy(zero_copy_only=False), dtype=np.float64)
        except (ValueError, pa.ArrowNotImplementedError) as error:
            raise ProfileError(f"{batch.file}: column {name!r} holds {column.type}; expected numbers") from error
        if np.isinf(numbers).any():
            raise ProfileError(f"{batch.file}: column {name!r} holds infinite numbers")
        if self.config.unit == "kWh":
            numbers = numbers * per_interval(times_of(self.config).step_us)
        return numbers

    def _refuse_negative(self, batch: Batch, quantity: str, values: FloatArray, row: UsArray, place: UsArray) -> None:
        bad = np.flatnonzero(values < 0)
        if bad.size:
            first = int(bad[0])
            when = as_datetime(self.instant[int(row[first])]).isoformat()
            raise ProfileError(
                f"{batch.file}: {bad.size} readings of {quantity} are negative, such as {values[first]:g} kW of "
                f"{self.ids[int(place[first])]!r} at {when}; expected >= 0: "
                "mend them, or name the column in net_column if it holds import less export"
            )

    def _note_unknown(self, names: Sequence[str], code: Any, kw: FloatArray) -> None:
        sums = np.bincount(code, weights=np.nan_to_num(kw), minlength=len(names))
        for place in map(int, np.unique(code)):
            self.unknown[names[place]] = self.unknown.get(names[place], 0.0) + float(sums[place])

    def _window(self) -> str:
        return f"{as_datetime(self.instant[0]).isoformat()} to {as_datetime(self.instant[-1]).isoformat()}"


def _kw(values: Mapping[str, FloatArray]) -> FloatArray:
    """The kW that readings are about, import and export counted alike."""
    powers = [np.abs(values[q]) for q in _POWERS if q in values]
    total: FloatArray = powers[0] if len(powers) == 1 else np.nansum(powers, axis=0)
    return total
