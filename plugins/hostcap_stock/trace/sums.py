"""Sums over traced periods: of a period, a day, a month, a year, of everything; their memory does not grow with time.

Rows and columns are places in one index of names, as branches and nodes come and go between periods. A block is an
array, or scattered cells where there are so many rows and columns that most cells stay 0.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from operator import attrgetter
from typing import Any

import numpy as np
from attrs import define, field, fields, frozen

from hostcap._arrays import FloatArray, IntArray, ints
from hostcap.flows import FailedPeriod, FlowNetwork, PerNetwork
from hostcap.tracing import MixedRows, ShareRows, Shares, Trace, TraceBalance
from hostcap_stock.trace.kernel import LANES, add_entries, add_rows, add_way, entries, known, side_by_side
from hostcap_stock.trace.scattered import WIDE, Scattered

Block = FloatArray | Scattered
MEANS = tuple(a.name for a in fields(TraceBalance) if a.name.endswith("_mw") and a.name != "mismatch_mw")
"""What of a balance is a mean; the rest are extremes."""
_MEANS_OF = attrgetter(*MEANS)
SIDES = {
    "branch_up": ("branch", "supplier"),
    "branch_down": ("branch", "taker"),
    "station_up": ("station", "supplier"),
    "station_down": ("station", "taker"),
    "pair_up": ("taker", "supplier"),
    "pair_down": ("supplier", "taker"),
    "own_up": ("", "supplier"),
    "own_down": ("", "taker"),
}
"""Names of the rows and columns of each sum, MW times minutes; ``own`` has one row, what suppliers and takers have."""
BLOCKS = tuple(SIDES)
KINDS = ("branch", "station", "supplier", "taker")
ROOM = 64
"""Names that blocks have room for beyond those met; places without a name stay 0."""


class Names:
    """Names in the order first met."""

    def __init__(self) -> None:
        self.listed: list[str] = []
        self._place: dict[str, int] = {}
        self._array: np.ndarray[Any, Any] = np.empty(0, dtype=object)

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
        if self._array.size < len(self.listed):
            self._array = np.array(self.listed, dtype=object)
        return self._array


@frozen(eq=False)
class _Places:
    """Places of a network's branches and stations, and columns of its nodes by direction, -1 for none so far."""

    network: FlowNetwork
    branch: IntArray
    station: IntArray
    up: IntArray
    down: IntArray


