"""Wrong study files, network files and command lines: one clear line, the right exit code, nothing half written."""

from __future__ import annotations

import errno
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen
from click.testing import CliRunner, Result

from hostcap import read_results
from hostcap.cli.main import main

STUDY = """name = "street"

[scope]
feeders = ["north"]
year = 2025

[network]
plugin = "opendss"
master = "north.dss"
frequency_hz = 50

[study]
plugin = "lv-headroom"
step_kw_per_customer = 1.0
max_steps = 12

[initial_state]
plugin = "zero-load"

[injection]
plugin = "negative-load"
direction = "export"
power_factor = 1.0

[allocation]
plugin = "uniform"

[[constraints]]
plugin = "voltage"
lv_min_v = 216.0
lv_max_v = 253.0

[[constraints]]
plugin = "thermal"
percent_of_rating = 100.0

[solver]
plugin = "opendss"
tolerance_pu = 1e-6

[[writers]]
plugin = "parquet"
"""
MASTER = """clear
new circuit.c basekv=22 pu=1 bus1=src mvasc3=2000 mvasc1=2000
new transformer.t1 phases=3 windings=2 buses=[src a] conns=[delta wye] kvs=[22 .4] kvas=[50 50] xhl=4
new line.l1 bus1=a bus2=b r1=.3 x1=.1 r0=.6 x0=.2 c1=0 c0=0 length=.2 units=km normamps=200
new load.d1 bus1=b.1 phases=1 kv=.23 kw=2 kvar=.5
new load.d2 bus1=b.2 phases=1 kv=.23 kw=2 kvar=.5
set voltagebases=[22 .4]
calcvoltagebases
"""
NO_SOLUTION = MASTER.replace(
    "set voltagebases",
    "new load.mill bus1=b phases=3 kv=.4 kw=9000 kvar=3000 vminpu=.01 vlowpu=.005 vmaxpu=9\nset voltagebases",
)
RUN = ("run", "study.toml", "--out", "out")
TABLES = {
    "binding_constraints",
    "binding_usage",
    "constraint_violations",
    "customer_allocations",
    "feeder_branches",
    "feeder_buses",
    "findings",
    "lv_group_hosting_capacity",
    "node_voltages",
}

Do = Callable[[Path], None]


def put(name: str, content: str | bytes) -> Do:
    """Write a file, or a folder where the name ends with a slash."""

    def act(folder: Path) -> None:
        path = folder / name
        if name.endswith("/"):
            path.mkdir(parents=True)
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())

    return act


def swap(old: str, new: str, name: str = "study.toml") -> Do:
    """Change the good study file, or another file, in one place."""

    def act(folder: Path) -> None:
        text = (folder / name).read_text(encoding="utf-8")
        assert old in text
        (folder / name).write_text(text.replace(old, new), encoding="utf-8")

    return act


def network(old: str, new: str) -> Do:
    return swap(old, new, "north.dss")


def without(name: str) -> Do:
    return lambda folder: (folder / name).unlink()


def done(*arguments: str) -> Do:
    """Run the command line well before, for turns that start from results."""

    def act(folder: Path) -> None:
        assert call(arguments or RUN).exit_code == 0

    return act


def call(arguments: Sequence[str]) -> Result:
    return CliRunner().invoke(main, list(arguments))


def tree(folder: Path) -> dict[str, bytes]:
    """Every file by its path; folders with a slash."""
    return {
        f"{path.relative_to(folder)}" + ("/" if path.is_dir() else ""): b"" if path.is_dir() else path.read_bytes()
        for path in sorted(folder.rglob("*"))
    }


def lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.strip()]


