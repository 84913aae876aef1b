"""Value of branches from a register of assets: a regulated asset base whose lines carry several circuits each.

Source: tracing method, section 8; the published result is matched in the tests. Values are in millions of the
register's currency.
"""

from __future__ import annotations

import csv
import gzip
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from attrs import field, frozen

from hostcap.errors import FlowsError
from hostcap.plugins._nearest import did_you_mean

AssetClass = Literal["Connection", "Interconnection"]
CONNECTION, INTERCONNECTION = "Connection", "Interconnection"
LINE = "Transmission Line"
TRANSFORMERS = ("Transformer", "3W Transformer")
STATION_PARTS = ("Substation", "Switchgear")
MILLION = 1e6
_WINDING = re.compile(r"\w+_T\d([AB])?(\d)?.[TMLH]\d([AB])?(\d)?")
"""A branch that is a winding of a transformer: ``HEN_T5.T5``, ``HEN_T5.M5``."""


@frozen(kw_only=True)
class Value:
    """Value of one branch or station, millions.

    Attributes:
        connection, interconnection: By class; what is of another class counts in neither.
        asset_class: Class of the first circuit; of transformers and stations that of most assets, empty for a tie.
    """

    connection: float
    interconnection: float
    asset_class: str


@frozen(kw_only=True)
class Register:
    """A register of assets, read once.

    Attributes:
        lines: Value by line and class, millions.
        line_class: Class of the asset whose own name is that of a line, which is what the published results say.
        transformers: By id.
        stations: By the first letters of the id.
    """

    lines: Mapping[tuple[str, str], float]
    line_class: Mapping[str, str]
    transformers: Mapping[str, Value]
    stations: Mapping[str, Value]


@frozen(kw_only=True)
class Circuits:
    """Which circuits a line carries, with their lengths: (line, circuit, km), in the file's order."""

    rows: tuple[tuple[str, str, float], ...]


@frozen(kw_only=True)
class AssetValues:
    """Value of every branch that has one, and what did not match.

    Attributes:
        circuits: Value by circuit.
        register: The register.
        lines_without_circuit: Lines of the register that no circuit is mapped to, with their value, millions.
        circuits_without_line: Circuits mapped to a line that the register lacks.
    """

    circuits: Mapping[str, Value]
    register: Register
    lines_without_circuit: Mapping[str, float] = field(factory=dict)
    circuits_without_line: tuple[str, ...] = ()

    def of(self, label: str) -> Value | None:
        """Value of a branch; a label of several branches, joined with ", ", has the sum, or none if one has none."""
        parts = [self._one(part) for part in label.split(", ")]
        known = [part for part in parts if part is not None]
        if len(known) < len(parts):
            return None
        return Value(
            connection=sum(part.connection for part in known),
            interconnection=sum(part.interconnection for part in known),
            asset_class=known[0].asset_class,
        )

    def class_of(self, label: str) -> str:
        """Class of a branch, or of the first of several, whether or not all have a value; empty where it has none."""
        value = self._one(label.split(", ")[0])
        return "" if value is None else value.asset_class

    def _one(self, label: str) -> Value | None:
        if not _WINDING.match(label):
            return self.circuits.get(label)
        transformer, _, winding = label.partition(".")
        value = self.register.transformers.get(transformer)
        if winding.startswith("T"):
            return value
        # The value of a transformer stands at its T winding; the others have none, known or not.
        return Value(connection=0.0, interconnection=0.0, asset_class="" if value is None else value.asset_class)

    def unused_branches(self, used: Sequence[str]) -> dict[str, float]:
        """Values of circuits and transformers that none of some branches is, millions by label."""
        parts = {part for label in used for part in label.split(", ")}
        windings = {part.partition(".")[0] for part in parts if _WINDING.match(part) and ".T" in part}
        left = {name: value for name, value in self.circuits.items() if name not in parts}
        left |= {name: value for name, value in self.register.transformers.items() if name not in windings}
        return _sums(left)

    def unused_stations(self, used: Sequence[str]) -> dict[str, float]:
        """Values of stations that none of some labels stands for, millions by station."""
        known = {label[:3] for label in used}
        return _sums({name: value for name, value in self.register.stations.items() if name not in known})

    def station(self, label: str) -> Value | None:
        """Value of a station, by the first three letters of its label."""
        return self.register.stations.get(label[:3])


