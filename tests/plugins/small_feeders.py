"""Small feeders in OpenDSS, frozen, and what a bare engine makes of the same."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from hostcap.growth import Growth, UnitInjection, customer_growth
from hostcap.limits import LimitSet
from hostcap.network import Network
from hostcap.operating_point import FeederScope
from hostcap.power_flow import Settling
from hostcap_stock.constraints.config import VoltageConfig
from hostcap_stock.constraints.voltage import Voltage
from hostcap_stock.opendss.config import OpenDssSolverConfig
from hostcap_stock.opendss.frozen import FrozenOpenDss
from hostcap_stock.opendss.solver import OpenDssPlan, OpenDssSolver
from hostcap_stock.opendss.source import OpenDssSource

SCOPE = FeederScope(feeder="f", year=2025)
HEAD = "clear\nnew circuit.c basekv=22 pu=1 bus1=src mvasc3=2000 mvasc1=2000\n"
BASES = "set voltagebases=[22 .4]\ncalcvoltagebases\n"
LAW = "vminpu=.7 vmaxpu=2"


def unit(name: str, hv: str, lv: str) -> str:
    return (
        f"new transformer.{name} phases=3 windings=2 buses=[{hv} {lv}] conns=[delta wye] kvs=[22 .4] kvas=[200 200] "
        "xhl=4\n"
    )


def line(name: str, left: str, right: str, more: str = "") -> str:
    return f"new line.{name} bus1={left} bus2={right} r1=.3 x1=.1 r0=.6 x0=.2 c1=0 c0=0 length=.1 units=km {more}\n"


def house(name: str, bus: str, more: str = "phases=1 kv=.23 kw=2 kvar=.5") -> str:
    return f"new load.{name} bus1={bus} {LAW} {more}\n"


STREET = unit("t", "src", "a") + line("l1", "a", "b") + line("l2", "b", "c")
HOUSES = house("d", "b.1") + house("e", "c.2") + house("f", "c", "phases=3 kv=.4 kw=9 kvar=3")
FEEDER = STREET + HOUSES


class Sourced(Protocol):
    def __call__(self, body: str, bases: str = BASES, head: str = HEAD, **config: Any) -> OpenDssSource: ...


def frozen_at(made: OpenDssSource, state: Any, settling: Settling | None = None) -> FrozenOpenDss:
    network = made.load("f")
    point = state.operating_point(network, SCOPE)
    return made.freeze(network, point) if settling is None else made.freeze(network, point, settling)


def limits_of(network: Network) -> LimitSet:
    """Limits so wide that nothing breaks: plans want some."""
    voltage = Voltage(config=VoltageConfig(lv_min_pu=0.01, lv_max_pu=9.0))
    return LimitSet(list(voltage.limits(network)), group_count=len(network.groups))


def growth_of(network: Network, kw: float, kvar: float = 0.0) -> Growth:
    """``kw`` and ``kvar`` into the network for each customer and step."""
    step = np.where(network.customers.grows, 1.0, 0.0)
    return customer_growth(network, step, UnitInjection(p_kw=kw, q_kvar=kvar))


def plan_of(frozen: FrozenOpenDss, kw: float = 1.0, kvar: float = 0.0, tolerance_pu: float = 1e-6) -> OpenDssPlan:
    solver = OpenDssSolver(config=OpenDssSolverConfig(tolerance_pu=tolerance_pu))
    return solver.plan(frozen, growth_of(frozen.network, kw, kvar), limits_of(frozen.network))


def voltages(plan: OpenDssPlan, *levels: Sequence[int]) -> Any:
    """Node voltages of some states, shape (state, node); every one must converge."""
    states = plan.solve(np.asarray(levels, dtype=np.int32), want={"nodes"})
    assert states.converged.all()
    assert states.solution is not None
    return states.solution.node_v


def consumed(dss: Any, bus: str) -> complex:
    """Solved kVA of all enabled loads and generating elements at a bus, bare reading."""
    total = 0j
    more = dss.Circuit.FirstPCElement()
    while more:
        if dss.CktElement.BusNames()[0].lower().split(".")[0] == bus and dss.CktElement.Enabled():
            powers = np.asarray(dss.CktElement.Powers())
            total += complex(powers[0::2].sum(), powers[1::2].sum())
        more = dss.Circuit.NextPCElement()
    return total


# A generating element that stands in the file before the lines gives its bus an early place in the engine's
# order of nodes; when it is taken out, the engine makes that order anew.
EARLY = (
    unit("t", "src", "a")
    + "new generator.g bus1=c.1 phases=1 kv=.23 kw=5 kvar=1\n"
    + house("e", "c.2")
    + "new pvsystem.p bus1=d.3 phases=1 kv=.23 kva=4 pmpp=4 irradiance=1\n"
    + line("l1", "a", "b")
    + line("l2", "b", "c")
    + line("l3", "c", "d")
    + house("d", "b.1", "phases=1 kv=.23 kw=6 kvar=2")
)
REGULATED = (
    "new transformer.reg phases=3 windings=2 buses=[src m] conns=[wye wye] kvs=[22 22] kvas=[300 300] xhl=4 "
    "%rs=[3 3]\nnew regcontrol.rc transformer=reg winding=2 vreg=125 band=2 ptratio=105.8\n"
    + line("mv", "m", "m2", "length=60")
    + unit("t", "m2", "a")
    + line("l1", "a", "b")
    + line("l2", "b", "c")
    + HOUSES
)
MIXED = (
    STREET
    + house("d", "b.1", "phases=1 kv=.23 kw=4 kvar=2")
    + house("e", "c", "phases=3 kv=.4 kw=9 kvar=3 status=fixed")
    + house("x", "c.2", "phases=1 kv=.23 kw=-3 kvar=0")
    + house("mine", "src", "phases=3 kv=22 kw=300 kvar=100")
    + "new generator.g bus1=b.1 phases=1 kv=.23 kw=5 kvar=0\n"
    + "new pvsystem.p bus1=c.2 phases=1 kv=.23 kva=4 pmpp=4 irradiance=1\n"
    + "new storage.s bus1=c.3 phases=1 kv=.23 kwrated=4 kwhrated=8 state=discharging\n"
    + "new generator.wind bus1=src phases=3 kv=22 kw=500\n"
)
