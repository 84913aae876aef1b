"""Registers the network source and the solver ``pandapower``; the engine is imported when one is made."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from hostcap.errors import PluginError
from hostcap.plugins import NetworkPlugin, SolverPlugin, hookimpl
from hostcap_stock.pandapower.config import PandapowerConfig, PandapowerSolverConfig

if TYPE_CHECKING:
    from hostcap.plugins.kinds import NetworkSource
    from hostcap.power_flow import Solver

ENGINE = "pandapower-engine"


def require_pandapower(who: str) -> None:
    """Say how to install the engine where it is missing.

    Raises:
        PluginError: pandapower is not installed.
    """
    found = find_spec("pandapower")
    # A folder of that name somewhere on the path is no package.
    if found is None or found.origin is None:
        raise PluginError(f"{who}: the package pandapower is not installed; pip install 'hostcap[pandapower]'")


def _source(config: PandapowerConfig) -> NetworkSource:
    require_pandapower("network 'pandapower'")
    from hostcap_stock.pandapower.source import PandapowerSource

    return PandapowerSource(config=config)


def _solver(config: PandapowerSolverConfig) -> Solver:
    require_pandapower("solver 'pandapower'")
    from hostcap_stock.pandapower.solver import PandapowerSolver

    return PandapowerSolver(config=config)


NETWORK = NetworkPlugin(
    name="pandapower",
    summary="pandapower nets: JSON files, and the networks that pandapower ships",
    config=PandapowerConfig,
    make=_source,
    capabilities=frozenset({ENGINE, "linearise"}),
)
SOLVER = SolverPlugin(
    name="pandapower",
    summary="State by state with pandapower: runpp for balanced nets, runpp_3ph for unbalanced ones",
    config=PandapowerSolverConfig,
    make=_solver,
    capabilities=frozenset({ENGINE}),
)


@hookimpl
def hostcap_networks() -> Iterable[NetworkPlugin[Any]]:
    """The network source."""
    return [NETWORK]


@hookimpl
def hostcap_solvers() -> Iterable[SolverPlugin[Any]]:
    """The solver."""
    return [SOLVER]
