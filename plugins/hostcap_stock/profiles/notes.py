"""Findings about readings: what was filled, left out or twice, with count and mean kW over the window."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from hostcap._arrays import FloatArray
from hostcap.findings import Finding, Severity, some
from hostcap.network import Network
from hostcap.profiles import InstantArray, as_datetime
from hostcap_stock.profiles.config import ReadingsConfig
from hostcap_stock.profiles.owners import Owners
from hostcap_stock.profiles.pool import Drawn
from hostcap_stock.profiles.readings import Readings
from hostcap_stock.profiles.rules import Filled

_WORDS = {"zero": "0 stands in", "previous": "the last reading before it stands in", "as-modelled": "the model's own"}


def noted(
    config: ReadingsConfig,
    network: Network,
    owners: Owners,
    drawn: Drawn | None,
    raw: Readings,
    filled: Filled,
    imported: FloatArray,
    exported: FloatArray,
) -> tuple[Finding, ...]:
    """All of them.

    Args:
        config: The rules.
        network: The feeder.
        owners: Whose readings they are.
        drawn: Who follows a meter of a pool.
        raw: As read.
        filled: After the rules.
        imported: What each id takes, kW, shape (instant, id + 1).
        exported: What it gives, likewise.
    """
    span = _span(filled.window)
    return (
        *_filled(network, owners, filled, imported, exported, span),
        *_left_out(filled, span),
        *_of_the_table(raw),
        *_from_pool(config, owners, drawn, imported, exported, span),
        *_of_nobody(owners, filled, imported, exported, span),
        *_without_kvar(config),
        *_without_columns(raw),
    )


def _filled(
    network: Network, owners: Owners, filled: Filled, imported: FloatArray, exported: FloatArray, span: str
) -> Iterator[Finding]:
    """One for each rule that stood in for the readings of live customers."""
    absent = filled.absent[:, owners.reading] & owners.live
    model = network.injectors
    own = np.bincount(owners.of, weights=model.load_kw + model.generation_kw, minlength=len(owners.name))
    for rule, words in _WORDS.items():
        by_rule = np.asarray([filled.rule[place] == rule for place in owners.reading])
        cells = absent & by_rule
        count = int(cells.sum())
        if not count:
            continue
        names = [owners.name[place] for place in np.flatnonzero(cells.any(axis=0))]
        power = own if rule == "as-modelled" else (imported + exported)[:, owners.reading]
        yield Finding(
            severity=Severity.WARNING,
            code="readings-filled",
            element=some(names),
            count=count,
            kw=float(np.sum(np.where(cells, power, 0.0)) / filled.instant.size),
            message=f"{count} readings of {len(names)} customers are missing {span}; {words} "
            "(mean kW of what stands in)",
        )


def _span(instant: InstantArray) -> str:
    first, last = (as_datetime(instant[place]).isoformat() for place in (0, -1))
    return f"from {first} to {last}" if first != last else f"at {first}"


def _left_out(filled: Filled, span: str) -> Iterator[Finding]:
    if filled.left_out.size:
        times = [as_datetime(instant).isoformat() for instant in filled.left_out]
        yield Finding(
            severity=Severity.WARNING,
            code="instants-without-readings",
            element=some(times, 2),
            count=int(filled.left_out.size),
            message=f"{filled.left_out.size} instants {span} at which nobody has a reading are left out",
        )


def _of_the_table(raw: Readings) -> Iterator[Finding]:
    """About all that was read, the day to look back at included."""
    span = _span(raw.instant)
    if raw.unknown:
        yield Finding(
            severity=Severity.WARNING,
            code="readings-of-unknown-customers",
            element=some(sorted(raw.unknown)),
            count=len(raw.unknown),
            kw=sum(raw.unknown.values()),
            message=f"readings of {len(raw.unknown)} customers that the feeder does not have are left out {span} "
            "(mean kW)",
        )
    twice, kw = raw.dropped
    if twice:
        yield Finding(
            severity=Severity.WARNING,
            code="duplicate-readings",
            count=twice,
            kw=kw,
            message=f"{twice} readings {span} are there twice; one of each counts (mean kW of those that do not)",
        )


def _from_pool(
    config: ReadingsConfig,
    owners: Owners,
    drawn: Drawn | None,
    imported: FloatArray,
    exported: FloatArray,
    span: str,
) -> Iterator[Finding]:
    if drawn is None:
        return
    who, place = drawn.owner, owners.reading[drawn.owner]
    followed = np.unique(place).size
    kw = (imported + exported)[:, place].sum(axis=1)
    yield Finding(
        severity=Severity.WARNING,
        code="readings-from-pool",
        element=some([f"{owners.name[each]} as {owners.ids[meter]}" for each, meter in zip(who, place, strict=True)]),
        count=int(who.size),
        kw=float(kw.mean()) if kw.size else 0.0,
        message=f"{who.size} customers without readings follow {followed} of {drawn.meters} meters of the pool {span}, "
        f"drawn at random with seed {config.seed} (mean kW)",
    )


def _of_nobody(
    owners: Owners, filled: Filled, imported: FloatArray, exported: FloatArray, span: str
) -> Iterator[Finding]:
    """Readings that nothing in the model can carry."""
    if not filled.instant.size:
        return
    both = (imported + exported)[:, owners.reading]
    read = ~filled.absent[:, owners.reading]
    names, kw = _mean(owners, np.where(~owners.live, both * read, 0.0))
    if names:
        yield Finding(
            severity=Severity.WARNING,
            code="readings-on-dead-nodes",
            element=some(names),
            count=len(names),
            kw=kw,
            message=f"{len(names)} customers on dead nodes have readings {span}, left out (mean kW)",
        )
    drawn = imported[:, owners.reading] * read
    names, kw = _mean(owners, np.where(owners.live & ~owners.has_load, drawn, 0.0))
    if names:
        yield Finding(
            severity=Severity.WARNING,
            code="import-without-load",
            element=some(names),
            count=len(names),
            kw=kw,
            message=f"{len(names)} customers without a load element import {span}, which nothing in the model can "
            "draw; left out (mean kW)",
        )


def _mean(owners: Owners, kw: FloatArray) -> tuple[list[str], float]:
    """Owners with any of some kW, and the mean of all of it."""
    mean = kw.mean(axis=0)
    return [owners.name[place] for place in np.flatnonzero(mean > 0)], float(mean.sum())


def _without_kvar(config: ReadingsConfig) -> Iterator[Finding]:
    for one in ("import", "export"):
        there = config.net_column is not None or getattr(config, f"{one}_column") is not None
        said = getattr(config, f"{one}_kvar_column"), getattr(config, f"{one}_power_factor")
        if there and said == (None, None):
            yield Finding(
                severity=Severity.INFO,
                code="readings-without-kvar",
                element=one,
                message=f"readings say no reactive power of {one}; it is 0: name {one}_kvar_column, or state "
                f"{one}_power_factor",
            )


def _without_columns(raw: Readings) -> Iterator[Finding]:
    for quantity, ids in raw.without.items():
        yield Finding(
            severity=Severity.INFO,
            code="customers-without-column",
            element=some(list(ids)),
            count=len(ids),
            message=f"{len(ids)} customers have readings and no column of {quantity}; it is 0 for them",
        )
