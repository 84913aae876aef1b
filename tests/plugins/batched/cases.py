"""Small networks written by hand, growth and limits for them, and feeders frozen for parity."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from hostcap.growth import ConstantPower, Direction, Directions, Growth, customer_growth
from hostcap.limits import LimitSet, LinearLimits, RowLabels
from hostcap.linear import LinearNetwork, Ports
from hostcap.network import Network
from hostcap.operating_point import FeederScope
from hostcap.solution import Solution
from hostcap_stock.batched.config import BatchedConfig
from hostcap_stock.batched.reference import ReferencePlan
from hostcap_stock.batched.solver import BatchedPlan
from hostcap_stock.constraints.config import ThermalConfig, VoltageConfig
from hostcap_stock.constraints.thermal import Thermal
from hostcap_stock.constraints.voltage import Voltage
from hostcap_stock.initial_states import AsModelled, ZeroLoad
from hostcap_stock.injections import NegativeLoad, NegativeLoadConfig
from hostcap_stock.opendss.config import OpenDssConfig
from hostcap_stock.opendss.frozen import FrozenOpenDss
from hostcap_stock.opendss.source import OpenDssSource

PLANS = (BatchedPlan, ReferencePlan)
STIFF = 1e9
"""Admittance of the hand cases' source, S: its drop is far below what the tests compare."""


def ports(rows: Sequence[dict[str, Any]]) -> Ports:
    """Ports from rows; what a row does not say is that of a 1-phase constant-power load of 240 V."""
    usual = {
        "node_a": 1,
        "node_b": -1,
        "kw": 0.0,
        "kvar": 0.0,
        "base_v": 240.0,
        "model": 1,
        "vmin_pu": 0.7,
        "vmax_pu": 2.0,
        "vlow_pu": 0.5,
        "cvr_watts": 1.0,
        "cvr_vars": 2.0,
        "injector": -1,
    }
    return Ports(**{name: [row.get(name, value) for row in rows] for name, value in usual.items()})


def chain(z_ohm: Sequence[complex], base: Ports, *, source_v: float = 240.0) -> LinearNetwork:
    """Node 0 held by a source; each further node hangs on the one before through an impedance.

    Conductors: the two ends of each impedance.
    """
    size = len(z_ohm) + 1
    y = np.zeros((size, size), dtype=complex)
    y[0, 0] = STIFF
    conductors = np.zeros((2 * len(z_ohm), size), dtype=complex)
    for k, z in enumerate(z_ohm):
        y[k : k + 2, k : k + 2] += np.array([[1, -1], [-1, 1]]) / z
        conductors[2 * k, k : k + 2] = np.array([1, -1]) / z
        conductors[2 * k + 1, k : k + 2] = np.array([-1, 1]) / z
    return dense(y, conductors, base, source={0: STIFF * source_v}, nominal_v=np.full(size, 240.0))


def dense(y: Any, conductors: Any, base: Ports, *, source: dict[int, complex], nominal_v: Any) -> LinearNetwork:
    """A linear network of dense arrays; its start is the voltage without injection."""
    from scipy.sparse import csr_array

    size = len(y)
    injected = np.zeros(size, dtype=complex)
    for node, current in source.items():
        injected[node] = current
    sparse, forms = csr_array(y), csr_array(conductors)
    return LinearNetwork(
        nominal_v=nominal_v,
        live=np.ones(size),
        start_v=_start(y, injected, base),
        source_a=injected,
        y_ptr=sparse.indptr,
        y_index=sparse.indices,
        y_siemens=sparse.data,
        conductor_ptr=forms.indptr,
        conductor_index=forms.indices,
        conductor_siemens=forms.data,
        base=base,
    )


def _start(y: Any, injected: Any, base: Ports) -> Any:
    """The solved start, by plain iteration."""
    v = np.linalg.solve(y, injected)
    for _ in range(500):
        drawn = base.drawn_a(base.voltage_v(v))
        current = injected.copy()
        for node, sign in ((base.node_a, -1.0), (base.node_b, 1.0)):
            np.add.at(current, node[node >= 0], sign * drawn[node >= 0])
        v = np.linalg.solve(y, current)
    return v


def growth(points: Sequence[tuple[int, int, float, float, int]], *, scopes: int, law: Any = None) -> Growth:
    """One-phase growth points of 240 V: (node, reference, kW, kvar injected per step, scope)."""
    size = len(points)
    return Growth(
        name=[f"g{k}" for k in range(size)],
        scope=[p[4] for p in points],
        scope_count=scopes,
        phases=np.ones(size),
        delta=np.zeros(size),
        kv=np.full(size, 0.24),
        terminal_ptr=2 * np.arange(size + 1),
        terminal_node=np.array([[p[0], p[1]] for p in points]).reshape(-1),
        p_kw=[p[2] for p in points],
        q_kvar=[p[3] for p in points],
        law=ConstantPower() if law is None else law,
    )


