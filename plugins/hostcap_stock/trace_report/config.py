"""Settings of the study ``trace-report``; light to import."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from attrs import field, frozen

from hostcap.config import about, between

HVDC = {"HVDC": ("BEN_HAY1.1", "BEN_HAY2.1", "HAY_BEN1.1", "HAY_BEN2.1")}
"""New Zealand's link: four branches, one for each pole and direction."""


@frozen(kw_only=True)
class TraceReportConfig:
    """What is made of a trace: roll-ups, concentration, values by user, attributes of the mix."""

    results: Path | None = field(default=None, metadata=about("Results folder of a trace, with Parquet tables"))
    down: Path | None = field(
        default=None, metadata=about("Instead: CSV with assets as rows and users who take as columns, such as td.csv")
    )
    up: Path | None = field(
        default=None, metadata=about("Instead: CSV with assets as rows and users who supply as columns, such as tu.csv")
    )
    assets: Literal["branches", "stations"] = field(
        default="branches", metadata=about("What is used: the trace's branch_shares or station_shares")
    )
    interval: str = field(
        default="total", metadata=about("Interval of the trace, such as `2014-01`, `2014` or `total`")
    )
    user_map: Path | None = field(
        default=None, metadata=about("CSV of two columns without titles: user, and its company, carrier or zone")
    )
    user_letters: int | None = field(
        default=None,
        validator=between(1, 99),
        metadata=about("How many first letters of a user the map knows; unset for all"),
    )
    asset_map: Path | None = field(
        default=None, metadata=about("CSV of two columns without titles: asset, and what it is summed to")
    )
    asset_letters: int | None = field(
        default=None, validator=between(1, 99), metadata=about("Sum assets by their first letters; 3 for stations")
    )
    unmapped: Literal["keep", "drop"] = field(
        default="keep",
        metadata=about("What a map does not know: keep it under its own name, or drop it; listed with its MW in both"),
    )
    joined: Mapping[str, tuple[str, ...]] = field(
        factory=lambda: dict(HVDC), metadata=about("Assets that are reported as one as well, by the name of the whole")
    )
    register: Path | None = field(
        default=None, metadata=about("Register of assets: `ASSET ID`, `type`, `id`, `C/N_flag`, `sum_NBV`")
    )
    circuits: Path | None = field(
        default=None, metadata=about("Circuits of each line of the register: `line`, `circuits`, `length` in km")
    )
    rentals: Path | None = field(
        default=None, metadata=about("CSV of two columns without titles: branch, and its rental of a year")
    )
    peaks_down: Path | None = field(
        default=None, metadata=about("CSV of two columns without titles: user, and its anytime maximum demand, MW")
    )
    peaks_up: Path | None = field(
        default=None, metadata=about("CSV of two columns without titles: user, and its anytime maximum injection, MW")
    )
    attribute: Path | None = field(
        default=None,
        metadata=about("CSV of two columns without titles: supplier, and its attribute for one MWh, such as t of CO2"),
    )

    def __attrs_post_init__(self) -> None:
        wide = self.down is not None or self.up is not None
        if (self.results is None) != wide:
            raise ValueError("give results, or down and up (one of them is enough)")
        if (self.register is None) != (self.circuits is None):
            raise ValueError("give register and circuits, or neither")
        if self.attribute is not None and self.results is None:
            raise ValueError("attribute needs results: who feeds whom is not in the files down and up")
