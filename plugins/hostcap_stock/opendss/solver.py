"""The solver ``opendss``: states one by one on the engine itself; the yardstick for every other solver."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager

import numpy as np
from attrs import frozen

from hostcap._arrays import BoolArray, FloatArray, IntArray
from hostcap.errors import HostcapError, ModelError
from hostcap.growth import ConstantPower, Growth
from hostcap.limits import Extremes, LimitSet, Violations
from hostcap.power_flow import FrozenNetwork, Settling, States, Want, checked_injections
from hostcap.solution import Solution
from hostcap_stock.opendss.config import OpenDssSolverConfig
from hostcap_stock.opendss.frozen import ENGINE_CAPABILITY, FrozenOpenDss, bus_spec
from hostcap_stock.opendss.linearise import FROZEN_LOADS

_VARIABLE = 0
_PLAN_NUMBER = itertools.count(1)


@frozen(kw_only=True)
class OpenDssSolver:
    """Solves on the engine that froze the network."""

    config: OpenDssSolverConfig = OpenDssSolverConfig()
    laws: frozenset[type] = frozenset({ConstantPower})
    needs: frozenset[str] = frozenset({ENGINE_CAPABILITY})
    states_at_once: int = 1

    @property
    def settling(self) -> Settling:
        """How long the start's controlled solve may take."""
        return Settling(
            max_iterations=self.config.max_iterations, max_control_iterations=self.config.max_control_iterations
        )

    def plan(self, frozen: FrozenNetwork, growth: Growth, limits: LimitSet) -> OpenDssPlan:
        """Prepare to solve; adds one load element per growth point to the engine."""
        if not isinstance(frozen, FrozenOpenDss):
            raise HostcapError("solver 'opendss' works on networks of the source 'opendss'; choose another solver")
        return OpenDssPlan(frozen, growth, limits, self.config)


class OpenDssPlan:
    """States of one frozen network, solved one after the other, each from the start's voltages."""

    def __init__(self, frozen: FrozenOpenDss, growth: Growth, limits: LimitSet, config: OpenDssSolverConfig) -> None:
        """Add the growth points at 0 kW."""
        self._frozen = frozen
        self._growth = growth
        self._limits = limits
        self._config = config
        self._prefix = f"hostcap_growth_{next(_PLAN_NUMBER)}"
        self._kw = np.zeros(growth.name.size)
        self._kvar = np.zeros(growth.name.size)
        engine = frozen.engine()
        network, law = frozen.network, growth.law
        names = [f"{self._prefix}_{point}" for point in range(growth.name.size)]
        for point, name in enumerate(names):
            nodes = growth.terminals(point)
            bus = int(network.nodes.bus[nodes[nodes >= 0][0]])
            engine.command(
                f"new load.{name} bus1={bus_spec(network, bus, nodes)} phases={growth.phases[point]} "
                f"conn={'delta' if growth.delta[point] else 'wye'} kv={float(growth.kv[point])!r} kw=0 kvar=0 model=1 "
                f"vminpu={law.vmin_pu!r} vmaxpu={law.vmax_pu!r} vlowpu={law.vlow_pu!r} status=fixed"
            )
        self._pointers = engine.load_pointers(names)
        frozen.find_again()

    def close(self) -> None:
        """Take the growth out of the engine."""
        self._frozen.turn_to(None)
        engine = self._frozen.engine()
        for point in range(self._growth.name.size):
            engine.command(f"disable load.{self._prefix}_{point}")
        self._pointers = self._pointers[:0]
        self._frozen.find_again()

    def solve(self, levels: IntArray, want: Collection[Want]) -> States:
        """Solve states; see ``hostcap.power_flow.Plan``."""
        levels = np.atleast_2d(np.asarray(levels, dtype=np.int32))

        def write(state: int) -> None:
            steps = levels[state][self._growth.scope].astype(np.float64)
            # Growth is a load to the engine: what it injects, it consumes with the other sign.
            self._write(-steps * self._growth.p_kw, -steps * self._growth.q_kvar)

        return self._solve_each(levels.shape[0], write, want)

    def solve_injections(self, p_kw: FloatArray, q_kvar: FloatArray, want: Collection[Want]) -> States:
        """Solve states by injections; see ``hostcap.power_flow.Plan``.

        The operating point comes back afterwards, so that ``solve`` gives what it gave before.

        Raises:
            ModelError: The model's load multiplier of 0 holds loads at nothing.
        """
        p, q = checked_injections(p_kw, q_kvar, int(self._frozen.network.injectors.name.size))
        none = np.zeros(self._growth.name.size)
        with self._carriers() as carriers:

            def write(state: int) -> None:
                self._write(none, none)
                carriers.write(-p[state], -q[state])

            return self._solve_each(len(p), write, want)

    @contextmanager
    def _carriers(self) -> Iterator[_Carriers]:
        """Loads of the engine that carry each injector's power."""
        frozen = self._frozen
        engine, injectors = frozen.engine(), frozen.network.injectors
        known = {str(name).lower() for name in engine.dss.Loads.AllNames()}
        names, added, silent = [], [], []
        for i in range(injectors.name.size):
            own, own_load = str(injectors.name[i]).lower(), injectors.kind[i] == "load"
            beside = [name for prefix in FROZEN_LOADS if (name := f"{prefix}{i}") in known]
            if own_load:
                silent += beside
                names.append(own)
            elif beside:
                names.append(beside[0])
            else:  # it is off at the start
                added.append((f"{self._prefix}_injector_{i}", i))
                names.append(added[-1][0])
        for name, i in added:
            if name in known:
                engine.command(f"enable load.{name}")
            else:
                frozen.add_fixed(name, i, 0.0, 0.0)
        if added:
            frozen.find_again()
        carriers = _Carriers(frozen, names, silent)
        try:
            yield carriers
        finally:
            carriers.restore()
            for name, _ in added:
                engine.command(f"disable load.{name}")
            if added:
                frozen.find_again()

    def _solve_each(self, count: int, write: Callable[[int], None], want: Collection[Want]) -> States:
        self._frozen.turn_to(self._rest)
        converged, iterations = np.zeros(count, dtype=bool), np.zeros(count, dtype=np.int32)
        extremes: list[Extremes] = []
        violations: list[Violations] = []
        solutions: list[Solution] = []
        for state in range(count):
            write(state)
            converged[state], iterations[state], _ = self._frozen.engine().iterate(
                start=self._frozen.start_vector,
                live=self._frozen.live_slots,
                nominal_v=self._frozen.live_nominal_v,
                tolerance_pu=self._config.tolerance_pu,
                most=self._config.max_iterations,
            )
            solution = self._read(bool(converged[state]), int(iterations[state]))
            if "extremes" in want:
                extremes.append(self._limits.extremes(solution, self._frozen.start))
            if "violations" in want:
                violations.append(self._limits.violations(solution, self._frozen.start))
            if "nodes" in want or "branches" in want:
                solutions.append(solution)
        return States(
            converged=converged,
            iterations=iterations,
            extremes=_stack_extremes(extremes) if extremes else None,
            violations=_stack_violations(violations) if violations else None,
            solution=_stack_solutions(solutions, want) if solutions else None,
        )

    def _rest(self) -> None:
        """Let nothing of this plan grow while another one solves."""
        none = np.zeros(self._growth.name.size)
        self._write(none, none)

    def _write(self, kw: FloatArray, kvar: FloatArray) -> None:
        """Write what changed: setting every load of a large feeder costs as much as its solve."""
        changed: BoolArray = (kw != self._kw) | (kvar != self._kvar)
        self._frozen.engine().set_loads(self._pointers[changed], kw[changed], kvar[changed])
        self._kw, self._kvar = kw, kvar

    def _read(self, converged: bool, iterations: int) -> Solution:
        if converged:
            return self._frozen.solution(iterations=iterations)
        network = self._frozen.network
        return Solution(
            node_v=np.full((1, network.nodes.bus.size), np.nan + 0j),
            conductor_a=np.full((1, network.conductors.node.size), np.nan + 0j),
            converged=[False],
            iterations=[iterations],
        )


