"""Study files: picked plugins, filled defaults, and one report of everything that is wrong."""

from __future__ import annotations

import math
from datetime import UTC, date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from study_parts import GOOD, REGISTRY, Empty, HeadroomConfig, Network, SolverConfig, Voltage, read, same

from hostcap.config import (
    Part,
    Scope,
    StudyDocument,
    canonical,
    read_study,
)
from hostcap.errors import ConfigError
from hostcap.plugins import (
    Registry,
    SolverPlugin,
    hookimpl,
)


def findings(registry: Registry = REGISTRY, **changes: Any) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        read(registry, **changes)
    return list(caught.value.problems)


def test_a_study_is_read_with_every_default_filled_in(tmp_path: Path) -> None:
    path = tmp_path / "study.toml"
    path.write_text(GOOD, encoding="utf-8")
    document = read_study(path, REGISTRY)
    assert document == StudyDocument(
        name="2025 export, LV",
        scope=Scope(feeders=("CRE21",), year=2025),
        folder=tmp_path,
        parts={
            "network": Part(
                kind="networks", plugin="opendss", config=Network(master=tmp_path / "networks/{feeder}/Master.dss")
            ),
            "study": Part(kind="studies", plugin="lv-headroom", config=HeadroomConfig()),
            "initial_state": Part(kind="initial_states", plugin="as-modelled", config=Empty()),
            "constraints": (Part(kind="constraints", plugin="voltage", config=Voltage(high_v=250.0)),),
            "solver": Part(kind="solvers", plugin="opendss", config=SolverConfig()),
            "writers": (Part(kind="writers", plugin="parquet", config=Empty()),),
        },
    )


def test_overrides_are_part_of_the_study(tmp_path: Path) -> None:
    path = tmp_path / "study.toml"
    path.write_text(GOOD, encoding="utf-8")
    document = read_study(path, REGISTRY, overrides=["solver.max_iterations=50", "constraints.0.high_v=251"])
    assert document.parts["solver"] == Part(kind="solvers", plugin="opendss", config=SolverConfig(max_iterations=50))
    assert document.parts["constraints"] == (Part(kind="constraints", plugin="voltage", config=Voltage(high_v=251.0)),)


def test_the_plugin_may_be_left_out_where_the_study_has_a_default() -> None:
    part = read(solver={"max_iterations": 50}).parts["solver"]
    assert part == Part(kind="solvers", plugin="opendss", config=SolverConfig(max_iterations=50))


