"""Settings that solvers share which iterate on voltages; light to import."""

from __future__ import annotations

from attrs import field, frozen

from hostcap.config import about, between


@frozen(kw_only=True)
class Iterating:
    """When a state counts as solved, and when as diverged."""

    tolerance_pu: float = field(
        default=1e-6,
        validator=between(1e-12, 1e-2),
        metadata=about("Largest change of a live node's voltage in the last iteration", unit="pu"),
    )
    max_iterations: int = field(
        default=100, validator=between(1, 100_000), metadata=about("Iterations after which a state is diverged")
    )
    max_control_iterations: int = field(
        default=200,
        validator=between(1, 100_000),
        metadata=about("Rounds of control actions after which the start has failed"),
    )
