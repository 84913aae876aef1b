"""Nets as data: files that run nothing, functions of the library by name, nets of Python."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Any

import pytest

pp = pytest.importorskip("pandapower", reason="pandapower is not installed: pip install 'hostcap[pandapower]'")

from pandapower_nets.nets import street, town  # noqa: E402

from hostcap.errors import ModelError  # noqa: E402
from hostcap.findings import Finding  # noqa: E402
from hostcap_stock.pandapower.config import PandapowerConfig  # noqa: E402
from hostcap_stock.pandapower.source import PandapowerSource  # noqa: E402


def of_file(path: Path) -> PandapowerSource:
    return PandapowerSource(config=PandapowerConfig(file=path))


def finding(network: Any, code: str) -> Finding:
    (found,) = [f for f in network.findings if f.code == code]
    return found  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def good() -> str:
    """A good file."""
    return str(pp.to_json(town()))


@pytest.fixture
def document(good: str) -> Any:
    """A good file, parsed."""
    return json.loads(good)


def written(document: Any, tmp_path: Path) -> Path:
    path = tmp_path / "changed.json"
    path.write_text(json.dumps(document))
    return path


@pytest.mark.parametrize("make", [town, street])
def test_a_file_is_the_net_it_was_written_from(make: Any, tmp_path: Path) -> None:
    net = make()
    pp.to_json(net, str(tmp_path / "net.json"))
    assert of_file(tmp_path / "net.json").load("net") == PandapowerSource.of(net).load("net")


def test_feeders_of_a_study_have_files_of_their_own(tmp_path: Path) -> None:
    for name, make in (("a", town), ("b", street)):
        pp.to_json(make(), str(tmp_path / f"{name}.json"))
    source = of_file(tmp_path / "{feeder}.json")
    assert source.load("a").buses.name.size != source.load("b").buses.name.size


@pytest.fixture
def trap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A module that leaves a mark when it is imported or called."""
    mark = tmp_path / "it-ran"
    (tmp_path / "trap_for_hostcap.py").write_text(
        f"open({str(mark)!r}, 'w').close()\nclass Thing:\n    def __init__(self, *a, **k): pass\ndef call(): pass\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    return mark


TRAPS = {
    "object": {"_module": "trap_for_hostcap", "_class": "Thing", "_object": "{}"},
    "function": {"_module": "trap_for_hostcap", "_class": "function", "_object": "call"},
    "state": {"_module": "trap_for_hostcap", "_class": "Thing", "_state": {}},
    "system": {"_module": "os", "_class": "system", "_object": "touch it-ran"},
    "evaluation": {"_module": "builtins", "_class": "eval", "_object": "open('it-ran', 'w')"},
}


@pytest.mark.parametrize("what", TRAPS)
@pytest.mark.parametrize("where", ["top", "inside", "cell", "controller"])
def test_a_file_that_names_code_is_refused_by_name_and_runs_none(
    document: Any, tmp_path: Path, trap: Path, what: str, where: str
) -> None:
    """pandapower's own reader imports the module of such an object before it looks whether the object is allowed."""
    bomb, parts = TRAPS[what], document["_object"]
    if where == "top":
        parts["extra"] = bomb
    elif where == "inside":
        parts["extra"] = [{"deep": [bomb]}]
    elif where == "cell":
        table = json.loads(parts["load"]["_object"])
        table["data"][0][0] = bomb
        parts["load"]["_object"] = json.dumps(table)
    else:
        parts["controller"]["_object"] = json.dumps(
            {"columns": ["object", "in_service"], "index": [0], "data": [[bomb, True]]}
        )
    path = written(document, tmp_path)
    if where == "controller":
        # What a controller's cell names is told, and nothing of it is made.
        assert bomb["_class"] in finding(of_file(path).load("net"), "controllers-not-run").element
    else:
        with pytest.raises(ModelError, match=bomb["_module"]):
            of_file(path).load("net")
    assert not trap.exists()
    assert "trap_for_hostcap" not in sys.modules


def test_a_table_that_is_a_path_to_another_file_is_not_followed(document: Any, tmp_path: Path) -> None:
    """pandas opens a text that looks like a path: pandapower's own reader would read the file."""
    other = tmp_path / "other.json"
    other.write_text(document["_object"]["load"]["_object"])
    document["_object"]["load"]["_object"] = str(other)
    with pytest.raises(ModelError, match="table load: is no table"):
        of_file(written(document, tmp_path)).load("net")


NET = '{"_module": "pandapower.auxiliary", "_class": "pandapowerNet", "_object": {}}'


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("not json", "cannot be read as JSON"),
        ('{"a": 1}', "is no pandapower net"),
        ("[" * 100_000, "cannot be read as JSON"),
        (NET.replace("{}", '"{}"'), "_object is a str"),
        (
            '{"_module": "pandapower.auxiliary", "_class": "pandapowerNet", "_object": {"bus": 3}}',
            "table bus: expected",
        ),
        ('{"_module": "pandapower.auxiliary", "_class": "pandapowerNet", "_object": {}}', "is of version None"),
    ],
)
def test_a_file_that_is_no_net_is_one_clear_error(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "odd.json"
    path.write_text(text)
    with pytest.raises(ModelError, match=told):
        of_file(path).load("net")


@pytest.mark.parametrize(
    ("table", "column", "cell", "told"),
    [
        ("bus", "vn_kv", "abc", "table bus: column vn_kv, of float64: Unable to parse"),
        ("bus", "vn_kv", [1, 2], "table bus: column vn_kv, of float64: Unable to parse"),
        ("load", "bus", 10**40, "table load: column bus, of uint32: expected whole numbers, got 1"),
        ("load", "bus", 1.5, r"table load: column bus, of uint32: expected whole numbers, got 1\.5"),
        ("line", "in_service", "False", "table line: column in_service, of bool: expected true or false, got 'False'"),
        ("line", "parallel", 0, "line 0: parallel must be > 0, found 0"),
        ("line", "length_km", -0.4, r"line 0: length_km must be > 0, found -0\.4"),
        ("trafo", "sn_mva", -1.0, "trafo 0: sn_mva must be > 0, found -1"),
        ("trafo", "vn_hv_kv", 0, "trafo 0: vn_hv_kv must be > 0, found 0"),
        ("trafo", "vk_percent", None, "trafo 0: vk_percent must be > 0, found nan"),
    ],
)
def test_a_cell_that_is_no_such_number_is_named_and_neither_cut_nor_taken(
    document: Any, tmp_path: Path, table: str, column: str, cell: Any, told: str
) -> None:
    """A cast makes 1.5 to 1 and 'False' to true; the library solves a line of negative length without a word."""
    content = json.loads(document["_object"][table]["_object"])
    content["data"][0][content["columns"].index(column)] = cell
    document["_object"][table]["_object"] = json.dumps(content)
    with pytest.raises(ModelError, match=told):
        of_file(written(document, tmp_path)).load("net")


@pytest.mark.parametrize(
    ("columns", "told"), [(["name", "name"], "texts, none twice"), ([["name"], "vn_kv"], "texts, none twice")]
)
def test_columns_that_are_no_names_are_refused(document: Any, tmp_path: Path, columns: Any, told: str) -> None:
    document["_object"]["bus"]["_object"] = json.dumps({"columns": columns, "index": [0], "data": [["a", 20.0]]})
    with pytest.raises(ModelError, match=told):
        of_file(written(document, tmp_path)).load("net")


@pytest.mark.parametrize(("key", "value"), [("f_hz", 0.0), ("sn_mva", -1.0), ("f_hz", 10**400), ("f_hz", math.inf)])
def test_a_frequency_or_base_that_is_none_is_refused(document: Any, tmp_path: Path, key: str, value: float) -> None:
    document["_object"][key] = value
    with pytest.raises(ModelError, match=rf"{key}(: expected a number, got one of 401 digits| must be > 0)"):
        of_file(written(document, tmp_path)).load("net")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"nowhere\.json: no such file"):
        of_file(tmp_path / "nowhere.json").load("net")


