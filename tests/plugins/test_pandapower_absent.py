"""Without pandapower every mention of it is one line that says how to install it, and nothing else changes."""

from __future__ import annotations

import importlib.util
import re
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest
from click.testing import CliRunner

from hostcap.cli.main import main
from hostcap.errors import MissingPackageError, PluginError
from hostcap.plugins import default_registry, extras
from hostcap.testing import check_plugin
from hostcap_stock.pandapower import plugin
from hostcap_stock.pandapower.config import PandapowerConfig, PandapowerSolverConfig
from hostcap_stock.pandapower.solver import PandapowerSolver
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
ON_OPENDSS = """\
name = "x"
[scope]
feeders = ["a"]
year = 2025
[network]
plugin = "opendss"
master = "{master}"
frequency_hz = 50
[study]
plugin = "lv-headroom"
{study}
[[constraints]]
plugin = "thermal"
[solver]
plugin = "{solver}"
"""
REAL_FIND_SPEC = importlib.util.find_spec


@pytest.fixture(params=["nowhere", "a folder of that name"])
def absent(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment without the package."""
    gone = None if request.param == "nowhere" else ModuleSpec("pandapower", None)
    monkeypatch.setattr(extras, "find_spec", lambda name: gone if name == "pandapower" else REAL_FIND_SPEC(name))


def told(*arguments: str, code: int = 2) -> list[str]:
    """Lines that a command prints, whose exit code is the one expected."""
    result = CliRunner().invoke(main, [*arguments])
    assert result.exit_code == code, result.output
    return [line for line in result.output.splitlines() if line]


def study(folder: Path, demo: Path, *, solver: str = "batched", line: str = "") -> str:
    path = folder / "study.toml"
    path.write_text(ON_OPENDSS.format(master=demo / "feeder" / "Master.dss", solver=solver, study=line))
    return str(path)


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
@pytest.mark.parametrize("command", ["check", "run", "bench"])
@pytest.mark.parametrize(
    ("solver", "line", "who"),
    [
        ("pandapower", "", "solver 'pandapower'"),
        ("batched", 'cross_check = "pandapower"', "study.cross_check 'pandapower'"),
        ("pandapower", 'cross_check = "pandapower"', "solver 'pandapower', study.cross_check 'pandapower'"),
    ],
    ids=["solver", "cross-check", "both"],
)
def test_a_study_of_another_engine_that_names_it_ends_in_one_line(
    command: str, solver: str, line: str, who: str, tmp_path: Path, demo_folder: Path
) -> None:
    """It is not said that it does not fit: with the package it might, and nobody knows."""
    assert told(command, study(tmp_path, demo_folder, solver=solver, line=line)) == [f"error: {who}: {LINE}"]


@pytest.mark.usefixtures("absent")
def test_other_ways_to_name_it_end_in_that_line_too(tmp_path: Path, demo_folder: Path) -> None:
    path = study(tmp_path, demo_folder)
    assert told("bench", path, "--against", "pandapower") == [f"error: solver 'pandapower': {LINE}"]
    assert told("run", path, "--set", "solver.plugin=pandapower") == [f"error: solver 'pandapower': {LINE}"]
    net = tmp_path / "net.json"
    net.write_text("{}")
    assert told("new-study", str(net), "--network", "pandapower") == [f"error: network 'pandapower': {LINE}"]
    flows = STUDY.replace('"lv-headroom"', '"trace"').partition("[[constraints]]")[0]
    (tmp_path / "flows.toml").write_text(flows + '[flows]\nplugin = "power-flow"\n')
    assert told("run", str(tmp_path / "flows.toml")) == [f"error: network 'pandapower': {LINE}"]


@pytest.mark.usefixtures("absent")
@pytest.mark.parametrize("command", ["check", "run", "bench"])
def test_a_study_of_its_nets_ends_in_one_line(command: str, tmp_path: Path) -> None:
    path = tmp_path / "study.toml"
    path.write_text(STUDY)
    assert told(command, str(path)) == [f"error: network 'pandapower': {LINE}"]
    path.write_text(STUDY + '[solver]\nplugin = "pandapower"\n')
    assert told(command, str(path)) == [f"error: network 'pandapower', solver 'pandapower': {LINE}"]


@pytest.mark.usefixtures("absent")
def test_it_is_listed_and_shown_as_not_installed() -> None:
    rows = [row for row in default_registry().list() if row.name == "pandapower"]
    assert [(row.kind, row.state) for row in rows] == [("networks", LINE), ("solvers", LINE)]
    listed = [line for line in told("plugins", code=0) if line.split()[1] == "pandapower"]
    assert len(listed) == 2 and all(line.endswith(LINE) for line in listed)
    for kind in ("network", "solver"):
        assert f"not usable: {LINE}" in told("plugins", "show", kind, "pandapower", code=0)
        assert told("plugins", "check", kind, "pandapower", code=1)[0] == f"packages-are-installed: {LINE}"
        assert [p.message for p in check_plugin(default_registry(), kind, "pandapower")] == [LINE]


@pytest.mark.usefixtures("absent")
def test_parts_made_in_python_say_it_too(tmp_path: Path) -> None:
    for config in (PandapowerConfig(function="create_cigre_network_lv"), PandapowerConfig(file=tmp_path / "net.json")):
        with pytest.raises(MissingPackageError, match=re.escape(LINE)):
            PandapowerSource(config=config).load("feeder")
    with pytest.raises(MissingPackageError, match=re.escape(LINE)):
        PandapowerSolver()


def test_where_it_is_there_nothing_is_said_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extras, "find_spec", lambda name: ModuleSpec(name, None, origin="/there"))
    rows = [row for row in default_registry().list() if row.name == "pandapower"]
    assert [row.state for row in rows] == ["ok", "ok"]


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
