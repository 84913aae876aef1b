"""Registers the allocations."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from hostcap.plugins import AllocationPlugin, hookimpl
from hostcap_stock.allocations import Traced, TracedConfig, Uniform, UniformConfig, Weighted, WeightedConfig

UNIFORM = AllocationPlugin(
    name="uniform",
    summary="The same growth for every customer",
    config=UniformConfig,
    make=lambda config: Uniform(config=config),
)
WEIGHTED = AllocationPlugin(
    name="weighted",
    summary="Growth in proportion to existing export or import, or to a column of the customer table",
    config=WeightedConfig,
    make=lambda config: Weighted(config=config),
)

TRACED = AllocationPlugin(
    name="traced",
    summary="Growth in proportion to each customer's traced share of an asset's flow at the start",
    config=TracedConfig,
    make=lambda config: Traced(config=config),
)


@hookimpl
def hostcap_allocations() -> Iterable[AllocationPlugin[Any]]:
    """The allocations."""
    return [UNIFORM, WEIGHTED, TRACED]
