"""Two nodes and a resistance have closed forms: every law is checked against one, on both implementations."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from batched.cases import NO_GROWTH, PLANS, chain, dense, growth, plan, ports

from hostcap.growth import ConstantPower
from hostcap_stock.batched.solver import BatchedPlan

R, E = 0.5, 240.0
both = pytest.mark.parametrize("kind", PLANS)


def end_voltage(kind: Any, z: complex = R, **row: Any) -> complex:
    """Voltage at the end of one impedance with one base load there."""
    states = plan(kind, chain([z], ports([row])), NO_GROWTH).solve([[0]], {"nodes"})
    assert states.converged[0]
    return complex(states.solution.node_v[0, 1])


@both
def test_constant_power_is_the_upper_root_of_a_quadratic(kind: Any) -> None:
    # E = V + R P / V
    assert end_voltage(kind, kw=6.0) == pytest.approx((E + math.sqrt(E**2 - 4 * R * 6000)) / 2, rel=1e-9)


@both
def test_constant_power_with_reactance_fulfils_its_circuit(kind: Any) -> None:
    z, s = 0.3 + 0.2j, 5000 + 2000j
    v = end_voltage(kind, z, kw=5.0, kvar=2.0)
    assert v + z * np.conj(s / v) == pytest.approx(E, rel=1e-9)


@both
def test_constant_impedance_divides_the_voltage(kind: Any) -> None:
    z = 240.0**2 / (6000 - 3000j)  # conj(S) under V^2
    assert end_voltage(kind, kw=6.0, kvar=3.0, model=2) == pytest.approx(E * z / (z + R), rel=1e-9)


@both
def test_constant_current_drops_the_same_at_any_voltage(kind: Any) -> None:
    assert end_voltage(kind, kw=6.0, model=5) == pytest.approx(E - R * 6000 / 240.0, rel=1e-9)


@both
@pytest.mark.parametrize(("watts", "same_as"), [(1.0, 5), (2.0, 2), (0.0, 1)])
def test_a_power_law_of_one_two_or_nothing_is_a_plain_load(kind: Any, watts: float, same_as: int) -> None:
    cvr = end_voltage(kind, kw=6.0, model=4, cvr_watts=watts)
    assert cvr == pytest.approx(end_voltage(kind, kw=6.0, model=same_as), rel=1e-9)


@both
@pytest.mark.parametrize("vmin", [0.7, 0.05])
def test_a_power_law_between_whole_numbers_fulfils_its_circuit(kind: Any, vmin: float) -> None:
    """The narrow band is a polynomial in the kernel, the wide one goes lane by lane."""
    row = {"kw": 6.0, "kvar": 2.0, "model": 4, "cvr_watts": 0.8, "cvr_vars": 3.0, "vlow_pu": 0.01, "vmin_pu": vmin}
    v = end_voltage(kind, **row)
    u = abs(v) / 240.0
    s = 6000 * u**0.8 + 2000j * u**3
    assert v + R * np.conj(s / v) == pytest.approx(E, rel=1e-9)


@both
def test_above_vmax_a_load_is_the_impedance_that_meets_its_power_there(kind: Any) -> None:
    y = 6000 / (0.8 * 240.0) ** 2
    assert end_voltage(kind, kw=6.0, vmax_pu=0.8) == pytest.approx(E / (1 + R * y), rel=1e-9)
    y = 6000 / 240.0**2 / 0.8
    assert end_voltage(kind, kw=6.0, vmax_pu=0.8, model=5) == pytest.approx(E / (1 + R * y), rel=1e-9)


@both
@pytest.mark.parametrize(("model", "knee"), [(1, 1 / 0.98), (4, 1 / 0.98), (5, 1.0)])
def test_between_vlow_and_vmin_the_current_is_a_straight_line(kind: Any, model: int, knee: float) -> None:
    # I = i (vlow + m (u - vlow)), with i = P / base: linear in V, so the circuit has one root.
    i, low, vmin = 6000 / 240.0, 0.5, 0.98
    m = (knee - low) / (vmin - low)
    v = (E - R * i * (low - m * low)) / (1 + R * i * m / 240.0)
    assert end_voltage(kind, kw=6.0, vmin_pu=vmin, model=model) == pytest.approx(v, rel=1e-9)


@both
def test_up_to_vlow_a_load_is_its_rated_impedance(kind: Any) -> None:
    y = 6000 / 240.0**2
    found = end_voltage(kind, kw=6.0, vlow_pu=0.99, vmin_pu=0.995)
    assert found == pytest.approx(E / (1 + R * y), rel=1e-9)


@both
def test_vmin_below_vlow_leaves_no_band_between(kind: Any) -> None:
    assert end_voltage(kind, kw=6.0, vmin_pu=0.1) == end_voltage(kind, kw=6.0, vmin_pu=0.5)


@both
def test_a_load_to_a_neutral_pays_for_the_way_back(kind: Any) -> None:
    """Phase and neutral in series: 240 V across R, load, R; the neutral leaves earth."""
    y = np.array([[1e9 + 2, -2, 0], [-2, 2, 0], [0, 0, 2]], dtype=complex)
    linear = dense(
        y, np.zeros((1, 3)), ports([{"kw": 6.0, "node_b": 2}]), source={0: 1e9 * E}, nominal_v=np.full(3, 240.0)
    )
    v = plan(kind, linear, NO_GROWTH).solve([[0]], {"nodes"}).solution.node_v[0]
    across = (E + math.sqrt(E**2 - 4 * (2 * R) * 6000)) / 2
    assert v[1] - v[2] == pytest.approx(across, rel=1e-8)
    assert v[2] == pytest.approx(R * 6000 / across, rel=1e-8)


@both
def test_growth_is_level_times_step_beside_the_base_load(kind: Any) -> None:
    linear = chain([R], ports([{"kw": 2.0}]))
    grown = growth([(1, -1, 0.5, 0.0, 0)], scopes=1)
    states = plan(kind, linear, grown).solve([[0], [3], [20]], {"nodes"})
    for n, v in zip([0, 3, 20], states.solution.node_v[:, 1], strict=True):
        assert v == pytest.approx((E + math.sqrt(E**2 - 4 * R * (2000 - 500 * n))) / 2, rel=1e-9)


@both
def test_growth_above_its_band_follows_the_square_of_the_voltage(kind: Any) -> None:
    linear = chain([R], ports([]))
    grown = growth([(1, -1, 1.0, 0.0, 0)], scopes=1, law=ConstantPower(vmax_pu=1.01))
    v = plan(kind, linear, grown).solve([[5]], {"nodes"}).solution.node_v[0, 1]
    assert v == pytest.approx(E / (1 - R * 5000 / (1.01 * 240.0) ** 2), rel=1e-9)


@both
def test_beyond_the_most_that_a_line_can_carry_a_state_is_diverged_and_its_neighbours_are_not(kind: Any) -> None:
    linear = chain([R], ports([]))
    grown = growth([(1, -1, -1.0, 0.0, 0)], scopes=1, law=ConstantPower(vmin_pu=0.02, vlow_pu=0.01))
    limit_kw = E**2 / (4 * R) / 1000  # 28.8 kW
    levels = [[5], [round(limit_kw) + 10], [20]]
    states = plan(kind, linear, grown, max_iterations=100).solve(
        levels, {"nodes", "branches", "extremes", "violations"}
    )
    assert states.converged.tolist() == [True, False, True]
    assert states.iterations[1] == 100
    assert np.all(np.isnan(states.solution.node_v[1]))
    assert np.all(np.isnan(states.solution.conductor_a[1]))
    assert np.all(np.isnan(states.extremes.margin[1]))
    assert np.all(states.extremes.row[1] == -1)
    assert not np.any(states.extremes.broken[1])
    assert 1 not in states.violations.state
    alone = plan(kind, linear, grown, max_iterations=100).solve([levels[2]], {"nodes"})
    assert states.solution.node_v[2].tobytes() == alone.solution.node_v[0].tobytes()


def test_a_state_that_overflows_ends_at_once_and_spoils_no_neighbour() -> None:
    """Voltages that leave all bounds are neither waited for nor used."""
    linear = chain([R], ports([]))
    grown = growth([(1, -1, -1e300, 0.0, 0), (1, -1, -1.0, 0.0, 1)], scopes=2)
    states = plan(BatchedPlan, linear, grown).solve([[2_000_000_000, 0], [0, 5]], {"nodes"})
    assert states.converged.tolist() == [False, True]
    assert states.iterations[0] < 10
    assert states.solution.node_v[1, 1] == pytest.approx((E + math.sqrt(E**2 - 4 * R * 5000)) / 2, rel=1e-9)
