"""Data sets of a view as they travel: columns with texts coded, or rows as a drawing library wants them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from hostcap.report.records import Columns, Figure

DIGITS = 6
"""Significant digits of numbers: a screen shows no more."""
AUTOSIZE = {"type": "fit-x", "contains": "padding"}
"""The width of a figure is that of all of it; its height that of the plot, whatever stands above and below."""
WIDTH, LEAST_HEIGHT, MOST_HEIGHT, AIR = 760, 260, 620, 1.06
"""Pixels of a picture, and how much air is left around a map."""


def plain(value: Any) -> Any:
    """A value as JSON holds it: nan and infinity are missing, numbers are short."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        if not math.isfinite(value):
            return None
        short = float(f"{value:.{DIGITS}g}")
        return int(short) if short == int(short) and abs(short) < 1e15 else short
    return value


def packed(columns: Columns) -> dict[str, Any]:
    """Columns for the page: texts as codes into their distinct values."""
    found: dict[str, Any] = {}
    for name, values in columns.items():
        listed = [plain(value) for value in values]
        if any(isinstance(value, str) for value in listed):
            code = {value: i for i, value in enumerate(dict.fromkeys(listed))}
            found[name] = {"of": list(code), "at": [code[value] for value in listed]}
        else:
            found[name] = listed
    return found


def records(columns: Columns) -> list[dict[str, Any]]:
    """Rows, as Vega-Lite takes them."""
    listed = [[plain(value) for value in values] for values in columns.values()]
    return [dict(zip(columns, row, strict=True)) for row in zip(*listed, strict=True)]


def data_sets(spec: Any) -> set[str]:
    """Names of the data sets that a figure draws."""
    if isinstance(spec, Mapping):
        own = spec.get("data")
        named = {str(own["name"])} if isinstance(own, Mapping) and "name" in own else set()
        return named.union(*(data_sets(part) for part in spec.values()))
    return set().union(*(data_sets(part) for part in spec)) if isinstance(spec, (list, tuple)) else set()


def complete_spec(figure: Figure, data: Mapping[str, Columns], chosen: str) -> dict[str, Any]:
    """A figure's specification with its data and size: what the page does in its own way."""
    spec = {
        **figure.spec,
        "width": WIDTH,
        "autosize": AUTOSIZE,
        "datasets": {name: records(data[name]) for name in sorted(data_sets(figure.spec))},
    }
    spec["params"] = [*figure.spec.get("params", []), {"name": "chosen", "value": chosen}]
    if figure.extent is not None:
        (x0, x1), (y0, y1) = figure.extent.x, figure.extent.y
        wide, high = max(x1 - x0, 1e-9), max(y1 - y0, 1e-9)
        spec["height"] = min(max(WIDTH * high / wide, LEAST_HEIGHT), MOST_HEIGHT)
        per_pixel = AIR * max(wide / WIDTH, high / spec["height"])
        spans = {
            "x": [(x0 + x1 - per_pixel * WIDTH) / 2, (x0 + x1 + per_pixel * WIDTH) / 2],
            "y": [(y0 + y1 - per_pixel * spec["height"]) / 2, (y0 + y1 + per_pixel * spec["height"]) / 2],
        }
        spec["autosize"] = {"type": "pad"}
        spec["layer"] = [_within(layer, spans) for layer in spec["layer"]]
    return spec


def _within(layer: Mapping[str, Any], spans: Mapping[str, list[float]]) -> dict[str, Any]:
    encoding = {
        channel: {**what, "scale": {**what.get("scale", {}), "domain": spans[channel]}} if channel in spans else what
        for channel, what in layer["encoding"].items()
    }
    return {**layer, "encoding": encoding}
