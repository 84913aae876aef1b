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
from hostcap_stock.profiles.files import TimedFile, UsArray
from hostcap_stock.profiles.intake import POWERS, Intake, kw_of, times_of

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
    whole = _Whole(config=config, instant=instant, ids=ids)
    take(whole, files, window)
    return whole.readings()


def take(intake: Intake, files: Sequence[TimedFile], window: Window) -> None:
    """Give an intake what the files say in a window."""
    config, span = intake.config, (as_us(window.start), as_us(window.end))
    for file in files:
        if config.layout == "long":
            for batch in file.batches([config.customer_column, *config.columns().values()], *span):
                intake.long(batch)
        else:
            columns = wide_columns(config, file.names)
            places = {name: (q, intake.place(customer), customer) for name, (q, customer) in columns.items()}
            for batch in file.batches(list(places), *span):
                intake.wide(batch, places)


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


@define(kw_only=True, eq=False)
class _Whole(Intake):
    """Every reading of the window, in arrays."""

    values: dict[str, FloatArray] = field(factory=dict)
    filled: dict[str, BoolArray] = field(factory=dict)
    rows: dict[str, int] = field(factory=dict)
    row_kw: float = 0.0

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        shape = (self.instant.size, len(self.ids))
        self.values = {quantity: np.full(shape, np.nan) for quantity in self.config.columns()}

    def take_rows(self, row: UsArray, place: UsArray, values: Mapping[str, FloatArray]) -> None:
        """Later rows write over earlier ones, or stay away where the first counts."""
        self.row_kw += float(np.nansum(kw_of(values)))
        filled = self._filled(_ROWS, row.size).reshape(-1)
        cell = row * len(self.ids) + place
        if self._first:
            fresh = np.flatnonzero(~filled[cell])[::-1]  # of equal cells the last one written stays
            cell, values = cell[fresh], {q: v[fresh] for q, v in values.items()}
        for quantity, numbers in values.items():
            self.values[quantity].reshape(-1)[cell] = numbers
        filled[cell] = True

    def take_columns(self, quantity: str, row: UsArray, place: UsArray, values: Sequence[FloatArray]) -> None:
        """The same by column."""
        numbers = np.stack(values, axis=1)
        self.row_kw += float(np.nansum(np.abs(numbers))) if quantity in POWERS else 0.0
        filled = self._filled(quantity, numbers.size)
        counted = self._counted_rows(row)
        target, cells = self.values[quantity], (row[counted][:, None], place[None, :])
        numbers = numbers[counted]
        target[cells] = np.where(filled[cells], target[cells], numbers) if self._first else numbers
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
        self.refuse_twice(twice)
        unknown = self.mean_of_unknown()
        kept = float(np.nansum(kw_of(self.values)))
        return Readings(
            instant=self.instant,
            values=self.values,
            dropped=(twice, (self.row_kw - kept) / max(self.instant.size, 1) if twice else 0.0),
            unknown=unknown,
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
