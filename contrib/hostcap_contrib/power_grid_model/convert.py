"""From an OpenDSS engine at its start to the input of power-grid-model; what has no form there is refused by name.

power-grid-model knows lines by their sequence impedances and transformers by their vector group, on buses with exactly
three phases. So a line must have three phases and a balanced matrix, a transformer two windings of three phases, and a
load must be connected to ground.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
from attrs import define, field, frozen

from hostcap._arrays import FloatArray, IntArray
from hostcap.errors import ModelError
from hostcap.findings import counted, some
from hostcap.linear import CONSTANT_CURRENT, CONSTANT_IMPEDANCE, CONSTANT_POWER, Ports
from hostcap.network import SQRT3, Network

BALANCED = 1e-6
"""How far the entries of a line's matrix may differ from a balanced one, relative to the largest."""
STIFF_VA = 1e18
"""Short-circuit power of the source behind its own impedance, which is modelled as a line."""
WAY_OUT = 'set solver.plugin = "batched"'
_LEAST_OHM = 1e-7
"""power-grid-model takes no line without impedance."""


@frozen(kw_only=True, eq=False)
class LoadPlace:
    """Ports as asymmetric loads of power-grid-model.

    Attributes:
        load: Row of ``asym_load`` of each port, shape (port,).
        phase: 0, 1, 2, shape (port,).
        factor: Power at the bus's rated voltage for one unit at the port's own, shape (port,).
    """

    load: IntArray
    phase: IntArray
    factor: FloatArray


@frozen(kw_only=True, eq=False)
class Converted:
    """What a power-grid-model is made of.

    Attributes:
        components: Input arrays by component name.
        load_id: Id of each row of ``asym_load``.
        places: Where each set of ports is.
    """

    components: dict[str, Any]
    load_id: IntArray
    places: tuple[LoadPlace, ...]


@define
class _Ids:
    """power-grid-model wants one number space for all components."""

    last: int = -1

    def take(self, count: int) -> IntArray:
        """The next numbers."""
        first = self.last + 1
        self.last += count
        return np.arange(first, first + count, dtype=np.int32)


@define
class _Refused:
    """What has no form, collected so that a user sees all of it."""

    found: list[str] = field(factory=list)

    def raise_if_any(self) -> None:
        """Refuse the network.

        Raises:
            ModelError: Everything that was found.
        """
        if self.found:
            raise ModelError(
                f"solver 'power-grid-model' has no form for {counted(len(self.found), 'element')}: {some(self.found)}; "
                f"{WAY_OUT}"
            )


def convert(engine: Any, network: Network, drawing: Sequence[Ports]) -> Converted:
    """Input of power-grid-model.

    Args:
        engine: The frozen network's engine, at the start.
        network: The feeder.
        drawing: Sets of ports that draw power.

    Raises:
        ModelError: Elements that have no form in power-grid-model, by name.
    """
    refused, ids = _Refused(), _Ids()
    _refuse_buses(network, refused)
    _refuse_others(engine, refused)
    rated_v = network.buses.nominal_kv * 1000.0
    place = {str(name).lower(): i for i, name in enumerate(network.buses.name)}
    nodes = _filled("node", ids.take(rated_v.size), u_rated=rated_v)
    lines = _lines(engine, place, ids, refused)
    transformers, shunts = _transformers(engine, place, ids, refused)
    sources, behind = _sources(engine, place, rated_v, ids, refused)
    places, loads = _loads(network, drawing, rated_v, ids, refused)
    refused.raise_if_any()
    components = {
        "node": np.concatenate([nodes, behind[0]]),
        "line": np.concatenate([lines, behind[1]]),
        "transformer": transformers,
        "shunt": shunts,
        "source": sources,
        "asym_load": loads,
    }
    return Converted(
        components={name: rows for name, rows in components.items() if rows.size},
        load_id=loads["id"].copy(),
        places=places,
    )


