"""Debug snapshots of HV locations: whole states of chosen ones, which stream, as a feeder of them may be huge."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
from attrs import field, frozen

from hostcap._arrays import IntArray, ints
from hostcap.errors import ConfigError, StoppedError
from hostcap.findings import Finding, Severity, counted, some
from hostcap.growth import site_name
from hostcap.hv_locations import phase_codes
from hostcap.limits import LimitSet
from hostcap.network import Network
from hostcap.plugins._nearest import did_you_mean
from hostcap.plugins.kinds import Job
from hostcap.search import STATUSES
from hostcap.tables import Chunk, Table, concatenate
from hostcap_stock.headroom.config import HvNodeHeadroomConfig
from hostcap_stock.headroom.debug_schemas import DEBUG_SNAPSHOTS
from hostcap_stock.headroom.feeder_tables import voltage_bounds
from hostcap_stock.headroom.hv_again import Opened, solved_again, states_of, steps_of
from hostcap_stock.headroom.hv_choice import LocationChoice
from hostcap_stock.headroom.hv_least import START, LeastOfSites, SitesSearched
from hostcap_stock.headroom.hv_tables import terminal_name
from hostcap_stock.headroom.labels import Labels
from hostcap_stock.headroom.preparing import instant_words
from hostcap_stock.headroom.run_summary import TRAIL_DIGITS
from hostcap_stock.headroom.snapshot_states import (
    FullState,
    conductor_rows,
    growth_at,
    node_rows,
    snapshot_columns,
)

ROWS_AT_ONCE = 500_000
"""Most rows of nodes and conductors in one chunk, unless one state alone has more: 250 MB with what writers copy."""
LabelsOf = Callable[[SitesSearched], Labels]


@frozen(kw_only=True, eq=False)
class SiteSnapshots:
    """Which locations are kept, of one feeder.

    Attributes:
        locations: Places in the choice, in table order, shape (kept,).
        sites: Their sites, each once, rising.
        left_out: Names of locations that were asked for, and are beyond the bound.
    """

    locations: IntArray = field(converter=ints)
    sites: IntArray = field(converter=ints)
    left_out: tuple[str, ...] = ()

    @classmethod
    def of(cls, config: HvNodeHeadroomConfig, network: Network, choice: LocationChoice) -> SiteSnapshots | None:
        """What a study asks for on a feeder; None where it asks for nothing.

        Raises:
            ConfigError: A pattern matches no location that is searched.
        """
        if not config.debug_snapshots:
            return None
        names = [str(name) for name in network.hv_locations.name[choice.location]]
        lower = [name.lower() for name in names]
        for pattern in config.debug_snapshot_locations:
            if not any(fnmatchcase(name, pattern.lower()) for name in lower):
                raise ConfigError(
                    f"study.debug_snapshot_locations: {pattern!r} matches none of the {len(names)} HV locations "
                    f"searched on feeder {network.feeder!r}, which are {some(names)}{did_you_mean(pattern, names)}"
                )
        asked = [
            place
            for place, name in enumerate(lower)
            if any(fnmatchcase(name, pattern.lower()) for pattern in config.debug_snapshot_locations)
        ]
        first = list(dict.fromkeys(choice.site[asked].tolist()))[: config.debug_snapshot_stops]
        kept = [place for place in asked if choice.site[place] in first]
        left = [place for place in asked if choice.site[place] not in first]
        return cls(
            locations=kept,
            sites=sorted(first),
            left_out=tuple(terminal_name(network, int(choice.location[place])) for place in left),
        )

    def words(self, network: Network) -> str:
        """How much that is at most in a direction: a start, and two states of each site."""
        states = 1 + 2 * self.sites.size
        sites = counted(self.sites.size, "location")
        return f"{states} states of {sites} in each direction, {counted(states * _rows(network), 'row')}"

    def findings(self) -> list[Finding]:
        """That locations beyond the bound are not kept."""
        if not self.left_out:
            return []
        count = len(self.left_out)
        return [
            Finding(
                severity=Severity.INFO,
                code="snapshots-left-out",
                element=some(list(self.left_out)),
                count=count,
                message=f"debug snapshots of {counted(count, 'HV location')} are left out, as "
                "study.debug_snapshot_stops bounds them; raise it, or name the locations wanted in "
                "study.debug_snapshot_locations",
            )
        ]

    def whose(
        self, network: Network, choice: LocationChoice, leasts: Sequence[LeastOfSites], labels_of: LabelsOf
    ) -> Table:
        """``debug_snapshots``: which state is whose, each location at the instant that answers for it."""
        return concatenate(
            [self._whose(network, choice, least, place, labels_of) for least in leasts for place in self._places(least)]
        )

    def _places(self, least: LeastOfSites) -> list[int]:
        """The searches that answer for some kept site."""
        return [int(place) for place in np.unique(least.answering[self.sites])]

    def _whose(
        self, network: Network, choice: LocationChoice, least: LeastOfSites, place: int, labels_of: LabelsOf
    ) -> Table:
        result, labels = least.searches[place].result, labels_of(least.searches[place])
        rows = [
            (int(choice.location[at]), int(choice.site[at]), name, step)
            for at in self.locations.tolist()
            if least.answering[choice.site[at]] == place
            for name, step in steps_of(result, int(choice.site[at])).items()
        ]
        at = np.asarray([location for location, *_ in rows], dtype=np.int32)
        locations = network.hv_locations
        return Table.build(
            DEBUG_SNAPSHOTS,
            {
                **snapshot_columns(labels, len(rows)),
                "capacity_group_head_id": [None] * len(rows),
                "capacity_group_head_type": [None] * len(rows),
                "terminal_sequence_number": [None] * len(rows),
                "snapshot": [name for *_, name, _ in rows],
                "iteration": [step for *_, step in rows],
                "status": [STATUSES[result.status[site]].value for _, site, *_ in rows],
                "location_type": locations.kind[at],
                "terminal_mrid": [terminal_name(network, location) for location in at.tolist()],
                "conducting_equipment_mrid": locations.name[at],
                "phase_code": phase_codes(locations, network.nodes)[at],
                "growth_at": [
                    growth_at(site_name(network, int(choice.first[site])), step) for _, site, _, step in rows
                ],
            },
            labels.metadata,
        )

    def trails(self, network: Network, choice: LocationChoice, leasts: Sequence[LeastOfSites]) -> list[dict[str, Any]]:
        """For the run's summary: the smallest margin at each step of each kept location, at its instant."""
        locations = network.hv_locations
        return [
            {
                "direction": searched.direction.value,
                "location_type": str(locations.kind[choice.location[at]]),
                "terminal_mrid": terminal_name(network, int(choice.location[at])),
                "instant": instant_words(searched.instant),
                "margin": [
                    value if abs(value) < 1e300 else None
                    for value in searched.result.trails[site].round(TRAIL_DIGITS).tolist()
                ],
            }
            for least in leasts
            for at, site in zip(self.locations.tolist(), choice.site[self.locations].tolist(), strict=True)
            for searched in [least.searches[int(least.answering[site])]]
        ]

    def chunks(
        self,
        job: Job,
        choice: LocationChoice,
        limits: LimitSet,
        leasts: Sequence[LeastOfSites],
        labels_of: LabelsOf,
        opened: Opened,
    ) -> Iterator[Chunk]:
        """``debug_nodes`` and ``debug_conductors`` of the kept states, each state once, solved again as they are asked.

        Args:
            job: The feeder; told of each search.
            choice: The locations that were searched.
            limits: What is watched.
            leasts: What was found, direction by direction.
            labels_of: Labels of a search.
            opened: Opens the plan of a search again.

        Raises:
            StoppedError: ``should_stop`` said so.
        """
        network, number = job.network, 0
        bounds = voltage_bounds(network, limits)
        most = max(ROWS_AT_ONCE // _rows(network), 1)
        for least in leasts:
            for place in self._places(least):
                labels = labels_of(least.searches[place])
                own = np.intersect1d(self.sites, np.flatnonzero(least.answering == place))
                wanted = states_of(least.searches[place].result, own)
                with opened(least, place) as plan:
                    for first in range(0, len(wanted), most):
                        job.progress("keeping debug snapshots", first, len(wanted))
                        if job.should_stop():
                            raise StoppedError(f"feeder {job.scope.feeder!r}: stopped while keeping debug snapshots")
                        number += 1
                        parts = []
                        for state, solved in solved_again(plan, wanted[first : first + most], choice.first.size):
                            if solved is None:
                                raise AssertionError(
                                    "a state that the search solved does not solve again: the plan is not deterministic"
                                )
                            whole = FullState(node_v=solved.node_v, conductor_a=solved.conductor_a)
                            site = 0 if state.site == START else state.site
                            where = growth_at(site_name(network, int(choice.first[site])), state.step)
                            each = (network, labels, where, state.step, whole)
                            parts.append((node_rows(*each, bounds), conductor_rows(*each)))
                        yield Chunk(
                            scenario=job.scope.scenario,
                            year=job.scope.year,
                            feeder=job.scope.feeder,
                            part=f"snapshots-{number}",
                            passing=True,
                            tables=tuple(concatenate(tables) for tables in zip(*parts, strict=True)),
                        )


def _rows(network: Network) -> int:
    """Rows of one state."""
    return int(network.nodes.bus.size + network.conductors.node.size)
