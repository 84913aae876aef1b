"""Current limits as rows over conductors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from attrs import frozen

from hostcap.limits import THERMAL, Limits, LinearLimits, RowLabels
from hostcap.network import Network
from hostcap_stock.constraints.config import ThermalConfig


@frozen(kw_only=True)
class Thermal:
    """Watches every live phase conductor at both ends of rated lines and at every transformer winding."""

    config: ThermalConfig = ThermalConfig()

    def limits(self, network: Network) -> Sequence[Limits]:
        """Rows in A."""
        c, conductors, equipment = self.config, network.conductors, network.equipment
        rating = conductors.normal_a if c.rating_basis == "normal" else conductors.emergency_a
        level = {"lv": conductors.lv, "hv": ~conductors.lv, "both": np.ones_like(conductors.lv)}[c.voltage_level]
        chosen = np.flatnonzero(conductors.watched & level & (rating > 0)).astype(np.int32)
        if chosen.size == 0:
            return []
        own = conductors.equipment[chosen]
        size = chosen.size
        return [
            LinearLimits(
                labels=RowLabels(
                    equipment=equipment.name[own],
                    equipment_type=equipment.kind[own],
                    terminal=conductors.terminal[chosen],
                    phase=conductors.phase[chosen],
                    unit=["A"] * size,
                    group=equipment.group[own],
                    v_base_v=network.buses.nominal_kv[network.nodes.bus[conductors.node[chosen]]] * 1000.0,
                ),
                node_ptr=np.zeros(size + 1),
                node_index=[],
                node_coefficient=[],
                conductor_ptr=np.arange(size + 1),
                conductor_index=chosen,
                conductor_coefficient=np.ones(size),
                lower=np.full(size, np.nan),
                upper=rating[chosen] * c.percent_of_rating / 100.0,
                metric_low="",
                metric_high=THERMAL,
                description=f"thermal {c.percent_of_rating:g} % of {c.rating_basis} rating, "
                + {"lv": "LV", "hv": "HV", "both": "LV and HV"}[c.voltage_level],
            )
        ]
