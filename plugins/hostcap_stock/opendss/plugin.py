"""Registers the network source and the solver ``opendss``; the engine is imported when one is made."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from hostcap.plugins import NetworkPlugin, ProfilesPlugin, SolverPlugin, hookimpl
from hostcap_stock.opendss.config import OpenDssConfig, OpenDssShapesConfig, OpenDssSolverConfig

if TYPE_CHECKING:
    from hostcap.plugins.kinds import NetworkSource, Profiles
    from hostcap.power_flow import Solver

_ENGINE = frozenset({"opendss-engine"})


def _source(config: OpenDssConfig) -> NetworkSource:
    from hostcap_stock.opendss.source import OpenDssSource

    return OpenDssSource(config=config)


def _solver(config: OpenDssSolverConfig) -> Solver:
    from hostcap_stock.opendss.solver import OpenDssSolver

    return OpenDssSolver(config=config)


def _shapes(config: OpenDssShapesConfig) -> Profiles:
    from hostcap_stock.opendss.shaped import OpenDssShapes

    return OpenDssShapes(config)


NETWORK = NetworkPlugin(
    name="opendss",
    summary="OpenDSS model files; taps, capacitors and inverters frozen at the start",
    config=OpenDssConfig,
    make=_source,
    capabilities=_ENGINE | {"linearise"},
)
SOLVER = SolverPlugin(
    name="opendss",
    summary="State by state on the OpenDSS engine itself; the yardstick",
    config=OpenDssSolverConfig,
    make=_solver,
    capabilities=_ENGINE,
)
SHAPES = ProfilesPlugin(
    name="opendss-shapes",
    summary="The daily or yearly shapes of the OpenDSS model itself",
    config=OpenDssShapesConfig,
    make=_shapes,
)


@hookimpl
def hostcap_networks() -> Iterable[NetworkPlugin[Any]]:
    """The network source."""
    return [NETWORK]


@hookimpl
def hostcap_profiles() -> Iterable[ProfilesPlugin[Any]]:
    """The profiles."""
    return [SHAPES]


@hookimpl
def hostcap_solvers() -> Iterable[SolverPlugin[Any]]:
    """The solver."""
    return [SOLVER]
