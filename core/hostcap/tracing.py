"""What a trace of one period says: shares of users in branches, buses and stations, and who feeds whom.

Source: tracing method, sections 2, 3 and 5 (J. Bialek, Tracing the flow of electricity, 1996). Upstream the users are
the nodes that supply, downstream the nodes that take; MW.
"""

from __future__ import annotations

from functools import cached_property
from typing import Literal

import numpy as np
from attrs import Factory, field, frozen

from hostcap._arrays import FloatArray, IntArray, floats, ints, sums
from hostcap.findings import Finding
from hostcap.flows import FlowNetwork, FlowPeriod
from hostcap.network import _ByContent

Netting = Literal["none", "node", "bus"]
"""Whether generation and load at one place are netted against each other before tracing: never, by node, or by bus."""
ZERO_MW = 1e-9
"""Through-flow below which nothing flows at a bus, and nothing is shared there."""


@frozen(kw_only=True, eq=False)
class DirectedFlows(_ByContent):
    """A period with every branch directed, and every MW at its bus (method, section 2).

    Attributes:
        send, receive: Bus that each branch takes MW from and gives them to, shape (branch,).
        sent_mw, received_mw: MW at either end, >= 0, shape (branch,).
        generation_mw, load_mw: Of each row of the network's map, >= 0, shape (row,).
        in_mw, out_mw: What comes to and leaves each bus, shape (bus,).
        mismatch_mw: ``in - out`` less half of the fixed loss of each connected branch, shape (bus,).
        lost: Branches whose loss is larger than their flow, so that nothing is received; index, shape (lost,).
    """

    send: IntArray = field(converter=ints)
    receive: IntArray = field(converter=ints)
    sent_mw: FloatArray = field(converter=floats)
    received_mw: FloatArray = field(converter=floats)
    generation_mw: FloatArray = field(converter=floats)
    load_mw: FloatArray = field(converter=floats)
    in_mw: FloatArray = field(converter=floats)
    out_mw: FloatArray = field(converter=floats)
    mismatch_mw: FloatArray = field(converter=floats)
    lost: IntArray = field(converter=ints)


def directed(period: FlowPeriod, *, netting: Netting = "none") -> DirectedFlows:
    """Direct the branches of a period, and put generation and load at their buses.

    Negative load supplies and negative generation takes; both are added, none is overwritten.
    """
    network = period.network
    forward = period.flow_mw >= 0
    send = np.where(forward, network.from_bus, network.to_bus)
    receive = np.where(forward, network.to_bus, network.from_bus)
    sent = np.abs(period.flow_mw)
    left = sent - np.maximum(period.loss_mw, 0.0)
    generation, load = _allocated(period, netting)
    size = network.bus.size
    received = np.maximum(left, 0.0)
    in_mw = sums(receive, received, size) + sums(network.row_bus, generation, size)
    out_mw = sums(send, sent, size) + sums(network.row_bus, load, size)
    half = period.fixed_loss_mw / 2.0
    fixed = sums(network.from_bus, half, size) + sums(network.to_bus, half, size)
    made = (send, receive, sent, received, generation, load, in_mw, out_mw, in_mw - out_mw - fixed)
    for array in made:
        array.setflags(write=False)  # kept without a copy
    return DirectedFlows(
        send=send,
        receive=receive,
        sent_mw=sent,
        received_mw=received,
        generation_mw=generation,
        load_mw=load,
        in_mw=in_mw,
        out_mw=out_mw,
        mismatch_mw=made[-1],
        lost=np.flatnonzero((left < 0) & (sent > 0)),
    )


def _allocated(period: FlowPeriod, netting: Netting) -> tuple[FloatArray, FloatArray]:
    """Generation and load of each row, both >= 0."""
    network = period.network
    factor, node = network.row_factor, network.row_node
    generation, load = factor * period.generation_mw[node], factor * period.load_mw[node]
    if netting == "node":
        generation, load = generation - load, np.zeros_like(load)
    supplied = np.maximum(generation, 0.0) + np.maximum(-load, 0.0)
    taken = np.maximum(load, 0.0) + np.maximum(-generation, 0.0)
    if netting == "bus":
        size, bus = network.bus.size, network.row_bus
        all_supplied, all_taken = sums(bus, supplied, size), sums(bus, taken, size)
        net = np.minimum(all_supplied, all_taken)
        # Each row of a bus gives the same part of what is netted there.
        supplied = supplied * (1.0 - _ratio(net, all_supplied))[bus]
        taken = taken * (1.0 - _ratio(net, all_taken))[bus]
    return supplied, taken


def _ratio(part: FloatArray, whole: FloatArray) -> FloatArray:
    ratio: FloatArray = np.divide(part, whole, out=np.zeros_like(whole), where=whole > 0)
    return ratio


