"""The compiled kernels: eight states at a time through the fixed-point iteration, and their limits.

A tile's voltages are one float64 array: row i holds the real parts of eight states at ``16 i`` and the imaginary parts
at ``16 i + 8``. They are changes from the voltages without injection, so that sources and limits keep their digits.
Nothing here looks across lanes but the end of the loop: a lane that is done keeps its currents, and with them, bit for
bit, its voltages, so a state's result does not depend on its neighbours, its place or the number of threads.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from hostcap._arrays import BoolArray, FloatArray, IntArray
from hostcap_stock.batched.factor import compiled
from hostcap_stock.batched.lanes import (
    LANES,
    add,
    at_most,
    bits,
    both,
    choose,
    div,
    either,
    fma,
    from_bits,
    less,
    load,
    minus,
    mul,
    root,
    splat,
    spread,
    store,
    sub,
    turn,
)
from hostcap_stock.batched.reducing import ALL, ROW, Checks, Forms, reduce_tile

POWER, IMPEDANCE, EXPONENT, CURRENT = 1, 2, 4, 5
"""As in ``hostcap.linear``; numba wants them as globals of this module."""


class Iteration(NamedTuple):
    """What one iteration reads; rows are those of ``Ordering.row``, complex numbers lie as two float64.

    Attributes:
        rows, path_rows: Rows in all, and those iterated.
        port_a, port_b: Rows of each port; -1 is ground.
        port_v: Its voltage without injection, V.
        part_ptr: Parts of each port; a part is one base load or one growth point.
        part_active, part_reactive: Rows of levels that multiply the part's kW and kvar; -1 for base.
        part_siemens: What it *injects* per volt at rated voltage, S.
        part_per_v2: 1 / base_v^2.
        part_law: Row of the laws.
        law_model, law: Model, and eight numbers, of each law; see ``Laws``.
        fit_first, fit_terms, fit_band, fit: Polynomials for the powers of model 4; see ``Laws``.
        inject_ptr, inject_port, inject_sign: Ports of each path row.
        lower_ptr, lower, lower_value: Rows of L among path rows; minus its entries.
        passed_ptr, passed: Further entries of L, minus which is one: rows that pass on what they get.
        own_ptr, own, own_value: Rows of the inverse diagonal blocks, at path rows.
        three: Whether a path row is the last of three that are a block.
        upper_ptr, upper, upper_value: Rows of U; minus its entries.
        followed_ptr, followed: Further entries of U, minus which is one.
        weight: 1 / nominal^2 of path rows; 0 for dead ones.
        start: Voltages of the start, as changes, of path rows.
    """

    rows: int
    path_rows: int
    port_a: IntArray
    port_b: IntArray
    port_v: FloatArray
    part_ptr: IntArray
    part_active: IntArray
    part_reactive: IntArray
    part_siemens: FloatArray
    part_per_v2: FloatArray
    part_law: IntArray
    law_model: IntArray
    law: FloatArray
    fit_first: IntArray
    fit_terms: IntArray
    fit_band: FloatArray
    fit: FloatArray
    inject_ptr: IntArray
    inject_port: IntArray
    inject_sign: FloatArray
    lower_ptr: IntArray
    lower: IntArray
    lower_value: FloatArray
    passed_ptr: IntArray
    passed: IntArray
    own_ptr: IntArray
    own: IntArray
    own_value: FloatArray
    three: BoolArray
    upper_ptr: IntArray
    upper: IntArray
    upper_value: FloatArray
    followed_ptr: IntArray
    followed: IntArray
    weight: FloatArray
    start: FloatArray


class Room(NamedTuple):
    """Working memory of one thread, float64, in rows of sixteen."""

    v: FloatArray
    y: FloatArray
    current: FloatArray
    level: FloatArray
    scratch: FloatArray
    nearest: FloatArray


@compiled
def _draw(it: Iteration, room: Room, done: int) -> None:
    """Injected current of every port at the present voltages; lanes that are done keep theirs."""
    one, keep = splat(1.0), from_bits(done)
    for p in range(it.port_a.size):
        ur, ui = splat(it.port_v[2 * p]), splat(it.port_v[2 * p + 1])
        a, b = it.port_a[p] * ROW, it.port_b[p] * ROW
        if a >= 0:
            ur, ui = add(ur, load(room.v, a)), add(ui, load(room.v, a + LANES))
        if b >= 0:
            ur, ui = sub(ur, load(room.v, b)), sub(ui, load(room.v, b + LANES))
        square = fma(ur, ur, mul(ui, ui))
        total_r, total_i = splat(0.0), splat(0.0)
        for c in range(it.part_ptr[p], it.part_ptr[p + 1]):
            law, model = 8 * it.part_law[c], it.law_model[it.part_law[c]]
            u2 = mul(square, spread(it.part_per_v2, c))
            if model == POWER:
                active = div(one, u2)
                reactive = active
            elif model == CURRENT:
                active = div(one, root(u2))
                reactive = active
            elif model == EXPONENT:
                first, terms = it.fit_first[it.part_law[c]], it.fit_terms[it.part_law[c]]
                if terms > 0:  # a polynomial of u^2 stands for the powers
                    place = 2 * it.part_law[c]
                    t = mul(sub(u2, spread(it.fit_band, place)), spread(it.fit_band, place + 1))
                    active, reactive = spread(it.fit, first), spread(it.fit, first + terms)
                    for k in range(first + 1, first + terms):
                        active = fma(active, t, spread(it.fit, k))
                        reactive = fma(reactive, t, spread(it.fit, k + terms))
                else:
                    store(room.scratch, 0, u2)
                    for k in range(LANES):
                        room.scratch[k + LANES] = math.pow(room.scratch[k], 0.5 * it.law[law + 7])
                        room.scratch[k] = math.pow(room.scratch[k], 0.5 * it.law[law + 6])
                    active, reactive = load(room.scratch, 0), load(room.scratch, LANES)
            else:
                active = one
                reactive = one
            above = less(spread(it.law, law), u2)
            under, low = at_most(u2, spread(it.law, law + 1)), at_most(u2, spread(it.law, law + 2))
            if model != IMPEDANCE and bits(either(above, either(under, low))) != 0:
                held = spread(it.law, law + 3)
                between = fma(spread(it.law, law + 5), div(one, root(u2)), spread(it.law, law + 4))
                active = choose(low, one, choose(under, between, choose(above, held, active)))
                reactive = choose(low, one, choose(under, between, choose(above, held, reactive)))
            g, h = spread(it.part_siemens, 2 * c), spread(it.part_siemens, 2 * c + 1)
            if it.part_active[c] >= 0:
                g = mul(g, load(room.level, it.part_active[c] * LANES))
                h = mul(h, load(room.level, it.part_reactive[c] * LANES))
            else:  # the rated impedance of a base load is in the matrix
                active, reactive = sub(active, one), sub(reactive, one)
            g, h = mul(g, active), mul(h, reactive)
            total_r = fma(g, ur, total_r)
            total_r = sub(total_r, mul(h, ui))
            total_i = fma(g, ui, total_i)
            total_i = fma(h, ur, total_i)
        place = p * ROW
        if done != 0:
            total_r = choose(keep, load(room.current, place), total_r)
            total_i = choose(keep, load(room.current, place + LANES), total_i)
        store(room.current, place, total_r)
        store(room.current, place + LANES, total_i)


@compiled
def _product(values: FloatArray, place: int, vr: Any, vi: Any, re: Any, im: Any) -> Any:
    """Add values[place] x (vr, vi) to (re, im)."""
    x, y = spread(values, 2 * place), spread(values, 2 * place + 1)
    return minus(y, vi, fma(x, vr, re)), fma(y, vr, fma(x, vi, im))


@compiled
def _forward(it: Iteration, room: Room) -> None:
    """Y = L^-1 i on path rows; all other rows stay zero, for nothing is injected there."""
    for i in range(it.path_rows):
        re, im = splat(0.0), splat(0.0)
        for e in range(it.inject_ptr[i], it.inject_ptr[i + 1]):
            sign, place = spread(it.inject_sign, e), it.inject_port[e] * ROW
            re = fma(sign, load(room.current, place), re)
            im = fma(sign, load(room.current, place + LANES), im)
        for e in range(it.passed_ptr[i], it.passed_ptr[i + 1]):
            place = it.passed[e] * ROW
            re, im = add(re, load(room.y, place)), add(im, load(room.y, place + LANES))
        for e in range(it.lower_ptr[i], it.lower_ptr[i + 1]):
            place = it.lower[e] * ROW
            re, im = _product(it.lower_value, e, load(room.y, place), load(room.y, place + LANES), re, im)
        store(room.y, i * ROW, re)
        store(room.y, i * ROW + LANES, im)


@compiled
def _from_root(it: Iteration, room: Room, i: int, re: Any, im: Any) -> Any:
    """Add what the voltages of rows nearer to the root give a row."""
    for e in range(it.followed_ptr[i], it.followed_ptr[i + 1]):
        other = it.followed[e] * ROW
        re, im = add(re, load(room.v, other)), add(im, load(room.v, other + LANES))
    for e in range(it.upper_ptr[i], it.upper_ptr[i + 1]):
        other = it.upper[e] * ROW
        re, im = _product(it.upper_value, e, load(room.v, other), load(room.v, other + LANES), re, im)
    return re, im


@compiled
def _voltage(it: Iteration, room: Room, i: int) -> Any:
    """Voltage of a row from the currents of its block and the voltages of rows nearer to the root."""
    re, im = splat(0.0), splat(0.0)
    for e in range(it.own_ptr[i], it.own_ptr[i + 1]):
        other = it.own[e] * ROW
        re, im = _product(it.own_value, e, load(room.y, other), load(room.y, other + LANES), re, im)
    return _from_root(it, room, i, re, im)


@compiled
def _three_phases(it: Iteration, room: Room, i: int) -> Any:
    """Voltages of rows i to i + 2, a block: its currents are read once for all three."""
    begin = it.own_ptr[i]
    first = it.own[begin] * ROW
    ar, ai = load(room.y, first), load(room.y, first + LANES)
    br, bi = load(room.y, first + ROW), load(room.y, first + ROW + LANES)
    cr, ci = load(room.y, first + 2 * ROW), load(room.y, first + 2 * ROW + LANES)
    zero = splat(0.0)
    ur, ui = _product(it.own_value, begin, ar, ai, zero, zero)
    ur, ui = _product(it.own_value, begin + 1, br, bi, ur, ui)
    ur, ui = _product(it.own_value, begin + 2, cr, ci, ur, ui)
    vr, vi = _product(it.own_value, begin + 3, ar, ai, zero, zero)
    vr, vi = _product(it.own_value, begin + 4, br, bi, vr, vi)
    vr, vi = _product(it.own_value, begin + 5, cr, ci, vr, vi)
    wr, wi = _product(it.own_value, begin + 6, ar, ai, zero, zero)
    wr, wi = _product(it.own_value, begin + 7, br, bi, wr, wi)
    wr, wi = _product(it.own_value, begin + 8, cr, ci, wr, wi)
    return ur, ui, vr, vi, wr, wi


@compiled
def _moved(it: Iteration, room: Room, i: int, re: Any, im: Any) -> Any:
    """Put a path row's new voltage; how far it moved, squared, per unit."""
    place = i * ROW
    dr, di = sub(re, load(room.v, place)), sub(im, load(room.v, place + LANES))
    store(room.v, place, re)
    store(room.v, place + LANES, im)
    return mul(spread(it.weight, i), fma(dr, dr, mul(di, di)))


