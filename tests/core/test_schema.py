"""The JSON Schema of study files says what ``structure_study`` says, as far as JSON Schema has words for it."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from schema_cases import INSTALLED, SCHEMA, VALIDATOR, good, in_words, json_of, structured

from hostcap.cli.schema import schema as schema_command
from hostcap.config.schema import study_schema
from hostcap.plugins import (
    Registry,
)

REPOSITORY = Path(__file__).resolve().parents[2]
STUDY_FILES = sorted(
    [*(REPOSITORY / "docs/how-to/studies").glob("*.toml"), *(REPOSITORY / "plugins/hostcap_stock/demo").glob("*.toml")]
)
Change = Callable[[dict[str, Any]], object]


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
    put("initial_state", "generation_kw_per_customer", 1.0),
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
