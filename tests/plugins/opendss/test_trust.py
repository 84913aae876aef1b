"""Studies and models that nobody vouches for: what is refused, what is contained, and that the answer is the same."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from copy import copy
from pathlib import Path
from typing import Any

import attrs
import pytest
from click.testing import CliRunner
from hypothesis import example, given, settings
from hypothesis import strategies as st
from studying import real_cases

from hostcap.cli.main import main
from hostcap.config import structure_study
from hostcap.errors import ConfigError, ModelError, OutputError
from hostcap.plugins import default_registry
from hostcap.running import check, run
from hostcap.work_package import WorkPackage
from hostcap_stock.opendss import allowed, trust
from hostcap_stock.opendss.config import OpenDssConfig
from hostcap_stock.opendss.engine import Engine
from hostcap_stock.opendss.script import UnclosedQuoteError, parameters
from hostcap_stock.opendss.source import OpenDssSource
from hostcap_stock.opendss.trust import copy_file, copy_model

START = "Clear\nNew Circuit.c basekv=0.4\nNew Line.l bus1=sourcebus bus2=b\nNew Load.a bus1=b kv=0.4 kw=1\n"
AFTER = START.count("\n") + 1
"""Line of a model after its start."""


@pytest.fixture(scope="module")
def engine() -> Iterator[Any]:
    with Engine() as opened:
        opened.command("new circuit.c")
        yield opened


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """A study's folder, with files outside of it."""
    folder = tmp_path / "study"
    folder.mkdir()
    (tmp_path / "secret.csv").write_text("1\n2\n")
    (tmp_path / "secret.dss").write_text("New Load.secret bus1=b kv=0.4 kw=1\n")
    (folder / "inside.csv").write_text("3\n4\n")
    (folder / "inside.dss").write_text("New Load.inside bus1=b kv=0.4 kw=1\n")
    return folder


def scanned(folder: Path, text: str | bytes, *, scratch: str = "scratch") -> Path:
    """The copy of a model that goes on after ``START``."""
    master = folder / "Master.dss"
    master.write_bytes(text if isinstance(text, bytes) else (START + text).encode())
    made = folder.parent / scratch
    shutil.rmtree(made, ignore_errors=True)
    made.mkdir()
    return copy_model(master, inside=folder, scratch=made)


def refusal(folder: Path, text: str | bytes) -> str:
    with pytest.raises(ModelError) as caught:
        scanned(folder, text)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def snapshot(*folders: Path) -> dict[str, tuple[int, int]]:
    """Every file and folder with size and time of change."""
    return {
        str(path): (path.lstat().st_size, path.lstat().st_mtime_ns)
        for folder in folders
        for path in [folder, *folder.rglob("*")]
    }


# The lists against the engine's own


def test_every_verb_and_option_of_the_engine_is_allowed_or_refused(engine: Any) -> None:
    executive = engine.dss.Executive
    verbs = {executive.Command(i).lower() for i in range(1, executive.NumCommands() + 1)}
    options = {executive.Option(i).lower() for i in range(1, executive.NumOptions() + 1)}
    assert verbs == allowed.VERBS | allowed.REFUSED_VERBS
    assert options == allowed.OPTIONS | allowed.REFUSED_OPTIONS
    assert not allowed.VERBS & allowed.REFUSED_VERBS
    assert not allowed.OPTIONS & allowed.REFUSED_OPTIONS


