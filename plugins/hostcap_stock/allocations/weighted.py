"""The allocation ``weighted``: growth follows existing kW, or a column of the customer table."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from attrs import field, frozen

from hostcap._arrays import FloatArray
from hostcap.config import about, not_empty
from hostcap.errors import ModelError
from hostcap.findings import some
from hostcap.network import Customers
from hostcap.operating_point import OperatingPoint
from hostcap.plugins._nearest import did_you_mean
from hostcap.power_flow import FrozenNetwork

NOTHING_KW = 1e-6
"""Net kW up to which a customer counts as idle: inverters at night are solved at some microwatts, not at 0."""


@frozen(kw_only=True)
class WeightedConfig:
    """Weights are existing kW over the largest in scope."""

    scope: Literal["feeder-wide", "within-group"] = field(
        metadata=about("Whose largest gets weight 1: that of the whole feeder, or that of each capacity group")
    )
    basis: Literal["existing-export", "existing-import"] | None = field(
        default=None, metadata=about("Net kW of each customer at the start that weights follow; or give `column`")
    )
    column: str | None = field(
        default=None,
        validator=not_empty,
        metadata=about("Column of the customer table (`network.customers`) that weights follow; or give `basis`"),
    )

    def __attrs_post_init__(self) -> None:
        if self.basis is None and self.column is None:
            raise ValueError(
                'give basis = "existing-export" or "existing-import", or column = a column of network.customers'
            )
        if self.basis is not None and self.column is not None:
            raise ValueError("give basis or column, not both")


@frozen(kw_only=True)
class Weighted:
    """Existing kW of each customer over the largest in scope; source: headroom method, section 4."""

    config: WeightedConfig
    scaled: bool = True

    def weights(self, frozen: FrozenNetwork) -> FloatArray:
        """Weight of each customer, 0 to 1, shape (customer,); 0 for those that do not grow.

        Raises:
            ModelError: The start says nothing about differences between customers, no weight is above 0, or the
                column is missing or not made of numbers >= 0.
        """
        customers = frozen.network.customers
        if self.config.column is not None:
            existing = _column(customers, self.config.column)
        else:
            existing = self._existing_kw(frozen)
        existing = np.where(customers.grows, existing, 0.0)
        if not np.any(existing > 0):
            raise ModelError(self._all_zero(frozen.operating_point))
        largest = np.full(customers.id.size, existing.max())
        if self.config.scope == "within-group":
            of_group = np.zeros(len(frozen.network.groups) + 1)
            np.maximum.at(of_group, customers.group, existing)
            largest = of_group[customers.group]
        # A group whose largest is 0 has zeros alone.
        return existing / np.where(largest > 0, largest, 1.0)

    def _existing_kw(self, frozen: FrozenNetwork) -> FloatArray:
        point = frozen.operating_point
        if not point.comparable:
            raise ModelError(
                f'allocation.basis: the initial state gives every customer the same, so "{self.config.basis}" says '
                'nothing about them; use an initial state that differs between customers, such as "as-modelled", or '
                "give column = a column of network.customers"
            )
        drawn_kw = point.customer_kw(frozen.network)
        existing = drawn_kw if self.config.basis == "existing-import" else -drawn_kw
        return np.where(existing > NOTHING_KW, existing, 0.0)

    def _all_zero(self, point: OperatingPoint) -> str:
        if self.config.column is not None:
            return (
                f"allocation.column: {self.config.column!r} of network.customers is 0 for every customer that grows; "
                "expected at least one number > 0"
            )
        verb = "imports" if self.config.basis == "existing-import" else "exports"
        return (
            f"allocation.basis: no customer that grows {verb} at the start ({point.instant.isoformat()}), so every "
            "weight would be 0; use another initial state, the other basis, or a column of network.customers"
        )


def _column(customers: Customers, name: str) -> FloatArray:
    """Numbers of a column; what the customers that do not grow have there is not looked at."""
    known = list(customers.columns)
    if name not in customers.columns:
        found = f"found {', '.join(known)}" if known else "it has no further columns, or there is no such file"
        raise ModelError(
            f"allocation.column: network.customers has no column {name!r}{did_you_mean(name, known)}; {found}"
        )
    values = customers.columns[name]
    numbers = np.asarray(
        [_number(value) if grows else 0.0 for value, grows in zip(values, customers.grows, strict=True)]
    )
    for wrong, what, way_out in (
        (np.isnan(numbers), "no number", "give each one; 0 for a customer that shall not grow"),
        (np.isinf(numbers), "a number that is not finite", "give finite numbers"),
        (numbers < 0, "a number below 0", "weights are >= 0; for exports give positive numbers"),
    ):
        if np.any(wrong):
            who = [f"{identity}: {value}" for identity, value in zip(customers.id[wrong], values[wrong], strict=True)]
            raise ModelError(
                f"allocation.column: {name!r} of network.customers has {what} for {int(wrong.sum())} of "
                f"{int(customers.grows.sum())} customers that grow ({some(who)}); {way_out}"
            )
    return numbers


def _number(value: object) -> float:
    """A cell as a number; nan where it is empty or some other text."""
    try:
        return float(str(value))
    except ValueError:
        return math.nan
