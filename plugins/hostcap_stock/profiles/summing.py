"""Readings of a long window summed as they come: by instant and by id, never whole.

A bit for each id and instant says what has been read: 11 MB for a year of half-hours of 5 000 customers. What sums
cannot tell is picked out in another pass over the files: readings that are there twice where the last counts, instants
at which a wide table has one quantity and lacks another, and readings that stand in for later ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from attrs import define, field
from numpy.typing import NDArray

from hostcap._arrays import BoolArray, FloatArray
from hostcap.profiles import Window
from hostcap_stock.profiles import kernels
from hostcap_stock.profiles.files import TimedFile, UsArray
from hostcap_stock.profiles.intake import POWERS, Intake
from hostcap_stock.profiles.readings import take

Bits = NDArray[np.uint8]
_ROWS = "rows"
"""Key of what a long table has: all quantities in one row."""
_KINDS = {"import": kernels.IMPORT, "export": kernels.EXPORT, "net": kernels.NET}
_NONE, _EMPTY = np.zeros((0, 0), dtype=np.uint8), np.empty(0)


@define(kw_only=True, eq=False)
class Summed(Intake):
    """Sums of a window.

    Attributes:
        first: First instant of the window; those before it are there to look back at.
        share: Parts of each id's import and export that are drawn and given in the feeder, shape (2, id).
        net: What is drawn less what is given, kW, shape (instant,).
        read: Sums of import and export over the window, kW, shape (2, id).
        twice: How many readings are there twice, by key.
        dropped_kw: Sum of those that do not count.
        without: Ids that a wide table has no column of, by quantity.
        present: Bits of where there is a reading with all its quantities, shape (id, instant / 8).
    """

    first: int
    share: FloatArray
    net: FloatArray = _EMPTY
    read: FloatArray = _EMPTY
    twice: dict[str, int] = field(factory=dict)
    dropped_kw: float = 0.0
    without: dict[str, tuple[str, ...]] = field(factory=dict)
    present: Bits = _NONE
    _filled: dict[str, Bits] = field(factory=dict)
    _finite: dict[str, Bits] = field(factory=dict)
    _again: Bits = _NONE
    _apart: Bits = _NONE

    def take_rows(self, row: UsArray, place: UsArray, values: Mapping[str, FloatArray]) -> None:
        """Add rows of a long table."""
        is_net = "net" in values
        others = [v for q, v in values.items() if q not in POWERS]
        twice, dropped = kernels.add_rows(
            row,
            place,
            values["net"] if is_net else values.get("import", _EMPTY),
            values.get("export", _EMPTY),
            np.stack(others) if others else np.empty((0, row.size)),
            is_net,
            self._apart,
            *self._bits(_ROWS),
            self.first,
            self.share,
            self.net,
            self.read,
        )
        self._note_twice(_ROWS, twice, dropped)

    def take_columns(self, quantity: str, row: UsArray, place: UsArray, values: Sequence[FloatArray]) -> None:
        """Add columns of a wide table."""
        bits, kind = self._bits(quantity), _KINDS.get(quantity, kernels.OTHER)
        for whose, column in zip(place.tolist(), values, strict=True):
            twice, dropped = kernels.add_column(
                row, whose, column, kind, self._apart, *bits, self.first, self.share, self.net, self.read
            )
            self._note_twice(quantity, twice, dropped)

    def sum(self, files: Sequence[TimedFile], window: Window) -> None:
        """Sum what the files say over the window, the day to look back at included.

        Raises:
            ProfileError: Something is twice, negative, or not a number, and no rule says what to do.
        """
        self._begin()
        take(self, files, window)
        self.refuse_twice(self.count_twice)
        self.mean_of_unknown()
        self.present = self._complete()
        apart = self._again if self.config.duplicates == "last" else np.zeros_like(self._again)
        for quantity in _KINDS:
            if quantity in self._finite:  # a number beside a gap is no reading
                apart = apart | (self._finite[quantity] & ~self.present)
        if apart.any():
            self._sum_again(files, window, apart)

    def picked(self, files: Sequence[TimedFile], window: Window, wanted: Bits) -> Picked:
        """Single readings."""
        found = Picked.of(self, wanted)
        take(found, files, window)
        read = found.got.any(axis=0)
        for quantity, ids in self.without.items():
            lacking = np.isin(found.cell // self.instant.size, [self.place(name) for name in ids])
            np.putmask(found.values[quantity], lacking & read, 0.0)
        return found

    @property
    def count_twice(self) -> int:
        """How many readings are there twice."""
        return max(self.twice.values(), default=0)

    def there(self, place: int) -> BoolArray:
        """At which instants an id has a reading, shape (instant,)."""
        return np.unpackbits(self.present[place], count=self.instant.size, bitorder="little").astype(np.bool_)

    def _begin(self) -> None:
        ids, instants = len(self.ids), self.instant.size
        self.net, self.read = np.zeros(instants), np.zeros((2, ids))
        self._filled, self._finite = {}, {}
        self._again = np.zeros((ids, -(-instants // 8)), dtype=np.uint8)

    def _bits(self, key: str) -> tuple[Bits, Bits, Bits]:
        if key not in self._filled:
            self._filled[key], self._finite[key] = np.zeros_like(self._again), np.zeros_like(self._again)
        return self._filled[key], self._finite[key], self._again

    def _note_twice(self, key: str, twice: int, kw: float) -> None:
        self.twice[key] = self.twice.get(key, 0) + twice
        self.dropped_kw += kw

    def _complete(self) -> Bits:
        """Where all quantities are; who has columns of one and none of another does none of the other."""
        if self.config.layout == "long":
            return self._finite.get(_ROWS, np.zeros_like(self._again))
        read = np.zeros_like(self._again)
        for bits in self._filled.values():
            read |= bits
        complete = read.copy()
        for quantity in self.config.columns():
            own = self._filled.get(quantity, np.zeros_like(read)).any(axis=1)
            lacking: BoolArray = np.asarray(read.any(axis=1) & ~own)
            if lacking.any():
                self.without[quantity] = tuple(self.ids[int(place)] for place in np.flatnonzero(lacking))
            if own.any():
                complete &= np.where(lacking[:, None], read, self._finite[quantity])
        return complete

    def _sum_again(self, files: Sequence[TimedFile], window: Window, apart: Bits) -> None:
        """Sum all but some readings, and then these."""
        unknown, twice, dropped_kw = dict(self.unknown), dict(self.twice), self.dropped_kw
        found = self.picked(files, window, apart)
        self._begin()
        self._apart = apart
        take(self, files, window)
        self._apart = _NONE
        self.unknown, self.twice = unknown, twice
        self.dropped_kw = found.passed_kw if self.config.duplicates == "last" else dropped_kw
        whole: BoolArray = np.asarray(np.isfinite(found.found).all(axis=0))
        cell = found.cell[whole]
        place, row = cell // self.instant.size, cell % self.instant.size
        power = found.power()[:, whole]
        np.add.at(self.net, row, power[0] * self.share[0, place] - power[1] * self.share[1, place])
        inside = row >= self.first
        for side in (0, 1):
            np.add.at(self.read[side], place[inside], power[side, inside])
        self.present = self.present & ~apart
        np.bitwise_or.at(self.present, (place, row >> 3), (1 << (row & 7)).astype(np.uint8))


@define(kw_only=True, eq=False)
class Picked(Intake):
    """Single readings, by the rule of those that are there twice.

    Attributes:
        wanted: Which, as bits.
        cell: The same, rising: instant + instants x id.
        found: nan where there is none, shape (quantity, cell).
        got: Where there is a row, shape (quantity, cell); a long table has one for all quantities, the first.
        passed_kw: Sum of those that do not count.
    """

    wanted: Bits
    cell: UsArray
    found: FloatArray
    got: Bits
    passed_kw: float = 0.0

    @classmethod
    def of(cls, summed: Summed, wanted: Bits) -> Picked:
        """Nothing yet."""
        instants = summed.instant.size
        cells = [
            place * instants + np.flatnonzero(np.unpackbits(wanted[place], count=instants, bitorder="little"))
            for place in np.flatnonzero(wanted.any(axis=1)).tolist()
        ]
        cell = np.concatenate([np.empty(0, dtype=np.int64), *cells])
        shape = (len(summed.config.columns()), cell.size)
        return cls(
            config=summed.config,
            instant=summed.instant,
            ids=summed.ids,
            wanted=wanted,
            cell=cell,
            found=np.full(shape, np.nan),
            got=np.zeros(shape, dtype=np.uint8),
        )

    def take_rows(self, row: UsArray, place: UsArray, values: Mapping[str, FloatArray]) -> None:
        """Pick rows of a long table."""
        powers = sum(quantity in POWERS for quantity in values)
        self._pick(row, place, np.stack(list(values.values())), powers, self.found, self.got[0])

    def take_columns(self, quantity: str, row: UsArray, place: UsArray, values: Sequence[FloatArray]) -> None:
        """Pick of columns of a wide table."""
        which = list(self.config.columns()).index(quantity)
        for whose, column in zip(place.tolist(), values, strict=True):
            if self.wanted[whose].any():
                at, found = np.full(row.size, whose), self.found[which : which + 1]
                self._pick(row, at, column[None], int(quantity in POWERS), found, self.got[which])

    @property
    def values(self) -> dict[str, FloatArray]:
        """By quantity, shape (cell,)."""
        return dict(zip(self.config.columns(), self.found, strict=True))

    def power(self) -> FloatArray:
        """Import and export, shape (2, cell)."""
        values, nothing = self.values, np.zeros(self.cell.size)
        if "net" in values:
            return np.stack([np.maximum(values["net"], 0.0), np.maximum(-values["net"], 0.0)])
        return np.stack([values.get("import", nothing), values.get("export", nothing)])

    def _pick(
        self, row: UsArray, place: UsArray, values: FloatArray, powers: int, found: FloatArray, got: NDArray[np.uint8]
    ) -> None:
        later = self.config.duplicates == "last"
        self.passed_kw += kernels.pick_out(
            row, place, values, self.wanted, self.cell, self.instant.size, later, powers, found, got
        )
