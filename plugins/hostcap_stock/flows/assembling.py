"""Flow periods from columns: names become places once, and periods of one topology share one network object."""

from __future__ import annotations

from collections import OrderedDict
from datetime import datetime

import numpy as np
from attrs import evolve, frozen

from hostcap._arrays import FloatArray, IntArray, sums
from hostcap.errors import FlowsError
from hostcap.findings import Finding, Severity, counted, some
from hostcap.flows import FACTOR_TOLERANCE, FlowNetwork, FlowPeriod
from hostcap_stock.flows.reading import Vocabulary

NETWORKS_KEPT = 64
"""Topologies that are remembered; in vSPD results nearly every period of a day has one of a few."""
BUS_TOLERANCE_MW = 0.01
"""How far MW of a bus in the results may be from those that the map allocates; results have 3 decimals."""


@frozen(kw_only=True, eq=False)
class Branches:
    """Branches of one period, arrays of shape (branch,); words as numbers of the vocabularies."""

    name: IntArray
    from_bus: IntArray
    to_bus: IntArray
    flow_mw: FloatArray
    loss_mw: FloatArray
    fixed_loss_mw: FloatArray


@frozen(kw_only=True, eq=False)
class NodeMw:
    """MW of the nodes of one period, arrays of shape (node,)."""

    name: IntArray
    generation_mw: FloatArray
    load_mw: FloatArray


@frozen(kw_only=True, eq=False)
class NodeMap:
    """Where the nodes of one period stand, arrays of shape (row,).

    Attributes:
        source: What messages call it.
    """

    node: IntArray
    bus: IntArray
    factor: FloatArray
    source: str


@frozen(kw_only=True)
class When:
    """Which period it is."""

    label: str
    start: datetime
    minutes: float

    @property
    def name(self) -> str:
        """As ``FlowPeriod.name``."""
        return f"{self.start:%Y-%m-%d %H:%M} {self.label}".rstrip()


_Known = tuple[FlowNetwork, tuple[Finding, ...], tuple[Finding, ...]]
"""A network, what was scaled in it, and which of its nodes stand on no bus."""


