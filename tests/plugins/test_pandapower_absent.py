"""Without pandapower every mention of it is one line that says how to install it, and nothing else changes."""

from __future__ import annotations

import re
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest
from click.testing import CliRunner

from hostcap.cli.main import main
from hostcap.errors import PluginError
from hostcap.plugins import default_registry
from hostcap_stock.pandapower import plugin
from hostcap_stock.pandapower.config import PandapowerConfig, PandapowerSolverConfig
from hostcap_stock.pandapower.source import PandapowerSource

LINE = "the package pandapower is not installed; pip install 'hostcap[pandapower]'"
STUDY = """\
name = "x"
[scope]
feeders = ["a"]
year = 2025
[network]
plugin = "pandapower"
function = "create_cigre_network_lv"
[study]
plugin = "lv-headroom"
[[constraints]]
plugin = "thermal"
"""


@pytest.fixture(params=["nowhere", "a folder of that name"])
def absent(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment without the package."""
    found = None if request.param == "nowhere" else ModuleSpec("pandapower", None)
    monkeypatch.setattr(plugin, "find_spec", lambda name: found)


@pytest.mark.usefixtures("absent")
def test_source_and_solver_say_how_to_install_it() -> None:
    for record, config in (
        (plugin.NETWORK, PandapowerConfig(function="create_cigre_network_lv")),
        (plugin.SOLVER, PandapowerSolverConfig()),
    ):
        with pytest.raises(PluginError) as caught:
            record.make(config)  # type: ignore[arg-type]
        assert str(caught.value).endswith(LINE)


@pytest.mark.usefixtures("absent")
@pytest.mark.parametrize("command", ["check", "run"])
def test_a_study_that_names_it_ends_in_one_line(command: str, tmp_path: Path) -> None:
    path = tmp_path / "study.toml"
    path.write_text(STUDY)
    result = CliRunner().invoke(main, [command, str(path)])
    assert result.exit_code != 0
    (told,) = [line for line in result.output.splitlines() if line]
    assert told.startswith("error: ") and told.endswith(LINE)


@pytest.mark.usefixtures("absent")
def test_it_is_listed_all_the_same() -> None:
    listed = {(row.kind, row.name) for row in default_registry().list()}
    assert {("networks", "pandapower"), ("solvers", "pandapower")} <= listed


@pytest.mark.usefixtures("absent")
def test_a_source_made_in_python_says_it_too(tmp_path: Path) -> None:
    for config in (PandapowerConfig(function="create_cigre_network_lv"), PandapowerConfig(file=tmp_path / "net.json")):
        with pytest.raises(PluginError, match=re.escape(LINE)):
            PandapowerSource(config=config).load("feeder")


def test_ci_runs_every_test_that_is_skipped_without_the_package() -> None:
    """Everywhere else these skip, so that a file that CI forgets would never run at all."""
    root = Path(__file__).resolve().parents[2]
    steps = (root / ".ci" / "run").read_text(encoding="utf-8")
    skipping = [
        path.relative_to(root)
        for path in root.glob("tests/**/test_*.py")
        if re.search(r"importorskip\(\s*\"(pandapower|simbench)\"", path.read_text(encoding="utf-8"))
    ]
    assert len(skipping) > 5
    forgotten = [str(path) for path in skipping if not {str(path), str(path.parent)} & set(steps.split())]
    assert not forgotten, "name these in .ci/run, where pandapower is installed"
