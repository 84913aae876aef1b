"""What is watched: limits as rows over voltages and currents, and their reduction to extremes and violations.

A row has a value in its own unit, and an upper limit, a lower limit, or both. One *check* is one side of one
row. Broken means beyond the limit by more than ``BROKEN`` of its scale; the scale is |limit| unless stated.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np
from attrs import field, fields, frozen

from hostcap._arrays import (
    BoolArray,
    ComplexArray,
    FloatArray,
    IntArray,
    NameArray,
    complexes,
    floats,
    ints,
    names,
)
from hostcap._limit_checks import check_places
from hostcap.errors import ConfigError, HostcapError, PluginError
from hostcap.network import _ByContent
from hostcap.solution import Solution

if TYPE_CHECKING:
    from scipy.sparse import csr_array

    from hostcap.network import Network
    from hostcap.plugins.kinds import Constraint

BROKEN = 1e-6
"""Relative excess above which a limit is broken."""
NEAR_TIE = 1e-5
"""Relative margin within which a deciding value is called a near-tie."""
VOLTAGE_HIGH, VOLTAGE_LOW, THERMAL = "voltage-high", "voltage-low", "thermal"
METRIC_ORDER = (VOLTAGE_HIGH, VOLTAGE_LOW, THERMAL)
"""Order in which equal violations are ranked; other metrics follow by name."""


@frozen(kw_only=True, eq=False)
class RowLabels(_ByContent):
    """What each row is about, all of shape (row,).

    Attributes:
        equipment: Name of the bus, line or transformer.
        equipment_type: ``Bus``, ``Line`` or ``Transformer``.
        terminal: Terminal or winding; 0 for a bus.
        phase: ``A``, ``B``, ``C``, two letters, ``ABC``, or ``N``.
        unit: Unit of the row's value, such as ``V``, ``pu``, ``A``.
        group: Group that the row belongs to; 0 for the feeder.
        v_base_v: Nominal line-to-line voltage at the place, V.
    """

    equipment: NameArray = field(converter=names)
    equipment_type: NameArray = field(converter=names)
    terminal: IntArray = field(converter=ints)
    phase: NameArray = field(converter=names)
    unit: NameArray = field(converter=names)
    group: IntArray = field(converter=ints)
    v_base_v: FloatArray = field(converter=floats)


@frozen(kw_only=True, eq=False)
class LinearLimits(_ByContent):
    """Rows ``abs(a . V + b . I)``, sparse over nodes and conductors, in the row's unit.

    Attributes:
        labels: What each row is about.
        node_ptr, node_index, node_coefficient: CSR of ``a``: per V, complex, ``node_ptr`` of shape (row + 1,).
        conductor_ptr, conductor_index, conductor_coefficient: CSR of ``b``: per A.
        lower, upper: Limits in the row's unit; nan or infinite where there is none.
        metric_low, metric_high: Names of the two kinds of violation (the *families* of ``Extremes``).
        scale: What excess is measured in; |limit| where nan.
        description: The limits in one line, for tables and people.
    """

    labels: RowLabels
    node_ptr: IntArray = field(converter=ints)
    node_index: IntArray = field(converter=ints)
    node_coefficient: ComplexArray = field(converter=complexes)
    conductor_ptr: IntArray = field(converter=ints)
    conductor_index: IntArray = field(converter=ints)
    conductor_coefficient: ComplexArray = field(converter=complexes)
    lower: FloatArray = field(converter=floats)
    upper: FloatArray = field(converter=floats)
    metric_low: str
    metric_high: str
    scale: FloatArray | None = field(default=None)
    description: str = ""


@runtime_checkable
class Measure(Protocol):
    """A limit that is no linear form: ratios, changes from the start. Values may be negative.

    Attributes:
        labels, lower, upper, metric_low, metric_high, scale, description: As in ``LinearLimits``.
        needs: What ``evaluate`` reads: ``nodes`` (voltages), ``branches`` (currents), ``start``.
    """

    @property
    def labels(self) -> RowLabels:
        """What each row is about."""
        ...

    @property
    def lower(self) -> FloatArray:
        """Lower limits; nan where there is none."""
        ...

    @property
    def upper(self) -> FloatArray:
        """Upper limits; nan where there is none."""
        ...

    @property
    def metric_low(self) -> str:
        """Name of a violation of a lower limit."""
        ...

    @property
    def metric_high(self) -> str:
        """Name of a violation of an upper limit."""
        ...

    @property
    def scale(self) -> FloatArray | None:
        """What excess is measured in; None for the limits themselves."""
        ...

    @property
    def description(self) -> str:
        """The limits in one line."""
        ...

    @property
    def needs(self) -> frozenset[str]:
        """What ``evaluate`` reads."""
        ...

    def evaluate(self, solution: Solution, start: Solution | None) -> FloatArray:
        """Values of every row, float64, shape (state, row), in the rows' units; a nan is not broken."""
        ...


