"""The profiles `opendss-shapes` against OpenDSS itself, stepping through a day or a year in its own modes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pandas as pd
import pytest

from hostcap.config import structure
from hostcap.errors import ConfigError, ProfileError
from hostcap.network import Network
from hostcap.operating_point import FeederScope
from hostcap.profiles import PowerProfiles, Window
from hostcap.running import run
from hostcap.work_package import WorkPackage
from hostcap_stock.initial_states.timed import FixedTime, FixedTimeConfig
from hostcap_stock.opendss.config import OpenDssConfig, OpenDssShapesConfig
from hostcap_stock.opendss.shaped import OpenDssShapes
from hostcap_stock.opendss.source import OpenDssSource

BEGIN = datetime(2025, 1, 1, tzinfo=UTC)

FEEDER = """
clear
new circuit.c basekv=0.4 phases=3
new line.l bus1=sourcebus bus2=b length=0.01 r1=0.1 x1=0.1 r0=0.1 x0=0.1
new loadshape.day npts=4 interval=6 mult=(0.5 1.0 2.0 0.25)
new loadshape.both npts=4 interval=6 mult=(0.5 1.0 2.0 0.25) qmult=(1.0 0.0 3.0 0.5)
new loadshape.kw npts=3 interval=8 useactual=yes mult=(1.5 2.5 3.5) qmult=(0.3 0.0 -0.2)
new loadshape.kwonly npts=3 interval=8 useactual=yes mult=(1.5 2.5 3.5)
new loadshape.uneven npts=3 interval=0 hour=(1 4 24) mult=(1.0 2.0 0.5)
new loadshape.one npts=1 interval=1 mult=(0.7)
new loadshape.sun npts=4 interval=6 mult=(0.0 0.8 0.6 0.0)
new loadshape.minus npts=4 interval=6 mult=(0.5 -1.0 2.0 0.25)
new load.a bus1=b.1 phases=1 kv=0.23 kw=2 pf=0.9 daily=day yearly=both
new load.b bus1=b.2 phases=1 kv=0.23 kw=3 kvar=1 daily=both
new load.actual bus1=b.3 phases=1 kv=0.23 kw=9 kvar=4 daily=kw
new load.actualpf bus1=b.1 phases=1 kv=0.23 kw=9 pf=0.8 daily=kwonly
new load.actualkvar bus1=b.1 phases=1 kv=0.23 kw=9 kvar=4 daily=kwonly
new load.lines bus1=b.2 phases=1 kv=0.23 kw=2 pf=0.95 daily=uneven
new load.single bus1=b.3 phases=1 kv=0.23 kw=2 pf=0.95 daily=one
new load.fixed bus1=b.1 phases=1 kv=0.23 kw=2 pf=0.95 status=fixed daily=day
new load.exempt bus1=b.2 phases=1 kv=0.23 kw=2 pf=0.95 status=exempt daily=day
new load.bare bus1=b.3 phases=1 kv=0.23 kw=2 pf=0.95
new load.negative bus1=b.1 phases=1 kv=0.23 kw=-2 kvar=-0.5 daily=minus
new load.three bus1=b phases=3 kv=0.4 kw=6 pf=-0.9 daily=day
new generator.g bus1=b.1 phases=1 kv=0.23 kw=5 pf=0.9 daily=day
new pvsystem.pv bus1=b.2 phases=1 kv=0.23 kva=4 pmpp=5 irradiance=0.9 pf=0.95 daily=sun
set loadmult=1.25
set voltagebases=[0.4]
calcvoltagebases
"""


def shaped(network: Network, mode: str, **settings: Any) -> OpenDssShapes:
    """The profiles of a network."""
    config = OpenDssShapesConfig(**({"mode": mode, "start_time": BEGIN} | settings))
    return OpenDssShapes(config)


def loaded(master: Path, frequency_hz: float = 50.0, **settings: Any) -> Network:
    """A feeder through the source."""
    return OpenDssSource(config=OpenDssConfig(master=master, frequency_hz=frequency_hz, **settings)).load("f")


def stepped(
    master: Path, network: Network, mode: str, *, minutes: float, steps: int, frequency_hz: float, commands: str = ""
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """kW and kvar drawn by each injector at the end of that many steps of the engine's own mode, from midnight.

    Loads are constant power at any voltage, so that what they draw is what their shapes say.
    """
    from opendssdirect import dss as direct

    dss = direct.NewContext()
    dss.Basic.AllowChangeDir(False)
    run = dss.Text.Command
    run(f"set defaultbasefrequency={frequency_hz}")
    run(f'compile "{master}"')
    for command in commands.splitlines():
        run(command)
    run("batchedit load..* model=1 vminpu=0.01 vmaxpu=10")
    kinds = set(network.injectors.kind)
    for kind in kinds - {"load"}:
        run(f"batchedit {kind}..* vminpu=0.01 vmaxpu=10")
    run(f"set mode={mode} controlmode=off stepsize={minutes * 60:g}s number={steps}")
    run("set tolerance=1e-10 maxiterations=200")  # as its own 1e-4 leaves 4e-6 of the power
    run("solve")
    kw, kvar = [], []
    for kind, name in zip(network.injectors.kind, network.injectors.name, strict=True):
        dss.Circuit.SetActiveElement(f"{kind}.{name}")
        power = np.asarray(dss.CktElement.Powers()).reshape(-1, 2).sum(axis=0)
        kw.append(power[0])
        kvar.append(power[1])
    dss.Basic.ClearAll()
    return np.asarray(kw), np.asarray(kvar)


def drawn(found: PowerProfiles, place: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Net kW and kvar drawn at one instant."""
    kw = found.load_kw[place] - found.generation_kw[place]
    return kw, found.load_kvar[place] + found.generation_kvar[place]


