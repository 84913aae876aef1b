"""The lock-out search against a second implementation, read naively from the method, and laws of its batches."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from scripted_plans import HV, Levels, Script, ScriptedPlan, breaking, from_own_level, scripts, search, statuses

from hostcap.power_flow import States
from hostcap.search import NEVER


def reference(script: Script) -> dict[str, Any]:
    """Section 5, sentence by sentence; dictionaries by group from 1, no arrays."""
    groups = range(1, len(script.grows) + 1)
    open_ = {g for g in groups if script.grows[g - 1]}
    decided: dict[int, tuple[str, int, int | None]] = {}  # status, level, iteration
    breached: dict[int, int] = {}
    breaking_states: dict[int, Levels] = {}
    recorded: list[tuple[int, Levels]] = []
    solved: list[tuple[int, Levels]] = []
    s = 0
    while True:
        lock = {g: decided[g][1] for g in decided} if script.lock else {}
        state = tuple(lock.get(g, s) if script.grows[g - 1] else 0 for g in groups)
        if script.diverges(state):  # 2a
            decided |= dict.fromkeys(open_, ("diverged", s - 1, None))
            break
        solved.append((s, state))
        broken = script.broken(state)
        if script.lock:  # 2d
            for g in broken & set(decided):
                breached.setdefault(g, s)
        below = max(s - 1, 0)
        own = open_ & broken  # 1, 2b, 2c
        decided |= dict.fromkeys(own, ("bound" if s else "bound_at_start", below, s))
        open_ -= own
        stopped = 0 in broken and script.stop_on_hv
        if own or stopped:
            breaking_states[s] = state
        if stopped:  # 1, 2b
            decided |= dict.fromkeys(open_, ("stopped_by_hv", below, s))
            break
        if 0 in broken:
            recorded.append((s, state))
        if not open_:  # 2e
            break
        if s == script.max_steps:  # 3
            decided |= dict.fromkeys(open_, ("unconstrained", s, None))
            break
        s += 1
    final = [decided.get(g, ("no_growth", 0, None)) for g in groups]
    return {
        "status": [status for status, _, _ in final],
        "level": [level for _, level, _ in final],
        "iteration": [NEVER if iteration is None else iteration for _, _, iteration in final],
        "breached": [breached.get(g, NEVER) for g in groups],
        "breaking": {step: list(state) for step, state in breaking_states.items()},
        "recorded": recorded,
        "last_solved": solved[-1],
        "states": s + 1,
    }


@settings(max_examples=500, deadline=None, derandomize=True)
@given(script=scripts(), widest=st.sampled_from([1, 1, 2, 3, 5, 8, 64]))
def test_the_search_answers_as_a_naive_reading_of_the_method_does(script: Script, widest: int) -> None:
    expected = reference(script)
    plan = script.plan()
    result = search(
        plan,
        "".join("g" if grows else "n" for grows in script.grows),
        max_steps=script.max_steps,
        stop_on_hv=script.stop_on_hv,
        lock=script.lock,
        widest=widest,
    )
    assert statuses(result) == expected["status"]
    assert result.level.tolist() == expected["level"]
    assert result.final_levels.tolist() == expected["level"]
    violated = [status != "diverged" for status in expected["status"]]
    assert result.iteration[violated].tolist() == np.array(expected["iteration"])[violated].tolist()
    assert result.breached_after_lock_at.tolist() == expected["breached"]
    assert breaking(result) == expected["breaking"]
    assert [(seen.step, tuple(seen.levels.tolist())) for seen in result.hv_seen] == expected["recorded"]
    assert (result.last_solved_step, tuple(result.last_solved_levels.tolist())) == expected["last_solved"]
    assert result.last_step == expected["states"] - 1
    assert result.states == len(plan.solved) >= expected["states"]
    assert max(max(levels) for levels in plan.solved) <= script.max_steps
    if widest == 1:
        assert result.states == result.rounds == expected["states"]


@settings(max_examples=150, deadline=None, derandomize=True)
@given(script=scripts(), widest=st.integers(2, 70))
def test_solving_many_states_at_once_changes_nothing_but_the_count_of_states(script: Script, widest: int) -> None:
    letters = "".join("g" if grows else "n" for grows in script.grows)
    rules: dict[str, Any] = {"max_steps": script.max_steps, "stop_on_hv": script.stop_on_hv, "lock": script.lock}
    one, many = search(script.plan(), letters, **rules), search(script.plan(), letters, widest=widest, **rules)
    assert evolve(many, states=one.states, rounds=one.rounds) == one
    assert many.rounds <= one.rounds


def test_a_window_holds_no_more_states_than_the_solver_wants() -> None:
    sizes: list[int] = []

    class Watched(ScriptedPlan):
        def solve(self, levels: Any, want: Collection[str]) -> States:
            sizes.append(len(levels))
            return super().solve(levels, want)

    result = search(Watched(from_own_level(None, 70)), "gg", max_steps=100, widest=16)
    assert result.level.tolist() == [100, 69]
    assert max(sizes) == 16
    assert len(sizes) == result.rounds < 25


def test_states_guessed_in_vain_that_diverge_or_break_are_no_answer() -> None:
    # Group 1 locks at 3, after which all is well; were both to grow on, step 5 would break everything and 6 diverge.
    plan = ScriptedPlan(
        lambda levels: [1] if levels[0] == 3 else [HV, 2] if levels[0] >= 5 else [],
        diverges=lambda levels: levels[0] >= 6,
    )
    result = search(plan, "gg", max_steps=20, widest=64)
    assert result.level.tolist() == [2, 20]
    assert statuses(result) == ["bound", "unconstrained"]
    assert any(levels[0] >= 5 for levels in plan.solved)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(script=scripts(), order=st.randoms(use_true_random=False))
def test_the_order_of_groups_does_not_matter(script: Script, order: Any) -> None:
    size = len(script.grows)
    perm = list(range(size))
    order.shuffle(perm)  # new scope i is old scope perm[i]

    def moved(levels: Levels) -> Levels:
        old = [0] * size
        for new, place in enumerate(perm):
            old[place] = levels[new]
        return tuple(old)

    def broken(levels: Levels) -> set[int]:
        groups = script.broken(moved(levels))
        return {0 if g == 0 else perm.index(g - 1) + 1 for g in groups}

    rules: dict[str, Any] = {"max_steps": script.max_steps, "stop_on_hv": script.stop_on_hv, "lock": script.lock}
    letters = ["g" if grows else "n" for grows in script.grows]
    first = search(ScriptedPlan(script.broken, diverges=script.diverges), "".join(letters), **rules)
    plan = ScriptedPlan(broken, diverges=lambda levels: script.diverges(moved(levels)))
    second = search(plan, "".join(letters[p] for p in perm), **rules)
    assert second.level.tolist() == first.level[perm].tolist()
    assert statuses(second) == [statuses(first)[p] for p in perm]
    assert second.breached_after_lock_at.tolist() == first.breached_after_lock_at[perm].tolist()
