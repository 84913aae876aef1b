"""What injectors do at the start, and what grows beside them; numbers by hand on a street of six loads."""

from __future__ import annotations

import math
from datetime import UTC, datetime

import numpy as np
import pytest

from hostcap.growth import ConstantPower, Growth, UnitInjection, customer_growth
from hostcap.network import Network
from hostcap.operating_point import OperatingPoint
from hostcap.testing.networks import SmallNetwork

INSTANT = datetime(2025, 1, 1, tzinfo=UTC)


@pytest.fixture
def street() -> Network:
    """Two groups: bus a (1-4) with a one-phase, a three-phase and a two-legged house; b with a delta load and PV."""
    return (
        SmallNetwork()
        .bus("hv", 22.0)
        .bus("a", 0.4, (1, 2, 3, 4), group=1)
        .bus("b", 0.4, group=2)
        .group("t1", "t2")
        .load("one", "a", (2, 4), kw=1.0, kvar=0.5)
        .load("three", "a", (1, 2, 3, 4), kw=6.0, kvar=-1.0, kv=0.4)
        .load("leg1", "a", (1, 4), kw=0.5)
        .load("leg3", "a", (3, 4), kw=0.25)
        .load("delta", "b", (3, 1), phases=1, delta=True, kv=0.4, kw=2.0)
        .pv("roof", "b", (1, 0), kw=5.0, kvar=-2.0)
        .pv("alone", "b", (2, 0), kw=3.0, kvar=1.0)
        .load("mill", "hv", (1, 2, 3), kw=100.0, kv=22.0)
        .customer("one")
        .customer("three")
        .customer("house", "leg1", "leg3")
        .customer("delta", "delta", "roof")
        .customer("alone")
        .build()
    )


def as_modelled(network: Network) -> OperatingPoint:
    injectors = network.injectors
    return OperatingPoint(
        instant=INSTANT,
        as_modelled=True,
        load_kw=injectors.load_kw,
        load_kvar=injectors.load_kvar,
        generation_kw=injectors.generation_kw,
        generation_kvar=injectors.generation_kvar,
    )


def names_of(network: Network, growth: Growth) -> dict[str, list[str]]:
    """``bus.number`` of each point's conductors; ground is ``0``."""
    return {
        str(growth.name[p]): [network.node_names([n])[0] if n >= 0 else "0" for n in growth.terminals(p)]
        for p in range(growth.name.size)
    }


# --- operating point -----------------------------------------------------------------------------------------------


def test_an_injection_is_power_into_the_network() -> None:
    # A load of 3 kW that consumes 1 kvar beside a generator of 5 kW that consumes 2 kvar, or supplies them.
    point = OperatingPoint(
        instant=INSTANT,
        as_modelled=False,
        load_kw=[3.0, 3.0, 0.0],
        load_kvar=[1.0, 1.0, -4.0],
        generation_kw=[5.0, 0.0, 5.0],
        generation_kvar=[2.0, 0.0, -2.0],
    )
    assert point.p_kw.tolist() == [2.0, -3.0, 5.0]
    assert point.q_kvar.tolist() == [-3.0, -1.0, 6.0]


def test_load_and_generation_are_summed_by_group_without_the_hv_ones(street: Network) -> None:
    load_kw, generation_kw = as_modelled(street).group_kw(street)
    assert load_kw.tolist() == [7.75, 2.0]  # 1 + 6 + 0.5 + 0.25; the mill of 100 kW is on the feeder
    assert generation_kw.tolist() == [0.0, 8.0]


def test_a_customers_kw_is_net_of_its_generation_positive_where_it_draws(street: Network) -> None:
    assert as_modelled(street).customer_kw(street).tolist() == [1.0, 6.0, 0.75, -3.0, -3.0]


def test_points_are_equal_by_content_and_cannot_be_written(street: Network) -> None:
    first, second = as_modelled(street), as_modelled(street)
    assert first == second
    assert hash(first) == hash(second)
    with pytest.raises(ValueError, match="read-only"):
        first.load_kw[0] = 9.0


# --- growth --------------------------------------------------------------------------------------------------------


def test_growth_stands_beside_each_load_with_its_connection(street: Network) -> None:
    growth = customer_growth(street, np.ones(5) * [1, 1, 1, 1, 0], UnitInjection(p_kw=1.0, q_kvar=0.0))
    assert growth.name.tolist() == ["one", "three", "leg1", "leg3", "delta"]
    assert names_of(street, growth) == {
        "one": ["a.2", "a.4"],
        "three": ["a.1", "a.2", "a.3", "a.4"],
        "leg1": ["a.1", "a.4"],
        "leg3": ["a.3", "a.4"],
        "delta": ["b.3", "b.1"],
    }
    assert growth.phases.tolist() == [1, 3, 1, 1, 1]
    assert growth.delta.tolist() == [False, False, False, False, True]
    assert growth.kv.tolist() == [0.23, 0.4, 0.23, 0.23, 0.4]
    assert growth.scope.tolist() == [0, 0, 0, 0, 1]
    assert growth.scope_count == 2