@pytest.fixture
def master(tmp_path: Path) -> Path:
    """A bus with a load for each rule of the engine."""
    path = tmp_path / "m.dss"
    path.write_text(FEEDER, encoding="utf-8")
    return path


@pytest.mark.parametrize("mode", ["daily", "yearly"])
@pytest.mark.parametrize("steps", [1, 2, 3, 5, 7, 8, 13, 21, 24])
def test_every_rule_of_the_engine_is_kept(master: Path, mode: str, steps: int) -> None:
    """Hours 1 to 24 in steps of an hour; kW and kvar of each element to 1e-6 of its own.

    Source: OpenDSS itself (DSS C-API 0.14.5), stepping from midnight in the same mode.
    """
    network = loaded(master)
    window = Window(start=BEGIN, end=BEGIN + timedelta(hours=24))
    found = shaped(network, mode, interval_minutes=60.0).customers(network, window)
    for own, engine in zip(
        drawn(found, steps - 1),
        stepped(master, network, mode, minutes=60, steps=steps, frequency_hz=50),
        strict=True,
    ):
        for name, a, b in zip(network.injectors.name, own, engine, strict=True):
            assert a == pytest.approx(b, rel=1e-6, abs=1e-6), name


def test_the_second_day_of_daily_shapes_is_the_first(master: Path) -> None:
    network = loaded(master)
    profiles = shaped(network, "daily", interval_minutes=60.0)
    first = profiles.customers(network, Window(start=BEGIN, end=BEGIN + timedelta(days=1)))
    later = profiles.customers(network, Window(start=BEGIN - timedelta(days=3), end=BEGIN - timedelta(days=2)))
    assert np.array_equal(first.load_kw, later.load_kw)
    assert np.array_equal(first.generation_kw, later.generation_kw)


def test_yearly_shapes_begin_when_the_study_says(master: Path) -> None:
    network = loaded(master)
    with pytest.raises(ProfileError, match="yearly shapes begin at 2025-01-01T00:00:00"):
        shaped(network, "yearly").customers(network, Window(start=BEGIN - timedelta(days=1), end=BEGIN))


def test_the_shortest_shape_says_the_interval(master: Path) -> None:
    network = loaded(master)
    found = shaped(network, "daily").customers(network, Window(start=BEGIN, end=BEGIN + timedelta(days=1)))
    assert found.interval_minutes == 60.0  # load.single has a shape of one value, an hour
    assert found.instant.size == 24


def test_what_follows_no_shape_is_listed_with_its_kw(master: Path) -> None:
    network = loaded(master)
    found = shaped(network, "daily").customers(network, Window(start=BEGIN, end=BEGIN + timedelta(hours=1)))
    [finding] = [f for f in found.findings if f.code == "loads-without-shape"]
    assert finding.count == 2
    assert finding.kw == pytest.approx(2 * 1.25 + 2)


def test_a_shape_is_a_series_too(master: Path) -> None:
    network = loaded(master)
    window = Window(start=BEGIN, end=BEGIN + timedelta(days=1))
    series = shaped(network, "daily").series(network, "SUN", window)
    assert series.value.tolist() == [0.0, 0.8, 0.6, 0.0]
    with pytest.raises(ProfileError, match="no load shape named 'moon'"):
        shaped(network, "daily").series(network, "moon", window)


