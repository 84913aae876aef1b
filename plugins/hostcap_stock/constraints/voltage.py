"""Voltage limits as rows over nodes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from attrs import frozen

from hostcap._arrays import BoolArray, FloatArray, IntArray
from hostcap.errors import ConfigError
from hostcap.limits import VOLTAGE_HIGH, VOLTAGE_LOW, Limits, LinearLimits, RowLabels
from hostcap.network import PHASE_LETTERS, Network
from hostcap_stock.constraints.config import VoltageConfig


@frozen(kw_only=True)
class Voltage:
    """Watches every live phase node of a voltage level that has a limit."""

    config: VoltageConfig

    def limits(self, network: Network) -> Sequence[Limits]:
        """LV rows in V to neutral (or ground), HV rows in pu.

        Raises:
            ConfigError: Limits in volts do not enclose the nominal of some watched LV node.
        """
        watched = network.nodes.live & ~network.nodes.neutral
        found = []
        c = self.config
        if any(v is not None for v in (c.lv_min_v, c.lv_max_v, c.lv_min_pu, c.lv_max_pu)):
            found.append(self._lv(network, watched & network.node_lv))
        if c.hv_min_pu is not None or c.hv_max_pu is not None:
            found.extend(self._hv(network, watched & ~network.node_lv))
        return [limit for limit in found if limit.lower.size]

    def _lv(self, network: Network, watched: BoolArray) -> LinearLimits:
        c, nodes = self.config, np.flatnonzero(watched).astype(np.int32)
        nominal = network.nodes.nominal_v[nodes]
        lower = _volts(c.lv_min_v, c.lv_min_pu, nominal)
        upper = _volts(c.lv_max_v, c.lv_max_pu, nominal)
        _refuse_outside(c, nominal)
        if np.any(lower >= upper):
            raise ConfigError("constraints: the least LV voltage is not below the greatest on some LV nodes")
        sides = (_described("LV", c.lv_min_v, c.lv_max_v, "V"), _described("LV", c.lv_min_pu, c.lv_max_pu, "pu"))
        described = "; ".join(side for side in sides if side)
        return _node_rows(network, nodes, network.nodes.reference[nodes], 1.0, lower, upper, "V", described)

    def _hv(self, network: Network, watched: BoolArray) -> list[LinearLimits]:
        c, nodes = self.config, np.flatnonzero(watched).astype(np.int32)
        described = f"{_described('HV', c.hv_min_pu, c.hv_max_pu, 'pu')} {c.hv_reference}"
        if c.hv_reference == "phase-to-ground":
            return [self._hv_rows(network, nodes, np.full(nodes.size, -1, dtype=np.int32), described)]
        first, second, alone = _phase_pairs(network, nodes)
        rows = [self._hv_rows(network, first, second, described)]
        if alone.size:
            rows.append(self._hv_rows(network, alone, np.full(alone.size, -1, dtype=np.int32), described))
        return rows

    def _hv_rows(self, network: Network, nodes: IntArray, references: IntArray, described: str) -> LinearLimits:
        c = self.config
        # Between two phases the nominal is sqrt 3 times that to ground.
        between = np.where(references >= 0, np.sqrt(3.0), 1.0)
        scale = 1.0 / (network.nodes.nominal_v[nodes] * between)
        lower = np.full(nodes.size, np.nan if c.hv_min_pu is None else c.hv_min_pu)
        upper = np.full(nodes.size, np.nan if c.hv_max_pu is None else c.hv_max_pu)
        return _node_rows(network, nodes, references, scale, lower, upper, "pu", described)


def _volts(volts: float | None, per_unit: float | None, nominal: FloatArray) -> FloatArray:
    if volts is not None:
        return np.full(nominal.size, volts)
    return np.full(nominal.size, np.nan) if per_unit is None else per_unit * nominal


def _refuse_outside(config: VoltageConfig, nominal: FloatArray) -> None:
    low = -np.inf if config.lv_min_v is None else config.lv_min_v
    high = np.inf if config.lv_max_v is None else config.lv_max_v
    outside = nominal[(nominal <= low) | (nominal >= high)]
    if outside.size:
        kinds, counts = np.unique(np.round(outside, 1), return_counts=True)
        listed = ", ".join(f"{v:g} V ({n} nodes)" for v, n in zip(kinds, counts, strict=True))
        raise ConfigError(
            f"constraints: {_described('LV', config.lv_min_v, config.lv_max_v, 'V')} does not enclose the nominal of "
            f"LV nodes: {listed}; "
            "use lv_min_pu and lv_max_pu"
        )


def _described(level: str, low: float | None, high: float | None, unit: str) -> str:
    if low is None and high is None:
        return ""
    if low is None:
        return f"{level} <= {high:g} {unit}"
    if high is None:
        return f"{level} >= {low:g} {unit}"
    return f"{level} {low:g}-{high:g} {unit}"


def _phase_pairs(network: Network, nodes: IntArray) -> tuple[IntArray, IntArray, IntArray]:
    """Pairs of watched phases of each bus, and the phases that are alone on theirs."""
    first, second, alone = [], [], []
    nodes = nodes[np.lexsort((network.nodes.number[nodes], network.nodes.bus[nodes]))]
    buses = network.nodes.bus[nodes]
    for own in np.split(nodes, np.flatnonzero(np.diff(buses)) + 1) if nodes.size else []:
        pairs = [(a, b) for i, a in enumerate(own) for b in own[i + 1 :]]
        first += [a for a, _ in pairs]
        second += [b for _, b in pairs]
        alone += list(own) if own.size == 1 else []
    return (np.asarray(first, dtype=np.int32), np.asarray(second, dtype=np.int32), np.asarray(alone, dtype=np.int32))


def _node_rows(
    network: Network,
    nodes: IntArray,
    references: IntArray,
    scale: FloatArray | float,
    lower: FloatArray,
    upper: FloatArray,
    unit: str,
    described: str,
) -> LinearLimits:
    """Rows scale x |V(node) - V(reference)|; a reference of -1 is ground."""
    size = nodes.size
    two = references >= 0
    counts = 1 + two.astype(np.int64)
    pointer = np.concatenate([[0], np.cumsum(counts)])
    index = np.empty(int(pointer[-1]), dtype=np.int32)
    coefficient = np.empty(index.size)
    scales = np.broadcast_to(np.asarray(scale, dtype=np.float64), (size,))
    index[pointer[:-1]], coefficient[pointer[:-1]] = nodes, scales
    index[pointer[:-1][two] + 1], coefficient[pointer[:-1][two] + 1] = references[two], -scales[two]
    buses = network.nodes.bus[nodes]
    return LinearLimits(
        labels=RowLabels(
            equipment=network.buses.name[buses],
            equipment_type=["Bus"] * size,
            terminal=np.zeros(size),
            phase=[_letters(network, n, r) for n, r in zip(nodes, references, strict=True)],
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
        lower=lower,
        upper=upper,
        metric_low=VOLTAGE_LOW,
        metric_high=VOLTAGE_HIGH,
        description=described,
    )


def _letters(network: Network, node: int, reference: int) -> str:
    own = PHASE_LETTERS.get(int(network.nodes.number[node]), "")
    if reference < 0 or network.nodes.neutral[reference]:
        return own
    return own + PHASE_LETTERS.get(int(network.nodes.number[reference]), "")
