"""Several starts in one batch: bit for bit what each plan says alone; equal taps share arrays, unequal ones do not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest
from attrs import evolve, frozen
from batched.cases import all_limits, uniform

from hostcap._arrays import FloatArray
from hostcap.errors import HostcapError
from hostcap.limits import LimitSet, RowLabels
from hostcap.network import Network
from hostcap.operating_point import FeederScope, OperatingPoint
from hostcap.power_flow import FrozenArrays, FrozenNetwork, JointSolver, TellsSettled
from hostcap.solution import Solution
from hostcap_stock.batched.config import BatchedConfig
from hostcap_stock.batched.shared import Shared
from hostcap_stock.batched.solver import BatchedSolver
from hostcap_stock.initial_states import FixedLoad, FixedLoadConfig
from hostcap_stock.opendss.config import OpenDssConfig
from hostcap_stock.opendss.solver import OpenDssSolver
from hostcap_stock.opendss.source import OpenDssSource


def demo_settings(folder: Path) -> OpenDssConfig:
    """The demo feeder's model, with a regulator on one of its transformers."""
    return OpenDssConfig(
        master=folder / "feeder" / "Master.dss",
        frequency_hz=50.0,
        voltage_bases_kv=(22.0, 0.4),
        commands=("new regcontrol.r transformer=t1_long_line winding=2 vreg=116 band=1 ptratio=2",),
    )


def loaded(network: Network, kw: float) -> OperatingPoint:
    """Every customer at some kW."""
    state = FixedLoad(config=FixedLoadConfig(load_kw_per_customer=kw, load_kvar_per_customer=0.2 * kw))
    return state.operating_point(network, FeederScope(feeder="feeder", year=2025))


LOADS = (0.0, 0.3, 0.6, 1.2, 4.0)


@pytest.fixture(scope="module")
def starts(demo_folder: Path) -> Iterator[tuple[Network, list[FrozenNetwork]]]:
    """Starts of the demo feeder at rising load; the last moves its regulator."""
    source = OpenDssSource(config=demo_settings(demo_folder))
    network = source.load("feeder")
    with ExitStack() as stack:
        opened: list[FrozenNetwork] = []
        for kw in LOADS:
            opened.append(stack.enter_context(source.freeze(network, loaded(network, kw))))
        yield network, opened


@frozen(kw_only=True)
class Drop:
    """How far each group's first live node falls below the start, V; no linear form, other for each start."""

    network: Network
    metric_low: str = ""
    metric_high: str = "drop"
    scale: None = None
    description: str = "drop <= 5 V"
    needs: frozenset[str] = frozenset({"nodes", "start"})

    @property
    def watched(self) -> Any:
        group = np.where(self.network.nodes.live, self.network.buses.group[self.network.nodes.bus], 0)
        return np.asarray([np.flatnonzero(group == g + 1)[0] for g in range(len(self.network.groups))])

    @property
    def labels(self) -> RowLabels:
        size = self.watched.size
        return RowLabels(
            equipment=["x"] * size,
            equipment_type=["Bus"] * size,
            terminal=np.zeros(size),
            phase=["A"] * size,
            unit=["V"] * size,
            group=np.arange(size) + 1,
            v_base_v=np.full(size, 400.0),
        )

    @property
    def lower(self) -> FloatArray:
        return np.full(self.watched.size, np.nan)

    @property
    def upper(self) -> FloatArray:
        return np.full(self.watched.size, 5.0)

    def evaluate(self, solution: Solution, start: Solution | None) -> FloatArray:
        assert start is not None
        return np.asarray(np.abs(start.node_v[0, self.watched]) - np.abs(solution.node_v[:, self.watched]))


def shared_arrays(frozen: list[FrozenNetwork]) -> list[FrozenArrays]:
    kept: list[FrozenArrays] = []
    for start in frozen:
        kept.append(FrozenArrays.of(start, kept))
    return kept


@pytest.mark.parametrize("threads", [1, 2])
def test_each_state_of_a_joint_batch_is_bit_for_bit_its_own_plans(
    threads: int, starts: tuple[Network, list[FrozenNetwork]]
) -> None:
    network, frozen = starts
    solver, limits = BatchedSolver(config=BatchedConfig(threads=threads)), all_limits(network)
    growths = [uniform(network, direction) for direction in ("export", "import", "export", "import", "export")]
    kept = shared_arrays(frozen)
    joint = solver.joint_plan(list(zip(kept, growths, strict=True)), limits)
    rng = np.random.default_rng(3)
    counts = [11, 8, 0, 1, 25]
    start = np.repeat(np.arange(5, dtype=np.int32), counts)
    levels = rng.integers(0, 60, (sum(counts), len(network.groups))).astype(np.int32)
    found = joint.extremes(start, levels)
    assert found.extremes is not None
    for i, (engine, growth) in enumerate(zip(frozen, growths, strict=True)):
        own = start == i
        for plan in (solver.plan(engine, growth, limits), joint.of(i)):
            alone = plan.solve(levels[own], {"extremes"})
            assert alone.extremes is not None
            assert np.array_equal(found.extremes.margin[own], alone.extremes.margin, equal_nan=True)
            assert np.array_equal(found.extremes.row[own], alone.extremes.row)
            assert np.array_equal(found.iterations[own], alone.iterations)
            assert np.array_equal(found.converged[own], alone.converged)
            full = plan.solve(levels[own], {"nodes", "branches", "violations"})
            again = solver.plan(engine, growth, limits).solve(levels[own], {"nodes", "branches", "violations"})
            assert full.solution == again.solution
            assert full.violations == again.violations
    joint.close()


