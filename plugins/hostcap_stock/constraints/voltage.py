"""Voltage limits as rows over nodes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from attrs import frozen

from hostcap._arrays import BoolArray, FloatArray, IntArray
from hostcap.errors import ConfigError
from hostcap.findings import counted
from hostcap.limit_rows import GROUND, node_rows
from hostcap.limits import Limits, LinearLimits
from hostcap.network import Network
from hostcap_stock.constraints.config import VoltageConfig
from hostcap_stock.constraints.percentile import PercentileOfVoltages


@frozen(kw_only=True)
class Voltage:
    """Watches every live phase node of a voltage level that has a limit."""

    config: VoltageConfig

    def limits(self, network: Network) -> Sequence[Limits]:
        """LV rows in V to neutral (or ground), HV rows in pu; LV percentiles are measures.

        Raises:
            ConfigError: Limits in volts do not enclose the nominal of some watched LV node.
        """
        watched = network.nodes.live & ~network.nodes.neutral
        found: list[Limits] = []
        c = self.config
        if any(v is not None for v in (c.lv_min_v, c.lv_max_v, c.lv_min_pu, c.lv_max_pu)):
            found.extend(self._lv(network, watched & network.node_lv))
        if c.hv_min_pu is not None or c.hv_max_pu is not None:
            found.extend(self._hv(network, watched & ~network.node_lv))
        return [limit for limit in found if limit.lower.size]

    def _lv(self, network: Network, watched: BoolArray) -> list[Limits]:
        c, nodes = self.config, np.flatnonzero(watched).astype(np.int32)
        nominal = network.nodes.nominal_v[nodes]
        lower = _volts(c.lv_min_v, c.lv_min_pu, nominal)
        upper = _volts(c.lv_max_v, c.lv_max_pu, nominal)
        _refuse_outside(c, nominal)
        if np.any(lower >= upper):
            raise ConfigError("constraints: the least LV voltage is not below the greatest on some LV nodes")
        sides = (_described("LV", c.lv_min_v, c.lv_max_v, "V"), _described("LV", c.lv_min_pu, c.lv_max_pu, "pu"))
        described = "; ".join(side for side in sides if side)
        rows = node_rows(
            network,
            nodes,
            to=network.nodes.reference[nodes],
            unit="V",
            lower=lower,
            upper=upper,
            description=described,
        )
        if c.lv_percentile is None:
            return [rows]
        return _percentiles(rows, nodes, network.nodes.reference[nodes], c.lv_percentile)

    def _hv(self, network: Network, watched: BoolArray) -> list[LinearLimits]:
        c, nodes = self.config, np.flatnonzero(watched).astype(np.int32)
        described = f"{_described('HV', c.hv_min_pu, c.hv_max_pu, 'pu')} {c.hv_reference}"
        if c.hv_reference == "phase-to-ground":
            return [self._hv_rows(network, nodes, np.full(nodes.size, GROUND, dtype=np.int32), described)]
        first, second, alone = _phase_pairs(network, nodes)
        rows = [self._hv_rows(network, first, second, described)]
        if alone.size:
            rows.append(self._hv_rows(network, alone, np.full(alone.size, GROUND, dtype=np.int32), described))
        return rows

    def _hv_rows(self, network: Network, nodes: IntArray, references: IntArray, described: str) -> LinearLimits:
        c = self.config
        # Between two phases the nominal is sqrt 3 times that to ground.
        between = np.where(references >= 0, np.sqrt(3.0), 1.0)
        scale = 1.0 / (network.nodes.nominal_v[nodes] * between)
        return node_rows(
            network,
            nodes,
            to=references,
            scale=scale,
            unit="pu",
            lower=np.nan if c.hv_min_pu is None else c.hv_min_pu,
            upper=np.nan if c.hv_max_pu is None else c.hv_max_pu,
            description=described,
        )


def _percentiles(rows: LinearLimits, nodes: IntArray, references: IntArray, percentile: float) -> list[Limits]:
    """Of each group the percentile against the upper limits, and 100 less it against the lower ones."""
    sides: tuple[tuple[Literal["upper", "lower"], float, str, FloatArray], ...] = (
        ("upper", percentile, rows.metric_high, rows.upper),
        ("lower", 100.0 - percentile, rows.metric_low, rows.lower),
    )
    return [
        PercentileOfVoltages(
            node=nodes,
            reference=references,
            labels=rows.labels,
            limit=limit,
            side=side,
            percentile=share,
            metric=metric,
            description=f"{rows.description} at percentile {percentile:g} of each group",
        )
        for side, share, metric, limit in sides
        if np.isfinite(limit).all()
    ]


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
        listed = ", ".join(f"{v:g} V ({counted(n, 'node')})" for v, n in zip(kinds, counts, strict=True))
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
