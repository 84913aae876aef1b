"""Voltage laws of ports as tables of numbers; see ``hostcap.linear.Ports`` for the laws themselves."""

from __future__ import annotations

import numpy as np
from attrs import field, frozen

from hostcap._arrays import FloatArray, IntArray, floats, ints
from hostcap.linear import CONSTANT_CURRENT, POWER_LAW, Ports

FIT_ERROR = 1e-13
"""Largest relative error of a polynomial that stands for a power law."""
FIT_TERMS = 40
_COLUMNS = ("model", "vmin_pu", "vmax_pu", "vlow_pu", "cvr_watts", "cvr_vars")


@frozen(kw_only=True, eq=False)
class Laws:
    """Distinct laws, and the law of each port (base ports first).

    Attributes:
        of_port: Law of each port.
        model: Model of each law.
        numbers: [vmax^2, vmin^2, vlow^2, factor above vmax, between 0, between 1, watts - 2, vars - 2], shape (law, 8);
            between vlow and vmin the factor is ``between 0 + between 1 / u``.
        fit_first, fit_terms: First coefficient and number of terms of each law's fits; no terms: no fit.
        fit_band: [centre, 1 / half width] in u^2 of each law's fits, shape (law, 2).
        fit: Coefficients, highest power first: those of watts, then of vars.
    """

    of_port: IntArray = field(converter=ints)
    model: IntArray = field(converter=ints)
    numbers: FloatArray = field(converter=floats)
    fit_first: IntArray = field(converter=ints)
    fit_terms: IntArray = field(converter=ints)
    fit_band: FloatArray = field(converter=floats)
    fit: FloatArray = field(converter=floats)

    @classmethod
    def of(cls, *ports: Ports) -> Laws:
        """Laws of some ports."""
        table = np.stack([np.concatenate([getattr(p, c).astype(np.float64) for p in ports]) for c in _COLUMNS], axis=1)
        distinct, of_port = np.unique(table, axis=0, return_inverse=True)
        size = len(distinct)
        first, terms, fit = np.zeros(size, dtype=np.int32), np.zeros(size, dtype=np.int32), [0.0]
        numbers, band = np.zeros((size, 8)), np.zeros((size, 2))
        for law, (model, vmin, vmax, vlow, watts, varies) in enumerate(distinct):
            numbers[law] = _numbers(model, vmin, vmax, vlow, watts, varies)
            if model == POWER_LAW:
                low, high = max(vmin, vlow) ** 2, vmax**2
                centre, half = (low + high) / 2.0, (high - low) / 2.0
                found = _fits(low, high, [watts / 2.0 - 1.0, varies / 2.0 - 1.0]) if half > 0.0 < low else None
                if found is not None:
                    first[law], terms[law], band[law] = len(fit), found.shape[1], (centre, 1.0 / half)
                    fit.extend(found.ravel().tolist())
        return cls(
            of_port=of_port.ravel(),
            model=distinct[:, 0],
            numbers=numbers,
            fit_first=first,
            fit_terms=terms,
            fit_band=band,
            fit=fit,
        )


def _numbers(model: float, vmin: float, vmax: float, vlow: float, watts: float, varies: float) -> list[float]:
    current = model == CONSTANT_CURRENT
    held = (1.0 / vmax if current else 1.0 / vmax**2) if vmax != 0.0 else 1.0
    slope = 0.0
    if vmin > vlow:  # else the band between is empty
        slope = ((1.0 if current else 1.0 / vmin) - vlow) / (vmin - vlow)
    return [vmax**2, vmin**2, vlow**2, held, slope, vlow - slope * vlow, watts - 2.0, varies - 2.0]


def _fits(low: float, high: float, powers: list[float]) -> FloatArray | None:
    """Polynomials of x^power over [low, high] in t = (x - centre) / half width, or None where they converge slowly.

    Twenty multiplications of eight states cost less than one call of pow for one of them.
    """
    from numpy.polynomial import chebyshev, polynomial

    centre, half = (low + high) / 2.0, (high - low) / 2.0
    t = np.cos(np.linspace(0.0, np.pi, 400))
    for terms in range(4, FIT_TERMS + 1, 4):
        found = np.empty((len(powers), terms))
        worst = 0.0
        for place, power in enumerate(powers):
            points = np.cos(np.pi * (np.arange(terms) + 0.5) / terms)
            series = chebyshev.chebfit(points, (centre + half * points) ** power, terms - 1)
            plain = chebyshev.cheb2poly(series)
            found[place] = np.pad(plain, (0, terms - plain.size))[::-1]
            exact = (centre + half * t) ** power
            worst = max(worst, float(np.max(np.abs(polynomial.polyval(t, found[place][::-1]) / exact - 1.0))))
        if worst <= FIT_ERROR:
            return found
    return None
