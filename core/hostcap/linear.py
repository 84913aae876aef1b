"""The frozen network as numbers: what a solver needs that brings its own arithmetic, and no engine.

The network without its injectors is linear: ``Y V = I``. What injects hangs on *ports*, one for each phase of each
element, and draws a current that depends on the port's voltage by the law of its element. Source of the laws:
``Load.pas`` of the OpenDSS engine (DSS C-API 0.14), each checked against the engine in the tests.
"""

from __future__ import annotations

import hashlib
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import evolve, field, fields, frozen

from hostcap._arrays import (
    BoolArray,
    ComplexArray,
    FloatArray,
    IntArray,
    bools,
    complexes,
    floats,
    ints,
    update_hash,
)
from hostcap.growth import Growth
from hostcap.network import SQRT3, _ByContent
from hostcap.topology import coil_nodes

if TYPE_CHECKING:
    from scipy.sparse import csr_array

CONSTANT_POWER, CONSTANT_IMPEDANCE, POWER_LAW, CONSTANT_CURRENT = 1, 2, 4, 5
"""Voltage laws of ports, by the engine's numbers of its load models."""
MODELS = frozenset({CONSTANT_POWER, CONSTANT_IMPEDANCE, POWER_LAW, CONSTANT_CURRENT})
_VERSION = b"hostcap linear network 2"


@frozen(kw_only=True, eq=False)
class Ports(_ByContent):
    """Pairs of nodes that draw current, all arrays of shape (port,).

    With u = |U| / base_v and y = conj(S) / base_v^2, a port draws ``(re(y) gp(u) + j im(y) gq(u)) U``:

    - model 2: gp = gq = 1 at any voltage;
    - model 1: 1/u^2 between ``vmin_pu`` and ``vmax_pu``; model 5: 1/u; model 4: u^(cvr_watts - 2) and
      u^(cvr_vars - 2);
    - above ``vmax_pu`` a constant impedance: 1/vmax^2 (model 5: 1/vmax); up to ``vlow_pu`` 1; between ``vlow_pu``
      and ``vmin_pu`` the current is linear in u from vlow to 1/vmin (model 5: to 1).

    Attributes:
        node_a, node_b: Nodes of the port; -1 is ground. The voltage is that of a against b.
        kw, kvar: Power drawn at ``base_v``; positive kvar consumes.
        base_v: Rated voltage of the port, V.
        model: 1 constant power, 2 constant impedance, 4 power law, 5 constant current.
        vmin_pu, vmax_pu, vlow_pu: Band of the law, per unit of ``base_v``.
        cvr_watts, cvr_vars: Exponents of model 4.
        injector: Index into ``Network.injectors`` (growth: its point), -1 where there is none.
    """

    node_a: IntArray = field(converter=ints)
    node_b: IntArray = field(converter=ints)
    kw: FloatArray = field(converter=floats)
    kvar: FloatArray = field(converter=floats)
    base_v: FloatArray = field(converter=floats)
    model: IntArray = field(converter=ints)
    vmin_pu: FloatArray = field(converter=floats)
    vmax_pu: FloatArray = field(converter=floats)
    vlow_pu: FloatArray = field(converter=floats)
    cvr_watts: FloatArray = field(converter=floats)
    cvr_vars: FloatArray = field(converter=floats)
    injector: IntArray = field(converter=ints)

    def __len__(self) -> int:
        return int(self.node_a.size)

    @cached_property
    def siemens(self) -> ComplexArray:
        """Admittance conj(S) / base_v^2 that draws the rated power at the rated voltage, S, shape (port,)."""
        return np.asarray((self.kw - 1j * self.kvar) * 1000.0 / self.base_v**2, dtype=np.complex128)

    def chosen(self, which: Any) -> Ports:
        """Some of the ports, by index or mask."""
        return Ports(**{column.name: getattr(self, column.name)[which] for column in fields(Ports)})

    def voltage_v(self, node_v: ComplexArray) -> ComplexArray:
        """Voltage of a against b, V, shape (..., port), from node voltages of shape (..., node)."""
        grounded = np.concatenate([node_v, np.zeros_like(node_v[..., :1])], axis=-1)
        return np.asarray(grounded[..., self.node_a] - grounded[..., self.node_b], dtype=np.complex128)

    def drawn_a(self, voltage_v: ComplexArray) -> ComplexArray:
        """Current into a and out of b that the ports draw, A, same shape as ``voltage_v``."""
        u = np.abs(voltage_v) / self.base_v
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            active = np.where(self.model == POWER_LAW, u ** (self.cvr_watts - 2.0), 1.0 / u**2)
            reactive = np.where(self.model == POWER_LAW, u ** (self.cvr_vars - 2.0), 1.0 / u**2)
            # At vmin the current meets 1/vmin (power) or 1 (current); the engine uses the first for model 4 as well.
            knee = np.where(self.model == CONSTANT_CURRENT, 1.0, 1.0 / self.vmin_pu)
            slope = (knee - self.vlow_pu) / (self.vmin_pu - self.vlow_pu)
            between = (self.vlow_pu + slope * (u - self.vlow_pu)) / u
            held = np.where(self.vmax_pu == 0.0, 1.0, 1.0 / self.vmax_pu**2)
            held = np.where(self.model == CONSTANT_CURRENT, np.sqrt(held), held)
            flat = self.model == CONSTANT_CURRENT
            factors = []
            for inside in (np.where(flat, 1.0 / u, active), np.where(flat, 1.0 / u, reactive)):
                law = np.where(u > self.vmax_pu, held, inside)
                law = np.where(u <= self.vmin_pu, between, law)
                law = np.where((u <= self.vlow_pu) | (self.model == CONSTANT_IMPEDANCE), 1.0, law)
                factors.append(law)
        y = self.siemens
        return np.asarray((y.real * factors[0] + 1j * (y.imag * factors[1])) * voltage_v, dtype=np.complex128)


