"""Sums over traced periods: of a period, a day, a month, a year, of everything; their memory does not grow with time.

Rows and columns are places in one index of names, as branches and nodes come and go between periods.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import numpy as np
from attrs import define, field, fields, frozen

from hostcap._arrays import FloatArray, IntArray, ints
from hostcap.flows import FailedPeriod, FlowNetwork
from hostcap.tracing import MixedRows, ShareRows, Trace, TraceBalance
from hostcap_stock.trace.kernel import add_block, add_mixed, add_rows

MEANS = tuple(a.name for a in fields(TraceBalance) if a.name.endswith("_mw") and a.name != "mismatch_mw")
"""What of a balance is a mean; the rest are extremes."""
BLOCKS = ("branch_up", "branch_down", "station_up", "station_down", "pair_up", "pair_down", "own")
"""Sums by row and column, MW times minutes; ``own`` has a row for what nodes supply and one for what they take."""
ROOM = 64
"""Names that blocks have room for beyond those met; places without a name stay 0."""
HELD = 16
"""Networks whose places are remembered; a few topologies come again and again within a day."""


class Names:
    """Names in the order first met."""

    def __init__(self) -> None:
        self.listed: list[str] = []
        self._place: dict[str, int] = {}

    def places(self, names: Iterable[str]) -> IntArray:
        """Place of each name; new ones are put at the end."""
        found = []
        for name in names:
            place = self._place.get(name)
            if place is None:
                place = self._place[name] = len(self.listed)
                self.listed.append(name)
            found.append(place)
        return ints(found)

    def array(self) -> np.ndarray[Any, Any]:
        """The names, object array."""
        array = np.empty(len(self.listed), dtype=object)
        array[:] = self.listed
        return array


@frozen(eq=False)
class _Places:
    network: FlowNetwork
    branch: IntArray
    station: IntArray
    node: np.ndarray[Any, Any]


class Index:
    """Names of branches, stations and nodes over a whole run, and where those of a network are."""

    def __init__(self) -> None:
        self.branch, self.station, self.node = Names(), Names(), Names()
        self._held: dict[int, _Places] = {}

    def of(self, network: FlowNetwork) -> _Places:
        """Places of a network's branches and stations; nodes get theirs when they are users."""
        held = self._held.get(id(network))
        if held is None or held.network is not network:
            if len(self._held) >= HELD:
                del self._held[next(iter(self._held))]
            held = self._held[id(network)] = _Places(
                network,
                self.branch.places(network.branch.tolist()),
                self.station.places(network.stations.tolist()),
                np.full(network.node.size, -1, dtype=np.int32),
            )
        return held

    def users(self, places: _Places, user: IntArray) -> IntArray:
        """Places of users, which are index into the network's nodes."""
        found = places.node[user]
        if found.size and found.min() < 0:
            new = user[found < 0]
            places.node[new] = self.node.places(places.network.node[new].tolist())
            found = places.node[user]
        found.setflags(write=False)
        return ints(found)

    @property
    def size(self) -> tuple[int, int, int]:
        """Number of branches, stations and nodes met so far."""
        return len(self.branch.listed), len(self.station.listed), len(self.node.listed)

    @property
    def shapes(self) -> dict[str, tuple[int, int]]:
        """Shape of each block by the names met so far."""
        branches, stations, nodes = self.size
        rows = {"branch": branches, "station": stations, "pair": nodes}
        return {block: (2 if block == "own" else rows[block.partition("_")[0]], nodes) for block in BLOCKS}


