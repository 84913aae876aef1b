"""Compiled code that takes a whole period at once, where nothing special happens to it: no netting and no cycle.

What ``directed`` of the core, ``equations`` and ``users`` do step by step is one call here, as sixty calls of numpy
take longer than the arithmetic of a period. Tests hold both ways together.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from hostcap._arrays import FloatArray, IntArray
from hostcap_stock.bialek.kernel import compiled, ordering, parts, sweep

BALANCED, STANDARD, ACTUAL, COMPAT = range(4)
"""Modes, as numbers."""
NUMBER = {"balanced": BALANCED, "standard": STANDARD, "actual": ACTUAL, "compat": COMPAT}
_ZERO_MW = 1e-9  # of hostcap.tracing; compiled code holds its own


@compiled
def _users(row_mw: FloatArray, row_node: IntArray, nodes: int) -> Any:
    """Nodes that put something in, the user of each row, and what each user puts in."""
    of_node = np.zeros(nodes)
    for n in range(row_mw.size):
        of_node[row_node[n]] += row_mw[n]
    place = np.full(nodes, -1, dtype=np.int32)
    count = 0
    for node in range(nodes):
        if of_node[node] > 0.0:
            place[node] = count
            count += 1
    user, user_mw, of_row = np.empty(count, dtype=np.int32), np.empty(count), np.empty(row_mw.size, dtype=np.int32)
    for node in range(nodes):
        if place[node] >= 0:
            user[place[node]], user_mw[place[node]] = node, of_node[node]
    for n in range(row_mw.size):
        of_row[n] = place[row_node[n]]
    return user, of_row, user_mw


@compiled
def _factors(
    mode: int,
    by_in: FloatArray,
    by_out: FloatArray,
    sent: FloatArray,
    received: FloatArray,
    send: IntArray,
    receive: IntArray,
    upstream: bool,
) -> Any:
    """As ``equations``: part of a bus's row that is passed on and that is the branch's share, and that of one MW."""
    size = sent.size
    passed, shared = np.empty(size), np.empty(size)
    if upstream:
        local = by_out if mode == BALANCED else by_in
        for e in range(size):
            shared[e] = sent[e] * local[send[e]]
            passed[e] = received[e] * local[send[e]] if mode == ACTUAL else shared[e]
    else:
        local = by_in if mode in (BALANCED, COMPAT) else by_out
        for e in range(size):
            shared[e] = received[e] * local[receive[e]]
            if mode == ACTUAL:
                passed[e] = sent[e] * local[receive[e]]
            elif mode == COMPAT:
                passed[e] = received[e] * by_out[receive[e]]
            else:
                passed[e] = shared[e]
    return local, passed, shared


@compiled
def traced(
    mode: int,
    size: int,
    nodes: int,
    from_bus: IntArray,
    to_bus: IntArray,
    flow: FloatArray,
    loss: FloatArray,
    fixed: FloatArray,
    given_node: IntArray,
    given_factor: FloatArray,
    given_row: IntArray,
    row_node: IntArray,
    row_bus: IntArray,
    generation: FloatArray,
    load: FloatArray,
) -> Any:
    """Direct, order and sweep one period.

    Args:
        mode: One of ``NUMBER``.
        size: Number of buses.
        nodes: Number of nodes that are traced.
        from_bus: First end of each branch.
        to_bus: Its other end.
        flow: MW that it sends, with sign.
        loss: Its dynamic loss, MW.
        fixed: Its fixed loss, MW.
        given_node: Node of each row of the period's own map.
        given_factor: Its factor.
        given_row: Row that it is traced as: itself, but for mode compat; -1 vanishes.
        row_node: Node of each row that is traced.
        row_bus: Its bus.
        generation: Of the period's nodes, MW.
        load: The same.

    Returns:
        Whether there is no cycle; what ``DirectedFlows`` holds; and for each direction the user of each row, users,
        their MW, the factors ``local`` and ``shared``, and the rows of buses.
    """
    rows, branches = row_node.size, flow.size
    supplied, taken = np.zeros(rows), np.zeros(rows)
    for g in range(given_node.size):
        n = given_row[g]
        if n < 0:
            continue
        a, b = given_factor[g] * generation[given_node[g]], given_factor[g] * load[given_node[g]]
        if mode == COMPAT:
            # Negative load replaces the row's generation, and the reverse.
            supplied[n] += -b if b < 0 else max(a, 0.0)
            taken[n] += -a if a < 0 else max(b, 0.0)
        else:
            supplied[n] = max(a, 0.0) + max(-b, 0.0)
            taken[n] = max(b, 0.0) + max(-a, 0.0)
    send, receive = np.empty(branches, dtype=np.int32), np.empty(branches, dtype=np.int32)
    sent, received = np.empty(branches), np.empty(branches)
    in_mw, out_mw, of_from, of_to = np.zeros(size), np.zeros(size), np.zeros(size), np.zeros(size)
    lost = np.empty(branches, dtype=np.int32)
    lost_count = 0
    for e in range(branches):
        forward = flow[e] >= 0
        send[e], receive[e] = (from_bus[e], to_bus[e]) if forward else (to_bus[e], from_bus[e])
        sent[e] = abs(flow[e])
        left = sent[e] - max(loss[e], 0.0)
        received[e] = max(left, 0.0)
        if left < 0 and sent[e] > 0:
            lost[lost_count] = e
            lost_count += 1
        in_mw[receive[e]] += received[e]
        out_mw[send[e]] += sent[e]
        of_from[from_bus[e]] += fixed[e] / 2.0
        of_to[to_bus[e]] += fixed[e] / 2.0
    at_bus, from_bus_mw = np.zeros(size), np.zeros(size)
    for n in range(rows):
        at_bus[row_bus[n]] += supplied[n]
        from_bus_mw[row_bus[n]] += taken[n]
    by_in, by_out, mismatch = np.zeros(size), np.zeros(size), np.empty(size)
    for bus in range(size):
        in_mw[bus] += at_bus[bus]
        out_mw[bus] += from_bus_mw[bus]
        mismatch[bus] = in_mw[bus] - out_mw[bus] - (of_from[bus] + of_to[bus])
        if in_mw[bus] >= _ZERO_MW:
            by_in[bus] = 1.0 / in_mw[bus]
        if out_mw[bus] >= _ZERO_MW:
            by_out[bus] = 1.0 / out_mw[bus]
    order, ordered = ordering(send, receive, sent, size)
    acyclic = ordered == size
    if not acyclic:
        order = np.arange(size)  # what follows is thrown away, and any order will do
    up_local, passed, up_shared = _factors(mode, by_in, by_out, sent, received, send, receive, True)
    up_user, up_of_row, up_mw = _users(supplied, row_node, nodes)
    up = sweep(order, False, send, receive, passed, row_bus, up_of_row, supplied, up_user.size)
    down_local, passed, down_shared = _factors(mode, by_in, by_out, sent, received, send, receive, False)
    down_user, down_of_row, down_mw = _users(taken, row_node, nodes)
    down = sweep(order, True, receive, send, passed, row_bus, down_of_row, taken, down_user.size)
    flows = (send, receive, sent, received, supplied, taken, in_mw, out_mw, mismatch, lost[:lost_count].copy())
    return (
        acyclic,
        flows,
        (up_user, up_of_row, up_mw, up_local, up_shared, up[0], up[1], up[2]),
        (down_user, down_of_row, down_mw, down_local, down_shared, down[0], down[1], down[2]),
    )


@compiled
def closed(
    send: IntArray,
    receive: IntArray,
    sent: FloatArray,
    received: FloatArray,
    in_mw: FloatArray,
    out_mw: FloatArray,
    mismatch: FloatArray,
    fixed: FloatArray,
    row_bus: IntArray,
    supplied: FloatArray,
    taken: FloatArray,
    up_local: FloatArray,
    down_local: FloatArray,
    up_first: IntArray,
    up_mw: FloatArray,
    down_first: IntArray,
    down_mw: FloatArray,
) -> Any:
    """How a period adds up.

    Returns:
        For each row what it takes of one MW through its bus (upstream) and what it supplies (downstream), and the MW
        of it; buses that are dead ends; and the MW of losses, fixed losses, gross demand, net generation and dead
        ends, the bus of the worst mismatch (-1: none), and the number of islands.
    """
    size, rows = in_mw.size, row_bus.size
    up_part, down_part, up_row, down_row = np.empty(rows), np.empty(rows), np.empty(rows), np.empty(rows)
    up_through, down_through, most = np.zeros(size), np.zeros(size), np.empty(size)
    dead = np.empty(size, dtype=np.int32)
    count, worst, dead_mw = 0, -1, 0.0
    for bus in range(size):
        through = 0.0
        for q in range(up_first[bus], up_first[bus + 1]):
            through += up_mw[q]
        up_through[bus] = through
        through = 0.0
        for q in range(down_first[bus], down_first[bus + 1]):
            through += down_mw[q]
        down_through[bus] = through
        most[bus] = max(in_mw[bus], out_mw[bus])
        if out_mw[bus] < _ZERO_MW and in_mw[bus] >= _ZERO_MW:
            dead[count] = bus
            dead_mw += up_through[bus]
            count += 1
        if worst < 0 or abs(mismatch[bus]) > abs(mismatch[worst]):
            worst = bus
    gross, net = 0.0, 0.0
    for n in range(rows):
        bus = row_bus[n]
        up_part[n], down_part[n] = taken[n] * up_local[bus], supplied[n] * down_local[bus]
        up_row[n], down_row[n] = up_part[n] * up_through[bus], down_part[n] * down_through[bus]
        gross += up_row[n]
        net += down_row[n]
    lost, stands = 0.0, 0.0
    for e in range(sent.size):
        lost += sent[e] - received[e]
        stands += fixed[e]
    islands = parts(send, receive, sent, most)
    return (
        (up_part, up_row, down_part, down_row),
        dead[:count].copy(),
        (lost, stands, gross, net, dead_mw, worst, islands),
    )


@compiled
def stations(
    bus_station: IntArray,
    send: IntArray,
    receive: IntArray,
    down_shared: FloatArray,
    row_bus: IntArray,
    down_part: FloatArray,
) -> Any:
    """What enters stations.

    Returns:
        Station that each branch brings something to from another, -1 for none; that of each row; and parts of a
        station's row downstream: branches, then what is generated there.
    """
    branches, rows = send.size, row_bus.size
    target, source = np.empty(branches + rows, dtype=np.int32), np.empty(branches + rows, dtype=np.int32)
    factor = np.empty(branches + rows)
    for e in range(branches):
        station = bus_station[receive[e]]
        target[e] = -1 if station == bus_station[send[e]] else station
        source[e], factor[e] = receive[e], down_shared[e]
    for n in range(rows):
        target[branches + n] = bus_station[row_bus[n]]
        source[branches + n], factor[branches + n] = row_bus[n], down_part[n]
    return target[:branches].copy(), target[branches:].copy(), target, source, factor


@compiled
def labelled(
    upstream: bool,
    label: IntArray,
    at_bus: IntArray,
    from_bus: IntArray,
    to_bus: IntArray,
    flow: FloatArray,
    loss: FloatArray,
    local: FloatArray,
) -> Any:
    """Bus of each label, and its part of that bus's row: the sum of the MW of its branches, with sign, over what flows.

    Returns:
        Bus and part of each label; and bus whose row is used by half, part, and node (of ``at_bus``) that uses it: at
        the other end of each label, then at the labels' bus itself, once for all of its labels.
    """
    size = from_bus.size
    at_from, at_to = np.zeros(size), np.zeros(size)
    for e in range(label.size):
        sign = 1.0 if flow[e] > 0 else (-1.0 if flow[e] < 0 else 0.0)
        left = sign * max(abs(flow[e]) - loss[e], 0.0)
        back = flow[e] < 0
        at_from[label[e]] += left if back else flow[e]
        at_to[label[e]] += flow[e] if back else left
    source, factor = np.empty(size, dtype=np.int32), np.empty(size)
    buses = local.size
    used, user = np.empty(size + buses, dtype=np.int32), np.empty(size + buses, dtype=np.int32)
    half = np.zeros(size + buses)
    for bus in range(buses):
        used[size + bus], user[size + bus] = bus, at_bus[bus]
    for n in range(size):
        with_tail = (at_to[n] >= 0) == upstream
        source[n] = from_bus[n] if with_tail else to_bus[n]
        factor[n] = abs(at_from[n] if with_tail else at_to[n]) * local[source[n]]
        used[n], user[n] = source[n], at_bus[to_bus[n] if with_tail else from_bus[n]]
        half[n] = 0.5 * factor[n]
        half[size + source[n]] += half[n]
    return source, factor, used, half, user


@compiled
def owned(owner: IntArray, user: IntArray, user_mw: FloatArray, of_row: IntArray) -> Any:
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
def diagonal(user: IntArray, own_mw: FloatArray, other_mw: FloatArray) -> Any:
    """Half of what each node puts in and of what counts of the other direction, which the original books to itself.

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
                node_of[at], place_of[at], mw[at] = node, found, 0.5 * (own_mw[node] + other_mw[node])
                at += 1
            found += 1
    of_user = np.empty(user.size, dtype=np.int32)
    for n in range(user.size):
        of_user[n] = place[user[n]]
    return column, of_user, node_of, place_of, mw
