"""The registry: which plugins are installed, and the record of the one that is asked for.

A plugin that cannot be used never stops the others: it is kept with its error, shown in the listing, and named when
somebody asks for what is not there.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points
from types import ModuleType
from typing import Any, TypeVar, overload

from attrs import field, frozen

from hostcap.errors import PluginConflictError, PluginError, PluginLoadError, UnknownPluginError
from hostcap.plugins._nearest import did_you_mean, suggestion
from hostcap.plugins._offers import offers
from hostcap.plugins.hookspecs import PROJECT
from hostcap.plugins.kinds import KINDS, PluginRecord

RecordT = TypeVar("RecordT", bound=PluginRecord[Any])
NARROW = "HOSTCAP_PLUGINS"
"""Environment variable: entry-point names, comma-separated, that alone are loaded; empty narrows nothing."""


def singular(kind: str) -> str:
    """One of a kind: ``solver`` of ``solvers``."""
    return kind[:-3] + "y" if kind.endswith("ies") else kind[:-1]


_KIND_NAMES: Mapping[str, str] = {name: k.kind for k in KINDS for name in (k.kind, k.table, singular(k.kind))}


def plural(kind: type[PluginRecord[Any]] | str) -> str:
    """A kind's own name from any that people use: ``solvers`` from ``solver``, dashes for underscores, or the class.

    Raises:
        UnknownPluginError: There is no such kind.
    """
    if not isinstance(kind, str):
        return kind.kind
    found = _KIND_NAMES.get(kind.replace("-", "_"))
    if found is None:
        kinds = [k.kind for k in KINDS]
        raise UnknownPluginError(f"no kind named {kind!r}{suggestion(kind, kinds, 'kinds')}")
    return found


@frozen(kw_only=True)
class Listed:
    """One row of the listing of plugins.

    Attributes:
        kind: Such as ``solvers``; empty for an entry point that failed, as nobody knows what it offers.
        name: Name of the plugin, or of the entry point that failed.
        summary: One line.
        distribution: Name and version of the distribution that offers it.
        state: ``ok``, ``failed: ...``, ``conflict with ...``, or the packages that are not installed and the line that
            installs them.
    """

    kind: str
    name: str
    summary: str
    distribution: str
    state: str

    @property
    def can_be_named(self) -> bool:
        """Whether a study file may name it, were its packages there."""
        return not self.state.startswith(("failed: ", "conflict with "))


@frozen(kw_only=True)
class _Source:
    """One plugin: where it is from, and what it offers or why it cannot."""

    label: str
    distribution: str
    records: tuple[PluginRecord[Any], ...] = ()
    error: PluginError | None = None

    @property
    def reason(self) -> str:
        """The error's cause in one line."""
        cause = self.error.__cause__ if self.error else None
        return _one_line(cause or self.error)


_Found = dict[str, list[tuple[_Source, PluginRecord[Any]]]]


def _one_line(error: BaseException | None) -> str:
    text = " ".join(str(error).split())
    return text if isinstance(error, PluginError) else f"{type(error).__name__}: {text}".removesuffix(": ")


def _failed(label: str, distribution: str, error: BaseException, kind: type[PluginError]) -> _Source:
    failure = kind(f"plugin {label!r} of {distribution}: {_one_line(error)}")
    failure.__cause__ = error
    return _Source(label=label, distribution=distribution, error=failure)


def _source(plugin: object, label: str, distribution: str) -> _Source:
    try:
        return _Source(label=label, distribution=distribution, records=offers(plugin))
    except Exception as error:  # whatever an author's code raises is that plugin's failure
        return _failed(label, distribution, error, PluginError)


