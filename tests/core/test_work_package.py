"""Running a study: feeders one by one, whole or not at all, with a source and a study made up for it."""

from __future__ import annotations

import hashlib
import json
import math
import multiprocessing
import re
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pyarrow.parquet
import pytest
from attrs import field, frozen

import hostcap_stock.writers.plugin
from hostcap import Results, WorkPackage, check, read_results, run
from hostcap.config import Scope, StudyDocument, about
from hostcap.errors import (
    ConfigError,
    HostcapError,
    ModelError,
    NotConvergedError,
    OutputError,
    PluginError,
    StoppedError,
)
from hostcap.findings import Finding, Severity
from hostcap.network import Network, Origin
from hostcap.plugins import Job, NetworkPlugin, Registry, SolverPlugin, StudyPlugin, Takes, hookimpl
from hostcap.plugins.kinds import Preview
from hostcap.tables import Chunk, Column, Table, TableSchema, findings_table
from hostcap.testing.networks import SmallNetwork
from hostcap.workers import Workers

RUN_FILE = "hostcap-run.json"
ANSWER = TableSchema(
    name="answer",
    meaning="What a feeder's file says.",
    columns=(
        Column("work_package_id", "text", "Run", key=True),
        Column("feeder", "text", "Feeder", key=True),
        Column("says", "text", "The file's words"),
        Column("times", "number", "Its length times a factor"),
    ),
)

# --- parts that are made up ----------------------------------------------------------------------------------------


@frozen(kw_only=True)
class TextConfig:
    file: Path = field(metadata=about("Text of a feeder"))


@frozen(kw_only=True)
class TextSource:
    """A feeder is a text file; one that says ``unreadable`` does not load."""

    config: TextConfig

    def load(self, feeder: str) -> Network:
        path = Path(str(self.config.file).replace("{feeder}", feeder))
        try:
            text = path.read_text(encoding="utf-8")
        except FileNotFoundError:
            raise ModelError(f"network.file: {path}: no such file") from None
        if text == "unreadable":
            raise ModelError(f"network.file: {path}: is unreadable")
        network = SmallNetwork(feeder=feeder).bus("a", 0.4, group=1).group("t").build()
        return attrs.evolve(
            network,
            findings=(Finding(severity=Severity.INFO, code="loaded", message="found on the way"),),
            origin=Origin(source=self, feeder=feeder, content_hash=hashlib.sha256(text.encode()).hexdigest()),
        )

    def freeze(self, network: Network, operating_point: Any, settling: Any) -> Any:
        raise NotImplementedError


@frozen(kw_only=True)
class EchoConfig:
    factor: float = field(default=1.0, metadata=about("Times this"))


@frozen
class Echo:
    """Repeats a feeder's text; some words make it fail."""

    config: EchoConfig
    asks: bool = True
    hear: Callable[[str], None] = lambda feeder: None

    def says(self, job: Job) -> str:
        source = job.source
        assert isinstance(source, TextSource)
        return Path(str(source.config.file).replace("{feeder}", job.network.feeder)).read_text(encoding="utf-8")

    def check(self, job: Job) -> Preview:
        text = self.says(job)
        if text == "no start":
            raise NotConvergedError("the start does not converge")
        return Preview(feeder=job.scope.feeder, facts=(("words", text),), findings=job.network.findings)

    def run(self, job: Job) -> Iterator[Chunk]:
        feeder, text = job.scope.feeder, self.says(job)
        self.hear(feeder)
        job.progress("echoing", 1, 2)
        if self.asks and job.should_stop():
            raise StoppedError(f"feeder {feeder!r}: stopped")
        match text:
            case "no start":
                raise NotConvergedError("the start does not converge,\nnot at all", iterations=100)
            case "ctrl-c":
                raise KeyboardInterrupt
            case "bug":
                raise ZeroDivisionError
        table = Table.build(
            ANSWER,
            {
                "work_package_id": [job.work_package_id],
                "feeder": [feeder],
                "says": [text],
                "times": [self.config.factor * len(text)],
            },
        )
        noted = findings_table(
            job.network.findings, work_package_id=job.work_package_id, scenario=job.scope.scenario, feeder=feeder
        )
        yield Chunk(scenario=job.scope.scenario, year=job.scope.year, feeder=feeder, tables=(table, noted))


