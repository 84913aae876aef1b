"""Voltages along the feeder with growth at one HV location, in the language of Vega-Lite."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from attrs import frozen

from hostcap.report import Figure
from hostcap_stock.headroom.report.figures import PHASES, Spec, nothing_kept, quantity, tooltip
from hostcap_stock.headroom.report.voltages import LEVELS, limit_layers

_CHOSEN = "datum.choice === chosen"


@frozen(kw_only=True)
class Drawn:
    """Which column of the data set ``voltages`` is whose.

    Attributes:
        columns: State by name of its column.
        start_of, stop_of: Column by place; places without one kept no state, or had no room.
        phases: Phases of HV nodes that there are.
        lv: Whether there are LV nodes.
    """

    columns: Mapping[str, Any]
    start_of: Mapping[str, str]
    stop_of: Mapping[str, str]
    phases: tuple[str, ...] = ()
    lv: bool = True


def location_voltage_figure(
    which: str, drawn: Drawn, span: tuple[float, float], far: float, *, limits: bool, unkept: bool
) -> Figure:
    """Voltage of every phase against the distance from the source, at the start or at the stop of the chosen place.

    Args:
        which: start or stop.
        drawn: What is drawn.
        span: Of the voltages, per unit.
        far: Largest distance, km.
        limits: Whether there are limits to draw.
        unkept: Whether there are places without a state.
    """
    at_start = which == "start"
    # All starts are one, unless the locations answer at several instants.
    column_of = dict(drawn.start_of if at_start else drawn.stop_of)
    alone = next(iter(column_of.values())) if at_start and len(set(column_of.values())) == 1 else ""
    column = json.dumps(alone) if alone else f"({json.dumps(column_of)})[chosen]"
    pu: list[Spec] = [{"calculate": f"datum[{column}]", "as": "pu"}, {"filter": "isValid(datum.pu)"}]
    across = quantity("km", "Distance from the source along lines, km", scale={"domain": [0, far or 1.0]})
    up = quantity(
        "pu", "Voltage, per unit of nominal", scale={"domain": list(span), "nice": False, "zero": False, "clamp": True}
    )
    phase = {
        "field": "phase",
        "type": "nominal",
        "scale": {"domain": [*PHASES, "ABC"], "range": [*PHASES.values(), "#1d2733"]},
        "legend": {"title": "HV, phase", "symbolType": "circle", "values": list(drawn.phases)},
    }
    lower = {**LEVELS, "legend": {**LEVELS["legend"], "values": ["LV"]}}
    said = tooltip(bus="Bus", phase="Phase", level="Level", km="Distance, km", pu="Voltage, pu")
    layers: list[Spec] = [
        {
            "data": {"name": "voltages"},
            "transform": [*pu, {"filter": f"datum.level === '{level}'"}],
            "mark": {"type": "point", "filled": True, **look},
            "encoding": {"x": across, "y": up, "color": colour, "tooltip": said},
        }
        for level, look, colour in (
            ("LV", {"size": 9, "opacity": 0.55}, lower),
            ("HV", {"size": 26, "opacity": 0.9}, phase),
        )
        if level == "HV" or drawn.lv
    ]
    layers += [
        {
            "data": {"name": "grows"},
            "transform": [{"filter": _CHOSEN}],
            "mark": {"type": "rule", "color": "#1d2733", "strokeDash": [2, 3], "clip": True},
            "encoding": {"x": across},
        },
    ]
    if unkept and not at_start:
        layers.append(nothing_kept())
    if limits:
        layers += limit_layers()
    where = (
        "Loads and generation as at the start of the search."
        if at_start
        else "With growth at the chosen location alone: the state that stopped it, or its last step where none did."
    )
    return Figure(
        name=f"voltage-{which}",
        title=f"Voltage along the feeder at the {which}",
        caption=f"{where} A point is one phase of a bus, at HV in the colour of its phase; the dotted line is as far "
        "away as the chosen location.",
        spec={"height": 320, "layer": layers, "resolve": {"scale": {"color": "independent"}}},
    )
