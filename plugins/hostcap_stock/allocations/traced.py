"""The allocation ``traced``: growth follows each customer's traced share of an asset at the start."""

from __future__ import annotations

from typing import Literal

import numpy as np
from attrs import field, frozen

from hostcap._arrays import FloatArray, sums
from hostcap.config import about, not_empty
from hostcap.errors import ModelError
from hostcap.flows import FlowPeriod
from hostcap.network import Network
from hostcap.plugins._nearest import suggestion
from hostcap.power_flow import FrozenNetwork

MINUTES = 30.0
MOST = 12
"""Names that a message lists."""


@frozen(kw_only=True)
class TracedConfig:
    """Weights are shares of a flow at the start, over the largest in scope."""

    scope: Literal["feeder-wide", "within-group"] = field(
        default="within-group",
        metadata=about("Whose largest share gets weight 1: that of the whole feeder, or that of each capacity group"),
    )
    basis: Literal["import", "export"] = field(
        default="import",
        metadata=about("Shares of those who take what flows through the asset, or of those who supply it"),
    )
    asset: str | None = field(
        default=None,
        validator=not_empty,
        metadata=about(
            "Line or transformer whose flow is shared, by name; unset for the transformers that head each group"
        ),
    )


@frozen(kw_only=True)
class Traced:
    """Traced kW of each customer over the largest in scope; the assumption is proportional sharing."""

    config: TracedConfig = TracedConfig()
    scaled: bool = True

    def weights(self, frozen: FrozenNetwork) -> FloatArray:
        """Weight of each customer, 0 to 1, shape (customer,); 0 for those that do not grow or have no share.

        Raises:
            ModelError: There is no such asset, or no customer that grows has a share.
            TraceError: A loop of flows has no shares.
        """
        customers = frozen.network.customers
        kw = np.where(customers.grows, self.traced_kw(frozen), 0.0)
        if not np.any(kw > 0):
            what = "takes" if self.config.basis == "import" else "supplies"
            where = "the transformer of its group" if self.config.asset is None else f"asset {self.config.asset!r}"
            raise ModelError(
                f"allocation.basis: no customer that grows {what} anything through {where} at the start"
                f" ({frozen.operating_point.instant.isoformat()}), so every weight would be 0; use another initial"
                " state, the other basis, or another asset"
            )
        largest = np.full(customers.id.size, kw.max())
        if self.config.scope == "within-group":
            of_group = np.zeros(len(frozen.network.groups) + 1)
            np.maximum.at(of_group, customers.group, kw)
            largest = of_group[customers.group]
        weights: FloatArray = np.divide(kw, largest, out=np.zeros_like(kw), where=largest > 0)
        return weights

    def traced_kw(self, frozen: FrozenNetwork) -> FloatArray:
        """KW of each customer in the flow that is asked about, >= 0, shape (customer,)."""
        from hostcap_stock.flows.power_flow import state_of_start
        from hostcap_stock.flows.solved import equipment_names, injector_names, summed

        network, point = frozen.network, frozen.operating_point
        state, _ = state_of_start(frozen)
        place = {name: number for number, name in enumerate(injector_names(network))}
        if self.config.asset is not None:
            period = summed(state, point, MINUTES)
            return self._of_branches(network, place, period, [_asset(period, self.config.asset)])
        total = np.zeros(network.customers.id.size)
        listed = equipment_names(network)
        for group in range(1, len(network.groups) + 1):
            period = summed(state, point, MINUTES, group=group)
            heads = _heads(network, period, group, listed)
            if heads:
                total += self._of_branches(network, place, period, heads)
        return total

    def _of_branches(
        self, network: Network, place: dict[str, int], period: FlowPeriod, branches: list[int]
    ) -> FloatArray:
        from hostcap_stock.flows.behind import behind

        shares = behind(period, branches)
        mw = (shares.taken_mw if self.config.basis == "import" else shares.supplied_mw).sum(axis=0)
        customers = network.customers
        owner = np.full(network.injectors.name.size, -1, dtype=np.int32)
        owner[customers.element] = customers.of_element
        user = np.asarray([place.get(str(name), -1) for name in period.network.node], dtype=np.int64)
        of = np.where(user >= 0, owner[user], -1)
        return sums(of[of >= 0].astype(np.int32), mw[of >= 0] * 1000.0, customers.id.size)


def _asset(period: FlowPeriod, name: str) -> int:
    listed = period.network.branch.tolist()
    if name in listed:
        return int(listed.index(name))
    legs = [branch for branch in listed if branch.startswith(f"{name} at ")]
    if legs:
        raise ModelError(f"allocation.asset: {name!r} has several sides; name one: {', '.join(map(repr, legs))}")
    raise ModelError(f"allocation.asset: no line or transformer {name!r}{suggestion(name, listed, 'there are', MOST)}")


def _heads(network: Network, period: FlowPeriod, group: int, listed: list[str]) -> list[int]:
    """Places of the branches by which a group's distribution transformers are fed: themselves, or their HV legs."""
    transformers = (network.equipment.kind == "Transformer") & (network.equipment.group == group)
    names = {listed[equipment] for equipment in np.flatnonzero(transformers)}
    inside = {str(bus) for bus in network.buses.name[network.buses.group == group]}
    found = []
    for place, branch in enumerate(period.network.branch.tolist()):
        ends = [str(period.network.bus[end[place]]) for end in (period.network.from_bus, period.network.to_bus)]
        if branch.partition(" at ")[0] in names and not all(bus in inside or bus.endswith(" star") for bus in ends):
            found.append(place)
    return found
