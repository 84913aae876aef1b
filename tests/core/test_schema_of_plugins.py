"""The JSON Schema of plugins from outside: every type and check of their settings, as ``structure_study`` has them."""

from __future__ import annotations

import copy
import json
from datetime import UTC, date, datetime
from enum import Enum
from pathlib import Path
from typing import Any, Literal, NewType

import pytest
from attrs import field, frozen, validators
from click.testing import CliRunner
from jsonschema import Draft202012Validator
from schema_cases import FOLDER, good, in_words, structured

from hostcap.cli.schema import schema as schema_command
from hostcap.config import about, between, each, not_empty, one_of, positive, structure, unique
from hostcap.config.fields import in_schema
from hostcap.config.schema import study_schema
from hostcap.plugins import (
    AllocationPlugin,
    NetworkPlugin,
    Registry,
    SolverPlugin,
    StudyPlugin,
    Takes,
    WriterPlugin,
    hookimpl,
)


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


@frozen(kw_only=True)
class Point:
    x: float = field(default=1.0, validator=positive)
    label: str = ""


Kilowatts = NewType("Kilowatts", float)


@in_schema(anyOf=[{"minimum": -1, "exclusiveMaximum": 0}, {"exclusiveMinimum": 0, "maximum": 1}])
def power_factor(instance: Any, attribute: Any, value: float) -> None:
    if not 0.0 < abs(value) <= 1.0:
        raise ValueError("must satisfy 0 < |pf| <= 1")


@frozen(kw_only=True)
class Config:
    """Every type that ``structure`` takes, and checks of hostcap's and attrs' own."""

    colour: Colour = Colour.RED
    basis: Literal["normal", 2] = "normal"
    pair: tuple[int, str] = (1, "a")
    picks: frozenset[str] = frozenset({"b", "a"})
    names: list[str] = field(
        factory=lambda: ["a"], validator=[not_empty, unique, each(not_empty, one_of("a", "b", "c"))]
    )
    triple: tuple[int, int] = field(default=(1, 2), validator=each(positive))
    weights: dict[str, float] = field(factory=dict)
    either: int | str = 0
    centre: Point = Point(x=2.0)
    points: tuple[Point, ...] = ()
    power_kw: Kilowatts = field(default=Kilowatts(0.0), metadata=about("Power", unit="kW"))
    pf: float = field(default=1.0, validator=power_factor)
    share: float = field(default=0.5, validator=[validators.ge(0), validators.lt(1), between(0, 0.9)])
    code: str | None = field(
        default=None, validator=validators.optional([validators.min_len(2), validators.max_len(3)])
    )
    mode: str = field(default="a", validator=validators.in_(["a", "b"]))
    doubled: int = field(default=2, converter=lambda n: 2 * n, validator=validators.ge(4))
    day: date | None = None
    start: datetime = datetime(2025, 1, 1, tzinfo=UTC)
    file: Path = Path("a/b.csv")
    later: int = field()

    @later.default
    def _later(self) -> int:
        return self.either if isinstance(self.either, int) else 0


@frozen(kw_only=True)
class Empty:
    pass


@frozen(kw_only=True)
class Needs:
    size: int


class Plugin:
    @hookimpl
    def hostcap_studies(self) -> list[StudyPlugin[Any]]:
        def study(name: str, **parts: Takes) -> StudyPlugin[Any]:
            return StudyPlugin(name=name, summary=name, config=Empty, parts=parts, make=lambda c, p: c)

        return [
            study("one", solver=Takes(default="plain"), allocation=Takes(), writers=Takes(required=True)),
            study("two", solver=Takes(default="rich"), network=Takes(required=True)),
            study("three", solver=Takes(required=True)),
            study("four", solver=Takes(default="needs")),
            study("five", solver=Takes(default="away")),
        ]

    @hookimpl
    def hostcap_solvers(self) -> list[SolverPlugin[Any]]:
        return [
            SolverPlugin(name="rich", summary="Rich", config=Config, make=lambda c: c),
            SolverPlugin(name="plain", summary="Plain", config=Empty, make=lambda c: c),
            SolverPlugin(name="needs", summary="Needs", config=Needs, make=lambda c: c),
        ]

    @hookimpl
    def hostcap_networks(self) -> list[NetworkPlugin[Any]]:
        return [NetworkPlugin(name="net", summary="Net", config=Empty, make=lambda c: c)]

    @hookimpl
    def hostcap_allocations(self) -> list[AllocationPlugin[Any]]:
        return [AllocationPlugin(name="even", summary="Even", config=Empty, make=lambda c: c)]

    @hookimpl
    def hostcap_writers(self) -> list[WriterPlugin[Any]]:
        return [WriterPlugin(name="parquet", summary="Parquet", config=Empty, make=lambda c: c)]


OTHERS = Registry.of(Plugin())
OTHERS_SCHEMA = study_schema(OTHERS)
OTHERS_VALIDATOR = Draft202012Validator(OTHERS_SCHEMA)


def study_of(name: str, **tables: Any) -> dict[str, Any]:
    return {"name": "s", "scope": {"feeders": ["a"], "year": 2025}, "study": {"plugin": name}} | tables


