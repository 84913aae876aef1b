"""From a read OpenDSS model to a ``Network``, by section 1 of the method."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
from attrs import field, frozen

from hostcap._arrays import BoolArray, IntArray, bools, ints
from hostcap.errors import MissingBasesError, ModelError
from hostcap.findings import Finding, counted, some
from hostcap.network import (
    LV_BELOW_KV,
    SQRT3,
    Buses,
    Conductors,
    Equipment,
    Groups,
    Network,
    Nodes,
    phase_code,
)
from hostcap.topology import CapacityGroups, FeedingTransformer, capacity_groups, coil_nodes, live_nodes
from hostcap_stock.networks.customers import CustomerTable, assign_customers
from hostcap_stock.networks.noted import note_network, note_ratings
from hostcap_stock.opendss.distances import bus_distances
from hostcap_stock.opendss.hv_locations import read_hv_locations
from hostcap_stock.opendss.injectors import check_loads, injectors_of
from hostcap_stock.opendss.model import JoinRecord, Model, TransformerRecord
from hostcap_stock.opendss.ratings import transformer_ratings
from hostcap_stock.opendss.regulators import read_regulators

BASE_MISFIT = 0.20
"""Largest relative distance of a bus's base from the rated kV of what is connected to it."""
BASE_NEARNESS = 0.06
"""Rated voltages this close are one level in the bases that a message suggests."""


@frozen(kw_only=True)
class NetworkOptions:
    """How ratings, neutrals and customers are read.

    Attributes:
        neutral_numbers: Node numbers that are neutrals; empty for 4 and higher.
        unrated_default: Take the engine's 400/600 A for lines without a stated rating.
        emergency_factor: Emergency over normal rating of lines that state no emergency rating.
        nameplate: Transformers are rated at their stated kVA; else as the engine shows.
        customer_table: Customers that join elements; None for one customer a load.
    """

    neutral_numbers: frozenset[int] = frozenset()
    unrated_default: bool = False
    emergency_factor: float = 1.5
    nameplate: bool = True
    customer_table: CustomerTable | None = None


@frozen(kw_only=True, eq=False)
class _Layout:
    """What every later step of building needs about buses and nodes."""

    lv: BoolArray = field(converter=bools)
    live: BoolArray = field(converter=bools)
    neutral: BoolArray = field(converter=bools)
    reference: IntArray = field(converter=ints)


def build_network(model: Model, *, feeder: str, options: NetworkOptions, findings: list[Finding]) -> Network:
    """Build a network.

    Args:
        model: As read from the engine.
        feeder: Its name in the study.
        options: How to read ratings, neutrals and customers.
        findings: What was noticed so far; this adds to it.

    Raises:
        ModelError: Voltage bases are missing or do not fit.
    """
    check_loads(model)
    neutral = _neutral(model.node_number, options.neutral_numbers)
    live = _live(model)
    _check_bases_present(model, live)
    nominal_kv = model.bus_base_kv * SQRT3
    lv = nominal_kv < LV_BELOW_KV
    layout = _Layout(lv=lv, live=live, neutral=neutral, reference=_references(model, neutral & live))
    _check_bases_fit(model, layout)
    distribution = [t for t in model.transformers if _is_distribution(model, t, lv)]
    groups = _groups(model, layout, distribution)
    equipment, conductors = _conductors(model, layout, groups, distribution, options, findings)
    injectors = injectors_of(model, groups)
    customers = assign_customers(
        injectors=injectors,
        bus_names=model.bus_names,
        node_number=model.node_number,
        node_live=live,
        lv=lv,
        table=options.customer_table,
        findings=findings,
    )
    regulators, unjudged = read_regulators(model, equipment, conductors)
    note_network(
        buses=len(model.bus_names),
        node_names=model.node_names,
        node_bus=model.node_bus,
        left_as_modelled=model.unknown_elements,
        live=live,
        groups=groups,
        customers=customers,
        injectors=injectors,
        unjudged=unjudged,
        findings=findings,
    )
    buses = Buses(
        name=model.bus_names,
        nominal_kv=nominal_kv,
        lv=lv,
        group=groups.bus_group,
        x=model.bus_x,
        y=model.bus_y,
        distance_km=bus_distances(model, findings),
    )
    nodes = Nodes(
        bus=model.node_bus,
        number=model.node_number,
        nominal_v=model.bus_base_kv[model.node_bus] * 1000.0,
        reference=layout.reference,
        live=live,
        neutral=neutral,
    )
    return Network(
        feeder=feeder,
        frequency_hz=model.frequency_hz,
        buses=buses,
        nodes=nodes,
        equipment=equipment,
        conductors=conductors,
        injectors=injectors,
        customers=customers,
        groups=Groups(
            id=groups.ids,
            head_type=groups.head_types,
            terminal=groups.terminals,
            transformer_count=groups.transformer_counts,
        ),
        hv_locations=read_hv_locations(model, buses=buses, nodes=nodes, equipment=equipment, conductors=conductors),
        regulators=regulators,
        findings=tuple(findings),
    )


