"""Which HV locations a study asks, and what is said about those that it cannot ask."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from attrs import field, frozen

from hostcap._arrays import BoolArray, IntArray, ints
from hostcap.errors import ModelError
from hostcap.findings import Finding, Severity, some
from hostcap.hv_locations import LOCATION_KINDS, location_sites
from hostcap.limits import LimitSet
from hostcap.network import HvLocations, Network
from hostcap.plugins._nearest import did_you_mean


@frozen(kw_only=True, eq=False)
class LocationChoice:
    """The locations to ask.

    Attributes:
        location: Index of each into ``Network.hv_locations``, in the order of the table, shape (chosen,).
        site: Site of each: those of equal bus and phases are solved once, shape (chosen,).
        first: First location of each site, shape (site,).
        findings: What could not be asked.
    """

    location: IntArray = field(converter=ints)
    site: IntArray = field(converter=ints)
    first: IntArray = field(converter=ints)
    findings: tuple[Finding, ...] = ()


@frozen(kw_only=True, eq=False)
class PreparedSites:
    """A feeder made ready to search site by site.

    Attributes:
        choice: What is asked.
        limits: What is watched.
    """

    choice: LocationChoice
    limits: LimitSet
    alone: ClassVar[bool] = True
    """One site grows in a state."""

    @property
    def open_groups(self) -> BoolArray:
        """Sites that may grow, which is all of them, shape (site,)."""
        return np.ones(self.choice.first.size, dtype=bool)


def choose_locations(network: Network, kinds: Sequence[str], patterns: Sequence[str] | None) -> LocationChoice:
    """Choose live locations by kind and name.

    Args:
        network: The feeder.
        kinds: Kinds to ask.
        patterns: Names of equipment to ask, with ``*``, ``?`` and ``[...]``, whatever their case; None for every one.

    Raises:
        ModelError: There is no such location on the feeder, or all are dead.
    """
    found = network.hv_locations
    of_kind = np.isin(found.kind, list(kinds))
    if not np.any(of_kind):
        raise ModelError(
            f"study.location_kinds: feeder {network.feeder!r} has no HV location of {_listed(kinds)}; "
            f"it has {_counts(found)}"
        )
    findings = [_none_of_kind(kind, found) for kind in kinds if kind not in set(found.kind)]
    named = of_kind if patterns is None else of_kind & _matching(network.feeder, found, of_kind, patterns, findings)
    live = found.live
    dead = named & ~live
    if not np.any(named & live):
        raise ModelError(
            f"feeder {network.feeder!r}: no source reaches any of the {int(dead.sum())} HV locations asked: "
            f"{some(_names(found, dead))}; close or complete what should feed them"
        )
    if np.any(dead):
        findings.append(
            Finding(
                severity=Severity.WARNING,
                code="dead-locations",
                element=some(_names(found, dead)),
                count=int(dead.sum()),
                message=f"{int(dead.sum())} HV locations are joined to no source and have no row; close or complete "
                "what should feed them",
            )
        )
    partly = named & live & (found.dead_phases != "")
    if np.any(partly):
        findings.append(
            Finding(
                severity=Severity.WARNING,
                code="locations-on-missing-phases",
                element=some(_names(found, partly)),
                count=int(partly.sum()),
                message=f"no source reaches some phase of {int(partly.sum())} HV locations; they grow on their live "
                "phases alone; connect the others",
            )
        )
    chosen = np.flatnonzero(named & live).astype(np.int32)
    site, first = location_sites(found, chosen)
    return LocationChoice(location=chosen, site=site, first=first, findings=tuple(findings))


def _matching(
    feeder: str, found: HvLocations, of_kind: BoolArray, patterns: Sequence[str], findings: list[Finding]
) -> BoolArray:
    """Locations that some pattern matches; a pattern that matches none of the kinds is told."""
    lower = [str(name).lower() for name in found.name]
    match = {
        pattern: np.asarray([fnmatch.fnmatchcase(name, pattern.lower()) for name in lower]) & of_kind
        for pattern in patterns
    }
    idle = [pattern for pattern, hit in match.items() if not np.any(hit)]
    names = [str(name) for name in found.name[of_kind]]
    if len(idle) == len(match):
        raise ModelError(
            f"study.location_names: {_listed(idle)} matches none of the {int(of_kind.sum())} HV locations asked of "
            f"feeder {feeder!r}, which are {some(names)}{did_you_mean(idle[0], names)}"
        )
    if idle:
        findings.append(
            Finding(
                severity=Severity.WARNING,
                code="location-names-without-match",
                element=some(idle),
                count=len(idle),
                message=f"study.location_names: {_listed(idle)} matches no HV location of the kinds asked"
                f"{did_you_mean(idle[0], names)}",
            )
        )
    return np.asarray(np.logical_or.reduce(list(match.values())))


def _none_of_kind(kind: str, found: HvLocations) -> Finding:
    return Finding(
        severity=Severity.INFO,
        code="no-location-of-kind",
        element=kind,
        count=0,
        message=f"the feeder has no HV location of kind {kind}; it has {_counts(found)}",
    )


def _counts(found: HvLocations) -> str:
    kinds = found.kind.tolist()
    return ", ".join(f"{kinds.count(kind)} {kind}" for kind in LOCATION_KINDS)


def _listed(words: Sequence[str]) -> str:
    return ", ".join(repr(word) for word in words)


def _names(found: HvLocations, which: BoolArray) -> list[str]:
    return [f"{name} ({kind})" for name, kind in zip(found.name[which], found.kind[which], strict=True)]
