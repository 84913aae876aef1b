"""Suites of the parts that need no engine: injections, allocations, constraints, initial states."""

from __future__ import annotations

import pickle
from typing import Any, ClassVar

import attrs
import numpy as np
import pytest

from hostcap.growth import Direction, UnitInjection, customer_growth
from hostcap.limits import BROKEN, LimitSet, LinearLimits, Measure, stated
from hostcap.network import Customers, Network
from hostcap.operating_point import FeederScope, OperatingPoint
from hostcap.plugins import AllocationPlugin, ConstraintPlugin, InitialStatePlugin, InjectionPlugin
from hostcap.plugins.kinds import Moment
from hostcap.power_flow import FrozenNetwork
from hostcap.solution import Solution
from hostcap.testing.case import Case
from hostcap.testing.frozen import MIDNIGHT, at_nominal, nominal_start
from hostcap.testing.plugin_suite import PluginSuite


def modelled(network: Network) -> OperatingPoint:
    """The model's own snapshot."""
    injectors = network.injectors
    return OperatingPoint(
        instant=MIDNIGHT,
        as_modelled=True,
        load_kw=injectors.load_kw,
        load_kvar=injectors.load_kvar,
        generation_kw=injectors.generation_kw,
        generation_kvar=injectors.generation_kvar,
    )


class InjectionSuite(PluginSuite):
    """What one kW of growth is electrically."""

    kind = InjectionPlugin

    @pytest.fixture
    def moment(self, case: Case) -> Moment:
        """Where and when growth is asked for."""
        return Moment(network=case.feeder_network(), instant=MIDNIGHT, profiles=case.parts.get("profiles"))

    def test_its_directions_are_export_or_import_and_none_twice(self, case: Case) -> None:
        directions = tuple(Direction(d) for d in case.make().directions)
        assert directions
        assert len(set(directions)) == len(directions)

    def test_one_kw_has_the_sign_of_its_direction(self, case: Case, moment: Moment) -> None:
        injection = case.make()
        for direction in injection.directions:
            unit = injection.unit(direction, moment)
            assert isinstance(unit, UnitInjection)
            assert np.isfinite([unit.p_kw, unit.q_kvar]).all()
            assert unit.p_kw > 0 if direction == Direction.EXPORT else unit.p_kw < 0

    def test_the_power_factor_is_within_0_and_1(self, case: Case) -> None:
        assert 0.0 < abs(case.make().power_factor) <= 1.0

    def test_kvar_follow_the_power_factor(self, case: Case, moment: Moment) -> None:
        """Q consumed = sign(pf) x |P| x tan(acos|pf|), for both directions; Source: headroom method, section 4."""
        injection = case.make()
        pf = injection.power_factor
        for direction in injection.directions:
            unit = injection.unit(direction, moment)
            consumed = np.sign(pf) * abs(unit.p_kw) * np.tan(np.arccos(abs(pf)))
            assert unit.q_kvar == pytest.approx(-consumed, rel=1e-9, abs=1e-12)

    def test_growth_is_made_of_it(self, case: Case, moment: Moment) -> None:
        network, injection = moment.network, case.make()
        grows = network.customers.grows.astype(np.float64)
        for direction in injection.directions:
            unit = injection.unit(direction, moment)
            growth = customer_growth(network, grows, unit)
            assert growth.p_kw.sum() == pytest.approx(unit.p_kw * grows.sum())

    def test_asking_twice_gives_one_answer(self, case: Case, moment: Moment) -> None:
        injection, other = case.make(), case.make()
        for direction in injection.directions:
            assert (
                injection.unit(direction, moment) == injection.unit(direction, moment) == other.unit(direction, moment)
            )


