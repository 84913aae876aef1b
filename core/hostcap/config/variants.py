"""Variants of the network: which projects of a study's list are built by its year, and what they change.

A *project* is a piece of work that somebody intends, with the year in which it is commissioned and the engine commands
that put it into the model. A *variant* selects among the projects, and says how their dates are taken. Projects are
stated and never made up here: what a driver, a status or a conflict score means is up to who wrote the list.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import attrs
from attrs import field, frozen

from hostcap.config.fields import ENGINE_COMMANDS, about, between, each, not_empty, unique
from hostcap.config.wording import shown
from hostcap.errors import ConfigError
from hostcap.findings import Finding, Severity, counted, some
from hostcap.plugins._nearest import did_you_mean

if TYPE_CHECKING:
    from hostcap.config.study import Part, StudyDocument

ConfigT = TypeVar("ConfigT")
VARIANT = "{variant}"
"""Stands for the variant's name in paths."""
_YEAR = between(1900, 2200)
_LISTED = 10


@frozen(kw_only=True)
class Project:
    """A piece of work that changes the network in some year."""

    name: str = field(validator=not_empty, metadata=about("Name of the project; each has its own"))
    commissioning_year: int = field(
        validator=_YEAR, metadata=about("Year in which it is commissioned, as expected (neutral); it counts from then")
    )
    conservative_year: int | None = field(
        default=None, validator=_YEAR, metadata=about("The same, taken conservatively: not before the expected year")
    )
    aggressive_year: int | None = field(
        default=None, validator=_YEAR, metadata=about("The same, taken aggressively: not after the expected year")
    )
    driver: str | None = field(
        default=None, validator=not_empty, metadata=about("Why it is done, such as growth; a word of your own")
    )
    status: str | None = field(
        default=None, validator=not_empty, metadata=about("How far it is, such as approved; a word of your own")
    )
    conflict_score: int | None = field(
        default=None,
        validator=between(0, 1_000_000),
        metadata=about("How much it is at odds with other projects, by a measure of your own"),
    )
    feeders: tuple[str, ...] = field(
        default=(),
        validator=[unique, each(not_empty)],
        metadata=about("Feeders whose model it changes; empty for all of the scope"),
    )
    commands: tuple[str, ...] = field(
        validator=[not_empty, each(not_empty)],
        metadata=about("Commands of the network's engine, run after those of `[network]`", runs_engine_commands=True),
    )

    def __attrs_post_init__(self) -> None:
        early, late = self.aggressive_year, self.conservative_year
        if late is not None and late < self.commissioning_year:
            raise ConfigError(f"conservative_year: {late} is before commissioning_year, {self.commissioning_year}")
        if early is not None and early > self.commissioning_year:
            raise ConfigError(f"aggressive_year: {early} is after commissioning_year, {self.commissioning_year}")


@frozen(kw_only=True)
class Variant:
    """Which projects a variant of the network has; what is left out selects nothing away."""

    drivers: tuple[str, ...] | None = field(
        default=None,
        validator=[not_empty, unique],
        metadata=about("Drivers of the projects that it has; unset for any"),
    )
    statuses: tuple[str, ...] | None = field(
        default=None,
        validator=[not_empty, unique],
        metadata=about("Statuses of the projects that it has; unset for any"),
    )
    max_conflict_score: int | None = field(
        default=None,
        validator=between(0, 1_000_000),
        metadata=about("Greatest conflict score of the projects that it has; unset for any"),
    )
    schedule_assumption: Literal["neutral", "conservative", "aggressive"] = field(
        default="neutral", metadata=about("Whether projects are commissioned in the year expected, later, or sooner")
    )
    schedule_margin_years: int | None = field(
        default=None,
        validator=between(0, 100),
        metadata=about("How much later or sooner, of projects that state no conservative or aggressive year"),
    )

    def year_of(self, project: Project) -> int | None:
        """Year from which a project counts; None where nothing says it."""
        if self.schedule_assumption == "neutral":
            return project.commissioning_year
        late = self.schedule_assumption == "conservative"
        stated = project.conservative_year if late else project.aggressive_year
        if stated is not None or self.schedule_margin_years is None:
            return stated
        return project.commissioning_year + (self.schedule_margin_years if late else -self.schedule_margin_years)

    def left_out(self, project: Project, *, feeder: str, year: int) -> str | None:
        """Why a project is not in the variant on a feeder by a year; None where it is."""
        commissioned = self.year_of(project)
        if project.feeders and _folded(feeder) not in map(_folded, project.feeders):
            return "not on this feeder"
        if self.drivers is not None and not _among(project.driver, self.drivers):
            return f"driver {shown(project.driver)}" if project.driver else "no driver stated"
        if self.statuses is not None and not _among(project.status, self.statuses):
            return f"status {shown(project.status)}" if project.status else "no status stated"
        if self.max_conflict_score is not None and project.conflict_score is None:
            return "no conflict score stated"
        if self.max_conflict_score is not None and (project.conflict_score or 0) > self.max_conflict_score:
            return f"conflict score above {self.max_conflict_score}"
        if commissioned is None or commissioned > year:
            return f"commissioned after {year}"
        return None


