"""What is the same in every row of one search, and the ids that derive from it."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import numpy as np
from attrs import frozen

from hostcap.growth import Direction
from hostcap.operating_point import FeederScope


@frozen(kw_only=True)
class Labels:
    """What is the same in every row of one feeder and direction."""

    work_package_id: str
    scope: FeederScope
    direction: Direction
    instant: datetime
    mode: str
    initial_state: str
    scaled: bool
    power_factor: float
    step_kw: float
    limits: str

    @property
    def timestamp(self) -> np.datetime64:
        """The instant, UTC."""
        return np.datetime64(self.instant.astimezone(UTC).replace(tzinfo=None), "us")

    @property
    def metadata(self) -> Mapping[str, str]:
        """What belongs to every table."""
        return {"limits": self.limits}

    def id_of(self, *parts: object) -> str:
        """An id that derives from the run and the given parts."""
        where = (self.scope.scenario, self.scope.year, self.scope.feeder)
        named = (*where, self.direction.value, self.timestamp, *parts)
        return str(uuid.uuid5(uuid.UUID(self.work_package_id), "/".join(map(str, named))))

    def run_columns(self, size: int) -> dict[str, Any]:
        """The columns that lead most tables."""
        return {
            "work_package_id": [self.work_package_id] * size,
            "scenario": [self.scope.scenario] * size,
            "timestamp": np.full(size, self.timestamp),
            "feeder": [self.scope.feeder] * size,
        }