class AllocationSuite(PluginSuite):
    """How growth is shared among customers."""

    kind = AllocationPlugin

    @pytest.fixture
    def frozen(self, case: Case) -> FrozenNetwork:
        """The solved start that weights are asked for."""
        if case.frozen is not None:
            return case.frozen()
        network = case.feeder_network()
        return at_nominal(network, modelled(network))

    def test_there_is_a_weight_for_every_customer(self, case: Case, frozen: FrozenNetwork) -> None:
        weights = np.asarray(case.make().weights(frozen))
        assert weights.shape == frozen.network.customers.id.shape
        assert np.isfinite(weights).all()
        assert (weights >= 0).all()
        assert (weights > 0).any(), "no customer grows at all"

    def test_scaled_says_whether_weights_differ(self, case: Case, frozen: FrozenNetwork) -> None:
        allocation = case.make()
        assert isinstance(allocation.scaled, bool)
        if not allocation.scaled:
            assert set(np.asarray(allocation.weights(frozen)).tolist()) == {1.0}

    def test_asking_twice_gives_one_answer_and_writes_to_nothing(self, case: Case, frozen: FrozenNetwork) -> None:
        before = pickle.dumps((frozen.network.customers, frozen.operating_point, frozen.start))
        allocation = case.make()
        assert np.array_equal(allocation.weights(frozen), allocation.weights(frozen))
        assert np.array_equal(allocation.weights(frozen), case.make().weights(frozen))
        assert pickle.dumps((frozen.network.customers, frozen.operating_point, frozen.start)) == before

    def test_the_order_of_customers_changes_nothing(self, case: Case) -> None:
        if case.frozen is not None:
            pytest.skip("the case's frozen feeder is its own, and its customers stay where they are")
        network = case.feeder_network()
        turned = attrs.evolve(network, customers=backwards(network.customers))
        given, other = (case.make().weights(at_nominal(each, modelled(each))) for each in (network, turned))
        assert np.array_equal(np.asarray(other)[::-1], given)


def backwards(customers: Customers) -> Customers:
    """The same customers, the last one first."""
    elements = [customers.elements(c) for c in range(customers.id.size)][::-1]
    turned = {name: getattr(customers, name)[::-1] for name in ("id", "group", "bus", "live", "grows", "phase_code")}
    return attrs.evolve(
        customers,
        **turned,
        element_ptr=np.concatenate([[0], np.cumsum([each.size for each in elements], dtype=np.int64)]),
        element=np.concatenate(elements) if elements else [],
        columns={name: values[::-1] for name, values in customers.columns.items()},
    )


