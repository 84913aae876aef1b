"""A whole study as one frozen object: from a study file, or composed in Python."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import attrs
from attrs import field, frozen

from hostcap.config import (
    SOLVER_NAME,
    TABLE_NAMES,
    Part,
    Scope,
    StudyDocument,
    canonical,
    file_hashes,
    project_of,
    read_study,
    realised,
    refused_untrusted,
    variant_findings,
)
from hostcap.errors import ConfigError, HostcapError, ModelError, PluginError
from hostcap.network import Network
from hostcap.operating_point import FeederScope
from hostcap.plugins import Registry, default_registry
from hostcap.plugins._nearest import suggestion
from hostcap.plugins.extras import require_all
from hostcap.plugins.kinds import (
    BareJob,
    ContainableSource,
    Flows,
    FlowsPlugin,
    Job,
    NetworkPlugin,
    NetworkSource,
    PluginRecord,
    ProfilesPlugin,
    Progress,
    ReadsItself,
    RunWriter,
    SolverPlugin,
    Study,
    StudyPlugin,
    Writer,
)
from hostcap.plugins.registry import singular
from hostcap.tables import FINDINGS

NAMESPACE = uuid.UUID("6f0f4f5e-3b0a-5d0e-9a53-2f1f3a2f7d11")
"""Namespace of work package ids; a constant of hostcap."""


def silent(stage: str, done: int, total: int) -> None:
    """Progress that nobody hears."""


def never() -> bool:
    """Do not stop."""
    return False


def _as_uuid(value: str | None) -> str | None:
    try:
        return None if value is None else str(uuid.UUID(value))
    except ValueError:
        raise ConfigError(
            f"work package id: expected a UUID such as 8366fe7a-54d2-5230-a780-47a09cfc36a6, got {value!r}"
        ) from None


@frozen(kw_only=True)
class WorkPackage:
    """A whole study: one study file, or the same composed in Python.

    Attributes:
        document: Name, scope and parts, checked, every default filled in.
        registry: Where the plugins that it names come from.
        given_id: Id to use; made from the study and its input otherwise.
    """

    document: StudyDocument
    registry: Registry = field(factory=default_registry, repr=False, eq=False)
    given_id: str | None = field(default=None, converter=_as_uuid)

    @classmethod
    def read(
        cls,
        path: Path | str,
        *,
        registry: Registry | None = None,
        overrides: Sequence[str] = (),
        given_id: str | None = None,
    ) -> WorkPackage:
        """Read a study file.

        Args:
            path: The file.
            registry: Plugins that it may name; those installed otherwise.
            overrides: Such as ``solver.max_iterations=50``.
            given_id: Id of the run, a UUID; made from the study and its input otherwise.

        Raises:
            ConfigError: Everything that is wrong, a line each.
        """
        found = registry or default_registry()
        return cls(document=read_study(path, found, overrides=overrides), registry=found, given_id=given_id)

    @property
    def name(self) -> str:
        """Name of the study."""
        return self.document.name

    @property
    def scope(self) -> Scope:
        """Feeders, scenario and year."""
        return self.document.scope

    @cached_property
    def canonical(self) -> str:
        """The study file as it will run, every default written out."""
        return canonical(self.document)

    @property
    def default_folder(self) -> Path:
        """Where results go unless said otherwise: ``results/<name>`` beside the study file."""
        return self.document.folder / "results" / self.document.name

    @property
    def realised(self) -> StudyDocument:
        """The document with its variant's name in its paths."""
        return realised(self.document)

    def part(self, table: str) -> Part[Any]:
        """The part that a table picked, with the variant's name in its paths."""
        part = self.realised.parts[table]
        if not isinstance(part, Part):
            raise LookupError(f"{table} is given several times")
        return part

    def record(self, part: Part[Any]) -> PluginRecord[Any]:
        """The plugin of a part."""
        return self.registry.get(part.kind, part.plugin)

    def make(self, part: Part[Any]) -> Any:
        """The object that a part's plugin makes of its settings.

        Raises:
            PluginError: The plugin's ``make`` failed, or gave nothing.
        """
        return self._made(self.record(part), part.config)

    def _made(self, record: Any, *arguments: Any) -> Any:
        require_all([(f"{singular(record.kind)} {record.name!r}", record.extra)])
        of = f"make of {singular(record.kind)} {record.name!r} of {self.registry.distribution(record)}"
        try:
            made = record.make(*arguments)
        except HostcapError:
            raise
        except Exception as raised:
            raise PluginError(f"{type(raised).__name__} in {of}: {raised}; please report it to its authors") from raised
        if made is None:
            raise PluginError(f"{of} gave nothing (None); it returns the object that does the work")
        return made

    @property
    def study_record(self) -> StudyPlugin[Any]:
        """The plugin of the study."""
        return self.registry.get(StudyPlugin, self.part("study").plugin)

    def bare_hashes(self) -> dict[str, str]:
        """Content hash of every input of a bare study: flows, files that parts name, and what it reads itself."""
        found = self.file_hashes()
        if "flows" in self.document.parts:
            flows: Flows = self.make(self.part("flows"))
            return {**found, **flows.hashes()}
        study = self.study()
        return {**found, **study.hashes()} if isinstance(study, ReadsItself) else found

    def source(self, feeder: str | None = None) -> NetworkSource:
        """The network source; of one feeder, with what the projects of the study's variant change there."""
        part = realised(self.document, feeder).parts["network"]
        if not isinstance(part, Part):
            raise LookupError("network is given several times")
        made: NetworkSource = self.make(part)
        return made

    def loaded(self, network: Network) -> Network:
        """A network as the study has it: with the findings of its variant first."""
        return attrs.evolve(network, findings=(*variant_findings(self.document, network.feeder), *network.findings))

    def of_project(self, error: HostcapError, feeder: str) -> HostcapError:
        """An error of loading a feeder, with the project whose command the engine refused."""
        where = project_of(self.document, feeder, str(error))
        return error if where is None else ModelError(f"{where}: {error}")

    def check_containable(self) -> None:
        """Refuse a study that cannot run untrusted.

        Raises:
            ConfigError: Everything that an untrusted study may not say, a line each.
        """
        problems = refused_untrusted(self.document)
        if not self.document.bare and not isinstance(self.source(), ContainableSource):
            name = self.part("network").plugin
            problems.append(f"network: {name!r} cannot contain models; run it as trusted only if you know who wrote it")
        if problems:
            raise ConfigError(problems)

    def study(self) -> Study:
        """The study with its parts.

        Raises:
            MissingPackageError: A plugin that the study names needs a package that is not installed.
            ConfigError: The solver asks for something that the network cannot give.
        """
        self._check_installed()
        self._check_capabilities()
        self._check_profiles()
        self._check_tables()
        self._check_flows()
        part = self.part("study")
        record = self.study_record
        objects: dict[str, Any] = {}
        parts = self.realised.parts
        for table in record.parts:
            given = parts.get(table)
            if table != "network" and given is not None:
                objects[table] = self.make(given) if isinstance(given, Part) else tuple(self.make(g) for g in given)
        for attribute, name in self._further_solvers():
            solver = self.registry.get(SolverPlugin, name)
            objects[attribute.metadata[SOLVER_NAME]] = self._made(solver, solver.config())
        return cast("Study", self._made(record, part.config, objects))

    def writers(self) -> list[Writer]:
        """The writers."""
        parts = self.realised.parts.get("writers", ())
        return [self.make(part) for part in ([parts] if isinstance(parts, Part) else parts)]

    def prepare(self, writers: Sequence[Writer]) -> None:
        """Ask the writers that keep a run as a whole whether they can keep this one.

        Raises:
            HostcapError: What stands in the way.
        """
        for writer in writers:
            if isinstance(writer, RunWriter):
                writer.prepare((*self.study_record.tables, FINDINGS))

    def _check_installed(self) -> None:
        """Say in one error what every plugin that is named lacks, before anything else is asked of it."""
        wanted = [
            (f"{singular(part.kind)} {part.plugin!r}", self.record(part).extra)
            for given in self.document.parts.values()
            for part in ((given,) if isinstance(given, Part) else given)
        ]
        wanted += [
            (f"study.{attribute.name} {name!r}", self.registry.get(SolverPlugin, name).extra)
            for attribute, name in self._further_solvers()
        ]
        require_all(wanted)

    def _check_capabilities(self) -> None:
        parts = self.document.parts
        network, solver = parts.get("network"), parts.get("solver")
        if not isinstance(network, Part):
            return
        asked = [("solver", solver.plugin)] if isinstance(solver, Part) else []
        further = [(f"study.{attribute.name}", name) for attribute, name in self._further_solvers()]
        for key, name in further:
            if ("solver", name) in asked:
                raise ConfigError(
                    f"{key}: {name!r} is the study's own solver, which would agree with itself; name another"
                )
        asked += further
        offers = self.registry.get(NetworkPlugin, network.plugin).capabilities
        for key, name in asked:
            missing = sorted(self.registry.get(SolverPlugin, name).capabilities - offers)
            if missing:
                fitting = [
                    each
                    for each in self.registry.names(SolverPlugin)
                    if self.registry.get(SolverPlugin, each).capabilities <= offers
                ]
                raise ConfigError(
                    f"{key}: {name!r} needs {', '.join(missing)}, which network {network.plugin!r} does not offer; "
                    f"solvers that fit it: {', '.join(fitting) or 'none installed'}"
                )

    def _further_solvers(self) -> list[tuple[attrs.Attribute[Any], str]]:
        """Keys of the study that name a solver beside the one that it takes, with what they name."""
        config = self.part("study").config
        named = [(a, getattr(config, a.name)) for a in attrs.fields(type(config)) if a.metadata.get(SOLVER_NAME)]
        return [(attribute, name) for attribute, name in named if name is not None]

    def _check_profiles(self) -> None:
        """Refuse parts that follow profiles where there are none."""
        if "profiles" in self.document.parts:
            return
        names = " or ".join(f'"{name}"' for name in self.registry.offered(ProfilesPlugin)) or "none is installed"
        problems = [
            f"{table}: {part.plugin!r} follows readings or series; add [profiles] with plugin = {names}"
            for table, given in self.document.parts.items()
            for part in ((given,) if isinstance(given, Part) else given)
            if ProfilesPlugin.kind in self.record(part).capabilities
        ]
        if problems:
            raise ConfigError(problems)

    def _check_tables(self) -> None:
        """Refuse to keep tables that the study does not make."""
        made = dict.fromkeys((*(schema.name for schema in self.study_record.tables), FINDINGS.name))
        given = self.document.parts.get("writers", ())
        problems = [
            f"writers[{place}].{attribute.name}: study {self.study_record.name!r} makes no table {name!r}"
            f"{suggestion(name, made, 'its tables')}"
            for place, part in enumerate((given,) if isinstance(given, Part) else given)
            for attribute in attrs.fields(type(part.config))
            if attribute.metadata.get(TABLE_NAMES)
            for name in getattr(part.config, attribute.name) or ()
            if name not in made
        ]
        if problems:
            raise ConfigError(problems)

    def _check_flows(self) -> None:
        """Flows that are made of a network need one, and others must not have one that nobody reads."""
        flows = self.document.parts.get("flows")
        if not isinstance(flows, Part):
            return
        needs = "network" in self.registry.get(FlowsPlugin, flows.plugin).capabilities
        if needs and self.document.bare:
            raise ConfigError(f"flows: {flows.plugin!r} are made of a network; add [network] and [scope]")
        if not needs and not self.document.bare:
            raise ConfigError(f"network: flows {flows.plugin!r} need none; remove [network] and [scope]")

    def bare_job(
        self,
        work_package_id: str,
        progress: Progress = silent,
        should_stop: Callable[[], bool] = never,
        resume: Path | None = None,
    ) -> BareJob:
        """What a study without a network is told."""
        (name,) = self.scope.feeders
        return BareJob(
            scope=FeederScope(feeder=name, scenario=self.scope.scenario, year=self.scope.year),
            work_package_id=work_package_id,
            progress=progress,
            should_stop=should_stop,
            resume=resume,
        )

    def job(
        self,
        network: Network,
        work_package_id: str,
        progress: Progress = silent,
        should_stop: Callable[[], bool] = never,
        source: NetworkSource | None = None,
    ) -> Job:
        """What the study is told about one feeder; ``source`` in place of the study's own."""
        feeder = network.feeder
        return Job(
            source=source or self.source(feeder),
            network=network,
            scope=FeederScope(
                feeder=feeder, scenario=self.scope.scenario, year=self.scope.year, variant=self.scope.variant
            ),
            work_package_id=work_package_id,
            progress=lambda stage, done, total: progress(f"{feeder}: {stage}", done, total),
            should_stop=should_stop,
        )

    def file_hashes(self) -> dict[str, str]:
        """SHA-256 of every file that parts name, such as readings; networks and flows hash their own input.

        Raises:
            ConfigError: One cannot be read.
        """
        return file_hashes(self.document, without=("network", "flows", "writers"))

    def id_from(self, hashes: Mapping[str, str]) -> str:
        """Id of the run: from the canonical study and the content of every input, unless given.

        The order of the feeders does not matter.

        Args:
            hashes: Content hash of each feeder that loaded, and of each file that other parts name.
        """
        if self.given_id is not None:
            return self.given_id
        content = "\n".join(f"{feeder} {digest}" for feeder, digest in sorted(hashes.items()))
        scope = attrs.evolve(self.scope, feeders=tuple(sorted(self.scope.feeders)))
        same = scope == self.scope
        written = self.canonical if same else canonical(attrs.evolve(self.document, scope=scope))
        return str(uuid.uuid5(NAMESPACE, f"{written}\n{content}"))