def _filled(component: str, identity: IntArray, **columns: Any) -> Any:
    from power_grid_model import initialize_array

    rows = initialize_array("input", component, identity.size)
    rows["id"] = identity
    for name, values in columns.items():
        rows[name] = values
    return rows


def _refuse_buses(network: Network, refused: _Refused) -> None:
    numbers: dict[int, set[int]] = defaultdict(set)
    for bus, number in zip(network.nodes.bus.tolist(), network.nodes.number.tolist(), strict=True):
        numbers[bus].add(number)
    refused.found += [
        f"bus {network.buses.name[bus]} (nodes {', '.join(map(str, sorted(own)))})"
        for bus, own in numbers.items()
        if own != {1, 2, 3}
    ]


def _refuse_others(engine: Any, refused: _Refused) -> None:
    dss = engine.dss
    for name in dss.Circuit.AllElementNames():
        kind = name.partition(".")[0].lower()
        if kind in ("capacitor", "reactor", "fault"):
            dss.Circuit.SetActiveElement(name)
            if dss.CktElement.Enabled():
                refused.found.append(name.lower())


def _asked(engine: Any, what: str) -> float:
    engine.dss.Text.Command(f"? {what}")
    return float(engine.dss.Text.Result())


def _ends(engine: Any, place: dict[str, int]) -> list[int]:
    return [place[str(name).partition(".")[0].lower()] for name in engine.dss.CktElement.BusNames()]


def _straight(engine: Any) -> bool:
    """Three phases, each at its own node, at both ends, closed."""
    element = engine.dss.CktElement
    conductors = element.NumConductors()
    slots = np.asarray(element.NodeRef()).reshape(element.NumTerminals(), conductors)
    names = [str(name).partition(".")[2] for name in element.BusNames()]
    plain = all(name in ("", "1.2.3", "1.2.3.0") for name in names)
    return (
        conductors >= 3 and plain and bool((slots[:, :3] > 0).all()) and not element.IsOpen(1, 0) + element.IsOpen(2, 0)
    )


def _sequences(matrix: Any) -> tuple[float, float] | None:
    """Positive and zero sequence of a balanced matrix; None where it is not balanced."""
    matrix = np.asarray(matrix, dtype=np.float64).reshape(3, 3)
    own, mutual = np.diag(matrix).mean(), matrix[~np.eye(3, dtype=bool)].mean()
    ideal = np.full((3, 3), mutual) + np.eye(3) * (own - mutual)
    if np.abs(matrix - ideal).max() > BALANCED * max(np.abs(matrix).max(), 1e-30):
        return None
    return float(own - mutual), float(own + 2.0 * mutual)


def _lines(engine: Any, place: dict[str, int], ids: _Ids, refused: _Refused) -> Any:
    dss, rows = engine.dss, []
    more = dss.Lines.First()
    while more:
        name = str(dss.Lines.Name())
        if dss.CktElement.NumPhases() != 3 or not _straight(engine):
            refused.found.append(f"line {name} (needs three closed phases)")
        else:
            length = float(dss.Lines.Length())
            parts = [_sequences(m) for m in (dss.Lines.RMatrix(), dss.Lines.XMatrix(), dss.Lines.CMatrix())]
            if any(part is None for part in parts):
                refused.found.append(f"line {name} (its matrix is not balanced)")
            else:
                (r1, r0), (x1, x0), (c1, c0) = ((length * p[0], length * p[1]) for p in parts if p is not None)
                rows.append((*_ends(engine, place), r1, x1, r0, x0, c1 * 1e-9, c0 * 1e-9))
        more = dss.Lines.Next()
    columns = np.asarray(rows, dtype=np.float64).reshape(-1, 8).T
    return _line_rows(ids.take(columns.shape[1]), *columns)


