"""How the answer of a search was come by: states, rounds, seconds by stage, and the trail of each group."""

from __future__ import annotations

import time
from typing import Any

from hostcap.network import Network
from hostcap.search import SearchResult

TRAIL_DIGITS = 6


class Stopwatch:
    """Seconds by stage, in the order they were lapped."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, stage: str) -> None:
        """End a stage."""
        now = time.perf_counter()
        self.seconds[stage] = round(now - self._last, 4)
        self._last = now


def search_summary(network: Network, result: SearchResult, seconds: dict[str, float]) -> dict[str, Any]:
    """The run summary of one feeder; ``trail`` is the smallest relative margin by step of every group."""
    margins = result.trail_margin.round(TRAIL_DIGITS)
    names = ["feeder", *map(str, network.groups.id)]
    return {
        "states_solved": result.states,
        "rounds": result.rounds,
        "last_step": result.last_step,
        "seconds": seconds,
        "trail": {
            "step": result.trail_step.tolist(),
            "margin": {
                name: [value if abs(value) < 1e300 else None for value in margins[:, g].tolist()]
                for g, name in enumerate(names)
            },
        },
    }
