"""The states that decided HV locations, solved again in full, a few at a time, which bounds memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from hostcap.one_at_a_time import AloneResult
from hostcap.power_flow import Plan
from hostcap.search import STATUSES, Status
from hostcap_stock.headroom.answer import SolvedState
from hostcap_stock.headroom.hv_least import START, WRITTEN_AT_ONCE, LeastOfSites
from hostcap_stock.headroom.snapshot_states import LAST_VALID, VIOLATING
from hostcap_stock.headroom.snapshot_states import START as AT_START

Opened = Callable[[LeastOfSites, int], AbstractContextManager[Plan]]
"""Opens the plan of a search again: its direction's searches, and its place among them."""


@frozen(kw_only=True)
class SiteState:
    """Which state.

    Attributes:
        site: The one that grows; ``START`` where nothing does.
        step: Its step; 0 at the start.
    """

    site: int
    step: int


def steps_of(result: AloneResult, site: int) -> Mapping[str, int]:
    """Step of each state that says how the search of a site ended, by its name in ``debug_snapshots``.

    The last valid one is that of the headroom; there is a violating one where a limit stopped the site.
    """
    status = STATUSES[result.status[site]]
    if status is Status.BOUND_AT_START:
        return {AT_START: 0, VIOLATING: 0}
    steps = {AT_START: 0, LAST_VALID: int(result.level[site])}
    return {**steps, VIOLATING: int(result.iteration[site])} if status is Status.BOUND else steps


def states_of(result: AloneResult, sites: NDArray[np.intp]) -> list[SiteState]:
    """The states of some sites, each once: the start, then site by site, steps rising."""
    found = dict.fromkeys(
        SiteState(site=site if step else START, step=step)
        for site in sites.tolist()
        for step in sorted(steps_of(result, site).values())
    )
    return sorted(found, key=lambda state: (state.site, state.step))


def solved_again(plan: Plan, states: Sequence[SiteState], sites: int) -> Iterator[tuple[SiteState, SolvedState | None]]:
    """Solve states; None for those without a solution.

    Args:
        plan: Of the search, or another solver's.
        states: Which.
        sites: How many sites the plan has.
    """
    for first in range(0, len(states), WRITTEN_AT_ONCE):
        batch = states[first : first + WRITTEN_AT_ONCE]
        levels = np.zeros((len(batch), sites), dtype=np.int32)
        for row, state in enumerate(batch):
            if state.site != START:
                levels[row, state.site] = state.step
        solved = plan.solve(levels, want={"violations", "nodes", "branches"})
        for row, state in enumerate(batch):
            if not solved.converged[row] or solved.violations is None or solved.solution is None:
                yield state, None
                continue
            yield (
                state,
                SolvedState(
                    violations=solved.violations.select(solved.violations.state == row),
                    node_v=solved.solution.node_v[row],
                    conductor_a=solved.solution.conductor_a[row],
                ),
            )
