"""Wrong study files, network files and command lines: one clear line, the right exit code, nothing half written."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from attrs import frozen
from click.testing import Result
from turns import MASTER, NO_SOLUTION, RUN, STUDY, TABLES, Do, call, command, done, lines, tree


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
