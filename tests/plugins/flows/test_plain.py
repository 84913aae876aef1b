"""The compiled reader of plain CSV against Python's ``csv`` and ``float``, and where it hands over."""

from __future__ import annotations

import csv
import gzip
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hostcap.errors import FlowsError
from hostcap_stock.flows import reading
from hostcap_stock.flows.reading import Vocabulary, Wanted, periods

WORDS = st.text(st.characters(blacklist_categories=("Cs", "Cc"), blacklist_characters='"'), min_size=1, max_size=12)
NUMBERS = st.one_of(
    st.integers(-(10**6), 10**6).map(lambda n: f"{n / 1000:.{abs(n) % 6}f}"),
    st.floats(-1e12, 1e12).map(lambda x: f"{x:.17f}"),
    st.integers(-(10**14), 10**14).map(str),
    st.sampled_from(["0", "-0.0", "00012.50", "0.000000000000000000000001", "123456789012345678901234567890.5"]),
)
ROWS = st.lists(st.tuples(WORDS, WORDS, NUMBERS, WORDS, NUMBERS), min_size=1, max_size=40)


def read(path: Path) -> list[tuple[str, str, float, float]]:
    """Two words and two numbers of each row; the fourth column is passed over."""
    first, second = Vocabulary(), Vocabulary()
    wanted = (
        Wanted(name="a", titles=("a",), vocabulary=first),
        Wanted(name="b", titles=("b",), vocabulary=second),
        Wanted(name="x", titles=("x",)),
        Wanted(name="y", titles=("y",)),
    )
    found: list[tuple[str, str, float, float]] = []
    for rows in periods(path, wanted, ()):
        a, b = first.text(rows.word("a")), second.text(rows.word("b"))
        found += zip(a, b, rows.number("x").tolist(), rows.number("y").tolist(), strict=True)
    return found


def no_other_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: Any, **__: Any) -> Any:
        raise AssertionError("the file is plain")

    monkeypatch.setattr(reading, "_csv_batches", refused)


@settings(max_examples=60, deadline=None)
@given(rows=ROWS, quoted=st.booleans(), end=st.sampled_from(["\n", "\r\n"]), block=st.sampled_from([500, 1 << 20]))
def test_cells_are_what_python_reads(rows: Any, quoted: bool, end: str, block: int) -> None:
    def cell(word: str) -> str:
        return f'"{word}"' if quoted or "," in word else word

    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        no_other_reader(patch)
        patch.setattr(reading, "BLOCK_BYTES", block)
        path = Path(folder) / "rows.csv"
        lines = [f"{cell(a)},{cell(b)},{x},{cell(c)},{y}" for a, b, x, c, y in rows]
        path.write_bytes(end.join(["a,b,x,left,y", *lines, ""]).encode())
        assert read(path) == [(a, b, float(x), float(y)) for a, b, x, _, y in rows]


def test_a_plain_file_needs_no_other_reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    no_other_reader(monkeypatch)
    path = tmp_path / "rows.csv"
    rows = [(f"n{n % 7}", f"räk {n % 11}", round(n / 7, 5), "x,y", -n) for n in range(500)]
    lines = [f'{a},"{b}",{x},"{left}",{y}\n' for a, b, x, left, y in rows]
    path.write_bytes(b"\xef\xbb\xbf" + "".join(["a,b,x,left,y\n", *lines]).encode().rstrip())
    packed = tmp_path / "rows.csv.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    expected = [(a, b, x, float(y)) for a, b, x, _, y in rows]
    for block in (1 << 20, 300):
        monkeypatch.setattr(reading, "BLOCK_BYTES", block)
        assert read(path) == read(packed) == expected


def test_many_words_make_more_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    no_other_reader(monkeypatch)
    path = tmp_path / "rows.csv"
    rows = [(f"{n:07d}", f"{n * n}", float(n), 0.0) for n in range(20_000)]
    path.write_text("".join(["a,b,x,left,y\n", *[f"{a},{b},{x},-,{y}\n" for a, b, x, y in rows]]))
    assert read(path) == rows


@pytest.mark.parametrize("odd", ['"a ""b""",b,1,-,2', "a,b,1e-3,-,2", 'a,"b""c",1,-,2', "a,b,.5,-,2"])
@pytest.mark.parametrize("place", [0, 17, 39])
def test_where_it_is_not_plain_another_reader_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, odd: str, place: int
) -> None:
    monkeypatch.setattr(reading, "BLOCK_BYTES", 100)
    path = tmp_path / "rows.csv"
    lines = [f"n{n},m{n % 3},{n}.25,-,{n}" for n in range(40)]
    lines.insert(place, odd)
    path.write_text("a,b,x,left,y\n" + "\n".join(lines) + "\n")
    with path.open(newline="") as file:
        expected = [(r[0], r[1], float(r[2]), float(r[4])) for r in list(csv.reader(file))[1:]]
    assert read(path) == expected


