"""How growth is shared among customers: ``uniform``."""

from __future__ import annotations

import numpy as np
from attrs import frozen

from hostcap._arrays import FloatArray
from hostcap.network import Network
from hostcap.operating_point import OperatingPoint


@frozen(kw_only=True)
class UniformConfig:
    """Every customer grows by the same step; there is nothing to set."""


@frozen(kw_only=True)
class Uniform:
    """Weight 1 for everyone."""

    config: UniformConfig = UniformConfig()
    scaled: bool = False

    def weights(self, network: Network, operating_point: OperatingPoint) -> FloatArray:
        """Ones, shape (customer,)."""
        return np.ones(network.customers.id.size)