class ConstraintSuite(PluginSuite):
    """Which limits it states on a feeder."""

    kind = ConstraintPlugin

    @pytest.fixture
    def network(self, case: Case) -> Network:
        """The feeder."""
        return case.feeder_network()

    @pytest.fixture
    def limits(self, case: Case, network: Network) -> list[Any]:
        """What it watches there."""
        return stated([case.make()], network)

    def test_it_watches_something(self, limits: list[Any], network: Network) -> None:
        assert limits, "nothing of the case's feeder is watched; give Case(network=...) one where something is"
        assert LimitSet(limits, group_count=len(network.groups)).row_count > 0

    def test_every_limit_is_rows_or_a_measure(self, limits: list[Any]) -> None:
        for limit in limits:
            assert isinstance(limit, (LinearLimits, Measure)), (
                f"{type(limit).__name__} is neither LinearLimits nor a Measure; a Measure has labels, lower, upper, "
                "metric_low, metric_high, scale, description, needs and evaluate"
            )

    def test_labels_and_bounds_have_one_entry_a_row(self, limits: list[Any], network: Network) -> None:
        for limit in limits:
            size = np.asarray(limit.lower).size
            assert np.asarray(limit.upper).size == size
            for column in attrs.fields(type(limit.labels)):
                assert getattr(limit.labels, column.name).shape == (size,), f"labels.{column.name}"
            assert ((limit.labels.group >= 0) & (limit.labels.group <= len(network.groups))).all()
            assert all(str(unit) for unit in limit.labels.unit), "every row says its unit"
            assert limit.description.strip(), "the limits in one line"
            bounded = np.isfinite(limit.lower) | np.isfinite(limit.upper)
            assert bounded.all(), "a row without any limit watches nothing; leave it out"
            both = np.isfinite(limit.lower) & np.isfinite(limit.upper)
            assert (np.asarray(limit.lower)[both] < np.asarray(limit.upper)[both]).all()

    def test_linear_rows_point_at_nodes_and_conductors_that_there_are(
        self, limits: list[Any], network: Network
    ) -> None:
        for limit in limits:
            if isinstance(limit, LinearLimits):
                _pointers(limit.node_ptr, limit.node_index, limit.lower.size, network.nodes.bus.size)
                _pointers(limit.conductor_ptr, limit.conductor_index, limit.lower.size, network.conductors.node.size)

    def test_dead_nodes_are_not_watched(self, case: Case, limits: list[Any], network: Network) -> None:
        """On the feeder, and with one LV bus after the other switched off."""
        _nothing_dead(network, limits)
        constraint = case.make()
        for bus in np.unique(network.nodes.bus[network.nodes.live & network.node_lv])[:8]:
            dark = without_bus(network, int(bus))
            _nothing_dead(dark, stated([constraint], dark))

    def test_a_batch_is_its_states_in_any_split_and_order(self, limits: list[Any], network: Network) -> None:
        start = nominal_start(network)
        batch = random_states(network, 7)
        for limit in limits:
            whole = evaluated(limit, batch, start)
            assert whole.shape == (7, np.asarray(limit.lower).size)
            assert whole.dtype == np.float64
            order = np.random.default_rng(5).permutation(7)
            assert np.array_equal(evaluated(limit, take(batch, order), start), whole[order], equal_nan=True)
            for state in range(7):
                one = evaluated(limit, take(batch, [state]), start)
                assert np.array_equal(one[0], whole[state], equal_nan=True)

    def test_at_nominal_no_limit_is_broken(self, limits: list[Any], network: Network) -> None:
        """A limit that the nominal state breaks has its unit, its base or its reference wrong."""
        start = nominal_start(network)
        states = LimitSet(limits, group_count=len(network.groups)).extremes(start, start)
        margin = states.margin[np.isfinite(states.margin)]
        assert (margin > -BROKEN).all(), "a limit is broken although every voltage is nominal and no current flows"

    def test_a_measure_reads_what_it_needs_and_nothing_else(self, limits: list[Any], network: Network) -> None:
        """What it does not name in ``needs`` a solver may leave out."""
        start, batch = nominal_start(network), random_states(network, 3)
        for limit in limits:
            if isinstance(limit, LinearLimits):
                continue
            kept = attrs.evolve(
                batch,
                node_v=batch.node_v if "nodes" in limit.needs else np.full_like(batch.node_v, np.nan),
                conductor_a=batch.conductor_a if "branches" in limit.needs else np.full_like(batch.conductor_a, np.nan),
            )
            alone = np.asarray(limit.evaluate(kept, start if "start" in limit.needs else None))
            assert np.array_equal(alone, evaluated(limit, batch, start), equal_nan=True), (
                f"{type(limit).__name__} reads more than its needs say, {sorted(limit.needs)}; add nodes, branches or "
                "start"
            )

    def test_evaluating_writes_to_nothing(self, limits: list[Any], network: Network) -> None:
        start, batch = nominal_start(network), random_states(network, 3)
        before = pickle.dumps((start, batch))
        for limit in limits:
            evaluated(limit, batch, start)
        assert pickle.dumps((start, batch)) == before

    def test_the_same_settings_state_the_same_limits(self, case: Case, limits: list[Any], network: Network) -> None:
        again = list(case.make().limits(network))
        for one, other in zip(limits, again, strict=True):
            assert one.description == other.description
            assert np.array_equal(one.upper, other.upper, equal_nan=True)
            assert np.array_equal(one.lower, other.lower, equal_nan=True)


def _nothing_dead(network: Network, limits: list[Any]) -> None:
    nodes = network.nodes
    dead = set(network.buses.name[np.setdiff1d(nodes.bus, nodes.bus[nodes.live])].tolist())
    for limit in limits:
        if isinstance(limit, LinearLimits):
            at = network.conductors.node[limit.conductor_index]
            assert nodes.live[limit.node_index].all(), f"{limit.description}: a row of a dead node"
            assert nodes.live[at[at >= 0]].all(), f"{limit.description}: a row of a conductor at a dead node"
        buses = set(limit.labels.equipment[limit.labels.equipment_type == "Bus"].tolist())
        assert not buses & dead, f"{limit.description}: watched, and dead: {sorted(buses & dead)}"


