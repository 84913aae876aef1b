"""Registers the solver ``batched``; numba is imported when a plan is made."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from hostcap.plugins import SolverPlugin, hookimpl
from hostcap_stock.batched.config import BatchedConfig

if TYPE_CHECKING:
    from hostcap.power_flow import Solver


def _solver(config: BatchedConfig) -> Solver:
    from hostcap_stock.batched.solver import BatchedSolver

    return BatchedSolver(config=config)


SOLVER = SolverPlugin(
    name="batched",
    summary="Many states at once on compiled kernels; the same answers as the engine, tens of times faster",
    config=BatchedConfig,
    make=_solver,
    capabilities=frozenset({"linearise"}),
)


@hookimpl
def hostcap_solvers() -> Iterable[SolverPlugin[Any]]:
    """The solver."""
    return [SOLVER]
