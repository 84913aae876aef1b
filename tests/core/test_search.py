"""The lock-out search on artificial plans, against answers written by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scripted_plans import HV, ScriptedPlan, breaking, by_step, from_own_level, search, statuses

from hostcap.errors import NotConvergedError, StoppedError
from hostcap.search import NEVER, SearchRules, lock_out_search


def test_a_group_is_bound_one_step_below_its_first_violation() -> None:
    plan = ScriptedPlan(from_own_level(4))
    result = search(plan, "g")
    assert (result.level.tolist(), statuses(result), result.iteration.tolist()) == ([3], ["bound"], [4])
    assert plan.solved == [(0,), (1,), (2,), (3,), (4,)]
    assert breaking(result) == {4: [4]}
    assert result.final_levels.tolist() == [3]
    assert (result.last_step, result.last_solved_step, result.states) == (4, 4, 5)
    assert not result.hv_stop


def test_a_group_broken_at_the_first_step_is_bound_at_0_and_not_at_the_start() -> None:
    result = search(ScriptedPlan(from_own_level(1)), "g")
    assert (result.level.tolist(), statuses(result), result.iteration.tolist()) == ([0], ["bound"], [1])


def test_several_groups_broken_in_one_step_are_bound_at_once_without_a_second_solve() -> None:
    plan = ScriptedPlan(from_own_level(3, 3, 5))
    result = search(plan, "ggg")
    assert result.level.tolist() == [2, 2, 4]
    assert statuses(result) == ["bound"] * 3
    assert result.iteration.tolist() == [3, 3, 5]
    assert plan.solved == [(0, 0, 0), (1, 1, 1), (2, 2, 2), (3, 3, 3), (2, 2, 4), (2, 2, 5)]
    assert breaking(result) == {3: [3, 3, 3], 5: [2, 2, 5]}


def test_a_violation_that_another_groups_growth_causes_locks_the_group_that_it_belongs_to() -> None:
    # Group 1 is broken by group 2's growth alone: the search asks whose limit it is, not whose fault.
    plan = ScriptedPlan(lambda levels: [1] if levels[1] >= 2 else [])
    result = search(plan, "gg", max_steps=4)
    assert result.level.tolist() == [1, 4]
    assert statuses(result) == ["bound", "unconstrained"]


def test_only_extremes_are_asked_for_while_searching() -> None:
    plan = ScriptedPlan(from_own_level(2))
    search(plan, "g")
    assert plan.wanted == [{"extremes"}] * 3


def test_a_group_broken_at_the_start_is_bound_at_start_and_the_others_go_on() -> None:
    plan = ScriptedPlan(by_step(s0=[1], s2=[2]))
    result = search(plan, "gg")
    assert result.level.tolist() == [0, 1]
    assert statuses(result) == ["bound_at_start", "bound"]
    assert result.iteration.tolist() == [0, 2]
    assert plan.solved == [(0, 0), (0, 1), (0, 2)]
    assert breaking(result) == {0: [0, 0], 2: [0, 2]}
    assert result.breached_after_lock_at.tolist() == [NEVER, NEVER]


def test_a_group_broken_at_the_start_and_still_broken_at_1_is_breached_after_lock_at_1() -> None:
    result = search(ScriptedPlan(by_step(s0=[1], s1=[1], s2=[1, 2])), "gg")
    assert result.breached_after_lock_at.tolist() == [1, NEVER]
    assert result.level.tolist() == [0, 1]


def test_all_groups_broken_at_the_start_end_the_search_there() -> None:
    plan = ScriptedPlan(by_step(s0=[1, 2]))
    result = search(plan, "gg")
    assert statuses(result) == ["bound_at_start"] * 2
    assert plan.solved == [(0, 0)]
    assert (result.last_step, result.last_solved_step) == (0, 0)
    assert result.final_levels.tolist() == [0, 0]


def test_an_hv_violation_at_the_start_stops_all_other_groups_at_0() -> None:
    plan = ScriptedPlan(by_step(s0=[HV, 2]))
    result = search(plan, "ggg")
    assert result.level.tolist() == [0, 0, 0]
    assert statuses(result) == ["stopped_by_hv", "bound_at_start", "stopped_by_hv"]
    assert result.iteration.tolist() == [0, 0, 0]
    assert result.hv_stop
    assert plan.solved == [(0, 0, 0)]
    assert breaking(result) == {0: [0, 0, 0]}


def test_a_start_that_does_not_converge_is_an_error_with_its_iterations() -> None:
    plan = ScriptedPlan(by_step(), diverges=lambda levels: True)
    with pytest.raises(NotConvergedError, match="start") as caught:
        search(plan, "gg", stop_on_hv=False)
    assert caught.value.iterations == 7
    assert plan.solved == [(0, 0)]


def test_a_group_never_broken_is_unconstrained_at_max_steps() -> None:
    plan = ScriptedPlan(from_own_level(None, 2))
    result = search(plan, "gg", max_steps=3)
    assert result.level.tolist() == [3, 1]
    assert statuses(result) == ["unconstrained", "bound"]
    assert result.iteration.tolist() == [NEVER, 2]
    assert plan.solved[-1] == (3, 1)
    assert result.last_solved_levels.tolist() == [3, 1]
    assert 3 not in breaking(result)


def test_a_violation_at_max_steps_itself_still_binds() -> None:
    result = search(ScriptedPlan(from_own_level(3, None)), "gg", max_steps=3)
    assert result.level.tolist() == [2, 3]
    assert statuses(result) == ["bound", "unconstrained"]
    assert result.iteration.tolist() == [3, NEVER]


def test_a_violation_one_step_after_max_steps_is_never_seen() -> None:
    plan = ScriptedPlan(from_own_level(4))
    assert search(plan, "g", max_steps=3).level.tolist() == [3]
    assert max(plan.solved) == (3,)


def test_an_hv_violation_stops_every_open_group_one_step_below_it() -> None:
    plan = ScriptedPlan(by_step(s2=[1], s4=[HV]))
    result = search(plan, "ggg")
    assert result.level.tolist() == [1, 3, 3]
    assert statuses(result) == ["bound", "stopped_by_hv", "stopped_by_hv"]
    assert result.iteration.tolist() == [2, 4, 4]
    assert result.hv_stop
    assert breaking(result) == {2: [2, 2, 2], 4: [1, 4, 4]}
    assert plan.solved[-1] == (1, 4, 4)
    assert result.final_levels.tolist() == [1, 3, 3]
    assert result.hv_seen == ()


def test_a_group_with_its_own_violation_in_the_hv_stop_state_is_bound() -> None:
    result = search(ScriptedPlan(by_step(s3=[HV, 2])), "ggg")
    assert result.level.tolist() == [2, 2, 2]
    assert statuses(result) == ["stopped_by_hv", "bound", "stopped_by_hv"]
    assert result.iteration.tolist() == [3, 3, 3]


def test_a_locked_group_broken_again_in_the_hv_stop_state_is_breached_there() -> None:
    result = search(ScriptedPlan(by_step(s2=[1], s4=[HV, 1])), "gg")
    assert result.level.tolist() == [1, 3]
    assert result.breached_after_lock_at.tolist() == [4, NEVER]


def test_an_hv_stop_at_max_steps_is_a_stop_and_not_unconstrained() -> None:
    result = search(ScriptedPlan(by_step(s3=[HV])), "gg", max_steps=3)
    assert result.level.tolist() == [2, 2]
    assert statuses(result) == ["stopped_by_hv"] * 2


def test_without_stop_on_hv_violation_hv_violations_are_recorded_and_move_nothing() -> None:
    plan = ScriptedPlan(by_step(s0=[HV], s2=[HV, 1], s3=[HV]))
    result = search(plan, "gg", max_steps=4, stop_on_hv=False)
    assert result.level.tolist() == [1, 4]
    assert statuses(result) == ["bound", "unconstrained"]
    assert not result.hv_stop
    assert [seen.step for seen in result.hv_seen] == [0, 2, 3]
    assert [seen.levels.tolist() for seen in result.hv_seen] == [[0, 0], [2, 2], [1, 3]]
    assert breaking(result) == {2: [2, 2]}


@pytest.mark.parametrize("stop_on_hv", [True, False])
def test_a_step_that_diverges_ends_the_search_with_open_groups_one_step_below(stop_on_hv: bool) -> None:
    plan = ScriptedPlan(from_own_level(3, None, None), diverges=lambda levels: max(levels) == 5)
    result = search(plan, "ggg", stop_on_hv=stop_on_hv)
    assert result.level.tolist() == [2, 4, 4]
    assert statuses(result) == ["bound", "diverged", "diverged"]
    assert (result.last_step, result.last_solved_step) == (5, 4)
    assert result.last_solved_levels.tolist() == [2, 4, 4]
    assert result.final_levels.tolist() == [2, 4, 4]
    assert breaking(result) == {3: [3, 3, 3]}
    assert plan.solved[-1] == (2, 5, 5)
    assert result.states == 6
    assert not result.hv_stop


def test_divergence_at_the_first_step_leaves_open_groups_at_0_and_the_start_solved_last() -> None:
    result = search(ScriptedPlan(by_step(s0=[2]), diverges=lambda levels: max(levels) > 0), "gg")
    assert result.level.tolist() == [0, 0]
    assert statuses(result) == ["diverged", "bound_at_start"]
    assert result.last_solved_step == 0
    assert result.last_solved_levels.tolist() == [0, 0]


def test_what_is_broken_in_a_diverged_state_counts_for_nothing() -> None:
    plan = ScriptedPlan(by_step(s0=[1], s2=[HV, 1, 2]), diverges=lambda levels: max(levels) == 2)
    result = search(plan, "gg")
    assert statuses(result) == ["bound_at_start", "diverged"]
    assert result.breached_after_lock_at.tolist() == [NEVER, NEVER]
    assert not result.hv_stop


def test_a_diverged_group_has_no_step_at_which_a_violation_was_seen() -> None:
    # SearchResult.iteration: "Step at which the deciding violation was seen; NEVER where there was none".
    result = search(ScriptedPlan(by_step(), diverges=lambda levels: max(levels) == 2), "g")
    assert result.iteration.tolist() == [NEVER]


def test_a_violation_that_heals_one_step_later_locks_all_the_same() -> None:
    plan = ScriptedPlan(lambda levels: [1] if levels[0] == 3 else [])
    result = search(plan, "gg", max_steps=6)
    assert result.level.tolist() == [2, 6]
    assert statuses(result) == ["bound", "unconstrained"]
    assert result.breached_after_lock_at.tolist() == [NEVER, NEVER]
    assert plan.solved[4:] == [(2, 4), (2, 5), (2, 6)]


def test_the_step_that_locks_a_group_does_not_count_as_breached_after_it() -> None:
    result = search(ScriptedPlan(by_step(s2=[1], s3=[2])), "gg")
    assert result.breached_after_lock_at.tolist() == [NEVER, NEVER]


def test_the_first_step_after_the_lock_with_a_violation_is_kept_and_later_ones_are_not() -> None:
    # Group 1 locks at step 2, is whole at 3, broken at 4, whole at 5, broken at 6.
    result = search(ScriptedPlan(by_step(s2=[1], s4=[1], s6=[1])), "gg", max_steps=7)
    assert result.level.tolist() == [1, 7]
    assert result.breached_after_lock_at.tolist() == [4, NEVER]


def test_a_breach_after_the_lock_moves_neither_its_own_nor_another_level() -> None:
    with_breach = search(ScriptedPlan(by_step(s2=[1], s3=[1], s4=[1], s5=[2])), "gg")
    without = search(ScriptedPlan(by_step(s2=[1], s5=[2])), "gg")
    assert with_breach.level.tolist() == without.level.tolist() == [1, 4]
    assert statuses(with_breach) == statuses(without)
    assert breaking(with_breach) == breaking(without)
    assert with_breach.breached_after_lock_at.tolist() == [3, NEVER]


def test_groups_without_growth_or_customers_never_open_and_their_violations_move_nothing() -> None:
    plan = ScriptedPlan(by_step(s0=[1, 2], s1=[1, 2], s3=[1, 2, 3]))
    result = search(plan, "ncg")
    assert result.level.tolist() == [0, 0, 2]
    assert statuses(result) == ["no_growth", "no_customers", "bound"]
    assert result.iteration.tolist() == [NEVER, NEVER, 3]
    assert result.breached_after_lock_at.tolist() == [NEVER] * 3
    assert plan.solved == [(0, 0, 0), (0, 0, 1), (0, 0, 2), (0, 0, 3)]
    assert breaking(result) == {3: [0, 0, 3]}


@pytest.mark.parametrize("lock", [True, False])
def test_groups_that_never_open_keep_their_status_through_hv_stop_and_divergence(lock: bool) -> None:
    stopped = search(ScriptedPlan(by_step(s2=[HV])), "ngc", lock=lock)
    assert statuses(stopped) == ["no_growth", "stopped_by_hv", "no_customers"]
    diverged = search(ScriptedPlan(by_step(), diverges=lambda levels: max(levels) == 2), "ngc", lock=lock)
    assert statuses(diverged) == ["no_growth", "diverged", "no_customers"]
    assert diverged.level.tolist() == [0, 1, 0]


def test_a_feeder_on_which_nothing_grows_is_solved_once() -> None:
    plan = ScriptedPlan(by_step(s0=[1]))
    result = search(plan, "nc")
    assert statuses(result) == ["no_growth", "no_customers"]
    assert plan.solved == [(0, 0)]
    assert result.last_solved_levels.tolist() == [0, 0]


def test_without_locking_a_group_is_decided_once_and_keeps_growing() -> None:
    plan = ScriptedPlan(from_own_level(2, 5))
    result = search(plan, "gg", lock=False)
    assert result.level.tolist() == [1, 4]
    assert statuses(result) == ["bound", "bound"]
    assert result.iteration.tolist() == [2, 5]
    assert result.breached_after_lock_at.tolist() == [NEVER, NEVER]
    assert plan.solved == [(s, s) for s in range(6)]
    assert breaking(result) == {2: [2, 2], 5: [5, 5]}
    assert result.final_levels.tolist() == [1, 4]
    assert result.last_solved_levels.tolist() == [5, 5]


def test_without_locking_a_group_broken_at_the_start_grows_on_too() -> None:
    plan = ScriptedPlan(by_step(s0=[1], s1=[1], s2=[1, 2]))
    result = search(plan, "ggn", lock=False)
    assert result.level.tolist() == [0, 1, 0]
    assert statuses(result) == ["bound_at_start", "bound", "no_growth"]
    assert plan.solved == [(0, 0, 0), (1, 1, 0), (2, 2, 0)]
    assert result.breached_after_lock_at.tolist() == [NEVER] * 3


def test_without_locking_the_search_ends_at_an_hv_stop_at_divergence_or_at_max_steps() -> None:
    hv = search(ScriptedPlan(by_step(s2=[1], s4=[HV])), "gg", lock=False)
    assert (hv.level.tolist(), statuses(hv)) == ([1, 3], ["bound", "stopped_by_hv"])
    assert breaking(hv) == {2: [2, 2], 4: [4, 4]}
    diverged = search(ScriptedPlan(by_step(s2=[1]), diverges=lambda levels: max(levels) == 4), "gg", lock=False)
    assert (diverged.level.tolist(), statuses(diverged)) == ([1, 3], ["bound", "diverged"])
    assert diverged.last_solved_levels.tolist() == [3, 3]
    most = search(ScriptedPlan(by_step(s2=[1])), "gg", lock=False, max_steps=3)
    assert (most.level.tolist(), statuses(most)) == ([1, 3], ["bound", "unconstrained"])


def test_without_either_stop_the_search_records_hv_until_all_are_decided() -> None:
    result = search(ScriptedPlan(by_step(s1=[HV], s2=[HV, 1], s3=[HV, 2])), "gg", lock=False, stop_on_hv=False)
    assert result.level.tolist() == [1, 2]
    assert [(seen.step, seen.levels.tolist()) for seen in result.hv_seen] == [(1, [1, 1]), (2, [2, 2]), (3, [3, 3])]


@pytest.mark.parametrize(("margin", "tie"), [(-0.9e-5, True), (-1.1e-5, False), (-2e-6, True)])
def test_a_group_bound_by_a_value_within_1e_5_of_its_limit_is_a_near_tie(margin: float, tie: bool) -> None:
    plan = ScriptedPlan(by_step(), margins=lambda levels: {1: margin} if levels[0] == 3 else {})
    result = search(plan, "g")
    assert (result.level.tolist(), result.near_tie.tolist()) == ([2], [tie])


@pytest.mark.parametrize(("margin", "tie"), [(0.9e-5, True), (1.1e-5, False), (0.0, True), (-0.9e-6, True)])
def test_a_value_that_just_held_one_step_before_the_group_broke_is_a_near_tie(margin: float, tie: bool) -> None:
    script = {2: margin, 3: -0.5}
    plan = ScriptedPlan(by_step(), margins=lambda levels: {1: script[levels[0]]} if levels[0] in script else {})
    result = search(plan, "g")
    assert (result.level.tolist(), result.near_tie.tolist()) == ([2], [tie])


def test_a_near_tie_of_the_feeder_concerns_the_groups_that_it_stops_only() -> None:
    plan = ScriptedPlan(by_step(s2=[1]), margins=lambda levels: {HV: -5e-6} if max(levels) == 4 else {})
    result = search(plan, "ggn")
    assert statuses(result) == ["bound", "stopped_by_hv", "no_growth"]
    assert result.near_tie.tolist() == [False, True, False]
    kept = search(plan, "ggn", stop_on_hv=False, max_steps=5)
    assert kept.near_tie.tolist() == [False, False, False]


def test_report_hears_every_step_and_may_stop_the_search() -> None:
    heard: list[tuple[int, int]] = []
    search(ScriptedPlan(from_own_level(3)), "g", max_steps=9, report=lambda *said: heard.append(said))
    assert heard == [(0, 9), (1, 9), (2, 9), (3, 9)]

    def stop(step: int, most: int) -> None:
        if step == 2:
            raise StoppedError("enough")

    plan = ScriptedPlan(from_own_level(5))
    with pytest.raises(StoppedError):
        search(plan, "g", report=stop)
    assert plan.solved == [(0,), (1,), (2,)]


def test_what_the_caller_hands_over_is_not_changed() -> None:
    open_scopes, idle = np.array([True, False]), np.array([5, 5], dtype=np.int32)
    lock_out_search(
        ScriptedPlan(from_own_level(2, None)), open_scopes=open_scopes, idle=idle, rules=SearchRules(max_steps=4)
    )
    assert open_scopes.tolist() == [True, False]
    assert idle.tolist() == [5, 5]