def test_every_class_and_reaching_property_of_the_engine_is_known(engine: Any) -> None:
    suspect = ("file", "dll", "usermodel", "shaft", "trace", "path", "script", "action")
    assert {name.lower() for name in engine.dss.Basic.Classes()} | {"circuit"} == allowed.CLASSES
    for kind in engine.dss.Basic.Classes():
        with suppress(Exception):  # it may want an element to watch; it is made all the same
            engine.dss.Text.Command(f"new {kind}.probe")
        engine.dss.Circuit.SetActiveClass(kind)
        engine.dss.ActiveClass.Last() if hasattr(engine.dss.ActiveClass, "Last") else engine.dss.ActiveClass.First()
        assert engine.dss.Element.Name().lower().split(".")[0] == kind.lower()
        listed = [name.lower() for name in engine.dss.Element.AllPropertyNames()]
        reaching = [place for place, name in enumerate(listed) if name in allowed.REACHING]
        assert allowed.POSITIONAL.get(kind.lower()) == (reaching[0] if reaching else None), kind
        for name in listed:
            if name not in allowed.REACHING:
                assert not any(word in name for word in suspect), (kind, name)
                if any(each.startswith(name) for each in allowed.REACHING):
                    assert kind.lower() in allowed.HARMLESS[name]


# The engine's own parser


@settings(deadline=None)
@given(st.text(alphabet="ab=, \t!/'\"()[]{}|.~\\", max_size=30))
@example("a=[b//c] d//e")
@example('"a" = b c=(d e), f')
@example("a==b,,c")
def test_lines_are_taken_apart_as_the_engine_does(engine: Any, line: str) -> None:
    try:
        found, _ = parameters(line)
    except UnclosedQuoteError:
        return
    parser = engine.dss.Parser
    parser.CmdString(line)
    for each in found:
        assert (parser.NextParam(), parser.StrValue()) == (each.name, each.value)
    assert (parser.NextParam(), parser.StrValue()) == ("", "")


# Verbs


@pytest.mark.parametrize("verb", sorted(allowed.REFUSED_VERBS))
def test_a_refused_verb_is_named_with_file_and_line(study: Path, verb: str) -> None:
    before = snapshot(study.parent)
    for form in ("{} everything x.csv", '"{}" x', "\t{},x", "={} x"):
        message = refusal(study, form.format(verb.upper()) + "\n")
        assert f"{study / 'Master.dss'}, line {AFTER}: command {verb.upper()!r} is not allowed" in message
    shutil.rmtree(study.parent / "scratch")
    (study / "Master.dss").unlink()
    assert snapshot(study.parent).keys() == before.keys()


@pytest.mark.parametrize(
    "verb", sorted(allowed.VERBS - {"//", "?", "clear", "clearall"} - allowed.SCRIPTS - allowed.DATA)
)
def test_an_allowed_verb_writes_nothing_outside_the_scratch(
    study: Path, verb: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = study.parent / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    rest = {"set": "mode=snap", "get": "mode", "more": "kw=2", "m": "kw=2", "~": "kw=2", "reset": "", "solve": ""}
    copied = scanned(study, f"Solve\nEdit Load.a kw=1\n{verb} {rest.get(verb, 'Line.l')}\n")
    monkeypatch.chdir(study.parent / "scratch")
    before = snapshot(study, home)
    listed = set(study.parent.iterdir())
    with Engine() as engine, suppress(ModelError):  # not every verb can do something with a line
        engine.forbid_programs()
        engine.compile(copied, frequency_hz=50.0)
    assert snapshot(study, home) == before
    assert set(study.parent.iterdir()) == listed


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("expo voltages", "could mean export, exportoverloads"),
        ("fileed x", "command 'fileed', short for 'fileedit' is not allowed"),
        ("sav circuit", "short for 'save'"),
        ("s circuit", "could mean sample, save,"),
        ("dos rm x", "short for 'doscmd'"),
        ("frobnicate x", "command 'frobnicate' is not known"),
        ("\u212aill x", "is not known"),
        (" /* not a comment of the engine", "'/*' is not known"),
        ("command=export x", "command: cannot be checked"),
        (",export x", "starts with an empty word"),
        ("set datapath=..", "option 'datapath'"),
        ("set datap=..", "short for 'datapath'"),
        ("solve editor=rm", "option 'editor'"),
        ("set 1 2 3", "has no name"),
        ("set mode=autoadd", "mode='autoadd'"),
        ("set demand=true", "short for 'demandinterval'"),
        ("set recorder=yes", "'recorder'"),
        ("var @x=../secret.dss", "script variables"),
        ("redirect @lastfile", "script variables"),
        ("New Load.z yearly=[@x]", "script variables"),
        ("New Load.z kw=[1 2", "[ is not closed"),
        ("New", "names no element"),
        ("New Generator.g bus1=b model=6 UserModel=evil.so", "loads native code"),
        ("New Generator.g bus1=b ShaftM=evil.so", "loads native code"),
        ("New Storage.g bus1=b dynadll=evil.so", "loads native code"),
        ("New PVSystem.g bus1=b\n~ usermod=evil.so", "loads native code"),
        ("New CapControl.g userdata=x", "loads native code"),
        ("PVSystem.g.UserModel=evil.so", "loads native code"),
        ("usermodel=evil.so", "loads native code"),
        ("BatchEdit Generator..* usermodel=evil.so", "loads native code"),
        ("New Generator.g 1 b 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 evil.so", "has no name"),
        ("New Generator.g h=1 evil.so", "has no name"),
        ("New Generator.g h=1 (1 ../2)", "has no name"),
        ("New Generator.g h=1 '/ 1'", "has no name"),
        ("~ evil.so", "has no name"),
        ("New LoadShape.s npts=2 mult=[1 2] action=dblsave", "may write files"),
        ("LoadShape.s.action=sngsave", "may write files"),
        ("New Monitor.m element=Line.l action=save", "may write files"),
        ("New EnergyMeter.m Line.l 1 save", "has no name"),
        ("New RegControl.r transformer=t debugtrace=yes", "writes a trace file"),
        ("New RegControl.r transformer=t debug=t", "writes a trace file"),
        ('LoadShape.s.mult="x\' csvfile=a"', "may not"),
        ("LoadShape.s.mult='x\" csvfile=a'", "cannot be checked"),
    ],
)
def test_what_a_line_may_not_say(study: Path, line: str, says: str) -> None:
    assert says in refusal(study, line + "\n")


