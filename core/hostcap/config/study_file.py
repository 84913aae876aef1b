"""Study files: from TOML to a ``StudyDocument``, every finding in one report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import attrs
from attrs import field, frozen

from hostcap.config.fields import folder_name
from hostcap.config.inputs import values_said
from hostcap.config.paths import FEEDER, as_written, resolved
from hostcap.config.structure import config_fields, key_of, structure
from hostcap.config.study import Part, Scope, StudyDocument, bare_scope, is_bare
from hostcap.config.toml_file import apply_overrides, read_toml
from hostcap.config.variants import Project, Variant, variant_problems
from hostcap.config.wording import alternatives, joined, key_text, shown
from hostcap.errors import ConfigError, PluginConflictError, PluginError, UnknownPluginError
from hostcap.plugins._nearest import did_you_mean, suggestion
from hostcap.plugins.kinds import KINDS, REPEATED, PluginRecord, StudyPlugin, Takes
from hostcap.plugins.registry import Registry

T = TypeVar("T")
RecordT = TypeVar("RecordT", bound=PluginRecord[Any])
DEFAULT_WRITERS = Takes(default="parquet")
"""How every study takes writers, unless it says otherwise."""
_TABLES = {kind.table: kind for kind in KINDS}
_OF_VARIANTS = ("variants", "projects")
_OWN = ("name", "scope", *_OF_VARIANTS)
"""Keys of a study file that no plugin has."""


def read_study(path: Path | str, registry: Registry, *, overrides: Sequence[str] = ()) -> StudyDocument:
    """Read a study file.

    Args:
        path: The file.
        registry: Plugins that it may name.
        overrides: Such as ``solver.max_iterations=50``, put in before anything is checked.

    Raises:
        ConfigError: Everything that is wrong, a line each.
    """
    path = Path(path)
    return structure_study(apply_overrides(read_toml(path), overrides), path.absolute().parent, registry)


def structure_study(data: Mapping[str, Any], folder: Path, registry: Registry) -> StudyDocument:
    """A study from the tables of its file.

    Args:
        data: As ``tomllib`` gives them.
        folder: Relative paths start here.
        registry: Plugins that it may name.

    Raises:
        ConfigError: Everything that is wrong, a line each.
    """
    reader = _Reader(data=data, folder=folder.absolute(), registry=registry)
    document = reader.document()
    if document is None:
        raise ConfigError(tuple(reader.problems)) from (registry.failure() if reader.unknown else None)
    return document


@frozen(kw_only=True)
class _Name:
    name: str = field(validator=folder_name)


@attrs.define(kw_only=True)
class _Reader:
    """Reads one file, collecting problems on the way."""

    data: Mapping[str, Any]
    folder: Path
    registry: Registry
    problems: list[str] = field(factory=list)
    unknown: bool = False

    def document(self) -> StudyDocument | None:
        """The document, or None where there are problems."""
        data = self.data
        name = self.structured({"name": data["name"]} if "name" in data else {}, _Name, "")
        study, record = self.study()
        scope = self.scope(name.name if name else "study", bare=record is not None and is_bare(record, data))
        parts: dict[str, Part[Any] | tuple[Part[Any], ...]] = {}
        for table, kind in _TABLES.items():
            part = study if kind is StudyPlugin else self.part(kind, record)
            if part is not None:
                parts[table] = part
        variants, (projects, projects_file) = self.variants(), self.projects()
        for key in data:
            if key not in _TABLES and key not in _OWN:
                known = (*_OWN, *_TABLES)
                hint = did_you_mean(key, known) or f"; known: {', '.join(known)}"
                self.problems.append(f"{key_text(key)}: unknown key{hint}")
        network = parts.get("network")
        if scope and isinstance(network, Part):
            self.check_feeders(scope, network)
        if self.problems or name is None or scope is None:
            return None
        document = StudyDocument(
            name=name.name,
            scope=scope,
            parts=parts,
            folder=self.folder,
            variants=variants,
            projects=projects,
            projects_file=projects_file,
        )
        paths = [(said.key, said.value) for said in values_said(document) if isinstance(said.value, Path)]
        self.problems += variant_problems(document, paths)
        return None if self.problems else document

    def scope(self, name: str, *, bare: bool) -> Scope | None:
        """The scope; a bare study has the one that its name says."""
        if bare:
            if "scope" in self.data:
                self.problems.append("scope: flows say their own dates, and no feeder is named; remove the table")
            self.problems += [
                f"{key}: the study has no network to change; remove it" for key in _OF_VARIANTS if key in self.data
            ]
            return bare_scope(name)
        if "scope" in self.data:
            return self.structured(self.data["scope"], Scope, "scope")
        self.problems.append('scope: required; add [scope] with feeders = ["..."] and year = ...')
        return None

    def variants(self) -> dict[str, Variant]:
        """The variants of the network by name."""
        data = self.data.get("variants", {})
        if not self.is_table(data, "variants"):
            return {}
        found = {name: self.structured(table, Variant, joined("variants", name)) for name, table in data.items()}
        return {name: variant for name, variant in found.items() if variant is not None}

    def projects(self) -> tuple[tuple[Project, ...], Path | None]:
        """The projects, here or in a file of their own, and that file."""
        listed, path = self.data.get("projects", []), None
        if isinstance(listed, str):
            path = resolved(Path(listed), self.folder)
            try:
                data = read_toml(path)
            except ConfigError as error:
                self.problems += [f"projects: {line}" for line in error.problems]
                return (), path
            other = [key for key in data if key != "projects"]
            listed = data.get("projects", [])
            if other or not listed:
                self.problems.append(
                    f"projects: {path}: expected [[projects]] and nothing else, found {', '.join(data) or 'nothing'}"
                )
        if not isinstance(listed, list) or not all(isinstance(entry, Mapping) for entry in listed):
            self.problems.append(
                "projects: expected tables, each under [[projects]], or the path of a file with them, got "
                f"{shown(listed)}"
            )
            return (), path
        found = [self.structured(entry, Project, f"projects[{place}]") for place, entry in enumerate(listed)]
        return tuple(project for project in found if project is not None), path

    def study(self) -> tuple[Part[Any] | None, StudyPlugin[Any] | None]:
        """The study's part, and its record as far as it is known."""
        if "study" not in self.data:
            names = alternatives(f'"{name}"' for name in self.registry.offered(StudyPlugin))
            self.problems.append(f"study: required; add [study] with plugin = {names}")
            return None, None
        table = self.data["study"]
        if not self.is_table(table, "study"):
            return None, None
        record = self.record(StudyPlugin, table, "study", None)
        return (self.made(record, table, "study") if record else None), record

    def part(
        self, kind: type[PluginRecord[Any]], study: StudyPlugin[Any] | None
    ) -> Part[Any] | tuple[Part[Any], ...] | None:
        """One table as the study takes it; None where it is absent, or wrong and reported."""
        table = kind.table
        takes = None
        if study is not None:
            takes = study.parts.get(table, DEFAULT_WRITERS if table == "writers" else None)
            if takes is None:
                if table in self.data:
                    self.problems.append(f"{table}: study {study.name!r} takes no {table}; remove the table")
                return None
        default = takes.default if takes else None
        if table not in self.data:
            if takes and takes.required:
                self.problems.append(self.missing(kind))
            elif default is not None:
                made = self.filled(kind, {}, table, default)
                return (made,) if made and table in REPEATED else made
            return None
        value = self.data[table]
        if table not in REPEATED:
            return self.filled(kind, value, table, default) if self.is_table(value, table) else None
        if isinstance(value, Mapping):
            self.problems.append(f"{table}: write [[{table}]] in double brackets, as a study may have several")
            return None
        if not isinstance(value, list):
            self.problems.append(f"{table}: expected tables, each under [[{table}]], got {shown(value)}")
            return None
        if not value:
            required = takes is not None and takes.required
            self.problems.append(
                self.missing(kind) if required else f"{table}: is empty; remove it, or add [[{table}]]"
            )
            return None
        entries = []
        for index, entry in enumerate(value):
            path = f"{table}[{index}]"
            entries.append(self.filled(kind, entry, path, default) if self.is_table(entry, path) else None)
        return tuple(entry for entry in entries if entry is not None)

    def missing(self, kind: type[PluginRecord[Any]]) -> str:
        """What to say where a required table is missing."""
        table = kind.table
        names = alternatives(f'"{name}"' for name in self.registry.offered(kind))
        if table == "constraints":
            return f"{table}: a study needs at least one limit; add [[{table}]] with plugin = {names}"
        header = f"[[{table}]]" if table in REPEATED else f"[{table}]"
        return f"{table}: required; add {header} with plugin = {names}"

    def is_table(self, value: object, path: str) -> bool:
        """Whether it is a table; if not, it is reported."""
        if isinstance(value, Mapping):
            return True
        if isinstance(value, list) and "[" not in path and all(isinstance(item, Mapping) for item in value):
            self.problems.append(f"{path}: write [{path}] in single brackets, as a study has one")
        else:
            self.problems.append(f"{path}: expected a table, got {shown(value)}")
        return False

    def filled(
        self, kind: type[PluginRecord[Any]], table: Mapping[str, Any], path: str, default: str | None
    ) -> Part[Any] | None:
        """The part that a table describes."""
        record = self.record(kind, table, path, default)
        return self.made(record, table, path) if record else None

    def record(self, kind: type[RecordT], table: Mapping[str, Any], path: str, default: str | None) -> RecordT | None:
        """The record that a table picks."""
        name = table.get("plugin", default)
        if name is None:
            known = ", ".join(self.registry.names(kind)) or "none"
            self.problems.append(f"{joined(path, 'plugin')}: required key is missing; known: {known}")
            return None
        if not isinstance(name, str):
            self.problems.append(f"{joined(path, 'plugin')}: expected text, got {shown(name)}")
            return None
        try:
            return self.registry.get(kind, name)
        except UnknownPluginError:
            self.unknown = True
            self.problems.append(
                f"{path}: no plugin named {shown(name)}{suggestion(name, self.registry.names(kind), 'known')}"
                f"{self.registry.failure_note()}"
            )
        except PluginConflictError as error:
            self.problems.append(f"{path}: {error}")
        return None

    def made(self, record: PluginRecord[Any], table: Mapping[str, Any], path: str) -> Part[Any] | None:
        """The part of a record, its config structured."""
        settings = {key: value for key, value in table.items() if key != "plugin"}
        told = len(self.problems)
        config = self.structured(settings, record.config, path)
        if config is not None:
            return Part(kind=record.kind, plugin=record.name, config=config)
        foreign = {f"{joined(path, key)}: unknown key": self.owners(record, key) for key in settings}
        self.problems[told:] = [
            line + next((owners for begin, owners in foreign.items() if line.startswith(begin)), "")
            for line in self.problems[told:]
        ]
        return None

    def owners(self, record: PluginRecord[Any], key: str) -> str:
        """Which other plugins of the kind have a key."""
        kind, having = type(record), []
        for name in self.registry.names(kind):
            with suppress(PluginError):
                other = self.registry.get(kind, name)
                if key in map(key_of, config_fields(other.config)):
                    having.append(repr(name))
        return f"; it is a key of {alternatives(having)}" if having else ""

    def structured(self, table: Any, cls: type[T], path: str) -> T | None:
        """An instance of ``cls``; None where it is wrong and reported."""
        try:
            return structure(table, cls, path=path, folder=self.folder)
        except ConfigError as error:
            self.problems += error.problems
            return None

    def check_feeders(self, scope: Scope, network: Part[Any]) -> None:
        """Several feeders need a path that differs between them."""
        paths = {
            key_of(a): value
            for a in config_fields(type(network.config))
            if isinstance(value := getattr(network.config, a.name), Path)
        }
        if len(scope.feeders) > 1 and paths and not any(FEEDER in as_written(p, self.folder) for p in paths.values()):
            self.problems.append(f"{joined('network', next(iter(paths)))}: several feeders need '{FEEDER}' in the path")
