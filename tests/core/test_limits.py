"""Limit rows over voltages and currents, and their reduction to extremes and violations."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import pytest
from attrs import evolve, frozen
from hypothesis import given, settings
from hypothesis import strategies as st

from hostcap.errors import ConfigError, PluginError
from hostcap.limits import THERMAL, VOLTAGE_HIGH, VOLTAGE_LOW, LimitSet, LinearLimits, RowLabels, stated
from hostcap.solution import Solution
from hostcap.testing import street

NONE = math.nan


def labels(groups: Sequence[int], **given: Any) -> RowLabels:
    size = len(groups)
    columns: dict[str, Any] = {
        "equipment": [f"bus{i}" for i in range(size)],
        "equipment_type": ["Bus"] * size,
        "terminal": [0] * size,
        "phase": ["A"] * size,
        "unit": ["V"] * size,
        "group": list(groups),
        "v_base_v": [400.0] * size,
    }
    return RowLabels(**(columns | given))


def sparse(rows: Sequence[dict[int, complex]]) -> tuple[list[int], list[int], list[complex]]:
    """CSR of rows written as {column: coefficient}."""
    pointer, index, coefficient = [0], [], []
    for row in rows:
        index += list(row)
        coefficient += list(row.values())
        pointer.append(len(index))
    return pointer, index, coefficient


def linear(
    groups: Sequence[int],
    *,
    nodes: Sequence[dict[int, complex]] | None = None,
    conductors: Sequence[dict[int, complex]] | None = None,
    lower: Sequence[float] | None = None,
    upper: Sequence[float] | None = None,
    low: str = VOLTAGE_LOW,
    high: str = VOLTAGE_HIGH,
    scale: Any = None,
    **about: Any,
) -> LinearLimits:
    size = len(groups)
    node_ptr, node_index, node_coefficient = sparse(nodes or [{}] * size)
    conductor_ptr, conductor_index, conductor_coefficient = sparse(conductors or [{}] * size)
    return LinearLimits(
        labels=labels(groups, **about),
        node_ptr=node_ptr,
        node_index=node_index,
        node_coefficient=node_coefficient,
        conductor_ptr=conductor_ptr,
        conductor_index=conductor_index,
        conductor_coefficient=conductor_coefficient,
        lower=[NONE] * size if lower is None else lower,
        upper=[NONE] * size if upper is None else upper,
        metric_low=low,
        metric_high=high,
        scale=None if scale is None else np.asarray(scale, dtype=np.float64),
    )


def solution(
    node_v: Sequence[Sequence[complex]],
    conductor_a: Sequence[Sequence[complex]] | None = None,
    converged: Sequence[bool] | None = None,
) -> Solution:
    states = len(node_v)
    return Solution(
        node_v=node_v,
        conductor_a=np.zeros((states, 0)) if conductor_a is None else conductor_a,
        converged=[True] * states if converged is None else converged,
        iterations=[1] * states,
    )


def one_row(*, lower: float | None = None, upper: float | None = None, scale: float | None = None) -> LimitSet:
    """One node, one row: |V0|, group 1."""
    row = linear(
        [1],
        nodes=[{0: 1.0}],
        lower=None if lower is None else [lower],
        upper=None if upper is None else [upper],
        scale=None if scale is None else [scale],
    )
    return LimitSet([row], group_count=1)


# --- values --------------------------------------------------------------------------------------------------------


def test_a_value_is_the_magnitude_of_a_complex_sum_of_voltages_and_currents() -> None:
    # Row 0: |V0 - V1| = |3+4j - 0| = 5. Row 1: |j V1 + 2 I0| = |j(1) + 2(1)| = sqrt 5. Row 2: |I1| = 13.
    # Row 3: (V0 + a V1 + a^2 V2)/3, the positive sequence of a balanced set of 6 V: 6. Row 4: nothing at all: 0.
    a = complex(-0.5, math.sqrt(3) / 2)
    rows = linear(
        [1, 1, 0, 0, 0],
        nodes=[{0: 1.0, 1: -1.0}, {1: 1j}, {}, {0: 1 / 3, 1: a / 3, 2: a * a / 3}, {}],
        conductors=[{}, {0: 2.0}, {1: 1.0}, {}, {}],
        upper=[10.0, 10.0, 10.0, 10.0, 10.0],
    )
    states = solution([[3 + 4j, 0, 0], [0, 1, 0], [6, 6 * a * a, 6 * a]], [[0, 0], [1, 0], [0, 5 + 12j]])
    values = LimitSet([rows], group_count=1).values(states)
    assert values.shape == (3, 5)
    assert values[0, 0] == pytest.approx(5.0, rel=1e-12)
    assert values[1, 1] == pytest.approx(math.sqrt(5.0), rel=1e-12)
    assert values[2, 2] == pytest.approx(13.0, rel=1e-12)
    assert values[2, 3] == pytest.approx(6.0, rel=1e-12)
    assert values[:, 4].tolist() == [0.0, 0.0, 0.0]


def test_rows_of_several_limits_are_numbered_in_the_order_given() -> None:
    first = linear([1, 2], nodes=[{0: 1.0}, {1: 1.0}], upper=[253.0, 253.0], lower=[216.0, NONE])
    second = linear([0], conductors=[{1: 1.0}], upper=[100.0], high=THERMAL, low="", equipment=["line"], unit=["A"])
    third = linear([1], nodes=[{1: 0.5}], upper=[2.0])
    limits = LimitSet([first, second, third], group_count=2)
    assert limits.row_count == 4
    assert limits.labels.equipment.tolist() == ["bus0", "bus1", "line", "bus0"]
    assert limits.labels.unit.tolist() == ["V", "V", "A", "V"]
    assert limits.labels.group.tolist() == [1, 2, 0, 1]
    assert limits.families == (VOLTAGE_HIGH, VOLTAGE_LOW, THERMAL)
    values = limits.values(solution([[230.0, 240.0j]], [[1.0, -30.0]]))
    assert values.tolist() == [[230.0, 240.0, 30.0, 120.0]]


def test_matrices_hold_the_linear_rows_of_all_limits() -> None:
    first = linear([1], nodes=[{2: 1.0, 0: -1.0}], upper=[1.0])
    second = linear([0], conductors=[{1: 2j}], upper=[1.0], high=THERMAL, low="")
    a, b = LimitSet([first, second], group_count=1).matrices(3, 2)
    assert a.toarray().tolist() == [[-1, 0, 1], [0, 0, 0]]
    assert b.toarray().tolist() == [[0, 0], [0, 2j]]


def test_needs_names_what_the_rows_read() -> None:
    voltage = linear([1], nodes=[{0: 1.0}], upper=[1.0])
    current = linear([1], conductors=[{0: 1.0}], upper=[1.0], high=THERMAL, low="")
    assert LimitSet([voltage], group_count=1).needs == {"nodes"}
    assert LimitSet([current], group_count=1).needs == {"branches"}
    assert LimitSet([voltage, current], group_count=1).needs == {"nodes", "branches"}


# --- what is broken ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("limit", "value", "broken"),
    [
        ({"upper": 250.0}, 250.0, False),
        ({"upper": 250.0}, 250.0 * (1 + 0.99e-6), False),
        ({"upper": 250.0}, 250.0 * (1 + 1.01e-6), True),
        ({"lower": 216.0}, 216.0, False),
        ({"lower": 216.0}, 216.0 * (1 - 0.99e-6), False),
        ({"lower": 216.0}, 216.0 * (1 - 1.01e-6), True),
        ({"upper": 0.0, "scale": 50.0}, 0.99 * 50e-6, False),
        ({"upper": 0.0, "scale": 50.0}, 1.01 * 50e-6, True),
        ({"upper": 100.0, "scale": 1.0}, 100.00000101, True),
        ({"upper": 100.0, "scale": 1.0}, 100.00000099, False),
    ],
)
def test_broken_is_beyond_the_limit_by_more_than_a_millionth_of_its_scale(
    limit: dict[str, float], value: float, broken: bool
) -> None:
    limits = one_row(**limit)
    state = solution([[value]])
    assert limits.extremes(state).broken.tolist() == [[False, broken]]
    assert limits.violations(state).row.size == int(broken)


def test_a_limit_of_0_without_a_scale_is_refused() -> None:
    with pytest.raises(ConfigError, match="limit of 0 needs a scale"):
        one_row(upper=0.0)
    with pytest.raises(ConfigError, match="limit of 0 needs a scale"):
        one_row(upper=1.0, scale=0.0)


def test_a_scale_may_be_given_for_some_rows_and_the_limit_measures_the_others() -> None:
    rows = linear([1, 1], nodes=[{0: 1.0}, {1: 1.0}], upper=[0.0, 100.0], scale=[4.0, NONE])
    found = LimitSet([rows], group_count=1).violations(solution([[2.0, 110.0]]))
    assert found.row.tolist() == [0, 1]
    assert found.excess.tolist() == pytest.approx([0.5, 0.1])


def test_a_margin_is_positive_inside_and_negative_outside_for_both_sides() -> None:
    limits = one_row(lower=200.0, upper=250.0)
    extremes = limits.extremes(solution([[225.0], [190.0], [300.0]]))
    assert extremes.families == (VOLTAGE_HIGH, VOLTAGE_LOW)
    # (250 - v) / 250 and (v - 200) / 200
    assert extremes.margin[:, 1, 0].tolist() == pytest.approx([0.1, 0.24, -0.2])
    assert extremes.margin[:, 1, 1].tolist() == pytest.approx([0.125, -0.05, 0.5])
    assert extremes.broken[:, 1].tolist() == [False, True, True]


def test_a_group_without_a_row_of_a_family_has_an_endless_margin_and_no_row() -> None:
    limits = LimitSet([linear([2], nodes=[{0: 1.0}], upper=[10.0], lower=[1.0])], group_count=3)
    extremes = limits.extremes(solution([[5.0]]))
    assert extremes.margin.shape == (1, 4, 2)
    assert np.isinf(extremes.margin[0, [0, 1, 3]]).all()
    assert extremes.row[0].tolist() == [[-1, -1], [-1, -1], [0, 0], [-1, -1]]
    assert extremes.broken.tolist() == [[False] * 4]


def test_of_equal_margins_the_first_row_is_named() -> None:
    rows = linear([1, 1, 1], nodes=[{0: 1.0}, {1: 1.0}, {2: 1.0}], upper=[10.0] * 3)
    extremes = LimitSet([rows], group_count=1).extremes(solution([[5.0, 9.0, 9.0j]]))
    assert extremes.row[0, 1, 0] == 1
    assert extremes.margin[0, 1, 0] == pytest.approx(0.1)


def test_a_diverged_state_has_nan_margins_no_rows_and_no_violations() -> None:
    rows = linear([0, 1], nodes=[{0: 1.0}, {1: 1.0}], upper=[10.0, 10.0])
    limits = LimitSet([rows], group_count=1)
    states = solution([[20.0, 20.0], [math.nan, math.nan], [99.0, 99.0]], converged=[True, False, False])
    extremes = limits.extremes(states)
    assert np.isnan(extremes.margin[1:]).all()
    assert (extremes.row[1:] == -1).all()
    assert extremes.broken.tolist() == [[True, True], [False, False], [False, False]]
    assert limits.violations(states).state.tolist() == [0, 0]


def test_an_empty_set_is_refused() -> None:
    with pytest.raises(ConfigError, match="add a limit"):
        LimitSet([], group_count=1)
    with pytest.raises(ConfigError, match="add a limit"):
        LimitSet([linear([])], group_count=1)


def test_rows_without_an_upper_or_a_lower_limit_are_refused() -> None:
    with pytest.raises(ConfigError, match="no row has an upper or a lower limit"):
        LimitSet([linear([1], nodes=[{0: 1.0}])], group_count=1)


def test_an_endless_limit_is_refused_or_watches_nothing_but_never_hides_a_broken_one() -> None:
    rows = linear([1, 1], nodes=[{0: 1.0}, {1: 1.0}], upper=[math.inf, 10.0])
    try:
        limits = LimitSet([rows], group_count=1)
    except ConfigError:
        return
    with np.errstate(invalid="ignore"):
        assert limits.extremes(solution([[20.0, 20.0]])).broken.tolist() == [[False, True]]


# --- ranking -------------------------------------------------------------------------------------------------------


def ranked(*rows: tuple[float, str, str, int, str]) -> list[tuple[str, str, int, str]]:
    """Violations of rows given as (relative excess, metric, equipment, terminal, phase), in their ranked order."""
    each = []
    values = []
    for excess, metric, equipment, terminal, phase in rows:
        low = metric == VOLTAGE_LOW
        each.append(
            linear(
                [1],
                nodes=[{len(values): 1.0}],
                lower=[100.0] if low else None,
                upper=None if low else [100.0],
                low=VOLTAGE_LOW if low else "",
                high="" if low else metric,
                equipment=[equipment],
                terminal=[terminal],
                phase=[phase],
            )
        )
        values.append(100.0 * (1 - excess if low else 1 + excess))
    limits = LimitSet(each, group_count=1)
    found = limits.violations(solution([values]))
    label = limits.labels
    return [
        (limits.families[f], label.equipment[r], int(label.terminal[r]), label.phase[r])
        for r, f in zip(found.row, found.family, strict=True)
    ]


def test_the_largest_relative_excess_comes_first() -> None:
    found = ranked((0.01, VOLTAGE_HIGH, "a", 0, "A"), (0.03, THERMAL, "b", 1, "A"), (0.02, VOLTAGE_LOW, "c", 0, "A"))
    assert [row[1] for row in found] == ["b", "c", "a"]


def test_equal_excesses_are_ranked_by_metric_and_other_metrics_follow_by_name() -> None:
    found = ranked(
        (0.01, "unbalance", "a", 0, "A"),
        (0.01, THERMAL, "a", 0, "A"),
        (0.01, "flicker", "a", 0, "A"),
        (0.01, VOLTAGE_LOW, "a", 0, "A"),
        (0.01, VOLTAGE_HIGH, "z", 9, "C"),
    )
    assert [row[0] for row in found] == [VOLTAGE_HIGH, VOLTAGE_LOW, THERMAL, "flicker", "unbalance"]


def test_equal_excesses_of_one_metric_are_ranked_by_equipment_then_terminal_then_phase() -> None:
    found = ranked(
        (0.01, THERMAL, "line10", 2, "A"),
        (0.01, THERMAL, "line10", 1, "C"),
        (0.01, THERMAL, "line2", 1, "A"),
        (0.01, THERMAL, "line10", 10, "A"),
        (0.01, THERMAL, "line10", 1, "B"),
    )
    assert [row[1:] for row in found] == [
        ("line10", 1, "B"),
        ("line10", 1, "C"),
        ("line10", 2, "A"),
        ("line10", 10, "A"),
        ("line2", 1, "A"),
    ]


def test_excesses_are_compared_after_rounding_to_a_millionth() -> None:
    # 0.0100002 and 0.0099998 are both 0.010000: the metric decides. 0.010002 is more.
    found = ranked(
        (0.0100002, THERMAL, "a", 0, "A"), (0.0099998, VOLTAGE_HIGH, "b", 0, "A"), (0.010002, THERMAL, "c", 0, "A")
    )
    assert [row[1] for row in found] == ["c", "b", "a"]


def test_violations_carry_value_limit_group_and_excess_state_by_state() -> None:
    rows = linear([2, 0], nodes=[{0: 1.0}, {1: 1.0}], upper=[250.0, NONE], lower=[NONE, 200.0])
    found = LimitSet([rows], group_count=2).violations(solution([[200.0, 250.0], [275.0, 150.0], [260.0, 210.0]]))
    assert found.state.tolist() == [1, 1, 2]
    assert found.row.tolist() == [1, 0, 0]
    assert found.group.tolist() == [0, 2, 2]
    assert found.value.tolist() == [150.0, 275.0, 260.0]
    assert found.limit.tolist() == [200.0, 250.0, 250.0]
    assert found.excess.tolist() == pytest.approx([0.25, 0.1, 0.04])
    kept = found.select(found.group == 2)
    assert (kept.row.tolist(), kept.state.tolist(), kept.families) == ([0, 0], [1, 2], found.families)


def test_one_row_broken_against_two_limits_is_listed_for_each() -> None:
    normal = linear([1], conductors=[{0: 1.0}], upper=[100.0], high=THERMAL, low="")
    emergency = linear([1], conductors=[{0: 1.0}], upper=[150.0], high=THERMAL, low="")
    found = LimitSet([emergency, normal], group_count=1).violations(solution([[]], [[180.0]]))
    assert found.limit.tolist() == [100.0, 150.0]  # 0.8 beyond, then 0.2 beyond


# --- measures ------------------------------------------------------------------------------------------------------


@frozen(kw_only=True)
class Rise:
    """A ratio to the start: |V| / |V at the start|, of one node; no linear form."""

    labels: RowLabels
    node: int
    upper: Any
    lower: Any
    metric_low: str = ""
    metric_high: str = "rise"
    scale: Any = None
    description: str = "rise"
    needs: frozenset[str] = frozenset({"nodes", "start"})

    def evaluate(self, solution: Solution, start: Solution | None) -> Any:
        assert start is not None
        return np.abs(solution.node_v[:, [self.node]]) / np.abs(start.node_v[0, self.node])


def rise(group: int, node: int, upper: float) -> Rise:
    return Rise(labels=labels([group], equipment=["pcc"]), node=node, upper=np.array([upper]), lower=np.array([NONE]))


def test_a_measure_stands_beside_linear_rows_in_the_order_given() -> None:
    before = linear([1], nodes=[{0: 1.0}], upper=[250.0])
    after = linear([2], nodes=[{1: 1.0}], upper=[250.0])
    limits = LimitSet([before, rise(1, 1, 1.05), after], group_count=2)
    start, states = solution([[100.0, 200.0]]), solution([[240.0, 220.0j], [300.0, 200.0]])
    # Row 1: 220/200 = 1.1 and 200/200 = 1.
    assert limits.values(states, start).tolist() == [[240.0, 1.1, 220.0], [300.0, 1.0, 200.0]]
    assert limits.needs == {"nodes", "start"}
    assert limits.families == (VOLTAGE_HIGH, VOLTAGE_LOW, "rise")
    extremes = limits.extremes(states, start)
    assert extremes.broken.tolist() == [[False, True, False], [False, True, False]]
    assert extremes.margin[0, 1, 2] == pytest.approx(-0.05 / 1.05)
    found = limits.violations(states, start)
    assert [(int(s), limits.families[f]) for s, f in zip(found.state, found.family, strict=True)] == [
        (0, "rise"),
        (1, VOLTAGE_HIGH),
    ]


def test_a_measure_alone_is_enough() -> None:
    limits = LimitSet([rise(0, 0, 1.05)], group_count=0)
    assert limits.extremes(solution([[120.0]]), solution([[100.0]])).broken.tolist() == [[True]]


def test_extremes_and_violations_agree_where_a_measure_has_no_value() -> None:
    # A ratio over a start of 0 V has no value; another row of the same group and metric is broken all the same.
    limits = LimitSet([rise(1, 0, 1.05), rise(1, 1, 1.05)], group_count=1)
    start, state = solution([[0.0, 100.0]]), solution([[0.0, 200.0]])
    with np.errstate(invalid="ignore"):
        assert limits.violations(state, start).group.tolist() == [1]
        assert limits.extremes(state, start).broken.tolist() == [[False, True]]


# --- laws ----------------------------------------------------------------------------------------------------------


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


class Lift:
    """A measure that is right, but for what a test changes."""

    metric_low, metric_high = "", "lift"
    scale: Any = None
    description = "lift at most 5 V"
    needs = frozenset({"nodes", "start"})

    def __init__(self, **changed: Any) -> None:
        self.labels, self.lower, self.upper = labels([1, 1]), np.full(2, NONE), np.full(2, 5.0)
        self.value: Any = np.array([[6.0, -7.0]])
        for name, given_value in changed.items():
            setattr(self, name, given_value)

    def evaluate(self, solution: Solution, start: Solution | None) -> Any:
        return self.value


ONE_STATE = Solution(node_v=[[1.0, 2.0]], conductor_a=np.empty((1, 0)), converged=[True], iterations=[1])


def test_values_of_a_measure_may_be_negative() -> None:
    assert LimitSet([Lift()], group_count=1).extremes(ONE_STATE, ONE_STATE).broken.tolist() == [[False, True]]


@pytest.mark.parametrize(
    "value", [None, np.zeros(1), np.zeros((1, 1)), np.zeros((2, 1)), np.array([[6j, 7j]]), np.array([["a", "b"]])]
)
def test_a_measure_that_gives_no_real_number_for_each_row_is_refused(value: Any) -> None:
    limits = LimitSet([Lift(value=value)], group_count=1)
    with pytest.raises(
        PluginError, match=r"Lift\.evaluate \(lift at most 5 V\): .*shape \(1, 2\), \(state, row\), are"
    ):
        limits.extremes(ONE_STATE, ONE_STATE)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("upper", np.full(1, 5.0)),
        ("upper", 5.0),
        ("labels", labels([1])),
        ("scale", np.ones(3)),
        ("needs", frozenset({"node"})),
    ],
)
def test_arrays_of_a_limit_that_do_not_fit_together_are_refused(name: str, value: Any) -> None:
    with pytest.raises(PluginError, match=rf"Lift\.{name}"):
        LimitSet([Lift(**{name: value})], group_count=1)


@pytest.mark.parametrize("given_limits", [None, Lift(), [np.zeros(2)], {"lift": Lift()}])
def test_a_constraint_that_states_no_limits_is_named(given_limits: Any) -> None:
    class Own:
        def limits(self, network: Any) -> Any:
            return given_limits

    with pytest.raises(PluginError, match=r"Own\.limits returned "):
        stated([Own()], cast("Any", None))


def test_what_is_no_constraint_is_named() -> None:
    with pytest.raises(PluginError, match=r"type int stands for a constraint, but has no method limits\(network\)"):
        stated([cast("Any", 1)], cast("Any", None))


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"labels": labels([0, 9, 1])}, r"labels\.group has 9; the feeder has groups 1 to 2, and 0 for itself"),
        ({"labels": labels([0, -1, 1])}, r"labels\.group has -1; the feeder has groups 1 to 2"),
        ({"node_index": [0, 1, 999]}, r"node_index has 999; the feeder has nodes 0 to \d+"),
        ({"node_index": [0, -1, 2]}, r"node_index has -1; the feeder has nodes"),
        ({"node_ptr": [0, 1, 3]}, r"node_ptr must rise from 0 to the 3 entries of node_index in 4 steps"),
        ({"node_ptr": [0, 2, 1, 3]}, r"node_ptr must rise"),
        ({"conductor_ptr": [0, 0, 0, 1]}, r"conductor_ptr must rise from 0 to the 0 entries of conductor_index"),
    ],
)
def test_a_limit_that_points_beyond_the_feeder_is_its_authors_error(changed: dict[str, Any], told: str) -> None:
    limit = linear([0, 1, 1], nodes=[{0: 1.0}, {1: 1.0}, {2: 1.0}], upper=[1.0, 2.0, 3.0])

    @frozen
    class Pointing:
        def limits(self, network: Any) -> list[LinearLimits]:
            return [evolve(limit, **changed)]

    network = street()
    with pytest.raises(PluginError, match=rf"^Pointing\.limits .*{told}"):
        stated([Pointing()], network)
