"""The JSON Schema of study files says what ``structure_study`` says, as far as JSON Schema has words for it."""

from __future__ import annotations

import copy
import json
import tomllib
from collections.abc import Callable
from datetime import UTC, date, datetime
from enum import Enum
from pathlib import Path
from typing import Any, Literal, NewType

import pytest
from attrs import field, frozen, validators
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from hostcap.cli.schema import schema as schema_command
from hostcap.config import about, between, each, not_empty, one_of, positive, structure, structure_study, unique
from hostcap.config.fields import in_schema
from hostcap.config.schema import study_schema
from hostcap.errors import ConfigError
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

REPOSITORY = Path(__file__).resolve().parents[2]
STUDY_FILES = sorted(
    [*(REPOSITORY / "docs/how-to/studies").glob("*.toml"), *(REPOSITORY / "plugins/hostcap_stock/demo").glob("*.toml")]
)
FOLDER = Path("/studies").absolute()
INSTALLED = Registry.from_entry_points()
SCHEMA = study_schema(INSTALLED)
VALIDATOR = Draft202012Validator(SCHEMA)
Change = Callable[[dict[str, Any]], object]


def json_of(value: Any) -> Any:
    """A TOML document as an editor hands it to a schema: dates and times as text."""
    if isinstance(value, dict):
        return {key: json_of(item) for key, item in value.items()}
    if isinstance(value, list):
        return [json_of(item) for item in value]
    return value.isoformat() if isinstance(value, date) else value


def in_words(data: Any, validator: Draft202012Validator = VALIDATOR) -> bool:
    return validator.is_valid(json_of(data))


def structured(data: Any, registry: Registry = INSTALLED) -> bool:
    try:
        structure_study(data, FOLDER, registry)
    except ConfigError:
        return False
    return True


# --- the schema itself -------------------------------------------------------------------------------------------


def test_it_is_a_schema_of_2020_12_and_always_the_same_text() -> None:
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    Draft202012Validator.check_schema(SCHEMA)
    assert json.dumps(SCHEMA) == json.dumps(study_schema(Registry.from_entry_points()))


@pytest.mark.parametrize("path", STUDY_FILES, ids=lambda path: path.name)
def test_the_study_files_that_ship_are_valid(path: Path) -> None:
    VALIDATOR.validate(json_of(tomllib.loads(path.read_text(encoding="utf-8"))))


def test_a_key_carries_meaning_unit_bounds_and_default() -> None:
    (study,) = (b for b in SCHEMA["properties"]["study"]["oneOf"] if b["title"] == "lv-headroom")
    assert study["properties"]["step_kw_per_customer"] == {
        "description": "Growth of a customer of weight 1 in one step [kW]",
        "x-unit": "kW",
        "type": "number",
        "exclusiveMinimum": 0,
        "default": 1.0,
    }


# --- agreement on the stock plugins ------------------------------------------------------------------------------


def good() -> dict[str, Any]:
    return {
        "name": "2025 export, LV",
        "scope": {"feeders": ["CRE21"], "scenario": "base", "year": 2025},
        "network": {"plugin": "opendss", "master": "{feeder}/Master.dss", "frequency_hz": 50},
        "study": {"plugin": "lv-headroom", "step_kw_per_customer": 0.1, "max_steps": 1000},
        "initial_state": {"plugin": "fixed-load", "load_kw_per_customer": 0.5},
        "injection": {"plugin": "negative-load", "direction": "export"},
        "allocation": {"plugin": "uniform"},
        "constraints": [{"plugin": "voltage", "lv_max_v": 253.0}, {"plugin": "thermal", "percent_of_rating": 100.0}],
        "solver": {"plugin": "opendss", "tolerance_pu": 1e-6},
        "writers": [{"plugin": "parquet"}],
    }


def changed(*changes: Change) -> dict[str, Any]:
    data = good()
    for change in changes:
        change(data)
    return data


def put(table: str, key: str, value: Any) -> Change:
    def change(data: dict[str, Any]) -> None:
        place = data[table][0] if isinstance(data[table], list) else data[table]
        place[key] = value

    change.__name__ = f"{table}.{key}={value!r}"
    return change


