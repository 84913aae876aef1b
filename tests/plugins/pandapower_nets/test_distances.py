"""Distances of buses from the source, against pandapower's own graph of a net, and the published line lengths."""

from __future__ import annotations

import numpy as np
import pytest

pp = pytest.importorskip("pandapower", reason="pandapower is not installed: pip install 'hostcap[pandapower]'")

from hostcap_stock.pandapower.config import PandapowerConfig  # noqa: E402
from hostcap_stock.pandapower.source import PandapowerSource  # noqa: E402

NETS = ["create_cigre_network_mv", "create_cigre_network_lv", "create_kerber_landnetz_freileitung_1"]


@pytest.mark.parametrize("name", NETS)
def test_distances_are_those_of_the_librarys_own_graph(name: str) -> None:
    """``calc_distance_to_bus`` walks networkx; transformers and closed switches have no length there either."""
    topology = pytest.importorskip("pandapower.topology")
    net = getattr(pp.networks, name)()
    theirs = topology.calc_distance_to_bus(net, int(net.ext_grid.bus.iloc[0]), respect_switches=True)
    found = PandapowerSource(config=PandapowerConfig(function=name)).load("net").buses.distance_km
    expected = np.array([theirs.get(bus, np.nan) for bus in net.bus.index])
    assert np.isfinite(found).sum() >= 5 and np.nanmax(found) > 0
    np.testing.assert_allclose(found, expected, atol=1e-8)


def test_cigre_mv_is_as_long_as_published() -> None:
    """CIGRE TB 575 (2014), European MV benchmark: lengths of the segments 1-2, 2-3, 3-8, 7-8; 6-7 is open."""
    network = PandapowerSource(config=PandapowerConfig(function="create_cigre_network_mv")).load("net")
    km = dict(zip(network.buses.name.tolist(), network.buses.distance_km.tolist(), strict=True))
    assert km["Bus 7"] == pytest.approx(2.82 + 4.42 + 1.30 + 1.67)
    assert km["Bus 1"] == km["Bus 12"] == 0.0