def _neutral(number: IntArray, stated: frozenset[int]) -> BoolArray:
    return np.isin(number, sorted(stated)) if stated else number >= 4


def _references(model: Model, neutral: BoolArray) -> IntArray:
    """Phases are measured to the first live neutral node of their bus, else to ground."""
    of_bus: dict[int, int] = {}
    for node in np.flatnonzero(neutral):
        bus = int(model.node_bus[node])
        if bus not in of_bus or model.node_number[node] < model.node_number[of_bus[bus]]:
            of_bus[bus] = int(node)
    return np.asarray(
        [-1 if neutral[n] else of_bus.get(int(b), -1) for n, b in enumerate(model.node_bus)], dtype=np.int32
    )


def _live(model: Model) -> BoolArray:
    pairs = [pair for line in model.lines for pair in line.terminals.pairs]
    pairs += [pair for join in model.joins for pair in join.terminals.pairs]
    for transformer in model.transformers:
        for coil in range(transformer.phases):
            ends: list[int] = []
            for winding, nodes in enumerate(transformer.terminals.nodes):
                closed = transformer.terminals.closed[winding]
                shut = np.where(closed, nodes, -1)
                ends.extend(coil_nodes(shut, phases=transformer.phases, delta=transformer.delta[winding])[coil])
            touched = [node for node in ends if node >= 0]
            pairs += [(touched[0], other) for other in touched[1:]]
    ends_array = np.asarray(pairs, dtype=np.int32).reshape(-1, 2)
    return live_nodes(len(model.node_names), ends_array[:, 0], ends_array[:, 1], model.source_nodes)


# Voltage bases


def _suggested_bases(model: Model) -> list[float]:
    """Line-to-line kV of the source and of every winding, near ones as one."""
    found = {round(model.source_kv, 4)}
    for transformer in model.transformers:
        tapped = _centre_tapped(model, transformer)
        for place, winding in enumerate(transformer.windings):
            single = transformer.phases == 1 and _to_ground(transformer, place)
            factor = SQRT3 if single or (tapped and place > 0) else 1.0
            found.add(round(winding.kv * factor, 4))
    kept: list[float] = []
    for kv in sorted(found, reverse=True):
        if not kept or kv < kept[-1] * (1.0 - BASE_NEARNESS):
            kept.append(kv)
    return kept


def _to_ground(transformer: TransformerRecord, winding: int) -> bool:
    nodes = transformer.terminals.nodes[winding]
    return not transformer.delta[winding] and bool(np.sum(nodes >= 0) < 2)


