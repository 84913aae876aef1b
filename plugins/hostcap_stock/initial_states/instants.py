"""The initial state ``instants``: a list of them, or every interval of a window; a study searches each by itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

import attrs
import numpy as np
from attrs import field, frozen

from hostcap.config import about, each, unique, with_offset
from hostcap.errors import ConfigError, ProfileError
from hostcap.findings import Finding
from hostcap.network import Network
from hostcap.operating_point import FeederScope, OperatingPoint
from hostcap.plugins.kinds import Profiles
from hostcap.profiles import Window, as_us
from hostcap_stock.initial_states.following import FollowingConfig, needed, pieces, point_at

_NEAR = timedelta(days=1)
"""Instants no further apart are read as one window: few reads of a table matter more than rows that are not used."""


@frozen(kw_only=True)
class InstantsConfig(FollowingConfig):
    """The readings of several instants."""

    instants: tuple[datetime, ...] = field(
        default=(),
        validator=[unique, each(with_offset)],
        metadata=about("Ends of intervals, each searched by itself; instead of a window"),
    )
    start_time: datetime | None = field(
        default=None, validator=with_offset, metadata=about("Start of a window, every interval of which is searched")
    )
    end_time: datetime | None = field(
        default=None,
        validator=with_offset,
        metadata=about("End of the window; the interval that ends then is in it"),
    )

    def __attrs_post_init__(self) -> None:
        ends = (self.start_time, self.end_time)
        if self.instants and ends != (None, None):
            raise ConfigError("instants: give a list, or start_time and end_time, not both")
        if not self.instants and None in ends:
            raise ConfigError("instants: give a list, or start_time and end_time of a window")
        if self.start_time is not None and self.end_time is not None and self.end_time <= self.start_time:
            raise ConfigError(f"end_time: must be after start_time, {self.start_time.isoformat()}")

    def windows(self) -> Iterator[Window]:
        """Windows that hold all instants, rising and apart."""
        if self.start_time is not None and self.end_time is not None:
            yield Window(start=self.start_time, end=self.end_time)
            return
        first = last = min(self.instants)
        for instant in (*sorted(self.instants)[1:], None):
            if instant is None or instant - last > _NEAR:
                yield Window(start=Window.of_instant(first).start, end=last)
                first = instant or first
            last = instant or last


@frozen(kw_only=True)
class Instants:
    """What readings say at each of several instants."""

    config: InstantsConfig
    name: str = "instants"

    def operating_points(
        self, network: Network, scope: FeederScope, profiles: Profiles | None
    ) -> Sequence[OperatingPoint]:
        """A point for each instant, rising; what was noticed stands at the first.

        Raises:
            ProfileError: Readings are missing.
        """
        wanted = np.asarray(sorted(map(as_us, self.config.instants)), dtype=np.int64)
        points: list[OperatingPoint] = []
        noted: dict[Finding, None] = {}
        for window in self.config.windows():
            for found in pieces(network, needed(profiles, self.name), window):
                noted |= dict.fromkeys(found.findings)
                there = found.instant.astype(np.int64)
                chosen = np.flatnonzero(np.isin(there, wanted)) if wanted.size else range(there.size)
                points += [point_at(self.config, found, int(place)) for place in chosen]
        self._check(points)
        return [attrs.evolve(points[0], findings=tuple(noted)), *points[1:]]

    def operating_point(self, network: Network, scope: FeederScope, profiles: Profiles | None) -> OperatingPoint:
        """The first of them."""
        return self.operating_points(network, scope, profiles)[0]

    def _check(self, points: Sequence[OperatingPoint]) -> None:
        there = {point.instant for point in points}
        missing = [instant.isoformat() for instant in sorted(self.config.instants) if instant not in there]
        if missing or not points:
            what: Any = ", ".join(missing[:3]) or "any instant of the window"
            raise ProfileError(
                f"initial_state: no interval with readings ends at {what}; give ends of intervals that are there"
            )
