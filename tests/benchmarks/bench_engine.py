"""Three ways to use OpenDSS from Python, bare: what hostcap's batched solver is measured against.

Each solves the same states with the model's own load elements as carriers of the growth, so that the engine has no more
elements than the model; writes them, solves, reads every node voltage and every branch current, and compares both with
their limits. The engine goes on from its last solution and stops at its default tolerance, as a user would have it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from bench_feeders import Side

from hostcap.growth import Growth
from hostcap.network import Network
from hostcap_stock.opendss.frozen import FrozenOpenDss

DEFAULT_TOLERANCE, TIGHT_TOLERANCE = 1e-4, 1e-9


class Usage:
    """What the three usages share: the model, where things are, the limits."""

    name = ""
    writes_all = False
    tolerance = DEFAULT_TOLERANCE

    def __init__(
        self, start: FrozenOpenDss, growth: Growth, volts: Side, amps: Side, *, tolerance: float | None = None
    ) -> None:
        """Take over the engine of a frozen network.

        Args:
            start: The network at its start, without load.
            growth: What grows; its points have the names of the model's loads.
            volts: Voltages to watch.
            amps: Currents to watch.
            tolerance: The engine's own; the usage's unless given.
        """
        self.dss: Any = start.engine().dss
        self.growth, self.volts, self.amps = growth, volts, amps
        network = start.network
        self.group_count = len(network.groups)
        self.loads = [str(name) for name in growth.name]
        law = growth.law
        for load in self.loads:
            self.dss.Text.Command(
                f"edit load.{load} model=1 status=fixed vminpu={law.vmin_pu} vmaxpu={law.vmax_pu} "
                f"vlowpu={law.vlow_pu} kw=0 kvar=0"
            )
        self.dss.Text.Command("set mode=snapshot controlmode=off maxiterations=100")
        self.dss.Text.Command(f"set tolerance={tolerance or self.tolerance!r}")
        self.dss.Solution.Solve()
        self.arrays: Any = self.dss.to_dss_python()
        self.arrays.AdvancedTypes = False
        self._find(network)
        self.kw = np.zeros(len(self.loads))
        self.kvar = np.zeros(len(self.loads))
        self.iterations = 0

    def _find(self, network: Network) -> None:
        """Where nodes, conductors and loads are in the engine's lists."""
        slot = {name.lower(): i for i, name in enumerate(self.dss.Circuit.YNodeOrder())}
        node = np.array([slot[n.lower()] for n in network.node_names(range(network.nodes.bus.size))])
        elements = self.dss.PDElements
        width = np.array(elements.AllNumTerminals()) * np.array(elements.AllNumConductors())
        first = dict(
            zip((n.lower() for n in elements.AllNames()), np.concatenate([[0], np.cumsum(width)[:-1]]), strict=True)
        )
        equipment, of = network.equipment, network.conductors.equipment
        self.elements = [f"{k}.{n}".lower() for k, n in zip(equipment.kind, equipment.name, strict=True)]
        begins = np.searchsorted(of, np.arange(len(self.elements)))
        own = np.array([first[name] for name in self.elements])
        place = own[of] + np.arange(of.size) - begins[of]
        self.node_slot, self.current_place = node, place
        self.volt_slot, self.amp_place = node[self.volts.place], place[self.amps.place]
        index = {name.lower(): i + 1 for i, name in enumerate(self.dss.Loads.AllNames())}
        self.load_index = [index[name.lower()] for name in self.loads]

    def restart(self) -> None:
        """Back to no load at all, so that every run of a search begins alike."""
        self.set_all(np.zeros(len(self.loads)), np.zeros(len(self.loads)))
        self.solve()

    def set_all(self, kw: Any, kvar: Any) -> None:
        """Write what changed."""
        changed = np.arange(kw.size) if self.writes_all else np.flatnonzero((kw != self.kw) | (kvar != self.kvar))
        self.write(changed, kw, kvar)
        self.kw, self.kvar = kw, kvar

    def write(self, changed: Any, kw: Any, kvar: Any) -> None:
        """Write kW and kvar of some loads."""
        raise NotImplementedError

    def read(self) -> tuple[Any, Any]:
        """Magnitudes of all watched voltages, V, and currents, A."""
        raise NotImplementedError

    def solve(self) -> bool:
        """One solve, from the last solution on."""
        self.dss.Solution.Solve()
        return bool(self.dss.Solution.Converged())

    def state(self, levels: Any) -> tuple[bool, Any]:
        """Set, solve, read, check: whether solved, and which groups have a broken limit, group 0 = feeder."""
        steps = levels[self.growth.scope]
        self.set_all(-steps * self.growth.p_kw, -steps * self.growth.q_kvar)
        solved = self.solve()
        volts, amps = self.read()
        broken = np.zeros(self.group_count + 1, dtype=bool)
        for side, values in ((self.volts, volts), (self.amps, amps)):
            broken[side.group[(values > side.high) | (values < side.low)]] = True
        return solved, broken

    def node_v(self) -> Any:
        """Complex voltages in the network's order, for comparison, V."""
        return np.asarray(self.arrays.ActiveCircuit.YNodeVarray).view(np.complex128)[self.node_slot]


