"""Running and checking a study: feeder by feeder, here or on worker processes, each whole or not at all."""

from __future__ import annotations

import logging
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from traceback import walk_tb
from typing import Any, cast

import attrs
from attrs import frozen

from hostcap.config import leads_out
from hostcap.errors import ConfigError, HostcapError, OutputError, PluginError, StoppedError
from hostcap.findings import Finding, Severity
from hostcap.network import Network
from hostcap.plugins.kinds import Job, Preview, Progress, RunWriter, Study
from hostcap.results_folder import check_writable, claim, clear_resume, release, resume_folder, write_summary
from hostcap.tables import Chunk, Results, Table, concatenate, findings_table
from hostcap.work_package import NAMESPACE, WorkPackage, never, silent
from hostcap.workers import Workers

FEEDER_FAILED = "feeder-failed"
"""Code of the finding that says why a feeder has no results."""
_LOG = logging.getLogger(__name__)
_DISTRIBUTIONS = ("hostcap", "opendssdirect.py", "dss_python_backend", "numba", "llvmlite", "numpy", "scipy", "pyarrow")


def run(
    work_package: WorkPackage,
    *,
    out: Path | None = None,
    replace: bool = False,
    progress: Progress | None = None,
    should_stop: Callable[[], bool] | None = None,
    workers: int = 1,
    trusted: bool = True,
) -> Results:
    """Run a study.

    Args:
        work_package: The study.
        out: Folder for the study's writers; None keeps results in memory alone.
        replace: Replace a run of another study or input that ``out`` holds.
        progress: Told (stage, done, total).
        should_stop: Asked between batches of states (with workers: between feeders); True ends the run.
        workers: Processes that share the feeders; 1 runs them here, one after the other. The tables are the same.
        trusted: Whether you know who wrote the study and its models. If not, engine commands and paths that leave the
            study's folder are refused, and each model is checked, copied, and run in a process of its own.

    Returns:
        All tables. A feeder that fails is named in ``failed`` and in its own ``findings``; others go on.

    Raises:
        ConfigError: The study cannot run as it is.
        OutputError: ``out`` cannot be written, or holds another study's run; a writer cannot keep the run.
        StoppedError: ``should_stop`` said so; feeders that were finished are kept in ``out``.
    """
    if workers < 1:
        raise ConfigError(f"workers: must be >= 1, got {workers}")
    began = time.monotonic()
    told, stop = progress or silent, should_stop or never
    work_package.study()  # refuse what cannot run before anything is loaded
    writers = work_package.writers()
    if not trusted:
        work_package.check_containable()
        if out is not None:
            _check_links(out, work_package.document.folder)
    if out is not None:
        work_package.prepare(writers)
        check_writable(out)
    feeders: _Feeders | _Bare
    if work_package.document.bare:
        feeders = _Bare(work_package, told, stop, out)
    else:
        pool = Workers(work_package, workers, trusted=trusted) if workers > 1 or not trusted else None
        feeders = _Feeders(work_package, told, stop, pool)
    chunks: list[Chunk] = []
    failed: dict[str, str] = {}
    summary: dict[str, Any] = {"name": work_package.name, "study": work_package.canonical, "machine": _machine()}
    summary["scope"] = {"feeders": list(work_package.scope.feeders), "year": work_package.scope.year}
    if work_package.scope.variant is not None:
        summary["scope"]["variant"] = work_package.scope.variant
    state, claimed = "interrupted", False
    try:
        feeders.load()
        run_id = work_package.id_from(feeders.hashes)
        summary = {"work_package_id": run_id, **summary, "inputs": feeders.hashes, "versions": _versions()}
        if out is not None:
            claim(out, summary, replace=replace)
            claimed = True
        for feeder in work_package.scope.feeders:
            if stop():
                raise StoppedError(f"stopped before feeder {feeder!r}; feeders that were finished are kept")
            try:
                for chunk in feeders.chunks(feeder, run_id):
                    _keep(_of_variant(chunk, work_package), out, writers, chunks, told)
            except (StoppedError, OutputError):
                raise
            except Exception as raised:
                if work_package.document.bare and isinstance(raised, HostcapError):
                    raise  # there is no other feeder to go on with
                error = raised if isinstance(raised, HostcapError) else _of_a_plugin(work_package, raised)
                failed[feeder] = str(error)
                failure = _failure(work_package, run_id, feeder, error, feeders.networks)
                _keep(_of_variant(failure, work_package), out, writers, chunks, told)
        ended = "failed" if failed else "complete"
        if out is not None:
            told("writing the whole run", 0, 0)
            for writer in (each for each in writers if isinstance(each, RunWriter)):
                writer.finish(out, {**summary, "state": ended, "failed": failed})
        state = ended
    finally:
        feeders.close(finished=state != "interrupted")
        summary |= {
            "state": state,
            "failed": failed,
            "seconds": round(time.monotonic() - began, 3),
            "feeders": {chunk.feeder: chunk.summary for chunk in chunks if chunk.summary},
        }
        if out is not None and claimed:
            write_summary(out, summary)
        elif out is not None:
            release(out)
    return Results(work_package_id=run_id, chunks=tuple(chunks), failed=failed, summary=summary)


