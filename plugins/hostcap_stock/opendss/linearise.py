"""From an engine at its start to a ``LinearNetwork``: admittances without injectors, sources, ports."""

from __future__ import annotations

from typing import Any

import numpy as np
from attrs import evolve, field, frozen

from hostcap._arrays import ComplexArray, IntArray
from hostcap.errors import ModelError
from hostcap.findings import counted, some
from hostcap.linear import CONSTANT_POWER, MODELS, POWER_LAW, LinearNetwork, Ports, connection, port_base_v
from hostcap.network import Network
from hostcap_stock.opendss.engine import Engine
from hostcap_stock.opendss.model import JOINING_CLASSES

FROZEN_LOADS = ("hostcap_frozen_", "hostcap_generation_")
"""Names of loads that stand for generating elements; the number after it is the injector's."""
GROWTH_LOADS = "hostcap_growth_"
"""Names of loads that plans of the solver ``opendss`` add; no part of the start."""
WAY_OUT = 'set solver.plugin = "opendss"'
_VARIABLE = 0
_QUADRATIC_KVAR = 3
_METERS = ("energymeter", "monitor", "sensor", "fmonitor")
_WATCHING = (
    "energymeter monitor sensor fmonitor regcontrol capcontrol swtcontrol invcontrol expcontrol storagecontroller "
    "gendispatcher espvlcontrol upfccontrol esscontroller relay recloser fuse"
)
"""Classes that measure or act while controls act; at the start they do neither."""
_OPENING = tuple(name for name in _WATCHING.split() if name not in (*_METERS, "regcontrol", "capcontrol"))
"""Those that may change more than taps and capacitor steps."""
_UNDERSTOOD = frozenset([*JOINING_CLASSES, "load", "vsource", *_WATCHING.split()])


def linearise(engine: Engine, network: Network, *, slots: IntArray, start_v: ComplexArray) -> LinearNetwork:
    """Read the network without its injectors, and the ports of its injectors.

    The admittance is summed from the primitives of what delivers power and of the sources, which is the engine's own
    matrix without its injectors', without the rounding of a difference.

    Args:
        engine: At the start; its voltages and loads stay as they are.
        network: The feeder.
        slots: Slot of each node in the engine's voltage vector; slot 0 is ground.
        start_v: Voltages of the start, V, shape (node,).

    Raises:
        ModelError: An injector that has no linear form here, by name.
    """
    node_of_slot = _node_of_slot(engine, slots)
    _refuse_other_injectors(engine)
    loads = _Loads.read(engine, network, node_of_slot)
    admittance, own = _Stamps(), _Stamps()
    _delivering(engine, network, node_of_slot, admittance, own)
    _sources(engine, node_of_slot, admittance)
    y_ptr, y_index, y_siemens = admittance.csr(slots.size, slots.size)
    c_ptr, c_index, c_siemens = own.csr(network.conductors.node.size, slots.size)
    return LinearNetwork(
        nominal_v=network.nodes.nominal_v,
        live=network.nodes.live,
        start_v=start_v,
        source_a=_source_current(engine)[slots],
        y_ptr=y_ptr,
        y_index=y_index,
        y_siemens=y_siemens,
        conductor_ptr=c_ptr,
        conductor_index=c_index,
        conductor_siemens=c_siemens,
        base=loads.ports(network),
        injecting=loads.injecting(network),
        injector_count=int(network.injectors.name.size),
    )


def linearise_like(
    engine: Engine, network: Network, like: LinearNetwork, *, slots: IntArray, start_v: ComplexArray
) -> LinearNetwork:
    """As ``linearise``, with the arrays of a start that settled alike: what injects is read, and nothing else.

    Args:
        engine: At the start; its voltages and loads stay as they are.
        network: The feeder.
        like: The arrays of another start of it.
        slots: Slot of each node in the engine's voltage vector; slot 0 is ground.
        start_v: Voltages of the start, V, shape (node,).

    Raises:
        ModelError: An injector that has no linear form here, by name.
    """
    loads = _Loads.read(engine, network, _node_of_slot(engine, slots))
    return evolve(like, base=loads.ports(network), start_v=start_v)


def _node_of_slot(engine: Engine, slots: IntArray) -> IntArray:
    count = int(engine.dss.Circuit.NumNodes())
    if slots.size != count:
        raise ModelError("the model has nodes that the network lacks; load it again")
    node = np.full(count + 1, -1, dtype=np.int32)
    node[slots] = np.arange(slots.size, dtype=np.int32)
    return node


