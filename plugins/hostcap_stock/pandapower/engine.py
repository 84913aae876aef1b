"""The only place that calls pandapower's power flow: states of one net, each from given voltages."""

# The package is an extra, which is not where types are checked.
# pyright: reportMissingImports=false

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import numpy as np
from attrs import frozen

from hostcap._arrays import ComplexArray, FloatArray, sums
from hostcap.errors import ModelError, NotConvergedError
from hostcap.topology import live_nodes
from hostcap_stock.pandapower.drawn import Drawn
from hostcap_stock.pandapower.matrices import (
    PHASES_OF_SEQUENCES,
    Circuit,
    Places,
    SequenceNetwork,
    build_circuit,
    terminal_amps,
)
from hostcap_stock.pandapower.network import Feeder
from hostcap_stock.pandapower.reading import NetTables, open_net

MISMATCH_MVA = 1e-9
"""Newton's iteration goes on until no bus is further off its power; far below any tolerance of voltages."""
_INJECTING = ("load", "sgen", "storage", "asymmetric_load", "asymmetric_sgen")
_RECYCLED = {"bus_pq": True, "gen": False, "trafo": False, "Ybus": True}


@frozen(kw_only=True, eq=False)
class Solved:
    """One state as the engine left it.

    Attributes:
        node_v: V, shape (node,); nan where the engine found nothing.
        iterations: What it took.
    """

    node_v: ComplexArray
    iterations: int

    @property
    def good(self) -> bool:
        """Whether there are voltages."""
        return bool(np.isfinite(self.node_v).all())


def make_engine(net: NetTables, feeder: Feeder, *, max_iterations: int) -> Engine:
    """The engine that serves a net."""
    kind = ThreePhaseEngine if feeder.three_phase else BalancedEngine
    return kind(net, feeder, max_iterations=max_iterations)


