"""The solver ``pandapower``: states one by one, with ``runpp`` or ``runpp_3ph``."""

from __future__ import annotations

from collections.abc import Callable, Collection

import numpy as np
from attrs import evolve, frozen

from hostcap._arrays import ComplexArray, FloatArray, IntArray
from hostcap.errors import HostcapError
from hostcap.growth import ConstantPower, Growth
from hostcap.limits import LimitSet
from hostcap.linear import CONSTANT_IMPEDANCE, Ports, growth_ports
from hostcap.power_flow import FrozenNetwork, Settling, States, Want, checked_injections
from hostcap.solution import Solution
from hostcap_stock.pandapower.config import PandapowerSolverConfig
from hostcap_stock.pandapower.drawn import Drawn
from hostcap_stock.pandapower.frozen import FrozenPandapower
from hostcap_stock.pandapower.plugin import ENGINE, EXTRA

RESOLUTION_PU = 1e-8
"""Where digits end: unbalanced power flows do not come nearer to their own solution."""
STALLED = 0.98
"""A pass that brings a state no nearer than this share of the last one's distance is the last."""
_Parts = list[tuple[Ports, FloatArray, FloatArray]]


@frozen(kw_only=True)
class PandapowerSolver:
    """Solves in the net that froze the network.

    Raises:
        MissingPackageError: pandapower is not installed.
    """

    config: PandapowerSolverConfig = PandapowerSolverConfig()
    laws: frozenset[type] = frozenset({ConstantPower})
    needs: frozenset[str] = frozenset({ENGINE})
    states_at_once: int = 1

    def __attrs_post_init__(self) -> None:
        EXTRA.require("solver 'pandapower'")

    @property
    def settling(self) -> Settling:
        """How long the start's solve may take."""
        return Settling(max_iterations=self.config.max_iterations)

    def plan(self, frozen: FrozenNetwork, growth: Growth, limits: LimitSet) -> PandapowerPlan:
        """Prepare to solve."""
        if not isinstance(frozen, FrozenPandapower):
            raise HostcapError("solver 'pandapower' works on networks of source 'pandapower'; choose another solver")
        if type(growth.law) not in self.laws:
            raise HostcapError(f"solver 'pandapower' does not know the voltage law {type(growth.law).__name__}")
        return PandapowerPlan(frozen, growth, limits, self.config)


class PandapowerPlan:
    """States of one frozen network, solved one after the other, each from the start's voltages."""

    def __init__(
        self, frozen: FrozenPandapower, growth: Growth, limits: LimitSet, config: PandapowerSolverConfig
    ) -> None:
        """Make the ports of what grows."""
        self._frozen, self._growth, self._limits, self._config = frozen, growth, limits, config
        self._grown = growth_ports(growth)

    def close(self) -> None:
        """Nothing is held of the network."""

    def solve(self, levels: IntArray, want: Collection[Want]) -> States:
        """Solve states; see ``hostcap.power_flow.Plan``."""
        levels = np.atleast_2d(np.asarray(levels, dtype=np.int32))
        base, grown = self._frozen.base, self._grown

        def parts(state: int) -> _Parts:
            steps = levels[state][self._growth.scope[grown.injector]].astype(np.float64)
            return [(base, base.kw, base.kvar), (grown, steps * grown.kw, steps * grown.kvar)]

        return self._solve_each(len(levels), parts, want)

    def solve_injections(self, p_kw: FloatArray, q_kvar: FloatArray, want: Collection[Want]) -> States:
        """Solve states by injections; see ``hostcap.power_flow.Plan``."""
        p, q = checked_injections(p_kw, q_kvar, int(self._frozen.network.injectors.name.size))
        unit = self._frozen.linear().injecting

        def parts(state: int) -> _Parts:
            return [(unit, -p[state][unit.injector] * unit.kw, -q[state][unit.injector] * unit.kvar)]

        return self._solve_each(len(p), parts, want)

    def _solve_each(self, count: int, parts: Callable[[int], _Parts], want: Collection[Want]) -> States:
        network, limits, start = self._frozen.network, self._limits, self._frozen.start
        found = [self._solve_one(parts(state)) for state in range(count)]
        solution = Solution(
            node_v=_stacked([s.node_v for s in found], network.nodes.bus.size),
            conductor_a=_stacked([s.conductor_a for s in found], network.conductors.node.size),
            converged=[bool(s.converged[0]) for s in found],
            iterations=[int(s.iterations[0]) for s in found],
        )
        kept = Solution(
            node_v=solution.node_v[:, : None if "nodes" in want else 0],
            conductor_a=solution.conductor_a[:, : None if "branches" in want else 0],
            converged=solution.converged,
            iterations=solution.iterations,
        )
        return States(
            converged=solution.converged,
            iterations=solution.iterations,
            extremes=limits.extremes(solution, start) if "extremes" in want else None,
            violations=limits.violations(solution, start) if "violations" in want else None,
            solution=kept if {"nodes", "branches"} & set(want) else None,
        )

    def _solve_one(self, parts: _Parts) -> Solution:
        """One state: the engine solves constant powers; where a law says otherwise, it is told and goes on."""
        frozen, config = self._frozen, self._config
        engine = frozen.engine()
        now, iterations, before = parts, 0, np.inf
        for passed in range(config.max_iterations):
            solved = engine.solve(Drawn.of(frozen.feeder, now), onwards=passed > 0)
            iterations += solved.iterations
            moved = frozen.moved_pu(solved.node_v, parts)
            if moved <= max(config.tolerance_pu, RESOLUTION_PU):
                return Solution(
                    node_v=solved.node_v[None, :],
                    conductor_a=engine.conductor_a()[None, :],
                    converged=[True],
                    iterations=[iterations],
                )
            if not solved.good or (passed > 1 and not moved < STALLED * before):
                break
            before = moved
            now = [_nearer(told, part, solved.node_v) for told, part in zip(now, parts, strict=True)]
        network = frozen.network
        return Solution(
            node_v=np.full((1, network.nodes.bus.size), np.nan + 0j),
            conductor_a=np.full((1, network.conductors.node.size), np.nan + 0j),
            converged=[False],
            iterations=[iterations],
        )


def _stacked(parts: list[ComplexArray], size: int) -> ComplexArray:
    return np.concatenate([np.empty((0, size), dtype=np.complex128), *parts])


def _nearer(
    told: tuple[Ports, FloatArray, FloatArray], nominal: tuple[Ports, FloatArray, FloatArray], node_v: ComplexArray
) -> tuple[Ports, FloatArray, FloatArray]:
    """Halfway from the powers that the engine was told to those of the law at its voltages.

    The whole way would go to and fro: where a law leaves its band, less power means more voltage, and that more power.
    Constant impedances are the engine's own.
    """
    ports, kw, kvar = nominal
    own = evolve(ports, kw=kw, kvar=kvar)
    volts = own.voltage_v(node_v)
    drawn = volts * np.conj(own.drawn_a(volts)) / 1000.0
    held = ports.model == CONSTANT_IMPEDANCE
    halfway = (told[1] + drawn.real) / 2.0, (told[2] + drawn.imag) / 2.0
    return ports, np.where(held, kw, halfway[0]), np.where(held, kvar, halfway[1])
