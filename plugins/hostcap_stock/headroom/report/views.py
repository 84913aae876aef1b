"""From the tables of a headroom run to the views of its report."""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hostcap.report import Cell, Choice, Columns, Figure, Report, View
from hostcap.tables import Results
from hostcap_stock.headroom.report.figures import (
    binding_figure,
    headroom_figure,
    profile_figure,
    trail_figure,
)
from hostcap_stock.headroom.report.locations import add_location_voltages, kept_locations, trails_of
from hostcap_stock.headroom.report.maps import features, map_data, map_figure, read_ground
from hostcap_stock.headroom.report.places import IDLE, LOWER_BOUND, Place, read_places, value_words
from hostcap_stock.headroom.report.reading import MISSING, Reader, minute, number
from hostcap_stock.headroom.report.usage import add_usage
from hostcap_stock.headroom.report.voltages import add_voltages

LONG_TRAIL = 200
"""Steps beyond which the first ones would be pressed together."""
FEW_STEPS = 60
"""Steps up to which each is a dot."""
MAIN_TABLES = ("lv_group_hosting_capacity", "hv_node_headroom")


def headroom_report(results: Results) -> Report:
    """The report of a run of a headroom study; without views where the run holds no headroom."""
    study = tomllib.loads(str(results.summary.get("study", "")))
    views = []
    for main in MAIN_TABLES:
        if main not in results.names:
            continue
        table = results[main]
        pairs = dict.fromkeys(zip(table["feeder"].tolist(), table["headroom_direction"].tolist(), strict=True))
        for feeder, direction in pairs:
            reader = Reader(results=results, feeder=feeder, direction=direction)
            views.append(_view(reader, study, len({d for _, d in pairs}) > 1))
    limits = next((results[main].metadata.get("limits", "") for main in MAIN_TABLES if main in results.names), "")
    return Report(
        title=str(results.summary.get("name", "")),
        subtitle=_subtitle(study, results),
        limits=limits or "none stated",
        facts=_run_facts(results),
        views=tuple(views),
    )


def _subtitle(study: Mapping[str, Any], results: Results) -> str:
    who = "each HV location by itself" if "hv_node_headroom" in results.names else "all customers together"
    scope = study.get("scope", {})
    asked = str(study.get("injection", {}).get("direction", "export"))
    words = "export, and import" if asked == "both" else asked
    start = str(study.get("initial_state", {}).get("plugin", "as-modelled"))
    where = ", ".join(map(str, scope.get("feeders", ()))) or "the network"
    variant = f"; variant of the network: {scope['variant']}" if "variant" in scope else ""
    return f"How much more can {who} {words} on {where}? Start: {start}; year: {scope.get('year', MISSING)}{variant}."


def _run_facts(results: Results) -> tuple[tuple[str, str], ...]:
    summary = results.summary
    versions = ", ".join(f"{name} {number}" for name, number in summary.get("versions", {}).items())
    facts = [
        ("Run", results.work_package_id),
        ("State", str(summary.get("state", MISSING))),
        ("Seconds", str(summary.get("seconds", MISSING))),
        ("Versions", versions or MISSING),
    ]
    facts += [(f"Failed: {feeder}", message) for feeder, message in results.failed.items()]
    return tuple(facts)


