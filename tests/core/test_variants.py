"""Variants of the network: which projects are built by a year, against a second writing of it, and its laws."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostcap.config import StudyDocument, canonical, refused_untrusted, structure_study
from hostcap.config.variants import Project, Variant, chosen, realised
from hostcap.errors import ConfigError
from hostcap.plugins import default_registry

FOLDER = Path("/studies").absolute()
YEARS = st.integers(2020, 2035)
WORDS = st.sampled_from(["growth", "renewal", "voltage"])


def tables(**changes: Any) -> dict[str, Any]:
    """A study of one feeder with two projects, and changes to its tables."""
    return {
        "name": "s",
        "scope": {"feeders": ["F1"], "year": 2030, "variant": "plan"},
        "variants": {"plan": {}},
        "projects": [
            {
                "name": "a",
                "commissioning_year": 2028,
                "driver": "growth",
                "status": "approved",
                "commands": ["one", "two"],
            },
            {"name": "b", "commissioning_year": 2026, "driver": "voltage", "status": "proposed", "commands": ["three"]},
        ],
        "network": {"plugin": "opendss", "master": "Master.dss", "frequency_hz": 50},
        "study": {"plugin": "lv-headroom"},
        "constraints": [{"plugin": "voltage", "lv_max_v": 253.0}],
    } | changes


def read(**changes: Any) -> StudyDocument:
    return structure_study(tables(**changes), FOLDER, default_registry())


def commands(document: StudyDocument, feeder: str = "F1") -> tuple[str, ...]:
    """What the network's engine is told."""
    network: Any = realised(document, feeder).parts["network"]
    return tuple(network.config.commands)


@st.composite
def projects(draw: st.DrawFn) -> list[Project]:
    found = []
    for place in range(draw(st.integers(0, 6))):
        year = draw(YEARS)
        found.append(
            Project(
                name=f"p{place}",
                commissioning_year=year,
                conservative_year=draw(st.none() | st.integers(year, 2040)),
                aggressive_year=draw(st.none() | st.integers(2015, year)),
                driver=draw(st.none() | WORDS),
                status=draw(st.none() | WORDS),
                conflict_score=draw(st.none() | st.integers(0, 5)),
                feeders=draw(st.sampled_from([(), ("F1",), ("f1", "F2"), ("F2",)])),
                commands=(f"c{place}",),
            )
        )
    return found


VARIANTS = st.builds(
    Variant,
    drivers=st.none() | st.just(("Growth", "voltage")),
    statuses=st.none() | st.just(("renewal",)),
    max_conflict_score=st.none() | st.integers(0, 5),
    schedule_assumption=st.sampled_from(["neutral", "conservative", "aggressive"]),
    schedule_margin_years=st.integers(0, 4),
)


def applied(listed: list[Project], variant: Variant, year: int) -> list[str]:
    base = read(projects=[], variants={}, scope={"feeders": ["F1"], "year": year})
    scope = attrs.evolve(base.scope, variant="v")
    document = attrs.evolve(base, scope=scope, projects=tuple(listed), variants={"v": variant})
    return [project.name for project in chosen(document, "F1").applied]


def expected(listed: list[Project], variant: Variant, year: int) -> list[str]:
    """The page's words once more."""
    found = []
    for place, p in enumerate(listed):
        when = p.commissioning_year
        if variant.schedule_assumption == "conservative":
            when = p.conservative_year or when + (variant.schedule_margin_years or 0)
        if variant.schedule_assumption == "aggressive":
            when = p.aggressive_year or when - (variant.schedule_margin_years or 0)
        fits = [
            not p.feeders or "f1" in {name.lower() for name in p.feeders},
            variant.drivers is None or p.driver in ("growth", "voltage"),
            variant.statuses is None or p.status == "renewal",
            variant.max_conflict_score is None
            or (p.conflict_score is not None and p.conflict_score <= variant.max_conflict_score),
            when <= year,
        ]
        if all(fits):
            found.append((when, place, p.name))
    return [name for _, _, name in sorted(found)]


