"""What there is to say of the readings of a window, by id: sums and counts, and no reading by itself."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from attrs import frozen

from hostcap._arrays import FloatArray, IntArray
from hostcap.profiles import InstantArray
from hostcap_stock.profiles.readings import Readings
from hostcap_stock.profiles.rules import Filled


@frozen(kw_only=True, eq=False)
class Tally:
    """Counts and sums over the instants that are kept, by id; the last id has no readings.

    Attributes:
        window: Every end of an interval in the window, shape (instant of the window,).
        left_out: Those at which nobody has a reading, where they are left out.
        read_from: The first end of an interval that was read: of the window, or of the day to look back at.
        dropped: How many readings were there twice, and the mean kW of those that do not count.
        unknown: Mean kW of customers that were not asked for, by name.
        without: Ids that a wide table has no column of, by quantity.
        rule: What stands in for each id, shape (id + 1,).
        gaps: Instants at which it does, shape (id + 1,).
        stood_in_kw: Sum of import and export that stand in by a reading, shape (id + 1,).
        import_kw, export_kw: Sums of what was read, shape (id + 1,).
    """

    window: InstantArray
    left_out: InstantArray
    read_from: np.datetime64
    dropped: tuple[int, float]
    unknown: Mapping[str, float]
    without: Mapping[str, tuple[str, ...]]
    rule: tuple[str, ...]
    gaps: IntArray
    stood_in_kw: FloatArray
    import_kw: FloatArray
    export_kw: FloatArray

    @property
    def instants(self) -> int:
        """How many are kept."""
        return int(self.window.size - self.left_out.size)


def tally_of(raw: Readings, filled: Filled, imported: FloatArray, exported: FloatArray) -> Tally:
    """The tally of readings that are there whole.

    Args:
        raw: As read.
        filled: After the rules.
        imported: What each id takes, kW, shape (instant, id + 1).
        exported: What it gives, likewise.
    """
    read = ~filled.absent
    return Tally(
        window=filled.window,
        left_out=filled.left_out,
        read_from=raw.instant[0],
        dropped=raw.dropped,
        unknown=raw.unknown,
        without=raw.without,
        rule=filled.rule,
        gaps=filled.absent.sum(axis=0).astype(np.int32),
        stood_in_kw=np.where(filled.absent, imported + exported, 0.0).sum(axis=0),
        import_kw=np.where(read, imported, 0.0).sum(axis=0),
        export_kw=np.where(read, exported, 0.0).sum(axis=0),
    )
