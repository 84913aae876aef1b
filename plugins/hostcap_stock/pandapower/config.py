"""Settings of the pandapower network source and solver; light to import."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from attrs import field, frozen

from hostcap.config import about, between, not_empty, positive

OptionValue = bool | int | float | str


@frozen(kw_only=True)
class PandapowerReading:
    """How a net is read, wherever it comes from."""

    customers: Path | None = field(
        default=None,
        metadata=about("CSV with columns `customer`, `element` and any further ones; joins elements into customers"),
    )
    emergency_factor: float = field(
        default=1.5,
        validator=positive,
        metadata=about("Emergency over normal rating of lines and transformers; pandapower knows no emergency rating"),
    )
    frequency_hz: float | None = field(
        default=None,
        validator=between(0.1, 10_000.0),
        metadata=about(
            "What the study expects; the net's own frequency is used, with a finding if it differs", unit="Hz"
        ),
    )


@frozen(kw_only=True)
class PandapowerConfig(PandapowerReading):
    """Where the net is and how its numbers are read."""

    file: Path | None = field(
        default=None, metadata=about("JSON file of a net, as `pandapower.to_json` writes it; `{feeder}` is replaced")
    )
    function: str | None = field(
        default=None,
        validator=not_empty,
        metadata=about("Name of a function of `pandapower.networks` that makes the net; `{feeder}` is replaced"),
    )
    options: Mapping[str, OptionValue] = field(
        factory=dict, metadata=about('Arguments of `function`, such as `{ scenario = "on_peak_566" }`')
    )

    seed: int = field(
        default=0,
        validator=between(0, 2**32 - 1),
        metadata=about("What a `function` that places loads or chooses cables at random draws by: same seed, same net"),
    )

    def __attrs_post_init__(self) -> None:
        if (self.file is None) == (self.function is None):
            raise ValueError('give file = "net.json" or function = "create_cigre_network_lv", one of the two')
        if self.options and self.function is None:
            raise ValueError("options are arguments of a function; give function, or leave options out")
        if self.seed and self.function is None:
            raise ValueError("seed is for functions that draw at random; give function, or leave seed out")


@frozen(kw_only=True)
class PandapowerSolverConfig:
    """When a state counts as solved."""

    tolerance_pu: float = field(
        default=1e-6,
        validator=between(1e-12, 1e-2),
        metadata=about("How far a live node's voltage would still move in one more iteration", unit="pu"),
    )
    max_iterations: int = field(
        default=100, validator=between(1, 100_000), metadata=about("Iterations after which a state is diverged")
    )
