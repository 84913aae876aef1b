"""Figures as PNG files."""

from __future__ import annotations

import re
from collections.abc import Iterator

from hostcap.report.library import VEGA_LITE, drawing
from hostcap.report.packing import complete_spec
from hostcap.report.records import Report
from hostcap.report.style import CONFIG

SCALE = 2.0
"""Pixels of the file for one of the picture: sharp in print."""


def pictures(report: Report) -> Iterator[tuple[str, bytes]]:
    """Each figure of each view, with its first choice: (file name, content of a PNG file).

    Raises:
        PluginError: The drawing library is not installed.
    """
    library = drawing()
    for view in report.views:
        chosen = view.choices[0].id if view.choices else ""
        for figure in view.figures:
            title = {"text": f"{figure.title}: {view.label}", "anchor": "start", "fontSize": 15, "offset": 12}
            spec = {**complete_spec(figure, view.data, chosen), "title": title, "config": CONFIG}
            name = re.sub(r"[^\w.-]+", "-", f"{view.label}-{figure.name}")
            yield f"{name}.png", library.vegalite_to_png(spec, vl_version=VEGA_LITE, scale=SCALE)
