"""A source, a study and a folder made up for the tests of running."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
from attrs import field, frozen

import hostcap_stock.writers.plugin
from hostcap import WorkPackage
from hostcap.config import about
from hostcap.errors import (
    ModelError,
    NotConvergedError,
    StoppedError,
)
from hostcap.findings import Finding, Severity
from hostcap.network import Network, Origin
from hostcap.plugins import Job, NetworkPlugin, Registry, SolverPlugin, StudyPlugin, Takes, hookimpl
from hostcap.plugins.kinds import Preview
from hostcap.tables import Chunk, Column, Table, TableSchema, findings_table
from hostcap.testing.networks import SmallNetwork

RUN_FILE = "hostcap-run.json"
ANSWER = TableSchema(
    name="answer",
    meaning="What a feeder's file says.",
    columns=(
        Column("work_package_id", "text", "Run", key=True),
        Column("feeder", "text", "Feeder", key=True),
        Column("says", "text", "The file's words"),
        Column("times", "number", "Its length times a factor"),
    ),
)


@frozen(kw_only=True)
class TextConfig:
    file: Path = field(metadata=about("Text of a feeder"))


@frozen(kw_only=True)
class TextSource:
    """A feeder is a text file; one that says ``unreadable`` does not load."""

    config: TextConfig

    def load(self, feeder: str) -> Network:
        path = Path(str(self.config.file).replace("{feeder}", feeder))
        try:
            text = path.read_text(encoding="utf-8")
        except FileNotFoundError:
            raise ModelError(f"network.file: {path}: no such file") from None
        if text == "unreadable":
            raise ModelError(f"network.file: {path}: is unreadable")
        network = SmallNetwork(feeder=feeder).bus("a", 0.4, group=1).group("t").build()
        return attrs.evolve(
            network,
            findings=(Finding(severity=Severity.INFO, code="loaded", message="found on the way"),),
            origin=Origin(source=self, feeder=feeder, content_hash=hashlib.sha256(text.encode()).hexdigest()),
        )

    def freeze(self, network: Network, operating_point: Any, settling: Any) -> Any:
        raise NotImplementedError


@frozen(kw_only=True)
class EchoConfig:
    factor: float = field(default=1.0, metadata=about("Times this"))


@frozen
class Echo:
    """Repeats a feeder's text; some words make it fail."""

    config: EchoConfig
    asks: bool = True
    hear: Callable[[str], None] = lambda feeder: None

    def says(self, job: Job) -> str:
        source = job.source
        assert isinstance(source, TextSource)
        return Path(str(source.config.file).replace("{feeder}", job.network.feeder)).read_text(encoding="utf-8")

    def check(self, job: Job) -> Preview:
        text = self.says(job)
        if text == "no start":
            raise NotConvergedError("the start does not converge")
        return Preview(feeder=job.scope.feeder, facts=(("words", text),), findings=job.network.findings)

    def run(self, job: Job) -> Iterator[Chunk]:
        feeder, text = job.scope.feeder, self.says(job)
        self.hear(feeder)
        job.progress("echoing", 1, 2)
        if self.asks and job.should_stop():
            raise StoppedError(f"feeder {feeder!r}: stopped")
        match text:
            case "no start":
                raise NotConvergedError("the start does not converge,\nnot at all", iterations=100)
            case "ctrl-c":
                raise KeyboardInterrupt
            case "bug":
                raise ZeroDivisionError
        table = Table.build(
            ANSWER,
            {
                "work_package_id": [job.work_package_id],
                "feeder": [feeder],
                "says": [text],
                "times": [self.config.factor * len(text)],
            },
        )
        noted = findings_table(
            job.network.findings, work_package_id=job.work_package_id, scenario=job.scope.scenario, feeder=feeder
        )
        yield Chunk(scenario=job.scope.scenario, year=job.scope.year, feeder=feeder, tables=(table, noted))


@frozen(kw_only=True)
class Nothing:
    pass


class Parts:
    """A plugin with the source, the study, and two solvers of which one asks for what the source cannot give."""

    def __init__(self, *, asks: bool = True) -> None:
        self.heard: list[str] = []
        self.asks = asks

    @hookimpl
    def hostcap_networks(self) -> list[NetworkPlugin[Any]]:
        return [
            NetworkPlugin(
                name="text",
                summary="Text files",
                config=TextConfig,
                make=lambda config: TextSource(config=config),
                capabilities=frozenset({"letters"}),
            )
        ]

    @hookimpl
    def hostcap_solvers(self) -> list[SolverPlugin[Any]]:
        def solver(name: str, *needs: str) -> SolverPlugin[Any]:
            make: Any = lambda config: config  # noqa: E731
            return SolverPlugin(name=name, summary=name, config=Nothing, make=make, capabilities=frozenset(needs))

        return [solver("reader", "letters"), solver("counter", "letters", "numbers")]

    @hookimpl
    def hostcap_studies(self) -> list[StudyPlugin[Any]]:
        return [
            StudyPlugin(
                name="echo",
                summary="Repeats",
                config=EchoConfig,
                parts={"network": Takes(required=True), "solver": Takes(default="reader")},
                make=lambda config, parts: Echo(config, self.asks, self.heard.append),
                tables=(ANSWER,),
            )
        ]


@frozen(kw_only=True)
class Desk:
    """A folder with feeders' texts and studies about them."""

    folder: Path
    plugin: Parts = field(factory=Parts)

    def write(self, **texts: str) -> tuple[str, ...]:
        for feeder, text in texts.items():
            (self.folder / f"{feeder}.txt").write_text(text, encoding="utf-8")
        return tuple(texts)

    def study(self, *feeders: str, more: str = "", **changes: str) -> WorkPackage:
        listed = ", ".join(f'"{feeder}"' for feeder in feeders)
        path = self.folder / "study.toml"
        path.write_text(
            f'name = "echoes"\n[scope]\nfeeders = [{listed}]\nyear = 2025\n'
            '[network]\nplugin = "text"\nfile = "{feeder}.txt"\n[study]\nplugin = "echo"\n' + more,
            encoding="utf-8",
        )
        registry = Registry.of(self.plugin, distribution="desk 1.0") | Registry.of(hostcap_stock.writers.plugin)
        overrides = [f"{key.replace('__', '.')}={value}" for key, value in changes.items()]
        return WorkPackage.read(path, registry=registry, overrides=overrides)


def files(folder: Path) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def content(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in files(folder)}
