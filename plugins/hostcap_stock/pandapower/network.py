"""From the tables of a net to a ``Network``, by section 1 of the method."""

from __future__ import annotations

import json
from collections import defaultdict

import numpy as np
from attrs import field, frozen

from hostcap._arrays import BoolArray, FloatArray, IntArray, bools, floats, ints
from hostcap.errors import ModelError
from hostcap.findings import Finding
from hostcap.hv_locations import find_hv_locations
from hostcap.network import (
    BALANCED,
    LV_BELOW_KV,
    SQRT3,
    Buses,
    Conductors,
    Equipment,
    Groups,
    Network,
    Nodes,
)
from hostcap.topology import CapacityGroups, FeedingTransformer, capacity_groups, components, live_nodes
from hostcap_stock.networks.customers import CustomerTable, assign_customers
from hostcap_stock.networks.noted import note_network, note_ratings
from hostcap_stock.pandapower.branches import (
    IMPEDANCE,
    Branch,
    Branches,
    read_branches,
    refuse_what_has_no_form,
)
from hostcap_stock.pandapower.columns import Columns, names_once
from hostcap_stock.pandapower.distances import bus_distances
from hostcap_stock.pandapower.elements import Elements, is_three_phase, read_elements
from hostcap_stock.pandapower.noted import note_emergency, note_net
from hostcap_stock.pandapower.reading import NetTables

BASE_MISFIT = 0.20
"""Largest relative distance of a bus's rated voltage from that of a low-voltage winding at it."""


@frozen(kw_only=True, eq=False)
class Feeder:
    """A net as it was read: its network, and what the engine and the linear network need beside it.

    Attributes:
        network: The network, without origin.
        elements: Its injectors, with their connections.
        branches: What joins its buses.
        sources: Buses of external grids and of generators that are slack.
        bus_index: Number of each bus in the net, shape (bus,).
        unbalanced: Elements that need an unbalanced power flow; none where a balanced one serves.
    """

    network: Network
    elements: Elements
    branches: Branches
    sources: IntArray = field(converter=ints)
    bus_index: IntArray = field(converter=ints)
    unbalanced: tuple[str, ...]

    @property
    def three_phase(self) -> bool:
        """Whether the power flow is an unbalanced one."""
        return bool(self.unbalanced)


@frozen(kw_only=True, eq=False)
class _Layout:
    names: tuple[str, ...]
    nominal_kv: FloatArray = field(converter=floats)
    on: BoolArray = field(converter=bools)
    lv: BoolArray = field(converter=bools)
    live: BoolArray = field(converter=bools)
    width: int
    """Nodes of a bus: three, or one that stands for them."""

    def nodes_of(self, bus: int) -> list[int]:
        return [self.width * bus + k for k in range(self.width)]


def build_feeder(
    net: NetTables, *, feeder: str, emergency_factor: float, table: CustomerTable | None, findings: list[Finding]
) -> Feeder:
    """Build a network.

    Args:
        net: The tables.
        feeder: Its name in the study.
        emergency_factor: Emergency over normal ratings.
        table: Customers that join elements; None for one customer a load.
        findings: What was noticed so far; this adds to it.

    Raises:
        ModelError: The net has no form here, or breaks a rule of the method.
    """
    buses = Columns(net, "bus")
    if not len(buses):
        raise ModelError("the net has no bus")
    unbalanced = is_three_phase(net)
    refuse_what_has_no_form(net, unbalanced)
    nominal_kv, on = buses.floats("vn_kv"), buses.bools("in_service")
    if np.any(nominal_kv <= 0):
        raise ModelError(f"bus {buses.index[np.argmin(nominal_kv)]}: vn_kv must be > 0, found {nominal_kv.min():g}")
    bus_names, made = names_once([buses])
    branches = read_branches(net, buses, on, nominal_kv)
    sources = _sources(net, buses, on)
    layout = _Layout(
        names=tuple(bus_names),
        nominal_kv=nominal_kv,
        on=on,
        lv=nominal_kv < LV_BELOW_KV,
        live=_live(branches, sources, on),
        width=3 if unbalanced else 1,
    )
    _check_windings(net, layout, branches)
    elements = read_elements(net, buses, nominal_kv, three_phase=bool(unbalanced))
    groups = _groups(net, layout, branches, elements)
    injectors = elements.injectors(groups.bus_group)
    nodes = _nodes(layout)
    equipment, conductors = _conductors(layout, groups, branches, emergency_factor, findings)
    customers = assign_customers(
        injectors=injectors,
        bus_names=bus_names,
        node_number=nodes.number,
        node_live=nodes.live,
        lv=layout.lv,
        table=table,
        findings=findings,
    )
    x, y = _places(buses)
    bus_record = Buses(
        name=bus_names,
        nominal_kv=nominal_kv,
        lv=layout.lv,
        group=groups.bus_group,
        x=x,
        y=y,
        distance_km=bus_distances(net, branches, sources, len(buses)),
        one_with=_one_with(branches, len(buses)),
    )
    note_network(
        buses=len(buses),
        node_names=[
            f"{bus_names[b]}.{n}" if layout.width > 1 else bus_names[b]
            for b, n in zip(nodes.bus, nodes.number, strict=True)
        ],
        node_bus=nodes.bus,
        left_as_modelled=_left_as_modelled(net),
        live=nodes.live,
        groups=groups,
        customers=customers,
        injectors=injectors,
        unjudged=[],
        findings=findings,
    )
    note_net(net, unbalanced, elements, branches, [*made, *branches.made_names, *elements.made_names], findings)
    pairs = np.asarray([*_pairs(branches)], dtype=np.int32).reshape(-1, 2)
    network = Network(
        feeder=feeder,
        frequency_hz=net.frequency_hz,
        buses=bus_record,
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
        hv_locations=find_hv_locations(
            buses=bus_record,
            nodes=nodes,
            equipment=equipment,
            conductors=conductors,
            switch=np.concatenate([b.switched & (b.table == "line") for b in branches.carriers]),
            left=pairs[:, 0],
            right=pairs[:, 1],
            source_buses=sources,
        ),
        findings=tuple(findings),
    )
    return Feeder(
        network=network,
        elements=elements,
        branches=branches,
        sources=sources,
        bus_index=buses.index,
        unbalanced=tuple(unbalanced),
    )


