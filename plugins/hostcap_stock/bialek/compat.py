"""Mode ``compat``: the original program's way of joining branches and nodes, and its bus use.

Source: tracing method, section 10. Kept so that its published numbers can be had again; use another mode for new work.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
from attrs import frozen

from hostcap._arrays import FloatArray, IntArray, sums
from hostcap.flows import FlowNetwork, FlowPeriod
from hostcap_stock.bialek.equations import Equations
from hostcap_stock.bialek.kernel import add_rows


@frozen(kw_only=True, eq=False)
class _Join:
    """How a network is joined: branches to labels, buses with branches to one node each."""

    network: FlowNetwork
    label: IntArray
    bus: IntArray


class Joined:
    """Periods as the original saw them; the last join is kept, as many periods share one network."""

    def __init__(self) -> None:
        self._held: tuple[FlowNetwork, _Join] | None = None

    def period(self, period: FlowPeriod) -> FlowPeriod:
        """Parallel branches added with sign under one label, all of a bus at its last node by name."""
        join = self._join(period.network)
        old, size = period.network, join.network.branch.size
        generation, load = _replaced(old, period)
        at = join.bus[old.row_bus]
        seen = at >= 0
        nodes = join.network.node.size
        return FlowPeriod(
            network=join.network,
            label=period.label,
            start=period.start,
            minutes=period.minutes,
            flow_mw=sums(join.label, period.flow_mw, size),
            loss_mw=sums(join.label, period.loss_mw, size),
            fixed_loss_mw=sums(join.label, period.fixed_loss_mw, size),
            generation_mw=sums(at[seen], generation[seen], nodes),
            load_mw=sums(at[seen], load[seen], nodes),
            findings=period.findings,
        )

    def _join(self, network: FlowNetwork) -> _Join:
        held = self._held
        if held is None or held[0] is not network:
            held = self._held = (network, _joined(network))  # one topology at a time: a year may have thousands
        return held[1]


def _replaced(network: FlowNetwork, period: FlowPeriod) -> tuple[FloatArray, FloatArray]:
    """MW of each row; negative load replaces the row's generation, and negative generation its load."""
    factor, node = network.row_factor, network.row_node
    generation, load = factor * period.generation_mw[node], factor * period.load_mw[node]
    return (
        np.where(load < 0, -load, np.maximum(generation, 0.0)),
        np.where(generation < 0, -generation, np.maximum(load, 0.0)),
    )


def _joined(network: FlowNetwork) -> _Join:
    pairs: dict[tuple[int, int], list[int]] = {}
    for e, ends in enumerate(zip(network.from_bus.tolist(), network.to_bus.tolist(), strict=True)):
        pairs.setdefault(ends, []).append(e)
    label = np.empty(network.branch.size, dtype=np.int32)
    for place, members in enumerate(pairs.values()):
        label[members] = place
    last: dict[int, str] = {}
    for node, bus in zip(network.row_node.tolist(), network.row_bus.tolist(), strict=True):
        last[bus] = max(last.get(bus, ""), network.node[node])
    joined_buses = np.union1d(network.from_bus, network.to_bus)
    with_node = [bus for bus in joined_buses.tolist() if bus in last]
    at_bus = np.full(network.bus.size, -1, dtype=np.int32)
    at_bus[with_node] = np.arange(len(with_node))
    nodes = _numbered([last[bus] for bus in with_node])
    station = np.full(network.bus.size, -1, dtype=np.int32)
    station[with_node] = np.arange(len(with_node))
    return _Join(
        network=FlowNetwork(
            branch=[", ".join(sorted(network.branch[members].tolist())) for members in pairs.values()],
            bus=network.bus,
            node=nodes,
            from_bus=[ends[0] for ends in pairs],
            to_bus=[ends[1] for ends in pairs],
            row_node=range(len(nodes)),
            row_bus=with_node,
            row_factor=np.ones(len(nodes)),
            stations=nodes,
            bus_station=station,
        ),
        label=label,
        bus=at_bus,
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
    bus_mw: FloatArray,
    branch_mw: FloatArray,
) -> tuple[IntArray, FloatArray]:
    """The original's use of a bus: half of all adjacent branches' shares, half of its own MW on the diagonal.

    Args:
        network: The joined network, whose rows are its nodes.
        way: The direction.
        user: Users of the direction.
        own_mw: MW of each node in this direction: what the users put in.
        taken_or_supplied_mw: MW of each node in the other direction; their part of the bus is what counts.
        bus_mw: Rows of buses, shape (bus, user).
        branch_mw: Rows of branches, shape (branch, user).

    Returns:
        Columns: the nodes that are users or stand on the diagonal; and MW, shape (station, column).
    """
    bus = network.row_bus
    passed_on = taken_or_supplied_mw * way.local[bus] * bus_mw.sum(axis=1)[bus]
    diagonal = 0.5 * (own_mw + passed_on)
    nodes = network.node.size
    column = np.union1d(user, np.flatnonzero(diagonal > 0)).astype(np.int32)
    shares = np.zeros((nodes, user.size))
    half = np.full(network.branch.size, 0.5)
    every = np.arange(network.branch.size, dtype=np.int32)
    for end in (network.from_bus, network.to_bus):
        add_rows(network.bus_station[end], every, half, branch_mw, shares)
    use = np.zeros((nodes, column.size))
    use[:, np.searchsorted(column, user)] = shares
    use[column, np.arange(column.size)] += diagonal[column]
    return column, use