def test_a_joined_customers_growth_is_split_over_all_phases_of_its_loads(street: Network) -> None:
    # 2 kW on two legs of one phase each: 1 kW each. The PV beside the delta load takes no share.
    growth = customer_growth(street, np.array([0, 0, 2.0, 3.0, 0]), UnitInjection(p_kw=1.0, q_kvar=-0.25))
    assert dict(zip(growth.name, growth.p_kw.tolist(), strict=True)) == {"leg1": 1.0, "leg3": 1.0, "delta": 3.0}
    assert growth.q_kvar.tolist() == [-0.25, -0.25, -0.75]


def test_a_three_phase_and_a_one_phase_load_of_one_customer_share_three_to_one() -> None:
    network = (
        SmallNetwork()
        .bus("a", 0.4, (1, 2, 3, 4), group=1)
        .group("t1")
        .load("big", "a", (1, 2, 3, 4), kv=0.4)
        .load("small", "a", (2, 4))
        .customer("farm", "small", "big")
        .build()
    )
    growth = customer_growth(network, np.array([8.0]), UnitInjection(p_kw=1.0, q_kvar=0.5))
    assert dict(zip(growth.name, growth.p_kw.tolist(), strict=True)) == {"small": 2.0, "big": 6.0}
    assert dict(zip(growth.name, growth.q_kvar.tolist(), strict=True)) == {"small": 1.0, "big": 3.0}


@pytest.mark.parametrize(("p", "q"), [(1.0, 0.0), (-1.0, -0.33), (1.0, 0.33), (-1.0, 0.2)])
def test_growth_adds_up_to_each_groups_steps_with_the_sign_of_the_unit(street: Network, p: float, q: float) -> None:
    steps = np.array([0.1, 0.2, 0.7, 0.4, 0.0])
    growth = customer_growth(street, steps, UnitInjection(p_kw=p, q_kvar=q))
    assert growth.p_kw[growth.scope == 0].sum() == pytest.approx(1.0 * p)
    assert growth.p_kw[growth.scope == 1].sum() == pytest.approx(0.4 * p)
    assert growth.q_kvar[growth.scope == 0].sum() == pytest.approx(1.0 * q)
    assert (np.sign(growth.p_kw) == np.sign(p)).all()
    assert (np.sign(growth.q_kvar) == np.sign(q)).all()


def test_customers_without_a_step_and_those_without_a_load_make_no_points(street: Network) -> None:
    growth = customer_growth(street, np.array([1.0, 0, 0, 0, 1.0]), UnitInjection(p_kw=1.0, q_kvar=0.0))
    assert growth.name.tolist() == ["one"]
    assert growth.terminal_ptr.tolist() == [0, 2]


def test_no_growth_at_all_is_a_growth_without_points(street: Network) -> None:
    growth = customer_growth(street, np.zeros(5), UnitInjection(p_kw=1.0, q_kvar=0.0))
    assert (growth.name.size, growth.terminal_ptr.tolist(), growth.terminal_node.size) == (0, [0], 0)
    assert growth.scope_count == 2


def test_the_voltage_law_is_that_of_the_unit_and_by_default_that_of_the_method(street: Network) -> None:
    law = ConstantPower(vmin_pu=0.8, vmax_pu=1.2)
    assert customer_growth(street, np.ones(5), UnitInjection(p_kw=1.0, q_kvar=0.0, law=law)).law == law
    method = customer_growth(street, np.ones(5), UnitInjection(p_kw=1.0, q_kvar=0.0)).law
    assert (method.vmin_pu, method.vmax_pu, method.vlow_pu) == (0.7, 2.0, 0.5)


@pytest.mark.parametrize("wrong", [{"vmin_pu": 0.0}, {"vmax_pu": -1.0}, {"vlow_pu": -0.1}])
def test_a_voltage_law_without_sense_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        ConstantPower(**wrong)


def test_growth_of_ones_is_the_same_whatever_the_order_of_customers() -> None:
    def total(order: list[str]) -> dict[str, float]:
        builder = SmallNetwork().bus("a", 0.4, group=1).group("t1")
        builder.load("x", "a", (1, 0)).load("y", "a", (2, 0)).load("z", "a", (1, 2, 3), kv=0.4)
        for name in order:
            builder.customer(name)
        network = builder.build()
        growth = customer_growth(network, np.full(3, 0.1), UnitInjection(p_kw=1.0, q_kvar=math.tan(0.1)))
        return dict(zip(growth.name, growth.p_kw.tolist(), strict=True))

    assert total(["x", "y", "z"]) == total(["z", "x", "y"]) == {"x": 0.1, "y": 0.1, "z": pytest.approx(0.1)}
