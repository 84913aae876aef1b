"""Headroom studies for Python users: construct the parts, run them on a network."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import attrs
from attrs import field, frozen
from attrs.validators import optional

from hostcap.composing import YEAR, check_study, run_study
from hostcap.errors import ConfigError
from hostcap.network import Network
from hostcap.plugins.kinds import Allocation, Constraint, InitialState, Injection, Preview, Profiles, Progress, Study
from hostcap.power_flow import Solver
from hostcap.tables import Results
from hostcap_stock.allocations import Uniform
from hostcap_stock.batched.solver import BatchedSolver
from hostcap_stock.headroom.config import HvNodeHeadroomConfig, LvHeadroomConfig
from hostcap_stock.headroom.hv_node import HvNodeHeadroomStudy
from hostcap_stock.headroom.lv import LvHeadroomStudy
from hostcap_stock.initial_states import AsModelled
from hostcap_stock.injections import NegativeLoad

_SUCH_AS = "Voltage(config=VoltageConfig(lv_max_v=253.0))"


def _some(value: Sequence[Constraint]) -> tuple[Constraint, ...]:
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise ConfigError(f"constraints: expected a list of objects, such as [{_SUCH_AS}], got {value!r}")
    found = tuple(value)
    if not found:
        raise ConfigError(f"constraints: give at least one, such as {_SUCH_AS}")
    for each in found:
        _constructed(None, "constraints", each)
    return found


def _constructed(study: Any, part: Any, value: Any) -> None:
    """A validator of parts: names and classes stand for parts in study files and registries, not here."""
    name = part if isinstance(part, str) else part.name
    if isinstance(value, type):
        raise ConfigError(
            f"{name}: expected an object, got the class {value.__name__}; construct it: {value.__name__}()"
        )
    if isinstance(value, (str, int, float, type(None))):
        raise ConfigError(f"{name}: expected an object that was constructed, such as BatchedSolver(), got {value!r}")


class _Composed:
    """A study of parts that can be run on a network; what a subclass has beyond its settings are the parts."""

    __slots__ = ()

    def _study(self) -> Study:
        raise AttributeError

    def run(
        self,
        network: Network,
        *,
        year: int = YEAR,
        progress: Progress | None = None,
        should_stop: Callable[[], bool] | None = None,
    ) -> Results:
        """Search one feeder; every table of the answer as a data frame with ``results.to_pandas(name)``.

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


def _apart(composed: Any, settings: type) -> tuple[dict[str, Any], dict[str, Any]]:
    """Settings and parts of a composed study."""
    own = {f.name for f in attrs.fields(settings)}
    values = {f.name: getattr(composed, f.name) for f in attrs.fields(type(composed))}
    return {k: v for k, v in values.items() if k in own}, {k: v for k, v in values.items() if k not in own}


@frozen(kw_only=True)
class LVHeadroom(_Composed, LvHeadroomConfig):
    """How much more every customer under every distribution transformer can have.

    Besides the parts it takes the settings of the study ``lv-headroom``: ``step_kw_per_customer`` (kW, > 0),
    ``max_steps`` and the others of ``LvHeadroomConfig``. Any object with a part's methods will do; nothing needs to be
    registered. The answer is the table ``lv_group_hosting_capacity``. Source of the method:
    docs/explanation/headroom-method.md.

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
    initial_state: InitialState = field(factory=AsModelled, validator=_constructed)
    injection: Injection = field(factory=NegativeLoad, validator=_constructed)
    allocation: Allocation = field(factory=Uniform, validator=_constructed)
    solver: Solver = field(factory=BatchedSolver, validator=_constructed)
    profiles: Profiles | None = field(default=None, validator=optional(_constructed))
    checker: Solver | None = field(default=None, validator=optional(_constructed))

    def _study(self) -> Study:
        settings, parts = _apart(self, LvHeadroomConfig)
        return LvHeadroomStudy(config=LvHeadroomConfig(**settings), **parts)


@frozen(kw_only=True)
class HVNodeHeadroom(_Composed, HvNodeHeadroomConfig):
    """How much one HV location at a time can take.

    Besides the parts it takes the settings of the study ``hv-node-headroom``: ``step_kw_per_node`` (kW, > 0),
    ``max_steps_per_node``, ``location_kinds`` and the others of ``HvNodeHeadroomConfig``. The answer is the table
    ``hv_node_headroom``. Source of the method: docs/explanation/headroom-method.md.

    Attributes:
        constraints: Limits to watch; at least one.
        initial_state: Where the search starts.
        injection: What one kW of growth is electrically.
        solver: What solves the states.
        profiles: What customers do over time, for parts that ask for it.
        checker: A second solver, which solves the reported states again; differences are findings.
    """

    constraints: Sequence[Constraint] = field(converter=_some)
    initial_state: InitialState = field(factory=AsModelled, validator=_constructed)
    injection: Injection = field(factory=NegativeLoad, validator=_constructed)
    solver: Solver = field(factory=BatchedSolver, validator=_constructed)
    profiles: Profiles | None = field(default=None, validator=optional(_constructed))
    checker: Solver | None = field(default=None, validator=optional(_constructed))

    def _study(self) -> Study:
        settings, parts = _apart(self, HvNodeHeadroomConfig)
        return HvNodeHeadroomStudy(config=HvNodeHeadroomConfig(**settings), **parts)
