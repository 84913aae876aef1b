"""Studies that nobody vouches for: what they may not say, what is contained, and that the answer is the same."""

from __future__ import annotations

import shutil
from copy import copy
from pathlib import Path
from typing import Any

import attrs
import pytest
from click.testing import CliRunner
from studying import real_cases
from trust_cases import snapshot

from hostcap.cli.main import main
from hostcap.config import structure_study
from hostcap.errors import ConfigError, OutputError
from hostcap.plugins import default_registry
from hostcap.running import check, run
from hostcap.work_package import WorkPackage
from hostcap_stock.opendss.config import OpenDssConfig
from hostcap_stock.opendss.source import OpenDssSource
from hostcap_stock.opendss.trust import copy_model


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
