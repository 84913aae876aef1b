"""The OpenDSS source as a neighbour: what it reads, what it leaves alone, what it refuses, and networks as values."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import opendssdirect
import pytest
from circuits import BASES, HEAD, LEGS, NO_BASES, TWO, Loaded, Sourced, customers_of, finding, house, refusal

from hostcap_stock.initial_states import AsModelled
from hostcap_stock.opendss.config import OpenDssConfig
from hostcap_stock.opendss.source import OpenDssSource


def test_injectors_carry_the_snapshot_with_its_multipliers(load: Loaded) -> None:
    body = TWO + (
        house("plain", "b.1", "phases=1 kv=.23 kw=4 kvar=1")
        + house("fixed", "b.2", "phases=1 kv=.23 kw=4 kvar=1 status=fixed")
        + house("exempt", "b.2", "phases=1 kv=.23 kw=4 kvar=1 status=exempt")
        + house("pv", "b.3", "phases=1 kv=.23 kw=-6 kvar=2")
        + "new loadshape.day npts=2 interval=1 mult=[.1 .2]\n"
        + house("shaped", "b.3", "phases=1 kv=.23 kw=4 kvar=1 daily=day yearly=day")
    )
    injectors = load(body, BASES + "set loadmult=.5\n").injectors
    rows = {
        str(n): (float(a), float(b), float(c), float(d))
        for n, a, b, c, d in zip(
            injectors.name,
            injectors.load_kw,
            injectors.load_kvar,
            injectors.generation_kw,
            injectors.generation_kvar,
            strict=True,
        )
    }
    assert rows == {
        "plain": (2.0, 0.5, 0.0, 0.0),
        "fixed": (4.0, 1.0, 0.0, 0.0),
        "exempt": (4.0, 1.0, 0.0, 0.0),
        "pv": (0.0, 0.0, 3.0, 1.0),
        "shaped": (2.0, 0.5, 0.0, 0.0),
    }


def test_a_model_of_a_later_year_is_refused_because_the_engine_would_grow_every_load(load: Loaded) -> None:
    """`set year` raises variable and fixed loads, and so growth steps, by (1 + %growth)^year."""
    body, later = TWO + house("d", "b.1", "phases=1 kv=.23 kw=4"), BASES + "set year=2 %growth=10\n"
    message = refusal(lambda: load(body, later))
    assert "year=2" in message
    assert 'commands = ["set year=0"]' in message
    assert load(body, later, commands=("set year=0",)).injectors.load_kw[0] == pytest.approx(4.0)


def test_a_daily_model_is_read_as_a_snapshot(load: Loaded) -> None:
    shape = "new loadshape.day npts=2 interval=1 mult=[.1 .2]\n"
    body = shape + TWO + house("d", "b.1", "phases=1 kv=.23 kw=4 daily=day")
    assert load(body, BASES + "set mode=daily number=2\nsolve\n").injectors.load_kw[0] == 4.0


def test_loading_and_freezing_leave_the_process_and_other_circuits_alone(
    source: Sourced, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, other = Path.cwd(), opendssdirect.dss.NewContext()
    os.chdir(folder)
    other.Basic.AllowChangeDir(True)  # one switch of the whole process, which other tests turn
    for command in ("clear", "new circuit.mine basekv=11 bus1=s", "new line.l bus1=s bus2=e", "solve"):
        other.Text.Command(command)
    voltages, frequency = other.Circuit.AllBusVolts(), other.Solution.Frequency()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    made = source(TWO + house("d", "b.1"))
    network = made.load("f")
    point = AsModelled().operating_point(network, _scope())
    with made.freeze(network, point) as frozen:
        assert Path.cwd() == elsewhere
        frozen.engine()
    broken = source(TWO + "redirect nowhere.dss\n")
    refusal(lambda: broken.load("f"))
    assert Path.cwd() == elsewhere
    assert not os.listdir(elsewhere)
    assert other.Circuit.Name() == "mine"
    assert other.Circuit.AllBusVolts() == voltages
    assert other.Solution.Frequency() == frequency
    assert other.Basic.AllowChangeDir()


ELSEWHERE = """
import os, sys
from pathlib import Path
import opendssdirect  # notes the folder that it is imported in
from hostcap.operating_point import FeederScope
from hostcap_stock.initial_states import ZeroLoad
from hostcap_stock.opendss.config import OpenDssConfig
from hostcap_stock.opendss.source import OpenDssSource
os.chdir(sys.argv[2])
source = OpenDssSource(config=OpenDssConfig(master=Path(sys.argv[1]), frequency_hz=50.0))
network = source.load("f")
print(Path.cwd())
point = ZeroLoad().operating_point(network, FeederScope(feeder="f", year=2025))
with source.freeze(network, point), source.freeze(network, point):
    print(Path.cwd())
