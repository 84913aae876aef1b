"""Suites of network sources and solvers: arrays that fit together, power balance, batches, divergence, state."""

from __future__ import annotations

import multiprocessing
import os
import pickle
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from typing import Any, ClassVar

import attrs
import numpy as np
import pytest

from hostcap.errors import HostcapError
from hostcap.growth import Growth, UnitInjection, customer_growth
from hostcap.limit_rows import conductor_rows, node_rows
from hostcap.limits import LimitSet
from hostcap.linear import LinearNetwork, Ports, growth_ports
from hostcap.network import Network
from hostcap.plugins import NetworkPlugin, SolverPlugin
from hostcap.power_flow import LINEARISE, FrozenNetwork, JointSolver, Settling
from hostcap.testing.case import Case
from hostcap.testing.frozen import two_bus, two_bus_voltage_v
from hostcap.testing.part_suites import modelled
from hostcap.testing.plugin_suite import PluginSuite

EVERYTHING = {"extremes", "violations", "nodes", "branches"}
MEASURED_PU = 1e-6
"""How far voltages of one state may be apart by two ways of solving, per unit of nominal: the solvers' tolerance."""
BALANCED_TO = 1e-5
"""Largest share of the currents that meet at a node that may be missing there, at the solvers' tolerance."""


class NetworkSuite(PluginSuite):
    """A feeder as arrays, and its frozen start."""

    kind = NetworkPlugin

    @pytest.fixture
    def network(self, case: Case) -> Network:
        """The feeder."""
        loaded: Network = case.make().load(case.feeder)
        return loaded

    # Shapes and units

    def test_arrays_fit_together(self, network: Network) -> None:
        for part in (network.buses, network.nodes, network.equipment, network.conductors, network.groups):
            assert len({getattr(part, c.name).shape for c in attrs.fields(type(part))}) == 1, type(part).__name__
        _within(network.nodes.bus, network.buses.name.size)
        _within(network.nodes.reference, network.nodes.bus.size, ground=True)
        _within(network.conductors.node, network.nodes.bus.size, ground=True)
        _within(network.conductors.equipment, network.equipment.name.size)
        _within(network.injectors.bus, network.buses.name.size)
        _within(network.injectors.terminal_node, network.nodes.bus.size, ground=True)
        _within(network.customers.element, network.injectors.name.size)
        assert np.diff(network.injectors.terminal_ptr).min(initial=1) >= 1
        assert np.diff(network.customers.element_ptr).min(initial=1) >= 1

    def test_indices_are_int32_and_arrays_are_read_only(self, network: Network) -> None:
        for part in (network.nodes, network.conductors, network.injectors, network.customers):
            for column in attrs.fields(type(part)):
                values = getattr(part, column.name)
                if isinstance(values, np.ndarray):
                    assert values.dtype.kind != "i" or values.dtype == np.int32, column.name
                    assert not values.flags.writeable, column.name

    def test_lv_is_below_1_kv_and_every_lv_bus_has_a_group(self, network: Network) -> None:
        live = np.zeros(network.buses.name.size, dtype=bool)
        live[network.nodes.bus[network.nodes.live]] = True
        assert np.array_equal(network.buses.lv[live], network.buses.nominal_kv[live] < 1.0)
        assert ((network.buses.group > 0) == network.buses.lv)[live].all()

    def test_nominal_voltages_are_those_of_the_bases(self, network: Network) -> None:
        nodes, buses = network.nodes, network.buses
        to_ground = buses.nominal_kv[nodes.bus[nodes.live]] * 1000.0 / np.sqrt(3.0)
        assert nodes.nominal_v[nodes.live] == pytest.approx(to_ground, rel=1e-6)

    def test_customers_are_lv_and_named_once(self, network: Network) -> None:
        customers = network.customers
        assert customers.id.size, "a feeder without customers is an error of the source"
        assert len(set(customers.id.tolist())) == customers.id.size
        assert ((customers.group >= 1) & (customers.group <= len(network.groups))).all()
        assert not (customers.grows & ~customers.live).any()

    def test_powers_are_finite_and_in_their_natural_direction(self, network: Network) -> None:
        injectors = network.injectors
        assert (injectors.load_kw >= 0).all() and np.isfinite(injectors.load_kvar).all()
        assert (injectors.generation_kw >= 0).all() and np.isfinite(injectors.generation_kvar).all()

    def test_ratings_are_positive_or_missing(self, network: Network) -> None:
        for ratings in (network.conductors.normal_a, network.conductors.emergency_a):
            assert (np.isnan(ratings) | (ratings > 0)).all()

    # State

    def test_loading_twice_gives_equal_networks_and_equal_hashes(self, case: Case, network: Network) -> None:
        again = case.make().load(case.feeder)
        assert again == network
        assert network.origin is not None and again.origin is not None
        assert again.origin.content_hash == network.origin.content_hash

    def test_the_working_directory_stays(self, case: Case) -> None:
        before = os.getcwd()
        network = case.make().load(case.feeder)
        with case.make().freeze(network, modelled(network), Settling()):
            assert os.getcwd() == before
        assert os.getcwd() == before

    def test_the_network_travels_to_a_worker_and_reopens_there(self, case: Case, network: Network) -> None:
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(1, mp_context=context) as pool:
            volts = pool.submit(_reopened, pickle.dumps(network)).result(timeout=300)
        with case.make().freeze(network, modelled(network), Settling()) as frozen:
            assert np.array_equal(volts, frozen.start.node_v)

    # Numbers and laws

    def test_the_start_is_solved_for_every_node_and_conductor(self, case: Case, network: Network) -> None:
        with case.make().freeze(network, modelled(network), Settling()) as frozen:
            start = frozen.start
            assert start.node_v.shape == (1, network.nodes.bus.size)
            assert start.conductor_a.shape == (1, network.conductors.node.size)
            assert bool(start.converged[0])
            live = network.nodes.live
            assert np.isfinite(start.node_v[0, live]).all()
            pu = (
                np.abs(start.node_v[0, live & ~network.nodes.neutral])
                / network.nodes.nominal_v[live & ~network.nodes.neutral]
            )
            assert ((pu > 0.5) & (pu < 1.5)).all(), "a start beyond 0.5 to 1.5 pu; are the voltage bases right?"
            record = case.record
            assert record.capabilities == frozen.capabilities, "the record and its frozen networks disagree"

    def test_the_linear_network_is_the_start(self, case: Case, network: Network) -> None:
        """Y V + what ports draw = what sources inject, and conductor currents follow from voltages."""
        if "linearise" not in case.record.capabilities:
            pytest.skip("does not offer linearise")
        with case.make().freeze(network, modelled(network), Settling()) as frozen:
            linear, start = frozen.linear(), frozen.start
        volts = start.node_v[0]
        assert unbalanced(linear, volts) < 1e-9, "Kirchhoff's law, relative to the currents that meet"
        own = linear.conductors() @ volts
        size = np.abs(linear.conductors()) @ np.abs(volts) + 1.0
        assert (np.abs(own - start.conductor_a[0]) / size).max() < 1e-9

    def test_a_written_point_is_what_the_start_draws(self, case: Case, network: Network) -> None:
        """A start at no load and no generation is another than that of the model, where the model does something."""
        zero = np.zeros(network.injectors.name.size)
        point = attrs.evolve(
            modelled(network),
            as_modelled=False,
            load_kw=zero,
            load_kvar=zero,
            generation_kw=zero,
            generation_kvar=zero,
        )
        with case.make().freeze(network, point, Settling()) as frozen:
            assert np.array_equal(frozen.operating_point.load_kw, zero)
            assert bool(frozen.start.converged[0])
            idle = np.array(frozen.start.node_v)
        if any(np.any(powers) for powers in (network.injectors.load_kw, network.injectors.generation_kw)):
            with case.make().freeze(network, modelled(network), Settling()) as frozen:
                assert not np.array_equal(frozen.start.node_v, idle), "the start does not depend on the point"

    # Failure

    def test_a_feeder_that_is_not_there_is_an_error_of_ours(self, case: Case) -> None:
        """Sources whose settings hold no {feeder} load the same file whatever the name."""
        with suppress(HostcapError):
            case.make().load("no such feeder, \u00fc")


