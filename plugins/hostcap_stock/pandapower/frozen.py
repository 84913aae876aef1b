"""The start: a net with the operating point applied and solved, and generators held at what they then did."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from attrs import evolve, fields

from hostcap._arrays import ComplexArray, FloatArray, sums
from hostcap.errors import HostcapError, NotConvergedError
from hostcap.findings import Finding, Severity
from hostcap.linear import CONSTANT_POWER, LinearNetwork, Ports
from hostcap.network import Network
from hostcap.operating_point import OperatingPoint
from hostcap.power_flow import Closing, Settling
from hostcap.solution import Solution
from hostcap_stock.pandapower.drawn import Drawn
from hostcap_stock.pandapower.elements import ANY_VOLTAGE, Elements
from hostcap_stock.pandapower.engine import BalancedEngine, Engine, make_engine
from hostcap_stock.pandapower.network import Feeder
from hostcap_stock.pandapower.plugin import ENGINE
from hostcap_stock.pandapower.reading import NetTables

START_TOLERANCE_PU, START_GOAL_PU = 1e-6, 1e-9
"""The start must meet the first; iteration goes on towards the second, so that every state starts well."""


class FrozenPandapower(Closing):
    """A network at its start, in a pandapower net of its own. Use as a context manager.

    Attributes:
        network: The feeder.
        operating_point: What was applied; of generators, what they were solved at.
        start: One solved state without growth.
        findings: What was noticed on the way.
        capabilities: ``pandapower-engine`` and ``linearise``.
    """

    capabilities = frozenset({ENGINE, "linearise"})

    def __init__(
        self, net: NetTables, feeder: Feeder, network: Network, operating_point: OperatingPoint, settling: Settling
    ) -> None:
        """Apply the point and solve."""
        self.network, self.feeder = network, feeder
        self._findings: list[Finding] = []
        self._engine: Engine | None = make_engine(net, feeder, max_iterations=settling.max_iterations)
        self._most = settling.max_iterations
        self.operating_point, self.base = self._apply(operating_point)
        self.engine().start(self._drawn([(self.base, self.base.kw, self.base.kvar)]))
        self._add_others()
        self.start = self._settled_start()

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What was noticed on the way to the start."""
        return tuple(self._findings)

    def engine(self) -> Engine:
        """The engine at the start."""
        if self._engine is None:
            raise HostcapError("the frozen network was closed; freeze the network again")
        return self._engine

    def linear(self) -> LinearNetwork:
        """The start as arrays, for solvers that bring their own arithmetic.

        In a balanced network a node's row of the admittance, and what flows into it, are of three phases together;
        conductor currents are those of one phase.
        """
        return self._linear

    def close(self) -> None:
        """Give the engine back."""
        self._engine = None

    # Steps of freezing

    def _drawn(self, parts: list[tuple[Ports, FloatArray, FloatArray]]) -> Drawn:
        return Drawn.of(self.feeder, parts)

    def _apply(self, point: OperatingPoint) -> tuple[OperatingPoint, Ports]:
        """The point as it is, and the ports of what it draws."""
        elements, engine = self.feeder.elements, self.engine()
        if not point.as_modelled:
            if isinstance(engine, BalancedEngine):
                engine.hold_generators()
            return point, written(elements, point)
        kw, kvar = np.array(elements.kw), np.array(elements.kvar)
        own = np.flatnonzero(elements.table == "gen")
        if own.size and isinstance(engine, BalancedEngine):
            others = ~np.isin(elements.injector, own)
            base = elements.ports(kw * others, kvar * others)
            solved = engine.solve_with_generators(self._drawn([(base, base.kw, base.kvar)]))
            engine.hold_generators()
            for injector in own:
                at = elements.injector == injector
                injected = solved.get(int(elements.row[injector]), (0.0, 0.0))
                kw[at], kvar[at] = (-part / at.sum() for part in injected)
            point = self._as_solved(point, own, kw, kvar)
        return point, elements.ports(kw, kvar)

    def _as_solved(self, point: OperatingPoint, own: Any, kw: FloatArray, kvar: FloatArray) -> OperatingPoint:
        elements, size = self.feeder.elements, self.network.injectors.name.size
        drawn, varying = sums(elements.injector, kw, size), sums(elements.injector, kvar, size)
        generation, reactive, load = (np.array(a) for a in (point.generation_kw, point.generation_kvar, point.load_kw))
        generation[own], load[own] = np.maximum(-drawn[own], 0.0), np.maximum(drawn[own], 0.0)
        reactive[own] = varying[own]
        return evolve(point, generation_kw=generation, generation_kvar=reactive, load_kw=load)

    def _add_others(self) -> None:
        """Wards and motors draw beside the injectors; the engine has them itself, arrays must be told."""
        engine = self.engine()
        self.others = self.base.chosen(np.zeros(len(self.base), dtype=bool))
        if not isinstance(engine, BalancedEngine):
            return
        kw, kvar = engine.others(self._drawn([(self.base, self.base.kw, self.base.kvar)]))
        at = np.flatnonzero((kw != 0.0) | (kvar != 0.0))
        if at.size:
            self.others = held_ports(at, kw[at], kvar[at], self.network.nodes.nominal_v[at], np.full(at.size, -1))

    def _settled_start(self) -> Solution:
        engine = self.engine()
        drawn = self._drawn([(self.base, self.base.kw, self.base.kvar)])
        solved = engine.solve(drawn)
        moved, passes = self.moved_pu(solved.node_v, [(self.base, self.base.kw, self.base.kvar)]), 1
        while moved > START_GOAL_PU and passes < self._most:
            before, solved = moved, engine.solve(drawn, onwards=True)
            moved, passes = self.moved_pu(solved.node_v, [(self.base, self.base.kw, self.base.kvar)]), passes + 1
            if not moved < 0.5 * before:
                break
        if not moved <= START_TOLERANCE_PU:
            raise NotConvergedError(
                f"the start does not converge: a live node still moves by {moved:.3g} pu (expected <= "
                f"{START_TOLERANCE_PU:g}); check the net's loads and impedances",
                iterations=passes,
                largest_change_pu=moved,
            )
        if moved > START_GOAL_PU:
            self._findings.append(
                Finding(
                    severity=Severity.INFO,
                    code="start-tolerance",
                    message=f"the start is solved to {moved:.1e} pu, not to {START_GOAL_PU:g} pu",
                )
            )
        engine.keep()
        return Solution(
            node_v=solved.node_v[None, :],
            conductor_a=engine.conductor_a()[None, :],
            converged=[True],
            iterations=[passes],
        )

    # States

    def moved_pu(self, node_v: ComplexArray, parts: list[tuple[Ports, FloatArray, FloatArray]]) -> float:
        """How far a live node would move in one more iteration by the laws of the ports, per unit."""
        if not np.isfinite(node_v).all():
            return float("nan")
        injected = np.array(self.engine().circuit.source_a)
        for ports, kw, kvar in (*parts, (self.others, self.others.kw, self.others.kvar)):
            now = evolve(ports, kw=kw, kvar=kvar)
            amps = now.drawn_a(now.voltage_v(node_v))
            np.add.at(injected, ports.node_a, -amps)
            between = ports.node_b >= 0
            np.add.at(injected, ports.node_b[between], amps[between])
        live = self.network.nodes.live
        moved = np.abs(self._factor.solve(injected) - node_v)[live] / self.network.nodes.nominal_v[live]
        return float(moved.max())

    @cached_property
    def _factor(self) -> Any:
        from scipy.sparse import csc_array, diags_array
        from scipy.sparse.linalg import splu

        y = self.engine().circuit.y
        alone = np.where(self.network.nodes.live, 0.0, 1.0)
        return splu(csc_array(y + diags_array(alone)))

    @cached_property
    def _linear(self) -> LinearNetwork:
        network, circuit, elements = self.network, self.engine().circuit, self.feeder.elements
        one = 1.0 / elements.phases[elements.injector]
        return LinearNetwork(
            nominal_v=network.nodes.nominal_v,
            live=network.nodes.live,
            start_v=self.start.node_v[0],
            source_a=circuit.source_a,
            y_ptr=circuit.y.indptr,
            y_index=circuit.y.indices,
            y_siemens=circuit.y.data,
            conductor_ptr=circuit.conductors.indptr,
            conductor_index=circuit.conductors.indices,
            conductor_siemens=circuit.conductors.data,
            base=joined(self.base, self.others),
            injecting=elements.ports(one, one, idle=True),
            injector_count=int(network.injectors.name.size),
        )