def _sources(net: NetTables, buses: Columns, on: BoolArray) -> IntArray:
    grid, generators = Columns(net, "ext_grid"), Columns(net, "gen")
    slack = generators.bools("in_service") & generators.bools("slack", default=False)
    found = np.concatenate(
        [grid.places("bus", buses)[grid.bools("in_service")], generators.places("bus", buses)[slack]]
    )
    found = found[on[found]]
    if not found.size:
        raise ModelError("the net has no source: no ext_grid, and no gen with slack, is in service; add an ext_grid")
    return np.unique(found).astype(np.int32)


def _one_with(branches: Branches, size: int) -> IntArray:
    """First bus of those that closed bus-bus switches make one with each."""
    part = components(size, branches.same[:, 0], branches.same[:, 1])
    _, first, which = np.unique(part, return_index=True, return_inverse=True)
    return np.asarray(first[which], dtype=np.int32)


def _pairs(branches: Branches) -> list[tuple[int, int]]:
    joined = [(int(a), int(b)) for a, b in branches.joins]
    return joined + [pair for branch in branches.kinds for pair in branch.pairs()]


def _live(branches: Branches, sources: IntArray, on: BoolArray) -> BoolArray:
    pairs = np.asarray(_pairs(branches), dtype=np.int32).reshape(-1, 2)
    return live_nodes(on.size, pairs[:, 0], pairs[:, 1], sources) & on


def _check_windings(net: NetTables, layout: _Layout, branches: Branches) -> None:
    """A rated voltage that does not fit what is connected makes every per-unit value meaningless: refuse it."""
    misfits: list[str] = []
    for branch in branches.kinds[1:]:
        table = Columns(net, branch.table)
        for terminal, side in enumerate(("hv", "lv") if branch.table == "trafo" else ("hv", "mv", "lv")):
            rated = table.floats(f"vn_{side}_kv")[branch.position]
            bus = branch.bus[:, terminal]
            off = layout.lv[bus] & (np.abs(layout.nominal_kv[bus] - rated) > BASE_MISFIT * rated)
            misfits += [
                f"bus {layout.names[bus[i]]} has vn_kv {layout.nominal_kv[bus[i]]:g}, the {side} winding of "
                f"transformer {branch.name[i]} is rated for {rated[i]:g} kV"
                for i in np.flatnonzero(off)
            ]
    if misfits:
        raise ModelError(
            f"{len(misfits)} rated voltages are more than 20 % off their bus's, first: {misfits[0]}; correct vn_kv "
            "of the bus, or the transformer"
        )


def _groups(net: NetTables, layout: _Layout, branches: Branches, elements: Elements) -> CapacityGroups:
    lines, *transformers = branches.kinds
    feeding: list[FeedingTransformer] = []
    joins = [(int(a), int(b)) for a, b in branches.joins]
    joins += list(lines.pairs())
    for branch in transformers:
        for name, bus, closed in zip(branch.name, branch.bus, branch.closed, strict=True):
            levels = layout.lv[bus]
            if levels.all():
                shut = bus[closed]
                joins += [(int(shut[0]), int(other)) for other in shut[1:]]
            elif levels.any() and _feeds(layout, bus, closed):
                below = np.flatnonzero(levels)
                feeding.append(
                    FeedingTransformer(
                        name=name,
                        lv_buses=tuple(int(bus[t]) for t in below),
                        lv_windings=tuple(int(t) + 1 for t in below),
                    )
                )
    wanted = layout.live.copy()
    wanted[elements.bus] = True
    array = np.asarray(joins, dtype=np.int32).reshape(-1, 2)
    return capacity_groups(
        lv=layout.lv,
        left=array[:, 0],
        right=array[:, 1],
        transformers=feeding,
        source_name=_source_name(net),
        wanted=wanted,
    )


