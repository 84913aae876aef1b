"""How growth is shared among customers: ``uniform``, ``weighted``, ``traced``."""

from __future__ import annotations

import numpy as np
from attrs import frozen

from hostcap._arrays import FloatArray
from hostcap.power_flow import FrozenNetwork
from hostcap_stock.allocations.traced import Traced, TracedConfig
from hostcap_stock.allocations.weighted import Weighted, WeightedConfig

__all__ = ["Traced", "TracedConfig", "Uniform", "UniformConfig", "Weighted", "WeightedConfig"]


@frozen(kw_only=True)
class UniformConfig:
    """Every customer grows by the same step; there is nothing to set."""


@frozen(kw_only=True)
class Uniform:
    """Weight 1 for everyone."""

    config: UniformConfig = UniformConfig()
    scaled: bool = False

    def weights(self, frozen: FrozenNetwork) -> FloatArray:
        """Ones, shape (customer,)."""
        return np.ones(frozen.network.customers.id.size)
