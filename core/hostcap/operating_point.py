"""What every load and generating element does at one instant."""

from __future__ import annotations

import math
from datetime import datetime

import numpy as np
from attrs import evolve, field, frozen

from hostcap._arrays import BoolArray, FloatArray, floats, sums
from hostcap.findings import Finding
from hostcap.network import Network, _ByContent


def kvar_per_kw(power_factor: float) -> float:
    """Kvar consumed for one kW, drawn or generated: sign(pf) x tan(acos|pf|)."""
    return math.copysign(math.tan(math.acos(abs(power_factor))), power_factor)


@frozen(kw_only=True, eq=False)
class OperatingPoint(_ByContent):
    """kW and kvar of each injector, nominal at 1 pu with multipliers applied.

    Attributes:
        instant: End of the interval that the point stands for, UTC.
        as_modelled: The point is the model's own snapshot: nothing is written to the engine.
        load_kw, generation_kw: >= 0 in their natural direction, shape (injector,).
        load_kvar, generation_kvar: Positive consumes, negative supplies, for both.
        comparable: Existing kW differ between customers; weights may be made from them.
        instant_stated: The study states the instant; it is not the first of January for want of another.
        findings: What was noticed on the way to it, such as readings that an explicit rule filled.
    """

    instant: datetime
    as_modelled: bool
    load_kw: FloatArray = field(converter=floats)
    load_kvar: FloatArray = field(converter=floats)
    generation_kw: FloatArray = field(converter=floats)
    generation_kvar: FloatArray = field(converter=floats)
    comparable: bool = True
    instant_stated: bool = True
    findings: tuple[Finding, ...] = ()

    @property
    def p_kw(self) -> FloatArray:
        """Injection: kW into the network."""
        return self.generation_kw - self.load_kw

    @property
    def q_kvar(self) -> FloatArray:
        """Injection: kvar into the network."""
        return -(self.load_kvar + self.generation_kvar)

    def at_power_factors(self, *, load: float | None, generation: float | None) -> OperatingPoint:
        """The same kW with kvar by power factor: positive consumes, negative supplies; None keeps kvar as they are."""
        load_kvar = self.load_kvar if load is None else self.load_kw * kvar_per_kw(load)
        generation_kvar = self.generation_kvar if generation is None else self.generation_kw * kvar_per_kw(generation)
        return evolve(self, load_kvar=load_kvar, generation_kvar=generation_kvar)

    def group_kw(self, network: Network) -> tuple[FloatArray, FloatArray]:
        """Load and generation of each capacity group's injectors, kW, each of shape (group,)."""
        size = len(network.groups) + 1
        load = sums(network.injectors.group, self.load_kw, size)
        generation = sums(network.injectors.group, self.generation_kw, size)
        return load[1:], generation[1:]

    def customer_kw(self, network: Network) -> FloatArray:
        """Net kW of each customer, positive draws, negative exports, shape (customer,)."""
        net = (self.load_kw - self.generation_kw)[network.customers.element]
        return sums(network.customers.of_element, net, network.customers.id.size)


def customer_shares(network: Network) -> tuple[FloatArray, FloatArray]:
    """Part of its customer's power that each element has, evenly over phases, each of shape (injector,).

    Returns:
        Shares of what a customer consumes, which its loads have, and of what it generates, which its loads have
        too, or its generating elements where it has no load. 1 for each HV load in both.
    """
    injectors, customers = network.injectors, network.customers
    entry, owner = customers.element, customers.of_element
    is_load = injectors.kind == "load"
    live = customers.live[owner]
    alone = sums(owner, is_load[entry], customers.id.size)[owner] == 0

    def shares(chosen: BoolArray) -> FloatArray:
        share = np.zeros(injectors.name.size)
        share[is_load & (injectors.group == 0)] = 1.0
        phases = np.where(chosen, injectors.phases[entry], 0).astype(np.float64)
        total = sums(owner, phases, customers.id.size)
        share[entry[chosen]] = phases[chosen] / total[owner[chosen]]
        return share

    return shares(is_load[entry] & live), shares((is_load[entry] | alone) & live)


@frozen(kw_only=True)
class FeederScope:
    """One feeder of a study's scope.

    Attributes:
        feeder: Name of the feeder.
        scenario: ``base`` until a scenario plugin exists.
        year: Of the results.
        variant: Variant of the network; None for the network as it is.
    """

    feeder: str
    scenario: str = "base"
    year: int
    variant: str | None = None