def _feeds(layout: _Layout, bus: IntArray, closed: BoolArray) -> bool:
    """A transformer that is switched off does not feed an island that something else feeds."""
    return bool(closed.all()) or not bool(layout.live[bus[layout.lv[bus]]].any())


def _source_name(net: NetTables) -> str:
    grid = Columns(net, "ext_grid")
    names, _ = names_once([grid])
    on = np.flatnonzero(grid.bools("in_service"))
    return names[on[0]] if on.size else "gen"


def _nodes(layout: _Layout) -> Nodes:
    size, width = layout.nominal_kv.size, layout.width
    count = size * width
    return Nodes(
        bus=np.repeat(np.arange(size), width),
        number=np.tile([1, 2, 3], size) if width == 3 else np.full(size, BALANCED),
        nominal_v=np.repeat(layout.nominal_kv * 1000.0 / SQRT3, width),
        reference=np.full(count, -1),
        live=np.repeat(layout.live, width),
        neutral=np.zeros(count, dtype=bool),
    )


def _conductors(
    layout: _Layout, groups: CapacityGroups, branches: Branches, emergency_factor: float, findings: list[Finding]
) -> tuple[Equipment, Conductors]:
    columns: dict[str, list[object]] = defaultdict(list)
    names: list[str] = []
    kinds: list[str] = []
    of_group: list[int] = []
    unrated: list[str] = []
    of_distribution = {i: int(g) for i, g in enumerate(groups.transformer_group)}
    distribution = _distribution_names(layout, branches)
    letters = ("A", "B", "C") if layout.width == 3 else ("ABC",)
    for branch in branches.carriers:
        line, carries_alone = branch.table == "line", branch.table == IMPEDANCE
        for i, name in enumerate(branch.name):
            for terminal, (bus, closed) in enumerate(zip(branch.bus[i], branch.closed[i], strict=True)):
                amps = float(branch.rated_a[i, terminal])
                for node, letter in zip(layout.nodes_of(int(bus)), letters, strict=True):
                    columns["equipment"].append(len(names))
                    columns["terminal"].append(terminal + 1)
                    columns["node"].append(node)
                    columns["phase"].append(letter)
                    columns["lv"].append(bool(layout.lv[bus]))
                    columns["watched"].append(bool(layout.live[bus] and closed) and not carries_alone)
                    columns["normal_a"].append(amps)
                    columns["emergency_a"].append(amps * emergency_factor)
            if line and np.isnan(branch.rated_a[i, 0]):
                unrated.append(name)
            names.append(name)
            kinds.append("Line" if line else "Impedance" if carries_alone else "Transformer")
            own = int(groups.bus_group[branch.bus[i, 0]])
            of_group.append(own if line or carries_alone else of_distribution.get(distribution.get(name, -1), own))
    note_ratings(
        unrated,
        [],
        len(branches.kinds[0].name),
        emergency_factor,
        findings,
        way_out="state max_i_ka",
        emergency_way_out="",
    )
    without = frozenset(unrated)
    watched = names[: len(names) - len(branches.impedances.name)]
    rated = [name for name in watched if name not in without]
    note_emergency(rated, emergency_factor, findings)
    return Equipment(name=names, kind=kinds, group=of_group), Conductors(
        equipment=columns["equipment"],
        terminal=columns["terminal"],
        node=columns["node"],
        phase=[str(p) for p in columns["phase"]],
        lv=columns["lv"],
        watched=columns["watched"],
        normal_a=columns["normal_a"],
        emergency_a=columns["emergency_a"],
    )


def _distribution_names(layout: _Layout, branches: Branches) -> dict[str, int]:
    """Number of each feeding transformer among those that groups were formed of, by name."""
    found: dict[str, int] = {}
    for branch in branches.kinds[1:]:
        for name, bus, closed in zip(branch.name, branch.bus, branch.closed, strict=True):
            levels = layout.lv[bus]
            if levels.any() and not levels.all() and _feeds(layout, bus, closed):
                found[name] = len(found)
    return found


def _left_as_modelled(net: NetTables) -> list[str]:
    """What injects and is neither load, generator nor storage."""
    found = []
    for name in ("motor", "ward"):
        table = Columns(net, name)
        found += [f"{name} {i}" for i, on in zip(table.index, table.bools("in_service"), strict=True) if on]
    return found


def _places(buses: Columns) -> tuple[FloatArray, FloatArray]:
    """Coordinates of buses, from the GeoJSON of column ``geo``; nan where there are none."""
    x, y = np.full(len(buses), np.nan), np.full(len(buses), np.nan)
    for i, text in enumerate(buses.texts("geo")):
        try:
            at = json.loads(text)["coordinates"]
            x[i], y[i] = float(at[0]), float(at[1])
        except (ValueError, KeyError, TypeError, IndexError):
            continue
    return x, y


__all__ = ["Branch", "Feeder", "build_feeder"]
