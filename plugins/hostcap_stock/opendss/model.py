"""Read a loaded and once solved OpenDSS model into plain lists and arrays.

Only enabled elements are read (the engine's First/Next skip disabled ones). What the numbers mean for a study
is decided in ``network.py``; this module only asks the engine.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from attrs import field, frozen

from hostcap._arrays import FloatArray, IntArray
from hostcap.errors import ModelError
from hostcap_stock.opendss.engine import Engine
from hostcap_stock.opendss.ratings import LineRating, LineRatings, Winding

JOINING_CLASSES = ("line", "transformer", "reactor", "capacitor", "fault")
"""Power-delivery classes whose conduction the method describes; a fault joins nothing that stays."""
GENERATING_CLASSES = {"generator": "Generators", "pvsystem": "PVsystems", "storage": "Storages"}
KNOWN_PC_CLASSES = frozenset({"load", "vsource", *GENERATING_CLASSES})
# By the engine's number of a unit: miles, kft, km, m, ft, in, cm, mm; 0 is none.
KM_PER_UNIT = {1: 1.609344, 2: 0.3048, 3: 1.0, 4: 1e-3, 5: 3.048e-4, 6: 2.54e-5, 7: 1e-5, 8: 1e-6}
CONTROL_CLASSES = ("RegControl", "CapControl", "SwtControl", "InvControl", "StorageController", "ExpControl")


@frozen
class Terminals:
    """Conductors of one element: node index (-1 ground) and whether closed, terminal by terminal."""

    nodes: tuple[IntArray, ...]
    closed: tuple[tuple[bool, ...], ...]

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """Node pairs joined by conductor k of a two-terminal element, closed at both ends."""
        if len(self.nodes) < 2:
            return []
        first, second = self.nodes[0], self.nodes[1]
        shut = zip(self.closed[0], self.closed[1], strict=True)
        return [
            (int(a), int(b)) for a, b, (c, d) in zip(first, second, shut, strict=True) if c and d and a >= 0 and b >= 0
        ]

    @property
    def joined(self) -> bool:
        """Whether any conductor is closed at both ends."""
        return len(self.nodes) > 1 and any(a and b for a, b in zip(self.closed[0], self.closed[1], strict=True))


@frozen(kw_only=True)
class JoinRecord:
    """One reactor or capacitor."""

    name: str
    kind: str
    terminals: Terminals


@frozen(kw_only=True)
class LineRecord:
    """One line; ``length_km`` is nan where the model states a length without a unit."""

    name: str
    phases: int
    terminals: Terminals
    rating: LineRating
    switch: bool
    length_km: float


@frozen(kw_only=True)
class TransformerRecord:
    """One transformer; ``delta`` and ``windings`` by winding."""

    name: str
    phases: int
    terminals: Terminals
    windings: tuple[Winding, ...]
    delta: tuple[bool, ...]
    normal_a: float
    emergency_a: float


@frozen(kw_only=True)
class InjectorRecord:
    """One load or generating element, with its snapshot kW and kvar (kvar positive consumes)."""

    name: str
    kind: str
    bus: str
    phases: int
    delta: bool
    kv: float
    nodes: IntArray
    load_kw: float = 0.0
    load_kvar: float = 0.0
    generation_kw: float = 0.0
    generation_kvar: float = 0.0


@frozen(kw_only=True)
class RegulatorRecord:
    """One regulator control; voltages on its own side of the instrument transformers."""

    name: str
    transformer: str
    winding: int
    phase: int
    monitored_bus: str
    pt_ratio: float
    ct_primary_a: float
    compensation_v: complex
    target_v: float
    band_v: float


@frozen(kw_only=True)
class Model:
    """All that a network is built from; every node index points into ``node_names``."""

    node_names: list[str]
    node_bus: IntArray
    node_number: IntArray
    bus_names: list[str]
    bus_base_kv: FloatArray
    bus_x: FloatArray
    bus_y: FloatArray
    lines: list[LineRecord]
    transformers: list[TransformerRecord]
    joins: list[JoinRecord] = field(factory=list)
    injectors: list[InjectorRecord] = field(factory=list)
    source_name: str
    source_kv: float
    source_nodes: IntArray
    frequency_hz: float
    unknown_elements: list[str] = field(factory=list)
    regulators: list[RegulatorRecord] = field(factory=list)
    other_controls: list[str] = field(factory=list)

    def bus_of(self, nodes: IntArray) -> int:
        """Bus of the first node that is not ground; -1 where there is none."""
        touched = nodes[nodes >= 0]
        return int(self.node_bus[touched[0]]) if touched.size else -1


def _names(listed: list[str]) -> list[str]:
    """The engine returns ['NONE'] or [''] for an empty class."""
    return [] if listed in (["NONE"], [""], []) else list(listed)


def _terminals(engine: Engine) -> Terminals:
    element = engine.dss.CktElement
    conductors, terminals = element.NumConductors(), element.NumTerminals()
    nodes = np.asarray(element.NodeRef(), dtype=np.int32).reshape(terminals, conductors) - 1
    closed = []
    for terminal in range(1, terminals + 1):
        if element.IsOpen(terminal, 0):
            closed.append(tuple(not element.IsOpen(terminal, k) for k in range(1, conductors + 1)))
        else:
            closed.append((True,) * conductors)
    return Terminals(tuple(nodes), tuple(closed))


def read_model(engine: Engine) -> Model:
    """Read everything.

    Raises:
        ModelError: An element class conducts in a way that the method does not describe.
    """
    dss = engine.dss
    node_names = [name.lower() for name in dss.Circuit.YNodeOrder()]
    bus_names = list(dss.Circuit.AllBusNames())
    place = {name.lower(): i for i, name in enumerate(bus_names)}
    parts = [name.rpartition(".") for name in node_names]
    base, x, y = (np.full(len(bus_names), np.nan) for _ in range(3))
    for i in range(len(bus_names)):
        dss.Circuit.SetActiveBusi(i)
        base[i] = dss.Bus.kVBase()
        if dss.Bus.Coorddefined():
            x[i], y[i] = dss.Bus.X(), dss.Bus.Y()
    dss.Vsources.First()
    source_name, source_kv = dss.Vsources.Name(), float(dss.Vsources.BasekV())
    return Model(
        node_names=node_names,
        node_bus=np.asarray([place[bus] for bus, _, _ in parts], dtype=np.int32),
        node_number=np.asarray([int(number) for _, _, number in parts], dtype=np.int32),
        bus_names=bus_names,
        bus_base_kv=base,
        bus_x=x,
        bus_y=y,
        lines=_lines(engine),
        transformers=_transformers(engine),
        joins=_other_joins(engine),
        injectors=[*_loads(engine), *_generating(engine)],
        source_name=source_name,
        source_kv=source_kv,
        source_nodes=_source_nodes(engine),
        frequency_hz=float(dss.Solution.Frequency()),
        unknown_elements=_unknown_elements(engine),
        regulators=_regulators(engine),
        other_controls=[
            f"{kind.lower()}.{name}"
            for kind in CONTROL_CLASSES
            if kind not in ("RegControl", "SwtControl")
            for name in engine.records(kind)
        ],
    )


def _lines(engine: Engine) -> list[LineRecord]:
    dss, found = engine.dss, []
    ratings = LineRatings(engine)
    more = dss.Lines.First()
    while more:
        name = dss.Lines.Name()
        rating = ratings.of(name, float(dss.CktElement.NormalAmps()), float(dss.CktElement.EmergAmps()))
        found.append(
            LineRecord(
                name=name,
                phases=dss.CktElement.NumPhases(),
                terminals=_terminals(engine),
                rating=rating,
                switch=bool(dss.Lines.IsSwitch()),
                length_km=_length_km(dss),
            )
        )
        more = dss.Lines.Next()
    return found


def _length_km(dss: Any) -> float:
    unit = int(dss.Lines.Units())
    if unit == 0 and dss.Lines.IsSwitch():
        return 0.0  # the engine gives every switch a length of 0.001, whatever the unit
    return float(dss.Lines.Length()) * KM_PER_UNIT.get(unit, np.nan)


def _transformers(engine: Engine) -> list[TransformerRecord]:
    dss, found = engine.dss, []
    more = dss.Transformers.First()
    while more:
        windings, delta = [], []
        for winding in range(1, dss.Transformers.NumWindings() + 1):
            dss.Transformers.Wdg(winding)
            windings.append(Winding(float(dss.Transformers.kV()), float(dss.Transformers.kVA())))
            delta.append(bool(dss.Transformers.IsDelta()))
        found.append(
            TransformerRecord(
                name=dss.Transformers.Name(),
                phases=dss.CktElement.NumPhases(),
                terminals=_terminals(engine),
                windings=tuple(windings),
                delta=tuple(delta),
                normal_a=float(dss.CktElement.NormalAmps()),
                emergency_a=float(dss.CktElement.EmergAmps()),
            )
        )
        more = dss.Transformers.Next()
    return found


def _other_joins(engine: Engine) -> list[JoinRecord]:
    dss, found = engine.dss, []
    for kind, interface in (("Reactor", dss.Reactors), ("Capacitor", dss.Capacitors)):
        more = interface.First()
        while more:
            found.append(JoinRecord(name=interface.Name(), kind=kind, terminals=_terminals(engine)))
            more = interface.Next()
    return found


def _bus(engine: Engine) -> str:
    """Bus of the active element's first terminal, without its nodes."""
    return str(engine.dss.CktElement.BusNames()[0]).partition(".")[0].lower()


