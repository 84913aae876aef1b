"""Flows of pandapower's solved nets: balanced ones stand for three phases, and the numbers are pandapower's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hostcap.operating_point import FeederScope
from hostcap.power_flow import Settling
from hostcap.tracing import directed
from hostcap_stock.bialek.config import BialekConfig
from hostcap_stock.bialek.tracer import BialekTracer
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


@pytest.mark.filterwarnings("ignore")
def test_switches_between_buses_and_impedances_let_a_trace_through(tmp_path: Path) -> None:
    """Grid, line, switch, line, impedance, line, load: each carries what pandapower says, and all is the grid's."""
    from hostcap_stock.pandapower.config import PandapowerConfig
    from hostcap_stock.pandapower.source import PandapowerSource

    net = pandapower.create_empty_network()
    bus = [pandapower.create_bus(net, 20.0, name=f"B{i}") for i in range(6)]
    pandapower.create_ext_grid(net, bus[0])
    for first, second in ((0, 1), (2, 3), (4, 5)):
        pandapower.create_line_from_parameters(
            net, bus[first], bus[second], 1.0, 0.3, 0.3, 10.0, 0.4, name=f"L{first}{second}"
        )
    pandapower.create_switch(net, bus[1], bus[2], et="b")
    pandapower.create_impedance(net, bus[3], bus[4], 0.01, 0.05, sn_mva=10.0, name="Z")
    pandapower.create_load(net, bus[5], 1.0, 0.2, name="far")
    pandapower.create_load(net, bus[2], 0.5, name="mid")
    pandapower.runpp(net, tolerance_mva=1e-9)
    path = tmp_path / "net.json"
    pandapower.to_json(net, str(path))
    source = PandapowerSource(config=PandapowerConfig(file=path))
    network = source.load("f")
    assert network.buses.one_with.tolist() == [0, 1, 1, 3, 4, 5]
    assert network.equipment.kind.tolist() == ["Line", "Line", "Line", "Impedance"]
    assert not network.conductors.watched[network.conductors.equipment == 3].any()
    point = AsModelled().operating_point(network, FeederScope(feeder="f", year=2025), None)
    with source.freeze(network, point, Settling()) as frozen:
        period = flows_of_start(frozen, PowerFlowConfig())
    flow = dict(zip(period.network.branch, period.flow_mw, strict=True))
    due = dict(zip(net.line.name, net.res_line.p_from_mw, strict=True)) | {"Z": net.res_impedance.p_from_mw[0]}
    assert flow == pytest.approx(due, abs=1e-6)
    assert set(period.network.node) == {"far", "mid", "source"}
    trace = BialekTracer(BialekConfig()).trace(period)
    assert trace.down.branch_mw[period.network.branch.tolist().index("Z")].max() == pytest.approx(1.0)
