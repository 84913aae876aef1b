"""Lay a network, its growth and its limits out as the kernels read them."""

from __future__ import annotations

from typing import Any

import numpy as np
from attrs import evolve, frozen

from hostcap._arrays import BoolArray, ComplexArray, FloatArray, IntArray
from hostcap.errors import ModelError
from hostcap.growth import Growth
from hostcap.limits import LimitSet
from hostcap.linear import CONSTANT_IMPEDANCE, LinearNetwork, Ports, growth_ports
from hostcap_stock.batched.checks import Watched
from hostcap_stock.batched.equations import Rows, iteration_admittance
from hostcap_stock.batched.factor import Factor, factorise
from hostcap_stock.batched.kernel import Iteration
from hostcap_stock.batched.laws import Laws
from hostcap_stock.batched.paths import Paths, amplification, paths_of
from hostcap_stock.batched.reducing import Checks, Forms
from hostcap_stock.batched.shared import Shared, pairs

START_MISFIT_PU = 1e-5
"""One iteration from the start must not move a live node further: else the model is not what the engine solved."""


@frozen(kw_only=True, eq=False)
class Layout:
    """All that the kernels read, and what a plan needs beside.

    Attributes:
        iteration: The fixed point.
        amplification: How much further than a path node any other live node can move, per unit.
        checks: The linear limits; empty where some limit is not linear.
        nodes, conductors: Forms of the full solution.
        segment_group, segment_family: Of each segment of checks.
        levels: Rows of levels.
    """

    iteration: Iteration
    amplification: float
    checks: Checks
    nodes: Forms
    conductors: Forms
    segment_group: IntArray
    segment_family: IntArray
    levels: int


@frozen(kw_only=True, eq=False)
class Drawing:
    """Ports and the rows of levels that multiply their kW and kvar.

    Attributes:
        ports: What draws.
        injected: Admittance that injects at level 1, S, shape (port,).
        active, reactive: Row of levels of each port's kW and kvar; -1 for a base load at its own power, whose
            rated impedance is in the matrix.
    """

    ports: Ports
    injected: ComplexArray
    active: IntArray
    reactive: IntArray


def growth_drawing(linear: LinearNetwork, growth: Growth) -> tuple[list[Drawing], int]:
    """Base loads beside what grows, and how many rows of levels there are: one for each scope."""
    grown = growth_ports(growth)
    scope = growth.scope[grown.injector]
    # What a port draws leaves its node: with the sign turned it is injected.
    added = Drawing(ports=grown, injected=-grown.siemens, active=scope, reactive=scope)
    return [_at_own_power(linear.base), added], growth.scope_count + 1


def injection_drawing(linear: LinearNetwork) -> tuple[list[Drawing], int]:
    """Injectors in place of the base loads, and how many rows of levels: kW and kvar of each, and a one."""
    base, given, count = linear.base, linear.injecting, linear.injector_count
    replaced = base.chosen(base.injector >= 0)
    # The rated impedance of a base load stays in the matrix; injecting what it draws takes it out again.
    impedance = evolve(replaced, model=np.full(len(replaced), CONSTANT_IMPEDANCE))
    one = np.full(len(replaced), 2 * count, dtype=np.int32)
    return [
        _at_own_power(base.chosen(base.injector < 0)),
        Drawing(ports=impedance, injected=replaced.siemens, active=one, reactive=one),
        Drawing(ports=given, injected=given.siemens, active=given.injector, reactive=given.injector + count),
    ], 2 * count + 1


def _at_own_power(base: Ports) -> Drawing:
    none = np.full(len(base), -1, dtype=np.int32)
    return Drawing(ports=base, injected=-base.siemens, active=none, reactive=none)


