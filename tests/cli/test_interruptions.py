"""Ctrl-C at any moment, and feeders that fail: others are whole, nothing is half written, the same command goes on."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from turns import MASTER, NO_SOLUTION, RUN, STUDY, TABLES, call, command, lines

from hostcap import read_results


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
