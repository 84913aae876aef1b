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
from hostcap_stock.batched import lanes as op
from hostcap_stock.batched.factor import compiled
from hostcap_stock.batched.lanes import LANES
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
    one, keep = op.splat(1.0), op.from_bits(done)
    for p in range(it.port_a.size):
        ur, ui = op.splat(it.port_v[2 * p]), op.splat(it.port_v[2 * p + 1])
        a, b = it.port_a[p] * ROW, it.port_b[p] * ROW
        if a >= 0:
            ur, ui = op.add(ur, op.load(room.v, a)), op.add(ui, op.load(room.v, a + LANES))
        if b >= 0:
            ur, ui = op.sub(ur, op.load(room.v, b)), op.sub(ui, op.load(room.v, b + LANES))
        square = op.fma(ur, ur, op.mul(ui, ui))
        total_r, total_i = op.splat(0.0), op.splat(0.0)
        for c in range(it.part_ptr[p], it.part_ptr[p + 1]):
            law, model = 8 * it.part_law[c], it.law_model[it.part_law[c]]
            u2 = op.mul(square, op.spread(it.part_per_v2, c))
            if model == POWER:
                active = op.div(one, u2)
                reactive = active
            elif model == CURRENT:
                active = op.div(one, op.root(u2))
                reactive = active
            elif model == EXPONENT:
                first, terms = it.fit_first[it.part_law[c]], it.fit_terms[it.part_law[c]]
                if terms > 0:  # a polynomial of u^2 stands for the powers
                    place = 2 * it.part_law[c]
                    t = op.mul(op.sub(u2, op.spread(it.fit_band, place)), op.spread(it.fit_band, place + 1))
                    active, reactive = op.spread(it.fit, first), op.spread(it.fit, first + terms)
                    for k in range(first + 1, first + terms):
                        active = op.fma(active, t, op.spread(it.fit, k))
                        reactive = op.fma(reactive, t, op.spread(it.fit, k + terms))
                else:
                    op.store(room.scratch, 0, u2)
                    for k in range(LANES):
                        room.scratch[k + LANES] = math.pow(room.scratch[k], 0.5 * it.law[law + 7])
                        room.scratch[k] = math.pow(room.scratch[k], 0.5 * it.law[law + 6])
                    active, reactive = op.load(room.scratch, 0), op.load(room.scratch, LANES)
            else:
                active = one
                reactive = one
            above = op.less(op.spread(it.law, law), u2)
            under, low = op.at_most(u2, op.spread(it.law, law + 1)), op.at_most(u2, op.spread(it.law, law + 2))
            if model != IMPEDANCE and op.bits(op.either(above, op.either(under, low))) != 0:
                held = op.spread(it.law, law + 3)
                between = op.fma(op.spread(it.law, law + 5), op.div(one, op.root(u2)), op.spread(it.law, law + 4))
                active = op.choose(low, one, op.choose(under, between, op.choose(above, held, active)))
                reactive = op.choose(low, one, op.choose(under, between, op.choose(above, held, reactive)))
            g, h = op.spread(it.part_siemens, 2 * c), op.spread(it.part_siemens, 2 * c + 1)
            if it.part_active[c] >= 0:
                g = op.mul(g, op.load(room.level, it.part_active[c] * LANES))
                h = op.mul(h, op.load(room.level, it.part_reactive[c] * LANES))
            else:  # the rated impedance of a base load is in the matrix
                active, reactive = op.sub(active, one), op.sub(reactive, one)
            g, h = op.mul(g, active), op.mul(h, reactive)
            total_r = op.fma(g, ur, total_r)
            total_r = op.sub(total_r, op.mul(h, ui))
            total_i = op.fma(g, ui, total_i)
            total_i = op.fma(h, ur, total_i)
        place = p * ROW
        if done != 0:
            total_r = op.choose(keep, op.load(room.current, place), total_r)
            total_i = op.choose(keep, op.load(room.current, place + LANES), total_i)
        op.store(room.current, place, total_r)
        op.store(room.current, place + LANES, total_i)


@compiled
def _product(values: FloatArray, place: int, vr: Any, vi: Any, re: Any, im: Any) -> Any:
    """Add values[place] x (vr, vi) to (re, im)."""
    x, y = op.spread(values, 2 * place), op.spread(values, 2 * place + 1)
    return op.minus(y, vi, op.fma(x, vr, re)), op.fma(y, vr, op.fma(x, vi, im))


@compiled
def _forward(it: Iteration, room: Room) -> None:
    """Y = L^-1 i on path rows; all other rows stay zero, for nothing is injected there."""
    for i in range(it.path_rows):
        re, im = op.splat(0.0), op.splat(0.0)
        for e in range(it.inject_ptr[i], it.inject_ptr[i + 1]):
            sign, place = op.spread(it.inject_sign, e), it.inject_port[e] * ROW
            re = op.fma(sign, op.load(room.current, place), re)
            im = op.fma(sign, op.load(room.current, place + LANES), im)
        for e in range(it.passed_ptr[i], it.passed_ptr[i + 1]):
            place = it.passed[e] * ROW
            re, im = op.add(re, op.load(room.y, place)), op.add(im, op.load(room.y, place + LANES))
        for e in range(it.lower_ptr[i], it.lower_ptr[i + 1]):
            place = it.lower[e] * ROW
            re, im = _product(it.lower_value, e, op.load(room.y, place), op.load(room.y, place + LANES), re, im)
        op.store(room.y, i * ROW, re)
        op.store(room.y, i * ROW + LANES, im)


