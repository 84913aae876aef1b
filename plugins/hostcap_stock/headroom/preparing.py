"""A feeder made ready to search at one instant, and what a search there found."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import ClassVar

import numpy as np
from attrs import frozen

from hostcap._arrays import BoolArray, FloatArray, IntArray, sums
from hostcap.errors import HostcapError, NotConvergedError
from hostcap.findings import Finding
from hostcap.growth import Direction
from hostcap.limits import LimitSet
from hostcap.network import Network
from hostcap.operating_point import OperatingPoint
from hostcap.plugins.kinds import InitialState, Injection, Job, Moment, Profiles, SeveralInstants
from hostcap.power_flow import FrozenNetwork, Solver
from hostcap.search import STATUSES, SearchResult, Status

IDLE = (STATUSES.index(Status.NO_GROWTH), STATUSES.index(Status.NO_CUSTOMERS))
"""Statuses of groups in which nothing grows."""


@frozen(kw_only=True)
class Prepared:
    """A feeder made ready to search: what ``check`` shows before anything is searched.

    Attributes:
        operating_point: The start.
        weights: Weight of each customer; 0 where it does not grow, shape (customer,).
        open_groups: Groups that may grow, shape (group,).
        idle: Status index of those that may not, shape (group,).
        limits: What is watched.
    """

    operating_point: OperatingPoint
    weights: FloatArray
    open_groups: BoolArray
    idle: IntArray
    limits: LimitSet
    alone: ClassVar[bool] = False
    """Groups grow together."""


@frozen(kw_only=True, eq=False)
class Searched:
    """One search: of one direction, from one start.

    Attributes:
        number: Place of the start among those of the feeder.
        direction: Whether growth generates or consumes.
        prepared: What the search ran on.
        per_kw: What one kW of growth injects or draws at the instant, > 0; 1 unless growth follows a profile.
        result: What it found.
        started: What was noticed on the way to the start from its operating point.
    """

    number: int
    direction: Direction
    prepared: Prepared
    per_kw: float
    result: SearchResult
    started: tuple[Finding, ...]

    @property
    def instant(self) -> datetime:
        """The instant of the start."""
        return self.prepared.operating_point.instant

    def headroom_kw(self, network: Network, step_kw: float) -> FloatArray:
        """KW of the customer of largest weight at each group's level, shape (group,)."""
        return tidy(self.result.level * step_kw * heaviest(network, self.prepared.weights))

    def total_kw(self, network: Network, step_kw: float) -> FloatArray:
        """KW of each whole group at its level, shape (group,)."""
        weights = sums(network.customers.group - 1, self.prepared.weights, len(network.groups))
        return tidy(self.result.level * step_kw * weights)

    def injected_kw(self, network: Network, step_kw: float) -> FloatArray:
        """What ``total_kw`` injects or draws at the instant, kW, shape (group,)."""
        return tidy(self.total_kw(network, step_kw) * self.per_kw)


def open_groups(network: Network, weights: FloatArray) -> tuple[BoolArray, IntArray]:
    """Which groups may grow, and the status of those that may not."""
    counted = sums(network.customers.group - 1, network.customers.live, len(network.groups))
    idle = np.where(counted > 0, STATUSES.index(Status.NO_GROWTH), STATUSES.index(Status.NO_CUSTOMERS))
    return heaviest(network, weights) > 0, idle.astype(np.int32)


def heaviest(network: Network, weights: FloatArray) -> FloatArray:
    """Largest weight of each group's customers; 0 where it has none, shape (group,)."""
    found = np.zeros(len(network.groups))
    np.maximum.at(found, network.customers.group - 1, weights)
    return found


def tidy(kw: FloatArray) -> FloatArray:
    """Without the last digits that a product of a step leaves (3 x 0.1 is 0.3), and without -0."""
    return np.round(kw, 9) + 0.0


def instant_words(instant: datetime) -> str:
    """An instant as people read it: UTC, to the minute where it is whole."""
    utc = instant.astimezone(UTC)
    return utc.strftime("%Y-%m-%dT%H:%MZ" if not utc.second and not utc.microsecond else "%Y-%m-%dT%H:%M:%S.%fZ")


def starting_points(
    initial_state: InitialState, job: Job, profiles: Profiles | None, injection: Injection
) -> tuple[OperatingPoint, ...]:
    """What the starts of a feeder are frozen at, instants rising; one unless the initial state stands for several.

    Raises:
        HostcapError: The initial state gives none, or not in rising order; or growth has nothing to inject at one of
            them, which is said before any is frozen.
    """
    points = _points(initial_state, job, profiles)
    for point in points:
        for direction in injection.directions:
            injection.unit(direction, Moment.of(job.network, point, profiles))
    return points


def _points(initial_state: InitialState, job: Job, profiles: Profiles | None) -> tuple[OperatingPoint, ...]:
    if not isinstance(initial_state, SeveralInstants):
        return (initial_state.operating_point(job.network, job.scope, profiles),)
    points = tuple(initial_state.operating_points(job.network, job.scope, profiles))
    instants = [point.instant for point in points]
    if not points or any(b <= a for a, b in itertools.pairwise(instants)):
        raise HostcapError(
            f"initial state {initial_state.name!r} gives the instants {list(map(instant_words, instants))}; "
            "expected one or more, rising"
        )
    return points


def start_at(job: Job, points: Sequence[OperatingPoint], number: int, solver: Solver) -> FrozenNetwork:
    """The feeder frozen at one of its starts.

    Raises:
        NotConvergedError: The start has no solution; of several the message says which.
    """
    try:
        return job.source.freeze(job.network, points[number], solver.settling)
    except NotConvergedError as error:
        if len(points) == 1:
            raise
        raise NotConvergedError(
            f"instant {instant_words(points[number].instant)}: {error}",
            iterations=error.iterations,
            largest_change_pu=error.largest_change_pu,
        ) from error
