"""``hostcap plugins new``: a distribution that passes the kit as it is, for every kind; ``check`` finds faults."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import attrs
import pytest
from click.testing import CliRunner

from hostcap.cli.main import main
from hostcap.config import about
from hostcap.plugins import KINDS, ConstraintPlugin, Registry, hookimpl
from hostcap.plugins.registry import singular
from hostcap.testing.new_distribution import SHAPES

EVERY = [singular(kind.kind) for kind in KINDS]


def run(*arguments: str, **more: Any) -> Any:
    return CliRunner().invoke(main, list(arguments), **more)


def test_every_kind_has_a_template() -> None:
    assert set(SHAPES) == {kind.kind for kind in KINDS}


@pytest.mark.slow
def test_a_new_distribution_of_every_kind_passes_the_kit(tmp_path: Path) -> None:
    """One process for all of them; each is a package of its own name."""
    for kind in EVERY:
        done = run("plugins", "new", f"my-{kind.replace('_', '-')}", "--kind", kind, "--out", str(tmp_path / kind))
        assert done.exit_code == 0, done.output
    paths = os.pathsep.join([*(str(tmp_path / kind) for kind in EVERY), *(p for p in sys.path if p)])
    tested = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(tmp_path), str(tmp_path)],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": paths},
        cwd=tmp_path,
        check=False,
    )
    assert tested.returncode == 0, tested.stdout + tested.stderr
    assert "failed" not in tested.stdout


@pytest.mark.parametrize(
    ("name", "kind", "told"),
    [
        ("Neutral", "constraint", "kebab-case"),
        ("class", "constraint", "kebab-case"),
        ("2nd", "constraint", "kebab-case"),
        ("json", "constraint", "would hide another"),
        ("hostcap-x", "constraint", "would hide another"),
        ("neutral", "constrain", "did you mean 'constraints'"),
    ],
)
def test_a_name_or_kind_that_will_not_do_is_refused_and_nothing_is_written(
    tmp_path: Path, name: str, kind: str, told: str
) -> None:
    done = run("plugins", "new", name, "--kind", kind, "--out", str(tmp_path / "there"))
    assert done.exit_code == 2
    assert told in done.output and done.output.count("\n") == 1
    assert not (tmp_path / "there").exists()


def test_a_folder_that_is_there_is_left_alone(tmp_path: Path) -> None:
    done = run("plugins", "new", "neutral", "--kind", "constraint", "--out", str(tmp_path))
    assert done.exit_code != 0
    assert "is there already" in done.output
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("kind", "name"), [("solver", "batched"), ("network", "opendss"), ("study", "lv-headroom")])
def test_check_says_that_stock_plugins_keep_the_rules(kind: str, name: str) -> None:
    done = run("plugins", "check", kind, name)
    assert done.exit_code == 0, done.output
    assert f"{name} keeps the rules" in done.output


@attrs.define
class Sloppy:
    max_a: float = 1.0
    words: int = attrs.field(default=1, metadata=about("Some"))


class Offer:
    """An author's plugin with three faults."""

    @hookimpl
    def hostcap_constraints(self) -> Any:
        return [ConstraintPlugin(name="sloppy", summary="", config=Sloppy, make=lambda config: config)]


def test_check_names_every_rule_that_is_broken() -> None:
    done = run("plugins", "check", "constraint", "sloppy", obj=Registry.of(Offer()))
    assert done.exit_code == 1
    for rule in ("summary-is-one-line", "every-field-has-words: max_a", "units-are-said: max_a", "config-is-frozen"):
        assert rule in done.output
    assert not any(line.partition(": ")[2].startswith("words") for line in done.output.splitlines())
