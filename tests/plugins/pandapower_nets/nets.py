"""Nets made by hand, with a little of everything that the source reads; and helpers to freeze and solve them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandapower as pp

from hostcap.growth import UnitInjection, customer_growth
from hostcap.operating_point import FeederScope
from hostcap.testing import watched
from hostcap_stock.initial_states import AsModelled
from hostcap_stock.pandapower.config import PandapowerSolverConfig
from hostcap_stock.pandapower.solver import PandapowerSolver
from hostcap_stock.pandapower.source import PandapowerSource

EVERYTHING = frozenset({"nodes", "branches", "extremes", "violations"})


def town() -> Any:
    """Balanced: three windings, taps, parallel units, switches, PV, storage, shunt, ward, motor, generator."""
    net = pp.create_empty_network(f_hz=50.0)
    high = pp.create_bus(net, 110.0, name="high")
    medium = pp.create_bus(net, 20.0, name="medium", geodata=(1.5, 2.5))
    other = pp.create_bus(net, 10.0, name="other")
    far = pp.create_bus(net, 20.0, name="far")
    coupled = pp.create_bus(net, 20.0, name="coupled")
    bar = pp.create_bus(net, 0.4, name="bar")
    house, shed, end = (pp.create_bus(net, 0.4, name=name) for name in ("house", "shed", "end"))
    dead = pp.create_bus(net, 0.4, name="dead")
    pp.create_ext_grid(net, high, vm_pu=1.02, va_degree=10.0, name="grid")
    pp.create_transformer3w_from_parameters(
        net, high, medium, other, 110, 20, 10, 40, 25, 15, 10.4, 10.4, 10.4, 0.28, 0.32, 0.35, 35, 0.1,
        shift_mv_degree=0, shift_lv_degree=0, tap_step_percent=1.5, tap_pos=-2, tap_side="hv", tap_neutral=0,
        tap_changer_type="Ratio", name="three",
    )  # fmt: skip
    given = {"c_nf_per_km": 210.0, "max_i_ka": 0.25, "name": "cable"}
    pp.create_line_from_parameters(net, medium, far, 3.0, 0.2, 0.12, **given, df=0.9, parallel=2)
    pp.create_switch(net, far, coupled, et="b", name="coupler")
    pp.create_transformer_from_parameters(
        net, coupled, bar, 0.25, 20.0, 0.42, 1.2, 4.0, 0.6, 0.4, shift_degree=150, tap_side="hv", tap_neutral=0,
        tap_step_percent=2.5, tap_pos=1, tap_changer_type="Ratio", parallel=2, name="town",
    )  # fmt: skip
    for name, a, b in (("first", bar, house), ("second", house, end), ("third", bar, shed)):
        pp.create_line_from_parameters(net, a, b, 0.15, 0.32, 0.08, 90.0, 0.2, name=name)
    pp.create_line_from_parameters(net, shed, end, 0.1, 0.32, 0.08, 90.0, 0.2, name="ring")
    pp.create_switch(net, end, 4, et="l", closed=False, name="ring switch")
    pp.create_line_from_parameters(net, end, dead, 0.1, 0.32, 0.08, 90.0, 0.2, name="cut", in_service=False)
    pp.create_load(net, house, 0.012, 0.004, name="House 1")
    pp.create_load(net, house, 0.010, 0.003, scaling=0.5, name="House 2")
    pp.create_load(net, end, 0.020, 0.005, const_z_p_percent=40, const_z_q_percent=60)
    pp.create_load(net, shed, 0.015, 0.004, name="off", in_service=False)
    pp.create_load(net, dead, 0.003, 0.001, name="nobody")
    pp.create_load(net, other, 1.5, 0.4, name="works")
    pp.create_load(net, shed, -0.004, 0.0, name="giving")
    pp.create_sgen(net, house, 0.006, -0.001, type="PV", name="House 2")
    pp.create_storage(net, end, 0.005, 0.02, name="battery")
    pp.create_gen(net, far, 0.4, vm_pu=1.01, name="hydro")
    pp.create_shunt(net, medium, q_mvar=-0.5, p_mw=0.01)
    pp.create_ward(net, other, 0.2, 0.05, 0.1, 0.02)
    pp.create_motor(net, bus=shed, pn_mech_mw=0.008, cos_phi=0.85, efficiency_percent=92)
    return net


def street() -> Any:
    """Unbalanced: asymmetric loads on one, two and three phases, in star and between phases, and generation."""
    net = pp.create_empty_network(f_hz=50.0)
    high = pp.create_bus(net, 20.0, name="high")
    bar, pole, end = (pp.create_bus(net, 0.4, name=name) for name in ("bar", "pole", "end"))
    pp.create_ext_grid(net, high, vm_pu=1.01, s_sc_max_mva=500.0, rx_max=0.1, x0x_max=1.0, r0x0_max=0.1)
    pp.create_transformer_from_parameters(
        net, high, bar, 0.16, 20.0, 0.4, 1.2, 4.0, 0.3, 0.3, shift_degree=150, vector_group="Dyn", vk0_percent=4.0,
        vkr0_percent=1.2, mag0_percent=100, mag0_rx=0, si0_hv_partial=0.9, tap_side="hv", tap_neutral=0,
        tap_step_percent=2.5, tap_pos=-1, tap_changer_type="Ratio", name="unit",
    )  # fmt: skip
    for name, a, b in (("first", bar, pole), ("second", pole, end)):
        pp.create_line_from_parameters(
            net, a, b, 0.12, 0.32, 0.08, 30.0, 0.215, name=name,
            r0_ohm_per_km=1.28, x0_ohm_per_km=0.32, c0_nf_per_km=20.0,
        )  # fmt: skip
    pp.create_asymmetric_load(net, pole, p_a_mw=0.004, q_a_mvar=0.001, name="on A")
    pp.create_asymmetric_load(net, end, p_b_mw=0.003, q_b_mvar=0.001, p_c_mw=0.005, name="on B and C")
    pp.create_asymmetric_load(net, end, p_a_mw=0.002, p_b_mw=0.002, p_c_mw=0.002, name="three", scaling=1.5)
    pp.create_asymmetric_load(net, pole, p_c_mw=0.004, q_c_mvar=0.001, type="delta", name="between C and A")
    pp.create_asymmetric_load(net, end, p_a_mw=0.001, p_c_mw=0.002, type="delta", name="two between")
    pp.create_load(net, end, 0.006, 0.002, name="balanced")
    pp.create_asymmetric_sgen(net, end, p_c_mw=0.003, name="three")
    pp.create_sgen(net, pole, 0.002, 0.0005, type="PV", name="on A")
    return net


def frozen(net: Any, state: Any = None, **reading: Any) -> Any:
    """A net at its start."""
    source = PandapowerSource.of(net, **reading)
    network = source.load("net")
    point = (state or AsModelled()).operating_point(network, FeederScope(feeder="net", year=2025))
    return source.freeze(network, point)


def growing(start: Any, *, p_kw: float = 1.0, q_kvar: float = -0.3, step: float = 0.5) -> Any:
    """Growth of every customer."""
    weights = np.where(start.network.customers.grows, step, 0.0)
    return customer_growth(start.network, weights, UnitInjection(p_kw=p_kw, q_kvar=q_kvar))


def solved(solver: Any, start: Any, levels: Any, **unit: float) -> Any:
    """States of a solver."""
    plan = solver.plan(start, growing(start, **unit), watched(start.network))
    try:
        return plan.solve(np.asarray(levels, dtype=np.int32), EVERYTHING)
    finally:
        plan.close()


def tight() -> PandapowerSolver:
    """The solver, further than studies need."""
    return PandapowerSolver(config=PandapowerSolverConfig(tolerance_pu=1e-9))
