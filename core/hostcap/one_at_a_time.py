"""The search of scopes one at a time over a plan; knows no engine.

Each scope alone, from the start: level n adds n steps there and nothing elsewhere. The first n with a broken limit, of
any group, or without a solution decides: the level is n - 1. The contract is section 6 of
docs/explanation/headroom-method.md.

The levels of every state are known beforehand, as no scope moves another. So a batch holds states of many scopes and
steps; what is broken is judged in the order of steps, and a scope that is decided is asked no more. Every step up to
the deciding one is solved: nothing is assumed about how limits break.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
from attrs import field, frozen

from hostcap._arrays import BoolArray, FloatArray, IntArray, floats, ints
from hostcap.errors import NotConvergedError
from hostcap.limits import NEAR_TIE
from hostcap.network import _ByContent
from hostcap.power_flow import Plan
from hostcap.search import NEVER, OPEN, START_NOT_SOLVED, STATUSES, Report, Status, tightest


@frozen(kw_only=True, eq=False)
class AloneResult(_ByContent):
    """What each scope takes by itself.

    Attributes:
        level: Highest level before the deciding one, int32, shape (scope,).
        status: Index into ``STATUSES``: bound, bound at start, diverged or unconstrained, shape (scope,).
        iteration: Step at which the deciding violation was seen; ``NEVER`` where there was none, shape (scope,).
        near_tie_margin: Smallest |margin| of the states up to the deciding one, shape (scope,).
        states: States solved.
        rounds: Batches they were solved in.
        trails: Smallest margin of any limit at each step judged, from the start on, of the scopes that were followed.
    """

    level: IntArray = field(converter=ints)
    status: IntArray = field(converter=ints)
    iteration: IntArray = field(converter=ints)
    near_tie_margin: FloatArray = field(converter=floats)
    states: int
    rounds: int
    trails: Mapping[int, FloatArray] = field(factory=dict)

    @property
    def near_tie(self) -> BoolArray:
        """Scopes decided by a value within 1e-5 of its limit, shape (scope,)."""
        with np.errstate(invalid="ignore"):
            return np.asarray(self.near_tie_margin <= NEAR_TIE)


def search_one_at_a_time(
    plan: Plan,
    *,
    scopes: int,
    max_steps: int,
    widest: int = 1,
    followed: Iterable[int] = (),
    report: Report | None = None,
) -> AloneResult:
    """Search the level of each scope by itself.

    Args:
        plan: Solves states; limits of every group count.
        scopes: How many there are.
        max_steps: Last step tried.
        widest: Most states solved at once; the answer is the same.
        followed: Scopes whose trails are kept.
        report: Told (steps that need no solving any more, steps at most) after each batch; may raise to stop.

    Returns:
        Levels and statuses.

    Raises:
        NotConvergedError: The start does not converge.
    """
    search = _Alone(scopes, max_steps, followed)
    start = plan.solve(np.zeros((1, scopes), dtype=np.int32), want={"extremes"})
    if not start.converged[0]:
        raise NotConvergedError(START_NOT_SOLVED, iterations=int(start.iterations[0]))
    margin, broken = tightest(start)
    search.begin(float(np.min(margin)), broken=bool(np.any(broken)))
    states = rounds = 1
    while (left := search.undecided()).size:
        # Few scopes left: several steps of each, so that a batch stays full. What lies beyond the deciding step of a
        # scope is solved for nothing, never judged.
        ahead = max(widest // left.size, 1)
        scope = np.repeat(left, ahead)
        step = search.level[scope] + np.tile(np.arange(1, ahead + 1), left.size)
        within = step <= max_steps
        scope, step = scope[within], step[within]
        for first in range(0, scope.size, widest):
            batch = slice(first, first + widest)
            levels = np.zeros((scope[batch].size, scopes), dtype=np.int32)
            levels[np.arange(scope[batch].size), scope[batch]] = step[batch]
            solved = plan.solve(levels, want={"extremes"})
            margin, broken = tightest(solved)
            states, rounds = states + scope[batch].size, rounds + 1
            search.absorb(scope[batch], step[batch], solved.converged, np.min(margin, axis=1), np.any(broken, axis=1))
            if report is not None:
                report(search.done(), scopes * max_steps)
    return AloneResult(
        level=search.level,
        status=search.status,
        iteration=search.iteration,
        near_tie_margin=search.tie,
        states=states,
        rounds=rounds,
        trails={scope: np.asarray(trail) for scope, trail in search.trails.items()},
    )


class _Alone:
    """What is known of each scope so far."""

    def __init__(self, scopes: int, max_steps: int, followed: Iterable[int]) -> None:
        """Nothing is known."""
        self.trails: dict[int, list[float]] = {scope: [] for scope in followed}
        self.max_steps = max_steps
        self.level: IntArray = np.zeros(scopes, dtype=np.int32)
        self.status: IntArray = np.full(scopes, OPEN, dtype=np.int32)
        self.iteration: IntArray = np.full(scopes, NEVER, dtype=np.int32)
        self.tie: FloatArray = np.full(scopes, np.nan)

    def undecided(self) -> IntArray:
        """Scopes still searched, rising."""
        return np.flatnonzero(self.status == OPEN).astype(np.int32)

    def done(self) -> int:
        """Steps that need no solving any more."""
        return int(np.sum(np.where(self.status == OPEN, self.level, self.max_steps)))

    def begin(self, margin: float, *, broken: bool) -> None:
        """Judge the start, which all scopes share."""
        self.tie[:] = abs(margin)
        for trail in self.trails.values():
            trail.append(margin)
        if broken:
            self.status[:] = STATUSES.index(Status.BOUND_AT_START)
            self.iteration[:] = 0

    def absorb(
        self, scope: IntArray, step: IntArray, converged: BoolArray, margin: FloatArray, broken: BoolArray
    ) -> None:
        """Judge states in order; those of a scope that is decided meanwhile are passed over.

        Args:
            scope: The scope that grows in each state, steps of one scope rising.
            step: Its step.
            converged: Whether the state was solved.
            margin: Smallest margin of any group.
            broken: Whether any limit is broken.
        """
        for s, n, solved, least, over in zip(scope, step, converged, margin, broken, strict=True):
            if self.status[s] != OPEN:
                continue
            if not solved:
                self.status[s] = STATUSES.index(Status.DIVERGED)
                continue
            self.tie[s] = min(self.tie[s], abs(least))
            if s in self.trails:
                self.trails[s].append(float(least))
            if over:
                self.status[s], self.iteration[s] = STATUSES.index(Status.BOUND), n
                continue
            self.level[s] = n
            if n == self.max_steps:
                self.status[s] = STATUSES.index(Status.UNCONSTRAINED)