def _check_bases_present(model: Model, live: BoolArray) -> None:
    base = model.bus_base_kv[model.node_bus]
    missing = live & ~(base > 0)
    if np.any(missing):
        buses = sorted({model.bus_names[b] for b in model.node_bus[missing]})
        suggested = _suggested_bases(model)
        raise MissingBasesError(
            f"network.voltage_bases_kv: {counted(len(buses), 'bus has', 'buses have')} no voltage base "
            f"({some(buses)}); add to [network], and correct where needed: voltage_bases_kv = {suggested}",
            suggested=suggested,
        )


def _to_ground_kv(kv: float, *, phases: int, ends: list[int], legs: bool) -> float:
    """Rated kV taken to phase-to-ground by connection."""
    if phases > 1:
        return kv / SQRT3
    if len(ends) < 2:
        return kv
    return kv / 2.0 if legs else kv / SQRT3


def _check_bases_fit(model: Model, layout: _Layout) -> None:
    """A base that does not fit what is connected makes every per-unit value meaningless: refuse it."""
    legs = _leg_buses(model, layout)
    misfits: list[str] = []

    def compare(what: str, node: int, ground_kv: float) -> None:
        bus = int(model.node_bus[node])
        base = float(model.bus_base_kv[bus])
        if layout.live[node] and abs(base - ground_kv) > BASE_MISFIT * ground_kv:
            misfits.append(
                f"bus {model.bus_names[bus]} has base {base * SQRT3:.4g} kV, "
                f"{what} is rated for {ground_kv * SQRT3:.4g} kV"
            )

    def phases_of(nodes: IntArray) -> list[int]:
        return [int(n) for n in nodes if n >= 0 and not layout.neutral[n]]

    for transformer in model.transformers:
        for place, winding in enumerate(transformer.windings):
            ends = phases_of(transformer.terminals.nodes[place])
            if ends and layout.lv[model.node_bus[ends[0]]]:
                ground_kv = _to_ground_kv(winding.kv, phases=transformer.phases, ends=ends, legs=False)
                compare(f"winding {place + 1} of transformer {transformer.name}", ends[0], ground_kv)
    for injector in model.injectors:
        ends = phases_of(injector.nodes)
        if ends and injector.kind == "load":
            on_legs = int(model.node_bus[ends[0]]) in legs
            ground_kv = _to_ground_kv(injector.kv, phases=injector.phases, ends=ends, legs=on_legs)
            compare(f"load {injector.name}", ends[0], ground_kv)
    if misfits:
        raise ModelError(
            f"network.voltage_bases_kv: {len(misfits)} rated voltages are more than 20 % off their bus's base, first: "
            f"{misfits[0]}; add to [network], and correct where needed: voltage_bases_kv = {_suggested_bases(model)}"
        )


def _centre_tapped(model: Model, transformer: TransformerRecord) -> bool:
    """One phase, three windings, windings 2 and 3 on one bus sharing one node (ground included)."""
    if transformer.phases != 1 or len(transformer.windings) != 3:
        return False
    if _winding_bus(model, transformer, 1) != _winding_bus(model, transformer, 2):
        return False
    second, third = (set(map(int, transformer.terminals.nodes[w][:2])) for w in (1, 2))
    return len(second & third) == 1 and len(second | third) > 1


def _leg_buses(model: Model, layout: _Layout) -> set[int]:
    """Buses below centre-tapped units: a load between two of their phases sees twice the leg's voltage."""
    from hostcap.topology import components

    left, right = _lv_joins(model, layout.lv)
    label = components(layout.lv.size, left, right)
    tapped = {
        int(label[model.node_bus[n]])
        for t in model.transformers
        if _centre_tapped(model, t)
        for n in t.terminals.nodes[1]
        if n >= 0 and layout.lv[model.node_bus[n]]
    }
    return {bus for bus in range(layout.lv.size) if int(label[bus]) in tapped}


# Groups


def _winding_bus(model: Model, transformer: TransformerRecord, winding: int) -> int:
    return model.bus_of(transformer.terminals.nodes[winding])


