"""The mathematics of the solver ``batched`` in scipy: slow, and short enough to read.

Everything that does not inject is linear. Injectors hang on ports, A, between two nodes; what a port draws, i, depends
on its voltage A'V. A base load's rated admittance y is part of Y, so what it draws beyond that is injected. One
iteration takes the currents at the present voltages and solves the linear network for new ones::

    V  <-  Y^-1 I_source - Y^-1 (A_base (i_base(A_base'V) - y A_base'V) + A_growth n i_growth(A_growth'V))

from the start's voltages, until no live node moves by more than the tolerance. n is the level of each port's scope.
Where injections are given, they take the place of both currents, and only y stays of the base loads.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from attrs import evolve

from hostcap._arrays import ComplexArray, FloatArray, IntArray
from hostcap.growth import Growth
from hostcap.limits import LimitSet
from hostcap.linear import LinearNetwork, Ports, growth_ports
from hostcap.power_flow import States, Want, checked_injections
from hostcap.solution import Solution
from hostcap_stock.batched.config import BatchedConfig
from hostcap_stock.batched.equations import iteration_admittance


class ReferencePlan:
    """States one by one; the same interface and meaning as ``BatchedPlan``."""

    def __init__(
        self, linear: LinearNetwork, growth: Growth, limits: LimitSet, config: BatchedConfig, start: Solution
    ) -> None:
        """Factorise the admittance."""
        from scipy.sparse.linalg import splu

        self._linear, self._growth, self._limits, self._config, self._start = linear, growth, limits, config, start
        self._grown = growth_ports(growth)
        self._factor = splu(iteration_admittance(linear).tocsc())
        self._idle_v = self._factor.solve(linear.source_a)
        self._conductors = linear.conductors()

    def close(self) -> None:
        """Nothing is held."""

    def solve(self, levels: IntArray, want: Collection[Want]) -> States:
        """Solve states; see ``hostcap.power_flow.Plan``."""
        solved = []
        for level in np.atleast_2d(np.asarray(levels, dtype=np.int32)):
            steps = level[self._growth.scope[self._grown.injector]]
            grown = evolve(self._grown, kw=steps * self._grown.kw, kvar=steps * self._grown.kvar)
            solved.append(self._solve_one(self._linear.base, grown))
        return self._states(solved, want)

    def solve_injections(self, p_kw: FloatArray, q_kvar: FloatArray, want: Collection[Want]) -> States:
        """Solve states by injections; see ``hostcap.power_flow.Plan``."""
        unit, base = self._linear.injecting, self._linear.base
        others = base.chosen(base.injector < 0)
        solved = []
        for p, q in zip(*checked_injections(p_kw, q_kvar, self._linear.injector_count), strict=True):
            given = evolve(unit, kw=-p[unit.injector] * unit.kw, kvar=-q[unit.injector] * unit.kvar)
            solved.append(self._solve_one(given, others))
        return self._states(solved, want)

    def _states(self, solved: list[tuple[ComplexArray, bool, int]], want: Collection[Want]) -> States:
        node_v = np.array([v for v, _, _ in solved]).reshape(len(solved), self._linear.node_count)
        converged = np.array([good for _, good, _ in solved], dtype=bool)
        node_v[~converged] = np.nan
        solution = Solution(
            node_v=node_v,
            conductor_a=(self._conductors @ node_v.T).T,
            converged=converged,
            iterations=[count for _, _, count in solved],
        )
        return States(
            converged=solution.converged,
            iterations=solution.iterations,
            extremes=self._limits.extremes(solution, self._start) if "extremes" in want else None,
            violations=self._limits.violations(solution, self._start) if "violations" in want else None,
            solution=solution if {"nodes", "branches"} & set(want) else None,
        )

    def _solve_one(self, *drawing: Ports) -> tuple[ComplexArray, bool, int]:
        linear, config = self._linear, self._config
        v, iteration = linear.start_v, 0
        for iteration in range(1, config.max_iterations + 1):
            injected = np.zeros_like(linear.source_a)
            for ports in drawing:
                _draw(injected, ports, ports.drawn_a(ports.voltage_v(v)))
            _draw(injected, linear.base, -linear.base.siemens * linear.base.voltage_v(v))
            before, v = v, self._idle_v + self._factor.solve(injected)
            moved = (np.abs(v - before) / linear.nominal_v)[linear.live]
            if np.all(moved <= config.tolerance_pu):
                return v, True, iteration
            if not np.all(np.isfinite(moved)):
                break
        return v, False, iteration


def _draw(injected: ComplexArray, ports: Ports, drawn: ComplexArray) -> None:
    """Take what ports draw out of their first nodes, and give it back to their second ones."""
    for node, sign in ((ports.node_a, -1.0), (ports.node_b, 1.0)):
        np.add.at(injected, node[node >= 0], sign * drawn[node >= 0])
