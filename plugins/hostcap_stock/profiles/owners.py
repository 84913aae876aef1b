"""Whose readings an injector follows, and which part of them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
from attrs import frozen

from hostcap._arrays import BoolArray, FloatArray, IntArray
from hostcap.errors import ProfileError
from hostcap.network import Network
from hostcap.operating_point import customer_shares
from hostcap.plugins._nearest import did_you_mean


@frozen(kw_only=True, eq=False)
class Owners:
    """Customers, and injectors that belong to none (all at HV), which have readings under their own names.

    Attributes:
        name: Of each owner: the customers, then the names of injectors without one, shape (owner,).
        live: Whether anything of it is reached from a source, shape (owner,).
        has_load: Whether it has a load that can import, shape (owner,).
        reading: Place of its readings in ``ids``, shape (owner,); the last place, beyond them, has none.
        ids: Names of readings, each once.
        of: Owner of each injector, shape (injector,).
        consuming, generating: Part of its owner's import and export that an injector has, shape (injector,).
    """

    name: tuple[str, ...]
    live: BoolArray
    has_load: BoolArray
    reading: IntArray
    ids: tuple[str, ...]
    of: IntArray
    consuming: FloatArray
    generating: FloatArray


def owners_of(network: Network, customer_id: str | None) -> Owners:
    """The owners of a feeder.

    Args:
        network: The feeder.
        customer_id: Column of the customer table that names readings; None for the customers' own ids.

    Raises:
        ProfileError: There is no such column, or an HV element has a customer's name.
    """
    injectors, customers = network.injectors, network.customers
    count = customers.id.size
    of = np.full(injectors.name.size, -1, dtype=np.int32)
    of[customers.element] = customers.of_element
    names = [str(name) for name in customers.id]
    taken = {name.casefold() for name in names}
    own: dict[str, int] = {}
    for place in np.flatnonzero(of < 0):
        name = str(injectors.name[place])
        if name.casefold() in taken:
            raise ProfileError(
                f"profiles.readings: {injectors.kind[place]} {name!r} at HV has the name of a customer, so that "
                "readings would be of both; rename one"
            )
        of[place] = own.setdefault(name.casefold(), count + len(own))
        if of[place] == len(names):
            names.append(name)
    is_load = injectors.kind == "load"
    has_load = np.bincount(of, weights=is_load, minlength=len(names)) > 0
    consuming, generating = customer_shares(network)
    generating = np.where((of >= count) & ~has_load[of], 1.0, generating)
    live = np.concatenate([customers.live, np.ones(len(names) - count, dtype=bool)])
    wanted = [*_reading_ids(network, customer_id), *names[count:]]
    places: dict[str, int] = {}
    for each in wanted:
        if each:
            places.setdefault(each.casefold(), len(places))
    ids: dict[int, str] = {}
    for each in wanted:
        if each:
            ids.setdefault(places[each.casefold()], each)
    reading = [places[each.casefold()] if each else len(places) for each in wanted]
    return Owners(
        name=tuple(names),
        live=live,
        has_load=has_load,
        reading=np.asarray(reading, dtype=np.int32),
        ids=tuple(ids[place] for place in range(len(places))),
        of=of,
        consuming=consuming,
        generating=generating,
    )


def _reading_ids(network: Network, column: str | None) -> Iterable[str]:
    customers = network.customers
    if column is None:
        return [str(name) for name in customers.id]
    if column not in customers.columns:
        known = list(customers.columns)
        hint = did_you_mean(column, known) or f"; it has {', '.join(known) or 'no further columns'}"
        raise ProfileError(
            f"profiles.readings.customer_id: the customer table has no column {column!r}{hint}; see network.customers"
        )
    return [_text(value) for value in customers.columns[column].tolist()]


def _text(value: Any) -> str:
    """A name of readings as text: a number without its .0, nothing for an empty cell."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value).strip()