def no_ports() -> Ports:
    """Nothing that draws."""
    return Ports(**{column.name: [] for column in fields(Ports)})


@frozen(kw_only=True, eq=False)
class LinearNetwork(_ByContent):
    """A network at its start without its injectors, as arrays; engine-free and picklable.

    Nodes and conductors are those of ``Network``, in its order.

    Attributes:
        nominal_v: Nominal voltage to ground, V, shape (node,).
        live: Reached from a source; other nodes are left out of convergence.
        start_v: Voltages of the start, which every state starts from, V, shape (node,).
        source_a: Current that sources inject, A, shape (node,).
        y_ptr, y_index, y_siemens: Nodal admittance without injectors, CSR, S, shape (node, node).
        conductor_ptr, conductor_index, conductor_siemens: Current of each conductor into its equipment as a linear
            form of node voltages, CSR, S, shape (conductor, node).
        base: Ports of loads, and of generating elements at their frozen power; none of those that draw nothing.
        injecting: Ports of every injector, drawing or not, each with its part of a drawn 1 kW and 1 kvar.
        injector_count: Number of ``Network.injectors``.
    """

    nominal_v: FloatArray = field(converter=floats)
    live: BoolArray = field(converter=bools)
    start_v: ComplexArray = field(converter=complexes)
    source_a: ComplexArray = field(converter=complexes)
    y_ptr: IntArray = field(converter=ints)
    y_index: IntArray = field(converter=ints)
    y_siemens: ComplexArray = field(converter=complexes)
    conductor_ptr: IntArray = field(converter=ints)
    conductor_index: IntArray = field(converter=ints)
    conductor_siemens: ComplexArray = field(converter=complexes)
    base: Ports
    injecting: Ports = field(factory=no_ports)
    injector_count: int = 0

    @property
    def node_count(self) -> int:
        """Number of nodes."""
        return int(self.nominal_v.size)

    @property
    def conductor_count(self) -> int:
        """Number of conductors."""
        return int(self.conductor_ptr.size) - 1

    def admittance(self) -> csr_array:
        """Nodal admittance, S, CSR complex128, shape (node, node)."""
        from scipy.sparse import csr_array

        size = self.node_count
        return csr_array((self.y_siemens, self.y_index, self.y_ptr), shape=(size, size))

    def conductors(self) -> csr_array:
        """Conductor currents per node voltage, S, CSR complex128, shape (conductor, node)."""
        from scipy.sparse import csr_array

        shape = (self.conductor_count, self.node_count)
        return csr_array((self.conductor_siemens, self.conductor_index, self.conductor_ptr), shape=shape)

    @cached_property
    def content_hash(self) -> str:
        """SHA-256 of the content; equal networks give equal hashes in every process."""
        digest = hashlib.sha256(_VERSION)
        update_hash(digest, self)
        return digest.hexdigest()

    def shared_with(self, other: LinearNetwork) -> LinearNetwork:
        """The same content, with the very arrays of ``other`` where all but base ports and start is equal.

        That is where taps, capacitors and switches are. What is equal can then be told by identity, and is held once.
        """
        apart = {"base", "start_v"}
        shared = {a.name: getattr(other, a.name) for a in fields(LinearNetwork) if a.name not in apart}
        mine = evolve(other, base=self.base, start_v=self.start_v)
        return mine if all(_alike(getattr(self, name), value) for name, value in shared.items()) else self


def _alike(left: Any, right: Any) -> bool:
    if isinstance(left, np.ndarray):
        return bool(np.array_equal(left, right))
    return bool(left == right)


def connection(conductors: IntArray, *, phases: int, delta: bool) -> list[tuple[int, int]]:
    """Nodes of each port of an element: to its neutral or ground if wye, between its phases if delta."""
    return coil_nodes(conductors, phases=phases, delta=delta)


def port_base_v(kv: float, *, phases: int, delta: bool) -> float:
    """Rated voltage of one port, V: kV of two or three phases in wye is line-to-line, any other is the port's."""
    return kv * 1000.0 / (SQRT3 if phases in (2, 3) and not delta else 1.0)


def growth_ports(growth: Growth) -> Ports:
    """Ports of growth, with the power drawn by one step.

    Returns:
        Ports with the growth point as ``injector``; what grows injects, so its kW are negative for export.
    """
    ends: list[tuple[int, int]] = []
    point: list[int] = []
    base: list[float] = []
    for p in range(growth.name.size):
        phases, delta = int(growth.phases[p]), bool(growth.delta[p])
        own = connection(growth.terminals(p), phases=phases, delta=delta)
        ends += own
        point += [p] * len(own)
        base += [port_base_v(float(growth.kv[p]), phases=phases, delta=delta)] * len(own)
    of = np.asarray(point, dtype=np.int32)
    pairs = np.asarray(ends, dtype=np.int32).reshape(-1, 2)
    size = of.size
    return Ports(
        node_a=pairs[:, 0],
        node_b=pairs[:, 1],
        kw=-growth.p_kw[of] / growth.phases[of],
        kvar=-growth.q_kvar[of] / growth.phases[of],
        base_v=base,
        model=np.full(size, CONSTANT_POWER),
        vmin_pu=np.full(size, growth.law.vmin_pu),
        vmax_pu=np.full(size, growth.law.vmax_pu),
        vlow_pu=np.full(size, growth.law.vlow_pu),
        cvr_watts=np.ones(size),
        cvr_vars=np.full(size, 2.0),
        injector=of,
    )