class TestWhichProjectsAreBuilt:
    @given(listed=projects(), variant=VARIANTS, year=YEARS)
    def test_those_that_the_page_says(self, listed: list[Project], variant: Variant, year: int) -> None:
        assert applied(listed, variant, year) == expected(listed, variant, year)

    @given(listed=projects(), variant=VARIANTS, year=YEARS)
    def test_what_is_built_stays(self, listed: list[Project], variant: Variant, year: int) -> None:
        assert set(applied(listed, variant, year)) <= set(applied(listed, variant, year + 1))

    @given(listed=projects(), variant=VARIANTS, year=YEARS)
    def test_conservative_has_no_more_and_aggressive_no_less(
        self, listed: list[Project], variant: Variant, year: int
    ) -> None:
        late, expected_, early = (
            set(applied(listed, attrs.evolve(variant, schedule_assumption=assumption), year))
            for assumption in ("conservative", "neutral", "aggressive")
        )
        assert late <= expected_ <= early

    @given(data=st.data(), listed=projects(), variant=VARIANTS, year=YEARS)
    def test_the_order_of_the_list_does_not_choose(
        self, data: st.DataObject, listed: list[Project], variant: Variant, year: int
    ) -> None:
        other = data.draw(st.permutations(listed))
        assert set(applied(other, variant, year)) == set(applied(listed, variant, year))

    def test_their_commands_run_after_the_networks_own_earliest_project_first(self) -> None:
        network = tables()["network"] | {"commands": ["zero"]}
        assert commands(read(network=network)) == ("zero", "three", "one", "two")

    def test_a_project_of_another_feeder_changes_nothing_here(self) -> None:
        listed = [tables()["projects"][0] | {"feeders": ["F2"]}, tables()["projects"][1]]
        scope = {"feeders": ["F1", "F2"], "year": 2030, "variant": "plan"}
        network = tables()["network"] | {"master": "{feeder}.dss"}
        document = read(projects=listed, scope=scope, network=network)
        assert commands(document, "F1") == ("three",)
        assert commands(document, "F2") == ("three", "one", "two")

    def test_without_a_variant_none_is_built_and_that_is_said(self) -> None:
        document = read(scope={"feeders": ["F1"], "year": 2030})
        assert commands(document) == ()
        assert chosen(document, "F1").left_out == {"scope.variant names no variant": ("a", "b")}

    def test_reasons_for_those_that_are_not(self) -> None:
        listed = [
            tables()["projects"][0] | {"name": name, **more}
            for name, more in (
                ("late", {"commissioning_year": 2031}),
                ("elsewhere", {"feeders": ["F2"]}),
                ("trial", {"driver": "trial"}),
                ("at odds", {"conflict_score": 7}),
                ("unscored", {"conflict_score": None}),
                ("in", {"conflict_score": 6}),
            )
        ]
        listed = [{key: value for key, value in one.items() if value is not None} for one in listed]
        for one in listed:
            if one["name"] not in ("unscored", "at odds"):
                one["conflict_score"] = 6
        found = chosen(read(projects=listed, variants={"plan": {"drivers": ["GROWTH"], "max_conflict_score": 6}}), "F1")
        assert [project.name for project in found.applied] == ["in"]
        assert found.left_out == {
            "commissioned after 2030": ("late",),
            "not on this feeder": ("elsewhere",),
            "driver 'trial'": ("trial",),
            "conflict score above 6": ("at odds",),
            "no conflict score stated": ("unscored",),
        }


class TestTheFile:
    def test_the_canonical_study_says_it_again(self) -> None:
        document = read(
            variants={"plan": {"statuses": ["approved"], "schedule_margin_years": 2}, "other": {}},
            network=tables()["network"] | {"master": "{variant}/Master.dss"},
        )
        again = structure_study(tomllib.loads(canonical(document)), FOLDER, default_registry())
        assert again == document
        assert canonical(again) == canonical(document)
        assert "{variant}/Master.dss" in canonical(document)
        assert "three" in canonical(document)

    def test_projects_may_stand_in_a_file_of_their_own(self, tmp_path: Path) -> None:
        (tmp_path / "works.toml").write_text(
            '[[projects]]\nname = "a"\ncommissioning_year = 2028\ncommands = ["one"]\n', encoding="utf-8"
        )
        document = structure_study(tables(projects="works.toml"), tmp_path, default_registry())
        assert commands(document) == ("one",)
        assert "[[projects]]" in canonical(document)

    def test_the_variants_name_stands_in_every_path(self) -> None:
        profiles = {
            "plugin": "table",
            "series": {"files": ["{variant}/pv.csv", "{feeder}.csv"], "interval_minutes": 30},
        }
        injection = {"plugin": "pv-system", "profile": "pv"}
        data = tables(
            projects=[],
            variants={},
            network=tables()["network"] | {"master": "{variant}/{feeder}.dss"},
            profiles=profiles,
            injection=injection,
        )
        document = realised(structure_study(data, FOLDER, default_registry()))
        network: Any = document.parts["network"]
        table: Any = document.parts["profiles"]
        assert network.config.master == FOLDER / "plan" / "{feeder}.dss"
        assert table.config.series.files == (FOLDER / "plan" / "pv.csv", FOLDER / "{feeder}.csv")

    def test_an_untrusted_study_has_no_projects(self) -> None:
        lines = refused_untrusted(read())
        assert [line.partition(":")[0] for line in lines] == ["projects[0].commands", "projects[1].commands"]

    def test_the_projects_of_an_untrusted_study_are_not_elsewhere(self, tmp_path: Path) -> None:
        inside = tmp_path / "study"
        inside.mkdir()
        (tmp_path / "works.toml").write_text(
            '[[projects]]\nname = "a"\ncommissioning_year = 2028\ncommands = ["one"]\n', encoding="utf-8"
        )
        lines = refused_untrusted(structure_study(tables(projects="../works.toml"), inside, default_registry()))
        assert any(line.startswith("projects: a path of an untrusted study must stay") for line in lines)