@frozen(kw_only=True)
class Nothing:
    pass


class Parts:
    """A plugin with the source, the study, and two solvers of which one asks for what the source cannot give."""

    def __init__(self, *, asks: bool = True) -> None:
        self.heard: list[str] = []
        self.asks = asks

    @hookimpl
    def hostcap_networks(self) -> list[NetworkPlugin[Any]]:
        return [
            NetworkPlugin(
                name="text",
                summary="Text files",
                config=TextConfig,
                make=lambda config: TextSource(config=config),
                capabilities=frozenset({"letters"}),
            )
        ]

    @hookimpl
    def hostcap_solvers(self) -> list[SolverPlugin[Any]]:
        def solver(name: str, *needs: str) -> SolverPlugin[Any]:
            make: Any = lambda config: config  # noqa: E731
            return SolverPlugin(name=name, summary=name, config=Nothing, make=make, capabilities=frozenset(needs))

        return [solver("reader", "letters"), solver("counter", "letters", "numbers")]

    @hookimpl
    def hostcap_studies(self) -> list[StudyPlugin[Any]]:
        return [
            StudyPlugin(
                name="echo",
                summary="Repeats",
                config=EchoConfig,
                parts={"network": Takes(required=True), "solver": Takes(default="reader")},
                make=lambda config, parts: Echo(config, self.asks, self.heard.append),
                tables=(ANSWER,),
            )
        ]


@frozen(kw_only=True)
class Desk:
    """A folder with feeders' texts and studies about them."""

    folder: Path
    plugin: Parts = field(factory=Parts)

    def write(self, **texts: str) -> tuple[str, ...]:
        for feeder, text in texts.items():
            (self.folder / f"{feeder}.txt").write_text(text, encoding="utf-8")
        return tuple(texts)

    def study(self, *feeders: str, more: str = "", **changes: str) -> WorkPackage:
        listed = ", ".join(f'"{feeder}"' for feeder in feeders)
        path = self.folder / "study.toml"
        path.write_text(
            f'name = "echoes"\n[scope]\nfeeders = [{listed}]\nyear = 2025\n'
            '[network]\nplugin = "text"\nfile = "{feeder}.txt"\n[study]\nplugin = "echo"\n' + more,
            encoding="utf-8",
        )
        registry = Registry.of(self.plugin, distribution="desk 1.0") | Registry.of(hostcap_stock.writers.plugin)
        overrides = [f"{key.replace('__', '.')}={value}" for key, value in changes.items()]
        return WorkPackage.read(path, registry=registry, overrides=overrides)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    folder = tmp_path / "desk"
    folder.mkdir()
    return Desk(folder=folder)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def files(folder: Path) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def run_file(folder: Path) -> dict[str, Any]:
    return json.loads((folder / RUN_FILE).read_text(encoding="utf-8"))


def says(results: Results) -> dict[str, str]:
    return {row["feeder"]: row["says"] for row in results["answer"].rows()}


def content(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in files(folder)}


# --- whole runs ----------------------------------------------------------------------------------------------------


def test_a_run_gives_a_chunk_a_feeder_in_the_order_of_the_study(desk: Desk) -> None:
    desk.write(F1="one", F2="two", F3="three")
    results = run(desk.study("F3", "F1", "F2"))
    assert [c.feeder for c in results.chunks] == ["F3", "F1", "F2"]
    assert says(results) == {"F3": "three", "F1": "one", "F2": "two"}
    assert results.failed == {}
    assert set(results["answer"]["work_package_id"]) == {results.work_package_id}
    assert not (desk.folder / "results").exists()