def _line_rows(identity: IntArray, a: Any, b: Any, r1: Any, x1: Any, r0: Any, x0: Any, c1: Any, c0: Any) -> Any:
    tiny = np.hypot(r1, x1) < _LEAST_OHM
    return _filled(
        "line",
        identity,
        from_node=a,
        to_node=b,
        from_status=1,
        to_status=1,
        r1=np.where(tiny, _LEAST_OHM, r1),
        x1=x1,
        r0=np.where(np.hypot(r0, x0) < _LEAST_OHM, _LEAST_OHM, r0),
        x0=x0,
        c1=c1,
        tan1=0.0,
        c0=c0,
        tan0=0.0,
    )


def _transformers(engine: Any, place: dict[str, int], ids: _Ids, refused: _Refused) -> tuple[Any, Any]:
    """Transformers, and what flows in each without load as a shunt."""
    from power_grid_model import WindingType

    dss, rows, shunts = engine.dss, [], []
    more = dss.Transformers.First()
    while more:
        name = str(dss.Transformers.Name())
        if dss.CktElement.NumPhases() != 3 or dss.Transformers.NumWindings() != 2 or not _straight(engine):
            refused.found.append(f"transformer {name} (needs two windings of three closed phases)")
            more = dss.Transformers.Next()
            continue
        slots = np.asarray(dss.CktElement.NodeRef()).reshape(2, -1)
        kv, delta, ohms, tap, kva = [], [], 0.0, [], []
        for winding in (1, 2):
            dss.Transformers.Wdg(winding)
            kv.append(float(dss.Transformers.kV()))
            kva.append(float(dss.Transformers.kVA()))
            tap.append(float(dss.Transformers.Tap()))
            delta.append(bool(dss.Transformers.IsDelta()))
            ohms += float(dss.Transformers.R()) / 100.0
        floating = [w for w in (0, 1) if not delta[w] and slots[w, 3] != 0]
        if floating or not math.isclose(kva[0], kva[1]):
            why = "its neutral is not grounded" if floating else "its windings differ in kVA"
            refused.found.append(f"transformer {name} ({why})")
            more = dss.Transformers.Next()
            continue
        reactance = _asked(engine, f"transformer.{name}.xhl") / 100.0
        lossy = _asked(engine, f"transformer.{name}.%noloadloss") / 100.0
        magnetising = _asked(engine, f"transformer.{name}.%imag") / 100.0
        dss.Text.Command(f"? transformer.{name}.leadlag")
        leads = str(dss.Text.Result()).lower() in ("lead", "euro")
        clock = 0 if delta[0] == delta[1] else 11 if leads else 1
        sn = 1000.0 * kva[0]
        kinds = [WindingType.delta if d else WindingType.wye_n for d in delta]
        u = [1000.0 * k * t for k, t in zip(kv, tap, strict=True)]
        ends = _ends(engine, place)
        rows.append((*ends, *u, sn, math.hypot(ohms, reactance), ohms * sn, *kinds, clock))
        # The engine puts no-load losses and magnetising current at the second winding; power-grid-model would halve
        # them between both ends.
        lv = 1000.0 * kv[1] * tap[1]
        loss, current = (part * sn / lv**2 for part in (lossy, magnetising))
        shunts.append((ends[1], loss, -current, *((0.0, 0.0) if delta[1] else (loss, -current))))
        more = dss.Transformers.Next()
    names = ("from_node", "to_node", "u1", "u2", "sn", "uk", "pk", "winding_from", "winding_to", "clock")
    columns = np.asarray(rows, dtype=np.float64).reshape(-1, len(names)).T
    across = np.asarray(shunts, dtype=np.float64).reshape(-1, 5)
    across = across[np.any(across[:, 1:] != 0.0, axis=1)].T
    fixed = {"from_status": 1, "to_status": 1, "tap_side": 0, "tap_pos": 0, "tap_min": 0, "tap_max": 0, "tap_size": 0.0}
    idle = {"i0": 0.0, "p0": 0.0}
    transformers = _filled(
        "transformer", ids.take(columns.shape[1]), **dict(zip(names, columns, strict=True)), **fixed, **idle
    )
    losses = dict(zip(("node", "g1", "b1", "g0", "b0"), across, strict=True))
    return transformers, _filled("shunt", ids.take(across.shape[1]), status=1, **losses)


