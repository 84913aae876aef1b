"""Compiled code of mode ``compat``: labels in place of branches, and bus use."""

from __future__ import annotations

from typing import Any

import numpy as np

from hostcap._arrays import FloatArray, IntArray
from hostcap_stock.bialek.fused import pieces
from hostcap_stock.bialek.kernel import compiled, packed

INTEGERS, NUMBERS = 10, 4
"""Arrays of each type that ``joined`` packs for each direction."""


@compiled
def _label_mw(labels: int, label: IntArray, flow: FloatArray, loss: FloatArray) -> Any:
    """MW of the branches of each label at either end, with sign; and whether its branches oppose each other."""
    at_from, at_to = np.zeros(labels), np.zeros(labels)
    way, opposed = np.zeros(labels), np.zeros(labels, dtype=np.bool_)
    for e in range(label.size):
        k = label[e]
        sign = 1.0 if flow[e] > 0 else (-1.0 if flow[e] < 0 else 0.0)
        left = sign * max(abs(flow[e]) - loss[e], 0.0)
        back = flow[e] < 0
        at_from[k] += left if back else flow[e]
        at_to[k] += flow[e] if back else left
        opposed[k] = opposed[k] or sign * way[k] < 0
        way[k] = sign if sign else way[k]
    return at_from, at_to, opposed


@compiled
def _labelled(
    upstream: bool,
    at_bus: IntArray,
    from_bus: IntArray,
    to_bus: IntArray,
    at_from: FloatArray,
    at_to: FloatArray,
    apart: Any,
    local: FloatArray,
    bus_source: IntArray,
    bus_part: FloatArray,
) -> Any:
    """Shares of labels as parts of rows: their branches' MW, added with sign, over what flows at the bus.

    Upstream, what comes to a bus over its labels is its own row without what it puts in itself, which ``_diagonal``
    leaves out in turn; but for buses with labels whose branches oppose each other.

    Args:
        upstream: Whether those who supply are traced.
        at_bus: Node of each bus.
        from_bus: First bus of each label.
        to_bus: Its other bus.
        at_from: MW of each label at its first bus.
        at_to: MW at the other.
        apart: Buses at which what comes over labels is not what comes over branches.
        local: Part of one MW at each bus.
        bus_source: Row that each bus has a part of.
        bus_part: The part.

    Returns:
        Row and factor of each label; and row, half of a factor and node (of ``at_bus``) that uses it: at the other
        end of each label, then at each bus itself, once for all of its labels. What a bus has a part of itself is
        added there.
    """
    size = from_bus.size
    source, factor = np.empty(size, dtype=np.int32), np.empty(size)
    buses = local.size
    used, user = np.empty(size + buses, dtype=np.int32), np.empty(size + buses, dtype=np.int32)
    half = np.zeros(size + buses)
    for bus in range(buses):
        used[size + bus], user[size + bus] = bus_source[bus], at_bus[bus]
        if upstream and not apart[bus]:
            half[size + bus] = 0.5 * bus_part[bus]
    for n in range(size):
        with_tail = (at_to[n] >= 0) == upstream
        tail, head = (from_bus[n], to_bus[n]) if with_tail else (to_bus[n], from_bus[n])
        source[n] = bus_source[tail]
        factor[n] = abs(at_from[n] if with_tail else at_to[n]) * local[tail] * bus_part[tail]
        used[n], user[n] = source[n], at_bus[head]
        half[size + tail] += 0.5 * factor[n]
        if upstream and not apart[head]:
            user[n] = -1
        elif source[n] == bus_source[head]:
            half[size + head] += 0.5 * factor[n]
            user[n] = -1
        half[n] = 0.5 * factor[n]
    return source, factor, used, half, user


@compiled
def _owned(owner: IntArray, user: IntArray, user_mw: FloatArray, of_row: IntArray) -> Any:
    """Owners of users, each once and rising; the owner's place of each user and of each row; and MW by owner."""
    place = np.full(owner.size, -1, dtype=np.int32)
    for n in range(user.size):
        place[owner[user[n]]] = 0
    count = 0
    for node in range(owner.size):
        if place[node] >= 0:
            place[node] = count
            count += 1
    found, mw = np.empty(count, dtype=np.int32), np.zeros(count)
    for node in range(owner.size):
        if place[node] >= 0:
            found[place[node]] = node
    column = np.empty(user.size, dtype=np.int32)
    for n in range(user.size):
        column[n] = place[owner[user[n]]]
        mw[column[n]] += user_mw[n]
    row = np.empty(of_row.size, dtype=np.int32)
    for n in range(of_row.size):
        row[n] = column[of_row[n]] if of_row[n] >= 0 else -1
    return found, column, row, mw


