"""Registers the solver ``power-grid-model``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from hostcap.plugins import Extra, SolverPlugin, hookimpl
from hostcap_contrib.power_grid_model.config import PowerGridModelConfig

if TYPE_CHECKING:
    from hostcap_contrib.power_grid_model.solver import PowerGridModelSolver

EXTRA = Extra(modules=("power_grid_model",), install="hostcap[power-grid-model]")


def _make(config: PowerGridModelConfig) -> PowerGridModelSolver:
    EXTRA.require("solver 'power-grid-model'")
    from hostcap_contrib.power_grid_model.solver import PowerGridModelSolver

    return PowerGridModelSolver(config=config)


POWER_GRID_MODEL = SolverPlugin(
    name="power-grid-model",
    summary="Asymmetric batches of three-phase networks on the engine power-grid-model",
    config=PowerGridModelConfig,
    make=_make,
    capabilities=frozenset({"opendss-engine", "linearise"}),
    extra=EXTRA,
)


@hookimpl
def hostcap_solvers() -> Iterable[SolverPlugin[Any]]:
    """The solver."""
    return [POWER_GRID_MODEL]
