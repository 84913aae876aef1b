"""The solved start of a feeder as one period of flows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from functools import cached_property
from typing import Any

import numpy as np
from attrs import evolve, field, frozen

from hostcap.errors import FlowsError
from hostcap.findings import Finding, Severity
from hostcap.flows import Days, FailedPeriod, FlowPeriod
from hostcap.network import Network
from hostcap.operating_point import OperatingPoint
from hostcap.plugins._nearest import did_you_mean
from hostcap.plugins.kinds import Job
from hostcap.power_flow import FrozenNetwork, Settling
from hostcap_stock.flows.config import PowerFlowConfig
from hostcap_stock.flows.solved import SolvedState, injector_names, of_phases, point_users, port_users, summed


@frozen(kw_only=True)
class PowerFlow:
    """Makes flows of a study's network."""

    config: PowerFlowConfig

    def on(self, job: Job, parts: Mapping[str, Any]) -> SolvedStart:
        """The start of one feeder, frozen with the study's initial state, when its period is asked for."""
        state = parts.get("initial_state")
        if state is None:
            raise FlowsError("flows power-flow: the study has no initial_state; expected one, such as 'as-modelled'")
        return SolvedStart(
            config=self.config,
            job=job,
            point=state.operating_point(job.network, job.scope, parts.get("profiles")),
            settling=getattr(parts.get("solver"), "settling", Settling()),
        )


@frozen(kw_only=True, eq=False)
class SolvedStart:
    """One period: the feeder at its start, the interval that ends at the start's instant."""

    config: PowerFlowConfig
    job: Job = field(repr=False)
    point: OperatingPoint = field(repr=False)
    settling: Settling

    def hashes(self) -> Mapping[str, str]:
        """Nothing beside the network, which the study's run hashes itself."""
        origin = self.job.network.origin
        return {self.job.network.feeder: "" if origin is None else origin.content_hash}

    def days(self) -> Sequence[date]:
        """The day of the start, UTC."""
        return [self._start.date()]

    def periods(self, days: Days) -> Iterator[FlowPeriod | FailedPeriod]:
        """The period, if it is of one of the days."""
        if self._start.date() in days:
            yield self._period

    @property
    def _start(self) -> datetime:
        return self.point.instant - timedelta(minutes=self.config.minutes)

    @cached_property
    def _period(self) -> FlowPeriod:
        with self.job.source.freeze(self.job.network, self.point, self.settling) as frozen_network:
            return flows_of_start(frozen_network, self.config)


def flows_of_start(frozen_network: FrozenNetwork, config: PowerFlowConfig) -> FlowPeriod:
    """Flows of a frozen network's start.

    Raises:
        FlowsError: Phases are asked for where they cannot be traced one by one.
    """
    network, point = frozen_network.network, frozen_network.operating_point
    state, found = state_of_start(frozen_network, by_phase=config.phases == "each")
    if config.phases == "sum":
        period = summed(state, point, config.minutes)
    else:
        period = of_phases(state, _group(network, config.group), point, config.minutes)
    return evolve(period, findings=(*found, *period.findings)) if found else period


def state_of_start(frozen_network: FrozenNetwork, *, by_phase: bool = False) -> tuple[SolvedState, tuple[Finding, ...]]:
    """The solved start, and what its injectors do; by their voltage laws where the network source states them.

    Args:
        frozen_network: The feeder.
        by_phase: Measure power of a phase to its neutral.
    """
    network, start = frozen_network.network, frozen_network.start
    node_v, conductor_a = start.node_v[0], start.conductor_a[0]
    listed = injector_names(network)
    if "linearise" not in frozen_network.capabilities:
        users, source = point_users(network, frozen_network.operating_point, listed), np.empty(0, dtype=np.int32)
        found: tuple[Finding, ...] = (
            Finding(
                severity=Severity.INFO,
                code="powers-from-operating-point",
                count=len(listed),
                message="the network source does not state how loads answer to voltage; each counts with its nominal"
                " kW, and the rest is a user of its own at its bus",
            ),
        )
    else:
        linear = frozen_network.linear()
        reference = network.nodes.reference if by_phase else np.full_like(network.nodes.reference, -1)
        users = port_users(node_v, linear.base, listed, reference)
        source = np.flatnonzero(linear.source_a != 0).astype(np.int32)
        found = ()
    state = SolvedState(network=network, node_v=node_v, conductor_a=conductor_a, users=users, source=source)
    return state, found


def _group(network: Network, name: str) -> int:
    listed: list[str] = network.groups.id.tolist()
    if not name:
        raise FlowsError(
            'flows power-flow: phases = "each" needs group, a capacity group: phases can be traced one by one only'
            f" where no winding changes them; there are {len(listed)}, the first is {listed[0] if listed else 'none'!r}"
        )
    if name not in listed:
        raise FlowsError(f"flows power-flow: no capacity group {name!r}{did_you_mean(name, listed)}")
    return listed.index(name) + 1
