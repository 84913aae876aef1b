"""The study ``trace-report``: tables of what follows from a trace, and what did not match."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any, Literal

import numpy as np
from attrs import frozen

from hostcap._arrays import FloatArray
from hostcap.errors import FlowsError, StoppedError
from hostcap.findings import Finding, Severity, some
from hostcap.plugins.kinds import BareJob, Preview
from hostcap.tables import Chunk, Table, findings_table
from hostcap_stock.trace_report.asset_values import AssetValues, asset_values, read_circuits, read_register
from hostcap_stock.trace_report.attributes import attribute_of_mix
from hostcap_stock.trace_report.concentration import equal_users, hhi
from hostcap_stock.trace_report.config import TraceReportConfig
from hostcap_stock.trace_report.matrices import (
    Unmapped,
    UseMatrix,
    joined,
    kept,
    read_numbers,
    read_pairs,
    read_wide,
    rolled_up,
)
from hostcap_stock.trace_report.results import read_shares, read_supply, table_files
from hostcap_stock.trace_report.schemas import (
    ASSET_CONCENTRATION,
    ASSET_USE,
    UNMATCHED_LABELS,
    USER_ATTRIBUTES,
    USER_VALUES,
)
from hostcap_stock.trace_report.unmatched import Unmatched
from hostcap_stock.trace_report.user_values import UserValue, asset_numbers, per_peak, value_by_user

Direction = Literal["down", "up"]


@frozen(kw_only=True)
class TraceReport:
    """Reads shares once, and says what follows from them."""

    config: TraceReportConfig

    def hashes(self) -> Mapping[str, str]:
        """Content of the trace's tables; files that the settings name are hashed by the run."""
        if self.config.results is None:
            return {}
        digest = hashlib.sha256()
        for path in table_files(self.config.results):
            digest.update(path.relative_to(self.config.results).as_posix().encode())
            digest.update(path.read_bytes())
        return {"results": digest.hexdigest()}

    def check(self, job: BareJob) -> Preview:
        """Read the shares, and count them."""
        facts = []
        for direction, matrix in self._matrices().items():
            facts.append((f"{direction}: assets, users", f"{matrix.asset.size}, {matrix.user.size}"))
            facts.append((f"{direction}: MW in all", f"{matrix.mw.sum():.6g}"))
        return Preview(feeder=job.scope.feeder, facts=tuple(facts), findings=())

    def run(self, job: BareJob) -> Iterator[Chunk]:
        """One chunk with all tables."""
        job.progress("reading shares", 0, 0)
        notes = Unmatched()
        values = self._values()
        tables: dict[str, list[Table]] = {}
        for direction, matrix in self._matrices().items():
            if job.should_stop():
                raise StoppedError(f"{job.scope.feeder}: stopped before {direction}")
            for table in self._tables(job, direction, matrix, values, notes):
                tables.setdefault(table.name, []).append(table)
        if self.config.attribute is not None:
            tables[USER_ATTRIBUTES.name] = [self._attributes(job, notes)]
        tables[UNMATCHED_LABELS.name] = [notes.table(job.work_package_id, self.config.interval)]
        findings = findings_table(
            notes.findings, work_package_id=job.work_package_id, scenario=job.scope.scenario, feeder=job.scope.feeder
        )
        yield Chunk(
            scenario=job.scope.scenario,
            year=job.scope.year,
            feeder=job.scope.feeder,
            tables=(*(_joined_tables(listed) for listed in tables.values()), findings),
        )

    def _matrices(self) -> dict[Direction, UseMatrix]:
        config = self.config
        if config.results is not None:
            return read_shares(config.results, config.assets, config.interval)
        found: dict[Direction, UseMatrix] = {}
        if config.down is not None:
            found["down"] = read_wide(config.down)
        if config.up is not None:
            found["up"] = read_wide(config.up)
        return found

    def _values(self) -> AssetValues | None:
        if self.config.register is None or self.config.circuits is None:
            return None
        return asset_values(read_register(self.config.register), read_circuits(self.config.circuits))

    def _tables(
        self, job: BareJob, direction: Direction, matrix: UseMatrix, values: AssetValues | None, notes: Unmatched
    ) -> list[Table]:
        whole = joined(matrix, self.config.joined)
        grouped = self._grouped(whole, direction, notes)
        run = {"work_package_id": job.work_package_id, "interval": self.config.interval, "direction": direction}
        worth = [None if values is None else self._worth(values, label) for label in grouped.asset.tolist()]
        connection = np.asarray([np.nan if w is None else w.connection for w in worth])
        interconnection = np.asarray([np.nan if w is None else w.interconnection for w in worth])
        rentals = {} if self.config.rentals is None else read_numbers(self.config.rentals, add=True)
        rental = asset_numbers(grouped, rentals)
        tables = [
            _use(run, grouped),
            _concentration(
                run, grouped, connection, interconnection, ["" if w is None else w.asset_class for w in worth], rental
            ),
        ]
        if values is not None or rentals:
            # What is joined counts once: by its parts.
            parts = [place for place, label in enumerate(grouped.asset.tolist()) if label not in self.config.joined]
            own = UseMatrix(asset=grouped.asset[parts], user=grouped.user, mw=grouped.mw[parts])
            tables.append(
                self._user_values(
                    run,
                    direction,
                    own,
                    (connection[parts], interconnection[parts], rental[parts]),
                    rentals,
                    values,
                    notes,
                )
            )
        return tables

    def _worth(self, values: AssetValues, label: str) -> Any:
        letters = self.config.asset_letters
        return values.station(label) if self.config.assets == "stations" or letters == 3 else values.of(label)

    def _grouped(self, matrix: UseMatrix, direction: Direction, notes: Unmatched) -> UseMatrix:
        config = self.config
        assets = None if config.asset_map is None else read_pairs(config.asset_map)
        users = None if config.user_map is None else read_pairs(config.user_map)
        if assets is not None:
            assets |= {name: name for name in config.joined}
        known_assets = kept(matrix.asset, assets, None, keep=config.unmapped == "keep")
        known_users = kept(matrix.user, users, config.user_letters, keep=config.unmapped == "keep")
        for lost, what in ((known_assets[1], "asset"), (known_users[1], "user")):
            if lost:
                axis = matrix.asset if what == "asset" else matrix.user
                own = np.isin(axis, list(lost))
                # What is joined counts once: by its parts.
                once = matrix.mw * ~np.isin(matrix.asset, list(config.joined))[:, None]
                each = once.sum(axis=1 if what == "asset" else 0)
                unmapped = Unmapped(labels=tuple(lost), mw=float(each[own].sum()))
                amounts = dict(zip(axis[own].tolist(), each[own].tolist(), strict=True))
                finding = _unmapped(what, direction, unmapped, config.unmapped)
                notes.add(direction, f"{what}_map", "trace", amounts, finding)
        rolled, _, _ = rolled_up(matrix, assets=known_assets[0], users=known_users[0])
        if config.asset_letters is None:
            return rolled
        letters = config.asset_letters
        short = {label: label if label in config.joined else label[:letters] for label in rolled.asset.tolist()}
        return rolled_up(rolled, assets=short)[0]

    def _user_values(
        self,
        run: Mapping[str, str],
        direction: Direction,
        matrix: UseMatrix,
        numbers: tuple[FloatArray, FloatArray, FloatArray],
        rentals: Mapping[str, float],
        values: AssetValues | None,
        notes: Unmatched,
    ) -> Table:
        nothing = np.full(matrix.user.size, np.nan)
        connection = interconnection = rental = nothing
        if values is not None:
            first, second = value_by_user(matrix, numbers[0]), value_by_user(matrix, numbers[1])
            connection, interconnection = first.value, second.value
            self._register_lost(direction, matrix, values, notes)
            notes.add(direction, "register", "trace", *_unvalued("value", direction, matrix, second))
        if rentals:
            third = value_by_user(matrix, numbers[2], rentals)
            rental = third.value
            notes.add(direction, "rentals", "trace", *_unvalued("rental", direction, matrix, third))
            notes.add(direction, "rentals", "file", third.unused, _unused("rental", direction, third.unused))
        peaks = self._peaks(direction, matrix)
        peak = np.asarray([peaks.get(user, np.nan) for user in matrix.user.tolist()])
        worth = np.nansum([connection, interconnection], axis=0) if values is not None else nothing
        value_rate, lost = per_peak(matrix, np.nan_to_num(worth), peaks)
        rental_rate, lost_rental = per_peak(matrix, np.nan_to_num(rental), peaks)
        lost = tuple(dict.fromkeys((*lost, *lost_rental)))
        if peaks and lost:
            taken = dict(zip(matrix.user.tolist(), matrix.mw.sum(axis=0).tolist(), strict=True))
            amounts = {user: taken[user] for user in lost}
            notes.add(direction, "peaks", "trace", amounts, _without_peak(direction, lost))
        users = set(matrix.user.tolist())
        idle = {user: number for user, number in peaks.items() if user not in users and number != 0.0}
        notes.add(direction, "peaks", "file", idle, _unused("peak", direction, idle))
        return Table.build(
            USER_VALUES,
            {
                **{name: [value] * matrix.user.size for name, value in run.items()},
                "user": matrix.user,
                "mw": matrix.mw.sum(axis=0),
                "value_connection": connection,
                "value_interconnection": interconnection,
                "rental": rental,
                "peak_mw": peak,
                "value_per_mw": value_rate if values is not None else nothing,
                "rental_per_mw": rental_rate if rentals else nothing,
            },
        )

    def _register_lost(self, direction: Direction, matrix: UseMatrix, values: AssetValues, notes: Unmatched) -> None:
        if self.config.assets == "stations" or self.config.asset_letters == 3:
            unused = values.unused_stations(matrix.asset[matrix.total_mw > 0].tolist())
        else:
            unused = values.unused_branches(matrix.asset[matrix.total_mw > 0].tolist())
            lines, circuits = values.lines_without_circuit, values.circuits_without_line
            notes.add(direction, "circuits", "file", lines, _lines_lost(values))
            notes.add(direction, "circuits", "file", dict.fromkeys(circuits, np.nan), _circuits_lost(circuits))
        notes.add(direction, "register", "file", unused, _unused("value", direction, unused))

    def _peaks(self, direction: Direction, matrix: UseMatrix) -> dict[str, float]:
        """Peak of each user; of a company the sum of its nodes' own peaks."""
        path = self.config.peaks_down if direction == "down" else self.config.peaks_up
        if path is None:
            return {}
        users = None if self.config.user_map is None else read_pairs(self.config.user_map)
        found: dict[str, float] = {}
        for label, peak in read_numbers(path, add=True).items():
            target = label if users is None else users.get(label[: self.config.user_letters], label)
            found[target] = found.get(target, 0.0) + peak
        return found

    def _attributes(self, job: BareJob, notes: Unmatched) -> Table:
        config = self.config
        if config.results is None or config.attribute is None:
            raise FlowsError("trace-report: attribute needs results")
        supply = read_supply(config.results, config.interval)
        users = None if config.user_map is None else read_pairs(config.user_map)
        targets, _ = kept(supply.user, users, config.user_letters, keep=True)
        supply, _, _ = rolled_up(supply, users=targets)
        found = attribute_of_mix(supply, read_numbers(config.attribute))
        if found.unmatched:
            given = dict(zip(supply.asset.tolist(), supply.mw.sum(axis=1).tolist(), strict=True))
            given |= dict(zip(supply.user.tolist(), supply.mw.sum(axis=0).tolist(), strict=True))
            notes.add(
                "up",
                "attribute",
                "trace",
                {label: given[label] for label in found.unmatched},
                Finding(
                    severity=Severity.WARNING,
                    code="supplier-without-attribute",
                    element=some(list(found.unmatched)),
                    count=len(found.unmatched),
                    kw=float(found.unknown_mw.sum()) * 1000.0,
                    message="suppliers without the attribute; rates are of the known part alone, and the rest is in"
                    " unknown_mw",
                ),
            )
        size = supply.user.size
        return Table.build(
            USER_ATTRIBUTES,
            {
                "work_package_id": [job.work_package_id] * size,
                "interval": [config.interval] * size,
                "user": supply.user,
                "known_mw": found.known_mw,
                "unknown_mw": found.unknown_mw,
                "rate": found.rate,
                "amount": found.amount,
            },
        )