@pytest.mark.parametrize(
    ("changes", "lines"),
    [
        ({"name": None}, ["name: required key is missing"]),
        ({"name": 3}, ["name: expected text, got 3"]),
        ({"name": "a/b"}, ["name: cannot name a folder, as it holds one of / \\ : * ? \" < > |: 'a/b'"]),
        ({"scope": None}, ['scope: required; add [scope] with feeders = ["..."] and year = ...']),
        ({"scope": {}}, ["scope.feeders: required key is missing", "scope.year: required key is missing"]),
        ({"scope": {"feeders": [], "year": 2025}}, ["scope.feeders: must not be empty"]),
        ({"scope": {"feeders": "CRE21", "year": 2025}}, ["scope.feeders: expected a list of text, got 'CRE21'"]),
        ({"scope": {"feeders": ["A", "a"], "year": 2025}}, ["scope.feeders: names 'a' twice"]),
        ({"scope": {"feeders": [" "], "year": 2025}}, ["scope.feeders: entry 0: must not be blank"]),
        (
            {"scope": {"feeders": ["../a"], "year": 2025}},
            ["scope.feeders: entry 0: cannot name a folder, as it holds one of / \\ : * ? \" < > |: '../a'"],
        ),
        ({"scope": {"feeders": ["A"], "year": 25}}, ["scope.year: must be 1900 to 2200, got 25"]),
        (
            {"scope": {"feeders": ["A"], "year": 2025, "scenario": "high"}},
            ["scope.scenario: only 'base' can be run, as no scenario plugin is installed; got 'high'"],
        ),
        ({"study": None}, ['study: required; add [study] with plugin = "lv-headroom"']),
        ({"study": {}}, ["study.plugin: required key is missing; known: lv-headroom"]),
        ({"study": 3}, ["study: expected a table, got 3"]),
        ({"study": [{"plugin": "lv-headroom"}]}, ["study: write [study] in single brackets, as a study has one"]),
        (
            {"study": {"plugin": "lv-headrom"}},
            ["study: no plugin named 'lv-headrom'; did you mean 'lv-headroom'? known: lv-headroom"],
        ),
        (
            {"solver": {"plugin": "opendds"}},
            ["solver: no plugin named 'opendds'; did you mean 'opendss'? known: batched, opendss"],
        ),
        ({"solver": {"plugin": 3}}, ["solver.plugin: expected text, got 3"]),
        ({"solver": {"max_iteration": 3}}, ["solver.max_iteration: unknown key; did you mean 'max_iterations'?"]),
        ({"solver": {"tolerance_pu": "tight"}}, ["solver.tolerance_pu: expected a number, got 'tight'"]),
        ({"solver": {"max_iterations": -3}}, ["solver.max_iterations: must be > 0, got -3"]),
        ({"network": {"plugin": "opendss"}}, ["network.master: required key is missing"]),
        ({"network": {"master": "m.dss"}}, ["network.plugin: required key is missing; known: bare, opendss"]),
        ({"network": None}, ['network: required; add [network] with plugin = "opendss" or "bare"']),
        ({"initial_state": {"plugin": "fixed-load"}}, ["initial_state.load_kw: required key is missing"]),
        (
            {"initial_state": {"plugin": "fixed-load", "load_kw": 1.0, "strat": 1}},
            ["initial_state.strat: unknown key; did you mean 'start'?"],
        ),
        (
            {"allocation": {"plugin": "uniform"}},
            ["allocation: study 'lv-headroom' takes no allocation; remove the table"],
        ),
        ({"allocation": 3}, ["allocation: study 'lv-headroom' takes no allocation; remove the table"]),
        (
            {"constraints": None},
            ['constraints: a study needs at least one limit; add [[constraints]] with plugin = "voltage" or "thermal"'],
        ),
        (
            {"constraints": []},
            ['constraints: a study needs at least one limit; add [[constraints]] with plugin = "voltage" or "thermal"'],
        ),
        (
            {"constraints": {"plugin": "voltage"}},
            ["constraints: write [[constraints]] in double brackets, as a study may have several"],
        ),
        ({"constraints": 3}, ["constraints: expected tables, each under [[constraints]], got 3"]),
        ({"constraints": [3]}, ["constraints[0]: expected a table, got 3"]),
        ({"constraints": [{}]}, ["constraints[0].plugin: required key is missing; known: thermal, voltage"]),
        (
            {"constraints": [{"plugin": "thermal"}, {"plugin": "voltage", "high_w": 250.0}]},
            ["constraints[1].high_w: unknown key; did you mean 'high_v'?"],
        ),
        (
            {"constraints": [{"plugin": "thermal"}, {"plugin": "voltage", "low_v": 300.0}]},
            ["constraints[1]: low_v must be below high_v, got 300.0 and 253.0"],
        ),
        ({"writers": []}, ["writers: is empty; remove it, or add [[writers]]"]),
        ({"solvr": {}}, ["solvr: unknown key; did you mean 'solver'?"]),
        (
            {"zzz": 1},
            [
                "zzz: unknown key; known: name, scope, variants, projects, network, profiles, study, initial_state, "
                "injection, allocation,"
                " constraints, solver, flows, tracer, writers"
            ],
        ),
    ],
)
def test_what_is_wrong_is_a_line_with_its_path_and_what_to_do(changes: dict[str, Any], lines: list[str]) -> None:
    assert findings(**changes) == lines