def _view(reader: Reader, study: Mapping[str, Any], several_directions: bool) -> View:
    places = sorted(read_places(reader), key=lambda place: (place.status in IDLE, place.kw, place.status, place.name))
    per_customer = places[0].customers is not None
    choosing = "Transformer" if per_customer else "Location"
    shown = _shown(places)
    statuses = list(dict.fromkeys(place.status for place in places))
    counted = Counter(place.kind for place in places)
    figures: list[Figure] = [
        headroom_figure(
            [place.name for place in places], [place.kw for place in places], statuses, choosing, per_customer
        ),
        binding_figure(dict(counted.most_common()), statuses, choosing),
    ]
    data: dict[str, Columns] = {"places": shown}
    notes: list[str] = []
    if per_customer:
        _add_trail(reader, study, figures, data, notes)
    else:
        _add_location_trail(reader, study, places, figures, data)
    ground = read_ground(reader)
    if ground is None:
        notes.append("No map: the run holds no coordinates of buses (a model gives them with Buscoords).")
    else:
        data |= map_data(ground, places, shown)
        figures.append(map_figure(ground, statuses, choosing, per_customer))
    if per_customer:
        add_voltages(reader, figures, data, notes)
    else:
        add_location_voltages(reader, places, figures, data, notes)
    _add_profile(reader, choosing, figures, data)
    add_usage(reader, places, choosing, figures, data)
    several = "profile" in data or len({place.instant for place in places}) > 1
    kept = set() if per_customer else kept_locations(reader)
    return View(
        feeder=reader.feeder,
        direction=reader.direction,
        label=f"{reader.feeder} {reader.direction}" if several_directions else reader.feeder,
        facts=_facts(places, per_customer, choosing),
        figures=tuple(figures),
        data=data,
        choosing=choosing,
        # Those whose states are kept are offered first: they have every picture.
        choices=tuple(_choice(place, per_customer) for place in sorted(places, key=lambda place: place.id not in kept)),
        head=_head(choosing, per_customer, several),
        rows=tuple(_row(place, per_customer, several) for place in places),
        row_choices=tuple(place.id for place in places),
        notes=tuple(notes),
        findings=tuple(
            (row["severity"], row["code"], row["message"], row["element"] or "") for row in reader.rows("findings")
        ),
        features=() if ground is None else tuple(features(reader, ground, places)),
    )


def _shown(places: Sequence[Place]) -> dict[str, Any]:
    """The data set ``places``."""
    return {
        "choice": [place.id for place in places],
        "name": [place.name for place in places],
        "rank": list(range(1, len(places) + 1)),
        "zero": [0.0] * len(places),
        "kw": [place.kw for place in places],
        "total": [place.total_kw for place in places],
        "customers": [place.customers for place in places],
        "status": [place.words for place in places],
        "shown": [place.kw_words for place in places],
        "label": [_label(place) for place in places],
        "binding": [place.stopped_by or MISSING for place in places],
        "kind": [place.kind for place in places],
    }


def _label(place: Place) -> str:
    return (
        place.words if place.status in IDLE else ("≥ " if place.status == LOWER_BOUND else "") + number(place.kw, "kW")
    )


def _facts(places: Sequence[Place], per_customer: bool, choosing: str) -> tuple[tuple[str, str], ...]:
    open_ones = [place for place in places if place.status not in IDLE]
    stopped = sum(place.binding is not None for place in places)
    facts = [(str(len(places)), choosing.lower() + ("s" if len(places) > 1 else ""))]
    if per_customer:
        facts.append((str(sum(place.customers or 0 for place in places)), "customers"))
    if open_ones:
        kw = [place.kw for place in open_ones]
        unit = "kW per customer" if per_customer else "kW"
        facts.append((number(min(kw)), f"{unit}, the least headroom ({open_ones[0].name})"))
        facts.append((number(float(np.median(kw))), f"{unit}, the median"))
        if per_customer:
            bound = ", at least" if any(place.status == LOWER_BOUND for place in places) else ""
            facts.append((number(sum(place.total_kw for place in places)), f"kW of all transformers together{bound}"))
    facts.append((str(stopped), f"of {len(places)} stopped by a limit"))
    return tuple(facts)


def _choice(place: Place, per_customer: bool) -> Choice:
    facts = [("Headroom", place.kw_words + (" per customer" if per_customer else "")), ("Status", place.words)]
    if per_customer:
        facts += [("Customers", str(place.customers)), ("Whole group", number(place.total_kw, "kW"))]
    if place.binding is not None:
        value, limit = (value_words(place.binding, c) for c in ("violating_value", "constraint_limit"))
        facts += [("Stopped by", place.stopped_by), ("Value and limit", f"{value}, {limit}")]
    return Choice(id=place.id, label=f"{place.name}: {_label(place)}", facts=tuple(facts))


def _head(choosing: str, per_customer: bool, several: bool) -> tuple[str, ...]:
    kw = ("Headroom, kW per customer", "Whole group, kW", "Customers") if per_customer else ("Headroom, kW",)
    instant = ("Instant",) if several else ()
    return (choosing, *kw, "Status", *instant, "Stopped by", "Limit kind", "Value", "Limit")


