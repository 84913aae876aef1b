"""The model's load shapes as arrays, and what OpenDSS makes of them at an hour.

The rules are those of the engine's ``GetMultAtHour`` (DSS C-API 0.14.5); tests hold them against its own daily and
yearly solutions. Of equal intervals: value ``round(hour / interval)`` counted from 1, halves to the even one, or
rounded down with ``interpolation=edge``; the shape begins anew at its end. Of stated hours: a straight line between
two, or with ``edge`` the last one passed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from attrs import field, frozen

from hostcap._arrays import BoolArray, FloatArray, IntArray, floats, update_hash
from hostcap.errors import ProfileError
from hostcap.network import _ByContent
from hostcap_stock.opendss.engine import Engine

_SAME_HOUR = 1e-5
"""The engine takes hours that differ by less for one."""


@frozen(kw_only=True, eq=False)
class Shape(_ByContent):
    """One load shape.

    Attributes:
        name: Its name in the model.
        interval_hours: Time between values; 0 where ``hour`` states them.
        hour: Hours of the values; empty where they are equally apart.
        p: Multipliers, or kW.
        q: The same for reactive power; empty where ``p`` serves both.
        actual: Values are kW and kvar, not multipliers.
        edge: A value stays until the next one (``interpolation=edge``).
        refusal: Why its values cannot be had; empty where they can. Nobody who does not ask for them is told.
    """

    name: str
    interval_hours: float
    hour: FloatArray = field(converter=floats)
    p: FloatArray = field(converter=floats)
    q: FloatArray = field(converter=floats)
    actual: bool
    edge: bool = False
    refusal: str = ""

    @property
    def without_kvar(self) -> bool:
        """Whether the engine has no kvar between its hours, though it says nothing of kvar: a quirk of ``edge``."""
        return self.edge and not self.actual and not self.q.size and self.p.size > 1 and not self.interval_hours > 0

    def at(self, hours: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Its values at some hours, for active and reactive power, each of the shape of ``hours``.

        The second is that of the first where the shape has no values of its own; 0 where values are kW.

        Raises:
            ProfileError: An hour before the first that is stated, or values that cannot be had.
        """
        if self.refusal:
            raise ProfileError(f"load shape {self.name!r}: {self.refusal}")
        p = self._values(self.p, hours)
        if self.q.size:
            return p, self._values(self.q, hours)
        if self.actual:
            return p, np.zeros_like(p)
        return p, np.where(self._passed(hours)[1], p, 0.0) if self.without_kvar else p

    def _values(self, values: FloatArray, hours: FloatArray) -> FloatArray:
        if values.size == 1:
            return np.full(hours.shape, values[0])
        if self.interval_hours > 0:
            steps = hours / self.interval_hours
            index = (np.trunc(steps) if self.edge else np.rint(steps)).astype(np.int64)
            index = np.where(index > values.size, index % values.size, index)
            found: FloatArray = values[np.where(index == 0, values.size, index) - 1]
            return found
        if self.edge:
            return values[self._passed(hours)[0]]
        within = self._within(hours)
        passed, exact = self._passed(hours)
        return np.where(exact, values[passed], np.interp(within, self.hour, values))

    def _within(self, hours: FloatArray) -> FloatArray:
        """Hours since the shape began anew."""
        end = self.hour[-1]
        within: FloatArray = np.where(hours > end, hours - np.trunc(hours / end) * end, hours)
        if np.any(within < self.hour[0] - _SAME_HOUR):
            raise ProfileError(
                f"load shape {self.name!r}: it states nothing before its hour {self.hour[0]:g}, and the engine takes "
                "there what happens to lie before its memory; state a value at hour 0"
            )
        return within

    def _passed(self, hours: FloatArray) -> tuple[IntArray, BoolArray]:
        """Place of the last stated hour passed, and whether it is this very hour."""
        within = self._within(hours)
        passed = (np.searchsorted(self.hour, within + _SAME_HOUR) - 1).astype(np.int32)
        return passed, np.abs(self.hour[passed] - within) < _SAME_HOUR


def read_shapes(engine: Engine) -> dict[str, Shape]:
    """Every load shape of a model that has values, by lower-case name."""
    shapes, found = engine.dss.LoadShape, {}
    more = shapes.First()
    while more:
        count = int(shapes.Npts())
        if count:
            shape = _shape(engine, count)
            found[shape.name.lower()] = shape
        more = shapes.Next()
    return found


def _shape(engine: Engine, count: int) -> Shape:
    shapes: Any = engine.dss.LoadShape
    name, interval = str(shapes.Name()), float(shapes.HrInterval())
    mapped = str(engine.dss.Properties.Value("memorymapping")).lower() == "yes"
    p, q, hour = (
        np.empty(0) if mapped else np.asarray(values, dtype=np.float64)
        for values in (shapes.PMult(), shapes.QMult(), shapes.TimeArray() if interval == 0 else ())
    )
    refusal = ""
    if mapped:
        refusal = "with memorymapping=yes the engine gives nobody its values; read them with mult=(file=...) alone"
    elif interval == 0 and (hour.size != count or np.any(np.diff(hour) <= 0) or hour[-1] <= 0):
        refusal = "its hours do not rise; state them in order, or an interval"
    # The engine answers with one zero where a shape has no values of reactive power.
    return Shape(
        name=name,
        interval_hours=interval,
        hour=hour,
        p=p,
        q=q if q.size == count and count > 1 else np.empty(0),
        actual=bool(shapes.UseActual()),
        edge=str(engine.dss.Properties.Value("interpolation")).lower() == "edge",
        refusal=refusal,
    )


def acting(record: Mapping[str, Any], mode: Literal["daily", "yearly"]) -> str:
    """Name of the shape that acts on an element in a mode, by the engine's record of it; empty for none."""
    named = record.get("daily") if mode == "daily" else record.get("yearly") or record.get("daily")
    return str(named or "").lower()


def update_shapes_hash(digest: hashlib._Hash, engine: Engine) -> None:
    """Feed the values of all shapes into ``digest``."""
    for name, shape in sorted(read_shapes(engine).items()):
        digest.update(name.encode())
        update_hash(digest, shape)
