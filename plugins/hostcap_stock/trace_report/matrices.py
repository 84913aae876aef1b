"""Use of assets by users as a matrix, from files of the original's layout or from tables of a trace."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from attrs import field, frozen

from hostcap._arrays import FloatArray, NameArray, floats, names, sums
from hostcap.errors import FlowsError
from hostcap.findings import counted, some
from hostcap.network import _ByContent

TraceDirection = Literal["up", "down"]
"""``up``: the users supply; ``down``: the users take."""


@frozen(kw_only=True, eq=False)
class UseMatrix(_ByContent):
    """How many MW of each asset's flow are each user's.

    Attributes:
        asset: Branches, stations or buses, shape (asset,).
        user: Nodes, or what they are grouped to, shape (user,).
        mw: >= 0, shape (asset, user).
    """

    asset: NameArray = field(converter=names)
    user: NameArray = field(converter=names)
    mw: FloatArray = field(converter=floats)

    def __attrs_post_init__(self) -> None:
        if self.mw.shape != (self.asset.size, self.user.size):
            raise FlowsError(
                f"use of assets has the shape {self.mw.shape}; expected ({self.asset.size}, {self.user.size})"
            )

    @property
    def total_mw(self) -> FloatArray:
        """MW of each asset, shape (asset,)."""
        total: FloatArray = self.mw.sum(axis=1)
        return total

    @property
    def share(self) -> FloatArray:
        """Part of each asset that is each user's; 0 where nothing flows, shape (asset, user)."""
        total = self.total_mw[:, None]
        return np.divide(self.mw, total, out=np.zeros_like(self.mw), where=total > 0)


@frozen(kw_only=True)
class Unmapped:
    """What a map leaves out.

    Attributes:
        labels: In the order of the matrix.
        mw: What they hold, MW summed over the other axis.
    """

    labels: tuple[str, ...]
    mw: float


def from_long(asset: Sequence[str], user: Sequence[str], mw: FloatArray) -> UseMatrix:
    """A matrix of long rows; rows of one asset and user add up, what is not there is 0."""
    assets, users = list(dict.fromkeys(asset)), list(dict.fromkeys(user))
    row, column = ({label: place for place, label in enumerate(listed)} for listed in (assets, users))
    flat = np.asarray([row[a] * len(users) + column[u] for a, u in zip(asset, user, strict=True)], dtype=np.int64)
    total = np.bincount(flat, weights=np.asarray(mw, dtype=np.float64), minlength=len(assets) * len(users))
    return UseMatrix(asset=assets, user=users, mw=total.reshape(len(assets), len(users)))


def read_wide(path: Path) -> UseMatrix:
    """A CSV file with assets as rows and users as columns, such as ``td_2014.csv``; an empty cell is 0.

    Rows may share a label, as buses of one node do in the original's files of stations; a map adds them up.

    Raises:
        FlowsError: It is no such file.
    """
    lines = _lines(path)
    users = next(lines, [""])[1:]
    if not users:
        raise FlowsError(f"{path}: no columns of users; expected assets as rows and users as columns")
    assets: list[str] = []
    rows: list[list[float]] = []
    for number, cells in enumerate(lines, start=2):
        if len(cells) != len(users) + 1:
            raise FlowsError(f"{path}, line {number}: {counted(len(cells), 'column')}; expected {len(users) + 1}")
        assets.append(cells[0])
        rows.append([_mw(path, number, users[place], cell) for place, cell in enumerate(cells[1:])])
    twice = [label for label in dict.fromkeys(users) if users.count(label) > 1] if len(set(users)) < len(users) else []
    if twice:
        raise FlowsError(f"{path}: column {some(twice)} is there twice; expected each user once")
    return UseMatrix(asset=assets, user=users, mw=np.asarray(rows, dtype=np.float64).reshape(len(assets), len(users)))


def read_pairs(path: Path) -> dict[str, str]:
    """A map of two columns without a header: label, target; a label without a target is left out.

    Raises:
        FlowsError: It is no such file, or a label has two targets.
    """
    pairs: dict[str, str] = {}
    for number, cells in enumerate(_lines(path), start=1):
        if len(cells) < 2:
            raise FlowsError(f"{path}, line {number}: {counted(len(cells), 'column')}; expected a label and its target")
        label, target = cells[0], cells[1]
        if pairs.get(label, target) != target:
            raise FlowsError(f"{path}, line {number}: {label!r} is mapped to {target!r} and to {pairs[label]!r}")
        if target:
            pairs[label] = target
    return pairs


def read_numbers(path: Path, *, add: bool = False) -> dict[str, float]:
    """Two columns without a header, label and number; a label without a number is left out.

    Args:
        path: The file.
        add: Numbers of one label add up; otherwise a label may be there once.

    Raises:
        FlowsError: It is no such file.
    """
    found: dict[str, float] = {}
    for line, cells in enumerate(_lines(path), start=1):
        if len(cells) < 2:
            raise FlowsError(f"{path}, line {line}: {counted(len(cells), 'column')}; expected a label and a number")
        if cells[1] == "":
            continue
        if cells[0] in found and not add:
            raise FlowsError(f"{path}, line {line}: {cells[0]!r} is there twice; expected each label once")
        found[cells[0]] = found.get(cells[0], 0.0) + _number(path, line, "the second column", cells[1])
    return found