def _row(place: Place, per_customer: bool, several: bool) -> tuple[Cell, ...]:
    kw: tuple[Cell, ...] = (place.kw, place.total_kw, place.customers) if per_customer else (place.kw,)
    instant = (place.instant,) if several else ()
    value, limit = (value_words(place.binding, c) for c in ("violating_value", "constraint_limit"))
    metric = "" if place.binding is None else str(place.binding["metric"])
    return (place.name, *kw, place.words, *instant, place.stopped_by, metric, value, limit)


def _add_trail(
    reader: Reader, study: Mapping[str, Any], figures: list[Figure], data: dict[str, Columns], notes: list[str]
) -> None:
    found = reader.results.summary.get("feeders", {}).get(reader.feeder, {})
    several = found.get("searches")
    own = [s for s in several if s.get("direction") == reader.direction] if isinstance(several, list) else []
    search = own[0] if own else found
    trail = search.get("trail")
    if not trail:
        return
    steps, margins = trail["step"], trail["margin"]
    choice, step, margin = [], [], []
    for name, values in margins.items():
        for at, value in zip(steps, values, strict=True):
            if value is not None:
                choice.append("" if name == "feeder" else name)
                step.append(at)
                margin.append(100.0 * value)
    if not choice:
        return
    data["trail"] = {"choice": choice, "step": step, "margin": margin}
    words = _step_words(study, "step_kw_per_customer", " per customer")
    figures.append(
        trail_figure(
            "Transformer",
            words,
            has_feeder="" in choice,
            squeeze=max(step) > LONG_TRAIL,
            dots=len(steps) <= FEW_STEPS,
        )
    )
    if search.get("instant") and found.get("instants", 1) > 1:
        notes.append(f"The trail is that of the instant {search['instant']}, which answers for most.")


def _step_words(study: Mapping[str, Any], key: str, more: str) -> str:
    step_kw = study.get("study", {}).get(key)
    return f" ({number(step_kw, 'kW')}{more} each)" if isinstance(step_kw, int | float) else ""


def _add_location_trail(
    reader: Reader,
    study: Mapping[str, Any],
    places: Sequence[Place],
    figures: list[Figure],
    data: dict[str, Columns],
) -> None:
    """The trails of the locations whose states are kept."""
    trails = trails_of(reader)
    rows = [
        (place, step, 100.0 * margin)
        for place, margins in trails.items()
        for step, margin in enumerate(margins)
        if margin is not None
    ]
    if not rows:
        return
    data["trail"] = dict(zip(("choice", "step", "margin"), map(list, zip(*rows, strict=True)), strict=True))
    unkept = [place.id for place in places if place.id not in trails]
    if unkept:
        data["unkept"] = {"choice": unkept}
    reach = {
        place: (float(len(margins) - 1), 100.0 * min(known), 100.0 * max(known))
        for place, margins in trails.items()
        if (known := [margin for margin in margins if margin is not None])
    }
    longest = max(len(margins) for margins in trails.values())
    figures.append(
        trail_figure(
            "Location",
            _step_words(study, "step_kw_per_node", ""),
            has_feeder=False,
            # Every step is there, and the last ones decide.
            squeeze=False,
            dots=longest <= FEW_STEPS,
            reach=reach if unkept else None,
        )
    )


def _add_profile(reader: Reader, choosing: str, figures: list[Figure], data: dict[str, Columns]) -> None:
    profile = reader.columns("headroom_profile", "headroom_kw_per_customer", "is_least")
    if profile is not None:
        choice, kw = profile["capacity_group_head_id"], profile["headroom_kw_per_customer"]
    else:
        profile = reader.columns("hv_node_headroom_profile", "available_headroom_kw", "is_least")
        if profile is None:
            return
        kw = profile["available_headroom_kw"]
        choice = profile["location_type"] + " " + profile["terminal_mrid"]
    if len(set(profile["timestamp"].tolist())) < 2:
        return
    data["profile"] = {
        "choice": choice,
        "at": [minute(at).replace(" UTC", "Z").replace(" ", "T") for at in profile["timestamp"]],
        "kw": kw,
        "least": profile["is_least"],
    }
    figures.append(profile_figure(choosing))
