"""What joins the buses of a net: lines, transformers, switches and impedances, with their ratings."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from attrs import field, frozen
from numpy.typing import NDArray

from hostcap._arrays import BoolArray, FloatArray, IntArray, bools, floats, ints
from hostcap.errors import ModelError
from hostcap.findings import counted, some
from hostcap.network import SQRT3
from hostcap_stock.pandapower.columns import Columns, names_once
from hostcap_stock.pandapower.reading import NetTables

IMPEDANCE = "impedance"
SIDES = {"line": ("from", "to"), "trafo": ("hv", "lv"), "trafo3w": ("hv", "mv", "lv")}
_SWITCH_KINDS = {"line": "l", "trafo": "t", "trafo3w": "t3"}
_CLOSED_GROUPS = "Dyn, YNyn, Yzn"
GROUPS_OF_THREE_PHASE = frozenset({"dyn", "ynyn", "yzn"})
"""Vector groups of transformers that ``runpp_3ph`` has a zero sequence for."""


@frozen(kw_only=True, eq=False)
class Branch:
    """Elements of one table that carry power and are in service.

    Attributes:
        table: ``line``, ``trafo``, ``trafo3w`` or ``impedance``.
        position: Place in the table, all rows counted, shape (branch,).
        name: Names, each once.
        bus: Bus of each terminal, shape (branch, terminal).
        closed: Whether no open switch is at the terminal, and its bus in service.
        rated_a: Normal rating of each terminal, A; nan where the net states none.
        switched: Whether a switch is at any terminal.
    """

    table: str
    position: IntArray = field(converter=ints)
    name: tuple[str, ...]
    bus: IntArray = field(converter=ints)
    closed: BoolArray = field(converter=bools)
    rated_a: FloatArray = field(converter=floats)
    switched: BoolArray = field(converter=bools)

    def pairs(self) -> Iterator[tuple[int, int]]:
        """Buses that each closed branch joins; an open terminal joins nothing."""
        for bus, closed in zip(self.bus, self.closed, strict=True):
            shut = [int(b) for b, c in zip(bus, closed, strict=True) if c]
            yield from ((shut[0], other) for other in shut[1:])


@frozen(kw_only=True, eq=False)
class Branches:
    """Everything that joins buses.

    Attributes:
        kinds: Lines, then transformers of two and of three windings.
        impedances: What carries power besides, and no limit watches.
        joins: Bus pairs of closed bus-bus switches and of impedances in service, shape (pair, 2).
        same: Those of closed bus-bus switches alone, which make one bus of two.
        made_names: Names that the net does not state.
        off: Elements out of service, by table.
        open_switches: Switches that are open.
    """

    kinds: tuple[Branch, ...]
    impedances: Branch
    joins: IntArray = field(converter=ints)
    same: IntArray = field(converter=ints)
    made_names: tuple[str, ...]
    off: dict[str, int]
    open_switches: tuple[str, ...]

    @property
    def carriers(self) -> tuple[Branch, ...]:
        """Everything that has terminals, in the order of the network's equipment."""
        return (*self.kinds, self.impedances)


def _impedances(net: NetTables, buses: Columns, bus_on: BoolArray) -> tuple[Branch, list[str]]:
    """Impedances in service, and names that were made here."""
    table = Columns(net, IMPEDANCE)
    names, made = names_once([table])
    on = np.flatnonzero(table.bools("in_service")).astype(np.int32)
    bus = np.stack([table.places(f"{side}_bus", buses) for side in ("from", "to")], axis=1)[on]
    found = Branch(
        table=IMPEDANCE,
        position=on,
        name=tuple(names[i] for i in on),
        bus=bus,
        closed=bus_on[bus],
        rated_a=np.full(bus.shape, np.nan),
        switched=np.zeros(on.size, dtype=bool),
    )
    return found, made


