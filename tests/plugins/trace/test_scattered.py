"""Scattered sums: the tables of sums in arrays, whenever a block becomes one, and memory that follows the cells."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tracing_cases import period_of

from hostcap import run
from hostcap.errors import StoppedError
from hostcap.tables import Results
from hostcap_stock.bialek.config import BialekConfig
from hostcap_stock.bialek.tracer import BialekTracer
from hostcap_stock.trace import sums as summing
from hostcap_stock.trace.scattered import Scattered
from hostcap_stock.trace.sums import Index, Sums

from .test_trace_study import EVERY, package

ENTRIES = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 7), st.floats(0.0, 1e3)), max_size=30)


@given(st.lists(ENTRIES, max_size=4))
def test_cells_add_up_as_in_an_array(parts: list[list[tuple[int, int, float]]]) -> None:
    held, dense = Scattered(), np.zeros((10, 8))
    for part in parts:
        row, column, value = (np.array([entry[n] for entry in part]) for n in range(3))
        held.add(row.astype(np.int32), column.astype(np.int32), value.astype(np.float64))
        np.add.at(dense, (row.astype(int), column.astype(int)), value)
    assert held.dense(10, 8) == pytest.approx(dense)
    row, column, value = held.cells()
    assert [*zip(row, column, strict=True)] == sorted({*zip(row.tolist(), column.tolist(), strict=True)})
    assert Scattered.of(dense).dense(10, 8) == pytest.approx(dense)
    held.clear()
    assert held.cells()[0].size == 0


def tables(**more: Any) -> Results:
    return run(package({"days": 4, "failing": [1, 6]}, {"levels": EVERY, "least_mw": 0.5, **more}))


def same(found: Results, due: Results) -> None:
    assert found.names == due.names
    for name in due.names:
        for column in due[name].schema.columns:
            one, other = found[name][column.name], due[name][column.name]
            if column.type == "number":
                assert one == pytest.approx(other, rel=1e-12, abs=1e-12, nan_ok=True), (name, column.name)
            elif column.name != "work_package_id":
                assert one.tolist() == other.tolist(), (name, column.name)


@pytest.mark.parametrize("wide", [0, 20, 60])
@pytest.mark.parametrize("averaging", ["periods", "averages"])
def test_tables_are_the_same_whenever_a_block_becomes_scattered(
    wide: int, averaging: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At once, or as names are met, with days, months and years that were begun in arrays."""
    due = tables(averaging=averaging)
    monkeypatch.setattr(summing, "WIDE", wide)
    same(tables(averaging=averaging), due)


def test_an_interrupted_run_takes_scattered_days_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    due = run(package({"days": 4}, {"levels": EVERY}), out=tmp_path / "whole")
    monkeypatch.setattr(summing, "WIDE", 0)
    done = tmp_path / "cut" / "trace_balance"
    with pytest.raises(StoppedError):
        run(
            package({"days": 4}, {"levels": EVERY}),
            out=tmp_path / "cut",
            should_stop=lambda: len(list(done.rglob("*-??-??.parquet"))) >= 2,
        )
    found = run(package({"days": 4}, {"levels": EVERY}), out=tmp_path / "cut")
    same(found, due)


def test_memory_of_a_long_feeder_follows_its_cells_and_not_its_periods(monkeypatch: pytest.MonkeyPatch) -> None:
    """60 lines in a row with a load at each: half of the cells are met, and 20 periods meet no more than one."""
    monkeypatch.setattr(summing, "WIDE", 1000)
    size = 60
    branches = [(f"l{i}", i, i + 1, float(size - i), 0.0, 0.0) for i in range(size)]
    rows = [("g", 0, 1.0, float(size), 0.0)] + [(f"c{i}", i + 1, 1.0, 0.0, 1.0) for i in range(size)]
    found = {}
    for periods in (1, 20):
        held = Sums(Index())
        for number in range(periods):
            held.add(BialekTracer(BialekConfig()).trace(period_of(branches, rows, number=number)))
        assert isinstance(held.blocks["branch_down"], Scattered)
        assert held.mean("branch_down") == pytest.approx(np.triu(np.ones((size, size))))
        found[periods] = held.blocks["branch_down"].cells()[0].size
    assert found == {1: size * (size + 1) // 2, 20: size * (size + 1) // 2}
