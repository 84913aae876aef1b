"""Networks of a few buses, written by hand: a builder for tests without an engine, and two feeders made with it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, Self

import numpy as np
from attrs import Factory, define

from hostcap.hv_locations import find_hv_locations
from hostcap.network import (
    PHASE_LETTERS,
    Buses,
    Conductors,
    Customers,
    Equipment,
    Groups,
    HvLocations,
    Injectors,
    Network,
    Nodes,
    Origin,
    phase_code,
)

GROUND = 0
"""Node number of ground in ``numbers``."""


@define
class SmallNetwork:
    """Collects buses, branches, injectors and customers by name; ``build`` makes the ``Network``.

    Node numbers 1, 2, 3 are phases, 4 and higher neutrals; where a bus has node 4, its phases refer to it.
    Voltage levels follow from the nominal kV; groups are given with the buses, 0 for the feeder.
    """

    feeder: str = "F1"
    content: str = "content"
    _buses: list[tuple[str, float, tuple[int, ...], int, bool]] = Factory(list)
    _equipment: list[tuple[str, str, int]] = Factory(list)
    _switches: set[int] = Factory(set)
    _open: set[int] = Factory(set)
    _conductors: list[dict[str, Any]] = Factory(list)
    _injectors: list[dict[str, Any]] = Factory(list)
    _customers: list[tuple[str, tuple[str, ...], bool]] = Factory(list)
    _groups: list[str] = Factory(list)

    def bus(
        self, name: str, kv: float, numbers: Iterable[int] = (1, 2, 3), *, group: int = 0, live: bool = True
    ) -> Self:
        """A bus of nominal line-to-line kV with some nodes."""
        self._buses.append((name, kv, tuple(numbers), group, live))
        return self

    def group(self, *names: str) -> Self:
        """Capacity groups 1, 2, ... by their heads."""
        self._groups += names
        return self

    def line(
        self,
        name: str,
        first: str,
        second: str,
        numbers: Iterable[int] = (1, 2, 3),
        *,
        normal: float = math.nan,
        emergency: float = math.nan,
        group: int = 0,
        switch: bool = False,
        closed: bool = True,
    ) -> Self:
        """A line with the same nodes at both ends; unrated unless amps are given."""
        self._switches |= {len(self._equipment)} if switch else set()
        self._open |= set() if closed else {len(self._equipment)}
        self._equipment.append((name, "Line", group))
        for terminal, bus in enumerate((first, second), start=1):
            for number in numbers:
                self._conductor(terminal, bus, number, watched=number in PHASE_LETTERS, amps=(normal, emergency))
        return self

    def transformer(
        self,
        name: str,
        *windings: tuple[str, Sequence[int], float, float],
        group: int = 0,
    ) -> Self:
        """A transformer by its windings: bus, nodes (0 is ground), normal A, emergency A."""
        self._equipment.append((name, "Transformer", group))
        for terminal, (bus, numbers, normal, emergency) in enumerate(windings, start=1):
            for number in numbers:
                self._conductor(terminal, bus, number, watched=number in PHASE_LETTERS, amps=(normal, emergency))
        return self

    def _conductor(self, terminal: int, bus: str, number: int, *, watched: bool, amps: tuple[float, float]) -> None:
        self._conductors.append(
            {
                "equipment": len(self._equipment) - 1,
                "terminal": terminal,
                "bus": bus,
                "number": number,
                "phase": PHASE_LETTERS.get(number, ""),
                "watched": watched,
                "normal_a": amps[0],
                "emergency_a": amps[1],
            }
        )

    def load(self, name: str, bus: str, numbers: Sequence[int], **about: Any) -> Self:
        """A load by its conductors; ``kw``, ``kvar``, ``phases``, ``delta``, ``kv``."""
        return self._injector("load", name, bus, numbers, about)

    def pv(self, name: str, bus: str, numbers: Sequence[int], **about: Any) -> Self:
        """A PV system by its conductors; the same."""
        return self._injector("pvsystem", name, bus, numbers, about)

    def _injector(self, kind: str, name: str, bus: str, numbers: Sequence[int], about: dict[str, Any]) -> Self:
        phases = about.pop("phases", sum(1 for n in numbers if n in PHASE_LETTERS))
        given = {"kw": 0.0, "kvar": 0.0, "delta": False, "kv": 0.23}
        unknown = set(about) - set(given)
        if unknown:
            raise TypeError(f"{kind} {name}: unknown {sorted(unknown)}; known: {sorted(given)}, phases")
        self._injectors.append({"kind": kind, "name": name, "bus": bus, "numbers": tuple(numbers), "phases": phases})
        self._injectors[-1] |= given | about
        return self

    def customer(self, name: str, *elements: str, live: bool = True) -> Self:
        """A customer of some injectors; of the injector of its own name if none is given."""
        self._customers.append((name, elements or (name,), live))
        return self

    def build(self) -> Network:
        """The network."""
        names = [bus[0] for bus in self._buses]
        nodes = {(b[0], n): i for i, (b, n) in enumerate((b, n) for b in self._buses for n in b[2])}
        of_bus = [b for b in self._buses for _ in b[2]]
        numbers = [n for b in self._buses for n in b[2]]
        references = [
            nodes[b[0], 4] if n < 4 and (b[0], 4) in nodes else -1 for b, n in zip(of_bus, numbers, strict=True)
        ]
        built_buses = Buses(
            name=names,
            nominal_kv=[b[1] for b in self._buses],
            lv=[b[1] < 1.0 for b in self._buses],
            group=[b[3] for b in self._buses],
            x=[math.nan] * len(names),
            y=[math.nan] * len(names),
        )
        built_nodes = Nodes(
            bus=[names.index(b[0]) for b in of_bus],
            number=numbers,
            nominal_v=[b[1] * 1000.0 / math.sqrt(3.0) for b in of_bus],
            reference=references,
            live=[b[4] for b in of_bus],
            neutral=[n >= 4 for n in numbers],
        )
        equipment = Equipment(
            name=[e[0] for e in self._equipment],
            kind=[e[1] for e in self._equipment],
            group=[e[2] for e in self._equipment],
        )
        conductors = self._built_conductors(names, nodes)
        return Network(
            feeder=self.feeder,
            frequency_hz=50.0,
            buses=built_buses,
            nodes=built_nodes,
            equipment=equipment,
            conductors=conductors,
            injectors=self._built_injectors(names, nodes),
            customers=self._built_customers(names),
            groups=Groups(
                id=self._groups,
                head_type=["distribution-transformer"] * len(self._groups),
                terminal=[2] * len(self._groups),
                transformer_count=[1] * len(self._groups),
            ),
            hv_locations=self._found_hv_locations(names, built_buses, built_nodes, equipment, conductors),
            origin=Origin(source=None, feeder=self.feeder, content_hash=self.content),
        )

    def _found_hv_locations(
        self, names: list[str], buses: Buses, nodes: Nodes, equipment: Equipment, conductors: Conductors
    ) -> HvLocations:
        """The first bus is the source."""
        ends: dict[int, list[str]] = {}
        for c in self._conductors:
            if c["bus"] not in ends.setdefault(c["equipment"], []):
                ends[c["equipment"]].append(c["bus"])
        pairs = [
            (names.index(at[0]), names.index(other))
            for own, at in ends.items()
            if own not in self._open
            for other in at[1:]
        ]
        left, right = np.array(pairs, dtype=np.int32).reshape(-1, 2).T
        return find_hv_locations(
            buses=buses,
            nodes=nodes,
            equipment=equipment,
            conductors=conductors,
            switch=np.array([own in self._switches for own in range(equipment.name.size)], dtype=bool),
            left=left,
            right=right,
            source_buses=np.zeros(min(len(names), 1), dtype=np.int32),
        )

    def _built_conductors(self, names: list[str], nodes: dict[tuple[str, int], int]) -> Conductors:
        live = {b[0]: b[4] for b in self._buses}
        level = {b[0]: b[1] < 1.0 for b in self._buses}
        every = self._conductors
        return Conductors(
            equipment=[c["equipment"] for c in every],
            terminal=[c["terminal"] for c in every],
            node=[nodes.get((c["bus"], c["number"]), -1) for c in every],
            phase=[c["phase"] for c in every],
            lv=[level[c["bus"]] for c in every],
            watched=[c["watched"] and live[c["bus"]] for c in every],
            normal_a=[c["normal_a"] for c in every],
            emergency_a=[c["emergency_a"] for c in every],
        )

    def _built_injectors(self, names: list[str], nodes: dict[tuple[str, int], int]) -> Injectors:
        every = self._injectors
        group = {b[0]: b[3] for b in self._buses}
        terminals = [[nodes.get((i["bus"], n), -1) for n in i["numbers"]] for i in every]
        load = np.array([i["kind"] == "load" for i in every], dtype=bool)
        kw, kvar = np.array([i["kw"] for i in every]), np.array([i["kvar"] for i in every])
        return Injectors(
            name=[i["name"] for i in every],
            kind=[i["kind"] for i in every],
            bus=[names.index(i["bus"]) for i in every],
            group=[group[i["bus"]] for i in every],
            phases=[i["phases"] for i in every],
            delta=[i["delta"] for i in every],
            kv=[i["kv"] for i in every],
            terminal_ptr=np.cumsum([0, *(len(t) for t in terminals)]),
            terminal_node=[n for t in terminals for n in t],
            load_kw=np.where(load, kw, 0.0),
            load_kvar=np.where(load, kvar, 0.0),
            generation_kw=np.where(load, 0.0, kw),
            generation_kvar=np.where(load, 0.0, kvar),
        )

    def _built_customers(self, names: list[str]) -> Customers:
        index = {i["name"]: place for place, i in enumerate(self._injectors)}
        group = {b[0]: b[3] for b in self._buses}
        members = [[index[e] for e in elements] for _, elements, _ in self._customers]
        first = [self._injectors[m[0]] for m in members]
        loads = [[self._injectors[e] for e in m if self._injectors[e]["kind"] == "load"] for m in members]
        live = [c[2] for c in self._customers]
        return Customers(
            id=[c[0] for c in self._customers],
            group=[group[i["bus"]] for i in first],
            bus=[names.index(i["bus"]) for i in first],
            element_ptr=np.cumsum([0, *(len(m) for m in members)]),
            element=[e for m in members for e in m],
            live=live,
            grows=[alive and bool(own) for alive, own in zip(live, loads, strict=True)],
            phase_code=[phase_code([n for i in own for n in i["numbers"]]) for own in loads],
        )


def street() -> Network:
    """A 22 kV feeder with two transformers of 100 kVA, five customers, one of them with PV, and an HV load.

    Customers c1 to c3 hang on phases A, B and C below the first transformer, c4 on three phases below the second; c5
    is there without a load of its own (a PV system alone), so that it does not grow.
    """
    return (
        SmallNetwork(feeder="street")
        .group("t1", "t2")
        .bus("source", 22.0)
        .bus("mid", 22.0)
        .bus("lv1", 0.4, (1, 2, 3, 4), group=1)
        .bus("end1", 0.4, (1, 2, 3, 4), group=1)
        .bus("lv2", 0.4, group=2)
        .bus("end2", 0.4, group=2)
        .line("mv", "source", "mid", normal=200.0, emergency=300.0)
        .transformer("t1", ("mid", (1, 2, 3), 2.62, 3.94), ("lv1", (1, 2, 3, 4), 144.3, 216.5), group=1)
        .transformer("t2", ("mid", (1, 2, 3), 2.62, 3.94), ("lv2", (1, 2, 3, 0), 144.3, 216.5), group=2)
        .line("lv1_end1", "lv1", "end1", (1, 2, 3, 4), normal=120.0, emergency=180.0, group=1)
        .line("lv2_end2", "lv2", "end2", group=2)
        .load("c1", "end1", (1, 4), kw=1.0, kvar=0.3)
        .load("c2", "end1", (2, 4), kw=2.0, kvar=0.5)
        .load("c3", "end1", (3, 4), kw=0.5)
        .load("c4", "end2", (1, 2, 3), kw=6.0, kvar=1.5, kv=0.4)
        .pv("c4_pv", "end2", (1, 2, 3), kw=4.0, kv=0.4)
        .pv("c5", "lv2", (1, 2, 3), kw=2.0, kv=0.4)
        .load("mill", "mid", (1, 2, 3), kw=40.0, kvar=10.0, kv=22.0)
        .customer("c1")
        .customer("c2")
        .customer("c3")
        .customer("c4", "c4", "c4_pv")
        .customer("c5")
        .build()
    )
