"""How the answers were come by: states, rounds, seconds by stage, and the trail of each group."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hostcap.network import Network
from hostcap_stock.headroom.least import Least
from hostcap_stock.headroom.preparing import Searched, instant_words

TRAIL_DIGITS = 6


class Stopwatch:
    """Seconds by stage, in the order they were lapped."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, stage: str) -> None:
        """End a stage; one that comes again adds up."""
        now = time.perf_counter()
        self.seconds[stage] = round(self.seconds.get(stage, 0.0) + now - self._last, 4)
        self._last = now


def run_summary(network: Network, leasts: Sequence[Least], seconds: Mapping[str, float]) -> dict[str, Any]:
    """The run summary of one feeder: what all searches took, and how each direction's answer was come by.

    ``searches`` holds one entry for each direction: of several instants the one that answers for most groups, the
    earliest of equals. Its ``trail`` is the smallest relative margin by step of every group.
    """
    searches = [searched for least in leasts for searched in least.searches]
    summary: dict[str, Any] = {
        "states_solved": sum(s.result.states for s in searches),
        "rounds": sum(s.result.rounds for s in searches),
        "last_step": max(s.result.last_step for s in searches),
        "seconds": dict(seconds),
    }
    if len(searches) > len(leasts):
        summary["instants"] = len(leasts[0].searches)
    return summary | {"searches": [_searched(network, _first(least)) for least in leasts]}


def _first(least: Least) -> Searched:
    places, counts = np.unique(least.answering, return_counts=True)
    return least.searches[int(places[np.argmax(counts)])]


def _searched(network: Network, searched: Searched) -> dict[str, Any]:
    result = searched.result
    margins = result.trail_margin.round(TRAIL_DIGITS)
    names = ["feeder", *map(str, network.groups.id)]
    return {
        "direction": searched.direction.value,
        "instant": instant_words(searched.instant),
        "states_solved": result.states,
        "rounds": result.rounds,
        "last_step": result.last_step,
        "trail": {
            "step": result.trail_step.tolist(),
            "margin": {
                name: [value if abs(value) < 1e300 else None for value in margins[:, g].tolist()]
                for g, name in enumerate(names)
            },
        },
    }