def read_branches(net: NetTables, buses: Columns, bus_on: BoolArray, nominal_kv: FloatArray) -> Branches:
    """Read lines, transformers, switches and impedances.

    Raises:
        ModelError: Buses or elements that are not there, ratings that are no numbers.
    """
    tables = {name: Columns(net, name) for name in SIDES}
    switches = _Switches(net, buses, tables)
    line_names, made = names_once([tables["line"]])
    transformer_names, more = names_once([tables["trafo"], tables["trafo3w"]])
    two = len(tables["trafo"])
    names = {"line": line_names, "trafo": transformer_names[:two], "trafo3w": transformer_names[two:]}
    kinds, off = [], {}
    for name, table in tables.items():
        on = np.flatnonzero(table.bools("in_service")).astype(np.int32)
        if on.size < len(table):
            off[name] = len(table) - on.size
        _require_positive(table, on)
        bus = np.stack([table.places(f"{side}_bus", buses) for side in SIDES[name]], axis=1)[on]
        kinds.append(
            Branch(
                table=name,
                position=on,
                name=tuple(names[name][i] for i in on),
                bus=bus,
                closed=~switches.open_at(name)[on] & bus_on[bus],
                rated_a=_ratings(table)[on],
                switched=switches.any_at(name)[on],
            )
        )
    impedances, again = _impedances(net, buses, bus_on)
    same, ends = (pairs[bus_on[pairs].all(axis=1)] for pairs in (switches.bus_pairs, impedances.bus))
    return Branches(
        kinds=tuple(kinds),
        impedances=impedances,
        joins=np.concatenate([same, ends]),
        same=same,
        made_names=(*made, *more, *again),
        off=off,
        open_switches=switches.open,
    )


class _Switches:
    """Where switches are, and which are open."""

    def __init__(self, net: NetTables, buses: Columns, tables: dict[str, Columns]) -> None:
        """Find the terminal of each switch."""
        table = Columns(net, "switch")
        closed, kind = table.bools("closed"), table.texts("et")
        bus = table.places("bus", buses)
        element = table.whole("element")
        self._open = {name: np.zeros((len(t), len(SIDES[name])), dtype=bool) for name, t in tables.items()}
        self._any = {name: np.zeros(len(t), dtype=bool) for name, t in tables.items()}
        ends = {
            name: np.stack([t.places(f"{side}_bus", buses) for side in SIDES[name]], axis=1)
            for name, t in tables.items()
        }
        pairs: list[tuple[int, int]] = []
        at = {int(i): place for place, i in enumerate(buses.index)}
        of = {name: {int(i): place for place, i in enumerate(t.index)} for name, t in tables.items()}
        for i, row in enumerate(table.index):
            if kind[i] == "b":
                if int(element[i]) not in at:
                    raise ModelError(f"switch {row}: element is bus {element[i]}, and the net has no such bus")
                if closed[i]:
                    pairs.append((int(bus[i]), at[int(element[i])]))
                continue
            name = next((n for n, short in _SWITCH_KINDS.items() if short == kind[i]), None)
            if name is None or int(element[i]) not in of[name]:
                raise ModelError(f"switch {row}: et {kind[i]!r} with element {element[i]} is nothing in the net")
            place = of[name][int(element[i])]
            sides = ends[name][place].tolist()
            if int(bus[i]) not in sides:
                raise ModelError(f"switch {row}: bus {buses.index[bus[i]]} is no terminal of {name} {element[i]}")
            self._any[name][place] = True
            if not closed[i]:
                self._open[name][place, sides.index(int(bus[i]))] = True
        self.bus_pairs = np.asarray(pairs, dtype=np.int32).reshape(-1, 2)
        stated = table.texts("name")
        self.open = tuple(
            text or f"switch {i}" for text, i, c in zip(stated, table.index, closed, strict=True) if not c
        )

    def open_at(self, name: str) -> BoolArray:
        """Open terminals of a table, shape (row, terminal)."""
        return self._open[name]

    def any_at(self, name: str) -> BoolArray:
        """Rows with a switch at a terminal, shape (row,)."""
        return self._any[name]


POSITIVE = {
    "line": ("length_km", "parallel"),
    "trafo": ("sn_mva", "vn_hv_kv", "vn_lv_kv", "vk_percent", "parallel"),
    "trafo3w": tuple(
        f"{what}_{side}_{unit}" for what, unit in (("sn", "mva"), ("vn", "kv")) for side in ("hv", "mv", "lv")
    ),
}
"""Numbers of branches of which the library takes any, and answers with the physics of none."""


def _require_positive(table: Columns, on: NDArray[np.signedinteger[Any]]) -> None:
    """Refuse branches in service without an extent.

    Raises:
        ModelError: A length, rating or rated voltage that is not above zero.
    """
    for column in POSITIVE[table.name]:
        values = table.floats(column, default=1.0) if column == "parallel" else table.floats(column, missing=True)
        wrong = on[~(values[on] > 0.0)]
        if wrong.size and table.has(column):
            raise ModelError(
                f"{table.name} {table.index[wrong[0]]}: {column} must be > 0, found {values[wrong[0]]:g} "
                f"({wrong.size} of {on.size} in service)"
            )


