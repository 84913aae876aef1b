"""The net import of a feeder over a long window, by sums: the same as of readings that are held whole."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from hostcap._arrays import BoolArray, FloatArray, IntArray, sums
from hostcap.network import Network
from hostcap.profiles import InstantArray, Window, as_us
from hostcap_stock.profiles.config import ReadingsConfig
from hostcap_stock.profiles.files import TimedFile
from hostcap_stock.profiles.owners import Owners
from hostcap_stock.profiles.readings import instants_of
from hostcap_stock.profiles.rules import Asking, kept_of, look_back, refuse_gaps, refuse_stale, rules_of, to_read
from hostcap_stock.profiles.summing import Summed
from hostcap_stock.profiles.tally import Tally


def net_of(
    config: ReadingsConfig,
    network: Network,
    owners: Owners,
    files: Sequence[TimedFile],
    window: Window,
    asking: Asking,
) -> tuple[InstantArray, FloatArray, Tally]:
    """The net import at each instant that is kept, kW, and the tally.

    Raises:
        ProfileError: Readings are missing or break a rule, and no setting says what to do.
    """
    read = to_read(config, window)
    instant = instants_of(read, config.interval_minutes, "profiles.readings")
    first = int(np.searchsorted(instant.astype(np.int64), as_us(window.start), side="right"))
    share, model = _shares(network, owners)
    summed = Summed(config=config, instant=instant, ids=owners.ids, first=first, share=share)
    summed.sum(files, read)
    by_instant, by_id = _counts(summed, first)
    empty = by_instant[first:] == 0
    kept = first + kept_of(config, instant[first:], empty, asking.extent)
    rule = rules_of(config, len(owners.ids) + 1, asking.known)
    gaps = (kept.size - by_id).astype(np.int32)
    there = _Gaps(summed=summed, kept=kept, gaps=gaps, rule=np.asarray(rule))
    refused = np.where(asking.needed & (there.rule == "refuse"), gaps, 0)
    if refused.any():
        gap = int(there.of(int(np.argmax(refused > 0)))[0])
        refuse_gaps(config, refused, kept.size, instant[gap], asking.followers)
    for place in there.by_rule("as-modelled"):
        summed.net[there.of(place)] += model[place]
    stood_in = np.zeros(gaps.size)
    stale_at = instant[:0]
    most, stale = look_back(config), list[int]()
    wanted = np.zeros_like(summed.present)
    gapped = [place for place in there.by_rule("previous") if asking.needed[place]]
    for place in gapped:
        at, source = there.before(place)
        old = (source < 0) | (at - source > most)
        if old.any():
            stale_at = instant[at[old]] if not stale else stale_at
            stale.append(place)
        else:
            np.bitwise_or.at(wanted[place], source >> 3, (1 << (source & 7)).astype(np.uint8))
    if stale:
        refuse_stale(stale, stale_at[0], asking.followers)
    if gapped:
        found = summed.picked(files, read, wanted)
        power = found.power()
        for place in gapped:
            at, source = there.before(place)
            imported, exported = power[:, np.searchsorted(found.cell, place * instant.size + source)]
            summed.net[at] += imported * share[0, place] - exported * share[1, place]
            stood_in[place] = float((imported + exported).sum())
    tally = Tally(
        window=instant[first:],
        left_out=instant[first:][empty] if config.missing_instants == "leave-out" else instant[:0],
        read_from=instant[0],
        dropped=(summed.count_twice, summed.dropped_kw / instant.size if summed.count_twice else 0.0),
        unknown=summed.mean_of_unknown(),
        without=summed.without,
        rule=rule,
        gaps=gaps,
        stood_in_kw=stood_in,
        import_kw=np.append(summed.read[0], 0.0),
        export_kw=np.append(summed.read[1], 0.0),
    )
    return instant[kept], summed.net[kept], tally


@frozen(kw_only=True, eq=False)
class _Gaps:
    """Where ids have no reading, of the instants that are kept."""

    summed: Summed
    kept: NDArray[np.int64]
    gaps: IntArray
    rule: NDArray[np.str_]

    def by_rule(self, rule: str) -> Iterator[int]:
        """Ids with gaps for which a rule stands in."""
        return iter(np.flatnonzero((self.gaps > 0) & (self.rule == rule)).tolist())

    def of(self, place: int) -> NDArray[np.int64]:
        """Instants at which an id has no reading."""
        return self.kept[~self._there(place)[self.kept]]

    def before(self, place: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The same, and the instant of the last reading before each; negative where there is none."""
        there, at = self._there(place), self.of(place)
        last = np.maximum.accumulate(np.where(there, np.arange(there.size), -1))
        return at, last[at]

    def _there(self, place: int) -> BoolArray:
        if place == len(self.summed.ids):
            return np.zeros(self.summed.instant.size, dtype=np.bool_)
        return self.summed.there(place)


def _shares(network: Network, owners: Owners) -> tuple[FloatArray, FloatArray]:
    """Parts of each id's import and export in the feeder, shape (2, id); and the model's own net, shape (id + 1,)."""
    of, ids = owners.reading[owners.of], len(owners.ids)
    model = network.injectors.load_kw - network.injectors.generation_kw
    consuming, generating, net = (sums(of, part, ids + 1) for part in (owners.consuming, owners.generating, model))
    return np.stack([consuming[:ids], generating[:ids]]), net


def _counts(summed: Summed, first: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """How many ids have a reading at each instant, and at how many instants of the window each id has one."""
    by_instant = np.zeros(summed.instant.size, dtype=np.int64)
    by_id = np.zeros(len(summed.ids) + 1, dtype=np.int64)
    for place in range(len(summed.ids)):
        there = summed.there(place)
        by_instant += there
        by_id[place] = np.count_nonzero(there[first:])
    return by_instant, by_id