class Assembler:
    """Makes periods; remembers the networks of the last topologies.

    Attributes:
        branches, buses, nodes: Names by number; buses are numbered together wherever they are named.
    """

    def __init__(self, *, normalise: bool = False) -> None:
        """Prepare.

        Args:
            normalise: Scale the factors of every node to the sum 1, with a finding; otherwise only what the rounding
                of printed factors explains.
        """
        self.branches, self.buses, self.nodes = Vocabulary(), Vocabulary(), Vocabulary()
        self._normalise = normalise
        self._networks: OrderedDict[bytes, _Known] = OrderedDict()

    def period(
        self, when: When, branches: Branches, nodes: NodeMw, where: NodeMap, *, more_buses: IntArray | None = None
    ) -> FlowPeriod:
        """One period.

        Args:
            when: Label, start and length.
            branches: Its branches.
            nodes: What its nodes supply and take.
            where: On which buses they stand.
            more_buses: Buses that are known although no branch ends there.

        Raises:
            FlowsError: A branch or node is there twice; the map names what the results do not know, or its factors
                do not add up to 1.
        """
        network, scaled, lost = self._network(when, branches, nodes, where, more_buses)
        return FlowPeriod(
            network=network,
            label=when.label,
            start=when.start,
            minutes=when.minutes,
            flow_mw=branches.flow_mw,
            loss_mw=branches.loss_mw,
            fixed_loss_mw=branches.fixed_loss_mw,
            generation_mw=nodes.generation_mw,
            load_mw=nodes.load_mw,
            findings=_scaled_mw(scaled, network, nodes, where) + lost,
        )

    def bus_differences(
        self, period: FlowPeriod, bus: IntArray, generation_mw: FloatArray, load_mw: FloatArray, source: str
    ) -> tuple[Finding, ...]:
        """Where MW of buses in the results are not those that the map allocates; at most one finding."""
        network = period.network
        size = len(self.buses.names)
        number = self.buses.codes(network.bus.tolist())
        net = network.row_factor * (period.generation_mw - period.load_mw)[network.row_node]
        allocated = sums(number[network.row_bus], net, size)
        difference = sums(bus, generation_mw - load_mw, size) - allocated
        far = np.flatnonzero(np.abs(difference) > BUS_TOLERANCE_MW)
        if not far.size:
            return ()
        far = far[np.argsort(-np.abs(difference[far]), kind="stable")]
        total = float(np.abs(difference[far]).sum())
        message = (
            f"{source} and the nodes differ by {total:.6g} MW in all, most at bus {self.buses.names[far[0]]}"
            f" ({difference[far[0]]:.6g} MW more generation less load there); the MW of the nodes are traced"
        )
        return (
            Finding(
                severity=Severity.WARNING,
                code="bus-results-differ",
                element=some(self.buses.text(far.astype(np.int32))),
                count=int(far.size),
                kw=total * 1000.0,
                message=message,
            ),
        )

    def _network(
        self, when: When, branches: Branches, nodes: NodeMw, where: NodeMap, more_buses: IntArray | None
    ) -> _Known:
        arrays = (branches.name, branches.from_bus, branches.to_bus, nodes.name, where.node, where.bus)
        key = b"|".join(array.tobytes() for array in (*arrays, where.factor))
        known = self._networks.get(key)
        if known is None:
            network, scaled = self._build(
                when, branches, nodes, where, np.empty(0, np.int32) if more_buses is None else more_buses
            )
            known = self._networks[key] = (network, scaled, self._without_bus(network))
            if len(self._networks) > NETWORKS_KEPT:
                self._networks.popitem(last=False)
        else:
            self._networks.move_to_end(key)
        return known

    def _build(
        self, when: When, branches: Branches, nodes: NodeMw, where: NodeMap, extra: IntArray
    ) -> tuple[FlowNetwork, tuple[Finding, ...]]:
        self._once(when, branches.name, self.branches, "branch")
        self._once(when, nodes.name, self.nodes, "node")
        place_of_node = _places(nodes.name, len(self.nodes.names))
        row_node = place_of_node[where.node]
        if np.any(row_node < 0):
            strange = self.nodes.text(np.unique(where.node[row_node < 0]))
            raise FlowsError(
                f"period {when.name}: {where.source} names node {some(strange)}, which the results do not; expected"
                " the map of the same period and system"
            )
        ends = np.unique(np.concatenate([branches.from_bus, branches.to_bus, extra]))
        alone = np.setdiff1d(where.bus, ends)
        used = np.zeros(len(self.nodes.names), dtype=bool)
        used[nodes.name] = (nodes.generation_mw != 0) | (nodes.load_mw != 0)
        live = np.isin(where.bus, alone) & used[where.node] & (where.factor != 0)
        if np.any(live):
            row = int(np.flatnonzero(live)[0])
            raise FlowsError(
                f"period {when.name}: {where.source} puts node {self.nodes.names[where.node[row]]} on bus "
                f"{self.buses.names[where.bus[row]]}, where no branch ends ({counted(int(live.sum()), 'row')} with MW "
                "in all); expected buses of the same period, as their numbers change from period to period"
            )
        buses = np.union1d(ends, alone)
        place_of_bus = _places(buses, len(self.buses.names))
        pairs = row_node.astype(np.int64) * len(self.buses.names) + where.bus
        if np.unique(pairs).size < pairs.size:
            order = np.argsort(pairs, kind="stable")
            row = int(order[1:][np.diff(pairs[order]) == 0][0])
            raise FlowsError(
                f"period {when.name}: {where.source} has node {self.nodes.names[where.node[row]]} on bus"
                f" {self.buses.names[where.bus[row]]} twice; are two periods mixed?"
            )
        if np.any(where.factor < 0):
            row = int(where.factor.argmin())
            raise FlowsError(
                f"period {when.name}: {where.source} gives node {self.nodes.names[where.node[row]]} at bus"
                f" {self.buses.names[where.bus[row]]} the factor {where.factor[row]:.6g}; expected parts of its MW,"
                " 0 to 1"
            )
        network = FlowNetwork(
            branch=self.branches.text(branches.name),
            bus=self.buses.text(buses.astype(np.int32)),
            node=self.nodes.text(nodes.name),
            from_bus=place_of_bus[branches.from_bus],
            to_bus=place_of_bus[branches.to_bus],
            row_node=row_node,
            row_bus=place_of_bus[where.bus],
            row_factor=where.factor,
        )
        return self._scaled(network)

    def _once(self, when: When, codes: IntArray, vocabulary: Vocabulary, what: str) -> None:
        numbers, counts = np.unique(codes, return_counts=True)
        if np.any(counts > 1):
            twice = vocabulary.text(numbers[counts > 1])
            raise FlowsError(
                f"period {when.name}: {what} {some(twice)} is there twice; are two periods or cases mixed?"
            )

    def _scaled(self, network: FlowNetwork) -> tuple[FlowNetwork, tuple[Finding, ...]]:
        """Factors scaled to the sum 1, where only the rounding of printed factors keeps them from it."""
        total = network.factor_sums
        rows = np.bincount(network.row_node, minlength=network.node.size)
        unit = _printed_unit(network.row_factor)
        off = np.abs(total - 1.0)
        near = (off > FACTOR_TOLERANCE) & (rows > 0) & (total > 0)
        if not self._normalise:
            near &= off <= rows * unit / 2.0 + 1e-9
        if not np.any(near):
            return network, ()
        scale = np.where(near, 1.0 / np.where(near, total, 1.0), 1.0)
        listed = network.node[near].tolist()
        sums_said = (
            f"factors of {counted(len(listed), 'node adds', 'nodes add')} up to {total[near].min():.6g} to "
            f"{total[near].max():.6g}, not 1"
        )
        if self._normalise:
            finding = Finding(
                severity=Severity.WARNING,
                code="allocation-factors-normalised",
                element=some(listed),
                count=len(listed),
                message=f"{sums_said}: scaled to 1, as factor_sums asks",
            )
        else:
            finding = Finding(
                severity=Severity.INFO,
                code="allocation-factors-rounded",
                element=some(listed),
                count=len(listed),
                message=f"{sums_said}, as their rounding explains: scaled to 1",
            )
        return evolve(network, row_factor=network.row_factor * scale[network.row_node]), (finding,)

    def _without_bus(self, network: FlowNetwork) -> tuple[Finding, ...]:
        """Nodes without MW that stand on no bus; those with MW are refused."""
        rows = np.bincount(network.row_node, minlength=network.node.size)
        lost = network.node[rows == 0].tolist()
        if not lost:
            return ()
        return (
            Finding(
                severity=Severity.INFO,
                code="node-without-bus",
                element=some(lost),
                count=len(lost),
                kw=0.0,
                message="nodes without MW that the map does not know; nothing is traced to them",
            ),
        )


def _scaled_mw(found: tuple[Finding, ...], network: FlowNetwork, nodes: NodeMw, where: NodeMap) -> tuple[Finding, ...]:
    """The findings of a network, with the MW of one period that they concern."""
    if not found:
        return ()
    before = sums(network.row_node, where.factor, network.node.size)
    amount = np.abs(nodes.generation_mw) + np.abs(nodes.load_mw)
    moved = float((amount * np.abs(1.0 - before) * (before > 0)).sum())
    return tuple(evolve(finding, kw=moved * 1000.0) for finding in found)


def _places(codes: IntArray, size: int) -> IntArray:
    """Place of each number in ``codes``; -1 where it is not."""
    places = np.full(size, -1, dtype=np.int32)
    places[codes] = np.arange(codes.size, dtype=np.int32)
    return places


def _printed_unit(factors: FloatArray) -> float:
    """Unit of the last decimal that factors are printed with: 0.01 for 0.33 and 0.5; 0 where they have many."""
    for unit in (0.01, 0.001, 0.0001):
        if np.all(np.abs(factors / unit - np.round(factors / unit)) < 1e-6):
            return unit
    return 0.0
