"""Worker processes that share the feeders of a run: what crosses is documents, arrays and tables, never an engine."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from multiprocessing.process import BaseProcess
from typing import Generic, TypeVar

from hostcap.config import StudyDocument
from hostcap.errors import ConfigError, HostcapError
from hostcap.network import Network
from hostcap.plugins import default_registry
from hostcap.tables import Chunk
from hostcap.work_package import WorkPackage

T = TypeVar("T")
R = TypeVar("R")


def _leave_interrupts_to_the_parent() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _load(document: StudyDocument, feeder: str) -> Network:
    return WorkPackage(document=document).source().load(feeder)


def _run(document: StudyDocument, network: Network, run_id: str) -> list[Chunk]:
    work_package = WorkPackage(document=document)
    return list(work_package.study().run(work_package.job(network, run_id)))


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
    """A pool of spawned processes.

    Raises:
        ConfigError: The study's plugins are not the installed ones, which is all that another process can find.
    """

    def __init__(self, work_package: WorkPackage, count: int) -> None:
        if work_package.registry is not default_registry():
            raise ConfigError("workers: plugins given in Python are not known to other processes; use workers = 1")
        self._document = work_package.document
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
        return {f: Pending(self._submit(_load, self._document, f), f) for f in feeders}

    def chunks(self, networks: Mapping[str, Network], run_id: str) -> Mapping[str, Pending[list[Chunk]]]:
        """Start running feeders, all of them at the first call."""
        if not self._running:
            self._running = {
                name: Pending(self._submit(_run, self._document, network, run_id), name)
                for name, network in networks.items()
            }
        return self._running

    def close(self, *, at_once: bool) -> None:
        """End the processes; ``at_once`` does not wait for what they are doing."""
        self._pool.shutdown(wait=not at_once, cancel_futures=True)
        if at_once:
            for process in self._processes:
                with suppress(OSError):
                    process.terminate()