class Engine(ABC):
    """A net of pandapower in which nothing injects but what a state draws (and wards and motors, as they are)."""

    def __init__(self, net: NetTables, feeder: Feeder, *, max_iterations: int) -> None:
        """Open the net; nothing is solved."""
        self.feeder, self._most = feeder, max_iterations
        self.net = open_net(net)
        for name in _INJECTING:
            self.net[name] = self.net[name].iloc[:0].copy()
        self._terminal_bus = np.concatenate([b.bus.ravel() for b in feeder.branches.carriers]).astype(np.int32)
        self._places: Places | None = None
        self._kept: list[FloatArray] = []
        self._shunt_now = np.zeros((2, 0))
        with _quiet():
            self._add_shunts()
            self._add_carriers()

    # What the two kinds of power flow differ in

    @abstractmethod
    def _add_carriers(self) -> None:
        """Add the elements that carry what a state draws."""

    @abstractmethod
    def _write_powers(self, drawn: Drawn) -> None:
        """Let the carriers draw."""

    @abstractmethod
    def _run(self, *, afresh: bool) -> None:
        """Solve; afresh builds the engine's matrices, else it goes on from the voltages in its arrays."""

    @abstractmethod
    def _voltages(self) -> ComplexArray:
        """Per unit, of the solver's buses, shape (sequence, solver bus)."""

    @abstractmethod
    def _arrays(self) -> list[dict[str, Any]]:
        """The solver's arrays, one set for each sequence; the positive one leads or is the second."""

    @abstractmethod
    def _phases(self, sequences: ComplexArray) -> ComplexArray:
        """Values of phases from those of sequences, shape (phase, n)."""

    @abstractmethod
    def _iterations(self) -> int:
        """Iterations of the last run."""

    # States

    def start(self, drawn: Drawn) -> Solved:
        """Solve the start, from flat, and keep its voltages for every other state.

        Raises:
            NotConvergedError: There is no solution.
            ModelError: Nothing is fed, or pandapower refuses the net.
        """
        self._refuse_sources_alone()
        self._write(drawn)
        self._must_run()
        self._places = self._find_places()
        solved = self._read()
        if not solved.good:
            raise NotConvergedError("the start has no finite voltages; check the net's impedances and vn_kv")
        self.keep()
        return solved

    def keep(self) -> None:
        """Every state starts from the present voltages from here on."""
        from pandapower.pypower.idx_bus import VA, VM

        size = self.places.kv.size
        self._kept = [arrays["bus"][:size, [VM, VA]].copy() for arrays in self._arrays()]

    def solve(self, drawn: Drawn, *, onwards: bool = False) -> Solved:
        """Solve one state from the kept voltages, or onwards from where the last one ended."""
        from pandapower.powerflow import LoadflowNotConverged
        from pandapower.pypower.idx_bus import VA, VM

        try:
            with _quiet():
                if self._write(drawn):
                    self._run(afresh=True)
                if not onwards:
                    for arrays, kept in zip(self._arrays(), self._kept, strict=True):
                        # Behind them are buses out of service, or none: the library drops them as it likes.
                        arrays["bus"][: len(kept), [VM, VA]] = kept
                self._run(afresh=False)
        except (LoadflowNotConverged, ArithmeticError, RuntimeError, np.linalg.LinAlgError):
            return Solved(node_v=np.full(self.feeder.network.nodes.bus.size, np.nan + 0j), iterations=self._most)
        return self._read()

    def _refuse_sources_alone(self) -> None:
        """Without a bus beside those of the sources there is nothing to solve, and the library stumbles over it."""
        feeder = self.feeder
        live = feeder.network.nodes.live[:: 3 if feeder.three_phase else 1]
        same = feeder.branches.same
        held = live_nodes(live.size, same[:, 0], same[:, 1], feeder.sources)
        if not np.any(live & ~held):
            raise ModelError("no bus but those of the sources is fed; close switches, or put elements in service")

    def _must_run(self) -> None:
        from pandapower.powerflow import LoadflowNotConverged

        try:
            with _quiet():
                self._run(afresh=True)
        except LoadflowNotConverged:
            raise NotConvergedError(
                f"the start does not converge in {self._most} iterations of pandapower; check loads, impedances and "
                "vn_kv",
                iterations=self._most,
            ) from None
        except Exception as error:
            words = " ".join(str(error).split())[:300]
            raise ModelError(f"pandapower refuses the net: {type(error).__name__}: {words}") from error

    def _write(self, drawn: Drawn) -> bool:
        """Let the carriers draw; whether the engine's matrices must be built again for it."""
        self._write_powers(drawn)
        own = self._shunt_bus
        now = np.stack([drawn.shunt_kw[own], drawn.shunt_kvar[own]])
        if np.array_equal(now, self._shunt_now):
            return False
        self._shunt_now = now
        self.net.shunt.loc[self._shunt_row, "p_mw"] = now[0] / 1000.0
        self.net.shunt.loc[self._shunt_row, "q_mvar"] = now[1] / 1000.0
        return True

    def _add_shunts(self) -> None:
        """A shunt at each bus with a load that is partly a constant impedance."""
        from pandapower import create_shunt

        elements = self.feeder.elements
        own = elements.injector[(elements.z_kw != 0.0) | (elements.z_kvar != 0.0)]
        self._shunt_bus = np.unique(elements.bus[own]).astype(np.int32)
        at = self.feeder.bus_index[self._shunt_bus]
        self._shunt_row = [int(create_shunt(self.net, int(bus), q_mvar=0.0, p_mw=0.0)) for bus in at]
        self._shunt_now = np.zeros((2, self._shunt_bus.size))

    # Reading

    @property
    def places(self) -> Places:
        """Where the network's buses and terminals are in the solver's arrays, known once the start is solved."""
        if self._places is None:
            raise AssertionError("the start comes first")
        return self._places

    def _read(self) -> Solved:
        places = self.places
        at = np.maximum(places.bus, 0)
        volts = self._voltages()[:, at] * places.volts[at]
        volts[:, places.bus < 0] = 0.0
        return Solved(node_v=np.ascontiguousarray(self._phases(volts).T.ravel()), iterations=self._iterations())

    def conductor_a(self) -> ComplexArray:
        """Currents of the state just solved, A, shape (conductor,), by the engine's own branches."""
        amps = terminal_amps(self.places, self._terminal_bus, three_phase=self.feeder.three_phase)
        flows = [own @ v * amps for own, v in zip(self._terminals, self._voltages(), strict=True)]
        return np.ascontiguousarray(self._phases(np.asarray(flows)).T.ravel())

    @cached_property
    def _terminals(self) -> list[Any]:
        return [sequence.terminals(self.places) for sequence in self._sequences()]

    def _sequences(self) -> list[SequenceNetwork]:
        """Sequence networks as the engine built them, without the shunts that stand for loads."""
        from scipy.sparse import coo_array, csr_array

        at = self.places.bus[self._shunt_bus]
        alive = at >= 0
        base_kva = self.places.base_mva * 1000.0 * (3.0 if self.feeder.three_phase else 1.0)
        siemens = (self._shunt_now[0] - 1j * self._shunt_now[1])[alive] / base_kva
        found = []
        for arrays in self._arrays():
            own = arrays["internal"]
            loads = coo_array((siemens, (at[alive], at[alive])), shape=own["Ybus"].shape)
            found.append(SequenceNetwork(y=csr_array(own["Ybus"]) - csr_array(loads), near=own["Yf"], far=own["Yt"]))
        return found

    @cached_property
    def circuit(self) -> Circuit:
        """The net without what injects, over the network's nodes."""
        return build_circuit(self._sequences(), self.places, self._terminal_bus)

    def _positive(self) -> int:
        return 1 if self.feeder.three_phase else 0

    def _find_places(self) -> Places:
        from pandapower.pypower.idx_bus import BASE_KV

        feeder, arrays = self.feeder, self._arrays()[self._positive()]
        lookup = self.net["_pd2ppc_lookups"]
        live = feeder.network.nodes.live[:: 3 if feeder.three_phase else 1]
        buses = np.where(live, lookup["bus"][feeder.bus_index], -1)
        on = arrays["internal"]["branch_is"].astype(bool)
        solver_row = np.where(on, np.cumsum(on) - 1, -1)
        size = int(arrays["internal"]["Ybus"].shape[0])
        rows, far = [np.empty(0, dtype=np.int64)], [np.empty(0, dtype=bool)]
        for branch in feeder.branches.carriers:
            if not branch.position.size:
                continue
            first, last = lookup["branch"][branch.table]
            ends = branch.bus.shape[1]
            # Two ends of one branch; or three branches in blocks, of which the first begins at its bus, the others at
            # the star point.
            each = (last - first) // 3 if ends == 3 else 0
            row = first + branch.position[:, None] + each * np.arange(ends)[None, :]
            alive = branch.closed & live[branch.bus]
            rows.append(np.where(alive, solver_row[row], -1).ravel())
            far.append(np.broadcast_to(np.arange(ends) > 0, row.shape).ravel())
        held = np.unique(buses[feeder.sources])
        return Places(
            bus=buses,
            row=np.concatenate(rows),
            far=np.concatenate(far),
            kv=arrays["bus"][:size, BASE_KV].real,
            base_mva=float(self.net.sn_mva),
            held=held,
            held_pu=self._voltages()[self._positive()][held],
        )


