"""Findings about the answer of an HV node headroom search."""

from __future__ import annotations

import numpy as np

from hostcap._arrays import BoolArray
from hostcap.findings import Finding, Severity, counted, some
from hostcap.growth import site_name
from hostcap.limits import LimitSet
from hostcap.network import Network
from hostcap.search import STATUSES, Status
from hostcap_stock.headroom.findings import start_findings
from hostcap_stock.headroom.hv_choice import LocationChoice
from hostcap_stock.headroom.hv_least import START, LeastOfSites


def site_findings(
    network: Network, choice: LocationChoice, limits: LimitSet, least: LeastOfSites, place: int
) -> list[Finding]:
    """A broken start, near-ties, and states without a solution, of the sites that one search answers for."""
    result, own = least.searches[place].result, least.answering == place
    start = least.violations.get((place, START))
    found = start_findings(limits, start) if start is not None else []
    ties, names = _locations(network, choice, result.near_tie & own)
    if ties:
        found.append(
            Finding(
                severity=Severity.INFO,
                code="near-tie",
                element=names,
                count=ties,
                message=f"{counted(ties, 'HV location')} decided by a value within 1e-5 of its limit; another solver "
                "or tolerance may give one step more or less",
            )
        )
    unsolved, names = _locations(network, choice, (result.status == STATUSES.index(Status.DIVERGED)) & own)
    if unsolved:
        found.append(
            Finding(
                severity=Severity.WARNING,
                code="diverged",
                element=names,
                count=unsolved,
                message=f"{counted(unsolved, 'HV location')} ended by a step that has no solution within the solver's "
                "iterations; if a limit should have broken first, raise solver.max_iterations",
            )
        )
    return [*found, *_regulators(network, choice, least, place)]


def _regulators(network: Network, choice: LocationChoice, least: LeastOfSites, place: int) -> list[Finding]:
    """Regulators, frozen at the start, that would have acted with some location at its headroom."""
    beyond = {site: volts for (of, site), volts in least.out_of_band.items() if of == place}
    if not beyond:
        return []
    site, volts = max(beyond.items(), key=lambda item: float(item[1].max()))
    worst = int(np.argmax(volts))
    names = network.regulators.name[np.any(np.stack(list(beyond.values())) > 0, axis=0)]
    count = int(np.isin(choice.site, list(beyond)).sum())
    return [
        Finding(
            severity=Severity.WARNING,
            code="regulator-outside-band",
            element=some([str(name) for name in names]),
            count=int(names.size),
            message=f"{counted(count, 'HV location')}, each at its own headroom, put "
            f"{counted(names.size, 'regulator')} out of band, worst {network.regulators.name[worst]} by "
            f"{volts[worst]:.2f} V with growth at {site_name(network, int(choice.first[site]))}; taps were frozen at "
            "the start, in service they would move",
        )
    ]


def _locations(network: Network, choice: LocationChoice, sites: BoolArray) -> tuple[int, str]:
    """How many locations are at some sites, and the first of the sites."""
    chosen = np.flatnonzero(sites)
    names = [site_name(network, int(choice.first[site])) for site in chosen]
    return int(np.isin(choice.site, chosen).sum()), some(names)
