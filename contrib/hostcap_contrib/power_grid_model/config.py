"""Settings of the solver; light to import."""

from __future__ import annotations

from typing import Literal

from attrs import field, frozen

from hostcap.config import about, between, non_negative, positive


@frozen(kw_only=True)
class PowerGridModelConfig:
    """How power-grid-model solves a batch of states."""

    method: Literal["iterative-current", "newton-raphson"] = field(
        default="iterative-current",
        metadata=about("Fixed-point current injection with one factorisation, or Newton's method"),
    )
    tolerance_pu: float = field(
        default=1e-8,
        validator=between(1e-12, 1e-4),
        metadata=about("Largest voltage change in the last iteration", unit="pu"),
    )
    max_iterations: int = field(default=100, validator=positive, metadata=about("Most iterations of one state"))
    threads: int = field(default=0, validator=non_negative, metadata=about("Threads of a batch; 0 for all cores"))