class _Stamps:
    """Small dense blocks on their way into one sparse matrix."""

    def __init__(self) -> None:
        self._by_size: dict[int, tuple[list[IntArray], list[IntArray], list[ComplexArray]]] = {}

    def add(self, rows: IntArray, columns: IntArray, block: ComplexArray) -> None:
        """Add a square block; rows and columns of -1 are ground and left out."""
        row, column, value = self._by_size.setdefault(rows.size, ([], [], []))
        row.append(rows)
        column.append(columns)
        value.append(block)

    def csr(self, rows: int, columns: int) -> tuple[IntArray, IntArray, ComplexArray]:
        """Pointer, index and value of the sum, rows sorted, exact zeros dropped."""
        from scipy.sparse import coo_array, csr_array

        parts: list[tuple[Any, Any, Any]] = [(np.empty(0, np.int32), np.empty(0, np.int32), np.empty(0, complex))]
        for row, column, value in self._by_size.values():
            values = np.stack(value)
            row_of = np.broadcast_to(np.stack(row)[:, :, None], values.shape)
            column_of = np.broadcast_to(np.stack(column)[:, None, :], values.shape)
            kept = (row_of >= 0) & (column_of >= 0)
            parts.append((row_of[kept], column_of[kept], values[kept]))
        where_row, where_column, summed = (np.concatenate(each) for each in zip(*parts, strict=True))
        matrix = csr_array(coo_array((summed, (where_row, where_column)), shape=(rows, columns)))
        matrix.sum_duplicates()
        matrix.eliminate_zeros()
        matrix.sort_indices()
        return matrix.indptr.astype(np.int32), matrix.indices.astype(np.int32), matrix.data.astype(np.complex128)


def _primitive(engine: Engine) -> ComplexArray:
    """Primitive admittance of the active element, S; the engine lists it by columns."""
    listed = np.asarray(engine.dss.CktElement.YPrim(), dtype=np.float64).view(np.complex128)
    size = round(np.sqrt(listed.size))
    return listed.reshape(size, size).T


def _nodes(engine: Engine, node_of_slot: IntArray) -> IntArray:
    return node_of_slot[np.asarray(engine.dss.CktElement.NodeRef(), dtype=np.int32)]


def _delivering(engine: Engine, network: Network, node_of_slot: IntArray, admittance: _Stamps, own: _Stamps) -> None:
    dss, equipment = engine.dss, network.equipment
    index = {f"{k}.{n}".lower(): i for i, (k, n) in enumerate(zip(equipment.kind, equipment.name, strict=True))}
    first = np.searchsorted(network.conductors.equipment, np.arange(equipment.name.size))
    more = dss.Circuit.FirstPDElement()
    while more:
        nodes, block = _nodes(engine, node_of_slot), _primitive(engine)
        admittance.add(nodes, nodes, block)
        found = index.get(dss.CktElement.Name().lower())
        if found is not None:
            own.add(first[found] + np.arange(nodes.size), nodes, block)
        more = dss.Circuit.NextPDElement()


def _sources(engine: Engine, node_of_slot: IntArray, admittance: _Stamps) -> None:
    dss = engine.dss
    more = dss.Vsources.First()
    while more:
        if dss.CktElement.Enabled():
            nodes = _nodes(engine, node_of_slot)
            admittance.add(nodes, nodes, _primitive(engine))
        more = dss.Vsources.Next()


def _source_current(engine: Engine) -> ComplexArray:
    """What sources inject, A, by slot; the engine refills this vector at its next iteration."""
    matrix = engine.dss.YMatrix
    matrix.ZeroInjCurr()
    matrix.GetSourceInjCurrents()
    return np.asarray(matrix.getI(), dtype=np.float64).view(np.complex128)


def _refuse_other_injectors(engine: Engine) -> None:
    dss, odd = engine.dss, []
    for name in dss.Circuit.AllElementNames():  # the engine's own list of injecting elements leaves out some sources
        if name.partition(".")[0].lower() not in _UNDERSTOOD:
            dss.Circuit.SetActiveElement(name)
            if dss.CktElement.Enabled():
                odd.append(str(name))
    if odd:
        raise ModelError(f"solver 'batched' has no form for {len(odd)} injecting elements: {some(odd)}; {WAY_OUT}")


def settled(engine: Engine) -> str | None:
    """Taps of every winding and steps of every capacitor; None where controls may have changed anything else."""
    dss = engine.dss
    known = {name.lower() for name in dss.Basic.Classes()}
    for kind in known.intersection(_OPENING):
        if dss.Circuit.SetActiveClass(kind) and dss.ActiveClass.NumElements() > 0:
            return None
    found: list[object] = []
    more = dss.Transformers.First()
    while more:
        for winding in range(1, dss.Transformers.NumWindings() + 1):
            dss.Transformers.Wdg(winding)
            found.append(float(dss.Transformers.Tap()))
        more = dss.Transformers.Next()
    more = dss.Capacitors.First()
    while more:
        found.append(list(dss.Capacitors.States()))
        more = dss.Capacitors.Next()
    return repr(found)


@frozen(kw_only=True)
class _Load:
    """One enabled load as the engine has it now; power with multipliers applied."""

    name: str
    nodes: IntArray
    phases: int
    delta: bool
    base_v: float
    kw: float
    kvar: float
    model: int
    vmin_pu: float
    vmax_pu: float
    vlow_pu: float
    cvr_watts: float
    cvr_vars: float