@pytest.mark.parametrize(
    ("line", "cells"),
    [
        ('n,m,1,5" x,6" y,2', 6),
        ('n,m,1,"-"z"q,q",2', 6),
        ("p,q,m,1,-,2", 6),
        ("n,m,1,-\rn,2", 4),
    ],
)
def test_quotes_within_cells_and_lone_carriage_returns_are_left_to_the_other_reader(
    tmp_path: Path, line: str, cells: int
) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes(b"a,b,x,left,y\n" + b'"p,q",m,1,-,2\n' * 9 + line.encode() + b'\n"p,q",m,1,-,2\n')
    with pytest.raises(FlowsError, match=f"line 11: {cells} columns; expected 5"):
        read(path)


@pytest.mark.parametrize("end", ["", "\n"])
def test_a_mark_of_utf_8_is_no_part_of_a_name(tmp_path: Path, end: str) -> None:
    path = tmp_path / "rows.csv"
    path.write_text(f"\ufeffn,1.5{end}", encoding="utf-8")
    wanted = (Wanted(name="a", titles=("a",), vocabulary=Vocabulary()), Wanted(name="x", titles=("x",)))
    (rows,) = periods(path, wanted, ("a",), header=False)
    assert rows.key == ("n",)


def test_a_gzip_file_that_is_cut_short_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv.gz"
    path.write_bytes(gzip.compress(b"a,b,x,left,y\n" + b"n,m,1,-,2\n" * 100)[:-12])
    with pytest.raises(FlowsError, match=r"rows\.csv\.gz: cannot be read"):
        read(path)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("n,m,1.0,-", "4 columns; expected 5"),
        ("n,m,,-,1", "column 'x' is empty"),
        (",m,1,-,1", "column 'a' is empty"),
        ("n,m,1.0.0,-,1", "'1.0.0'; expected a number"),
        ("n,m,one,-,1", "'one'; expected a number"),
        ("n,m,nan,-,1", "expected a finite number"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(tmp_path: Path, line: str, says: str) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("a,b,x,left,y\n" + "n,m,1.5,-,2\n" * 30 + line + "\n" + "n,m,1.5,-,2\n" * 5)
    with pytest.raises(FlowsError, match=f"line 32: .*{says}"):
        read(path)


def test_numbers_are_the_nearest_doubles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    no_other_reader(monkeypatch)
    rng = np.random.default_rng(5)
    texts = [f"{m}.{d:0{k}d}" for m, d, k in rng.integers(0, [10**6, 10**8, 20], (2000, 3)).tolist()]
    path = tmp_path / "rows.csv"
    path.write_text("a,b,x,left,y\n" + "".join(f"n,m,{text},-,-{text}\n" for text in texts))
    assert [(x, -y) for _, _, x, y in read(path)] == [(float(text), float(text)) for text in texts]


SKIPPED_CELLS = st.one_of(
    st.sampled_from(["", "1.5", "102.02807", "x y", '"a,b"', '"12345678,"', '""', '"1",']),
    st.text("abc0123456789.", max_size=20),
)


@settings(max_examples=80, deadline=None)
@given(
    rows=st.lists(
        st.tuples(
            st.sampled_from(["27-JAN-2025 00:00", '"27-JAN-2025 00:00"', "27-JAN-2025 00:30", "a", '"a"']),
            st.sampled_from(["TP1", "TP1, later", "TP2", "n"]),
            st.integers(-(10**7), 10**7).map(lambda n: f"{n / 1000:.3f}"),
            SKIPPED_CELLS,
            SKIPPED_CELLS,
        ),
        min_size=1,
        max_size=60,
    ),
    block=st.sampled_from([200, 1 << 20]),
)
def test_lines_that_begin_alike_and_end_in_cells_that_nobody_reads(rows: Any, block: int) -> None:
    """As many cells in a line as there are titles; a line of more or fewer is refused by its place."""
    lines = []
    for a, b, x, *left in rows:
        lines.append(",".join([a, f'"{b}"', x, *left]))
    cells = list(csv.reader(lines))
    odd = next((n for n, found in enumerate(cells, 2) if len(found) != 5), None)
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "BLOCK_BYTES", block)
        path = Path(folder) / "rows.csv"
        path.write_text("\n".join(["a,b,x,left,more", *lines, ""]), encoding="utf-8")
        first, second = Vocabulary(), Vocabulary()
        wanted = (
            Wanted(name="a", titles=("a",), vocabulary=first),
            Wanted(name="b", titles=("b",), vocabulary=second),
            Wanted(name="x", titles=("x",)),
        )

        def found() -> list[tuple[str, str, float]]:
            every = list(periods(path, wanted, ()))
            assert sum(len(rows) for rows in every) == len(lines)
            return [
                said
                for rows in every
                for said in zip(
                    first.text(rows.word("a")), second.text(rows.word("b")), rows.number("x").tolist(), strict=True
                )
            ]

        if odd is None:
            no_other_reader(patch)
            assert found() == [(a, b, float(x)) for a, b, x, *_ in cells]
        else:
            with pytest.raises(FlowsError, match=f"line {odd}:"):
                found()
