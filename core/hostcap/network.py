"""A feeder as frozen arrays: what every part knows about the network, without any engine.

Index arrays are int32. ``group`` is 0 for the feeder (all HV) and 1..G for the capacity groups, in the
order of ``Groups``. A ``node`` of -1 is ground. Source of the definitions: docs/explanation/headroom-method.md.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from attrs import Factory, field, frozen

from hostcap._arrays import (
    BoolArray,
    ComplexArray,
    FloatArray,
    IntArray,
    NameArray,
    bools,
    complexes,
    floats,
    ints,
    names,
    same,
    update_hash,
)
from hostcap.findings import Finding

SQRT3 = float(np.sqrt(3.0))
LV_BELOW_KV = 1.0
"""A bus is LV when its nominal line-to-line voltage is below this, kV."""

BALANCED = 123
"""Number of the one node of a bus in a balanced network: it stands for the three phases together."""
PHASE_LETTERS = {1: "A", 2: "B", 3: "C", BALANCED: "ABC"}


class _ByContent:
    """Equality and hash by content, for frozen records that hold arrays."""

    def __eq__(self, other: object) -> bool:
        return same(self, other)

    def __hash__(self) -> int:
        digest = hashlib.sha256()
        update_hash(digest, self)
        return int.from_bytes(digest.digest()[:8], "big")


def _unmeasured(buses: Buses) -> FloatArray:
    return np.full(len(buses.name), np.nan)


def _themselves(buses: Buses) -> IntArray:
    return np.arange(len(buses.name), dtype=np.int32)


@frozen(kw_only=True, eq=False)
class Buses(_ByContent):
    """Connection points.

    Attributes:
        name: Names, without phases, shape (bus,).
        nominal_kv: Nominal line-to-line voltage (base x sqrt 3), kV.
        lv: Whether the bus is LV.
        group: 0 for the feeder, 1..G for a capacity group.
        x, y: Coordinates in the model's own units; nan where the model has none.
        distance_km: Shortest way along lines from a source; nan where no way leads there, or nobody measured.
        one_with: First of the buses that closed switches without an impedance make one with each, itself included; what
            goes through such a switch is in no conductor, shape (bus,).
    """

    name: NameArray = field(converter=names)
    nominal_kv: FloatArray = field(converter=floats)
    lv: BoolArray = field(converter=bools)
    group: IntArray = field(converter=ints)
    x: FloatArray = field(converter=floats)
    y: FloatArray = field(converter=floats)
    distance_km: FloatArray = field(converter=floats, default=Factory(_unmeasured, takes_self=True))
    one_with: IntArray = field(converter=ints, default=Factory(_themselves, takes_self=True))


@frozen(kw_only=True, eq=False)
class Nodes(_ByContent):
    """Phases (and neutrals) of buses.

    Attributes:
        bus: Bus of each node, shape (node,).
        number: 1, 2, 3 for phases A, B, C; 4 and higher for neutrals, unless the study says otherwise. A balanced
            network has one node for each bus, ``BALANCED``; its voltage is that of phase A, and what flows into it is
            the sum of three equal phases.
        nominal_v: Nominal voltage to ground, V.
        reference: Node that the phase is measured to; -1 for ground.
        live: Reached from a source over conductors.
        neutral: Not watched for voltage.
    """

    bus: IntArray = field(converter=ints)
    number: IntArray = field(converter=ints)
    nominal_v: FloatArray = field(converter=floats)
    reference: IntArray = field(converter=ints)
    live: BoolArray = field(converter=bools)
    neutral: BoolArray = field(converter=bools)


@frozen(kw_only=True, eq=False)
class Equipment(_ByContent):
    """Enabled lines and transformers, and what else carries power between two buses.

    Attributes:
        name: Name without class, shape (equipment,).
        kind: ``Line``, ``Transformer``, or, for what is in series and no limit watches, ``Reactor``, ``Capacitor`` or
            ``Impedance``.
        group: Group that its limits belong to; 0 for the feeder.
    """

    name: NameArray = field(converter=names)
    kind: NameArray = field(converter=names)
    group: IntArray = field(converter=ints)


@frozen(kw_only=True, eq=False)
class Conductors(_ByContent):
    """One conductor at one terminal of a piece of equipment.

    Attributes:
        equipment: Index into ``Equipment``, shape (conductor,).
        terminal: Terminal or winding number, from 1.
        node: Node where it ends; -1 for ground.
        phase: ``A``, ``B``, ``C``; two letters for a coil between phases; empty for neutral and ground.
        lv: Whether its terminal is at an LV bus.
        watched: Live, a phase conductor, and the first of its coil: what thermal limits look at.
        normal_a, emergency_a: Ratings as the method defines them, A; nan where unrated.
    """

    equipment: IntArray = field(converter=ints)
    terminal: IntArray = field(converter=ints)
    node: IntArray = field(converter=ints)
    phase: NameArray = field(converter=names)
    lv: BoolArray = field(converter=bools)
    watched: BoolArray = field(converter=bools)
    normal_a: FloatArray = field(converter=floats)
    emergency_a: FloatArray = field(converter=floats)


@frozen(kw_only=True, eq=False)
class Injectors(_ByContent):
    """Every load and generating element of the model, enabled ones only.

    Attributes:
        name: Name without class, shape (injector,).
        kind: ``load``, ``generator``, ``pvsystem`` or ``storage``.
        bus: Bus index.
        group: Group of the bus; 0 for HV.
        phases: Number of phases.
        delta: Connected between phases.
        kv: Rated kV as the model gives it: between the conductors for one phase, line-to-line for more.
        terminal_ptr, terminal_node: Conductors of the element as a ragged array: those of injector ``i`` are
            ``terminal_node[terminal_ptr[i]:terminal_ptr[i + 1]]``; -1 is ground.
        load_kw, load_kvar, generation_kw, generation_kvar: The model's own snapshot, nominal at 1 pu with
            multipliers applied; kW >= 0 in its natural direction, kvar positive consumes.
    """

    name: NameArray = field(converter=names)
    kind: NameArray = field(converter=names)
    bus: IntArray = field(converter=ints)
    group: IntArray = field(converter=ints)
    phases: IntArray = field(converter=ints)
    delta: BoolArray = field(converter=bools)
    kv: FloatArray = field(converter=floats)
    terminal_ptr: IntArray = field(converter=ints)
    terminal_node: IntArray = field(converter=ints)
    load_kw: FloatArray = field(converter=floats)
    load_kvar: FloatArray = field(converter=floats)
    generation_kw: FloatArray = field(converter=floats)
    generation_kvar: FloatArray = field(converter=floats)

    def terminals(self, injector: int) -> IntArray:
        """Nodes of one injector's conductors; -1 is ground."""
        return self.terminal_node[self.terminal_ptr[injector] : self.terminal_ptr[injector + 1]]