class _Carriers:
    """Loads that carry injections, one per injector, and those that are off meanwhile."""

    def __init__(self, frozen: FrozenOpenDss, names: list[str], silent: list[str]) -> None:
        """Remember what they are set to, to give it back."""
        self._engine = frozen.engine()
        self._pointers = self._engine.load_pointers([*names, *silent])
        self._silent = len(silent)
        dss = self._engine.dss
        multiplier = float(dss.Solution.LoadMult())
        index = {str(name).lower(): i + 1 for i, name in enumerate(dss.Loads.AllNames())}
        kw, kvar, factor = [], [], []
        for name in [*names, *silent]:
            dss.Loads.Idx(index[name])
            kw.append(float(dss.Loads.kW()))
            kvar.append(float(dss.Loads.kvar()))
            factor.append(multiplier if int(dss.Loads.Status()) == _VARIABLE else 1.0)
        self._kw, self._kvar, self._factor = np.asarray(kw), np.asarray(kvar), np.asarray(factor)
        self._first = self._kw, self._kvar
        if np.any(self._factor == 0.0):
            raise ModelError(
                "the model's load multiplier of 0 holds its loads at 0 kW; set it to 1 with network.commands"
            )

    def write(self, kw: FloatArray, kvar: FloatArray) -> None:
        """Let them consume; a load is written before the engine's multiplier."""
        none = np.zeros(self._silent)
        self._set(np.concatenate([kw, none]) / self._factor, np.concatenate([kvar, none]) / self._factor)

    def restore(self) -> None:
        """Back to the operating point."""
        self._set(*self._first)

    def _set(self, kw: FloatArray, kvar: FloatArray) -> None:
        changed: BoolArray = (kw != self._kw) | (kvar != self._kvar)
        self._engine.set_loads(self._pointers[changed], kw[changed], kvar[changed])
        self._kw, self._kvar = kw, kvar


def _stack_extremes(parts: list[Extremes]) -> Extremes:
    return Extremes(
        margin=np.concatenate([p.margin for p in parts]),
        row=np.concatenate([p.row for p in parts]),
        families=parts[0].families,
    )


def _stack_violations(parts: list[Violations]) -> Violations:
    return Violations(
        state=np.concatenate([np.full(p.row.size, i, dtype=np.int32) for i, p in enumerate(parts)]),
        row=np.concatenate([p.row for p in parts]),
        group=np.concatenate([p.group for p in parts]),
        family=np.concatenate([p.family for p in parts]),
        value=np.concatenate([p.value for p in parts]),
        limit=np.concatenate([p.limit for p in parts]),
        excess=np.concatenate([p.excess for p in parts]),
        families=parts[0].families,
    )


def _stack_solutions(parts: list[Solution], want: Collection[Want]) -> Solution:
    def columns(name: str, wanted: bool) -> np.ndarray[tuple[int, int], np.dtype[np.complex128]]:
        stacked = np.concatenate([getattr(p, name) for p in parts])
        return stacked if wanted else stacked[:, :0]

    return Solution(
        node_v=columns("node_v", "nodes" in want),
        conductor_a=columns("conductor_a", "branches" in want),
        converged=np.concatenate([p.converged for p in parts]),
        iterations=np.concatenate([p.iterations for p in parts]),
    )
