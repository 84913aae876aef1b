"""``hostcap plugins``: the listing, and one plugin's settings."""

from __future__ import annotations

import io
import re
from types import SimpleNamespace
from typing import Any

import pytest
from attrs import field, frozen
from click.testing import CliRunner, Result

from hostcap.cli.plugins import plugins
from hostcap.config import about, positive
from hostcap.plugins import Registry, SolverPlugin, StudyPlugin, Takes, WriterPlugin, hookimpl


@frozen(kw_only=True)
class Config:
    tolerance_pu: float = field(default=1e-6, validator=positive, metadata=about("Largest mismatch", unit="pu"))
    engine: str = field(metadata=about("Name of the [engine]"))


@frozen(kw_only=True)
class Empty:
    pass


def same(config: Any) -> Any:
    return config


class Plugin:
    @hookimpl
    def hostcap_solvers(self) -> list[SolverPlugin[Any]]:
        return [
            SolverPlugin(
                name="opendss", summary="One by one", config=Config, make=same, capabilities=frozenset({"engine"})
            )
        ]

    @hookimpl
    def hostcap_studies(self) -> list[StudyPlugin[Any]]:
        parts = {"network": Takes(required=True), "solver": Takes(default="opendss"), "injection": Takes()}
        return [StudyPlugin(name="headroom", summary="How much", config=Empty, parts=parts, make=lambda c, p: same(c))]


class Csv:
    @hookimpl
    def hostcap_writers(self) -> list[WriterPlugin[Any]]:
        return [WriterPlugin(name="csv", summary="[Text]", config=Empty, make=same)]


REGISTRY = (
    Registry.of(Plugin(), distribution="hostcap 0.1.0")
    | Registry.of(Csv(), distribution="one 1.0")
    | Registry.of(Csv(), distribution="two 2.0")
    | Registry.of(SimpleNamespace(hostcap_writer=lambda: []), distribution="bad 0.1")
)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(plugins, arguments, obj=REGISTRY)


def test_the_listing_shows_kind_name_summary_distribution_and_state() -> None:
    result = run()
    assert result.exit_code == 0
    assert result.output == (
        "kind     name             summary     distribution   state\n"
        "studies  headroom         How much    hostcap 0.1.0  ok\n"
        "solvers  opendss          One by one  hostcap 0.1.0  ok\n"
        "writers  csv              [Text]      one 1.0        conflict with two 2.0 ('Csv')\n"
        "writers  csv              [Text]      two 2.0        conflict with one 1.0 ('Csv')\n"
        "-        SimpleNamespace              bad 0.1        failed: no hook named 'hostcap_writer';"
        " did you mean 'hostcap_writers'?\n"
    )


@pytest.mark.parametrize("kind", ["solver", "solvers"])
def test_a_plugin_shows_its_settings(kind: str) -> None:
    result = run("show", kind, "opendss")
    assert result.exit_code == 0
    assert result.output == (
        "opendss: One by one (solvers, hostcap 0.1.0)\n"
        "capabilities: engine\n"
        "\n"
        "key           type    unit  default   meaning\n"
        "tolerance_pu  number  pu    1e-06     Largest mismatch\n"
        "engine        text          required  Name of the [engine]\n"
    )


def test_a_study_shows_what_it_takes() -> None:
    assert run("show", "study", "headroom").output == (
        "headroom: How much (studies, hostcap 0.1.0)\n"
        "takes: network (required), solver (default opendss), injection (optional)\n"
        "It has no settings.\n"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("solver", "opendds"),
            "no solver named 'opendds'; did you mean 'opendss'? installed: opendss; failed to load: ",
        ),
        (("solvr", "opendss"), "no kind named 'solvr'; did you mean 'solvers'? kinds: networks, profiles, studies, "),
        (("writer", "csv"), "2 plugins offer writer 'csv': one 1.0 ('Csv') and two 2.0 ('Csv'); uninstall one"),
    ],
)
def test_what_is_not_there_is_one_line_and_exit_code_2(arguments: tuple[str, str], message: str) -> None:
    result = run("show", *arguments)
    assert result.exit_code == 2
    assert result.output.startswith(f"error: {message}")
    assert result.output.count("\n") == 1


def test_a_terminal_gets_a_table_that_takes_text_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("COLUMNS", "200")
    terminal = Terminal()
    monkeypatch.setattr("sys.stdout", terminal)
    plugins.main(["show", "solver", "opendss"], obj=REGISTRY, standalone_mode=False)
    text = re.sub("\x1b\\[[0-9;]*m", "", terminal.getvalue())
    assert "Largest mismatch" in text
    assert "Name of the [engine]" in text
