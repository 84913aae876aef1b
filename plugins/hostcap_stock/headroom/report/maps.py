"""The feeder on a map: lines, transformers by status, what binds; drawn on the page, and as features for elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from attrs import field, frozen

from hostcap.findings import counted
from hostcap.report import Columns, Extent, Feature, Figure
from hostcap_stock.headroom.report.figures import place_tooltip, quantity, status_scales
from hostcap_stock.headroom.report.places import Place, value_words
from hostcap_stock.headroom.report.reading import Reader

SHORT = 0.015
"""Part of a feeder's extent below which a line that binds gets a mark."""
WIDE = 1.4
"""A feeder that is this many times as wide as high gets the whole width of the page."""
_CHOSEN = "datum.choice === chosen"
Point = tuple[float, float]


@frozen(kw_only=True, eq=False)
class Ground:
    """Where things are, in the model's own coordinates.

    Attributes:
        buses: Coordinates of the buses that have some.
        bus_count: Buses with and without.
        lines: (equipment, type, group or "", from, to) of branches with coordinates at both ends.
        transformers: Coordinates of the transformers that have some.
        ends: First bus of every branch, by (type, equipment).
    """

    buses: Mapping[str, Point]
    bus_count: int
    lines: Sequence[tuple[str, str, str, Point, Point]] = field(factory=tuple)
    transformers: Mapping[str, Point] = field(factory=dict)

    def position(self, place: Place) -> Point | None:
        """Where a transformer or location is: the middle of its transformers, or a bus of that name."""
        found = [self.transformers[name] for name in place.equipment if name in self.transformers]
        found = found or [self.buses[name] for name in place.equipment if name in self.buses]
        found = found or [line[3] for line in self.lines if line[0] in place.equipment][:1]
        if not found:
            return None
        return float(np.mean([x for x, _ in found])), float(np.mean([y for _, y in found]))

    def asset(self, row: Mapping[str, Any]) -> tuple[str, Sequence[Any]] | None:
        """Geometry of what binds: a point for a bus or transformer, a line for a line."""
        name, kind = str(row["conducting_equipment_mrid"]), str(row["conducting_equipment_type"])
        if kind == "Bus":
            return ("Point", self.buses[name]) if name in self.buses else None
        if kind == "Transformer":
            return ("Point", self.transformers[name]) if name in self.transformers else None
        parts = [[line[3], line[4]] for line in self.lines if line[0] == name and line[1] == kind]
        return ("MultiLineString", parts) if parts else None


def read_ground(reader: Reader) -> Ground | None:
    """Coordinates of the feeder; None where the run holds none."""
    buses = reader.columns("feeder_buses", "bus", "x", "y")
    if buses is None or not np.any(np.isfinite(buses["x"].astype(np.float64))):
        return None
    known = {
        str(bus): (float(x), float(y))
        for bus, x, y in zip(buses["bus"], buses["x"], buses["y"], strict=True)
        if np.isfinite(x) and np.isfinite(y)
    }
    lines: list[tuple[str, str, str, Point, Point]] = []
    transformers: dict[str, Point] = {}
    for row in reader.rows("feeder_branches", "from_bus", "to_bus"):
        name, kind = str(row["conducting_equipment_mrid"]), str(row["conducting_equipment_type"])
        first, other = known.get(row["from_bus"]), known.get(row["to_bus"])
        if kind == "Transformer":
            spot = other or first
            if spot is not None:
                transformers.setdefault(name, spot)
        if first is not None and other is not None:
            lines.append((name, kind, str(row["capacity_group_head_id"] or ""), first, other))
    return Ground(buses=known, bus_count=buses["bus"].size, lines=tuple(lines), transformers=transformers)


def map_data(ground: Ground, places: Sequence[Place], shown: Columns) -> dict[str, Columns]:
    """Data sets of the map: ``lines``, ``spots`` (places with their positions), ``binding``."""
    where = [ground.position(place) for place in places]
    kept = [i for i, spot in enumerate(where) if spot is not None]
    spots = {name: [values[i] for i in kept] for name, values in shown.items()}
    binding: dict[str, list[Any]] = {n: [] for n in ("choice", "x", "y", "x2", "y2", "label")}
    for place in places:
        asset = None if place.binding is None else ground.asset(place.binding)
        if asset is None or place.binding is None:
            continue
        label = f"{place.stopped_by}: {value_words(place.binding, 'violating_value')}"
        parts = [(asset[1], asset[1])] if asset[0] == "Point" else asset[1]
        for (x, y), (x2, y2) in parts:
            for column, value in zip(binding, (place.id, x, y, x2, y2, label), strict=True):
                binding[column].append(value)
    return {
        "lines": {
            "choice": [line[2] for line in ground.lines],
            "name": [line[0] for line in ground.lines],
            "level": ["LV" if line[2] else "HV" for line in ground.lines],
            "x": [line[3][0] for line in ground.lines],
            "y": [line[3][1] for line in ground.lines],
            "x2": [line[4][0] for line in ground.lines],
            "y2": [line[4][1] for line in ground.lines],
        },
        "spots": {**spots, "x": [where[i][0] for i in kept], "y": [where[i][1] for i in kept]},  # type: ignore[index]
        "bindings": binding,
    }


