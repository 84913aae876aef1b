"""Registers the solver ``power-grid-model``."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from hostcap.errors import PluginError
from hostcap.plugins import SolverPlugin, hookimpl
from hostcap_contrib.power_grid_model.config import PowerGridModelConfig

if TYPE_CHECKING:
    from hostcap_contrib.power_grid_model.solver import PowerGridModelSolver


def require_power_grid_model() -> None:
    """Say how to install the engine where it is missing.

    Raises:
        PluginError: power-grid-model is not installed.
    """
    if getattr(find_spec("power_grid_model"), "origin", None) is None:
        raise PluginError(
            "solver 'power-grid-model': the package power-grid-model is not installed; "
            "pip install 'hostcap[power-grid-model]'"
        )


def _make(config: PowerGridModelConfig) -> PowerGridModelSolver:
    require_power_grid_model()
    from hostcap_contrib.power_grid_model.solver import PowerGridModelSolver

    return PowerGridModelSolver(config=config)


POWER_GRID_MODEL = SolverPlugin(
    name="power-grid-model",
    summary="Asymmetric batches of three-phase networks on the engine power-grid-model",
    config=PowerGridModelConfig,
    make=_make,
    capabilities=frozenset({"opendss-engine", "linearise"}),
)


@hookimpl
def hostcap_solvers() -> Iterable[SolverPlugin[Any]]:
    """The solver."""
    return [POWER_GRID_MODEL]