def _is_distribution(model: Model, transformer: TransformerRecord, lv: BoolArray) -> bool:
    buses = [_winding_bus(model, transformer, w) for w in range(len(transformer.windings))]
    levels = {bool(lv[bus]) for bus in buses if bus >= 0}
    return levels == {True, False}


def _lv_joins(model: Model, lv: BoolArray) -> tuple[IntArray, IntArray]:
    """Bus pairs joined at LV by lines, reactors, series capacitors and LV/LV transformers."""
    pairs: list[tuple[int, int]] = []
    for terminals in [*(line.terminals for line in model.lines), *(join.terminals for join in model.joins)]:
        if terminals.joined:
            ends = [nodes[nodes >= 0] for nodes in terminals.nodes[:2]]
            if all(end.size for end in ends):
                pairs.append((int(model.node_bus[ends[0][0]]), int(model.node_bus[ends[1][0]])))
    for transformer in model.transformers:
        buses = [_winding_bus(model, transformer, w) for w in range(len(transformer.windings))]
        if all(bus >= 0 and lv[bus] for bus in buses):
            pairs += [(buses[0], other) for other in buses[1:]]
    array = np.asarray([(a, b) for a, b in pairs if lv[a] and lv[b]], dtype=np.int32).reshape(-1, 2)
    return array[:, 0], array[:, 1]


def _groups(model: Model, layout: _Layout, distribution: list[TransformerRecord]) -> CapacityGroups:
    feeding = []
    for transformer in distribution:
        buses = [(_winding_bus(model, transformer, w), w + 1) for w in range(len(transformer.windings))]
        below = [(bus, winding) for bus, winding in buses if bus >= 0 and layout.lv[bus]]
        feeding.append(
            FeedingTransformer(
                name=transformer.name,
                lv_buses=tuple(b for b, _ in below),
                lv_windings=tuple(w for _, w in below),
            )
        )
    wanted = np.zeros(layout.lv.size, dtype=bool)
    wanted[model.node_bus[layout.live]] = True
    for injector in model.injectors:
        wanted[model.node_bus[injector.nodes[injector.nodes >= 0]]] = True
    left, right = _lv_joins(model, layout.lv)
    return capacity_groups(
        lv=layout.lv, left=left, right=right, transformers=feeding, source_name=model.source_name, wanted=wanted
    )


# Conductors


class _Rows:
    """Conductor columns, filled equipment by equipment."""

    def __init__(self) -> None:
        self.columns: dict[str, list[object]] = defaultdict(list)

    def add(self, **values: object) -> None:
        for name, value in values.items():
            self.columns[name].append(value)


def _in_series(model: Model) -> list[JoinRecord]:
    """Reactors and capacitors between two buses: branches, though no limit watches them."""
    found = []
    for join in model.joins:
        ends = [{int(model.node_bus[n]) for n in nodes if n >= 0} for nodes in join.terminals.nodes]
        if len(ends) == 2 and all(ends) and ends[0] != ends[1]:
            found.append(join)
    return found


