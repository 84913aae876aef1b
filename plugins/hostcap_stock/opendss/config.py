"""Settings of the OpenDSS network source and solver; light to import."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Literal

from attrs import field, frozen

from hostcap.config import about, between, each, positive, with_offset
from hostcap.errors import ConfigError
from hostcap_stock.injections._validation import power_factor
from hostcap_stock.iterating import Iterating

_BAND = (
    "by OpenDSS's own meters and reports, no limit of a study and no matter to power flow; unset keeps the model's own"
)


@frozen(kw_only=True)
class OpenDssConfig:
    """Where the model is and how its numbers are read."""

    master: Path = field(metadata=about("OpenDSS master file; `{feeder}` stands for the feeder's name"))
    frequency_hz: float = field(
        validator=[positive, between(0.1, 10_000.0)], metadata=about("Base frequency, pinned at every load", unit="Hz")
    )
    voltage_bases_kv: tuple[float, ...] = field(
        default=(),
        validator=each(positive),
        metadata=about("Line-to-line voltage bases; empty keeps the model's own", unit="kV"),
    )
    commands: tuple[str, ...] = field(
        default=(),
        metadata=about(
            "OpenDSS commands run after loading and bases; listed in the findings", runs_engine_commands=True
        ),
    )
    customers: Path | None = field(
        default=None,
        metadata=about(
            "CSV or Parquet with columns `customer`, `element` and any further ones; joins elements into customers"
        ),
    )
    neutral_nodes: tuple[int, ...] = field(
        default=(),
        validator=each(between(1, 99)),
        metadata=about("Node numbers that are neutrals; empty for 4 and higher"),
    )
    transformer_rating: Literal["nameplate", "engine"] = field(
        default="nameplate", metadata=about("Stated kVA, or the engine's normal amps (110 % of it by default)")
    )
    unrated: Literal["not-watched", "engine-default"] = field(
        default="not-watched", metadata=about("Lines that state no rating: not watched, or the engine's 400/600 A")
    )
    emergency_factor: float = field(
        default=1.5,
        validator=positive,
        metadata=about("Emergency over normal rating of lines that state no emergency rating"),
    )
    normal_vmin_pu: float | None = field(
        default=None,
        validator=between(0.0, 2.0),
        metadata=about(f"Least normal voltage {_BAND}", unit="pu"),
    )
    normal_vmax_pu: float | None = field(
        default=None, validator=between(0.0, 2.0), metadata=about(f"Greatest normal voltage {_BAND}", unit="pu")
    )
    emergency_vmin_pu: float | None = field(
        default=None, validator=between(0.0, 2.0), metadata=about(f"Least emergency voltage {_BAND}", unit="pu")
    )
    emergency_vmax_pu: float | None = field(
        default=None, validator=between(0.0, 2.0), metadata=about(f"Greatest emergency voltage {_BAND}", unit="pu")
    )
    load_vmin_pu: float | None = field(
        default=None,
        validator=between(0.0, 1.0),
        metadata=about("Below this, base loads leave constant power; unset keeps the model's own", unit="pu"),
    )
    load_vmax_pu: float | None = field(
        default=None,
        validator=between(1.0, 5.0),
        metadata=about("Above this, base loads leave constant power; unset keeps the model's own", unit="pu"),
    )
    load_model: int | None = field(
        default=None,
        validator=between(1, 7),
        metadata=about(
            "OpenDSS load model of every base load: 1 constant power, 2 impedance, 3 power with quadratic kvar, "
            "4 power law, 5 current, 6 and 7 power with kvar that no multiplier acts on; unset keeps the model's own"
        ),
    )
    load_power_factor: float | None = field(
        default=None,
        validator=power_factor,
        metadata=about(
            "Power factor of every base load at the start, whatever model, readings or initial state say; positive "
            "(lagging) consumes kvar, negative (leading) supplies it"
        ),
    )
    generation_vmin_pu: float | None = field(
        default=None,
        validator=between(0.0, 1.0),
        metadata=about(
            "Below this, the model's generating elements leave constant power as the start is solved; unset keeps the "
            "model's own",
            unit="pu",
        ),
    )
    generation_vmax_pu: float | None = field(
        default=None,
        validator=between(1.0, 5.0),
        metadata=about("Above this, they do; unset keeps the model's own", unit="pu"),
    )
    generation_power_factor: float | None = field(
        default=None,
        validator=power_factor,
        metadata=about(
            "Power factor of all generation at the start, whatever model, inverter controls, readings or initial state "
            "say; positive consumes kvar, negative supplies it"
        ),
    )

    def __attrs_post_init__(self) -> None:
        for band in ("normal", "emergency"):
            low, high = getattr(self, f"{band}_vmin_pu"), getattr(self, f"{band}_vmax_pu")
            if low is not None and high is not None and low >= high:
                raise ConfigError(f"{band}_vmin_pu: {low:g} must be below {band}_vmax_pu, {high:g}")


@frozen(kw_only=True)
class OpenDssShapesConfig:
    """Which of the model's own shapes act, and when they begin."""

    mode: Literal["daily", "yearly"] = field(metadata=about("The solution mode of OpenDSS whose shapes act"))
    start_time: datetime = field(
        validator=with_offset,
        metadata=about("When the shapes begin: midnight of any day for daily ones, of the first for yearly ones"),
    )
    interval_minutes: float | None = field(
        default=None,
        validator=positive,
        metadata=about("Length of an interval; unset for the shortest of the loads' shapes", unit="min"),
    )


@frozen(kw_only=True)
class OpenDssSolverConfig(Iterating):
    """When a state counts as solved."""
