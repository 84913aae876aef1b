"""What injects in a net: loads, generating elements and storage, with the phases that each is connected to."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np
from attrs import field, fields, frozen

from hostcap._arrays import BoolArray, FloatArray, IntArray, NameArray, bools, floats, ints, names, sums
from hostcap.errors import ModelError
from hostcap.findings import counted, some
from hostcap.linear import CONSTANT_IMPEDANCE, CONSTANT_POWER, Ports
from hostcap.network import SQRT3, Injectors
from hostcap_stock.pandapower.columns import Columns, names_once
from hostcap_stock.pandapower.reading import NetTables

TABLES = ("load", "asymmetric_load", "sgen", "asymmetric_sgen", "storage", "gen")
"""Tables of injectors, in the order of the network."""
ANY_VOLTAGE = {"vmin_pu": 0.1, "vmax_pu": 3.0, "vlow_pu": 0.05}
"""Band of pandapower's constant powers: they hold at any voltage that a limit could allow."""
_PHASES = "abc"


@frozen(kw_only=True, eq=False)
class Elements:
    """Injectors in the order of the network, and one connection for each phase of each.

    Attributes:
        table, row: Where each stands in the net, shape (injector,).
        name, kind, bus, phases, delta, kv: As in ``Injectors``.
        in_service: Whether it is; others are no injectors, and left out of all arrays here.
        injector, node_a, node_b: Of each connection; a node of -1 is ground, shape (connection,).
        kw, kvar: What the net draws there, nominal at 1 pu, with the net's scaling.
        z_kw, z_kvar: Part of it that is a constant impedance, 0 to 1.
        base_v: Rated voltage of the connection, V.
        terminal_ptr, terminal_node: As in ``Injectors``.
        made_names: Names that the net does not state.
        off: Elements out of service, and their kW, by table.
    """

    table: NameArray = field(converter=names)
    row: IntArray = field(converter=ints)
    name: NameArray = field(converter=names)
    kind: NameArray = field(converter=names)
    bus: IntArray = field(converter=ints)
    phases: IntArray = field(converter=ints)
    delta: BoolArray = field(converter=bools)
    kv: FloatArray = field(converter=floats)
    injector: IntArray = field(converter=ints)
    node_a: IntArray = field(converter=ints)
    node_b: IntArray = field(converter=ints)
    kw: FloatArray = field(converter=floats)
    kvar: FloatArray = field(converter=floats)
    z_kw: FloatArray = field(converter=floats)
    z_kvar: FloatArray = field(converter=floats)
    base_v: FloatArray = field(converter=floats)
    terminal_ptr: IntArray = field(converter=ints)
    terminal_node: IntArray = field(converter=ints)
    made_names: tuple[str, ...]
    off: dict[str, tuple[int, float]]

    @property
    def is_load(self) -> BoolArray:
        """Whether each injector is a load."""
        return np.asarray(self.kind == "load", dtype=bool)

    def injectors(self, group: IntArray) -> Injectors:
        """The injectors of a network, with the group of each bus."""
        size, load = self.name.size, self.is_load
        drawn = sums(self.injector, np.maximum(self.kw, 0.0), size)
        given = sums(self.injector, np.maximum(-self.kw, 0.0), size)
        kvar = sums(self.injector, self.kvar, size)
        return Injectors(
            name=self.name,
            kind=self.kind,
            bus=self.bus,
            group=group[self.bus],
            phases=self.phases,
            delta=self.delta,
            kv=self.kv,
            terminal_ptr=self.terminal_ptr,
            terminal_node=self.terminal_node,
            load_kw=drawn,
            load_kvar=np.where(load, kvar, 0.0),
            generation_kw=given,
            generation_kvar=np.where(load, 0.0, kvar),
        )

    def ports(self, kw: FloatArray, kvar: FloatArray, *, idle: bool = False) -> Ports:
        """Ports that draw the given powers by the law of each element.

        Args:
            kw: Drawn at each connection, kW, shape (connection,).
            kvar: Likewise.
            idle: Keep ports that draw nothing.
        """
        models = (CONSTANT_POWER, CONSTANT_IMPEDANCE)
        active = (kw * (1.0 - self.z_kw), kw * self.z_kw)
        reactive = (kvar * (1.0 - self.z_kvar), kvar * self.z_kvar)
        kept = [np.flatnonzero((p != 0.0) | (q != 0.0)) for p, q in zip(active, reactive, strict=True)]
        if idle:
            kept[0] = np.arange(self.injector.size)
        which = np.concatenate(kept)
        return Ports(
            node_a=self.node_a[which],
            node_b=self.node_b[which],
            kw=np.concatenate([p[at] for p, at in zip(active, kept, strict=True)]),
            kvar=np.concatenate([q[at] for q, at in zip(reactive, kept, strict=True)]),
            base_v=self.base_v[which],
            model=np.repeat(models, [at.size for at in kept]),
            cvr_watts=np.ones(which.size),
            cvr_vars=np.full(which.size, 2.0),
            injector=self.injector[which],
            **{name: np.full(which.size, value) for name, value in ANY_VOLTAGE.items()},
        )


