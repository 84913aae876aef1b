"""The compiled reduction of one tile: the smallest margin of each group and family, and the check that it belongs to.

Every lane is looked at by itself: which checks are evaluated may depend on its neighbours, what comes of them does not.

numba caches compiled code by the file that calls: touch ``kernel.py`` after editing this one.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from hostcap._arrays import FloatArray, IntArray
from hostcap_stock.batched import lanes as op
from hostcap_stock.batched.factor import compiled
from hostcap_stock.batched.lanes import LANES

ROW = 2 * LANES
"""Real and imaginary parts of eight states."""
ALL = (1 << LANES) - 1


class Forms(NamedTuple):
    """Linear forms of rows, CSR, with their value without injection."""

    ptr: IntArray
    column: IntArray
    value: FloatArray
    fixed: FloatArray


class Singles(NamedTuple):
    """Limits of single nodes: runs of forms with the same limits, each form with an upper check, a lower, or both.

    Attributes:
        run_ptr: Forms of each run.
        upper, lower: Segment of the run's upper and lower checks; -1 where there are none.
        limit, scale: Of upper and lower, as pairs.
        row: Row of each form's node.
        factor: What its voltage is multiplied by.
        fixed: Its value without injection.
        check: Numbers of its upper and lower check, as pairs.
    """

    run_ptr: IntArray
    upper: IntArray
    lower: IntArray
    limit: FloatArray
    scale: FloatArray
    row: IntArray
    factor: FloatArray
    fixed: FloatArray
    check: FloatArray


class Bundles(NamedTuple):
    """All other limits: checks of one segment over the same nodes, such as the phases of a line at both ends.

    A line's current depends on the voltage across it, which bounds it from above: where the bound says that no check
    of the bundle can be nearer than the nearest so far, none is evaluated.

    Attributes:
        ptr: Checks of each bundle.
        segment: Segment of each bundle.
        pair_ptr, pair_a, pair_b: Rows of the nodes at both ends, pair by pair.
        across: Voltage of a against b without injection.
        bound: Three numbers: (value / limit)^2 of every check is below the first, plus the second times the squared
            voltages across, plus the third times the squared changes of a. The first is infinite where none is known.
        sign, limit, scale: Of each check, as in ``LimitSet``.
        check: Number of the check in ``LimitSet``.
    """

    ptr: IntArray
    segment: IntArray
    pair_ptr: IntArray
    pair_a: IntArray
    pair_b: IntArray
    across: FloatArray
    bound: FloatArray
    sign: FloatArray
    limit: FloatArray
    scale: FloatArray
    check: FloatArray


class Checks(NamedTuple):
    """Limits, each in a segment of one group and one family; ``forms`` are those of the bundles' checks."""

    segments: int
    singles: Singles
    bundles: Bundles
    forms: Forms


@compiled
def _square_at(sign: float, limit: float, scale: float, best: Any) -> Any:
    """Square of the value beyond which a check is nearer than ``best``; -1 where any is (upper) or none (lower).

    It is moved outwards by more than it can be rounded, so that no check is lost.
    """
    size = op.choose(op.less(best, op.splat(0.0)), op.sub(op.splat(0.0), best), best)
    slack = op.fma(op.splat(1e-14 * scale), size, op.splat(1e-14 * abs(limit)))
    edge = op.sub(op.sub(op.splat(sign * limit), op.mul(op.splat(scale), best)), slack)
    beyond = op.less(edge, op.splat(0.0)) if sign > 0.0 else op.less(op.splat(0.0), edge)
    return op.choose(beyond, op.splat(-1.0), op.mul(edge, edge))


@compiled
def _nearer(value: Any, check: float, best: Any, place: Any) -> Any:
    """Lanes in which a margin is smaller than the smallest so far, or equal and of an earlier check."""
    equal = op.both(op.at_most(value, best), op.less(op.splat(check), place))
    return op.either(op.less(value, best), equal)