def test_a_limit_that_is_no_linear_form_is_judged_against_its_own_start(
    starts: tuple[Network, list[FrozenNetwork]],
) -> None:
    network, frozen = starts
    solver = BatchedSolver()
    limits = LimitSet([*all_limits(network).limits, Drop(network=network)], group_count=len(network.groups))
    growth = uniform(network, "import")
    joint = solver.joint_plan([(f, growth) for f in frozen], limits)
    start = np.array([0, 0, 2, 3], dtype=np.int32)
    levels = np.full((4, len(network.groups)), 9, dtype=np.int32)
    found = joint.extremes(start, levels)
    assert found.extremes is not None
    for k, i in enumerate(start.tolist()):
        alone = solver.plan(frozen[i], growth, limits).solve(levels[k : k + 1], {"extremes"})
        assert alone.extremes is not None
        assert np.array_equal(found.extremes.margin[k], alone.extremes.margin[0], equal_nan=True)


def test_starts_of_equal_taps_hold_the_same_arrays_and_one_of_other_taps_its_own(
    starts: tuple[Network, list[FrozenNetwork]],
) -> None:
    _, frozen = starts
    first, *others = shared_arrays(frozen)
    moved = evolve(others[-1].arrays, y_siemens=others[-1].arrays.y_siemens * 1.0000001)
    for other in others:
        same = bool(np.array_equal(other.arrays.y_siemens, first.arrays.y_siemens))
        assert (other.arrays.y_siemens is first.arrays.y_siemens) == same
        assert other.arrays.base is not first.arrays.base
        assert not np.array_equal(other.arrays.start_v, first.arrays.start_v)
    kinds = {id(start.arrays.y_siemens) for start in (first, *others)}
    assert 1 < len(kinds) < len(LOADS), "some taps are equal and some are not"
    assert moved.shared_with(first.arrays) is moved
    assert first.arrays.shared_with(others[0].arrays) == first.arrays


def test_a_start_that_settled_alike_has_the_arrays_that_it_would_have_read_itself(demo_folder: Path) -> None:
    """Every start read in full, against the same read in the light of the first; the regulator moves on the way."""
    source = OpenDssSource(config=demo_settings(demo_folder))
    network = source.load("feeder")
    first: FrozenArrays | None = None
    seen = set()
    for kw in (0.1, 0.3, 6.0, 9.0):
        with source.freeze(network, loaded(network, kw)) as full, source.freeze(network, loaded(network, kw)) as other:
            assert isinstance(other, TellsSettled)
            assert full.settled() == other.settled()
            first = first or FrozenArrays.of(full)
            alike = full.settled() == first.settled
            seen.add(alike)
            assert (full.linear().shared_with(first.arrays) is not full.linear()) == alike
            if alike:
                assert other.linear_like(first.arrays) == full.linear()
                assert FrozenArrays.of(source.freeze(network, loaded(network, kw)), [first]).arrays == full.linear()
    assert seen == {True, False}, "taps both stay and move"


def test_a_model_whose_controls_open_lines_does_not_tell_what_settled(tmp_path: Path, demo_folder: Path) -> None:
    for path in (demo_folder / "feeder").iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    source = OpenDssSource(config=attrs.evolve(demo_settings(demo_folder), master=tmp_path / "Master.dss"))
    network = source.load("feeder")
    line = network.equipment.name[network.equipment.kind == "Line"][0]
    commands = (f"new swtcontrol.s switchedobj=line.{line} switchedterm=1 action=close",)
    source = OpenDssSource(config=attrs.evolve(source.config, commands=commands))
    with source.freeze(network, loaded(network, 0.3)) as frozen:
        assert frozen.settled() is None
        kept = FrozenArrays.of(frozen)
    with source.freeze(network, loaded(network, 0.6)) as frozen:
        assert FrozenArrays.of(frozen, [kept]).arrays.y_siemens is kept.arrays.y_siemens, "content is compared then"


def test_the_order_of_elimination_is_found_once(
    starts: tuple[Network, list[FrozenNetwork]], monkeypatch: pytest.MonkeyPatch
) -> None:
    import hostcap_stock.batched.shared as room

    network, frozen = starts
    calls: list[str] = []
    for name in ("order_nodes", "watched_forms"):
        real = getattr(room, name)
        monkeypatch.setattr(room, name, lambda *a, _real=real, _name=name: calls.append(_name) or _real(*a))
    growth, limits = uniform(network, "export"), all_limits(network)
    alike = shared_arrays(frozen)[1:3]  # a load of nothing has no port, and so another pattern
    assert alike[0].arrays.y_siemens is alike[1].arrays.y_siemens
    BatchedSolver().joint_plan([(k, growth) for k in alike], limits)
    assert calls == ["order_nodes", "watched_forms"]
    assert Shared() is not Shared()


def test_what_is_kept_of_a_closed_network_serves_a_plan_and_gives_no_engine(demo_folder: Path) -> None:
    source = OpenDssSource(config=demo_settings(demo_folder))
    network = source.load("feeder")
    point = FixedLoad(config=FixedLoadConfig(load_kw_per_customer=0.0)).operating_point(
        network, FeederScope(feeder="feeder", year=2025)
    )
    with source.freeze(network, point) as frozen:
        kept: Any = FrozenArrays.of(frozen)
    plan = BatchedSolver().plan(kept, uniform(network, "export"), all_limits(network))
    assert plan.solve(np.zeros((1, len(network.groups)), dtype=np.int32), {"extremes"}).converged.all()
    with kept as again:
        assert again.linear() is kept.arrays
    with pytest.raises(HostcapError, match="freeze the network again"):
        kept.engine()


def test_the_solver_on_an_engine_takes_no_starts_at_once() -> None:
    assert isinstance(BatchedSolver(), JointSolver)
    assert not isinstance(OpenDssSolver(), JointSolver)
