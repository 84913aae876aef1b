"""Solved flows of trading periods: the network of a period, its MW, and periods that failed; free of engines.

Streams: a source yields periods one by one and keeps none, so a year needs the memory of one period. Periods with one
topology share one ``FlowNetwork`` object, which is what makes them fast to trace.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from typing import Any, Generic, TypeVar

import attrs
import numpy as np
from attrs import field, frozen

from hostcap._arrays import FloatArray, IntArray, NameArray, floats, ints, names, sums
from hostcap.errors import FlowsError
from hostcap.findings import Finding, counted, some
from hostcap.network import _ByContent

FACTOR_TOLERANCE = 1e-4
"""How far the allocation factors of a node with MW may add up to other than 1."""
LOSS_TOLERANCE_MW = 1e-9
"""How far rounding may take a loss below 0."""
HELD = 16
"""Networks that ``PerNetwork`` remembers; a few topologies come again and again within a day."""
Made = TypeVar("Made")


def _aware(instance: Any, attribute: attrs.Attribute[datetime], value: datetime) -> None:
    if value.utcoffset() is None:
        raise ValueError(f"{attribute.name} {value.isoformat()} has no offset; add Z for UTC, or +12:00")


def _length(instance: Any, attribute: attrs.Attribute[float], value: float) -> None:
    if not (np.isfinite(value) and value > 0):
        raise ValueError(f"minutes must be finite and > 0, got {value}")


def _findings(values: Iterable[Finding]) -> tuple[Finding, ...]:
    return tuple(values)


@frozen(kw_only=True, eq=False)
class FlowNetwork(_ByContent):
    """What stands still while MW change: names, ends of branches, and which bus each node injects at.

    Rows (``row_*``) say where a node stands: a node on several buses has several rows, whose factors add up to 1.

    Attributes:
        branch: Names, each once, shape (branch,).
        bus: Names, each once, shape (bus,).
        node: Names, each once, shape (node,).
        from_bus, to_bus: Ends, shape (branch,).
        row_node, row_bus: Node and bus of each row, shape (row,).
        row_factor: Share of the node's MW at that bus, shape (row,).
        stations: Names of stations, each once, shape (station,); empty where nobody said.
        bus_station: Station of each bus, -1 for none, shape (bus,); empty stands for none at all.
    """

    branch: NameArray = field(converter=names)
    bus: NameArray = field(converter=names)
    node: NameArray = field(converter=names)
    from_bus: IntArray = field(converter=ints)
    to_bus: IntArray = field(converter=ints)
    row_node: IntArray = field(converter=ints)
    row_bus: IntArray = field(converter=ints)
    row_factor: FloatArray = field(converter=floats)
    stations: NameArray = field(factory=lambda: names([]), converter=names)
    bus_station: IntArray = field(factory=lambda: ints([]), converter=ints)

    def __attrs_post_init__(self) -> None:
        if self.bus_station.size == 0:
            object.__setattr__(self, "bus_station", ints(np.full(self.bus.size, -1)))
        for kind in ("branch", "bus", "node", "stations"):
            listed = getattr(self, kind)
            if len(set(listed.tolist())) < listed.size:
                seen: set[str] = set()
                twice = [n for n in listed.tolist() if n in seen or seen.add(n)]  # type: ignore[func-returns-value]
                raise FlowsError(f"{kind} {some(twice)}: listed twice in one period; are two periods mixed?")
        for first, second, of in (
            ("from_bus", "to_bus", self.branch.size),
            ("row_node", "row_bus", self.row_node.size),
            ("row_factor", "row_factor", self.row_node.size),
            ("bus_station", "bus_station", self.bus.size),
        ):
            if not getattr(self, first).size == getattr(self, second).size == of:
                raise FlowsError(f"{first} and {second}: expected {of} entries each")
        for column, listed, low in (
            ("from_bus", self.bus, 0),
            ("to_bus", self.bus, 0),
            ("row_node", self.node, 0),
            ("row_bus", self.bus, 0),
            ("bus_station", self.stations, -1),
        ):
            index = getattr(self, column)
            if index.size and not (index.min() >= low and index.max() < listed.size):
                raise FlowsError(f"{column}: has an index outside {low} to {listed.size - 1}")
        if not np.isfinite(self.row_factor).all():
            bad = self.row_node[~np.isfinite(self.row_factor)]
            raise FlowsError(f"node {some(self.node[bad].tolist())}: its allocation factor is not a finite number")
        if np.any(self.row_factor < 0):
            row = int(self.row_factor.argmin())
            raise FlowsError(
                f"node {self.node[self.row_node[row]]}: its allocation factor at bus {self.bus[self.row_bus[row]]} is"
                f" {self.row_factor[row]:.6g}; expected parts of its MW, 0 to 1"
            )

    @cached_property
    def factor_sums(self) -> FloatArray:
        """Sum of the allocation factors of each node, shape (node,)."""
        return sums(self.row_node, self.row_factor, self.node.size)

    @cached_property
    def not_whole(self) -> IntArray:
        """The nodes whose factors do not add up to 1, such as those on no bus; they may have no MW."""
        return ints(np.flatnonzero(np.abs(self.factor_sums - 1.0) > FACTOR_TOLERANCE))


class PerNetwork(Generic[Made]):
    """What is made of networks, once of each as long as it is remembered.

    A network is known by its identity, which takes no time, else by its content: another object that says the same
    shares what was made of the first.
    """

    def __init__(self, make: Callable[[FlowNetwork], Made]) -> None:
        self._make = make
        self._held: dict[int, tuple[FlowNetwork, Made]] = {}

    def of(self, network: FlowNetwork) -> Made:
        """What is made of this network."""
        held = self._held.get(id(network))
        if held is None or held[0] is not network:
            before = self._held
            equal = next((made for made in before.values() if made[0] == network), None)
            held = (network, self._make(network) if equal is None else equal[1])
            # A new one, as several threads read it.
            self._held = dict([*list(before.items())[1 - HELD :], (id(network), held)])
        return held[1]


class _Timed:
    """When a period is, whether it has flows or not."""

    __slots__ = ()
    label: str
    start: datetime
    minutes: float

    @property
    def day(self) -> date:
        """The calendar day it belongs to, in the time of the data."""
        return self.start.date()

    @property
    def end(self) -> datetime:
        """End of the period, UTC: what result tables call its timestamp."""
        return self.start.astimezone(UTC) + timedelta(minutes=self.minutes)

    @property
    def name(self) -> str:
        """Such as ``2025-01-27 10:00 TP21``, for messages."""
        return f"{self.start.isoformat(' ', 'minutes')[:16]} {self.label}".rstrip()


@frozen(kw_only=True, eq=False)
class FlowPeriod(_Timed, _ByContent):
    """The solved flows of one trading period.

    Attributes:
        network: What stands still; one object for all periods that share it.
        label: What the source calls the period, such as ``TP21``.
        start: Aware; its own offset says which calendar day the period belongs to.
        minutes: Length.
        flow_mw: MW at the sending end, positive from ``from_bus`` to ``to_bus``, shape (branch,).
        loss_mw: Dynamic loss, what is sent and not received, >= 0, shape (branch,).
        fixed_loss_mw: Half of it is charged to each end, >= 0, shape (branch,).
        generation_mw, load_mw: Of each node, shape (node,); negative generation takes, negative load supplies.
        findings: What was noticed while reading it.
    """

    network: FlowNetwork
    label: str
    start: datetime = field(validator=_aware)
    minutes: float = field(validator=_length)
    flow_mw: FloatArray = field(converter=floats)
    loss_mw: FloatArray = field(converter=floats)
    fixed_loss_mw: FloatArray = field(converter=floats)
    generation_mw: FloatArray = field(converter=floats)
    load_mw: FloatArray = field(converter=floats)
    findings: tuple[Finding, ...] = field(default=(), converter=_findings)

    def __attrs_post_init__(self) -> None:
        network = self.network
        for column, listed, what in (
            ("flow_mw", network.branch, "branch"),
            ("loss_mw", network.branch, "branch"),
            ("fixed_loss_mw", network.branch, "branch"),
            ("generation_mw", network.node, "node"),
            ("load_mw", network.node, "node"),
        ):
            values = getattr(self, column)
            if values.shape != listed.shape:
                raise FlowsError(
                    f"period {self.name}: {column} has {counted(values.size, 'entry', 'entries')} for {listed.size}"
                    f" of {what}"
                )
            if np.count_nonzero(np.isfinite(values)) < values.size:
                bad = listed[~np.isfinite(values)].tolist()
                raise FlowsError(
                    f"period {self.name}: {column} of {what} {some(bad)} is missing or not a finite number"
                )
            if column.endswith("loss_mw") and np.count_nonzero(values < -LOSS_TOLERANCE_MW):
                worst = int(values.argmin())
                raise FlowsError(
                    f"period {self.name}: {column} of branch {listed[worst]} is {values[worst]:.6g} MW; losses must"
                    " be >= 0"
                )
        self._check_factors()

    def _check_factors(self) -> None:
        factor, part = self.network.factor_sums, self.network.not_whole
        bad = part[(self.generation_mw[part] != 0) | (self.load_mw[part] != 0)]
        if not bad.size:
            return
        where = f"period {self.name}"
        nowhere = bad[factor[bad] == 0]
        if nowhere.size:
            amount = np.abs(self.generation_mw[nowhere]).sum() + np.abs(self.load_mw[nowhere]).sum()
            listed = some(self.network.node[nowhere].tolist())
            raise FlowsError(f"{where}: node {listed} has {amount:.6g} MW and stands on no bus; add it to the map")
        first = int(bad[0])
        raise FlowsError(
            f"{where}: allocation factors of node {some(self.network.node[bad].tolist())} add up to"
            f" {factor[first]:.6g}, not 1; are two periods mixed in the map?"
        )

    def on(self, network: FlowNetwork) -> FlowPeriod:
        """The same flows on the same network with other stations; nothing is checked again.

        Raises:
            FlowsError: The network has other branches, buses or nodes.
        """
        own = self.network
        for name in ("branch", "bus", "node", "from_bus", "to_bus", "row_node", "row_bus", "row_factor"):
            if getattr(network, name) is not getattr(own, name):
                raise FlowsError(f"period {self.name}: a network with another {name} is not the same network")
        period = object.__new__(FlowPeriod)
        for attribute in attrs.fields(FlowPeriod):
            name = attribute.name
            object.__setattr__(period, name, network if name == "network" else getattr(self, name))
        return period


@frozen(kw_only=True)
class FailedPeriod(_Timed):
    """A period without usable flows; it is counted, and enters no mean.

    Attributes:
        label, start, minutes: As of a ``FlowPeriod``.
        reason: Why, in one sentence.
    """

    label: str
    start: datetime = field(validator=_aware)
    minutes: float = field(validator=_length)
    reason: str


@frozen(kw_only=True)
class Days:
    """The calendar days that are asked for, first and last included; None is open."""

    first: date | None = None
    last: date | None = None

    def __attrs_post_init__(self) -> None:
        if self.first is not None and self.last is not None and self.last < self.first:
            raise FlowsError(f"days must not end before they start: {self.first} .. {self.last}")

    def __contains__(self, day: date) -> bool:
        return (self.first is None or day >= self.first) and (self.last is None or day <= self.last)

    def __str__(self) -> str:
        return f"{self.first or 'the first'} to {self.last or 'the last'}"


def with_stations(network: FlowNetwork, station_of: Mapping[str, str]) -> FlowNetwork:
    """A network with stations by the name of the node or the bus that stands there.

    A bus has the station that its own name has in ``station_of``, else that of its nodes; where its nodes name several,
    the last by name decides. Buses without any (a transformer's star point) belong to the station that all
    neighbours with one belong to, so that a chain of transformers stays inside; a tee between stations has none.

    Args:
        network: The network.
        station_of: Station by node or bus; what is not in it has none.
    """
    named: dict[int, str] = {}
    order = np.argsort(network.node[network.row_node].astype(str), kind="stable")
    for row in order.tolist():
        station = station_of.get(str(network.node[int(network.row_node[row])]), "")
        if station:
            named[int(network.row_bus[row])] = station
    for index, bus in enumerate(network.bus.tolist()):
        if station_of.get(bus):
            named[index] = station_of[bus]
    listed = sorted(set(named.values()))
    place = {station: number for number, station in enumerate(listed)}
    bus_station = np.full(network.bus.size, -1)
    for index, station in named.items():
        bus_station[index] = place[station]
    _adopt(network, bus_station)
    return attrs.evolve(network, stations=listed, bus_station=bus_station)


def _adopt(network: FlowNetwork, bus_station: Any) -> None:
    """Give buses without a station, joined with each other, the one station around them; a tee has several."""
    neighbours: dict[int, list[int]] = {int(bus): [] for bus in np.flatnonzero(bus_station < 0)}
    for a, b in zip(network.from_bus.tolist(), network.to_bus.tolist(), strict=True):
        for one, other in ((a, b), (b, a)):
            if one in neighbours:
                neighbours[one].append(other)
    around: Mapping[int, int] = {bus: int(station) for bus, station in enumerate(bus_station) if station >= 0}
    seen: set[int] = set()
    for begin in neighbours:
        if begin in seen:
            continue
        seen.add(begin)
        joined, stations = [begin], set()
        for bus in joined:
            for other in neighbours[bus]:
                if other in around:
                    stations.add(around[other])
                elif other not in seen:
                    seen.add(other)
                    joined.append(other)
        if len(stations) == 1:
            bus_station[joined] = stations.pop()
