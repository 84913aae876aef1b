"""Current limits as rows over conductors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from attrs import frozen

from hostcap.limit_rows import conductor_rows
from hostcap.limits import Limits
from hostcap.network import Network
from hostcap_stock.constraints.config import ThermalConfig


@frozen(kw_only=True)
class Thermal:
    """Watches every live phase conductor at both ends of rated lines and at every transformer winding."""

    config: ThermalConfig = ThermalConfig()

    def limits(self, network: Network) -> Sequence[Limits]:
        """Rows in A."""
        c, conductors = self.config, network.conductors
        rating = conductors.normal_a if c.rating_basis == "normal" else conductors.emergency_a
        level = {"lv": conductors.lv, "hv": ~conductors.lv, "both": np.ones_like(conductors.lv)}[c.voltage_level]
        chosen = np.flatnonzero(conductors.watched & level & (rating > 0)).astype(np.int32)
        if chosen.size == 0:
            return []
        levels = {"lv": "LV", "hv": "HV", "both": "LV and HV"}[c.voltage_level]
        return [
            conductor_rows(
                network,
                chosen,
                upper=rating[chosen] * c.percent_of_rating / 100.0,
                description=f"thermal {c.percent_of_rating:g} % of {c.rating_basis} rating, {levels}",
            )
        ]
