"""Tables: what is refused, and that nothing is lost on the way through Arrow."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from hostcap.findings import Finding, Severity
from hostcap.tables import (
    Chunk,
    Column,
    Results,
    Table,
    TableSchema,
    Words,
    concatenate,
    findings_table,
    schema_from,
)

ALL = TableSchema(
    name="all",
    meaning="One column of every type.",
    order="as given",
    columns=(
        Column("name", "text", "Who", key=True),
        Column("count", "integer", "How many"),
        Column("power_kw", "number", "How much", unit="kW"),
        Column("solved", "boolean", "Whether it converged"),
        Column("at", "timestamp", "When, UTC"),
    ),
)
NEW_YEAR = np.datetime64("2025-01-01T00:00:00", "us")


def columns(**changed: Any) -> dict[str, Any]:
    given = {
        "name": ["a", "b"],
        "count": [1, 2],
        "power_kw": [1.5, -0.25],
        "solved": [True, False],
        "at": np.array([NEW_YEAR, NEW_YEAR + np.timedelta64(30, "m")]),
    }
    return given | changed


def build(**changed: Any) -> Table:
    return Table.build(ALL, columns(**changed), {"limits": "LV 216-253 V"})


def cells(table: Table) -> dict[str, list[Any]]:
    """Columns as lists, nan and None both as None."""
    return {
        name: [None if v is None or (isinstance(v, float) and math.isnan(v)) else v for v in values.tolist()]
        for name, values in table.columns.items()
    }


def there_and_back(table: Table) -> Table:
    return Table.from_arrow(table.to_arrow())


# --- building ------------------------------------------------------------------------------------------------------


def test_a_missing_column_is_refused_by_name() -> None:
    given = columns()
    del given["power_kw"]
    with pytest.raises(ValueError, match=r"table all: columns that differ from its schema: \['power_kw'\]"):
        Table.build(ALL, given)


def test_an_unknown_column_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"table all: columns that differ from its schema: \['powr_kw'\]"):
        build(powr_kw=[1.0, 2.0])


def test_columns_of_different_lengths_are_refused_with_their_lengths() -> None:
    with pytest.raises(ValueError, match=r"table all: lengths differ: .*'count': 3"):
        build(count=[1, 2, 3])


def test_columns_come_in_the_order_of_the_schema_whatever_the_order_given() -> None:
    table = Table.build(ALL, dict(reversed(columns().items())))
    assert tuple(table.columns) == ALL.names == ("name", "count", "power_kw", "solved", "at")
    assert len(table) == 2
    assert table.name == "all"


def test_columns_have_the_types_of_the_schema() -> None:
    table = build(count=np.array([1.0, 2.0]))
    assert [table[name].dtype for name in ALL.names] == [
        object,
        np.dtype(np.int64),
        np.dtype(np.float64),
        np.dtype(bool),
        np.dtype("datetime64[us]"),
    ]


def test_an_integer_column_does_not_cut_a_fraction_off() -> None:
    with pytest.raises((ValueError, TypeError)):
        build(count=np.array([1.5, 2.0]))


def test_rows_are_dictionaries_in_order() -> None:
    first, second = build().rows()
    assert first == {"name": "a", "count": 1, "power_kw": 1.5, "solved": True, "at": NEW_YEAR}
    assert second["name"] == "b"


# --- through Arrow -------------------------------------------------------------------------------------------------


def test_a_table_comes_back_from_arrow_as_it_was() -> None:
    table = build()
    back = there_and_back(table)
    assert back.schema == table.schema
    assert cells(back) == cells(table)
    assert {n: back[n].dtype for n in ALL.names} == {n: table[n].dtype for n in ALL.names}
    assert dict(back.metadata) == {"limits": "LV 216-253 V"}


def test_missing_values_of_every_type_come_back_missing() -> None:
    table = build(name=["a", None], count=[None, 2], power_kw=[math.nan, 1.0], solved=[True, None])
    assert [table.to_arrow().column(name).null_count for name in ALL.names] == [1, 1, 1, 1, 0]
    back = there_and_back(table)
    assert cells(back) == cells(table)
    assert back["name"].tolist() == ["a", None]
    assert back["count"].tolist() == [None, 2]
    assert isinstance(back["count"][1], int)
    assert math.isnan(back["power_kw"][0])
    assert back["solved"].tolist() == [True, None]


def test_a_column_of_nothing_but_missing_values_comes_back_so() -> None:
    table = build(name=[None, None], count=[None, None], power_kw=[None, math.nan], solved=[None, None])
    back = there_and_back(table)
    assert [cells(back)[n] for n in ("name", "count", "power_kw", "solved")] == [[None, None]] * 4
    assert cells(there_and_back(back)) == cells(back)


def test_missing_timestamps_come_back_missing() -> None:
    back = there_and_back(build(at=np.array(["NaT", "2025-01-01T00:00:00"], dtype="datetime64[us]")))
    again = there_and_back(back)
    for table in (back, again):
        present = [value for value in table.to_arrow().column("at").to_pylist() if value is not None]
        assert [value.isoformat() for value in present] == ["2025-01-01T00:00:00+00:00"]


def test_a_table_without_rows_keeps_its_columns_and_types() -> None:
    table = build(name=[], count=[], power_kw=[], solved=[], at=np.array([], dtype="datetime64[us]"))
    back = there_and_back(table)
    assert len(back) == len(table) == 0
    assert tuple(back.columns) == ALL.names
    assert [str(t) for t in back.to_arrow().schema.types] == [
        "string",
        "int64",
        "double",
        "bool",
        "timestamp[us, tz=UTC]",
    ]
    assert list(back.rows()) == []


def test_timestamps_are_utc_in_arrow_and_pandas() -> None:
    arrow = build().to_arrow()
    assert str(arrow.schema.field("at").type) == "timestamp[us, tz=UTC]"
    assert arrow.column("at").to_pylist()[1].isoformat() == "2025-01-01T00:30:00+00:00"
    frame = build().to_pandas()
    assert str(frame["at"].dtype) == "datetime64[us, UTC]"
    assert frame["power_kw"].tolist() == [1.5, -0.25]


def test_units_keys_and_meanings_travel_with_each_field() -> None:
    schema = build().to_arrow().schema
    assert schema.field("power_kw").metadata == {b"unit": b"kW", b"key": b"false", b"meaning": b"How much"}
    assert schema.field("name").metadata[b"key"] == b"true"


def test_an_arrow_table_of_somebody_else_is_refused() -> None:
    with pytest.raises(ValueError, match="was not written by hostcap"):
        Table.from_arrow(pa.table({"name": ["a"]}))


def test_a_schema_with_an_unknown_type_is_refused() -> None:
    record = {"name": "t", "meaning": "", "order": "", "columns": [{"name": "x", "type": "money", "meaning": ""}]}
    with pytest.raises(ValueError, match="unknown column type 'money'"):
        schema_from(record)


# --- several tables ------------------------------------------------------------------------------------------------


def test_tables_are_concatenated_in_order() -> None:
    joined = concatenate([build(name=["c", "d"]), build(), build(name=[], count=[], power_kw=[], solved=[], at=[])])
    assert joined["name"].tolist() == ["c", "d", "a", "b"]
    assert joined["at"].dtype == np.dtype("datetime64[us]")
    assert dict(joined.metadata) == {"limits": "LV 216-253 V"}


def test_a_column_with_missing_values_in_one_table_only_stays_whole_when_joined() -> None:
    joined = concatenate([build(), build(count=[None, 9])])
    assert joined["count"].tolist() == [1, 2, None, 9]
    assert cells(there_and_back(joined)) == cells(joined)


def test_text_may_be_places_in_a_list_of_names() -> None:
    names = np.array(["a", "b", "unused"], dtype=object)
    worded, plain = build(name=Words(names, np.array([1, 0]))), build(name=["b", "a"])
    assert cells(worded) == cells(plain)
    assert worded.to_arrow().equals(plain.to_arrow())
    assert cells(there_and_back(worded)) == cells(plain)
    for table in (worded, plain):
        words = table.words("name")
        assert [words.names[place] for place in words.place] == ["b", "a"]
    same = build(name=Words.same("c", 2))
    joined = concatenate([worded, same, worded])
    assert joined["name"].tolist() == ["b", "a", "c", "c", "b", "a"]
    assert joined.words("name").names.tolist() == ["a", "b", "unused", "c"], "lists are not said twice"
    assert concatenate([worded, plain])["name"].tolist() == ["b", "a", "b", "a"]


def results(*chunks: tuple[str, Table]) -> Results:
    return Results(
        work_package_id="0",
        chunks=tuple(Chunk(scenario="base", year=2025, feeder=feeder, tables=(table,)) for feeder, table in chunks),
    )


def test_results_give_one_table_over_all_feeders_in_the_order_of_chunks() -> None:
    found = results(("F2", build(name=["x", "y"])), ("F1", build()))
    assert found["all"]["name"].tolist() == ["x", "y", "a", "b"]
    assert found.names == tuple(found) == ("all",)
    assert "all" in found and "al" not in found
    assert found.to_pandas("all")["count"].tolist() == [1, 2, 1, 2]


def test_results_name_the_tables_that_there_are_when_asked_for_another() -> None:
    with pytest.raises(KeyError, match="no table 'al'; there are: all"):
        results(("F1", build()))["al"]
    with pytest.raises(KeyError, match="there are: none"):
        results()["all"]


def test_findings_are_numbered_errors_first_and_else_in_the_order_found() -> None:
    found = [
        Finding(severity=Severity.INFO, code="i1", message="first"),
        Finding(severity=Severity.ERROR, code="e1", message="second", element="t1", count=3, kw=2.5),
        Finding(severity=Severity.WARNING, code="w1", message="third"),
        Finding(severity=Severity.INFO, code="i2", message="fourth"),
    ]
    table = findings_table(found, work_package_id="id", scenario="base", feeder="F1")
    assert table["code"].tolist() == ["e1", "w1", "i1", "i2"]
    assert table["number"].tolist() == [1, 2, 3, 4]
    assert table["count"].tolist() == [3, 1, 1, 1]
    assert cells(table)["kw"] == [2.5, None, None, None]
    assert len(findings_table([], work_package_id="id", scenario="base", feeder="F1")) == 0


# --- lists of text -------------------------------------------------------------------------------------------------

TIED = TableSchema(
    name="tied",
    meaning="A list in each row.",
    order="as given",
    columns=(Column("name", "text", "Who", key=True), Column("others", "texts", "With whom")),
)


@pytest.mark.parametrize(
    "others", [[("x", "y"), ()], [("x", "y"), ("z", "u")], [("x",), None], [], [("x; y", "ü"), ("z",)]]
)
def test_lists_of_text_come_back_from_arrow(others: list[Any]) -> None:
    table = Table.build(TIED, {"name": [str(i) for i in range(len(others))], "others": others})
    assert there_and_back(table)["others"].tolist() == others
    assert table["others"].ndim == 1
    assert concatenate([table, table])["others"].tolist() == others * 2


def test_lists_of_text_are_one_text_where_csv_is_written() -> None:
    table = Table.build(TIED, {"name": ["a", "b", "c"], "others": [("x, y", "z"), (), None]})
    assert table.to_flat_arrow().column("others").to_pylist() == ["x, y;z", "", None]
    assert table.to_flat_arrow().column("name").to_pylist() == ["a", "b", "c"]
