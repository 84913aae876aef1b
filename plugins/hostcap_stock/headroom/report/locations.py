"""What debug snapshots show of HV locations: voltages along the feeder at start and stop, and the trail."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import numpy as np
from attrs import frozen

from hostcap.findings import counted
from hostcap.network import PHASE_LETTERS
from hostcap.report import Columns, Figure
from hostcap_stock.headroom.report.location_figures import Drawn, location_voltage_figure
from hostcap_stock.headroom.report.places import Place
from hostcap_stock.headroom.report.reading import Reader, span_of
from hostcap_stock.headroom.report.voltages import limit_lines

MOST_POINTS = 250_000
"""Most voltages of states that a page holds; further locations are left out, which keeps it below its size."""
MISSING = (
    "No voltages along the feeder and no trail: the run kept no states of locations; study.debug_snapshots = true does."
)


@frozen(kw_only=True)
class _State:
    """Which state, as debug_nodes names it."""

    instant: Any
    grown: str
    step: int


def kept_locations(reader: Reader) -> set[str]:
    """Places whose states the run holds."""
    return {_id(row) for row in reader.rows("debug_snapshots", "location_type", "growth_at")}


def _id(row: Mapping[str, Any]) -> str:
    return f"{row['location_type']} {row['terminal_mrid']}"


def trails_of(reader: Reader) -> dict[str, Sequence[float | None]]:
    """Smallest margins from the start on, by place."""
    found = reader.results.summary.get("feeders", {}).get(reader.feeder, {}).get("trails", ())
    return {_id(row): row["margin"] for row in found if row["direction"] == reader.direction}


def add_location_voltages(
    reader: Reader, places: Sequence[Place], figures: list[Figure], data: dict[str, Columns], notes: list[str]
) -> None:
    """Add the figures of voltages and their data sets, where the run holds states of locations."""
    nodes = reader.columns("debug_nodes", "growth_at", "to_neutral_v", "max_v")
    buses = reader.columns("feeder_buses", "bus", "distance_km", "voltage_level")
    rows = reader.rows("debug_snapshots", "location_type", "growth_at")
    if nodes is None or not rows:
        notes.append(MISSING)
        return
    if buses is None:
        notes.append("No voltages along the feeder: the run does not hold feeder_buses.")
        return
    starts, stops = _states(rows)
    sizes = _rows_of(nodes, {*starts.values(), *stops.values()})
    first = next(iter(sizes.values()))
    row_of = {bus: i for i, bus in enumerate(buses["bus"].tolist())}
    at = np.asarray([row_of[bus] for bus in nodes["bus"][first].tolist()])
    km, level = buses["distance_km"].astype(np.float64)[at], buses["voltage_level"][at]
    number = nodes["node"][first].astype(np.int64)
    watched = nodes["live"][first].astype(bool) & np.isin(number, list(PHASE_LETTERS))
    shown = watched & np.isfinite(km)
    if not np.any(shown):
        notes.append("No voltages along the feeder: no line leads from the source to its nodes.")
        return
    if np.sum(watched) > np.sum(shown):
        notes.append(f"{counted(int(np.sum(watched & ~shown)), 'node')} without distance from the source: not drawn.")
    nominal = nodes["nominal_v"][first].astype(np.float64)
    most = max(MOST_POINTS // int(np.sum(shown)), 1)
    drawn = _columns([place.id for place in places if place.id in stops], starts, stops, most)
    left = len(stops) - len(drawn.stop_of)
    if left > 0:
        notes.append(f"Voltages at the stop of {left} kept locations are left out, as the page would be too large.")
    values = {
        name: np.round(nodes["to_neutral_v"][sizes[state]][shown] / nominal[shown], 5)
        for name, state in drawn.columns.items()
    }
    phase = np.asarray([PHASE_LETTERS[n] for n in number[shown].tolist()], dtype=object)
    drawn = attrs.evolve(
        drawn, phases=tuple(sorted(set(phase[level[shown] == "HV"]))), lv=bool(np.any(level[shown] == "LV"))
    )
    data["voltages"] = {
        "bus": nodes["bus"][first][shown],
        "phase": phase,
        "level": level[shown],
        "km": np.round(km[shown], 4),
        **values,
    }
    limits = limit_lines({name: nodes[name][first] for name in ("min_v", "max_v")}, level, nominal)
    data["limits"] = limits
    unkept = [place.id for place in places if place.id not in drawn.stop_of]
    if unkept:
        data["unkept"] = {"choice": unkept}
    data["grows"] = _grows(rows, row_of, buses["distance_km"].astype(np.float64))
    span = span_of([*limits["pu"], *np.concatenate(list(values.values())).tolist()])
    far = float(np.max(km[shown]))
    figures += [
        location_voltage_figure(which, drawn, span, far, limits=bool(limits["pu"]), unkept=bool(unkept))
        for which in ("start", "stop")
    ]


def _states(rows: Sequence[Mapping[str, Any]]) -> tuple[dict[str, _State], dict[str, _State]]:
    """Start and stop of every place: the violating state, else the last valid one."""
    starts: dict[str, _State] = {}
    stops: dict[str, _State] = {}
    for row in rows:
        state = _State(instant=row["timestamp"], grown=row["growth_at"], step=int(row["iteration"]))
        if row["snapshot"] == "start":
            starts[_id(row)] = state
        if row["snapshot"] == "violating" or (row["snapshot"] == "last-valid" and _id(row) not in stops):
            stops[_id(row)] = state
    return starts, stops


def _rows_of(nodes: Columns, states: set[_State]) -> dict[_State, Any]:
    """Rows of ``debug_nodes`` of each state, in model order."""
    wanted = sorted(states, key=lambda state: (str(state.instant), state.grown, state.step))
    return {
        state: np.flatnonzero(
            (nodes["growth_at"] == state.grown)
            & (nodes["iteration"] == state.step)
            & (nodes["timestamp"] == state.instant)
        )
        for state in wanted
    }


def _columns(places: Sequence[str], starts: Mapping[str, _State], stops: Mapping[str, _State], most: int) -> Drawn:
    """One column for each state, shared by the places whose it is; at most so many of stops."""
    names: dict[_State, str] = {}
    start_of = {place: names.setdefault(starts[place], f"v{len(names)}") for place in places}
    stop_of: dict[str, str] = {}
    for place in places:
        if stops[place] in names or len(set(stop_of.values())) < most:
            stop_of[place] = names.setdefault(stops[place], f"v{len(names)}")
    return Drawn(columns={name: state for state, name in names.items()}, start_of=start_of, stop_of=stop_of)


def _grows(rows: Sequence[Mapping[str, Any]], row_of: Mapping[str, int], km: Any) -> dict[str, Any]:
    """How far away the bus of each place is, where it grew."""
    found = {_id(row): row["growth_at"] for row in rows if row["growth_at"] != "start"}
    where = {}
    for place, grown in found.items():
        # A bus may have dots in its name; its nodes follow it.
        bus = next((b for b in _shorter(grown) if b in row_of), None)
        if bus is not None and np.isfinite(km[row_of[bus]]):
            where[place] = round(float(km[row_of[bus]]), 4)
    return {"choice": list(where), "km": list(where.values())}


def _shorter(grown: str) -> list[str]:
    parts = grown.split(".")
    return [".".join(parts[:size]) for size in range(len(parts) - 1, 0, -1)]