def _loads(engine: Engine) -> list[InjectorRecord]:
    dss, found = engine.dss, []
    multiplier = float(dss.Solution.LoadMult())
    variable = 0
    more = dss.Loads.First()
    while more:
        # In a snapshot LoadMult acts on variable loads alone; shapes do not act.
        factor = multiplier if int(dss.Loads.Status()) == variable else 1.0
        kw, kvar = float(dss.Loads.kW()) * factor, float(dss.Loads.kvar()) * factor
        exports = kw < 0  # a negative load is generation written as a load
        found.append(
            InjectorRecord(
                name=dss.Loads.Name(),
                kind="load",
                bus=_bus(engine),
                phases=dss.CktElement.NumPhases(),
                delta=bool(dss.Loads.IsDelta()),
                kv=float(dss.Loads.kV()),
                nodes=np.asarray(dss.CktElement.NodeRef(), dtype=np.int32) - 1,
                load_kw=0.0 if exports else kw,
                load_kvar=0.0 if exports else kvar,
                generation_kw=-kw if exports else 0.0,
                generation_kvar=kvar if exports else 0.0,
            )
        )
        more = dss.Loads.Next()
    return found


def solved_injection(engine: Engine) -> tuple[float, float]:
    """Solved kW and kvar into the network of the active element."""
    power = np.asarray(engine.dss.CktElement.Powers(), dtype=np.float64).reshape(-1, 2).sum(axis=0)
    return -float(power[0]), -float(power[1])