@frozen(kw_only=True, eq=False)
class ShareRows(_ByContent):
    """Rows of shares, most of which are 0: entries of row i stand at ``first[i]:first[i + 1]``.

    Attributes:
        first: Shape (row + 1,).
        column: User of each entry, shape (entry,).
        mw: Share; entries of one row and user add up, shape (entry,).
        width: Number of users.
    """

    first: IntArray = field(converter=ints)
    column: IntArray = field(converter=ints)
    mw: FloatArray = field(converter=floats)
    width: int

    @classmethod
    def of(cls, rows: ShareRows | FloatArray) -> ShareRows:
        """Rows from a dense array, shape (row, user); rows themselves are given back."""
        if isinstance(rows, ShareRows):
            return rows
        row, column = np.nonzero(rows)
        first = np.zeros(rows.shape[0] + 1, dtype=np.int32)
        np.cumsum(np.bincount(row, minlength=rows.shape[0]), out=first[1:])
        return cls(first=first, column=column, mw=rows[row, column], width=rows.shape[1])

    def dense(self) -> FloatArray:
        """The rows as an array, read-only, shape (row, user)."""
        size = self.first.size - 1
        cell = np.repeat(np.arange(size) * self.width, np.diff(self.first)) + self.column
        dense = sums(cell, self.mw, size * self.width).reshape(size, self.width)
        dense.setflags(write=False)
        return dense

    def sums(self) -> FloatArray:
        """Sum of each row, shape (row,)."""
        row = np.repeat(np.arange(self.first.size - 1, dtype=np.int32), np.diff(self.first))
        return sums(row, self.mw, self.first.size - 1)