@compiled
def _backward(it: Iteration, room: Room, tolerance2: float) -> int:
    """Voltages of path rows; tells which lanes moved too far (low byte) or are not finite (high byte)."""
    still, total = from_bits(ALL), splat(0.0)
    limit = splat(tolerance2)
    i = it.path_rows - 1
    while i >= 0:
        if it.three[i]:  # the last row of three phases
            ur, ui, vr, vi, wr, wi = _three_phases(it, room, i - 2)
            wr, wi = _from_root(it, room, i, wr, wi)
            vr, vi = _from_root(it, room, i - 1, vr, vi)
            ur, ui = _from_root(it, room, i - 2, ur, ui)
            moved = _moved(it, room, i, wr, wi)
            # A comparison with nan is false, so a nan is never `still`; the sum carries it to the finiteness test.
            still, total = both(still, at_most(moved, limit)), add(total, moved)
            moved = _moved(it, room, i - 1, vr, vi)
            still, total = both(still, at_most(moved, limit)), add(total, moved)
            moved = _moved(it, room, i - 2, ur, ui)
            i -= 3
        else:
            re, im = _voltage(it, room, i)
            moved = _moved(it, room, i, re, im)
            i -= 1
        still, total = both(still, at_most(moved, limit)), add(total, moved)
    moved_too_far: int = ALL ^ bits(still)
    not_finite: int = ALL ^ bits(less(total, splat(math.inf)))
    return moved_too_far | (not_finite << LANES)