def _ratings(table: Columns) -> FloatArray:
    """Normal rating of each terminal, A, nan where there is none, shape (row, terminal)."""
    if table.name == "line":
        amps = table.floats("max_i_ka", missing=True) * 1000.0
        amps = amps * table.floats("df", default=1.0) * table.floats("parallel", default=1.0)
        return np.repeat(np.where(amps > 0, amps, np.nan)[:, None], 2, axis=1)
    columns = []
    for side in SIDES[table.name]:
        part = "" if table.name == "trafo" else f"_{side}"
        kva = table.floats(f"sn{part}_mva") * 1000.0
        if table.name == "trafo":
            kva = kva * table.floats("df", default=1.0) * table.floats("parallel", default=1.0)
        kv = table.floats(f"vn_{side}_kv")
        # A row out of service may say anything.
        columns.append(np.where((kva > 0) & (kv > 0), kva / (SQRT3 * np.where(kv > 0, kv, 1.0)), np.nan))
    return np.stack(columns, axis=1)


ZERO_SEQUENCE = {
    "ext_grid": ("s_sc_max_mva", "rx_max", "x0x_max", "r0x0_max"),
    "line": ("r0_ohm_per_km", "x0_ohm_per_km", "c0_nf_per_km"),
    "trafo": ("vk0_percent", "vkr0_percent", "mag0_percent", "mag0_rx", "si0_hv_partial"),
}
"""What an unbalanced power flow wants to know of each element in service, beside a balanced one."""


def _require_zero_sequence(net: NetTables) -> None:
    """Say which columns are missing, before the library stumbles over the first.

    Raises:
        ModelError: A column is missing, or an element in service has no number in it.
    """
    for name, columns in ZERO_SEQUENCE.items():
        table = Columns(net, name)
        lost = [column for column in columns if len(table) and not table.has(column)]
        if lost:
            raise ModelError(f"table {name} has no {', '.join(lost)}, which an unbalanced power flow needs; add them")
        on = table.bools("in_service")
        for column in columns:
            empty = np.flatnonzero(np.isnan(table.floats(column, missing=True)) & on)
            if empty.size:
                raise ModelError(
                    f"{name} {table.index[empty[0]]}: {column} has no value ({empty.size} of "
                    f"{counted(len(table), 'row')}), and an unbalanced power flow needs it"
                )


def refuse_what_has_no_form(net: NetTables, unbalanced: list[str]) -> None:
    """Refuse by name what a power flow of pandapower would leave out in silence, or solve as something else.

    Args:
        net: The net.
        unbalanced: Its unbalanced elements; with any of them the power flow is ``runpp_3ph``.

    Raises:
        ModelError: All of it.
    """
    wrong: list[str] = []
    direct = (
        *("dcline", "svc", "ssc", "tcsc", "vsc", "vsc_stacked", "vsc_bipolar", "line_dc", "load_dc", "source_dc"),
        "xward",
    )
    # runpp_3ph reads loads and static generators alone, and has no zero sequence for the rest.
    three_phase = ("gen", "motor", "ward", "impedance", "trafo3w") if unbalanced else ()
    for name in (*direct, *three_phase):
        table = Columns(net, name)
        wrong += [f"{name} {i}" for i, on in zip(table.index, table.bools("in_service"), strict=True) if on]
    if unbalanced:
        _require_zero_sequence(net)
    table = Columns(net, "trafo")
    for row, group, on in zip(table.index, table.texts("vector_group"), table.bools("in_service"), strict=True):
        letters = group.rstrip("0123456789").lower()
        if on and letters.startswith("i"):
            wrong.append(f"trafo {row} (vector group {group}: one phase, as SWER and split-phase units)")
        elif on and unbalanced and group.lower() not in GROUPS_OF_THREE_PHASE:
            wrong.append(f"trafo {row} (vector group {group or 'not stated'}; runpp_3ph knows {_CLOSED_GROUPS})")
    if wrong:
        why = f"as {some(unbalanced)} need an unbalanced power flow" if unbalanced else "in a balanced power flow"
        raise ModelError(
            f"there is no form for {counted(len(wrong), 'element')} {why}: {some(wrong, 5)}; take them out of the net, "
            "or state the feeder for OpenDSS"
        )