def map_figure(ground: Ground, statuses: Sequence[str], choosing: str, per_customer: bool) -> Figure:
    """The map."""
    colour, shape = status_scales(statuses)
    x, y = np.asarray(list(ground.buses.values())).T
    axis = {"grid": False, "ticks": False, "labels": False, "domain": False}
    across = quantity("x", None, axis=axis, scale={"zero": False, "nice": False})  # type: ignore[arg-type]
    up = quantity("y", None, axis=axis, scale={"zero": False, "nice": False})  # type: ignore[arg-type]
    ends = {"x": across, "y": up, "x2": {"field": "x2"}, "y2": {"field": "y2"}}
    missing = ground.bus_count - len(ground.buses)
    note = (
        f" {missing} of {counted(ground.bus_count, 'bus', 'buses')} without coordinates: not drawn." if missing else ""
    )
    noun = choosing.lower()
    short = SHORT * max(float(np.ptp(x)), float(np.ptp(y)))
    layers: list[dict[str, Any]] = [
        {
            "params": [{"name": "moved", "select": "interval", "bind": "scales"}],
            "data": {"name": "lines"},
            "mark": {"type": "rule", "clip": True},
            "encoding": {
                **ends,
                "color": {
                    "field": "level",
                    "type": "nominal",
                    "scale": {"domain": ["HV", "LV"], "range": ["#4d5a66", "#b4bec7"]},
                    "legend": {"title": "lines", "symbolType": "stroke", "symbolStrokeWidth": 2},
                },
                "strokeWidth": {"condition": {"test": "datum.level === 'HV'", "value": 1.8}, "value": 0.9},
            },
        },
        {
            "data": {"name": "lines"},
            "transform": [{"filter": f"datum.choice !== '' && {_CHOSEN}"}],
            "mark": {"type": "rule", "color": "#1d2733", "strokeWidth": 2.4, "clip": True},
            "encoding": {**ends, "tooltip": [{"field": "name", "title": "Line"}]},
        },
        {
            "data": {"name": "spots"},
            "mark": {"type": "point", "filled": True, "opacity": 0.95, "cursor": "pointer", "clip": True},
            "encoding": {
                "x": across,
                "y": up,
                "color": {**colour, "legend": None},
                "shape": {**shape, "legend": None},
                "size": {"condition": {"test": _CHOSEN, "value": 260}, "value": 80},
                "stroke": {"condition": {"test": _CHOSEN, "value": "#1d2733"}, "value": "white"},
                "strokeWidth": {"condition": {"test": _CHOSEN, "value": 2.5}, "value": 0.8},
                "tooltip": place_tooltip(choosing, per_customer),
            },
        },
        {
            "data": {"name": "bindings"},
            "transform": [{"filter": _CHOSEN}],
            "mark": {"type": "rule", "color": "#cc79a7", "strokeWidth": 6, "opacity": 0.9, "clip": True},
            "encoding": {**ends, "tooltip": [{"field": "label", "title": "Binds"}]},
        },
        {
            "data": {"name": "bindings"},
            # A fuse or a switch is too short a line to be seen.
            "transform": [
                {"filter": f"{_CHOSEN} && max(abs(datum.x2 - datum.x), abs(datum.y2 - datum.y)) <= {short:.6g}"},
                {"calculate": "(datum.x + datum.x2) / 2", "as": "x"},
                {"calculate": "(datum.y + datum.y2) / 2", "as": "y"},
            ],
            "mark": {"type": "point", "shape": "diamond", "size": 340, "color": "#cc79a7", "strokeWidth": 3},
            "encoding": {"x": across, "y": up, "tooltip": [{"field": "label", "title": "Binds"}]},
        },
    ]
    return Figure(
        name="map",
        title="Map",
        caption=f"Lines and {noun}s, colours and shapes as above; what belongs to the chosen {noun} in ink, what stops "
        f"it in pink. Drag to move, turn the wheel to zoom; the model's own coordinates, north up if they are.{note}",
        spec={"layer": layers, "resolve": {"scale": {"color": "independent", "shape": "independent"}}},
        shape="wide" if np.ptp(x) > WIDE * np.ptp(y) else "tall",
        extent=Extent(x=(float(x.min()), float(x.max())), y=(float(y.min()), float(y.max()))),
    )


def features(reader: Reader, ground: Ground, places: Sequence[Place]) -> list[Feature]:
    """Places, the LV lines below them, and what binds them."""
    found: list[Feature] = []
    below: dict[str, list[list[Point]]] = {}
    for _, kind, group, first, other in ground.lines:
        if group and kind == "Line":
            below.setdefault(group, []).append([first, other])
    for place in places:
        about = {
            "feeder": reader.feeder,
            "direction": reader.direction,
            "name": place.name,
            "status": place.status,
            "headroom_kw": place.kw,
            "total_kw": place.total_kw,
            "stopped_by": place.stopped_by,
        }
        spot = ground.position(place)
        if spot is not None:
            found.append(Feature(kind="Point", coordinates=spot, properties={"what": "headroom", **about}))
        if place.id in below:
            found.append(
                Feature(kind="MultiLineString", coordinates=below[place.id], properties={"what": "lines", **about})
            )
        asset = None if place.binding is None else ground.asset(place.binding)
        if asset is not None and place.binding is not None:
            row = place.binding
            more = {
                "what": "binding",
                "stops": place.name,
                "feeder": reader.feeder,
                "direction": reader.direction,
                "equipment": row["conducting_equipment_mrid"],
                "equipment_type": row["conducting_equipment_type"],
                "phase": row["phase"],
                "metric": row["metric"],
                "value": row["violating_value"],
                "limit": row["constraint_limit"],
                "unit": row["unit"],
            }
            found.append(Feature(kind=asset[0], coordinates=asset[1], properties=more))
    return found
