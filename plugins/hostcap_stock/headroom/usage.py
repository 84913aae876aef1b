"""Who is behind the limit that binds: of a thermal one by tracing the flow, of any other linear one by sensitivity.

Thermal: the real power at the conductor in the breaking state is shared among those who supply it and those who take it
(proportional sharing; the phase by itself inside an LV group without winding changes, else its phases summed).

Sensitivity: a row ``w . V`` moved from the start's value to that of the breaking state because currents of ports
changed. With the admittance ``Y`` (linear, frozen), ``w . dV`` is the sum over ports of ``z dI``, where ``Y' z = w``;
its part in the change of the magnitude is exact with the mean of both states, so that parts add up to the change.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import attrs
import numpy as np
from attrs import field, frozen

from hostcap._arrays import BoolArray, ComplexArray, FloatArray, IntArray, floats, ints, names, sums
from hostcap.errors import FlowsError, TraceError
from hostcap.flows import FlowPeriod
from hostcap.growth import Growth
from hostcap.limits import THERMAL, LimitSet, LinearLimits, Violations
from hostcap.linear import LinearNetwork, Ports, growth_ports
from hostcap.network import Network, _ByContent
from hostcap.operating_point import OperatingPoint
from hostcap.search import SearchResult
from hostcap_stock.batched.equations import held_admittance
from hostcap_stock.flows.behind import behind
from hostcap_stock.flows.solved import SolvedState, equipment_names, joined_users, of_phases, port_users, summed
from hostcap_stock.headroom.answer import Answer

Method = Literal["traced-phase", "traced", "sensitivity"]
MINUTES = 30.0
KILO = 1000.0
_LEAST = 1e-9
"""kW, V or pu below which a part is not worth a row."""


@frozen(kw_only=True, eq=False)
class Usage(_ByContent):
    """Who is behind one binding limit; arrays of shape (part,).

    Attributes:
        key: Key of its binding set.
        group: Group that it stopped, 1..G; 0 for the feeder.
        method: How parts were found.
        side: ``supplies``, ``takes`` or ``moves``.
        kind: ``customer``, ``group``, ``element`` or ``network``.
        user: Its name.
        part: ``growth`` or ``existing``.
        amount: kW, or the unit of the limit's row.
        whole: What amounts of one side add up to.
        unit: Of ``amount``.
    """

    key: str
    group: int
    method: Method
    side: Any = field(converter=names)
    kind: Any = field(converter=names)
    user: Any = field(converter=names)
    part: Any = field(converter=names)
    amount: FloatArray = field(converter=floats)
    whole: FloatArray = field(converter=floats)
    unit: str


@frozen(kw_only=True, eq=False)
class _Owners:
    """Whose each user is; users are injectors, then growth points.

    Attributes:
        customer: Of each user, -1 for none.
        element: Name of each user's element.
        group: Group of its bus; 0 for HV.
        growth: Whether it is growth.
    """

    customer: IntArray = field(converter=ints)
    element: Any = field(converter=names)
    group: IntArray = field(converter=ints)
    growth: BoolArray

    @classmethod
    def of(cls, network: Network, growth: Growth) -> _Owners:
        injectors, customers = network.injectors, network.customers
        customer = np.full(injectors.name.size, -1, dtype=np.int32)
        customer[customers.element] = customers.of_element
        loads = {str(injectors.name[i]): i for i in np.flatnonzero(injectors.kind == "load")}
        point = np.asarray([loads[str(name)] for name in growth.name], dtype=np.int64)
        return cls(
            customer=np.concatenate([customer, customer[point]]),
            element=[*injectors.name.tolist(), *growth.name.tolist()],
            group=np.concatenate([injectors.group, injectors.group[point]]),
            growth=np.arange(injectors.name.size + point.size) >= injectors.name.size,
        )


class UsageOfStart:
    """Explains binding limits of searches from one start, in one direction."""

    def __init__(
        self, network: Network, linear: LinearNetwork, growth: Growth, limits: LimitSet, point: OperatingPoint
    ) -> None:
        """Prepare; nothing is factored before it is needed."""
        self._network, self._linear, self._growth = network, linear, growth
        self._limits, self._point = limits, point
        self._grown = growth_ports(growth)
        self._owners = _Owners.of(network, growth)
        self._factor: Any = None

    def of(
        self, result: SearchResult, answer: Answer, binding: list[tuple[str, int, int, Violations]]
    ) -> tuple[Usage, ...]:
        """Usage of the first violation of each binding set; limits of other kinds are left out.

        Args:
            result: The search.
            answer: Its deciding states.
            binding: Key, group (0 for the feeder), step and violations of each binding set.
        """
        levels = dict(zip(result.breaking_step.tolist(), result.breaking_levels, strict=True))
        found: list[Usage] = []
        moved: list[tuple[str, int, int, int]] = []
        for key, group, step, violations in binding:
            if violations.row.size == 0 or step not in levels:
                continue
            row = int(violations.row[0])
            state = answer.breaking[step].node_v
            if self._limits.families[int(violations.family[0])] == THERMAL:
                found += self._traced(key, group, row, state, levels[step])
            elif self._linear_row(row) is not None and step > 0:
                moved.append((key, group, row, step))
        found += self._moved(moved, answer, levels)
        order = {key: place for place, (key, *_) in enumerate(binding)}
        return tuple(sorted(found, key=lambda usage: order[usage.key]))

    # Tracing

    def _traced(self, key: str, group: int, row: int, node_v: ComplexArray, level: IntArray) -> list[Usage]:
        conductor_a = np.asarray(self._linear.conductors() @ node_v)
        labels = self._limits.labels
        own = int(labels.group[row])
        equipment = self._equipment(row)
        phase = str(labels.phase[row])
        if own > 0 and labels.equipment_type[row] == "Line" and phase:
            state = self._state(node_v, conductor_a, level, by_phase=True)
            try:
                period = of_phases(state, own, self._point, MINUTES)
                branch = f"{self._network.equipment.name[equipment]}.{phase}"
                return self._shared(key, group, "traced-phase", period, branch)
            except (FlowsError, TraceError):
                pass  # What a phase does not allow, the sum of phases does.
        state = self._state(node_v, conductor_a, level, by_phase=False)
        try:
            period = summed(state, self._point, MINUTES, group=own or None)
            return self._shared(
                key, group, "traced", period, self._branch(period, equipment, int(labels.terminal[row]))
            )
        except (FlowsError, TraceError):
            return []

    def _state(
        self, node_v: ComplexArray, conductor_a: ComplexArray, level: IntArray, *, by_phase: bool
    ) -> SolvedState:
        reference = self._network.nodes.reference
        if not by_phase:
            reference = np.full_like(reference, -1)
        size = self._network.injectors.name.size
        base = port_users(node_v, self._linear.base, [str(i) for i in range(size)], reference)
        points = [str(i) for i in range(size, size + self._growth.name.size)]
        return SolvedState(
            network=self._network,
            node_v=node_v,
            conductor_a=conductor_a,
            users=joined_users(base, port_users(node_v, self._at(level), points, reference)),
            source=np.flatnonzero(self._linear.source_a != 0),
        )

    def _at(self, level: IntArray) -> Ports:
        """Ports of growth at the levels of a state."""
        times = level[self._growth.scope[self._grown.injector]]
        return attrs.evolve(self._grown, kw=self._grown.kw * times, kvar=self._grown.kvar * times)

    def _equipment(self, row: int) -> int:
        labels, equipment = self._limits.labels, self._network.equipment
        same = (equipment.name == labels.equipment[row]) & (equipment.kind == labels.equipment_type[row])
        return int(np.flatnonzero(same)[0])

    def _branch(self, period: FlowPeriod, equipment: int, terminal: int) -> str:
        """Name of the branch, or of the leg of a star, that a terminal belongs to."""
        name = equipment_names(self._network)[equipment]
        if name in period.network.branch.tolist():
            return name
        conductors = self._network.conductors
        here = (conductors.equipment == equipment) & (conductors.terminal == terminal) & (conductors.node >= 0)
        bus = self._network.nodes.bus[conductors.node[np.flatnonzero(here)[0]]]
        return f"{name} at {self._network.buses.name[bus]}"

    def _shared(self, key: str, group: int, method: Method, period: FlowPeriod, branch: str) -> list[Usage]:
        listed = period.network.branch.tolist()
        if branch not in listed:
            return []
        place = listed.index(branch)
        shares = behind(period, [place])
        sides = (("supplies", shares.supplied_mw[0]), ("takes", shares.taken_mw[0]))
        parts: list[tuple[str, str, str, str, float, float]] = []
        for side, mw in sides:
            whole = float(mw.sum()) * KILO
            users = [(str(period.network.node[n]), float(mw[n]) * KILO) for n in np.flatnonzero(mw * KILO > _LEAST)]
            parts += [(side, *who, kw, whole) for who, kw in self._summed_by_owner(group, users).items()]
        return [_usage(key, group, method, parts, "kW")] if parts else []

    def _summed_by_owner(self, group: int, users: list[tuple[str, float]]) -> dict[tuple[str, str, str], float]:
        """Amounts by kind, name and part; customers of the group by themselves, others by their group."""
        total: dict[tuple[str, str, str], float] = {}
        for name, amount in users:
            number = name.partition(".")[0]
            who = self._owner(int(number), group) if number.isdigit() else ("network", name, "existing")
            total[who] = total.get(who, 0.0) + amount
        return total

    def _of_users(self, group: int, amount: FloatArray) -> dict[tuple[str, str, str], float]:
        """Amounts of all users by kind, name and part, as ``_summed_by_owner`` has them."""
        owners, groups = self._owners, self._network.groups
        far = (owners.group > 0) & (owners.group != group)
        near = np.flatnonzero(~far & (np.abs(amount) > _LEAST))
        total = self._summed_by_owner(group, [(str(user), float(amount[user])) for user in near])
        for growth, part in ((True, "growth"), (False, "existing")):
            chosen = far & (owners.growth == growth)
            of_group = sums(owners.group[chosen], amount[chosen], len(groups) + 1)
            for other in np.flatnonzero(np.abs(of_group) > _LEAST).tolist():
                total["group", str(groups.id[other - 1]), part] = float(of_group[other])
        return total

    def _owner(self, user: int, group: int) -> tuple[str, str, str]:
        owners, network = self._owners, self._network
        part = "growth" if owners.growth[user] else "existing"
        own, customer = int(owners.group[user]), int(owners.customer[user])
        if own > 0 and own != group:
            return "group", str(network.groups.id[own - 1]), part
        if customer >= 0:
            return "customer", str(network.customers.id[customer]), part
        return "element", str(owners.element[user]), part

    # Sensitivity

    def _linear_row(self, row: int) -> int | None:
        """Place of a row among the linear ones; None for a measure."""
        before = taken = 0
        for limit in self._limits.limits:
            size = limit.lower.size
            if before <= row < before + size:
                return taken + row - before if isinstance(limit, LinearLimits) else None
            before += size
            taken += size if isinstance(limit, LinearLimits) else 0
        return None

    def _moved(self, rows: list[tuple[str, int, int, int]], answer: Answer, levels: dict[int, IntArray]) -> list[Usage]:
        if not rows:
            return []
        linear = self._linear
        a, b = self._limits.matrices(linear.node_count, linear.conductor_count)
        chosen = [place for _, _, row, _ in rows if (place := self._linear_row(row)) is not None]
        forms: Any = (a[chosen] + b[chosen] @ linear.conductors()).tocsr()
        impedance = self._solved(np.asarray(forms.todense()))
        start_v, found = linear.start_v, []
        at_start = forms @ start_v
        drawn_at_start = linear.base.drawn_a(linear.base.voltage_v(start_v))
        for place, ((key, group, row, step), z) in enumerate(zip(rows, impedance, strict=True)):
            node_v = answer.breaking[step].node_v
            before, after = at_start[place], (forms @ node_v)[place]
            grown = self._at(levels[step])
            base = linear.base.drawn_a(linear.base.voltage_v(node_v)) - drawn_at_start
            turn = np.conj(before + after) / max(abs(before) + abs(after), 1e-300)
            own = np.concatenate([_pull(z, linear.base, base), _pull(z, grown, grown.drawn_a(grown.voltage_v(node_v)))])
            injectors = self._network.injectors.name.size
            user = np.concatenate([linear.base.injector, grown.injector + injectors])
            kept = user >= 0
            amount = sums(user[kept].astype(np.int32), (own * turn).real[kept], injectors + self._growth.name.size)
            whole = float(abs(after) - abs(before))
            parts = [("moves", *who, part, whole) for who, part in self._of_users(group, amount).items()]
            if parts:
                found.append(_usage(key, group, "sensitivity", parts, str(self._limits.labels.unit[row])))
        return found

    def _solved(self, forms: ComplexArray) -> ComplexArray:
        """``z`` with ``Y' z = w`` for each form, shape (form, node).

        Dead nodes stay in the equations: a conductor that carries nothing takes up what its neighbours induce in it.
        """
        from scipy.sparse.linalg import splu

        if self._factor is None:
            # The pattern is symmetric, which SuperLU wants to be told: a tenth of the time.
            self._factor = splu(
                held_admittance(self._linear).T.tocsc(),
                permc_spec="MMD_AT_PLUS_A",
                diag_pivot_thresh=0.01,
                options={"SymmetricMode": True},
            )
        return np.asarray(self._factor.solve(np.ascontiguousarray(forms.T)).T)


def _pull(z: ComplexArray, ports: Ports, drawn_a: ComplexArray) -> ComplexArray:
    """What the drawn currents do to a form: they leave the network at a, and come back at b."""
    grounded = np.append(z, 0.0)
    return np.asarray((grounded[ports.node_b] - grounded[ports.node_a]) * drawn_a)


def _usage(
    key: str, group: int, method: Method, parts: list[tuple[str, str, str, str, float, float]], unit: str
) -> Usage:
    """Parts by side, the largest first."""
    listed = sorted(parts, key=lambda part: (part[0], -abs(part[4]), part[1:4]))
    side, kind, user, part, amount, whole = (list(column) for column in zip(*listed, strict=True))
    return Usage(
        key=key,
        group=group,
        method=method,
        side=side,
        kind=kind,
        user=user,
        part=part,
        amount=amount,
        whole=whole,
        unit=unit,
    )


Explain = Callable[[SearchResult, Answer, list[tuple[str, int, int, Violations]]], tuple[Usage, ...]]
"""What a search asks: ``UsageOfStart.of``."""