REACHES = [
    "Redirect {}",
    'Compile "{}"',
    "redir ({})",
    "Redirect file={}",
    "Buscoords {}",
    "LatLongCoords {}",
    "GISCoords [{}]",
    "New LoadShape.s npts=2 csvfile={}",
    "New LoadShape.s npts=2 c={}",
    'New LoadShape.s npts=2 "csvfile"={}',
    "New LoadShape.s npts=2 sngfile={}",
    "New LoadShape.s npts=2 dblf={}",
    "New LoadShape.s npts=2 pqcsvfile=({})",
    "New LoadShape.s npts=2 mult=(file={})",
    "New LoadShape.s npts=2 hour=[FILE = {}, col=1]",
    "New LoadShape.s npts=2 qmult='dblfile={}'",
    'New LoadShape.s npts=2 mult="(file={})"',
    "New LoadShape.s npts=2\n~ mult=[sngfile={}]",
    "New LoadShape.s npts=2\nMore csvfile={}",
    "New LoadShape.s npts=2\nEdit LoadShape.s mult=(file={})",
    "New LoadShape.s npts=2\nLoadShape.s.csvfile={}",
    "New LoadShape.s npts=2\nBatchEdit LoadShape..* csvfile={}",
    "New XYCurve.s npts=2 csvfile={}",
    "New Spectrum.s numharm=2 csvfile={}",
    "Set voltagebases=(file={})",
    "Edit Load.a zipv=(file={})",
]
OUTSIDE = {
    "../secret.csv": "lies outside",
    "..\\secret.csv": "lies outside",
    "./../secret.csv": "lies outside",
    "sub/../../secret.csv": "only at the start",
    "/etc/hostname": "only paths relative",
    "~/secret.csv": "only paths relative",
    "C:/secret.csv": "only paths relative",
    "\\\\server\\share\\x.csv": "only paths relative",
    "link.csv": "lies outside",
    "linked/secret.csv": "lies outside",
    "nowhere.csv": "cannot be read",
    "sub": "is not a file",
}


