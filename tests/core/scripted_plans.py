"""Plans whose violations are written down, and the search over them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

import numpy as np
from attrs import frozen
from hypothesis import strategies as st

from hostcap.limits import Extremes
from hostcap.power_flow import States
from hostcap.search import STATUSES, SearchResult, SearchRules, Status, lock_out_search

HV = 0
Levels = tuple[int, ...]


class ScriptedPlan:
    """A plan whose violations are written down; group 0 is the feeder, group g is scope g - 1.

    What is broken may depend on the whole level vector. While a scope is open its level is the step, so that the
    largest level is the step.
    """

    def __init__(
        self,
        broken: Callable[[Levels], Collection[int]],
        *,
        diverges: Callable[[Levels], bool] = lambda levels: False,
        margins: Callable[[Levels], dict[int, float]] = lambda levels: {},
    ) -> None:
        self.broken, self.diverges, self.margins = broken, diverges, margins
        self.solved: list[Levels] = []
        self.wanted: list[set[str]] = []

    def solve(self, levels: Any, want: Collection[str]) -> States:
        assert levels.dtype == np.int32
        assert levels.ndim == 2
        assert np.all(levels >= 0)
        margin = np.full((levels.shape[0], levels.shape[1] + 1, 2), np.inf)
        converged = np.ones(levels.shape[0], dtype=bool)
        for state, vector in enumerate(tuple(map(int, row)) for row in levels):
            self.solved.append(vector)
            self.wanted.append(set(want))
            converged[state] = not self.diverges(vector)
            margin[state, :, 0] = 0.25
            for group, value in self.margins(vector).items():
                margin[state, group, 0] = value
            for group in self.broken(vector):
                margin[state, group, 1] = -0.25
        margin[~converged] = np.nan
        row = np.where(np.isfinite(margin), 0, -1)
        return States(
            converged=converged,
            iterations=np.full(len(converged), 7),
            extremes=Extremes(margin=margin, row=row, families=("voltage-high", "thermal")),
        )

    def close(self) -> None:
        pass


def by_step(**script: Sequence[int]) -> Callable[[Levels], Collection[int]]:
    """Broken groups by step: ``by_step(s3=[1, 2])``; the step is the largest level."""
    table = {int(key[1:]): groups for key, groups in script.items()}
    return lambda levels: table.get(max(levels), ())


def from_own_level(*first: int | None) -> Callable[[Levels], Collection[int]]:
    """Scope i is broken from its own level ``first[i]`` on; None never."""

    def broken(levels: Levels) -> Collection[int]:
        return [i + 1 for i, (own, limit) in enumerate(zip(levels, first, strict=True)) if limit and own >= limit]

    return broken


def search(
    plan: ScriptedPlan, grows: str, *, max_steps: int = 10, stop_on_hv: bool = True, lock: bool = True, **more: Any
) -> SearchResult:
    """``grows``: a letter a scope: ``g`` may grow, ``n`` has no growth, ``c`` no customers."""
    idle = {"g": Status.NO_GROWTH, "n": Status.NO_GROWTH, "c": Status.NO_CUSTOMERS}
    return lock_out_search(
        plan,
        open_scopes=np.array([letter == "g" for letter in grows]),
        idle=np.array([STATUSES.index(idle[letter]) for letter in grows], dtype=np.int32),
        rules=SearchRules(max_steps=max_steps, stop_on_hv_violation=stop_on_hv, lock_group_on_violation=lock),
        **more,
    )


def statuses(result: SearchResult) -> list[str]:
    return [STATUSES[s].value for s in result.status]


def breaking(result: SearchResult) -> dict[int, list[int]]:
    return {int(s): row.tolist() for s, row in zip(result.breaking_step, result.breaking_levels, strict=True)}


@frozen(kw_only=True)
class Script:
    """A random plan: group g is broken where the weighted sum of all levels is one of some numbers."""

    grows: tuple[bool, ...]
    weights: tuple[tuple[int, ...], ...]
    totals: tuple[frozenset[int], ...]
    diverges_from: int | None
    max_steps: int
    stop_on_hv: bool
    lock: bool

    def broken(self, levels: Levels) -> set[int]:
        sums = [sum(w * n for w, n in zip(row, levels, strict=True)) for row in self.weights]
        return {group for group, total in enumerate(sums) if total in self.totals[group]}

    def margins(self, levels: Levels) -> dict[int, float]:
        """Margins inside the limits, in slopes and jumps: what a search may guess from, rightly or wrongly."""
        sums = [sum(w * n for w, n in zip(row, levels, strict=True)) for row in self.weights]
        return {group: 0.02 + (-total % 11) / 10 for group, total in enumerate(sums)}

    def plan(self) -> ScriptedPlan:
        return ScriptedPlan(self.broken, diverges=self.diverges, margins=self.margins)

    def diverges(self, levels: Levels) -> bool:
        return self.diverges_from is not None and sum(levels) >= self.diverges_from


@st.composite
def scripts(draw: st.DrawFn) -> Script:
    size = draw(st.integers(1, 4))
    weight = st.integers(0, 3)
    row = st.tuples(*[weight] * size)
    totals = st.frozensets(st.integers(0, 24), max_size=4)
    return Script(
        grows=draw(st.tuples(*[st.sampled_from([True, True, True, False])] * size)),
        weights=tuple(draw(row) for _ in range(size + 1)),
        totals=tuple(draw(totals) for _ in range(size + 1)),
        diverges_from=draw(st.none() | st.integers(1, 30)),
        max_steps=draw(st.integers(1, 9)),
        stop_on_hv=draw(st.booleans()),
        lock=draw(st.booleans()),
    )
