"""Rows of limits, built for the author of a constraint: voltages of nodes, currents of conductors."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from hostcap._arrays import IntArray
from hostcap.limits import THERMAL, VOLTAGE_HIGH, VOLTAGE_LOW, LinearLimits, RowLabels
from hostcap.network import PHASE_LETTERS, Network

GROUND = -1
"""Node that a voltage to ground is measured to."""


def node_rows(
    network: Network,
    nodes: ArrayLike,
    *,
    to: ArrayLike = GROUND,
    scale: ArrayLike = 1.0,
    unit: str = "V",
    lower: ArrayLike = np.nan,
    upper: ArrayLike = np.nan,
    metric_low: str = VOLTAGE_LOW,
    metric_high: str = VOLTAGE_HIGH,
    description: str = "",
) -> LinearLimits:
    """Limits of voltages between two nodes, or of nodes to ground: rows ``scale x |V(node) - V(to)|``.

    Args:
        network: The feeder.
        nodes: Nodes to watch, shape (row,).
        to: Node that each is measured to; -1 is ground.
        scale: Of each row's unit for one V, such as 1 / nominal for pu.
        unit: Unit of the rows.
        lower: Least value in that unit; nan where there is none.
        upper: Greatest value in that unit; nan where there is none.
        metric_low: What a violation of ``lower`` is called.
        metric_high: What a violation of ``upper`` is called.
        description: The limits in one line.
    """
    first = np.asarray(nodes, dtype=np.int32)
    size = first.size
    second: IntArray = np.broadcast_to(np.asarray(to, dtype=np.int32), (size,))
    scales = np.broadcast_to(np.asarray(scale, dtype=np.float64), (size,))
    two = second >= 0
    pointer = np.concatenate([[0], np.cumsum(1 + two.astype(np.int64))])
    index = np.empty(int(pointer[-1]), dtype=np.int32)
    coefficient = np.empty(index.size)
    index[pointer[:-1]], coefficient[pointer[:-1]] = first, scales
    index[pointer[:-1][two] + 1], coefficient[pointer[:-1][two] + 1] = second[two], -scales[two]
    buses = network.nodes.bus[first]
    return LinearLimits(
        labels=RowLabels(
            equipment=network.buses.name[buses],
            equipment_type=["Bus"] * size,
            terminal=np.zeros(size),
            phase=[_letters(network, n, r) for n, r in zip(first, second, strict=True)],
            unit=[unit] * size,
            group=network.buses.group[buses],
            v_base_v=network.buses.nominal_kv[buses] * 1000.0,
        ),
        node_ptr=pointer,
        node_index=index,
        node_coefficient=coefficient,
        conductor_ptr=np.zeros(size + 1),
        conductor_index=[],
        conductor_coefficient=[],
        lower=np.broadcast_to(np.asarray(lower, dtype=np.float64), (size,)),
        upper=np.broadcast_to(np.asarray(upper, dtype=np.float64), (size,)),
        metric_low=metric_low,
        metric_high=metric_high,
        description=description,
    )


def conductor_rows(
    network: Network,
    conductors: ArrayLike,
    *,
    upper: ArrayLike,
    metric: str = THERMAL,
    description: str = "",
) -> LinearLimits:
    """Limits of currents into lines and transformers, A.

    Args:
        network: The feeder.
        conductors: Conductors to watch, none of them at ground, shape (row,).
        upper: Limit of each, A.
        metric: What a violation is called.
        description: The limits in one line.
    """
    chosen = np.asarray(conductors, dtype=np.int32)
    size = chosen.size
    own, equipment = network.conductors, network.equipment
    of, node = own.equipment[chosen], own.node[chosen]
    neutral = network.nodes.neutral[node] & (own.phase[chosen] == "")
    return LinearLimits(
        labels=RowLabels(
            equipment=equipment.name[of],
            equipment_type=equipment.kind[of],
            terminal=own.terminal[chosen],
            phase=np.where(neutral, "N", own.phase[chosen]),
            unit=["A"] * size,
            group=equipment.group[of],
            v_base_v=network.buses.nominal_kv[network.nodes.bus[node]] * 1000.0,
        ),
        node_ptr=np.zeros(size + 1),
        node_index=[],
        node_coefficient=[],
        conductor_ptr=np.arange(size + 1),
        conductor_index=chosen,
        conductor_coefficient=np.ones(size),
        lower=np.full(size, np.nan),
        upper=np.broadcast_to(np.asarray(upper, dtype=np.float64), (size,)),
        metric_low="",
        metric_high=metric,
        description=description,
    )


def _letters(network: Network, node: int, reference: int) -> str:
    own = PHASE_LETTERS.get(int(network.nodes.number[node]), "")
    if reference < 0 or network.nodes.neutral[reference]:
        return own
    other = PHASE_LETTERS.get(int(network.nodes.number[reference]), "")
    return own if other == own else own + other  # one phase at two buses is one letter
