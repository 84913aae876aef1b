"""A frozen feeder made of arrays: what parts and solvers are tried on where no engine is at hand."""

from __future__ import annotations

import math
from datetime import UTC, datetime

import attrs
import numpy as np
from attrs import frozen

from hostcap.errors import HostcapError, NotConvergedError
from hostcap.findings import Finding
from hostcap.linear import CONSTANT_POWER, LinearNetwork, Ports, connection, no_ports, port_base_v
from hostcap.network import SQRT3, Network, Origin
from hostcap.operating_point import OperatingPoint
from hostcap.power_flow import Closing, Settling
from hostcap.solution import Solution
from hostcap.testing.networks import SmallNetwork


@frozen(kw_only=True, eq=False)
class ArrayFrozen(Closing):
    """A frozen network without an engine; offers ``linearise`` where it has a linear network.

    Attributes:
        network, operating_point, start: As in ``FrozenNetwork``.
        linear_network: The start as arrays, or None.
        findings: None of them.
    """

    network: Network
    operating_point: OperatingPoint
    start: Solution
    linear_network: LinearNetwork | None = None
    findings: tuple[Finding, ...] = ()

    @property
    def capabilities(self) -> frozenset[str]:
        """``linearise``, or nothing."""
        return frozenset() if self.linear_network is None else frozenset({"linearise"})

    def engine(self) -> object:
        """There is none."""
        raise HostcapError("a frozen network made of arrays has no engine")

    def linear(self) -> LinearNetwork:
        """The start as arrays."""
        if self.linear_network is None:
            raise HostcapError("this frozen network has no linear form")
        return self.linear_network


def nominal_start(network: Network) -> Solution:
    """Every live node at its nominal voltage, phases 120 degrees apart, neutrals at 0 V; no currents."""
    nodes = network.nodes
    angle = np.exp(-2j * math.pi / 3.0 * (nodes.number - 1))
    volts = np.where(nodes.neutral | ~nodes.live, 0.0, nodes.nominal_v * angle)
    return Solution(
        node_v=volts[None, :],
        conductor_a=np.zeros((1, network.conductors.node.size), dtype=np.complex128),
        converged=[True],
        iterations=[1],
    )


def at_nominal(network: Network, operating_point: OperatingPoint) -> ArrayFrozen:
    """A feeder as it would be without any voltage drop."""
    return ArrayFrozen(network=network, operating_point=operating_point, start=nominal_start(network))


SOURCE_V, SOURCE_OHM, LINE_OHM = 230.0, 1e-4, complex(0.4, 0.1)
"""The two-bus feeder: 230 V behind 0.1 milliohm, and a line of 0.4 + 0.1j ohm to its only customer."""
MIDNIGHT = datetime(2025, 1, 1, tzinfo=UTC)


def two_bus_voltage_v(kw: float, kvar: float) -> complex:
    """Voltage at the customer of the two-bus feeder that draws constant power, V.

    With E the source, Z all impedances and S the power drawn, E conj(V) = |V|^2 + Z conj(S): |V|^2 is the upper root
    of x^2 + (2 Re(Z conj(S)) - E^2) x + |Z S|^2 = 0.

    Raises:
        ValueError: There is no solution: the line cannot carry that much.
    """
    drop = (SOURCE_OHM + LINE_OHM) * complex(kw, -kvar) * 1000.0
    half = SOURCE_V**2 / 2.0 - drop.real
    under = half**2 - abs(drop) ** 2
    if under < 0:
        raise ValueError(f"two buses cannot carry {kw:g} kW and {kvar:g} kvar")
    squared = half + math.sqrt(under)
    return ((squared + drop) / SOURCE_V).conjugate()


def two_bus(kw: float = 0.0, kvar: float = 0.0) -> ArrayFrozen:
    """One phase, a source, a line, a customer: every state has a closed form (``two_bus_voltage_v``).

    Args:
        kw: What the customer draws at the start; negative injects.
        kvar: The same; positive consumes.
    """
    kv = SOURCE_V * SQRT3 / 1000.0
    network = (
        SmallNetwork(feeder="two-bus")
        .group("source")
        .bus("source", kv, (1,), group=1)
        .bus("end", kv, (1,), group=1)
        .line("line", "source", "end", (1,), normal=60.0, emergency=90.0, group=1)
        .load("home", "end", (1, 0), kw=kw, kvar=kvar)
        .customer("home")
        .build()
    )
    injectors = network.injectors
    point = OperatingPoint(
        instant=MIDNIGHT,
        as_modelled=False,
        load_kw=injectors.load_kw,
        load_kvar=injectors.load_kvar,
        generation_kw=injectors.generation_kw,
        generation_kvar=injectors.generation_kvar,
    )
    line, stiff = 1.0 / LINE_OHM, 1.0 / SOURCE_OHM
    end_v = two_bus_voltage_v(kw, kvar)
    amps = complex(kw, -kvar) * 1000.0 / end_v.conjugate()
    volts = np.array([SOURCE_V - SOURCE_OHM * amps, end_v])
    linear = LinearNetwork(
        nominal_v=network.nodes.nominal_v,
        live=network.nodes.live,
        start_v=volts,
        source_a=[stiff * SOURCE_V, 0.0],
        y_ptr=[0, 2, 4],
        y_index=[0, 1, 0, 1],
        y_siemens=[stiff + line, -line, -line, line],
        conductor_ptr=[0, 2, 4],
        conductor_index=[0, 1, 0, 1],
        conductor_siemens=[line, -line, -line, line],
        base=_home(network, kw, kvar) if kw or kvar else no_ports(),
        injecting=_home(network, 1.0, 1.0),
        injector_count=1,
    )
    start = Solution(node_v=volts[None, :], conductor_a=[[amps, -amps]], converged=[True], iterations=[1])
    return ArrayFrozen(network=network, operating_point=point, start=start, linear_network=linear)


def _home(network: Network, kw: float, kvar: float) -> Ports:
    """The customer's port: constant power at any voltage that a test could ask for."""
    kv = float(network.injectors.kv[0])
    ((a, b),) = connection(network.injectors.terminals(0), phases=1, delta=False)
    return Ports(
        node_a=[a],
        node_b=[b],
        kw=[kw],
        kvar=[kvar],
        base_v=[port_base_v(kv, phases=1, delta=False)],
        model=[CONSTANT_POWER],
        vmin_pu=[0.2],
        vmax_pu=[3.0],
        vlow_pu=[0.1],
        cvr_watts=[1.0],
        cvr_vars=[2.0],
        injector=[0],
    )


@frozen(kw_only=True)
class TwoBusSource:
    """A network source without an engine: the two-bus feeder, at any operating point that it can carry.

    Attributes:
        load_kw: Load of the model's snapshot, kW.
    """

    load_kw: float = 1.0

    def load(self, feeder: str) -> Network:
        """The feeder under any name."""
        origin = Origin(source=self, feeder=feeder, content_hash=f"two buses, {self.load_kw!r} kW")
        return attrs.evolve(two_bus(self.load_kw).network, feeder=feeder, origin=origin)

    def freeze(self, network: Network, operating_point: OperatingPoint, settling: Settling) -> ArrayFrozen:
        """The start, in closed form.

        Raises:
            NotConvergedError: Two buses cannot carry the point.
        """
        try:
            start = two_bus(float(-operating_point.p_kw[0]), float(-operating_point.q_kvar[0]))
        except ValueError as error:
            raise NotConvergedError(str(error)) from error
        return attrs.evolve(start, network=network, operating_point=operating_point)
