"""Concentration, maps, values and attributes, by hand."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostcap.errors import FlowsError
from hostcap_stock.trace_report.asset_values import Value, asset_values, read_circuits, read_register
from hostcap_stock.trace_report.attributes import attribute_of_mix
from hostcap_stock.trace_report.concentration import equal_users, hhi
from hostcap_stock.trace_report.matrices import (
    UseMatrix,
    from_long,
    joined,
    read_numbers,
    read_pairs,
    read_wide,
    rolled_up,
)
from hostcap_stock.trace_report.user_values import asset_numbers, per_peak, value_by_user

USE = UseMatrix(
    asset=["A", "B, C", "HVDC1", "HVDC2", "idle"],
    user=["n1", "n2", "n3"],
    mw=[[30.0, 10.0, 0.0], [5.0, 5.0, 10.0], [4.0, 0.0, 0.0], [0.0, 0.0, 4.0], [0.0, 0.0, 0.0]],
)


def test_the_index_by_hand() -> None:
    """Three quarters and a quarter: 10000 x (9/16 + 1/16); a row without flow has none."""
    index = hhi(USE.mw)
    assert index[:4].tolist() == [6250.0, 3750.0, 10000.0, 10000.0]
    assert np.isnan(index[4])
    assert equal_users(np.asarray([2500.0])).tolist() == [4.0]


@given(st.lists(st.floats(0.001, 1e4), min_size=1, max_size=12))
def test_the_index_lies_between_that_of_equal_users_and_that_of_one(mw: list[float]) -> None:
    (index,) = hhi(np.asarray([mw]))
    assert 10_000.0 / len(mw) - 1e-6 <= index <= 10_000.0 + 1e-6
    (again,) = hhi(np.asarray([[value * 3.0 for value in reversed(mw)]]))
    assert again == pytest.approx(index)


def test_the_link_of_several_branches_is_one_asset_whose_index_is_that_of_the_sum() -> None:
    """Two poles used by one each: alone 10000, together 5000."""
    both = joined(USE, {"HVDC": ["HVDC1", "HVDC2", "HVDC3"], "other": ["x"]})
    assert both.asset.tolist() == [*USE.asset.tolist(), "HVDC"]
    assert hhi(both.mw)[-1] == 5000.0
    with pytest.raises(FlowsError, match="called 'A' already"):
        joined(USE, {"A": ["HVDC1"]})


def test_maps_sum_and_say_what_they_leave_out() -> None:
    matrix, assets, users = rolled_up(USE, assets={"A": "line", "B, C": "line"}, users={"n1": "x", "n3": "x"})
    assert (matrix.asset.tolist(), matrix.user.tolist()) == (["line"], ["x"])
    assert matrix.mw.tolist() == [[45.0]]
    assert (assets.labels, assets.mw) == (("HVDC1", "HVDC2", "idle"), 8.0)
    assert (users.labels, users.mw) == (("n2",), 15.0), "15 of the 60 MW of the assets that stay"
    assert matrix.mw.sum() + assets.mw + users.mw == USE.mw.sum()


def test_a_value_is_shared_as_the_asset_is_used_and_nothing_is_lost_in_silence() -> None:
    """100 for A: three quarters n1; B and C together 40; the HVDC poles and no flow have none; D is used by nobody."""
    numbers = {"A": 100.0, "B": 30.0, "C": 10.0, "D": 7.0, "idle": 3.0}
    value = asset_numbers(USE, numbers)
    assert value[:2].tolist() == [100.0, 40.0] and np.isnan(value[2:4]).all()
    found = value_by_user(USE, value, numbers)
    assert found.value.tolist() == [85.0, 35.0, 20.0]
    assert (found.unvalued, found.unvalued_mw) == (("HVDC1", "HVDC2"), 8.0)
    assert found.unused == {"D": 7.0, "idle": 3.0}
    rate, lost = per_peak(USE, found.value, {"n1": 17.0, "n2": 0.0})
    assert rate[0] == 5.0 and np.isnan(rate[1:]).all()
    assert lost == ("n2", "n3")


def test_carbon_of_each_load_by_hand_on_the_four_bus_system() -> None:
    """Gross MW of method, section 9: n1 sends 276.325088 and 123.674912, n2 33.434629 and 80.565371."""
    supply = from_long(
        ["n1", "n1", "n2", "n2"],
        ["n3", "n4", "n3", "n4"],
        np.asarray([276.325088, 123.674912, 33.434629, 80.565371]),
    )
    carbon = attribute_of_mix(supply, {"n1": 1.0, "n2": 0.1})
    assert carbon.amount == pytest.approx([279.668551, 131.731449], abs=1e-6)
    assert carbon.rate == pytest.approx([279.668551 / 309.759717, 131.731449 / 204.240283], abs=1e-9)
    assert carbon.amount.sum() == pytest.approx(400.0 + 11.4, abs=1e-5), "all that the suppliers emit"
    known = attribute_of_mix(supply, {"n1": 1.0})
    assert known.rate.tolist() == [1.0, 1.0]
    assert known.unknown_mw == pytest.approx([33.434629, 80.565371])
    assert known.unmatched == ("n2",)


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_the_register_by_hand(tmp_path: Path) -> None:
    """A line of 6 over circuits of 2 and 1 km, one without length; a transformer's value stands at its T winding."""
    register = read_register(
        write(
            tmp_path / "rab.csv",
            "ASSET ID,type,id,status,C/N_flag,sum_NBV\n"
            "L_A,Transmission Line,L_A,I,Interconnection,4000000\n"
            "x,Transmission Line,L_A,I,Interconnection,2000000\n"
            "L_B,Transmission Line,L_B,I,Connection,5000000\n"
            "L_C,Transmission Line,L_C,I,Not connected,9000000\n"
            "L_D,Transmission Line,L_D,I,Interconnection,1000000\n"
            "t1,Transformer,AAA_T1,I,Interconnection,3000000\n"
            "t2,3W Transformer,AAA_T1,I,Connection,\n"
            "s,Substation,AAA,I,Connection,500000\n"
            "w,Switchgear,AAA1,I,Interconnection,250000\n"
            "v,Switchgear,AAA2,I,Interconnection,250000\n",
        )
    )
    circuits = read_circuits(
        write(
            tmp_path / "map.csv",
            "line,circuits,length,sub1,sub2\nL_A,C1,2,,\nL_A,C2,1,,\nL_B,C2,,,\nL_X,C3,1,,\nL_C,C4,1,,\n",
        )
    )
    values = asset_values(register, circuits)
    assert values.of("C1") == Value(connection=0.0, interconnection=4.0, asset_class="Interconnection")
    assert values.of("C2") == Value(connection=5.0, interconnection=2.0, asset_class="Interconnection")
    assert values.of("C1, C2") == Value(connection=5.0, interconnection=6.0, asset_class="Interconnection")
    assert values.of("C1, C3") is None and values.of("C3") is None
    assert values.of("AAA_T1.T1") == Value(connection=0.0, interconnection=3.0, asset_class="")
    assert values.of("AAA_T1.M1") == Value(connection=0.0, interconnection=0.0, asset_class="")
    assert values.of("ZZZ_T9.T9") is None
    assert values.station("AAA0331") == Value(connection=0.5, interconnection=0.5, asset_class="Interconnection")
    assert values.lines_without_circuit == {"L_D": 1.0}
    assert values.circuits_without_line == ("C3",)