def lay_out(
    linear: LinearNetwork,
    growth: Growth | None,
    limits: LimitSet,
    *,
    fused: bool,
    shared: Shared | None = None,
) -> Layout:
    """Order, factorise and arrange.

    Args:
        linear: The network.
        growth: What grows beside the base loads; None where injections take their place.
        limits: What is watched.
        fused: Check limits in the kernel; False lays none out.
        shared: What another start of the feeder has found already.

    Raises:
        ModelError: The admittance has no inverse, or does not reproduce the start.
    """
    drawing, levels = injection_drawing(linear) if growth is None else growth_drawing(linear, growth)
    ends = np.concatenate([getattr(d.ports, side) for d in drawing for side in ("node_a", "node_b")])
    shared = shared or Shared()
    matrix = iteration_admittance(linear)
    admittance = Rows.of(matrix)
    injecting = np.unique(ends[ends >= 0])
    orderings = shared.orderings(admittance.ptr, admittance.column, injecting)
    factors = [factorise(matrix, each) for each in orderings]
    found = [(f, paths_of(o, f, injecting)) for o, f in zip(orderings, factors, strict=True)]
    factor, paths = min(found, key=lambda each: _products(*each))
    _check_start(linear, factor)
    idle_v = _idle_voltages(linear, admittance, factor)
    row = np.empty(linear.node_count, dtype=np.int32)
    row[factor.node] = paths.row
    watched = shared.watched(limits, linear) if fused else Watched.nothing()

    def forms(name: str, matrix: Rows) -> Forms:
        column, value = shared.arrays(name, matrix, row)
        return Forms(ptr=matrix.ptr, column=column, value=value, fixed=pairs(_fixed(matrix, idle_v)))

    arrangement = shared.arrangement(watched, row, lambda: _moved(drawing[-1], factor, idle_v))
    idle_of_row = np.empty_like(idle_v)
    idle_of_row[row] = idle_v
    checks = arrangement.at(_fixed(watched.rows, idle_v), idle_of_row)
    return Layout(
        iteration=_iteration(linear, drawing, paths, factor, row, idle_v),
        amplification=amplification(factor, paths, np.where(linear.live, linear.nominal_v, np.inf)),
        checks=checks,
        nodes=forms("nodes", shared.nodes(linear.node_count)),
        conductors=forms("conductors", shared.conductors(linear)),
        segment_group=watched.segment_group,
        segment_family=watched.segment_family,
        levels=levels,
    )


def _check_start(linear: LinearNetwork, factor: Factor) -> None:
    base = linear.base
    start_v = base.voltage_v(linear.start_v)
    drawn = base.drawn_a(start_v) - base.siemens * start_v
    injected = linear.source_a.copy()
    for node, sign in ((base.node_a, -1.0), (base.node_b, 1.0)):
        np.add.at(injected, node[node >= 0], sign * drawn[node >= 0])
    moved = np.where(linear.live, np.abs(factor.solve(injected) - linear.start_v) / linear.nominal_v, 0.0)
    worst = float(np.max(moved, initial=0.0))
    if not worst <= START_MISFIT_PU:
        raise ModelError(
            f"solver 'batched' does not reproduce the engine's start: node {int(np.argmax(moved))} differs by "
            f'{worst:.3g} pu (expected <= {START_MISFIT_PU:g}); set solver.plugin = "opendss"'
        )


def _idle_voltages(linear: LinearNetwork, admittance: Rows, factor: Factor) -> Any:
    """Voltages without any injection, refined in extended precision, clongdouble, shape (node,).

    Jumpers of 1e7 S beside service lines cost nine digits; the sources' part, which is nearly all of a voltage, gets
    them back here once. Where long double is no wider than double, the refinement does no harm.
    """
    value = admittance.value.astype(np.clongdouble)
    idle = factor.solve(linear.source_a).astype(np.clongdouble)
    for _ in range(3):
        residual = linear.source_a - np.add.reduceat(value * idle[admittance.column], admittance.ptr[:-1])
        idle = idle + factor.solve(residual.astype(np.complex128))
    return idle


