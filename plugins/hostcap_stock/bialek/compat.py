"""Mode ``compat``: the original program's way of joining branches and nodes, and its bus use.

Source: tracing method, section 10. Kept so that its published numbers can be had again; use another mode for new work.
The matrix and what flows through buses are those of single branches; the share of a label is that of the sum of its
branches' MW, with sign.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from attrs import frozen

from hostcap._arrays import FloatArray, IntArray, ints, sums
from hostcap.flows import FlowNetwork, FlowPeriod
from hostcap.tracing import Shares
from hostcap_stock.bialek.joining import INTEGERS, NUMBERS, joined
from hostcap_stock.bialek.rows import mixed, unpacked
from hostcap_stock.bialek.ways import Found, Way


@frozen(kw_only=True, eq=False)
class Join:
    """How a network is joined.

    Attributes:
        single: Its branches one by one, each bus with branches at its last node by name.
        network: The same with labels in place of parallel branches.
        label: Label of each branch, shape (branch,).
        row: Node of each row of the network's own map, -1 where it vanishes, shape (row,).
        owner: Column of each node in the tables of branches, where buses of one node are added, shape (node,).
        at_bus: Node of each bus, which is its station too, -1 for none, shape (bus,).
        every_label, every_bus: 0, 1, 2 and so on of labels and buses.
    """

    single: FlowNetwork
    network: FlowNetwork
    label: IntArray
    row: IntArray
    owner: IntArray
    at_bus: IntArray
    every_label: IntArray
    every_bus: IntArray

    @property
    def labels(self) -> tuple[Any, Any, IntArray]:
        """Ends of labels, labels of branches and nodes of buses, and owners, as compiled code takes them."""
        return (self.network.from_bus, self.network.to_bus), (self.label, self.at_bus), self.owner

    def period(self, period: FlowPeriod) -> FlowPeriod:
        """A period on the ``single`` network; negative load *replaces* a row's generation, and the reverse."""
        old = period.network
        generation, load = _replaced(old, period)
        seen, nodes = self.row >= 0, self.single.node.size
        return FlowPeriod(
            network=self.single,
            label=period.label,
            start=period.start,
            minutes=period.minutes,
            flow_mw=period.flow_mw,
            loss_mw=period.loss_mw,
            fixed_loss_mw=period.fixed_loss_mw,
            generation_mw=sums(self.row[seen], generation[seen], nodes),
            load_mw=sums(self.row[seen], load[seen], nodes),
        )


def _replaced(network: FlowNetwork, period: FlowPeriod) -> tuple[FloatArray, FloatArray]:
    """MW of each row; negative load replaces the row's generation, and negative generation its load."""
    factor, node = network.row_factor, network.row_node
    generation, load = factor * period.generation_mw[node], factor * period.load_mw[node]
    return (
        np.where(load < 0, -load, np.maximum(generation, 0.0)),
        np.where(generation < 0, -generation, np.maximum(load, 0.0)),
    )


def join_of(network: FlowNetwork) -> Join:
    """How a network is joined."""
    ends = network.from_bus.astype(np.int64) * network.bus.size + network.to_bus
    _, first, label = np.unique(ends, return_index=True, return_inverse=True)
    order = np.argsort(first)  # labels in the order of their first branch
    first, label = first[order], np.argsort(order)[label]
    members: dict[int, list[str]] = {}
    for place, name in zip(label.tolist(), network.branch.tolist(), strict=True):
        members.setdefault(place, []).append(name)
    # The last node by name of each bus that has branches.
    by_name = np.argsort(np.array(network.node.tolist(), dtype=str)[network.row_node], kind="stable")
    last = np.full(network.bus.size, -1)
    last[network.row_bus[by_name]] = network.row_node[by_name]
    joined = np.zeros(network.bus.size, dtype=bool)
    joined[network.from_bus] = joined[network.to_bus] = True
    with_node = np.flatnonzero(joined & (last >= 0))
    at_bus = np.full(network.bus.size, -1, dtype=np.int32)
    at_bus[with_node] = np.arange(with_node.size)
    names = network.node[last[with_node]].tolist()
    nodes = _numbered(names)
    place_of = {name: place for place, name in reversed(list(enumerate(names)))}
    rest: dict[str, Any] = {
        "bus": network.bus,
        "node": nodes,
        "row_node": np.arange(with_node.size),
        "row_bus": with_node,
        "row_factor": np.ones(with_node.size),
        "stations": nodes,
        "bus_station": at_bus,
    }
    joined_network = FlowNetwork(
        branch=[", ".join(sorted(members[place])) for place in range(first.size)],
        from_bus=network.from_bus[first],
        to_bus=network.to_bus[first],
        **rest,
    )
    return Join(
        single=FlowNetwork(branch=network.branch, from_bus=network.from_bus, to_bus=network.to_bus, **rest),
        network=joined_network,
        label=ints(label),
        row=ints(at_bus[network.row_bus]),
        owner=ints([place_of[name] for name in names]),
        at_bus=ints(at_bus),
        every_label=ints(np.arange(first.size)),
        every_bus=ints(np.arange(network.bus.size)),
    )


def _numbered(listed: list[str]) -> list[str]:
    """Names that come again get .1, .2 and so on, as the original's reader of tables gave them."""
    seen: dict[str, int] = {}
    numbered = []
    for name in listed:
        before = seen.get(name, 0)
        numbered.append(f"{name}.{before}" if before else name)
        seen[name] = before + 1
    return numbered


def shares(join: Join, period: FlowPeriod, found: Found) -> tuple[tuple[Shares, IntArray], tuple[Shares, IntArray]]:
    """Shares of both directions under the original's labels, and the user of each row in all tables but its bus use.

    There, buses of one node are added. Use of a bus is half of all adjacent branches' shares, and half of its own MW on
    the diagonal.
    """
    up, down = found.up, found.down
    of, mw = found.joined or _by_steps(join, period, found)
    return (
        _one_way(join, up, of[:INTEGERS], mw[:NUMBERS]),
        _one_way(join, down, of[INTEGERS:], mw[NUMBERS:]),
    )


def _by_steps(join: Join, period: FlowPeriod, found: Found) -> tuple[list[IntArray], list[FloatArray]]:
    _, _, taker_mw, _, _, giver_mw = found.closed.pairs
    integers, numbers, ends = joined(
        *join.labels,
        period.flow_mw,
        period.loss_mw,
        _given(found.up, found.generation_mw, taker_mw),
        _given(found.down, found.load_mw, giver_mw),
    )
    return unpacked(integers, numbers, ends, 2 * INTEGERS)


def _given(way: Way, own_mw: FloatArray, other_mw: FloatArray) -> Any:
    return (way.user, way.of_row, way.user_mw, way.local, way.bus.source, way.bus.part, own_mw, other_mw)


def _one_way(join: Join, way: Way, of: list[IntArray], numbers: list[FloatArray]) -> tuple[Shares, IntArray]:
    network, bus = join.network, way.bus
    user, column, row, source, used, at, station_user, place, node, cell = of
    user_mw, factor, half, cell_mw = numbers
    users, buses = user.size, network.bus.size
    return (
        Shares(
            user=user,
            user_mw=user_mw,
            branch_mw=mixed(bus.rows, join.every_label, source, factor, network.branch.size, users, column=column),
            bus_mw=mixed(bus.rows, join.every_bus, bus.source, bus.part, buses, users, column=column),
            station_mw=mixed(
                bus.rows,
                at,
                used,
                half,
                network.node.size,
                station_user.size,
                column=place,
                cells=(node, cell, cell_mw),
            ),
            station_user=station_user,
        ),
        row,
    )
