"""The lock-out search of scopes over a plan; knows no engine.

Levels are integers. The contract is section 5 of docs/explanation/headroom-method.md: every open scope grows by
one step at a time; a scope with a broken limit of its own is locked one step below and stays there.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

import numpy as np
from attrs import field, frozen

from hostcap._arrays import BoolArray, FloatArray, IntArray, bools, floats, ints
from hostcap.errors import NotConvergedError
from hostcap.limits import NEAR_TIE
from hostcap.network import _ByContent
from hostcap.power_flow import Plan, States


class Status(StrEnum):
    """How the search of one scope ended."""

    BOUND = "bound"
    BOUND_AT_START = "bound_at_start"
    STOPPED_BY_HV = "stopped_by_hv"
    DIVERGED = "diverged"
    UNCONSTRAINED = "unconstrained"
    NO_GROWTH = "no_growth"
    NO_CUSTOMERS = "no_customers"


STATUSES = tuple(Status)
OPEN = -1
NEVER = -1
"""Marks a step that never came, in integer arrays."""


@frozen(kw_only=True)
class SearchRules:
    """When the search stops.

    Attributes:
        max_steps: Last step tried.
        stop_on_hv_violation: A broken limit of the feeder (group 0) ends the search.
        lock_group_on_violation: A scope with a broken limit stops growing; else it is decided and grows on.
    """

    max_steps: int
    stop_on_hv_violation: bool = True
    lock_group_on_violation: bool = True


@frozen(kw_only=True, eq=False)
class HvViolationSeen(_ByContent):
    """First sight of a broken limit of the feeder while HV violations do not stop the search."""

    step: int
    levels: IntArray = field(converter=ints)


@frozen(kw_only=True, eq=False)
class SearchResult(_ByContent):
    """Levels, and the states that decided them, which the study solves again for rows and voltages.

    Attributes:
        level: Level of each scope, int32, shape (scope,).
        status: Index into ``STATUSES``, shape (scope,).
        iteration: Step at which the deciding violation was seen; ``NEVER`` where there was none, shape (scope,).
        breached_after_lock_at: First step after the lock with a broken limit; ``NEVER`` if none, shape (scope,).
        breaking_step: Steps whose state decided some scope, rising.
        breaking_levels: Levels of those states, int32, shape (breaking, scope).
        hv_stop: Whether the search was ended by a limit of the feeder.
        last_step: Last step tried.
        last_solved_step: Last step that converged.
        last_solved_levels: Its levels, shape (scope,).
        final_levels: Levels that the answer stands for, shape (scope,).
        hv_seen: Steps at which limits of the feeder were broken although they do not stop, with levels.
        near_tie_margin: Smallest |margin| of a value that decided a scope, shape (scope,); nan where none.
        states: States solved.
    """

    level: IntArray = field(converter=ints)
    status: IntArray = field(converter=ints)
    iteration: IntArray = field(converter=ints)
    breached_after_lock_at: IntArray = field(converter=ints)
    breaking_step: IntArray = field(converter=ints)
    breaking_levels: IntArray = field(converter=ints)
    hv_stop: bool
    last_step: int
    last_solved_step: int
    last_solved_levels: IntArray = field(converter=ints)
    final_levels: IntArray = field(converter=ints)
    hv_seen: tuple[HvViolationSeen, ...]
    near_tie_margin: FloatArray = field(converter=floats)
    states: int

    @property
    def near_tie(self) -> BoolArray:
        """Scopes decided by a value within 1e-5 of its limit, shape (scope,)."""
        with np.errstate(invalid="ignore"):
            return np.asarray(self.near_tie_margin <= NEAR_TIE)


Report = Callable[[int, int], None]


class LockOut:
    """Linear stepping: one state a step, the contract itself.

    The rules of one step are in ``absorb``, so that a search that solves several states at once applies the
    same rules to the states that it has proven.
    """

    def __init__(self, *, open_scopes: BoolArray, idle: IntArray, rules: SearchRules) -> None:
        """Begin before the start is judged.

        Args:
            open_scopes: Scopes that may grow, shape (scope,).
            idle: Status index of those that may not, shape (scope,).
            rules: When to stop.
        """
        size = open_scopes.size
        self.rules = rules
        self.open: BoolArray = open_scopes.copy()
        self.grows: BoolArray = bools(open_scopes)
        self.status: IntArray = np.where(open_scopes, OPEN, idle).astype(np.int32)
        self.level: IntArray = np.zeros(size, dtype=np.int32)
        self.iteration: IntArray = np.full(size, NEVER, dtype=np.int32)
        self.after: IntArray = np.full(size, NEVER, dtype=np.int32)
        self.tie: FloatArray = np.full(size, np.nan)
        self.breaking: dict[int, IntArray] = {}
        self.hv_seen: list[HvViolationSeen] = []
        self.hv_stop = False
        self.finished = False
        self.step = 0
        self.last_solved = (0, self.level.copy())
        self.states = 0

    def levels_at(self, step: int) -> IntArray:
        """Levels of the state at ``step`` with what is known now.

        A scope locked at s - 1 was at s in the state that broke it, and falls back to its lock from s + 1 on.
        """
        growing = self.open if self.rules.lock_group_on_violation else self.grows
        return np.where(growing, step, self.level).astype(np.int32)

    def _settle(self, which: BoolArray, level: int, status: Status, step: int | None) -> None:
        self.status[which] = STATUSES.index(status)
        self.level[which] = level
        if step is not None:
            self.iteration[which] = step
        self.open &= ~which

    def absorb(self, step: int, levels: IntArray, *, converged: bool, margin: FloatArray, broken: BoolArray) -> None:
        """Apply the rules of one step to its solved state.

        Args:
            step: The step; 0 is the start.
            levels: Levels of the state.
            converged: Whether it was solved.
            margin: Smallest margin of each group, group 0 = feeder, shape (group,).
            broken: Whether a limit of each group is broken, shape (group,).
        """
        self.step = step
        if not converged:
            self._settle(self.open.copy(), step - 1, Status.DIVERGED, step)
            self.finished = True
            return
        own, hv = broken[1:], bool(broken[0])
        locked = ~self.open & self.grows
        if self.rules.lock_group_on_violation:
            late = locked & own & (self.after == NEVER) & (self.iteration < step)
            self.after[late] = step
        was_open = self.open.copy()
        before = max(step - 1, 0)
        if np.any(was_open & own):
            self.breaking[step] = levels
            bound = Status.BOUND if step else Status.BOUND_AT_START
            self._settle(was_open & own, before, bound, step)
        if hv and self.rules.stop_on_hv_violation:
            self.breaking[step] = levels
            self._settle(self.open.copy(), before, Status.STOPPED_BY_HV, step)
            self.hv_stop = self.finished = True
        elif hv:
            self.hv_seen.append(HvViolationSeen(step=step, levels=levels))
        self._note_ties(was_open, margin)
        self.last_solved = (step, levels)
        if not self.finished and step == self.rules.max_steps:
            self._settle(self.open.copy(), step, Status.UNCONSTRAINED, None)
        self.finished = self.finished or not bool(np.any(self.open))

    def _note_ties(self, was_open: BoolArray, margin: FloatArray) -> None:
        """A value decides when it breaks its limit, and when it stays within it: keep the closest of both."""
        nearest = np.abs(margin[1:])
        if self.rules.stop_on_hv_violation:
            nearest = np.minimum(nearest, np.abs(margin[0]))
        self.tie[was_open] = np.fmin(self.tie[was_open], nearest[was_open])

    def result(self) -> SearchResult:
        """The answer, once finished."""
        steps = sorted(self.breaking)
        width = self.level.size
        return SearchResult(
            level=self.level,
            status=self.status,
            iteration=self.iteration,
            breached_after_lock_at=self.after,
            breaking_step=steps,
            breaking_levels=np.asarray([self.breaking[s] for s in steps], dtype=np.int32).reshape(len(steps), width),
            hv_stop=self.hv_stop,
            last_step=self.step,
            last_solved_step=self.last_solved[0],
            last_solved_levels=self.last_solved[1],
            final_levels=self.level,
            hv_seen=tuple(self.hv_seen),
            near_tie_margin=self.tie,
            states=self.states,
        )


def _reduce(states: States) -> tuple[FloatArray, BoolArray]:
    """Smallest margin and brokenness of each group, shapes (state, group)."""
    extremes = states.extremes
    if extremes is None:
        raise ValueError("the plan returned no extremes although they were asked for")
    return np.min(extremes.margin, axis=2), extremes.broken


def lock_out_search(
    plan: Plan,
    *,
    open_scopes: BoolArray,
    idle: IntArray,
    rules: SearchRules,
    report: Report | None = None,
) -> SearchResult:
    """Search the levels of all scopes together, by linear stepping.

    Args:
        plan: Solves states; group g of its limits belongs to scope g - 1.
        open_scopes: Scopes that may grow, shape (scope,).
        idle: Status index of those that may not, shape (scope,).
        rules: When to stop.
        report: Told (step, max_steps) after each state; may raise to stop.

    Returns:
        Levels, statuses, and the states that decided them.

    Raises:
        NotConvergedError: The start does not converge.
    """
    search = LockOut(open_scopes=open_scopes, idle=idle, rules=rules)
    step = 0
    while True:
        levels = search.levels_at(step)
        states = plan.solve(levels[None, :], want={"extremes"})
        search.states += 1
        if step == 0 and not states.converged[0]:
            raise NotConvergedError("the start does not converge", iterations=int(states.iterations[0]))
        margin, broken = _reduce(states)
        search.absorb(step, levels, converged=bool(states.converged[0]), margin=margin[0], broken=broken[0])
        if report is not None:
            report(step, rules.max_steps)
        if search.finished:
            return search.result()
        step += 1
