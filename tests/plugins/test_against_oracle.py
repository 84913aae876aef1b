"""Every group's level, status and binding violation equals an oracle that shares no code with the product.

The oracle (headroom_oracle.py) was written from the method alone, with bare engine calls. Values agree within
1e-4 of the limit: both sides solve each state to ``tolerance_pu``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from headroom_oracle import oracle
from studying import Case, answers, demo_cases, real_cases


def assert_same(case: Case) -> None:
    expected = oracle(str(case.master), **case.arguments)
    found = answers(case.run(), case.step_kw)
    assert list(found) == sorted(found, key=list(found).index)
    assert set(found) == set(expected)
    differing: dict[str, Any] = {}
    for group, right in expected.items():
        left = found[group]
        same = all(left[key] == right[key] for key in ("level", "status", "customers", "breached_after_lock_at"))
        if right["binding"] is None or left["binding"] is None:
            same = same and left["binding"] == right["binding"]
        else:
            same = same and tuple(left["binding"][:4]) == tuple(right["binding"][:4])
            same = same and left["binding"][4:] == pytest.approx(right["binding"][4:], rel=1e-4)
        if not same:
            differing[group] = (left, right)
    assert not differing


@pytest.mark.parametrize("name", ["export", "import", "export-leading", "no-hv-stop", "no-lock"])
def test_the_demo_feeder_gives_the_oracles_answer_in_every_group(name: str, demo_folder: Path) -> None:
    assert_same(demo_cases(demo_folder)[name])


@pytest.mark.shared
@pytest.mark.parametrize(
    "name",
    [
        pytest.param("cre21-export", marks=pytest.mark.slow),
        pytest.param("cre21-import", marks=pytest.mark.slow),
        "p1uhs23-export",
        "p1uhs23-import",
        "eu-lv-export",
        "csiro-n-import",
        "ckt5-export",
    ],
)
def test_a_real_feeder_gives_the_oracles_answer_in_every_group(name: str, networks: Path) -> None:
    assert_same(real_cases(networks)[name])