Limits = LinearLimits | Measure


def stated(constraints: Iterable[Constraint], network: Network) -> list[Limits]:
    """What constraints state on a feeder, in their order.

    Raises:
        PluginError: What one of them returns are no limits, or points beyond the feeder.
    """
    found: list[Limits] = []
    for constraint in constraints:
        of = f"{type(constraint).__name__}.limits"
        if not callable(getattr(constraint, "limits", None)):
            raise PluginError(f"{_a(constraint)} stands for a constraint, but has no method limits(network)")
        given = constraint.limits(network)
        if not isinstance(given, Sequence):
            raise PluginError(f"{of} returned {_a(given)}; a list is expected, empty where nothing is watched")
        for limit in given:
            if not isinstance(limit, LinearLimits | Measure):
                lacks = [name for name in _MEASURE if not hasattr(limit, name)]
                raise PluginError(
                    f"{of} returned a list with {_a(limit)}; LinearLimits (as node_rows and conductor_rows make them) "
                    f"or a Measure is expected, and it lacks {', '.join(lacks)}"
                )
            check_places(of, limit, network)
        found += given
    return found


_MEASURE = ("labels", "lower", "upper", "metric_low", "metric_high", "scale", "description", "needs", "evaluate")
_NEEDS = frozenset({"nodes", "branches", "start"})


def _a(thing: object) -> str:
    return "nothing (None)" if thing is None else f"an object of type {type(thing).__name__}"


def _check(limit: Limits) -> None:
    """Refuse a limit whose arrays do not fit together: rows would be passed over, or mixed up."""
    of, size = type(limit).__name__, np.size(limit.lower)
    arrays = {f"labels.{column.name}": getattr(limit.labels, column.name) for column in fields(RowLabels)}
    arrays |= {"lower": limit.lower, "upper": limit.upper}
    if limit.scale is not None:
        arrays["scale"] = limit.scale
    for name, values in arrays.items():
        if np.shape(values) != (size,) or not isinstance(values, np.ndarray):
            raise PluginError(
                f"{of}.{name} ({limit.description}): an array of shape ({size},) is expected, one entry for each "
                f"row of lower, got {_shape(values)}"
            )
    if not isinstance(limit, LinearLimits) and not _NEEDS.issuperset(limit.needs):
        wrong = ", ".join(sorted(map(str, set(limit.needs) - _NEEDS)))
        raise PluginError(f"{of}.needs ({limit.description}): expected some of nodes, branches, start, got {wrong}")


def _shape(values: object) -> str:
    return f"shape {values.shape}" if isinstance(values, np.ndarray) else _a(values)


