"""Laws of limits, with hypothesis: extremes and violations are those of a loop over every row, in any batch."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from attrs import evolve, frozen
from hypothesis import given, settings
from hypothesis import strategies as st
from limit_cases import NONE, linear, solution

from hostcap.limits import THERMAL, VOLTAGE_HIGH, VOLTAGE_LOW, LimitSet, LinearLimits
from hostcap.solution import Solution


@frozen(kw_only=True)
class Case:
    """Random limits and states."""

    limits: tuple[LinearLimits, ...]
    groups: int
    states: Solution


@st.composite
def cases(draw: st.DrawFn) -> Case:
    nodes, conductors = draw(st.integers(1, 4)), draw(st.integers(1, 3))
    groups = draw(st.integers(0, 3))
    part = st.integers(-3, 3)
    number = st.builds(complex, part, part)
    made = []
    for kind in draw(st.lists(st.sampled_from([VOLTAGE_HIGH, THERMAL, "other"]), min_size=1, max_size=3)):
        size = draw(st.integers(1, 4))
        bound = st.one_of(st.just(NONE), st.integers(1, 8).map(float))
        uppers = draw(st.lists(bound, min_size=size, max_size=size))
        uppers[0] = 5.0  # at least one limit in each
        made.append(
            linear(
                draw(st.lists(st.integers(0, groups), min_size=size, max_size=size)),
                nodes=draw(
                    st.lists(
                        st.dictionaries(st.integers(0, nodes - 1), number, max_size=2), min_size=size, max_size=size
                    )
                ),
                conductors=draw(
                    st.lists(
                        st.dictionaries(st.integers(0, conductors - 1), number, max_size=2),
                        min_size=size,
                        max_size=size,
                    )
                ),
                upper=uppers,
                lower=draw(st.lists(bound, min_size=size, max_size=size)),
                high=kind,
                low=VOLTAGE_LOW if kind == VOLTAGE_HIGH else f"{kind}-low",
                equipment=draw(st.lists(st.sampled_from("abc"), min_size=size, max_size=size)),
                terminal=draw(st.lists(st.integers(0, 2), min_size=size, max_size=size)),
                phase=draw(st.lists(st.sampled_from("ABC"), min_size=size, max_size=size)),
            )
        )
    count = draw(st.integers(1, 4))
    states = solution(
        [[draw(number) for _ in range(nodes)] for _ in range(count)],
        [[draw(number) for _ in range(conductors)] for _ in range(count)],
        [draw(st.sampled_from([True, True, False])) for _ in range(count)],
    )
    return Case(limits=tuple(made), groups=groups, states=states)


def checks_by_hand(case: Case, state: int) -> list[tuple[int, int, str, float, float, float, tuple[Any, ...]]]:
    """(group, row, metric, value, limit, margin, tie) of every check of one state, by plain loops."""
    found, number = [], 0
    for limit in case.limits:
        for row in range(limit.lower.size):
            total = 0j
            for kind, quantity in (("node", case.states.node_v), ("conductor", case.states.conductor_a)):
                ptr = getattr(limit, f"{kind}_ptr")
                for entry in range(ptr[row], ptr[row + 1]):
                    column = getattr(limit, f"{kind}_index")[entry]
                    total += getattr(limit, f"{kind}_coefficient")[entry] * quantity[state, column]
            value, label = abs(total), limit.labels
            tie = (label.equipment[row], int(label.terminal[row]), label.phase[row])
            for bound, sign, metric in (
                (limit.upper[row], 1, limit.metric_high),
                (limit.lower[row], -1, limit.metric_low),
            ):
                if not math.isnan(bound):
                    margin = sign * (bound - value) / abs(bound)
                    found.append((int(label.group[row]), number, metric, value, bound, margin, tie))
            number += 1
    return found


@settings(max_examples=80, deadline=None, derandomize=True)
@given(case=cases())
def test_extremes_equal_a_loop_over_every_row(case: Case) -> None:
    extremes = LimitSet(case.limits, group_count=case.groups).extremes(case.states)
    for state, converged in enumerate(case.states.converged):
        checks = checks_by_hand(case, state)
        for group in range(case.groups + 1):
            for family, metric in enumerate(extremes.families):
                margin, row = extremes.margin[state, group, family], extremes.row[state, group, family]
                own = [c for c in checks if c[0] == group and c[2] == metric]
                if not converged:
                    assert math.isnan(margin)
                    assert row == -1
                elif not own:
                    assert margin == math.inf
                    assert row == -1
                else:
                    least = min(c[5] for c in own)
                    assert margin == pytest.approx(least, abs=1e-9)
                    assert any(c[1] == row and c[5] == pytest.approx(least, abs=1e-9) for c in own)


@settings(max_examples=80, deadline=None, derandomize=True)
@given(case=cases())
def test_violations_are_every_broken_check_and_the_groups_that_extremes_call_broken(case: Case) -> None:
    limits = LimitSet(case.limits, group_count=case.groups)
    found = limits.violations(case.states)
    broken = limits.extremes(case.states).broken
    assert found.state.tolist() == sorted(found.state.tolist())
    for state, converged in enumerate(case.states.converged):
        here = np.flatnonzero(found.state == state)
        expected = [c for c in checks_by_hand(case, state) if c[5] < -1e-6] if converged else []
        listed = [(int(found.group[i]), int(found.row[i]), limits.families[found.family[i]]) for i in here]
        assert sorted(listed) == sorted((c[0], c[1], c[2]) for c in expected)
        assert {g for g, _, _ in listed} == set(np.flatnonzero(broken[state]).tolist())
        rank = {metric: place for place, metric in enumerate([VOLTAGE_HIGH, VOLTAGE_LOW, THERMAL])}
        tie = {(c[1], c[2]): (rank.get(c[2], 3), c[2], *c[6]) for c in expected}
        keys = [
            (-round(found.excess[i] * 1e6), *tie[int(found.row[i]), limits.families[found.family[i]]]) for i in here
        ]
        assert keys == sorted(keys)
        for i in here:
            metric = limits.families[found.family[i]]
            sign = 1 if metric in (VOLTAGE_HIGH, THERMAL, "other") else -1
            assert sign * (found.value[i] - found.limit[i]) / found.limit[i] == pytest.approx(found.excess[i])


@settings(max_examples=60, deadline=None, derandomize=True)
@given(case=cases(), at=st.integers(0, 4))
def test_a_batch_split_in_two_says_the_same_as_the_whole(case: Case, at: int) -> None:
    limits = LimitSet(case.limits, group_count=case.groups)
    whole, found = limits.extremes(case.states), limits.violations(case.states)
    count = case.states.converged.size
    at = min(at, count)
    margins, rows, states, violated = [], [], [], []
    for part in (slice(0, at), slice(at, count)):
        if part.start == part.stop:
            continue
        s = case.states
        piece = evolve(
            s,
            node_v=s.node_v[part],
            conductor_a=s.conductor_a[part],
            converged=s.converged[part],
            iterations=s.iterations[part],
        )
        extremes, some = limits.extremes(piece), limits.violations(piece)
        margins.append(extremes.margin)
        rows.append(extremes.row)
        states += (some.state + part.start).tolist()
        violated += list(zip(some.row.tolist(), some.value.tolist(), some.excess.tolist(), strict=True))
    assert np.array_equal(np.concatenate(margins), whole.margin, equal_nan=True)
    assert np.array_equal(np.concatenate(rows), whole.row)
    assert states == found.state.tolist()
    assert violated == list(zip(found.row.tolist(), found.value.tolist(), found.excess.tolist(), strict=True))
