"""How far each bus is from the source, along lines."""

from __future__ import annotations

import numpy as np

from hostcap._arrays import FloatArray
from hostcap.findings import Finding, Severity, counted, some
from hostcap.topology import distances
from hostcap_stock.opendss.model import Model, Terminals


def bus_distances(model: Model, findings: list[Finding]) -> FloatArray:
    """Shortest way from the source to each bus, km; nan where none leads there.

    Transformers, reactors and series capacitors have no length, nor have lines whose length has no unit, which are
    listed in the findings. What is open at either end joins nothing.
    """
    unitless = [line.name for line in model.lines if np.isnan(line.length_km)]
    if unitless:
        findings.append(
            Finding(
                severity=Severity.INFO,
                code="line-lengths-without-unit",
                element=some(unitless),
                count=len(unitless),
                message=f"{len(unitless)} of {counted(len(model.lines), 'line')} with a length without a unit, "
                "counted as 0 km in distances from the source; nothing else depends on it; state units=",
            )
        )
    ends: list[tuple[int, int]] = []
    length: list[float] = []

    def join(terminals: Terminals, km: float) -> None:
        if not terminals.joined:
            return
        buses = [int(model.node_bus[nodes[nodes >= 0][0]]) for nodes in terminals.nodes if np.any(nodes >= 0)]
        for other in buses[1:]:
            ends.append((buses[0], other))
            length.append(km)

    for line in model.lines:
        join(line.terminals, 0.0 if np.isnan(line.length_km) else line.length_km)
    for terminals in (*(t.terminals for t in model.transformers), *(j.terminals for j in model.joins)):
        join(terminals, 0.0)
    pairs = np.asarray(ends, dtype=np.int32).reshape(-1, 2)
    sources = model.node_bus[model.source_nodes[model.source_nodes >= 0]]
    found = distances(len(model.bus_names), pairs[:, 0], pairs[:, 1], np.asarray(length, dtype=np.float64), sources)
    return np.where(np.isfinite(found), found, np.nan)