def _conductors(
    model: Model,
    layout: _Layout,
    groups: CapacityGroups,
    distribution: list[TransformerRecord],
    options: NetworkOptions,
    findings: list[Finding],
) -> tuple[Equipment, Conductors]:
    rows = _Rows()
    names: list[str] = []
    kinds: list[str] = []
    equipment_group: list[int] = []

    def watched(node: int) -> bool:
        return node >= 0 and bool(layout.live[node]) and not layout.neutral[node]

    def letter(node: int) -> str:
        return phase_code([int(model.node_number[node])]) if node >= 0 and not layout.neutral[node] else ""

    unrated: list[str] = []
    derived: list[str] = []
    for line in model.lines:
        normal, emergency = line.rating.normal_a, line.rating.emergency_a
        if not line.rating.normal_stated:
            unrated.append(line.name)
            if not options.unrated_default:
                normal = emergency = np.nan
        elif not line.rating.emergency_stated:
            derived.append(line.name)
            emergency = normal * options.emergency_factor
        first = [int(n) for n in line.terminals.nodes[0] if n >= 0]
        for terminal, nodes in enumerate(line.terminals.nodes, start=1):
            for node in map(int, nodes):
                rows.add(
                    equipment=len(names),
                    terminal=terminal,
                    node=node,
                    phase=letter(node),
                    lv=bool(layout.lv[model.node_bus[node if node >= 0 else first[0]]]) if first else False,
                    watched=watched(node),
                    normal_a=normal if normal > 0 else np.nan,
                    emergency_a=emergency if emergency > 0 else np.nan,
                )
        names.append(line.name)
        kinds.append("Line")
        equipment_group.append(int(groups.bus_group[model.node_bus[first[0]]]) if first else 0)
    of_distribution = {t.name: int(g) for t, g in zip(distribution, groups.transformer_group, strict=True)}
    for transformer in model.transformers:
        ratings = transformer_ratings(
            transformer.phases,
            list(transformer.windings),
            centre_tapped=_centre_tapped(model, transformer)
            and all(layout.lv[_winding_bus(model, transformer, w)] for w in (1, 2)),
            normal_a=transformer.normal_a,
            emergency_a=transformer.emergency_a,
            nameplate=options.nameplate,
        )
        for place, nodes in enumerate(transformer.terminals.nodes):
            bus = _winding_bus(model, transformer, place)
            ends = [int(n) for n in nodes if watched(int(n))]
            coil = transformer.phases == 1 and len(ends) == 2
            normal, emergency = ratings[place]
            for node in map(int, nodes):
                phase = "".join(sorted(letter(n) for n in ends)) if coil and node in ends else letter(node)
                rows.add(
                    equipment=len(names),
                    terminal=place + 1,
                    node=node,
                    phase=phase,
                    lv=bus >= 0 and bool(layout.lv[bus]),
                    # One current flows through a coil between two phases: it is watched once.
                    watched=watched(node) and not (coil and node != ends[0]),
                    normal_a=normal if normal > 0 else np.nan,
                    emergency_a=emergency if emergency > 0 else np.nan,
                )
        names.append(transformer.name)
        kinds.append("Transformer")
        bus = _winding_bus(model, transformer, 0)
        own = int(groups.bus_group[bus]) if bus >= 0 else 0
        equipment_group.append(of_distribution.get(transformer.name, own))
    for join in _in_series(model):
        first = [int(n) for n in join.terminals.nodes[0] if n >= 0]
        for terminal, nodes in enumerate(join.terminals.nodes, start=1):
            for node in map(int, nodes):
                bus = int(model.node_bus[node if node >= 0 else first[0]])
                rows.add(
                    equipment=len(names),
                    terminal=terminal,
                    node=node,
                    phase=letter(node),
                    lv=bool(layout.lv[bus]),
                    watched=False,
                    normal_a=np.nan,
                    emergency_a=np.nan,
                )
        names.append(join.name)
        kinds.append(join.kind)
        equipment_group.append(int(groups.bus_group[model.node_bus[first[0]]]))
    note_ratings(
        [] if options.unrated_default else unrated,
        derived,
        len(model.lines),
        options.emergency_factor,
        findings,
        way_out='state normamps, or set network.unrated = "engine-default"',
        emergency_way_out="state emergamps, or set network.emergency_factor",
    )
    columns = rows.columns
    return (
        Equipment(name=names, kind=kinds, group=equipment_group),
        Conductors(
            equipment=columns["equipment"],
            terminal=columns["terminal"],
            node=columns["node"],
            phase=[str(p) for p in columns["phase"]],
            lv=columns["lv"],
            watched=columns["watched"],
            normal_a=columns["normal_a"],
            emergency_a=columns["emergency_a"],
        ),
    )
