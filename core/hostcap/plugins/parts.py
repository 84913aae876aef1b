"""What the objects of plugins can do: a protocol for each kind, and what they are told.

Any object with a protocol's methods will do, whether a plugin makes it or a Python user constructs it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from attrs import frozen

from hostcap.findings import Finding

if TYPE_CHECKING:
    from datetime import date, datetime
    from pathlib import Path

    from hostcap._arrays import FloatArray
    from hostcap.flows import Days, FailedPeriod, FlowPeriod
    from hostcap.growth import Direction, UnitInjection
    from hostcap.limits import Limits
    from hostcap.network import Network
    from hostcap.operating_point import FeederScope, OperatingPoint
    from hostcap.power_flow import FrozenNetwork, Settling, Solver  # noqa: F401 - named in a string below
    from hostcap.profiles import NetImport, PowerProfiles, Series, Window
    from hostcap.tables import Chunk, TableSchema
    from hostcap.tracing import Trace


class NetworkSource(Protocol):
    """Loads feeders and freezes them; picklable, so that a worker can open the engine again."""

    def load(self, feeder: str) -> Network:
        """Load one feeder.

        Raises:
            ModelError: The model is missing, unreadable, or breaks a rule of the method's section 1.
        """
        ...

    def freeze(self, network: Network, operating_point: OperatingPoint, settling: Settling) -> FrozenNetwork:
        """Open the engine afresh, apply the point, solve with controls, freeze.

        Raises:
            NotConvergedError: The start has no solution.
        """
        ...


@runtime_checkable
class ContainableSource(NetworkSource, Protocol):
    """A network source that can also work on models that nobody vouches for; others refuse to run untrusted."""

    def contained(self, feeder: str, *, inside: Path, scratch: Path) -> NetworkSource:
        """The source of one feeder's model, checked and copied.

        It is called in a process of its own, which works in ``scratch`` and ends with the feeder.

        Args:
            feeder: The feeder.
            inside: The study's folder; nothing outside it may be read.
            scratch: An empty folder; nothing outside it may be written. ``inside/x`` is copied to ``scratch/x``, so
                that messages can name the user's own file.

        Returns:
            A source that reads the copy, with the same networks and content hashes as this one.

        Raises:
            ModelError: The model says what cannot be contained.
        """
        ...


class InitialState(Protocol):
    """Picks the operating point that a search starts from.

    Attributes:
        name: What tables call it (``initial_condition_selector``).
    """

    @property
    def name(self) -> str:
        """What tables call it."""
        ...

    def operating_point(self, network: Network, scope: FeederScope, profiles: Profiles | None) -> OperatingPoint:
        """The point of one feeder.

        Args:
            network: The feeder.
            scope: Feeder, scenario and year.
            profiles: The study's profiles; None where it has none.
        """
        ...


@runtime_checkable
class SeveralInstants(InitialState, Protocol):
    """An initial state that may stand for several instants: a study searches each by itself, and the least answers."""

    def operating_points(
        self, network: Network, scope: FeederScope, profiles: Profiles | None
    ) -> Sequence[OperatingPoint]:
        """The points of one feeder, one or more, their instants rising and none twice.

        Args:
            network: The feeder.
            scope: Feeder, scenario and year.
            profiles: The study's profiles; None where it has none.
        """
        ...


class Profiles(Protocol):
    """Answers what customers do, and what named series say, over time."""

    def customers(self, network: Network, window: Window) -> PowerProfiles:
        """What every injector does in the intervals of a window.

        Raises:
            ProfileError: Readings are missing, or break a rule, and no explicit rule says what to do.
        """
        ...

    def series(self, network: Network, name: str, window: Window) -> Series:
        """A named series over a window.

        Raises:
            ProfileError: There is none of that name, or it does not cover the window.
        """
        ...


@runtime_checkable
class SummingProfiles(Profiles, Protocol):
    """Profiles that can sum a long window without holding what every injector does in it."""

    def net_import(self, network: Network, window: Window) -> NetImport:
        """The net import of a feeder in the intervals of a window: the same as of ``customers``.

        Raises:
            ProfileError: As ``customers``.
        """
        ...


@frozen(kw_only=True)
class Moment:
    """Where and when growth is asked for.

    Attributes:
        network: The feeder.
        instant: End of the interval that the start stands for.
        profiles: The study's profiles; None where it has none.
        instant_stated: The study states the instant; it is not the first of January for want of another.
    """

    network: Network
    instant: datetime
    profiles: Profiles | None = None
    instant_stated: bool = True

    @classmethod
    def of(cls, network: Network, point: OperatingPoint, profiles: Profiles | None) -> Moment:
        """The moment of an operating point."""
        return cls(network=network, instant=point.instant, profiles=profiles, instant_stated=point.instant_stated)


class Injection(Protocol):
    """Says what one kW of growth is electrically.

    Attributes:
        directions: ``export``, ``import`` or both, each searched by itself.
        power_factor: As written in the allocation table.
    """

    @property
    def directions(self) -> tuple[Direction, ...]:
        """``export``, ``import`` or both, each searched by itself."""
        ...

    @property
    def power_factor(self) -> float:
        """As written in the allocation table."""
        ...

    def unit(self, direction: Direction, moment: Moment) -> UnitInjection:
        """One kW of growth: kW and kvar into the network, and the voltage law."""
        ...


class Allocation(Protocol):
    """Weighs growth among customers.

    Attributes:
        scaled: Whether weights follow existing kW (``addition_kw_scaling_applied``).
    """

    @property
    def scaled(self) -> bool:
        """Whether weights follow existing kW."""
        ...

    def weights(self, frozen: FrozenNetwork) -> FloatArray:
        """Weight of each customer, >= 0, shape (customer,); only those that grow are used.

        Args:
            frozen: The feeder at its solved start: its network, its operating point, and the start's voltages and
                currents.
        """
        ...


class Flows(Protocol):
    """Gives periods of solved flows, one by one; it keeps none."""

    def hashes(self) -> Mapping[str, str]:
        """Content hash of every input by its name, such as a file's; the id of a run derives from them.

        Raises:
            FlowsError: An input is missing or cannot be read.
        """
        ...

    def days(self) -> Sequence[date]:
        """The calendar days that there are, rising, in the time of the data."""
        ...

    def periods(self, days: Days) -> Iterator[FlowPeriod | FailedPeriod]:
        """The periods of some days, in the order of their starts.

        Periods that share names, branches and map share one ``FlowNetwork`` object. What the source itself calls
        unsolved is a ``FailedPeriod``.

        Raises:
            FlowsError: An input breaks a rule: what, where, found, expected.
        """
        ...


class NetworkFlows(Protocol):
    """Makes flows of a study's network; offered with the capability ``network``."""

    def on(self, job: Job, parts: Mapping[str, Any]) -> Flows:
        """The flows of one feeder.

        Args:
            job: The feeder.
            parts: The study's other parts by table, such as ``initial_state``.
        """
        ...