@frozen(kw_only=True, eq=False)
class MixedRows(_ByContent):
    """Rows that are sums of parts of other rows, and of single cells; worked out when somebody asks for them.

    A mean needs no more than this: a part of a row is added to it where it stands. Arrays are kept as they are given.

    Attributes:
        base: The rows that are mixed, such as those of buses.
        column: User that each user of ``base`` is here, shape (user of base,); -1 is left out.
        target, source, factor: ``factor`` times row ``source`` of ``base`` is part of row ``target``; a target of -1
            or a factor that is not above 0 is left out; shape (part,).
        cell_row, cell_column, cell_mw: Single cells to add, with -1 and what is not above 0 left out; shape (cell,).
        size, width: Number of rows and users.
    """

    base: ShareRows
    column: IntArray
    target: IntArray
    source: IntArray
    factor: FloatArray
    cell_row: IntArray
    cell_column: IntArray
    cell_mw: FloatArray
    size: int
    width: int

    @cached_property
    def rows(self) -> ShareRows:
        """The rows themselves, the entries of each user added."""
        live = np.flatnonzero((self.target >= 0) & (self.factor > 0))
        first, source = self.base.first, self.source[live]
        held = first[source + 1] - first[source]
        begin = np.cumsum(held) - held
        entry = np.repeat(first[source] - begin, held) + np.arange(int(held.sum()))
        column = self.column[self.base.column[entry]]
        cell = (self.cell_row >= 0) & (self.cell_column >= 0) & (self.cell_mw > 0)
        row = np.concatenate([np.repeat(self.target[live], held), self.cell_row[cell]]).astype(np.int64)
        column = np.concatenate([column, self.cell_column[cell]])
        mw = np.concatenate([np.repeat(self.factor[live], held) * self.base.mw[entry], self.cell_mw[cell]])
        row, column, mw = row[column >= 0], column[column >= 0], mw[column >= 0]
        place, which = np.unique(row * max(self.width, 1) + column, return_inverse=True)
        counts = np.bincount(place // max(self.width, 1), minlength=self.size)
        return ShareRows(
            first=np.concatenate([[0], np.cumsum(counts)]),
            column=place % max(self.width, 1),
            mw=sums(ints(which), mw, place.size),
            width=self.width,
        )


def _given(rows: ShareRows | MixedRows | FloatArray) -> ShareRows | MixedRows:
    return rows if isinstance(rows, MixedRows) else ShareRows.of(rows)


def _made(rows: ShareRows | MixedRows) -> ShareRows:
    return rows.rows if isinstance(rows, MixedRows) else rows


@frozen(kw_only=True, eq=False)
class Shares(_ByContent):
    """Shares of the users of one direction; sparse, and dense on demand.

    They are made of rows or of dense arrays: ``Shares(..., branch_mw=..., bus_mw=..., station_mw=...)``.

    Attributes:
        user: The nodes that supply (up) or take (down), index into ``network.node``, shape (user,).
        user_mw: What each of them supplies or takes, shape (user,).
        branch_parts, bus_parts, station_parts: ``branch``, ``bus`` and ``station`` as the tracer gave them.
        station_user: Nodes that stations are shared among; the users themselves, unless a tracer counts otherwise.
    """

    user: IntArray = field(converter=ints)
    user_mw: FloatArray = field(converter=floats)
    branch_parts: ShareRows | MixedRows = field(converter=_given, alias="branch_mw")
    bus_parts: ShareRows | MixedRows = field(converter=_given, alias="bus_mw")
    station_parts: ShareRows | MixedRows = field(converter=_given, alias="station_mw")
    station_user: IntArray = field(default=Factory(lambda self: self.user, takes_self=True), converter=ints)

    @property
    def branch(self) -> ShareRows:
        """Of each branch."""
        return _made(self.branch_parts)

    @property
    def bus(self) -> ShareRows:
        """Of what flows through each bus."""
        return _made(self.bus_parts)

    @property
    def station(self) -> ShareRows:
        """Of what enters each station; its columns are the station users."""
        return _made(self.station_parts)

    @cached_property
    def branch_mw(self) -> FloatArray:
        """Shares of branches, shape (branch, user)."""
        return self.branch.dense()

    @cached_property
    def bus_mw(self) -> FloatArray:
        """Shares of what flows through buses, shape (bus, user)."""
        return self.bus.dense()

    @cached_property
    def station_mw(self) -> FloatArray:
        """Shares of what enters stations, shape (station, station user)."""
        return self.station.dense()

    def mix(self) -> FloatArray:
        """Composition of each bus: its shares divided by their sum, 0 where nothing flows, shape (bus, user)."""
        total = self.bus_mw.sum(axis=1, keepdims=True)
        mix: FloatArray = np.divide(self.bus_mw, total, out=np.zeros_like(self.bus_mw), where=total > ZERO_MW)
        return mix


@frozen(kw_only=True)
class TraceBalance:
    """How the MW of one traced period add up; MW.

    Attributes:
        generation_mw, load_mw: What nodes supply and take.
        loss_mw, fixed_loss_mw: Dynamic losses (what is sent and not received), and fixed losses.
        gross_demand_mw: Sum of all loads traced upstream.
        net_generation_mw: Sum of all generation traced downstream.
        dead_end_mw: What flows into buses that nothing leaves: to fixed losses, or loads that the input lacks.
        unexplained_up_mw: Generation less gross demand and what dead ends take.
        unexplained_down_mw: Load less net generation.
        mismatch_mw, mismatch_bus: Largest difference at a bus between what comes and what leaves, and where.
        islands: Separate parts with flow.
        cycle: Branches of a directed cycle; empty where there is none.
    """

    generation_mw: float
    load_mw: float
    loss_mw: float
    fixed_loss_mw: float
    gross_demand_mw: float
    net_generation_mw: float
    dead_end_mw: float
    unexplained_up_mw: float
    unexplained_down_mw: float
    mismatch_mw: float
    mismatch_bus: str
    islands: int
    cycle: tuple[str, ...] = ()


def _pairs(given: MixedRows | FloatArray) -> MixedRows | FloatArray:
    return given if isinstance(given, MixedRows) else floats(given)


@frozen(kw_only=True, eq=False)
class Trace(_ByContent):
    """One traced period.

    Attributes:
        period: What was traced.
        network: What the indices speak of; the period's own, unless the tracer joins branches.
        up: Shares of the nodes that supply, gross of losses unless the mode says otherwise.
        down: Shares of the nodes that take, net of losses unless the mode says otherwise.
        up_pairs, down_pairs: ``up_mw`` and ``down_mw`` as the tracer gave them: arrays, or rows by taker (up) or
            supplier (down).
        balance: How it adds up.
        findings: What was noticed while tracing.
    """

    period: FlowPeriod
    network: FlowNetwork
    up: Shares
    down: Shares
    up_pairs: MixedRows | FloatArray = field(converter=_pairs, alias="up_mw")
    down_pairs: MixedRows | FloatArray = field(converter=_pairs, alias="down_mw")
    balance: TraceBalance
    findings: tuple[Finding, ...] = ()

    @cached_property
    def up_mw(self) -> FloatArray:
        """What each supplier sends to each taker, as the upstream trace sees it; shape (supplier, taker)."""
        given = self.up_pairs
        return floats(given.rows.dense().T) if isinstance(given, MixedRows) else given

    @cached_property
    def down_mw(self) -> FloatArray:
        """The same as the downstream trace sees it."""
        given = self.down_pairs
        return given.rows.dense() if isinstance(given, MixedRows) else given

    def loss_of_takers_mw(self) -> FloatArray:
        """Loss charged to each taker: its gross demand less what it takes, shape (taker,)."""
        charged: FloatArray = self.up_mw.sum(axis=0) - self.down.user_mw
        return charged

    def loss_of_suppliers_mw(self) -> FloatArray:
        """Loss charged to each supplier: what it supplies less its net generation, shape (supplier,)."""
        charged: FloatArray = self.up.user_mw - self.down_mw.sum(axis=1)
        return charged
