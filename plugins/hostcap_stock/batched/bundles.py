"""Checks arranged for the kernel: single nodes in runs with the same limits, lines in bundles with a bound.

Most limits are far from broken. The voltage across a line says so at a tenth of the cost of its currents: they are
``I_r = sum_k alpha_rk (V_a - V_b)_k + sigma_rk (V_a)_k``, so that, after Cauchy and Schwarz,
``|I_r| <= |alpha_r| |across| + |sigma_r| |moved| + rest_r``; squared, ``(x + y)^2 <= 1.1 x^2 + 11 y^2`` parts them.
What is looked at first is what will bind.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from attrs import frozen

from hostcap._arrays import ComplexArray, FloatArray, IntArray, ints
from hostcap_stock.batched.checks import Watched
from hostcap_stock.batched.equations import Rows
from hostcap_stock.batched.reducing import Bundles, Checks, Forms, Singles
from hostcap_stock.batched.shared import pairs

OPPOSITE = 1e-3
"""Two columns of a line's currents are its two ends where they differ in sign and by no more than this."""
SLACK = 1.0 + 1e-9
"""Bounds are wider by this, so that rounding loses no check."""


@frozen(kw_only=True, eq=False)
class Lines:
    """Bundles with a bound that have as many checks and as many nodes as each other.

    Attributes:
        bundle: Their numbers.
        end: Rows of the nodes at the first ends, shape (bundle, pair).
        sigma: What is left of each current where both ends have the same voltage, S, shape (bundle, check, pair).
        limit: Shape (bundle, check).
    """

    bundle: IntArray
    end: IntArray
    sigma: ComplexArray
    limit: FloatArray


@frozen(kw_only=True, eq=False)
class Arrangement:
    """Where every check is looked at; what depends on the voltages without injection is filled in for each start.

    Attributes:
        segments: Segments of one group and family.
        singles, bundles: As the kernel reads them, but for numbers that are filled in.
        forms: Of the bundles' checks, likewise.
        single: Check whose form each of the singles' is.
        bundled: Check of each of the bundles' forms.
        lines: Bundles with a bound.
    """

    segments: int
    singles: Singles
    bundles: Bundles
    forms: Forms
    single: IntArray
    bundled: IntArray
    lines: tuple[Lines, ...]

    def at(self, fixed: Any, idle_of_row: Any) -> Checks:
        """The checks of one start.

        Args:
            fixed: Value of each check's form without injection, clongdouble, shape (check,).
            idle_of_row: Voltages without injection, clongdouble, by the kernel's rows.
        """
        bound = self.bundles.bound.copy()
        for lines in self.lines:
            held = np.abs(np.sum(lines.sigma * idle_of_row[lines.end][:, None, :], axis=2)).astype(np.float64)
            bound[3 * lines.bundle] = np.max(22.0 * SLACK * (held / lines.limit) ** 2, axis=1)
        across = idle_of_row[self.bundles.pair_a] - idle_of_row[self.bundles.pair_b]
        return Checks(
            segments=self.segments,
            singles=self.singles._replace(fixed=pairs(fixed[self.single])),
            bundles=self.bundles._replace(across=pairs(across), bound=bound),
            forms=self.forms._replace(fixed=pairs(fixed[self.bundled])),
        )


def arranged(watched: Watched, row: IntArray, moved_v: ComplexArray) -> Arrangement:
    """Put each check of a limit set into a run or into a bundle.

    Args:
        watched: The checks as forms of node voltages.
        row: The kernel's row of each node.
        moved_v: How voltages move when all that grows does, shape (node,); says which lines to look at first.
    """
    forms = watched.rows
    loading = np.abs(_values(forms, moved_v)) / watched.scale
    forms = forms._replace(column=row[forms.column])
    counts = np.diff(watched.segment_ptr)
    segment = np.repeat(np.arange(counts.size, dtype=np.int32), counts)
    singles, single = _singles(watched, forms, segment)
    taken = np.zeros(segment.size, dtype=bool)
    taken[np.searchsorted(watched.check, singles.check[singles.check >= 0].astype(np.int32))] = True
    rest = np.flatnonzero(~taken).astype(np.int32)
    bundles, bundled, lines = _bundles(watched, forms, segment, rest, loading)
    return Arrangement(
        segments=int(watched.segment_group.size),
        singles=singles,
        bundles=bundles,
        forms=_chosen(forms, bundled),
        single=single,
        bundled=bundled,
        lines=lines,
    )


