"""Customers without readings follow a meter of a pool, drawn at random by a seed.

The draw is a hash and no stream of random numbers, so that it hangs on names alone, and is the same on every machine.
A customer follows the meter of the greatest weight, and the weight of a pair is ``mix(hash(seed, feeder, customer) xor
hash(meter))`` (rendezvous hashing). The hash is BLAKE2b of eight bytes, ``mix`` the finaliser of SplitMix64. Order does
not matter; a customer that comes or goes moves no other; a meter that comes moves those alone that now follow it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import blake2b

import attrs
import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from hostcap._arrays import IntArray
from hostcap.errors import ProfileError
from hostcap_stock.profiles.owners import Owners

_AT_ONCE = 1_000_000
"""Pairs of customer and meter weighed in one array."""


@frozen(kw_only=True, eq=False)
class Drawn:
    """Who follows a meter of a pool.

    Attributes:
        owner: Places of the owners, shape (drawn,).
        meters: How many the pool has.
    """

    owner: IntArray
    meters: int


def draw(customers: Iterable[str], meters: Iterable[str], *, seed: int, feeder: str) -> dict[str, str]:
    """The meter that each customer follows; several may follow one.

    Upper and lower case are one, as everywhere in readings. The order of either list does not matter.

    Args:
        customers: Ids of customers.
        meters: Names of the meters of the pool, at least one.
        seed: Any whole number; another one is another draw.
        feeder: Name of the feeder, so that ``load1`` of one does not follow the meter of ``load1`` of another.

    Returns:
        Name of a meter by id of a customer, both as given.
    """
    by_name = {meter.casefold(): meter for meter in meters}
    names = sorted(by_name)
    own, drawn = list(customers), list[str]()
    pool = _hashes(names)
    rows = max(1, _AT_ONCE // len(names))
    for first in range(0, len(own), rows):
        whose = _hashes([f"{seed}\0{feeder.casefold()}\0{each.casefold()}" for each in own[first : first + rows]])
        greatest = np.argmax(_mixed(whose[:, None] ^ pool), axis=1)
        drawn += [by_name[names[int(place)]] for place in greatest]
    return dict(zip(own, drawn, strict=True))


def follow_pool(owners: Owners, customers: int, feeder: str, named: Iterable[str], seed: int) -> tuple[Owners, Drawn]:
    """Owners of whom those without readings follow the pool: the meters of a table that are nobody's own.

    An HV element, a customer without a load, and one on a dead node draw none.

    Args:
        owners: As the table names them.
        customers: How many of them are customers; they come first.
        feeder: The feeder's name.
        named: Every name in the table, in folded case.
        seed: Of the draw.

    Raises:
        ProfileError: Somebody has to draw, and every meter is somebody's own.
    """
    there = set(named)
    own = {each.casefold() for each in owners.ids}
    has_own = np.asarray([*(each.casefold() in there for each in owners.ids), False])[owners.reading]
    draws = ~has_own & owners.live & owners.has_load
    draws[customers:] = False
    who = np.flatnonzero(draws).astype(np.int32)
    meters = sorted(there - own)
    if who.size and not meters:
        raise ProfileError(
            f'profiles.readings: missing_customers = "from-pool" needs readings that are nobody\'s own, and each of '
            f"{len(there)} in the table is that of a customer of the feeder; add a file with a pool to `files`"
        )
    if not who.size:
        return owners, Drawn(owner=who, meters=len(meters))
    found = draw([owners.name[place] for place in who], meters, seed=seed, feeder=feeder)
    return _with(owners, who, list(found.values())), Drawn(owner=who, meters=len(meters))


def _with(owners: Owners, who: IntArray, meters: Sequence[str]) -> Owners:
    """Owners of whom some follow other ids; an id that nobody follows any more is gone."""
    none = len(owners.ids)
    wanted: list[str | None] = [None if place == none else owners.ids[place] for place in owners.reading]
    for place, meter in zip(who, meters, strict=True):
        wanted[place] = meter
    places: dict[str, int] = {}
    for each in wanted:
        if each is not None:
            places.setdefault(each, len(places))
    reading = [len(places) if each is None else places[each] for each in wanted]
    return attrs.evolve(owners, ids=tuple(places), reading=np.asarray(reading, dtype=np.int32))


def _hashes(texts: Iterable[str]) -> NDArray[np.uint64]:
    digests = (blake2b(text.encode(), digest_size=8).digest() for text in texts)
    return np.fromiter((int.from_bytes(digest, "big") for digest in digests), dtype=np.uint64)


def _mixed(bits: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The finaliser of SplitMix64 (Steele, Lea and Flood 2014), modulo 2**64 as unsigned arrays are."""
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        bits = (bits ^ (bits >> np.uint64(shift))) * np.uint64(factor)
    return bits ^ (bits >> np.uint64(31))