@pytest.mark.parametrize("line", REACHES)
def test_a_file_outside_the_study_is_refused_and_one_inside_is_copied(study: Path, line: str) -> None:
    (study / "sub").mkdir()
    (study / "link.csv").symlink_to(study.parent / "secret.csv")
    (study / "linked").symlink_to(study.parent)
    for path, says in OUTSIDE.items():
        message = refusal(study, line.format(path) + "\n")
        assert says in message, path
        assert f"Master.dss, line {AFTER + line.count(chr(10))}: " in message
        assert "secret" not in "".join(p.name for p in (study.parent / "scratch").rglob("*"))
    name = "inside.dss" if "edir" in line or "ompile" in line else "inside.csv"
    scanned(study, line.format(name) + "\n")
    assert (study.parent / "scratch" / name).read_bytes() == (study / name).read_bytes()


def test_paths_of_a_nested_file_start_at_its_own_folder(study: Path) -> None:
    (study / "sub" / "deep").mkdir(parents=True)
    (study / "sub" / "deep" / "two.dss").write_text("New LoadShape.s npts=2 mult=(file=../../inside.csv)\n")
    (study / "sub" / "one.dss").write_text("Redirect deep/two.dss\n")
    copied = scanned(study, "Redirect sub/one.dss\nNew LoadShape.t npts=2 csvfile=inside.csv\n")
    assert {p.relative_to(copied.parent).as_posix() for p in copied.parent.rglob("*") if p.is_file()} == {
        "Master.dss",
        "inside.csv",
        "sub/one.dss",
        "sub/deep/two.dss",
    }
    (study / "sub" / "deep" / "two.dss").write_text("\n\nExport voltages\nRedirect ../../../secret.dss\n")
    message = refusal(study, "Redirect sub/one.dss\nPlot circuit\n")
    for line in ("two.dss, line 3: command 'Export'", "two.dss, line 4: file", f"Master.dss, line {AFTER + 1}: "):
        assert line in message


def test_compile_moves_the_folder_that_paths_start_from_and_redirect_does_not(study: Path) -> None:
    (study / "sub").mkdir()
    (study / "sub" / "x.dss").write_text("! nothing\n")
    assert "cannot be read" in refusal(study, "Compile sub/x.dss\nBuscoords inside.csv\n")
    scanned(study, "Redirect sub/x.dss\nBuscoords inside.csv\n")


def test_loops_depth_and_size_end(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "leads back to itself" in refusal(study, "Redirect Master.dss\n")
    for number in range(20):
        (study / f"{number}.dss").write_text(f"Redirect {number + 1}.dss\n" * 2)
    (study / "20.dss").write_text("")
    monkeypatch.setattr(trust, "MOST_READS", 500)
    assert "500 files" in refusal(study, "Redirect 0.dss\n")
    monkeypatch.setattr(trust, "MOST_BYTES", 1 << 20)
    with (study / "huge.csv").open("wb") as file:
        file.truncate(1 << 30)
    assert "more than 1 MB" in refusal(study, "Buscoords huge.csv\n")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ((START + "Export x\n").encode("utf-16"), "UTF-16"),
        ((START + "Export x\n").encode("utf-16-le"), "control characters"),
        (START.encode() + b"\0Export x\n", "control characters"),
        (START.encode() + b"! x\x0bExport x\n", "control characters"),
        (START.encode() + b"Export\0\0\r\n", "'Export"),
        (START.encode() + b"Buscoords inside.csv\0\n", "cannot be read"),
        (START.encode() + b"! x\rExport x\n", f"line {AFTER + 1}: command 'Export'"),
        (b"\xef\xbb\xbfExport x\n", "line 1: command 'Export'"),
        (b"\xef\xbb\xbf\xef\xbb\xbfExport x\n", "line 1: command"),
        (START.encode() + b"/* x */ Export a\nExport x\n", f"line {AFTER + 1}: command 'Export'"),
        (START.encode() + b"/*\n*/ Export a\nExport x\n", f"line {AFTER + 2}: command 'Export'"),
    ],
)
def test_encodings_and_comments_hide_nothing(study: Path, content: bytes, says: str) -> None:
    message = refusal(study, content)
    assert says in message
    assert message.count("Export") <= 1


