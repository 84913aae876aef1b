"""The small systems: one period each.

``bialek-four-bus`` has the MW of figure 2 of J. Bialek, *Tracing the flow of electricity*, IEE Proc. Gener. Transm.
Distrib. 143(4), 1996; ``bialek-four-bus-lossless`` the mean of both ends of each branch.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from functools import cached_property

import numpy as np
from attrs import frozen

from hostcap._arrays import update_hash
from hostcap.flows import Days, FlowNetwork, FlowPeriod
from hostcap_stock.example_flows.config import ExampleConfig

_START = datetime(2011, 1, 1, tzinfo=UTC)
# (branch, from, to, MW sent, MW received) and MW of each node; node nX stands on bus X.
_BRANCHES: Mapping[str, Sequence[tuple[str, int, int, float, float]]] = {
    "three-bus": [("L1", 1, 2, 0.0, 0.0), ("L2", 2, 3, 1.0, 1.0), ("L3", 1, 3, 1.0, 1.0)],
    "bialek-four-bus": [
        ("L1", 1, 2, 60.0, 59.0),
        ("L2", 2, 4, 173.0, 171.0),
        ("L3", 1, 4, 115.0, 112.0),
        ("L4", 1, 3, 225.0, 218.0),
        ("L5", 4, 3, 83.0, 82.0),
    ],
    "bialek-four-bus-lossless": [
        ("L1", 1, 2, 59.5, 59.5),
        ("L2", 2, 4, 172.0, 172.0),
        ("L3", 1, 4, 113.5, 113.5),
        ("L4", 1, 3, 221.5, 221.5),
        ("L5", 4, 3, 82.5, 82.5),
    ],
}
_GENERATION: Mapping[str, Sequence[float]] = {
    "three-bus": [1.0, 1.0, 0.0],
    "bialek-four-bus": [400.0, 114.0, 0.0, 0.0],
    "bialek-four-bus-lossless": [394.5, 112.5, 0.0, 0.0],
}
_LOAD: Mapping[str, Sequence[float]] = {
    "three-bus": [0.0, 0.0, 2.0],
    "bialek-four-bus": [0.0, 0.0, 300.0, 200.0],
    "bialek-four-bus-lossless": [0.0, 0.0, 304.0, 203.0],
}


@frozen(kw_only=True, slots=False)
class Example:
    """One period of a small system."""

    config: ExampleConfig

    @cached_property
    def period(self) -> FlowPeriod:
        """The period."""
        system = self.config.system
        name, begin, end, sent, received = zip(*_BRANCHES[system], strict=True)
        count = len(_LOAD[system])
        network = FlowNetwork(
            branch=name,
            bus=[str(number + 1) for number in range(count)],
            node=[f"n{number + 1}" for number in range(count)],
            from_bus=np.array(begin) - 1,
            to_bus=np.array(end) - 1,
            row_node=range(count),
            row_bus=range(count),
            row_factor=np.ones(count),
            stations=[f"station {number + 1}" for number in range(count)],
            bus_station=range(count),
        )
        return FlowPeriod(
            network=network,
            label="TP1",
            start=_START,
            minutes=30.0,
            flow_mw=sent,
            loss_mw=np.array(sent) - np.array(received),
            fixed_loss_mw=np.zeros(len(name)),
            generation_mw=_GENERATION[system],
            load_mw=_LOAD[system],
        )

    def hashes(self) -> Mapping[str, str]:
        """Content hash of the system."""
        digest = hashlib.sha256()
        update_hash(digest, self.period)
        return {self.config.system: digest.hexdigest()}

    def days(self) -> Sequence[date]:
        """Its one day."""
        return [self.period.day]

    def periods(self, days: Days) -> Iterator[FlowPeriod]:
        """Its one period."""
        if self.period.day in days:
            yield self.period
