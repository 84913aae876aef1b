"""Every key of every stock plugin refuses bad input in one clear line: of another type, out of range, unknown, foreign.

What follows from a key's type is made here from the config classes. What does not, its range, stands in
``OUT_OF_RANGE``; a new key without its line there fails.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from hostcap.config import describe, structure, structure_study
from hostcap.config.describe import Row
from hostcap.config.study import Scope
from hostcap.config.variants import Project, Variant
from hostcap.errors import ConfigError
from hostcap.plugins import KINDS, default_registry
from hostcap.plugins.registry import singular

FOLDER = Path("/studies").absolute()
NOON, LATER = datetime(2025, 1, 15, 2, tzinfo=UTC), datetime(2025, 1, 16, 2, tzinfo=UTC)
NAIVE = datetime(2025, 1, 15, 2)
Key = tuple[str, str]

ENOUGH: dict[Key, dict[str, Any]] = {
    ("scope", ""): {"feeders": ["f"], "year": 2025},
    ("project", ""): {"name": "p", "commissioning_year": 2028, "commands": ["edit line.l length=1"]},
    ("network", "opendss"): {"master": "m.dss", "frequency_hz": 50},
    ("network", "pandapower"): {"function": "create_cigre_network_lv"},
    ("network", "simbench"): {"code": "1-LV-semiurb4--0-sw"},
    ("profile", "opendss-shapes"): {"mode": "daily", "start_time": NOON},
    ("profile", "table"): {
        "readings": {"files": ["r.csv"], "interval_minutes": 30, "unit": "kW", "import_column": "kw"},
        "series": {"files": ["s.csv"], "interval_minutes": 30},
    },
    ("initial_state", "fixed-time"): {"start_time": NOON},
    ("initial_state", "instants"): {"start_time": NOON, "end_time": LATER},
    ("initial_state", "peak-export"): {"start_time": NOON, "end_time": LATER},
    ("initial_state", "peak-import"): {"start_time": NOON, "end_time": LATER},
    ("injection", "pv-system"): {"profile": "rooftop"},
    ("allocation", "weighted"): {"scope": "feeder-wide", "basis": "existing-import"},
    ("constraint", "voltage"): {"lv_max_v": 253.0, "lv_measurement": "percentile", "lv_percentile": 95.0},
    ("study", "lv-headroom"): {"debug_snapshots": True},
    ("study", "hv-node-headroom"): {"debug_snapshots": True},
}
"""Settings without which a plugin is refused for another reason; those of the others are empty."""

ANY = "any"
"""Every value of the type says something; what it names is looked up when the study runs."""
MORE_THAN_0, SHARE_OF_PU, FACTOR = "must be > 0", "must be 0.0 to 1.0", "must satisfy 0 < |power factor| <= 1"
BAND = [(-0.1, "must be 0.0 to 2.0"), (2.1, "must be 0.0 to 2.0")]
ITERATIONS = {
    "tolerance_pu": [(0.0, "must be 1e-12 to 0.01"), (0.1, "must be 1e-12 to 0.01")],
    "max_iterations": [(0, "must be 1 to 100000"), (100_001, "must be 1 to 100000")],
}
ENGINE = ITERATIONS | {"max_control_iterations": [(0, "must be 1 to 100000"), (100_001, "must be 1 to 100000")]}
FOLLOWING: dict[str, Any] = {
    "load_scaling_factor": [(-0.5, "must be >= 0")],
    "der_scaling_factor": [(-0.5, "must be >= 0")],
}
WINDOW = {"end_time": [(NOON, "must be after start_time, 2025-01-15T02:00:00+00:00")]}
BLANK = [("", "must not be blank"), ("  ", "must not be blank")]
TABLES = {"tables": [([], "must not be empty"), (["a", "a"], "names 'a' twice")]}
FILES = [([], "must not be empty"), (["r.csv", "r.csv"], "twice")]
INTERVAL = [(0, MORE_THAN_0), (-30, MORE_THAN_0), (7, "day"), (3000, "day")]
OFFSET = [("10", "must be an offset from UTC such as '+10:00'"), ("+25:00", "must be an offset"), ("AEST", "offset")]
YEAR = [(1899, "must be 1900 to 2200"), (2201, "must be 1900 to 2200")]
PANDAPOWER = {
    "emergency_factor": [(0.0, MORE_THAN_0)],
    "frequency_hz": [(0.0, "must be 0.1 to 10000.0"), (20_000.0, "must be 0.1 to 10000.0")],
}

OUT_OF_RANGE: dict[Key, dict[str, Any]] = {
    ("scope", ""): {
        "feeders": [([], "must not be empty"), (["a", "A"], "twice"), (["a/b"], "cannot name a folder")],
        "scenario": [("2040-high", "base")],
        "year": YEAR,
        "variant": [("a/b", "cannot name a folder"), ("", "must not be blank")],
    },
    ("project", ""): {
        "name": BLANK,
        "commissioning_year": YEAR,
        "conservative_year": [*YEAR, (2027, "2027 is before commissioning_year, 2028")],
        "aggressive_year": [*YEAR, (2029, "2029 is after commissioning_year, 2028")],
        "driver": BLANK,
        "status": BLANK,
        "conflict_score": [(-1, "must be 0 to 1000000")],
        "feeders": [(["a", "A"], "twice"), ([" "], "entry 0: must not be blank")],
        "commands": [([], "must not be empty"), ([""], "entry 0: must not be blank")],
    },
    ("variant", ""): {
        "drivers": [([], "must not be empty"), (["a", "A"], "twice")],
        "statuses": [([], "must not be empty"), (["a", "A"], "twice")],
        "max_conflict_score": [(-1, "must be 0 to 1000000")],
        "schedule_margin_years": [(-1, "must be 0 to 100"), (101, "must be 0 to 100")],
    },
    ("network", "opendss"): {
        "frequency_hz": [(0, MORE_THAN_0), (-50, MORE_THAN_0), (20_000, "must be 0.1 to 10000.0")],
        "voltage_bases_kv": [([22.0, 0.0], "entry 1: must be > 0"), ([-0.4], "entry 0: must be > 0")],
        "commands": ANY,
        "neutral_nodes": [([0], "entry 0: must be 1 to 99"), ([4, 100], "entry 1: must be 1 to 99")],
        "emergency_factor": [(0.0, MORE_THAN_0), (-1.5, MORE_THAN_0)],
        **{f"{band}_v{side}_pu": BAND for band in ("normal", "emergency") for side in ("min", "max")},
        "load_vmin_pu": [(-0.1, SHARE_OF_PU), (1.1, SHARE_OF_PU)],
        "load_vmax_pu": [(0.9, "must be 1.0 to 5.0"), (6.0, "must be 1.0 to 5.0")],
        "load_model": [(0, "must be 1 to 7"), (8, "must be 1 to 7")],
        "load_power_factor": [(0.0, FACTOR), (1.01, FACTOR), (-1.01, FACTOR)],
        "generation_vmin_pu": [(-0.1, SHARE_OF_PU), (1.1, SHARE_OF_PU)],
        "generation_vmax_pu": [(0.9, "must be 1.0 to 5.0"), (6.0, "must be 1.0 to 5.0")],
        "generation_power_factor": [(0.0, FACTOR), (1.01, FACTOR), (-1.01, FACTOR)],
    },
    ("network", "pandapower"): PANDAPOWER
    | {
        "function": BLANK,
        "options": ANY,
        "seed": [(-1, "must be 0 to 4294967295"), (2**32, "must be 0 to 4294967295")],
    },
    ("network", "simbench"): PANDAPOWER | {"code": BLANK},
    ("profile", "opendss-shapes"): {"interval_minutes": [(0.0, MORE_THAN_0), (-30.0, MORE_THAN_0)]},
    ("profile", "table"): {
        "readings.files": FILES,
        "readings.interval_minutes": INTERVAL,
        "readings.time_column": [*BLANK, ("customer", "'customer' is time_column already")],
        "readings.utc_offset": OFFSET,
        "readings.customer_column": [*BLANK, ("kw", "'kw' is customer_column already")],
        "readings.customer_id": BLANK,
        "readings.import_column": [*BLANK, ("time", "'time' is time_column already"), ("{customer} kw", "wide")],
        "readings.export_column": [*BLANK, ("kw", "'kw' is import_column already"), ("{customer} kw", "wide")],
        "readings.net_column": [("kwh", "stands instead of import_column and export_column")],
        "readings.import_kvar_column": [*BLANK, ("kw", "'kw' is import_column already"), ("{customer} q", "wide")],
        "readings.export_kvar_column": [("q", "there is no export_column for it to go with")],
        "readings.seed": [(1, "nothing is drawn at random; remove it, or set missing_customers")],
        "readings.import_power_factor": [(0.0, FACTOR), (1.5, FACTOR), (-1.5, FACTOR)],
        "readings.export_power_factor": [(0.0, FACTOR), (0.9, "there is no export_column for it to go with")],
        "series.files": FILES,
        "series.interval_minutes": INTERVAL,
        "series.time_column": BLANK,
        "series.utc_offset": OFFSET,
        "series.name_column": BLANK,
        "series.value_column": BLANK,
    },
    ("study", "lv-headroom"): {
        "step_kw_per_customer": [(0.0, MORE_THAN_0), (-1, MORE_THAN_0)],
        "max_steps": [(0, "must be 1 to 10000"), (10_001, "must be 1 to 10000")],
        "cross_check": ANY,
        "debug_snapshot_groups": [([], "must not be empty")],
        "debug_snapshot_stops": [(0, "must be 1 to 10000"), (10_001, "must be 1 to 10000")],
    },
    ("study", "hv-node-headroom"): {
        "step_kw_per_node": [(0.0, MORE_THAN_0), (-1, MORE_THAN_0)],
        "max_steps_per_node": [(0, "must be 1 to 1000"), (1001, "must be 1 to 1000")],
        "location_kinds": [
            ([], "must not be empty"),
            (["line-tee", "line-tee"], "twice"),
            (["LINE_TEE"], "did you mean 'line-tee'?"),
        ],
        "location_names": [([], "must not be empty"), (["a", "A"], "twice")],
        "cross_check": ANY,
        "debug_snapshot_locations": [([], "must not be empty")],
        "debug_snapshot_stops": [(0, "must be 1 to 10000"), (10_001, "must be 1 to 10000")],
    },
    ("initial_state", "fixed-load"): {
        "load_kw_per_customer": [(-0.1, "must be >= 0")],
        "load_kvar_per_customer": ANY,
        "generation_kw_per_customer": [(-0.1, "must be >= 0")],
        "generation_kvar_per_customer": ANY,
    },
    ("initial_state", "fixed-time"): FOLLOWING,
    ("initial_state", "instants"): FOLLOWING
    | {"instants": [([NOON], "give a list, or start_time and end_time, not both")]}
    | WINDOW,
    ("initial_state", "peak-export"): FOLLOWING | WINDOW,
    ("initial_state", "peak-import"): FOLLOWING | WINDOW,
    ("injection", "negative-load"): {"power_factor": [(0.0, FACTOR), (1.01, FACTOR), (-1.01, FACTOR)]},
    ("injection", "pv-system"): {
        "profile": BLANK,
        "dc_ac_ratio": [(0.0, "must be 0.1 to 10.0"), (11.0, "must be 0.1 to 10.0")],
        "efficiency": [(0.0, MORE_THAN_0), (1.01, SHARE_OF_PU)],
        "power_factor": [(0.0, FACTOR), (1.01, FACTOR), (-1.01, FACTOR)],
    },
    ("allocation", "traced"): {"asset": BLANK},
    ("allocation", "weighted"): {"column": [("roof_m2", "give basis or column, not both")]},
    ("constraint", "thermal"): {"percent_of_rating": [(0.0, MORE_THAN_0), (-100, MORE_THAN_0)]},
    ("constraint", "voltage"): {
        "lv_min_v": [(0.0, MORE_THAN_0), (253.0, "lv_min_v (253) must be below lv_max_v (253)")],
        "lv_max_v": [(0.0, MORE_THAN_0), (-253.0, MORE_THAN_0)],
        "lv_min_pu": [(0.0, MORE_THAN_0)],
        "lv_max_pu": [(0.0, MORE_THAN_0), (1.1, "give lv_max_v or lv_max_pu, not both")],
        "lv_percentile": [(49.9, "must be 50.0 to 100.0"), (100.1, "must be 50.0 to 100.0")],
        "hv_min_pu": [(0.0, MORE_THAN_0)],
        "hv_max_pu": [(-1.1, MORE_THAN_0)],
    },
    ("solver", "batched"): ENGINE | {"threads": [(0, "must be 1 to 256"), (257, "must be 1 to 256")]},
    ("solver", "opendss"): ENGINE,
    ("solver", "pandapower"): ITERATIONS,
    ("solver", "power-grid-model"): {
        "tolerance_pu": [(0.0, "must be 1e-12 to 0.0001"), (0.001, "must be 1e-12 to 0.0001")],
        "max_iterations": [(0, MORE_THAN_0)],
        "threads": [(-1, "must be >= 0")],
    },
    ("writer", "csv"): TABLES,
    ("writer", "parquet"): TABLES,
}

FREE = re.compile(r"one of |true or false|path$|date and time$")
"""Types whose bad values are made: there is nothing more to be out of."""


TRACING = ("flow", "tracer", "trace", "trace-report")
"""Kinds and studies of tracing, whose own tests look at their settings."""


@cache
def configs() -> dict[Key, type]:
    """Config classes: headroom plugins of the stock and those of contrib listed here; scope, projects and variants."""
    registry = default_registry()
    kinds = {kind.kind: kind for kind in KINDS}
    found: dict[Key, type] = {("scope", ""): Scope, ("project", ""): Project, ("variant", ""): Variant}
    for row in registry.list():
        plugin = singular(row.kind), row.name
        if row.distribution.split()[0] == "hostcap" and not {*plugin} & {*TRACING}:
            config = registry.get(kinds[row.kind], row.name).config
            if config.__module__.startswith("hostcap_stock.") or plugin in OUT_OF_RANGE:
                found[plugin] = config
    return found


def enough(plugin: Key) -> dict[str, Any]:
    return ENOUGH.get(plugin, {})


def rows() -> list[Any]:
    return [
        pytest.param(plugin, row, id=f"{plugin[0]}-{plugin[1]}-{row.key}")
        for plugin, config in configs().items()
        for row in describe(config)
    ]


def refused(plugin: Key, key: str, value: Any) -> str:
    """The one line about a key that is given a value."""
    *tables, last = key.split(".")
    data: dict[str, Any] = dict(enough(plugin))
    inner = data
    for name in tables:
        inner[name] = dict(inner[name])
        inner = inner[name]
    inner[last] = value
    with pytest.raises(ConfigError) as caught:
        structure(data, configs()[plugin], path=plugin[0], folder=FOLDER)
    assert len(caught.value.problems) == 1, caught.value.problems
    (line,) = caught.value.problems
    assert "\n" not in line
    return line


def of_another_type(row: Row) -> Iterator[tuple[Any, str]]:
    """Values that the type of a key does not hold, and what the line says that was found."""
    kind = row.type
    if kind.startswith("list of "):
        yield 3, "got 3"
        yield "solo", "got 'solo'"
        entry = "x" if "number" in kind or "integer" in kind or "date" in kind else 3
        yield [entry], f"got {entry!r}"
    elif kind.startswith("table of "):
        yield 3, "got 3"
        yield ["a"], "got a list"
    else:
        yield ["a"], "got a list"
        yield {"a": 1}, "got a table"
        if kind not in ("true or false",):
            yield True, "got true"
        if kind in ("number", "integer", "date and time", "true or false"):
            yield "12", "got '12'"
        else:
            yield 12, "got 12"
    if kind == "integer":
        yield 2.5, "got 2.5"
    if kind == "number":
        yield float("nan"), "must be finite, got nan"
        yield float("inf"), "must be finite, got inf"
    if kind == "date and time":
        yield NAIVE, "needs an offset, such as 2025-01-15T02:00:00Z for UTC"
    if kind == "list of date and time":
        yield [NAIVE], "needs an offset, such as 2025-01-15T02:00:00Z for UTC"
    if kind == "path":
        yield " ", "expected a path, got ' '"
    if kind.startswith("one of "):
        yield "nonsense", f"expected {kind}, got 'nonsense'"


@pytest.mark.parametrize(("plugin", "row"), rows())
def test_a_value_of_another_type_is_one_line_with_key_and_value(plugin: Key, row: Row) -> None:
    for value, found in of_another_type(row):
        line = refused(plugin, row.key, value)
        assert line.startswith(f"{plugin[0]}.{row.key}"), line
        assert found in line, line


@pytest.mark.parametrize(("plugin", "row"), rows())
def test_a_value_out_of_range_is_one_line_that_says_the_range(plugin: Key, row: Row) -> None:
    bad = OUT_OF_RANGE.get(plugin, {}).get(row.key)
    if bad is None:
        assert FREE.match(row.type), f"{plugin} {row.key}: add a value out of its range to OUT_OF_RANGE, or ANY"
        return
    for value, said in () if bad == ANY else bad:
        line = refused(plugin, row.key, value)
        assert said in line, line
        assert row.key.rpartition(".")[2] in line or "not both" in line, line


def test_the_table_of_ranges_has_no_key_that_is_gone() -> None:
    for plugin, keys in OUT_OF_RANGE.items():
        assert set(keys) <= {row.key for row in describe(configs()[plugin])}, plugin


def siblings() -> list[Any]:
    """Keys of other plugins of a kind that a plugin does not have: foreign to it."""
    tops = {plugin: {row.key.partition(".")[0] for row in describe(config)} for plugin, config in configs().items()}
    return [
        pytest.param(plugin, sorted(foreign), id="-".join(plugin))
        for plugin, own in tops.items()
        if (foreign := {key for other, keys in tops.items() if other[0] == plugin[0] for key in keys} - own)
    ]


@pytest.mark.parametrize(("plugin", "foreign"), siblings())
def test_keys_of_another_mode_are_refused_by_name(plugin: Key, foreign: list[str]) -> None:
    for key in foreign:
        line = refused(plugin, key, 1)
        assert line.startswith(f"{plugin[0]}.{key}: unknown key"), line


@pytest.mark.parametrize(
    ("table", "key", "owners"),
    [
        ("initial_state", "load_kw_per_customer", "'fixed-load'"),
        ("initial_state", "end_time", "'instants', 'peak-export' or 'peak-import'"),
        ("injection", "dc_ac_ratio", "'pv-system'"),
        ("allocation", "column", "'weighted'"),
        ("study", "location_names", "'hv-node-headroom'"),
    ],
)
def test_a_study_file_says_which_mode_a_foreign_key_belongs_to(table: str, key: str, owners: str) -> None:
    data: dict[str, Any] = {
        "name": "s",
        "scope": {"feeders": ["f"], "year": 2025},
        "network": {"plugin": "opendss", "master": "m.dss", "frequency_hz": 50},
        "study": {"plugin": "lv-headroom"},
        "initial_state": {"plugin": "zero-load"},
        "constraints": [{"plugin": "voltage", "lv_max_v": 253.0}],
    }
    data[table] = data.get(table, {}) | {key: 1, "watts": 2}
    with pytest.raises(ConfigError) as caught:
        structure_study(data, FOLDER, default_registry())
    foreign, nobodys = caught.value.problems
    assert foreign.startswith(f"{table}.{key}: unknown key") and foreign.endswith(f"; it is a key of {owners}"), foreign
    assert nobodys.startswith(f"{table}.watts: unknown key") and "it is a key" not in nobodys


@pytest.mark.parametrize("plugin", list(configs()), ids="-".join)
def test_a_key_that_nobody_has_is_refused_and_the_nearest_or_all_are_told(plugin: Key) -> None:
    known = [row.key.partition(".")[0] for row in describe(configs()[plugin])]
    line = refused(plugin, "wattage", 1)
    assert line.startswith(f"{plugin[0]}.wattage: unknown key; known: "), line
    assert all(key in line for key in known)
    for key in known:
        slip = refused(plugin, f"{key}x", 1)
        assert f"{key}x: unknown key; did you mean {key!r}" in slip or "known: " in slip, slip


@pytest.mark.parametrize(("plugin", "row"), [p for p in rows() if p.values[1].default == "required"])
def test_a_required_key_that_is_missing_is_named(plugin: Key, row: Row) -> None:
    table, _, last = row.key.rpartition(".")
    data: dict[str, Any] = {k: dict(v) if isinstance(v, Mapping) else v for k, v in enough(plugin).items()}
    del (data[table] if table else data)[last]
    with pytest.raises(ConfigError) as caught:
        structure(data, configs()[plugin], path=plugin[0], folder=FOLDER)
    assert f"{plugin[0]}.{row.key}: required key is missing" in caught.value.problems