def _within(index: Any, size: int, *, ground: bool = False) -> None:
    assert ((index >= (-1 if ground else 0)) & (index < size)).all()


def unbalanced(linear: LinearNetwork, volts: Any, *more: tuple[Ports, Any]) -> float:
    """Largest current that is missing at a live node of a state, relative to the currents that meet there.

    Args:
        linear: The network; its base loads draw.
        volts: Voltages of the state, V, shape (node,).
        more: Further ports that draw, each with the multiples of its own power, shape (port,).
    """
    admittance: Any = linear.admittance()
    current = admittance @ volts
    for ports, times in ((linear.base, np.ones(len(linear.base))), *more):
        drawn = ports.drawn_a(ports.voltage_v(volts)) * times
        for end, sign in ((ports.node_a, 1.0), (ports.node_b, -1.0)):
            np.add.at(current, end[end >= 0], sign * drawn[end >= 0])
    scale = np.abs(admittance) @ np.abs(volts) + np.abs(linear.source_a) + 1.0
    return float((np.abs(current - linear.source_a) / scale)[linear.live].max())


def in_parts(growth: Growth, *, turned: bool) -> Growth:
    """Each growth point as two, of a quarter and of three quarters, in one order or the other."""
    points = np.tile(np.arange(growth.name.size), 2)
    share = np.repeat([0.25, 0.75], growth.name.size)
    order = np.arange(points.size)[::-1] if turned else np.arange(points.size)
    points, share = points[order], share[order]
    nodes = [growth.terminals(int(point)) for point in points]
    return attrs.evolve(
        growth,
        **{name: getattr(growth, name)[points] for name in ("scope", "phases", "delta", "kv")},
        name=[f"{growth.name[point]} {part:g}" for point, part in zip(points, share, strict=True)],
        p_kw=share * growth.p_kw[points],
        q_kvar=share * growth.q_kvar[points],
        terminal_ptr=np.concatenate([[0], np.cumsum([each.size for each in nodes], dtype=np.int64)]),
        terminal_node=np.concatenate(nodes) if nodes else [],
    )