def test_comments_are_not_copied_and_lines_keep_their_numbers(study: Path) -> None:
    text = (
        "/* Export a\nExport b */\nNew Load.b bus1=b // Export\n! Export\nEdit Load.b kw=[2 ! 3] ! Export\n// Export\n"
    )
    copied = scanned(study, text).read_text()
    assert "Export" not in copied
    assert copied.splitlines()[AFTER + 1].strip() == "New Load.b bus1=b"
    assert copied.splitlines()[AFTER + 3].strip() == "Edit Load.b kw=[2 ! 3]"


def test_numbers_without_a_name_are_no_danger(study: Path) -> None:
    scanned(study, "New LineCode.s nphases=2\n~ normamps=580 {580 1.25 *} 1e-3\nNew Generator.g kw=1 [2, 3.5] -1\n")


def test_a_file_is_either_a_script_or_data(study: Path) -> None:
    assert "both" in refusal(study, "Redirect inside.dss\nBuscoords inside.dss\n")


def test_one_file(study: Path) -> None:
    (study.parent / "scratch").mkdir()
    copied = copy_file(study / "inside.csv", inside=study, scratch=study.parent / "scratch")
    assert copied.read_text() == "3\n4\n"
    with pytest.raises(ModelError, match="outside"):
        copy_file(study.parent / "secret.csv", inside=study, scratch=study.parent / "scratch")


# The study


def data_of(demo_folder: Path, folder: Path) -> dict[str, Any]:
    import tomllib

    shutil.copytree(demo_folder / "feeder", folder / "feeder", dirs_exist_ok=True)
    return tomllib.loads((demo_folder / "demo.toml").read_text(encoding="utf-8"))


def package(data: dict[str, Any], folder: Path) -> WorkPackage:
    return WorkPackage(document=structure_study(data, folder, default_registry()))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"commands": ["export voltages"]}, "network.commands: an untrusted study may not run engine commands"),
        ({"master": "/etc/Master.dss"}, "network.master: a path of an untrusted study"),
        ({"master": "../Master.dss"}, "leads out of the study's folder"),
        ({"master": "feeder/../../Master.dss"}, "leads out of the study's folder"),
        ({"master": "~/Master.dss"}, "starts at a home folder"),
        ({"master": "link/Master.dss"}, "leads out of the study's folder"),
        ({"customers": "{feeder}.csv"}, "network.customers: a path of an untrusted study"),
    ],
)
def test_what_a_study_may_not_say(demo_folder: Path, tmp_path: Path, change: dict[str, Any], says: str) -> None:
    folder = tmp_path / "study"
    data = data_of(demo_folder, folder)
    (folder / "link").symlink_to(tmp_path)
    (folder / "demo.csv").symlink_to(tmp_path / "customers.csv")
    data["network"] |= change
    for act in (run, check):
        with pytest.raises(ConfigError) as caught:
            act(package(data, folder), trusted=False)
        assert says in str(caught.value)


def test_every_problem_of_the_study_is_a_line_and_exit_2(demo_folder: Path, tmp_path: Path) -> None:
    import tomlkit

    data = data_of(demo_folder, tmp_path)
    data["network"] |= {"commands": ["export voltages"], "master": "../x.dss", "customers": "/x.csv"}
    (tmp_path / "study.toml").write_text(tomlkit.dumps(data), encoding="utf-8")
    for command in ("run", "check"):
        done = CliRunner().invoke(main, [command, str(tmp_path / "study.toml"), "--untrusted"])
        assert done.exit_code == 2
        assert [line.split(":")[1].strip() for line in done.stderr.splitlines()] == [
            "network.master",
            "network.commands",
            "network.customers",
        ]
    assert not (tmp_path / "results").exists()


def test_plugins_that_another_process_cannot_find_are_refused(demo_folder: Path, tmp_path: Path) -> None:
    made = package(data_of(demo_folder, tmp_path), tmp_path)
    with pytest.raises(ConfigError, match="only run as trusted"):
        run(attrs.evolve(made, registry=copy(default_registry())), trusted=False)