def rolled_up(
    matrix: UseMatrix,
    *,
    assets: Mapping[str, str] | None = None,
    users: Mapping[str, str] | None = None,
    user_letters: int | None = None,
) -> tuple[UseMatrix, Unmapped, Unmapped]:
    """Rows and columns summed by the targets of maps; what a map does not know is left out, and said.

    Targets come in the order in which they are first met.

    Args:
        matrix: What to sum.
        assets: Target of each asset; None leaves them alone.
        users: Target of each user; None leaves them alone.
        user_letters: How many letters of a user's label the map knows; None for all.

    Returns:
        The matrix, and what the maps of assets and of users leave out; an asset's MW counts over all users, and what
        no asset of the result holds does not count for a user.
    """
    row_of, row_names, lost_rows = _targets(matrix.asset, assets, None)
    kept = row_of >= 0
    by_row = np.zeros((len(row_names), matrix.user.size))
    np.add.at(by_row, row_of[kept], matrix.mw[kept])
    column_of, column_names, lost_columns = _targets(matrix.user, users, user_letters)
    fits = column_of >= 0
    by_both = np.zeros((len(row_names), len(column_names)))
    np.add.at(by_both.T, column_of[fits], by_row.T[fits])
    return (
        UseMatrix(asset=row_names, user=column_names, mw=by_both),
        Unmapped(labels=lost_rows, mw=float(matrix.mw[~kept].sum())),
        Unmapped(labels=lost_columns, mw=float(by_row[:, ~fits].sum())),
    )


def kept(
    labels: NameArray, mapping: Mapping[str, str] | None, letters: int | None, *, keep: bool
) -> tuple[dict[str, str] | None, list[str]]:
    """Target of each label, and the labels that a map does not know, which keep their own name where asked for.

    Args:
        labels: Labels of one axis of a matrix.
        mapping: Target by label; None leaves all alone.
        letters: How many first letters of a label the map knows; None for all.
        keep: Whether labels without a target keep their name.
    """
    if mapping is None:
        return None, []
    targets: dict[str, str] = {}
    lost = []
    for label in labels.tolist():
        target = mapping.get(label[:letters])
        if target is None:
            lost.append(label)
            if not keep:
                continue
        targets[label] = label if target is None else target
    return targets, lost


def joined(matrix: UseMatrix, links: Mapping[str, Sequence[str]]) -> UseMatrix:
    """The matrix with further rows: sums of some assets under one name, such as the HVDC link of four branches.

    Rows of assets that are joined stay; a link of which no asset is there adds none.
    """
    place = {label: number for number, label in enumerate(matrix.asset.tolist())}
    labels, rows = [], []
    for name, parts in links.items():
        found = [place[part] for part in parts if part in place]
        if name in place:
            raise FlowsError(f"an asset is called {name!r} already; call the joined one otherwise")
        if found:
            labels.append(name)
            rows.append(matrix.mw[found].sum(axis=0))
    if not labels:
        return matrix
    return UseMatrix(
        asset=[*matrix.asset.tolist(), *labels], user=matrix.user, mw=np.concatenate([matrix.mw, np.asarray(rows)])
    )


def by_letters(matrix: UseMatrix, letters: int) -> UseMatrix:
    """Rows summed by the first letters of their labels: stations of New Zealand have three."""
    return rolled_up(matrix, assets={label: label[:letters] for label in matrix.asset})[0]


def positive_only(matrix: UseMatrix) -> UseMatrix:
    """Rows and columns with a positive sum."""
    rows, columns = matrix.mw.sum(axis=1) > 0, matrix.mw.sum(axis=0) > 0
    return UseMatrix(asset=matrix.asset[rows], user=matrix.user[columns], mw=matrix.mw[rows][:, columns])


def _targets(
    labels: NameArray, mapping: Mapping[str, str] | None, letters: int | None
) -> tuple[np.ndarray[tuple[int], np.dtype[np.int64]], list[str], tuple[str, ...]]:
    """Place of each label's target, the targets, and labels without one."""
    targets: dict[str, int] = {}
    places = np.full(labels.size, -1, dtype=np.int64)
    lost = []
    for number, label in enumerate(labels.tolist()):
        target = label if mapping is None else mapping.get(label[:letters])
        if target is None:
            lost.append(label)
        else:
            places[number] = targets.setdefault(target, len(targets))
    return places, list(targets), tuple(lost)


def user_sums(matrix: UseMatrix) -> dict[str, float]:
    """MW of each user over all assets."""
    total = sums(np.arange(matrix.user.size, dtype=np.int32), matrix.mw.sum(axis=0), matrix.user.size)
    return dict(zip(matrix.user.tolist(), total.tolist(), strict=True))


def lines_of(path: Path) -> Iterator[list[str]]:
    """Cells of a CSV file, plain or packed, line by line; empty lines are left out.

    Raises:
        FlowsError: It cannot be read.
    """
    return _lines(path)


def _lines(path: Path) -> Iterator[list[str]]:
    try:
        opener = gzip.open if path.suffix == ".gz" else open
        with opener(path, "rt", encoding="utf-8-sig", newline="") as text:
            yield from (cells for cells in csv.reader(text) if cells)
    except FileNotFoundError as error:
        raise FlowsError(f"{path}: no such file") from error
    except (OSError, EOFError, UnicodeDecodeError, csv.Error) as error:
        raise FlowsError(f"{path}: cannot be read as CSV in UTF-8: {error}") from error


def _mw(path: Path, line: int, column: str, cell: str) -> float:
    return 0.0 if cell == "" else _number(path, line, f"column {column!r}", cell)


def _number(path: Path, line: int, where: str, cell: str) -> float:
    try:
        value = float(cell)
    except ValueError:
        value = float("nan")
    if not np.isfinite(value):
        raise FlowsError(f"{path}, line {line}: {where} is {cell!r}; expected a finite number")
    return value
