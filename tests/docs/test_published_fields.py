"""The page of published fields is complete, and every key and plugin that it names is there."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from hostcap.plugins import default_registry

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY / "docs"))

from published_fields import FIELDS, TITLES, VALUES, How, Row, here, missing, named, written  # noqa: E402

ROOTS = ("IntrinsicWorkPackageInput", "HvNodeHeadroomWorkPackageInput", "HcModelConfigInput", "HcSolveConfigInput")
ELSEWHERE = {"HcInverterControlConfigInput", "HcMeterPlacementConfigInput", "HcSwitchMeterPlacementConfigInput"}
"""Types of fields of ``model`` that cannot be said at all: the row of the field says why."""
OF_ELSEWHERE = {"HcLoadPlacement", "HcFeederScenarioAllocationStrategy"}
"""Enumerations of fields that cannot be said."""
MUST_BE_SAID = {
    *("loadVMinPu", "loadVMaxPu", "genVMinPu", "genVMaxPu", "loadModel"),
    *("pFactorBaseExports", "pFactorBaseImports", "emergAmpScaling", "seed"),
}
"""Fields of ``model`` that a headroom study has its own key for."""


def test_every_key_and_plugin_that_the_page_names_is_there() -> None:
    registry = default_registry()
    assert missing(FIELDS, registry) == []
    assert missing(VALUES, registry) == []


def test_a_key_or_plugin_that_is_not_there_is_found() -> None:
    rows = {
        "T": (here("f", "{solver.batched.max_iteration} {solver=magic} {scope.years} {profile.table.x} {{feeder}}"),)
    }
    assert missing(rows, default_registry()) == [
        "T.f: solver.batched.max_iteration",
        "T.f: solver.magic.None",
        "T.f: scope.None.years",
        "T.f: profile.table.x",
    ]


def test_words_are_written_as_a_study_file_spells_them() -> None:
    words = "{constraints.thermal.voltage_level}, {solver=batched}, {scope.year}, `{{feeder}}`"
    expected = '`[[constraints]] voltage_level`, `[solver] plugin = "batched"`, `[scope] year`, `{feeder}`'
    assert written(words) == expected


@pytest.mark.parametrize("row", [row for rows in FIELDS.values() for row in rows], ids=lambda row: row.name)
def test_a_row_that_says_here_names_a_table_key_or_plugin(row: Row) -> None:
    if row.how is How.HERE:
        assert any(named(row.words)) or re.search(r"`\[+[a-z_]+\]+`", row.words), row.words
    assert len(row.words) > 15, "say how, or why not"


def test_no_field_stands_twice_and_every_type_has_a_title() -> None:
    for published, rows in (*FIELDS.items(), *VALUES.items()):
        names = [row.name for row in rows]
        assert len(names) == len(set(names)), published
    assert set(FIELDS) == set(TITLES)


def test_what_must_have_a_counterpart_has_one() -> None:
    how = {row.name: row.how for row in FIELDS["HcModelConfigInput"]}
    assert {name for name in MUST_BE_SAID if how[name] is not How.HERE} == set()
    for published in set(FIELDS) - {"HcModelConfigInput"}:
        assert not [row.name for row in FIELDS[published] if row.how is How.NOT_YET], published


# --- against the reference itself ------------------------------------------------------------------------------------


def _reference(networks: Path) -> str:
    path = networks.parents[1] / "reference" / "work-package-inputs.md"
    if not path.is_file():
        pytest.skip("the reference of the published fields is not beside the public networks")
    return path.read_text(encoding="utf-8")


def _types(reference: str) -> dict[str, dict[str, str]]:
    """Type of each field, by published type; the reference has a table for each."""
    found: dict[str, dict[str, str]] = {}
    for title, body in re.findall(r"^### (\w+)[^\n]*\n(.*?)(?=^##|\Z)", reference, re.MULTILINE | re.DOTALL):
        found[title] = dict(re.findall(r"^\| `(\w+)` \| `([^`]+)` \|", body, re.MULTILINE))
    return found


@pytest.mark.shared
def test_every_published_field_of_the_reference_has_its_row(networks: Path) -> None:
    types = _types(_reference(networks))
    reached, waiting = set(), list(ROOTS)
    while waiting:
        published = waiting.pop()
        if published not in reached and published in types:
            reached.add(published)
            waiting += [re.sub(r"[\[\]!]", "", kind) for kind in types[published].values()]
    assert reached - ELSEWHERE == set(FIELDS)
    for published in FIELDS:
        assert [row.name for row in FIELDS[published]] == list(types[published]), published


@pytest.mark.shared
def test_every_published_value_of_the_reference_has_its_row(networks: Path) -> None:
    reference = _reference(networks)
    types = _types(reference)
    enumerations = {
        name: re.findall(r"`(\w+)`", values)
        for name, values in re.findall(r"^\| `(\w+)` \| (`[A-Z_]+`(?:, `[A-Z_]+`)*) \|", reference, re.MULTILINE)
    }
    used = {re.sub(r"[\[\]!]", "", kind) for published in FIELDS for kind in types[published].values()}
    assert (used & set(enumerations)) - OF_ELSEWHERE == set(VALUES)
    for published, rows in VALUES.items():
        assert sorted(row.name for row in rows) == sorted(enumerations[published]), published