@compiled
def _finish(it: Iteration, room: Room) -> None:
    """Voltages of all rows off the paths, once."""
    for i in range(it.path_rows, it.rows):
        re, im = _voltage(it, room, i)
        store(room.v, i * ROW, re)
        store(room.v, i * ROW + LANES, im)


@compiled
def _write(forms: Forms, room: Room, count: int, out: FloatArray, first: int) -> None:
    """Values of forms, as pairs of real and imaginary part, shape (state, 2 form).

    Four forms at a time are turned from lanes to states, so that every write fills a cache line.
    """
    size, flat = forms.ptr.size - 1, out.reshape(out.size)
    for begin in range(0, size, 4):
        block = min(4, size - begin)
        for i in range(block):
            re, im = spread(forms.fixed, 2 * (begin + i)), spread(forms.fixed, 2 * (begin + i) + 1)
            for e in range(forms.ptr[begin + i], forms.ptr[begin + i + 1]):
                x, y, other = spread(forms.value, 2 * e), spread(forms.value, 2 * e + 1), forms.column[e] * ROW
                vr, vi = load(room.v, other), load(room.v, other + LANES)
                re, im = minus(y, vi, fma(x, vr, re)), fma(y, vr, fma(x, vi, im))
            store(room.scratch, i * ROW, re)
            store(room.scratch, i * ROW + LANES, im)
        if block == 4 and count == LANES:
            turn(room.scratch, flat, first * out.shape[1] + 2 * begin, out.shape[1])
            continue
        for k in range(count):
            for c in range(2 * block):
                out[first + k, 2 * begin + c] = room.scratch[c * LANES + k]


