"""Solved flows made of arrays, small enough to trace by hand."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import numpy as np

from hostcap.flows import FlowNetwork, FlowPeriod

EAST = timezone(timedelta(hours=12))
"""Time of the samples: their days are not those of UTC."""
THREE_BUSES = FlowNetwork(
    branch=["idle", "line", "tie"],
    bus=["A", "B", "C"],
    node=["a", "b", "c"],
    from_bus=[0, 1, 0],
    to_bus=[1, 2, 2],
    row_node=[0, 1, 2],
    row_bus=[0, 1, 2],
    row_factor=[1.0, 1.0, 1.0],
    stations=["A", "B", "C"],
    bus_station=[0, 1, 2],
)
"""``a`` and ``b`` supply ``c``, each over a branch of its own; ``idle`` carries nothing."""


def three_bus_period(number: int = 0, *, network: FlowNetwork = THREE_BUSES, scale: float = 1.0) -> FlowPeriod:
    """Half hour ``number`` of 5 January 2025: 30 MW from ``a`` and 20 MW from ``b`` to ``c``, times ``scale``."""
    return FlowPeriod(
        network=network,
        label=f"TP{number + 1}",
        start=datetime(2025, 1, 5, tzinfo=EAST) + number * timedelta(minutes=30),
        minutes=30.0,
        flow_mw=scale * np.array([0.0, 20.0, 30.0]),
        loss_mw=scale * np.array([0.0, 1.0, 2.0]),
        fixed_loss_mw=np.zeros(3),
        generation_mw=scale * np.array([30.0, 20.0, 0.0]),
        load_mw=scale * np.array([0.0, 0.0, 47.0]),
    )