def _of_variant(chunk: Chunk, work_package: WorkPackage) -> Chunk:
    """A chunk whose tables say the variant of the network; columns have no room for it."""
    name = work_package.scope.variant
    if name is None:
        return chunk
    tables = tuple(attrs.evolve(table, metadata={**table.metadata, "variant": name}) for table in chunk.tables)
    return attrs.evolve(chunk, tables=tables)


def _check_links(out: Path, folder: Path) -> None:
    """Refuse results that links in an untrusted study's folder would lead elsewhere."""
    out = Path(os.path.abspath(out))
    if not out.is_relative_to(folder):
        return
    links = [path for path in out.rglob("*") if path.is_symlink()] if out.is_dir() else []
    if leads_out(out, folder) or links:
        raise OutputError(f"{(links or [out])[0]}: a link leads results elsewhere; give another folder with --out")


def _keep(chunk: Chunk, out: Path | None, writers: Sequence[Any], chunks: list[Chunk], told: Progress) -> None:
    if out is not None:
        told(f"{chunk.feeder}: writing", 0, 0)
        for writer in writers:
            writer.write(out, chunk)
    # What was written and is one of many is not kept, so that memory does not grow with a run.
    if out is None or not chunk.passing:
        chunks.append(chunk)


class _Bare:
    """A study without a network, in the place of the feeders; its flows are one input, read while it runs."""

    def __init__(
        self, work_package: WorkPackage, told: Progress, stop: Callable[[], bool], out: Path | None = None
    ) -> None:
        self.networks: dict[str, Network] = {}
        self.hashes: Mapping[str, str] = {}
        self._work_package = work_package
        self._told = told
        self._stop = stop
        self._out = out

    def load(self) -> None:
        """Take the hashes of the inputs; one that cannot be read ends the run, as there is no other."""
        self._told("reading inputs", 0, 0)
        self.hashes = self._work_package.bare_hashes()

    def chunks(self, feeder: str, run_id: str) -> Iterator[Chunk]:
        """Run the study."""
        resume = None if self._out is None else resume_folder(self._out, run_id)
        job = self._work_package.bare_job(run_id, self._told, self._stop, resume)
        # A bare job is all that a study without a network may ask of its own.
        yield from self._work_package.study().run(cast("Job", job))

    def preview(self, feeder: str, study: Study) -> Preview:
        """Check the study."""
        return study.check(cast("Job", self._work_package.bare_job(str(NAMESPACE), self._told)))

    def close(self, *, finished: bool) -> None:
        """A run that was finished leaves nothing to resume from."""
        if finished and self._out is not None:
            clear_resume(self._out)


class _Feeders:
    """The feeders of a run: loaded first, as all ids derive from their content, then run one by one."""

    def __init__(
        self, work_package: WorkPackage, told: Progress, stop: Callable[[], bool], workers: Workers | None
    ) -> None:
        self.networks: dict[str, Network] = {}
        self._failed: dict[str, HostcapError] = {}
        self._work_package = work_package
        self._told = told
        self._stop = stop
        self._workers = workers
        self._files: Mapping[str, str] = {}

    @property
    def hashes(self) -> dict[str, str]:
        """Content hash of every feeder that loaded, and of every file that the study's other parts name."""
        networks = {name: network.origin.content_hash for name, network in self.networks.items() if network.origin}
        return {**networks, **self._files}

    def load(self) -> None:
        """Load every feeder; one that fails does not end the others."""
        names = self._work_package.scope.feeders
        self._files = self._work_package.file_hashes()
        pending = self._workers.load(names) if self._workers else None
        for number, feeder in enumerate(names):
            self._told("loading feeders", number, len(names))
            if self._stop():
                raise StoppedError("stopped while loading feeders; nothing was written")
            try:
                own = pending[feeder].result() if pending else self._work_package.source(feeder).load(feeder)
                self.networks[feeder] = self._work_package.loaded(own)
            except HostcapError as error:
                self._failed[feeder] = self._work_package.of_project(error, feeder)

    def chunks(self, feeder: str, run_id: str) -> Iterator[Chunk]:
        """Run one feeder."""
        network = self.network(feeder)
        if self._workers is None:
            study = self._work_package.study()
            yield from study.run(self._work_package.job(network, run_id, self._told, self._stop))
            return
        names = self._work_package.scope.feeders
        self._told("running feeders", names.index(feeder), len(names))
        yield from self._workers.chunks(self.networks, run_id)[feeder].result()

    def preview(self, feeder: str, study: Study) -> Preview:
        """Check one feeder."""
        network = self.network(feeder)
        if self._workers is None:
            return study.check(self._work_package.job(network, str(NAMESPACE), self._told))
        return self._workers.preview(network, str(NAMESPACE))

    def network(self, feeder: str) -> Network:
        """One feeder, or the error that it failed to load with."""
        if feeder in self._failed:
            raise self._failed[feeder]
        return self.networks[feeder]

    def close(self, *, finished: bool) -> None:
        """End the workers; at once where the run was not finished."""
        if self._workers is not None:
            self._workers.close(at_once=not finished)


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


