"""Settings of the flows ``example``; light to import."""

from __future__ import annotations

from typing import Literal, get_args

from attrs import field, frozen

from hostcap.config import about

System = Literal["three-bus", "bialek-four-bus", "bialek-four-bus-lossless"]
SYSTEMS: tuple[str, ...] = get_args(System)


@frozen(kw_only=True)
class ExampleConfig:
    """Which of the small systems."""

    system: System = field(metadata=about("The system whose one period is given"))