def test_a_slip_in_a_name_finds_it_among_many_and_some_are_listed(tmp_path: Path) -> None:
    master = tmp_path / "m.dss"
    many = {f"a{number:02}": "npts=1 interval=1 mult=(1)" for number in range(40)}
    master.write_text(each_kind("daily", **many, rooftop="npts=1 interval=1 mult=(1)"), encoding="utf-8")
    network = loaded(master)
    with pytest.raises(ProfileError, match=r"'roofttop'; did you mean 'rooftop'\? there are: a00, a01, .* and 12 more"):
        shaped(network, "daily").series(network, "roofttop", Window(start=BEGIN, end=BEGIN + timedelta(days=1)))


def test_an_instant_that_ends_no_interval_is_refused_with_those_beside_it(master: Path) -> None:
    network = loaded(master)
    with pytest.raises(ProfileError, match=r"no interval of 30 minutes .* near it are .*T10:30.* and .*T11:00"):
        shaped(network, "daily", interval_minutes=30.0).customers(
            network, Window.of_instant(BEGIN + timedelta(hours=10, minutes=40))
        )
    with pytest.raises(ProfileError, match=r"profiles\.interval_minutes: must divide a day, such as .*, got 7"):
        shaped(network, "daily", interval_minutes=7.0).customers(
            network, Window(start=BEGIN, end=BEGIN + timedelta(hours=1))
        )


def test_another_shape_is_another_content(master: Path) -> None:
    before = loaded(master).origin
    master.write_text(FEEDER.replace("mult=(0.0 0.8", "mult=(0.0 0.9"), encoding="utf-8")
    after = loaded(master).origin
    assert before is not None and after is not None
    assert before.content_hash != after.content_hash


def test_only_opendss_models_have_them(master: Path) -> None:
    network = attrs.evolve(loaded(master), origin=None)
    with pytest.raises(ProfileError, match="are those of an OpenDSS model"):
        shaped(network, "daily").customers(network, Window(start=BEGIN, end=BEGIN + timedelta(hours=1)))


HOURS = "npts=4 interval=0 hour=(0 2.5 6 24) mult=(0.5 1.0 2.0 0.25)"
FIXED = "npts=6 minterval=20 mult=(0.5 1.0 -2.0 0.25 0.75 1.25)"
KINDS = {
    "hours": HOURS,
    "hours-edge": f"{HOURS} interpolation=edge",
    "hours-qmult": f"{HOURS} qmult=(1 0.1 0.2 0.3)",
    "hours-qmult-edge": f"{HOURS} qmult=(1 0.1 0.2 0.3) interpolation=edge",
    "hours-actual": f"{HOURS} useactual=yes",
    "hours-actual-edge": f"{HOURS} useactual=yes interpolation=edge",
    "hours-actual-qmult-edge": f"{HOURS} qmult=(1 0.1 0.2 0.3) useactual=yes interpolation=edge",
    "ends-early": "npts=3 interval=0 hour=(0 1 7.25) mult=(1 2 3)",
    "ends-early-edge": "npts=3 interval=0 hour=(0 1 7.25) mult=(1 2 3) interpolation=edge",
    "fixed": FIXED,
    "fixed-avg": f"{FIXED} interpolation=avg",
    "fixed-edge": f"{FIXED} interpolation=edge",
    "fixed-qmult-edge": f"{FIXED} qmult=(1 2 3 4 5 6) interpolation=edge",
    "fixed-actual-edge": f"{FIXED} useactual=yes interpolation=edge",
    "seconds": "npts=4 sinterval=450 mult=(1 2 3 4)",
    "seconds-edge": "npts=4 sinterval=450 mult=(1 2 3 4) interpolation=edge",
    "normalised": f"{FIXED} action=normalize",
    "odd.name": "npts=2 interval=1 mult=(1 2) interpolation=edge",
    "one-edge": "npts=1 interval=0 hour=(3) mult=(0.7) interpolation=edge",
}
"""Every way in which a shape may state its values, with steps that meet its hours and such that do not."""