def test_a_run_into_a_folder_keeps_every_table_and_says_that_it_is_complete(desk: Desk, out: Path) -> None:
    desk.write(F1="one", F2="two")
    package = desk.study("F1", "F2")
    results = run(package, out=out)
    assert files(out) == [
        "answer/base/F1/2025.parquet",
        "answer/base/F2/2025.parquet",
        "findings/base/F1/2025.parquet",
        "findings/base/F2/2025.parquet",
        RUN_FILE,
    ]
    kept = run_file(out)
    assert (kept["state"], kept["failed"]) == ("complete", {})
    assert kept["work_package_id"] == results.work_package_id
    assert kept["study"] == package.canonical
    assert kept["inputs"] == {f: hashlib.sha256(t).hexdigest() for f, t in (("F1", b"one"), ("F2", b"two"))}


def test_what_a_run_kept_reads_back_as_it_was_returned(desk: Desk, out: Path) -> None:
    desk.write(F1="one", F2="two", F3="three")
    returned = run(desk.study("F3", "F1", "F2"), out=out)
    back = read_results(out)
    assert back.work_package_id == returned.work_package_id
    assert says(back) == says(returned)
    assert {c.feeder for c in back.chunks} == {"F1", "F2", "F3"}


def test_results_read_back_have_their_feeders_in_the_order_of_the_study_too(desk: Desk, out: Path) -> None:
    # Results.chunks: "In the order of the study's feeders."
    desk.write(F1="one", F2="two", F3="three")
    returned = run(desk.study("F3", "F1", "F2"), out=out)
    back = read_results(out)
    assert [c.feeder for c in back.chunks] == ["F3", "F1", "F2"]
    assert back["answer"]["says"].tolist() == returned["answer"]["says"].tolist()


def test_a_failed_feeder_reads_back_in_its_place(desk: Desk, out: Path) -> None:
    desk.write(F1="unreadable", F2="two")
    returned = run(desk.study("F1", "F2"), out=out)
    assert [c.feeder for c in returned.chunks] == ["F1", "F2"]
    assert [c.feeder for c in read_results(out).chunks] == ["F1", "F2"]


def test_progress_names_the_feeder(desk: Desk, out: Path) -> None:
    desk.write(F1="one")
    told: list[tuple[str, int, int]] = []
    run(desk.study("F1"), out=out, progress=lambda *said: told.append(said))
    assert ("loading feeders", 0, 1) in told
    assert ("F1: echoing", 1, 2) in told


def test_every_writer_of_the_study_writes(desk: Desk, out: Path) -> None:
    desk.write(F1="one")
    run(desk.study("F1", more='[[writers]]\nplugin = "csv"\n[[writers]]\nplugin = "parquet"\n'), out=out)
    assert {Path(name).suffix for name in files(out)} == {".csv", ".parquet", ".json"}


# --- a feeder fails ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "message"),
    [("unreadable", "is unreadable"), ("no start", "the start does not converge,\nnot at all")],
)
def test_a_feeder_that_fails_does_not_end_the_others(text: str, message: str, desk: Desk, out: Path) -> None:
    desk.write(F1="one", F2=text, F3="three")
    results = run(desk.study("F1", "F2", "F3"), out=out)
    assert says(results) == {"F1": "one", "F3": "three"}
    assert list(results.failed) == ["F2"]
    assert message in results.failed["F2"]
    assert files(out) == [
        "answer/base/F1/2025.parquet",
        "answer/base/F3/2025.parquet",
        "findings/base/F1/2025.parquet",
        "findings/base/F2/2025.parquet",
        "findings/base/F3/2025.parquet",
        RUN_FILE,
    ]
    kept = run_file(out)
    assert (kept["state"], kept["failed"]) == ("failed", dict(results.failed))
    assert says(read_results(out)) == {"F1": "one", "F3": "three"}