def held_ports(nodes: Any, kw: FloatArray, kvar: FloatArray, base_v: FloatArray, injector: Any) -> Ports:
    """Ports to ground of constant power at any voltage."""
    size = len(nodes)
    return Ports(
        node_a=nodes,
        node_b=np.full(size, -1),
        kw=kw,
        kvar=kvar,
        base_v=base_v,
        model=np.full(size, CONSTANT_POWER),
        cvr_watts=np.ones(size),
        cvr_vars=np.full(size, 2.0),
        injector=injector,
        **{name: np.full(size, value) for name, value in ANY_VOLTAGE.items()},
    )


def written(elements: Elements, point: OperatingPoint) -> Ports:
    """Ports of a written point: evenly over the phases of each element.

    What is generated is an element of its own beside the load, with constant power.
    """
    share = 1.0 / elements.phases[elements.injector]
    load = elements.is_load
    kw = point.load_kw[elements.injector] * share
    kvar = point.load_kvar[elements.injector] * share
    beside = elements_of_constant_power(elements)
    own = elements.ports(np.where(load[elements.injector], kw, 0.0), np.where(load[elements.injector], kvar, 0.0))
    given_kw = np.where(load[elements.injector], 0.0, kw) - point.generation_kw[elements.injector] * share
    given_kvar = np.where(load[elements.injector], 0.0, kvar) + point.generation_kvar[elements.injector] * share
    generated = beside.ports(given_kw, given_kvar)
    return joined(own, generated)


def joined(*parts: Ports) -> Ports:
    """Several sets of ports as one."""
    return Ports(**{c.name: np.concatenate([getattr(p, c.name) for p in parts]) for c in fields(Ports)})


def elements_of_constant_power(elements: Elements) -> Elements:
    """The same connections without any impedance in their law."""
    none = np.zeros(elements.kw.size)
    return evolve(elements, z_kw=none, z_kvar=none)
