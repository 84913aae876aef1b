"""The least of several instants: which instant answers for which group, and the answers that the tables need."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from attrs import frozen

from hostcap._arrays import BoolArray, ComplexArray, FloatArray, IntArray
from hostcap.network import Network
from hostcap.power_flow import Plan
from hostcap_stock.headroom.answer import Answer, solve_answer
from hostcap_stock.headroom.preparing import IDLE, Searched
from hostcap_stock.headroom.snapshot_states import FullState
from hostcap_stock.headroom.snapshots import SnapshotRequest
from hostcap_stock.headroom.tables import binding_sets
from hostcap_stock.headroom.usage_records import Bound, Explain, Explained
from hostcap_stock.headroom.violations import BrokenSet

Item = tuple[Searched, Plan, Explain | None]
"""A search, its plan, and what explains its binding limits."""


@frozen(kw_only=True, eq=False)
class Answered:
    """A search that answers for some groups.

    Attributes:
        searched: The search.
        answer: Its deciding states, solved again.
        chosen: Groups that it answers for, shape (group,).
        explained: Who is behind the limits that bind, where that is asked for.
    """

    searched: Searched
    answer: Answer
    chosen: BoolArray
    explained: Explained = Explained()

    def binding(self, network: Network) -> list[BrokenSet]:
        """The sets of broken limits that bind, in table order."""
        rows = binding_sets(network, self.searched.result, self.answer, self.chosen).rows
        return [BrokenSet(step=step, key=key, violations=found) for key, (step, found) in rows.items()]


class Least:
    """Least headroom of each group over the starts searched so far, of one direction.

    Each group has its own: the feeder's worst instant for one transformer is not that of another. Equal headroom goes
    to the earliest instant. An instant at which a group has nothing that grows says nothing about it, unless it grows
    at none. Answers are kept for the instants that hold a least one alone.

    Attributes:
        searches: All of them, in the order of their instants.
        snapshots: States to keep in full.
        states: Those kept, by place in ``searches`` and step.
    """

    def __init__(self, network: Network, step_kw: float, snapshots: SnapshotRequest | None = None) -> None:
        """Nothing is searched yet.

        Args:
            network: The feeder.
            step_kw: Growth of a customer of weight 1 in one step.
            snapshots: States to keep in full.
        """
        size = len(network.groups)
        self.searches: list[Searched] = []
        self.snapshots = snapshots
        self.states: dict[int, dict[int, FullState]] = {}
        self._network, self._step_kw = network, step_kw
        self._kw: FloatArray = np.full(size, np.inf)
        self._idle: BoolArray = np.ones(size, dtype=bool)
        self._of_group: IntArray = np.full(size, -1, dtype=np.int32)
        self._answers: dict[int, tuple[Answer, Explained]] = {}

    def add(self, searches: Sequence[Item]) -> None:
        """Take searches, in the order of their instants, and solve the deciding states of those that hold a least.

        Args:
            searches: Each with its plan, still open, and what explains its binding limits.
        """
        for searched, *_ in searches:
            place = len(self.searches)
            self.searches.append(searched)
            kw = searched.headroom_kw(self._network, self._step_kw)
            idle = np.isin(searched.result.status, IDLE)
            less = (self._idle & ~idle) | ((self._idle == idle) & (kw < self._kw))
            self._kw[less], self._idle[less], self._of_group[less] = kw[less], idle[less], place
        held = set(self._of_group.tolist())
        self._answers = {place: answer for place, answer in self._answers.items() if place in held}
        self.states = {place: states for place, states in self.states.items() if place in held}
        first = len(self.searches) - len(searches)
        for place, (searched, plan, explain) in enumerate(searches, start=first):
            if place in held:
                chosen = self._of_group == place
                answer = solve_answer(plan, searched.result, searched.prepared.limits.labels, chosen)
                answered = Answered(searched=searched, answer=answer, chosen=chosen)
                self._answers[place] = answer, Explained() if explain is None else self._explained(answered, explain)
                if self.snapshots is not None:
                    self.states[place] = self.snapshots.solve(plan, searched.result, chosen)

    def _explained(self, answered: Answered, explain: Explain) -> Explained:
        result, breaking = answered.searched.result, answered.answer.breaking
        state = {step: place for place, step in enumerate(result.breaking_step.tolist())}
        bounds = [
            Bound.first(broken.key, broken.violations, state[broken.step], grown=broken.step > 0)
            for broken in answered.binding(self._network)
            if broken.key is not None and broken.violations.row.size and broken.step in state
        ]

        def node_v(states: IntArray) -> ComplexArray:
            return np.stack([breaking[int(result.breaking_step[place])].node_v for place in states])

        return explain(bounds, np.asarray(result.breaking_levels), node_v)

    @property
    def answered(self) -> list[Answered]:
        """The searches that answer, in the order of their instants."""
        return [
            Answered(searched=self.searches[place], answer=answer, chosen=self._of_group == place, explained=explained)
            for place, (answer, explained) in sorted(self._answers.items())
        ]

    @property
    def answering(self) -> IntArray:
        """Place in ``searches`` of the one that answers for each group, shape (group,)."""
        return self._of_group
