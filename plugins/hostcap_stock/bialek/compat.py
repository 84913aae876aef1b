"""Mode ``compat``: the original program's way of joining branches and nodes, and its bus use.

Source: tracing method, section 10. Kept so that its published numbers can be had again; use another mode for new work.
The matrix and what flows through buses are those of single branches; the share of a label is that of the sum of its
branches' MW, with sign.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
from attrs import frozen

from hostcap._arrays import FloatArray, IntArray, sums
from hostcap.flows import FlowNetwork, FlowPeriod
from hostcap.tracing import ShareRows
from hostcap_stock.bialek.equations import Equations, rows
from hostcap_stock.bialek.kernel import combined

HELD = 16
"""Networks whose joins are remembered; a few topologies come again and again within a day."""


@frozen(kw_only=True, eq=False)
class Join:
    """How a network is joined.

    Attributes:
        single: Its branches one by one, each bus with branches at its last node by name.
        network: The same with labels in place of parallel branches.
        label: Label of each branch, shape (branch,).
        row: Node of each row of the network's own map, -1 where it vanishes, shape (row,).
        owner: Column of each node in the tables of branches, where buses of one node are added, shape (node,).
    """

    single: FlowNetwork
    network: FlowNetwork
    label: IntArray
    row: IntArray
    owner: IntArray

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

    def labelled(self, period: FlowPeriod, way: Equations) -> tuple[FloatArray, IntArray]:
        """Each label's part of the row of a bus, and the bus: the sum of its MW, with sign, over what flows there."""
        size = self.network.branch.size
        back = period.flow_mw < 0
        left = np.sign(period.flow_mw) * np.maximum(np.abs(period.flow_mw) - period.loss_mw, 0.0)
        at_from = sums(self.label, np.where(back, left, period.flow_mw), size)
        at_to = sums(self.label, np.where(back, period.flow_mw, left), size)
        with_tail = (at_to >= 0) == way.upstream
        bus = np.where(with_tail, self.network.from_bus, self.network.to_bus)
        return np.abs(np.where(with_tail, at_from, at_to)) * way.local[bus], bus

    def owned(self, user: IntArray) -> tuple[IntArray, IntArray]:
        """Users of the tables of branches, and the column of each of ``user`` among them."""
        owner = self.owner[user]
        found, place = _listed(owner, self.owner.size)
        return found, place[owner]


class Joins:
    """The joins of networks, each made once as long as it is remembered."""

    def __init__(self) -> None:
        self._held: dict[int, tuple[FlowNetwork, Join]] = {}

    def of(self, network: FlowNetwork) -> Join:
        """The join of a network."""
        held = self._held.get(id(network))
        if held is None or held[0] is not network:
            kept = list(self._held.items())[1 - HELD :]
            held = (network, _joined(network))
            self._held = dict([*kept, (id(network), held)])  # a new one, as several threads read it
        return held[1]


def added(columns: IntArray, count: int, values: FloatArray) -> FloatArray:
    """Columns of one node added; ``values`` themselves where every node has one."""
    if count == values.shape[1]:
        return values
    total = np.zeros((values.shape[0], count))
    np.add.at(total.T, columns, values.T)
    return total


def renamed(shares: ShareRows, columns: IntArray, count: int) -> ShareRows:
    """Rows under other columns; those of one node add up."""
    return rows(shares.first, columns[shares.column], shares.mw, count)


def _replaced(network: FlowNetwork, period: FlowPeriod) -> tuple[FloatArray, FloatArray]:
    """MW of each row; negative load replaces the row's generation, and negative generation its load."""
    factor, node = network.row_factor, network.row_node
    generation, load = factor * period.generation_mw[node], factor * period.load_mw[node]
    return (
        np.where(load < 0, -load, np.maximum(generation, 0.0)),
        np.where(generation < 0, -generation, np.maximum(load, 0.0)),
    )


def _joined(network: FlowNetwork) -> Join:
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
    return Join(
        single=FlowNetwork(branch=network.branch, from_bus=network.from_bus, to_bus=network.to_bus, **rest),
        network=FlowNetwork(
            branch=[", ".join(sorted(members[place])) for place in range(first.size)],
            from_bus=network.from_bus[first],
            to_bus=network.to_bus[first],
            **rest,
        ),
        label=label.astype(np.int32),
        row=at_bus[network.row_bus],
        owner=np.array([place_of[name] for name in names], dtype=np.int32),
    )


def _numbered(listed: list[str]) -> list[str]:
    """Names that come again get .1, .2 and so on, as the original's reader of tables gave them."""
    seen: Counter[str] = Counter()
    numbered = []
    for name in listed:
        numbered.append(f"{name}.{seen[name]}" if seen[name] else name)
        seen[name] += 1
    return numbered


def half_and_half(
    network: FlowNetwork,
    way: Equations,
    user: IntArray,
    own_mw: FloatArray,
    taken_or_supplied_mw: FloatArray,
    bus: ShareRows,
    factor: FloatArray,
    source: IntArray,
) -> tuple[IntArray, ShareRows]:
    """The original's use of a bus: half of all adjacent branches' shares, half of its own MW on the diagonal.

    Args:
        network: The joined network, whose rows are its nodes.
        way: The direction.
        user: Users of the direction.
        own_mw: MW of each node in this direction: what the users put in.
        taken_or_supplied_mw: MW of each node in the other direction; their part of the bus is what counts.
        bus: Rows of buses.
        factor: Each label's part of the row of a bus.
        source: That bus.

    Returns:
        Columns: the nodes that are users or stand on the diagonal; and their shares of each node's bus.
    """
    at = network.row_bus
    diagonal = 0.5 * (own_mw + taken_or_supplied_mw * way.local[at] * bus.sums()[at])
    on_diagonal = np.flatnonzero(diagonal > 0).astype(np.int32)
    column, place = _listed(np.concatenate([user, on_diagonal]), network.node.size)
    ends = np.concatenate([network.bus_station[network.from_bus], network.bus_station[network.to_bus]])
    use = combined(
        network.node.size,
        column.size,
        ends,
        np.concatenate([source, source]),
        np.concatenate([0.5 * factor, 0.5 * factor]),
        bus.first,
        place[user][bus.column],
        bus.mw,
        on_diagonal,
        place[on_diagonal],
        diagonal[on_diagonal],
    )
    return column, rows(*use, column.size)


def _listed(index: IntArray, size: int) -> tuple[IntArray, IntArray]:
    """Each index once, rising, and the place of every index among them."""
    there = np.zeros(size, dtype=bool)
    there[index] = True
    listed = np.flatnonzero(there).astype(np.int32)
    place = np.full(size, -1, dtype=np.int32)
    place[listed] = np.arange(listed.size, dtype=np.int32)
    return listed, place
