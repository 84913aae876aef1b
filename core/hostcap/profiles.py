"""What changes with time: windows, what every injector does over one, and named series."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import attrs
import numpy as np
from attrs import field, frozen
from numpy.typing import NDArray

from hostcap._arrays import FloatArray, floats
from hostcap.findings import Finding
from hostcap.network import _ByContent

InstantArray = NDArray[np.datetime64]
"""Ends of intervals, UTC, ``datetime64[us]``, rising."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY_US = 86_400_000_000


def _aware(instance: Any, attribute: attrs.Attribute[datetime], value: datetime) -> None:
    if value.utcoffset() is None:
        raise ValueError(f"{attribute.name} {value.isoformat()} has no offset; add Z for UTC, or +10:00")


@frozen(kw_only=True)
class Window:
    """The intervals that end after ``start`` and not after ``end``.

    Attributes:
        start, end: Aware; an instant stands for the interval that ends there.
    """

    start: datetime = field(validator=_aware)
    end: datetime = field(validator=_aware)

    def __attrs_post_init__(self) -> None:
        if not self.start < self.end:
            raise ValueError(f"window must end after it starts: {self.start.isoformat()} .. {self.end.isoformat()}")

    @classmethod
    def of_instant(cls, instant: datetime, interval: timedelta = timedelta(microseconds=1)) -> Window:
        """The window that holds one instant alone."""
        return cls(start=instant - interval, end=instant)

    def instants(self, interval_minutes: float) -> InstantArray:
        """Ends of the intervals of a length that end in the window; intervals are counted from midnight UTC.

        Raises:
            ValueError: The length does not divide a day, so that its intervals do not begin anew with each day.
        """
        step = interval_us(interval_minutes)
        first, last = as_us(self.start) // step + 1, as_us(self.end) // step
        return (np.arange(first, last + 1, dtype=np.int64) * step).astype("datetime64[us]")


def interval_us(interval_minutes: float) -> int:
    """Length of an interval in microseconds.

    Raises:
        ValueError: It does not divide a day.
    """
    step = round(interval_minutes * 60e6)
    if step <= 0 or _DAY_US % step:
        raise ValueError(f"must divide a day, such as 5, 15, 30 or 60 minutes, got {interval_minutes:g}")
    return step


def as_us(instant: datetime) -> int:
    """Microseconds since 1970 UTC of an aware time, exactly."""
    return (instant - _EPOCH) // timedelta(microseconds=1)


def as_datetime(instant: np.datetime64) -> datetime:
    """An aware time, UTC, of an entry of an ``InstantArray``."""
    return _EPOCH + timedelta(microseconds=int(instant.astype("datetime64[us]").astype(np.int64)))


@frozen(kw_only=True, eq=False)
class PowerProfiles(_ByContent):
    """What every injector does over a window, nominal at 1 pu.

    Attributes:
        instant: End of each interval, shape (instant,).
        interval_minutes: Length of an interval.
        load_kw, generation_kw: Mean over the interval, >= 0 in their natural direction, shape (instant, injector).
        load_kvar, generation_kvar: Positive consumes, negative supplies, for both.
        findings: What was noticed while reading: what is missing or was filled by an explicit rule, with count and kW.
    """

    instant: InstantArray
    interval_minutes: float
    load_kw: FloatArray = field(converter=floats)
    load_kvar: FloatArray = field(converter=floats)
    generation_kw: FloatArray = field(converter=floats)
    generation_kvar: FloatArray = field(converter=floats)
    findings: tuple[Finding, ...] = ()

    def net_import_kw(self) -> FloatArray:
        """Net import of the feeder, shape (instant,): what all injectors draw less what they give, without losses."""
        return np.asarray(self.load_kw.sum(axis=1) - self.generation_kw.sum(axis=1), dtype=np.float64)

    def at(self, place: int) -> PowerProfiles:
        """One instant of them."""
        one = slice(place, place + 1)
        names = ("load_kw", "load_kvar", "generation_kw", "generation_kvar")
        arrays = {name: getattr(self, name)[one] for name in names}
        return attrs.evolve(self, instant=self.instant[one], **arrays)


@frozen(kw_only=True, eq=False)
class NetImport:
    """The net import of a feeder over a window, which may be too long for what every injector does to be held.

    Attributes:
        instant: End of each interval, shape (instant,).
        kw: What all injectors draw less what they give, without losses, shape (instant,).
        findings: As those of ``PowerProfiles``.
        at: What every injector does at one of the instants, by its place.
    """

    instant: InstantArray
    kw: FloatArray = field(converter=floats)
    findings: tuple[Finding, ...]
    at: Callable[[int], PowerProfiles]


@frozen(kw_only=True, eq=False)
class Series(_ByContent):
    """One named series over a window, such as PV output per installed kW.

    Attributes:
        name: As asked for.
        instant: End of each interval, shape (instant,).
        value: Shape (instant,).
    """

    name: str
    instant: InstantArray
    value: FloatArray = field(converter=floats)
