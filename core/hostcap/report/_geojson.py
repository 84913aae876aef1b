"""What is on the map, as GeoJSON: longitude and latitude on WGS 84, as RFC 7946 demands."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from hostcap.errors import OutputError, PluginError
from hostcap.report.library import INSTALL
from hostcap.report.packing import plain
from hostcap.report.records import Feature, Report

DIGITS = 7
"""Digits of a degree that are written: about a centimetre."""


def geojson(report: Report, crs: str | None) -> str:
    """Every feature of every view.

    Args:
        report: What is on the map.
        crs: What the model's coordinates are, such as ``EPSG:28355``; a model does not say it.

    Raises:
        OutputError: There are no coordinates, or it is not said what they are, or they lead nowhere.
        PluginError: The library that transforms coordinates is not installed.
    """
    features = [feature for view in report.views for feature in view.features]
    if not features:
        raise OutputError("GeoJSON: the results hold no coordinates; give the model's buses coordinates (Buscoords)")
    if crs is None:
        raise OutputError(
            "GeoJSON holds longitude and latitude, and a model does not say what its coordinates are "
            f"({_span(features)}); give --crs, such as EPSG:28355, or EPSG:4326 where they are longitude and latitude"
        )
    transform = _transformer(crs)
    listed = [
        {
            "type": "Feature",
            "geometry": {"type": f.kind, "coordinates": _moved(f.coordinates, transform, crs)},
            "properties": {name: plain(value) for name, value in f.properties.items()},
        }
        for f in features
    ]
    return json.dumps({"type": "FeatureCollection", "features": listed}, ensure_ascii=False, allow_nan=False) + "\n"


def _span(features: Sequence[Feature]) -> str:
    pairs = [pair for feature in features for pair in _pairs(feature.coordinates)]
    xs, ys = [p[0] for p in pairs], [p[1] for p in pairs]
    return f"x {min(xs):g} to {max(xs):g}, y {min(ys):g} to {max(ys):g}"


def _pairs(nested: Sequence[Any]) -> list[Sequence[float]]:
    if not isinstance(nested[0], Sequence):
        return [nested]
    return [pair for inner in nested for pair in _pairs(inner)]


def _transformer(crs: str) -> Any:
    try:
        from pyproj import Transformer
        from pyproj.exceptions import ProjError
    except ImportError as error:
        raise PluginError(f"coordinates are transformed by pyproj, which is not installed; {INSTALL}") from error
    try:
        return Transformer.from_crs(crs, "EPSG:4326", always_xy=True)
    except ProjError as error:
        raise OutputError(f"--crs: {crs!r} is no coordinate reference system; expected such as EPSG:28355") from error


def _moved(nested: Sequence[Any], transform: Any, crs: str) -> list[Any]:
    if isinstance(nested[0], Sequence):
        return [_moved(inner, transform, crs) for inner in nested]
    longitude, latitude = transform.transform(nested[0], nested[1])
    if not (-180.0 <= longitude <= 180.0 and -90.0 <= latitude <= 90.0):
        raise OutputError(f"--crs: {crs} cannot hold the coordinates ({nested[0]:g}, {nested[1]:g})")
    return [round(longitude, DIGITS), round(latitude, DIGITS)]