def without_bus(network: Network, bus: int) -> Network:
    """The feeder with one bus switched off."""
    nodes, conductors, customers = network.nodes, network.conductors, network.customers
    live = nodes.live & (nodes.bus != bus)
    fed = (conductors.node < 0) | live[conductors.node]
    lit = customers.bus != bus
    return attrs.evolve(
        network,
        nodes=attrs.evolve(nodes, live=live),
        conductors=attrs.evolve(conductors, watched=conductors.watched & fed),
        customers=attrs.evolve(customers, live=customers.live & lit, grows=customers.grows & lit),
    )


def _pointers(pointer: Any, index: Any, rows: int, columns: int) -> None:
    assert pointer.shape == (rows + 1,)
    assert pointer[0] == 0 and pointer[-1] == index.size and (np.diff(pointer) >= 0).all()
    assert ((index >= 0) & (index < columns)).all()


def random_states(network: Network, count: int) -> Solution:
    """Solved states around nominal, with currents of some tens of amps; the same ones at each call."""
    rng = np.random.default_rng(11)
    start = nominal_start(network)
    nodes, conductors = network.nodes.bus.size, network.conductors.node.size
    spread = 1.0 + 0.05 * (rng.standard_normal((count, nodes)) + 1j * rng.standard_normal((count, nodes)))
    amps = 20.0 * (rng.standard_normal((count, conductors)) + 1j * rng.standard_normal((count, conductors)))
    volts = start.node_v * spread + np.where(network.nodes.neutral, rng.uniform(0.0, 2.0, (count, nodes)), 0.0)
    return Solution(
        node_v=np.where(network.nodes.live, volts, 0.0),
        conductor_a=amps,
        converged=np.ones(count, dtype=bool),
        iterations=np.ones(count, dtype=np.int32),
    )


def take(batch: Solution, states: Any) -> Solution:
    """Some states of a batch."""
    return Solution(**{column.name: getattr(batch, column.name)[states] for column in attrs.fields(Solution)})


def evaluated(limit: Any, batch: Solution, start: Solution) -> Any:
    """Values of all rows of one limit, through the core where the rows are linear."""
    if isinstance(limit, LinearLimits):
        groups = int(limit.labels.group.max(initial=0))
        return LimitSet([limit], group_count=groups).values(batch, start)
    return np.asarray(limit.evaluate(batch, start))


class InitialStateSuite(PluginSuite):
    """What every injector does when a search starts."""

    kind = InitialStatePlugin
    scope: ClassVar[FeederScope] = FeederScope(feeder="street", year=2025)

    @pytest.fixture
    def network(self, case: Case) -> Network:
        """The feeder."""
        return case.feeder_network()

    @pytest.fixture
    def point(self, case: Case, network: Network) -> OperatingPoint:
        """The point that it picks."""
        picked: OperatingPoint = case.make().operating_point(network, self.scope, case.parts.get("profiles"))
        return picked

    def test_every_injector_has_finite_power_in_its_natural_direction(
        self, point: OperatingPoint, network: Network
    ) -> None:
        for name in ("load_kw", "load_kvar", "generation_kw", "generation_kvar"):
            values = getattr(point, name)
            assert values.shape == network.injectors.name.shape, name
            assert np.isfinite(values).all(), name
        assert (point.load_kw >= 0).all()
        assert (point.generation_kw >= 0).all()

    def test_its_instant_has_an_offset(self, point: OperatingPoint) -> None:
        assert point.instant.utcoffset() is not None

    def test_as_modelled_means_the_models_own_powers(self, point: OperatingPoint, network: Network) -> None:
        if point.as_modelled:
            assert np.array_equal(point.load_kw, network.injectors.load_kw)
            assert np.array_equal(point.generation_kw, network.injectors.generation_kw)

    def test_its_name_is_that_of_the_plugin(self, case: Case) -> None:
        assert case.make().name == case.record.name

    def test_asking_twice_gives_one_answer(self, case: Case, network: Network, point: OperatingPoint) -> None:
        state = case.make()
        assert state.operating_point(network, self.scope, case.parts.get("profiles")) == point
