"""The equations of each mode as factors along branches, and their two ways of solving.

Source: tracing method, section 3. Upstream a branch is reached from its sending bus, downstream from its receiving bus.
``passed`` is the part of a bus's row that goes on to the next bus (the matrix T), ``shared`` the part that is the share
of the branch, ``local`` the part of one MW taken (upstream) or supplied (downstream) at the bus.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from attrs import frozen

from hostcap._arrays import FloatArray, IntArray
from hostcap.tracing import ZERO_MW, DirectedFlows, MixedRows, ShareRows
from hostcap_stock.bialek.config import Mode
from hostcap_stock.bialek.kernel import Long, leaving, sweep
from hostcap_stock.bialek.rows import BusRows, done, rows

Direction = Literal["up", "down"]


@frozen(kw_only=True, eq=False)
class Equations:
    """One direction of one period.

    Attributes:
        tail, head: Bus that each branch is reached from, and leads to, shape (branch,).
        passed, shared: Factors of the tail's row, shape (branch,).
        local: Factor of the row of a bus for what is taken or supplied there, shape (bus,).
        upstream: Whether the users are those who supply.
    """

    tail: IntArray
    head: IntArray
    passed: FloatArray
    shared: FloatArray
    local: FloatArray
    upstream: bool

    def swept(self, order: Long, row_bus: IntArray, of_row: IntArray, row_mw: FloatArray, users: int) -> BusRows:
        """Rows of buses by the sweep; ``order`` is upstream's.

        Args:
            order: Buses in topological order.
            row_bus: Bus of each row of what users put in.
            of_row: User of each row; -1 is none.
            row_mw: MW of each row.
            users: Number of users.
        """
        first_in, in_branch = leaving(self.head, self.passed, order.size)
        source, part, first, column, mw = sweep(
            order, not self.upstream, first_in, in_branch, self.tail, self.passed, row_bus, of_row, row_mw, users
        )
        done(source, part)
        return BusRows(rows=rows(first, column, mw, users), source=source, part=part)

    def solved(self, row_bus: IntArray, of_row: IntArray, row_mw: FloatArray, users: int) -> BusRows:
        """The same by a sparse LU of ``I - T`` with all users at once; no order is needed.

        Raises:
            RuntimeError: The matrix is singular.
        """
        from scipy.sparse import csc_array, eye_array
        from scipy.sparse.linalg import splu

        size = self.local.size
        injected = np.zeros((size, users))
        given = of_row >= 0
        np.add.at(injected, (row_bus[given], of_row[given]), row_mw[given])
        live = np.flatnonzero(self.passed)
        transfer = csc_array((self.passed[live], (self.head[live], self.tail[live])), shape=(size, size))
        factor = splu(csc_array(eye_array(size) - transfer))
        return BusRows.of(ShareRows.of(factor.solve(injected)))

    def branches(self, bus: BusRows) -> MixedRows:
        """Rows of branches from those of buses."""
        return bus.mixed(self.tail, self.shared)


def equations(flows: DirectedFlows, mode: Mode, direction: Direction) -> Equations:
    """Factors of a mode; where nothing flows through a bus, nothing is shared (1/D counts as 0)."""
    by_in, by_out = _inverse(flows.in_mw), _inverse(flows.out_mw)
    sent, received, send, receive = flows.sent_mw, flows.received_mw, flows.send, flows.receive
    if direction == "up":
        local = by_out if mode == "balanced" else by_in
        shared = sent * local[send]
        passed = received * local[send] if mode == "actual" else shared
        return Equations(tail=send, head=receive, passed=passed, shared=shared, local=local, upstream=True)
    # The original divides the matrix by what leaves, and the shares by what comes.
    local = by_in if mode in ("balanced", "compat") else by_out
    shared = received * local[receive]
    passed = {"actual": sent, "compat": received}.get(mode, received) * (
        by_out[receive] if mode == "compat" else local[receive]
    )
    return Equations(tail=receive, head=send, passed=passed, shared=shared, local=local, upstream=False)


def _inverse(mw: FloatArray) -> FloatArray:
    inverse: FloatArray = np.divide(1.0, mw, out=np.zeros_like(mw), where=mw >= ZERO_MW)
    return inverse
