"""What changes with time: windows, what every injector does over one, and named series."""

from __future__ import annotations

from datetime import datetime, timedelta
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