"""


def test_the_first_engine_of_a_process_does_not_move_it_either(source: Sourced, tmp_path: Path) -> None:
    """A new engine context goes back to the folder in which the engine's library was imported."""
    master = source(TWO + house("d", "b.1")).config.master
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    command = [sys.executable, "-c", ELSEWHERE, str(master), str(elsewhere)]
    shown = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path).stdout
    assert shown.split() == [str(elsewhere)] * 2


def _scope() -> Any:
    from hostcap.operating_point import FeederScope

    return FeederScope(feeder="f", year=2025)


def test_a_master_file_may_redirect_relative_to_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "a b" / "mod\u00e8le"
    (folder / "parts").mkdir(parents=True)
    (folder / "parts" / "net.dss").write_text(TWO + "redirect houses.dss\n", encoding="utf-8")
    (folder / "parts" / "houses.dss").write_text(house("d", "b.1"), encoding="utf-8")
    (folder / "master.dss").write_text(HEAD + "redirect parts/net.dss\n" + BASES, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    config = OpenDssConfig(master=folder / "master.dss", frequency_hz=50.0)
    assert customers_of(OpenDssSource(config=config).load("f")) == {"d": ["d"]}


def test_the_feeders_name_is_put_into_the_path(tmp_path: Path) -> None:
    (tmp_path / "north").mkdir()
    (tmp_path / "north" / "m.dss").write_text(HEAD + TWO + house("d", "b.1") + BASES, encoding="utf-8")
    config = OpenDssConfig(master=tmp_path / "{feeder}" / "m.dss", frequency_hz=50.0)
    assert OpenDssSource(config=config).load("north").feeder == "north"
    assert "no file" in refusal(lambda: OpenDssSource(config=config).load("south"))


@pytest.mark.parametrize(
    ("body", "fragments"),
    [
        ("new foo.x\n", ["master.dss", '"foo" not found', "line: 7"]),
        ("new line.x bsu1=a\n", ["master.dss", '"bsu1"', "line: 7"]),
        ("redirect nowhere.dss\n", ["nowhere.dss", "line: 7"]),
        ("new autotrans.x phases=3 windings=2 buses=[a z]\n", ["autotrans.x", "not supported"]),
    ],
)
def test_a_mistake_in_the_model_is_told_with_file_and_line(load: Loaded, body: str, fragments: list[str]) -> None:
    message = refusal(lambda: load(TWO + house("d", "b.1") + "! seven\n" + body))
    assert all(fragment in message for fragment in fragments), message


@pytest.mark.parametrize("content", ["", "clear\n", "! nothing\n"])
def test_a_model_without_a_circuit_is_refused(tmp_path: Path, content: str) -> None:
    master = tmp_path / "m.dss"
    master.write_text(content, encoding="utf-8")
    config = OpenDssConfig(master=master, frequency_hz=50.0)
    assert "defines no circuit" in refusal(lambda: OpenDssSource(config=config).load("f"))


def test_extra_commands_run_after_the_bases_and_are_listed(load: Loaded) -> None:
    commands = ("edit load.d kw=7", "set loadmult=2")
    network = load(TWO + house("d", "b.1"), NO_BASES, voltage_bases_kv=(22.0, 0.4), commands=commands)
    assert network.injectors.load_kw[0] == 14.0
    assert finding(network, "engine-commands").count == 2
    assert "'bogus'" in refusal(lambda: load(TWO + house("d", "b.1"), commands=("bogus",)))


def test_networks_and_sources_are_picklable(source: Sourced) -> None:
    made = source(TWO + house("d", "b.1"))
    network = made.load("f")
    assert network.node_lv.size == network.nodes.bus.size  # cached views do not spoil it
    again = pickle.loads(pickle.dumps(network))
    assert again == network
    assert hash(again) == hash(network)
    assert again.origin == network.origin
    assert pickle.loads(pickle.dumps(made)) == made
    assert again.origin.source.load("f") == network


def test_a_network_is_equal_by_content(load: Loaded) -> None:
    body = TWO + house("d", "b.1")
    assert load(body) == load(body)
    assert load(body) != load(body.replace("r1=.3", "r1=.3 normamps=100"))
    assert load(body) != "a network"


def test_networks_with_customer_columns_compare(load: Loaded, table: Callable[[str | bytes], Path]) -> None:
    rows = "customer,element,pv_kw\nhouse 7,leg1,3.5\nhouse 7,leg2,3.5\nnew,d,1\n"
    first = load(LEGS, customers=table(rows))
    assert load(LEGS, customers=table(rows)) == first
    assert pickle.loads(pickle.dumps(first)) == first
    assert load(LEGS, customers=table(rows.replace("new,d,1", "new,d,2"))) != first


def test_the_content_hash_is_equal_on_reload_and_changes_with_what_is_read(
    source: Sourced, table: Callable[[str | bytes], Path], tmp_path: Path
) -> None:
    """The model sits in a file that the master redirects to: what counts is what was loaded."""
    inner = tmp_path / "inner.dss"
    rows = table("customer,element\nx,d\n")
    body = (
        "new linecode.lc nphases=3 r1=.3 x1=.1 normamps=250\n"
        + TWO
        + "new line.c bus1=b bus2=c linecode=lc length=.1\n"
        + house("d", "c.1", "phases=1 kv=.23 kw=2 vminpu=.9")
        + "new generator.g bus1=c.2 phases=1 kv=.23 kw=1\n"
        + "new transformer.reg phases=3 windings=2 buses=[src m] kvs=[22 22] kvas=[900 900]\n"
        + "new regcontrol.rc transformer=reg winding=2 vreg=120 ptratio=105.8\n"
    )
    made = source("redirect inner.dss\n", customers=rows)

    def content(text: str) -> str:
        inner.write_text(text, encoding="utf-8")
        origin = made.load("f").origin
        assert origin is not None
        return origin.content_hash

    first = content(body)
    assert content(body) == first
    assert content(body + "! a remark changes nothing\n") == first
    changed = {
        "impedance": body.replace("r1=.3 x1=.1 r0", "r1=.31 x1=.1 r0"),
        "rating": body.replace("normamps=250", "normamps=251"),
        "load": body.replace("kw=2 vminpu", "kw=2.5 vminpu"),
        "law": body.replace("vminpu=.9", "vminpu=.91"),
        "generator": body.replace("kv=.23 kw=1\n", "kv=.23 kw=1.5\n"),
        "generator's law": body.replace("kv=.23 kw=1\n", "kv=.23 kw=1 vmaxpu=1.3\n"),
        "control": body.replace("vreg=120", "vreg=121"),
        "kva": body.replace("kvas=[100 100]", "kvas=[101 101]"),
    }
    hashes = {what: content(text) for what, text in changed.items()}
    assert first not in hashes.values(), [what for what, found in hashes.items() if found == first]
    assert len(set(hashes.values())) == len(hashes)
    rows.write_text("customer,element\ny,d\n", encoding="utf-8")
    assert content(body) != first
