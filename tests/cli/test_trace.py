"""``hostcap trace``: examples in words, the same study as a file, and one line for each wrong turn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from hostcap import read_results
from hostcap.cli.main import main


def call(*arguments: str) -> Any:
    return CliRunner().invoke(main, list(arguments))


def test_the_four_bus_example_prints_its_shares() -> None:
    done = call("trace", "--example", "bialek-four-bus")
    assert done.exit_code == 0, done.output
    lines = [line.split() for line in done.output.splitlines()]
    assert ["L5", "51.3251", "33.4346", "82", "0"] in lines
    assert ["n1", "n3", "276.325", "267.35"] in lines
    assert "results:" not in done.output


def test_the_three_bus_example_prints_its_shares() -> None:
    done = call("trace", "--example", "three-bus")
    assert ["L3", "1", "0", "1"] in [line.split() for line in done.output.splitlines()]


def test_the_mode_is_the_tracer_s() -> None:
    done = call("trace", "--example", "bialek-four-bus", "--mode", "actual")
    assert ["L5", "49.9519", "33.0481", "82", "0"] in [line.split() for line in done.output.splitlines()]


def test_a_source_is_traced_into_a_folder_as_a_study_file_would(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    done = call("trace", "--source", "example", "three-bus", "--level", "day,month", "--periods", "--out", "out")
    assert done.exit_code == 0, done.output
    found = read_results(tmp_path / "out")
    assert set(found["branch_shares"]["level"]) == {"period", "day", "month", "total"}
    study = found.summary["study"]
    assert 'plugin = "trace"' in study and 'system = "three-bus"' in study
    (tmp_path / "study.toml").write_text(study, encoding="utf-8")
    assert call("run", "study.toml", "--out", "again").exit_code == 0
    again = read_results(tmp_path / "again")
    assert again.work_package_id == found.work_package_id
    assert again["branch_shares"].to_arrow().equals(found["branch_shares"].to_arrow())


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "give --source FLOWS and what it reads, or --example SYSTEM"),
        (["--example", "three-bus", "--source", "example"], "give --source FLOWS"),
        (["--example", "three-bus", "folder"], "--example reads no place; leave out 'folder'"),
        (["--source", "example"], "--source example reads a folder or file; name it"),
        (["--example", "three-buss"], "expected one of three-bus, bialek-four-bus"),
        (["--source", "vspdd", "x"], "no flow named 'vspdd'; did you mean 'vspd'"),
        (["--example", "three-bus", "--level", "week"], "study.levels[0]: expected one of period, day"),
        (["--example", "three-bus", "--mode", "textbook"], "tracer.mode: expected one of balanced"),
        (["--example", "three-bus", "--start", "2014-13-01"], "expected a day such as 2014-01-31"),
        (
            ["--example", "three-bus", "--start", "2014-01-01"],
            "no day from 2014-01-01 to the last; there is only 2011-01-01",
        ),
        (["--example", "three-bus", "--set", "tracer.thread=2"], "tracer.thread: unknown key"),
    ],
)
def test_a_wrong_turn_is_one_line(arguments: list[str], told: str) -> None:
    done = call("trace", *arguments)
    assert done.exit_code in (1, 2)
    assert told in done.output
    assert "Traceback" not in done.output


def test_a_dropped_loop_is_named_with_its_power(tmp_path: Path) -> None:
    (tmp_path / "branches.csv").write_text(
        "branch,from_bus,to_bus,flow_mw,loss_mw\nL1,A,B,60,0\nL2,X,Y,5,0\nL3,Y,Z,5,0\nL4,Z,X,5,0\n"
    )
    (tmp_path / "nodes.csv").write_text("node,bus,generation_mw,load_mw\nwind,A,60,0\ntown,B,0,60\n")
    study = tmp_path / "ring.toml"
    study.write_text(
        'name = "ring"\n[study]\nplugin = "trace"\n[flows]\nplugin = "table"\nbranches = "branches.csv"\n'
        'nodes = "nodes.csv"\nstart = 2025-01-01T00:00:00Z\n[tracer]\nplugin = "bialek"\ncirculation = "drop"\n'
    )
    told = CliRunner().invoke(main, ["run", str(study), "--out", str(tmp_path / "out")])
    assert told.exit_code == 0, told.output
    (line,) = [line for line in told.output.splitlines() if "circulation-dropped" in line]
    assert line.endswith("[L2, L3, L4 round the buses X, Y, Z, 5000 kW]")