def is_three_phase(net: NetTables) -> list[str]:
    """Elements in service that are not balanced; none where a balanced power flow serves."""
    found = []
    for name in ("asymmetric_load", "asymmetric_sgen"):
        table = Columns(net, name)
        found += [f"{name} {i}" for i, on in zip(table.index, table.bools("in_service"), strict=True) if on]
    return found


class _Rows:
    """Columns that grow element by element."""

    def __init__(self) -> None:
        self.columns: dict[str, list[Any]] = defaultdict(list)
        self.terminals: list[int] = []
        self.pointer: list[int] = [0]
        self.count = 0

    def element(self, nodes: list[int], **values: Any) -> int:
        for name, value in values.items():
            self.columns[name].append(value)
        self.terminals.extend(nodes)
        self.pointer.append(len(self.terminals))
        self.count += 1
        return self.count - 1

    def connection(self, **values: Any) -> None:
        for name, value in values.items():
            self.columns[name].append(value)


def read_elements(net: NetTables, buses: Columns, nominal_kv: FloatArray, *, three_phase: bool) -> Elements:
    """Read every injector in service.

    Raises:
        ModelError: Powers that are no numbers, loads of constant current, buses that are not there.
    """
    rows = _Rows()
    tables = {name: Columns(net, name) for name in TABLES}
    loads, made = names_once([tables["load"], tables["asymmetric_load"]])
    others, more = names_once([tables[name] for name in TABLES[2:]])
    listed = iter([*loads, *others])
    named = {name: [next(listed) for _ in range(len(tables[name]))] for name in TABLES}
    off: dict[str, tuple[int, float]] = {}
    for name, table in tables.items():
        if len(table):
            _Reader(table, buses, nominal_kv, three_phase).read(named[name], rows, off)
    text, columns = ("table", "name", "kind"), rows.columns
    every = [f.name for f in fields(Elements) if f.name not in ("made_names", "off", "terminal_ptr", "terminal_node")]
    return Elements(
        **{name: [str(v) for v in columns[name]] if name in text else columns[name] for name in every},
        terminal_ptr=rows.pointer,
        terminal_node=rows.terminals,
        made_names=(*made, *more),
        off=off,
    )