class Index:
    """Names of branches, stations, suppliers and takers over a whole run, and where those of a network are."""

    def __init__(self) -> None:
        self.branch, self.station, self.supplier, self.taker = Names(), Names(), Names(), Names()
        self._places = PerNetwork(self._placed)

    def of(self, network: FlowNetwork) -> _Places:
        """Places of a network's branches and stations; nodes get their columns when they are users."""
        return self._places.of(network)

    def _placed(self, network: FlowNetwork) -> _Places:
        return _Places(
            network,
            self.branch.places(network.branch.tolist()),
            self.station.places(network.stations.tolist()),
            np.full(network.node.size, -1, dtype=np.int32),
            np.full(network.node.size, -1, dtype=np.int32),
        )

    def place(self, places: _Places, trace: Trace) -> None:
        """Give all users of a trace columns; new ones that share branches get columns side by side."""
        up, down = trace.up, trace.down
        if known(places.up, up.user, up.station_user, places.down, down.user, down.station_user):
            return
        for names, column, shares in ((self.supplier, places.up, up), (self.taker, places.down, down)):
            for user in (shares.user, shares.station_user):
                if np.all(column[user] >= 0):
                    continue
                parts = shares.branch_parts
                if user is shares.user and isinstance(parts, MixedRows):
                    near = parts.column[side_by_side(parts.base.first, parts.base.column, parts.column.size)]
                    near = near[near >= 0]
                    user = user[near[np.sort(np.unique(near, return_index=True)[1])]]
                new = user[column[user] < 0]
                column[new] = names.places(places.network.node[new].tolist())

    @property
    def size(self) -> tuple[int, int, int, int]:
        """Number of branches, stations, suppliers and takers met so far."""
        return tuple(len(getattr(self, kind).listed) for kind in KINDS)  # type: ignore[return-value]

    @property
    def shapes(self) -> dict[str, tuple[int, int]]:
        """Shape of each block by the names met so far."""
        sizes = {"": 1, **dict(zip(KINDS, self.size, strict=True))}
        return {block: (sizes[row], sizes[column]) for block, (row, column) in SIDES.items()}


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
    blocks: dict[str, Block] = field(factory=dict)
    balance: FloatArray = field(factory=lambda: np.zeros(len(MEANS)))
    mismatch_mw: float = 0.0
    mismatch_bus: str = ""
    islands: int = 0
    cycles: int = 0
    fitted: tuple[int, ...] = ()
    _entries: dict[str, tuple[IntArray, IntArray, FloatArray]] = field(factory=dict, init=False)

    def cleared(self) -> Sums:
        """Empty sums in the memory of these, which are then of no more use: handing out fresh memory is slow."""
        for values in self.blocks.values():
            if isinstance(values, Scattered):
                values.clear()
            else:
                values.fill(0.0)
        return Sums(self.index, blocks=self.blocks)

    def add(self, trace: Trace) -> None:
        """Add a traced period."""
        self._entries.clear()
        places = self.index.of(trace.network)
        self.index.place(places, trace)
        self._fit()
        minutes = trace.period.minutes
        up, down = (trace.up, places.up), (trace.down, places.down)
        # Rows of pairs are those of the other side.
        from_up = trace.up_pairs if isinstance(trace.up_pairs, MixedRows) else trace.up_pairs.T
        for way, one, other, pairs in (("up", up, down, from_up), ("down", down, up, trace.down_pairs)):
            totals = tuple(self.blocks[f"{kind}_{way}"] for kind in ("branch", "station", "pair", "own"))
            _add(totals, minutes, places, *one, *other, pairs)
        balance = trace.balance
        self.balance += minutes * np.array(_MEANS_OF(balance))
        self._extremes(balance.mismatch_mw, balance.mismatch_bus, balance.islands, int(bool(balance.cycle)))
        self._count(1, 0, minutes, minutes, trace.period.end)

    def add_failed(self, period: FailedPeriod) -> None:
        """Count a period that failed."""
        self._count(0, 1, 0.0, 0.0, period.end)

    def merge(self, other: Sums, *, as_one: bool, shares: bool = True, last_use: bool = False) -> None:
        """Add the sums of a part.

        Args:
            other: The part.
            as_one: Its mean weighs 1, whatever its length; else it weighs the length of its periods.
            shares: Add shares as well as counts and the balance.
            last_use: ``other`` is of no more use, so that its memory may be taken over.
        """
        self._entries.clear()
        if other.used and last_use and not as_one and not self.blocks:
            self.blocks, other.blocks = other.blocks, {}
            self.fitted, other.fitted = other.fitted, ()
        elif other.used and shares:
            self._fit()
            scale = 1.0 / other.weight if as_one else 1.0
            for block, total in self.blocks.items():
                row, column, value = other.entries(block)
                if isinstance(total, Scattered):
                    total.add(row, column, scale * value)
                else:
                    add_entries(total, row, column, value, scale)
        if other.used:
            self.balance += (1.0 / other.weight if as_one else 1.0) * other.balance
            self._extremes(other.mismatch_mw, other.mismatch_bus, other.islands, other.cycles)
        weight = (1.0 if other.used else 0.0) if as_one else other.weight
        self._count(other.used, other.failed, other.minutes, weight, other.end)

    def mean(self, block: str) -> FloatArray:
        """Means of a block as an array, MW; pairs by supplier and taker; empty where no period was used."""
        if not self.used:
            return np.zeros((0, 0))
        rows, columns = self.index.shapes[block]
        held = self.blocks[block]
        values = held.dense(rows, columns) if isinstance(held, Scattered) else held[:rows, :columns]
        mean: FloatArray = values / self.weight
        return mean.T if block == "pair_up" else mean

    def cells(self, block: str) -> tuple[IntArray, IntArray, FloatArray]:
        """Means of a block that are not 0 by row and column, MW, shape (cell,); pairs by supplier and taker."""
        row, column, value = self.entries(block)
        if block == "pair_up":
            order = np.lexsort((row, column))
            row, column, value = ints(column[order]), ints(row[order]), value[order]
        return row, column, value / self.weight if self.used else value

    def entries(self, block: str) -> tuple[IntArray, IntArray, FloatArray]:
        """What of a block is not 0 by row and column, MW times minutes; kept until something is added."""
        found = self._entries.get(block)
        if found is None:
            held = self.blocks.get(block)
            if isinstance(held, Scattered):
                return held.cells()
            if held is None or not self.used:
                found = entries(np.zeros((0, 0)), 0, 0)
            else:
                rows, columns = self.index.shapes[block]
                found = entries(held, min(rows, held.shape[0]), min(columns, held.shape[1]))
            self._entries[block] = found
        return found

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
            if isinstance(held, Scattered):
                continue
            if rows * columns > WIDE:
                self.blocks[block] = Scattered() if held is None else Scattered.of(held)
                continue
            if held is not None and held.shape[0] >= rows and held.shape[1] >= columns:
                continue
            # An odd number of blocks: rows that stand a power of 2 apart would share few places of the cache.
            wide = (columns + ROOM + LANES - 1) // LANES | 1
            made = np.zeros((rows + ROOM if rows > 1 else rows, wide * LANES))
            if held is not None:
                made[: held.shape[0], : held.shape[1]] = held
            self.blocks[block] = made


