"""Starts that follow readings: ``fixed-time``, ``peak-import``, ``peak-export``."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Literal

import attrs
import numpy as np
from attrs import field, frozen

from hostcap.config import about, with_offset
from hostcap.errors import ProfileError
from hostcap.findings import Finding, Severity
from hostcap.network import Network
from hostcap.operating_point import FeederScope, OperatingPoint
from hostcap.plugins.kinds import Profiles, SummingProfiles
from hostcap.profiles import NetImport, PowerProfiles, Window
from hostcap_stock.initial_states.following import (
    FollowingConfig,
    needed,
    pieces,
    point_at,
    point_of,
)

TIE_KW = 1e-6
"""Instants whose net power differs by less are a tie, and the earliest counts: sums of equal readings may differ so."""


@frozen(kw_only=True)
class FixedTimeConfig(FollowingConfig):
    """The readings of one instant."""

    start_time: datetime = field(
        validator=with_offset, metadata=about("End of the interval whose readings are there, such as 2025-01-15T08:30Z")
    )


def _rising(instance: Any, attribute: attrs.Attribute[datetime], value: datetime) -> None:
    with_offset(instance, attribute, value)
    if value <= instance.start_time:
        raise ValueError(f"{attribute.name!r} must be after start_time, {instance.start_time.isoformat()}")


@frozen(kw_only=True)
class PeakConfig(FollowingConfig):
    """The readings of the instant at which the feeder's net power is largest."""

    start_time: datetime = field(
        validator=with_offset, metadata=about("Start of the window; intervals that end after it are searched")
    )
    end_time: datetime = field(
        validator=_rising, metadata=about("End of the window; the interval that ends then is the last")
    )

    @property
    def window(self) -> Window:
        """What is searched."""
        return Window(start=self.start_time, end=self.end_time)


@frozen(kw_only=True)
class FixedTime:
    """What readings say at one instant."""

    config: FixedTimeConfig
    name: str = "fixed-time"

    def operating_point(self, network: Network, scope: FeederScope, profiles: Profiles | None) -> OperatingPoint:
        """The readings of ``start_time``, as far as they are included.

        Raises:
            ProfileError: There are none.
        """
        return point_of(self.config, network, needed(profiles, self.name), self.config.start_time)


@frozen(kw_only=True)
class Peak:
    """What readings say at the instant of the feeder's largest net import, or export.

    The instant is that of the readings themselves: scaling, and what is included, act on what is there at it and do not
    move it. The net is that of all customers and HV loads, without losses. Of equal peaks the earliest counts.
    """

    config: PeakConfig
    direction: Literal["import", "export"]

    @property
    def name(self) -> str:
        """``peak-import`` or ``peak-export``."""
        return f"peak-{self.direction}"

    def operating_point(self, network: Network, scope: FeederScope, profiles: Profiles | None) -> OperatingPoint:
        """The readings of the peak in the window, as far as they are included.

        Raises:
            ProfileError: Nobody has a reading in the window.
        """
        profiles, window = needed(profiles, self.name), self.config.window
        if isinstance(profiles, SummingProfiles):
            found: Iterable[PowerProfiles | NetImport] = [profiles.net_import(network, window)]
        else:
            found = pieces(network, profiles, window)
        best: tuple[float, PowerProfiles] | None = None
        noted: dict[Finding, None] = {}
        for part in found:
            noted |= dict.fromkeys(part.findings)
            if not part.instant.size:
                continue
            net = part.kw if isinstance(part, NetImport) else part.net_import_kw()
            kw = net if self.direction == "import" else -net
            place = int(np.flatnonzero(kw >= kw.max() - TIE_KW)[0])
            if best is None or kw[place] > best[0] + TIE_KW:
                best = float(kw[place]), part.at(place)
        if best is None:
            raise ProfileError(
                f"initial_state: nobody has a reading from {window.start.isoformat()} to {window.end.isoformat()}"
            )
        kw_there, there = best
        point = point_at(self.config, there, 0)
        return attrs.evolve(point, findings=(*noted, self._what(round(kw_there, 6), point.instant)))

    def _what(self, kw: float, instant: datetime) -> Finding:
        window = self.config.window
        span = f"from {window.start.isoformat()} to {window.end.isoformat()}"
        if kw > 0:
            return Finding(
                severity=Severity.INFO,
                code="peak-instant",
                element=instant.isoformat(),
                kw=kw,
                message=f"the feeder's net {self.direction} {span} is largest at {instant.isoformat()}",
            )
        return Finding(
            severity=Severity.WARNING,
            code="no-net-power",
            element=instant.isoformat(),
            kw=kw,
            message=f"the feeder has no net {self.direction} {span}; the start is the instant with least of the other, "
            f"{instant.isoformat()}",
        )


def peak_import(config: PeakConfig) -> Peak:
    """The largest net import."""
    return Peak(config=config, direction="import")


def peak_export(config: PeakConfig) -> Peak:
    """The largest net export."""
    return Peak(config=config, direction="export")
