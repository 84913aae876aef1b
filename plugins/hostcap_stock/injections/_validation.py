"""The rule for power factors."""

from __future__ import annotations

from typing import Any

import attrs

from hostcap.config import in_schema


@in_schema(anyOf=[{"minimum": -1, "exclusiveMaximum": 0}, {"exclusiveMinimum": 0, "maximum": 1}])
def power_factor(instance: Any, attribute: attrs.Attribute[Any], value: float | None) -> None:
    """0 < |pf| <= 1."""
    if value is not None and not 0.0 < abs(value) <= 1.0:
        raise ValueError(f"{attribute.name!r} must satisfy 0 < |power factor| <= 1, got {value:g}")