@frozen(kw_only=True, eq=False)
class Customers(_ByContent):
    """Who is counted and who grows.

    Attributes:
        id: Name of each customer, shape (customer,).
        group: Capacity group, 1..G.
        bus: Bus of its first element.
        element_ptr, element: Its injectors as a ragged array of indices.
        live: No element of it hangs on a dead node.
        grows: Live, with a load element to grow beside.
        phase_code: Phases of its loads, such as ``A`` or ``ABC``.
        columns: Further columns of the customer table, each of shape (customer,).
    """

    id: NameArray = field(converter=names)
    group: IntArray = field(converter=ints)
    bus: IntArray = field(converter=ints)
    element_ptr: IntArray = field(converter=ints)
    element: IntArray = field(converter=ints)
    live: BoolArray = field(converter=bools)
    grows: BoolArray = field(converter=bools)
    phase_code: NameArray = field(converter=names)
    columns: Mapping[str, np.ndarray[Any, Any]] = field(factory=dict)

    def elements(self, customer: int) -> IntArray:
        """Injectors of one customer."""
        return self.element[self.element_ptr[customer] : self.element_ptr[customer + 1]]

    @cached_property
    def of_element(self) -> IntArray:
        """Customer of each entry of ``element``."""
        counts = np.diff(self.element_ptr)
        return np.repeat(np.arange(counts.size, dtype=np.int32), counts)


@frozen(kw_only=True, eq=False)
class Groups(_ByContent):
    """Capacity groups; ``group`` g elsewhere is index g - 1 here.

    Attributes:
        id: Names of the feeding transformers, sorted, joined with ``+``; the source's name where there is none.
        head_type: ``distribution-transformer`` or ``source``.
        terminal: Lowest LV winding of the head (``terminal_sequence_number``).
        transformer_count: How many distribution transformers feed it.
    """

    id: NameArray = field(converter=names)
    head_type: NameArray = field(converter=names)
    terminal: IntArray = field(converter=ints)
    transformer_count: IntArray = field(converter=ints)

    def __len__(self) -> int:
        return int(self.id.size)


@frozen(kw_only=True, eq=False)
class HvLocations(_ByContent):
    """Places of the HV network that can be asked how much more they take; see ``hostcap.hv_locations``.

    Attributes:
        kind: One of ``hostcap.hv_locations.LOCATION_KINDS``, shape (location,).
        name: The equipment at the location: a transformer, a line, or the bus itself.
        equipment_type: ``Transformer``, ``Line`` or ``Bus``.
        terminal: Terminal or winding of that equipment; 0 for a bus.
        bus: Bus index.
        node_ptr, node: Live phase nodes of the location as a ragged array, by node number; a location without any is
            dead.
        dead_phases: Phases of the terminal that no source reaches, such as ``C``; mostly empty.
        tied_ptr, tied: Other lines and transformers at the bus as a ragged array of indices into ``Equipment``.
    """

    kind: NameArray = field(converter=names, factory=lambda: names([]))
    name: NameArray = field(converter=names, factory=lambda: names([]))
    equipment_type: NameArray = field(converter=names, factory=lambda: names([]))
    terminal: IntArray = field(converter=ints, factory=lambda: ints([]))
    bus: IntArray = field(converter=ints, factory=lambda: ints([]))
    node_ptr: IntArray = field(converter=ints, factory=lambda: ints([0]))
    node: IntArray = field(converter=ints, factory=lambda: ints([]))
    dead_phases: NameArray = field(converter=names, factory=lambda: names([]))
    tied_ptr: IntArray = field(converter=ints, factory=lambda: ints([0]))
    tied: IntArray = field(converter=ints, factory=lambda: ints([]))

    def __len__(self) -> int:
        return int(self.kind.size)

    def nodes(self, location: int) -> IntArray:
        """Live phase nodes of one location."""
        return self.node[self.node_ptr[location] : self.node_ptr[location + 1]]

    def tied_to(self, location: int) -> IntArray:
        """Other lines and transformers at the bus of one location."""
        return self.tied[self.tied_ptr[location] : self.tied_ptr[location + 1]]

    @property
    def live(self) -> BoolArray:
        """Whether any phase of each location is reached from a source, shape (location,)."""
        return np.diff(self.node_ptr) > 0


