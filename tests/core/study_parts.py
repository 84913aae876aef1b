"""A registry of small plugins, and a good study of them, for the tests of study files."""

from __future__ import annotations

import tomllib
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from attrs import field, frozen

from hostcap.config import (
    StudyDocument,
    about,
    non_negative,
    positive,
    structure_study,
)
from hostcap.plugins import (
    AllocationPlugin,
    ConstraintPlugin,
    InitialStatePlugin,
    NetworkPlugin,
    Registry,
    SolverPlugin,
    StudyPlugin,
    Takes,
    WriterPlugin,
    hookimpl,
)

FOLDER = Path("/studies").absolute()


@frozen(kw_only=True)
class Empty:
    pass


@frozen(kw_only=True)
class Network:
    master: Path = field(metadata=about("Master file"))
    bases_kv: tuple[float, ...] = ()
    profiles: Path | None = None


@frozen(kw_only=True)
class HeadroomConfig:
    step_kw: float = field(default=0.1, validator=positive)
    max_steps: int = field(default=1000, validator=positive)


@frozen(kw_only=True)
class FixedLoad:
    load_kw: float = field(validator=non_negative)
    start: datetime | None = None


@frozen(kw_only=True)
class Voltage:
    low_v: float = 216.0
    high_v: float = 253.0

    def __attrs_post_init__(self) -> None:
        if self.low_v >= self.high_v:
            raise ValueError(f"low_v must be below high_v, got {self.low_v} and {self.high_v}")


@frozen(kw_only=True)
class Point:
    x: float = 0.0


@frozen(kw_only=True)
class SolverConfig:
    max_iterations: int = field(default=100, validator=positive)
    tolerance_pu: float = field(default=1e-6, validator=positive)
    basis: Literal["normal", "emergency"] = "normal"
    title: str = ""
    weights: dict[str, float] = field(factory=dict)
    points: tuple[Point, ...] = ()
    centre: Point = Point()


def same(config: Any) -> Any:
    return config


HEADROOM: StudyPlugin[HeadroomConfig] = StudyPlugin(
    name="lv-headroom",
    summary="Headroom",
    config=HeadroomConfig,
    parts={
        "network": Takes(required=True),
        "initial_state": Takes(default="as-modelled"),
        "constraints": Takes(required=True),
        "solver": Takes(default="opendss"),
    },
    make=lambda config, parts: same(config),
)


class Plugin:
    @hookimpl
    def hostcap_networks(self) -> list[NetworkPlugin[Any]]:
        return [
            NetworkPlugin(name="opendss", summary="", config=Network, make=same),
            NetworkPlugin(name="bare", summary="", config=Empty, make=same),
        ]

    @hookimpl
    def hostcap_studies(self) -> list[StudyPlugin[Any]]:
        return [HEADROOM]

    @hookimpl
    def hostcap_initial_states(self) -> list[InitialStatePlugin[Any]]:
        return [
            InitialStatePlugin(name="as-modelled", summary="", config=Empty, make=same),
            InitialStatePlugin(name="fixed-load", summary="", config=FixedLoad, make=same),
        ]

    @hookimpl
    def hostcap_allocations(self) -> list[AllocationPlugin[Any]]:
        return [AllocationPlugin(name="uniform", summary="", config=Empty, make=same)]

    @hookimpl
    def hostcap_constraints(self) -> list[ConstraintPlugin[Any]]:
        return [
            ConstraintPlugin(name="voltage", summary="", config=Voltage, make=same),
            ConstraintPlugin(name="thermal", summary="", config=Empty, make=same),
        ]

    @hookimpl
    def hostcap_solvers(self) -> list[SolverPlugin[Any]]:
        return [
            SolverPlugin(name="opendss", summary="", config=SolverConfig, make=same),
            SolverPlugin(name="batched", summary="", config=Empty, make=same),
        ]

    @hookimpl
    def hostcap_writers(self) -> list[WriterPlugin[Any]]:
        return [
            WriterPlugin(name="parquet", summary="", config=Empty, make=same),
            WriterPlugin(name="csv", summary="", config=Empty, make=same),
        ]


REGISTRY = Registry.of(Plugin())
GOOD = """
name = "2025 export, LV"

[scope]
feeders = ["CRE21"]
year = 2025

[study]
plugin = "lv-headroom"

[network]
plugin = "opendss"
master = "networks/{feeder}/Master.dss"

[[constraints]]
plugin = "voltage"
high_v = 250
"""


def data(**changes: Any) -> dict[str, Any]:
    """The good study with top-level keys changed; a None takes the key out."""
    return {key: value for key, value in (tomllib.loads(GOOD) | changes).items() if value is not None}


def read(registry: Registry = REGISTRY, **changes: Any) -> StudyDocument:
    return structure_study(data(**changes), FOLDER, registry)
