"""Batches of readings made numbers in their places: whose a row is, of which instant, and what no rule can mend."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from attrs import define, field

from hostcap._arrays import FloatArray
from hostcap.errors import ProfileError
from hostcap.findings import counted, some
from hostcap.profiles import InstantArray, as_datetime
from hostcap_stock.profiles.config import ReadingsConfig
from hostcap_stock.profiles.files import Batch, Times, UsArray, per_interval

POWERS = ("import", "export", "net")
"""Quantities in kW."""
_UNKNOWN = -1
_MANY = 64
"""Names from which on they are looked up together."""


def times_of(config: Any) -> Times:
    """How a table of readings or series says its times."""
    return Times(
        column=config.time_column,
        interval_minutes=config.interval_minutes,
        stamp=config.stamp,
        utc_offset=config.utc_offset,
    )


@define(kw_only=True, eq=False)
class Intake(ABC):
    """Takes the batches of some files, in their order.

    Attributes:
        config: What the columns are, and the rules.
        instant: Every end of an interval in the window, shape (instant,).
        ids: Names of readings that are asked for.
        unknown: Sums over the window of |kW| of the others, by name.
    """

    config: ReadingsConfig
    instant: InstantArray
    ids: Sequence[str]
    unknown: dict[str, float] = field(factory=dict)
    _known: dict[str, int] = field(factory=dict)
    _asked: Any = None
    _seen: Any = None
    _places: UsArray = field(factory=lambda: np.empty(0, dtype=np.int64))

    def __attrs_post_init__(self) -> None:
        for place, name in enumerate(self.ids):
            if self._known.setdefault(name.casefold(), place) != place:
                raise ProfileError(
                    f"profiles: customers {name!r} and {self.ids[self._known[name.casefold()]]!r} differ in case only"
                )

    @abstractmethod
    def take_rows(self, row: UsArray, place: UsArray, values: Mapping[str, FloatArray]) -> None:
        """Take rows of a long table.

        Args:
            row: Instant of each, shape (row,).
            place: Id of each, shape (row,).
            values: kW or kvar by quantity, shape (row,); nan where there is none.
        """

    @abstractmethod
    def take_columns(self, quantity: str, row: UsArray, place: UsArray, values: Sequence[FloatArray]) -> None:
        """Take columns of a wide table.

        Args:
            quantity: What they hold.
            row: Instant of each row, shape (row,).
            place: Id of each column, shape (column,).
            values: Each column, shape (row,).
        """

    def place(self, customer: str) -> int:
        """Place of a customer among the ids; negative where it is none of them."""
        return self._known.get(customer.casefold(), _UNKNOWN)

    def long(self, batch: Batch) -> None:
        """Take rows of customer and time.

        Raises:
            ProfileError: One has no customer, or its value is no finite number, or negative where that cannot be.
        """
        code = self._coded(batch)
        place = self._places[code]
        values = {q: self._numbers(batch, name) for q, name in self.config.columns().items()}
        end = batch.end_us
        strange = place < 0
        if strange.any():
            self._note_unknown(code[strange], kw_of(values)[strange])
            kept = np.flatnonzero(~strange)
            place, values, end = place[kept], {q: v[kept] for q, v in values.items()}, end[kept]
        row = self._row(end)
        for quantity in ("import", "export"):
            if quantity in values:
                self._refuse_negative(batch, quantity, values[quantity], row, place)
        self.take_rows(row, place, values)

    def wide(self, batch: Batch, places: Mapping[str, tuple[str, int, str]]) -> None:
        """Take rows of times with a column for each customer.

        Args:
            batch: With some of the columns.
            places: Quantity, place and customer of each column of the file.

        Raises:
            ProfileError: A value is no finite number, or negative where that cannot be.
        """
        row = self._row(batch.end_us)
        for quantity in self.config.columns():
            own = [(name, *places[name][1:]) for name in batch.columns if places[name][0] == quantity]
            for name, unknown, who in own:
                if unknown < 0:
                    kw = float(np.nansum(np.abs(self._numbers(batch, name)))) if quantity in POWERS else 0.0
                    self.unknown[who] = self.unknown.get(who, 0.0) + kw
            known = [(name, there) for name, there, _ in own if there >= 0]
            if not known:
                continue
            values = [self._numbers(batch, name) for name, _ in known]
            place = np.asarray([there for _, there in known], dtype=np.int64)
            if quantity in ("import", "export") and any((column < 0).any() for column in values):
                at, whose = np.broadcast_arrays(row[:, None], place[None, :])
                numbers = np.stack(values, axis=1).ravel()
                self._refuse_negative(batch, quantity, numbers, at.ravel(), whose.ravel())
            self.take_columns(quantity, row, place, values)

    def refuse_twice(self, twice: int) -> None:
        """Refuse readings that are there twice, if no rule says which counts."""
        if twice and self.config.duplicates == "refuse":
            raise ProfileError(
                f"profiles.readings: {counted(twice, 'reading is', 'readings are')} there twice in {self._window()}: "
                "same customer, same time. "
                'A clock put back does that: write times in UTC. Or set duplicates = "first" or "last"'
            )

    def mean_of_unknown(self) -> dict[str, float]:
        """Mean kW over the window of customers that were not asked for; none where they are a pool.

        Raises:
            ProfileError: There are some, and no rule says to leave them out.
        """
        if self.config.missing_customers == "from-pool":
            return {}
        if self.unknown and self.config.unknown_customers == "refuse":
            raise ProfileError(
                f"profiles.readings: readings of {counted(len(self.unknown), 'customer')} that the feeder does not "
                f"have: {some(sorted(self.unknown))} (it has {some(list(self.ids))}); mend the names, or set "
                'unknown_customers = "leave-out"'
            )
        return {name: kw / max(self.instant.size, 1) for name, kw in self.unknown.items()}

    def _coded(self, batch: Batch) -> Any:
        """Place of each row's customer in the dictionary that was seen last."""
        import pyarrow as pa

        column = batch.columns[self.config.customer_column]
        if column.null_count:
            raise ProfileError(
                f"{batch.file}: {counted(column.null_count, 'row')} without a customer in column "
                f"{self.config.customer_column!r}"
            )
        if not pa.types.is_dictionary(column.type):
            column = column.dictionary_encode()
        if self._seen is None or not self._seen.equals(column.dictionary):  # as a rule it is that of the batch before
            self._seen = column.dictionary
            self._places = self._looked_up(column.dictionary)
        return np.asarray(column.indices)

    def _looked_up(self, names: Any) -> UsArray:
        """Places of names; most are as they are asked for, and upper and lower case are one."""
        import pyarrow as pa
        import pyarrow.compute as pc

        if self._asked is None:
            self._asked = pa.array(self.ids, pa.string())
        places = np.full(len(names), _UNKNOWN, dtype=np.int64)
        if len(names) > _MANY:
            found = pc.call_function("index_in", [names.cast(pa.string())], pc.SetLookupOptions(self._asked))
            places = np.asarray(found.fill_null(_UNKNOWN)).astype(np.int64)
        for code in np.flatnonzero(places < 0).tolist():
            places[code] = self.place(str(names[code].as_py()))
        return places

    def _name(self, code: int) -> str:
        return str(self._seen[code].as_py())

    def _row(self, end_us: UsArray) -> UsArray:
        first = int(self.instant[0].astype(np.int64))
        return (end_us - first) // times_of(self.config).step_us

    def _numbers(self, batch: Batch, name: str) -> FloatArray:
        numbers = numbers_of(batch, name)
        if self.config.unit == "kWh":
            numbers = numbers * per_interval(times_of(self.config).step_us)
        return numbers

    def _refuse_negative(self, batch: Batch, quantity: str, values: FloatArray, row: UsArray, place: UsArray) -> None:
        bad = np.flatnonzero(values < 0)
        if bad.size:
            first = int(bad[0])
            when = as_datetime(self.instant[int(row[first])]).isoformat()
            raise ProfileError(
                f"{batch.file}: {counted(bad.size, 'reading')} of {quantity} "
                f"{'is' if bad.size == 1 else 'are'} negative, such as {values[first]:g} kW of "
                f"{self.ids[int(place[first])]!r} at {when}; expected >= 0: "
                "mend them, or name the column in net_column if it holds import less export"
            )

    def _note_unknown(self, code: Any, kw: FloatArray) -> None:
        sums = np.bincount(code, weights=np.nan_to_num(kw), minlength=len(self._seen))
        for place in map(int, np.flatnonzero(np.bincount(code, minlength=len(self._seen)))):
            name = self._name(place)
            self.unknown[name] = self.unknown.get(name, 0.0) + float(sums[place])

    def _window(self) -> str:
        return f"{as_datetime(self.instant[0]).isoformat()} to {as_datetime(self.instant[-1]).isoformat()}"


def numbers_of(batch: Batch, name: str) -> FloatArray:
    """A column of numbers, nan where a cell is empty.

    Raises:
        ProfileError: It holds something else.
    """
    import pyarrow as pa

    column = batch.columns[name]
    try:
        numbers = np.asarray(column.cast(pa.float64()).to_numpy(zero_copy_only=False), dtype=np.float64)
    except (ValueError, pa.ArrowNotImplementedError) as error:
        raise ProfileError(
            f"{batch.file}: column {name!r} holds {column.type}; expected numbers{_not_one(column)}"
        ) from error
    if np.isinf(numbers).any():
        raise ProfileError(f"{batch.file}: column {name!r} holds infinite numbers")
    return numbers


def _not_one(column: Any) -> str:
    """The first text that is no number, as a message says it."""
    for value in column.to_pylist():
        try:
            float(value or 0)
        except (TypeError, ValueError):
            return f", not {value!r}"
    return ""


def kw_of(values: Mapping[str, FloatArray]) -> FloatArray:
    """The kW that readings are about, import and export counted alike."""
    powers = [np.abs(values[q]) for q in POWERS if q in values]
    total: FloatArray = powers[0] if len(powers) == 1 else np.nansum(powers, axis=0)
    return total
