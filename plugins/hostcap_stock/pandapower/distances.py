"""How far each bus is from the source, along lines."""

from __future__ import annotations

import numpy as np

from hostcap._arrays import FloatArray, IntArray
from hostcap.topology import distances
from hostcap_stock.pandapower.branches import Branches
from hostcap_stock.pandapower.columns import Columns
from hostcap_stock.pandapower.reading import NetTables


def bus_distances(net: NetTables, branches: Branches, sources: IntArray, size: int) -> FloatArray:
    """Shortest way from a source to each bus, km, shape (bus,); nan where none leads there.

    Transformers, impedances and switches between buses have no length. A line that is open at an end joins nothing.
    """
    lines, *transformers = branches.kinds
    through = lines.closed.all(axis=1)
    others = [*map(tuple, branches.joins.tolist()), *(pair for branch in transformers for pair in branch.pairs())]
    pairs = np.concatenate([lines.bus[through], np.asarray(others, dtype=np.int32).reshape(-1, 2)])
    km = Columns(net, "line").floats("length_km")[lines.position[through]]
    found = distances(size, pairs[:, 0], pairs[:, 1], np.concatenate([km, np.zeros(len(others))]), sources)
    return np.where(np.isfinite(found), found, np.nan)