def _fixed(matrix: Rows, idle_v: Any) -> Any:
    """Value of each row of a matrix over nodes without injection, in extended precision."""
    products = matrix.value.astype(np.clongdouble) * idle_v[matrix.column]
    filled = np.diff(matrix.ptr) > 0
    fixed = np.zeros(matrix.ptr.size - 1, dtype=np.clongdouble)
    if np.any(filled):
        fixed[filled] = np.add.reduceat(products, matrix.ptr[:-1][filled])
    return fixed


def _moved(drawing: Drawing, factor: Factor, idle_v: Any) -> ComplexArray:
    """Change of every node's voltage when all that grows injects one step, to first order: where limits will be met."""
    ports, grounded = drawing.ports, np.append(idle_v, 0).astype(np.complex128)
    current = drawing.injected.real * (grounded[ports.node_a] - grounded[ports.node_b])
    injected = np.zeros(idle_v.size + 1, np.complex128)
    np.add.at(injected, ports.node_a, current)
    np.add.at(injected, ports.node_b, -current)
    return factor.solve(injected[:-1])


def _iteration(
    linear: LinearNetwork,
    drawing: list[Drawing],
    paths: Paths,
    factor: Factor,
    row: IntArray,
    idle_v: Any,
) -> Iteration:
    parts = _Parts(drawing, row)
    rows, count = linear.node_count, paths.count
    inject = _inject(parts, count)
    lower = _rows(factor.lower_ptr, factor.lower, -factor.lower_value, paths.row, count, columns=count)
    upper = _rows(factor.upper_ptr, factor.upper, -factor.upper_value, paths.row, rows, columns=rows)
    own = _rows(factor.own_ptr, factor.own, factor.own_value, paths.row, rows, columns=count)
    general_lower, passed = _apart(lower)
    general_upper, followed = _apart(upper)
    node_of_row = np.empty(rows, np.int32)
    node_of_row[row] = np.arange(rows)
    path_node = node_of_row[:count]
    grounded = np.append(idle_v, 0)
    held = np.append(node_of_row, -1)
    port_v = grounded[held[parts.port_a]] - grounded[held[parts.port_b]]
    laws = parts.laws
    return Iteration(
        rows=rows,
        path_rows=count,
        port_a=parts.port_a,
        port_b=parts.port_b,
        port_v=pairs(port_v),
        part_ptr=parts.part_ptr,
        part_active=parts.active,
        part_reactive=parts.reactive,
        part_siemens=pairs(parts.siemens),
        part_per_v2=parts.per_v2,
        part_law=parts.law,
        law_model=laws.model,
        law=laws.numbers.ravel(),
        fit_first=laws.fit_first,
        fit_terms=laws.fit_terms,
        fit_band=laws.fit_band.ravel(),
        fit=laws.fit,
        inject_ptr=inject[0],
        inject_port=inject[1],
        inject_sign=inject[2],
        lower_ptr=general_lower.ptr,
        lower=general_lower.column,
        lower_value=pairs(general_lower.value),
        passed_ptr=passed.ptr,
        passed=passed.column,
        own_ptr=own.ptr,
        own=own.column,
        own_value=pairs(own.value),
        three=_last_of_three(own, count),
        upper_ptr=general_upper.ptr,
        upper=general_upper.column,
        upper_value=pairs(general_upper.value),
        followed_ptr=followed.ptr,
        followed=followed.column,
        weight=np.where(linear.live[path_node], 1.0 / linear.nominal_v[path_node] ** 2, 0.0),
        start=pairs(linear.start_v[path_node] - idle_v[path_node]),
    )