def _sources(engine: Any, place: dict[str, int], rated_v: FloatArray, ids: _Ids, refused: _Refused) -> Any:
    """Stiff sources, each at a node of its own behind a line with the impedance of the engine's source."""
    dss = engine.dss
    ends: list[int] = []
    lines: list[tuple[float, float, float, float]] = []
    references: list[tuple[float, float]] = []
    more = dss.Vsources.First()
    while more:
        name = str(dss.Vsources.Name())
        if dss.Vsources.Phases() != 3:
            refused.found.append(f"source {name} (needs three phases)")
        else:
            bus = _ends(engine, place)[0]
            ohms = [_asked(engine, f"vsource.{name}.{key}") for key in ("r1", "x1", "r0", "x0")]
            volts_pu = float(dss.Vsources.PU()) * float(dss.Vsources.BasekV()) * 1000.0 / rated_v[bus]
            ends.append(bus)
            lines.append((ohms[0], ohms[1], ohms[2], ohms[3]))
            references.append((volts_pu, math.radians(float(dss.Vsources.AngleDeg()))))
        more = dss.Vsources.Next()
    count = len(ends)
    bus_of = np.asarray(ends, dtype=np.int32)
    identity = ids.take(count)
    nodes = _filled("node", identity, u_rated=rated_v[bus_of])
    r1, x1, r0, x0 = np.asarray(lines, dtype=np.float64).reshape(-1, 4).T
    none = np.zeros(count)
    behind = _line_rows(ids.take(count), identity, bus_of, r1, x1, r0, x0, none, none)
    magnitude_pu, angle = np.asarray(references, dtype=np.float64).reshape(-1, 2).T
    sources = _filled(
        "source",
        ids.take(count),
        node=identity,
        status=1,
        u_ref=magnitude_pu,
        u_ref_angle=angle,
        sk=STIFF_VA,
        rx_ratio=0.1,
        z01_ratio=1.0,
    )
    return sources, (nodes, behind)


def _loads(
    network: Network, drawing: Sequence[Ports], rated_v: FloatArray, ids: _Ids, refused: _Refused
) -> tuple[tuple[LoadPlace, ...], Any]:
    """One asymmetric load for each bus and law that something draws by."""
    from power_grid_model import LoadGenType

    kinds = {
        CONSTANT_POWER: (LoadGenType.const_power, 0),
        CONSTANT_IMPEDANCE: (LoadGenType.const_impedance, 2),
        CONSTANT_CURRENT: (LoadGenType.const_current, 1),
    }
    rows: dict[tuple[int, int], int] = {}

    def placed(ports: Ports) -> LoadPlace:
        bus = network.nodes.bus[ports.node_a]
        between, odd = ports.node_b >= 0, ~np.isin(ports.model, list(kinds))
        for wrong, why in ((between, "between two phases"), (odd, "another voltage law")):
            at = sorted({str(network.buses.name[b]) for b in bus[wrong]})
            refused.found.extend(f"what draws at bus {name} ({why})" for name in at)
        model = np.where(odd, CONSTANT_POWER, ports.model)
        exponent = np.asarray([kinds[int(m)][1] for m in model])
        keys = zip(bus.tolist(), model.tolist(), strict=True)
        return LoadPlace(
            load=np.asarray([rows.setdefault(key, len(rows)) for key in keys], dtype=np.int32),
            phase=(network.nodes.number[ports.node_a] - 1).astype(np.int32),
            factor=(rated_v[bus] / SQRT3 / ports.base_v) ** exponent,
        )

    places = tuple(placed(ports) for ports in drawing)
    identity = ids.take(len(rows))
    none = np.zeros((len(rows), 3))
    loads = _filled(
        "asym_load",
        identity,
        node=[bus for bus, _ in rows],
        status=1,
        type=[kinds[model][0] for _, model in rows],
        p_specified=none,
        q_specified=none,
    )
    return places, loads
