"""The start: an engine with the operating point applied, controls solved, and everything that moves frozen."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from hostcap._arrays import ComplexArray, FloatArray, IntArray
from hostcap.errors import HostcapError, ModelError, NotConvergedError
from hostcap.findings import Finding, Severity, some
from hostcap.linear import LinearNetwork
from hostcap.network import Network
from hostcap.operating_point import OperatingPoint
from hostcap.power_flow import Closing, Settling
from hostcap.solution import Solution
from hostcap_stock.opendss.engine import ControlLoopError, Engine
from hostcap_stock.opendss.linearise import linearise, linearise_like, settled
from hostcap_stock.opendss.model import CONTROL_CLASSES, GENERATING_CLASSES, solved_injection

ENGINE_CAPABILITY, LINEARISE_CAPABILITY = "opendss-engine", "linearise"
START_TOLERANCE_PU, START_GOAL_PU = 1e-6, 1e-9
"""The start must meet the first; iteration goes on towards the second, so that every state starts well."""
WIDE_LAW = "vminpu=0.1 vmaxpu=3 model=1 status=fixed"
"""A frozen injection keeps its kW and kvar at any voltage that a limit could allow."""


def bus_spec(network: Network, bus: int, nodes: IntArray) -> str:
    """``bus.1.2.0`` for an element's conductors."""
    numbers = [str(network.nodes.number[n]) if n >= 0 else "0" for n in nodes]
    return ".".join([str(network.buses.name[bus]), *numbers])


