"""What grows: connection, kW and kvar of one step, and how it answers to voltage."""

from __future__ import annotations

from enum import StrEnum

import numpy as np
from attrs import field, frozen, validators

from hostcap._arrays import BoolArray, FloatArray, IntArray, NameArray, bools, floats, ints, names, sums
from hostcap.network import SQRT3, Network, _ByContent


class Direction(StrEnum):
    """Whether growth generates or consumes."""

    EXPORT = "export"
    IMPORT = "import"


class Directions(StrEnum):
    """What a study searches: one direction, or both by themselves."""

    EXPORT = "export"
    IMPORT = "import"
    BOTH = "both"

    @property
    def each(self) -> tuple[Direction, ...]:
        """The directions, in the order of the tables: export first."""
        return tuple(Direction) if self is Directions.BOTH else (Direction(self.value),)


@frozen(kw_only=True)
class ConstantPower:
    """Constant P and Q between two voltages, the engine's rule outside.

    Above ``vmax_pu`` the element is a constant impedance that meets constant power there; below ``vmin_pu`` its
    current follows a straight line towards ``vlow_pu``, and below that it is a constant impedance.
    All are per unit of the element's rated voltage.
    """

    vmin_pu: float = field(default=0.7, validator=validators.gt(0.0))
    vmax_pu: float = field(default=2.0, validator=validators.gt(0.0))
    vlow_pu: float = field(default=0.5, validator=validators.ge(0.0))

    def __attrs_post_init__(self) -> None:
        if not self.vlow_pu < self.vmin_pu < self.vmax_pu:
            raise ValueError(f"must rise: vlow_pu {self.vlow_pu:g}, vmin_pu {self.vmin_pu:g}, vmax_pu {self.vmax_pu:g}")


@frozen(kw_only=True)
class UnitInjection:
    """What one kW of growth is at an instant: kW and kvar into the network, and the voltage law."""

    p_kw: float
    q_kvar: float
    law: ConstantPower = ConstantPower()


@frozen(kw_only=True, eq=False)
class Growth(_ByContent):
    """Growth points: elements of their own beside the base loads.

    A point at level n of its scope injects n times its kW and kvar of one step.

    Attributes:
        name: Name of each point, shape (point,).
        scope: Scope that raises it, 0-based, int32: group s + 1 of LV headroom, a site of HV node headroom.
        scope_count: How many scopes there are, grown or not.
        phases, delta, kv: Connection, as in ``Injectors``.
        terminal_ptr, terminal_node: Conductors, ragged; -1 is ground.
        p_kw, q_kvar: Injection of one step, kW and kvar into the network.
        law: How all points answer to voltage.
    """

    name: NameArray = field(converter=names)
    scope: IntArray = field(converter=ints)
    scope_count: int
    phases: IntArray = field(converter=ints)
    delta: BoolArray = field(converter=bools)
    kv: FloatArray = field(converter=floats)
    terminal_ptr: IntArray = field(converter=ints)
    terminal_node: IntArray = field(converter=ints)
    p_kw: FloatArray = field(converter=floats)
    q_kvar: FloatArray = field(converter=floats)
    law: ConstantPower = ConstantPower()

    def terminals(self, point: int) -> IntArray:
        """Nodes of one point's conductors; -1 is ground."""
        return self.terminal_node[self.terminal_ptr[point] : self.terminal_ptr[point + 1]]


def customer_growth(network: Network, step_kw: FloatArray, unit: UnitInjection) -> Growth:
    """Growth beside the load elements of customers, evenly over their phases.

    Args:
        network: The feeder.
        step_kw: kW of one step of each customer, shape (customer,); 0 for those that do not grow.
        unit: What one kW is electrically.

    Returns:
        One point per load element of each customer with ``step_kw > 0``; scope s is capacity group s + 1.
    """
    customers, injectors = network.customers, network.injectors
    entry_customer = customers.of_element
    loads = injectors.kind[customers.element] == "load"
    chosen = loads & (step_kw[entry_customer] > 0)
    element = customers.element[chosen]
    customer = entry_customer[chosen]
    phases = injectors.phases[element].astype(np.float64)
    total = sums(customer, phases, customers.id.size)
    kw = step_kw[customer] * phases / total[customer]
    counts = np.diff(injectors.terminal_ptr)[element]
    ptr = np.concatenate([[0], np.cumsum(counts)])
    nodes = np.concatenate([injectors.terminals(e) for e in element]) if element.size else np.empty(0, np.int32)
    return Growth(
        name=injectors.name[element],
        scope=customers.group[customer] - 1,
        scope_count=len(network.groups),
        phases=injectors.phases[element],
        delta=injectors.delta[element],
        kv=injectors.kv[element],
        terminal_ptr=ptr,
        terminal_node=nodes,
        p_kw=kw * unit.p_kw,
        q_kvar=kw * unit.q_kvar,
        law=unit.law,
    )


def location_growth(network: Network, at: IntArray, step_kw: float, unit: UnitInjection) -> Growth:
    """Growth at single HV locations: three phases wye to ground, two phases between them, one phase to ground.

    Args:
        network: The feeder.
        at: HV location of each scope, live ones, shape (scope,).
        step_kw: kW of one step at each of them.
        unit: What one kW is electrically.

    Returns:
        One point per scope, rated at the bus's nominal voltage.
    """
    locations, buses = network.hv_locations, network.buses
    nodes = [locations.nodes(location) for location in map(int, at)]
    width = np.asarray([own.size for own in nodes], dtype=np.int32)
    # A coil between two phases needs no further conductor; the others end at ground.
    conductors = [own if own.size == 2 else np.append(own, np.int32(-1)) for own in nodes]
    nominal_kv = buses.nominal_kv[locations.bus[at]]
    size = width.size
    return Growth(
        name=[
            f"{buses.name[locations.bus[i]]}.{'.'.join(map(str, network.nodes.number[locations.nodes(i)]))}" for i in at
        ],
        scope=np.arange(size),
        scope_count=size,
        phases=np.where(width == 3, 3, 1),
        delta=width == 2,
        kv=np.where(width == 1, nominal_kv / SQRT3, nominal_kv),
        terminal_ptr=np.cumsum([0, *(own.size for own in conductors)]),
        terminal_node=np.concatenate(conductors) if size else np.empty(0, np.int32),
        p_kw=np.full(size, step_kw * unit.p_kw),
        q_kvar=np.full(size, step_kw * unit.q_kvar),
        law=unit.law,
    )


def site_name(network: Network, location: int) -> str:
    """Bus and phase nodes of an HV location, such as ``b.1.3``."""
    locations, nodes = network.hv_locations, network.nodes
    bus = network.buses.name[locations.bus[location]]
    return ".".join([str(bus), *map(str, nodes.number[locations.nodes(location)])])
