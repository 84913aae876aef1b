"""Compiled code that takes a whole period at once, where nothing special happens to it: no netting and no cycle.

What ``directed`` of the core, ``equations`` and ``users`` do step by step is one call here, as sixty calls of numpy
take longer than the arithmetic of a period. Tests hold both ways together.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from hostcap._arrays import FloatArray, IntArray
from hostcap_stock.bialek.kernel import compiled, leaving, ordered_by, packed, parts, sweep, through

BALANCED, STANDARD, ACTUAL, COMPAT = range(4)
"""Modes, as numbers."""
INTEGERS, NUMBERS = 21, 18
"""Arrays of each type that ``traced`` packs."""
NUMBER = {"balanced": BALANCED, "standard": STANDARD, "actual": ACTUAL, "compat": COMPAT}
MISMATCH_MW = 0.01
"""Difference at a bus that is worth a finding."""
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
def traced(given: Any) -> Any:
    """One period, ``pieces`` of it, ``packed``: whether there is no cycle, integers, numbers, ends, and the sums."""
    acyclic, integers, numbers, sums_of = pieces(*given)
    all_integers, all_numbers, ends = packed(integers, numbers)
    return acyclic, all_integers, all_numbers, ends, sums_of


@compiled
def pieces(
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
    bus_station: IntArray,
    generation: FloatArray,
    load: FloatArray,
) -> Any:
    """Direct, order, sweep and close one period.

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
        bus_station: Station of each bus.
        generation: Of the period's nodes, MW.
        load: The same.

    Returns:
        Whether there is no cycle; integers and numbers: for each direction users, user of each row, rows of buses, MW
        of users and ``local``, then what ``closed`` says, and what each row puts in and takes; and the sums of
        ``closed``.
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
    in_mw, out_mw, halves = np.zeros(size), np.zeros(size), np.zeros(size)
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
        halves[from_bus[e]] += fixed[e] / 2.0
        halves[to_bus[e]] += fixed[e] / 2.0
    for n in range(rows):
        in_mw[row_bus[n]] += supplied[n]
        out_mw[row_bus[n]] += taken[n]
    by_in, by_out, mismatch = np.zeros(size), np.zeros(size), np.empty(size)
    for bus in range(size):
        mismatch[bus] = in_mw[bus] - out_mw[bus] - halves[bus]
        if in_mw[bus] >= _ZERO_MW:
            by_in[bus] = 1.0 / in_mw[bus]
        if out_mw[bus] >= _ZERO_MW:
            by_out[bus] = 1.0 / out_mw[bus]
    first_out, out_branch = leaving(send, sent, size)
    first_in, in_branch = leaving(receive, sent, size)
    order, ordered = ordered_by(first_out, out_branch, receive)
    acyclic = ordered == size
    if not acyclic:
        order = np.arange(size)  # what follows is thrown away, and any order will do
    up_local, passed, up_shared = _factors(mode, by_in, by_out, sent, received, send, receive, True)
    up_user, up_of_row, up_mw = _users(supplied, row_node, nodes)
    up = sweep(order, False, first_in, in_branch, send, passed, row_bus, up_of_row, supplied, up_user.size)
    down_local, passed, down_shared = _factors(mode, by_in, by_out, sent, received, send, receive, False)
    down_user, down_of_row, down_mw = _users(taken, row_node, nodes)
    down = sweep(order, True, first_out, out_branch, receive, passed, row_bus, down_of_row, taken, down_user.size)
    branch, pairs, station, noticed, sums_of = closed(
        (mode == COMPAT, order, first_in, in_branch, lost[:lost_count].copy()),
        (send, receive, sent, received, in_mw, out_mw, mismatch, fixed),
        (row_bus, supplied, taken, bus_station),
        (up_of_row, up_local, up_shared, up),
        (down_local, down_shared, down),
    )
    up_source, up_part, up_first, up_column, up_share = up
    down_source, down_part, down_first, down_column, down_share = down
    up_branch, up_factor, down_branch, down_factor = branch
    taker, taker_part, taker_mw, giver, giver_part, giver_mw = pairs
    entered, own, target, source, factor = station
    lost, dead, off, off_mw = noticed
    of_up, of_down = (up_user, up_of_row, up_source, up_first, up_column), (down_user, down_of_row, down_source)
    places = (down_first, down_column, up_branch, down_branch, taker, giver, entered, own, target, source)
    mw_up, mw_down = (up_mw, up_local, up_part, up_share), (down_mw, down_local, down_part, down_share)
    parts_of = (up_factor, down_factor, taker_part, taker_mw, giver_part, giver_mw, factor, off_mw)
    # Compiled code knows tuples that are joined, and none that are unpacked.
    integers, numbers = of_up + of_down + places + (lost, dead, off), mw_up + mw_down + parts_of + (supplied, taken)
    return acyclic, integers, numbers, sums_of