def _use(run: Mapping[str, str], matrix: UseMatrix) -> Table:
    asset, user = np.nonzero(matrix.mw)
    return Table.build(
        ASSET_USE,
        {
            **{name: [value] * asset.size for name, value in run.items()},
            "asset": matrix.asset[asset],
            "user": matrix.user[user],
            "mw": matrix.mw[asset, user],
            "share": matrix.share[asset, user],
        },
    )


def _concentration(
    run: Mapping[str, str],
    matrix: UseMatrix,
    connection: FloatArray,
    interconnection: FloatArray,
    asset_class: list[str],
    rental: FloatArray,
) -> Table:
    index = hhi(matrix.mw)
    return Table.build(
        ASSET_CONCENTRATION,
        {
            **{name: [value] * matrix.asset.size for name, value in run.items()},
            "asset": matrix.asset,
            "mw": matrix.total_mw,
            "users": (matrix.mw > 0).sum(axis=1),
            "hhi": index,
            "equal_users": equal_users(index),
            "value_connection": connection,
            "value_interconnection": interconnection,
            "asset_class": asset_class,
            "rental": rental,
        },
    )


def _joined_tables(tables: list[Table]) -> Table:
    from hostcap.tables import concatenate

    return concatenate(tables)


def _unmapped(what: str, direction: str, lost: Unmapped, how: str) -> Finding:
    kept_words = "kept under their own names" if how == "keep" else "dropped"
    return Finding(
        severity=Severity.WARNING,
        code="label-without-target",
        element=some(list(lost.labels)),
        count=len(lost.labels),
        kw=lost.mw * 1000.0,
        message=f"{direction}: {what}s that {what}_map does not know, {kept_words}: {lost.mw:.6g} MW in all",
    )