def check(work_package: WorkPackage, *, progress: Progress | None = None, trusted: bool = True) -> CheckReport:
    """Load every feeder and solve its start, and ask the writers whether they could keep the run; write nothing.

    Args:
        work_package: The study.
        progress: Told (stage, done, total).
        trusted: As in ``run``.

    Raises:
        ConfigError: The study cannot run as it is.
        OutputError: A writer could not keep the run.
    """
    told = progress or silent
    study = work_package.study()
    if not trusted:
        work_package.check_containable()
    work_package.prepare(work_package.writers())
    feeders: _Feeders | _Bare
    if work_package.document.bare:
        feeders = _Bare(work_package, told, never)
    else:
        feeders = _Feeders(work_package, told, never, None if trusted else Workers(work_package, 1, trusted=False))
    finished = False
    try:
        feeders.load()
        report = _checked(work_package, feeders, study, told)
        finished = True
    finally:
        feeders.close(finished=finished)
    return report


def _checked(work_package: WorkPackage, feeders: _Feeders | _Bare, study: Study, told: Progress) -> CheckReport:
    previews: list[Preview] = []
    failed: dict[str, str] = {}
    tables: list[Table] = []
    for feeder in work_package.scope.feeders:
        told(f"{feeder}: checking", 0, 0)
        try:
            preview = feeders.preview(feeder, study)
            previews.append(preview)
            findings: Sequence[Finding] = preview.findings
        except HostcapError as error:
            failed[feeder] = str(error)
            findings = _failure_findings(feeder, error, feeders.networks.get(feeder))
        tables.append(findings_table(findings, work_package_id="", scenario=work_package.scope.scenario, feeder=feeder))
    return CheckReport(previews=tuple(previews), findings=concatenate(tables), failed=failed)


def _failure_findings(feeder: str, error: HostcapError, network: Network | None) -> list[Finding]:
    return [
        Finding(severity=Severity.ERROR, code=FEEDER_FAILED, element=feeder, message=" ".join(str(error).split())),
        *(network.findings if network is not None else ()),
    ]


def _failure(
    work_package: WorkPackage, run_id: str, feeder: str, error: HostcapError, networks: Mapping[str, Network]
) -> Chunk:
    """A feeder without results: its findings alone."""
    scope = work_package.scope
    findings = _failure_findings(feeder, error, networks.get(feeder))
    table = findings_table(findings, work_package_id=run_id, scenario=scope.scenario, feeder=feeder)
    return Chunk(scenario=scope.scenario, year=scope.year, feeder=feeder, tables=(table,))


def _of_a_plugin(work_package: WorkPackage, raised: Exception) -> HostcapError:
    """What to say of an error that no part of hostcap raises on purpose."""
    _LOG.debug("unexpected error", exc_info=raised)
    record = work_package.study_record
    offered = work_package.registry.offered_by_package()
    frames = [(frame.f_globals.get("__name__", ""), line, frame) for frame, line in walk_tb(raised.__traceback__)]
    known = [found for found in frames if _package(found[0]) in offered]
    place, own = "", ""
    if known:
        module, line, frame = known[-1]
        place = f"{module}, line {line}, in {frame.f_code.co_name}"
        own = offered[_package(module)]
    who = work_package.registry.distribution(record)
    blamed = f"study {record.name!r} of {who} or one of its parts" if own in ("", who) else own
    error = PluginError(
        f"{type(raised).__name__} in {blamed}{f' ({place})' if place else ''}: {raised}; please report it "
        "to its authors, with the study file"
    )
    error.__cause__ = raised
    return error


def _package(module: str) -> str:
    return module.partition(".")[0]


@cache
def _installed() -> tuple[tuple[str, str], ...]:
    """Versions, which stay what they are while a process runs; looking them up takes as long as some runs."""
    found = {"python": ".".join(map(str, sys.version_info[:3]))}
    for name in _DISTRIBUTIONS:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return tuple(found.items())


def _versions() -> dict[str, str]:
    return dict(_installed())


def _machine() -> dict[str, Any]:
    return {"system": platform.system(), "processor": _processor(), "cores": os.cpu_count()}


def _processor() -> str:
    """Model of the processor where the system says it, else its architecture."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()
