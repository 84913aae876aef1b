"""Finished days of a run that was interrupted: a file each, which a later run of the same study and input takes up."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from attrs import frozen

from hostcap.errors import OutputError
from hostcap_stock.trace.sums import Index, Sums, state_of, sums_of

_PARTS = ("row", "column", "value")


@frozen(kw_only=True)
class Kept:
    """Where finished days are kept; None keeps none."""

    folder: Path | None

    def finished(self, days: Iterable[date]) -> frozenset[date]:
        """The days that need not be traced again."""
        folder = self.folder
        return frozenset() if folder is None else frozenset(day for day in days if _file(folder, day).is_file())

    def keep(self, day: date, sums: Sums, notes: list[Any]) -> None:
        """Keep a finished day; whole or not at all.

        Raises:
            OutputError: It cannot be written.
        """
        if self.folder is None:
            return
        path = _file(self.folder, day)
        state = state_of(sums)
        sizes = {block: parts[0].size for block, parts in state["blocks"].items()}
        # One array for each of row, column and value: a file of many is slow to write.
        parts = zip(*state["blocks"].values(), strict=True)
        arrays: dict[str, Any] = dict(zip(_PARTS, map(np.concatenate, parts), strict=False))
        plain = json.dumps({"names": state["names"], "plain": state["plain"], "notes": notes, "sizes": sizes})
        beside = path.with_name(f".{path.name}.{os.getpid()}.part")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with beside.open("wb") as file:
                np.savez(file, plain=np.frombuffer(plain.encode(), dtype=np.uint8), **arrays)
            beside.replace(path)
        except OSError as error:
            raise OutputError(f"{path}: cannot be written: {error.strerror or error}") from error
        finally:
            beside.unlink(missing_ok=True)

    def read(self, day: date, index: Index) -> tuple[Sums, list[Any]]:
        """A finished day: its sums and notes.

        Raises:
            OutputError: It cannot be read.
        """
        if self.folder is None:
            raise OutputError("no folder is kept to resume from")
        path = _file(self.folder, day)
        try:
            with np.load(path) as held:
                plain = json.loads(held["plain"].tobytes().decode())
                sizes = plain.pop("sizes")
                ends = np.cumsum(list(sizes.values()))[:-1]
                cut = [np.split(held[part], ends) for part in _PARTS] if sizes else []
                blocks = dict(zip(sizes, zip(*cut, strict=True), strict=True))
            return sums_of({**plain, "blocks": blocks}, index), plain["notes"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise OutputError(f"{path}: cannot be read ({error}); remove it, and its day is traced again") from error


def _file(folder: Path, day: date) -> Path:
    return folder / f"{day}.npz"
