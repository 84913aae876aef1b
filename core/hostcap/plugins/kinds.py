"""The kinds of plugins: the records that hooks return; the protocols of the objects they make are had here, too.

A record is a module constant of the plugin's package, so that type checkers compare ``make`` with ``config``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

import attrs
from attrs import field, frozen

from hostcap.plugins.extras import Extra
from hostcap.plugins.parts import (
    Allocation,
    BareJob,
    Constraint,
    ContainableSource,
    Flows,
    InitialState,
    Injection,
    Job,
    Moment,
    NetworkFlows,
    NetworkSource,
    Preview,
    Profiles,
    Progress,
    ReadsItself,
    RunWriter,
    SeveralInstants,
    Study,
    SummingProfiles,
    Tracer,
    Writer,
)

if TYPE_CHECKING:
    from hostcap.power_flow import FrozenNetwork, Settling, Solver  # noqa: F401 - named in a string below
    from hostcap.report import Report
    from hostcap.tables import Results, Table, TableSchema

__all__ = [
    "KEBAB",
    "KINDS",
    "REPEATED",
    "Allocation",
    "AllocationPlugin",
    "BareJob",
    "Constraint",
    "ConstraintPlugin",
    "ContainableSource",
    "Extra",
    "Flows",
    "FlowsPlugin",
    "InitialState",
    "InitialStatePlugin",
    "Injection",
    "InjectionPlugin",
    "Job",
    "Moment",
    "NetworkFlows",
    "NetworkPlugin",
    "NetworkSource",
    "PluginRecord",
    "Preview",
    "Profiles",
    "ProfilesPlugin",
    "Progress",
    "ReadsItself",
    "RunWriter",
    "SeveralInstants",
    "SolverPlugin",
    "Study",
    "StudyPlugin",
    "SummingProfiles",
    "Takes",
    "Tracer",
    "TracerPlugin",
    "Writer",
    "WriterPlugin",
]
ConfigT = TypeVar("ConfigT")
ObjectT = TypeVar("ObjectT")
KEBAB = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
"""What the name of a plugin looks like."""


def _kebab(instance: Any, attribute: attrs.Attribute[str], value: str) -> None:
    if not KEBAB.fullmatch(value):
        raise ValueError(f"plugin name {value!r} must be kebab-case, such as 'peak-import'")


def _attrs_class(instance: Any, attribute: attrs.Attribute[type], value: type) -> None:
    if not (isinstance(value, type) and attrs.has(value)):
        raise ValueError(f"config of plugin {instance.name!r} must be an attrs class, not {value!r}")


@frozen(kw_only=True)
class PluginRecord(Generic[ConfigT]):
    """What every plugin record says.

    Attributes:
        kind: Hook name without ``hostcap_``, such as ``solvers``.
        table: The table of a study file that picks it, such as ``solver``.
        name: kebab-case, unique among the installed plugins of the kind.
        summary: One line for listings.
        config: Frozen attrs class of its settings; each field carries ``doc`` and ``unit`` in its metadata.
        capabilities: What the objects it makes offer or need.
        extra: Packages that they import and that do not come with the distribution; None where there are none.
    """

    kind: ClassVar[str]
    table: ClassVar[str]
    name: str = field(validator=_kebab)
    summary: str
    config: type[ConfigT] = field(validator=_attrs_class)
    capabilities: frozenset[str] = frozenset()
    extra: Extra | None = None

    @property
    def lack(self) -> str:
        """What of its extra is not installed and how to install it, in one line; empty where nothing is missing."""
        return self.extra.lack if self.extra is not None else ""


@frozen(kw_only=True)
class _SimplePlugin(PluginRecord[ConfigT], Generic[ConfigT, ObjectT]):
    make: Callable[[ConfigT], ObjectT]


@frozen(kw_only=True)
class NetworkPlugin(_SimplePlugin[ConfigT, "NetworkSource"]):
    """Offers a network source; ``capabilities``: what its frozen networks can be asked for."""

    kind: ClassVar[str] = "networks"
    table: ClassVar[str] = "network"


@frozen(kw_only=True)
class ProfilesPlugin(_SimplePlugin[ConfigT, "Profiles"]):
    """Offers profiles: what customers do, and what named series say, over time."""

    kind: ClassVar[str] = "profiles"
    table: ClassVar[str] = "profiles"


@frozen(kw_only=True)
class InitialStatePlugin(_SimplePlugin[ConfigT, "InitialState"]):
    """Offers an initial state; ``capabilities``: ``profiles`` where it cannot do without them."""

    kind: ClassVar[str] = "initial_states"
    table: ClassVar[str] = "initial_state"


@frozen(kw_only=True)
class InjectionPlugin(_SimplePlugin[ConfigT, "Injection"]):
    """Offers an injection; ``capabilities``: ``profiles`` where it cannot do without them."""

    kind: ClassVar[str] = "injections"
    table: ClassVar[str] = "injection"


@frozen(kw_only=True)
class AllocationPlugin(_SimplePlugin[ConfigT, "Allocation"]):
    """Offers an allocation."""

    kind: ClassVar[str] = "allocations"
    table: ClassVar[str] = "allocation"


@frozen(kw_only=True)
class ConstraintPlugin(_SimplePlugin[ConfigT, "Constraint"]):
    """Offers a constraint; a study file may give several, in ``[[constraints]]``."""

    kind: ClassVar[str] = "constraints"
    table: ClassVar[str] = "constraints"


@frozen(kw_only=True)
class SolverPlugin(_SimplePlugin[ConfigT, "Solver"]):
    """Offers a solver; ``capabilities``: what it asks a frozen network for."""

    kind: ClassVar[str] = "solvers"
    table: ClassVar[str] = "solver"


@frozen(kw_only=True)
class FlowsPlugin(_SimplePlugin[ConfigT, "Flows | NetworkFlows"]):
    """Offers flows; the capability ``network`` says that they are made of the study's network.

    Attributes:
        place: Key of its settings that holds the folder or file which ``hostcap trace --source`` is given.
    """

    kind: ClassVar[str] = "flows"
    table: ClassVar[str] = "flows"
    place: str = ""


@frozen(kw_only=True)
class TracerPlugin(_SimplePlugin[ConfigT, "Tracer"]):
    """Offers a tracer."""

    kind: ClassVar[str] = "tracers"
    table: ClassVar[str] = "tracer"


@frozen(kw_only=True)
class WriterPlugin(_SimplePlugin[ConfigT, "Writer"]):
    """Offers a writer; a study file may give several, in ``[[writers]]``."""

    kind: ClassVar[str] = "writers"
    table: ClassVar[str] = "writers"


@frozen(kw_only=True)
class Takes:
    """How a study takes a part.

    Attributes:
        required: The study file must name one.
        default: Plugin used where the file names none.
    """

    required: bool = False
    default: str | None = None


@frozen(kw_only=True)
class StudyPlugin(PluginRecord[ConfigT]):
    """Offers a study.

    Attributes:
        parts: Tables of a study file that the study takes, and how; others are refused.
        make: Builds the study from its config and its parts: objects by table name, ``constraints`` a tuple.
        tables: Schemas of every table that it may make, for writers that keep a chosen few; ``findings`` is always one.
        summarise: Tables of a run as a person wants to read them after it; None prints nothing.
        report: What there is to see of a run, for ``hostcap plot``; it leaves out what the run's tables do not hold.
            None has no pictures.
    """

    kind: ClassVar[str] = "studies"
    table: ClassVar[str] = "study"
    parts: Mapping[str, Takes]
    make: Callable[[ConfigT, Mapping[str, Any]], Study]
    tables: tuple[TableSchema, ...] = ()
    summarise: Callable[[Results], Sequence[Table]] | None = None
    report: Callable[[Results], Report] | None = None


KINDS: tuple[type[PluginRecord[Any]], ...] = (
    NetworkPlugin,
    ProfilesPlugin,
    StudyPlugin,
    InitialStatePlugin,
    InjectionPlugin,
    AllocationPlugin,
    ConstraintPlugin,
    SolverPlugin,
    FlowsPlugin,
    TracerPlugin,
    WriterPlugin,
)
"""Every kind, in the order of a study file."""
REPEATED = frozenset({"constraints", "writers"})
"""Tables that a study file may give several times."""