def test_a_source_without_containment_is_refused(
    demo_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Plain:
        def load(self, feeder: str) -> Any: ...

        def freeze(self, network: Any, operating_point: Any, settling: Any) -> Any: ...

    monkeypatch.setattr(WorkPackage, "source", lambda _: Plain())
    with pytest.raises(ConfigError, match="cannot contain models"):
        run(package(data_of(demo_folder, tmp_path), tmp_path), trusted=False)


def test_results_are_not_led_out_by_links(demo_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "study"
    made = package(data_of(demo_folder, folder), folder)
    (tmp_path / "elsewhere").mkdir()
    (folder / "results").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OutputError, match="link"):
        run(made, out=made.default_folder, trusted=False)
    (folder / "results").unlink()
    (folder / "results" / made.name).mkdir(parents=True)
    (folder / "results" / made.name / "findings").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OutputError, match="link"):
        run(made, out=made.default_folder, trusted=False)
    assert not any((tmp_path / "elsewhere").iterdir())


# Whole runs


@pytest.fixture
def watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that holds home, temporary files and the working directory, so that all can be looked at."""
    for name, variable in (("home", "HOME"), ("tmp", "TMPDIR"), ("cwd", None)):
        (tmp_path / name).mkdir()
        if variable:
            monkeypatch.setenv(variable, str(tmp_path / name))
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setenv("DSS_CAPI_ALLOW_DOSCMD", "1")
    monkeypatch.chdir(tmp_path / "cwd")
    return tmp_path


def same(trusted: Any, untrusted: Any) -> None:
    assert untrusted.work_package_id == trusted.work_package_id
    assert untrusted.names == trusted.names
    assert not untrusted.failed
    for name in trusted.names:
        assert untrusted[name].to_pandas().equals(trusted[name].to_pandas()), name


def test_the_demo_gives_the_same_tables_wherever_it_lies(demo_folder: Path, watched: Path) -> None:
    folder, other = watched / "study", watched / "other place"
    data = data_of(demo_folder, folder)
    data_of(demo_folder, other)
    for each in (folder, other):
        (each / "customers.csv").write_text("customer,element\njoined,t1_c1\njoined,t1_c2\n")
    data["network"]["customers"] = "customers.csv"
    before = snapshot(watched)
    untrusted = run(package(data, folder), trusted=False)
    assert snapshot(watched).keys() == before.keys()
    same(run(package(data, folder)), untrusted)
    same(run(package(data, other)), untrusted)
    trusted, contained = check(package(data, folder)), check(package(data, folder), trusted=False)
    assert contained.findings.to_pandas().equals(trusted.findings.to_pandas())
    assert [p.facts[:3] for p in contained.previews] == [p.facts[:3] for p in trusted.previews]


def test_a_malicious_model_fails_its_feeder_alone_and_leaves_nothing(demo_folder: Path, watched: Path) -> None:
    import tomlkit

    folder = watched / "study"
    data = data_of(demo_folder, folder)
    shutil.copytree(folder / "feeder", folder / "good")
    shutil.move(folder / "feeder", folder / "evil")
    with (folder / "evil" / "Loads.dss").open("a", encoding="utf-8") as file:
        file.write("\nDOScmd touch ../pwned\nSave circuit dir=../pwned\n")
    data["network"]["master"] = "{feeder}/Master.dss"
    data["scope"]["feeders"] = ["evil", "good"]
    (folder / "study.toml").write_text(tomlkit.dumps(data), encoding="utf-8")
    before = snapshot(watched).keys()
    out = watched.parent / f"{watched.name}-results"
    done = CliRunner().invoke(main, ["run", str(folder / "study.toml"), "--untrusted", "--out", str(out)])
    assert done.exit_code == 3, done.output
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: evil: an untrusted model may not do this: ")
    assert f"{folder / 'evil' / 'Loads.dss'}, line " in line
    assert "command 'DOScmd' is not allowed" in line and "command 'Save' is not allowed" in line
    assert snapshot(watched).keys() == before
    done = CliRunner().invoke(main, ["check", str(folder / "study.toml"), "--untrusted"])
    assert done.exit_code == 3
    assert snapshot(watched).keys() == before


def test_errors_of_the_engine_name_the_users_file(demo_folder: Path, watched: Path) -> None:
    folder = watched / "study"
    data = data_of(demo_folder, folder)
    (folder / "feeder" / "Loads.dss").write_text("New Load.x nosuch=1\n")
    report = check(package(data, folder), trusted=False)
    assert str(folder / "feeder" / "Loads.dss") in report.failed["demo"]
    assert "hostcap-" not in report.failed["demo"]


def test_an_interrupted_run_leaves_no_scratch(demo_folder: Path, watched: Path) -> None:
    folder = watched / "study"
    data = data_of(demo_folder, folder)

    class StopError(BaseException):
        pass

    def told(stage: str, done: int, total: int) -> None:
        if stage == "running feeders":
            assert any((watched / "tmp").glob("hostcap-*"))
            raise StopError

    with pytest.raises(StopError):
        run(package(data, folder), trusted=False, progress=told)
    assert not any((watched / "tmp").glob("hostcap-*"))


def test_the_source_reads_the_copy_and_hashes_the_original(demo_folder: Path, tmp_path: Path) -> None:
    data_of(demo_folder, tmp_path)
    (tmp_path / "scratch").mkdir()
    source = OpenDssSource(
        config=OpenDssConfig(master=tmp_path / "feeder" / "Master.dss", frequency_hz=50.0, voltage_bases_kv=(22.0, 0.4))
    )
    contained = source.contained("f", inside=tmp_path, scratch=tmp_path / "scratch")
    assert contained.config.master == tmp_path / "scratch" / "feeder" / "Master.dss"
    first, second = source.load("f"), contained.load("f")
    assert first.origin is not None and second.origin is not None
    assert first.origin.content_hash == second.origin.content_hash
    assert first == second


SHARED = {
    "eu-lv-export": "eu-lv-test-feeder",
    "p1uhs23-export": "us-smartds-p1uhs23",
    "cre21-export": "au-cre21-mvlv",
    "ckt5-export": "epri-ckt5",
    "csiro-n-import": "au-csiro-lv",
}


@pytest.mark.shared
@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(SHARED))
def test_public_feeders_give_the_same_tables(networks: Path, tmp_path: Path, name: str) -> None:
    case = real_cases(networks)[name]
    copied = tmp_path / SHARED[name]
    shutil.copytree(networks / SHARED[name], copied, ignore=shutil.ignore_patterns("t"))
    case = attrs.evolve(case, master=tmp_path / case.master.relative_to(networks), max_steps=2)
    made = case.work_package()
    made = attrs.evolve(made, document=attrs.evolve(made.document, folder=tmp_path))
    same(run(made), run(made, trusted=False))


@pytest.mark.shared
@pytest.mark.parametrize(
    "master",
    [
        "ieee-8500/Master.dss",
        "ieee-8500/Master-unbal.dss",
        "ieee-feeders/13Bus/IEEE13Nodeckt.dss",
        "ieee-feeders/34Bus/ieee34Mod1.dss",
        "ieee-feeders/123Bus/IEEE123Master.dss",
        "au-lv-fourwire/Master.dss",
        "au-oe-lv28/Master.txt",
        "au-csiro-lv/J/Master.dss",
        "au-csiro-lv/P/Master.dss",
    ],
)
def test_public_models_say_nothing_that_is_refused(networks: Path, tmp_path: Path, master: str) -> None:
    copied = copy_model(networks / master, inside=networks / master.split("/")[0], scratch=tmp_path)
    assert copied.is_file()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_is_no_file(study: Path) -> None:
    os.mkfifo(study / "pipe.csv")
    assert "is not a file" in refusal(study, "Buscoords pipe.csv\n")
