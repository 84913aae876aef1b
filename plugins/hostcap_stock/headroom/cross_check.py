"""The reported states of a search once more, by another solver: how far apart, and whether it changes anything."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from attrs import define, field

from hostcap.errors import HostcapError, StoppedError
from hostcap.findings import Finding, Severity, some
from hostcap.growth import Growth
from hostcap.limits import NEAR_TIE, LimitSet
from hostcap.network import Network
from hostcap.plugins.kinds import Job
from hostcap.power_flow import FrozenNetwork, Plan, Solver
from hostcap_stock.headroom.answer import SolvedState
from hostcap_stock.headroom.least import Answered, Least
from hostcap_stock.headroom.preparing import Searched

APART_PU = 1e-5
"""Voltages further apart than this, per unit of nominal, are called a disagreement: ten times a solver's tolerance."""
Grow = Callable[[FrozenNetwork, Searched], Growth]


def cross_check_findings(job: Job, checker: Solver, name: str, leasts: Sequence[Least], grow: Grow) -> list[Finding]:
    """Solve every reported state again: starts, breaking states, last solved steps and final levels.

    Args:
        job: The feeder.
        checker: The other solver; it freezes starts of its own.
        name: What it is called.
        leasts: The searches of each direction with their answers.
        grow: Growth of a search on a frozen network.

    Returns:
        What was compared and the largest differences; a warning for each kind of disagreement.
    """

    def compare(seen: Comparison) -> None:
        for least in leasts:
            for answered in least.answered:
                _check(job, checker, answered, grow, seen)

    return compared_findings(job.network, name, compare)


def compared_findings(network: Network, name: str, compare: Callable[[Comparison], None]) -> list[Finding]:
    """What a comparison found; where the other solver fails, a warning alone, as the answer stands without it.

    Args:
        network: The feeder.
        name: What the other solver is called.
        compare: Compares every reported state.
    """
    seen = Comparison(network=network)
    try:
        compare(seen)
    except StoppedError:
        raise
    except HostcapError as error:
        return [
            Finding(
                severity=Severity.WARNING,
                code="cross-check-failed",
                element=name,
                message=f"solver {name!r} could not solve the reported states again: {' '.join(str(error).split())}",
            )
        ]
    return seen.findings(name)


def _check(job: Job, checker: Solver, answered: Answered, grow: Grow, seen: Comparison) -> None:
    searched = answered.searched
    limits = searched.prepared.limits
    with job.source.freeze(job.network, searched.prepared.operating_point, checker.settling) as frozen:
        plan = checker.plan(frozen, grow(frozen, searched), limits)
        try:
            for where, levels, state in _reported(answered):
                seen.compare(f"{searched.direction.value}, {where}", limits, state, _again(plan, levels))
        finally:
            plan.close()


def _reported(answered: Answered) -> Iterator[tuple[str, np.ndarray, SolvedState]]:
    """The states that tables and findings are made of, each once."""
    result, answer = answered.searched.result, answered.answer
    states = {0: (np.zeros_like(result.final_levels), answer.start)}
    for step, levels in zip(result.breaking_step, result.breaking_levels, strict=True):
        if int(step) in answer.breaking:
            states[int(step)] = (levels, answer.breaking[int(step)])
    states.setdefault(result.last_solved_step, (result.last_solved_levels, answer.last_solved))
    for step, (levels, state) in sorted(states.items()):
        if state is not None:
            yield (f"step {step}" if step else "start"), levels, state
    if answer.final is not None:
        yield "final levels", result.final_levels, answer.final


def _again(plan: Plan, levels: np.ndarray) -> SolvedState | None:
    states = plan.solve(levels[None, :].astype(np.int32), {"violations", "nodes"})
    if not states.converged[0] or states.violations is None or states.solution is None:
        return None
    return SolvedState(
        violations=states.violations, node_v=states.solution.node_v[0], conductor_a=states.solution.conductor_a[0]
    )


@define(kw_only=True)
class Comparison:
    """States of two solvers side by side, and how far apart they are so far."""

    network: Network
    states: int = 0
    apart_pu: float = 0.0
    apart_at: str = "any node"
    share: float = 0.0
    share_at: str = "any limit"
    unsolved: list[str] = field(factory=list)
    far: list[str] = field(factory=list)
    judged_apart: list[str] = field(factory=list)

    def compare(self, where: str, limits: LimitSet, ours: SolvedState, theirs: SolvedState | None) -> None:
        """Compare one state."""
        self.states += 1
        if theirs is None:
            self.unsolved.append(where)
            return
        self._voltages(where, ours, theirs)
        self._limits(where, limits, ours, theirs)

    def _voltages(self, where: str, ours: SolvedState, theirs: SolvedState) -> None:
        nodes = self.network.nodes
        watched = np.flatnonzero(nodes.live & ~nodes.neutral)
        apart = np.abs(ours.node_v - theirs.node_v)[watched] / nodes.nominal_v[watched]
        worst = int(np.argmax(apart))
        if apart[worst] > self.apart_pu:
            self.apart_pu = float(apart[worst])
            self.apart_at = f"node {self.network.node_names([int(watched[worst])])[0]}, {where}"
        if apart[worst] > APART_PU:
            self.far.append(where)

    def _limits(self, where: str, limits: LimitSet, ours: SolvedState, theirs: SolvedState) -> None:
        """Limits broken by one solver alone, near-ties left out, and how far apart the values of the others are."""
        sides = (ours.violations, theirs.violations)
        keys = [side.row.astype(np.int64) * len(limits.families) + side.family for side in sides]
        _, mine, others = np.intersect1d(keys[0], keys[1], assume_unique=True, return_indices=True)
        if mine.size:
            value = sides[0].value[mine]
            share = np.abs(value - sides[1].value[others]) / np.maximum(np.abs(value), 1e-12)
            worst = int(np.argmax(share))
            if share[worst] > self.share:
                place = limits.labels.equipment[sides[0].row[mine[worst]]]
                self.share, self.share_at = float(share[worst]), f"{place}, {where}"
        alone = [
            (side.row[at], side.family[at])
            for side, own, other in zip(sides, keys, keys[::-1], strict=True)
            for at in np.flatnonzero(~np.isin(own, other) & (side.excess > NEAR_TIE))
        ]
        if alone:
            named = some([f"{limits.labels.equipment[row]} {limits.families[family]}" for row, family in alone], 2)
            self.judged_apart.append(f"{where} ({named})")

    def findings(self, name: str) -> list[Finding]:
        """The summary, and a warning for each kind of disagreement."""
        disagreements = (
            (self.unsolved, "have no solution by it"),
            (self.judged_apart, f"break other limits by it, beyond {NEAR_TIE:g} of the limit"),
            (self.far, f"have voltages more than {APART_PU:g} pu apart"),
        )
        found = [
            Finding(
                severity=Severity.WARNING,
                code="cross-check-disagrees",
                element=name,
                count=len(states),
                message=f"{len(states)} of {self.states} reported states {what}: {some(states)}; "
                "see which of the two solvers is right before you use the numbers",
            )
            for states, what in disagreements
            if states
        ]
        agreed = "which changes nothing" if not found else "with disagreements"
        return [
            Finding(
                severity=Severity.INFO,
                code="cross-check",
                element=name,
                count=self.states,
                message=f"{self.states} reported states solved again by {name!r}, {agreed}: voltages at most "
                f"{self.apart_pu:.1e} pu apart ({self.apart_at}), values of broken limits at most {self.share:.1e} of "
                f"the value ({self.share_at})",
            ),
            *found,
        ]
