"""Concentration of use: the Herfindahl-Hirschman index of each asset."""

from __future__ import annotations

import numpy as np

from hostcap._arrays import FloatArray

ONE_USER = 10_000.0
"""Index of an asset that one user uses alone; n equal users give a n-th of it."""


def hhi(mw: FloatArray) -> FloatArray:
    """Herfindahl-Hirschman index of the shares of each row: 10000 x sum of their squares.

    Args:
        mw: Use, >= 0, shape (asset, user).

    Returns:
        Between 10000/n for n equal users and 10000 for one, shape (asset,); nan where nothing flows.
    """
    total = mw.sum(axis=1)
    used = total > 0
    index = np.full(total.shape, np.nan)
    index[used] = ONE_USER * ((mw[used] / total[used, None]) ** 2).sum(axis=1)
    return index


def equal_users(index: FloatArray) -> FloatArray:
    """How many equal users would give an index: 10000 / HHI."""
    return ONE_USER / index