class BalancedEngine(Engine):
    """``runpp``: one load at each bus carries what a state draws there."""

    def _add_carriers(self) -> None:
        from pandapower import create_loads

        create_loads(self.net, self.feeder.bus_index, p_mw=0.0)

    def _write_powers(self, drawn: Drawn) -> None:
        self.net.load["p_mw"] = drawn.wye_kw / 1000.0
        self.net.load["q_mvar"] = drawn.wye_kvar / 1000.0

    def hold_generators(self) -> None:
        """Generators no longer keep their voltage: what they do is drawn like all else."""
        if len(self.net.gen):
            self.net.gen["in_service"] &= self.net.gen["slack"].astype(bool)

    def solve_with_generators(self, drawn: Drawn) -> dict[int, tuple[float, float]]:
        """What each generator injects where it keeps its voltage, kW and kvar by its number.

        Raises:
            NotConvergedError: There is no solution.
        """
        self._write(drawn)
        self._extract = True
        self._must_run()
        self._extract = False
        found = self.net.res_gen
        return {int(i): (float(found.p_mw.at[i]) * 1000.0, float(found.q_mvar.at[i]) * 1000.0) for i in found.index}

    def others(self, drawn: Drawn) -> tuple[FloatArray, FloatArray]:
        """What wards and motors draw beside the carriers, kW and kvar, each of shape (bus,)."""
        from pandapower.pypower.idx_bus import PD, QD

        places = self.places
        live = np.flatnonzero(places.bus >= 0)
        _, first = np.unique(places.bus[live], return_index=True)
        found = []
        for column, own in ((PD, drawn.wye_kw), (QD, drawn.wye_kvar)):
            total = self._arrays()[0]["bus"][:, column].real * 1000.0
            rest = total - sums(places.bus[live], own[live], total.size)
            kw = np.zeros(self.feeder.bus_index.size)
            kw[live[first]] = rest[places.bus[live[first]]]
            found.append(np.where(np.abs(kw) < 1e-9, 0.0, kw))
        return found[0], found[1]

    _extract = False

    def _run(self, *, afresh: bool) -> None:
        from pandapower import runpp

        runpp(
            self.net,
            algorithm="nr",
            calculate_voltage_angles=True,
            max_iteration=self._most,
            tolerance_mva=MISMATCH_MVA,
            trafo_model="t",
            voltage_depend_loads=False,
            only_v_results=not self._extract,
            lightsim2grid=False,
            recycle=None if afresh else _RECYCLED,
        )

    def _voltages(self) -> ComplexArray:
        return np.asarray(self.net["_ppc"]["internal"]["V"], dtype=np.complex128)[None, :]

    def _arrays(self) -> list[dict[str, Any]]:
        return [self.net["_ppc"]]

    def _phases(self, sequences: ComplexArray) -> ComplexArray:
        return sequences

    def _iterations(self) -> int:
        return int(self.net["_ppc"]["iterations"])


