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
from hostcap.network import BALANCED, PHASE_LETTERS, Network, _ByContent
from hostcap.operating_point import OperatingPoint

KILO = 1000.0
REST_KW = 1e-3
"""Net power of a bus beyond that of its injectors which is worth a user of its own; below it is the solver's noise."""
NOISE = 1e-6
"""Part of a flow below which a negative loss is the solver's noise, as is one below ``REST_KW``."""
ROUNDING_KW = 1e-9
"""Negative loss of a phase that is not worth a word."""
COUPLED = 1e-3
"""Part of a phase's flow up to which a negative loss is taken for 0, with a finding; beyond, the phase is refused."""


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


def port_users(node_v: ComplexArray, ports: Ports, name: Sequence[str], reference: IntArray) -> Users:
    """What ports draw at solved voltages, by the element that they belong to.

    Args:
        node_v: Voltages, V, shape (node,).
        ports: Ports of elements.
        name: Of each element that ``ports.injector`` speaks of.
        reference: Node that the voltage of each node is measured to; -1 for ground, shape (node,).
    """
    drawn = ports.drawn_a(ports.voltage_v(node_v))
    ends = np.concatenate([ports.node_a, ports.node_b])
    current = np.concatenate([drawn, -drawn])
    of = np.concatenate([ports.injector, ports.injector])
    kept = (ends >= 0) & (of >= 0)
    power = _measured(node_v, ends[kept], reference) * np.conj(current[kept])
    return Users(name=name, kw=-power.real / KILO, of=of[kept], node=ends[kept])


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


def joined_users(first: Users, second: Users) -> Users:
    """Users of both; names must differ."""
    return Users(
        name=[*first.name.tolist(), *second.name.tolist()],
        kw=np.concatenate([first.kw, second.kw]),
        of=np.concatenate([first.of, second.of + first.name.size]),
        node=np.concatenate([first.node, second.node]),
    )


