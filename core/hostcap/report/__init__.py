"""Reports: what a study shows of its results in pictures, and how it becomes one page, PNG files or GeoJSON.

A study says what there is to see (``StudyPlugin.report``): views, one for each feeder and direction, with figures in
the language of Vega-Lite, the data that they draw, the things that can be chosen, and a table. How it looks, and what
draws it, is decided here, once.
"""

from hostcap.report._geojson import geojson
from hostcap.report._page import page
from hostcap.report._png import pictures
from hostcap.report.records import Cell, Choice, Columns, Extent, Feature, Figure, Report, View

__all__ = [
    "Cell",
    "Choice",
    "Columns",
    "Extent",
    "Feature",
    "Figure",
    "Report",
    "View",
    "geojson",
    "page",
    "pictures",
]
