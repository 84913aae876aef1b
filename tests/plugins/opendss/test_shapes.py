"""The profiles `opendss-shapes` against OpenDSS itself, stepping through a day or a year in its own modes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pandas as pd
import pytest

from hostcap.errors import ProfileError
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
