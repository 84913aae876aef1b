"""Registers the network source and the solver ``pandapower``; the engine is imported when one is made."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from hostcap.plugins import Extra, NetworkPlugin, SolverPlugin, hookimpl
from hostcap_stock.pandapower.config import PandapowerConfig, PandapowerSolverConfig

if TYPE_CHECKING:
    from hostcap.plugins.kinds import NetworkSource
    from hostcap.power_flow import Solver

ENGINE = "pandapower-engine"
EXTRA = Extra(modules=("pandapower",), install="hostcap[pandapower]")


def _source(config: PandapowerConfig) -> NetworkSource:
    EXTRA.require("network 'pandapower'")
    from hostcap_stock.pandapower.source import PandapowerSource

    return PandapowerSource(config=config)


def _solver(config: PandapowerSolverConfig) -> Solver:
    EXTRA.require("solver 'pandapower'")
    from hostcap_stock.pandapower.solver import PandapowerSolver

    return PandapowerSolver(config=config)


NETWORK = NetworkPlugin(
    name="pandapower",
    summary="pandapower nets: JSON files, and the networks that pandapower ships",
    config=PandapowerConfig,
    make=_source,
    capabilities=frozenset({ENGINE, "linearise"}),
    extra=EXTRA,
)
SOLVER = SolverPlugin(
    name="pandapower",
    summary="State by state with pandapower: runpp for balanced nets, runpp_3ph for unbalanced ones",
    config=PandapowerSolverConfig,
    make=_solver,
    capabilities=frozenset({ENGINE}),
    extra=EXTRA,
)


@hookimpl
def hostcap_networks() -> Iterable[NetworkPlugin[Any]]:
    """The network source."""
    return [NETWORK]


@hookimpl
def hostcap_solvers() -> Iterable[SolverPlugin[Any]]:
    """The solver."""
    return [SOLVER]
