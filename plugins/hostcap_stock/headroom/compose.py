"""Headroom studies for Python users: construct the parts, run them on a network."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import attrs
from attrs import field, frozen

from hostcap.composing import YEAR, check_study, run_study
from hostcap.errors import ConfigError
from hostcap.network import Network
from hostcap.plugins.kinds import Allocation, Constraint, InitialState, Injection, Preview, Profiles, Progress
from hostcap.power_flow import Solver
from hostcap.tables import Results
from hostcap_stock.allocations import Uniform
from hostcap_stock.batched.solver import BatchedSolver
from hostcap_stock.headroom.config import LvHeadroomConfig
from hostcap_stock.headroom.lv import LvHeadroom
from hostcap_stock.initial_states import AsModelled
from hostcap_stock.injections import NegativeLoad


def _some(value: Sequence[Constraint]) -> tuple[Constraint, ...]:
    found = tuple(value)
    if not found:
        raise ConfigError("constraints: give at least one, such as Voltage(config=VoltageConfig(lv_max_v=253.0))")
    return found


@frozen(kw_only=True)
class LVHeadroom(LvHeadroomConfig):
    """How much more every customer under every distribution transformer can have.

    Besides the parts it takes the settings of the study ``lv-headroom``: ``step_kw_per_customer`` (kW, > 0),
    ``max_steps`` and the others of ``LvHeadroomConfig``. Any object with a part's methods will do; nothing needs to be
    registered. Source of the method: docs/explanation/headroom-method.md.

    Attributes:
        constraints: Limits to watch; at least one.
        initial_state: Where the search starts.
        injection: What one kW of growth is electrically.
        allocation: How growth is shared among customers.
        solver: What solves the states.
        profiles: What customers do over time, for parts that ask for it.
        checker: A second solver, which solves the reported states again; differences are findings.
    """

    constraints: Sequence[Constraint] = field(converter=_some)
    initial_state: InitialState = field(factory=AsModelled)
    injection: Injection = field(factory=NegativeLoad)
    allocation: Allocation = field(factory=Uniform)
    solver: Solver = field(factory=BatchedSolver)
    profiles: Profiles | None = None
    checker: Solver | None = None

    def run(
        self,
        network: Network,
        *,
        year: int = YEAR,
        progress: Progress | None = None,
        should_stop: Callable[[], bool] | None = None,
    ) -> Results:
        """Search one feeder; ``results.to_pandas("lv_group_hosting_capacity")`` is the answer.

        Args:
            network: The feeder, as a network source loaded it.
            year: Label of the year in the tables, and the year of starts that say no time.
            progress: Told (stage, done, total).
            should_stop: Asked between batches of states; True ends the run.

        Raises:
            ConfigError: A part does not fit the feeder, or the network came from no source.
            NotConvergedError: The start has no solution.
            StoppedError: ``should_stop`` said so.
        """
        return run_study(self._study(), network, year=year, progress=progress, should_stop=should_stop)

    def check(self, network: Network, *, year: int = YEAR) -> Preview:
        """Solve the start and say what ``run`` would do; errors as there."""
        return check_study(self._study(), network, year=year)

    def _study(self) -> LvHeadroom:
        own = {f.name for f in attrs.fields(LvHeadroomConfig)}
        parts = {f.name: getattr(self, f.name) for f in attrs.fields(type(self)) if f.name not in own}
        config = LvHeadroomConfig(**{name: getattr(self, name) for name in own})
        return LvHeadroom(config=config, **parts)
