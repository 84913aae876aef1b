"""Flows of pandapower's solved nets: balanced ones stand for three phases, and the numbers are pandapower's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hostcap.operating_point import FeederScope
from hostcap.power_flow import Settling
from hostcap.tracing import directed
from hostcap_stock.flows.config import PowerFlowConfig
from hostcap_stock.flows.power_flow import flows_of_start
from hostcap_stock.initial_states import AsModelled

pandapower: Any = pytest.importorskip("pandapower", reason="pandapower is not installed: hostcap[pandapower]")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("three_phase", [False, True], ids=["balanced", "unbalanced"])
def test_the_balance_closes_and_the_grid_gives_what_pandapower_says(tmp_path: Path, three_phase: bool) -> None:
    from pandapower import networks

    from hostcap_stock.pandapower.config import PandapowerConfig
    from hostcap_stock.pandapower.source import PandapowerSource

    if three_phase:
        net = networks.ieee_european_lv_asymmetric("on_peak_566")
        pandapower.runpp_3ph(net)
        grid_mw = float(net.res_ext_grid_3ph[["p_a_mw", "p_b_mw", "p_c_mw"]].to_numpy().sum())
    else:
        net = networks.create_kerber_landnetz_freileitung_1()
        pandapower.runpp(net)
        grid_mw = float(net.res_ext_grid.p_mw.sum())
    path = tmp_path / "net.json"
    pandapower.to_json(net, str(path))
    source = PandapowerSource(config=PandapowerConfig(file=path))
    network = source.load("f")
    point = AsModelled().operating_point(network, FeederScope(feeder="f", year=2025), None)
    with source.freeze(network, point, Settling()) as frozen:
        period = flows_of_start(frozen, PowerFlowConfig())
    assert np.abs(directed(period).mismatch_mw).max() < 1e-6
    by_name = dict(zip(period.network.node.tolist(), period.generation_mw.tolist(), strict=True))
    # The powers that pandapower prints for unbalanced nets do not close by themselves: 0.03 % of the grid's.
    assert by_name["source"] == pytest.approx(grid_mw, rel=5e-4 if three_phase else 1e-6)
    assert not [f for f in period.findings if f.code == "other-elements-in-flows"]
