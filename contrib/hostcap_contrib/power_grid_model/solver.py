"""States in batches on power-grid-model; the core judges limits, currents come from the network's own primitives."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
from attrs import frozen

from hostcap._arrays import BoolArray, FloatArray, IntArray
from hostcap.errors import HostcapError
from hostcap.growth import ConstantPower, Growth
from hostcap.limits import Extremes, LimitSet, Violations
from hostcap.linear import CONSTANT_IMPEDANCE, Ports, growth_ports
from hostcap.power_flow import FrozenNetwork, Settling, States, Want, checked_injections
from hostcap.solution import Solution
from hostcap_contrib.power_grid_model.config import PowerGridModelConfig
from hostcap_contrib.power_grid_model.convert import convert
from hostcap_contrib.power_grid_model.plugin import EXTRA

AT_ONCE = 256
"""States of one call: full results of all elements are written, so that memory grows with it."""


@frozen(kw_only=True)
class PowerGridModelSolver:
    """Makes plans on power-grid-model."""

    config: PowerGridModelConfig = PowerGridModelConfig()
    laws: frozenset[type] = frozenset({ConstantPower})
    needs: frozenset[str] = frozenset({"opendss-engine", "linearise"})
    states_at_once: int = 32

    @property
    def settling(self) -> Settling:
        """How long the start's controlled solve may take."""
        return Settling()

    def plan(self, frozen: FrozenNetwork, growth: Growth, limits: LimitSet) -> PowerGridModelPlan:
        """Prepare to solve.

        Raises:
            ModelError: Elements that have no form in power-grid-model, by name.
            PluginError: power-grid-model is not installed.
        """
        EXTRA.require("solver 'power-grid-model'")
        return PowerGridModelPlan(self.config, frozen, growth, limits)


class _Model:
    """An engine of power-grid-model for some sets of ports."""

    def __init__(self, frozen: FrozenNetwork, drawing: Sequence[Ports]) -> None:
        """Convert the network."""
        from power_grid_model import PowerGridModel

        self.drawing = drawing
        self.converted = convert(frozen.engine(), frozen.network, drawing)
        self.engine = PowerGridModel(self.converted.components, system_frequency=float(frozen.network.frequency_hz))


class PowerGridModelPlan:
    """States of one frozen network; every state starts flat, so that none depends on another."""

    def __init__(self, config: PowerGridModelConfig, frozen: FrozenNetwork, growth: Growth, limits: LimitSet) -> None:
        """Convert the network."""
        self._config, self._limits, self._frozen = config, limits, frozen
        self._linear, self._growth, self._grown = frozen.linear(), growth, growth_ports(growth)
        self._stepping = _Model(frozen, (self._linear.base, self._grown))
        self._currents = self._linear.conductors()

    def close(self) -> None:
        """Nothing to give back."""

    def solve(self, levels: IntArray, want: Collection[Want]) -> States:
        """Solve states; see ``hostcap.power_flow.Plan``."""
        levels = np.atleast_2d(np.asarray(levels, dtype=np.int32))
        base, grown, count = self._linear.base, self._grown, len(levels)
        steps = levels[:, self._growth.scope[grown.injector]].astype(np.float64)
        kw = [np.broadcast_to(base.kw, (count, len(base))), steps * grown.kw]
        kvar = [np.broadcast_to(base.kvar, (count, len(base))), steps * grown.kvar]
        return self._solved(self._stepping, kw, kvar, count, want)

    def solve_injections(self, p_kw: FloatArray, q_kvar: FloatArray, want: Collection[Want]) -> States:
        """Solve states by injections; see ``hostcap.power_flow.Plan``."""
        p_kw, q_kvar = checked_injections(p_kw, q_kvar, self._linear.injector_count)
        ports = self._linear.injecting
        drawn = [(-power[:, ports.injector]) * own for power, own in ((p_kw, ports.kw), (q_kvar, ports.kvar))]
        return self._solved(_Model(self._frozen, (ports,)), [drawn[0]], [drawn[1]], len(p_kw), want)

    def _solved(
        self,
        model: _Model,
        kw: list[FloatArray],
        kvar: list[FloatArray],
        count: int,
        want: Collection[Want],
    ) -> States:
        parts = []
        for first in range(0, count, AT_ONCE):
            chosen = slice(first, min(first + AT_ONCE, count))
            parts.append(self._part(model, [k[chosen] for k in kw], [k[chosen] for k in kvar], first, want))
        if not parts:
            parts = [self._reduced(np.empty((0, self._linear.node_count), complex), np.empty(0, bool), 0, want)]
        return _joined(parts, want)

    def _part(
        self,
        model: _Model,
        kw: list[FloatArray],
        kvar: list[FloatArray],
        first: int,
        want: Collection[Want],
    ) -> States:
        from power_grid_model import initialize_array

        count, loads = len(kw[0]), model.converted.load_id.size
        update = initialize_array("update", "asym_load", (count, loads))
        update["id"] = model.converted.load_id
        for name, powers in (("p_specified", kw), ("q_specified", kvar)):
            total = np.zeros((count, loads, 3))
            for place, power in zip(model.converted.places, powers, strict=True):
                at: Any = (slice(None), place.load, place.phase)
                np.add.at(total, at, 1000.0 * power * place.factor)
            update[name] = total
        node_v, converged = self._voltages(model, update)
        _refuse_outside_the_law(model.drawing, kw, kvar, node_v, converged, first)
        return self._reduced(node_v, converged, self._config.max_iterations, want)

    def _voltages(self, model: _Model, update: Any) -> tuple[Any, BoolArray]:
        """Node voltages, V, shape (state, node), nan where a state has no solution; and which have one."""
        from power_grid_model import CalculationMethod, ComponentType

        count = len(update)
        methods = {
            "iterative-current": CalculationMethod.iterative_current,
            "newton-raphson": CalculationMethod.newton_raphson,
        }
        result = model.engine.calculate_power_flow(
            symmetric=False,
            error_tolerance=self._config.tolerance_pu,
            max_iterations=self._config.max_iterations,
            calculation_method=methods[self._config.method],
            update_data={"asym_load": update},
            threading=-1 if self._config.threads == 1 else self._config.threads,
            output_component_types={"node"},
            continue_on_batch_error=True,
        )
        errors = model.engine.batch_error
        converged = np.ones(count, dtype=bool)
        if errors is not None:
            converged[np.asarray(errors.failed_scenarios, dtype=np.int64)] = False
        node: Any = result[ComponentType.node]
        nodes = self._frozen.network.nodes
        phasors = node["u"] * np.exp(1j * node["u_angle"])
        volts = phasors[:, nodes.bus, nodes.number - 1]
        volts[~converged] = np.nan
        converged &= np.isfinite(volts[:, nodes.live]).all(axis=1)
        volts[~converged] = np.nan
        return volts, converged

    def _reduced(self, node_v: Any, converged: BoolArray, iterations: int, want: Collection[Want]) -> States:
        solution = Solution(
            node_v=node_v,
            conductor_a=np.asarray((self._currents @ node_v.T).T),
            converged=converged,
            iterations=np.full(len(converged), iterations, dtype=np.int32),
        )
        asked = "nodes" in want or "branches" in want
        return States(
            converged=converged,
            iterations=solution.iterations,
            extremes=self._limits.extremes(solution, self._frozen.start) if "extremes" in want else None,
            violations=self._limits.violations(solution, self._frozen.start) if "violations" in want else None,
            solution=solution if asked else None,
        )


