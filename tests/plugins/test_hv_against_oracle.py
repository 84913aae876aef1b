"""Every HV location's level, status, phases and binding violation equals an oracle that shares no code with it.

The oracle (hv_oracle.py) was written from section 6 of the method alone, with bare engine calls; both sides solve each
state to 1e-9 pu, so that no location may differ, near-tie or not. Values agree within 1e-6 of the limit.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hv_oracle import oracle
from hv_studying import HvCase, demo_case, locations, real_hv_cases


def assert_same(case: HvCase) -> None:
    expected = oracle(str(case.master), **case.arguments)
    found = locations(case.run(), case.step_kw, case.direction)
    assert set(found) == set(expected)
    differing: dict[Any, Any] = {}
    for key, right in expected.items():
        left = found[key]
        same = all(left[name] == right[name] for name in ("level", "status", "phases"))
        ours, theirs = left["binding"] or (), right["binding"] or ()
        if not same or ours[:4] != theirs[:4] or ours[4:] != pytest.approx(theirs[4:], rel=1e-6):
            differing[key] = (left, right)
    assert not differing


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
        pytest.param("cre21-import", marks=pytest.mark.slow),
        "p1uhs23-export",
        "p1uhs23-import",
        pytest.param("ckt5-export", marks=pytest.mark.slow),
    ],
)
def test_a_real_feeder_gives_the_oracles_answer_in_every_location(name: str, networks: Path) -> None:
    assert_same(real_hv_cases(networks)[name])
