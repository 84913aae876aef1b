"""What a report holds: views, figures, data, choices, features on a map."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import attrs
from attrs import field, frozen

Columns = Mapping[str, Any]
"""A data set: arrays or lists of one length by column; None and nan are missing values."""
Cell = str | float | int | None
"""What stands in a table: text, a number, or nothing."""


def _names_one(instance: Any, attribute: attrs.Attribute[str], value: str) -> None:
    if not value.replace("-", "").isalnum():
        raise ValueError(f"figure name {value!r} must be kebab-case, such as 'voltage-start'")


@frozen(kw_only=True)
class Extent:
    """Corners of a map, in its own coordinates; drawn with one scale for both axes."""

    x: tuple[float, float]
    y: tuple[float, float]


@frozen(kw_only=True)
class Figure:
    """One picture.

    Attributes:
        name: Kebab-case; part of the name of its PNG file.
        title: Its heading.
        caption: What is to be seen and how to read it, for those who cannot see it too.
        spec: Vega-Lite, without ``data`` at the top: marks name the data sets of their view, as in
            ``{"data": {"name": "groups"}}``. The parameter ``chosen`` is the id of what is chosen.
        shape: ``wide`` takes the whole width, ``tall`` stands beside two others, ``plain`` beside one.
        extent: Corners of a map; None for other figures.
    """

    name: str = field(validator=_names_one)
    title: str
    caption: str
    spec: Mapping[str, Any]
    shape: Literal["plain", "wide", "tall"] = "plain"
    extent: Extent | None = None


@frozen(kw_only=True)
class Choice:
    """Something that can be chosen in a view, such as a transformer.

    Attributes:
        id: As the data sets call it.
        label: In the list.
        facts: What is said of it when it is chosen: (what, value).
    """

    id: str
    label: str
    facts: tuple[tuple[str, str], ...]


@frozen(kw_only=True)
class Feature:
    """Something on the map, in the model's own coordinates.

    Attributes:
        kind: ``Point`` (one pair) or ``MultiLineString`` (lists of pairs).
        coordinates: As GeoJSON nests them.
        properties: Plain values.
    """

    kind: str
    coordinates: Sequence[Any]
    properties: Mapping[str, Any]


@frozen(kw_only=True, eq=False)
class View:
    """One feeder in one direction.

    Attributes:
        feeder: Name of the feeder.
        direction: export or import.
        label: In the list of views.
        facts: Big numbers: (number, what it is).
        figures: In the order to show.
        data: Data sets by name.
        choosing: What is chosen, such as ``Transformer``.
        choices: What can be chosen; the first is chosen first.
        head, rows: The table below the pictures; text is left, numbers are right. ``row_choices`` says which choice a
            row is about.
        notes: What is not drawn, and why.
        findings: (severity, code, message, element).
        features: For a map elsewhere.
    """

    feeder: str
    direction: str
    label: str
    facts: tuple[tuple[str, str], ...]
    figures: tuple[Figure, ...]
    data: Mapping[str, Columns]
    choosing: str
    choices: tuple[Choice, ...]
    head: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    row_choices: tuple[str, ...]
    notes: tuple[str, ...] = ()
    findings: tuple[tuple[str, str, str, str], ...] = ()
    features: tuple[Feature, ...] = ()


@frozen(kw_only=True, eq=False)
class Report:
    """A whole report.

    Attributes:
        title: Name of the study.
        subtitle: What it asks, in a sentence.
        limits: The limits applied.
        facts: About the run: (what, value).
        views: One for each feeder and direction.
    """

    title: str
    subtitle: str
    limits: str
    facts: tuple[tuple[str, str], ...]
    views: tuple[View, ...]