@compiled
def closed(about: Any, flows: Any, rows_of: Any, up: Any, down: Any) -> Any:
    """What a period's rows of buses say about branches, stations and pairs, and how it adds up.

    Args:
        about: Whether the mode is compat, whose shares of branches and stations are others; order of the buses;
            branches with MW by the bus that they lead to; branches that lose more than they carry.
        flows: Bus that each branch leaves and leads to, MW there, MW that come to and leave each bus, their mismatch,
            and the fixed loss of each branch.
        rows_of: Bus of each row, what it supplies and takes, and the station of each bus.
        up: User of each row (upstream), ``local``, ``shared`` and the rows of buses.
        down: The same without the first.

    Returns:
        Parts: row and factor of each branch upstream and downstream; of each row of what it takes (upstream) and what
        it supplies (downstream), and MW of the latter two; for stations what ``_stations`` says. What is to be noticed:
        lost branches, dead ends and buses with a mismatch, with its MW. And the MW of generation, load, losses, fixed
        losses, gross demand, net generation and dead ends, the worst mismatch and its bus (-1: none), the number of
        islands, and what the lost branches send.
    """
    compat, order, first_in, in_branch, lost = about
    send, receive, sent, received, in_mw, out_mw, mismatch, fixed = flows
    row_bus, supplied, taken, bus_station = rows_of
    up_of_row, up_local, up_shared, up_rows = up
    down_local, down_shared, down_rows = down
    up_source, up_part, up_first, _, up_mw = up_rows
    down_source, down_part, down_first, _, down_mw = down_rows
    up_through = through(up_source, up_part, up_first, up_mw)
    down_through = through(down_source, down_part, down_first, down_mw)
    size, rows = in_mw.size, row_bus.size
    dead, off, most = np.empty(size, dtype=np.int32), np.empty(size, dtype=np.int32), np.empty(size)
    count, far, worst, dead_mw = 0, 0, -1, 0.0
    for bus in range(size):
        most[bus] = max(in_mw[bus], out_mw[bus])
        if out_mw[bus] < _ZERO_MW and in_mw[bus] >= _ZERO_MW:
            dead[count] = bus
            dead_mw += up_through[bus]
            count += 1
        if worst < 0 or abs(mismatch[bus]) > abs(mismatch[worst]):
            worst = bus
        if abs(mismatch[bus]) > MISMATCH_MW:
            off[far] = bus
            far += 1
    taker, taker_part, taker_mw = np.empty(rows, dtype=np.int32), np.empty(rows), np.empty(rows)
    giver, giver_part, giver_mw = np.empty(rows, dtype=np.int32), np.empty(rows), np.empty(rows)
    generation, load, gross, net = 0.0, 0.0, 0.0, 0.0
    for n in range(rows):
        bus = row_bus[n]
        taker[n], giver[n] = up_source[bus], down_source[bus]
        takes, gives = taken[n] * up_local[bus], supplied[n] * down_local[bus]
        taker_part[n], giver_part[n] = takes * up_part[bus], gives * down_part[bus]
        taker_mw[n], giver_mw[n] = takes * up_through[bus], gives * down_through[bus]
        generation += supplied[n]
        load += taken[n]
        gross += taker_mw[n]
        net += giver_mw[n]
    losses, stands = 0.0, 0.0
    for e in range(sent.size):
        losses += sent[e] - received[e]
        stands += fixed[e]
    lost_mw = 0.0
    for n in range(lost.size):
        lost_mw += sent[lost[n]]
    branches = 0 if compat else sent.size
    up_branch, up_factor = np.empty(branches, dtype=np.int32), np.empty(branches)
    down_branch, down_factor = np.empty(branches, dtype=np.int32), np.empty(branches)
    for e in range(branches):
        up_branch[e], up_factor[e] = up_source[send[e]], up_shared[e] * up_part[send[e]]
        down_branch[e], down_factor[e] = down_source[receive[e]], down_shared[e] * down_part[receive[e]]
    islands = parts(order, first_in, in_branch, send, most)
    off = off[:far].copy()
    worst_mw = mismatch[worst] if worst >= 0 else 0.0
    return (
        (up_branch, up_factor, down_branch, down_factor),
        (taker, taker_part, taker_mw, giver, giver_part, giver_mw),
        _stations(bus_station, send, receive, down_branch, down_factor, row_bus, giver, giver_part, up_of_row),
        (lost, dead[:count].copy(), off, mismatch[off]),
        (generation, load, losses, stands, gross, net, dead_mw, worst_mw, worst, islands, lost_mw),
    )


@compiled
def _stations(
    bus_station: IntArray,
    send: IntArray,
    receive: IntArray,
    down_branch: IntArray,
    down_factor: FloatArray,
    row_bus: IntArray,
    giver: IntArray,
    giver_part: FloatArray,
    up_of_row: IntArray,
) -> Any:
    """What enters stations.

    Returns:
        Station that each branch brings something to from another, -1 for none; that of each row; and what a station's
        shares downstream are parts of: branches, then what is generated there.
    """
    branches, rows = down_branch.size, row_bus.size
    entered, own = np.empty(branches, dtype=np.int32), np.empty(rows, dtype=np.int32)
    target, source = np.empty(branches + rows, dtype=np.int32), np.empty(branches + rows, dtype=np.int32)
    factor = np.empty(branches + rows)
    for e in range(branches):
        station = bus_station[receive[e]]
        target[e] = entered[e] = -1 if station == bus_station[send[e]] else station
        source[e], factor[e] = down_branch[e], down_factor[e]
    for n in range(rows):
        target[branches + n] = bus_station[row_bus[n]]
        own[n] = target[branches + n] if up_of_row[n] >= 0 else -1
        source[branches + n], factor[branches + n] = giver[n], giver_part[n]
    return entered, own, target, source, factor