def test_the_findings_of_a_failed_feeder_begin_with_its_error_in_one_line(desk: Desk) -> None:
    desk.write(F1="no start", F2="unreadable")
    results = run(desk.study("F1", "F2"))
    rows = [row for row in results["findings"].rows() if row["feeder"] == "F1"]
    assert [(r["severity"], r["code"]) for r in rows] == [("error", "feeder-failed"), ("info", "loaded")]
    assert rows[0]["message"] == "the start does not converge, not at all"
    assert rows[0]["work_package_id"] == results.work_package_id
    lost = [row for row in results["findings"].rows() if row["feeder"] == "F2"]
    assert [(r["severity"], r["code"]) for r in lost] == [("error", "feeder-failed")]
    assert "F2.txt" in lost[0]["message"]


def test_a_feeder_without_its_file_fails_alone_and_all_may_fail(desk: Desk, out: Path) -> None:
    desk.write(F1="no start")
    results = run(desk.study("F1", "F2"), out=out)
    assert sorted(results.failed) == ["F1", "F2"]
    assert "no such file" in results.failed["F2"]
    assert results.names == ("findings",)
    assert run_file(out)["state"] == "failed"


# --- stopping ------------------------------------------------------------------------------------------------------


def stop_after(desk: Desk, feeder: str) -> Callable[[], bool]:
    """Stop from the moment on at which a feeder's run has begun, and the feeder asks."""
    return lambda: feeder in desk.plugin.heard


def test_should_stop_ends_the_run_and_keeps_the_feeders_that_were_finished(desk: Desk, out: Path) -> None:
    desk.write(F1="one", F2="two", F3="three")
    with pytest.raises(StoppedError, match="'F2'"):
        run(desk.study("F1", "F2", "F3"), out=out, should_stop=stop_after(desk, "F2"))
    assert desk.plugin.heard == ["F1", "F2"]
    assert files(out) == ["answer/base/F1/2025.parquet", "findings/base/F1/2025.parquet", RUN_FILE]
    assert run_file(out)["state"] == "interrupted"
    assert says(read_results(out)) == {"F1": "one"}


def test_should_stop_while_loading_writes_nothing(desk: Desk, out: Path) -> None:
    desk.write(F1="one", F2="two")
    with pytest.raises(StoppedError):
        run(desk.study("F1", "F2"), out=out, should_stop=lambda: True)
    assert desk.plugin.heard == []
    assert files(out) == []


def test_should_stop_ends_the_run_between_feeders_of_a_study_that_never_asks(desk: Desk, out: Path) -> None:
    desk = attrs.evolve(desk, plugin=Parts(asks=False))
    desk.write(F1="one", F2="two")
    with pytest.raises(StoppedError):
        run(desk.study("F1", "F2"), out=out, should_stop=stop_after(desk, "F1"))
    assert desk.plugin.heard == ["F1"]
    assert run_file(out)["state"] == "interrupted"