@frozen
class _Loads:
    """All loads of the start."""

    listed: list[_Load] = field()

    @classmethod
    def read(cls, engine: Engine, network: Network, node_of_slot: IntArray) -> _Loads:
        """Read every enabled load.

        Raises:
            ModelError: A load model, or an open load, that has no form here.
        """
        dss, found = engine.dss, []
        records = engine.records("Load")
        multiplier = float(dss.Solution.LoadMult())
        odd: list[str] = []
        more = dss.Loads.First()
        while more:
            name = str(dss.Loads.Name()).lower()
            if not name.startswith(GROWTH_LOADS):
                model, kv, phases = int(dss.Loads.Model()), float(dss.Loads.kV()), int(dss.CktElement.NumPhases())
                watts, reactive = float(dss.Loads.CVRwatts()), float(dss.Loads.CVRvars())
                if (
                    model == _QUADRATIC_KVAR
                ):  # constant kW, kvar by the square of the voltage: a power law, at any voltage
                    model, watts, reactive = POWER_LAW, 0.0, 2.0
                if model not in MODELS:
                    odd.append(f"{name} (model {model})")
                elif dss.CktElement.IsOpen(1, 0):
                    odd.append(f"{name} (open)")
                factor = multiplier if int(dss.Loads.Status()) == _VARIABLE else 1.0
                delta = bool(dss.Loads.IsDelta())
                found.append(
                    _Load(
                        name=name,
                        nodes=_nodes(engine, node_of_slot),
                        phases=phases,
                        delta=delta,
                        base_v=port_base_v(kv, phases=phases, delta=delta),
                        kw=float(dss.Loads.kW()) * factor,
                        kvar=float(dss.Loads.kvar()) * factor,
                        model=model,
                        vmin_pu=float(dss.Loads.Vminpu()),
                        vmax_pu=float(dss.Loads.Vmaxpu()),
                        vlow_pu=float(records.get(name, {}).get("vlowpu", 0.5)),
                        cvr_watts=watts,
                        cvr_vars=reactive,
                    )
                )
            more = dss.Loads.Next()
        if odd:
            raise ModelError(f"solver 'batched' has no form for {counted(len(odd), 'load')}: {some(odd)}; {WAY_OUT}")
        return cls(found)

    def ports(self, network: Network) -> Ports:
        """Ports of loads that draw something."""
        index = _load_injectors(network)
        kept: list[tuple[_Load, int, int, int]] = []
        for load in self.listed:
            if load.kw == 0.0 and load.kvar == 0.0:
                continue
            injector = index.get(load.name, -1)
            for prefix in FROZEN_LOADS:
                if load.name.startswith(prefix):
                    injector = int(load.name.removeprefix(prefix))
            ends = connection(load.nodes, phases=load.phases, delta=load.delta)
            kept += [(load, injector, a, b) for a, b in ends]
        return _ports(kept)

    def injecting(self, network: Network) -> Ports:
        """Ports of every injector in order, each with its part of 1 kW and 1 kvar drawn."""
        index, injectors = _load_injectors(network), network.injectors
        own: dict[int, _Load] = {}
        for load in self.listed:
            if load.name in index:
                own[index[load.name]] = evolve(load, kw=1.0, kvar=1.0)
        kept: list[tuple[_Load, int, int, int]] = []
        for i in range(injectors.name.size):
            load = own[i] if i in own else _held(network, i)
            ends = connection(load.nodes, phases=load.phases, delta=load.delta)
            kept += [(load, i, a, b) for a, b in ends]
        return _ports(kept)


def _load_injectors(network: Network) -> dict[str, int]:
    """Injector of each load, by lower-case name."""
    injectors = network.injectors
    return {str(n).lower(): i for i, n in enumerate(injectors.name) if injectors.kind[i] == "load"}


def _held(network: Network, injector: int) -> _Load:
    """A generating element as the load of constant power that stands for it; ``frozen.WIDE_LAW`` in numbers."""
    injectors = network.injectors
    phases, delta = int(injectors.phases[injector]), bool(injectors.delta[injector])
    return _Load(
        name=str(injectors.name[injector]).lower(),
        nodes=injectors.terminals(injector),
        phases=phases,
        delta=delta,
        base_v=port_base_v(float(injectors.kv[injector]), phases=phases, delta=delta),
        kw=1.0,
        kvar=1.0,
        model=CONSTANT_POWER,
        vmin_pu=0.1,
        vmax_pu=3.0,
        vlow_pu=0.5,
        cvr_watts=1.0,
        cvr_vars=2.0,
    )


def _ports(kept: list[tuple[_Load, int, int, int]]) -> Ports:
    """Ports of (load, injector, first node, second node)."""

    def column(name: str) -> list[float]:
        return [getattr(load, name) for load, _, _, _ in kept]

    phases = np.asarray(column("phases"), dtype=np.float64)
    return Ports(
        node_a=[a for _, _, a, _ in kept],
        node_b=[b for _, _, _, b in kept],
        kw=np.asarray(column("kw")) / phases,
        kvar=np.asarray(column("kvar")) / phases,
        injector=[i for _, i, _, _ in kept],
        **{
            name: column(name) for name in ("base_v", "model", "vmin_pu", "vmax_pu", "vlow_pu", "cvr_watts", "cvr_vars")
        },
    )
