"""The kit finds what is wrong: each fault in a new distribution fails the test that is there for it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from attrs import evolve, frozen

import hostcap.testing
from hostcap.plugins import KINDS
from hostcap.plugins.registry import singular
from hostcap.testing.new_distribution import SHAPES, texts

SIZES = """
class Sizes:
    metric_low, metric_high, scale, needs = "", "size", None, frozenset({"nodes"})

    def __init__(self, network, seen, **rows):
        from hostcap.limit_rows import conductor_rows

        made = conductor_rows(network, seen, **rows)
        self.seen, self.labels, self.lower, self.upper = seen, made.labels, made.lower, made.upper
        self.description = "size"

    def evaluate(self, solution, start):
        return abs(solution.conductor_a[:, self.seen])


@frozen(kw_only=True)"""
"""A measure that reads currents and says that it needs voltages alone."""


@frozen
class Fault:
    """What is changed in a module of a new distribution, and the test that must fail for it."""

    kind: str
    test: str
    old: str
    new: str
    file: str = "__init__"
    also: tuple[str, str] = ("", "")


def faults() -> list[Fault]:
    """Those of the file; ``SIZES`` in it is the measure above."""
    read = tomllib.loads((Path(__file__).parent / "faults.toml").read_text(encoding="utf-8"))
    found = [Fault(kind=kind, **fault) for kind, all_of_it in read.items() for fault in all_of_it]
    return [evolve(fault, also=(fault.also[0], fault.also[1].replace("SIZES", SIZES))) for fault in found]


FAULTS = faults()
CONTROL = "test_the_record_travels"
"""A test that holds whatever is wrong in the list above: the rest of the distribution still works."""


def write(number: int, fault: Fault, folder: Path) -> str:
    """The distribution with its fault; node id of its tests, without the test."""
    name = f"fault-{number}"
    package = name.replace("-", "_")
    made = texts(name, fault.kind)
    place = f"{package}/{fault.file}.py"
    for old, new in ((fault.old, fault.new), fault.also):
        assert old in made[place], f"{fault.kind}: the template has no {old!r}"
        made[place] = made[place].replace(old, new, 1) if old else made[place]
    for path, text in made.items():
        target = folder / name / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
    return f"{name}/tests/test_{package}.py::TestFault{number}::"


def test_each_fault_fails_the_test_that_is_there_for_it(tmp_path: Path) -> None:
    """All in one process; what is not named among the failures has passed."""
    ids = [write(number, fault, tmp_path) for number, fault in enumerate(FAULTS)]
    paths = [*(str(tmp_path / f"fault-{n}") for n in range(len(FAULTS))), *(p for p in sys.path if p)]
    tests = [own + test for own, fault in zip(ids, FAULTS, strict=True) for test in (fault.test, CONTROL)]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--tb=no", "-rfE", "-p", "no:cacheprovider", "--rootdir", ".", *tests],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
        cwd=tmp_path,
        check=False,
    )
    found = set(re.findall(r"^(?:FAILED|ERROR) \S+?::TestFault(\d+::\w+)", done.stdout, re.MULTILINE))
    assert f"{len(found)} failed" in done.stdout or "error" in done.stdout, done.stdout + done.stderr
    missed = [fault for number, fault in enumerate(FAULTS) if f"{number}::{fault.test}" not in found]
    assert not missed, f"{len(missed)} faults pass: {missed}"
    more = [FAULTS[int(each.partition(":")[0])] for each in found if each.endswith(CONTROL)]
    assert not more, f"these break more than they say: {more}"


def test_every_kind_has_faults_and_every_test_of_a_fault_is_there() -> None:
    kinds = {singular(kind.kind) for kind in KINDS}
    assert {fault.kind for fault in FAULTS} == kinds
    for kind in KINDS:
        suite = getattr(hostcap.testing, SHAPES[kind.kind].suite)
        for fault in FAULTS:
            if fault.kind == singular(kind.kind):
                assert hasattr(suite, fault.test), fault


@pytest.mark.parametrize(
    ("fault", "reason", "outcomes"),
    [
        ("", "", {"passed"}),
        ("", "why", {"passed", "failed"}),
        (" & nodes.live[at]", "", {"passed", "failed"}),
        (" & nodes.live[at]", "why", {"passed", "xfailed"}),
    ],
    ids=["good", "good-and-listed", "wrong", "wrong-and-listed"],
)
def test_expected_failures_are_listed_and_strict(fault: str, reason: str, outcomes: set[str], tmp_path: Path) -> None:
    made = texts("odd", "constraint")
    made["odd/__init__.py"] = made["odd/__init__.py"].replace(fault, "") if fault else made["odd/__init__.py"]
    listed = f'expected_failures={{"test_dead_nodes_are_not_watched": "{reason}"}}'
    test = made["tests/test_odd.py"]
    made["tests/test_odd.py"] = test.replace("wrong=", f"{listed}, wrong=") if reason else test
    for path, text in made.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text, encoding="utf-8")
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "--tb=no",
        "-p",
        "no:cacheprovider",
        "-k",
        "not heavy",
        "--rootdir",
        ".",
    ]
    paths = [str(tmp_path), *(p for p in sys.path if p)]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
        cwd=tmp_path,
        check=False,
    )
    assert set(re.findall(r"\d+ (passed|failed|xfailed)\b", done.stdout)) == outcomes, done.stdout
