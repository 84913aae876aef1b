"""Config classes: exact types, every finding at once, and the words that people read."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta, timezone
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal

import attrs
import numpy as np
import pytest
from attrs import Factory, field, frozen, validators

from hostcap.config import (
    Row,
    about,
    apply_overrides,
    as_written,
    between,
    describe,
    each,
    expand,
    finite,
    folder_name,
    non_negative,
    not_empty,
    one_of,
    positive,
    read_toml,
    resolved,
    structure,
    unique,
    unstructure,
)
from hostcap.errors import ConfigError, PluginError

FOLDER = Path("/studies").absolute()


class Direction(StrEnum):
    EXPORT = "export"
    IMPORT = "import"


@frozen(kw_only=True)
class Law:
    vmin_pu: float = field(default=0.7, validator=positive, metadata=about("Below it a constant impedance", unit="pu"))


@frozen(kw_only=True)
class Config:
    master: Path = field(metadata=about("Master file"))
    max_iterations: int = field(default=100, validator=positive, metadata=about("Most iterations"))
    tolerance_pu: float = field(default=1e-6, validator=between(0.0, 0.1), metadata=about("Mismatch", unit="pu"))
    direction: Direction = field(default=Direction.EXPORT, metadata=about("Generation or load"))
    basis: Literal["normal", "emergency"] = field(default="normal", metadata=about("Which rating"))
    strict: bool = field(default=False, metadata=about("Refuse doubtful models"))
    title: str = field(default="", metadata=about("Title"))
    bases_kv: tuple[float, ...] = field(default=(), validator=each(positive), metadata=about("Bases", unit="kV"))
    commands: list[str] = field(factory=list, metadata=about("Extra commands"))
    pair: tuple[int, int] = field(default=(1, 2), metadata=about("Two numbers"))
    start: datetime | None = field(default=None, metadata=about("Start"))
    day: date | None = field(default=None, metadata=about("Day"))
    limit_a: float | None = field(default=None, validator=positive, metadata=about("Limit", unit="A"))
    weights: dict[str, float] = field(factory=dict, metadata=about("Weight of each customer"))
    either: int | str = field(default=0, metadata=about("A number or a name"))
    law: Law = field(default=Law(), metadata=about("Voltage law"))
    laws: tuple[Law, ...] = field(default=(), metadata=about("More laws"))
    tables: list[dict[str, int]] = field(factory=lambda: [{"a": 1}], metadata=about("Tables"))
    extra: Path | None = field(default=None, metadata=about("Another file"))


def read(**keys: Any) -> Config:
    return structure({"master": "m.dss"} | keys, Config, path="network", folder=FOLDER)


def findings(cls: type = Config, /, **keys: Any) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        structure(({"master": "m.dss"} if cls is Config else {}) | keys, cls, path="network", folder=FOLDER)
    return list(caught.value.problems)


# --- what is accepted --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "given", "kept"),
    [
        ("max_iterations", 7, 7),
        ("tolerance_pu", 0, 0.0),
        ("tolerance_pu", 0.05, 0.05),
        ("direction", "import", Direction.IMPORT),
        ("basis", "emergency", "emergency"),
        ("strict", True, True),
        ("title", "12", "12"),
        ("bases_kv", [22, 0.4], (22.0, 0.4)),
        ("commands", ["a"], ["a"]),
        ("pair", [3, 4], (3, 4)),
        ("start", datetime(2025, 1, 1, 10, tzinfo=timezone(timedelta(hours=10))), datetime(2025, 1, 1, tzinfo=UTC)),
        ("day", date(2025, 1, 1), date(2025, 1, 1)),
        ("limit_a", 5, 5.0),
        ("weights", {"c 1": 2}, {"c 1": 2.0}),
        ("either", 3, 3),
        ("either", "three", "three"),
        ("law", {"vmin_pu": 1}, Law(vmin_pu=1.0)),
        ("laws", [{}, {"vmin_pu": 1}], (Law(), Law(vmin_pu=1.0))),
    ],
)
def test_a_value_of_the_right_type_is_kept(key: str, given: Any, kept: Any) -> None:
    value = getattr(read(**{key: given}), key)
    assert value == kept
    assert type(value) is type(kept)


# --- what is refused ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "given", "line"),
    [
        ("tolerance_pu", "tight", "tolerance_pu: expected a number, got 'tight'"),
        ("tolerance_pu", "12", "tolerance_pu: expected a number, got '12'"),
        ("tolerance_pu", True, "tolerance_pu: expected a number, got true"),
        ("tolerance_pu", float("nan"), "tolerance_pu: must be finite, got nan"),
        ("tolerance_pu", float("-inf"), "tolerance_pu: must be finite, got -inf"),
        ("tolerance_pu", 10**400, "tolerance_pu: must be finite, got an integer of 1329 bits"),
        ("tolerance_pu", 0.5, "tolerance_pu: must be 0.0 to 0.1, got 0.5"),
        ("max_iterations", 3.7, "max_iterations: expected an integer, got 3.7"),
        ("max_iterations", 3.0, "max_iterations: expected an integer, got 3.0"),
        ("max_iterations", True, "max_iterations: expected an integer, got true"),
        ("max_iterations", "3", "max_iterations: expected an integer, got '3'"),
        ("max_iterations", 2**63, "max_iterations: expected an integer of at most 64 bits"),
        ("max_iterations", -3, "max_iterations: must be > 0, got -3"),
        ("strict", "false", "strict: expected true or false, got 'false'"),
        ("strict", 1, "strict: expected true or false, got 1"),
        ("title", 3, "title: expected text, got 3"),
        ("title", None, "title: expected text, got nothing"),
        ("direction", "exprot", "direction: expected one of export, import, got 'exprot'; did you mean 'export'?"),
        ("direction", 3, "direction: expected one of export, import, got 3"),
        ("basis", "Normal", "basis: expected one of normal, emergency, got 'Normal'; did you mean 'normal'?"),
        ("bases_kv", "22", "bases_kv: expected a list of number, got '22'"),
        ("bases_kv", 22.0, "bases_kv: expected a list of number, got 22.0"),
        ("bases_kv", [22.0, "x"], "bases_kv[1]: expected a number, got 'x'"),
        ("bases_kv", [22.0, -1.0], "bases_kv: entry 1: must be > 0, got -1.0"),
        ("commands", "solve", "commands: expected a list of text, got 'solve'"),
        ("pair", [1], "pair: expected a list of 2, got 1"),
        (
            "start",
            datetime(2025, 1, 1),
            "start: needs an offset, such as 2025-01-01T00:00:00Z for UTC; got 2025-01-01T00:00:00",
        ),
        ("start", "2025-01-01T00:00:00Z", "start: expected a date and time, got '2025-01-01T00:00:00Z'"),
        ("start", date(2025, 1, 1), "start: expected a date and time, got 2025-01-01"),
        ("day", datetime(2025, 1, 1, tzinfo=UTC), "day: expected a date, got 2025-01-01T00:00:00+00:00"),
        ("limit_a", 0, "limit_a: must be > 0, got 0.0"),
        ("weights", {"c 1": "x"}, "weights.\"c 1\": expected a number, got 'x'"),
        ("weights", [1.0], "weights: expected a table of number, got a list"),
        ("either", 3.5, "either: expected an integer or text, got 3.5"),
        ("law", 3, "law: expected a table, got 3"),
        ("law", {"vmin_pu": -1}, "law.vmin_pu: must be > 0, got -1.0"),
        ("law", {"vmin": 1}, "law.vmin: unknown key; did you mean 'vmin_pu'?"),
        ("laws", {}, "laws: expected a list of table, got a table"),
        ("laws", [{}, {"vmin_pu": -1}], "laws[1].vmin_pu: must be > 0, got -1.0"),
        ("master", 3, "master: expected a path, got 3"),
        ("master", "", "master: expected a path, got ''"),
        ("master", "a\0b", "master: expected a path, got 'a\\x00b'"),
        ("max_iteration", 3, "max_iteration: unknown key; did you mean 'max_iterations'?"),
        ("max iterations\n", 3, "\"max iterations\\n\": unknown key; did you mean 'max_iterations'?"),
    ],
)
def test_a_value_of_the_wrong_kind_is_one_line_that_says_what_is_due(key: str, given: Any, line: str) -> None:
    assert findings(**{key: given}) == [f"network.{line}"]


def test_everything_is_found_at_once() -> None:
    assert findings(
        master=3,
        max_iterations=-3,
        tolerance_pu="tight",
        bases_kv=["a", 1.0, True],
        law={"vmin_pu": -1, "x": 1},
        tilte="",
    ) == [
        "network.master: expected a path, got 3",
        "network.tolerance_pu: expected a number, got 'tight'",
        "network.bases_kv[0]: expected a number, got 'a'",
        "network.bases_kv[2]: expected a number, got true",
        "network.law.x: unknown key; known: vmin_pu",
        "network.law.vmin_pu: must be > 0, got -1.0",
        "network.tilte: unknown key; did you mean 'title'?",
        "network.max_iterations: must be > 0, got -3",
    ]


def test_a_missing_key_and_what_is_no_table_are_told() -> None:
    with pytest.raises(ConfigError, match=r"^network\.master: required key is missing$"):
        structure({}, Config, path="network", folder=FOLDER)
    with pytest.raises(ConfigError, match=r"^network: expected a table, got 3$"):
        structure(3, Config, path="network", folder=FOLDER)


@frozen(kw_only=True)
class Band:
    low: float = field(default=1.0, validator=validators.ge(0.0))
    high: float = 2.0
    middle: float = Factory(lambda self: (self.low + self.high) / 2, takes_self=True)

    def __attrs_post_init__(self) -> None:
        if self.low >= self.high:
            raise ValueError(f"low must be below high, got {self.low} and {self.high}")
        if self.high > 100:
            raise ConfigError(f"high: must be at most 100, got {self.high}")


def test_a_cross_field_error_stands_at_the_table_or_at_the_key_that_it_names() -> None:
    assert findings(Band, low=3) == ["network: low must be below high, got 3.0 and 2.0"]
    assert findings(Band, high=101) == ["network.high: must be at most 100, got 101.0"]


def test_a_validator_of_attrs_is_told_without_its_own_path() -> None:
    assert findings(Band, low=-1) == ["network.low: must be >= 0.0: -1.0"]


def test_a_default_that_depends_on_other_keys_is_made() -> None:
    assert structure({"high": 4}, Band, folder=FOLDER).middle == 2.5


def test_a_validator_that_looks_at_a_broken_field_adds_no_line() -> None:
    def above_low(instance: Any, attribute: attrs.Attribute[Any], value: float) -> None:
        if value < instance.low:
            raise ValueError("must be above low")

    @frozen(kw_only=True)
    class Looks:
        low: float
        high: float = field(validator=above_low)

    assert findings(Looks, low="x", high=2) == ["network.low: expected a number, got 'x'"]
    assert findings(Looks, low=3, high=2) == ["network.high: must be above low"]


def test_converters_run_and_their_errors_are_findings() -> None:
    def tidy(value: str, instance: Any, attribute: attrs.Attribute[Any]) -> str:
        if not value:
            raise ValueError("must not be empty")
        return value.strip()

    # Made at run time, as mypy knows converters only that are plain functions.
    tidier: Any = attrs.Converter(tidy, takes_self=True, takes_field=True)
    Tidies: Any = attrs.make_class("Tidies", {"name": attrs.field(converter=tidier, type=str)}, frozen=True)  # noqa: N806
    assert structure({"name": " a "}, Tidies, folder=FOLDER).name == "a"
    assert findings(Tidies, name="") == ["network.name: must not be empty"]


def test_an_author_who_uses_a_type_that_no_file_can_hold_is_told() -> None:
    @frozen(kw_only=True)
    class Odd:
        z: complex = 1j

    with pytest.raises(PluginError, match="no study file can hold 'z', a complex"):
        structure({"z": 1}, Odd, folder=FOLDER)


# --- validators --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("check", "value", "message"),
    [
        (finite, float("inf"), "must be finite, got inf"),
        (positive, -3, "must be > 0, got -3"),
        (positive, float("nan"), "must be finite, got nan"),
        (non_negative, -0.5, "must be >= 0, got -0.5"),
        (between(1, 2), 3, "must be 1 to 2, got 3"),
        (one_of("a-b", "c-d"), "a-c", "must be one of a-b, c-d, got 'a-c'; did you mean 'a-b'?"),
        (not_empty, " ", "must not be blank"),
        (not_empty, (), "must not be empty"),
        (unique, ("CRE21", "cre21"), "names 'cre21' twice"),
        (folder_name, "a/b", "cannot name a folder, as it holds one of / \\ : * ? \" < > |: 'a/b'"),
        (folder_name, "..", "cannot name a folder, as it starts or ends with a blank, or ends with a dot: '..'"),
        (folder_name, "a\n", "cannot name a folder, as it holds a character that cannot be printed: 'a\\n'"),
        (folder_name, "CON", "cannot name a folder, as it is a name that Windows keeps for itself: 'CON'"),
        (folder_name, "é" * 101, f"cannot name a folder, as it is longer than 200 bytes: '{'é' * 76}..."),
        (each(positive), (1, 0), "entry 1: must be > 0, got 0"),
    ],
)
def test_a_validator_says_what_is_due_and_what_it_got(check: Any, value: Any, message: str) -> None:
    field = attrs.fields(attrs.make_class("Settings", ["share"])).share
    with pytest.raises(ValueError, match=f"^'share' {re.escape(message)}$"):
        check(None, field, value)


@pytest.mark.parametrize("check", [finite, positive, non_negative, between(0, 1), one_of("a"), not_empty, unique])
def test_validators_let_none_pass(check: Any) -> None:
    check(None, None, None)
    each(check)(None, None, None)  # type: ignore[arg-type]
    folder_name(None, None, None)  # type: ignore[arg-type]


def test_a_python_user_meets_the_same_checks() -> None:
    with pytest.raises(ValueError, match="must be > 0, got -3"):
        Config(master=Path("m.dss"), max_iterations=-3)


# --- paths and the way back --------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["m.dss", "../shared/{feeder}/Master.dss", "a/../b.dss", "/elsewhere/m.dss"])
def test_a_path_is_absolute_in_the_config_and_as_written_in_the_file(text: str) -> None:
    config = read(master=text)
    assert config.master == resolved(Path(text), FOLDER)
    assert config.master.is_absolute()
    assert as_written(config.master, FOLDER) == text
    assert unstructure(config, FOLDER)["master"] == text


def test_a_feeder_is_put_into_a_path() -> None:
    assert expand(Path("networks/{feeder}/Master.dss"), "CRE21") == Path("networks/CRE21/Master.dss")


def test_a_relative_path_that_is_a_default_is_resolved_too() -> None:
    @frozen(kw_only=True)
    class Defaults:
        one: Path = Path("one.csv")
        many: tuple[Path, ...] = (Path("two.csv"),)

    config = structure({}, Defaults, folder=FOLDER)
    assert (config.one, config.many) == (FOLDER / "one.csv", (FOLDER / "two.csv",))
    assert unstructure(config, FOLDER) == {"one": "one.csv", "many": ["two.csv"]}


def test_the_way_back_gives_plain_values_in_class_order_and_leaves_out_what_is_none() -> None:
    table = unstructure(read(direction="import", start=datetime(2025, 1, 1, tzinfo=UTC), laws=[{}]), FOLDER)
    assert list(table) == [a.name for a in attrs.fields(Config) if a.name not in ("day", "limit_a", "extra")]
    assert type(table["direction"]) is str
    assert table["start"] == datetime(2025, 1, 1, tzinfo=UTC)
    assert structure(table, Config, folder=FOLDER) == read(
        direction="import", start=datetime(2025, 1, 1, tzinfo=UTC), laws=[{}]
    )


def test_nothing_where_a_file_would_mean_the_default_cannot_be_written() -> None:
    @frozen(kw_only=True)
    class Limited:
        limit_a: float | None = 5.0

    with pytest.raises(ConfigError, match=r"solver\.limit_a: nothing cannot be written .* means 5\.0"):
        unstructure(Limited(limit_a=None), FOLDER, path="solver")


# --- tables for people -------------------------------------------------------------------------------------------


def test_a_config_class_describes_itself() -> None:
    rows = {row.key: row for row in describe(Config)}
    assert rows["master"] == Row(key="master", type="path", unit="", default="required", meaning="Master file")
    assert rows["law.vmin_pu"] == Row(
        key="law.vmin_pu", type="number", unit="pu", default="0.7", meaning="Below it a constant impedance"
    )
    assert {key: (row.type, row.default) for key, row in rows.items() if not key.startswith(("master", "law."))} == {
        "max_iterations": ("integer", "100"),
        "tolerance_pu": ("number", "1e-06"),
        "direction": ("one of export, import", '"export"'),
        "basis": ("one of normal, emergency", '"normal"'),
        "strict": ("true or false", "false"),
        "title": ("text", '""'),
        "bases_kv": ("list of number", "[]"),
        "commands": ("list of text", "[]"),
        "pair": ("list of integer", "[1, 2]"),
        "start": ("date and time", ""),
        "day": ("date", ""),
        "limit_a": ("number", ""),
        "weights": ("table of number", "{}"),
        "either": ("integer or text", "0"),
        "laws": ("list of table", "[]"),
        "tables": ("list of table of integer", "[{a = 1}]"),
        "extra": ("path", ""),
    }


# --- files -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty; a study needs name, [scope] and [study]"),
        (b"# nothing\n", "is empty; a study needs name, [scope] and [study]"),
        (b"a = 1\nb = \n", "is not TOML: Invalid value (at line 2, column 5)"),
        (b"a = 1\nb = '\xff'\n", "is not UTF-8 (byte 0xff at line 2)"),
        (b"PK\x03\x04\x00\x00", "is not a text file; a study file is TOML in UTF-8"),
        (b"a = " + b"[" * 100_000, "is not TOML: "),
        (b"a = " + b"1" * 5_000, "is not TOML: "),
        (b"#" * 10_000_001, "is larger than 10 MB; is it a study file?"),
    ],
    ids=["empty", "comment", "syntax", "latin", "binary", "deep", "digits", "large"],
)
def test_a_file_that_is_no_study_is_one_line(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "study.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        read_toml(path)
    (line,) = caught.value.problems
    assert line.startswith(f"{path}: {message}")
    assert "\n" not in line


def test_a_path_that_is_no_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        read_toml(tmp_path / "none.toml")
    assert str(caught.value) == f"{tmp_path / 'none.toml'}: no such file"
    with pytest.raises(ConfigError) as caught:
        read_toml(tmp_path)
    assert str(caught.value) == f"{tmp_path}: is a folder; name the study file in it"
    with pytest.raises(ConfigError, match=r"cannot be read|no such file"):
        read_toml(Path("a\0b"))


def test_the_mark_that_windows_editors_put_in_front_is_accepted(tmp_path: Path) -> None:
    path = tmp_path / "study.toml"
    path.write_bytes(b"\xef\xbb\xbfname = 'a'\n")
    assert read_toml(path) == {"name": "a"}


# --- overrides ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("solver.max_iterations=50", {"solver": {"max_iterations": 50}}),
        ("solver.plugin = opendss", {"solver": {"plugin": "opendss"}}),
        ("solver.plugin='open dss'", {"solver": {"plugin": "open dss"}}),
        ("network.master=networks/{feeder}/Master.dss", {"network": {"master": "networks/{feeder}/Master.dss"}}),
        ("scope.feeders=['A', 'B']", {"scope": {"feeders": ["A", "B"]}}),
        ("constraints.0.lv_max_v=250", {"constraints": [{"plugin": "voltage", "lv_max_v": 250}]}),
        ("constraints.0={plugin='thermal'}", {"constraints": [{"plugin": "thermal"}]}),
        ("name=peak-import", {"name": "peak-import"}),
        ("solver.strict=true", {"solver": {"strict": True}}),
        ("solver.start=2025-01-01T00:00:00Z", {"solver": {"start": datetime(2025, 1, 1, tzinfo=UTC)}}),
    ],
)
def test_an_override_is_put_where_it_belongs(override: str, expected: dict[str, Any]) -> None:
    data = {"constraints": [{"plugin": "voltage"}]}
    assert apply_overrides(data, [override]) == data | expected
    assert data == {"constraints": [{"plugin": "voltage"}]}


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("solver.max_iterations", "write KEY=VALUE, such as solver.max_iterations=50"),
        ("solver.max_iterations=", "write KEY=VALUE, such as solver.max_iterations=50"),
        ("=3", "not a key: ''; write KEY=VALUE, such as solver.max_iterations=50"),
        ("a..b=3", "not a key: 'a..b'; write KEY=VALUE, such as solver.max_iterations=50"),
        ("name=a b", "not a TOML value: 'a b'; put text in quotes, such as name='\"a, b\"'"),
        ("name=[1", "not a TOML value: '[1'; put text in quotes, such as name='\"a, b\"'"),
        ("a=1\nb=2", "not a TOML value: '1\\nb=2'; put text in quotes, such as a='\"a, b\"'"),
        ("constraints.1.plugin=x", "constraints has 1 entry; name one by its place, from 0"),
        ("name.a=x", "name is 'n', which has no key 'a'"),
    ],
)
def test_an_override_that_is_none_is_one_line(override: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        apply_overrides({"name": "n", "constraints": [{}]}, [override])
    assert str(caught.value) == f"--set {' '.join(override.split())}: {message}"


def test_all_bad_overrides_are_told_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        apply_overrides({}, ["a", "b=1", "c"])
    assert len(caught.value.problems) == 2


def test_numbers_that_are_none_are_refused_in_python_as_in_a_study_file() -> None:
    @frozen(kw_only=True)
    class Settings:
        steps: int = field(default=1, validator=between(1, 10))
        most: int | None = field(default=None, validator=positive)
        kw: float = field(default=1.0, validator=positive)

    numpy_numbers: dict[str, Any] = {"steps": np.int64(2), "kw": np.float32(0.5)}
    assert Settings(**numpy_numbers) == Settings(steps=2, kw=0.5)
    assert Settings(kw=3).kw == 3
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"steps": 2.5}, "'steps' expected an integer, got 2.5"),
        ({"most": 2.0}, "'most' expected an integer, got 2.0"),
        ({"kw": "a"}, "'kw' expected a number, got 'a'"),
    ]
    for settings, why in wrong:
        with pytest.raises(ValueError, match=re.escape(why)):
            Settings(**settings)
