"""Running a study: feeders one by one, whole or not at all, with a source and a study made up for it."""

from __future__ import annotations

import hashlib
import json
import math
import multiprocessing
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import desks
import numpy as np
import pyarrow.parquet
import pytest
from desks import RUN_FILE, Desk, Parts, content, files

from hostcap import Results, WorkPackage, check, read_results, run
from hostcap.config import Scope, StudyDocument
from hostcap.errors import (
    ConfigError,
    OutputError,
    PluginError,
    StoppedError,
)
from hostcap.plugins import Registry, hookimpl
from hostcap.workers import Workers


def run_file(folder: Path) -> dict[str, Any]:
    return json.loads((folder / RUN_FILE).read_text(encoding="utf-8"))


def says(results: Results) -> dict[str, str]:
    return {row["feeder"]: row["says"] for row in results["answer"].rows()}


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
    assert f"({desks.__name__}, line " in told
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