@compiled
def _from_root(it: Iteration, room: Room, i: int, re: Any, im: Any) -> Any:
    """Add what the voltages of rows nearer to the root give a row."""
    for e in range(it.followed_ptr[i], it.followed_ptr[i + 1]):
        other = it.followed[e] * ROW
        re, im = op.add(re, op.load(room.v, other)), op.add(im, op.load(room.v, other + LANES))
    for e in range(it.upper_ptr[i], it.upper_ptr[i + 1]):
        other = it.upper[e] * ROW
        re, im = _product(it.upper_value, e, op.load(room.v, other), op.load(room.v, other + LANES), re, im)
    return re, im


@compiled
def _voltage(it: Iteration, room: Room, i: int) -> Any:
    """Voltage of a row from the currents of its block and the voltages of rows nearer to the root."""
    re, im = op.splat(0.0), op.splat(0.0)
    for e in range(it.own_ptr[i], it.own_ptr[i + 1]):
        other = it.own[e] * ROW
        re, im = _product(it.own_value, e, op.load(room.y, other), op.load(room.y, other + LANES), re, im)
    return _from_root(it, room, i, re, im)


@compiled
def _three_phases(it: Iteration, room: Room, i: int) -> Any:
    """Voltages of rows i to i + 2, a block: its currents are read once for all three."""
    begin = it.own_ptr[i]
    first = it.own[begin] * ROW
    ar, ai = op.load(room.y, first), op.load(room.y, first + LANES)
    br, bi = op.load(room.y, first + ROW), op.load(room.y, first + ROW + LANES)
    cr, ci = op.load(room.y, first + 2 * ROW), op.load(room.y, first + 2 * ROW + LANES)
    zero = op.splat(0.0)
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
    dr, di = op.sub(re, op.load(room.v, place)), op.sub(im, op.load(room.v, place + LANES))
    op.store(room.v, place, re)
    op.store(room.v, place + LANES, im)
    return op.mul(op.spread(it.weight, i), op.fma(dr, dr, op.mul(di, di)))


@compiled
def _backward(it: Iteration, room: Room, tolerance2: float) -> int:
    """Voltages of path rows; tells which lanes moved too far (low byte) or are not finite (high byte)."""
    still, total = op.from_bits(ALL), op.splat(0.0)
    limit = op.splat(tolerance2)
    i = it.path_rows - 1
    while i >= 0:
        if it.three[i]:  # the last row of three phases
            ur, ui, vr, vi, wr, wi = _three_phases(it, room, i - 2)
            wr, wi = _from_root(it, room, i, wr, wi)
            vr, vi = _from_root(it, room, i - 1, vr, vi)
            ur, ui = _from_root(it, room, i - 2, ur, ui)
            moved = _moved(it, room, i, wr, wi)
            # A comparison with nan is false, so a nan is never `still`; the sum carries it to the finiteness test.
            still, total = op.both(still, op.at_most(moved, limit)), op.add(total, moved)
            moved = _moved(it, room, i - 1, vr, vi)
            still, total = op.both(still, op.at_most(moved, limit)), op.add(total, moved)
            moved = _moved(it, room, i - 2, ur, ui)
            i -= 3
        else:
            re, im = _voltage(it, room, i)
            moved = _moved(it, room, i, re, im)
            i -= 1
        still, total = op.both(still, op.at_most(moved, limit)), op.add(total, moved)
    moved_too_far: int = ALL ^ op.bits(still)
    not_finite: int = ALL ^ op.bits(op.less(total, op.splat(math.inf)))
    return moved_too_far | (not_finite << LANES)


@compiled
def _finish(it: Iteration, room: Room) -> None:
    """Voltages of all rows off the paths, once."""
    for i in range(it.path_rows, it.rows):
        re, im = _voltage(it, room, i)
        op.store(room.v, i * ROW, re)
        op.store(room.v, i * ROW + LANES, im)


@compiled
def _write(forms: Forms, room: Room, count: int, out: FloatArray, first: int) -> None:
    """Values of forms, as pairs of real and imaginary part, shape (state, 2 form).

    Four forms at a time are turned from lanes to states, so that every write fills a cache line.
    """
    size, flat = forms.ptr.size - 1, out.reshape(out.size)
    for begin in range(0, size, 4):
        block = min(4, size - begin)
        for i in range(block):
            re, im = op.spread(forms.fixed, 2 * (begin + i)), op.spread(forms.fixed, 2 * (begin + i) + 1)
            for e in range(forms.ptr[begin + i], forms.ptr[begin + i + 1]):
                x, y, other = op.spread(forms.value, 2 * e), op.spread(forms.value, 2 * e + 1), forms.column[e] * ROW
                vr, vi = op.load(room.v, other), op.load(room.v, other + LANES)
                re, im = op.minus(y, vi, op.fma(x, vr, re)), op.fma(y, vr, op.fma(x, vi, im))
            op.store(room.scratch, i * ROW, re)
            op.store(room.scratch, i * ROW + LANES, im)
        if block == 4 and count == LANES:
            op.turn(room.scratch, flat, first * out.shape[1] + 2 * begin, out.shape[1])
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
    op.store(room.level, all_levels * LANES, op.splat(1.0))
    for begin in range(first, last, LANES):
        count = min(LANES, last - begin)
        for s in range(active):
            for k in range(LANES):  # lanes to spare repeat the last state
                room.level[s * LANES + k] = levels[begin + min(k, count - 1), s]
        for s in range(active, all_levels):
            for k in range(LANES):
                room.level[s * LANES + k] = reactive[begin + min(k, count - 1), s - active]
        for i in range(it.path_rows):
            op.store(room.v, i * ROW, op.splat(it.start[2 * i]))
            op.store(room.v, i * ROW + LANES, op.splat(it.start[2 * i + 1]))
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
