"""``hostcap new-study``: the file that it writes runs as it is, and says why it says what it says."""

from __future__ import annotations

import re
import shutil
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from attrs import field, frozen
from click.testing import CliRunner, Result

from hostcap import WorkPackage, check, run
from hostcap.cli.new_study import new_study
from hostcap.config import about, canonical, structure_study
from hostcap.config.describe import describe
from hostcap.config.schema import study_schema
from hostcap.config.template import Choice, required_keys, study_template
from hostcap.errors import MissingBasesError
from hostcap.plugins import ConstraintPlugin, NetworkPlugin, Registry, StudyPlugin, Takes, default_registry, hookimpl
from hostcap_stock.opendss.config import OpenDssConfig
from hostcap_stock.opendss.source import OpenDssSource

BASES = re.compile(r"(?im)^(set voltagebases|calcvoltagebases).*\n")
FREQUENCY = re.compile(r"(?im)^set defaultbasefrequency.*\n")


def written(*arguments: str | Path) -> Result:
    return CliRunner().invoke(new_study, [str(a) for a in arguments])


def table(path: Path, name: str, index: int = 0) -> dict[str, Any]:
    found = tomllib.loads(path.read_text(encoding="utf-8"))[name]
    chosen: dict[str, Any] = found[index] if isinstance(found, list) else found
    return chosen


def commented(path: Path) -> str:
    """The comments of a file as one text, its lines joined."""
    return " ".join(line[2:] for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("# "))


@pytest.fixture
def feeder(demo_folder: Path, tmp_path: Path) -> Path:
    """Master file of a copy of the demo feeder, to be changed."""
    shutil.copytree(demo_folder / "feeder", tmp_path / "net" / "hill")
    return tmp_path / "net" / "hill" / "Master.dss"


def edit(master: Path, *patterns: re.Pattern[str]) -> None:
    text = master.read_text(encoding="utf-8")
    for pattern in patterns:
        text, count = pattern.subn("", text)
        assert count
    master.write_text(text, encoding="utf-8")


# --- the file runs -----------------------------------------------------------------------------------------------


def test_the_file_checks_and_runs_at_once(feeder: Path, tmp_path: Path) -> None:
    out = tmp_path / "studies" / "mine.toml"
    out.parent.mkdir()
    result = written(feeder, "--out", out)
    assert result.exit_code == 0, result.output
    assert result.output.splitlines()[0] == f"study file: {out}"
    study = WorkPackage.read(out)
    assert study.name == "hill-lv-headroom"
    assert study.scope.feeders == ("hill",)
    report = check(study)
    assert [preview.feeder for preview in report.previews] == ["hill"]
    assert not report.failed
    groups = run(study)["lv_group_hosting_capacity"]
    assert len(groups) == 9
    assert set(groups["status"]) >= {"bound", "bound_at_start"}


def test_the_path_leads_to_the_network_even_behind_a_link(feeder: Path, tmp_path: Path) -> None:
    (tmp_path / "deep" / "er").mkdir(parents=True)
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "deep" / "er", target_is_directory=True)
    assert written(feeder, "--out", link / "s.toml").exit_code == 0
    assert table(link / "s.toml", "network")["master"] == feeder.as_posix()
    assert not check(WorkPackage.read(link / "s.toml")).failed
    beside = link / "t.toml"
    shutil.copytree(feeder.parent, tmp_path / "deep" / "er" / "net")
    assert written(link / "net" / "Master.dss", "--out", beside).exit_code == 0
    assert table(beside, "network")["master"] == "net/Master.dss"
    assert not check(WorkPackage.read(beside)).failed