@frozen(kw_only=True, eq=False)
class Extremes(_ByContent):
    """The tightest row of each state, group and family.

    Attributes:
        margin: Smallest (limit - value) / scale, signed so that negative is beyond the limit; inf where a group
            has no row of the family; nan for diverged states; shape (state, group, family), group 0 = feeder.
        row: Row of the limit set that it belongs to; -1 where there is none, same shape.
        families: Names of the families.
    """

    margin: FloatArray = field(converter=floats)
    row: IntArray = field(converter=ints)
    families: tuple[str, ...]

    @property
    def broken(self) -> BoolArray:
        """Whether any limit of a group is broken, shape (state, group)."""
        result: BoolArray = np.any(self.margin < -BROKEN, axis=2)
        return result


@frozen(kw_only=True, eq=False)
class Violations(_ByContent):
    """Every broken limit of some states, sorted by state, then by rank: the worst first.

    Rank: relative excess rounded to 1e-6, largest first; ties by metric, equipment, terminal, phase.

    Attributes:
        state: Index of the state, shape (violation,).
        row: Row of the limit set.
        group: Group that the row belongs to.
        family: Index into ``families``.
        value, limit: In the row's unit.
        excess: (value - limit) / scale, positive.
    """

    state: IntArray = field(converter=ints)
    row: IntArray = field(converter=ints)
    group: IntArray = field(converter=ints)
    family: IntArray = field(converter=ints)
    value: FloatArray = field(converter=floats)
    limit: FloatArray = field(converter=floats)
    excess: FloatArray = field(converter=floats)
    families: tuple[str, ...]

    def select(self, keep: BoolArray | slice) -> Violations:
        """Those where ``keep`` holds, or a run of them, in the same order."""
        return Violations(
            state=self.state[keep],
            row=self.row[keep],
            group=self.group[keep],
            family=self.family[keep],
            value=self.value[keep],
            limit=self.limit[keep],
            excess=self.excess[keep],
            families=self.families,
        )


def _metric_rank(family: str) -> tuple[int, str]:
    known = METRIC_ORDER.index(family) if family in METRIC_ORDER else len(METRIC_ORDER)
    return known, family


def _joined(limits: Sequence[Limits], attribute: str) -> NameArray:
    if not limits:
        return np.empty(0, dtype=object)
    return np.concatenate([getattr(limit.labels, attribute) for limit in limits])