@frozen(kw_only=True)
class Chosen:
    """The projects of a variant on one feeder.

    Attributes:
        applied: Projects that are in the network, in the order of their years, then of the list.
        left_out: Names of the others, by why.
    """

    applied: tuple[Project, ...]
    left_out: Mapping[str, tuple[str, ...]]


def chosen(document: StudyDocument, feeder: str) -> Chosen:
    """The projects that the study's variant has on a feeder by the scope's year; none without a variant."""
    variant = document.variants.get(document.scope.variant or "")
    if variant is None:
        names = tuple(project.name for project in document.projects)
        return Chosen(applied=(), left_out={"scope.variant names no variant": names} if names else {})
    applied: list[tuple[int, Project]] = []
    others: dict[str, list[str]] = {}
    for project in document.projects:
        why = variant.left_out(project, feeder=feeder, year=document.scope.year)
        if why is None:
            applied.append((variant.year_of(project) or 0, project))
        else:
            others.setdefault(why, []).append(project.name)
    applied.sort(key=lambda one: one[0])
    return Chosen(
        applied=tuple(project for _, project in applied), left_out={why: tuple(names) for why, names in others.items()}
    )


def realised(document: StudyDocument, feeder: str | None = None) -> StudyDocument:
    """The study as it acts: the variant's name in its paths and, for one feeder, its projects' commands in the network.

    Nothing of it is written anywhere: the canonical study keeps variant and projects as they are stated.
    """
    name = document.scope.variant
    if name is None:
        return document
    parts = {
        table: _in_paths(part, name) if not isinstance(part, tuple) else tuple(_in_paths(each_, name) for each_ in part)
        for table, part in document.parts.items()
    }
    network, key = parts.get("network"), commands_key(document)
    if feeder is not None and key is not None and not isinstance(network, tuple) and network is not None:
        added = [command for project in chosen(document, feeder).applied for command in project.commands]
        config = attrs.evolve(network.config, **{key: (*getattr(network.config, key), *added)})
        parts["network"] = attrs.evolve(network, config=config)
    return attrs.evolve(document, parts=parts)


def commands_key(document: StudyDocument) -> str | None:
    """The key of the network that holds engine commands; None where it runs none."""
    network = document.parts.get("network")
    if network is None or isinstance(network, tuple):
        return None
    keys = [a.name for a in attrs.fields(type(network.config)) if a.metadata.get(ENGINE_COMMANDS)]
    return keys[0] if keys else None


def variant_findings(document: StudyDocument, feeder: str) -> tuple[Finding, ...]:
    """Which projects are in the network of a feeder, and which are not and why."""
    found, scope = chosen(document, feeder), document.scope
    variant = document.variants.get(scope.variant or "")
    return (
        *(
            Finding(
                severity=Severity.INFO,
                code="project-applied",
                element=project.name,
                count=len(project.commands),
                message=f"variant {scope.variant!r} has it by {scope.year}: commissioned in "
                f"{variant.year_of(project) if variant else ''} ({variant.schedule_assumption if variant else ''}); "
                f"{counted(len(project.commands), 'engine command')}",
            )
            for project in found.applied
        ),
        *(
            Finding(
                severity=Severity.INFO,
                code="projects-left-out",
                element=some(list(names), _LISTED),
                count=len(names),
                message=f"{counted(len(names), 'project is', 'projects are')} not in the network: {why}",
            )
            for why, names in found.left_out.items()
        ),
    )