def each_kind(stated: str, **shapes: str) -> str:
    """A feeder with a load for each kind of shape and each way of stating kvar."""
    lines = ["clear", "new circuit.c basekv=0.4 phases=3", "new line.l bus1=sourcebus bus2=b length=0.01"]
    for name, shape in shapes.items():
        lines.append(f'new "loadshape.{name}" {shape}')
        lines += [
            f'new "load.{name}-{how.partition("=")[0]}" bus1=b.1 phases=1 kv=0.23 kw=2 {how} {stated}={name}'
            for how in ("kvar=0.7", "pf=-0.9")
        ]
    return "\n".join([*lines, "set voltagebases=[0.4]", "calcvoltagebases"])


@pytest.mark.parametrize(
    ("mode", "stated"), [("daily", "daily"), ("yearly", "yearly"), ("yearly", "daily")], ids=lambda word: word
)
@pytest.mark.parametrize("minutes", [5.0, 60.0])
def test_every_kind_of_shape_is_read_as_the_engine_reads_it(
    mode: str, stated: str, minutes: float, tmp_path: Path
) -> None:
    """kW and kvar of every load, step by step through 25 hours, to 1e-6, against the engine's own solutions.

    Source: OpenDSS itself (DSS C-API 0.14.5), one solve for each step, as it goes on by itself.
    """
    from opendssdirect import dss as direct

    master = tmp_path / "m.dss"
    master.write_text(each_kind(stated, **KINDS), encoding="utf-8")
    network = loaded(master)
    steps = round((24 if mode == "daily" else 25) * 60 / minutes)
    found = shaped(network, mode, interval_minutes=minutes).customers(
        network, Window(start=BEGIN, end=BEGIN + steps * timedelta(minutes=minutes))
    )
    dss = direct.NewContext()
    dss.Basic.AllowChangeDir(False)
    for command in (
        "set defaultbasefrequency=50",
        f'compile "{master}"',
        "batchedit load..* model=1 vminpu=0.01 vmaxpu=10",
        f"set mode={mode} controlmode=off stepsize={minutes * 60:g}s number=1",
        "set tolerance=1e-10 maxiterations=200",
    ):
        dss.Text.Command(command)
    engine = np.empty((steps, 2, network.injectors.name.size))
    for step in range(steps):
        dss.Text.Command("solve")
        for place, name in enumerate(network.injectors.name):
            dss.Circuit.SetActiveElement(f"load.{name}")
            engine[step, :, place] = np.asarray(dss.CktElement.Powers()).reshape(-1, 2).sum(axis=0)
    dss.Basic.ClearAll()
    own = np.stack([found.load_kw - found.generation_kw, found.load_kvar + found.generation_kvar], axis=1)
    wrong = np.abs(own - engine).max(axis=(0, 1)) > 1e-6
    assert not list(network.injectors.name[wrong])
    assert (np.ptp(engine, axis=0).max(axis=0) > 0.1).sum() >= 2 * (len(KINDS) - 3)  # most of them move


def test_edge_shapes_without_kvar_between_their_hours_are_named_with_their_kw(tmp_path: Path) -> None:
    master = tmp_path / "m.dss"
    master.write_text(each_kind("daily", **KINDS), encoding="utf-8")
    network = loaded(master)
    found = shaped(network, "daily").customers(network, Window(start=BEGIN, end=BEGIN + timedelta(hours=1)))
    [finding] = [f for f in found.findings if f.code == "edge-shape-without-kvar"]
    assert (finding.count, finding.kw) == (4, pytest.approx(8.0))
    assert finding.element == "hours-edge-kvar, hours-edge-pf, ends-early-edge-kvar and 1 more"


def test_hours_before_the_first_that_a_shape_states_are_refused(tmp_path: Path) -> None:
    """The engine reads there before its arrays, and takes 0 or whatever lies there."""
    master = tmp_path / "m.dss"
    master.write_text(each_kind("daily", late="npts=3 interval=0 hour=(2 4 24) mult=(1 2 3)"), encoding="utf-8")
    network = loaded(master)
    profiles = shaped(network, "daily", interval_minutes=60.0)
    assert drawn(profiles.customers(network, Window.of_instant(BEGIN + timedelta(hours=2))), 0)[0].tolist() == [2.0] * 2
    with pytest.raises(ProfileError, match="load shape 'late': it states nothing before its hour 2"):
        profiles.customers(network, Window.of_instant(BEGIN + timedelta(hours=1)))


