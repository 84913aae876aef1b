"""HV node headroom by both solvers at 1e-9 pu: every location of the public feeders has one answer, near-tie or not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import pytest
from hv_studying import HvCase, differing, locations, real_hv_cases


def assert_same(case: HvCase, **study: Any) -> None:
    runs = [case.run(solver={"plugin": plugin}, study=study) for plugin in ("batched", "opendss")]
    ours, theirs = (locations(results, case.step_kw, case.direction) for results in runs)
    assert list(ours) == list(theirs)
    assert len({row["level"] for row in theirs.values()}) > 1
    assert not differing(ours, theirs, 1e-6)


@pytest.mark.shared
@pytest.mark.parametrize("name", ["p1uhs23-export", "p1uhs23-import"])
def test_a_small_feeder_has_one_answer_in_every_location(name: str, networks: Path) -> None:
    assert_same(real_hv_cases(networks)[name])


@pytest.mark.shared
@pytest.mark.slow
@pytest.mark.parametrize("name", ["cre21-export", "ckt5-export", "8500-export"])
def test_a_large_feeder_has_one_answer_in_every_location(name: str, networks: Path) -> None:
    assert_same(real_hv_cases(networks)[name])


@pytest.mark.shared
@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "step_kw", "named"),
    [("cre21-import", 400.0, "*[14]5*"), ("ckt5-export", 150.0, "*77*"), ("8500-export", 40.0, "*98[01]*")],
)
def test_fine_steps_have_one_answer_in_some_locations(name: str, step_kw: float, named: str, networks: Path) -> None:
    case = attrs.evolve(real_hv_cases(networks)[name], step_kw=step_kw, max_steps=30)
    assert_same(case, location_names=[named])