def _values(forms: Rows, of_column: ComplexArray) -> ComplexArray:
    totals = np.concatenate([[0], np.cumsum(forms.value * of_column[forms.column])])
    return np.asarray(totals[forms.ptr[1:]] - totals[forms.ptr[:-1]])


def _singles(watched: Watched, forms: Rows, segment: IntArray) -> tuple[Singles, IntArray]:
    """Checks of one node with a real factor, upper and lower of the same node together; and a check of each form."""
    lone = np.flatnonzero(np.diff(forms.ptr) == 1)
    lone = lone[forms.value[forms.ptr[lone]].imag == 0.0]
    factor, node = forms.value[forms.ptr[lone]].real.copy(), forms.column[forms.ptr[lone]]
    group = watched.segment_group[segment[lone]]
    keys = np.stack([group, node, factor.view(np.int64)], axis=1)
    _, first, form = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    both = np.full((first.size, 2), -1)  # the upper and the lower check of each form
    for side, sign in enumerate((1.0, -1.0)):
        which = np.flatnonzero(watched.sign[lone] == sign)
        places, earliest = np.unique(form.ravel()[which], return_index=True)
        both[places, side] = lone[which[earliest]]
    held = np.append(segment, -1)[both]
    limit, scale = (np.append(of, 0.0)[both] for of in (watched.limit, watched.scale))
    settings = np.concatenate([held, limit, scale], axis=1)
    order = np.lexsort((node[first], *settings.T[::-1], group[first]))
    settings, both = settings[order], both[order]
    begins = np.flatnonzero(np.any(np.diff(settings, axis=0, prepend=np.nan) != 0.0, axis=1))
    singles = Singles(
        run_ptr=np.append(begins, order.size).astype(np.int32),
        upper=settings[begins, 0].astype(np.int32),
        lower=settings[begins, 1].astype(np.int32),
        limit=settings[begins, 2:4].ravel(),
        scale=settings[begins, 4:6].ravel(),
        row=node[first][order].astype(np.int32),
        factor=factor[first][order],
        fixed=np.empty(0),
        check=np.append(watched.check, -1)[both].astype(np.float64).ravel(),
    )
    return singles, np.where(both[:, 0] >= 0, both[:, 0], both[:, 1]).astype(np.int32)


def _bundles(
    watched: Watched, forms: Rows, segment: IntArray, rest: IntArray, loading: FloatArray
) -> tuple[Bundles, IntArray, tuple[Lines, ...]]:
    """All other checks, those of one segment over the same nodes together, the most loaded first."""
    counts = np.diff(forms.ptr)[rest]
    width = int(counts.max(initial=0))
    columns = np.full((rest.size, width), -1, dtype=np.int64)
    filled = np.arange(width) < counts[:, None]
    columns[filled] = forms.column[(forms.ptr[rest][:, None] + np.arange(width))[filled]]
    keys = np.concatenate([segment[rest][:, None], columns], axis=1)
    _, first, bundle = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    bundle = bundle.ravel()
    heaviest = np.zeros(first.size)
    np.maximum.at(heaviest, bundle, loading[rest])
    rank = np.empty(first.size, dtype=np.int64)
    rank[np.lexsort((-heaviest, segment[rest[first]]))] = np.arange(first.size)
    bundle = rank[bundle]
    order = np.lexsort((rest, bundle))
    rest, bundle = rest[order], bundle[order]
    begins = np.searchsorted(bundle, np.arange(first.size + 1)).astype(np.int32)
    found = _lines(watched, forms, rest, begins)
    of, pair_a, pair_b, bound = found[:4]
    bundles = Bundles(
        ptr=begins,
        segment=segment[rest[begins[:-1]]].astype(np.int32),
        pair_ptr=np.searchsorted(of, np.arange(first.size + 1)).astype(np.int32),
        pair_a=pair_a,
        pair_b=pair_b,
        across=np.empty(0),
        bound=bound.ravel(),
        sign=watched.sign[rest],
        limit=watched.limit[rest],
        scale=watched.scale[rest],
        check=watched.check[rest].astype(np.float64),
    )
    return bundles, rest, found[4]