@frozen
class Registry:
    """The plugins that are installed, or that were handed over.

    Build it with ``from_entry_points`` or ``of``; ``|`` joins two.
    """

    _sources: tuple[_Source, ...] = field(default=())

    @classmethod
    def from_entry_points(cls, group: str = PROJECT) -> Registry:
        """The installed plugins, each entry point loaded by itself.

        The environment variable ``HOSTCAP_PLUGINS`` narrows discovery to the entry points that it names.
        """
        found = sorted(entry_points(group=group), key=lambda point: (_distribution(point), point.name))
        wanted = [name.strip() for name in os.environ.get(NARROW, "").split(",") if name.strip()]
        sources = [_load(point) for point in found if not wanted or point.name in wanted]
        names = {point.name for point in found}
        for name in wanted:
            if name not in names:
                missing = PluginError(f"{NARROW} names it, and no entry point is called so{did_you_mean(name, names)}")
                sources.append(_failed(name, "not installed", missing, PluginLoadError))
        return cls(tuple(sources))

    @classmethod
    def of(cls, *plugins: object, distribution: str = "this program") -> Registry:
        """A registry of these modules or objects with hook implementations; nothing is discovered."""
        return cls(tuple(_source(plugin, _label(plugin), distribution) for plugin in plugins))

    def __or__(self, other: Registry) -> Registry:
        """Both registries' plugins, such as ``default_registry() | Registry.of(mine)``."""
        return Registry(self._sources + other._sources)

    @overload
    def get(self, kind: type[RecordT], name: str) -> RecordT: ...

    @overload
    def get(self, kind: str, name: str) -> PluginRecord[Any]: ...

    def get(self, kind: type[RecordT] | str, name: str) -> RecordT | PluginRecord[Any]:
        """The record of one plugin.

        Args:
            kind: ``solvers``, ``solver`` (dashes will do for underscores), or the class, ``SolverPlugin``.
            name: Name of the plugin.

        Raises:
            UnknownPluginError: No such kind, or no such plugin; chains the failures of plugins that did not load.
            PluginConflictError: Several plugins offer it.
        """
        kinds = plural(kind)
        found = self._found(kinds).get(name, [])
        if len(found) > 1:
            places = " and ".join(f"{source.distribution} ({source.label!r})" for source, _ in found)
            raise PluginConflictError(
                f"{len(found)} plugins offer {singular(kinds)} {name!r}: {places};"
                f" uninstall one, or name the wanted entry points in {NARROW}"
            )
        if not found:
            raise UnknownPluginError(
                f"no {singular(kinds)} named {name!r}{suggestion(name, self.names(kinds), 'installed')}"
                f"{self.failure_note()}"
            ) from self.failure()
        return found[0][1]

    def names(self, kind: type[PluginRecord[Any]] | str) -> tuple[str, ...]:
        """Names of the plugins of a kind, sorted."""
        return tuple(sorted(self._found(plural(kind))))

    def offered(self, kind: type[PluginRecord[Any]] | str) -> tuple[str, ...]:
        """Names of the plugins of a kind, in the order in which their authors list them."""
        return tuple(self._found(plural(kind)))

    def list(self) -> tuple[Listed, ...]:
        """Every plugin, by kind in the order of a study file and by name; then what failed."""
        rows = []
        for kind in KINDS:
            for _, found in sorted(self._found(kind.kind).items()):
                for source, record in found:
                    others = [f"{other.distribution} ({other.label!r})" for other, _ in found if other is not source]
                    rows.append(
                        Listed(
                            kind=kind.kind,
                            name=record.name,
                            summary=record.summary,
                            distribution=source.distribution,
                            state="conflict with " + " and ".join(others) if others else record.lack or "ok",
                        )
                    )
        rows += [
            Listed(kind="", name=s.label, summary="", distribution=s.distribution, state=f"failed: {s.reason}")
            for s in self._sources
            if s.error
        ]
        return tuple(rows)

    def failure(self) -> Exception | None:
        """What kept plugins from loading: one error, a group of them, or None."""
        errors = [source.error for source in self._sources if source.error]
        return errors[0] if len(errors) == 1 else ExceptionGroup("plugins failed to load", errors) if errors else None

    def failure_note(self) -> str:
        """``; failed to load: ...``, or nothing."""
        failed = [f"{s.label} ({s.distribution}): {s.reason}" for s in self._sources if s.error]
        return "; failed to load: " + "; ".join(failed) if failed else ""

    def distribution(self, record: PluginRecord[Any]) -> str:
        """Name and version of the distribution that offers a record."""
        return next(s.distribution for s in self._sources if any(record is r for r in s.records))

    def offered_by_package(self) -> dict[str, str]:
        """Name and version of the distribution by the top-level package that its plugins come from."""
        return {
            str(record.config.__module__).partition(".")[0]: source.distribution
            for source in self._sources
            for record in source.records
        }

    def _found(self, kind: str) -> _Found:
        found: _Found = {}
        for source in self._sources:
            for record in source.records:
                if record.kind == kind:
                    found.setdefault(record.name, []).append((source, record))
        return found


def _distribution(point: EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist else "an unknown distribution"


def _load(point: EntryPoint) -> _Source:
    distribution = _distribution(point)
    try:
        plugin = point.load()
    except (Exception, SystemExit) as error:  # a script without a guard leaves by SystemExit
        return _failed(point.name, distribution, error, PluginLoadError)
    return _source(plugin, point.name, distribution)


def _label(plugin: object) -> str:
    return plugin.__name__ if isinstance(plugin, (ModuleType, type)) else type(plugin).__name__


@functools.cache
def default_registry() -> Registry:
    """The installed plugins, found once for each process."""
    return Registry.from_entry_points()
