"""Who is behind the limits that bind: of thermal ones by tracing the flow, of any other linear one by sensitivity.

Thermal: the real power at the conductor in the breaking state is shared among those who supply it and those who take it
(proportional sharing; the phase by itself inside an LV group without winding changes, else its phases summed).

Sensitivity: a row ``w . V`` moved from the start's value to that of the breaking state because currents of ports
changed. With the admittance ``Y`` (linear, frozen), ``w . dV`` is the sum over ports of ``z dI``, where ``Y' z = w``;
its part in the change of the magnitude is exact with the mean of both states, so that parts add up to the change.

States come in batches: what depends on the network alone is made once, and a batch is summed, traced and moved at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from hostcap._arrays import IntArray
from hostcap.errors import ModelError
from hostcap.growth import Growth
from hostcap.limits import THERMAL, LimitSet
from hostcap.linear import LinearNetwork
from hostcap.network import Network
from hostcap.power_flow import LINEARISE, FrozenNetwork
from hostcap_stock.headroom.usage_moves import Moves
from hostcap_stock.headroom.usage_records import (
    AT_START,
    NO_LAW,
    NO_LINEAR_FORM,
    Bound,
    Explain,
    Explained,
    NodeVoltages,
    Usage,
)
from hostcap_stock.headroom.usage_start import Batch, Start
from hostcap_stock.headroom.usage_traces import Traces

STATES_AT_ONCE = 16
"""States whose voltages are held at once, which bounds memory."""


def explain_of(frozen: FrozenNetwork, growth: Growth, limits: LimitSet, *, at_locations: bool = False) -> Explain:
    """What explains binding limits of searches from a start; arguments as of ``UsageOfStart``."""
    try:
        linear = frozen.linear() if LINEARISE in frozen.capabilities else None
    except ModelError:
        linear = None
    if linear is None:
        return _nobody
    return UsageOfStart(frozen.network, linear, growth, limits, at_locations=at_locations).of


def _nobody(bounds: Sequence[Bound], levels: IntArray, node_v: NodeVoltages) -> Explained:
    """An ``Explain`` where the network source states no voltage laws."""
    return Explained(unsaid={bound.key: NO_LAW for bound in bounds})


class UsageOfStart:
    """Explains binding limits of searches from one start, in one direction."""

    def __init__(
        self,
        network: Network,
        linear: LinearNetwork,
        growth: Growth,
        limits: LimitSet,
        *,
        at_locations: bool = False,
    ) -> None:
        """Prepare.

        Args:
            network: The feeder.
            linear: Its start as arrays.
            growth: What grows.
            limits: What is watched.
            at_locations: Growth is at HV locations, and belongs to them; else it is the customers'.
        """
        start = Start(network, linear, growth, limits, at_locations=at_locations)
        self._limits = limits
        self._traces, self._moves = Traces(start), Moves(start)

    def of(self, bounds: Sequence[Bound], levels: IntArray, node_v: NodeVoltages) -> Explained:
        """Who is behind each limit.

        Args:
            bounds: Limits that bind.
            levels: Steps of growth of the states that are asked about, shape (state, scope).
            node_v: Gives their voltages, a few at a time.
        """
        said: dict[str, Usage] = {}
        unsaid: dict[str, str] = {}
        traced, moved = [], []
        for bound in bounds:
            if self._limits.families[bound.family] == THERMAL:
                traced.append(bound)
            elif not self._moves.known(bound):
                unsaid[bound.key] = NO_LINEAR_FORM
            elif bound.grown:
                moved.append(bound)
            else:
                unsaid[bound.key] = AT_START
        needed = np.unique([bound.state for bound in (*traced, *moved)]).astype(np.int32)
        for first in range(0, needed.size, STATES_AT_ONCE):
            states = needed[first : first + STATES_AT_ONCE]
            batch = Batch(node_v=node_v(states), levels=levels[states])
            found = [*self._traces.of(batch, _placed(traced, states)), *self._moves.of(batch, _placed(moved, states))]
            for bound, usage in found:
                if isinstance(usage, str):
                    unsaid[bound.key] = usage
                else:
                    said[bound.key] = usage
        return Explained(usage=said, unsaid=unsaid)


def _placed(bounds: Iterable[Bound], states: IntArray) -> list[tuple[Bound, int]]:
    place = {state: number for number, state in enumerate(states.tolist())}
    return [(bound, place[bound.state]) for bound in bounds if bound.state in place]