def read_register(path: Path) -> Register:
    """A register with the columns ``ASSET ID``, ``type``, ``id``, ``C/N_flag`` and ``sum_NBV``.

    Raises:
        FlowsError: A column is missing, or a value is no number.
    """
    rows = _rows(path, ("ASSET ID", "type", "id", "C/N_flag", "sum_NBV"))
    lines: dict[tuple[str, str], float] = defaultdict(float)
    transformers: dict[str, list[tuple[str, float]]] = defaultdict(list)
    stations: dict[str, list[tuple[str, float]]] = defaultdict(list)
    line_class: dict[str, str] = {}
    for number, row in rows:
        value = _value(path, number, row["sum_NBV"]) / MILLION
        own, kind, flag = row["id"], row["type"], row["C/N_flag"]
        line_class.setdefault(row["ASSET ID"], flag)
        if kind == LINE:
            lines[own, flag] += value
        elif kind in TRANSFORMERS:
            transformers[own].append((flag, value))
        elif kind in STATION_PARTS:
            stations[own[:3]].append((flag, value))
    return Register(
        lines=dict(lines),
        line_class=line_class,
        transformers={own: _majority(listed) for own, listed in transformers.items()},
        stations={own: _majority(listed) for own, listed in stations.items()},
    )


def read_circuits(path: Path) -> Circuits:
    """The electrical mapping: columns ``line``, ``circuits`` and ``length`` (km; a missing length counts as 1).

    Raises:
        FlowsError: A column is missing, or a length is no number.
    """
    rows = _rows(path, ("line", "circuits", "length"))
    listed = [(r["line"], r["circuits"], _value(path, n, r["length"]) if r["length"] else 1.0) for n, r in rows]
    return Circuits(rows=tuple(listed))


def asset_values(register: Register, circuits: Circuits) -> AssetValues:
    """Values of lines spread over their circuits in proportion to length, and added up by circuit."""
    length: dict[str, float] = defaultdict(float)
    for line, _, km in circuits.rows:
        length[line] += km
    values: dict[str, list[float]] = {}
    first: dict[str, str] = {}
    lost = []
    for line, circuit, km in circuits.rows:
        found = [register.lines.get((line, flag)) for flag in (CONNECTION, INTERCONNECTION)]
        first.setdefault(circuit, line)
        if found == [None, None] and not any(name == line for name, _ in register.lines):
            lost.append(circuit)
            continue
        own = values.setdefault(circuit, [0.0, 0.0])
        for place, value in enumerate(found):
            own[place] += (value or 0.0) * km / length[line]
    unmapped: dict[str, float] = defaultdict(float)
    for (line, flag), value in register.lines.items():
        if line not in length and flag in (CONNECTION, INTERCONNECTION):
            unmapped[line] += value
    return AssetValues(
        circuits={
            circuit: Value(
                connection=own[0],
                interconnection=own[1],
                asset_class=register.line_class.get(first[circuit], ""),
            )
            for circuit, own in values.items()
        },
        register=register,
        lines_without_circuit=dict(unmapped),
        circuits_without_line=tuple(dict.fromkeys(circuit for circuit in lost if circuit not in values)),
    )


def _sums(values: Mapping[str, Value]) -> dict[str, float]:
    both = {name: value.connection + value.interconnection for name, value in values.items()}
    return {name: value for name, value in both.items() if value != 0.0}


def _majority(listed: Sequence[tuple[str, float]]) -> Value:
    """Values by class, and the class of most assets."""
    votes = sum((flag == CONNECTION) - (flag == INTERCONNECTION) for flag, _ in listed)
    return Value(
        connection=sum(value for flag, value in listed if flag == CONNECTION),
        interconnection=sum(value for flag, value in listed if flag == INTERCONNECTION),
        asset_class=CONNECTION if votes > 0 else INTERCONNECTION if votes < 0 else "",
    )


def _rows(path: Path, needed: Iterable[str]) -> Iterable[tuple[int, dict[str, str]]]:
    try:
        opener = gzip.open if path.suffix == ".gz" else open
        with opener(path, "rt", encoding="utf-8-sig", newline="") as text:
            reader = csv.DictReader(text)
            titles = reader.fieldnames or []
            for title in needed:
                if title not in titles:
                    raise FlowsError(
                        f"{path}: no column {title!r}{did_you_mean(title, titles)}; found: {', '.join(titles)}"
                    )
            return [(number, row) for number, row in enumerate(reader, start=2)]
    except FileNotFoundError as error:
        raise FlowsError(f"{path}: no such file") from error
    except (OSError, EOFError, UnicodeDecodeError, csv.Error) as error:
        raise FlowsError(f"{path}: cannot be read as CSV in UTF-8: {error}") from error


def _value(path: Path, line: int, cell: str) -> float:
    """A number; an empty cell is 0, as an asset without a book value has none."""
    try:
        value = float(cell) if cell else 0.0
    except ValueError:
        value = float("nan")
    if not np.isfinite(value):
        raise FlowsError(f"{path}, line {line}: {cell!r} is no finite number")
    return value
