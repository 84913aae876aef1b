"""``hostcap bench`` on the demo: sizes, stages, speeds and agreement are there; no speed is asserted."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from click.testing import CliRunner, Result

from hostcap import WorkPackage
from hostcap.benching import _levels
from hostcap.benching import bench as measure
from hostcap.cli.bench import bench
from hostcap.errors import ConfigError
from hostcap.limits import Extremes
from hostcap.power_flow import States

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


def test_hv_locations_grow_one_at_a_time_and_both_solvers_agree(study: Path) -> None:
    """In every state that is timed or compared one site grows, at any step up to where half of them break a limit."""
    text = study.read_text(encoding="utf-8")
    head, _, rest = text.partition("[study]")
    rest = rest[rest.index("[initial_state]") :].replace('[allocation]\nplugin = "uniform"', "")
    study.write_text(f'{head}[study]\nplugin = "hv-node-headroom"\nstep_kw_per_node = 20.0\n{rest}', encoding="utf-8")
    found = run(study)
    assert found.exit_code == 0, found.output
    assert re.search(r"^growing one at a time +7$", found.output, re.MULTILINE), found.output
    assert "batched: plan" in found.output and "opendss: plan" in found.output
    assert "answers agree on 16 states" in found.output


@pytest.mark.parametrize("alone", [True, False])
def test_levels_are_those_of_what_grows(alone: bool) -> None:
    """Scope s breaks its limit at step s + 1, so half of eight have one from step 4 on."""
    growing = np.array([True] * 8 + [False])

    class Plan:
        def solve(self, levels: Any, want: Any) -> States:
            assert not np.any(levels[:, 8:])
            over = levels[:, :8] > np.arange(8)
            margin = np.where(np.hstack([np.zeros((len(levels), 1), bool), over]), -1.0, 1.0)[:, :, None]
            shape = (len(levels),)
            return States(
                converged=np.ones(shape, bool),
                iterations=np.ones(shape, np.int32),
                extremes=Extremes(margin=margin, row=np.zeros(margin.shape), families=("thermal",)),
            )

        def close(self) -> None: ...

    class Study:
        def plan(self, frozen: Any, prepared: Any) -> Plan:
            return Plan()

    class Prepared:
        open_groups = growing

    Prepared.alone = alone  # type: ignore[attr-defined]
    study, prepared = cast(Any, Study()), cast(Any, Prepared())
    levels = _levels(study, cast(Any, None), prepared, 400)
    assert levels.shape == (400, 9) and not levels[0].any() and not levels[:, 8].any()
    assert levels.max() == 4, "at 4 half of eight have a broken limit"
    grown = np.count_nonzero(levels[1:], axis=1)
    assert np.all(grown == 1) if alone else grown.max() == 8
    assert set(np.unique(np.nonzero(levels)[1])) == set(range(8))


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
    with pytest.raises(
        ConfigError, match=r"does not say how its states are solved.*such as lv-headroom and hv-node-headroom"
    ):
        measure(WorkPackage.read(study), "demo")
