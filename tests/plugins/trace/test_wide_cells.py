"""Cells of wide files: compiled text against Python's own formatting."""

from __future__ import annotations

import csv
from io import StringIO

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from hostcap_stock.writers.wide import _quoted, _text

MW = st.one_of(
    st.floats(0.0, 1e4, allow_subnormal=False),
    st.integers(0, 10**7).map(lambda n: n / 20000.0),  # halves of the last decimal
    st.sampled_from([0.0, 1e-5, 4.9999e-5, 0.9999, 0.99995, 1e7, 1e13]),
)


@settings(max_examples=150)
@given(mw=st.lists(MW, min_size=1, max_size=12), seed=st.integers(0, 99))
def test_every_cell_is_what_python_writes(mw: list[float], seed: int) -> None:
    rng = np.random.default_rng(seed)
    names, width = ["plain", "A, B", 'say "é"', "last"], 5
    cells = np.sort(rng.choice(len(names) * width, len(mw), replace=False))
    row, column = np.divmod(cells, width)
    expected = [["0.0000"] * width for _ in names]
    for line, place, value in zip(row, column, mw, strict=True):
        expected[line][place] = f"{value:.4f}"
    first = np.searchsorted(row, np.arange(len(names) + 1))
    text = _text(b"of,the,head\n", _quoted(names), first, column, np.array(mw), width)
    assert list(csv.reader(StringIO(str(text, "utf-8")))) == [
        ["of", "the", "head"],
        *([name, *line] for name, line in zip(names, expected, strict=True)),
    ]
