"""The network source ``pandapower``: load a feeder as a ``Network``, freeze it at an operating point."""

from __future__ import annotations

import hashlib
import math
from pathlib import Path
from typing import Any

import attrs
import numpy as np
from attrs import field, frozen

from hostcap._arrays import update_hash
from hostcap.config.paths import FEEDER, expand
from hostcap.errors import HostcapError, ModelError
from hostcap.findings import Finding, Severity
from hostcap.network import Network, Origin
from hostcap.operating_point import OperatingPoint
from hostcap.power_flow import Settling
from hostcap_stock.networks.customers import read_customer_table
from hostcap_stock.pandapower.config import PandapowerConfig, PandapowerReading
from hostcap_stock.pandapower.frozen import FrozenPandapower
from hostcap_stock.pandapower.network import Feeder, build_feeder
from hostcap_stock.pandapower.plugin import EXTRA
from hostcap_stock.pandapower.reading import NetTables, make_with_function, read_file, take_net

DEFAULT_SETTLING = Settling()


@frozen(kw_only=True)
class PandapowerSource:
    """Loads nets. Picklable: it holds settings, or the tables of a net given in Python; a net is opened when asked."""

    config: PandapowerReading
    given: NetTables | None = field(default=None, eq=False)

    @classmethod
    def of(cls, net: Any, **reading: Any) -> PandapowerSource:
        """The source of a ``pandapowerNet``; its tables are copied, so that later changes of the net do not matter.

        Args:
            net: The net.
            **reading: Settings of ``PandapowerReading``, such as ``customers``.

        Raises:
            ModelError: It is no net.
            PluginError: pandapower is not installed.
        """
        EXTRA.require("network 'pandapower'")
        return cls(config=PandapowerReading(**reading), given=take_net(net))

    def contained(self, feeder: str, *, inside: Path, scratch: Path) -> PandapowerSource:
        """The source of one feeder's net, copied to ``scratch``; a net is data, and its file runs nothing.

        Raises:
            ModelError: A file lies outside ``inside``.
        """
        from hostcap_stock.opendss.trust import copy_file

        config = self.config
        changed: dict[str, Any] = {}
        if config.customers is not None:
            changed["customers"] = copy_file(expand(config.customers, feeder), inside=inside, scratch=scratch)
        if isinstance(config, PandapowerConfig) and config.file is not None:
            changed["file"] = copy_file(expand(config.file, feeder), inside=inside, scratch=scratch)
        return attrs.evolve(self, config=attrs.evolve(config, **changed))

    def load(self, feeder: str) -> Network:
        """Load one feeder and describe it.

        Raises:
            ModelError: The net is missing, unreadable, or has no form here.
            PluginError: pandapower is not installed.
        """
        net = self._tables(feeder)
        findings: list[Finding] = []
        self._note_frequency(net, findings)
        network = self._feeder(net, feeder, findings).network
        return attrs.evolve(
            network, origin=Origin(source=self, feeder=feeder, content_hash=self._content_hash(net, network, feeder))
        )

    def freeze(
        self, network: Network, operating_point: OperatingPoint, settling: Settling = DEFAULT_SETTLING
    ) -> FrozenPandapower:
        """Open the net afresh, apply the point, solve, and hold generators.

        Raises:
            NotConvergedError: The start has no solution.
            ModelError: The net no longer loads, or is another than the network's.
        """
        net = self._tables(network.feeder)
        feeder = self._feeder(net, network.feeder, [])
        origin = network.origin
        if origin is not None and origin.content_hash != self._content_hash(net, feeder.network, network.feeder):
            raise ModelError("the net has changed since it was loaded; load it again")
        return FrozenPandapower(net, feeder, network, operating_point, settling)

    def _tables(self, feeder: str) -> NetTables:
        EXTRA.require("network 'pandapower'")
        if self.given is not None:
            return self.given
        config = self.config
        if isinstance(config, PandapowerConfig) and config.file is not None:
            return read_file(expand(config.file, feeder))
        if isinstance(config, PandapowerConfig) and config.function is not None:
            return make_with_function(config.function.replace(FEEDER, feeder), config.options, config.seed)
        raise ModelError("network: give file or function, or make the source with PandapowerSource.of(net)")

    def _feeder(self, net: NetTables, feeder: str, findings: list[Finding]) -> Feeder:
        customers = self.config.customers
        return build_feeder(
            net,
            feeder=feeder,
            emergency_factor=self.config.emergency_factor,
            table=read_customer_table(expand(customers, feeder)) if customers else None,
            findings=findings,
        )

    def _note_frequency(self, net: NetTables, findings: list[Finding]) -> None:
        stated = self.config.frequency_hz
        if stated is not None and not math.isclose(stated, net.frequency_hz):
            findings.append(
                Finding(
                    severity=Severity.WARNING,
                    code="frequency-of-file",
                    message=f"the net is of {net.frequency_hz:g} Hz, the study says {stated:g} Hz; the net's is used: "
                    "make network.frequency_hz agree",
                )
            )

    def _content_hash(self, net: NetTables, network: Network, feeder: str) -> str:
        """SHA-256 of the tables, of what was made of them, and of the customer file."""
        digest = hashlib.sha256()
        update_hash(digest, attrs.evolve(network, findings=(), origin=None))
        update_hash(digest, [net.frequency_hz, net.base_mva, list(net.controllers)])
        for name in sorted(net.tables):
            table = net.tables[name]
            update_hash(digest, [name, np.asarray(table.index)])
            for column in sorted(map(str, table.columns)):
                digest.update(column.encode())
                digest.update("\0".join(map(str, table[column])).encode())
        if self.config.customers is not None:
            path = expand(self.config.customers, feeder)
            try:
                digest.update(path.read_bytes())
            except OSError as error:
                raise HostcapError(f"{path}: cannot be read: {error}") from error
        return digest.hexdigest()