@pytest.mark.parametrize(
    ("shape", "why"),
    [
        ("npts=3 interval=0 hour=(1 24 4) mult=(1 2 3)", "its hours do not rise"),
        (
            "npts=3 interval=8 memorymapping=yes mult=(file=values.csv)",
            "with memorymapping=yes the engine gives nobody",
        ),
    ],
)
def test_shapes_whose_values_cannot_be_had_are_refused_where_they_are_asked_for(
    shape: str, why: str, tmp_path: Path
) -> None:
    master = tmp_path / "m.dss"
    (tmp_path / "values.csv").write_text("1\n2\n3\n", encoding="utf-8")
    master.write_text(each_kind("daily", bad=shape), encoding="utf-8")
    network = loaded(master)  # a snapshot asks for no shape
    with pytest.raises(ProfileError, match=f"load shape 'bad': {why}"):
        shaped(network, "daily", interval_minutes=60.0).customers(
            network, Window(start=BEGIN, end=BEGIN + timedelta(hours=2))
        )


def test_generators_are_not_solved_before_the_first_hour_of_their_shape(tmp_path: Path) -> None:
    master = tmp_path / "m.dss"
    late = "new generator.g bus1=b.1 phases=1 kv=0.23 kw=2 daily=late\n"
    text = each_kind("daily", day="npts=1 interval=1 mult=(1)", late="npts=3 interval=0 hour=(2 4 24) mult=(1 2 3)")
    master.write_text(text.replace("daily=late", "").replace("set voltagebases", late + "set voltagebases"), "utf-8")
    network = loaded(master)
    profiles = shaped(network, "daily", interval_minutes=60.0)
    at_two = profiles.customers(network, Window.of_instant(BEGIN + timedelta(hours=2)))
    assert at_two.generation_kw.sum() == pytest.approx(2.0)
    with pytest.raises(ProfileError, match="load shape 'late': it states nothing before its hour 2"):
        profiles.customers(network, Window.of_instant(BEGIN + timedelta(hours=1)))


def test_shapes_of_the_duty_mode_are_refused_and_loads_with_them_alone_listed(master: Path) -> None:
    with pytest.raises(ConfigError, match=r"profiles\.mode: expected one of daily, yearly, got 'duty'"):
        structure({"mode": "duty", "start_time": BEGIN}, OpenDssShapesConfig, path="profiles", folder=Path())
    master.write_text(FEEDER.replace("kw=2 pf=0.9 daily=day yearly=both", "kw=2 pf=0.9 duty=day"), encoding="utf-8")
    network = loaded(master)
    found = shaped(network, "daily").customers(network, Window(start=BEGIN, end=BEGIN + timedelta(hours=1)))
    [finding] = [f for f in found.findings if f.code == "loads-without-shape"]
    assert finding.element == "a, fixed, bare"


CONTROLS = """
new pvsystem.second bus1=b.3 phases=1 kv=0.23 kva=2 pmpp=3 daily=sun
new xycurve.vv npts=4 yarray=(1 0 0 -1) xarray=(0.5 0.95 1.05 1.5)
new invcontrol.some mode=voltvar vvc_curve1=vv {listed}
edit vsource.source daily=day
"""


@pytest.mark.parametrize(
    ("listed", "elements", "kw"),
    [
        ("", "pv, second", None),
        ("pvsystemlist=[pv]", "pv", 4.0),
        ("derlist=[pvsystem.second]", "second", 2.0),
        ("derlist=[pvsystem.second] enabled=no", None, None),
    ],
)
def test_what_controls_would_move_is_named_with_its_kw(
    listed: str, elements: str | None, kw: float | None, master: Path
) -> None:
    """4 kVA behind 4.5 kW of sun and 2 kVA behind 3 kW give their kVA in the snapshot."""
    master.write_text(FEEDER + CONTROLS.format(listed=listed), encoding="utf-8")
    network = loaded(master)
    found = shaped(network, "daily").customers(network, Window(start=BEGIN, end=BEGIN + timedelta(hours=1)))
    told = {finding.code: finding for finding in found.findings}
    assert told["source-shape-not-followed"].element == "source"
    if elements is None:
        assert "inverter-controls-not-followed" not in told
        return
    finding = told["inverter-controls-not-followed"]
    assert (finding.element, finding.count) == (elements, elements.count(",") + 1)
    assert "InvControl some" in finding.message
    assert finding.kw is not None and finding.kw > 1.5
    assert kw is None or finding.kw == pytest.approx(kw, rel=0.06)


