"""The figures of a headroom run, in the language of Vega-Lite: shapes tell statuses apart as well as colours do."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from hostcap.report import Figure
from hostcap_stock.headroom.report.places import STATUS_WORDS

# Okabe and Ito's colours: told apart by every kind of colour vision, and in grey by their shapes.
STATUS_LOOKS: Mapping[str, tuple[str, str]] = {
    "bound": ("#e69f00", "circle"),
    "bound_at_start": ("#d55e00", "triangle-down"),
    "stopped_by_hv": ("#0072b2", "square"),
    "unconstrained": ("#009e73", "triangle-up"),
    "diverged": ("#1d2733", "cross"),
    "no_growth": ("#9aa4ad", "diamond"),
    "no_customers": ("#9aa4ad", "stroke"),
}
OTHER_LOOK = ("#cc79a7", "wedge")
PHASES = {"A": "#0072b2", "B": "#d55e00", "C": "#009e73"}
NAMED_BARS = 40
"""With more places than this, their names would stand on each other."""
ROW = 22
BENT = 6.0
"""Where the largest is more than this many times the median, an axis is bent (square root): else the rest is flat."""

Spec = dict[str, Any]
_CHOSEN = "datum.choice === chosen"


def quantity(column: str, title: str, **more: Any) -> Spec:
    """An axis of numbers."""
    return {"field": column, "type": "quantitative", "title": title, **more}


def status_scales(statuses: Sequence[str]) -> tuple[Spec, Spec]:
    """Colour and shape of the statuses that there are, with one legend."""
    shown = [s for s in STATUS_WORDS if s in statuses] + sorted(set(statuses) - set(STATUS_WORDS))
    words = [STATUS_WORDS.get(s, s.replace("_", " ")) for s in shown]
    looks = [STATUS_LOOKS.get(s, OTHER_LOOK) for s in shown]
    legend = {"title": None, "symbolSize": 110, "symbolStrokeWidth": 1}
    base = {"field": "status", "type": "nominal", "legend": legend}
    return (
        {**base, "scale": {"domain": words, "range": [look[0] for look in looks]}},
        {**base, "scale": {"domain": words, "range": [look[1] for look in looks]}},
    )


def tooltip(**titles: str) -> list[Spec]:
    """What is said of a mark under the pointer."""
    return [{"field": column, "title": title} for column, title in titles.items()]


def place_tooltip(choosing: str, per_customer: bool) -> list[Spec]:
    """What is said of a transformer or location."""
    if per_customer:
        return tooltip(
            name=choosing,
            shown="Headroom per customer",
            total="Whole group, kW",
            customers="Customers",
            status="Status",
            binding="Stopped by",
        )
    return tooltip(name=choosing, shown="Headroom", status="Status", binding="Stopped by")


def bent(values: Sequence[float]) -> bool:
    """Whether an axis from 0 to the largest of some values would press most of them against it."""
    ordered = sorted(values)
    return len(ordered) > 4 and ordered[-1] > BENT * max(ordered[len(ordered) // 2], 1e-9)


def headroom_figure(
    names: Sequence[str], kw: Sequence[float], statuses: Sequence[str], choosing: str, per_customer: bool
) -> Figure:
    """Headroom of every place: named bars where there is room, else a ranking."""
    colour, shape = status_scales(statuses)
    unit = "Headroom, kW per customer" if per_customer else "Headroom, kW"
    scale: Spec = {"type": "sqrt"} if bent(kw) else {"zero": True}
    if bent(kw):
        unit += " (square-root axis)"
    said = place_tooltip(choosing, per_customer)
    bold = {"condition": {"test": _CHOSEN, "value": 3.5}, "value": 1.6}
    size = {"condition": {"test": _CHOSEN, "value": 190}, "value": 85}
    points = {"type": "point", "filled": True, "opacity": 1, "strokeWidth": 1.5, "cursor": "pointer"}
    noun = choosing.lower()
    if len(names) <= NAMED_BARS:
        order = {"field": "name", "type": "nominal", "sort": list(names), "title": None}
        across = quantity("kw", unit, axis={"orient": "top", "grid": True}, scale=scale)
        layers: list[Spec] = [
            {
                "mark": {"type": "rule", "cursor": "pointer"},
                "encoding": {
                    "y": {**order, "axis": {"labelLimit": 260, "labelPadding": 8}},
                    "x": {**quantity("zero", unit)},
                    "x2": {"field": "kw"},
                    "color": colour,
                    "strokeWidth": bold,
                    "tooltip": said,
                },
            },
            {
                "mark": points,
                "encoding": {"y": order, "x": across, "color": colour, "shape": shape, "size": size, "tooltip": said},
            },
            {
                "mark": {"type": "text", "align": "left", "dx": 11, "cursor": "pointer"},
                "encoding": {
                    "y": order,
                    "x": quantity("kw", unit),
                    "text": {"field": "label", "type": "nominal"},
                    "tooltip": said,
                },
            },
        ]
        height = ROW * len(names)
        caption = f"Least headroom first. Click a {noun} to follow it through the page."
    else:
        along = quantity("rank", f"{choosing}s, least headroom first", axis={"tickMinStep": 1, "grid": False})
        up = quantity("kw", unit, scale=scale)
        layers = [
            {
                "mark": {"type": "rule", "opacity": 0.75, "cursor": "pointer"},
                "encoding": {
                    "x": {**along, "scale": {"domain": [0, len(names) + 1], "nice": False}},
                    "y": quantity("zero", unit),
                    "y2": {"field": "kw"},
                    "color": colour,
                    "strokeWidth": bold,
                    "tooltip": said,
                },
            },
            {
                "mark": points,
                "encoding": {
                    "x": along,
                    "y": up,
                    "color": colour,
                    "shape": shape,
                    "size": {"condition": {"test": _CHOSEN, "value": 220}, "value": 40 if len(names) < 200 else 22},
                    "stroke": {"condition": {"test": _CHOSEN, "value": "#1d2733"}, "value": None},
                    "tooltip": said,
                },
            },
            {
                "transform": [{"filter": _CHOSEN}],
                "mark": {"type": "text", "dy": -16, "fontWeight": "bold", "fontSize": 13},
                "encoding": {"x": along, "y": up, "text": {"field": "label", "type": "nominal"}},
            },
        ]
        height = 320
        caption = f"{len(names)} {noun}s, least headroom first. Point at one for its name, click it to follow it."
    return Figure(
        name="headroom",
        title=f"Headroom by {noun}",
        caption=caption,
        spec={"data": {"name": "places"}, "height": height, "layer": layers},
        shape="wide",
    )


def binding_figure(kinds: Mapping[str, int], statuses: Sequence[str], choosing: str) -> Figure:
    """How many places each kind of limit stops."""
    colour, _ = status_scales(statuses)
    noun = choosing.lower()
    most = max(kinds.values())
    room = {"domain": [0, 1.15 * most], "nice": False}  # for the numbers at the ends of the bars
    # The least step alone still gives halves where the axis is hardly longer than one.
    whole = {"format": "d", **({"values": list(range(most + 1))} if most < 10 else {"tickMinStep": 1})}
    row = min(max(220 // len(kinds), 30), 70)
    bars = {"y": {"field": "kind", "type": "nominal", "sort": list(kinds), "title": None, "axis": {"labelLimit": 300}}}
    return Figure(
        name="binding",
        title="What binds",
        caption=f"How many {noun}s each kind of limit stops; colours as above.",
        spec={
            "data": {"name": "places"},
            "height": row * len(kinds),
            "layer": [
                {
                    "mark": {"type": "bar", "height": 0.6 * row},
                    "encoding": {
                        **bars,
                        "x": {"aggregate": "count", "title": f"{choosing}s", "axis": whole, "scale": room},
                        "color": {**colour, "legend": None},
                        "tooltip": [
                            {"field": "kind", "title": "Limit"},
                            {"field": "status", "title": "Status"},
                            {"aggregate": "count", "title": f"{choosing}s"},
                        ],
                    },
                },
                {
                    "mark": {"type": "text", "align": "left", "dx": 6},
                    "encoding": {
                        **bars,
                        "x": {"aggregate": "count", "scale": room},
                        "text": {"aggregate": "count"},
                    },
                },
            ],
        },
    )


def nothing_kept() -> Spec:
    """A layer that says so where the chosen place is one of the data set ``unkept``."""
    return {
        "data": {"name": "unkept"},
        "transform": [{"filter": _CHOSEN}],
        "mark": {
            "type": "text",
            "text": "no state of this location is kept",
            "x": {"expr": "width / 2"},
            "y": {"expr": "height / 2"},
            "fontSize": 13,
            "color": "#5b6875",
        },
        "encoding": {},
    }


def trail_figure(
    choosing: str,
    step_words: str,
    has_feeder: bool,
    *,
    squeeze: bool,
    dots: bool,
    reach: Mapping[str, tuple[float, float, float]] | None = None,
) -> Figure:
    """The smallest margin of the chosen place, step by step.

    Args:
        choosing: What is chosen.
        step_words: What a step is, for the axis.
        has_feeder: Whether the HV feeder has a trail of its own.
        squeeze: Whether the axis of steps is bent.
        dots: Whether each step is a dot.
        reach: Last step, least and largest margin by place, where not every place has a trail; others are listed in the
            data set ``unkept``.
    """
    own = f"chosen {choosing.lower()}"
    either = f"{_CHOSEN}" + (" || datum.choice === ''" if has_feeder else "")
    names = [own, "HV feeder"] if has_feeder else [own]
    colour = {
        "field": "line",
        "type": "nominal",
        "scale": {"domain": names, "range": ["#1d2733", "#0072b2"][: len(names)]},
        "legend": {"title": None, "symbolType": "stroke", "symbolStrokeWidth": 2, "symbolSize": 300},
    }
    dash = {**colour, "scale": {"domain": names, "range": [[1, 0], [6, 4]][: len(names)]}}
    words = f"Step of the search{step_words}" + (", square-root axis" if squeeze else "")
    along: Spec = {"type": "sqrt"} if squeeze else {"zero": True}
    high: Spec = {}
    if reach is not None:
        # A place without a trail has no row to take the axes from.
        of = f"({json.dumps(reach)})[chosen] || [1, 0, 100]"
        along |= {"domain": {"expr": f"[0, max(({of})[0], 1)]"}, "nice": False}
        high |= {"domain": {"expr": f"[min(({of})[1], 0), max(({of})[2], 0)]"}, "zero": False}
    whose = "its limits at the steps that were kept" if choosing == "Transformer" else "any limit at every step"
    across = quantity("step", words, scale=along)
    up = quantity("margin", "Smallest margin, % of the limit", scale=high)
    return Figure(
        name="trail",
        title=f"Trail of the {own}",
        caption=f"The smallest margin of {whose}. At 0 % a limit is reached, below it is broken: the step before "
        "is the headroom.",
        spec={
            "data": {"name": "trail"},
            "height": 260,
            "transform": [
                {"filter": either},
                {"calculate": f"datum.choice === '' ? 'HV feeder' : '{own}'", "as": "line"},
            ],
            "layer": [
                {
                    "mark": {"type": "line", "strokeWidth": 2},
                    "encoding": {
                        "x": across,
                        "y": up,
                        "color": colour,
                        "strokeDash": dash,
                    },
                },
                {
                    "mark": {"type": "point", "filled": True, "size": 24, "opacity": 1 if dots else 0},
                    "encoding": {
                        "x": across,
                        "y": up,
                        "color": colour,
                        "tooltip": tooltip(line="Of", step="Step", margin="Smallest margin, %"),
                    },
                },
                *([nothing_kept()] if reach is not None else []),
                {
                    "data": {"values": [{"y": 0}]},
                    "mark": {"type": "rule", "color": "#d55e00", "strokeWidth": 1.5},
                    "encoding": {"y": {"field": "y", "type": "quantitative", "scale": high}},
                },
            ],
        },
    )


def usage_figure(choosing: str, most: int) -> Figure:
    """Who is behind the limit that stops the chosen place."""
    parts = ["growth", "existing"]
    colour = {
        "field": "part",
        "type": "nominal",
        "scale": {"domain": parts, "range": ["#e69f00", "#5b6875"]},
        "legend": {"title": None, "symbolType": "square"},
    }
    return Figure(
        name="usage",
        title="Who is behind the limit that binds",
        caption=f"Users of what stops the chosen {choosing.lower()}, largest first, the others after {most} as one: "
        "shares of the flow through it, or of the change of its voltage since the start. Below 0 %: holds it back.",
        spec={
            "data": {"name": "usage"},
            "height": 20 * (most + 1),
            "transform": [{"filter": _CHOSEN}],
            "mark": {"type": "bar", "height": 12},
            "encoding": {
                "y": {
                    "field": "user",
                    "type": "nominal",
                    "title": None,
                    "sort": {"field": "rank", "op": "min"},
                    "axis": {"labelLimit": 230},
                },
                "x": quantity("share", "Share, %"),
                "color": colour,
                "tooltip": tooltip(
                    user="User", kind="Kind", part="Part", share="Share, %", amount="Amount", how="Method"
                ),
            },
        },
        shape="wide",
    )


def profile_figure(choosing: str) -> Figure:
    """Headroom over the instants that were searched."""
    across = {
        "field": "at",
        "type": "temporal",
        "title": "End of the interval, UTC",
        "scale": {"type": "utc"},
        "axis": {"format": "%d %b %H:%M", "labelOverlap": True},
    }
    up = quantity("kw", "Headroom, kW", scale={"zero": True})
    noun = choosing.lower()
    return Figure(
        name="profile",
        title="Headroom over time",
        caption=f"Each {noun} searched from every instant by itself: the chosen one in ink, the others in grey. "
        "The least of a line is the answer.",
        spec={
            "data": {"name": "profile"},
            "height": 260,
            "layer": [
                {
                    "mark": {"type": "line", "strokeWidth": 0.7, "color": "#b4bec7", "opacity": 0.6},
                    "encoding": {"x": across, "y": up, "detail": {"field": "choice"}},
                },
                {
                    "transform": [{"filter": _CHOSEN}],
                    "mark": {"type": "line", "strokeWidth": 2.2, "color": "#1d2733", "point": {"size": 30}},
                    "encoding": {
                        "x": across,
                        "y": up,
                        "tooltip": [
                            {"field": "at", "type": "temporal", "title": "End, UTC", "format": "%Y-%m-%d %H:%M"},
                            *tooltip(kw="Headroom, kW"),
                        ],
                    },
                },
                {
                    "transform": [{"filter": f"{_CHOSEN} && datum.least"}],
                    "mark": {"type": "point", "size": 120, "color": "#d55e00", "strokeWidth": 2},
                    "encoding": {"x": across, "y": up},
                },
            ],
        },
        shape="wide",
    )
