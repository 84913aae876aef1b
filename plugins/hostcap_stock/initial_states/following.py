"""What initial states that follow readings share: which part of the readings, and reading a long window in pieces."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from attrs import field, frozen

from hostcap.config import about, non_negative
from hostcap.errors import ProfileError
from hostcap.findings import Finding
from hostcap.network import Network
from hostcap.operating_point import OperatingPoint
from hostcap.plugins.kinds import Profiles
from hostcap.profiles import PowerProfiles, Window, as_datetime

MOST_CELLS = 1_500_000
"""Most readings (instants x injectors) of one piece: 12 MB an array, of which reading has some twenty."""

_SHORT = timedelta(minutes=5)
"""What an interval is taken for until the first piece says."""


@frozen(kw_only=True)
class FollowingConfig:
    """Which part of the readings is there at the start."""

    include_loads: bool = field(default=True, metadata=about("Whether import is there"))
    include_existing_der: bool = field(
        default=True,
        metadata=about("Whether net export is there: what meters saw of generation, not what homes used"),
    )
    load_scaling_factor: float = field(
        default=1.0, validator=non_negative, metadata=about("Times import, kW and kvar alike")
    )
    der_scaling_factor: float = field(
        default=1.0, validator=non_negative, metadata=about("Times net export, kW and kvar alike")
    )


def needed(profiles: Profiles | None, name: str) -> Profiles:
    """The study's profiles.

    Raises:
        ProfileError: It has none.
    """
    if profiles is None:
        raise ProfileError(f"initial_state: {name!r} follows readings; add [profiles] with a plugin that has them")
    return profiles


def point_at(
    config: FollowingConfig, found: PowerProfiles, place: int, findings: tuple[Finding, ...] = ()
) -> OperatingPoint:
    """One instant of what was read, as far as the config includes it."""
    load = config.load_scaling_factor if config.include_loads else 0.0
    generation = config.der_scaling_factor if config.include_existing_der else 0.0
    return OperatingPoint(
        instant=as_datetime(found.instant[place]),
        as_modelled=False,
        load_kw=load * found.load_kw[place],
        load_kvar=load * found.load_kvar[place],
        generation_kw=generation * found.generation_kw[place],
        generation_kvar=generation * found.generation_kvar[place],
        findings=findings,
    )


def point_of(config: FollowingConfig, network: Network, profiles: Profiles, instant: datetime) -> OperatingPoint:
    """The point of one instant.

    Raises:
        ProfileError: No interval with readings ends there.
    """
    found = profiles.customers(network, Window.of_instant(instant))
    if found.instant.size != 1:
        raise ProfileError(
            f"initial_state: nobody has a reading at {instant.isoformat()}; choose the end of an interval that is there"
        )
    return point_at(config, found, 0, found.findings)


def pieces(network: Network, profiles: Profiles, window: Window) -> Iterator[PowerProfiles]:
    """A window in parts of whole days that fit the memory, in order; the first says how long an interval is."""
    day = timedelta(days=1)
    instants = max(1, MOST_CELLS // max(network.injectors.name.size, 1))
    start, interval = window.start, _SHORT
    while start < window.end:
        end = min(start + max(day, instants * interval // day * day), window.end)
        found = profiles.customers(network, Window(start=start, end=end))
        yield found
        start, interval = end, timedelta(minutes=found.interval_minutes)