class _Reader:
    """Reads the elements of one table."""

    def __init__(self, table: Columns, buses: Columns, nominal_kv: FloatArray, three_phase: bool) -> None:
        """Read its columns."""
        self.table, self.three_phase, self.nominal_kv = table, three_phase, nominal_kv
        self.on = table.bools("in_service")
        self.bus = table.places("bus", buses)
        # Of a storage, as of a load, positive draws.
        self.sign = 1.0 if table.name.endswith("load") or table.name == "storage" else -1.0
        scale = 1000.0 * self.sign * table.floats("scaling", default=1.0)
        if table.name.startswith("asymmetric"):
            self.kw = np.stack([table.floats(f"p_{k}_mw", default=0.0) for k in _PHASES], axis=1) * scale[:, None]
            self.kvar = np.stack([table.floats(f"q_{k}_mvar", default=0.0) for k in _PHASES], axis=1) * scale[:, None]
        else:
            q_mvar = table.floats("q_mvar", default=0.0) if table.has("q_mvar") else np.zeros(len(table))
            self.kw = np.repeat((table.floats("p_mw") * scale / 3.0)[:, None], 3, axis=1)
            self.kvar = np.repeat((q_mvar * scale / 3.0)[:, None], 3, axis=1)
        self.delta = np.asarray([t.lower() == "delta" for t in table.texts("type")]) & three_phase
        self.z_kw, self.z_kvar = (self._share(f"const_z_{k}_percent") for k in "pq")
        self._refuse_constant_current()

    def _share(self, column: str) -> FloatArray:
        """Per cent of a load as a share; elements other than loads have none."""
        if self.table.name != "load":
            return np.zeros(len(self.table))
        return self.table.floats(column, default=0.0, filled=True) / 100.0

    def _refuse_constant_current(self) -> None:
        currents = self._share("const_i_p_percent") + self._share("const_i_q_percent")
        odd = np.flatnonzero(self.on & (currents != 0.0))
        if odd.size:
            listed = some([f"load {i}" for i in self.table.index[odd]])
            raise ModelError(
                f"{counted(odd.size, 'load')} partly of constant current ({listed}): pandapower mixes the shares of "
                "all loads and generators of a bus, so that no growth can stand beside them; set const_i_p_percent "
                "and const_i_q_percent to 0, or state them as const_z"
            )

    def read(self, names_of: list[str], rows: _Rows, off: dict[str, tuple[int, float]]) -> None:
        """Add the elements in service; count the others."""
        if self.table.name == "gen":
            slack = self.table.bools("slack", default=False)
            self.on = self.on & ~slack
            idle = ~self.table.bools("in_service")
        else:
            idle = ~self.on
        if np.any(idle):
            off[self.table.name] = (int(idle.sum()), float(np.abs(self.kw[idle].sum(axis=1)).sum()))
        kinds = self._kinds()
        for i in np.flatnonzero(self.on):
            self._element(int(i), names_of[i], kinds[i], rows)

    def _kinds(self) -> list[str]:
        if self.table.name.endswith("load"):
            return ["load"] * len(self.table)
        if self.table.name == "storage":
            return ["storage"] * len(self.table)
        return ["pvsystem" if t.upper() == "PV" else "generator" for t in self.table.texts("type")]

    def _element(self, i: int, name: str, kind: str, rows: _Rows) -> None:
        bus, delta = int(self.bus[i]), bool(self.delta[i])
        vn = float(self.nominal_kv[bus])
        chosen = [0, 1, 2]
        if self.table.name.startswith("asymmetric"):
            drawing = [k for k in range(3) if self.kw[i, k] != 0.0 or self.kvar[i, k] != 0.0]
            chosen = drawing or chosen
        # Between phases k is a-b, b-c or c-a; two that follow each other share a phase: c-a comes before a-b.
        if delta and chosen == [0, 2]:
            chosen = [2, 0]
        first = 3 * bus if self.three_phase else bus
        ends = [first + k if self.three_phase else first for k in chosen]
        if delta and len(chosen) < 3:
            ends.append(first + (chosen[-1] + 1) % 3)
        single = len(chosen) == 1 and not delta
        own = rows.element(
            ends,
            table=self.table.name,
            row=int(self.table.index[i]),
            name=name,
            kind=kind,
            bus=bus,
            phases=len(chosen),
            delta=delta,
            kv=vn / SQRT3 if single else vn,
        )
        for k in chosen:
            rows.connection(
                injector=own,
                node_a=first + k if self.three_phase else first,
                node_b=first + (k + 1) % 3 if delta else -1,
                kw=float(self.kw[i, k]),
                kvar=float(self.kvar[i, k]),
                z_kw=float(self.z_kw[i]),
                z_kvar=float(self.z_kvar[i]),
                base_v=vn * 1000.0 / (1.0 if delta else SQRT3),
            )
