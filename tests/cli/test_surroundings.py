"""Disks that are full, files that may not be read, pipes that end: one line each; and quiet output."""

from __future__ import annotations

import errno
import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from turns import RUN, TABLES, call, command, lines, tree

from hostcap import read_results


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
