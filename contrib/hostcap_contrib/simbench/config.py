"""Settings of the network source; light to import."""

from __future__ import annotations

from attrs import field, frozen

from hostcap.config import about, not_empty
from hostcap_stock.pandapower.config import PandapowerReading


@frozen(kw_only=True)
class SimbenchConfig(PandapowerReading):
    """Which network, and how its numbers are read."""

    code: str = field(
        validator=not_empty,
        metadata=about("SimBench code, such as `1-MVLV-rural-1.108-0-sw`; `{feeder}` stands for the feeder's name"),
    )