def test_without_out_the_file_is_named_after_the_feeder_and_stands_here(
    feeder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert written(feeder.relative_to(tmp_path)).exit_code == 0
    assert table(tmp_path / "hill.toml", "network")["master"] == "net/hill/Master.dss"
    assert written(feeder, "--feeder", "north").exit_code == 0
    assert table(tmp_path / "north.toml", "scope")["feeders"] == ["north"]


def test_what_the_model_states_itself_is_said_and_not_overruled(feeder: Path, tmp_path: Path) -> None:
    out = tmp_path / "s.toml"
    assert written(feeder, "--out", out).exit_code == 0
    assert table(out, "network") == {"plugin": "opendss", "master": "net/hill/Master.dss", "frequency_hz": 50.0}
    assert "The model has its own: 0.4, 22 kV." in commented(out)
    assert "The model's own." in commented(out)


def test_a_model_without_bases_gets_those_of_its_transformers(feeder: Path, tmp_path: Path) -> None:
    edit(feeder, BASES)
    with pytest.raises(MissingBasesError) as caught:
        OpenDssSource(config=OpenDssConfig(master=feeder, frequency_hz=50.0)).load("hill")
    assert f"voltage_bases_kv = {list(caught.value.suggested)}" in str(caught.value)
    out = tmp_path / "s.toml"
    assert written(feeder, "--out", out).exit_code == 0
    assert table(out, "network")["voltage_bases_kv"] == list(caught.value.suggested)
    assert "The model has none: these are the rated voltages of its source and transformers" in commented(out)
    assert not check(WorkPackage.read(out)).failed


def test_bases_can_be_given(feeder: Path, tmp_path: Path) -> None:
    edit(feeder, BASES)
    out = tmp_path / "s.toml"
    assert written(feeder, "--out", out, "--set", "voltage_bases_kv=[22.0, 0.4]").exit_code == 0
    assert table(out, "network")["voltage_bases_kv"] == [22.0, 0.4]


def test_a_model_that_states_no_frequency_needs_one(feeder: Path, tmp_path: Path) -> None:
    edit(feeder, FREQUENCY)
    out = tmp_path / "s.toml"
    refused = written(feeder, "--out", out)
    assert refused.exit_code == 2
    assert refused.output == f"error: {feeder}: the model does not state its frequency; give --frequency-hz 50 or 60\n"
    assert not out.exists()
    assert written(feeder, "--out", out, "--frequency-hz", "60").exit_code == 0
    assert table(out, "network")["frequency_hz"] == 60.0


# --- the limits --------------------------------------------------------------------------------------------------


def test_limits_are_in_volts_where_they_enclose_every_nominal(feeder: Path, tmp_path: Path) -> None:
    out = tmp_path / "s.toml"
    assert written(feeder, "--out", out).exit_code == 0
    assert table(out, "constraints") == {
        "plugin": "voltage",
        "lv_min_v": 216.0,
        "lv_max_v": 253.0,
        "hv_min_pu": 0.94,
        "hv_max_pu": 1.06,
    }
    assert "as they enclose the nominal voltages of LV here: 230.9 V." in commented(out)
    assert table(out, "constraints", 1) == {"plugin": "thermal", "percent_of_rating": 100.0}


def test_limits_are_per_unit_where_volts_would_not_fit(feeder: Path, tmp_path: Path) -> None:
    out = tmp_path / "s.toml"
    # 0.45 kV line to line is 259.8 V to neutral: above 253 V, and within 20 % of the rated 0.4 kV.
    edit(feeder, BASES)
    assert written(feeder, "--out", out, "--set", "voltage_bases_kv=[22.0, 0.45]").exit_code == 0
    voltage = table(out, "constraints")
    assert (voltage["lv_min_pu"], voltage["lv_max_pu"]) == (0.95, 1.05)
    assert "lv_min_v" not in voltage
    assert "216 to 253 V do not enclose the nominal voltages of LV here: 259.8 V." in commented(out)
    assert not check(WorkPackage.read(out)).failed


# --- the comments ------------------------------------------------------------------------------------------------


def test_every_key_of_every_part_is_there_with_meaning_unit_and_default(feeder: Path, tmp_path: Path) -> None:
    out = tmp_path / "s.toml"
    assert written(feeder, "--out", out).exit_code == 0
    study = WorkPackage.read(out)
    text, comments = out.read_text(encoding="utf-8"), commented(out)
    takes = study.study_record.parts
    made = {table for table, how in takes.items() if how.required or how.default}
    assert set(study.document.parts) == {*made, "study", "writers"}
    for part in study.document.parts.values():
        for each in part if isinstance(part, tuple) else (part,):
            for row in describe(type(each.config)):
                assert re.search(rf"(?m)^#?{re.escape(row.key)} =", text), row.key
                assert row.meaning in comments
                assert not row.unit or f", {row.unit}; " in comments


def test_defaults_may_be_uncommented_without_changing_the_study(feeder: Path, tmp_path: Path) -> None:
    out = tmp_path / "s.toml"
    assert written(feeder, "--out", out).exit_code == 0
    text = out.read_text(encoding="utf-8")
    opened = re.sub(r"(?m)^#(\w+ = .+)$", r"\1", text)
    assert opened != text
    registry = default_registry()
    before, after = (structure_study(tomllib.loads(t), out.parent, registry) for t in (text, opened))
    assert canonical(after) == canonical(before)
    jsonschema = pytest.importorskip("jsonschema")
    for each in (text, opened):
        jsonschema.validate(tomllib.loads(each), study_schema(registry))


# --- what is refused ---------------------------------------------------------------------------------------------


def one_line(result: Result, code: int, *parts: str) -> None:
    assert result.exit_code == code, result.output
    assert result.output.count("\n") == 1
    assert result.output.startswith("error: ")
    for part in parts:
        assert part in result.output


def folders(path: Path) -> Iterator[str]:
    return (str(p.relative_to(path)) for p in sorted(path.rglob("*")) if p.suffix != ".dss" and p.suffix != ".csv")


def test_an_existing_file_is_never_overwritten(feeder: Path, tmp_path: Path) -> None:
    out = tmp_path / "s.toml"
    out.write_text("mine", encoding="utf-8")
    one_line(written(feeder, "--out", out), 1, f"{out}: is there already and is not overwritten")
    assert out.read_text(encoding="utf-8") == "mine"
    dangling = tmp_path / "link.toml"
    dangling.symlink_to(tmp_path / "nowhere.toml")
    one_line(written(feeder, "--out", dangling), 1, "is there already")


@pytest.mark.parametrize(
    ("arguments", "code", "part"),
    [
        (["--study", "lv-headrom"], 2, "no study named 'lv-headrom'; did you mean 'lv-headroom'?"),
        (["--network", "opendds"], 2, "no network named 'opendds'; did you mean 'opendss'?"),
        (["--feeder", "a/b"], 2, "--feeder: cannot name a folder"),
        (["--frequency-hz", "-50"], 2, "network.frequency_hz: must be > 0, got -50.0"),
        (["--frequency-hz", "nan"], 2, "network.frequency_hz: must be finite, got nan"),
        (["--frequency-hz", "60"], 2, "--frequency-hz: the model itself sets 50 Hz, not 60; leave the option out"),
        (["--set", "mastr=3"], 2, "network.mastr: unknown key; did you mean 'master'?"),
        (["--set", "voltage_bases_kv"], 2, "--set voltage_bases_kv: write KEY=VALUE"),
        (["--out", "none/s.toml"], 1, "none/s.toml: cannot be written: No such file or directory"),
    ],
)
def test_a_wrong_option_is_one_line_and_nothing_is_written(
    arguments: list[str], code: int, part: str, feeder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    before = list(folders(tmp_path))
    one_line(written(feeder, *arguments), code, part)
    assert list(folders(tmp_path)) == before


def test_a_network_that_cannot_be_read_is_one_line_and_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "net"
    folder.mkdir()
    monkeypatch.chdir(tmp_path)
    one_line(written(folder / "Master.dss"), 1, "network.master: no file ")
    one_line(written(folder), 1, "network.master: no file ")
    (folder / "binary.dss").write_bytes(bytes(range(256)))
    one_line(written(folder / "binary.dss"), 1, "binary.dss")
    (folder / "empty.dss").touch()
    one_line(written(folder / "empty.dss"), 1, "empty.dss")
    assert list(folders(tmp_path)) == ["net"]


def test_bases_of_the_transformers_that_do_not_fit_are_said(feeder: Path, tmp_path: Path) -> None:
    edit(feeder, BASES)
    loads = feeder.with_name("Loads.dss")
    loads.write_text(re.sub(r"(?i)\bkv=\S+", "kV=0.9", loads.read_text(encoding="utf-8")), encoding="utf-8")
    result = written(feeder, "--out", tmp_path / "s.toml")
    one_line(result, 1, "the model has no voltage bases, and with voltage_bases_kv = [22.0, 0.4", "--set")


# --- other plugins -----------------------------------------------------------------------------------------------


@frozen(kw_only=True)
class Inner:
    tolerance: float = 0.1


@frozen(kw_only=True)
class Odd:
    """Settings of another source and of a study that needs to be told something."""

    location: str = field(metadata=about("Where"))
    inner: Inner = Inner()


@frozen(kw_only=True)
class Empty:
    pass


class Others:
    @hookimpl
    def hostcap_networks(self) -> list[NetworkPlugin[Any]]:
        return [NetworkPlugin(name="drawn", summary="Drawn", config=Odd, make=lambda c: c)]

    @hookimpl
    def hostcap_studies(self) -> list[StudyPlugin[Any]]:
        parts = {
            "network": Takes(required=True),
            "constraints": Takes(required=True),
            "solver": Takes(),
            "writers": Takes(),
        }
        return [StudyPlugin(name="node", summary="Node", config=Odd, parts=parts, make=lambda c, p: c)]

    @hookimpl
    def hostcap_constraints(self) -> list[ConstraintPlugin[Any]]:
        return [ConstraintPlugin(name="any", summary="Any", config=Empty, make=lambda c: c)]


def test_a_required_key_that_nobody_knows_is_marked() -> None:
    registry = Registry.of(Others())
    choices = {"study": [Choice(plugin="node")]}
    text = study_template(
        registry, heading="A study", name="s", scope={"feeders": ["a"], "year": 2025}, choices=choices
    )
    assert text == (
        '# A study\nname = "s"\n\n[scope]\n'
        "# Names of the feeders, each put in place of {feeder} in paths (list of text; required).\n"
        'feeders = ["a"]\n'
        '# Scenario; base until a plugin adds more (text; default "base").\n#scenario = "base"\n'
        "# Year of the results; a variant has the projects that are commissioned by then (integer; required).\n"
        "year = 2025\n"
        "# Variant of the network: a table under `[variants]`, which selects among `[[projects]]`, and the name in "
        "place of\n# {variant} in paths; unset for the network as it is (text; no default).\n#variant =\n"
        '\n[network]\n# Drawn.\nplugin = "drawn"\n'
        "# Where (text; required).\n#location =  # REQUIRED: fill in, and take the first # away\n"
        "# inner.tolerance (number; default 0.1).\n#inner.tolerance = 0.1\n"
        '\n[study]\n# Node.\nplugin = "node"\n'
        "# Where (text; required).\n#location =  # REQUIRED: fill in, and take the first # away\n"
        "# inner.tolerance (number; default 0.1).\n#inner.tolerance = 0.1\n"
        '\n[[constraints]]\n# Any.\nplugin = "any"\n'
    )
    assert required_keys(registry, choices) == ("study.location",)


def test_a_source_that_reads_no_file_is_refused(tmp_path: Path) -> None:
    registry = default_registry() | Registry.of(Others())
    arguments = ["x", "--network", "drawn", "--out", str(tmp_path / "s.toml")]
    one_line(CliRunner().invoke(new_study, arguments, obj=registry), 2, "--network drawn: reads no file")


# --- public feeders ----------------------------------------------------------------------------------------------


@pytest.mark.shared
@pytest.mark.parametrize(
    ("master", "arguments", "unit"),
    [
        pytest.param("au-cre21-mvlv/Network-CRE21/Master.txt", [], "v", marks=pytest.mark.slow),
        ("us-smartds-p1uhs23/substations/p1uhs23_1247/Master.dss", ["--frequency-hz", "60"], "pu"),
        ("eu-lv-test-feeder/Master.dss", [], "v"),
    ],
)
def test_public_feeders_get_a_study_that_checks(
    master: str, arguments: list[str], unit: str, networks: Path, tmp_path: Path
) -> None:
    out = tmp_path / "s.toml"
    result = written(networks / master, "--out", out, *arguments)
    assert result.exit_code == 0, result.output
    assert f"lv_min_{unit}" in table(out, "constraints")
    study = WorkPackage.read(out)
    report = check(study)
    assert not report.failed
    assert len(report.previews) == 1
    network = study.source().load(study.scope.feeders[0])
    assert np.isclose(network.frequency_hz, table(out, "network")["frequency_hz"])


@pytest.mark.shared
@pytest.mark.parametrize(
    "master",
    [
        "us-smartds-p1uhs23/substations/p1uhs23_1247/Master.dss",
        "au-lv-fourwire/Master.dss",  # sets one after the circuit is made, and its bases do not fit at 60 Hz
    ],
)
def test_a_public_feeder_that_states_no_frequency_is_refused(master: str, networks: Path, tmp_path: Path) -> None:
    one_line(written(networks / master, "--out", tmp_path / "s.toml"), 2, "the model does not state its frequency")
