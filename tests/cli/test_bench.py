"""``hostcap bench`` on the demo: sizes, stages, speeds and agreement are there; no speed is asserted."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from hostcap import WorkPackage
from hostcap.benching import bench as measure
from hostcap.cli.bench import bench
from hostcap.errors import ConfigError

pytest.importorskip("opendssdirect", reason="needs the OpenDSS engine")


@pytest.fixture
def study(demo_folder: Path, tmp_path: Path) -> Path:
    """The demo's study in a folder of its own."""
    shutil.copytree(demo_folder / "feeder", tmp_path / "feeder")
    return Path(shutil.copy(demo_folder / "demo.toml", tmp_path / "demo.toml"))


def run(study: Path, *options: str) -> Result:
    return CliRunner().invoke(bench, [str(study), "--seconds", "0.02", *options])


def test_it_measures_both_solvers_and_says_that_they_agree(study: Path) -> None:
    before = sorted(study.parent.iterdir())
    found = run(study)
    assert found.exit_code == 0, found.output
    for stage in ("load the feeder", "solve the start and freeze", "batched: plan", "opendss: plan"):
        assert stage in found.output
    assert "batched states/s" in found.output and "opendss states/s" in found.output
    assert re.search(r"^ +1 +\S+ +\S+ +\S+ +\S+ +\S+x$", found.output, re.MULTILINE)
    assert "answers agree on 16 states" in found.output
    assert sorted(study.parent.iterdir()) == before  # nothing is written


def test_a_solver_is_not_compared_with_itself(study: Path) -> None:
    found = run(study, "--set", "solver.plugin=opendss")
    assert found.exit_code == 0, found.output
    assert "not compared: the study's solver is 'opendss' itself" in found.output


@pytest.mark.parametrize(
    ("options", "said"),
    [(("--feeder", "nowhere"), "'nowhere' is none of the study's"), (("--against", "nothing"), "nothing")],
)
def test_wrong_words_are_refused(study: Path, options: tuple[str, str], said: str) -> None:
    found = run(study, *options)
    assert found.exit_code == 2
    assert said in found.output


def test_a_feeder_that_fails_is_named(study: Path) -> None:
    (study.parent / "feeder" / "Master.dss").write_text("new nonsense\n", encoding="utf-8")
    found = run(study)
    assert found.exit_code == 3
    assert "error: demo: " in found.output


def test_a_study_without_plans_of_its_own_is_refused(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(WorkPackage, "study", lambda self: object())
    with pytest.raises(ConfigError, match="does not say how its states are solved"):
        measure(WorkPackage.read(study), "demo")
