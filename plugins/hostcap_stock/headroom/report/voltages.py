"""Voltages along the feeder: data and figures of the groups, and the limits in them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from hostcap.findings import counted
from hostcap.report import Columns, Figure
from hostcap_stock.headroom.report.figures import PHASES, Spec, quantity, tooltip
from hostcap_stock.headroom.report.reading import Reader, number, span_of

LEVELS: Spec = {
    "field": "level",
    "type": "nominal",
    "scale": {"domain": ["HV", "LV"], "range": ["#4d5a66", "#b4bec7"]},
    "legend": {"title": None, "symbolType": "circle", "symbolOpacity": 1},
}
_CHOSEN = "datum.choice === chosen"


def add_voltages(reader: Reader, figures: list[Figure], data: dict[str, Columns], notes: list[str]) -> None:
    """Add the figures of the groups' voltages and their data sets, where the run holds ``node_voltages``."""
    nodes = reader.columns("node_voltages", "bus", "start_v", "stop_v", "nominal_v")
    buses = reader.columns("feeder_buses", "bus", "distance_km", "voltage_level")
    if nodes is None or buses is None:
        notes.append("No voltages along the feeder: the run does not hold both node_voltages and feeder_buses.")
        return
    row_of = {bus: i for i, bus in enumerate(buses["bus"].tolist())}
    at = np.asarray([row_of.get(bus, -1) for bus in nodes["bus"].tolist()])
    km = np.where(at >= 0, buses["distance_km"].astype(np.float64)[at], np.nan)
    level = np.where(at >= 0, buses["voltage_level"][at], "LV")
    kept = np.isfinite(km)
    if not np.all(kept):
        notes.append(
            f"{int(np.sum(~kept))} of {counted(kept.size, 'node')} without distance from the source: not drawn."
        )
    if not np.any(kept):
        return
    nominal = nodes["nominal_v"].astype(np.float64)
    start, stop = nodes["start_v"] / nominal, nodes["stop_v"] / nominal
    data["voltages"] = {
        "choice": ["" if head is None else head for head in nodes["capacity_group_head_id"][kept].tolist()],
        "bus": nodes["bus"][kept],
        "phase": nodes["phase"][kept],
        "level": level[kept],
        "km": np.round(km[kept], 4),
        "start": np.round(start[kept], 5),
        "stop": np.round(stop[kept], 5),
    }
    limits = limit_lines(nodes, level, nominal)
    data["limits"] = limits
    seen = [*limits["pu"], *start[kept & np.isfinite(start)].tolist(), *stop[kept & np.isfinite(stop)].tolist()]
    has_groups = any(data["voltages"]["choice"])
    figures += [voltage_figure(which, span_of(seen), bool(limits["pu"]), has_groups) for which in ("start", "stop")]


def limit_lines(nodes: Mapping[str, Any], level: Any, nominal: Any) -> dict[str, Any]:
    """Distinct limits of each voltage level, per unit of nominal, in the words of volts at LV."""
    lines: dict[tuple[str, str, float], list[float]] = {}
    for side, column in (("min", "min_v"), ("max", "max_v")):
        volts = nodes[column].astype(np.float64)
        for which in ("LV", "HV"):
            own = (level == which) & np.isfinite(volts)
            for value in np.unique(np.round(volts[own] / nominal[own], 5)).tolist():
                lines[which, side, value] = np.unique(
                    np.round(volts[own & np.isclose(volts / nominal, value, atol=1e-5)], 2)
                ).tolist()
    labels = [
        f"{which} {side} {number(volts[0], 'V')}" if which == "LV" and len(volts) == 1 else f"{which} {side} {pu:g} pu"
        for (which, side, pu), volts in lines.items()
    ]
    return {"pu": [pu for _, _, pu in lines], "level": [which for which, _, _ in lines], "label": labels}


def voltage_figure(which: str, span: tuple[float, float], limits: bool, has_groups: bool) -> Figure:
    """Voltage of every phase against the distance from the source, at the start or the stop."""
    column, words = ("start", "the start") if which == "start" else ("stop", "the stop")
    across = quantity("km", "Distance from the source along lines, km")
    up = quantity(
        column,
        "Voltage, per unit of nominal",
        scale={"domain": list(span), "nice": False, "zero": False, "clamp": True},
    )
    phase = {
        "field": "phase",
        "type": "nominal",
        "scale": {"domain": list(PHASES), "range": list(PHASES.values())},
        "legend": {"title": "chosen, phase", "symbolType": "circle"},
    }
    said = tooltip(bus="Bus", phase="Phase", level="Level", km="Distance, km", start="Start, pu", stop="Stop, pu")
    layers: list[Spec] = [
        {
            "data": {"name": "voltages"},
            "mark": {"type": "point", "filled": True, "size": 9, "opacity": 0.55},
            "encoding": {"x": across, "y": up, "color": LEVELS, "tooltip": said},
        }
    ]
    if has_groups:
        layers.append(
            {
                "data": {"name": "voltages"},
                "transform": [{"filter": f"{_CHOSEN} && datum.level === 'LV'"}],
                "mark": {"type": "point", "filled": True, "size": 34, "opacity": 0.95},
                "encoding": {
                    "x": across,
                    "y": up,
                    "color": phase,
                    "shape": {
                        **phase,
                        "scale": {"domain": list(PHASES), "range": ["circle", "square", "triangle-up"]},
                        "legend": {"title": "chosen, phase"},
                    },
                    "tooltip": said,
                },
            }
        )
    if limits:
        layers += limit_layers()
    where = (
        "Loads and generation as at the start of the search."
        if which == "start"
        else "Each transformer's LV nodes in the state that stopped it, the HV nodes in the last state of the search."
    )
    return Figure(
        name=f"voltage-{which}",
        title=f"Voltage along the feeder at {words}",
        caption=f"{where} A point is one phase of a bus.",
        spec={"height": 320, "layer": layers, "resolve": {"scale": {"color": "independent", "shape": "independent"}}},
    )


def limit_layers() -> list[Spec]:
    """Lines of the data set ``limits``, LV labels at the right and HV labels at the left."""
    rule = {"field": "pu", "type": "quantitative"}
    return [
        {
            "data": {"name": "limits"},
            "mark": {"type": "rule", "strokeDash": [6, 4], "color": "#d55e00", "clip": True},
            "encoding": {"y": rule, "tooltip": tooltip(label="Limit", pu="per unit")},
        },
        {
            "data": {"name": "limits"},
            "transform": [{"filter": "datum.level === 'LV'"}],
            "mark": {"type": "text", "align": "right", "dx": -4, "dy": -6, "color": "#a84600", "fontSize": 11},
            "encoding": {"y": rule, "x": {"value": "width"}, "text": {"field": "label", "type": "nominal"}},
        },
        {
            "data": {"name": "limits"},
            "transform": [{"filter": "datum.level === 'HV'"}],
            "mark": {"type": "text", "align": "left", "dx": 4, "dy": -6, "color": "#a84600", "fontSize": 11},
            "encoding": {"y": rule, "x": {"value": 0}, "text": {"field": "label", "type": "nominal"}},
        },
    ]
