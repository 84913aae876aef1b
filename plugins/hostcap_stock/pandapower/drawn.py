"""What a state draws, summed as pandapower's elements want it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from attrs import field, frozen

from hostcap._arrays import FloatArray, IntArray, floats, sums
from hostcap.linear import CONSTANT_IMPEDANCE, Ports
from hostcap_stock.pandapower.network import Feeder


@frozen(kw_only=True, eq=False)
class Drawn:
    """kW and kvar that a state draws.

    Attributes:
        wye_kw, wye_kvar: To ground at each node, shape (node,).
        delta_kw, delta_kvar: Between each phase and the next, at the node of the first, shape (node,).
        shunt_kw, shunt_kvar: By constant impedances of three equal phases at each bus, at its rated voltage, shape
            (bus,).
    """

    wye_kw: FloatArray = field(converter=floats)
    wye_kvar: FloatArray = field(converter=floats)
    delta_kw: FloatArray = field(converter=floats)
    delta_kvar: FloatArray = field(converter=floats)
    shunt_kw: FloatArray = field(converter=floats)
    shunt_kvar: FloatArray = field(converter=floats)

    @classmethod
    def of(cls, feeder: Feeder, parts: Sequence[tuple[Ports, FloatArray, FloatArray]]) -> Drawn:
        """Sum the powers of sets of ports, each with its kW and kvar of shape (port,)."""
        nodes = feeder.network.nodes
        count, buses = nodes.bus.size, feeder.bus_index.size
        totals = {name: np.zeros(count) for name in ("wye_kw", "wye_kvar", "delta_kw", "delta_kvar")}
        shunts = {name: np.zeros(buses) for name in ("shunt_kw", "shunt_kvar")}
        for ports, kw, kvar in parts:
            impedance = ports.model == CONSTANT_IMPEDANCE
            wye, delta = ~impedance & (ports.node_b < 0), ~impedance & (ports.node_b >= 0)
            first = _first_of_delta(ports)
            for name, values in (("kw", kw), ("kvar", kvar)):
                totals[f"wye_{name}"] += sums(ports.node_a[wye], values[wye], count)
                totals[f"delta_{name}"] += sums(first[delta], values[delta], count)
                shunts[f"shunt_{name}"] += sums(nodes.bus[ports.node_a[impedance]], values[impedance], buses)
        return cls(**totals, **shunts)


def _first_of_delta(ports: Ports) -> IntArray:
    """Node of a port between two phases that the other follows: A for A-B, B for B-C, C for C-A."""
    a, b = ports.node_a.astype(np.int64), ports.node_b.astype(np.int64)
    # Nodes of a bus are three in a row, so that B follows A by one, and A follows C from two behind.
    return np.where(np.isin(b - a, (1, -2)), a, b).astype(np.int32)
