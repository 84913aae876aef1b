"""Worker processes that share the feeders of a run: what crosses is documents, arrays and tables, never an engine."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Generic, TypeVar

import attrs
from attrs import frozen

from hostcap.config import StudyDocument
from hostcap.errors import ConfigError, HostcapError
from hostcap.network import Network
from hostcap.plugins import default_registry
from hostcap.plugins.kinds import ContainableSource, NetworkSource, Preview
from hostcap.tables import Chunk
from hostcap.work_package import WorkPackage

_SECONDS_TO_END = 10.0
T = TypeVar("T")
R = TypeVar("R")


def _leave_interrupts_to_the_parent() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


@frozen(kw_only=True)
class _Work:
    """What every piece of work is told: the study, and the folder to contain it in where it is not trusted."""

    document: StudyDocument
    scratch: Path | None = None

    @contextmanager
    def source(self, work_package: WorkPackage, feeder: str) -> Iterator[NetworkSource]:
        """The network source of one feeder: the study's own, or one that is contained, at work in a scratch folder."""
        source = work_package.source(feeder)
        if self.scratch is None:
            yield source
            return
        if not isinstance(source, ContainableSource):
            raise ConfigError("network: its models cannot be contained")
        before, inside = Path.cwd(), self.document.folder
        folder = Path(tempfile.mkdtemp(dir=self.scratch))
        # The working directory is not where the model lies: whatever looks there for a file finds none of a stranger's.
        work, model = folder / "work", folder / "model"
        try:
            work.mkdir()
            model.mkdir()
            os.chdir(work)
            yield source.contained(feeder, inside=inside, scratch=model)
        except HostcapError as error:
            _name_the_users_files(error, model, inside)
            raise
        finally:
            os.chdir(before)
            shutil.rmtree(folder, ignore_errors=True)


def _name_the_users_files(error: HostcapError, scratch: Path, inside: Path) -> None:
    error.args = tuple(a.replace(str(scratch), str(inside)) if isinstance(a, str) else a for a in error.args)


def _load(work: _Work, feeder: str) -> Network:
    work_package = WorkPackage(document=work.document)
    with work.source(work_package, feeder) as source:
        network = source.load(feeder)
    if work.scratch is None or network.origin is None:
        return network
    return attrs.evolve(network, origin=attrs.evolve(network.origin, source=work_package.source(feeder)))


def _check(work: _Work, network: Network, run_id: str) -> Preview:
    work_package = WorkPackage(document=work.document)
    with work.source(work_package, network.feeder) as source:
        own = _from(network, source)
        return work_package.study().check(work_package.job(own, run_id, source=source))


def _run(work: _Work, network: Network, run_id: str) -> list[Chunk]:
    work_package = WorkPackage(document=work.document)
    with work.source(work_package, network.feeder) as source:
        own = _from(network, source)
        return list(work_package.study().run(work_package.job(own, run_id, source=source)))


def _from(network: Network, source: NetworkSource) -> Network:
    """A network whose origin is the source at hand, so that no part opens a model that is not contained."""
    if network.origin is None:
        return network
    return attrs.evolve(network, origin=attrs.evolve(network.origin, source=source))


class Pending(Generic[T]):
    """What a worker will return for a feeder; its failure says which feeder it was."""

    def __init__(self, future: Future[T], feeder: str) -> None:
        self._future = future
        self._feeder = feeder

    def result(self) -> T:
        """Wait for it.

        Raises:
            HostcapError: What the worker raised, or that it died.
        """
        try:
            return self._future.result()
        except BrokenProcessPool as error:
            raise HostcapError(
                f"feeder {self._feeder!r}: a worker process died, often for want of memory; use fewer workers"
            ) from error


class Workers:
    """A pool of spawned processes; where the study is not trusted each feeder is contained in a scratch folder.

    Raises:
        ConfigError: The study's plugins are not the installed ones, which is all that another process can find.
    """

    def __init__(self, work_package: WorkPackage, count: int, *, trusted: bool = True) -> None:
        if work_package.registry is not default_registry():
            way = "use workers = 1" if trusted else "such a study can only run as trusted"
            raise ConfigError(f"workers: plugins given in Python are not known to other processes; {way}")
        self._scratch = None if trusted else tempfile.TemporaryDirectory(prefix="hostcap-", ignore_cleanup_errors=True)
        self._work = _Work(
            document=work_package.document, scratch=Path(self._scratch.name).resolve() if self._scratch else None
        )
        self._pool = ProcessPoolExecutor(
            max_workers=min(count, len(work_package.scope.feeders)),
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_leave_interrupts_to_the_parent,
        )
        self._processes: set[BaseProcess] = set()
        self._running: dict[str, Pending[list[Chunk]]] = {}

    def _submit(self, work: Callable[..., R], *arguments: object) -> Future[R]:
        """Submit, and note which processes that started: others of the program are not ours to end."""
        before = set(multiprocessing.active_children())
        future = self._pool.submit(work, *arguments)
        self._processes |= set(multiprocessing.active_children()) - before
        return future

    def load(self, feeders: Sequence[str]) -> Mapping[str, Pending[Network]]:
        """Start loading feeders."""
        return {f: Pending(self._submit(_load, self._work, f), f) for f in feeders}

    def chunks(self, networks: Mapping[str, Network], run_id: str) -> Mapping[str, Pending[list[Chunk]]]:
        """Start running feeders, all of them at the first call."""
        if not self._running:
            self._running = {
                name: Pending(self._submit(_run, self._work, network, run_id), name)
                for name, network in networks.items()
            }
        return self._running

    def preview(self, network: Network, run_id: str) -> Preview:
        """Check one feeder."""
        return Pending(self._submit(_check, self._work, network, run_id), network.feeder).result()

    def close(self, *, at_once: bool) -> None:
        """End the processes, and remove what they worked in; ``at_once`` does not wait for what they are doing."""
        self._pool.shutdown(wait=not at_once, cancel_futures=True)
        if at_once:
            for process in self._processes:
                with suppress(OSError):
                    process.terminate()
        if self._scratch is not None:
            for process in self._processes:
                process.join(_SECONDS_TO_END)
            self._scratch.cleanup()