def take(table: str, key: str | None = None) -> Change:
    def change(data: dict[str, Any]) -> None:
        if key is None:
            del data[table]
        else:
            del (data[table][0] if isinstance(data[table], list) else data[table])[key]

    change.__name__ = f"without {table}.{key}"
    return change


def top(key: str, value: Any) -> Change:
    def change(data: dict[str, Any]) -> None:
        data[key] = value

    change.__name__ = f"{key}={value!r}"
    return change


ACCEPTED = [
    top("name", "ü ß, 3"),
    top("name", "conx"),
    put("scope", "year", 1900),
    put("scope", "feeders", ["a", "b"]),
    take("scope", "scenario"),
    take("initial_state"),
    take("injection"),
    take("allocation"),
    take("solver"),
    take("writers"),
    take("solver", "plugin"),
    take("initial_state", "load_kw_per_customer"),
    take("injection", "plugin"),
    top("initial_state", {}),
    top("initial_state", {"start_time": datetime(2025, 1, 1, tzinfo=UTC)}),
    top("writers", [{}]),
    top("writers", [{"plugin": "csv"}, {"plugin": "parquet"}]),
    put("network", "voltage_bases_kv", [22, 0.4]),
    put("network", "voltage_bases_kv", []),
    put("network", "neutral_nodes", [4]),
    put("network", "load_vmin_pu", 0),
    put("network", "load_vmax_pu", 5.0),
    put("network", "customers", "c.csv"),
    put("network", "unrated", "engine-default"),
    put("study", "max_steps", 1),
    put("study", "stop_on_hv_violation", False),
    put("solver", "max_iterations", 100_000),
    top("constraints", [{"plugin": "thermal"}]),
]
REFUSED = [
    take("name"),
    top("name", 3),
    top("name", ""),
    top("name", " a"),
    top("name", "a."),
    top("name", "a/b"),
    top("name", "a\nb"),
    top("name", "a\n"),
    top("name", "CoN"),
    top("name", "com1.txt"),
    top("name", "x" * 201),
    take("scope"),
    top("scope", {}),
    take("scope", "year"),
    put("scope", "year", 1899),
    put("scope", "year", 2025.5),
    put("scope", "year", "2025"),
    put("scope", "year", True),
    put("scope", "feeders", []),
    put("scope", "feeders", "CRE21"),
    put("scope", "feeders", ["a", "a"]),
    put("scope", "feeders", ["a/b"]),
    put("scope", "yaer", 2025),
    take("study"),
    take("study", "plugin"),
    top("study", 3),
    top("study", [{"plugin": "lv-headroom"}]),
    put("study", "plugin", "lv-headrom"),
    put("study", "step_kw_per_customer", 0),
    put("study", "step_kw_per_customer", -1.0),
    put("study", "step_kw_per_customer", "1"),
    put("study", "max_steps", 0),
    put("study", "max_steps", 10_001),
    put("study", "stop_on_hv_violation", 1),
    put("study", "stop_on_hv_violation", "false"),
    take("network"),
    take("network", "plugin"),
    take("network", "master"),
    take("network", "frequency_hz"),
    put("network", "master", " "),
    put("network", "master", 3),
    put("network", "frequency_hz", 0),
    put("network", "voltage_bases_kv", 22.0),
    put("network", "voltage_bases_kv", ["22"]),
    put("network", "neutral_nodes", [4.5]),
    put("network", "commands", [1]),
    put("network", "unrated", "watched"),
    put("network", "load_vmin_pu", 1.01),
    put("network", "load_vmax_pu", 0.99),
    put("network", "mastr", "m.dss"),
    put("initial_state", "load_kw_per_customer", -0.1),
    put("initial_state", "plugin", "fixed"),
    put("initial_state", "start_time", datetime(2025, 1, 1)),
    put("initial_state", "start_time", date(2025, 1, 1)),
    take("initial_state", "plugin"),  # the default plugin, as-modelled, has no load_kw_per_customer
    put("injection", "direction", "exprot"),
    put("injection", "power_factor", "1"),
    put("allocation", "column", "size"),
    take("constraints"),
    top("constraints", []),
    top("constraints", {"plugin": "voltage"}),
    top("constraints", [3]),
    top("constraints", [{}]),
    put("constraints", "plugin", "volts"),
    put("constraints", "lv_max_v", 0),
    put("constraints", "percent_of_rating", 100.0),  # a key of the other constraint
    put("constraints", "hv_reference", "ground"),
    put("solver", "tolerance_pu", 1.0),
    put("solver", "max_iterations", 0),
    put("solver", "max_iteration", 3),
    top("writers", []),
    top("writers", {"plugin": "csv"}),
    put("writers", "plugin", "xlsx"),
    top("solvr", {}),
]
BEYOND_WORDS = [
    put("scope", "feeders", ["a", "A"]),  # alike but for case
    put("scope", "year", 2025.0),  # JSON has one kind of number
    put("network", "master", "m\0.dss"),
    put("constraints", "lv_min_v", 300.0),  # above lv_max_v
    put("initial_state", "start_time", "2025-01-01T00:00:00Z"),  # JSON has no dates
]


