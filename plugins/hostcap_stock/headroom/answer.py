"""The states that decided a search, solved again for rows and voltages."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np
from attrs import field, frozen

from hostcap._arrays import BoolArray, ComplexArray, IntArray
from hostcap.limits import RowLabels, Violations
from hostcap.power_flow import Plan, Want
from hostcap.search import SearchResult


@frozen(kw_only=True, eq=False)
class SolvedState:
    """One state.

    Attributes:
        violations: Broken limits, ranked.
        node_v: Node voltages, V, complex, shape (node,).
        conductor_a: Conductor currents, A, complex; empty where nobody asked for them.
    """

    violations: Violations
    node_v: ComplexArray
    conductor_a: ComplexArray


@frozen(kw_only=True, eq=False)
class Answer:
    """What the tables of a search are made of.

    Attributes:
        breaking: The states that decided some chosen group, by step.
        last_solved: The last step that converged.
        final: All groups at their final levels; None where that state does not converge.
        hv_recorded: Violations of the feeder that did not stop the search, by step of their first sight.
        start: Nothing has grown.
    """

    breaking: Mapping[int, SolvedState]
    last_solved: SolvedState
    final: SolvedState | None
    hv_recorded: Mapping[int, Violations] = field(factory=dict)
    start: SolvedState | None = None


def solve_answer(plan: Plan, result: SearchResult, labels: RowLabels, chosen: BoolArray | None = None) -> Answer:
    """Solve the deciding states again, one at a time: full voltages of many states would fill the memory.

    Args:
        plan: The plan that the search ran on.
        result: What it found.
        labels: Labels of the rows that the plan watches.
        chosen: Groups that are asked about, shape (group,); None for all. A start with broken limits is always solved.
    """
    wanted = result.iteration if chosen is None else result.iteration[chosen]
    breaking = {
        int(step): _must_solve(plan, levels)
        for step, levels in zip(result.breaking_step, result.breaking_levels, strict=True)
        if step in wanted or step == 0
    }
    last = breaking.get(result.last_solved_step)
    final = _solved(plan, result.final_levels, want={"violations", "nodes", "branches"})
    return Answer(
        breaking=breaking,
        last_solved=last if last is not None else _must_solve(plan, result.last_solved_levels),
        final=final,
        hv_recorded=_hv_recorded(plan, result, labels),
        start=breaking[0] if 0 in breaking else _solved(plan, np.zeros_like(result.final_levels)),
    )


def _solved(
    plan: Plan, levels: IntArray, want: Collection[Want] = frozenset({"violations", "nodes"})
) -> SolvedState | None:
    """One state; None where it does not converge."""
    states = plan.solve(levels[None, :], want=want)
    if not states.converged[0] or states.violations is None or states.solution is None:
        return None
    return SolvedState(
        violations=states.violations, node_v=states.solution.node_v[0], conductor_a=states.solution.conductor_a[0]
    )


def _must_solve(plan: Plan, levels: IntArray) -> SolvedState:
    state = _solved(plan, levels)
    if state is None:
        raise AssertionError("a state that the search solved does not solve again: the plan is not deterministic")
    return state


def _hv_recorded(plan: Plan, result: SearchResult, labels: RowLabels) -> dict[int, Violations]:
    """Violations of the feeder at their first sight, once per equipment, phase and metric."""
    found: dict[int, Violations] = {}
    seen: set[tuple[str, str, str, int]] = set()
    for sight in result.hv_seen:
        states = plan.solve(sight.levels[None, :], want={"violations"})
        violations = states.violations
        if violations is None:
            continue
        fresh = np.zeros(violations.row.size, dtype=bool)
        for place, row in enumerate(violations.row):
            place_name = (str(labels.equipment_type[row]), str(labels.equipment[row]), str(labels.phase[row]))
            what = (*place_name, int(violations.family[place]))
            if violations.group[place] == 0 and what not in seen:
                seen.add(what)
                fresh[place] = True
        if np.any(fresh):
            found[sight.step] = violations.select(fresh)
    return found
