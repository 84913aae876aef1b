"""Ratings as the model states them, never from the number: OpenDSS shows 400 A and 600 A where nothing is stated.

Read after the first solve. The engine's own record of a line lists copied amps as if they were typed, so the
record of the line's code, geometry or wire is judged where it has one (docs/explanation/headroom-method.md, 1).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from attrs import frozen

from hostcap_stock.opendss.engine import Engine

DEFAULT_NORMAL_A, DEFAULT_EMERGENCY_A = 400.0, 600.0
WIRE_EMERGENCY_FACTOR = 1.5
"""What the engine derives the missing rating of a wire with."""
_Record = Mapping[str, Any]
_SOURCES = ("linecode", "geometry", "spacing")


@frozen
class LineRating:
    """Amps that a line has, and whether anybody stated them."""

    normal_a: float
    emergency_a: float
    normal_stated: bool
    emergency_stated: bool


@frozen
class _Given:
    """What a line's code, geometry or wire gives it: amps, and whether they were typed there."""

    normal_a: float = DEFAULT_NORMAL_A
    emergency_a: float = DEFAULT_EMERGENCY_A
    normal_stated: bool = False
    emergency_stated: bool = False


class LineRatings:
    """Answers for every line of a loaded and once solved model."""

    def __init__(self, engine: Engine) -> None:
        self._lines = engine.records("Line")
        self._codes = engine.records("LineCode")
        self._geometries = engine.records("LineGeometry")
        self._wires = {
            f"{kind}.{name}": record
            for kind in ("wiredata", "cndata", "tsdata")
            for name, record in engine.records(kind).items()
        }

    def of(self, name: str, normal_a: float, emergency_a: float) -> LineRating:
        """Rating of one line, given the amps that the engine shows."""
        record = self._lines.get(name.lower(), {})
        given = self._given(record)
        if given is None:
            return LineRating(
                normal_a,
                emergency_a,
                normal_a > 0 and "normamps" in record,
                emergency_a > 0 and "emergamps" in record,
            )
        return LineRating(
            normal_a,
            emergency_a,
            normal_a > 0 and (given.normal_stated or not math.isclose(normal_a, given.normal_a, rel_tol=1e-9)),
            emergency_a > 0
            and (given.emergency_stated or not math.isclose(emergency_a, given.emergency_a, rel_tol=1e-9)),
        )

    def _given(self, record: _Record) -> _Given | None:
        """What the line's source gives; None where the line has none and its own record speaks."""
        if record.get("linecode"):
            code = self._codes.get(str(record["linecode"]).lower(), {})
            return _Given(
                float(code.get("normamps", DEFAULT_NORMAL_A)),
                float(code.get("emergamps", DEFAULT_EMERGENCY_A)),
                "normamps" in code,
                "emergamps" in code,
            )
        if record.get("geometry"):
            geometry = self._geometries.get(str(record["geometry"]).lower(), {})
            wire = self._wire(geometry)
            return _Given(
                float(geometry.get("normamps", wire.normal_a)),
                float(geometry.get("emergamps", wire.emergency_a)),
                "normamps" in geometry or wire.normal_stated,
                "emergamps" in geometry or wire.emergency_stated,
            )
        if record.get("spacing"):
            return self._wire(record)
        # A name that is there but empty, or amps nobody can have typed on a bare line, tell of a source that the
        # engine has dropped: by `like=`, or by r1=, rmatrix=, switch= after the code.
        lost = any(source in record for source in _SOURCES) or "ratings" in record
        return _Given() if lost else None

    def _wire(self, record: _Record) -> _Given:
        wires = record.get("wires") or record.get("conductors") or []
        wire = self._wires.get(str(wires[0]).lower(), {}) if wires else {}
        normal, emergency = wire.get("normamps"), wire.get("emergamps")
        # The engine derives one of a wire's two ratings from the other, and gives none where both are silent.
        derived_normal = emergency / WIRE_EMERGENCY_FACTOR if emergency is not None else -1.0
        derived_emergency = normal * WIRE_EMERGENCY_FACTOR if normal is not None else -1.0
        return _Given(
            float(normal if normal is not None else derived_normal),
            float(emergency if emergency is not None else derived_emergency),
            normal is not None,
            emergency is not None,
        )


@frozen
class Winding:
    """One winding of a transformer: rated kV and kVA as stated."""

    kv: float
    kva: float


def winding_amps(phases: int, kv: float, kva: float) -> float:
    """Line current of a winding at its kVA, A."""
    if phases == 1:
        return kva / kv
    if phases == 2:
        return kva / 2.0 / (kv / math.sqrt(3.0))
    return kva / (math.sqrt(3.0) * kv)


def transformer_ratings(
    phases: int, windings: list[Winding], *, centre_tapped: bool, normal_a: float, emergency_a: float, nameplate: bool
) -> list[tuple[float, float]]:
    """Normal and emergency amps of every winding.

    Args:
        phases: Phases of the transformer.
        windings: Its windings in order.
        centre_tapped: Windings 2 and 3 are the halves of one LV winding: each has half of winding 1's kVA.
        normal_a: What the engine shows, for winding 1.
        emergency_a: Likewise.
        nameplate: Normal is the stated kVA; else the engine's normal amps (110 % by default).
    """
    rated = [winding_amps(phases, w.kv, w.kva) for w in windings]
    if centre_tapped:
        rated[1:3] = [windings[0].kva / 2.0 / w.kv for w in windings[1:3]]
    first = rated[0]
    emergency_ratio = emergency_a / first if first > 0 else math.nan
    normal_ratio = 1.0 if nameplate or first <= 0 else normal_a / first
    return [(amps * normal_ratio, amps * emergency_ratio) for amps in rated]
