"""Findings about readings: what was filled, left out or twice, with count and mean kW over the window."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from hostcap._arrays import FloatArray
from hostcap.findings import Finding, Severity, counted, some
from hostcap.network import Network
from hostcap.profiles import as_datetime
from hostcap_stock.profiles.config import ReadingsConfig
from hostcap_stock.profiles.owners import Owners
from hostcap_stock.profiles.pool import Drawn
from hostcap_stock.profiles.tally import Tally

_WORDS = {"zero": "0 stands in", "previous": "the last reading before it stands in", "as-modelled": "the model's own"}


def noted(
    config: ReadingsConfig, network: Network, owners: Owners, drawn: Drawn | None, tally: Tally
) -> tuple[Finding, ...]:
    """All of them.

    Args:
        config: The rules.
        network: The feeder.
        owners: Whose readings they are.
        drawn: Who follows a meter of a pool.
        tally: What was read, and what stands in for what was not.
    """
    span = _span(tally.window[0], tally.window[-1])
    return (
        *_filled(network, owners, tally, span),
        *_left_out(tally, span),
        *_of_the_table(tally),
        *_from_pool(config, owners, drawn, tally, span),
        *_of_nobody(owners, tally, span),
        *_without_kvar(config),
        *_without_columns(tally),
    )


def _filled(network: Network, owners: Owners, tally: Tally, span: str) -> Iterator[Finding]:
    """One for each rule that stood in for the readings of live customers."""
    gaps = np.where(owners.live, tally.gaps[owners.reading], 0)
    model = network.injectors
    own = np.bincount(owners.of, weights=model.load_kw + model.generation_kw, minlength=len(owners.name))
    for rule, words in _WORDS.items():
        by_rule = np.asarray([tally.rule[place] == rule for place in owners.reading])
        whose = np.flatnonzero((gaps > 0) & by_rule)
        if not whose.size:
            continue
        count = int(gaps[whose].sum())
        kw = own[whose] * gaps[whose] if rule == "as-modelled" else tally.stood_in_kw[owners.reading[whose]]
        yield Finding(
            severity=Severity.WARNING,
            code="readings-filled",
            element=some([owners.name[place] for place in whose]),
            count=count,
            kw=float(np.sum(kw) / tally.instants),
            message=f"{counted(count, 'reading')} of {counted(whose.size, 'customer')} "
            f"{'is' if count == 1 else 'are'} missing {span}; {words} "
            "(mean kW of what stands in)",
        )


def _span(first: np.datetime64, last: np.datetime64) -> str:
    begin, end = as_datetime(first).isoformat(), as_datetime(last).isoformat()
    return f"from {begin} to {end}" if begin != end else f"at {begin}"


def _left_out(tally: Tally, span: str) -> Iterator[Finding]:
    if tally.left_out.size:
        times = [as_datetime(instant).isoformat() for instant in tally.left_out]
        yield Finding(
            severity=Severity.WARNING,
            code="instants-without-readings",
            element=some(times, 2),
            count=int(tally.left_out.size),
            message=f"{counted(tally.left_out.size, 'instant')} {span} at which nobody has a reading left out",
        )


def _of_the_table(tally: Tally) -> Iterator[Finding]:
    """About all that was read, the day to look back at included."""
    span = _span(tally.read_from, tally.window[-1])
    if tally.unknown:
        yield Finding(
            severity=Severity.WARNING,
            code="readings-of-unknown-customers",
            element=some(sorted(tally.unknown)),
            count=len(tally.unknown),
            kw=sum(tally.unknown.values()),
            message=f"readings of {counted(len(tally.unknown), 'customer')} that the feeder does not have are left out "
            f"{span} (mean kW)",
        )
    twice, kw = tally.dropped
    if twice:
        yield Finding(
            severity=Severity.WARNING,
            code="duplicate-readings",
            count=twice,
            kw=kw,
            message=f"{counted(twice, 'reading is', 'readings are')} there twice {span}; one of each counts "
            "(mean kW of those that do not)",
        )


def _from_pool(
    config: ReadingsConfig, owners: Owners, drawn: Drawn | None, tally: Tally, span: str
) -> Iterator[Finding]:
    if drawn is None:
        return
    who, place = drawn.owner, owners.reading[drawn.owner]
    followed = np.unique(place).size
    kw = (tally.import_kw + tally.export_kw + tally.stood_in_kw)[place].sum()
    yield Finding(
        severity=Severity.WARNING if who.size else Severity.INFO,
        code="readings-from-pool",
        element=some([f"{owners.name[each]} as {owners.ids[meter]}" for each, meter in zip(who, place, strict=True)]),
        count=int(who.size),
        kw=float(kw) / tally.instants if tally.instants else 0.0,
        message=f"{counted(who.size, 'customer without readings follows', 'customers without readings follow')} "
        f"{followed} of {counted(drawn.meters, 'meter')} of the pool {span}, drawn at random with seed {config.seed} "
        "(mean kW)",
    )


def _of_nobody(owners: Owners, tally: Tally, span: str) -> Iterator[Finding]:
    """Readings that nothing in the model can carry."""
    both, drawn = (kw[owners.reading] for kw in (tally.import_kw + tally.export_kw, tally.import_kw))
    names, kw = _mean(owners, np.where(~owners.live, both, 0.0), tally.instants)
    if names:
        yield Finding(
            severity=Severity.WARNING,
            code="readings-on-dead-nodes",
            element=some(names),
            count=len(names),
            kw=kw,
            message=f"readings of {counted(len(names), 'customer')} on dead nodes left out {span} (mean kW)",
        )
    names, kw = _mean(owners, np.where(owners.live & ~owners.has_load, drawn, 0.0), tally.instants)
    if names:
        yield Finding(
            severity=Severity.WARNING,
            code="import-without-load",
            element=some(names),
            count=len(names),
            kw=kw,
            message=f"import of {counted(len(names), 'customer')} without a load element {span}, which nothing in the "
            "model can draw; left out (mean kW)",
        )


def _mean(owners: Owners, kw: FloatArray, instants: int) -> tuple[list[str], float]:
    """Owners with any of some kW, summed over instants, and the mean of all of it."""
    return [owners.name[place] for place in np.flatnonzero(kw > 0)], float(kw.sum()) / max(instants, 1)


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


def _without_columns(tally: Tally) -> Iterator[Finding]:
    for quantity, ids in tally.without.items():
        yield Finding(
            severity=Severity.INFO,
            code="customers-without-column",
            element=some(list(ids)),
            count=len(ids),
            message=f"{counted(len(ids), 'customer has', 'customers have')} readings and no column of {quantity}; it "
            "is 0 there",
        )
