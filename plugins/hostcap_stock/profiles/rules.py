"""What to do about readings that are not there: refuse, or an explicit rule, with counts and kW."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from itertools import chain
from typing import Never

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from hostcap._arrays import BoolArray, FloatArray, IntArray
from hostcap.errors import ProfileError
from hostcap.findings import counted, some
from hostcap.profiles import InstantArray, Window, as_datetime
from hostcap_stock.profiles.config import ReadingsConfig

LOOK_BACK_DAYS = 1
"""How old a reading may be that ``missing = "previous"`` takes."""


@frozen(kw_only=True, eq=False)
class Filled:
    """Readings without gaps.

    Attributes:
        instant: Shape (instant,).
        values: By quantity, kW or kvar, shape (instant, id + 1); the last id has no readings.
        absent: Where a rule stood in, shape (instant, id + 1).
        modelled: Where the model's own power stands in, of the same shape; values are 0 there.
        rule: What stands in for each id, shape (id + 1,).
        window: Every end of an interval in the window, shape (instant of the window,).
        left_out: Those at which nobody has a reading, where they are left out.
    """

    instant: InstantArray
    values: Mapping[str, FloatArray]
    absent: BoolArray
    modelled: BoolArray
    rule: tuple[str, ...]
    window: InstantArray
    left_out: InstantArray


@frozen(kw_only=True, eq=False)
class Asking:
    """What the rules ask about the feeder and the table.

    Attributes:
        needed: Whether anybody follows an id, shape (id + 1,); what nobody follows is never refused.
        followers: Names in messages of the customers that need an id; they are counted, not meters.
        known: Which ids have a reading anywhere in the table, shape (id + 1,); asked only where it matters.
        extent: What the table covers, for messages.
    """

    needed: BoolArray
    followers: Callable[[int], list[str]]
    known: Callable[[], BoolArray]
    extent: Callable[[], str]


def fill(
    config: ReadingsConfig,
    *,
    instant: InstantArray,
    values: Mapping[str, FloatArray],
    first: int,
    asking: Asking,
    elsewhere: bool = False,
) -> Filled:
    """Apply the rules of a study to what was read.

    Args:
        config: The rules.
        instant: Every end of an interval from the look-back on, shape (instant,).
        values: As read, nan where there is none, shape (instant, id).
        first: First instant of the window; those before it are there to look back at.
        asking: What the rules ask about the feeder and the table.
        elsewhere: Whether the window is a part of one with readings, so that all of it may be filled.

    Raises:
        ProfileError: A reading is missing that no rule stands in for.
    """
    table = {q: np.concatenate([v, np.full((v.shape[0], 1), np.nan)], axis=1) for q, v in values.items()}
    present: BoolArray = np.all([np.isfinite(v) for v in table.values()], axis=0)
    empty: BoolArray = np.asarray(~present[first:].any(axis=1))
    kept = first + kept_of(config, instant[first:], empty, asking.extent, elsewhere=elsewhere)
    rule = rules_of(config, present.shape[1], asking.known)
    absent = ~present
    refused = absent[kept] & asking.needed & (np.asarray(rule) == "refuse")
    if refused.any():
        whole = int(np.argmax(refused.any(axis=0)))
        refuse_gaps(
            config, refused.sum(axis=0), kept.size, instant[kept][int(np.argmax(refused[:, whole]))], asking.followers
        )
    modelled = absent & (np.asarray(rule) == "as-modelled")
    previous = np.asarray(rule) == "previous"
    if (absent[kept] & asking.needed & previous).any():
        table = _with_previous(config, instant, table, present, kept, asking.needed & previous, asking.followers)
    filled = {q: np.where(np.isfinite(v[kept]) & (present[kept] | previous), v[kept], 0.0) for q, v in table.items()}
    return Filled(
        instant=instant[kept],
        values=filled,
        absent=absent[kept],
        modelled=modelled[kept],
        rule=rule,
        window=instant[first:],
        left_out=instant[first:][empty] if config.missing_instants == "leave-out" else instant[:0],
    )


def kept_of(
    config: ReadingsConfig,
    window: InstantArray,
    empty: BoolArray,
    extent: Callable[[], str],
    *,
    elsewhere: bool = False,
) -> NDArray[np.int64]:
    """Places in a window of the instants that are kept.

    Args:
        config: The rules.
        window: Every end of an interval in it, shape (instant,).
        empty: Where nobody has a reading, shape (instant,).
        extent: What the table covers, for messages.
        elsewhere: Whether the window is a part of one with readings, so that all of it may be filled.

    Raises:
        ProfileError: Nobody has a reading, at all or at an instant, and no rule says what to do.
    """
    if empty.all() and config.missing_instants != "leave-out" and not elsewhere:
        raise ProfileError(
            f"profiles.readings: no reading of any of the feeder's customers from {_at(window[0])} to "
            f"{_at(window[-1])}; the table holds {extent()}"
        )
    if empty.any() and config.missing_instants == "refuse":
        raise ProfileError(
            f"profiles.readings: nobody has a reading at {int(empty.sum())} of {counted(empty.size, 'instant')}, such "
            f"as {_at(window[empty][0])} (the table holds {extent()}); ask for a window that is covered, or set "
            'missing_instants = "leave-out" (or "fill", by the rule of `missing`)'
        )
    return np.flatnonzero(~empty) if config.missing_instants == "leave-out" else np.arange(window.size)


def rules_of(config: ReadingsConfig, count: int, known: Callable[[], BoolArray]) -> tuple[str, ...]:
    """What stands in for each id: the rule of gaps, or that of customers without any reading."""
    if config.missing_customers in (None, config.missing, "from-pool"):  # who drew has readings, the others gaps
        return (config.missing,) * count
    return tuple(config.missing if there else config.missing_customers for there in known())


def refuse_gaps(
    config: ReadingsConfig,
    gaps: IntArray,
    instants: int,
    first: np.datetime64,
    followers: Callable[[int], list[str]],
) -> Never:
    """Refuse readings that are missing.

    Args:
        config: The rules.
        gaps: Instants at which each id should have one and has none, shape (id + 1,), not all 0.
        instants: How many instants there are.
        first: The first at which the first of those ids has none.
        followers: Names in messages of the customers that need an id; they are counted, not meters.

    Raises:
        ProfileError: Always.
    """
    whose = np.flatnonzero(gaps).tolist()
    by_id = [followers(place) for place in whose]
    names = list(chain.from_iterable(by_id))
    if (gaps[whose] == instants).all():
        if config.missing_customers == "from-pool":
            rule = 'missing = "zero" or "as-modelled"'
        else:
            rule = 'missing_customers = "zero", "as-modelled" or "from-pool"'
        raise ProfileError(
            f"profiles.readings: {counted(len(names), 'customer has', 'customers have')} no reading: {some(names)}; "
            f"add them, set customer_id if readings have other names, or set {rule}"
        )
    count = sum(int(gaps[place]) * len(own) for place, own in zip(whose, by_id, strict=True))
    raise ProfileError(
        f"profiles.readings: {counted(count, 'reading')} of {counted(len(names), 'customer')} missing ({some(names)}), "
        f'such as that of {names[0]} at {_at(first)}; mend the table, or set missing = "previous", "zero" or '
        '"as-modelled"'
    )


def refuse_stale(places: Sequence[int], first: np.datetime64, followers: Callable[[int], list[str]]) -> Never:
    """Refuse gaps with no reading of the day before.

    Args:
        places: Ids with such gaps.
        first: The first such instant of the first of them.
        followers: Names in messages of the customers that need an id; they are counted, not meters.

    Raises:
        ProfileError: Always.
    """
    names = list(chain.from_iterable(map(followers, places)))
    raise ProfileError(
        'profiles.readings: missing = "previous" takes readings of the day before, and '
        f"{counted(len(names), 'customer has', 'customers have')} none ({some(names)}), such as at {_at(first)}; mend "
        'the table, or set missing_customers = "zero" or "as-modelled" for those that are not in it at all'
    )


def to_read(config: ReadingsConfig, window: Window) -> Window:
    """What is read for a window: the day before as well, where readings of it may stand in."""
    if config.missing != "previous":
        return window
    return Window(start=window.start - timedelta(days=LOOK_BACK_DAYS), end=window.end)


def look_back(config: ReadingsConfig) -> int:
    """How many intervals old a reading may be that ``missing = "previous"`` takes."""
    return round(LOOK_BACK_DAYS * 1440 / config.interval_minutes)


def _with_previous(
    config: ReadingsConfig,
    instant: InstantArray,
    table: Mapping[str, FloatArray],
    present: BoolArray,
    kept: NDArray[np.int64],
    which: BoolArray,
    followers: Callable[[int], list[str]],
) -> dict[str, FloatArray]:
    """Each gap filled with the last reading before it, at most a day old."""
    row = np.arange(instant.size)[:, None]
    last = np.maximum.accumulate(np.where(present, row, -1), axis=0)
    old: BoolArray = np.asarray((last < 0) | (row - last > look_back(config)))
    stale = old[kept] & which
    if stale.any():
        columns = np.flatnonzero(stale.any(axis=0)).tolist()
        refuse_stale(columns, instant[kept][int(np.flatnonzero(stale[:, columns[0]])[0])], followers)
    back = np.where(present | ~which, row, np.maximum(last, 0))
    return {q: np.take_along_axis(v, back, axis=0) for q, v in table.items()}


def _at(instant: np.datetime64) -> str:
    return as_datetime(instant).isoformat()
