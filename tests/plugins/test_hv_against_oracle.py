"""Every HV location's level, status, phases and binding violation equals an oracle that shares no code with it.

The oracle (hv_oracle.py) was written from section 6 of the method alone, with bare engine calls; both sides solve each
state to 1e-9 pu, so that no location may differ, near-tie or not. Values agree within 1e-6 of the limit.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import pytest
from hv_oracle import oracle, prepare
from hv_studying import HvCase, demo_case, differing, locations, real_hv_cases


def assert_same(case: HvCase) -> None:
    expected = oracle(str(case.master), **case.arguments)
    found = locations(case.run(), case.step_kw, case.direction)
    assert set(found) == set(expected)
    assert not differing(found, expected, 1e-6)


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"direction": "import", "power_factor": 0.95},
        {"power_factor": -0.9, "initial": "fixed-load", "load_kw": 0.4, "load_kvar": 0.1},
        {"lv": (None, None), "step_kw": 200.0},
        {"lv": (0.9, 1.05)},
    ],
    ids=["export", "import", "leading", "hv-only", "broken-start"],
)
def test_the_demo_feeder_gives_the_oracles_answer_in_every_location(more: dict[str, Any], demo_folder: Path) -> None:
    assert_same(demo_case(demo_folder, **more))


@pytest.mark.shared
@pytest.mark.parametrize(
    "name",
    [
        pytest.param("cre21-export", marks=pytest.mark.slow),
        "p1uhs23-export",
        "p1uhs23-import",
    ],
)
def test_a_real_feeder_gives_the_oracles_answer_in_every_location(name: str, networks: Path) -> None:
    assert_same(real_hv_cases(networks)[name])


@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "step_kw", "max_steps"),
    [("cre21-export", 50.0, 100), ("p1uhs23-import", 5.0, 1000)],
)
@pytest.mark.slow
def test_every_location_is_whole_at_its_level_and_broken_at_the_next_when_solved_directly(
    name: str, step_kw: float, max_steps: int, networks: Path
) -> None:
    case = attrs.evolve(real_hv_cases(networks)[name], step_kw=step_kw, max_steps=max_steps)
    found = locations(case.run(), step_kw, case.direction)
    arguments = {key: value for key, value in case.arguments.items() if key != "max_steps"}
    expected, _, at = prepare(str(case.master), **arguments)
    assert set(found) == {key for key, (_, phases) in expected.items() if phases}
    answers = {(expected[key], row["level"], row["status"]) for key, row in found.items()}
    assert len({status for _, _, status in answers}) > 1
    for site, level, status in answers:
        assert status in ("bound", "unconstrained"), site
        assert at(site, level) == {}, site
        assert (level == max_steps) if status == "unconstrained" else at(site, level + 1), site