class LimitSet:
    """All limits of a study, joined; owns the row numbers.

    Rows are those of the limits in the order given. The reduction of states lives here alone, so that no
    author of a solver writes it again.

    Raises:
        ConfigError: There is no row at all, or a row without any limit.
        PluginError: The arrays of a limit do not fit together.
    """

    def __init__(self, limits: Sequence[Limits], *, group_count: int) -> None:
        self.limits: tuple[Limits, ...] = tuple(limits)
        for limit in self.limits:
            _check(limit)
        self.group_count = group_count
        self.labels = RowLabels(
            equipment=_joined(limits, "equipment"),
            equipment_type=_joined(limits, "equipment_type"),
            terminal=_joined(limits, "terminal"),
            phase=_joined(limits, "phase"),
            unit=_joined(limits, "unit"),
            group=_joined(limits, "group"),
            v_base_v=_joined(limits, "v_base_v"),
        )
        self.row_count = int(self.labels.equipment.size)
        if self.row_count == 0:
            raise ConfigError("constraints: nothing on this feeder is watched by the limits given; add a limit")
        found = {f for limit in limits for f in (limit.metric_high, limit.metric_low) if f}
        self.families: tuple[str, ...] = tuple(sorted(found, key=_metric_rank))
        self._build_checks()
        self.linear_rows = sum(limit.lower.size for limit in limits if isinstance(limit, LinearLimits))

    @property
    def description(self) -> str:
        """The limits in one line, for tables and people."""
        return "; ".join(dict.fromkeys(limit.description for limit in self.limits))

    def _build_checks(self) -> None:
        row, sign, bound, scale, family = [], [], [], [], []
        offset = 0
        for limit in self.limits:
            size = limit.lower.size
            for values, side, metric in ((limit.upper, 1.0, limit.metric_high), (limit.lower, -1.0, limit.metric_low)):
                used = np.flatnonzero(np.isfinite(values))
                if used.size == 0:
                    continue
                row.append(used + offset)
                sign.append(np.full(used.size, side))
                bound.append(values[used])
                stated = np.full(size, np.nan) if limit.scale is None else limit.scale
                own = np.where(np.isnan(stated[used]), np.abs(values[used]), stated[used])
                scale.append(own)
                family.append(np.full(used.size, self.families.index(metric)))
            offset += size
        if not row:
            raise ConfigError("constraints: no row has an upper or a lower limit; add one")
        rows, families = np.concatenate(row), np.concatenate(family)
        groups = self.labels.group[rows]
        order = np.lexsort((rows, families, groups))
        self.check_row: IntArray = rows[order].astype(np.int32)
        self.check_sign: FloatArray = np.concatenate(sign)[order]
        self.check_limit: FloatArray = np.concatenate(bound)[order]
        self.check_scale: FloatArray = np.concatenate(scale)[order]
        self.check_family: IntArray = families[order].astype(np.int32)
        self.check_group: IntArray = groups[order].astype(np.int32)
        if np.any(self.check_scale <= 0):
            raise ConfigError("constraints: a limit of 0 needs a scale of its own to measure the excess in")
        change = (np.diff(self.check_group) != 0) | (np.diff(self.check_family) != 0)
        self.segment_start = np.concatenate([[0], np.flatnonzero(change) + 1])
        self.segment_group = self.check_group[self.segment_start]
        self.segment_family = self.check_family[self.segment_start]

    @cached_property
    def _tie_rank(self) -> IntArray:
        """Rank of each check among equal excesses: metric, equipment, terminal, phase."""
        row = self.check_row
        columns = (
            self.labels.phase[row].astype(str),
            self.labels.terminal[row],
            self.labels.equipment[row].astype(str),
            self.check_family,
        )
        rank = np.empty(row.size, dtype=np.int32)
        rank[np.lexsort(columns)] = np.arange(row.size, dtype=np.int32)
        return rank

    @property
    def needs(self) -> frozenset[str]:
        """What the limits read: ``nodes``, ``branches``, ``start``."""
        found: set[str] = set()
        for limit in self.limits:
            if isinstance(limit, LinearLimits):
                found |= {"nodes"} if limit.node_index.size else set()
                found |= {"branches"} if limit.conductor_index.size else set()
            else:
                found |= limit.needs
        return frozenset(found)

    def matrices(self, node_count: int, conductor_count: int) -> tuple[csr_array, csr_array]:
        """``a`` and ``b`` of all linear rows, CSR complex128, shapes (linear row, node), (linear row, conductor)."""
        from scipy.sparse import csr_array

        linear = [limit for limit in self.limits if isinstance(limit, LinearLimits)]

        def joined(kind: str, columns: int) -> csr_array:
            data = [np.asarray(getattr(limit, f"{kind}_coefficient")) for limit in linear]
            index = [np.asarray(getattr(limit, f"{kind}_index")) for limit in linear]
            counts = [np.diff(getattr(limit, f"{kind}_ptr")) for limit in linear]
            empty = np.empty(0)
            pointer = np.concatenate([[0], np.cumsum(np.concatenate([*counts, empty.astype(int)]))])
            return csr_array(
                (
                    np.concatenate([*data, empty.astype(complex)]),
                    np.concatenate([*index, empty.astype(np.int32)]),
                    pointer,
                ),
                shape=(pointer.size - 1, columns),
            )

        return joined("node", node_count), joined("conductor", conductor_count)

    def values(self, solution: Solution, start: Solution | None = None) -> FloatArray:
        """Value of every row, in its unit, float64, shape (state, row)."""
        states, nodes = solution.node_v.shape
        result = np.empty((states, self.row_count))
        linear = np.empty((states, 0))
        if self.linear_rows:
            a, b = self._matrices(nodes, solution.conductor_a.shape[1])
            summed = np.asarray(a @ solution.node_v.T + b @ solution.conductor_a.T)
            linear = np.abs(summed).T
        row = taken = 0
        for limit in self.limits:
            size = limit.lower.size
            if isinstance(limit, LinearLimits):
                result[:, row : row + size] = linear[:, taken : taken + size]
                taken += size
            else:
                result[:, row : row + size] = _evaluated(limit, solution, start, (states, size))
            row += size
        return result

    def _matrices(self, nodes: int, conductors: int) -> tuple[csr_array, csr_array]:
        cached: tuple[int, int, csr_array, csr_array] | None = self.__dict__.get("_cached_matrices")
        if cached is None or cached[:2] != (nodes, conductors):
            cached = (nodes, conductors, *self.matrices(nodes, conductors))
            self.__dict__["_cached_matrices"] = cached
        return cached[2], cached[3]

    def _margins(self, solution: Solution, start: Solution | None) -> tuple[FloatArray, FloatArray]:
        value = self.values(solution, start)[:, self.check_row]
        margin = self.check_sign * (self.check_limit - value) / self.check_scale
        margin[~solution.converged] = np.nan
        if self.linear_rows == self.row_count and np.any(np.isnan(margin[solution.converged])):
            raise HostcapError("a solver reported a converged state whose voltages or currents are no numbers")
        return value, margin

    def extremes(self, solution: Solution, start: Solution | None = None) -> Extremes:
        """Reduce states to the tightest row of each group and family."""
        _, margin = self._margins(solution, start)
        states, checks = margin.shape
        # A row without a value (a ratio over zero) is passed over: it is not broken.
        least = np.fmin.reduceat(margin, self.segment_start, axis=1)
        least[np.isnan(least)] = np.inf
        lengths = np.diff(np.append(self.segment_start, checks))
        at_least = margin == np.repeat(least, lengths, axis=1)
        place = np.where(at_least, np.arange(checks), checks)
        first = np.minimum.reduceat(place, self.segment_start, axis=1)
        shape = (states, self.group_count + 1, len(self.families))
        margins, rows = np.full(shape, np.inf), np.full(shape, -1, dtype=np.int32)
        margins[:, self.segment_group, self.segment_family] = least
        known = np.minimum(first, checks - 1)
        rows[:, self.segment_group, self.segment_family] = np.where(first < checks, self.check_row[known], -1)
        margins[~solution.converged] = np.nan
        rows[~solution.converged] = -1
        return Extremes(margin=margins, row=rows, families=self.families)

    def violations(self, solution: Solution, start: Solution | None = None) -> Violations:
        """Every broken limit of every converged state, ranked."""
        value, margin = self._margins(solution, start)
        state, check = np.nonzero(margin < -BROKEN)
        excess = -margin[state, check]
        order = np.lexsort((self._tie_rank[check], -np.round(excess / BROKEN), state))
        state, check = state[order], check[order]
        return Violations(
            state=state,
            row=self.check_row[check],
            group=self.check_group[check],
            family=self.check_family[check],
            value=value[state, check],
            limit=self.check_limit[check],
            excess=excess[order],
            families=self.families,
        )


def _evaluated(limit: Measure, solution: Solution, start: Solution | None, shape: tuple[int, int]) -> FloatArray:
    """Values of a measure, of the shape and kind that its rows need."""
    given = limit.evaluate(solution, start)
    values = np.asarray(given)
    if values.shape != shape or values.dtype.kind not in "fiu":
        found = f"{values.dtype} of shape {values.shape}" if isinstance(given, np.ndarray) else _a(given)
        raise PluginError(
            f"{type(limit).__name__}.evaluate ({limit.description}): real numbers of shape {shape}, (state, row), are "
            f"expected, got {found}"
        )
    return values