def test_a_net_of_a_newer_pandapower_is_refused(document: Any, tmp_path: Path) -> None:
    document["_object"]["version"] = document["_object"]["format_version"] = "99.0.0"
    with pytest.raises(ModelError, match=r"of version '99\.0\.0'"):
        of_file(written(document, tmp_path)).load("net")


def test_controllers_of_a_file_are_told_and_not_run(tmp_path: Path) -> None:
    from pandapower.control import DiscreteTapControl

    net = town()
    DiscreteTapControl(net, 0, 0.99, 1.01)
    pp.to_json(net, str(tmp_path / "net.json"))
    found = finding(of_file(tmp_path / "net.json").load("net"), "controllers-not-run")
    assert (found.count, found.element) == (1, "DiscreteTapControl")
    assert finding(PandapowerSource.of(net).load("net"), "controllers-not-run").element == "DiscreteTapControl"


def test_parts_that_are_not_read_are_told(tmp_path: Path) -> None:
    net = town()
    net["profiles"] = {"load": [1, 2]}
    net.user_pf_options = {"algorithm": "gs"}
    pp.to_json(net, str(tmp_path / "net.json"))
    for source in (of_file(tmp_path / "net.json"), PandapowerSource.of(net)):
        assert finding(source.load("net"), "parts-not-read").element == "profiles, user_pf_options"