def test_ctrl_c_inside_a_feeder_leaves_the_others_whole_and_the_run_interrupted(desk: Desk, out: Path) -> None:
    desk.write(F1="one", F2="ctrl-c", F3="three")
    with pytest.raises(KeyboardInterrupt):
        run(desk.study("F1", "F2", "F3"), out=out)
    assert files(out) == ["answer/base/F1/2025.parquet", "findings/base/F1/2025.parquet", RUN_FILE]
    assert run_file(out)["state"] == "interrupted"


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(28, "No space left on device")], ids=["ctrl-c", "full"])
def test_a_break_inside_a_writer_leaves_no_half_table(
    error: BaseException, desk: Desk, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, written = pyarrow.parquet.write_table, []

    def write(table: Any, path: Any, *rest: Any, **more: Any) -> None:
        written.append(path)
        if len(written) == 4:  # findings of F2
            Path(path).write_bytes(b"half a ta")
            raise error
        original(table, path, *rest, **more)

    monkeypatch.setattr(pyarrow.parquet, "write_table", write)
    desk.write(F1="one", F2="two", F3="three")
    with pytest.raises(KeyboardInterrupt if isinstance(error, KeyboardInterrupt) else OutputError):
        run(desk.study("F1", "F2", "F3"), out=out)
    assert files(out) == ["answer/base/F1/2025.parquet", "findings/base/F1/2025.parquet", RUN_FILE]
    assert run_file(out)["state"] == "interrupted"
    assert says(read_results(out)) == {"F1": "one"}


def test_a_run_that_was_interrupted_is_finished_by_running_it_again(desk: Desk, out: Path) -> None:
    desk.write(F1="one", F2="two")
    with pytest.raises(StoppedError):
        run(desk.study("F1", "F2"), out=out, should_stop=stop_after(desk, "F2"))
    run(desk.study("F1", "F2"), out=out)
    assert run_file(out)["state"] == "complete"
    assert says(read_results(out)) == {"F1": "one", "F2": "two"}


def test_a_bug_in_a_plugin_leaves_no_run_that_calls_itself_complete(desk: Desk, out: Path) -> None:
    desk.write(F1="one", F2="bug")
    results = run(desk.study("F1", "F2"), out=out)
    told = results.failed["F2"]
    assert told.startswith("ZeroDivisionError in ")
    assert f"({__name__}, line " in told
    assert run_file(out)["state"] == "failed"
    assert "answer/base/F1/2025.parquet" in files(out)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: None, "TypeError in make of network 'text' of desk 1.0: "),
        (lambda config: 1 / 0, "ZeroDivisionError in make of network 'text' of desk 1.0: division by zero"),
        (lambda config: None, "make of network 'text' of desk 1.0 gave nothing"),
    ],
)
def test_a_plugin_that_makes_no_object_is_named(make: Any, said: str, desk: Desk) -> None:
    desk.write(F1="one")
    study = desk.study("F1")
    record = study.record(study.part("network"))
    changed = attrs.evolve(record, make=make)
    given = attrs.evolve(study, registry=Registry.of(_Offers(changed), distribution="desk 1.0"))
    with pytest.raises(PluginError, match=re.escape(said)):
        given.make(study.part("network"))


class _Offers:
    def __init__(self, record: Any) -> None:
        self.record = record

    @hookimpl
    def hostcap_networks(self) -> list[Any]:
        return [self.record]


# --- folders -------------------------------------------------------------------------------------------------------


def test_the_same_run_again_gives_the_same_bytes_in_the_same_folder(desk: Desk, out: Path) -> None:
    desk.write(F1="one")
    run(desk.study("F1"), out=out)
    before = {name: data for name, data in content(out).items() if name != RUN_FILE}
    run(desk.study("F1"), out=out)
    assert {name: data for name, data in content(out).items() if name != RUN_FILE} == before


def test_a_folder_that_holds_another_studys_run_is_refused_and_left_as_it_was(desk: Desk, out: Path) -> None:
    desk.write(F1="one")
    run(desk.study("F1"), out=out)
    before = content(out)
    for _ in range(2):  # being refused once is no reason to be let in
        with pytest.raises(OutputError, match="another study") as caught:
            run(desk.study("F1", study__factor="2.0"), out=out)
        assert str(out) in str(caught.value)
        assert content(out) == before


def test_a_folder_that_holds_the_run_of_other_input_is_refused_and_left_as_it_was(desk: Desk, out: Path) -> None:
    desk.write(F1="one")
    run(desk.study("F1"), out=out)
    before = content(out)
    desk.write(F1="another")
    with pytest.raises(OutputError, match="other input"):
        run(desk.study("F1"), out=out)
    assert content(out) == before


def test_a_folder_that_holds_something_else_is_refused_and_left_as_it_was(desk: Desk, out: Path) -> None:
    out.mkdir()
    (out / "thesis.txt").write_text("do not touch", encoding="utf-8")
    desk.write(F1="one")
    for _ in range(2):
        with pytest.raises(OutputError, match="not empty"):
            run(desk.study("F1"), out=out)
        assert files(out) == ["thesis.txt"]


def test_a_folder_with_another_study_of_the_same_given_id_is_refused(desk: Desk, out: Path) -> None:
    # "a folder that holds another study's run is refused": an id that was given says nothing about the study.
    given = "3d2c5e0e-5f0b-4f5e-8d5c-0d9b6f1f5a11"
    desk.write(F1="one", F2="two")
    run(attrs.evolve(desk.study("F1"), given_id=given), out=out)
    before = content(out)
    with pytest.raises(OutputError):
        run(attrs.evolve(desk.study("F2", study__factor="2.0"), given_id=given), out=out)
    assert content(out) == before