class Bulk(Usage):
    """The fastest documented use: ``Loads.kW`` and ``kvar``, ``Solve``, bulk reads as numpy arrays."""

    name = "bulk API"

    def write(self, changed: Any, kw: Any, kvar: Any) -> None:
        loads = self.dss.Loads
        if changed.size == len(self.loads) == loads.Count() and self.load_index == sorted(self.load_index):
            loads.First()  # walking is a little faster than addressing
            for p, q in zip(kw.tolist(), kvar.tolist(), strict=True):
                loads.kW(p)
                loads.kvar(q)
                loads.Next()
            return
        index = self.load_index
        for place, p, q in zip(changed.tolist(), kw[changed].tolist(), kvar[changed].tolist(), strict=True):
            loads.Idx(index[place])
            loads.kW(p)
            loads.kvar(q)

    def read(self) -> tuple[Any, Any]:
        circuit = self.arrays.ActiveCircuit
        volts = np.asarray(circuit.YNodeVarray).view(np.complex128)
        amps = np.asarray(circuit.PDElements.AllCurrents).view(np.complex128)
        return np.abs(volts[self.volt_slot]), np.abs(amps[self.amp_place])


class Pointers(Bulk):
    """As ``Bulk``, but all loads are written by one call on their pointers, which OpenDSSDirect does not document."""

    name = "bulk API, pointer writes"

    def __init__(self, *args: Any, **settings: Any) -> None:
        """Fetch the pointers."""
        super().__init__(*args, **settings)
        util = self.dss._api_util
        self._ffi, self._raw, ctx = util.ffi, util.lib_unpatched, util.ctx
        found = []
        for index in self.load_index:
            self.dss.Loads.Idx(index)
            found.append(int(self._ffi.cast("uintptr_t", self._raw.ctx_Loads_Get_Pointer(ctx))))
        self._pointers = np.array(found, dtype=np.uint64)
        names = {name.lower(): i + 1 for i, name in enumerate(self.dss.Element.AllPropertyNames())}
        self._kw, self._kvar = names["kw"], names["kvar"]

    def write(self, changed: Any, kw: Any, kvar: Any) -> None:
        pointers = np.ascontiguousarray(self._pointers[changed])
        batch = self._ffi.cast("void**", self._ffi.from_buffer(pointers))
        for number, values in ((self._kw, kw), (self._kvar, kvar)):
            data = self._ffi.from_buffer("double[]", np.ascontiguousarray(values[changed], dtype=np.float64))
            self._raw.Batch_Float64Array(batch, pointers.size, number, 0, data, 2)  # set, without a rebuild of Y


class Script(Usage):
    """The usual script: a text command per load, and a loop over elements for their currents."""

    name = "usual script"
    writes_all = True

    def __init__(self, start: FrozenOpenDss, *args: Any, **settings: Any) -> None:
        """Find nodes in the order of ``AllBusVMag``, which is that of buses."""
        super().__init__(start, *args, **settings)
        slot = {name.lower(): i for i, name in enumerate(self.dss.Circuit.AllNodeNames())}
        names = start.network.node_names(self.volts.place)
        self.volt_slot = np.array([slot[name.lower()] for name in names])

    def write(self, changed: Any, kw: Any, kvar: Any) -> None:
        command = self.dss.Text.Command
        for load, p, q in zip(self.loads, kw.tolist(), kvar.tolist(), strict=True):
            command(f"edit load.{load} kw={p} kvar={q}")

    def read(self) -> tuple[Any, Any]:
        circuit, element = self.dss.Circuit, self.dss.CktElement
        volts = np.array(circuit.AllBusVMag())
        found: list[float] = []
        for name in self.elements:
            circuit.SetActiveElement(name)
            found += element.CurrentsMagAng()[::2]
        return volts[self.volt_slot], np.array(found)[self.amps.place]


USAGES: tuple[type[Usage], ...] = (Script, Bulk, Pointers)
