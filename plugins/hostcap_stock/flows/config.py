"""Settings of the flows; light to import."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Literal

from attrs import field, frozen

from hostcap.config import about, positive, with_offset

_MINUTES = about(
    "Length of a period; unset for the step of the times in the files (a file of one period: 5 off the half hour,"
    " else 30)",
    unit="min",
)
_TIME_ZONE = about("Time zone of the times in the files, as the IANA data base names it")
_FACTORS = about(
    "Allocation factors of a node that do not add up to 1: `refuse`, or `normalise` with a finding; what the rounding"
    " of printed factors explains is scaled in both"
)


@frozen(kw_only=True)
class VspdConfig:
    """Daily results of vSPD: branches, nodes, and the map of nodes to buses of every period."""

    folder: Path = field(
        metadata=about("Folder with `*BranchResults_TP.csv` and `*NodeResults_TP.csv`, or with folders of them")
    )
    bus_node_map: Path | None = field(
        default=None,
        metadata=about(
            "Map file, or folder of maps by day (`20140101.csv`); unset for `busnodemap*.csv` beside results"
        ),
    )
    bus_results: Literal["check", "ignore"] = field(
        default="check", metadata=about("Compare `*BusResults_TP.csv`, where there is one, with the nodes on the map")
    )
    factor_sums: Literal["refuse", "normalise"] = field(default="refuse", metadata=_FACTORS)
    time_zone: str = field(default="Pacific/Auckland", metadata=_TIME_ZONE)
    minutes: float | None = field(default=None, validator=positive, metadata=_MINUTES)


@frozen(kw_only=True)
class VspdMonthlyConfig:
    """Headerless monthly files: `b_YYYYMM.csv` of branches beside `n_YYYYMM.csv` of nodes."""

    folder: Path = field(metadata=about("Folder with `b_YYYYMM.csv` and `n_YYYYMM.csv`, each also as `.csv.gz`"))
    factor_sums: Literal["refuse", "normalise"] = field(default="refuse", metadata=_FACTORS)
    time_zone: str = field(default="Pacific/Auckland", metadata=_TIME_ZONE)
    minutes: float = field(default=30.0, validator=positive, metadata=about("Length of a period", unit="min"))


@frozen(kw_only=True)
class TableConfig:
    """Any CSV or Parquet files of branches and of nodes, their columns mapped."""

    branches: Path = field(metadata=about("File of branches: name, both buses, MW"))
    nodes: Path = field(metadata=about("File of nodes: name, bus, generation and load in MW"))
    bus_node_map: Path | None = field(
        default=None,
        metadata=about("File of node, bus and factor; unset where the file of nodes has the bus"),
    )
    branch_columns: Mapping[str, str] = field(
        factory=dict,
        metadata=about(
            "Title by our name: `start`, `branch`, `from_bus`, `to_bus`, `flow_mw` (sending end, positive from -> to),"
            " `loss_mw` or `received_mw`, `fixed_loss_mw`; or `from_mw` and `to_mw`, measured at both ends in the"
            " direction from -> to. What is not mapped has our name"
        ),
    )
    node_columns: Mapping[str, str] = field(
        factory=dict,
        metadata=about("Title by our name: `start`, `node`, `bus`, `factor`, `generation_mw`, `load_mw`"),
    )
    map_columns: Mapping[str, str] = field(
        factory=dict, metadata=about("Title by our name: `start`, `node`, `bus`, `factor`")
    )
    factor_sums: Literal["refuse", "normalise"] = field(default="refuse", metadata=_FACTORS)
    time_zone: str | None = field(
        default=None, metadata=about("Time zone of times without an offset, as the IANA data base names it")
    )
    start: datetime | None = field(
        default=None,
        validator=with_offset,
        metadata=about("Start of the only period, for files without a column `start`"),
    )
    minutes: float = field(default=30.0, validator=positive, metadata=about("Length of a period", unit="min"))


@frozen(kw_only=True)
class PowerFlowConfig:
    """The solved start of the study's network as one period."""

    phases: Literal["sum", "each"] = field(
        default="sum",
        metadata=about("Sum the phases, or trace each by itself inside one LV group without winding changes"),
    )
    group: str = field(default="", metadata=about("Capacity group whose phases are traced by themselves"))
    minutes: float = field(
        default=30.0, validator=positive, metadata=about("Length of the interval that ends at the start", unit="min")
    )
