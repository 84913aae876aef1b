"""Several instants for tests: initial states made of a day of loads, and studies of them on any feeder."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import attrs
import numpy as np
from attrs import frozen

from hostcap._arrays import FloatArray
from hostcap.network import Network
from hostcap.operating_point import FeederScope, OperatingPoint
from hostcap.plugins.kinds import Profiles
from hostcap.tables import Chunk, Table
from hostcap.work_package import WorkPackage

RUN_ID = "00000000-0000-4000-8000-00000000000a"
MIDNIGHT = datetime(2025, 1, 1, tzinfo=UTC)


def customer_day(network: Network, count: int, *, mean_kw: float) -> FloatArray:
    """kW of each injector by instant: loads rise and fall, each with a phase of its own, shape (instant, injector)."""
    phase = np.random.default_rng(5).uniform(0.0, 0.3, network.injectors.name.size)
    turn = np.arange(count)[:, None] / count + phase
    return np.where(network.injectors.kind == "load", mean_kw * (1.2 + np.sin(2.0 * np.pi * turn)), 0.0)


@frozen(kw_only=True)
class Day:
    """Half-hours of a made day; ``only`` picks one of them, as an initial state of one instant does."""

    count: int
    mean_kw: float = 0.5
    only: int | None = None
    name: str = "day"

    def operating_points(
        self, network: Network, scope: FeederScope, profiles: Profiles | None
    ) -> Sequence[OperatingPoint]:
        """All points, or the one."""
        kw = customer_day(network, self.count, mean_kw=self.mean_kw)
        none = np.zeros(network.injectors.name.size)
        points = [
            OperatingPoint(
                instant=MIDNIGHT + timedelta(minutes=30 * (i + 1)),
                as_modelled=False,
                load_kw=kw[i],
                load_kvar=0.3 * kw[i],
                generation_kw=none,
                generation_kvar=none,
            )
            for i in range(self.count)
        ]
        return points if self.only is None else [points[self.only]]

    def operating_point(self, network: Network, scope: FeederScope, profiles: Profiles | None) -> OperatingPoint:
        """The first point."""
        return self.operating_points(network, scope, profiles)[0]


@frozen(kw_only=True)
class OneInstant:
    """An instant of a day as an initial state that knows of no other."""

    day: Day
    number: int

    @property
    def name(self) -> str:
        """As the day's."""
        return self.day.name

    def operating_point(self, network: Network, scope: FeederScope, profiles: Profiles | None) -> OperatingPoint:
        """The one."""
        return self.day.operating_points(network, scope, profiles)[self.number]


def run_from(work_package: WorkPackage, network: Network, initial_state: Any, **changes: Any) -> Chunk:
    """Run a study from another initial state; ids derive from a given one."""
    study: Any = work_package.study()
    changed = attrs.evolve(study, initial_state=initial_state, **changes)
    (chunk,) = changed.run(work_package.job(network, RUN_ID))
    return chunk


def table(chunk: Chunk, name: str) -> Table:
    """One table of a chunk."""
    (found,) = [t for t in chunk.tables if t.name == name]
    return found
