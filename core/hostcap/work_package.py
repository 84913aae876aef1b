"""A whole study, and running it: feeder by feeder, each whole or not at all."""

from __future__ import annotations

import json
import os
import sys
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from attrs import field, frozen

from hostcap.config import Part, Scope, StudyDocument, canonical, read_study
from hostcap.errors import ConfigError, HostcapError, OutputError, StoppedError
from hostcap.findings import Finding, Severity
from hostcap.network import Network
from hostcap.operating_point import FeederScope
from hostcap.plugins import Registry, default_registry
from hostcap.plugins.kinds import (
    Job,
    NetworkPlugin,
    NetworkSource,
    PluginRecord,
    Preview,
    Progress,
    SolverPlugin,
    Study,
    StudyPlugin,
    Writer,
)
from hostcap.tables import Chunk, Results, Table, concatenate, findings_table

NAMESPACE = uuid.UUID("6f0f4f5e-3b0a-5d0e-9a53-2f1f3a2f7d11")
"""Namespace of work package ids; a constant of hostcap."""
RUN_FILE = "hostcap-run.json"
"""What marks a results folder and says which study it holds."""
FEEDER_FAILED = "feeder-failed"
"""Code of the finding that says why a feeder has no results."""
_ENGINES = ("hostcap", "opendssdirect.py", "dss_python_backend", "numpy", "scipy")


def _silent(stage: str, done: int, total: int) -> None:
    """No progress."""


def _never() -> bool:
    return False


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
    given_id: str | None = None

    @classmethod
    def read(cls, path: Path | str, *, registry: Registry | None = None, overrides: Sequence[str] = ()) -> WorkPackage:
        """Read a study file.

        Args:
            path: The file.
            registry: Plugins that it may name; those installed otherwise.
            overrides: Such as ``solver.max_iterations=50``.

        Raises:
            ConfigError: Everything that is wrong, a line each.
        """
        found = registry or default_registry()
        return cls(document=read_study(path, found, overrides=overrides), registry=found)

    @property
    def name(self) -> str:
        """Name of the study."""
        return self.document.name

    @property
    def scope(self) -> Scope:
        """Feeders, scenario and year."""
        return self.document.scope

    @property
    def canonical(self) -> str:
        """The study file as it will run, every default written out."""
        return canonical(self.document)

    @property
    def default_folder(self) -> Path:
        """Where results go unless said otherwise: ``results/<name>`` beside the study file."""
        return self.document.folder / "results" / self.document.name

    def part(self, table: str) -> Part[Any]:
        """The part that a table picked."""
        part = self.document.parts[table]
        if not isinstance(part, Part):
            raise LookupError(f"{table} is given several times")
        return part

    def record(self, part: Part[Any]) -> PluginRecord[Any]:
        """The plugin of a part."""
        return self.registry.get(part.kind, part.plugin)

    def make(self, part: Part[Any]) -> Any:
        """The object that a part's plugin makes of its settings."""
        record: Any = self.record(part)
        return record.make(part.config)

    @property
    def study_record(self) -> StudyPlugin[Any]:
        """The plugin of the study."""
        return self.registry.get(StudyPlugin, self.part("study").plugin)

    def source(self) -> NetworkSource:
        """The network source."""
        made: NetworkSource = self.make(self.part("network"))
        return made

    def study(self) -> Study:
        """The study with its parts.

        Raises:
            ConfigError: The solver asks for something that the network cannot give.
        """
        self._check_capabilities()
        part = self.part("study")
        record = self.study_record
        objects: dict[str, Any] = {}
        for table in record.parts:
            given = self.document.parts.get(table)
            if table != "network" and given is not None:
                objects[table] = self.make(given) if isinstance(given, Part) else tuple(self.make(g) for g in given)
        return record.make(part.config, objects)

    def writers(self) -> list[Writer]:
        """The writers."""
        parts = self.document.parts.get("writers", ())
        return [self.make(part) for part in ([parts] if isinstance(parts, Part) else parts)]

    def _check_capabilities(self) -> None:
        parts = self.document.parts
        network, solver = parts.get("network"), parts.get("solver")
        if not isinstance(network, Part) or not isinstance(solver, Part):
            return
        offers = self.registry.get(NetworkPlugin, network.plugin).capabilities
        needs = self.registry.get(SolverPlugin, solver.plugin).capabilities
        missing = sorted(needs - offers)
        if missing:
            fitting = [
                name
                for name in self.registry.names(SolverPlugin)
                if self.registry.get(SolverPlugin, name).capabilities <= offers
            ]
            raise ConfigError(
                f"solver: {solver.plugin!r} needs {', '.join(missing)}, which network {network.plugin!r} does not "
                f"offer; solvers that fit it: {', '.join(fitting) or 'none installed'}"
            )

    def id_from(self, hashes: Mapping[str, str]) -> str:
        """Id of the run: from the canonical study and the content of every input, unless given.

        Args:
            hashes: Content hash of each feeder that loaded.
        """
        if self.given_id is not None:
            return str(uuid.UUID(self.given_id))
        content = "\n".join(f"{feeder} {digest}" for feeder, digest in sorted(hashes.items()))
        return str(uuid.uuid5(NAMESPACE, f"{self.canonical}\n{content}"))