def _add(
    totals: tuple[Block, ...],
    weight: float,
    places: _Places,
    shares: Shares,
    column: IntArray,
    others: Shares,
    other_column: IntArray,
    pairs: MixedRows | FloatArray,
) -> None:
    """Add one direction of a trace: at once where everything is parts of one set of rows, as it is made otherwise."""
    branch, station = shares.branch_parts, shares.station_parts
    if (
        isinstance(branch, MixedRows)
        and isinstance(station, MixedRows)
        and isinstance(pairs, MixedRows)
        and branch.base is station.base is pairs.base
        and branch.column is pairs.column
        and not branch.cell_row.size + pairs.cell_row.size
        and not any(isinstance(total, Scattered) for total in totals)
    ):
        base = branch.base
        add_way(
            totals,
            weight,
            (column, shares.user, shares.user_mw, shares.station_user),
            (base.first, base.column, base.mw),
            (places.branch, branch.column, branch.target, branch.source, branch.factor),
            (places.station, station.column, station.target, station.source, station.factor),
            (station.cell_row, station.cell_column, station.cell_mw),
            (others.user, other_column, pairs.target, pairs.source, pairs.factor),
            station.column is branch.column and shares.station_user is shares.user,
        )
        return
    made = pairs.rows if isinstance(pairs, MixedRows) else ShareRows.of(pairs)
    user, at_station = column[shares.user], column[shares.station_user]
    rows_of = (places.branch, places.station, other_column[others.user])
    for total, row, at, rows in zip(
        totals, rows_of, (user, at_station, user), (shares.branch, shares.station, made), strict=False
    ):
        if isinstance(total, Scattered):
            total.add(np.repeat(row, np.diff(rows.first)), at[rows.column], weight * rows.mw)
        else:
            add_rows(total, row, at, rows.first, rows.column, rows.mw, weight)
    own = totals[-1]
    if isinstance(own, Scattered):
        own.add(np.zeros_like(user), user, weight * shares.user_mw)
    else:
        own[0, user] += weight * shares.user_mw


def state_of(sums: Sums) -> dict[str, Any]:
    """Sums as arrays and plain values, sparse, that a later run can take up; names stand for places."""
    index = sums.index
    state: dict[str, Any] = {
        "names": {kind: getattr(index, kind).listed for kind in KINDS},
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
    for block in sums.blocks if sums.used else ():
        state["blocks"][block] = sums.entries(block)
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
        of_row, of_column = SIDES[block]
        row, column, held = places[of_row][row] if of_row else row, places[of_column][column], sums.blocks[block]
        if isinstance(held, Scattered):
            held.add(row, column, values)
        else:
            held[row, column] = values
    return sums