def _generating(engine: Engine) -> list[InjectorRecord]:
    dss, found = engine.dss, []
    for kind in GENERATING_CLASSES:
        if not dss.Circuit.SetActiveClass(kind):
            continue
        more = dss.ActiveClass.First()
        while more:
            if dss.CktElement.Enabled():
                p_kw, q_kvar = solved_injection(engine)
                found.append(
                    InjectorRecord(
                        name=dss.ActiveClass.Name(),
                        kind=kind,
                        bus=_bus(engine),
                        phases=dss.CktElement.NumPhases(),
                        delta=dss.Properties.Value("conn").lower().startswith(("d", "l")),
                        kv=float(dss.Properties.Value("kv")),
                        nodes=np.asarray(dss.CktElement.NodeRef(), dtype=np.int32) - 1,
                        load_kw=max(-p_kw, 0.0),
                        generation_kw=max(p_kw, 0.0),
                        generation_kvar=-q_kvar,
                    )
                )
            more = dss.ActiveClass.Next()
    return found


def _source_nodes(engine: Engine) -> IntArray:
    dss, found = engine.dss, []
    more = dss.Vsources.First()
    while more:
        size = dss.CktElement.NumConductors()
        found.append(np.asarray(dss.CktElement.NodeRef()[:size], dtype=np.int32) - 1)
        more = dss.Vsources.Next()
    if not found:
        raise ModelError("the circuit has no voltage source")
    return np.concatenate(found)


def _regulators(engine: Engine) -> list[RegulatorRecord]:
    dss, found = engine.dss, []
    controls = dss.RegControls
    more = controls.First()
    while more:
        stated = dss.Properties.Value("ptphase")
        found.append(
            RegulatorRecord(
                name=controls.Name(),
                transformer=controls.Transformer(),
                winding=int(controls.Winding()),
                phase=int(stated) if stated.isdigit() else 1,
                monitored_bus=controls.MonitoredBus(),
                pt_ratio=float(controls.PTRatio()),
                ct_primary_a=float(controls.CTPrimary()),
                compensation_v=complex(controls.ForwardR(), controls.ForwardX()),
                target_v=float(controls.ForwardVreg()),
                band_v=float(controls.ForwardBand()),
            )
        )
        more = controls.Next()
    return found


def _unknown_elements(engine: Engine) -> list[str]:
    """Elements that inject but that the method has no word for; refuses those that conduct."""
    dss = engine.dss
    delivering = [name.lower() for name in _names(dss.PDElements.AllNames())]
    odd = sorted({n.split(".")[0] for n in delivering} - set(JOINING_CLASSES))
    if odd:
        example = next(n for n in delivering if n.split(".")[0] == odd[0])
        raise ModelError(
            f"{example}: OpenDSS class {odd[0]!r} is not supported; expected lines, transformers, reactors, capacitors"
        )
    unknown = []
    more = dss.Circuit.FirstPCElement()
    while more:
        name = dss.CktElement.Name().lower()
        if name.split(".")[0] not in KNOWN_PC_CLASSES:
            unknown.append(name)
        more = dss.Circuit.NextPCElement()
    return unknown