def summed(
    state: SolvedState, when: OperatingPoint, minutes: float, *, label: str = "", group: int | None = None
) -> FlowPeriod:
    """Flows of the whole network, phases summed.

    A line or a transformer of two buses is a branch; one of three or more is a star, a leg from each bus to a bus of
    its own, with its loss on the legs that power comes in by. What is lost where hardly anything comes out, such as in
    a transformer without load, is a user of its own at the lesser end. What buses supply or take beyond their injectors
    is the source's, or a user of its own with a finding.

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
    conductors, buses = network.conductors, network.buses
    bus_of = network.nodes.bus
    chosen = conductors.node >= 0
    listed = np.arange(buses.name.size, dtype=np.int32)
    sources = np.unique(bus_of[state.source])
    if group is not None:
        chosen &= network.equipment.group[conductors.equipment] == group
        kept = buses.group[bus_of[users.node]] == group
        users = Users(name=users.name, kw=users.kw[kept], of=users.of[kept], node=users.node[kept])
        listed = np.union1d(bus_of[conductors.node[chosen]], bus_of[users.node]).astype(np.int32)
        sources = listed[buses.group[listed] != group]
    place = np.zeros(buses.name.size, dtype=np.int32)
    place[listed] = np.arange(listed.size, dtype=np.int32)
    no_reference = np.full(network.nodes.bus.size, -1, dtype=np.int32)
    ends = _Ends.of(state, place[bus_of], chosen, no_reference)
    parts = _Parts(bus=buses.name[listed].tolist())
    names_of = equipment_names(network)
    parts.add_equipment(ends, [names_of[equipment] for equipment, _ in ends.things])
    parts.add_users(users, place[bus_of[users.node]])
    parts.add_rest(place[sources], "source")
    return parts.period(when, minutes, label, stations=network.groups.id.tolist(), bus_station=buses.group[listed] - 1)


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
    network = state.network
    nodes, conductors, equipment = network.nodes, network.conductors, network.equipment
    inside = (network.buses.group == group) & network.buses.lv
    own = inside[nodes.bus] & ~nodes.neutral
    kind = equipment.kind[conductors.equipment]
    chosen = (conductors.node >= 0) & (conductors.phase != "") & own[conductors.node]
    lines = chosen & (kind == "Line")
    _refuse_windings(network, inside, str(network.groups.id[group - 1]))
    place = np.cumsum(own) - 1
    listed = np.flatnonzero(own).astype(np.int32)
    ends = _Ends.of(state, place.astype(np.int32), lines, nodes.reference, by_phase=True)
    parts = _Parts(bus=network.node_names(listed), coupled=True)
    parts.add_equipment(ends, _phase_names(network, ends))
    kept = own[state.users.node]
    users = Users(name=state.users.name, kw=state.users.kw[kept], of=state.users.of[kept], node=state.users.node[kept])
    letters = [PHASE_LETTERS.get(int(number), str(number)) for number in nodes.number[users.node]]
    parts.add_users(users, place[users.node].astype(np.int32), letters)
    head = chosen & (kind == "Transformer")
    heads = np.unique(place[conductors.node[head]])
    parts.add_rest(heads, "head")
    return parts.period(when, minutes, label)


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
    """Names of branches; lines and transformers that share one have their kind in front."""
    listed = network.equipment.name.tolist()
    twice = {name for name in listed if listed.count(name) > 1} if len(set(listed)) < len(listed) else set()
    kinds = network.equipment.kind.tolist()
    return [f"{kind}.{name}" if name in twice else name for name, kind in zip(listed, kinds, strict=True)]


def _phase_names(network: Network, ends: _Ends) -> list[str]:
    return [f"{network.equipment.name[e]}.{phase}" for e, phase in ends.things]


def _measured(node_v: ComplexArray, node: IntArray, reference: IntArray) -> ComplexArray:
    """Voltage of nodes to what they are measured to."""
    back = reference[node]
    return np.asarray(node_v[node] - np.where(back >= 0, node_v[back], 0.0))


@frozen(kw_only=True, eq=False)
class _Ends:
    """Power into each thing (equipment, or a phase of it) at each bus it touches.

    Attributes:
        things: (equipment, phase) of each thing; phase empty where phases are summed.
        thing, bus: Of each end, rising by thing, shape (end,).
        kw: Into the thing, shape (end,).
    """

    things: list[tuple[int, str]]
    thing: IntArray
    bus: IntArray
    kw: FloatArray

    @classmethod
    def of(
        cls,
        state: SolvedState,
        bus_of_node: IntArray,
        chosen: BoolArray,
        reference: IntArray,
        *,
        by_phase: bool = False,
    ) -> _Ends:
        conductors = state.network.conductors
        which = np.flatnonzero(chosen)
        node = conductors.node[which]
        power = _measured(state.node_v, node, reference) * np.conj(state.conductor_a[which])
        phases_of = np.where(state.network.nodes.number[node] == BALANCED, 3.0, 1.0)
        # Dead nodes of some engines have no voltage at all.
        kw = np.nan_to_num(power.real) * phases_of / KILO
        equipment = conductors.equipment[which]
        phases = conductors.phase[which].tolist() if by_phase else [""] * which.size
        numbers: dict[tuple[int, str], int] = {}
        thing = np.asarray(
            [numbers.setdefault(pair, len(numbers)) for pair in zip(equipment.tolist(), phases, strict=True)], np.int64
        )
        size = int(bus_of_node.max(initial=0)) + 1
        pairs, place = np.unique(thing * size + bus_of_node[node], return_inverse=True)
        return cls(
            things=list(numbers),
            thing=(pairs // size).astype(np.int32),
            bus=(pairs % size).astype(np.int32),
            kw=sums(place.astype(np.int32), kw, pairs.size),
        )


class _Parts:
    """Branches and users of a period, as they are found."""

    def __init__(self, bus: list[str], *, coupled: bool = False) -> None:
        self.bus = list(bus)
        self._own = len(bus)
        self._coupled = coupled
        self.branch: list[str] = []
        self.ends: list[tuple[int, int]] = []
        self.flow: list[float] = []
        self.loss: list[float] = []
        self.user: list[str] = []
        self.user_bus: list[int] = []
        self.user_kw: list[float] = []
        self.findings: list[Finding] = []
        self._below: list[tuple[str, float]] = []
        self._lossy: list[tuple[str, float]] = []

    def add_equipment(self, ends: _Ends, name: list[str]) -> None:
        """Branches, stars, and losses that are users of their own."""
        first = np.searchsorted(ends.thing, np.arange(len(ends.things) + 1))
        bus, kw = ends.bus.tolist(), ends.kw.tolist()
        for thing, (low, high) in enumerate(zip(first[:-1].tolist(), first[1:].tolist(), strict=True)):
            if high - low == 2:
                self._branch(name[thing], (bus[low], bus[low + 1]), kw[low], kw[low + 1])
            elif high - low > 2:
                self._star(name[thing], bus[low:high], kw[low:high])
            elif high > low:
                self._take(name[thing], bus[low], kw[low])
        if self._below:
            total = -sum(kw for _, kw in self._below)
            self.findings.append(
                Finding(
                    severity=Severity.INFO,
                    code="phase-loss-below-zero",
                    element=some([name for name, _ in self._below]),
                    count=len(self._below),
                    kw=total,
                    message="coupling between phases makes the loss of single phases negative; traced as 0, and left"
                    " over at their buses",
                )
            )
        if self._lossy:
            self.findings.append(
                Finding(
                    severity=Severity.INFO,
                    code="losses-without-flow",
                    element=some([name for name, _ in self._lossy]),
                    count=len(self._lossy),
                    kw=sum(kw for _, kw in self._lossy),
                    message="take power at every end; what they lose is a user of its own",
                )
            )

    def _branch(self, name: str, ends: tuple[int, int], start: float, end: float) -> None:
        if min(start, end) > -REST_KW and max(start, end) > 0.0:
            # Hardly anything comes out, so that a trace would charge what goes in to nobody: it arrives whole, and a
            # user of its own takes there what is lost.
            flow, lesser = (start, ends[1]) if start >= end else (-end, ends[0])
            lost = 0.0 if self._take(name, lesser, start + end) else min(max(start + end, 0.0), abs(flow))
            self._add(name, ends, flow, lost)
            return
        loss = start + end
        flow = start if start >= 0.0 else -end
        if start < 0.0 and end < 0.0:
            flow = 0.0
        self._add(name, ends, flow, self._checked(name, loss, max(abs(start), abs(end))))

    def _star(self, name: str, buses: list[int], kw: list[float]) -> None:
        """Legs from each bus to a bus of its own; loss on the legs that power comes in by, in proportion."""
        self.bus.append(f"{name} star")
        star = len(self.bus) - 1
        coming = sum(power for power in kw if power > 0.0)
        loss = self._checked(name, sum(kw), max(coming, 0.0))
        if min(kw) > -REST_KW and self._take(name, star, loss):
            loss = 0.0
        for bus, power in zip(buses, kw, strict=True):
            own = loss * power / coming if power > 0.0 else 0.0
            self._add(f"{name} at {self.bus[bus]}", (bus, star), power, own)

    def _checked(self, name: str, loss: float, flow: float) -> float:
        if loss >= 0.0:
            return loss
        if -loss > (ROUNDING_KW if self._coupled else NOISE * flow + REST_KW):
            if not self._coupled or -loss > COUPLED * flow + REST_KW:
                what = "phase" if self._coupled else "branch"
                raise FlowsError(
                    f"{what} {name} gives {-loss:.3g} kW more than it takes (of {flow:.6g} kW)"
                    + (': phases are coupled there; set phases = "sum"' if self._coupled else "; expected a loss >= 0")
                )
            self._below.append((name, loss))
        return 0.0

    def _add(self, name: str, ends: tuple[int, int], flow: float, loss: float) -> None:
        self.branch.append(name)
        self.ends.append(ends)
        self.flow.append(flow)
        self.loss.append(loss)

    def _take(self, name: str, bus: int, kw: float) -> bool:
        """Losses as a user of their own; whether they are worth one."""
        if kw <= REST_KW:
            return False
        self.user.append(f"losses of {name}")
        self.user_bus.append(bus)
        self.user_kw.append(-kw)
        self._lossy.append((name, kw))
        return True

    def add_users(self, users: Users, bus: IntArray, phase: Sequence[str] | None = None) -> None:
        """Users, one for each bus where they are; of phases with the phase's letter."""
        labels = users.name.tolist()
        total: dict[tuple[int, int], float] = {}
        letter: dict[tuple[int, int], str] = {}
        for place, pair in enumerate(zip(users.of.tolist(), bus.tolist(), strict=True)):
            total[pair] = total.get(pair, 0.0) + float(users.kw[place])
            letter[pair] = "" if phase is None else f".{phase[place]}"
        for pair, kw in total.items():
            self.user.append(f"{labels[pair[0]]}{letter[pair]}")
            self.user_bus.append(pair[1])
            self.user_kw.append(kw)

    def add_rest(self, sources: IntArray, what: str) -> None:
        """What buses supply or take beyond their users, as flows say: of sources, and of elements that are no users."""
        balance = np.zeros(len(self.bus))
        flow, loss = np.asarray(self.flow), np.asarray(self.loss)
        forward = flow >= 0.0
        sent, received = np.abs(flow), np.maximum(np.abs(flow) - loss, 0.0)
        start, end = np.asarray(self.ends, dtype=np.int64).reshape(-1, 2).T
        np.add.at(balance, np.where(forward, start, end), sent)
        np.add.at(balance, np.where(forward, end, start), -received)
        np.add.at(balance, np.asarray(self.user_bus, dtype=np.int64), -np.asarray(self.user_kw))
        own = set(sources.tolist())
        others = []
        for bus in np.flatnonzero(np.abs(balance[: self._own]) > REST_KW).tolist():
            named = what if len(own) == 1 else f"{what} at {self.bus[bus]}"
            if bus not in own:
                named = f"other elements at {self.bus[bus]}"
                others.append(bus)
            self.user.append(named)
            self.user_bus.append(bus)
            self.user_kw.append(float(balance[bus]))
        if others and not self._coupled:
            self.findings.append(
                Finding(
                    severity=Severity.INFO,
                    code="other-elements-in-flows",
                    element=some([self.bus[bus] for bus in others]),
                    count=len(others),
                    kw=float(np.abs(balance[others]).sum()),
                    message="buses supply or take power beyond their loads and generating elements: capacitors,"
                    " reactors or elements that the network does not list; each is a user of its own",
                )
            )

    def period(
        self,
        when: OperatingPoint,
        minutes: float,
        label: str,
        stations: Sequence[str] = (),
        bus_station: IntArray | None = None,
    ) -> FlowPeriod:
        """The period, in MW."""
        kw = np.asarray(self.user_kw)
        of_bus = np.full(len(self.bus), -1, dtype=np.int32)
        if bus_station is not None:
            of_bus[: bus_station.size] = bus_station
        ends = np.asarray(self.ends, dtype=np.int32).reshape(-1, 2)
        network = FlowNetwork(
            branch=self.branch,
            bus=self.bus,
            node=self.user,
            from_bus=ends[:, 0],
            to_bus=ends[:, 1],
            row_node=np.arange(len(self.user)),
            row_bus=self.user_bus,
            row_factor=np.ones(len(self.user)),
            stations=list(stations),
            bus_station=of_bus,
        )
        return FlowPeriod(
            network=network,
            label=label,
            start=when.instant - timedelta(minutes=minutes),
            minutes=minutes,
            flow_mw=np.asarray(self.flow) / KILO,
            loss_mw=np.asarray(self.loss) / KILO,
            fixed_loss_mw=np.zeros(len(self.branch)),
            generation_mw=np.maximum(kw, 0.0) / KILO,
            load_mw=np.maximum(-kw, 0.0) / KILO,
            findings=self.findings,
        )