def project_of(document: StudyDocument, feeder: str, message: str) -> str | None:
    """Where a project's command stands that a message of the engine is about; None where it is about none."""
    for project in chosen(document, feeder).applied:
        for place, command in enumerate(project.commands):
            if repr(command) in message:
                return f"projects[{document.projects.index(project)}].commands[{place}] of project {project.name!r}"
    return None


def variant_problems(document: StudyDocument, paths: Sequence[tuple[str, Path]]) -> Iterator[str]:
    """What does not fit together in scope, variants and projects, a line each.

    Args:
        document: The study.
        paths: Every path that it says, with its key.
    """
    name, projects = document.scope.variant, document.projects
    named = [key for key, path in paths if VARIANT in str(path)]
    yield from _named_twice(projects)
    for key, one in document.variants.items():
        yield from _matching_nothing(f"variants.{key}", one, projects)
    if name is None:
        if named:
            yield f"scope.variant: required, as {VARIANT} stands in {some(named)}"
        return
    variant = document.variants.get(name)
    if variant is None and (document.variants or projects or not named):
        hint = did_you_mean(name, document.variants) or f"; known: {', '.join(document.variants) or 'none'}"
        yield (
            f"scope.variant: no variant named {shown(name)}{hint}; add [variants.{name}], which may be empty, or "
            f"{VARIANT} to a path"
        )
        return
    if variant is None:
        return
    if not projects and not named:
        yield f"variants.{name}: no projects to select among; add [[projects]], or {VARIANT} to a path"
    if projects and commands_key(document) is None:
        network = document.parts.get("network")
        which = network.plugin if network is not None and not isinstance(network, tuple) else "this study"
        yield (
            f"projects: network {which!r} runs no engine commands; keep a model for each variant, and name it with "
            f"{VARIANT} in a path"
        )
    undated = [project.name for project in projects if variant.year_of(project) is None]
    if undated:
        yield (
            f"variants.{name}.schedule_margin_years: required, as "
            f"{counted(len(undated), 'project states', 'projects state')} no {variant.schedule_assumption}_year: "
            f"{some(undated)}"
        )


def _named_twice(projects: Sequence[Project]) -> Iterator[str]:
    seen: dict[str, int] = {}
    for place, project in enumerate(projects):
        first = seen.setdefault(_folded(project.name), place)
        if first != place:
            yield f"projects[{place}].name: {shown(project.name)} is the name of projects[{first}] already"


def _matching_nothing(path: str, variant: Variant, projects: Sequence[Project]) -> Iterator[str]:
    """A word that no project says is a word mistyped."""
    for key, asked, said in (
        ("drivers", variant.drivers, [project.driver for project in projects]),
        ("statuses", variant.statuses, [project.status for project in projects]),
    ):
        known = sorted({word for word in said if word is not None})
        for word in asked or ():
            if not _among(word, known):
                hint = did_you_mean(word, known) or f"; they have {', '.join(known) or 'none'}"
                yield f"{path}.{key}: no project has {shown(word)}{hint}"


def _in_paths(part: Part[Any], name: str) -> Part[Any]:
    return attrs.evolve(part, config=_named(part.config, name))


def _named(value: Any, name: str) -> Any:
    """A value of a config with the variant's name in its paths."""
    if isinstance(value, Path):
        return Path(str(value).replace(VARIANT, name)) if VARIANT in str(value) else value
    if attrs.has(type(value)):
        old = {a: getattr(value, a.name) for a in attrs.fields(type(value)) if a.init}
        new = {a: _named(item, name) for a, item in old.items()}
        changed = {a.alias or a.name: new[a] for a in new if new[a] is not old[a]}
        return attrs.evolve(value, **changed) if changed else value
    if isinstance(value, tuple):
        items = tuple(_named(item, name) for item in value)
        return items if any(a is not b for a, b in zip(items, value, strict=True)) else value
    return value


def _folded(text: str) -> str:
    return text.casefold()


def _among(word: str | None, words: Sequence[str]) -> bool:
    return word is not None and _folded(word) in map(_folded, words)
