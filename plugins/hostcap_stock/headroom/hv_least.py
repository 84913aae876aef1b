"""What each site takes by itself, the least of several instants, and the violations that decided it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import datetime
from typing import TypeVar

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from hostcap._arrays import ComplexArray, FloatArray, IntArray
from hostcap.findings import Finding
from hostcap.growth import Direction
from hostcap.limits import Violations
from hostcap.network import Regulators
from hostcap.one_at_a_time import AloneResult
from hostcap.operating_point import OperatingPoint
from hostcap.power_flow import Plan
from hostcap.search import STATUSES, Status
from hostcap_stock.headroom.usage_records import Bound, Explain, Usage

START = -1
"""Key of the violations of a start that is broken before anything grows: all sites share them."""
T = TypeVar("T")
WRITTEN_AT_ONCE = 8
"""Most states whose voltages and currents are held at once, which bounds memory."""


@frozen(kw_only=True, eq=False)
class SitesSearched:
    """One search of every site: of one direction, from one start.

    Attributes:
        direction: Whether growth generates or consumes.
        operating_point: The start.
        per_kw: What one kW of growth injects or draws at the instant, > 0; 1 unless growth follows a profile.
        result: What was found.
        started: What was noticed on the way to the start from its operating point.
    """

    direction: Direction
    operating_point: OperatingPoint
    per_kw: float
    result: AloneResult
    started: tuple[Finding, ...]

    @property
    def instant(self) -> datetime:
        """The instant of the start."""
        return self.operating_point.instant


class LeastOfSites:
    """Least headroom of each site over the starts searched so far, of one direction; the earliest of equals.

    Attributes:
        searches: In the order of their instants.
        answering: Place in ``searches`` of the one that answers for each site, shape (site,).
        violations: Broken limits of each deciding state, by place and site (or ``START``).
        usage: Who is behind the first of each of them, likewise; of those that were explained.
        unsaid: Why nobody is, of those of them without a usage.
        out_of_band: How far each regulator is out of its band with a site at its level, V of the control and negative
            within, by place and site; only sites that put one out.
    """

    def __init__(self, sites: int, regulators: Regulators) -> None:
        """Nothing is searched yet."""
        self._regulators = regulators
        self.out_of_band: dict[tuple[int, int], FloatArray] = {}
        self.searches: list[SitesSearched] = []
        self.answering: IntArray = np.full(sites, -1, dtype=np.int32)
        self.violations: dict[tuple[int, int], Violations] = {}
        self.usage: dict[tuple[int, int], Usage] = {}
        self.unsaid: dict[tuple[int, int], str] = {}
        self._level: IntArray = np.full(sites, np.iinfo(np.int32).max, dtype=np.int32)

    def add(self, searched: SitesSearched, plan: Plan, *, widest: int) -> None:
        """Take a search, and solve the states again that decided the sites with the least headroom so far.

        Args:
            searched: The search.
            plan: Its plan, still open.
            widest: Most states solved at once.
        """
        place, result = len(self.searches), searched.result
        self.searches.append(searched)
        less = result.level < self._level
        self._level[less], self.answering[less] = result.level[less], place
        bound = less & (result.status == STATUSES.index(Status.BOUND))
        for site, found in _deciding(plan, result, np.flatnonzero(bound), widest).items():
            self.violations[place, site] = found
        if np.any(less & (result.status == STATUSES.index(Status.BOUND_AT_START))):
            self.violations[place, START] = _of_states(plan, np.zeros((1, less.size), dtype=np.int32))[0]
        self.violations = self._kept(self.violations)
        self.usage, self.unsaid = self._kept(self.usage), self._kept(self.unsaid)
        for site, volts in _beyond_band(plan, result, np.flatnonzero(less & (result.level > 0)), self._regulators):
            self.out_of_band[place, site] = volts
        self.out_of_band = self._kept(self.out_of_band)

    def explain(self, plan: Plan, explain: Explain) -> None:
        """Say who is behind the limits that bind in the last search.

        Args:
            plan: Its plan, still open.
            explain: What explains them.
        """
        place = len(self.searches) - 1
        result = self.searches[place].result
        sites = sorted(site for of, site in self.violations if of == place)
        levels = np.zeros((len(sites), result.level.size), dtype=np.int32)
        for state, site in enumerate(sites):
            if site != START:
                levels[state, site] = result.iteration[site]
        bounds = [
            Bound.first(str(site), self.violations[place, site], state, grown=site != START)
            for state, site in enumerate(sites)
        ]
        found = explain(bounds, levels, lambda states: _voltages(plan, levels[states]))
        self.usage |= {(place, int(key)): usage for key, usage in found.usage.items()}
        self.unsaid |= {(place, int(key)): why for key, why in found.unsaid.items()}

    def _kept(self, found: dict[tuple[int, int], T]) -> dict[tuple[int, int], T]:
        """What belongs to sites that are answered for where it was found."""
        return {key: value for key, value in found.items() if self._answers(*key)}

    def _answers(self, place: int, site: int) -> bool:
        return bool(np.any(self.answering == place)) if site == START else bool(self.answering[site] == place)


def _deciding(plan: Plan, result: AloneResult, sites: NDArray[np.intp], widest: int) -> dict[int, Violations]:
    found: dict[int, Violations] = {}
    for first in range(0, sites.size, widest):
        batch = sites[first : first + widest]
        levels = np.zeros((batch.size, result.level.size), dtype=np.int32)
        levels[np.arange(batch.size), batch] = result.iteration[batch]
        found |= zip(batch.tolist(), _of_states(plan, levels), strict=True)
    return found


def _voltages(plan: Plan, levels: IntArray) -> ComplexArray:
    """Node voltages of some states, V, shape (state, node)."""
    solution = plan.solve(levels, want={"nodes"}).solution
    if solution is None:
        raise AssertionError("the plan returned no voltages although they were asked for")
    return solution.node_v


def _of_states(plan: Plan, levels: IntArray) -> list[Violations]:
    """Violations of each state, ranked."""
    states = plan.solve(levels, want={"violations"})
    violations = states.violations
    if violations is None or not np.all(states.converged):
        raise AssertionError("a state that the search solved does not solve again: the plan is not deterministic")
    # They come sorted by state.
    ends = np.searchsorted(violations.state, np.arange(len(levels) + 1))
    return [violations.select(slice(first, end)) for first, end in itertools.pairwise(ends)]


def _beyond_band(
    plan: Plan, result: AloneResult, sites: NDArray[np.intp], regulators: Regulators
) -> Iterator[tuple[int, FloatArray]]:
    """Sites that, at their levels, put a regulator out of its band, which stayed where the start had frozen it."""
    if regulators.name.size == 0:
        return
    for first in range(0, sites.size, WRITTEN_AT_ONCE):
        batch = sites[first : first + WRITTEN_AT_ONCE]
        levels = np.zeros((batch.size, result.level.size), dtype=np.int32)
        levels[np.arange(batch.size), batch] = result.level[batch]
        solution = plan.solve(levels, want={"nodes", "branches"}).solution
        if solution is None:
            raise AssertionError("the plan returned no voltages although they were asked for")
        for state, site in enumerate(batch.tolist()):
            beyond = regulators.beyond_v(regulators.sensed_v(solution.node_v[state], solution.conductor_a[state]))
            if np.any(beyond > 0):
                yield site, beyond