@frozen(kw_only=True)
class _Loaded:
    """Feeders that loaded, and why the others did not."""

    networks: dict[str, Network]
    failed: dict[str, HostcapError]


def load_feeders(
    work_package: WorkPackage, source: NetworkSource, progress: Progress, should_stop: Callable[[], bool]
) -> _Loaded:
    """Load every feeder of a study; one that fails does not end the others."""
    networks: dict[str, Network] = {}
    failed: dict[str, HostcapError] = {}
    feeders = work_package.scope.feeders
    for number, feeder in enumerate(feeders):
        progress("loading feeders", number, len(feeders))
        if should_stop():
            raise StoppedError("stopped while loading feeders; nothing was written")
        try:
            networks[feeder] = source.load(feeder)
        except HostcapError as error:
            failed[feeder] = error
    return _Loaded(networks=networks, failed=failed)


def run(
    work_package: WorkPackage,
    *,
    out: Path | None = None,
    progress: Progress | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> Results:
    """Run a study.

    Args:
        work_package: The study.
        out: Folder for the study's writers; None keeps results in memory alone.
        progress: Told (stage, done, total).
        should_stop: Asked between states; True ends the run.

    Returns:
        All tables. A feeder that fails is named in ``failed`` and in its own ``findings``; others go on.

    Raises:
        ConfigError: The study cannot run as it is.
        OutputError: ``out`` cannot be written, or holds another study's run.
        StoppedError: ``should_stop`` said so; feeders that were finished are kept in ``out``.
    """
    began = time.monotonic()
    told, stop = progress or _silent, should_stop or _never
    study, source, writers = work_package.study(), work_package.source(), work_package.writers()
    if out is not None:
        _check_writable(out)
    loaded = load_feeders(work_package, source, told, stop)
    hashes = {name: network.origin.content_hash for name, network in loaded.networks.items() if network.origin}
    run_id = work_package.id_from(hashes)
    summary: dict[str, Any] = {
        "work_package_id": run_id,
        "name": work_package.name,
        "study": work_package.canonical,
        "inputs": hashes,
        "versions": _versions(),
    }
    if out is not None:
        _claim(out, summary)
    chunks: list[Chunk] = []
    failed: dict[str, str] = {}

    def keep(chunk: Chunk) -> None:
        if out is not None:
            told(f"{chunk.feeder}: writing", 0, 0)
            for writer in writers:
                writer.write(out, chunk)
        chunks.append(chunk)

    state = "interrupted"
    try:
        for feeder in work_package.scope.feeders:
            try:
                network = _loaded_network(loaded, feeder)
                job = _job(work_package, source, network, run_id, told, stop)
                for chunk in study.run(job):
                    keep(chunk)
            except (StoppedError, OutputError):
                raise
            except HostcapError as error:
                failed[feeder] = str(error)
                keep(_failure(work_package, run_id, feeder, error, loaded.networks.get(feeder)))
        state = "failed" if failed else "complete"
    finally:
        summary |= {"state": state, "failed": failed, "seconds": round(time.monotonic() - began, 3)}
        if out is not None:
            _write_json(out / RUN_FILE, summary)
    return Results(work_package_id=run_id, chunks=tuple(chunks), failed=failed, summary=summary)


@frozen(kw_only=True)
class CheckReport:
    """What ``check`` found.

    Attributes:
        previews: One a feeder whose start was solved.
        findings: Findings of all feeders, errors of failed ones included.
        failed: Message by feeder.
    """

    previews: tuple[Preview, ...]
    findings: Table
    failed: Mapping[str, str]


def check(work_package: WorkPackage, *, progress: Progress | None = None) -> CheckReport:
    """Load every feeder and solve its start; write nothing.

    Raises:
        ConfigError: The study cannot run as it is.
    """
    told = progress or _silent
    study, source = work_package.study(), work_package.source()
    loaded = load_feeders(work_package, source, told, _never)
    previews: list[Preview] = []
    failed: dict[str, str] = {}
    tables: list[Table] = []
    for feeder in work_package.scope.feeders:
        told(f"{feeder}: checking", 0, 0)
        try:
            network = _loaded_network(loaded, feeder)
            preview = study.check(_job(work_package, source, network, str(NAMESPACE), told, _never))
            previews.append(preview)
            findings: Sequence[Finding] = preview.findings
        except HostcapError as error:
            failed[feeder] = str(error)
            findings = _failure_findings(feeder, error, loaded.networks.get(feeder))
        tables.append(findings_table(findings, work_package_id="", scenario=work_package.scope.scenario, feeder=feeder))
    return CheckReport(previews=tuple(previews), findings=concatenate(tables), failed=failed)


def _job(
    work_package: WorkPackage,
    source: NetworkSource,
    network: Network,
    run_id: str,
    told: Progress,
    stop: Callable[[], bool],
) -> Job:
    feeder = network.feeder
    return Job(
        source=source,
        network=network,
        scope=FeederScope(feeder=feeder, scenario=work_package.scope.scenario, year=work_package.scope.year),
        work_package_id=run_id,
        progress=lambda stage, done, total: told(f"{feeder}: {stage}", done, total),
        should_stop=stop,
    )


def _failure_findings(feeder: str, error: HostcapError, network: Network | None) -> list[Finding]:
    return [
        Finding(severity=Severity.ERROR, code=FEEDER_FAILED, element=feeder, message=" ".join(str(error).split())),
        *(network.findings if network is not None else ()),
    ]


def _loaded_network(loaded: _Loaded, feeder: str) -> Network:
    if feeder in loaded.failed:
        raise loaded.failed[feeder]
    return loaded.networks[feeder]


def _failure(
    work_package: WorkPackage, run_id: str, feeder: str, error: HostcapError, network: Network | None
) -> Chunk:
    """A feeder without results: its findings alone."""
    scope = work_package.scope
    findings = _failure_findings(feeder, error, network)
    table = findings_table(findings, work_package_id=run_id, scenario=scope.scenario, feeder=feeder)
    return Chunk(scenario=scope.scenario, year=scope.year, feeder=feeder, tables=(table,))


def _versions() -> dict[str, str]:
    found = {"python": ".".join(map(str, sys.version_info[:3]))}
    for name in _ENGINES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _check_writable(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
        probe = out / f".{os.getpid()}.part"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise OutputError(f"{out}: results cannot be written there: {error.strerror or error}; give --out") from error


def _claim(out: Path, summary: Mapping[str, Any]) -> None:
    """Refuse a folder that holds another study's run, else mark it as this one's."""
    marker = out / RUN_FILE
    if marker.exists():
        try:
            held = json.loads(marker.read_text(encoding="utf-8"))["work_package_id"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise OutputError(f"{marker}: cannot be read ({error}); give another folder with --out") from error
        if held != summary["work_package_id"]:
            raise OutputError(
                f"{out}: holds the run of another study or of other input ({held}); remove it, or give --out"
            )
    elif any(not each.name.startswith(".") for each in out.iterdir()):
        raise OutputError(f"{out}: is not empty and holds no hostcap run; give an empty or new folder with --out")
    _write_json(marker, {**summary, "state": "running"})


def _write_json(path: Path, record: Mapping[str, Any]) -> None:
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        beside.write_text(json.dumps(record, indent=1, sort_keys=True) + "\n", encoding="utf-8")
        beside.replace(path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise OutputError(f"{path}: cannot be written: {error.strerror or error}") from error


def read_results(folder: Path | str) -> Results:
    """Read a run back from its folder.

    Raises:
        OutputError: The folder holds no run, or a table that hostcap did not write.
    """
    folder = Path(folder)
    marker = folder / RUN_FILE
    try:
        summary = json.loads(marker.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise OutputError(f"{folder}: holds no hostcap run ({RUN_FILE} is missing); give the folder of a run") from None
    except (OSError, ValueError) as error:
        raise OutputError(f"{marker}: cannot be read: {error}") from error
    tables: dict[tuple[str, int, str], list[Table]] = {}
    for path in sorted(folder.glob("*/*/*/*.parquet")):
        name, scenario, feeder = path.relative_to(folder).parts[:3]
        tables.setdefault((scenario, int(path.stem), feeder), []).append(_read_table(path, name))
    if not tables:
        found = "CSV files alone, which carry no types" if any(folder.glob("*/*/*/*.csv")) else "no tables"
        raise OutputError(f"{folder}: holds {found}; run the study with the 'parquet' writer")
    chunks = tuple(
        Chunk(scenario=scenario, year=year, feeder=feeder, tables=tuple(found))
        for (scenario, year, feeder), found in tables.items()
    )
    return Results(
        work_package_id=summary["work_package_id"], chunks=chunks, failed=summary.get("failed", {}), summary=summary
    )


def _read_table(path: Path, name: str) -> Table:
    import pyarrow as pa
    import pyarrow.parquet

    try:
        table = Table.from_arrow(pyarrow.parquet.ParquetFile(path).read())
    except (OSError, ValueError, KeyError, pa.ArrowException) as error:
        raise OutputError(f"{path}: cannot be read: {error}") from error
    if table.name != name:
        raise OutputError(f"{path}: holds table {table.name!r}, expected {name!r}")
    return table
