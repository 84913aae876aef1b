"""A trace report as a person wants to read it first: the largest assets with their concentration, users with values."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import numpy as np

from hostcap.tables import Results, Table

MOST = 15


def first_read(results: Results) -> Sequence[Table]:
    """The assets with the most MW, and the users with the most value."""
    found = []
    for name, by, shown in (
        ("asset_concentration", "mw", ("direction", "asset", "mw", "users", "hhi", "value_interconnection", "rental")),
        ("user_values", "mw", ("direction", "user", "mw", "value_interconnection", "rental", "value_per_mw")),
        ("user_attributes", "amount", ("user", "known_mw", "unknown_mw", "rate", "amount")),
    ):
        if name in results.names:
            found.append(_largest(results[name], by, shown))
    return found


def _largest(table: Table, by: str, shown: Sequence[str]) -> Table:
    amount = np.asarray(table[by], dtype=np.float64)
    order = np.argsort(-np.nan_to_num(amount), kind="stable")[:MOST]
    columns = tuple(c for c in table.schema.columns if c.name in shown and not _empty(table, c.name))
    title = f"{table.name}, {order.size} of {amount.size} by {by}"
    schema = attrs.evolve(table.schema, name=title, columns=columns)
    return Table.build(schema, {c.name: table[c.name][order] for c in columns})


def _empty(table: Table, name: str) -> bool:
    values = table[name]
    return values.dtype.kind == "f" and bool(np.isnan(values).all())
