"""Debug snapshots: every node and conductor of the start, the last valid and the violating state of chosen stops.

What is kept is bounded: at most ``debug_snapshot_stops`` stops of a feeder and direction, each with two states of its
own, and the start of each of their instants.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

import numpy as np
from attrs import frozen

from hostcap._arrays import BoolArray, FloatArray, IntArray
from hostcap.errors import ConfigError
from hostcap.findings import Finding, Severity, counted, some
from hostcap.network import Network
from hostcap.power_flow import Plan
from hostcap.search import NEVER, STATUSES, SearchResult, Status
from hostcap.tables import Table, concatenate
from hostcap_stock.headroom.config import LvHeadroomConfig
from hostcap_stock.headroom.debug_schemas import DEBUG_SNAPSHOTS
from hostcap_stock.headroom.feeder_tables import voltage_bounds
from hostcap_stock.headroom.labels import Labels
from hostcap_stock.headroom.preparing import IDLE, Searched
from hostcap_stock.headroom.snapshot_states import (
    EVERYWHERE,
    LAST_VALID,
    LOCATION_KEYS,
    START,
    VIOLATING,
    FullState,
    conductor_rows,
    growth_at,
    node_rows,
    snapshot_columns,
)
from hostcap_stock.headroom.tables import group_columns

if TYPE_CHECKING:
    from hostcap_stock.headroom.least import Least


@frozen(kw_only=True, eq=False)
class Stop:
    """How one group ended, as steps of the search whose states are kept.

    Attributes:
        group: 0-based.
        status: How the search of the group ended.
        steps: Step of each snapshot by its name.
    """

    group: int
    status: Status
    steps: Mapping[str, int]


@frozen(kw_only=True)
class SnapshotRequest:
    """What to keep.

    Attributes:
        groups: Groups whose stops are kept, 0-based, in model order.
        most: Most stops.
        lock: Whether a group with a violation stops growing.
    """

    groups: tuple[int, ...]
    most: int
    lock: bool

    @classmethod
    def of(cls, config: LvHeadroomConfig, network: Network) -> SnapshotRequest | None:
        """What a study asks for on a feeder; None where it asks for nothing.

        Raises:
            ConfigError: A pattern matches no group.
        """
        if not config.debug_snapshots:
            return None
        names = [str(name) for name in network.groups.id]
        for pattern in config.debug_snapshot_groups:
            if not any(fnmatchcase(name, pattern) for name in names):
                raise ConfigError(
                    f"study.debug_snapshot_groups: no group of feeder {network.feeder!r} matches {pattern!r}; groups: "
                    f"{some(names)}"
                )
        chosen = tuple(
            g for g, name in enumerate(names) if any(fnmatchcase(name, p) for p in config.debug_snapshot_groups)
        )
        return cls(groups=chosen, most=config.debug_snapshot_stops, lock=config.lock_group_on_violation)

    def solve(self, plan: Plan, result: SearchResult, chosen: BoolArray) -> dict[int, FullState]:
        """The states of the stops of chosen groups that are asked for, by step."""
        steps = {step for g in self.groups if chosen[g] for step in _stop(result, g).steps.values()}
        found = {}
        for step in sorted(steps):
            states = plan.solve(levels_at(result, step, lock=self.lock)[None, :], want={"nodes", "branches"})
            if states.solution is None or not states.converged[0]:
                raise AssertionError(
                    "a state that the search solved does not solve again: the plan is not deterministic"
                )
            found[step] = FullState(node_v=states.solution.node_v[0], conductor_a=states.solution.conductor_a[0])
        return found


def _stop(result: SearchResult, group: int) -> Stop:
    status = STATUSES[result.status[group]]
    steps = {START: 0}
    if status is Status.DIVERGED:
        steps[LAST_VALID] = result.last_solved_step
    elif status is Status.UNCONSTRAINED:
        steps[LAST_VALID] = int(result.level[group])
    elif result.iteration[group] != NEVER:
        step = int(result.iteration[group])
        steps |= {LAST_VALID: step - 1, VIOLATING: step} if step else {VIOLATING: 0}
    return Stop(group=group, status=status, steps=steps)


def levels_at(result: SearchResult, step: int, *, lock: bool) -> IntArray:
    """Levels of every group in the state that a finished search solved at a step, int32, shape (group,)."""
    grows = ~np.isin(result.status, IDLE)
    still = grows if not lock else grows & ((result.iteration == NEVER) | (result.iteration >= step))
    return np.where(still, step, result.level).astype(np.int32)


def snapshot_tables(
    network: Network, leasts: Sequence[Least], labels_of: Callable[[Searched], Labels]
) -> tuple[tuple[Table, ...], list[Finding]]:
    """What is kept of all directions, and what the bound left out; nothing where nothing is asked for.

    Stops are kept in the order of their groups; groups that one step of one instant stopped share its states and count
    once.
    """
    request = leasts[0].snapshots
    if request is None:
        return (), []
    parts: list[tuple[Table, ...]] = []
    left: list[int] = []
    for least in leasts:
        by_search: dict[int, list[Stop]] = {}
        seen: set[tuple[int, int]] = set()
        for group in request.groups:
            place = int(least.answering[group])
            stop = _stop(least.searches[place].result, group)
            key = (place, max(stop.steps.values()))
            if key not in seen and len(seen) == request.most:
                left.append(group)
                continue
            seen.add(key)
            by_search.setdefault(place, []).append(stop)
        for place, stops in sorted(by_search.items()):
            searched = least.searches[place]
            own = _Snapshots(
                labels=labels_of(searched),
                stops=stops,
                states=least.states[place],
                bounds=voltage_bounds(network, searched.prepared.limits),
            )
            parts.append(own.tables(network))
    return tuple(concatenate(tables) for tables in zip(*parts, strict=True)), _left_out(network, sorted(set(left)))


@frozen(kw_only=True, eq=False)
class _Snapshots:
    """What is kept of one search.

    Attributes:
        labels: Of its rows.
        stops: Whose.
        states: By step.
        bounds: Voltages that the limits allow, as ``node_rows`` takes them.
    """

    labels: Labels
    stops: Sequence[Stop]
    states: Mapping[int, FullState]
    bounds: tuple[FloatArray, FloatArray]

    def tables(self, network: Network) -> tuple[Table, ...]:
        """Which state is whose, and every node and conductor of each."""
        steps = sorted({step for stop in self.stops for step in stop.steps.values()})
        kept = [(growth_at(EVERYWHERE, step), step, self.states[step]) for step in steps]
        return (
            self._whose(network),
            concatenate([node_rows(network, self.labels, *each, self.bounds) for each in kept]),
            concatenate([conductor_rows(network, self.labels, *each) for each in kept]),
        )

    def _whose(self, network: Network) -> Table:
        rows = [(stop, name, step) for stop in self.stops for name, step in stop.steps.items()]
        return Table.build(
            DEBUG_SNAPSHOTS,
            {
                **snapshot_columns(self.labels, len(rows)),
                **group_columns(network, np.asarray([stop.group for stop, _, _ in rows], dtype=np.int32)),
                "snapshot": [name for _, name, _ in rows],
                "iteration": [step for _, _, step in rows],
                "status": [stop.status.value for stop, _, _ in rows],
                **dict.fromkeys(LOCATION_KEYS, [None] * len(rows)),
                "growth_at": [growth_at(EVERYWHERE, step) for _, _, step in rows],
            },
            self.labels.metadata,
        )


def _left_out(network: Network, groups: Sequence[int]) -> list[Finding]:
    """That stops beyond the bound are not kept."""
    if not groups:
        return []
    names = [str(network.groups.id[g]) for g in groups]
    return [
        Finding(
            severity=Severity.INFO,
            code="snapshots-left-out",
            element=some(names),
            count=len(names),
            message=f"debug snapshots of {counted(len(names), 'group')} are left out, as study.debug_snapshot_stops "
            "bounds them; raise it, or name the groups wanted in study.debug_snapshot_groups",
        )
    ]