def test_a_place_that_cannot_be_a_folder_is_refused_before_anything_is_loaded(desk: Desk, out: Path) -> None:
    out.write_text("a file", encoding="utf-8")
    told: list[str] = []
    with pytest.raises(OutputError, match="is a file, not a folder") as caught:
        run(desk.study("F1"), out=out, progress=lambda stage, done, total: told.append(stage))
    assert str(out) in str(caught.value)
    assert "--out" in str(caught.value)
    assert told == []


# --- ids -----------------------------------------------------------------------------------------------------------


def test_the_same_study_of_the_same_input_has_the_same_id(desk: Desk) -> None:
    desk.write(F1="one", F2="two")
    first, second = run(desk.study("F1", "F2")), run(desk.study("F1", "F2"))
    assert first.work_package_id == second.work_package_id
    assert uuid.UUID(first.work_package_id).version == 5


def test_a_study_elsewhere_on_the_disk_has_the_same_id(desk: Desk, tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere" / "deeper"
    moved.mkdir(parents=True)
    other = Desk(folder=moved)
    ids = []
    for place in (desk, other):
        place.write(F1="one")
        ids.append(run(place.study("F1")).work_package_id)
    assert ids[0] == ids[1]


def test_the_id_changes_with_the_study_and_with_the_input(desk: Desk) -> None:
    desk.write(F1="one", F2="two")
    ids = [run(desk.study("F1")).work_package_id]
    ids.append(run(desk.study("F1", study__factor="2.0")).work_package_id)
    ids.append(run(desk.study("F1", scope__year="2026")).work_package_id)
    ids.append(run(desk.study("F2")).work_package_id)
    ids.append(run(desk.study("F1", "F2")).work_package_id)
    desk.write(F1="One")
    ids.append(run(desk.study("F1")).work_package_id)
    assert len(set(ids)) == len(ids)


def test_writing_a_default_out_does_not_change_the_id(desk: Desk) -> None:
    desk.write(F1="one")
    assert run(desk.study("F1")).work_package_id == run(desk.study("F1", study__factor="1.0")).work_package_id


def test_a_given_id_is_used_and_carried_into_tables(desk: Desk) -> None:
    given = "3d2c5e0e-5f0b-4f5e-8d5c-0d9b6f1f5a11"
    desk.write(F1="one")
    results = run(attrs.evolve(desk.study("F1"), given_id=given))
    assert results.work_package_id == given
    assert results["answer"]["work_package_id"].tolist() == [given]


def test_a_given_id_that_is_none_is_refused_in_words(desk: Desk) -> None:
    desk.write(F1="one")
    with pytest.raises(HostcapError, match="my run"):
        run(attrs.evolve(desk.study("F1"), given_id="my run"))


# --- parts that do not fit -----------------------------------------------------------------------------------------


def test_a_solver_that_asks_for_what_the_network_cannot_give_is_refused_naming_both(desk: Desk, out: Path) -> None:
    told: list[str] = []
    package = desk.study("F1", more='[solver]\nplugin = "counter"\n')
    with pytest.raises(ConfigError) as caught:
        run(package, out=out, progress=lambda stage, done, total: told.append(stage))
    text = str(caught.value)
    assert "'counter' needs numbers" in text
    assert "network 'text'" in text
    assert "solvers that fit it: reader" in text
    assert told == []
    assert not out.exists()
    with pytest.raises(ConfigError, match="'counter' needs numbers"):
        check(package)


@pytest.mark.parametrize(
    ("tables", "messages"),
    [
        ('["anser"]', ["writers[0].tables: study 'echo' makes no table 'anser'; did you mean 'answer'? its tables: "]),
        ('["answer", "x", "finding"]', ["makes no table 'x'; its tables: answer, findings", "mean 'findings'?"]),
        ("[]", ["writers[0].tables: must not be empty"]),
        ('["answer", "answer"]', ["writers[0].tables: names 'answer' twice"]),
        ('"answer"', ["writers[0].tables: expected a list of text"]),
    ],
)
def test_a_writer_that_is_to_keep_unknown_tables_is_refused_before_anything_is_loaded(
    tables: str, messages: list[str], desk: Desk, out: Path
) -> None:
    desk.write(F1="one")
    more = f'[[writers]]\nplugin = "csv"\ntables = {tables}\n'
    for attempt in (lambda: run(desk.study("F1", more=more), out=out), lambda: check(desk.study("F1", more=more))):
        with pytest.raises(ConfigError) as caught:
            attempt()
        assert all(message in str(caught.value) for message in messages), str(caught.value)
    assert not out.exists()
    assert desk.plugin.heard == []


def test_each_writer_keeps_the_tables_that_it_is_told_and_results_hold_all(desk: Desk, out: Path) -> None:
    desk.write(F1="one", F2="no start")
    more = '[[writers]]\nplugin = "csv"\ntables = ["answer"]\n[[writers]]\nplugin = "parquet"\ntables = ["findings"]\n'
    results = run(desk.study("F1", "F2", more=more), out=out)
    assert files(out) == [
        "answer/base/F1/2025.csv",
        "findings/base/F1/2025.parquet",
        "findings/base/F2/2025.parquet",
        RUN_FILE,
    ]
    assert results.names == ("answer", "findings")
    assert read_results(out).names == ("findings",)


def test_a_solver_that_fits_is_not_refused(desk: Desk) -> None:
    desk.write(F1="one")
    assert says(run(desk.study("F1", more='[solver]\nplugin = "reader"\n'))) == {"F1": "one"}


def test_plugins_given_in_python_are_refused_on_other_processes(desk: Desk) -> None:
    desk.write(F1="one")
    with pytest.raises(ConfigError, match="workers"):
        run(desk.study("F1"), workers=2)
    with pytest.raises(ConfigError, match="workers: must be >= 1"):
        run(desk.study("F1"), workers=0)


def test_ending_workers_at_once_ends_no_process_that_somebody_else_started(tmp_path: Path) -> None:
    document = StudyDocument(name="x", scope=Scope(feeders=("F1",), year=2025), parts={}, folder=tmp_path)
    workers = Workers(WorkPackage(document=document), 2)
    mine = multiprocessing.get_context("spawn").Process(target=time.sleep, args=(60.0,), daemon=True)
    mine.start()
    try:
        workers.close(at_once=True)
        mine.join(timeout=0.5)
        assert mine.is_alive()
    finally:
        mine.kill()
        mine.join()
        mine.close()


# --- check ---------------------------------------------------------------------------------------------------------


def test_check_looks_at_every_feeder_and_writes_nothing(desk: Desk) -> None:
    desk.write(F1="one", F2="no start", F3="unreadable")
    before = content(desk.folder)
    report = check(desk.study("F1", "F2", "F3"))
    assert [(p.feeder, p.facts) for p in report.previews] == [("F1", (("words", "one"),))]
    assert sorted(report.failed) == ["F2", "F3"]
    rows = [(r["feeder"], r["severity"], r["code"]) for r in report.findings.rows()]
    assert rows == [
        ("F1", "info", "loaded"),
        ("F2", "error", "feeder-failed"),
        ("F2", "info", "loaded"),
        ("F3", "error", "feeder-failed"),
    ]
    assert {**content(desk.folder), "study.toml": b""} == {**before, "study.toml": b""}
    assert desk.plugin.heard == []


def test_a_number_of_the_answer_is_the_one_that_the_settings_ask_for(desk: Desk) -> None:
    desk.write(F1="three")
    results = run(desk.study("F1", study__factor="2.5"))
    assert math.isclose(results["answer"]["times"][0], 12.5)
    assert results["answer"]["times"].dtype == np.float64
