"""Searches from several starts at once: each as it is alone, in one batch a round, those that are finished left out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from scripted_plans import Script, ScriptedPlan, by_step, from_own_level, scripts

from hostcap._arrays import IntArray
from hostcap.errors import NotConvergedError, StoppedError
from hostcap.limits import Extremes
from hostcap.power_flow import Plan, States
from hostcap.search import STATUSES, LockOutWalk, SearchRules, Status, joint_lock_out_search, lock_out_search


class ScriptedStarts:
    """Plans of several starts; remembers which start each state of each batch belonged to."""

    def __init__(self, plans: list[ScriptedPlan]) -> None:
        self.plans = plans
        self.batches: list[list[int]] = []

    def extremes(self, start: IntArray, levels: IntArray) -> States:
        assert start.dtype == levels.dtype == np.int32
        assert len(start) == len(levels)
        assert np.all(np.diff(start) >= 0), "states of one start lie together"
        self.batches.append(start.tolist())
        parts = [self.plans[i].solve(levels[k : k + 1], {"extremes"}) for k, i in enumerate(start.tolist())]
        margin = [part.extremes.margin for part in parts if part.extremes is not None]
        row = [part.extremes.row for part in parts if part.extremes is not None]
        return States(
            converged=np.concatenate([part.converged for part in parts]),
            iterations=np.concatenate([part.iterations for part in parts]),
            extremes=Extremes(
                margin=np.concatenate(margin), row=np.concatenate(row), families=("voltage-high", "thermal")
            ),
        )

    def of(self, start: int) -> Plan:
        raise AssertionError("a search asks for no plan")

    def close(self) -> None:
        pass


def begun(grows: tuple[bool, ...], **rules: Any) -> LockOutWalk:
    idle = np.full(len(grows), STATUSES.index(Status.NO_GROWTH), dtype=np.int32)
    return LockOutWalk(open_scopes=np.asarray(grows), idle=idle, rules=SearchRules(**rules))


def walk(script: Script) -> LockOutWalk:
    return begun(
        script.grows,
        max_steps=script.max_steps,
        stop_on_hv_violation=script.stop_on_hv,
        lock_group_on_violation=script.lock,
    )


@st.composite
def starts(draw: st.DrawFn) -> list[Script]:
    """Scripts of one feeder: what grows and the rules are the same, what is broken is not."""
    first = draw(scripts())
    others = draw(st.lists(scripts(), max_size=5))
    size = len(first.grows)
    fitting = [other for other in others if len(other.grows) == size]
    return [first, *(evolve(o, max_steps=first.max_steps, stop_on_hv=first.stop_on_hv) for o in fitting)]


@settings(max_examples=150, deadline=None, derandomize=True)
@given(several=starts(), widest=st.sampled_from([1, 2, 8, 64]))
def test_each_start_finds_what_it_finds_alone(several: list[Script], widest: int) -> None:
    plan = ScriptedStarts([script.plan() for script in several])
    found = joint_lock_out_search(plan, [walk(script) for script in several], widest=widest)
    for script, result in zip(several, found, strict=True):
        alone = lock_out_search(
            script.plan(),
            open_scopes=np.asarray(script.grows),
            idle=np.full(len(script.grows), STATUSES.index(Status.NO_GROWTH), dtype=np.int32),
            rules=SearchRules(
                max_steps=script.max_steps,
                stop_on_hv_violation=script.stop_on_hv,
                lock_group_on_violation=script.lock,
            ),
        )
        assert evolve(result, states=alone.states, rounds=alone.rounds) == alone
    assert sum(map(len, plan.batches)) == sum(result.states for result in found)
    assert len(plan.batches) == max(result.rounds for result in found)


def test_a_start_that_is_finished_drops_out_of_the_batch() -> None:
    plan = ScriptedStarts([ScriptedPlan(from_own_level(first)) for first in (3, 40, None)])
    found = joint_lock_out_search(plan, [begun((True,), max_steps=50) for _ in range(3)], widest=1)
    assert [result.level.tolist() for result in found] == [[2], [39], [50]]
    assert plan.batches[:4] == [[0, 1, 2]] * 4
    assert plan.batches[4:41] == [[1, 2]] * 37
    assert plan.batches[41:] == [[2]] * 10


def test_a_wide_batch_is_shared_out_among_the_searches_that_are_open() -> None:
    plan = ScriptedStarts([ScriptedPlan(from_own_level(None)) for _ in range(4)])
    joint_lock_out_search(plan, [begun((True,), max_steps=200) for _ in range(4)], widest=64)
    assert max(map(len, plan.batches)) == 64
    plan = ScriptedStarts([ScriptedPlan(from_own_level(None)) for _ in range(40)])
    joint_lock_out_search(plan, [begun((True,), max_steps=200) for _ in range(40)], widest=64)
    assert max(map(len, plan.batches)) == 8 * 40, "a search has no fewer than eight states of its own"


def test_a_start_without_a_solution_is_an_error() -> None:
    plans = [ScriptedPlan(by_step()), ScriptedPlan(by_step(), diverges=lambda levels: True)]
    with pytest.raises(NotConvergedError, match="start does not converge"):
        joint_lock_out_search(ScriptedStarts(plans), [begun((True,), max_steps=5) for _ in plans])


def test_report_hears_how_many_are_finished_and_may_stop() -> None:
    told: list[tuple[int, int]] = []

    def report(done: int, most: int) -> None:
        told.append((done, most))
        if done == 1:
            raise StoppedError("enough")

    plan = ScriptedStarts([ScriptedPlan(from_own_level(2)), ScriptedPlan(from_own_level(5))])
    with pytest.raises(StoppedError):
        joint_lock_out_search(plan, [begun((True,), max_steps=9) for _ in range(2)], report=report)
    assert told == [(0, 2), (0, 2), (1, 2)]


def test_no_search_is_no_work() -> None:
    plan = ScriptedStarts([])
    assert joint_lock_out_search(plan, []) == ()
    assert plan.batches == []