@pytest.mark.parametrize(
    ("data", "good"),
    [
        (study_of("one", writers=[{"plugin": "parquet"}]), True),
        (study_of("one", writers=[{}]), False),
        (study_of("one"), False),
        (study_of("one", writers=[{"plugin": "parquet"}], network={"plugin": "net"}), False),
        (study_of("one", writers=[{"plugin": "parquet"}], allocation={"plugin": "even"}), True),
        (study_of("one", writers=[{"plugin": "parquet"}], allocation={}), False),
        (study_of("one", writers=[{"plugin": "parquet"}], solver={}), True),
        (study_of("one", writers=[{"plugin": "parquet"}], solver={"share": 0.1}), False),
        (study_of("two", network={"plugin": "net"}), True),
        (study_of("two", network={"plugin": "net"}, solver={"share": 0.1}), True),
        (study_of("two", network={"plugin": "net"}, solver={"share": 0.95}), False),
        (study_of("two", network={"plugin": "net"}, writers=[{}]), True),
        (study_of("two"), False),
        (study_of("three", solver={"plugin": "plain"}), True),
        (study_of("three", solver={}), False),
        (study_of("three"), False),
        (study_of("four"), False),
        (study_of("four", solver={"size": 1}), True),
        (study_of("five"), False),
        (study_of("five", solver={}), False),
        (study_of("five", solver={"plugin": "plain"}), True),
        (study_of("three", solver={"plugin": "plain"}, constraints=[]), False),
        (study_of("six"), False),
    ],
)
def test_each_study_decides_which_tables_it_takes_and_what_is_left_out_means(data: dict[str, Any], good: bool) -> None:
    assert structured(data, OTHERS) is good
    assert in_words(data, OTHERS_VALIDATOR) is good


def test_the_schema_of_other_plugins_is_a_schema_too() -> None:
    Draft202012Validator.check_schema(OTHERS_SCHEMA)
    Draft202012Validator.check_schema(study_schema(Registry()))
    assert not Draft202012Validator(study_schema(Registry())).is_valid(good())


@pytest.mark.parametrize(
    ("key", "value", "good"),
    [
        ("colour", "blue", True),
        ("colour", "green", False),
        ("basis", 2, True),
        ("basis", "2", False),
        ("pair", [2, "b"], True),
        ("pair", ["b", 2], False),
        ("pair", [2], False),
        ("pair", [2, "b", 3], False),
        ("picks", ["a", "a"], True),
        ("names", ["a", "c"], True),
        ("names", [], False),
        ("names", ["a", "a"], False),
        ("names", ["d"], False),
        ("triple", [1, 2], True),
        ("triple", [1, -2], False),
        ("weights", {"c 1": 2}, True),
        ("weights", {"c 1": "2"}, False),
        ("either", "x", True),
        ("either", [], False),
        ("centre", {"x": 3}, True),
        ("centre", {"x": 0}, False),
        ("centre", {"y": 0}, False),
        ("points", [{}, {"x": 1}], True),
        ("points", [{"x": -1}], False),
        ("power_kw", 3, True),
        ("power_kw", "3", False),
        ("pf", -1, True),
        ("pf", 0, False),
        ("pf", -1.1, False),
        ("share", 0, True),
        ("share", 0.95, False),
        ("share", -0.1, False),
        ("code", "ab", True),
        ("code", "a", False),
        ("code", "abcd", False),
        ("mode", "b", True),
        ("mode", "c", False),
        ("doubled", 2, True),
        ("day", date(2025, 1, 1), True),
        ("day", 2025, False),
        ("start", datetime(2025, 1, 1, tzinfo=UTC), True),
        ("start", datetime(2025, 1, 1), False),
        ("file", "", False),
        ("later", 3, True),
        ("later", "3", False),
    ],
)
def test_types_and_checks_agree_with_structure(key: str, value: Any, good: bool) -> None:
    data = study_of("three", solver={"plugin": "rich", key: value})
    assert structured(copy.deepcopy(data), OTHERS) is good
    assert in_words(data, OTHERS_VALIDATOR) is good


def test_defaults_are_json() -> None:
    (rich,) = (b for b in OTHERS_SCHEMA["properties"]["solver"]["anyOf"] if b["title"] == "rich")
    defaults = {key: value["default"] for key, value in rich["properties"].items() if "default" in value}
    assert defaults == {
        "plugin": "rich",
        "colour": "red",
        "basis": "normal",
        "pair": [1, "a"],
        "picks": ["a", "b"],
        "names": ["a"],
        "triple": [1, 2],
        "weights": {},
        "either": 0,
        "centre": {"x": 2.0, "label": ""},
        "points": [],
        "power_kw": 0.0,
        "pf": 1.0,
        "share": 0.5,
        "mode": "a",
        "doubled": 2,
        "start": "2025-01-01T00:00:00Z",
        "file": "a/b.csv",
    }
    assert rich["properties"]["centre"]["properties"]["x"]["default"] == 2.0
    assert structure({}, Config, folder=FOLDER).later == 0


def test_a_plugin_that_is_left_out_is_said_on_standard_error() -> None:
    class Misspelled:
        @hookimpl
        def hostcap_solver(self) -> list[Any]:
            return []

    result = CliRunner().invoke(schema_command, [], obj=OTHERS | Registry.of(Misspelled(), distribution="bad 0.1"))
    assert result.exit_code == 0
    assert json.loads(result.stdout) == OTHERS_SCHEMA
    assert result.stderr.startswith("warning: left out, as no study can name it: Misspelled of bad 0.1: failed: ")