@compiled
def solve_tiles(
    first: int,
    last: int,
    levels: FloatArray,
    reactive: FloatArray,
    it: Iteration,
    tolerance2: float,
    most: int,
    checks: Checks,
    nodes: Forms,
    conductors: Forms,
    room: Room,
    converged: BoolArray,
    iterations: IntArray,
    margin: FloatArray,
    row: IntArray,
    node_out: FloatArray,
    conductor_out: FloatArray,
) -> None:
    """Solve states ``first`` to ``last``; levels are ``levels``, ``reactive``, a one; empty outputs are left out."""
    active, all_levels = levels.shape[1], levels.shape[1] + reactive.shape[1]
    store(room.level, all_levels * LANES, splat(1.0))
    for begin in range(first, last, LANES):
        count = min(LANES, last - begin)
        for s in range(active):
            for k in range(LANES):  # lanes to spare repeat the last state
                room.level[s * LANES + k] = levels[begin + min(k, count - 1), s]
        for s in range(active, all_levels):
            for k in range(LANES):
                room.level[s * LANES + k] = reactive[begin + min(k, count - 1), s - active]
        for i in range(it.path_rows):
            store(room.v, i * ROW, splat(it.start[2 * i]))
            store(room.v, i * ROW + LANES, splat(it.start[2 * i + 1]))
        done = 0
        for n in range(1, most + 1):
            _draw(it, room, done)
            _forward(it, room)
            moved = _backward(it, room, tolerance2)
            broken = moved >> LANES
            ended = ((ALL ^ (moved & ALL)) | broken) & (ALL ^ done)
            for k in range(count):
                if ended >> k & 1:
                    iterations[begin + k] = n
                    converged[begin + k] = not (broken >> k & 1)
            done |= ended
            if done == ALL:
                break
        for k in range(count):
            if not (done >> k & 1):
                iterations[begin + k] = most
        if margin.shape[1] > 0 or node_out.shape[1] > 0 or conductor_out.shape[1] > 0:
            _finish(it, room)
        if margin.shape[1] > 0:
            reduce_tile(checks, room.v, room.nearest, begin, count, margin, row)
        if node_out.shape[1] > 0:
            _write(nodes, room, count, node_out, begin)
        if conductor_out.shape[1] > 0:
            _write(conductors, room, count, conductor_out, begin)


def room_for(it: Iteration, checks: Checks, levels: int) -> Room:
    """Working memory for one thread and so many rows of levels, aligned to a cache line."""

    def aligned(rows: int) -> FloatArray:
        raw = np.zeros(rows * ROW + LANES)
        shift = (-raw.ctypes.data // 8) % LANES
        return raw[shift : shift + rows * ROW]

    return Room(
        v=aligned(it.rows),
        y=aligned(it.path_rows + 1),
        current=aligned(it.port_a.size + 1),
        level=aligned(levels // 2 + 1),
        scratch=aligned(4),
        nearest=aligned(checks.segments + 1),
    )
