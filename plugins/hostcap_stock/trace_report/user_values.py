"""Value of assets by user: an asset's value times each user's share of its use, and what did not match."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from attrs import field, frozen

from hostcap._arrays import FloatArray, floats
from hostcap.network import _ByContent
from hostcap_stock.trace_report.matrices import UseMatrix


@frozen(kw_only=True, eq=False)
class UserValue(_ByContent):
    """What each user's share of the assets is worth.

    Attributes:
        value: In the unit of the assets' values, shape (user,).
        unvalued: Assets with flow and without a value.
        unvalued_mw: Their MW.
        unused: Values of labels that no asset with flow has, by label.
    """

    value: FloatArray = field(converter=floats)
    unvalued: tuple[str, ...] = ()
    unvalued_mw: float = 0.0
    unused: Mapping[str, float] = field(factory=dict)


def asset_numbers(matrix: UseMatrix, numbers: Mapping[str, float]) -> FloatArray:
    """Number of each asset, nan where there is none; a label of several branches, joined with ", ", has their sum.

    Args:
        matrix: The assets.
        numbers: By branch, such as a year's rental.
    """
    found = np.full(matrix.asset.size, np.nan)
    for place, label in enumerate(matrix.asset.tolist()):
        if label in numbers:
            found[place] = numbers[label]
            continue
        parts = label.split(", ")
        if all(part in numbers for part in parts):
            found[place] = sum(numbers[part] for part in parts)
    return found


def value_by_user(matrix: UseMatrix, value: FloatArray, listed: Mapping[str, float] | None = None) -> UserValue:
    """Share of the assets' value that falls to each user.

    Args:
        matrix: Use.
        value: Of each asset, nan where it has none, shape (asset,).
        listed: All values there are, by label; those that no asset with flow uses are reported.
    """
    flows = matrix.total_mw > 0
    known = np.isfinite(value)
    lost = flows & ~known
    used = {part for label in matrix.asset[flows].tolist() for part in (label, *label.split(", "))}
    return UserValue(
        value=np.where(known, value, 0.0) @ matrix.share,
        unvalued=tuple(matrix.asset[lost].tolist()),
        unvalued_mw=float(matrix.total_mw[lost].sum()),
        unused={label: number for label, number in (listed or {}).items() if label not in used and number != 0.0},
    )


def per_peak(matrix: UseMatrix, value: FloatArray, peak_mw: Mapping[str, float]) -> tuple[FloatArray, tuple[str, ...]]:
    """Value of each user for one MW of its own peak.

    Args:
        matrix: Its users.
        value: Of each user, shape (user,).
        peak_mw: Anytime maximum demand or injection by user.

    Returns:
        Value per MW, nan without a peak above 0, shape (user,); and the users without one whose value is not 0.
    """
    peaks = np.asarray([peak_mw.get(user, np.nan) for user in matrix.user.tolist()], dtype=np.float64)
    known = peaks > 0
    rate = np.full(matrix.user.size, np.nan)
    rate[known] = value[known] / peaks[known]
    return rate, tuple(matrix.user[~known & (value != 0)].tolist())
