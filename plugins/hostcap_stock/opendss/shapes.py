"""The model's load shapes as arrays, and what OpenDSS makes of them at an hour.

The rules are those of the engine's ``GetMultAtHour`` (DSS C-API 0.14.5); tests hold them against its own daily and
yearly solutions: value ``round(hour / interval)`` counted from 1, halves to the even one, beginning anew at the end of
the shape; between stated hours a straight line.
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from attrs import field, frozen

from hostcap._arrays import FloatArray, floats, update_hash
from hostcap.errors import ProfileError
from hostcap.network import _ByContent
from hostcap_stock.opendss.engine import Engine


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
    """

    name: str
    interval_hours: float
    hour: FloatArray = field(converter=floats)
    p: FloatArray = field(converter=floats)
    q: FloatArray = field(converter=floats)
    actual: bool

    @property
    def length_hours(self) -> float:
        """When it begins anew."""
        return self.interval_hours * self.p.size if self.interval_hours > 0 else float(self.hour[-1])

    def at(self, hours: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Its values at some hours, for active and reactive power, each of the shape of ``hours``.

        The second is that of the first where the shape has no values of its own; 0 where values are kW.
        """
        p = self._values(self.p, hours)
        if self.q.size:
            return p, self._values(self.q, hours)
        return p, np.zeros_like(p) if self.actual else p

    def _values(self, values: FloatArray, hours: FloatArray) -> FloatArray:
        if values.size == 1:
            return np.full(hours.shape, values[0])
        if self.interval_hours > 0:
            index = np.rint(hours / self.interval_hours).astype(np.int64)
            index = np.where(index > values.size, index % values.size, index)
            found: FloatArray = values[np.where(index == 0, values.size, index) - 1]
            return found
        end = self.hour[-1]
        within = np.where(hours > end, hours - np.trunc(hours / end) * end, hours)
        return np.interp(within, self.hour, values)


def read_shapes(engine: Engine) -> dict[str, Shape]:
    """Every load shape of a model that has values, by lower-case name.

    Raises:
        ProfileError: A shape is read in a way that is not described here.
    """
    shapes, found = engine.dss.LoadShape, {}
    more = shapes.First()
    while more:
        count = int(shapes.Npts())
        if count:
            shape = _shape(shapes, count)
            found[shape.name.lower()] = shape
        more = shapes.Next()
    return found


def _shape(shapes: Any, count: int) -> Shape:
    name, interval = str(shapes.Name()), float(shapes.HrInterval())
    p, q = (np.asarray(values, dtype=np.float64) for values in (shapes.PMult(), shapes.QMult()))
    hour = np.asarray(shapes.TimeArray(), dtype=np.float64) if interval == 0 else np.empty(0)
    if interval == 0 and (hour.size != count or np.any(np.diff(hour) <= 0) or hour[-1] <= 0):
        raise ProfileError(f"load shape {name!r}: its hours do not rise; state them in order, or an interval")
    # The engine answers with one zero where a shape has no values of reactive power.
    return Shape(
        name=name,
        interval_hours=interval,
        hour=hour,
        p=p,
        q=q if q.size == count and count > 1 else np.empty(0),
        actual=bool(shapes.UseActual()),
    )


def update_shapes_hash(digest: hashlib._Hash, engine: Engine) -> None:
    """Feed the values of all shapes into ``digest``."""
    for name, shape in sorted(read_shapes(engine).items()):
        digest.update(name.encode())
        update_hash(digest, shape)
