"""Flows of a solved network: real power at the ends of lines and transformers, and what its injectors do.

Phases are summed as a rule: losses of one phase may be negative, as phases are coupled, and a transformer has no phases
that go through it. Inside one LV group, where no winding changes them, they can be traced one by one.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import numpy as np
from attrs import field, frozen

from hostcap._arrays import BoolArray, ComplexArray, FloatArray, IntArray, NameArray, floats, ints, names, sums
from hostcap.errors import FlowsError
from hostcap.findings import Finding, Severity, some
from hostcap.flows import FlowNetwork, FlowPeriod
from hostcap.linear import Ports
from hostcap.network import PHASE_LETTERS, Network, _ByContent
from hostcap.operating_point import OperatingPoint
from hostcap_stock.flows.layout import KILO, Flows, Layout, Sides, measured


@frozen(kw_only=True, eq=False)
class Users(_ByContent):
    """Who supplies and takes in a solved state.

    Attributes:
        name: Each once, shape (user,).
        kw: Power into the network, shape (part,); positive supplies.
        of: User of each part, shape (part,).
        node: Node that each part hangs on, shape (part,).
    """

    name: NameArray = field(converter=names)
    kw: FloatArray = field(converter=floats)
    of: IntArray = field(converter=ints)
    node: IntArray = field(converter=ints)


@frozen(kw_only=True, eq=False)
class SolvedState(_ByContent):
    """One solved state of a network.

    Attributes:
        network: The feeder.
        node_v: Voltages, V, shape (node,).
        conductor_a: Currents into the equipment, A, shape (conductor,).
        users: Who supplies and takes.
        source: Nodes of sources, shape (source,); what they supply is what is left over there.
    """

    network: Network
    node_v: ComplexArray
    conductor_a: ComplexArray
    users: Users
    source: IntArray = field(converter=ints)


@frozen(kw_only=True, eq=False)
class PortEnds(_ByContent):
    """Ends of ports that belong to injectors: where what they draw is measured.

    Attributes:
        ports: The ports.
        of, node: Injector and node of each end, shape (part,).
        kept: Place of each end among those of all ports, first ends before second ones, shape (part,).
        reference: Node that its voltage is measured to; -1 for ground, shape (part,).
    """

    ports: Ports
    of: IntArray = field(converter=ints)
    node: IntArray = field(converter=ints)
    kept: IntArray = field(converter=ints)
    reference: IntArray = field(converter=ints)

    @classmethod
    def of_ports(cls, ports: Ports, reference: IntArray) -> PortEnds:
        """The ends of some ports.

        Args:
            ports: Ports of elements.
            reference: Node that the voltage of each node is measured to; -1 for ground, shape (node,).
        """
        ends, of = np.concatenate([ports.node_a, ports.node_b]), np.tile(ports.injector, 2)
        kept = np.flatnonzero((ends >= 0) & (of >= 0))
        return cls(ports=ports, of=of[kept], node=ends[kept], kept=kept, reference=reference[ends[kept]])

    def kw(self, node_v: ComplexArray, times: FloatArray | float = 1.0) -> FloatArray:
        """What each end supplies at solved voltages, kW into the network, shape (state, part).

        Args:
            node_v: Voltages, V, shape (state, node).
            times: How often each port is there, shape (state, port).
        """
        drawn = self.ports.drawn_a(self.ports.voltage_v(node_v)) * times
        current = np.concatenate([drawn, -drawn], axis=1)[:, self.kept]
        power = measured(node_v, self.node, self.reference) * np.conj(current)
        return np.asarray(-power.real / KILO)


def port_users(node_v: ComplexArray, ports: Ports, name: Sequence[str], reference: IntArray) -> Users:
    """What ports draw at solved voltages, by the element that they belong to.

    Args:
        node_v: Voltages, V, shape (node,).
        ports: Ports of elements.
        name: Of each element that ``ports.injector`` speaks of.
        reference: Node that the voltage of each node is measured to; -1 for ground, shape (node,).
    """
    ends = PortEnds.of_ports(ports, reference)
    return Users(name=name, kw=ends.kw(node_v[None, :])[0], of=ends.of, node=ends.node)


def point_users(network: Network, point: OperatingPoint, name: Sequence[str]) -> Users:
    """What injectors do by the operating point, for network sources that state no voltage laws; evenly over phases."""
    injectors = network.injectors
    counts = np.diff(injectors.terminal_ptr)
    of = np.repeat(np.arange(injectors.name.size, dtype=np.int32), counts)
    node = injectors.terminal_node
    phase = (node >= 0) & ~network.nodes.neutral[node]
    share = np.maximum(sums(of, phase, injectors.name.size), 1.0)
    return Users(name=name, kw=(point.p_kw / share)[of[phase]], of=of[phase], node=node[phase])


def injector_names(network: Network) -> list[str]:
    """Names of injectors; those of several kinds that share one have their kind in front."""
    listed = network.injectors.name.tolist()
    seen: dict[str, int] = {}
    for name in listed:
        seen[name] = seen.get(name, 0) + 1
    kinds = network.injectors.kind.tolist()
    return [f"{kind}.{name}" if seen[name] > 1 else name for name, kind in zip(listed, kinds, strict=True)]


@frozen(kw_only=True, eq=False)
class Place(_ByContent):
    """A part of a network whose flows are summed.

    Attributes:
        layout: Where everything goes.
        part: Parts of users that are in it, shape (part,).
        sources: Buses of the layout that what is left over comes from, shape (source,).
        what: What is left over there is called.
        bus_group: Group of each own bus of the layout, 0 for none, shape (own,); empty where buses are nodes.
    """

    layout: Layout
    part: IntArray = field(converter=ints)
    sources: IntArray = field(converter=ints)
    what: str
    bus_group: IntArray = field(factory=lambda: np.empty(0, np.int32), converter=ints)

    @classmethod
    def summed(
        cls, network: Network, source: IntArray, of: IntArray, node: IntArray, *, group: int | None = None
    ) -> Place:
        """The whole network, phases summed, or one group with its transformers; the network above it is the source.

        Args:
            network: The feeder.
            source: Nodes of sources.
            of: User of each part of a user.
            node: Node of each part of a user.
            group: A capacity group, 1..G.
        """
        conductors, buses = network.conductors, network.buses
        bus_of = buses.one_with[network.nodes.bus]
        chosen = conductors.node >= 0
        listed = np.unique(buses.one_with)
        sources = np.unique(bus_of[source])
        part = np.arange(of.size)
        if group is not None:
            chosen &= network.equipment.group[conductors.equipment] == group
            part = np.flatnonzero(buses.group[bus_of[node]] == group)
            listed = np.union1d(bus_of[conductors.node[chosen]], bus_of[node[part]]).astype(np.int32)
            sources = listed[buses.group[listed] != group]
        place = np.zeros(buses.name.size, dtype=np.int32)
        place[listed] = np.arange(listed.size, dtype=np.int32)
        no_reference = np.full(network.nodes.bus.size, -1, dtype=np.int32)
        sides = Sides.of(network, place[bus_of], chosen, no_reference, equipment_names(network))
        layout = Layout.of(sides, buses.name[listed].tolist(), of[part], place[bus_of[node[part]]])
        return cls(layout=layout, part=part, sources=place[sources], what="source", bus_group=buses.group[listed])

    @classmethod
    def of_phases(cls, network: Network, group: int, of: IntArray, node: IntArray) -> Place:
        """One LV group, each phase of a bus a bus of its own.

        Args:
            network: The feeder.
            group: 1..G.
            of: User of each part of a user.
            node: Node of each part of a user.

        Raises:
            FlowsError: The group holds a transformer, which changes phases.
        """
        nodes, conductors = network.nodes, network.conductors
        inside = (network.buses.group == group) & network.buses.lv
        own = inside[nodes.bus] & ~nodes.neutral
        kind = network.equipment.kind[conductors.equipment]
        chosen = (conductors.node >= 0) & (conductors.phase != "") & own[conductors.node]
        _refuse_windings(network, inside, str(network.groups.id[group - 1]))
        one = _one_node(network)
        listed = np.unique(one[own])
        place = np.zeros(own.size, dtype=np.int32)
        place[listed] = np.arange(listed.size, dtype=np.int32)
        place = place[one]
        lines = chosen & (kind != "Transformer")
        names_of = network.equipment.name.tolist()
        sides = Sides.of(network, place, lines, nodes.reference, names_of, by_phase=True)
        part = np.flatnonzero(own[node])
        layout = Layout.of(sides, network.node_names(listed), of[part], place[node[part]], coupled=True)
        heads = np.unique(place[conductors.node[chosen & (kind == "Transformer")]])
        return cls(layout=layout, part=part, sources=heads, what="head")

    def rest_name(self, bus: int) -> str:
        """Name of what is left over at a bus of the layout."""
        if bus not in self.sources:
            return f"other elements at {self.layout.bus[bus]}"
        return self.what if self.sources.size == 1 else f"{self.what} at {self.layout.bus[bus]}"


def summed(
    state: SolvedState, when: OperatingPoint, minutes: float, *, label: str = "", group: int | None = None
) -> FlowPeriod:
    """Flows of the whole network, phases summed.

    A line, transformer, series reactor or series capacitor of two buses is a branch; one of three or more is a star, a
    leg from each bus to a bus of its own, with its loss on the legs that power comes in by. What is lost where hardly
    anything comes out, such as in a transformer without load, is a user of its own at the lesser end. What buses supply
    or take beyond their injectors is the source's, or a user of its own with a finding.

    Args:
        state: The solved state.
        when: Its operating point.
        minutes: Length of the period.
        label: Label of the period.
        group: A capacity group, 1..G, for that group and its transformers alone; the network above it is the source.

    Raises:
        FlowsError: A branch gives more than it takes.
    """
    network, users = state.network, state.users
    place = Place.summed(network, state.source, users.of, users.node, group=group)
    user = users.name[place.layout.user]
    return _period(place, state, user, when, minutes, label, stations=network.groups.id.tolist())


def of_phases(state: SolvedState, group: int, when: OperatingPoint, minutes: float, *, label: str = "") -> FlowPeriod:
    """Flows of one LV group, each phase by itself, power measured to the neutral where there is one.

    Args:
        state: The solved state.
        group: 1..G.
        when: Its operating point.
        minutes: Length of the period.
        label: Label of the period.

    Raises:
        FlowsError: The group holds a transformer, which changes phases; or coupling makes the loss of a phase
            negative by more than a thousandth of its flow.
    """
    network, users = state.network, state.users
    place = Place.of_phases(network, group, users.of, users.node)
    first = dict(zip(place.layout.user_row.tolist(), users.node[place.part].tolist(), strict=True))
    number = [int(network.nodes.number[first[row]]) for row in range(place.layout.user.size)]
    letters = [PHASE_LETTERS.get(n, str(n)) for n in number]
    user = [f"{name}.{letter}" for name, letter in zip(users.name[place.layout.user], letters, strict=True)]
    return _period(place, state, user, when, minutes, label)


def _one_node(network: Network) -> IntArray:
    """First of the nodes that closed switches without an impedance make one with each, shape (node,)."""
    nodes = network.nodes
    pairs = zip(network.buses.one_with[nodes.bus].tolist(), nodes.number.tolist(), strict=True)
    own = {pair: node for node, pair in enumerate(zip(nodes.bus.tolist(), nodes.number.tolist(), strict=True))}
    return ints([own.get(pair, node) for node, pair in enumerate(pairs)])


def _refuse_windings(network: Network, inside: BoolArray, group: str) -> None:
    """A transformer with more than one winding inside the group changes phases there."""
    conductors = network.conductors
    transformer = (network.equipment.kind[conductors.equipment] == "Transformer") & (conductors.node >= 0)
    within = transformer & inside[network.nodes.bus[conductors.node]]
    buses: dict[int, set[int]] = {}
    for place in np.flatnonzero(within):
        bus = int(network.nodes.bus[conductors.node[place]])
        buses.setdefault(int(conductors.equipment[place]), set()).add(bus)
    several = [str(network.equipment.name[e]) for e, found in buses.items() if len(found) > 1]
    if several:
        raise FlowsError(
            f"group {group!r} holds the transformer {some(several)}, whose windings change phases; phases can be traced"
            ' one by one only where none does: set phases = "sum"'
        )


def equipment_names(network: Network) -> list[str]:
    """Names of branches; those of several kinds that share one have their kind in front."""
    listed = network.equipment.name.tolist()
    seen: dict[str, int] = {}
    for name in listed:
        seen[name] = seen.get(name, 0) + 1
    kinds = network.equipment.kind.tolist()
    return [f"{kind}.{name}" if seen[name] > 1 else name for name, kind in zip(listed, kinds, strict=True)]


def _period(
    place: Place,
    state: SolvedState,
    user: Sequence[str] | NameArray,
    when: OperatingPoint,
    minutes: float,
    label: str,
    stations: Sequence[str] = (),
) -> FlowPeriod:
    """The period of one state, in MW; losses and what is left over are users where they are worth it."""
    layout = place.layout
    flows = layout.flows(state.node_v[None, :], state.conductor_a[None, :], state.users.kw[None, place.part])
    if flows.refused[0]:
        raise FlowsError(flows.refused[0])
    row_kw, losses, users = flows.row_kw[0], layout.loss_bus.size, layout.user.size
    kept = row_kw != 0.0
    kept[losses : losses + users] = True
    node = [f"losses of {layout.sides.name[layout.loss_thing[row]]}" for row in np.flatnonzero(kept[:losses])]
    node += list(user)
    rest = np.flatnonzero(kept[losses + users :])
    node += [place.rest_name(bus) for bus in rest.tolist()]
    kw = row_kw[kept]
    of_bus = np.full(layout.bus.size, -1, dtype=np.int32)
    of_bus[: place.bus_group.size] = place.bus_group - 1
    network = FlowNetwork(
        branch=layout.branch,
        bus=layout.bus,
        node=node,
        from_bus=layout.from_bus,
        to_bus=layout.to_bus,
        row_node=np.arange(kw.size),
        row_bus=layout.row_bus[kept],
        row_factor=np.ones(kw.size),
        stations=list(stations),
        bus_station=of_bus,
    )
    return FlowPeriod(
        network=network,
        label=label,
        start=when.instant - timedelta(minutes=minutes),
        minutes=minutes,
        flow_mw=flows.flow_kw[0] / KILO,
        loss_mw=flows.loss_kw[0] / KILO,
        fixed_loss_mw=np.zeros(layout.branch.size),
        generation_mw=np.maximum(kw, 0.0) / KILO,
        load_mw=np.maximum(-kw, 0.0) / KILO,
        findings=_noted(place, flows, ints(rest[~np.isin(rest, place.sources)])),
    )


def _noted(place: Place, flows: Flows, others: IntArray) -> list[Finding]:
    """What is traced otherwise than it was found, of one state."""
    layout, found = place.layout, []
    below = np.flatnonzero(flows.negative_kw[0])
    if below.size:
        found.append(
            Finding(
                severity=Severity.INFO,
                code="phase-loss-below-zero",
                element=some(layout.sides.name[below].tolist()),
                count=int(below.size),
                kw=float(flows.negative_kw[0, below].sum()),
                message="coupling between phases makes the loss of single phases negative; traced as 0, and left"
                " over at their buses",
            )
        )
    lossy = np.flatnonzero(flows.row_kw[0, : layout.loss_bus.size])
    if lossy.size:
        found.append(
            Finding(
                severity=Severity.INFO,
                code="losses-without-flow",
                element=some(layout.sides.name[layout.loss_thing[lossy]].tolist()),
                count=int(lossy.size),
                kw=-float(flows.row_kw[0, lossy].sum()),
                message="take power at every end; what they lose is a user of its own",
            )
        )
    if others.size and not layout.coupled:
        rest = flows.row_kw[0, layout.loss_bus.size + layout.user.size :]
        found.append(
            Finding(
                severity=Severity.INFO,
                code="other-elements-in-flows",
                element=some(layout.bus[others].tolist()),
                count=int(others.size),
                kw=float(np.abs(rest[others]).sum()),
                message="buses supply or take power beyond their loads and generating elements: capacitors,"
                " reactors or elements that the network does not list; each is a user of its own",
            )
        )
    return found
