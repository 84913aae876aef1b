"""Models that nobody vouches for: every verb, option, property and file of a script is allowed, or refused by name."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from trust_cases import snapshot

from hostcap.errors import ModelError
from hostcap_stock.opendss import allowed, trust
from hostcap_stock.opendss.engine import Engine
from hostcap_stock.opendss.script import UnclosedQuoteError, parameters
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


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_is_no_file(study: Path) -> None:
    os.mkfifo(study / "pipe.csv")
    assert "is not a file" in refusal(study, "Buscoords pipe.csv\n")