@define(eq=False)
class Sums:
    """Sums of one interval.

    Attributes:
        used, failed: Periods in the sums, and left out.
        minutes: Weight of the sums: length of the periods used.
        end: End of the last period, UTC.
        blocks: Sums by name of ``BLOCKS``, MW times minutes.
        balance: Sums of ``MEANS``, MW times minutes.
        mismatch_mw, mismatch_bus, islands: Extremes.
        cycles: Periods with a directed cycle.
        fitted: Size of the index that the blocks were last made for.
    """

    index: Index
    used: int = 0
    failed: int = 0
    minutes: float = 0.0
    weight: float = 0.0
    end: datetime | None = None
    blocks: dict[str, FloatArray] = field(factory=dict)
    balance: FloatArray = field(factory=lambda: np.zeros(len(MEANS)))
    mismatch_mw: float = 0.0
    mismatch_bus: str = ""
    islands: int = 0
    cycles: int = 0
    fitted: tuple[int, int, int] = (0, 0, 0)

    def cleared(self) -> Sums:
        """Empty sums in the memory of these, which are then of no more use: handing out fresh memory is slow."""
        for values in self.blocks.values():
            values.fill(0.0)
        return Sums(self.index, blocks=self.blocks)

    def add(self, trace: Trace) -> None:
        """Add a traced period."""
        places = self.index.of(trace.network)
        up, down = (self.index.users(places, shares.user) for shares in (trace.up, trace.down))
        station_up, station_down = (
            users if shares.station_user is shares.user else self.index.users(places, shares.station_user)
            for users, shares in ((up, trace.up), (down, trace.down))
        )
        self._fit()
        minutes, blocks = trace.period.minutes, self.blocks
        for block, row, column, rows in (
            ("branch_up", places.branch, up, trace.up.branch_parts),
            ("branch_down", places.branch, down, trace.down.branch_parts),
            ("station_up", places.station, station_up, trace.up.station_parts),
            ("station_down", places.station, station_down, trace.down.station_parts),
        ):
            _add(blocks[block], row, column, rows, minutes)
        if isinstance(trace.up_pairs, MixedRows):
            _add(blocks["pair_up"], down, up, trace.up_pairs, minutes, transposed=True)
        else:
            add_block(blocks["pair_up"], up, down, trace.up_pairs, minutes)
        if isinstance(trace.down_pairs, MixedRows):
            _add(blocks["pair_down"], up, down, trace.down_pairs, minutes)
        else:
            add_block(blocks["pair_down"], up, down, trace.down_pairs, minutes)
        blocks["own"][0, up] += minutes * trace.up.user_mw
        blocks["own"][1, down] += minutes * trace.down.user_mw
        balance = trace.balance
        self.balance += minutes * np.array([getattr(balance, name) for name in MEANS])
        self._extremes(balance.mismatch_mw, balance.mismatch_bus, balance.islands, int(bool(balance.cycle)))
        self._count(1, 0, minutes, minutes, trace.period.end)

    def add_failed(self, period: FailedPeriod) -> None:
        """Count a period that failed."""
        self._count(0, 1, 0.0, 0.0, period.end)

    def merge(self, other: Sums, *, as_one: bool, last_use: bool = False) -> None:
        """Add the sums of a part.

        Args:
            other: The part.
            as_one: Its mean weighs 1, whatever its length; else it weighs the length of its periods.
            last_use: ``other`` is of no more use, so that its memory may be taken over.
        """
        if other.used and last_use and not as_one and not self.blocks:
            self.blocks, other.blocks = other.blocks, {}
            self.fitted, other.fitted = other.fitted, (0, 0, 0)
        elif other.used:
            self._fit()
            scale = 1.0 / other.weight if as_one else 1.0
            for block, (rows, columns) in self.index.shapes.items():
                part = other.blocks[block][:rows, :columns]
                self.blocks[block][: part.shape[0], : part.shape[1]] += scale * part
        if other.used:
            self.balance += (1.0 / other.weight if as_one else 1.0) * other.balance
            self._extremes(other.mismatch_mw, other.mismatch_bus, other.islands, other.cycles)
        weight = (1.0 if other.used else 0.0) if as_one else other.weight
        self._count(other.used, other.failed, other.minutes, weight, other.end)

    def mean(self, block: str) -> FloatArray:
        """Means of a block, MW; empty where no period was used."""
        if not self.used:
            return np.zeros((0, 0))
        rows, columns = self.index.shapes[block]
        mean: FloatArray = self.blocks[block][:rows, :columns] / self.weight
        return mean

    def means(self) -> dict[str, float]:
        """Means of the balance, MW; nan where no period was used."""
        values = self.balance / self.weight if self.used else np.full(len(MEANS), np.nan)
        return dict(zip(MEANS, values.tolist(), strict=True))

    def _count(self, used: int, failed: int, minutes: float, weight: float, end: datetime | None) -> None:
        self.used += used
        self.failed += failed
        self.minutes += minutes
        self.weight += weight
        if end is not None and (self.end is None or end > self.end):
            self.end = end

    def _extremes(self, mismatch_mw: float, bus: str, islands: int, cycles: int) -> None:
        if abs(mismatch_mw) > abs(self.mismatch_mw) or not self.mismatch_bus:
            self.mismatch_mw, self.mismatch_bus = mismatch_mw, bus
        self.islands = max(self.islands, islands)
        self.cycles += cycles

    def _fit(self) -> None:
        """Make the blocks large enough for the index, with room for more names, so that they seldom grow."""
        if self.fitted == self.index.size and self.blocks:
            return
        self.fitted = self.index.size
        for block, (rows, columns) in self.index.shapes.items():
            held = self.blocks.get(block)
            if held is not None and held.shape[0] >= rows and held.shape[1] >= columns:
                continue
            self.blocks[block] = np.zeros((rows + ROOM, columns + ROOM))
            if held is not None:
                self.blocks[block][: held.shape[0], : held.shape[1]] = held