class FrozenOpenDss(Closing):
    """A network at its start, on an OpenDSS engine of its own. Use as a context manager.

    Attributes:
        network: The feeder.
        operating_point: What was applied; of generating elements, what they were solved at.
        start: One solved state without growth.
        findings: What was noticed on the way.
        capabilities: ``opendss-engine`` and ``linearise``.
    """

    capabilities = frozenset({ENGINE_CAPABILITY, LINEARISE_CAPABILITY})

    def __init__(
        self,
        engine: Engine,
        network: Network,
        operating_point: OperatingPoint,
        settling: Settling,
        *,
        generation_held: bool = False,
    ) -> None:
        """Take over an engine that has just loaded the network's model.

        Args:
            engine: The engine.
            network: Its network.
            operating_point: What to apply.
            settling: How long the controlled solve may take.
            generation_held: Hold the model's generating elements at the point's kW and kvar from the outset, instead
                of at what the controlled solve makes of them.
        """
        self._engine: Engine | None = engine
        self._rest_of_plan: Callable[[], None] | None = None
        self.network = network
        self.operating_point = operating_point
        self._settling = settling
        self._generation_held = generation_held
        self._findings: list[Finding] = []
        self._order: tuple[str, ...] = ()
        self._slots: IntArray = np.empty(0, dtype=np.int32)
        self.live_slots: IntArray = self._slots
        self.live_nominal_v: FloatArray = network.nodes.nominal_v[network.nodes.live]
        self.start_vector: ComplexArray = np.empty(0, dtype=np.complex128)
        self._apply(operating_point)
        self._settle()
        self._freeze_generation()
        # From here on one solve of the engine is one iteration: what counts as solved is decided by us, on live nodes.
        self.engine().command("set maxiterations=1")
        self._find_nodes()
        self._solve_start()
        self._current_places = self._map_conductors()
        self.start = self.solution(iterations=1)
        self.start_vector = self.engine().voltages().copy()
        self._linear: LinearNetwork | None = None

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

        Raises:
            ModelError: An injector that has no linear form, by name.
        """
        if self._linear is None:
            start_v = self.start.node_v[0]
            self._linear = linearise(self.engine(), self.network, slots=self._slots, start_v=start_v)
        return self._linear

    def settled(self) -> str | None:
        """Taps and capacitor steps; None where the model has controls that may open lines."""
        return settled(self.engine())

    def linear_like(self, other: LinearNetwork) -> LinearNetwork:
        """The start as arrays, those of a start that settled alike at hand.

        Raises:
            ModelError: An injector that has no linear form, by name.
        """
        if self._linear is None:
            start_v = self.start.node_v[0]
            self._linear = linearise_like(self.engine(), self.network, other, slots=self._slots, start_v=start_v)
        return self._linear

    def close(self) -> None:
        """Give the engine back."""
        if self._engine is not None:
            engine, self._engine = self._engine, None
            engine.close()

    # Reading states

    def node_v(self) -> ComplexArray:
        """Present voltages in the network's node order, V."""
        return self.engine().voltages()[self._slots]

    def conductor_a(self) -> ComplexArray:
        """Present currents in the network's conductor order, A."""
        return self.engine().all_currents()[self._current_places]

    def solution(self, *, iterations: int, converged: bool = True) -> Solution:
        """The present state as a batch of one."""
        return Solution(
            node_v=self.node_v()[None, :],
            conductor_a=self.conductor_a()[None, :],
            converged=[converged],
            iterations=[iterations],
        )

    def turn_to(self, rest: Callable[[], None] | None) -> None:
        """Let a plan solve: what grows in another one that is open is put at rest first.

        Args:
            rest: Takes the growth of the plan that solves from now on back to nothing; None where none does.
        """
        if self._rest_of_plan is not None and self._rest_of_plan != rest:
            self._rest_of_plan()
        self._rest_of_plan = rest

    # Steps of freezing, in order

    def find_again(self) -> None:
        """Find nodes and the start's voltages again after elements were added to the engine, or taken out."""
        if self._find_nodes():
            vector = np.zeros(len(self._order) + 1, dtype=np.complex128)
            vector[self._slots] = self.start.node_v[0]
            vector[0] = 0.0
            self.start_vector = vector

    def _find_nodes(self) -> bool:
        """Slot in the engine's voltage vector of each node; slot 0 is ground. Returns whether the order is new.

        The engine makes its order of nodes anew when elements come or go. A dead node may go with the only element
        that had it; it is read as ground then.
        """
        engine = self.engine()
        engine.build_matrix()
        order = tuple(engine.dss.Circuit.YNodeOrder())
        if order == self._order:
            return False
        self._order = order
        listed = {name.lower(): slot for slot, name in enumerate(order, start=1)}
        nodes = self.network.nodes
        names = [name.lower() for name in self.network.node_names(range(nodes.bus.size))]
        missing = [name for name, live in zip(names, nodes.live, strict=True) if live and name not in listed]
        if missing:
            raise ModelError(f"the model has changed since it was loaded: node {missing[0]} is gone; load it again")
        self._slots = np.asarray([listed.get(name, 0) for name in names], dtype=np.int32)
        self.live_slots = self._slots[nodes.live]
        return True

    def _map_conductors(self) -> IntArray:
        """Place of each conductor in the engine's bulk currents, which hold disabled elements too."""
        elements = self.engine().dss.PDElements
        terminals = np.asarray(elements.AllNumTerminals(), dtype=np.int64)
        conductors = np.asarray(elements.AllNumConductors(), dtype=np.int64)
        first = np.concatenate([[0], np.cumsum(terminals * conductors)])
        place = {name.lower(): i for i, name in enumerate(elements.AllNames())}
        equipment = self.network.equipment
        own = np.asarray(
            [place[f"{k}.{n}".lower()] for k, n in zip(equipment.kind, equipment.name, strict=True)], dtype=np.int64
        )
        of = self.network.conductors.equipment
        starts = np.searchsorted(of, np.arange(equipment.name.size))
        within = np.arange(of.size) - starts[of]
        places: IntArray = (first[own[of]] + within).astype(np.int32)
        return places

    def _apply(self, point: OperatingPoint) -> None:
        """Write the operating point; the model's own snapshot writes nothing."""
        engine = self.engine()
        engine.command("set mode=snapshot")
        injectors = self.network.injectors
        is_load = injectors.kind == "load"
        if point.as_modelled:
            for i in np.flatnonzero(~is_load) if self._generation_held else ():
                kw, kvar = point.load_kw[i] - point.generation_kw[i], point.load_kvar[i] + point.generation_kvar[i]
                self.add_fixed(f"hostcap_frozen_{i}", int(i), kw, kvar)
                engine.command(f"disable {injectors.kind[i]}.{injectors.name[i]}")
            return
        engine.command("set loadmult=1")
        loads = np.flatnonzero(is_load)
        if loads.size:
            pointers = engine.load_pointers([str(injectors.name[i]) for i in loads])
            engine.set_loads(pointers, point.load_kw[loads], point.load_kvar[loads])
        for i in np.flatnonzero(~is_load):
            engine.command(f"disable {injectors.kind[i]}.{injectors.name[i]}")
        generating = np.flatnonzero((point.generation_kw != 0) | (point.generation_kvar != 0))
        for i in generating:
            # Beside the base load, not netted into it: its voltage law is its own.
            self.add_fixed(f"hostcap_generation_{i}", int(i), -point.generation_kw[i], point.generation_kvar[i])

    def add_fixed(self, name: str, injector: int, kw: float, kvar: float) -> None:
        """Add a load of constant power to the engine where an injector is; it consumes ``kw`` and ``kvar``."""
        injectors = self.network.injectors
        spec = bus_spec(self.network, int(injectors.bus[injector]), injectors.terminals(injector))
        connection = "delta" if injectors.delta[injector] else "wye"
        self.engine().command(
            f"new load.{name} bus1={spec} phases={injectors.phases[injector]} conn={connection} "
            f"kv={float(injectors.kv[injector])!r} kw={float(kw)!r} kvar={float(kvar)!r} {WIDE_LAW}"
        )

    def _settle(self) -> None:
        """One solve with controls acting, at the model's own tolerance.

        A tighter tolerance would do harm: the engine skips controls when a solve has not converged.
        """
        engine = self.engine()
        engine.command(f"set maxiterations={self._settling.max_iterations}")
        engine.command(f"set maxcontroliter={self._settling.max_control_iterations}")
        controls = [name for kind in CONTROL_CLASSES for name in engine.records(kind)]
        try:
            converged = engine.solve()
        except ControlLoopError as error:
            raise NotConvergedError(
                "the start has no solution: the control loop did not settle in "
                f"{self._settling.max_control_iterations} iterations ({error}); check {some(controls)}",
                iterations=self._settling.max_control_iterations,
            ) from error
        if not converged and controls:
            raise NotConvergedError(
                f"the start does not converge in {self._settling.max_iterations} iterations, so controls did not act "
                f"({some(controls)}); check the model's loads and bases, or set its tolerance with network.commands",
                iterations=self._settling.max_iterations,
            )
        engine.command("set controlmode=off")

    def _freeze_generation(self) -> None:
        """Hold generating elements at their solved kW and kvar.

        Outside its own voltage band a generator's power follows the voltage, and some keep regulating with
        controls off; a constant load of the solved power is the same state and stays.
        """
        if not self.operating_point.as_modelled or self._generation_held:
            return
        engine, injectors = self.engine(), self.network.injectors
        for i in np.flatnonzero(np.isin(injectors.kind.astype(str), list(GENERATING_CLASSES))):
            engine.dss.Circuit.SetActiveElement(f"{injectors.kind[i]}.{injectors.name[i]}")
            p_kw, q_kvar = solved_injection(engine)
            self.add_fixed(f"hostcap_frozen_{i}", int(i), -p_kw, -q_kvar)
            engine.command(f"disable {injectors.kind[i]}.{injectors.name[i]}")

    def _solve_start(self) -> None:
        engine = self.engine()
        solved, iterations, change = engine.iterate(
            start=None,
            live=self.live_slots,
            nominal_v=self.live_nominal_v,
            tolerance_pu=START_GOAL_PU,
            most=self._settling.max_iterations,
        )
        if not solved and not change <= START_TOLERANCE_PU:
            raise NotConvergedError(
                f"the start does not converge: after {iterations} iterations a live node still moves by "
                f"{change:.3g} pu (expected <= {START_TOLERANCE_PU:g}); check the model's loads and voltage bases",
                iterations=iterations,
                largest_change_pu=change,
            )
        if not np.all(np.isfinite(self.node_v()[self.network.nodes.live])):
            raise NotConvergedError("the start has no finite voltages; check the model's impedances and bases")
        if not solved:
            self._findings.append(
                Finding(
                    severity=Severity.INFO,
                    code="start-tolerance",
                    message=f"the start is solved to {change:.1e} pu, not to {START_GOAL_PU:g} pu",
                )
            )