def _reopened(pickled: bytes) -> Any:
    """Voltages of the start, found in a process that never saw the engine before."""
    network = pickle.loads(pickled)
    with network.origin.source.freeze(network, modelled(network), Settling()) as frozen:
        return np.asarray(frozen.start.node_v)


class SolverSuite(PluginSuite):
    """States in batches: the answers of one state by one, in any split and order."""

    kind = SolverPlugin
    steps: ClassVar[int] = 9

    @pytest.fixture
    def frozen(self, case: Case) -> Any:
        """The frozen feeder: the case's own, or two buses of the kit."""
        made = case.frozen() if case.frozen is not None else two_bus(1.0, 0.2)
        with made as frozen:
            yield frozen

    @pytest.fixture
    def growth(self, frozen: FrozenNetwork) -> Growth:
        """A quarter kW of export for every customer at each step."""
        grows = frozen.network.customers.grows
        return customer_growth(frozen.network, np.where(grows, 0.25, 0.0), UnitInjection(p_kw=1.0, q_kvar=-0.3))

    @pytest.fixture
    def limits(self, frozen: FrozenNetwork) -> LimitSet:
        """Voltages within 5 %, and the currents of rated conductors."""
        return watched(frozen.network)

    @pytest.fixture
    def plan(self, case: Case, frozen: FrozenNetwork, growth: Growth, limits: LimitSet) -> Any:
        """A plan of the solver."""
        plan = case.make().plan(frozen, growth, limits)
        yield plan
        plan.close()

    def levels(self, frozen: FrozenNetwork) -> Any:
        """Every group at a level of its own; the first state is the start."""
        drawn = np.random.default_rng(3).integers(0, 20, (self.steps, len(frozen.network.groups)))
        drawn[0] = 0
        return drawn.astype(np.int32)

    # Contract

    def test_it_says_what_it_needs_and_which_laws_it_takes(self, case: Case) -> None:
        solver = case.make()
        assert solver.needs == case.record.capabilities
        assert solver.laws, "name the voltage laws of growth that it can model"
        assert solver.states_at_once >= 1
        assert isinstance(solver.settling, Settling)

    # Shapes

    def test_what_is_wanted_is_there_and_nothing_else(self, plan: Any, frozen: FrozenNetwork) -> None:
        levels = self.levels(frozen)
        states = plan.solve(levels, EVERYTHING)
        network = frozen.network
        assert states.converged.shape == states.iterations.shape == (self.steps,)
        assert states.solution.node_v.shape == (self.steps, network.nodes.bus.size)
        assert states.solution.conductor_a.shape == (self.steps, network.conductors.node.size)
        assert states.extremes.margin.shape[:2] == (self.steps, len(network.groups) + 1)
        bare = plan.solve(levels, set())
        assert bare.extremes is None and bare.violations is None and bare.solution is None

    def test_no_states_are_no_states(self, plan: Any, frozen: FrozenNetwork) -> None:
        states = plan.solve(self.levels(frozen)[:0], EVERYTHING)
        assert states.converged.shape == (0,)

    # Laws

    def test_without_growth_the_state_is_the_start(self, plan: Any, frozen: FrozenNetwork) -> None:
        solution = plan.solve(self.levels(frozen)[:1], {"nodes"}).solution
        live = frozen.network.nodes.live
        difference = np.abs(solution.node_v[0] - frozen.start.node_v[0])[live] / frozen.network.nodes.nominal_v[live]
        assert difference.max() < 2 * MEASURED_PU

    def test_what_flows_in_is_drawn(self, plan: Any, frozen: FrozenNetwork, growth: Growth) -> None:
        """Kirchhoff's law at every node of every state, with the network as arrays: base, growth and sources."""
        if LINEARISE not in frozen.capabilities:
            pytest.skip("the case's network does not come as arrays (capability linearise)")
        linear, ports, levels = frozen.linear(), growth_ports(growth), self.levels(frozen)
        states = plan.solve(levels, {"nodes"})
        for volts, level, converged in zip(states.solution.node_v, levels, states.converged, strict=True):
            steps = level[growth.scope[ports.injector]] if len(ports) else np.empty(0)
            apart = unbalanced(linear, volts, (ports, steps)) if converged else 0.0
            assert apart < BALANCED_TO, "Kirchhoff's law, relative to the currents that meet"

    def test_neither_order_nor_number_of_what_grows_changes_anything(
        self, case: Case, plan: Any, frozen: FrozenNetwork, growth: Growth, limits: LimitSet
    ) -> None:
        """Each point as it is, as two of its parts, and as these the other way round."""
        levels = self.levels(frozen)
        given = plan.solve(levels, {"extremes"}).extremes.margin
        for turned in (False, True):
            other = case.make().plan(frozen, in_parts(growth, turned=turned), limits)
            try:
                found = other.solve(levels, {"extremes"}).extremes.margin
            finally:
                other.close()
            assert found == pytest.approx(given, abs=MEASURED_PU, nan_ok=True)

    def test_a_batch_is_its_states_in_any_split_and_order(self, plan: Any, frozen: FrozenNetwork) -> None:
        levels = self.levels(frozen)
        whole = plan.solve(levels, EVERYTHING)
        order = np.random.default_rng(5).permutation(self.steps)
        mixed = plan.solve(levels[order], EVERYTHING)
        assert np.array_equal(mixed.extremes.margin, whole.extremes.margin[order], equal_nan=True)
        assert np.array_equal(mixed.solution.node_v, whole.solution.node_v[order], equal_nan=True)
        for state in range(self.steps):
            one = plan.solve(levels[state : state + 1], {"extremes", "nodes"})
            assert np.array_equal(one.extremes.margin[0], whole.extremes.margin[state], equal_nan=True)
            assert np.array_equal(one.solution.node_v[0], whole.solution.node_v[state], equal_nan=True)

    def test_extremes_and_violations_are_those_of_the_full_state(
        self, plan: Any, frozen: FrozenNetwork, limits: LimitSet
    ) -> None:
        """For states within the limits, and for those of enough growth to break one."""
        levels, broken = self.levels(frozen), False
        for _ in range(14):
            states = plan.solve(levels, EVERYTHING)
            again = limits.extremes(states.solution, frozen.start)
            assert again.margin == pytest.approx(states.extremes.margin, abs=1e-6, nan_ok=True)
            assert np.array_equal(again.broken, states.extremes.broken)
            found = limits.violations(states.solution, frozen.start)
            assert np.array_equal(found.state, states.violations.state)
            assert np.array_equal(found.row, states.violations.row)
            assert found.value == pytest.approx(states.violations.value)
            broken = bool(states.extremes.broken[1:].any())
            if broken or not states.converged.all():
                break
            levels = levels * 2
        assert broken, "no growth breaks a limit of the case's feeder; give Case(frozen=...) one where some does"

    def test_two_plans_on_one_start_do_not_disturb_each_other(
        self, case: Case, plan: Any, frozen: FrozenNetwork, limits: LimitSet
    ) -> None:
        levels = self.levels(frozen)
        before = plan.solve(levels, {"extremes"}).extremes.margin
        grows = frozen.network.customers.grows
        other = customer_growth(frozen.network, np.where(grows, 1.0, 0.0), UnitInjection(p_kw=-1.0, q_kvar=0.0))
        second = case.make().plan(frozen, other, limits)
        try:
            imports = second.solve(levels, {"extremes"}).extremes.margin
        finally:
            second.close()
        after = plan.solve(levels, {"extremes"}).extremes.margin
        # An engine orders its matrix anew when elements come and go: equal to the tolerance, not to the bit.
        assert after == pytest.approx(before, abs=MEASURED_PU, nan_ok=True)
        assert not np.array_equal(imports, after, equal_nan=True)

    def test_several_starts_at_once_are_each_as_alone(
        self, case: Case, plan: Any, frozen: FrozenNetwork, limits: LimitSet
    ) -> None:
        """For solvers with ``joint_plan``: bit for bit what the plan of each start says."""
        solver = case.make()
        if not isinstance(solver, JointSolver):
            pytest.skip("takes one start at a time")
        grows = frozen.network.customers.grows
        export = customer_growth(frozen.network, np.where(grows, 0.25, 0.0), UnitInjection(p_kw=1.0, q_kvar=0.0))
        imports = customer_growth(frozen.network, np.where(grows, 1.0, 0.0), UnitInjection(p_kw=-1.0, q_kvar=0.0))
        levels = self.levels(frozen)
        joint: Any = solver.joint_plan([(frozen, export), (frozen, imports)], limits)
        try:
            start = np.repeat(np.arange(2, dtype=np.int32), [self.steps, 3])
            found = joint.extremes(start, np.concatenate([levels, levels[:3]]))
            for i, growth in enumerate((export, imports)):
                alone: Any = solver.plan(frozen, growth, limits)
                own = alone.solve(levels if i == 0 else levels[:3], {"extremes"})
                again = joint.of(i).solve(levels if i == 0 else levels[:3], {"extremes"})
                assert np.array_equal(found.extremes.margin[start == i], own.extremes.margin, equal_nan=True)
                assert np.array_equal(again.extremes.margin, own.extremes.margin, equal_nan=True)
                assert np.array_equal(found.converged[start == i], own.converged)
                alone.close()
        finally:
            joint.close()

    def test_levels_are_not_written_to(self, plan: Any, frozen: FrozenNetwork) -> None:
        levels = self.levels(frozen)
        before = levels.copy()
        plan.solve(levels, {"extremes"})
        assert np.array_equal(levels, before)

    # Numbers

    def test_two_buses_have_a_closed_form(self, case: Case) -> None:
        """Source: the quadratic of ``two_bus_voltage_v``; to 2e-6 of nominal."""
        if case.record.capabilities != {"linearise"}:
            pytest.skip(
                "asks for an engine, which two buses of the kit have not; give Case(frozen=...) a case of yours"
            )
        with two_bus(2.0, 0.5) as frozen:
            growth = customer_growth(frozen.network, np.ones(1), UnitInjection(p_kw=1.0, q_kvar=-0.4))
            plan = case.make().plan(frozen, growth, watched(frozen.network))
            states = plan.solve(np.arange(12, dtype=np.int32)[:, None], {"nodes", "branches"})
            plan.close()
        for level in range(12):
            v = two_bus_voltage_v(2.0 - level, 0.5 + 0.4 * level)
            amps = np.conj((2.0 - level + 1j * (0.5 + 0.4 * level)) * 1000.0 / v)
            assert abs(states.solution.node_v[level, 1] - v) < 2 * MEASURED_PU * 230.0
            assert abs(states.solution.conductor_a[level, 0] - amps) < 1e-3

    # Failure

    def test_a_state_without_a_solution_is_a_result(self, case: Case, frozen: FrozenNetwork, limits: LimitSet) -> None:
        """A load of a thousand megawatts a customer; the states beside it are as if it were not there."""
        grows = frozen.network.customers.grows
        growth = customer_growth(frozen.network, np.where(grows, 0.25, 0.0), UnitInjection(p_kw=-1.0, q_kvar=0.0))
        plan = case.make().plan(frozen, growth, limits)
        try:
            groups = len(frozen.network.groups)
            levels = np.array([[0] * groups, [4_000_000] * groups, [1] * groups], dtype=np.int32)
            states = plan.solve(levels, EVERYTHING)
            alone = plan.solve(levels[[0, 2]], {"extremes"})
        finally:
            plan.close()
        assert bool(states.converged[0]) and bool(states.converged[2])
        if not states.converged[1]:
            assert np.isnan(states.extremes.margin[1]).all(), "no voltage of a diverged state may be used"
            assert 1 not in states.violations.state
        assert np.array_equal(states.extremes.margin[[0, 2]], alone.extremes.margin, equal_nan=True)


def watched(network: Network) -> LimitSet:
    """Voltages of live phases within 5 % of nominal, and currents of rated conductors."""
    nodes, conductors = network.nodes, network.conductors
    seen = np.flatnonzero(nodes.live & ~nodes.neutral)
    limits = [
        node_rows(
            network,
            seen,
            to=nodes.reference[seen],
            scale=1.0 / nodes.nominal_v[seen],
            unit="pu",
            lower=0.95,
            upper=1.05,
            description="0.95-1.05 pu",
        )
    ]
    rated = np.flatnonzero(conductors.watched & (conductors.normal_a > 0))
    if rated.size:
        limits.append(conductor_rows(network, rated, upper=conductors.normal_a[rated], description="normal rating"))
    return LimitSet(limits, group_count=len(network.groups))
