"""Levels, statuses and binding violations of a whole search: ``batched`` with the fast search against ``opendss``
with linear stepping, both at 1e-9 pu, on the demo and on every public network with LV customers.

No group may differ, near-tie or not: both sides solve to 1e-9 pu.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from batched.test_parity import PUBLIC
from studying import Case, answers, demo_cases

STEPS = {"cre21": (0.05, 60), "8500": (2.0, 25), "8500-unbalanced": (2.0, 25), "ckt5": (0.5, 40)}


def assert_same_search(case: Case) -> None:
    ours = case.run(solver={"plugin": "batched", "tolerance_pu": 1e-9})
    theirs = case.run(solver={"plugin": "opendss", "tolerance_pu": 1e-9}, search="linear")
    found, expected = answers(ours, case.step_kw), answers(theirs, case.step_kw)
    assert list(found) == list(expected)
    differing = {
        group: (found[group], right)
        for group, right in expected.items()
        if any(found[group][key] != right[key] for key in ("level", "status", "customers", "breached_after_lock_at"))
        or (found[group]["binding"] or ())[:4] != (right["binding"] or ())[:4]
    }
    assert not differing


def case_of(networks: Path, name: str, initial: str, direction: str) -> Case:
    config: dict[str, Any] = dict(PUBLIC[name])
    step_kw, max_steps = STEPS.get(name, (0.5, 60))
    return Case(
        master=networks / config.pop("master"),
        initial=initial,
        direction=direction,
        step_kw=step_kw,
        max_steps=max_steps,
        lv=(0.9, 1.1),
        lv_unit="pu",
        hv=(0.9, 1.1),
        **config,
    )


LARGE = {"8500", "8500-unbalanced", "cre21"}
"""Networks whose whole search on the engine takes long."""


@pytest.mark.parametrize("name", ["export", "import", "export-leading", "no-hv-stop", "no-lock"])
def test_the_demos_answers_do_not_depend_on_solver_or_search(name: str, demo_folder: Path) -> None:
    assert_same_search(demo_cases(demo_folder)[name])


@pytest.mark.shared
@pytest.mark.parametrize("direction", ["export", "import"])
@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.slow) if n in LARGE else n for n in PUBLIC])
def test_a_public_networks_answers_do_not_depend_on_solver_or_search(name: str, direction: str, networks: Path) -> None:
    initial = "zero-load" if name in ("cre21", "csiro-j") else "as-modelled"
    assert_same_search(case_of(networks, name, initial, direction))


@pytest.mark.shared
def test_feeders_in_several_orders_in_one_process_give_the_same_answers(networks: Path) -> None:
    names = ["eu-lv", "p1uhs23", "csiro-n"]
    cases = {name: case_of(networks, name, "as-modelled", "export") for name in names}
    first = {name: answers(cases[name].run(solver={"plugin": "batched"}), cases[name].step_kw) for name in names}
    for order in (names[::-1], [names[1], names[2], names[0]]):
        for name in order:
            assert answers(cases[name].run(solver={"plugin": "batched"}), cases[name].step_kw) == first[name]