def _joined(parts: list[States], want: Collection[Want]) -> States:
    """Parts of a batch as one."""
    if len(parts) == 1:
        return parts[0]
    sizes = np.cumsum([0, *(p.converged.size for p in parts)])
    extremes = [p.extremes for p in parts if p.extremes is not None]
    violations = [p.violations for p in parts if p.violations is not None]
    solutions = [p.solution for p in parts if p.solution is not None]

    def all_of(records: list[Any], name: str) -> Any:
        return np.concatenate([getattr(record, name) for record in records])

    return States(
        converged=all_of(parts, "converged"),
        iterations=all_of(parts, "iterations"),
        extremes=Extremes(margin=all_of(extremes, "margin"), row=all_of(extremes, "row"), families=extremes[0].families)
        if extremes
        else None,
        violations=Violations(
            state=np.concatenate([v.state + s for v, s in zip(violations, sizes[:-1], strict=True)]),
            **{n: all_of(violations, n) for n in ("row", "group", "family", "value", "limit", "excess")},
            families=violations[0].families,
        )
        if violations
        else None,
        solution=Solution(**{n: all_of(solutions, n) for n in ("node_v", "conductor_a", "converged", "iterations")})
        if solutions
        else None,
    )


def _refuse_outside_the_law(
    drawing: Sequence[Ports],
    kw: list[FloatArray],
    kvar: list[FloatArray],
    node_v: Any,
    converged: BoolArray,
    first: int,
) -> None:
    """Laws have a band in hostcap and none in power-grid-model: outside of it the state would be another."""
    for ports, p, q in zip(drawing, kw, kvar, strict=True):
        if not len(ports):
            continue
        u = np.abs(ports.voltage_v(node_v)) / ports.base_v
        outside = ((u < ports.vmin_pu) | (u > ports.vmax_pu)) & ((p != 0) | (q != 0)) & converged[:, None]
        outside &= ports.model != CONSTANT_IMPEDANCE
        if np.any(outside):
            state, port = np.argwhere(outside)[0]
            raise HostcapError(
                f"solver 'power-grid-model': state {first + state} has a load at {u[state, port]:.3f} pu, outside "
                f"the {ports.vmin_pu[port]:g} to {ports.vmax_pu[port]:g} pu within which its law holds; "
                "power-grid-model cannot model it there: choose 'batched'"
            )
