"""The reported states of HV locations once more, by another solver."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hostcap.errors import StoppedError
from hostcap.findings import Finding
from hostcap.growth import site_name
from hostcap.limits import LimitSet
from hostcap.plugins.kinds import Job
from hostcap_stock.headroom.cross_check import Comparison, compared_findings
from hostcap_stock.headroom.hv_again import Opened, SiteState, solved_again, states_of
from hostcap_stock.headroom.hv_choice import LocationChoice
from hostcap_stock.headroom.hv_least import START, LeastOfSites
from hostcap_stock.headroom.preparing import instant_words


def hv_cross_check_findings(
    job: Job,
    name: str,
    choice: LocationChoice,
    limits: LimitSet,
    leasts: Sequence[LeastOfSites],
    opened: Opened,
    by_checker: Opened,
) -> list[Finding]:
    """Solve every reported state again, by both solvers: starts, and each site at its headroom and its breaking step.

    Args:
        job: The feeder; told of each search.
        name: What the other solver is called.
        choice: The locations that were searched.
        limits: What is watched.
        leasts: What was found, direction by direction.
        opened: Opens the plan of a search again; what its states were is not held in memory.
        by_checker: The same with the other solver, which freezes starts of its own.

    Returns:
        What was compared and the largest differences; a warning for each kind of disagreement.

    Raises:
        StoppedError: ``should_stop`` said so.
    """

    def compare(seen: Comparison) -> None:
        for least in leasts:
            for place in np.unique(least.answering).tolist():
                searched = least.searches[place]
                states = states_of(searched.result, np.flatnonzero(least.answering == place))
                words = searched.direction.value
                words += f" at {instant_words(searched.instant)}" if len(least.searches) > 1 else ""
                with opened(least, place) as ours, by_checker(least, place) as theirs:
                    pairs = zip(
                        solved_again(ours, states, choice.first.size),
                        solved_again(theirs, states, choice.first.size),
                        strict=True,
                    )
                    for number, ((state, mine), (_, other)) in enumerate(pairs):
                        job.progress("cross-checking", number, len(states))
                        if job.should_stop():
                            raise StoppedError(f"feeder {job.scope.feeder!r}: stopped while cross-checking")
                        if mine is None:
                            raise AssertionError("a state that the search solved does not solve again")
                        seen.compare(f"{words}, {_where(job, choice, state)}", limits, mine, other)

    return compared_findings(job.network, name, compare)


def _where(job: Job, choice: LocationChoice, state: SiteState) -> str:
    if state.site == START:
        return "start"
    return f"{site_name(job.network, int(choice.first[state.site]))} step {state.step}"