class Tracer(Protocol):
    """Shares flows among users.

    Attributes:
        mode: What tables call the way of sharing.
    """

    @property
    def mode(self) -> str:
        """What tables call the way of sharing."""
        ...

    def trace(self, period: FlowPeriod) -> Trace:
        """Trace one period.

        Raises:
            TraceError: Its flows have no shares.
        """
        ...

    def traces(self, periods: Iterable[FlowPeriod | FailedPeriod]) -> Iterator[Trace | FailedPeriod]:
        """Trace many periods, in order, several at once; reads only a few ahead, so that memory does not grow.

        A period that ``trace`` refuses is a ``FailedPeriod``.
        """
        ...


class Constraint(Protocol):
    """States limits."""

    def limits(self, network: Network) -> Sequence[Limits]:
        """Rows to watch on this feeder.

        Raises:
            ConfigError: The limits do not fit the feeder.
        """
        ...


class Progress(Protocol):
    """Receives how far a piece of work is."""

    def __call__(self, stage: str, done: int, total: int) -> None:
        """``done`` of ``total`` of the named stage; ``total`` is 0 where it is not known."""
        ...


@frozen(kw_only=True)
class Preview:
    """What a study would do on one feeder.

    Attributes:
        feeder: Name of the feeder.
        facts: Sizes and expectations, (what, value), in the order to print.
        findings: What was noticed up to the solved start.
    """

    feeder: str
    facts: tuple[tuple[str, str], ...]
    findings: tuple[Finding, ...]


class Study(Protocol):
    """Turns a feeder and its parts into chunks of tables."""

    def check(self, job: Job) -> Preview:
        """Solve the start of one feeder, and say what a run would do."""
        ...

    def run(self, job: Job) -> Iterator[Chunk]:
        """Yield the tables of one feeder, a chunk per (scenario, year, feeder)."""
        ...


@runtime_checkable
class ReadsItself(Protocol):
    """A study that takes neither network nor flows, and reads folders itself."""

    def hashes(self) -> Mapping[str, str]:
        """Content hash of every folder that it reads, by name; files that settings name are hashed by the run."""
        ...


@frozen(kw_only=True)
class BareJob:
    """What a study is told that takes no network.

    Attributes:
        scope: Feeder, scenario and year; without a network the feeder is the study's name.
        work_package_id: Id that all other ids derive from.
        progress: Receives progress.
        should_stop: Asked between batches; True ends the study with ``StoppedError``.
        resume: Folder for what a later run of the same study and input can go on from; None where nothing is kept.
    """

    scope: FeederScope
    work_package_id: str
    progress: Progress
    should_stop: Callable[[], bool]
    resume: Path | None = None


@frozen(kw_only=True)
class Job(BareJob):
    """What a study is told about one feeder.

    Attributes:
        source: The network source.
        network: The feeder.
    """

    source: NetworkSource
    network: Network


class Writer(Protocol):
    """Keeps tables in a folder; one that keeps a run as a whole is a ``RunWriter``."""

    def write(self, folder: Any, chunk: Chunk) -> None:
        """Write one chunk, whole or not at all."""
        ...


@runtime_checkable
class RunWriter(Writer, Protocol):
    """A writer that keeps a run as a whole, such as in a database: what it is to keep, and when all of it is there."""

    def prepare(self, tables: Sequence[TableSchema]) -> None:
        """Refuse what could not be kept, before anything is computed; writes nothing.

        Args:
            tables: All tables that the study may make.

        Raises:
            HostcapError: What stands in the way.
        """
        ...

    def finish(self, folder: Any, summary: Mapping[str, Any]) -> None:
        """Keep the run, all of it or nothing; not called for a run that was interrupted.

        Args:
            folder: The folder that the chunks were written to.
            summary: The run's summary, as ``hostcap-run.json`` will hold it, save its seconds.

        Raises:
            OutputError: It cannot be kept.
        """
        ...
