"""What is asked about limits that bind, and what is said: who is behind each, and how much."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from attrs import field, frozen

from hostcap._arrays import ComplexArray, FloatArray, IntArray, floats, names
from hostcap.limits import Violations
from hostcap.network import _ByContent
from hostcap_stock.headroom.usage_owners import Who

Method = Literal["traced-phase", "traced", "sensitivity"]
LEAST = 1e-9
"""kW, V or pu below which a part is not worth a row."""
NO_LINEAR_FORM = "the limit is no linear form of voltages and currents"
AT_START = "broken at the start, when nothing has grown yet that could have moved it"
NO_LAW = "the network source does not state how loads answer to voltage"


@frozen(kw_only=True, eq=False)
class Bound:
    """A limit that binds.

    Attributes:
        key: Key of its binding set.
        row: Row of the limit set.
        family: Index into the families of the limit set.
        value: What the row measured, in its unit.
        state: Place of its breaking state among those that are asked about.
        grown: Whether anything has grown in that state.
    """

    key: str
    row: int
    family: int
    value: float
    state: int
    grown: bool

    @classmethod
    def first(cls, key: str, violations: Violations, state: int, *, grown: bool) -> Bound:
        """The limit that binds of a set: its first."""
        row, family = int(violations.row[0]), int(violations.family[0])
        return cls(key=key, row=row, family=family, value=float(violations.value[0]), state=state, grown=grown)


@frozen(kw_only=True, eq=False)
class Usage(_ByContent):
    """Who is behind one binding limit; arrays of shape (part,).

    Attributes:
        method: How parts were found.
        side: ``supplies``, ``takes`` or ``moves``.
        kind: ``customer``, ``group``, ``location``, ``element`` or ``network``.
        user: Its name.
        part: ``growth`` or ``existing``.
        amount: kW, or the unit of the limit's row.
        whole: What amounts of one side add up to.
        unit: Of ``amount``.
    """

    method: Method
    side: Any = field(converter=names)
    kind: Any = field(converter=names)
    user: Any = field(converter=names)
    part: Any = field(converter=names)
    amount: FloatArray = field(converter=floats)
    whole: FloatArray = field(converter=floats)
    unit: str

    @classmethod
    def of(cls, method: Method, unit: str, sides: Mapping[str, tuple[float, Mapping[Who, float]]]) -> Usage | None:
        """From what each side adds up to and its parts: by side, the largest first; None where there are none.

        Parts that are equal but for rounding go by name.
        """
        listed = [
            (side, -round(abs(amount) / (abs(whole) or 1.0), 12), *who, amount, whole)
            for side, (whole, parts) in sides.items()
            for who, amount in parts.items()
        ]
        if not listed:
            return None
        side, _, kind, user, part, amount, whole = (list(column) for column in zip(*sorted(listed), strict=True))
        return cls(method=method, side=side, kind=kind, user=user, part=part, amount=amount, whole=whole, unit=unit)


@frozen(kw_only=True, eq=False)
class Explained:
    """What there is to say about some binding limits, by the keys of their sets.

    Attributes:
        usage: Who is behind each.
        unsaid: Why nobody is, of each that has no usage.
    """

    usage: Mapping[str, Usage] = field(factory=dict)
    unsaid: Mapping[str, str] = field(factory=dict)


NodeVoltages = Callable[[IntArray], ComplexArray]
"""Voltages of some of the states that are asked about, V, shape (state, node)."""
Explain = Callable[[Sequence[Bound], IntArray, NodeVoltages], Explained]
"""What a search asks: ``UsageOfStart.of``."""
