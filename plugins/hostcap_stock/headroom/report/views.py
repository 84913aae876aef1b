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
    voltage_figure,
)
from hostcap_stock.headroom.report.maps import features, map_data, map_figure, read_ground
from hostcap_stock.headroom.report.places import IDLE, LOWER_BOUND, Place, read_places, value_words
from hostcap_stock.headroom.report.reading import MISSING, Reader, minute, number
from hostcap_stock.headroom.report.usage import add_usage

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
    return f"How much more can {who} {words} on {where}? Start: {start}; year: {scope.get('year', MISSING)}."


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
    _add_trail(reader, study, figures, data, notes)
    ground = read_ground(reader)
    if ground is None:
        notes.append("No map: the run holds no coordinates of buses (a model gives them with Buscoords).")
    else:
        data |= map_data(ground, places, shown)
        figures.append(map_figure(ground, statuses, choosing, per_customer))
    _add_voltages(reader, figures, data, notes)
    _add_profile(reader, choosing, figures, data)
    add_usage(reader, places, choosing, figures, data)
    several = len({place.instant for place in places}) > 1
    return View(
        feeder=reader.feeder,
        direction=reader.direction,
        label=f"{reader.feeder} {reader.direction}" if several_directions else reader.feeder,
        facts=_facts(places, per_customer, choosing),
        figures=tuple(figures),
        data=data,
        choosing=choosing,
        choices=tuple(_choice(place, per_customer) for place in places),
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
    step_kw = study.get("study", {}).get("step_kw_per_customer")
    words = f" ({number(step_kw, 'kW')} per customer each)" if isinstance(step_kw, int | float) else ""
    figures.append(
        trail_figure(words, has_feeder="" in choice, squeeze=max(step) > LONG_TRAIL, dots=len(steps) <= FEW_STEPS)
    )
    if search.get("instant") and found.get("instants", 1) > 1:
        notes.append(f"The trail is that of the instant {search['instant']}, which answers for most.")


def _add_voltages(reader: Reader, figures: list[Figure], data: dict[str, Columns], notes: list[str]) -> None:
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
        notes.append(f"{int(np.sum(~kept))} of {kept.size} nodes have no distance from the source and are not drawn.")
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
    limits = _limit_lines(nodes, level, nominal)
    data["limits"] = limits
    seen = [*limits["pu"], *start[kept & np.isfinite(start)].tolist(), *stop[kept & np.isfinite(stop)].tolist()]
    air = 0.04 * max(max(seen) - min(seen), 0.01)
    span = (round(min(seen) - air, 3), round(max(seen) + 2 * air, 3))
    has_groups = any(data["voltages"]["choice"])
    figures += [voltage_figure(which, span, bool(limits["pu"]), has_groups) for which in ("start", "stop")]


def _limit_lines(nodes: Mapping[str, Any], level: Any, nominal: Any) -> dict[str, Any]:
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