def named(changes: list[Change]) -> Any:
    return pytest.mark.parametrize("change", changes, ids=[change.__name__ for change in changes])


def test_the_good_study_is_good_in_both() -> None:
    assert structured(good())
    assert in_words(good())


@named(ACCEPTED)
def test_what_a_study_may_say_is_valid(change: Change) -> None:
    assert structured(changed(change))
    assert in_words(changed(change))


@named(REFUSED)
def test_what_a_study_may_not_say_is_not_valid(change: Change) -> None:
    assert not structured(changed(change))
    assert not in_words(changed(change))


@named(BEYOND_WORDS)
def test_what_json_schema_has_no_words_for_is_left_to_hostcap(change: Change) -> None:
    assert not structured(changed(change))
    assert in_words(changed(change))


def keys(data: dict[str, Any]) -> list[tuple[str, str]]:
    tables = {t: v[0] if isinstance(v, list) else v for t, v in data.items() if not isinstance(v, str)}
    return [(table, key) for table, value in tables.items() for key in value]


VALUES = st.one_of(
    st.booleans(),
    st.integers(-(2**63) + 1, 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=12),
    st.sampled_from(["opendss", "voltage", "thermal", "export", "con", "a.", "both", "nul.x", "a b"]),
    st.lists(st.one_of(st.integers(0, 5), st.floats(0, 5), st.text(max_size=3)), max_size=3),
    st.datetimes(timezones=st.just(UTC)),
)


@given(place=st.sampled_from([*keys(good()), ("name", "")]), value=VALUES)
@settings(max_examples=400)
def test_nothing_that_a_study_may_say_is_marked_as_wrong(place: tuple[str, str], value: Any) -> None:
    data = changed(top("name", value) if place[0] == "name" else put(*place, value))
    if structured(data):
        assert in_words(data)


# --- types and checks of authors' classes ------------------------------------------------------------------------


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


# --- the command -------------------------------------------------------------------------------------------------


def test_the_command_prints_the_schema_or_writes_it(tmp_path: Path) -> None:
    printed = CliRunner().invoke(schema_command, [], obj=INSTALLED)
    assert printed.exit_code == 0
    assert json.loads(printed.output) == SCHEMA
    out = tmp_path / "hostcap.schema.json"
    out.write_text("old", encoding="utf-8")
    written = CliRunner().invoke(schema_command, ["--out", str(out)], obj=INSTALLED)
    assert (written.exit_code, written.output) == (0, "")
    assert out.read_text(encoding="utf-8") == printed.output
    assert [path.name for path in tmp_path.iterdir()] == [out.name]


def test_a_file_that_cannot_be_written_is_one_line_and_exit_code_1(tmp_path: Path) -> None:
    result = CliRunner().invoke(schema_command, ["--out", str(tmp_path / "none" / "s.json")], obj=INSTALLED)
    assert result.exit_code == 1
    assert result.output == f"error: {tmp_path / 'none' / 's.json'}: cannot be written: No such file or directory\n"


def test_a_plugin_that_is_left_out_is_said_on_standard_error() -> None:
    class Misspelled:
        @hookimpl
        def hostcap_solver(self) -> list[Any]:
            return []

    result = CliRunner().invoke(schema_command, [], obj=OTHERS | Registry.of(Misspelled(), distribution="bad 0.1"))
    assert result.exit_code == 0
    assert json.loads(result.stdout) == OTHERS_SCHEMA
    assert result.stderr.startswith("warning: left out, as no study can name it: Misspelled of bad 0.1: failed: ")
