"""What the mix of each user carries: carbon, cost, or any other attribute of those who supply."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from attrs import field, frozen

from hostcap._arrays import FloatArray, floats
from hostcap.network import _ByContent
from hostcap_stock.trace_report.matrices import UseMatrix


@frozen(kw_only=True, eq=False)
class MixAttribute(_ByContent):
    """An attribute of each taker's mix.

    Attributes:
        rate: Mean of the suppliers' attribute, weighted by what they send to the taker; of the known part alone; nan
            where nothing is known, shape (taker,).
        amount: Sum of attribute x MW of the known part, shape (taker,).
        known_mw, unknown_mw: MW from suppliers with and without the attribute, shape (taker,).
        unmatched: Suppliers with MW and without the attribute.
    """

    rate: FloatArray = field(converter=floats)
    amount: FloatArray = field(converter=floats)
    known_mw: FloatArray = field(converter=floats)
    unknown_mw: FloatArray = field(converter=floats)
    unmatched: tuple[str, ...] = ()


def attribute_of_mix(supply: UseMatrix, attribute: Mapping[str, float]) -> MixAttribute:
    """Carry an attribute from suppliers to takers.

    Sums over takers equal the sum over suppliers of attribute x what they supply, less what ends in dead ends, where
    the trace is upstream: nothing is lost on the way, as losses are charged to the takers.

    Args:
        supply: MW from each supplier (as asset) to each taker (as user).
        attribute: By supplier, for one MWh, such as t CO2/MWh.
    """
    rates = np.asarray([attribute.get(label, np.nan) for label in supply.asset.tolist()], dtype=np.float64)
    known = np.isfinite(rates)
    amount = np.where(known, rates, 0.0) @ supply.mw
    known_mw = known.astype(np.float64) @ supply.mw
    unknown_mw = (~known).astype(np.float64) @ supply.mw
    rate = np.full(supply.user.size, np.nan)
    np.divide(amount, known_mw, out=rate, where=known_mw > 0)
    lost = ~known & (supply.total_mw > 0)
    return MixAttribute(
        rate=rate,
        amount=amount,
        known_mw=known_mw,
        unknown_mw=unknown_mw,
        unmatched=tuple(supply.asset[lost].tolist()),
    )
