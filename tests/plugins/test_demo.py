"""The demo teaches what its page says: each transformer is stopped by what the hand calculation says."""

from __future__ import annotations

from pathlib import Path

import pytest
from demo_bounds import HAND_BOUNDS, MV_LINE_BOUNDS, MV_STEP_KW, HandBound
from studying import answers

from hostcap.running import run
from hostcap.work_package import WorkPackage
from hostcap_stock.demo import make_feeder


def assert_as_by_hand(study: Path, bounds: list[HandBound], step_kw: float) -> None:
    found = answers(run(WorkPackage.read(study)), step_kw)
    assert set(found) == {b.transformer for b in bounds}
    for bound in bounds:
        answer = found[bound.transformer]
        assert answer["status"] == bound.status
        assert abs(answer["level"] - bound.level) <= bound.tolerance_steps, bound.transformer
        if bound.metric is None:
            assert answer["binding"] is None
        else:
            assert answer["binding"][:2] == (bound.metric, bound.equipment)


def test_each_transformer_of_the_demo_is_stopped_as_by_hand(demo_folder: Path) -> None:
    assert_as_by_hand(demo_folder / "demo.toml", HAND_BOUNDS, 0.1)


def test_the_22_kv_line_stops_everything_in_the_second_study(demo_folder: Path) -> None:
    assert_as_by_hand(demo_folder / "mv-line.toml", MV_LINE_BOUNDS, MV_STEP_KW)


def test_the_script_makes_the_feeder_that_ships(demo_folder: Path) -> None:
    for name, text in make_feeder.files().items():
        assert (demo_folder / "feeder" / name).read_text(encoding="utf-8") == text


def test_the_demo_is_small(demo_folder: Path) -> None:
    size = sum(p.stat().st_size for p in demo_folder.rglob("*") if p.is_file() and "__pycache__" not in p.parts)
    assert size < 300_000


@pytest.mark.parametrize("study", ["demo.toml", "mv-line.toml"])
def test_the_demo_studies_say_what_they_will_do_in_full(study: str, demo_folder: Path) -> None:
    work_package = WorkPackage.read(demo_folder / study)
    assert 'plugin = "opendss"' in work_package.canonical
    assert work_package.scope.feeders == ("demo",)
