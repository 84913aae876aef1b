"""Study files changed at random: whatever they hold, only errors of hostcap's own come of it, a line each."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from hostcap import WorkPackage
from hostcap.cli.main import main
from hostcap.errors import ConfigError, PluginError

GOOD = (Path(__file__).parents[2] / "plugins" / "hostcap_stock" / "demo" / "demo.toml").read_bytes()
WORDS = [
    b"[",
    b"]",
    b"[[",
    b"=",
    b'"',
    b'"""',
    b"'",
    b"\n",
    b"\r",
    b"\0",
    b"\xff",
    b"\xef\xbb\xbf",
    b"{",
    b"}",
    b",",
    b".",
    b"#",
    b"-",
    b"inf",
    b"nan",
    b"true",
    b"1e999",
    b"-1",
    b"0",
    b"9" * 30,
    b"9" * 5000,
    b"2025-01-01",
    b"2025-13-45",
    b"2025-01-01T00:00:00",
    b"0001-01-01T00:00:00+23:59",
    b"{feeder}",
    b"plugin",
    b"network",
    b"scope",
    b"constraints",
    b"writers",
    b"\\u0000",
    b"\\",
    b"\xf0\x9f\x92\xa1",
    b"[" * 2000,
    b"[]",
    b"{}",
    b"a.b.c=1\n",
    b"[network.x]\n",
    b"[[scope]]\n",
]
PLACES = st.integers(0, len(GOOD))
CHANGES = st.lists(
    st.one_of(
        st.tuples(st.just("insert"), PLACES, st.sampled_from(WORDS) | st.binary(max_size=6)),
        st.tuples(st.just("cut"), PLACES, st.integers(0, 60)),
        st.tuples(st.just("replace"), PLACES, st.sampled_from(WORDS) | st.binary(max_size=3)),
        st.tuples(st.just("value"), st.integers(0, 40), st.sampled_from(WORDS) | st.binary(max_size=6)),
        st.tuples(st.just("key"), st.integers(0, 40), st.sampled_from(WORDS) | st.binary(max_size=6)),
        st.tuples(st.just("drop"), st.integers(0, 60), st.just(b"")),
        st.tuples(st.just("copy"), st.integers(0, 60), st.integers(0, 60)),
        st.tuples(st.just("end"), PLACES, st.just(b"")),
    ),
    min_size=1,
    max_size=4,
)


def changed(content: bytes, changes: list[tuple[str, int, bytes | int]]) -> bytes:
    for what, place, with_ in changes:
        rows = content.split(b"\n")
        if what in ("value", "key"):
            settable = [i for i, row in enumerate(rows) if b"=" in row and not row.startswith(b"#")]
            if settable and isinstance(with_, bytes):
                row = settable[place % len(settable)]
                key, _, value = rows[row].partition(b"=")
                rows[row] = key + b"= " + with_ if what == "value" else with_ + b" =" + value
            content = b"\n".join(rows)
        elif what == "drop":
            content = b"\n".join(rows[: place % len(rows)] + rows[place % len(rows) + 1 :])
        elif what == "copy" and isinstance(with_, int):
            rows.insert(with_ % len(rows), rows[place % len(rows)])
            content = b"\n".join(rows)
        elif what == "cut" and isinstance(with_, int):
            content = content[:place] + content[place + with_ :]
        elif what == "end":
            content = content[:place]
        elif isinstance(with_, bytes):
            content = content[:place] + with_ + content[place + (len(with_) if what == "replace" else 0) :]
    return content


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as made:
        yield Path(made)


@given(changes=CHANGES)
@example(changes=[("value", 0, b"9" * 5000)])
@example(changes=[("value", 3, b'"a\\u0000b"')])
@settings(
    max_examples=400, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_a_study_file_changed_at_random_reads_or_is_refused(
    changes: list[tuple[str, int, bytes | int]], folder: Path
) -> None:
    path = folder / "study.toml"
    path.write_bytes(changed(GOOD, changes))
    told: list[str] = []
    try:
        work_package = WorkPackage.read(path)
        assert work_package.canonical  # a study that reads can also be written
        work_package.study()
        work_package.source()
        work_package.writers()
    except (ConfigError, PluginError) as error:
        told = str(error).split("\n")
    assert all(": " in line and len(line) < 1000 and line.isprintable() for line in told), told


@given(
    overrides=st.lists(
        st.tuples(
            st.sampled_from(["study.max_steps", "scope.feeders", "constraints.0.lv_max_v", "network", "x", "", "a..b"])
            | st.text(max_size=8),
            st.sampled_from(["=", "", "=="]),
            st.sampled_from(["3", "inf", "[", "[]", '"x"', "true", "{}", "1979-05-27", "9" * 5000, "\x00"])
            | st.text(max_size=8),
        ).map("".join),
        min_size=1,
        max_size=3,
    )
)
@settings(
    max_examples=300, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_overrides_at_random_are_taken_or_refused(overrides: list[str], folder: Path) -> None:
    path = folder / "good.toml"
    path.write_bytes(GOOD)
    problems: tuple[str, ...] = ()
    try:
        assert WorkPackage.read(path, overrides=overrides).canonical
    except ConfigError as error:
        problems = error.problems
    assert all(": " in line and line.isprintable() for line in problems), problems


@given(changes=CHANGES)
@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_command_line_answers_a_changed_study_in_lines(
    changes: list[tuple[str, int, bytes | int]], folder: Path
) -> None:
    """`check` of a study without its model: refused (2), or a feeder that fails (3); never a traceback."""
    path = folder / "alone.toml"
    path.write_bytes(changed(GOOD, changes))
    result = CliRunner().invoke(main, ["check", str(path)])
    assert isinstance(result.exception, SystemExit), repr(result.exception)
    assert result.exit_code in (2, 3), result.output
    assert result.stderr
    assert all(line.startswith("error: ") for line in result.stderr.split("\n") if line), result.stderr