@compiled
def _diagonal(user: IntArray, own_mw: FloatArray, other_mw: FloatArray, counted: Any) -> Any:
    """Half of what each node puts in and of what counts of the other direction, which the original books to itself.

    Args:
        user: The users.
        own_mw: What each node puts in.
        other_mw: What counts of the other direction.
        counted: Nodes whose own half is in another part.

    Returns:
        Nodes that are users or stand on the diagonal; the place of each user among them; and the diagonal: nodes, their
        places, and MW.
    """
    nodes = own_mw.size
    there = np.zeros(nodes, dtype=np.bool_)
    count = 0
    for n in range(user.size):
        there[user[n]] = True
    for node in range(nodes):
        if own_mw[node] + other_mw[node] > 0.0:
            count += 1
            there[node] = True
    node_of, place_of, mw = np.empty(count, dtype=np.int32), np.empty(count, dtype=np.int32), np.empty(count)
    column, place = np.empty(there.sum(), dtype=np.int32), np.full(nodes, -1, dtype=np.int32)
    at, found = 0, 0
    for node in range(nodes):
        if there[node]:
            column[found], place[node] = node, found
            if own_mw[node] + other_mw[node] > 0.0:
                node_of[at], place_of[at], mw[at] = (
                    node,
                    found,
                    (0.5 * (other_mw[node] if counted[node] else own_mw[node] + other_mw[node])),
                )
                at += 1
            found += 1
    of_user = np.empty(user.size, dtype=np.int32)
    for n in range(user.size):
        of_user[n] = place[user[n]]
    return column, of_user, node_of, place_of, mw


@compiled
def joined(ends: Any, labels: Any, owner: IntArray, flow: FloatArray, loss: FloatArray, up: Any, down: Any) -> Any:
    """Both directions under the original's labels.

    Args:
        ends: First and other bus of each label.
        labels: Label of each branch, and node of each bus.
        owner: Column of each node, where buses of one node are added.
        flow: Of each branch, MW.
        loss: The same.
        up: Users, user of each row, MW of users, ``local``, and row and part of each bus; what each row puts in, and
            what counts of the other direction.
        down: The same.

    Returns:
        ``packed`` for each direction what ``_owned``, ``_labelled`` and ``_diagonal`` say.
    """
    integers, numbers = _both(ends, labels, owner, flow, loss, up, down)
    return packed(integers, numbers)


@compiled
def traced_joined(given: Any, ends: Any, labels: Any, owner: IntArray) -> Any:
    """``traced`` and then ``joined`` in one call, as what goes from the one to the other need not pass through Python.

    Args:
        given: A period, as ``pieces`` takes it.
        ends: First and other bus of each label.
        labels: Label of each branch, and node of each bus.
        owner: Column of each node, where buses of one node are added.

    Returns:
        As ``traced``; what ``joined`` says comes after its integers and its numbers.
    """
    acyclic, integers, numbers, sums_of = pieces(*given)
    up_user, up_of_row, up_source = integers[0], integers[1], integers[2]
    down_user, down_of_row, down_source = integers[5], integers[6], integers[7]
    up_mw, up_local, up_part = numbers[0], numbers[1], numbers[2]
    down_mw, down_local, down_part = numbers[4], numbers[5], numbers[6]
    taker_mw, giver_mw, supplied, taken = numbers[11], numbers[13], numbers[16], numbers[17]
    more_integers, more_numbers = _both(
        ends,
        labels,
        owner,
        given[5],
        given[6],
        (up_user, up_of_row, up_mw, up_local, up_source, up_part, supplied, taker_mw),
        (down_user, down_of_row, down_mw, down_local, down_source, down_part, taken, giver_mw),
    )
    all_integers, all_numbers, all_ends = packed(integers + more_integers, numbers + more_numbers)
    return acyclic, all_integers, all_numbers, all_ends, sums_of


@compiled
def _both(ends: Any, labels: Any, owner: IntArray, flow: FloatArray, loss: FloatArray, up: Any, down: Any) -> Any:
    from_bus, to_bus = ends
    label, at_bus = labels
    at_from, at_to, opposed = _label_mw(from_bus.size, label, flow, loss)
    apart = np.zeros(at_bus.size, dtype=np.bool_)
    for n in np.flatnonzero(opposed):
        apart[from_bus[n]] = apart[to_bus[n]] = True
    first = _one_way(True, at_bus, from_bus, to_bus, at_from, at_to, apart, owner, up)
    second = _one_way(False, at_bus, from_bus, to_bus, at_from, at_to, apart, owner, down)
    return first[0] + second[0], first[1] + second[1]


@compiled
def _one_way(
    upstream: bool,
    at_bus: IntArray,
    from_bus: IntArray,
    to_bus: IntArray,
    at_from: FloatArray,
    at_to: FloatArray,
    apart: Any,
    owner: IntArray,
    way: Any,
) -> Any:
    user, of_row, user_mw, local, source, part, own_mw, other_mw = way
    found, column, row, mw = _owned(owner, user, user_mw, of_row)
    label_source, factor, used, half, at = _labelled(
        upstream, at_bus, from_bus, to_bus, at_from, at_to, apart, local, source, part
    )
    counted = np.zeros(own_mw.size, dtype=np.bool_)
    for bus in range(at_bus.size):
        if upstream and at_bus[bus] >= 0:
            counted[at_bus[bus]] = not apart[bus]
    station_user, place, node, cell, cell_mw = _diagonal(user, own_mw, other_mw, counted)
    return (
        (found, column, row, label_source, used, at, station_user, place, node, cell),
        (mw, factor, half, cell_mw),
    )
