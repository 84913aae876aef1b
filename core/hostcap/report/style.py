"""How figures look, whoever draws them."""

from __future__ import annotations

from typing import Any

INK, SOFT, FAINT, LINE = "#1d2733", "#5b6875", "#8a949e", "#d9dee3"
FONT = "system-ui, 'Segoe UI', Roboto, 'Helvetica Neue', 'DejaVu Sans', Arial, sans-serif"

CONFIG: dict[str, Any] = {
    "font": FONT,
    "background": "white",
    "view": {"stroke": None},
    "axis": {
        "labelColor": SOFT,
        "titleColor": SOFT,
        "titleFontWeight": "normal",
        "labelFontSize": 12,
        "titleFontSize": 12,
        "gridColor": "#edf0f2",
        "domainColor": LINE,
        "tickColor": LINE,
        "titlePadding": 8,
    },
    "legend": {
        "labelColor": INK,
        "titleColor": SOFT,
        "titleFontWeight": "normal",
        "labelFontSize": 12,
        "titleFontSize": 12,
        "labelLimit": 320,
        "orient": "top",
        "direction": "horizontal",
    },
    "title": {"color": INK, "fontWeight": 600},
    "text": {"color": INK, "fontSize": 12},
}
"""Vega-Lite's configuration: quiet axes, ink for what matters."""