class _Parts:
    """All that draws, joined where it hangs on the same two nodes."""

    def __init__(self, drawing: list[Drawing], row: IntArray) -> None:
        """Join; ports and parts are in the order of the first node's row, so that memory is read in order."""
        rows = np.append(row, -1)
        a, b = (rows[np.concatenate([getattr(d.ports, n) for d in drawing])] for n in ("node_a", "node_b"))
        order = np.lexsort((np.arange(a.size), b, a))
        a, b = a[order], b[order]
        first = np.ones(a.size, dtype=bool)
        first[1:] = (np.diff(a) != 0) | (np.diff(b) != 0)
        starts = np.flatnonzero(first)
        base_v = np.concatenate([d.ports.base_v for d in drawing])
        self.laws = Laws.of(*(d.ports for d in drawing))
        self.port_a, self.port_b = a[starts].astype(np.int32), b[starts].astype(np.int32)
        self.part_ptr = np.append(starts, a.size).astype(np.int32)
        self.active = np.concatenate([d.active for d in drawing])[order].astype(np.int32)
        self.reactive = np.concatenate([d.reactive for d in drawing])[order].astype(np.int32)
        self.siemens: ComplexArray = np.concatenate([d.injected for d in drawing])[order]
        self.per_v2 = 1.0 / base_v[order] ** 2
        self.law = self.laws.of_port[order].astype(np.int32)


def _inject(parts: _Parts, paths: int) -> tuple[IntArray, IntArray, FloatArray]:
    """Ports of each path row, and whether their current enters (1) or leaves (-1) there."""
    count = parts.port_a.size
    row = np.concatenate([parts.port_a, parts.port_b])
    port = np.concatenate([np.arange(count), np.arange(count)])
    sign = np.concatenate([np.ones(count), -np.ones(count)])
    kept = row >= 0
    row, port, sign = row[kept], port[kept], sign[kept]
    order = np.lexsort((port, row))
    pointer = np.searchsorted(row[order], np.arange(paths + 1))
    return pointer.astype(np.int32), port[order].astype(np.int32), sign[order]


def _rows(ptr: IntArray, index: IntArray, value: ComplexArray, row: IntArray, rows: int, *, columns: int) -> Rows:
    """Entries of a factor by the kernels' rows, columns below ``columns`` alone."""
    from scipy.sparse import coo_array, csr_array

    step = np.repeat(np.arange(ptr.size - 1), np.diff(ptr))
    where_row, where_column = row[step], row[index]
    kept = (where_row < rows) & (where_column < columns) & (value != 0)
    entries = (value[kept], (where_row[kept], where_column[kept]))
    return Rows.of(csr_array(coo_array(entries, shape=(rows, columns))))


def _apart(rows: Rows) -> tuple[Rows, Rows]:
    """Entries that multiply, and those that are one and only add."""
    row = np.repeat(np.arange(rows.ptr.size - 1), np.diff(rows.ptr))
    one = rows.value == 1.0

    def only(which: BoolArray) -> Rows:
        counts = np.bincount(row[which], minlength=rows.ptr.size - 1)
        ptr = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
        return Rows(ptr, rows.column[which], rows.value[which])

    return only(~one), only(one)


def _last_of_three(own: Rows, count: int) -> BoolArray:
    """Path rows that end a block of three: rows i - 2 to i of its inverse are full, and at these very columns."""
    last = np.zeros(count, dtype=bool)
    full = np.diff(own.ptr)[:count] == 3
    begin = own.ptr[:count]
    for place in np.flatnonzero(full).tolist():
        if place < 2 or last[place - 1] or last[place - 2]:
            continue
        rows = (place - 2, place - 1, place)
        last[place] = all(full[r] and own.column[begin[r]] == place - 2 for r in rows)
    return last


def _products(factor: Factor, paths: Paths) -> int:
    """Complex products of one iteration; an addition counts a third."""
    on_path = paths.row < paths.count
    total = 0
    for ptr, value, weigh in (
        (factor.lower_ptr, factor.lower_value, True),
        (factor.upper_ptr, factor.upper_value, True),
        (factor.own_ptr, factor.own_value, False),
    ):
        mine = np.repeat(on_path, np.diff(ptr))
        cheap = (value == -1.0) & weigh
        total += 3 * int(np.sum(mine & ~cheap)) + int(np.sum(mine & cheap))
    return total