def _unvalued(what: str, direction: str, matrix: UseMatrix, found: UserValue) -> tuple[dict[str, float], Finding]:
    flows = dict(zip(matrix.asset.tolist(), matrix.total_mw.tolist(), strict=True))
    amounts = {label: flows[label] for label in found.unvalued}
    return amounts, Finding(
        severity=Severity.WARNING,
        code="asset-without-value",
        element=some(list(amounts)),
        count=len(amounts),
        kw=found.unvalued_mw * 1000.0,
        message=f"{direction}: assets with flow that have no {what}; nothing of them falls to their users",
    )


def _unused(what: str, direction: str, unused: Mapping[str, float]) -> Finding:
    owner = "user" if what == "peak" else "used asset"
    return Finding(
        severity=Severity.WARNING,
        code="value-without-asset",
        element=some(list(unused)),
        count=len(unused),
        message=f"{direction}: labels with a {what} ({sum(unused.values()):.6g} in all) that no {owner} has",
    )


def _circuits_lost(circuits: tuple[str, ...]) -> Finding:
    return Finding(
        severity=Severity.WARNING,
        code="line-without-circuit",
        element=some(list(circuits)),
        count=len(circuits),
        message="circuits mapped to lines that the register lacks; they have no value",
    )


def _lines_lost(values: AssetValues) -> Finding:
    lost = values.lines_without_circuit
    return Finding(
        severity=Severity.WARNING,
        code="line-without-circuit",
        element=some(list(lost)),
        count=len(lost),
        message=f"lines of the register without circuits ({sum(lost.values()):.6g} millions in all); map them",
    )


def _without_peak(direction: str, users: tuple[str, ...]) -> Finding:
    return Finding(
        severity=Severity.WARNING,
        code="user-without-peak",
        element=some(list(users)),
        count=len(users),
        message=f"{direction}: users with a value and without a peak above 0; they have no value for one MW",
    )