def _add(
    total: FloatArray,
    row: IntArray,
    column: IntArray,
    rows: ShareRows | MixedRows,
    weight: float,
    *,
    transposed: bool = False,
) -> None:
    """Add rows, whose rows and columns are at these places of ``total``."""
    if isinstance(rows, ShareRows):
        add_rows(total, row, column, rows.first, rows.column, rows.mw, weight)
        return
    base = rows.base
    add_mixed(
        total,
        transposed,
        row,
        column,
        weight,
        rows.column,
        rows.target,
        rows.source,
        rows.factor,
        rows.cell_row,
        rows.cell_column,
        rows.cell_mw,
        base.first,
        base.column,
        base.mw,
    )


def state_of(sums: Sums) -> dict[str, Any]:
    """Sums as arrays and plain values, sparse, that a later run can take up; names stand for places."""
    index = sums.index
    state: dict[str, Any] = {
        "names": {kind: getattr(index, kind).listed for kind in ("branch", "station", "node")},
        "plain": {
            "used": sums.used,
            "failed": sums.failed,
            "minutes": sums.minutes,
            "weight": sums.weight,
            "end": None if sums.end is None else sums.end.isoformat(),
            "mismatch_mw": sums.mismatch_mw,
            "mismatch_bus": sums.mismatch_bus,
            "islands": sums.islands,
            "cycles": sums.cycles,
            "balance": sums.balance.tolist(),
        },
        "blocks": {},
    }
    for block, values in sums.blocks.items():
        row, column = np.nonzero(values)
        state["blocks"][block] = (row.astype(np.int32), column.astype(np.int32), values[row, column])
    return state


def sums_of(state: dict[str, Any], index: Index) -> Sums:
    """Sums back from ``state_of``, in the places of another index."""
    places = {kind: getattr(index, kind).places(names) for kind, names in state["names"].items()}
    plain = dict(state["plain"])
    end, balance = plain.pop("end"), plain.pop("balance")
    sums = Sums(index, **plain, end=None if end is None else datetime.fromisoformat(end), balance=np.array(balance))
    if sums.used:
        sums._fit()
    for block, (row, column, values) in state["blocks"].items():
        kind = block.partition("_")[0]
        rows = row if kind == "own" else places["node" if kind == "pair" else kind][row]
        sums.blocks[block][rows, places["node"][column]] = values
    return sums