class ThreePhaseEngine(Engine):
    """``runpp_3ph``: at each bus one load between phases and ground, and one between phases where something is."""

    def _add_carriers(self) -> None:
        import pandas as pd
        from pandapower import create_asymmetric_load

        elements, nodes = self.feeder.elements, self.feeder.network.nodes
        between = elements.node_a[elements.node_b >= 0]
        self._delta_bus = np.unique(nodes.bus[between]).astype(np.int32)
        buses = np.concatenate([self.feeder.bus_index, self.feeder.bus_index[self._delta_bus]])
        # One is made by the library, which knows all columns; the others are copies of it at other buses.
        create_asymmetric_load(self.net, int(buses[0]), type="wye")
        first = self.net.asymmetric_load
        table = pd.concat([first] * buses.size, ignore_index=True).astype(first.dtypes)
        table["bus"] = buses.astype(first["bus"].dtype)
        table.loc[self.feeder.bus_index.size :, "type"] = "delta"
        self.net.asymmetric_load = table

    def _write_powers(self, drawn: Drawn) -> None:
        table = self.net.asymmetric_load
        for name, wye, delta in (
            ("p_{}_mw", drawn.wye_kw, drawn.delta_kw),
            ("q_{}_mvar", drawn.wye_kvar, drawn.delta_kvar),
        ):
            phases = np.concatenate([wye.reshape(-1, 3), delta.reshape(-1, 3)[self._delta_bus]]) / 1000.0
            for k, letter in enumerate("abc"):
                table[name.format(letter)] = phases[:, k]

    def _run(self, *, afresh: bool) -> None:
        from pandapower.pf.runpp_3ph import runpp_3ph

        if afresh:
            # The library keeps its matrices only where it was told to, and takes old ones where there are any.
            for sequence in range(3):
                self.net[f"_ppc{sequence}"] = None
        runpp_3ph(
            self.net,
            init="auto" if afresh else "results",
            max_iteration=self._most,
            tolerance_mva=MISMATCH_MVA,
            recycle=_RECYCLED,
        )

    def _voltages(self) -> ComplexArray:
        from pandapower.pypower.idx_bus import VA, VM

        buses = [arrays["bus"] for arrays in self._arrays()]
        size = int(self._arrays()[1]["internal"]["Ybus"].shape[0])
        return np.stack([bus[:size, VM] * np.exp(1j * np.deg2rad(bus[:size, VA])) for bus in buses])

    def _arrays(self) -> list[dict[str, Any]]:
        return [self.net[f"_ppc{sequence}"] for sequence in range(3)]

    def _phases(self, sequences: ComplexArray) -> ComplexArray:
        return np.asarray(PHASES_OF_SEQUENCES @ sequences, dtype=np.complex128)

    def _iterations(self) -> int:
        return 1


@contextmanager
def _quiet() -> Iterator[None]:
    """The library warns of its own use of pandas and of singular matrices; what matters is said by its results."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
