"""Where the power of each conductor and user goes when flows of a network are summed: once for all states of it.

A line or a transformer of two buses is a branch; one of three or more is a star, a leg from each bus to a bus of its
own. Sums are over (state, ...) arrays, so that hundreds of states of one network cost one pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
from attrs import field, frozen
from numpy.typing import NDArray

from hostcap._arrays import (
    BoolArray,
    ComplexArray,
    FloatArray,
    IntArray,
    NameArray,
    floats,
    ints,
    names,
    sums,
)
from hostcap.network import BALANCED, Network, _ByContent

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
class Sides(_ByContent):
    """Equipment, or phases of it, and the buses that each touches.

    Attributes:
        name: Of each thing, shape (thing,).
        conductor, node: Conductors of a network that belong to things, and their nodes, shape (part,).
        reference: Node that the voltage of each is measured to; -1 for ground, shape (part,).
        phases: 3 where one conductor stands for three phases, else 1, shape (part,).
        side: Which side of a thing each part belongs to, shape (part,).
        thing, bus: Of each side, rising by thing, then bus, shape (side,).
    """

    name: NameArray = field(converter=names)
    conductor: IntArray = field(converter=ints)
    node: IntArray = field(converter=ints)
    reference: IntArray = field(converter=ints)
    phases: FloatArray = field(converter=floats)
    side: IntArray = field(converter=ints)
    thing: IntArray = field(converter=ints)
    bus: IntArray = field(converter=ints)

    @classmethod
    def of(
        cls,
        network: Network,
        bus_of_node: IntArray,
        chosen: BoolArray,
        reference: IntArray,
        name: Sequence[str],
        *,
        by_phase: bool = False,
    ) -> Sides:
        """Sides of the chosen conductors; things in the order of their first conductors.

        Args:
            network: The feeder.
            bus_of_node: Bus of the flows that each node belongs to, shape (node,).
            chosen: Conductors, shape (conductor,).
            reference: Node that the voltage of each node is measured to, shape (node,).
            name: Of each equipment.
            by_phase: Whether each phase is a thing of its own, with its letter behind the name.
        """
        conductors = network.conductors
        which = np.flatnonzero(chosen).astype(np.int32)
        node, equipment = conductors.node[which], conductors.equipment[which]
        phases = conductors.phase[which].tolist() if by_phase else [""] * which.size
        numbers: dict[tuple[int, str], int] = {}
        thing = np.asarray(
            [numbers.setdefault(pair, len(numbers)) for pair in zip(equipment.tolist(), phases, strict=True)], np.int64
        )
        size = int(bus_of_node.max(initial=0)) + 1
        pairs, side = np.unique(thing * size + bus_of_node[node], return_inverse=True)
        return cls(
            name=[f"{name[e]}.{phase}" if by_phase else name[e] for e, phase in numbers],
            conductor=which,
            node=node,
            reference=reference[node],
            phases=np.where(network.nodes.number[node] == BALANCED, 3.0, 1.0),
            side=side,
            thing=pairs // size,
            bus=pairs % size,
        )

    def kw(self, node_v: ComplexArray, conductor_a: ComplexArray) -> FloatArray:
        """Power into each thing at each of its sides, kW, shape (state, side)."""
        power = measured(node_v, self.node, self.reference) * np.conj(conductor_a[:, self.conductor])
        # Dead nodes of some engines have no voltage at all.
        kw = np.nan_to_num(power.real) * self.phases / KILO
        return row_sums(self.side, kw, self.thing.size)


@frozen(kw_only=True, eq=False)
class Flows(_ByContent):
    """Summed states of one layout; kW.

    Attributes:
        flow_kw: At the sending end of each branch, positive from its first bus to its second, shape (state, branch).
        loss_kw: Shape (state, branch).
        row_kw: Of each row of the layout, positive into the network, shape (state, row).
        negative_kw: Losses below 0 that were taken for 0 and are worth a word, by thing, shape (state, thing).
        refused: Why a state has no flows; empty where it has, shape (state,).
    """

    flow_kw: FloatArray = field(converter=floats)
    loss_kw: FloatArray = field(converter=floats)
    row_kw: FloatArray = field(converter=floats)
    negative_kw: FloatArray = field(converter=floats)
    refused: NameArray = field(converter=names)


@frozen(kw_only=True, eq=False)
class Layout(_ByContent):
    """Branches, and rows of what is supplied and taken where: first losses, then users, then what is left over.

    Attributes:
        sides: What branches are made of.
        bus: Buses; those of stars stand behind the others, shape (bus,).
        own: How many there are before the stars.
        branch: Shape (branch,).
        from_bus, to_bus: Shape (branch,).
        pair, pair_branch: First side of each thing of two buses, and its branch, shape (pair,).
        leg, leg_branch, leg_star: Sides that are legs of stars, their branches and their stars, shape (leg,).
        star: Thing of each star, shape (star,).
        single: Sides of things that touch one bus alone, shape (single,).
        loss_thing, loss_bus: Thing and bus of each row of losses, rising by thing, shape (loss row,).
        loss_of_pair: Row of losses at the first side of each pair; the other side's follows, shape (pair,).
        loss_of_star, loss_of_single: Their rows of losses.
        user, user_bus: User and bus of each row of users, shape (user row,).
        user_row: Row of users that each part of a user belongs to, shape (user part,).
        rest_bus: Bus of each row of what is left over: every own bus, shape (own,).
        coupled: Whether branches are phases, which are coupled.
    """

    sides: Sides
    bus: NameArray = field(converter=names)
    own: int
    branch: NameArray = field(converter=names)
    from_bus: IntArray = field(converter=ints)
    to_bus: IntArray = field(converter=ints)
    pair: IntArray = field(converter=ints)
    pair_branch: IntArray = field(converter=ints)
    leg: IntArray = field(converter=ints)
    leg_branch: IntArray = field(converter=ints)
    leg_star: IntArray = field(converter=ints)
    star: IntArray = field(converter=ints)
    single: IntArray = field(converter=ints)
    loss_thing: IntArray = field(converter=ints)
    loss_bus: IntArray = field(converter=ints)
    loss_of_pair: IntArray = field(converter=ints)
    loss_of_star: IntArray = field(converter=ints)
    loss_of_single: IntArray = field(converter=ints)
    user: IntArray = field(converter=ints)
    user_bus: IntArray = field(converter=ints)
    user_row: IntArray = field(converter=ints)
    coupled: bool

    @classmethod
    def of(
        cls, sides: Sides, bus: Sequence[str], user: IntArray, user_bus: IntArray, *, coupled: bool = False
    ) -> Layout:
        """The layout of some sides and parts of users.

        Args:
            sides: What branches are made of.
            bus: Names of the buses that sides speak of.
            user: User of each part.
            user_bus: Bus of each part.
            coupled: Whether branches are phases, which are coupled.
        """
        first = np.searchsorted(sides.thing, np.arange(sides.name.size + 1))
        touched = np.diff(first)
        legs_of = np.where(touched > 2, touched, np.where(touched == 2, 1, 0))
        branch_of = np.cumsum(legs_of) - legs_of
        rows_of = np.where(touched > 2, 1, touched)
        row_of = np.cumsum(rows_of) - rows_of
        pairs, stars, singles = (np.flatnonzero(which) for which in (touched == 2, touched > 2, touched == 1))
        leg = np.flatnonzero(touched[sides.thing] > 2)
        star_number = np.cumsum(touched > 2) - 1
        leg_star = star_number[sides.thing[leg]]
        leg_branch = branch_of[sides.thing[leg]] + leg - first[sides.thing[leg]]
        own, names_of = len(bus), sides.name
        branch = np.empty(int(legs_of.sum()), dtype=object)
        from_bus, to_bus = np.zeros((2, branch.size), dtype=np.int32)
        branch[branch_of[pairs]] = names_of[pairs]
        from_bus[branch_of[pairs]], to_bus[branch_of[pairs]] = sides.bus[first[pairs]], sides.bus[first[pairs] + 1]
        for side, place in zip(leg.tolist(), leg_branch.tolist(), strict=True):
            branch[place] = f"{names_of[sides.thing[side]]} at {bus[sides.bus[side]]}"
        from_bus[leg_branch], to_bus[leg_branch] = sides.bus[leg], own + leg_star
        loss_thing = np.repeat(np.arange(touched.size), rows_of)
        loss_bus = np.empty(loss_thing.size, dtype=np.int32)
        loss_bus[row_of[pairs]], loss_bus[row_of[pairs] + 1] = sides.bus[first[pairs]], sides.bus[first[pairs] + 1]
        loss_bus[row_of[stars]] = own + star_number[stars]
        loss_bus[row_of[singles]] = sides.bus[first[singles]]
        numbers: dict[tuple[int, int], int] = {}
        together = zip(user.tolist(), user_bus.tolist(), strict=True)
        user_row = [numbers.setdefault(pair, len(numbers)) for pair in together]
        at = np.asarray(list(numbers), dtype=np.int32).reshape(-1, 2)
        return cls(
            sides=sides,
            bus=[*bus, *(f"{name} star" for name in names_of[stars])],
            own=own,
            branch=branch,
            from_bus=from_bus,
            to_bus=to_bus,
            pair=first[pairs],
            pair_branch=branch_of[pairs],
            leg=leg,
            leg_branch=leg_branch,
            leg_star=leg_star,
            star=stars,
            single=first[singles],
            loss_thing=loss_thing,
            loss_bus=loss_bus,
            loss_of_pair=row_of[pairs],
            loss_of_star=row_of[stars],
            loss_of_single=row_of[singles],
            user=at[:, 0],
            user_bus=at[:, 1],
            user_row=user_row,
            coupled=coupled,
        )

    @cached_property
    def row_bus(self) -> IntArray:
        """Bus of each row: of losses, users, and what is left over; shape (row,)."""
        return ints(np.concatenate([self.loss_bus, self.user_bus, np.arange(self.own)]))

    def flows(self, node_v: ComplexArray, conductor_a: ComplexArray, user_kw: FloatArray) -> Flows:
        """Sum states.

        Args:
            node_v: Voltages, V, shape (state, node).
            conductor_a: Currents into the equipment, A, shape (state, conductor).
            user_kw: Of each part of a user, into the network, kW, shape (state, user part).
        """
        kw = self.sides.kw(node_v, conductor_a)
        states, things = kw.shape[0], self.sides.name.size
        flow, loss = np.zeros((2, states, self.branch.size))
        taken = np.zeros((states, self.loss_bus.size))
        below, least = np.zeros((states, things)), np.zeros((states, things))
        pair_thing = self.sides.thing[self.pair]
        below[:, pair_thing], least[:, pair_thing] = self._pairs(kw, flow, loss, taken)
        below[:, self.star], least[:, self.star] = self._stars(kw, flow, loss, taken)
        alone = kw[:, self.single]
        taken[:, self.loss_of_single] = np.where(alone > REST_KW, alone, 0.0)
        users = row_sums(self.user_row, user_kw, self.user.size)
        row_kw = np.concatenate([-taken, users], axis=1)
        told = below > (ROUNDING_KW if self.coupled else np.inf)
        refused = below > (COUPLED * least + REST_KW if self.coupled else NOISE * least + REST_KW)
        return Flows(
            flow_kw=flow,
            loss_kw=loss,
            row_kw=np.concatenate([row_kw, self._rest(flow, loss, row_kw)], axis=1),
            negative_kw=np.where(told, below, 0.0),
            refused=[self._why(below[state], least[state], refused[state]) for state in range(states)],
        )

    def _pairs(
        self, kw: FloatArray, flow: FloatArray, loss: FloatArray, taken: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Fill in things of two buses; how far each loss is below 0, and the flow that this is measured by."""
        start, end = kw[:, self.pair], kw[:, self.pair + 1]
        lost = start + end
        # Where hardly anything comes out, a trace would charge what goes in to nobody: it arrives whole, and a user of
        # its own takes there what is lost.
        idle = (np.minimum(start, end) > -REST_KW) & (np.maximum(start, end) > 0.0)
        forward = start >= end
        ahead = np.where(idle, np.where(forward, start, -end), np.where(start >= 0.0, start, -end))
        flow[:, self.pair_branch] = np.where(~idle & (start < 0.0) & (end < 0.0), 0.0, ahead)
        own = idle & (lost > REST_KW)
        taken[:, self.loss_of_pair + 1] = np.where(own & forward, lost, 0.0)
        taken[:, self.loss_of_pair] = np.where(own & ~forward, lost, 0.0)
        kept = np.maximum(lost, 0.0)
        loss[:, self.pair_branch] = np.where(own, 0.0, np.where(idle, np.minimum(kept, np.abs(ahead)), kept))
        return np.where(idle, 0.0, np.maximum(-lost, 0.0)), np.maximum(np.abs(start), np.abs(end))

    def _stars(
        self, kw: FloatArray, flow: FloatArray, loss: FloatArray, taken: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Fill in stars: their loss is on the legs that power comes in by, in proportion; returns as ``_pairs``."""
        power = kw[:, self.leg]
        positive = np.maximum(power, 0.0)
        coming = row_sums(self.leg_star, positive, self.star.size)
        lost = row_sums(self.leg_star, power, self.star.size)
        lowest = np.full(lost.shape, np.inf)
        np.minimum.at(lowest.T, self.leg_star, power.T)
        kept = np.maximum(lost, 0.0)
        own = (lowest > -REST_KW) & (kept > REST_KW)
        taken[:, self.loss_of_star] = np.where(own, kept, 0.0)
        flow[:, self.leg_branch] = power
        shared = np.where(own, 0.0, kept)[:, self.leg_star] * positive
        total = coming[:, self.leg_star]
        loss[:, self.leg_branch] = np.divide(shared, total, out=np.zeros_like(shared), where=total > 0.0)
        return np.maximum(-lost, 0.0), coming

    def _rest(self, flow: FloatArray, loss: FloatArray, row_kw: FloatArray) -> FloatArray:
        """What own buses supply or take beyond their rows, as flows say; 0 where it is noise."""
        sent, received = np.abs(flow), np.maximum(np.abs(flow) - loss, 0.0)
        forward = flow >= 0.0
        send = np.where(forward, self.from_bus, self.to_bus)
        receive = np.where(forward, self.to_bus, self.from_bus)
        rows = np.broadcast_to(self.row_bus[: row_kw.shape[1]], row_kw.shape)
        index = np.concatenate([send, receive, rows], axis=1)
        values = np.concatenate([sent, -received, -row_kw], axis=1)
        balance = row_sums(index, values, self.bus.size)[:, : self.own]
        return np.where(np.abs(balance) > REST_KW, balance, 0.0)

    def _why(self, below: FloatArray, least: FloatArray, refused: BoolArray) -> str:
        if not np.any(refused):
            return ""
        thing = int(np.flatnonzero(refused)[0])
        what, remedy = "branch", "; expected a loss >= 0"
        if self.coupled:
            what, remedy = "phase", ': phases are coupled there; set phases = "sum"'
        return (
            f"{what} {self.sides.name[thing]} gives {below[thing]:.3g} kW more than it takes (of {least[thing]:.6g} kW)"
            f"{remedy}"
        )


def measured(node_v: ComplexArray, node: IntArray, reference: IntArray) -> ComplexArray:
    """Voltage of nodes to what each is measured to (-1 is ground), V, shape (state, part)."""
    back = np.where((reference >= 0)[None, :], node_v[:, reference], 0.0)
    return np.asarray(node_v[:, node] - back)


def row_sums(index: NDArray[np.integer], values: FloatArray, size: int) -> FloatArray:
    """Sums of ``values`` by ``index``, state by state, shape (state, size).

    Args:
        index: Of each value, shape (value,) or (state, value).
        values: Shape (state, value).
        size: How many sums there are.
    """
    states = values.shape[0]
    cell = index + size * np.arange(states, dtype=np.int64)[:, None]
    return sums(cell.ravel(), values.ravel(), states * size).reshape(states, size)
