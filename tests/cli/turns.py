"""A good study of a small feeder on the command line, and what it leaves in its folder."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from click.testing import CliRunner, Result

from hostcap.cli.main import main

STUDY = """name = "street"

[scope]
feeders = ["north"]
year = 2025

[network]
plugin = "opendss"
master = "north.dss"
frequency_hz = 50

[study]
plugin = "lv-headroom"
step_kw_per_customer = 1.0
max_steps = 12

[initial_state]
plugin = "zero-load"

[injection]
plugin = "negative-load"
direction = "export"
power_factor = 1.0

[allocation]
plugin = "uniform"

[[constraints]]
plugin = "voltage"
lv_min_v = 216.0
lv_max_v = 253.0

[[constraints]]
plugin = "thermal"
percent_of_rating = 100.0

[solver]
plugin = "opendss"
tolerance_pu = 1e-6

[[writers]]
plugin = "parquet"
"""
MASTER = """clear
new circuit.c basekv=22 pu=1 bus1=src mvasc3=2000 mvasc1=2000
new transformer.t1 phases=3 windings=2 buses=[src a] conns=[delta wye] kvs=[22 .4] kvas=[50 50] xhl=4
new line.l1 bus1=a bus2=b r1=.3 x1=.1 r0=.6 x0=.2 c1=0 c0=0 length=.2 units=km normamps=200
new load.d1 bus1=b.1 phases=1 kv=.23 kw=2 kvar=.5
new load.d2 bus1=b.2 phases=1 kv=.23 kw=2 kvar=.5
set voltagebases=[22 .4]
calcvoltagebases
"""
NO_SOLUTION = MASTER.replace(
    "set voltagebases",
    "new load.mill bus1=b phases=3 kv=.4 kw=9000 kvar=3000 vminpu=.01 vlowpu=.005 vmaxpu=9\nset voltagebases",
)
RUN = ("run", "study.toml", "--out", "out")
TABLES = {
    "binding_constraints",
    "binding_usage",
    "constraint_violations",
    "customer_allocations",
    "feeder_branches",
    "feeder_buses",
    "findings",
    "lv_group_hosting_capacity",
    "node_voltages",
}
Do = Callable[[Path], None]


def done(*arguments: str) -> Do:
    """Run the command line well before, for turns that start from results."""

    def act(folder: Path) -> None:
        assert call(arguments or RUN).exit_code == 0

    return act


def call(arguments: Sequence[str]) -> Result:
    return CliRunner().invoke(main, list(arguments))


def tree(folder: Path) -> dict[str, bytes]:
    """Every file by its path; folders with a slash."""
    return {
        f"{path.relative_to(folder)}" + ("/" if path.is_dir() else ""): b"" if path.is_dir() else path.read_bytes()
        for path in sorted(folder.rglob("*"))
    }


def lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.strip()]


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-c", "from hostcap.cli.main import main; main()", *arguments]