def _chosen(forms: Rows, which: IntArray) -> Forms:
    counts = np.diff(forms.ptr)[which]
    ptr = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
    entry = np.repeat(forms.ptr[which] - ptr[:-1], counts) + np.arange(ptr[-1])
    column = forms.column[entry].astype(np.int32)
    return Forms(ptr=ptr, column=column, value=pairs(forms.value[entry]), fixed=np.empty(0))


def _lines(
    watched: Watched, forms: Rows, rest: IntArray, begins: IntArray
) -> tuple[IntArray, IntArray, IntArray, FloatArray, tuple[Lines, ...]]:
    """Ends of each line among the bundles (its bundle, first and second rows), all bounds, and the lines."""
    size = begins.size - 1
    bound = np.full((size, 3), np.inf)
    checks, counts = np.diff(begins), np.diff(forms.ptr)[rest[begins[:-1]]]
    fitting = (watched.sign > 0.0) & (watched.scale == watched.limit) & (watched.limit > 0.0)
    all_fit = np.logical_and.reduceat(fitting[rest], begins[:-1]) if size else np.zeros(0, dtype=bool)
    none = np.empty(0, dtype=np.int32)
    of, first, second, found = [none], [none], [none], []
    for height, width in sorted({(int(r), int(c)) for r, c in zip(checks, counts, strict=True) if c % 2 == 0}):
        which = np.flatnonzero((checks == height) & (counts == width) & all_fit)
        own = rest[begins[which][:, None] + np.arange(height)]
        entry = forms.ptr[own][:, :, None] + np.arange(width)
        partner = _partners(forms.value[entry])
        paired = np.all(partner >= 0, axis=1)
        if not np.any(paired):
            continue
        which, own, partner = which[paired], own[paired], partner[paired]
        values, nodes = forms.value[entry[paired]], forms.column[entry[paired, 0]]
        ends = np.argsort(np.minimum(partner, np.arange(width)) * width + np.arange(width), axis=1)
        a, b = ends[:, 0::2], ends[:, 1::2]
        alpha = -np.take_along_axis(values, b[:, None, :], axis=2)
        sigma = np.take_along_axis(values, a[:, None, :], axis=2) - alpha
        at, to = np.take_along_axis(nodes, a, axis=1), np.take_along_axis(nodes, b, axis=1)
        limit = watched.limit[own]
        bound[which, 1] = np.max(1.1 * SLACK * np.sum(np.abs(alpha) ** 2, axis=2) / limit**2, axis=1)
        bound[which, 2] = np.max(22.0 * SLACK * np.sum(np.abs(sigma) ** 2, axis=2) / limit**2, axis=1)
        found.append(Lines(bundle=which.astype(np.int32), end=at, sigma=sigma, limit=limit))
        of.append(np.repeat(which, width // 2).astype(np.int32))
        first.append(at.ravel())
        second.append(to.ravel())
    joined = [np.concatenate(parts) for parts in (of, first, second)]
    order = np.argsort(joined[0], kind="stable")
    return joined[0][order], joined[1][order], joined[2][order], bound, tuple(found)


def _partners(values: Any) -> IntArray:
    """The column at the other end of each, from coefficients of shape (bundle, check, column); -1 where none fits."""
    count, _, width = values.shape
    partner = np.full((count, width), -1, dtype=np.int64)
    size = np.max(np.abs(values), axis=(1, 2))
    for a in range(width):
        for b in range(a + 1, width):
            apart = np.max(np.abs(values[:, :, a] + values[:, :, b]), axis=1)
            fits = (apart <= OPPOSITE * size) & (partner[:, a] < 0) & (partner[:, b] < 0)
            partner[fits, a], partner[fits, b] = b, a
    return ints(partner)
