"""Times of trading periods: as files write them, to aware times, in the order that they happened."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

from hostcap.errors import FlowsError

_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_VSPD = re.compile(r"(\d{1,2})-([A-Z]{3})-(\d{4}) (\d{1,2}):(\d{2})(?::\d{2})?", re.IGNORECASE)
HALF_HOUR = 30.0


def zone(name: str) -> ZoneInfo:
    """A time zone by name.

    Raises:
        FlowsError: There is none of that name.
    """
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, LookupError) as error:
        raise FlowsError(
            f"time_zone {name!r} is not known; expected an IANA name such as 'Pacific/Auckland'"
        ) from error


@lru_cache(maxsize=256)
def wall_time(text: str, path: Path) -> datetime:
    """``27-JAN-2025 10:00`` or ISO 8601, as it stands there: aware only if it says an offset.

    The month is read without the locale, which may be any.
    """
    match = _VSPD.fullmatch(text)
    try:
        if match:
            day, month, year, hour, minute = match.groups()
            return datetime(int(year), _MONTHS.index(month.upper()) + 1, int(day), int(hour), int(minute))
        return datetime.fromisoformat(text)
    except ValueError as error:
        raise FlowsError(
            f"{path}: time {text!r} cannot be read; expected such as '27-JAN-2025 10:00' or '2025-01-27T10:00'"
        ) from error


def placed(wall: datetime, where: ZoneInfo, *, half_hour: int | None = None) -> datetime:
    """A time of a clock as an aware one.

    Args:
        wall: As the clock shows it.
        where: Its time zone.
        half_hour: Number of the trading period within its day, from 1, where it is known: it tells the two hours
            apart that a clock shows twice when summer time ends.
    """
    first = wall.replace(tzinfo=where)
    second = first.replace(fold=1)
    if half_hour is None or first.utcoffset() == second.utcoffset():
        return first
    midnight = wall.replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=where).astimezone(UTC)
    begins = midnight + timedelta(minutes=HALF_HOUR * (half_hour - 1))
    return first if first.astimezone(UTC) >= begins else second


def of_half_hour(day: datetime, half_hour: int, minutes: float, where: ZoneInfo) -> datetime:
    """Start of a trading period by its number within the day, from 1; days of 46 and 50 half hours are right."""
    midnight = day.replace(tzinfo=where).astimezone(UTC)
    return (midnight + timedelta(minutes=minutes * (half_hour - 1))).astimezone(where)


def step_minutes(starts: Sequence[datetime]) -> float | None:
    """Least step between rising starts; None where there is only one."""
    instants = [start.astimezone(UTC) for start in starts]
    steps = [(b - a).total_seconds() / 60.0 for a, b in pairwise(instants)]
    return min(steps) if steps else None


def content_hash(path: Path) -> str:
    """SHA-256 of a file."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise FlowsError(f"{path}: cannot be read: {error.strerror or error}") from error