@pytest.fixture
def street(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a good study of a tiny feeder, as working directory."""
    (tmp_path / "study.toml").write_text(STUDY, encoding="utf-8")
    (tmp_path / "north.dss").write_text(MASTER, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_good_study_of_this_table_is_good(street: Path) -> None:
    result = call(RUN)
    assert (result.exit_code, result.stderr, result.exception) == (0, "", None)
    assert {path.parent.parent.parent.name for path in street.rglob("*.parquet")} == TABLES


@frozen
class Wrong:
    """One wrong turn.

    Attributes:
        name: What is wrong.
        do: How the folder is made wrong.
        code: Exit code: 1 failed, 2 refused, 3 a feeder failed.
        says: Fragments that its one line on standard error must hold.
        run: Arguments of the command.
    """

    name: str
    do: tuple[Do, ...]
    code: int
    says: tuple[str, ...]
    run: tuple[str, ...] = RUN


def wrong(name: str, do: Do | Sequence[Do], code: int, *says: str, run: Sequence[str] = RUN) -> Wrong:
    return Wrong(name, tuple(do) if isinstance(do, Sequence) else (do,), code, says, tuple(run))


def overridden(name: str, override: str, *says: str) -> Wrong:
    return Wrong(name, (), 2, says, (*RUN, "--set", override))


STUDY_FILES = [
    # The file itself
    wrong("no such file", without("study.toml"), 2, "study.toml: no such file"),
    wrong("a folder", (), 2, "is a folder; name the study file in it", run=("run", ".", "--out", "out")),
    wrong("empty", put("study.toml", ""), 2, "study.toml: is empty", "[scope]"),
    wrong("blanks and remarks alone", put("study.toml", "\n# to do\n"), 2, "study.toml: is empty"),
    wrong("binary", put("study.toml", bytes(range(256))), 2, "study.toml", "not a text file"),
    wrong("UTF-16", put("study.toml", STUDY.encode("utf-16")), 2, "study.toml", "not a text file"),
    wrong(
        "Latin-1", put("study.toml", STUDY.replace("street", "stra\xdfe").encode("latin-1")), 2, "not UTF-8", "line 1"
    ),
    wrong("huge", put("study.toml", b"#" * 10_000_001), 2, "larger than 10 MB"),
    wrong("not TOML", put("study.toml", "name = \n"), 2, "study.toml: is not TOML", "line 1"),
    wrong("JSON", put("study.toml", '{"name": "street"}'), 2, "study.toml: is not TOML"),
    wrong("nested without end", put("study.toml", "a = " + "[" * 20_000), 2, "study.toml: is not TOML"),
    wrong("a key twice", swap("year = 2025", "year = 2025\nyear = 2026"), 2, "study.toml: is not TOML"),
    wrong("a null character", put("study.toml", STUDY + "# \0\n"), 2, "not a text file"),
    wrong("the network in its place", (), 2, "is not TOML", run=("run", "north.dss", "--out", "out")),
    # Types
    overridden("text for a number", 'study.step_kw_per_customer="1"', "study.step_kw_per_customer", "number", "'1'"),
    overridden("a fraction for an integer", "study.max_steps=3.7", "study.max_steps", "integer", "3.7"),
    overridden("text for a boolean", 'study.stop_on_hv_violation="false"', "stop_on_hv_violation", "true or false"),
    overridden("a number for text", "name=3", "name", "text"),
    overridden("a text for a list", 'scope.feeders="north"', "scope.feeders", "list of text"),
    overridden("a list for a table", "solver=[1]", "solver", "expected a table"),
    overridden("true for a number", "network.frequency_hz=true", "network.frequency_hz", "number", "true"),
    overridden("a naive time", "initial_state.start_time=2025-01-01T00:00:00", "initial_state.start_time"),
    overridden("text in a list of numbers", 'network.voltage_bases_kv=[22.0, "x"]', "voltage_bases_kv[1]", "number"),
    # Ranges
    overridden("a negative step", "study.step_kw_per_customer=-1", "study.step_kw_per_customer: must be > 0, got -1"),
    overridden("a step of nothing", "study.step_kw_per_customer=0", "must be > 0"),
    overridden("an infinite step", "study.step_kw_per_customer=inf", "must be finite, got inf"),
    overridden("a step that is no number", "study.step_kw_per_customer=nan", "must be finite, got nan"),
    overridden("no steps", "study.max_steps=0", "study.max_steps: must be 1 to 10000, got 0"),
    overridden("an integer past all bounds", f"study.max_steps={'9' * 5000}", "study.max_steps: expected an integer"),
    overridden("a year out of time", "scope.year=25", "scope.year: must be 1900 to 2200"),
    overridden("a power factor of 0", "injection.power_factor=0", "injection.power_factor", "0 < |"),
    overridden("a power factor past 1", "injection.power_factor=1.2", "injection.power_factor", "1.2"),
    overridden("a frequency of 0", "network.frequency_hz=0", "network.frequency_hz: must be > 0"),
    overridden("a frequency past all reason", "network.frequency_hz=1e300", "network.frequency_hz"),
    overridden("a voltage base below 0", "network.voltage_bases_kv=[22, -0.4]", "network.voltage_bases_kv"),
    overridden("a voltage base of infinity", "network.voltage_bases_kv=[22, inf]", "network.voltage_bases_kv"),
    overridden("a neutral below 0", "network.neutral_nodes=[-4]", "network.neutral_nodes"),
    overridden("a tolerance of 1", "solver.tolerance_pu=1", "solver.tolerance_pu"),
    overridden("a limit below 0", "constraints.0.lv_min_v=-1", "constraints[0].lv_min_v: must be > 0"),
    overridden("0 % of the rating", "constraints.1.percent_of_rating=0", "constraints[1].percent_of_rating"),
    # Conflicts
    overridden("limits crossed", "constraints.0.lv_min_v=260", "constraints[0]", "lv_min_v (260) must be below"),
    overridden("volts and per unit", "constraints.0.lv_max_pu=1.05", "constraints[0]", "not both"),
    wrong(
        "a voltage limit without a side",
        swap("lv_min_v = 216.0\nlv_max_v = 253.0\n", ""),
        2,
        "constraints[0]",
        "at least one limit",
    ),
    overridden("feeders of one name", 'scope.feeders=["north","North"]', "scope.feeders", "twice"),
    overridden("several feeders, one path", 'scope.feeders=["north","south"]', "network.master", "{feeder}"),
    overridden("another scenario", "scope.scenario=high", "scope.scenario: only 'base'"),
    # Missing and unknown
    wrong(
        "no limits", swap(STUDY[STUDY.index("[[constraints") : STUDY.index("[solver]")], ""), 2, "at least one limit"
    ),
    wrong("no network", swap(STUDY[STUDY.index("[network]") : STUDY.index("[study]")], ""), 2, "network: required"),
    wrong("no master", swap('master = "north.dss"\n', ""), 2, "network.master: required key is missing"),
    wrong("no frequency", swap("frequency_hz = 50\n", ""), 2, "network.frequency_hz: required key is missing"),
    wrong("no year", swap("year = 2025\n", ""), 2, "scope.year: required key is missing"),
    wrong("no name", swap('name = "street"\n', ""), 2, "name: required key is missing"),
    wrong(
        "a key misspelled",
        swap('plugin = "zero-load"', 'plugin = "zero-load"\nstart_tme = 2025-01-01T00:00:00Z'),
        2,
        "initial_state.start_tme: unknown key; did you mean 'start_time'?",
    ),
    wrong("a table misspelled", swap("[solver]", "[solvr]"), 2, "solvr", "did you mean 'solver'?"),
    overridden("a plugin misspelled", "solver.plugin=opendds", "'opendds'", "did you mean 'opendss'?", "known:"),
    overridden("a plugin of another kind", "initial_state.plugin=uniform", "initial_state", "'uniform'", "known:"),
    overridden("no feeders", "scope.feeders=[]", "scope.feeders: must not be empty"),
    overridden("a feeder that leaves the folder", 'scope.feeders=["../x"]', "scope.feeders", "cannot name a folder"),
    overridden("a blank name", 'name=" "', "name: must not be blank"),
    wrong(
        "constraints as one table",
        swap(
            STUDY[STUDY.index("[[constraints") : STUDY.index("[solver]")],
            '[constraints]\nplugin = "voltage"\nlv_max_v = 253.0\n',
        ),
        2,
        "constraints: write [[constraints]] in double brackets",
    ),
    wrong("scope in double brackets", swap("[scope]", "[[scope]]"), 2, "scope"),
    wrong(
        "no writers",
        (swap('[[writers]]\nplugin = "parquet"', ""), swap('name = "street"', 'name = "street"\nwriters = []')),
        2,
        "writers: is empty",
    ),
]
COMMAND_LINES = [
    wrong("no command of this name", (), 2, "No such command", run=("rum", "study.toml")),
    wrong("no study", (), 2, "Missing argument", run=("run",)),
    wrong("two studies", (), 2, "unexpected extra argument", run=("run", "study.toml", "study.toml")),
    wrong("an option misspelled", (), 2, "No such option", run=("run", "study.toml", "--oot", "out")),
    overridden("--set without a value", "study.max_steps", "--set study.max_steps", "KEY=VALUE"),
    overridden("--set of no key", "a b=3", "--set a b=3", "not a key"),
    overridden("--set of an unknown key", "study.max_stps=3", "study.max_stps: unknown key", "'max_steps'"),
    overridden("--set past the end of a list", "constraints.7.lv_min_v=3", "constraints has 2 entries"),
    overridden("--set into a number", "scope.year.x=3", "scope.year is 2025"),
    overridden("--set of broken TOML", "scope.feeders=[", "--set scope.feeders=[", "not a TOML value"),
    wrong("an id that is none", (), 2, "UUID", "'seven'", run=(*RUN, "--id", "seven")),
    wrong("no workers", (), 2, "workers", run=(*RUN, "--workers", "0")),
    wrong("workers in words", (), 2, "--workers", run=(*RUN, "--workers", "two")),
    wrong("a plugin kind that is none", (), 2, "'solvr'", "solver", run=("plugins", "show", "solvr", "opendss")),
    wrong("a plugin that is none", (), 2, "'opends'", "opendss", run=("plugins", "show", "solver", "opends")),
    # Where results go and come from
    wrong("a file where a folder is due", put("out", "hello"), 1, "error: out: ", "folder", "--out"),
    wrong("a file above it", put("up", "hello"), 1, "cannot be written", run=("run", "study.toml", "--out", "up/out")),
    wrong("somebody's own files", put("out/thesis.txt", "hello"), 1, "out: is not empty", "--out"),
    wrong(
        "another study's results",
        (done(), swap("max_steps = 12", "max_steps = 11")),
        1,
        "error: out: holds ",
        "of another study",
        "--out",
    ),
    wrong("results of other input", (done(), network("kw=2", "kw=3")), 1, "of other input", "--out"),
    wrong("a broken run file", put("out/hostcap-run.json", "{"), 1, "hostcap-run.json: cannot be read", "--out"),
    wrong("a run file of something else", put("out/hostcap-run.json", "[]"), 1, "hostcap-run.json: cannot be read"),
    wrong("results of nothing", (), 1, "none: holds no hostcap run", "give the folder", run=("results", "none")),
    wrong("results of a file", (), 1, "study.toml: holds no hostcap run", run=("results", "study.toml")),
    wrong("results of a study's folder", (), 1, "holds no hostcap run", run=("results", ".")),
    wrong("a table that is none", done(), 2, "no table 'lv'", "findings", run=("results", "out", "lv")),
    wrong(
        "results of a run file alone",
        put("out/hostcap-run.json", '{"work_package_id": "x"}'),
        1,
        "no tables",
        run=("results", "out"),
    ),
    wrong("a run file without its id", put("out/hostcap-run.json", "{}"), 1, "cannot be read", run=("results", "out")),
    wrong("a run file that is a list", put("out/hostcap-run.json", "[]"), 1, "cannot be read", run=("results", "out")),
    wrong("a run file in binary", put("out/hostcap-run.json", b"\xff\0"), 1, "cannot be read", run=("results", "out")),
    wrong(
        "a table cut off",
        (done(), put("out/findings/base/north/2025.parquet", b"PAR1")),
        1,
        "2025.parquet: cannot be read",
        run=("results", "out", "findings"),
    ),
    wrong(
        "a table of another name",
        (done(), lambda folder: (folder / "out/findings").rename(folder / "out/found")),
        1,
        "holds table 'findings', expected 'found'",
        run=("results", "out"),
    ),
    wrong(
        "a stray parquet file",
        (done(), put("out/my/own/notes/today.parquet", b"")),
        1,
        "today.parquet",
        run=("results", "out"),
    ),
    wrong(
        "CSV alone",
        done("run", "study.toml", "--out", "out", "--set", "writers.0.plugin=csv"),
        1,
        "CSV files alone",
        "parquet",
        run=("results", "out"),
    ),
    wrong("a demo among other files", put("d/mine.txt", "x"), 1, "d: is not empty", run=("demo", "--out", "d")),
    wrong("a demo in a file", put("d", "x"), 1, "d: ", "cannot be written", run=("demo", "--out", "d")),
]
FEEDERS = [
    wrong("no model", without("north.dss"), 3, "north: network.master: no file", "north.dss"),
    wrong("a folder for a model", (without("north.dss"), put("north.dss/", "")), 3, "no file"),
    wrong("an empty model", put("north.dss", ""), 3, "north.dss: defines no circuit", "New Circuit"),
    wrong("a binary model", put("north.dss", bytes(range(256)) * 9), 3, "north.dss: OpenDSS says"),
    wrong(
        "a class that is none", network("new line.l1", "new lin.l1"), 3, "OpenDSS says", '"lin" not found', "line: 4"
    ),
    wrong("a property that is none", network("bus2=b", "bsu2=b"), 3, "north.dss", '"bsu2"', "line: 4"),
    wrong("a redirect to nowhere", put("north.dss", MASTER + "redirect x.dss\n"), 3, "x.dss", "line: 9"),
    wrong("a number in words", network("kw=2", "kw=two"), 3, "north.dss", '"two"'),
    wrong("no bases", network("set voltagebases=[22 .4]\ncalcvoltagebases\n", ""), 3, "voltage_bases_kv = [22.0, 0.4]"),
    wrong(
        "bases that do not fit",
        network("bases=[22 .4]", "bases=[22 .7]"),
        3,
        "20 % off",
        "voltage_bases_kv = [22.0, 0.4]",
    ),
    wrong("no loads", network("new load", "! new load"), 3, "no LV customer", "found no load at all"),
    wrong(
        "HV loads alone",
        [network(f"bus1=b.{phase} phases=1 kv=.23", "bus1=src kv=22") for phase in (1, 2)],
        3,
        "no LV customer",
        "2 HV loads: d1, d2",
    ),
    wrong(
        "no start",
        put("north.dss", NO_SOLUTION),
        3,
        "does not converge",
        run=(*RUN, "--set", "initial_state.plugin=as-modelled"),
    ),
    wrong(
        "a command that is none", (), 3, "OpenDSS refused 'bogus'", run=(*RUN, "--set", 'network.commands=["bogus"]')
    ),
    wrong("a command that takes the model away", (), 3, "circuit", run=(*RUN, "--set", 'network.commands=["clear"]')),
    wrong("no customer file", (), 3, "c.csv: no such file", run=(*RUN, "--set", "network.customers=c.csv")),
    wrong(
        "a customer file in Latin-1",
        put("c.csv", "customer,element\ncaf\xe9,d1\n".encode("latin-1")),
        3,
        "c.csv: cannot be read as UTF-8",
        run=(*RUN, "--set", "network.customers=c.csv"),
    ),
    wrong(
        "volts that do not enclose the nominal",
        (),
        3,
        "230.9 V",
        "lv_min_pu",
        run=(*RUN, "--set", "constraints.0.lv_max_v=220"),
    ),
    wrong("a load that is no number", network("kw=2 kvar=.5\nset", "kw=nan kvar=.5\nset"), 3, "d2", "kW"),
    wrong("a source alone", put("north.dss", "clear\nnew circuit.c basekv=.4 bus1=s\n"), 3, "north"),
]


def judged(turn: Wrong, folder: Path, result: Result, before: Mapping[str, bytes]) -> None:
    assert result.exception is None or isinstance(result.exception, SystemExit), repr(result.exception)
    assert result.exit_code == turn.code, result.output
    assert "Traceback" not in result.output
    told = lines(result.stderr)
    if told[0].startswith("Usage:"):  # the frame that click puts around its own refusals
        told = [line for line in told if not line.startswith(("Usage:", "Try "))]
    assert len(told) == 1, result.stderr
    assert told[0].startswith(("error: ", "Error: "))
    assert len(told[0]) < 600
    for fragment in turn.says:
        assert fragment in told[0], told[0]
    after = tree(folder)
    assert not [name for name in after if name.endswith(".part")]
    if turn.code == 3:  # the feeder's own findings say why, and the run says that it failed
        record = json.loads(after.pop("out/hostcap-run.json"))
        assert record["state"] == "failed"
        assert set(record["failed"]) == {"north"}
        after.pop("out/findings/base/north/2025.parquet")
        after = {name: held for name, held in after.items() if not name.startswith("out/")}
    assert after == before


@pytest.mark.parametrize("turn", [*STUDY_FILES, *COMMAND_LINES, *FEEDERS], ids=lambda turn: turn.name)
def test_a_wrong_turn_is_one_clear_line(street: Path, turn: Wrong) -> None:
    for act in turn.do:
        act(street)
    before = tree(street)
    judged(turn, street, call(turn.run), before)


def test_there_are_at_least_60_wrong_turns() -> None:
    turns = [*STUDY_FILES, *COMMAND_LINES, *FEEDERS]
    assert len({turn.name for turn in turns}) == len(turns) >= 60


@pytest.mark.parametrize("turn", [*STUDY_FILES, *FEEDERS], ids=lambda turn: turn.name)
def test_check_meets_wrong_turns_as_run_does_and_writes_nothing(street: Path, turn: Wrong) -> None:
    for act in turn.do:
        act(street)
    before = tree(street)
    arguments = [each for each in turn.run if each not in ("--out", "out")]
    result = call(["check", *arguments[1:]])
    assert result.exception is None or isinstance(result.exception, SystemExit), repr(result.exception)
    assert result.exit_code == turn.code
    assert len(lines(result.stderr)) == 1
    assert all(fragment in result.stderr for fragment in turn.says)
    assert tree(street) == before


def test_everything_that_is_wrong_is_told_at_once(street: Path) -> None:
    swap("max_steps = 12", "max_steps = 0")(street)
    swap("year = 2025", "year = 1")(street)
    swap('plugin = "uniform"', 'plugin = "unifrom"')(street)
    result = call(RUN)
    assert result.exit_code == 2
    told = lines(result.stderr)
    assert len(told) == 3
    assert all(line.startswith("error: ") for line in told)


def test_a_model_that_redirects_to_itself_does_not_take_the_process_with_it(street: Path) -> None:
    put("north.dss", MASTER + "redirect north.dss\n")(street)
    ended = subprocess.run(command("check", "study.toml"), capture_output=True, text=True, check=False, cwd=street)
    assert ended.returncode == 3
    assert len(lines(ended.stderr)) == 1
    assert "north.dss" in ended.stderr


# Folders and disks that refuse


def refusing(kind: type[OSError], number: int) -> Callable[..., Any]:
    def fail(*_: Any, **__: Any) -> Any:
        raise kind(number, os.strerror(number))

    return fail


def test_a_study_that_cannot_be_read(street: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "read_bytes", refusing(PermissionError, errno.EACCES))
    result = call(RUN)
    assert result.exit_code == 2
    assert lines(result.stderr) == ["error: study.toml: cannot be read: Permission denied"] or (
        len(lines(result.stderr)) == 1 and "cannot be read: Permission denied" in result.stderr
    )


@pytest.mark.parametrize("method", ["mkdir", "touch", "iterdir"])
def test_a_results_folder_that_cannot_be_written_or_read(
    street: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    if method == "iterdir":
        (street / "out").mkdir()
    monkeypatch.setattr(Path, method, refusing(PermissionError, errno.EACCES))
    result = call(RUN)
    assert isinstance(result.exception, SystemExit), repr(result.exception)
    assert result.exit_code == 1
    (told,) = lines(result.stderr)
    assert "out" in told
    assert "Permission denied" in told


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_a_model_that_cannot_be_read(street: Path) -> None:
    (street / "north.dss").chmod(0)
    result = call(RUN)
    assert result.exit_code == 3
    assert len(lines(result.stderr)) == 1


def test_a_model_that_may_not_be_read_is_one_line(street: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same where the tests run as root, who may read everything: the first read of the model is refused."""
    real = Path.read_bytes

    def read_bytes(path: Path) -> bytes:
        if path.name == "north.dss":
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(Path, "read_bytes", read_bytes)
    result = call(RUN)
    assert result.exit_code == 3
    (told,) = lines(result.stderr)
    assert "Permission denied" in told


def fails_after(count: int, real: Callable[..., Any], half: bool = True) -> Callable[..., Any]:
    """A writer of files that meets a full disk at its ``count``-th call, with half of the file written."""
    calls = iter(range(10**6))

    def write(*arguments: Any, **keywords: Any) -> Any:
        if next(calls) < count:
            return real(*arguments, **keywords)
        for path in arguments[:2]:
            if half and isinstance(path, Path):
                path.write_bytes(b"half of it")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    return write


@pytest.mark.parametrize("count", range(5))
@pytest.mark.parametrize("plugin", ["parquet", "csv"])
def test_a_full_disk_leaves_no_table_of_the_chunk(
    street: Path, monkeypatch: pytest.MonkeyPatch, count: int, plugin: str
) -> None:
    import pyarrow.csv
    import pyarrow.parquet

    module, name = {"parquet": (pyarrow.parquet, "write_table"), "csv": (pyarrow.csv, "write_csv")}[plugin]
    monkeypatch.setattr(module, name, fails_after(count, getattr(module, name)))
    result = call((*RUN, "--set", f"writers.0.plugin={plugin}"))
    assert isinstance(result.exception, SystemExit), repr(result.exception)
    assert result.exit_code == 1
    (told,) = lines(result.stderr)
    assert told.startswith("error: out: ")
    assert "No space left on device" in told
    files = [name for name in tree(street / "out") if not name.endswith("/")]
    assert files == ["hostcap-run.json"]
    assert json.loads((street / "out" / "hostcap-run.json").read_text(encoding="utf-8"))["state"] == "interrupted"


@pytest.mark.parametrize("count", range(2))
def test_a_full_disk_for_the_run_file_leaves_none_that_is_half(
    street: Path, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    monkeypatch.setattr(Path, "write_text", fails_after(count, Path.write_text, half=False))
    result = call(RUN)
    assert isinstance(result.exception, SystemExit), repr(result.exception)
    assert result.exit_code == 1
    (told,) = lines(result.stderr)
    assert "hostcap-run.json" in told
    assert "No space left on device" in told
    assert not list((street / "out").rglob("*.part"))
    for marker in (street / "out").glob("hostcap-run.json"):
        json.loads(marker.read_text(encoding="utf-8"))


def test_out_of_memory_is_one_line(street: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> Any:
        raise MemoryError

    monkeypatch.setattr("hostcap.cli.main.run", full)
    result = call(RUN)
    assert (result.exit_code, result.stderr) == (1, "error: out of memory\n")


# Interrupted


class Interrupting:
    """A progress that presses Ctrl-C at one of its calls."""

    def __init__(self, at: int) -> None:
        self.at = at
        self.calls = 0

    def __call__(self, stage: str, done: int, total: int) -> None:
        self.calls += 1
        if self.calls == self.at:
            raise KeyboardInterrupt

    @contextmanager
    def shown(self) -> Iterator[Interrupting]:
        yield self


SEVERAL = STUDY.replace('["north"]', '["north", "south", "east"]').replace("north.dss", "{feeder}.dss")


@pytest.fixture
def several(street: Path) -> Path:
    (street / "study.toml").write_text(SEVERAL, encoding="utf-8")
    for name, kw in (("south", 3), ("east", 4)):
        (street / f"{name}.dss").write_text(MASTER.replace("kw=2", f"kw={kw}"), encoding="utf-8")
    return street


def chunks_of(out: Path) -> dict[str, set[str]]:
    """Tables by feeder."""
    found: dict[str, set[str]] = {}
    for path in out.glob("*/*/*/*.parquet"):
        found.setdefault(path.parent.name, set()).add(path.parent.parent.parent.name)
    return found


def whole(out: Path) -> None:
    """No part files, whole chunks alone, and a run file that can be read."""
    if not out.exists():
        return
    assert not [path for path in out.rglob("*") if path.name.endswith(".part")]
    assert all(tables == TABLES for tables in chunks_of(out).values())
    marker = out / "hostcap-run.json"
    if marker.exists():
        json.loads(marker.read_text(encoding="utf-8"))
    else:
        assert not chunks_of(out)


def test_ctrl_c_at_any_moment_leaves_whole_feeders_alone(several: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counting = Interrupting(0)
    monkeypatch.setattr("hostcap.cli.main.progress_shown", counting.shown)
    assert call(RUN).exit_code == 0
    moments = [*sorted(random.Random(7).sample(range(1, counting.calls + 1), 14)), counting.calls]
    seen = set()
    for number, at in enumerate(moments):
        monkeypatch.setattr("hostcap.cli.main.progress_shown", Interrupting(at).shown)
        out = several / f"out{number}"
        result = call(("run", "study.toml", "--out", str(out)))
        assert result.exit_code == 130, (at, result.output)
        assert len(lines(result.stderr)) == 1
        assert "interrupted" in result.stderr
        assert result.stdout == ""
        whole(out)
        if (out / "hostcap-run.json").exists():
            assert json.loads((out / "hostcap-run.json").read_text(encoding="utf-8"))["state"] == "interrupted"
        seen.add(len(chunks_of(out)))
    assert {0, 1, 2} <= seen
    # Running again into the folder of an interrupted run finishes it.
    monkeypatch.setattr("hostcap.cli.main.progress_shown", Interrupting(0).shown)
    again = several / f"out{len(moments) - 1}"
    assert call(("run", "study.toml", "--out", str(again))).exit_code == 0
    assert set(chunks_of(again)) == {"north", "south", "east"}
    assert tables_of(again) == tables_of(several / "out")


def tables_of(out: Path) -> dict[str, str]:
    results = read_results(out)
    return {name: results.to_pandas(name).to_csv(index=False) for name in results.names}


def interrupted_at_line(action: Callable[[], object], modules: Sequence[str], at: int) -> tuple[int, bool]:
    """Run an action and press Ctrl-C at the ``at``-th line of code that it runs in some modules of hostcap."""
    count, pressed = 0, False

    def local(frame: Any, event: str, argument: Any) -> Any:
        nonlocal count, pressed
        if event == "line":
            count += 1
            if count == at:
                pressed = True
                raise KeyboardInterrupt
        return local

    def trace(frame: Any, event: str, argument: Any) -> Any:
        return local if frame.f_code.co_filename.endswith(tuple(modules)) else None

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        action()
    except KeyboardInterrupt:
        pass
    finally:
        sys.settrace(before)
    return count, pressed


@pytest.mark.parametrize("ending", ["parquet", "csv"])
def test_ctrl_c_at_any_line_of_a_writer_leaves_a_chunk_whole_or_not_at_all(street: Path, ending: str) -> None:
    from hostcap_stock.writers import CsvWriter, ParquetWriter

    call(RUN)
    (chunk,) = read_results(street / "out").chunks
    writer = {"parquet": ParquetWriter(), "csv": CsvWriter()}[ending]
    half: list[tuple[int, list[str]]] = []
    for at in range(1, 10_000):
        out = street / f"w{at}"
        _, pressed = interrupted_at_line(lambda to=out: writer.write(to, chunk), ["writers/__init__.py"], at)
        files = sorted(str(path.relative_to(out)) for path in out.rglob("*") if path.is_file())
        tables = {name.split("/")[0] for name in files}
        if tables not in (set(), TABLES) or any(name.endswith(".part") for name in files):
            half.append((at, files))
        if not pressed:
            break
    assert half == []


def test_ctrl_c_at_any_line_of_the_run_file_leaves_it_readable(street: Path) -> None:
    from hostcap.results_folder import RUN_FILE, write_summary

    half: list[tuple[int, list[str]]] = []
    for at in range(1, 1000):
        out = street / f"s{at}"
        out.mkdir()
        write_summary(out, {"work_package_id": "old"})
        _, pressed = interrupted_at_line(
            lambda to=out: write_summary(to, {"work_package_id": "new"}), ["results_folder.py"], at
        )
        files = sorted(path.name for path in out.iterdir())
        assert json.loads((out / RUN_FILE).read_text(encoding="utf-8"))["work_package_id"] in ("old", "new")
        if files != [RUN_FILE]:
            half.append((at, files))
        if not pressed:
            break
    assert half == []


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-c", "from hostcap.cli.main import main; main()", *arguments]


def test_a_real_ctrl_c_ends_a_long_run_in_one_line(several: Path) -> None:
    arguments = command(*RUN, "--set", "study.max_steps=10000", "--set", "constraints.0.lv_max_v=100000")
    arguments += ["--set", "constraints.1.percent_of_rating=1e9", "--set", "study.step_kw_per_customer=0.0001"]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=several) as process:
        patience = time.monotonic() + 20
        while not (several / "out" / "hostcap-run.json").exists() and time.monotonic() < patience:
            time.sleep(0.02)
        time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert len(lines(err)) == 1
    assert "interrupted" in err
    assert out == ""
    whole(several / "out")
    assert json.loads((several / "out" / "hostcap-run.json").read_text(encoding="utf-8"))["state"] == "interrupted"


def test_a_real_ctrl_c_ends_workers_too(several: Path) -> None:
    """A terminal sends it to the whole process group."""
    arguments = command(*RUN, "--workers", "2", "--set", "study.max_steps=10000")
    arguments += ["--set", "constraints.0.lv_max_v=100000", "--set", "constraints.1.percent_of_rating=1e9"]
    arguments += ["--set", "study.step_kw_per_customer=0.0001"]
    with subprocess.Popen(
        arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=several, start_new_session=True
    ) as process:
        patience = time.monotonic() + 30
        while not (several / "out" / "hostcap-run.json").exists() and time.monotonic() < patience:
            time.sleep(0.02)
        os.killpg(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (130, "")
    assert len(lines(err)) == 1
    whole(several / "out")


# Several feeders, one of them broken


@pytest.mark.parametrize("broken", ["north", "south", "east"])
@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "no file"),
        ("new nonsense\n", "OpenDSS says"),
        (NO_SOLUTION, "does not converge"),
        (MASTER.replace(".23", ".5"), "20 % off"),
    ],
    ids=["missing", "syntax", "no start", "bases"],
)
def test_one_broken_feeder_does_not_stop_the_others(several: Path, broken: str, content: str | None, says: str) -> None:
    path = several / f"{broken}.dss"
    if content is None:
        path.unlink()
    else:
        path.write_text(content, encoding="utf-8")
    result = call((*RUN, "--set", "initial_state.plugin=as-modelled"))
    assert result.exit_code == 3
    (told,) = lines(result.stderr)
    assert told.startswith(f"error: {broken}: ")
    assert says in told
    others = {"north", "south", "east"} - {broken}
    assert chunks_of(several / "out") == dict.fromkeys(others, TABLES) | {broken: {"findings"}}
    assert all(name in result.stdout for name in others)
    found = read_results(several / "out")
    assert set(found.failed) == {broken}
    rows = [row for row in found["findings"].rows() if row["severity"] == "error"]
    assert [row["feeder"] for row in rows] == [broken]
    shown = call(("results", "out"))
    assert shown.exit_code == 0
    assert broken in shown.stderr


def test_a_run_that_failed_may_be_repeated_once_mended(several: Path) -> None:
    (several / "south.dss").unlink()
    assert call(RUN).exit_code == 3
    (several / "south.dss").write_text(MASTER, encoding="utf-8")
    result = call(RUN)
    # The mended input makes another run: the folder of the first is not overwritten.
    assert result.exit_code == 1
    assert "of other input" in result.stderr


# What is printed


def test_results_of_a_folder_of_a_table_and_as_csv(street: Path) -> None:
    assert call(RUN).exit_code == 0
    summary = call(("results", "out"))
    assert summary.exit_code == 0
    assert all(name in summary.stdout for name in (*TABLES, "street", "complete"))
    printed = call(("results", "out", "lv_group_hosting_capacity"))
    assert printed.exit_code == 0
    assert "t1" in printed.stdout
    assert "limits: LV 216-253 V" in printed.stdout
    as_csv = call(("results", "out", "lv_group_hosting_capacity", "--csv"))
    assert as_csv.exit_code == 0
    assert as_csv.stderr == ""
    import io

    import pandas as pd

    frame = pd.read_csv(io.StringIO(as_csv.stdout))
    assert list(frame["capacity_group_head_id"]) == ["t1"]
    assert list(frame.columns) == list(read_results(street / "out").to_pandas("lv_group_hosting_capacity").columns)


def test_whole_numbers_stay_whole_in_csv_beside_rows_that_have_none(demo_folder: Path, tmp_path: Path) -> None:
    """``iteration`` is empty where nothing stopped a location; the others are 143, not 143.0."""
    study = tmp_path / "hv.toml"
    study.write_text(
        f"""name = "hv"
scope = {{feeders = ["demo"], year = 2025}}
network = {{plugin = "opendss", master = '{demo_folder / "feeder" / "Master.dss"}', frequency_hz = 50}}
study = {{plugin = "hv-node-headroom", step_kw_per_node = 500.0, max_steps_per_node = 3}}
constraints = [{{plugin = "thermal", voltage_level = "hv"}}]
""",
        encoding="utf-8",
    )
    out = str(tmp_path / "out")
    assert call(("run", str(study), "--out", out)).exit_code == 0
    _, *rows = call(("results", out, "hv_node_headroom", "--csv")).stdout.splitlines()
    steps = {row.split(",")[18] for row in rows}
    assert "" in steps
    assert len(steps) > 1
    assert all(step.isdigit() for step in steps - {""})


def test_csv_without_a_table_is_refused(street: Path) -> None:
    """`hostcap results FOLDER --csv` asks for CSV of nothing in particular."""
    assert call(RUN).exit_code == 0
    result = call(("results", "out", "--csv"))
    assert result.exit_code == 2
    assert "table" in result.stderr


def test_check_writes_nothing(street: Path) -> None:
    before = tree(street)
    result = call(("check", "study.toml"))
    assert result.exit_code == 0
    assert tree(street) == before
    assert "lv_max_v = 253.0" in result.stdout


def test_run_and_check_are_quiet_into_a_pipe(street: Path) -> None:
    for arguments in (RUN, ("check", "study.toml")):
        done_ = subprocess.run(command(*arguments), capture_output=True, text=True, check=False, cwd=street)
        assert done_.returncode == 0
        assert done_.stderr == ""
        assert "\x1b" not in done_.stdout
        assert "\r" not in done_.stdout


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_behind_standard_output_is_one_line(street: Path) -> None:
    assert call(RUN).exit_code == 0
    with Path("/dev/full").open("w") as full:
        done_ = subprocess.run(
            command("results", "out"), stdout=full, stderr=subprocess.PIPE, text=True, check=False, cwd=street
        )
    assert done_.returncode == 1
    assert len(lines(done_.stderr)) == 1
    assert "No space left on device" in done_.stderr


def test_a_reader_that_goes_away_is_no_error_of_ours(street: Path) -> None:
    assert call(RUN).exit_code == 0
    with subprocess.Popen(
        command("results", "out"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=street
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        err = process.stderr.read()
    assert "Traceback" not in err
    assert len(lines(err)) <= 1
