"""The net import of a long window, summed as it is read, is that of readings that are held whole; findings as well."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hostcap.config import structure
from hostcap.errors import ProfileError
from hostcap.findings import Finding
from hostcap.network import Network
from hostcap.operating_point import FeederScope
from hostcap.plugins import SummingProfiles
from hostcap.profiles import NetImport, Window
from hostcap.testing import street
from hostcap_stock.initial_states.timed import PeakConfig, peak_export, peak_import
from hostcap_stock.profiles import scans, table
from hostcap_stock.profiles.config import TableConfig
from hostcap_stock.profiles.table import TableProfiles

NAMES = ("c1", "c2", "c3", "c4", "c5", "mill")
NOON = datetime(2025, 1, 6, 12, tzinfo=UTC)
HALF_HOUR = timedelta(minutes=30)
STREET = street()
INSTANTS = 9


@pytest.fixture(autouse=True)
def summed(monkeypatch: pytest.MonkeyPatch) -> None:
    """No window is short; some rows and few columns at a time."""
    monkeypatch.setattr(table, "MOST_HELD", -1)
    monkeypatch.setattr(scans, "MOST_ROWS", 7)
    monkeypatch.setattr(scans, "MOST_CELLS", 21)


def window(first: int = 1, last: int = INSTANTS) -> Window:
    """The half hours that end at ``first`` to ``last``, counted from noon."""
    return Window(start=NOON + (first - 1) * HALF_HOUR, end=NOON + last * HALF_HOUR)


def profiles(folder: Path, files: list[str], **more: Any) -> TableProfiles:
    """The profiles of a study file in ``folder``."""
    readings = {"files": files, "interval_minutes": 30, "unit": "kW", "import_column": "in", "export_column": "out"}
    given_ = {key: value for key, value in (readings | more).items() if value is not None}
    return TableProfiles(structure({"readings": given_}, TableConfig, path="profiles", folder=folder))


def outcome(work: Any) -> Any:
    """What it gives, or what it refuses."""
    try:
        return work()
    except ProfileError as error:
        return str(error)


def alike(one: Finding, other: Finding) -> bool:
    """All is the same, and kW but for the last digits of a sum."""
    kw = (one.kw or 0.0, other.kw or 0.0)
    return attrs.evolve(one, kw=None) == attrs.evolve(other, kw=None) and bool(np.isclose(*kw, rtol=1e-9, atol=1e-9))


def compare(made: TableProfiles, network: Network, asked: Window) -> NetImport | str:
    """Both ways; what they give, or what both refuse."""
    whole = outcome(lambda: made.customers(network, asked))
    found = outcome(lambda: made.net_import(network, asked))
    if isinstance(whole, str) or isinstance(found, str):
        assert found == whole
        return str(found)
    assert np.array_equal(found.instant, whole.instant)
    assert np.allclose(found.kw, whole.net_import_kw(), rtol=1e-12, atol=1e-9)
    assert len(found.findings) == len(whole.findings)
    assert all(map(alike, found.findings, whole.findings)), (found.findings, whole.findings)
    for place in range(found.instant.size):
        one = found.at(place)
        assert np.array_equal(one.load_kw[0], whole.load_kw[place])
        assert np.array_equal(one.generation_kw[0], whole.generation_kw[place])
    return found  # type: ignore[no-any-return]


READING = st.one_of(st.none(), st.integers(0, 40).map(lambda quarter: quarter / 4), st.floats(0, 50))
RULES = st.fixed_dictionaries(
    {
        "missing": st.sampled_from(["refuse", "zero", "previous", "previous", "as-modelled"]),
        "missing_customers": st.sampled_from([None, "zero", "as-modelled", "refuse"]),
        "missing_instants": st.sampled_from(["refuse", "leave-out", "fill", "fill"]),
        "duplicates": st.sampled_from(["refuse", "first", "last", "last"]),
        "unknown_customers": st.sampled_from(["refuse", "leave-out", "leave-out"]),
        "unit": st.sampled_from(["kW", "kWh"]),
    }
)
ROW = st.tuples(st.integers(-3, INSTANTS), st.sampled_from([*NAMES, *NAMES, "C2", "stranger"]), READING, READING)


@st.composite
def long_rows(draw: Any) -> list[tuple[int, str, float | None, float | None]]:
    """A full table with gaps cut out, and rows put in anywhere."""
    rows = [
        (at, name, draw(st.integers(0, 8)) / 2, draw(st.integers(0, 3)) / 2)
        for at in range(1, INSTANTS + 1)
        for name in NAMES
    ]
    for _ in range(draw(st.integers(0, 4))):
        rows.pop(draw(st.integers(0, len(rows) - 1)))
    for row in draw(st.lists(ROW, max_size=4)):
        rows.insert(draw(st.integers(0, len(rows))), row)
    if draw(st.booleans()):
        gone = draw(st.sampled_from(NAMES))
        rows = [row for row in rows if row[1] != gone]
    if draw(st.booleans()):
        gone_at = draw(st.integers(1, INSTANTS))
        rows = [row for row in rows if row[0] != gone_at]
    return draw(st.permutations(rows)) if draw(st.booleans()) else rows


def write_long(path: Path, rows: Sequence[tuple[int, str, float | None, float | None]]) -> None:
    """Rows as Parquet, in small groups, or CSV."""
    columns = {
        "time": pa.array([NOON + at * HALF_HOUR for at, *_ in rows], pa.timestamp("ms", tz="UTC")),
        "customer": pa.array([name for _, name, *_ in rows]),
        "in": pa.array([taken for *_, taken, _ in rows], pa.float64()),
        "out": pa.array([given_ for *_, given_ in rows], pa.float64()),
    }
    if path.suffix == ".parquet":
        pq.write_table(pa.table(columns), path, row_group_size=20)
    else:
        pyarrow.csv.write_csv(pa.table(columns), path)


def dead(network: Network, which: int) -> Network:
    """One customer is reached from no source."""
    live = network.customers.live.copy()
    live[which] = False
    return attrs.evolve(network, customers=attrs.evolve(network.customers, live=live))


@settings(max_examples=150, deadline=None)
@given(
    rows=long_rows(),
    rules=RULES,
    first=st.integers(1, 4),
    ending=st.sampled_from(["parquet", "csv"]),
    net=st.booleans(),
    none=st.booleans(),
)
def test_a_long_table_by_sums_is_that_which_is_held_whole(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[tuple[int, str, float | None, float | None]],
    rules: dict[str, Any],
    first: int,
    ending: str,
    net: bool,
    none: bool,
) -> None:
    folder = tmp_path_factory.mktemp("net")
    write_long(folder / f"r.{ending}", rows)
    columns = {"import_column": None, "export_column": None, "net_column": "in", "import_kvar_column": "out"}
    made = profiles(folder, [f"r.{ending}"], **rules, **(columns if net else {}))
    compare(made, dead(STREET, 3) if none else STREET, window(first))


@settings(max_examples=100, deadline=None)
@given(data=st.data(), rules=RULES, first=st.integers(1, 4), apart=st.booleans())
def test_a_wide_table_by_sums_is_that_which_is_held_whole(
    tmp_path_factory: pytest.TempPathFactory, data: Any, rules: dict[str, Any], first: int, apart: bool
) -> None:
    """Columns may lack, rows may be there twice, and import and export may be in files of their own."""
    folder = tmp_path_factory.mktemp("net")
    at = data.draw(st.lists(st.integers(-2, INSTANTS), max_size=3)) + list(range(1, INSTANTS + 1))
    at = data.draw(st.permutations(at))
    full = st.floats(0, 9)
    columns: dict[str, list[float | None]] = {}
    for name in (*NAMES, "stranger"):
        for side in ("in", "out"):
            if data.draw(st.integers(0, 9)) < (8 if name != "stranger" else 1):
                holes = data.draw(st.integers(0, 9)) < 2
                one = st.one_of(st.none(), full) if holes else full
                columns[f"{name} {side}"] = data.draw(st.lists(one, min_size=len(at), max_size=len(at)))
    made = {name: pa.array(values, pa.float64()) for name, values in columns.items()}
    time = pa.array([NOON + each * HALF_HOUR for each in at], pa.timestamp("us", tz="UTC"))
    sides = (" in", " out") if apart else ("",)
    files = [f"wide{number}.parquet" for number in range(len(sides))]
    for file, side in zip(files, sides, strict=True):
        own = {name: values for name, values in made.items() if name.endswith(side)}
        pq.write_table(pa.table({"time": time, **own}), folder / file, row_group_size=5)
    wide = {"layout": "wide", "import_column": "{customer} in", "export_column": "{customer} out"}
    compare(profiles(folder, files, **rules, **wide), STREET, window(first))


@pytest.mark.parametrize(("rule", "kw"), [("first", 1.0), ("last", 30.0)])
def test_of_a_reading_that_is_there_twice_one_is_summed(tmp_path: Path, rule: str, kw: float) -> None:
    """Each customer imports 1 kW; c1 at the second half hour also 30 kW, in the other file."""
    rows = [(at, name, 1.0, 0.0) for at in (1, 2, 3) for name in NAMES]
    write_long(tmp_path / "a.parquet", rows)
    write_long(tmp_path / "b.csv", [(2, "C1", 30.0, 0.0)])
    made = profiles(tmp_path, ["a.parquet", "b.csv"], duplicates=rule)
    found = made.net_import(STREET, window(1, 3))
    assert found.kw.tolist() == [5.0, 4.0 + kw, 5.0]  # c5 has no load
    [finding] = [f for f in found.findings if f.code == "duplicate-readings"]
    assert (finding.count, finding.kw) == (1, pytest.approx((31.0 - kw) / 3))


def test_the_reading_before_a_gap_stands_in_also_from_the_day_before(tmp_path: Path) -> None:
    rows = [(at, name, float(10 + at), 0.0) for at in (-1, 0, 1, 2, 3) for name in NAMES]
    write_long(tmp_path / "r.parquet", [row for row in rows if row[:2] not in {(1, "c1"), (3, "c2")}])
    found = profiles(tmp_path, ["r.parquet"], missing="previous").net_import(STREET, window(1, 3))
    assert found.kw.tolist() == [4 * 11.0 + 10.0, 5 * 12.0, 4 * 13.0 + 12.0]
    [finding] = [f for f in found.findings if f.code == "readings-filled"]
    assert (finding.count, finding.kw) == (2, pytest.approx(22.0 / 3))


def test_the_model_stands_in(tmp_path: Path) -> None:
    """The mill draws 40 kW as modelled, and nobody has a reading at the third half hour."""
    write_long(tmp_path / "r.parquet", [(at, name, 1.0, 0.0) for at in (1, 2) for name in NAMES[:-1]])
    made = profiles(tmp_path, ["r.parquet"], missing="as-modelled", missing_instants="fill")
    found = made.net_import(STREET, window(1, 3))
    model = STREET.injectors.load_kw.sum() - STREET.injectors.generation_kw.sum()
    assert found.kw.tolist() == [44.0, 44.0, pytest.approx(model)]
    assert found.at(2).load_kw[0].tolist() == STREET.injectors.load_kw.tolist()


@pytest.mark.parametrize(("state", "place"), [(peak_import, 4), (peak_export, 6)])
def test_the_peak_is_found_by_sums_and_read_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: Any, place: int
) -> None:
    rows = [(at, name, 9.0 if at == 4 else 1.0, 5.0 if at == 6 else 0.0) for at in range(1, 10) for name in NAMES]
    write_long(tmp_path / "r.parquet", rows)
    made = profiles(tmp_path, ["r.parquet"])
    assert isinstance(made, SummingProfiles)
    config = PeakConfig(start_time=NOON, end_time=NOON + 9 * HALF_HOUR)
    scope = FeederScope(feeder="street", year=2025)
    point = state(config).operating_point(STREET, scope, made)
    assert point.instant == NOON + place * HALF_HOUR
    monkeypatch.setattr(table, "MOST_HELD", 10**9)
    assert state(config).operating_point(STREET, scope, made) == point
