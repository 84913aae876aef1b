"""Packages that a plugin needs beyond those that come with its distribution: an extra, and how to install it."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

import attrs
from attrs import field, frozen

from hostcap.errors import MissingPackageError


def _names(instance: Any, attribute: attrs.Attribute[tuple[str, ...]], value: tuple[str, ...]) -> None:
    if (
        not isinstance(value, tuple)
        or not value
        or not all(isinstance(name, str) and name.isidentifier() for name in value)
    ):
        raise ValueError(f"modules: expected the names that are imported, such as ('pandapower',), got {value!r}")


@frozen(kw_only=True)
class Extra:
    """What a plugin's objects import and pip does not install unasked.

    A record that states one is listed all the same, and whoever names the plugin is told how to install it.

    Attributes:
        modules: What is imported, such as ``("pandapower",)``; top-level names.
        install: What pip is given, such as ``hostcap[pandapower]``.
    """

    modules: tuple[str, ...] = field(validator=_names)
    install: str

    @property
    def missing(self) -> tuple[str, ...]:
        """Those of the modules that are not installed; none of them is imported to find out."""
        return tuple(name for name in self.modules if not _installed(name))

    @property
    def how_to_install(self) -> str:
        """What to type."""
        return f"pip install '{self.install}'"

    @property
    def lack(self) -> str:
        """What is not installed and how to install it, in one line; empty where all is there."""
        names = [name.replace("_", "-") for name in self.missing]
        if not names:
            return ""
        what = f"the package {names[0]} is" if len(names) == 1 else f"the packages {', '.join(names)} are"
        return f"{what} not installed; {self.how_to_install}"

    def require(self, *who: str) -> None:
        """Say how to install what is missing.

        Args:
            who: Who needs it, such as ``solver 'pandapower'``.

        Raises:
            MissingPackageError: A package is not installed.
        """
        if self.lack:
            raise MissingPackageError(f"{', '.join(who)}: {self.lack}")


def require_all(wanted: Sequence[tuple[str, Extra | None]]) -> None:
    """Say everything that is missing in one line: who needs it, and how to install it.

    Args:
        wanted: Who, such as ``network 'pandapower'``, and the extra of the plugin.

    Raises:
        MissingPackageError: A package is not installed.
    """
    lacks: dict[str, list[str]] = {}
    for who, extra in wanted:
        if extra is not None and extra.lack:
            lacks.setdefault(extra.lack, []).append(who)
    if lacks:
        raise MissingPackageError("; ".join(f"{', '.join(who)}: {lack}" for lack, who in lacks.items()))


def _installed(module: str) -> bool:
    try:
        found = find_spec(module)
    except ValueError:  # a module that was put together by hand
        return True
    # A folder of that name somewhere on the path is no package.
    return found is not None and found.origin is not None