def test_everything_in_a_file_is_found_at_once() -> None:
    assert findings(
        scope={"feeders": [], "year": 2025},
        network={"plugin": "opendss", "mastr": "m.dss"},
        solver={"plugin": "opendds"},
        constraints=[{"plugin": "voltage", "low_v": "x"}, {"plugin": "termal"}],
        allocation={"plugin": "uniform"},
    ) == [
        "scope.feeders: must not be empty",
        "network.master: required key is missing",
        "network.mastr: unknown key; did you mean 'master'?",
        "allocation: study 'lv-headroom' takes no allocation; remove the table",
        "constraints[0].low_v: expected a number, got 'x'",
        "constraints[1]: no plugin named 'termal'; did you mean 'thermal'? known: thermal, voltage",
        "solver: no plugin named 'opendds'; did you mean 'opendss'? known: batched, opendss",
    ]


def test_the_other_tables_are_checked_where_the_study_is_unknown() -> None:
    assert findings(study={"plugin": "x"}, solver={"plugin": "opendss", "max_iterations": "3"}) == [
        "study: no plugin named 'x'; known: lv-headroom",
        "solver.max_iterations: expected an integer, got '3'",
    ]


def test_several_feeders_need_their_place_in_the_path() -> None:
    scope = {"feeders": ["A", "B"], "year": 2025}
    assert findings(scope=scope, network={"plugin": "opendss", "master": "m.dss"}) == [
        "network.master: several feeders need '{feeder}' in the path"
    ]
    assert read(scope=scope, network={"plugin": "bare"}).scope.feeders == ("A", "B")
    assert read(scope=scope).scope.feeders == ("A", "B")


def test_an_unknown_plugin_lists_and_chains_the_plugins_that_failed() -> None:
    class Misspelled:
        @hookimpl
        def hostcap_solver(self) -> list[Any]:
            return []

    registry = REGISTRY | Registry.of(Misspelled(), distribution="bad 0.1")
    with pytest.raises(ConfigError) as caught:
        read(registry, solver={"plugin": "fast"})
    assert caught.value.problems == (
        "solver: no plugin named 'fast'; known: batched, opendss; failed to load: Misspelled (bad 0.1):"
        " no hook named 'hostcap_solver'; did you mean 'hostcap_solvers'?",
    )
    assert "bad 0.1" in str(caught.value.__cause__)
    assert read(registry).name == "2025 export, LV"


def test_a_conflict_matters_to_the_study_that_names_the_plugin() -> None:
    class Another:
        @hookimpl
        def hostcap_solvers(self) -> list[SolverPlugin[Any]]:
            return [SolverPlugin(name="batched", summary="", config=Empty, make=same)]

    registry = REGISTRY | Registry.of(Another(), distribution="other 1.0")
    (line,) = findings(registry, solver={"plugin": "batched"})
    assert line.startswith(
        "solver: 2 plugins offer solver 'batched': this program ('Plugin') and other 1.0 ('Another')"
    )
    assert read(registry).name == "2025 export, LV"


VALUES: st.SearchStrategy[Any] = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.just(math.nan),
        st.text(max_size=8),
        st.datetimes(),
        st.datetimes(timezones=st.just(UTC)),
        st.dates(),
        st.just(date(2025, 1, 1)),
        st.sampled_from(["opendss", "voltage", "thermal", "lv-headroom", "fixed-load"]),
    ),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["plugin", "master", "feeders", "year", "points", "x", "weights", "start"])
            | st.text(max_size=5),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)
TOP = ["name", "scope", "network", "study", "initial_state", "constraints", "solver", "writers", "allocation", "odd"]


@given(changes=st.dictionaries(st.sampled_from(TOP), VALUES, max_size=6))
def test_whatever_the_tables_hold_only_a_config_error_comes_of_it(changes: dict[str, Any]) -> None:
    problems: tuple[str, ...] = ()
    try:
        canonical(read(**changes))
    except ConfigError as error:
        problems = error.problems or ("a report without a line",)
    assert all("\n" not in line and ": " in line for line in problems)


@given(content=st.binary() | st.text().map(lambda text: text.encode("utf-8", "surrogatepass")))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_a_file_holds_only_a_config_error_comes_of_it(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "study.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        read_study(path, REGISTRY)
    assert all("\n" not in line for line in caught.value.problems)