@pytest.mark.parametrize(
    ("reader", "text", "told"),
    [
        (read_wide, "", "no columns of users"),
        (read_wide, ",n1,n2\nA,1\n", "line 2: 2 columns; expected 3"),
        (read_wide, ",n1\nA,one\n", "line 2: column 'n1' is 'one'; expected a finite number"),
        (read_wide, ",n1,n1\nA,1,2\n", "column n1 is there twice"),
        (read_pairs, "a\n", "line 1: 1 column; expected a label and its target"),
        (read_pairs, "a,b\na,c\n", "line 2: 'a' is mapped to 'c' and to 'b'"),
        (read_numbers, "a,1\na,2\n", "line 2: 'a' is there twice"),
        (read_numbers, "a,nan\n", "line 1: the second column is 'nan'; expected a finite number"),
        (read_register, "ASSET ID,type,id,flag,sum_NBV\n", "no column 'C/N_flag'"),
        (read_circuits, "line,circuits,length\nA,B,far\n", "line 2: 'far' is no finite number"),
    ],
)
def test_files_that_are_wrong_say_where(tmp_path: Path, reader: object, text: str, told: str) -> None:
    path = write(tmp_path / "file.csv", text)
    with pytest.raises(FlowsError) as caught:
        reader(path)  # type: ignore[operator]
    assert told in str(caught.value)
    with pytest.raises(FlowsError, match="no such file"):
        reader(tmp_path / "none.csv")  # type: ignore[operator]


def test_packed_files_are_read(tmp_path: Path) -> None:
    with gzip.open(tmp_path / "a.csv.gz", "wt") as file:
        file.write("a,1\nb,\n")
    assert read_numbers(tmp_path / "a.csv.gz") == {"a": 1.0}
