"""What a study file says, as objects: scope, parts, and the document that holds them."""

from __future__ import annotations

from collections.abc import Container, Mapping
from pathlib import Path
from typing import Any, Generic, TypeVar

import attrs
from attrs import field, frozen, validators

from hostcap.config.fields import about, between, each, folder_name, in_schema, not_empty, unique
from hostcap.config.variants import Project, Variant
from hostcap.plugins.kinds import StudyPlugin

ConfigT = TypeVar("ConfigT")


@in_schema(const="base")
def _base_only(instance: Any, attribute: attrs.Attribute[str], value: str) -> None:
    if value != "base":
        raise ValueError(f"only 'base' can be run, as no scenario plugin is installed; got {value!r}")


@frozen(kw_only=True)
class Scope:
    """Which feeders a study is about, and how its results are labelled."""

    feeders: tuple[str, ...] = field(
        validator=[not_empty, unique, each(folder_name)],
        metadata=about("Names of the feeders, each put in place of {feeder} in paths"),
    )
    scenario: str = field(
        default="base", validator=_base_only, metadata=about("Scenario; base until a plugin adds more")
    )
    year: int = field(
        validator=between(1900, 2200),
        metadata=about("Year of the results; a variant has the projects that are commissioned by then"),
    )
    variant: str | None = field(
        default=None,
        validator=folder_name,
        metadata=about(
            "Variant of the network: a table under `[variants]`, which selects among `[[projects]]`, and the name in "
            "place of {variant} in paths; unset for the network as it is"
        ),
    )


UNDATED = 1900
"""Year of the scope of a bare study, whose flows say their own dates; no result carries it."""


BARE = "bare"
"""Capability of a study that takes neither network nor flows: it reads what its own settings name."""


def is_bare(record: StudyPlugin[Any], tables: Container[str]) -> bool:
    """Whether a study runs without a network: it says so, or it takes flows and the file's tables name none."""
    return BARE in record.capabilities or ("flows" in record.parts and "network" not in tables)


def bare_scope(name: str) -> Scope:
    """The scope of a bare study: its own name in place of a feeder's."""
    return Scope(feeders=(name,), year=UNDATED)


@frozen(kw_only=True)
class Part(Generic[ConfigT]):
    """One table of a study: the plugin that was picked, and its settings.

    Attributes:
        kind: Such as ``solvers``.
        plugin: Name of the plugin.
        config: Its config, with absolute paths.
    """

    kind: str
    plugin: str
    config: ConfigT


@frozen(kw_only=True)
class StudyDocument:
    """A study file after reading: checked, plugins found, every default filled in.

    Attributes:
        name: Name of the study; results are kept under it.
        scope: Feeders, scenario and year.
        parts: By table, in the order of a study file; ``constraints`` and ``writers`` are tuples.
        folder: Absolute; relative paths of the file start here.
        variants: Variants of the network by name.
        projects: What they select among.
        projects_file: Where the projects were read, if not in the study file.
    """

    name: str = field(validator=folder_name)
    scope: Scope
    parts: Mapping[str, Part[Any] | tuple[Part[Any], ...]]
    folder: Path = field(validator=validators.instance_of(Path))
    variants: Mapping[str, Variant] = field(factory=dict)
    projects: tuple[Project, ...] = ()
    projects_file: Path | None = field(default=None, eq=False)

    @property
    def bare(self) -> bool:
        """Whether it runs without a network."""
        return "network" not in self.parts and self.scope == bare_scope(self.name)
