"""Whole studies on two buses in closed form: signs of power factors, stated kvar, peaks, and times of several zones.

A stiff source of 230 V, one phase, a line of 0.4 + 0.1j ohm, one customer at its end. With S = P + jQ drawn, |V|^2
is the upper root of x^2 + (2 Re(Z conj(S)) - E^2) x + |Z S|^2 = 0. Nothing else is asked of hostcap than its answer.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from attrs import frozen

from hostcap.profiles import as_datetime
from hostcap.running import run
from hostcap.work_package import WorkPackage

E_V, Z = 230.0, complex(0.4, 0.1)
LEAST_V, MOST_V = 216.0, 241.0
STEP_KW = 0.1
SOLVERS = ["batched", "opendss"]
MASTER = """clear
new circuit.c bus1=s.1 phases=1 basekv=0.23 pu=1 r1=0 x1=1e-6 r0=0 x0=1e-6
new line.w bus1=s.1 bus2=e.1 phases=1 r1=0.4 x1=0.1 r0=0.4 x0=0.1 c1=0 c0=0 length=1
new load.home bus1=e.1 phases=1 kv=0.23 kw=1 kvar=0.25 model=1 vminpu=0.1 vmaxpu=3
set voltagebases=[0.3983717]
calcvoltagebases
"""
STUDY = """name = "two"
[scope]
feeders = ["f"]
year = 2025
[network]
plugin = "opendss"
master = "two.dss"
frequency_hz = 50
[study]
plugin = "lv-headroom"
step_kw_per_customer = 0.1
max_steps = 300
[[constraints]]
plugin = "voltage"
lv_min_v = 216.0
lv_max_v = 241.0
"""


def volts(p_kw: float, q_kvar: float) -> float:
    """|V| of the customer that draws so much."""
    drop = Z * complex(p_kw, q_kvar).conjugate() * 1000.0
    half = E_V**2 / 2.0 - drop.real
    return math.sqrt(half + math.sqrt(half**2 - abs(drop) ** 2))


@frozen(kw_only=True)
class Answer:
    """What a study says of the one customer."""

    level: int
    violating_v: float
    when: datetime
    import_kw: float
    export_kw: float


def asked(folder: Path, solver: str, tables: str) -> Answer:
    """The answer of a study file."""
    (folder / "two.dss").write_text(MASTER, encoding="utf-8")
    (folder / "two.toml").write_text(STUDY + tables, encoding="utf-8")
    overrides = [f"solver.plugin={solver}", "solver.tolerance_pu=1e-10"]
    results = run(WorkPackage.read(folder / "two.toml", overrides=overrides))
    assert not results.failed, results.failed
    (group,) = results["lv_group_hosting_capacity"].rows()
    assert group["status"] == "bound"
    (broken,) = results["constraint_violations"].rows()
    return Answer(
        level=round(group["headroom_kw_per_customer"] / STEP_KW),
        violating_v=broken["violating_value"],
        when=as_datetime(group["timestamp"]),
        import_kw=group["total_base_net_import_kw"],
        export_kw=group["total_base_net_export_kw"],
    )


def assert_closed_form(answer: Answer, p_kw: float, q_kvar: float, direction: str, power_factor: float) -> None:
    """From this start, the first step that breaks a limit is the one after the level, at this voltage."""
    sign = -1.0 if direction == "export" else 1.0
    kvar = math.copysign(STEP_KW * math.tan(math.acos(abs(power_factor))), power_factor)

    def at(n: int) -> float:
        return volts(p_kw + sign * STEP_KW * n, q_kvar + kvar * n)

    assert LEAST_V < at(0) < MOST_V
    first = next(n for n in range(1, 300) if not LEAST_V <= at(n) <= MOST_V)
    assert (answer.level, answer.violating_v) == (first - 1, pytest.approx(at(first), rel=1e-7))


# Power factors and stated kvar


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("power_factor", [1.0, 0.9, -0.9])
@pytest.mark.parametrize("direction", ["export", "import"])
def test_a_positive_power_factor_consumes_and_a_negative_one_supplies_in_both_directions(
    direction: str, power_factor: float, solver: str, tmp_path: Path
) -> None:
    growth = f'[injection]\ndirection = "{direction}"\npower_factor = {power_factor}\n'
    answer = asked(tmp_path, solver, growth)
    assert_closed_form(answer, 1.0, 0.25, direction, power_factor)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("load_kvar", [0.0, 1.5, -1.5])
@pytest.mark.parametrize("generation_kvar", [0.0, 1.2, -1.2])
def test_stated_kvar_of_load_and_of_generation_add_up_positive_consuming(
    load_kvar: float, generation_kvar: float, solver: str, tmp_path: Path
) -> None:
    answer = asked(
        tmp_path,
        solver,
        f'[initial_state]\nplugin = "fixed-load"\nload_kw_per_customer = 2.0\nload_kvar_per_customer = {load_kvar}\n'
        f"generation_kw_per_customer = 3.0\ngeneration_kvar_per_customer = {generation_kvar}\n",
    )
    assert (answer.import_kw, answer.export_kw) == pytest.approx((2.0, 3.0))
    assert_closed_form(answer, 2.0 - 3.0, load_kvar + generation_kvar, "export", 1.0)


# Peaks


@frozen(kw_only=True)
class Half:
    """Half an hour: kW drawn and given, kvar that goes with each."""

    draw: float
    give: float
    kvar: float
    give_kvar: float = 0.0

    @property
    def net(self) -> tuple[float, float]:
        return self.draw - self.give, self.kvar + self.give_kvar


DAY = [
    Half(draw=1.0, give=0.0, kvar=0.1),
    Half(draw=6.0, give=2.5, kvar=0.2, give_kvar=0.3),  # the most drawn
    Half(draw=4.0, give=0.0, kvar=0.4),  # the most net import
    Half(draw=3.0, give=5.0, kvar=0.1, give_kvar=-0.2),  # the most given
    Half(draw=0.5, give=3.5, kvar=0.3, give_kvar=0.1),  # the most net export
    Half(draw=0.2, give=0.0, kvar=0.05),
]
FIRST = datetime(2025, 1, 31, 22, 30, tzinfo=UTC)
"""End of the first half hour: 08:30 of 1 February at UTC+10; the last ends at 11:00 there."""
COLUMNS = """[profiles]
plugin = "table"
[profiles.readings]
files = ["r.csv"]
interval_minutes = 30
import_column = "in"
export_column = "out"
import_kvar_column = "in_q"
export_kvar_column = "out_q"
"""


def written(folder: Path, stamps: Sequence[str], scale: float = 1.0) -> None:
    """The readings, each with a stamp of its own."""
    lines = ["time,customer,in,out,in_q,out_q"]
    for stamp, half in zip(stamps, DAY, strict=True):
        values = (half.draw, half.give, half.kvar, half.give_kvar)
        lines.append(",".join([stamp, "home", *(f"{scale * value:.6f}" for value in values)]))
    (folder / "r.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def ends(form: str, shift: timedelta = timedelta(0)) -> list[str]:
    return [f"{FIRST + k * timedelta(minutes=30) + shift:{form}}" for k in range(len(DAY))]


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize(("plugin", "place"), [("peak-import", 2), ("peak-export", 4)])
@pytest.mark.parametrize("direction", ["export", "import"])
def test_a_peak_is_that_of_the_net_and_the_search_starts_there(
    plugin: str, place: int, direction: str, solver: str, tmp_path: Path
) -> None:
    written(tmp_path, ends("%Y-%m-%dT%H:%M:%SZ"))
    window = "start_time = 2025-01-31T22:00:00Z\nend_time = 2025-02-01T01:00:00Z\n"
    answer = asked(
        tmp_path,
        solver,
        f'{COLUMNS}unit = "kW"\n[initial_state]\nplugin = "{plugin}"\n{window}[injection]\ndirection = "{direction}"\n',
    )
    assert answer.when == FIRST + place * timedelta(minutes=30)
    p_kw, q_kvar = DAY[place].net
    assert answer.import_kw - answer.export_kw == pytest.approx(p_kw)
    assert_closed_form(answer, p_kw, q_kvar, direction, 1.0)


def test_a_peak_outside_the_window_is_none(tmp_path: Path) -> None:
    """The window ends with the half hour before the peak of import; the one before that was never the peak."""
    written(tmp_path, ends("%Y-%m-%dT%H:%M:%SZ"))
    window = "start_time = 2025-01-31T22:00:00Z\nend_time = 2025-01-31T23:00:00Z\n"
    answer = asked(tmp_path, "batched", f'{COLUMNS}unit = "kW"\n[initial_state]\nplugin = "peak-import"\n{window}')
    assert answer.when == FIRST + timedelta(minutes=30)
    assert_closed_form(answer, *DAY[1].net, "export", 1.0)


@pytest.mark.parametrize("solver", SOLVERS)
def test_what_is_left_out_and_scaled_acts_at_the_peak(solver: str, tmp_path: Path) -> None:
    written(tmp_path, ends("%Y-%m-%dT%H:%M:%SZ"))
    answer = asked(
        tmp_path,
        solver,
        f'{COLUMNS}unit = "kW"\n[initial_state]\nplugin = "peak-export"\nstart_time = 2025-01-31T22:00:00Z\n'
        "end_time = 2025-02-01T01:00:00Z\nload_scaling_factor = 1.5\nder_scaling_factor = 0.4\n",
    )
    half = DAY[4]
    start = 1.5 * half.draw - 0.4 * half.give, 1.5 * half.kvar + 0.4 * half.give_kvar
    assert answer.when == FIRST + 4 * timedelta(minutes=30)
    assert_closed_form(answer, *start, "export", 1.0)


# Zones


HALF_HOUR = timedelta(minutes=30)
TEN = timedelta(hours=10)
WAYS = {
    "utc": (ends("%Y-%m-%dT%H:%M:%SZ"), "", 1.0),
    "offset": ([f"{stamp}+10:00" for stamp in ends("%Y-%m-%dT%H:%M:%S", TEN)], "", 1.0),
    "half-hour-zone": ([f"{stamp}+09:30" for stamp in ends("%Y-%m-%dT%H:%M:%S", TEN - HALF_HOUR)], "", 1.0),
    "behind": ([f"{stamp}-06:00" for stamp in ends("%Y-%m-%dT%H:%M:%S", timedelta(hours=-6))], "", 1.0),
    "stated-clock": (ends("%Y-%m-%d %H:%M", TEN), 'utc_offset = "+10:00"\n', 1.0),
    "starts": (ends("%Y-%m-%dT%H:%M:%SZ", -HALF_HOUR), 'stamp = "start"\n', 1.0),
    "energy": (ends("%Y-%m-%dT%H:%M:%SZ"), "", 0.5),
}


@pytest.mark.parametrize("way", list(WAYS))
@pytest.mark.parametrize("asked_at", ["2025-02-01T00:00:00Z", "2025-02-01T10:00:00+10:00", "2025-01-31T18:00:00-06:00"])
def test_an_instant_is_one_however_readings_and_study_write_it(way: str, asked_at: str, tmp_path: Path) -> None:
    """Midnight UTC is 10:00 in the east of Australia and 18:00 of the day before in Chicago: the fourth half hour."""
    stamps, more, scale = WAYS[way]
    written(tmp_path, stamps, scale)
    unit = "kWh" if way == "energy" else "kW"
    start = f'[initial_state]\nplugin = "fixed-time"\nstart_time = {asked_at}\n'
    answer = asked(tmp_path, "batched", f'{COLUMNS}unit = "{unit}"\n{more}{start}')
    assert answer.when == datetime(2025, 2, 1, tzinfo=UTC)
    assert_closed_form(answer, *DAY[3].net, "export", 1.0)


@pytest.mark.parametrize("solver", SOLVERS)
def test_every_instant_of_a_window_has_its_closed_form_and_the_least_is_the_answer(solver: str, tmp_path: Path) -> None:
    written(tmp_path, ends("%Y-%m-%dT%H:%M:%SZ"))
    window = "start_time = 2025-02-01T08:00:00+10:00\nend_time = 2025-02-01T11:00:00+10:00\n"
    answer = asked(tmp_path, solver, f'{COLUMNS}unit = "kW"\n[initial_state]\nplugin = "instants"\n{window}')
    assert answer.when == FIRST + 4 * HALF_HOUR  # where most is exported already
    assert_closed_form(answer, *DAY[4].net, "export", 1.0)