def lines_of(folder: Path = FOLDER, **changes: Any) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        structure_study(tables(**changes), folder, default_registry())
    return list(caught.value.problems)


PROJECT = tables()["projects"][0]
SCOPE = tables()["scope"]


class TestBadInput:
    @pytest.mark.parametrize(
        ("changes", "line"),
        [
            ({"scope": SCOPE | {"variant": "pan"}}, "scope.variant: no variant named 'pan'; did you mean 'plan'?"),
            ({"scope": SCOPE | {"variant": "a/b"}}, "scope.variant: cannot name a folder"),
            ({"variants": {}}, "scope.variant: no variant named 'plan'; known: none"),
            ({"variants": {}, "projects": []}, "scope.variant: no variant named 'plan'; known: none"),
            ({"projects": []}, "variants.plan: no projects to select among"),
            (
                {"variants": {"plan": {"drivers": ["grwth"]}}},
                "variants.plan.drivers: no project has 'grwth'; did you mean",
            ),
            (
                {"variants": {"plan": {}, "b": {"statuses": ["x"]}}},
                "variants.b.statuses: no project has 'x'; they have",
            ),
            ({"variants": {"plan": {"drivers": []}}}, "variants.plan.drivers: must not be empty"),
            ({"variants": {"plan": {"driver": "growth"}}}, "variants.plan.driver: unknown key"),
            ({"variants": {"plan": {"max_conflict_score": -1}}}, "variants.plan.max_conflict_score: must be 0 to"),
            ({"variants": {"plan": {"max_conflict_score": 1.5}}}, "variants.plan.max_conflict_score: expected"),
            (
                {"variants": {"plan": {"schedule_assumption": "bold"}}},
                "variants.plan.schedule_assumption: expected one of",
            ),
            (
                {"variants": {"plan": {"schedule_assumption": "aggressive"}}},
                "variants.plan.schedule_margin_years: required, as 2 projects state no aggressive_year: a, b",
            ),
            ({"variants": [{}]}, "variants: write [variants] in single brackets"),
            ({"variants": 3}, "variants: expected a table"),
            (
                {"projects": [PROJECT, PROJECT | {"name": "A"}]},
                "projects[1].name: 'A' is the name of projects[0] already",
            ),
            ({"projects": [PROJECT | {"commands": []}]}, "projects[0].commands: must not be empty"),
            ({"projects": [PROJECT | {"commands": ["one", " "]}]}, "projects[0].commands: entry 1: must not be blank"),
            ({"projects": [PROJECT | {"year": 2028}]}, "projects[0].year: unknown key"),
            ({"projects": [PROJECT | {"conservative_year": 2027}]}, "projects[0].conservative_year: 2027 is before"),
            ({"projects": [PROJECT | {"aggressive_year": 2029}]}, "projects[0].aggressive_year: 2029 is after"),
            ({"projects": {"name": "a"}}, "projects: expected tables, each under [[projects]]"),
            ({"projects": "nowhere.toml"}, "projects: "),
            (
                {
                    "scope": {"feeders": ["F1"], "year": 2030},
                    "network": tables()["network"] | {"master": "{variant}.dss"},
                },
                "scope.variant: required, as {variant} stands in network.master",
            ),
            (
                {"network": {"plugin": "pandapower", "file": "net.json"}},
                "projects: network 'pandapower' runs no engine commands; keep a model for each variant",
            ),
        ],
    )
    def test_one_line_says_what_is_wrong(self, changes: dict[str, Any], line: str) -> None:
        found = lines_of(**changes)
        assert any(each.startswith(line) for each in found), found

    def test_a_file_of_projects_holds_nothing_else(self, tmp_path: Path) -> None:
        (tmp_path / "works.toml").write_text('name = "x"\n', encoding="utf-8")
        assert any(
            "expected [[projects]] and nothing else" in line for line in lines_of(tmp_path, projects="works.toml")
        )

    def test_a_study_without_a_network_has_no_variants(self) -> None:
        data = {"name": "t", "study": {"plugin": "trace"}, "flows": {"plugin": "example"}, "projects": [PROJECT]}
        with pytest.raises(ConfigError, match="projects: the study has no network to change; remove it"):
            structure_study(data, FOLDER, default_registry())
