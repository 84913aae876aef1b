"""The canonical study: every default written out, equal text for equal studies, and read back as the same."""

from __future__ import annotations

import tomllib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from study_parts import FOLDER, REGISTRY, data, read

from hostcap.config import (
    canonical,
    structure_study,
)


def test_the_canonical_study_writes_every_default_out() -> None:
    state = {"plugin": "fixed-load", "load_kw": 1, "start": datetime(2025, 1, 1, 5, tzinfo=UTC)}
    assert canonical(read(initial_state=state, solver={"points": [{}, {"x": 1}]})) == (
        """name = "2025 export, LV"

[scope]
feeders = ["CRE21"]
scenario = "base"
year = 2025

[network]
plugin = "opendss"
master = "networks/{feeder}/Master.dss"
bases_kv = []

[study]
plugin = "lv-headroom"
step_kw = 0.1
max_steps = 1000

[initial_state]
plugin = "fixed-load"
load_kw = 1.0
start = 2025-01-01T05:00:00Z

[[constraints]]
plugin = "voltage"
low_v = 216.0
high_v = 250.0

[solver]
plugin = "opendss"
max_iterations = 100
tolerance_pu = 1e-06
basis = "normal"
title = ""

[solver.weights]

[[solver.points]]
x = 0.0

[[solver.points]]
x = 1.0

[solver.centre]
x = 0.0

[[writers]]
plugin = "parquet"
"""
    )


def test_the_canonical_study_does_not_depend_on_the_order_or_the_folder() -> None:
    document = read()
    shuffled = evolve(document, parts=dict(reversed(list(document.parts.items()))))
    assert canonical(shuffled) == canonical(document)
    moved = structure_study(data(), Path("/elsewhere"), REGISTRY)
    assert canonical(moved) == canonical(document)


def floats(**limits: Any) -> st.SearchStrategy[float]:
    return st.floats(allow_nan=False, allow_infinity=False, **limits)


NAMES = st.from_regex(r"f[A-Za-z0-9äß_-]{0,12}", fullmatch=True)  # never "con", which Windows keeps
PATHS = st.lists(st.sampled_from(["..", "a", "b c", "é", "x.dss", "{feeder}"]), min_size=1).map("/".join)
TEXT = st.text(st.characters(exclude_categories=["Cs"]))
SOLVERS = st.fixed_dictionaries(
    {},
    optional={
        "max_iterations": st.integers(1, 2**63 - 1),
        "tolerance_pu": floats(min_value=0, exclude_min=True),
        "basis": st.sampled_from(["normal", "emergency"]),
        "title": TEXT,
        "weights": st.dictionaries(TEXT, floats(), max_size=3),
        "points": st.lists(st.fixed_dictionaries({}, optional={"x": floats()}), max_size=3),
        "centre": st.fixed_dictionaries({}, optional={"x": floats()}),
    },
)
STATES = st.fixed_dictionaries(
    {"plugin": st.just("fixed-load"), "load_kw": floats(min_value=0)},
    optional={"start": st.datetimes(timezones=st.just(UTC))},
)
NETWORKS = st.fixed_dictionaries(
    {"plugin": st.just("opendss"), "master": PATHS.map(lambda path: f"{path}/{{feeder}}.dss")},
    optional={"profiles": PATHS, "bases_kv": st.lists(floats(), max_size=4)},
)
STUDIES = st.fixed_dictionaries(
    {
        "scope": st.fixed_dictionaries(
            {
                "feeders": st.lists(NAMES, min_size=1, max_size=3, unique_by=str.casefold),
                "year": st.integers(1900, 2200),
            }
        ),
        "network": NETWORKS,
    },
    optional={
        "solver": SOLVERS,
        "initial_state": STATES,
        "writers": st.lists(st.sampled_from([{"plugin": "csv"}, {"plugin": "parquet"}]), min_size=1, max_size=2),
    },
)


@given(changes=STUDIES)
def test_the_canonical_study_reads_back_as_the_same_study(changes: dict[str, Any]) -> None:
    document = read(**changes)
    text = canonical(document)
    again = structure_study(tomllib.loads(text), FOLDER, REGISTRY)
    assert again == document
    assert canonical(again) == text
