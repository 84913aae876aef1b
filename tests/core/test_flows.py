"""Periods and their networks."""

from __future__ import annotations

from datetime import UTC, datetime

import attrs
import pytest

from hostcap.errors import FlowsError
from hostcap.flows import HELD, FlowNetwork, FlowPeriod, PerNetwork, with_stations

NETWORK = FlowNetwork(
    branch=["L"],
    bus=["1", "2"],
    node=["aaa", "bbb"],
    from_bus=[0],
    to_bus=[1],
    row_node=[0, 1],
    row_bus=[0, 1],
    row_factor=[1.0, 1.0],
)
PERIOD = FlowPeriod(
    network=NETWORK,
    label="TP1",
    start=datetime(2025, 1, 5, tzinfo=UTC),
    minutes=30.0,
    flow_mw=[1.0],
    loss_mw=[0.0],
    fixed_loss_mw=[0.0],
    generation_mw=[1.0, 0.0],
    load_mw=[0.0, 1.0],
)


def test_a_period_goes_over_to_the_same_network_with_stations() -> None:
    stationed = with_stations(NETWORK, {"aaa": "a", "bbb": "b"})
    period = PERIOD.on(stationed)
    assert period == attrs.evolve(PERIOD, network=stationed)
    assert period.network.stations.tolist() == ["a", "b"] and not PERIOD.network.stations.size


def test_a_period_does_not_go_over_to_another_network() -> None:
    with pytest.raises(FlowsError, match="another to_bus is not the same network"):
        PERIOD.on(attrs.evolve(NETWORK, to_bus=[0]))


def test_a_factor_below_0_is_refused_although_factors_add_up_to_1() -> None:
    """2 and -1 would make load of generation."""
    with pytest.raises(FlowsError, match="node aaa: its allocation factor at bus 2 is -1; expected parts of its MW"):
        attrs.evolve(NETWORK, row_node=[0, 0, 1], row_bus=[0, 1, 1], row_factor=[2.0, -1.0, 1.0])


def test_a_network_that_comes_again_is_known_by_what_it_says() -> None:
    asked: list[FlowNetwork] = []
    held: PerNetwork[int] = PerNetwork(lambda network: asked.append(network) or len(asked))  # type: ignore[func-returns-value]
    again, other = attrs.evolve(NETWORK), attrs.evolve(NETWORK, row_bus=[1, 0])
    assert again is not NETWORK
    assert [held.of(n) for n in (NETWORK, again, other, NETWORK, again)] == [1, 1, 2, 1, 1]
    assert len(asked) == 2


def test_old_networks_are_forgotten() -> None:
    held: PerNetwork[FlowNetwork] = PerNetwork(lambda network: network)
    many = [attrs.evolve(NETWORK, branch=[f"L{n}"]) for n in range(HELD + 1)]
    assert [held.of(network) for network in many] == many
    assert held.of(attrs.evolve(many[-1])) is many[-1]
    assert held.of(copy := attrs.evolve(many[0])) is copy