NO_GROWTH = growth([], scopes=1)


def voltage_limits(linear: LinearNetwork, *, low: float = 200.0, high: float = 280.0, groups: int = 1) -> LimitSet:
    """Every node against volts; node 0 belongs to the feeder, the others to the groups in turn."""
    size = linear.node_count
    labels = RowLabels(
        equipment=[f"b{k}" for k in range(size)],
        equipment_type=["Bus"] * size,
        terminal=np.zeros(size),
        phase=["A"] * size,
        unit=["V"] * size,
        group=[0 if k == 0 else 1 + (k - 1) % groups for k in range(size)],
        v_base_v=np.full(size, 415.0),
    )
    rows = LinearLimits(
        labels=labels,
        node_ptr=np.arange(size + 1),
        node_index=np.arange(size),
        node_coefficient=np.ones(size),
        conductor_ptr=np.zeros(size + 1),
        conductor_index=[],
        conductor_coefficient=[],
        lower=np.full(size, low),
        upper=np.full(size, high),
        metric_low="voltage-low",
        metric_high="voltage-high",
    )
    return LimitSet([rows], group_count=groups)


def start_of(linear: LinearNetwork) -> Solution:
    """The start as a solution of one state."""
    v = linear.start_v
    return Solution(node_v=v[None, :], conductor_a=(linear.conductors() @ v)[None, :], converged=[True], iterations=[1])


def plan(kind: Any, linear: LinearNetwork, grown: Growth, limits: LimitSet | None = None, **config: Any) -> Any:
    """A plan of either kind; tight unless told otherwise."""
    settings = BatchedConfig(**{"tolerance_pu": 1e-11, "threads": 1, "max_iterations": 300} | config)
    return kind(linear, grown, limits or voltage_limits(linear, groups=grown.scope_count), settings, start_of(linear))


# Feeders


@contextmanager
def frozen(config: dict[str, Any], initial: str) -> Iterator[FrozenOpenDss]:
    """A feeder at its start."""
    source = OpenDssSource(config=OpenDssConfig(**config))
    network = source.load("feeder")
    state = AsModelled() if initial == "as-modelled" else ZeroLoad()
    point = state.operating_point(network, FeederScope(feeder="feeder", year=2025))
    with source.freeze(network, point) as start:
        yield start


def uniform(network: Network, direction: str, *, step_kw: float = 0.1, power_factor: float = 0.95) -> Growth:
    """Every customer grows alike."""
    settings = NegativeLoadConfig(direction=Directions(direction), power_factor=power_factor)
    unit = NegativeLoad(config=settings).unit(Direction(direction))
    return customer_growth(network, np.where(network.customers.grows, step_kw, 0.0), unit)


def all_limits(network: Network) -> LimitSet:
    """Per-unit voltage limits at both levels, and thermal ones."""
    volts = VoltageConfig(lv_min_pu=0.9, lv_max_pu=1.1, hv_min_pu=0.94, hv_max_pu=1.06)
    rows = [*Voltage(config=volts).limits(network), *Thermal(config=ThermalConfig()).limits(network)]
    return LimitSet(rows, group_count=len(network.groups))


def random_levels(network: Network, states: int, *, highest: int, seed: int = 1) -> Any:
    """Random levels of every group; the first state is the start."""
    levels = np.random.default_rng(seed).integers(0, highest + 1, (states, len(network.groups))).astype(np.int32)
    levels[0] = 0
    return levels


def demo_config() -> dict[str, Any]:
    """The demo feeder."""
    import hostcap_stock.demo

    folder = Path(hostcap_stock.demo.__file__).parent
    return {"master": folder / "feeder" / "Master.dss", "frequency_hz": 50.0}


def start_misfit(source: OpenDssSource, network: Network) -> float:
    """How far one iteration moves the engine's start as modelled, per unit, live nodes alone."""
    from scipy.sparse.linalg import spsolve

    from hostcap_stock.batched.equations import iteration_admittance

    point = AsModelled().operating_point(network, FeederScope(feeder="feeder", year=2025))
    with source.freeze(network, point) as start:
        linear = start.linear()
    base, v = linear.base, linear.start_v
    drawn = base.drawn_a(base.voltage_v(v)) - base.siemens * base.voltage_v(v)
    injected = linear.source_a.copy()
    for node, sign in ((base.node_a, -1.0), (base.node_b, 1.0)):
        np.add.at(injected, node[node >= 0], sign * drawn[node >= 0])
    moved = np.abs(spsolve(iteration_admittance(linear).tocsc(), injected) - v) / linear.nominal_v
    return float(np.max(moved[linear.live]))
