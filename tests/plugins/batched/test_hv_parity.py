"""HV node headroom by both solvers at 1e-9 pu: every location of the public feeders has one answer, near-tie or not."""

from __future__ import annotations

from pathlib import Path

import pytest
from hv_studying import HvCase, differing, locations, real_hv_cases


def assert_same(case: HvCase) -> None:
    ours, theirs = (
        locations(case.run(solver={"plugin": plugin}), case.step_kw, case.direction)
        for plugin in ("batched", "opendss")
    )
    assert list(ours) == list(theirs)
    assert not differing(ours, theirs, 1e-6)


@pytest.mark.shared
@pytest.mark.parametrize("name", ["p1uhs23-export", "p1uhs23-import"])
def test_a_small_feeder_has_one_answer_in_every_location(name: str, networks: Path) -> None:
    assert_same(real_hv_cases(networks)[name])


@pytest.mark.shared
@pytest.mark.slow
@pytest.mark.parametrize("name", ["cre21-export", "cre21-import", "ckt5-export", "8500-export"])
def test_a_large_feeder_has_one_answer_in_every_location(name: str, networks: Path) -> None:
    assert_same(real_hv_cases(networks)[name])
