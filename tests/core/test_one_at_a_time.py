"""The search of scopes one at a time on artificial plans, against a plain loop."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostcap.errors import NotConvergedError, StoppedError
from hostcap.limits import Extremes
from hostcap.one_at_a_time import AloneResult, search_one_at_a_time
from hostcap.power_flow import States
from hostcap.search import NEVER, STATUSES

HOLDS, BROKEN, DIVERGED = "holds", "broken", "diverged"
GROUPS = 3


class TablePlan:
    """What each scope does alone at each step is written in a table; ``table[scope][step]`` from step 1 on."""

    def __init__(self, table: Sequence[Sequence[str]], *, start: str = HOLDS, margin: float = 0.25) -> None:
        self.table, self.start, self.margin = table, start, margin
        self.asked: list[tuple[int, int]] = []
        self.sizes: list[int] = []

    def solve(self, levels: Any, want: Collection[str]) -> States:
        assert levels.dtype == np.int32
        assert set(want) == {"extremes"}
        assert np.all(np.count_nonzero(levels, axis=1) <= 1), "one scope at a time"
        self.sizes.append(len(levels))
        margin = np.full((len(levels), GROUPS, 2), np.inf)
        margin[:, :, 1] = self.margin
        converged = np.ones(len(levels), dtype=bool)
        for state, row in enumerate(levels):
            if row.any():
                scope, step = int(np.argmax(row)), int(row.max())
                self.asked.append((scope, step))
                what = self.table[scope][step - 1]
            else:
                what = self.start
            converged[state] = what != DIVERGED
            if what == BROKEN:
                margin[state, state % GROUPS, 0] = -0.1
        margin[~converged] = np.nan
        return States(
            converged=converged,
            iterations=np.full(len(levels), 5),
            extremes=Extremes(margin=margin, row=np.zeros(margin.shape), families=("voltage-high", "thermal")),
        )

    def solve_injections(self, p_kw: Any, q_kvar: Any, want: Collection[str]) -> States:
        raise AssertionError("not a time series")

    def close(self) -> None: ...


def plain(table: Sequence[Sequence[str]], start: str) -> list[tuple[int, str, int]]:
    """Section 6 of the method, read aloud: level, status and iteration of each scope."""
    answers = []
    for steps in table:
        answer = (len(steps), "unconstrained", NEVER)
        if start == BROKEN:
            answer = (0, "bound_at_start", 0)
        else:
            for n, what in enumerate(steps, start=1):
                if what == BROKEN:
                    answer = (n - 1, "bound", n)
                    break
                if what == DIVERGED:
                    answer = (n - 1, "diverged", NEVER)
                    break
        answers.append(answer)
    return answers


def rows(result: AloneResult) -> list[tuple[int, str, int]]:
    statuses = [STATUSES[s].value for s in result.status]
    return list(zip(result.level.tolist(), statuses, result.iteration.tolist(), strict=True))


def search(plan: TablePlan, **more: Any) -> AloneResult:
    return search_one_at_a_time(plan, scopes=len(plan.table), max_steps=len(plan.table[0]), **more)


WHAT = st.sampled_from([HOLDS, HOLDS, HOLDS, HOLDS, BROKEN, DIVERGED])


@given(
    st.integers(1, 12).flatmap(
        lambda steps: st.lists(st.lists(WHAT, min_size=steps, max_size=steps), min_size=1, max_size=9)
    ),
    st.integers(1, 40),
    st.sampled_from([HOLDS, HOLDS, HOLDS, BROKEN]),
)
def test_every_scope_gets_the_answer_of_a_plain_loop_however_wide_the_batches(
    table: list[list[str]], widest: int, start: str
) -> None:
    plan = TablePlan(table, start=start)
    result = search(plan, widest=widest)
    assert rows(result) == plain(table, start)
    assert max(plan.sizes) <= widest
    assert len(set(plan.asked)) == len(plan.asked), "no state is solved twice"
    assert result.states == len(plan.asked) + 1
    assert result.rounds == len(plan.sizes)
    for scope, (level, _, iteration) in enumerate(rows(result)):
        deciding = level if iteration == 0 else min(level + 1, len(table[0]))
        assert {s for own, s in plan.asked if own == scope} >= set(range(1, deciding + 1)) or start == BROKEN


@given(st.lists(st.lists(WHAT, min_size=6, max_size=6), min_size=1, max_size=9))
def test_one_state_at_a_time_solves_nothing_beyond_the_deciding_step(table: list[list[str]]) -> None:
    plan = TablePlan(table)
    result = search(plan)
    needed = sum(level + (status != "unconstrained") for level, status, _ in rows(result))
    assert len(plan.asked) == needed


def test_a_limit_that_heals_again_still_decides_where_it_was_first_broken() -> None:
    table = [[HOLDS, BROKEN, HOLDS, HOLDS], [HOLDS] * 4]
    for widest in (1, 2, 8):
        assert rows(search(TablePlan(table), widest=widest)) == [(1, "bound", 2), (4, "unconstrained", NEVER)]


def test_a_batch_is_filled_with_further_steps_when_few_scopes_are_left() -> None:
    plan = TablePlan([[BROKEN] * 20, [HOLDS] * 20])
    search(plan, widest=8)
    assert plan.sizes == [1, 8, 8, 8]


def test_a_broken_start_is_not_searched() -> None:
    plan = TablePlan([[HOLDS] * 3] * 2, start=BROKEN)
    result = search(plan)
    assert rows(result) == [(0, "bound_at_start", 0)] * 2
    assert plan.asked == []


def test_a_start_without_a_solution_is_an_error() -> None:
    with pytest.raises(NotConvergedError, match="the start does not converge"):
        search(TablePlan([[HOLDS]], start=DIVERGED))


def test_a_hair_from_the_limit_is_a_near_tie() -> None:
    assert search(TablePlan([[HOLDS] * 3], margin=0.9e-5)).near_tie.tolist() == [True]
    assert search(TablePlan([[HOLDS] * 3], margin=1.1e-5)).near_tie.tolist() == [False]


def test_progress_never_falls_and_ends_at_its_total() -> None:
    told: list[tuple[int, int]] = []
    search(
        TablePlan([[HOLDS, BROKEN, HOLDS], [DIVERGED] * 3, [HOLDS] * 3]),
        widest=2,
        report=lambda done, most: told.append((done, most)),
    )
    assert told == sorted(told)
    assert told[-1] == (9, 9)


def test_what_the_report_raises_stops_the_search() -> None:
    def stop(done: int, most: int) -> None:
        raise StoppedError("enough")

    with pytest.raises(StoppedError, match="enough"):
        search(TablePlan([[HOLDS] * 3]), report=stop)


def test_no_scopes_give_no_levels() -> None:
    assert search_one_at_a_time(TablePlan([]), scopes=0, max_steps=3).level.size == 0
