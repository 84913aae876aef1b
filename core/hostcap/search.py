"""The lock-out search of scopes over a plan; knows no engine.

Levels are integers. The contract is section 5 of docs/explanation/headroom-method.md: every open scope grows by
one step at a time; a scope with a broken limit of its own is locked one step below and stays there.

Linear stepping solves a state, applies the rules, and goes on. The speculative walk solves a window of states at once
under a guess of who locks when, and applies the same rules to those states alone whose levels turn out to be the
linear ones; the rest is solved again under a better guess. It is linear stepping by construction: no monotonicity is
assumed, and linear stepping is its window of one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import StrEnum

import numpy as np
from attrs import field, frozen
from numpy.typing import NDArray

from hostcap._arrays import BoolArray, FloatArray, IntArray, bools, floats, ints
from hostcap.errors import NotConvergedError
from hostcap.limits import NEAR_TIE
from hostcap.network import _ByContent
from hostcap.power_flow import JointPlan, Plan, States


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
START_NOT_SOLVED = (
    "the start does not converge by this solver, though it did as the network was frozen; check solver.tolerance_pu "
    "and solver.max_iterations, or use another solver"
)
"""What to say where a plan has no solution for level 0."""
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
        rounds: Batches they were solved in.
        trail_step: Some of the steps, evenly spread, int32, shape (kept,).
        trail_margin: Smallest margin of each group at them, group 0 = feeder, shape (kept, scope + 1).
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
    rounds: int
    trail_step: IntArray = field(converter=ints)
    trail_margin: FloatArray = field(converter=floats)

    @property
    def near_tie(self) -> BoolArray:
        """Scopes decided by a value within 1e-5 of its limit, shape (scope,)."""
        with np.errstate(invalid="ignore"):
            return np.asarray(self.near_tie_margin <= NEAR_TIE)


Report = Callable[[int, int], None]


class _Trail:
    """Margins by step, at most ``MOST`` of them: every other one is dropped when it is full."""

    MOST = 256

    def __init__(self) -> None:
        self.stride = 1
        self.kept: dict[int, FloatArray] = {}

    def add(self, step: int, margin: FloatArray) -> None:
        if step % self.stride == 0:
            self.kept[step] = margin
        if len(self.kept) > self.MOST:
            self.stride *= 2
            self.kept = {s: m for s, m in self.kept.items() if s % self.stride == 0}


class _LockOut:
    """The rules of the search, and what is known so far; a walk feeds it one true state after the other."""

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
        self.trail = _Trail()

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
            self._settle(self.open.copy(), step - 1, Status.DIVERGED, None)
            self.finished = True
            return
        self.trail.add(step, margin)
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

    def result(self, *, states: int, rounds: int) -> SearchResult:
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
            states=states,
            rounds=rounds,
            trail_step=list(self.trail.kept),
            trail_margin=np.asarray(list(self.trail.kept.values())).reshape(len(self.trail.kept), width + 1),
        )


def tightest(states: States) -> tuple[FloatArray, BoolArray]:
    """Smallest margin and brokenness of each group, shapes (state, group)."""
    extremes = states.extremes
    if extremes is None:
        raise ValueError("the plan returned no extremes although they were asked for")
    return np.min(extremes.margin, axis=2), extremes.broken


class LockOutWalk:
    """One lock-out search, window by window: propose levels, have them solved, absorb what came out."""

    def __init__(self, *, open_scopes: BoolArray, idle: IntArray, rules: SearchRules) -> None:
        """Begin at the start.

        Args:
            open_scopes: Scopes that may grow, shape (scope,).
            idle: Status index of those that may not, shape (scope,).
            rules: When to stop.
        """
        self._search = _LockOut(open_scopes=open_scopes, idle=idle, rules=rules)
        self._guess = np.full(open_scopes.size + 1, NO_GUESS, dtype=np.int64)
        self._step, self._width, self._states, self._rounds = 0, 1, 0, 0
        self._steps: NDArray[np.int64] = np.empty(0, dtype=np.int64)
        self._levels: IntArray = np.empty((0, open_scopes.size), dtype=np.int32)

    @property
    def finished(self) -> bool:
        """Whether every scope is decided."""
        return self._search.finished

    @property
    def step(self) -> int:
        """Last step that counts."""
        return self._search.step

    def propose(self, widest: int) -> IntArray:
        """Levels of the next window of at most ``widest`` states, int32, shape (state, scope)."""
        search, step = self._search, self._step
        width = min(self._width, widest)
        end = min(step + width, search.rules.max_steps + 1, max(_guessed_end(search, self._guess), step + 1))
        self._steps = np.arange(step, end)
        self._levels = _guessed_levels(search, self._steps, self._guess[1:])
        return self._levels

    def absorb(self, solved: States, widest: int) -> None:
        """Take the states of the window last proposed, in its order; those that turn out to be the linear ones count.

        Raises:
            NotConvergedError: The start does not converge.
        """
        search, steps = self._search, self._steps
        self._states, self._rounds = self._states + steps.size, self._rounds + 1
        if self._step == 0 and not solved.converged[0]:
            raise NotConvergedError(START_NOT_SOLVED, iterations=int(solved.iterations[0]))
        margin, broken = tightest(solved)
        proven = 0
        for place, at in enumerate(map(int, steps)):
            if not np.array_equal(self._levels[place], search.levels_at(at)):
                break
            search.absorb(
                at,
                self._levels[place],
                converged=bool(solved.converged[place]),
                margin=margin[place],
                broken=broken[place],
            )
            proven += 1
            if search.finished:
                break
        self._step += proven
        if widest > 1:
            self._guess = _next_guess(steps, self._step, broken, margin[: max(proven, 1)])
            self._width = _next_width(self._width, steps.size, proven, widest)

    def result(self) -> SearchResult:
        """The answer, once finished."""
        return self._search.result(states=self._states, rounds=self._rounds)


def lock_out_search(
    plan: Plan,
    *,
    open_scopes: BoolArray,
    idle: IntArray,
    rules: SearchRules,
    widest: int = 1,
    report: Report | None = None,
) -> SearchResult:
    """Search the levels of all scopes together.

    Args:
        plan: Solves states; group g of its limits belongs to scope g - 1.
        open_scopes: Scopes that may grow, shape (scope,).
        idle: Status index of those that may not, shape (scope,).
        rules: When to stop.
        widest: Most states solved at once; 1 is linear stepping. The answer is the same.
        report: Told (step, max_steps) after each batch; may raise to stop.

    Returns:
        Levels, statuses, and the states that decided them.

    Raises:
        NotConvergedError: The start does not converge.
    """
    walk = LockOutWalk(open_scopes=open_scopes, idle=idle, rules=rules)
    while not walk.finished:
        walk.absorb(plan.solve(walk.propose(widest), want={"extremes"}), widest)
        if report is not None:
            report(walk.step, rules.max_steps)
    return walk.result()


def joint_lock_out_search(
    plan: JointPlan, walks: Sequence[LockOutWalk], *, widest: int = 1, report: Report | None = None
) -> tuple[SearchResult, ...]:
    """Search from several starts at once: one batch a round over (start, state); those that are finished drop out.

    Args:
        plan: Solves states of every start.
        walks: A search for each start of the plan, none begun. Each finds what it would find alone.
        widest: Most states that all searches together are to solve at once, though never fewer than ``NARROWEST``
            each; 1 is linear stepping of each.
        report: Told (searches finished, searches) after each batch; may raise to stop.

    Returns:
        Results in the order of the starts.

    Raises:
        NotConvergedError: A start does not converge.
    """
    open_walks = [i for i, walk in enumerate(walks) if not walk.finished]
    while open_walks:
        each = 1 if widest == 1 else max(widest // len(open_walks), NARROWEST)
        levels = [walks[i].propose(each) for i in open_walks]
        counts = [len(own) for own in levels]
        start = np.repeat(np.asarray(open_walks, dtype=np.int32), counts)
        solved = plan.extremes(start, np.concatenate(levels))
        first = 0
        for i, count in zip(open_walks, counts, strict=True):
            walks[i].absorb(solved.part(slice(first, first + count)), each)
            first += count
        open_walks = [i for i in open_walks if not walks[i].finished]
        if report is not None:
            report(len(walks) - len(open_walks), len(walks))
    return tuple(walk.result() for walk in walks)


HORIZON = 1000
"""Steps ahead for which margins are drawn on."""
NO_GUESS = np.iinfo(np.int64).max
"""A scope that is not expected to lock within the window."""
NARROWEST = 8
"""Fewest steps of a window that was cut, unless the solver wants fewer."""


def _guessed_levels(search: _LockOut, steps: NDArray[np.int64], guess: NDArray[np.int64]) -> IntArray:
    """Levels of the states of a window if each open scope breaks at its guessed step, shape (step, scope)."""
    known = np.stack([search.levels_at(int(step)) for step in steps])
    if not search.rules.lock_group_on_violation:
        return known
    after = steps[:, None] > guess[None, :]
    return np.where(search.open & after, guess - 1, known).astype(np.int32)


def _guessed_end(search: _LockOut, guess: NDArray[np.int64]) -> int:
    """Step after the one at which the search is expected to end: nothing is open any more, or the feeder stops it."""
    scopes = guess[1:][search.open]
    last = int(scopes.max()) if scopes.size else NO_GUESS
    if search.rules.stop_on_hv_violation:
        last = min(last, int(guess[0]))
    return last + 1 if last != NO_GUESS else NO_GUESS


def _next_guess(steps: NDArray[np.int64], step: int, broken: BoolArray, margin: FloatArray) -> NDArray[np.int64]:
    """Guess the step at which each group breaks, group 0 = feeder; a wrong guess costs states, never the answer.

    Args:
        steps: Steps of the last window.
        step: The next step to prove.
        broken: Whether each group was broken in the states of the window, shape (step, group).
        margin: Smallest margin of each group in the states that were proven, shape (proven, group).

    Returns:
        The first break that the window saw from the next step on; where it saw none, the step at which the last
        two proven margins, drawn on in a straight line, run out.
    """
    guess = np.full(broken.shape[1], NO_GUESS, dtype=np.int64)
    if margin.shape[0] > 1:
        with np.errstate(invalid="ignore", divide="ignore"):
            run_out = step - 1 + margin[-1] / (margin[-2] - margin[-1])
        near = (run_out >= step) & (run_out < step + HORIZON)
        guess[near] = np.ceil(run_out[near]).astype(np.int64)
    ahead = steps >= step
    if np.any(ahead):
        seen = broken[ahead].any(axis=0)
        guess[seen] = steps[ahead][np.argmax(broken[ahead], axis=0)][seen]
    guess[guess < step] = NO_GUESS
    return guess


def _next_width(width: int, solved: int, proven: int, widest: int) -> int:
    """Wider while whole windows are proven, as narrow as what was proven when they are cut."""
    if proven >= solved:
        return min(2 * width, widest)
    return min(max(2 * proven, NARROWEST), widest)