@pytest.mark.parametrize("name", ["from_json", "os", "runpp", "sorted_from_json", "system", "create_bus"])
def test_only_functions_that_make_networks_can_be_named(name: str) -> None:
    with pytest.raises(ModelError, match=r"pandapower\.networks has no function of that name"):
        PandapowerSource(config=PandapowerConfig(function=name)).load("net")


def test_a_misspelled_function_and_option_are_answered() -> None:
    with pytest.raises(ModelError, match="did you mean 'create_cigre_network_lv'"):
        PandapowerSource(config=PandapowerConfig(function="create_cigre_network_lw")).load("net")
    config = PandapowerConfig(function="ieee_european_lv_asymmetric", options={"scenari": "on_peak_566"})
    with pytest.raises(ModelError, match="options: unknown scenari; it takes scenario"):
        PandapowerSource(config=config).load("net")


def test_networks_that_the_library_draws_at_random_are_the_same_each_time() -> None:
    source = PandapowerSource(config=PandapowerConfig(function="create_kerber_dorfnetz"))
    one, other = source.load("net"), source.load("net")
    assert one == other and one.origin.content_hash == other.origin.content_hash


def test_the_seed_draws_the_net_that_the_library_draws_by_it() -> None:
    import random

    import pandapower.networks as nets

    function, drawn = "create_kerber_landnetz_kabel_1", {}
    for seed in (0, 7):
        before = random.getstate()
        source = PandapowerSource(config=PandapowerConfig(function=function, seed=seed))
        cables = source.load("net"), source._tables("net").tables["line"]["std_type"].tolist()
        assert random.getstate() == before
        random.seed(seed)
        assert cables[1] == nets.create_kerber_landnetz_kabel_1().line.sort_index()["std_type"].tolist()
        random.setstate(before)
        drawn[seed] = cables
    assert drawn[0] != drawn[7]
    assert drawn[0][0].origin.content_hash != drawn[7][0].origin.content_hash


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"file": Path("a.json"), "function": "b"},
        {"file": Path("a"), "options": {"x": 1}},
        {"file": Path("a"), "seed": 1},
    ],
)
def test_a_source_has_one_origin(given: Any) -> None:
    with pytest.raises(ValueError, match=r"one of the two|arguments of a function|draw at random"):
        PandapowerConfig(**given)


def test_what_is_no_net_is_refused() -> None:
    with pytest.raises(ModelError, match="expected a pandapowerNet, got dict"):
        PandapowerSource.of({"bus": []})


def test_a_net_is_copied_and_left_alone() -> None:
    net = town()
    before = net.load.copy()
    source = PandapowerSource.of(net)
    first = source.load("net")
    assert net.load.equals(before)
    net.load.loc[0, "p_mw"] = 9.0
    assert source.load("net") == first


def test_an_untrusted_study_copies_the_file(tmp_path: Path) -> None:
    inside, scratch = tmp_path / "study", tmp_path / "scratch"
    inside.mkdir(), scratch.mkdir()
    pp.to_json(town(), str(inside / "net.json"))
    source = of_file(inside / "net.json").contained("net", inside=inside, scratch=scratch)
    assert source.config.file == scratch / "net.json"
    assert source.load("net") == of_file(inside / "net.json").load("net")
    with pytest.raises(ModelError, match="outside"):
        of_file(tmp_path / "elsewhere.json").contained("net", inside=inside, scratch=scratch)