PUBLIC = [
    ("au-oe-lv28/Master.txt", "daily", 50.0, 5.0, (1, 100, 145, 288), "set voltagebases=[22.0, 0.4]\ncalcvoltagebases"),
    ("us-smartds-p1uhs23/substations/p1uhs23_1247/Master.dss", "yearly", 60.0, 15.0, (1, 33, 73, 96), ""),
    ("epri-ckt5/Master_ckt5.dss", "yearly", 60.0, 60.0, (1, 18, 120), ""),
    ("au-lv-fourwire/Master.dss", "daily", 50.0, 30.0, (1, 24, 37), ""),
]


@pytest.mark.shared
@pytest.mark.parametrize(
    ("path", "mode", "frequency_hz", "minutes", "steps", "commands"),
    PUBLIC,
    ids=[case[0].split("/")[0] for case in PUBLIC],
)
def test_public_feeders_do_what_opendss_says(
    networks: Path,
    path: str,
    mode: str,
    frequency_hz: float,
    minutes: float,
    steps: tuple[int, ...],
    commands: str,
) -> None:
    """kW and kvar of every element to 1e-6, against the engine at that hour of its own day or year."""
    master = networks / path
    network = loaded(master, frequency_hz, commands=tuple(commands.splitlines()))
    profiles = shaped(network, mode, interval_minutes=minutes)
    for step in steps:
        found = profiles.customers(network, Window.of_instant(BEGIN + step * timedelta(minutes=minutes)))
        own = drawn(found, 0)
        engine = stepped(
            master, network, mode, minutes=minutes, steps=step, frequency_hz=frequency_hz, commands=commands
        )
        for a, b in zip(own, engine, strict=True):
            assert np.allclose(a, b, rtol=1e-6, atol=1e-6), (step, np.abs(a - b).max())
        assert np.abs(own[0]).sum() > 0


@pytest.mark.shared
def test_a_start_at_an_hour_is_the_engines_own_solution_of_it(networks: Path) -> None:
    """Voltages of p1uhs23 at 18:15 of its day, frozen from the shapes, against a bare yearly solution: 1e-7 pu."""
    from opendssdirect import dss as direct

    master = networks / "us-smartds-p1uhs23/substations/p1uhs23_1247/Master.dss"
    network = loaded(master, 60.0)
    when = BEGIN + 73 * timedelta(minutes=15)
    state = FixedTime(config=FixedTimeConfig(start_time=when))
    point = state.operating_point(network, FeederScope(feeder="f", year=2025), shaped(network, "yearly"))
    assert network.origin is not None
    with network.origin.source.freeze(network, point) as frozen:
        own = np.abs(frozen.start.node_v[0]) / network.nodes.nominal_v
    dss = direct.NewContext()
    dss.Basic.AllowChangeDir(False)
    dss.Text.Command("set defaultbasefrequency=60")
    dss.Text.Command(f'compile "{master}"')
    for command in ("set mode=yearly stepsize=15m number=73", "set tolerance=1e-11 maxiterations=500", "solve"):
        dss.Text.Command(command)
    names = [name.lower() for name in dss.Circuit.YNodeOrder()]
    volts = dict(zip(names, np.abs(np.asarray(dss.Circuit.YNodeVArray()).reshape(-1, 2) @ [1, 1j]), strict=True))
    dss.Basic.ClearAll()
    engine = np.asarray([volts[n.lower()] for n in network.node_names(range(own.size))]) / network.nodes.nominal_v
    live = network.nodes.live
    assert np.abs(own - engine)[live].max() < 1e-7


def test_an_untrusted_study_reads_the_shapes_of_the_checked_copy(master: Path) -> None:
    """The model is opened again by the profiles: the copy, in the process that works on it, with the same answer."""
    study = master.parent / "s.toml"
    study.write_text(
        """
name = "s"
[scope]
feeders = ["f"]
year = 2025
[network]
plugin = "opendss"
master = "m.dss"
frequency_hz = 50
[profiles]
plugin = "opendss-shapes"
mode = "daily"
start_time = 2025-01-01T00:00:00Z
[study]
plugin = "lv-headroom"
max_steps = 3
[initial_state]
plugin = "fixed-time"
start_time = 2025-01-01T12:00:00Z
[[constraints]]
plugin = "voltage"
lv_max_pu = 1.2
[solver]
plugin = "opendss"
""",
        encoding="utf-8",
    )
    trusted, contained = (run(WorkPackage.read(study), trusted=trusted) for trusted in (True, False))
    assert not contained.failed
    first, second = (results["customer_allocations"].to_pandas() for results in (trusted, contained))
    assert len(first) > 5
    pd.testing.assert_frame_equal(first, second)
    assert trusted.work_package_id == contained.work_package_id