@frozen(kw_only=True, eq=False)
class Regulators(_ByContent):
    """Tap-changer controls, which are frozen at the start: what they sense, and the band they would keep it in.

    Attributes:
        name: Name of the control, shape (regulator,).
        node: Node that it senses.
        return_node: Node that it senses against; -1 is ground.
        conductor: Conductor whose current compensates for the line drop; -1 where none does.
        pt_ratio: Volts of the node for one volt of the control.
        ct_primary_a: Amps of the conductor at which the compensation is ``compensation_v``.
        compensation_v: Complex drop at that current, V of the control.
        low_v, high_v: Edges of the band, V of the control.
    """

    name: NameArray = field(converter=names, factory=lambda: names([]))
    node: IntArray = field(converter=ints, factory=lambda: ints([]))
    return_node: IntArray = field(converter=ints, factory=lambda: ints([]))
    conductor: IntArray = field(converter=ints, factory=lambda: ints([]))
    pt_ratio: FloatArray = field(converter=floats, factory=lambda: floats([]))
    ct_primary_a: FloatArray = field(converter=floats, factory=lambda: floats([]))
    compensation_v: ComplexArray = field(converter=complexes, factory=lambda: complexes([]))
    low_v: FloatArray = field(converter=floats, factory=lambda: floats([]))
    high_v: FloatArray = field(converter=floats, factory=lambda: floats([]))

    def sensed_v(self, node_v: ComplexArray, conductor_a: ComplexArray) -> FloatArray:
        """What each control senses in one state, V of the control, shape (regulator,).

        Args:
            node_v: Node voltages, V, shape (node,).
            conductor_a: Currents into the equipment, A, shape (conductor,).
        """
        back = np.where(self.return_node >= 0, node_v[self.return_node], 0.0)
        own = (node_v[self.node] - back) / self.pt_ratio
        amps = np.where(self.conductor >= 0, conductor_a[self.conductor], 0.0)
        # The current counts into the equipment, so that the drop towards the load is added.
        return np.asarray(np.abs(own + self.compensation_v * amps / self.ct_primary_a))

    def beyond_v(self, sensed_v: FloatArray) -> FloatArray:
        """How far each control is out of its band, V of the control; negative within, shape (regulator,)."""
        return np.maximum(self.low_v - sensed_v, sensed_v - self.high_v)


@frozen(kw_only=True)
class Origin:
    """Where a network came from, enough for a worker to open the engine again.

    Attributes:
        source: The network source that loaded it; picklable.
        feeder: Name of the feeder.
        content_hash: SHA-256 of the model after loading and of the files that the study names.
    """

    source: Any
    feeder: str
    content_hash: str


@frozen(kw_only=True, eq=False)
class Network(_ByContent):
    """A feeder, engine-free and picklable.

    Attributes:
        feeder: Name in the study.
        frequency_hz: Base frequency of the model as loaded.
        origin: How to open the engine again; left out of comparisons.
        findings: What was noticed while loading.
    """

    feeder: str
    frequency_hz: float
    buses: Buses
    nodes: Nodes
    equipment: Equipment
    conductors: Conductors
    injectors: Injectors
    customers: Customers
    groups: Groups
    hv_locations: HvLocations = field(factory=HvLocations)
    regulators: Regulators = field(factory=Regulators)
    findings: tuple[Finding, ...] = ()
    origin: Origin | None = field(default=None, eq=False)

    @cached_property
    def node_lv(self) -> BoolArray:
        """Whether each node is LV."""
        return self.buses.lv[self.nodes.bus]

    def node_names(self, which: Sequence[int] | IntArray) -> list[str]:
        """``bus.number`` of some nodes; the name of its bus for one that is a whole balanced bus."""
        names_of, numbers = self.buses.name[self.nodes.bus[which]], self.nodes.number[which]
        return [
            str(name) if number == BALANCED else f"{name}.{number}"
            for name, number in zip(names_of, numbers, strict=True)
        ]


def phase_code(numbers: Sequence[int]) -> str:
    """Letters of node numbers, in order: (1, 3) is ``AC``; neutrals have none."""
    return "".join(PHASE_LETTERS[n] for n in sorted(set(numbers)) if n in PHASE_LETTERS)
