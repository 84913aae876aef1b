"""Networks of SimBench, which come with its package; all else is the network source ``pandapower``."""

# The package is an extra, which is not where types are checked.
# pyright: reportMissingImports=false

from __future__ import annotations

import warnings
from functools import lru_cache
from typing import Any

import attrs
from attrs import frozen

from hostcap.config.paths import FEEDER
from hostcap.errors import ModelError
from hostcap.network import Network
from hostcap.operating_point import OperatingPoint
from hostcap.power_flow import Settling
from hostcap_contrib.simbench.config import SimbenchConfig
from hostcap_contrib.simbench.plugin import EXTRA
from hostcap_stock.pandapower.config import PandapowerReading
from hostcap_stock.pandapower.frozen import FrozenPandapower
from hostcap_stock.pandapower.reading import NetTables, take_net
from hostcap_stock.pandapower.source import DEFAULT_SETTLING, PandapowerSource


@frozen(kw_only=True)
class SimbenchSource:
    """Loads networks by their code. Picklable: it holds settings alone."""

    config: SimbenchConfig

    def load(self, feeder: str) -> Network:
        """Load one network and describe it.

        Raises:
            ModelError: There is no network of that code.
            PluginError: simbench is not installed.
        """
        network = self._of(feeder).load(feeder)
        if network.origin is None:
            return network
        return attrs.evolve(network, origin=attrs.evolve(network.origin, source=self))

    def freeze(
        self, network: Network, operating_point: OperatingPoint, settling: Settling = DEFAULT_SETTLING
    ) -> FrozenPandapower:
        """Open the net afresh, apply the point, solve.

        Raises:
            NotConvergedError: The start has no solution.
        """
        return self._of(network.feeder).freeze(network, operating_point, settling)

    def _of(self, feeder: str) -> PandapowerSource:
        EXTRA.require("network 'simbench'")
        own = {a.name: getattr(self.config, a.name) for a in attrs.fields(PandapowerReading)}
        return PandapowerSource(
            config=PandapowerReading(**own), given=_tables(self.config.code.replace(FEEDER, feeder))
        )


@lru_cache(maxsize=4)
def _tables(code: str) -> NetTables:
    """The tables of a network; reading them takes seconds, whatever the network's size."""
    import simbench

    known: list[Any] = simbench.collect_all_simbench_codes()
    if code not in known:
        from hostcap.plugins._nearest import did_you_mean

        raise ModelError(f"network.code: SimBench has no network {code!r}{did_you_mean(code, map(str, known))}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return take_net(simbench.get_simbench_net(code), f"network.code: {code}")
