"""Limit rows over voltages and currents, and their reduction to extremes and violations."""

from __future__ import annotations

import math
from typing import Any, cast

import numpy as np
import pytest
from attrs import evolve, frozen
from limit_cases import NONE, labels, linear, solution

from hostcap.errors import ConfigError, PluginError
from hostcap.limits import THERMAL, VOLTAGE_HIGH, VOLTAGE_LOW, LimitSet, LinearLimits, RowLabels, stated
from hostcap.solution import Solution
from hostcap.testing import street


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
