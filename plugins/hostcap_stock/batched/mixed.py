"""Limit sets of which some limits are no linear form: kernels check the linear ones, voltages say the rest."""

from __future__ import annotations

import numpy as np
from attrs import frozen

from hostcap._arrays import BoolArray, FloatArray, IntArray
from hostcap.limits import Extremes, LimitSet, LinearLimits


@frozen(kw_only=True, eq=False)
class Split:
    """A limit set in two; either part may be missing.

    Attributes:
        whole: All limits.
        linear: Those that are linear.
        rest: The others.
        linear_row, rest_row: Row of the whole, of each of their rows.
    """

    whole: LimitSet
    linear: LimitSet | None
    rest: LimitSet | None
    linear_row: IntArray
    rest_row: IntArray

    @classmethod
    def of(cls, limits: LimitSet) -> Split:
        """Take a limit set apart."""
        is_linear = [isinstance(limit, LinearLimits) for limit in limits.limits]
        sizes = [limit.lower.size for limit in limits.limits]
        linear_row = np.repeat(np.asarray(is_linear, dtype=bool), sizes)

        def part(kind: bool) -> LimitSet | None:
            chosen = [limit for limit, own in zip(limits.limits, is_linear, strict=True) if own is kind]
            rows = sum(limit.lower.size for limit in chosen)
            return LimitSet(chosen, group_count=limits.group_count) if rows else None

        return cls(
            whole=limits,
            linear=limits if all(is_linear) else part(True),
            rest=None if all(is_linear) else part(False),
            linear_row=np.flatnonzero(linear_row).astype(np.int32),
            rest_row=np.flatnonzero(~linear_row).astype(np.int32),
        )

    def joined(self, linear: Extremes | None, rest: Extremes | None) -> Extremes | None:
        """Extremes of both parts as ``LimitSet.extremes`` of the whole has them: of equal margins the first row's."""
        given = [(each, row) for each, row in ((linear, self.linear_row), (rest, self.rest_row)) if each is not None]
        if not given:
            return None
        if self.rest is None:
            return linear
        first = given[0][0].margin
        shape = (first.shape[0], first.shape[1], len(self.whole.families))
        margins, rows = np.full(shape, np.inf), np.full(shape, -1, dtype=np.int32)
        for each, row in given:
            places = [self.whole.families.index(name) for name in each.families]
            margin, own = each.margin, np.where(each.row >= 0, row[np.maximum(each.row, 0)], -1).astype(np.int32)
            best, its = margins[:, :, places], rows[:, :, places]
            nearer = _nearer(margin, own, best, its)
            margins[:, :, places] = np.where(nearer, margin, best)
            rows[:, :, places] = np.where(nearer, own, its)
        diverged = np.isnan(first).any(axis=(1, 2))
        margins[diverged], rows[diverged] = np.nan, -1
        return Extremes(margin=margins, row=rows, families=self.whole.families)


def _nearer(margin: FloatArray, row: IntArray, best: FloatArray, its: IntArray) -> BoolArray:
    equal = (margin == best) & (row >= 0) & ((its < 0) | (row < its))
    result: BoolArray = (margin < best) | equal
    return result