@compiled
def _single_limits(singles: Singles, v: FloatArray, nearest: FloatArray) -> None:
    for r in range(singles.upper.size):
        upper, lower = singles.upper[r], singles.lower[r]
        limit_u, limit_l, scale_u, scale_l = (
            singles.limit[2 * r], singles.limit[2 * r + 1], singles.scale[2 * r], singles.scale[2 * r + 1],
        )  # fmt: skip
        high, high_place, low, low_place = op.splat(math.inf), op.splat(-1.0), op.splat(math.inf), op.splat(-1.0)
        above, below = op.splat(math.inf), op.splat(-1.0)
        if upper >= 0:
            high, high_place = op.load(nearest, upper * ROW), op.load(nearest, upper * ROW + LANES)
            above = _square_at(1.0, limit_u, scale_u, high)
        if lower >= 0:
            low, low_place = op.load(nearest, lower * ROW), op.load(nearest, lower * ROW + LANES)
            below = _square_at(-1.0, limit_l, scale_l, low)
        for f in range(singles.run_ptr[r], singles.run_ptr[r + 1]):
            factor, place = op.spread(singles.factor, f), singles.row[f] * ROW
            re = op.fma(factor, op.load(v, place), op.spread(singles.fixed, 2 * f))
            im = op.fma(factor, op.load(v, place + LANES), op.spread(singles.fixed, 2 * f + 1))
            square = op.fma(re, re, op.mul(im, im))
            over, under = op.less(above, square), op.less(square, below)
            if op.bits(op.either(over, under)) == 0:
                continue
            size = op.root(square)
            if op.bits(over) != 0:
                value, number = op.div(op.sub(op.splat(limit_u), size), op.splat(scale_u)), singles.check[2 * f]
                better = _nearer(value, number, high, high_place)
                high, high_place = op.choose(better, value, high), op.choose(better, op.splat(number), high_place)
                above = _square_at(1.0, limit_u, scale_u, high)
            if op.bits(under) != 0:
                value, number = op.div(op.sub(size, op.splat(limit_l)), op.splat(scale_l)), singles.check[2 * f + 1]
                better = _nearer(value, number, low, low_place)
                low, low_place = op.choose(better, value, low), op.choose(better, op.splat(number), low_place)
                below = _square_at(-1.0, limit_l, scale_l, low)
        if upper >= 0:
            op.store(nearest, upper * ROW, high)
            op.store(nearest, upper * ROW + LANES, high_place)
        if lower >= 0:
            op.store(nearest, lower * ROW, low)
            op.store(nearest, lower * ROW + LANES, low_place)


@compiled
def _bundled_limits(bundles: Bundles, forms: Forms, v: FloatArray, nearest: FloatArray) -> None:
    for q in range(bundles.segment.size):
        segment = bundles.segment[q] * ROW
        best, place = op.load(nearest, segment), op.load(nearest, segment + LANES)
        needed = op.from_bits(ALL)
        if bundles.bound[3 * q] < math.inf:
            across2, moved2 = op.splat(0.0), op.splat(0.0)
            for k in range(bundles.pair_ptr[q], bundles.pair_ptr[q + 1]):
                a, b = bundles.pair_a[k] * ROW, bundles.pair_b[k] * ROW
                ar, ai = op.load(v, a), op.load(v, a + LANES)
                re = op.add(op.sub(ar, op.load(v, b)), op.spread(bundles.across, 2 * k))
                im = op.add(op.sub(ai, op.load(v, b + LANES)), op.spread(bundles.across, 2 * k + 1))
                across2, moved2 = op.fma(re, re, op.fma(im, im, across2)), op.fma(ar, ar, op.fma(ai, ai, moved2))
            most = op.fma(op.spread(bundles.bound, 3 * q + 2), moved2, op.spread(bundles.bound, 3 * q))
            most = op.fma(op.spread(bundles.bound, 3 * q + 1), across2, most)
            rest = op.sub(op.splat(1.0), best)
            # No comparison with nan is true, so a nan is looked at.
            idle = op.both(op.at_most(best, op.splat(1.0)), op.less(most, op.mul(rest, rest)))
            if op.bits(idle) == ALL:
                continue
            needed = op.from_bits(ALL ^ op.bits(idle))
        for c in range(bundles.ptr[q], bundles.ptr[q + 1]):
            re, im = op.spread(forms.fixed, 2 * c), op.spread(forms.fixed, 2 * c + 1)
            for e in range(forms.ptr[c], forms.ptr[c + 1]):
                x, y, other = op.spread(forms.value, 2 * e), op.spread(forms.value, 2 * e + 1), forms.column[e] * ROW
                vr, vi = op.load(v, other), op.load(v, other + LANES)
                re, im = op.minus(y, vi, op.fma(x, vr, re)), op.fma(y, vr, op.fma(x, vi, im))
            sign, limit, scale = bundles.sign[c], bundles.limit[c], bundles.scale[c]
            size = op.root(op.fma(re, re, op.mul(im, im)))
            value = op.div(op.mul(op.splat(sign), op.sub(op.splat(limit), size)), op.splat(scale))
            better = op.both(needed, _nearer(value, bundles.check[c], best, place))
            best, place = op.choose(better, value, best), op.choose(better, op.splat(bundles.check[c]), place)
        op.store(nearest, segment, best)
        op.store(nearest, segment + LANES, place)


@compiled
def reduce_tile(
    checks: Checks, v: FloatArray, nearest: FloatArray, first: int, count: int, margin: FloatArray, row: IntArray
) -> None:
    """Smallest margin and its check, of each segment and state; of equal margins the first check's."""
    for s in range(checks.segments):
        op.store(nearest, s * ROW, op.splat(math.inf))
        op.store(nearest, s * ROW + LANES, op.splat(-1.0))
    _single_limits(checks.singles, v, nearest)
    _bundled_limits(checks.bundles, checks.forms, v, nearest)
    for s in range(checks.segments):
        for k in range(count):
            margin[first + k, s] = nearest[s * ROW + k]
            row[first + k, s] = int(nearest[s * ROW + LANES + k])
