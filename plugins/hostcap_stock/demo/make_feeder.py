"""Write the OpenDSS files and the readings of the demo feeder: `python -m hostcap_stock.demo.make_feeder [folder]`.

A synthetic 22 kV feeder, 50 Hz, whose transformers each stop growing for a reason of their own;
`docs/explanation/demo-feeder.md` has the reasons and the sums by hand. All numbers are chosen, none
is measured, and nothing is random: the same script writes the same bytes.
"""

import argparse
import cmath
import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

from hostcap_stock.demo import make_readings

LINE_CODES = """\
! Every code states its normal and its emergency amps. The shared neutral of low-voltage lines is in
! r0 and x0; one-phase codes hold out and return together.
New LineCode.mv_switch nphases=3 units=km normamps=630 emergamps=800
~ r1=0.01 x1=0.01 r0=0.01 x0=0.01 c1=0 c0=0
! The first section holds the drop-out fuses of the spur: they, not the wire, set its amps.
New LineCode.mv_fused nphases=3 units=km normamps=32 emergamps=40
~ r1=0.28 x1=0.36 r0=0.45 x0=1.50 c1=9 c0=4
New LineCode.mv_spur nphases=3 units=km normamps=160 emergamps=190
~ r1=0.28 x1=0.36 r0=0.45 x0=1.50 c1=9 c0=4
New LineCode.swer_wire nphases=1 units=km normamps=30 emergamps=36
~ rmatrix=[2.5] xmatrix=[0.85] cmatrix=[5]
New LineCode.lv_bundle_95 nphases=3 units=km normamps=215 emergamps=260
~ r1=0.32 x1=0.09 r0=1.28 x0=0.36 c1=0 c0=0
New LineCode.lv_cable_50 nphases=3 units=km normamps=125 emergamps=150
~ r1=0.64 x1=0.08 r0=2.56 x0=0.32 c1=0 c0=0
New LineCode.lv_cable_185 nphases=3 units=km normamps=330 emergamps=400
~ r1=0.165 x1=0.075 r0=0.66 x0=0.30 c1=0 c0=0
New LineCode.lv_legs_95 nphases=2 units=km normamps=215 emergamps=260
~ rmatrix=[0.64 | 0.32 0.64] xmatrix=[0.18 | 0.09 0.18] cmatrix=[0 | 0 0]
New LineCode.lv_pair_95 nphases=1 units=km normamps=215 emergamps=260
~ rmatrix=[0.64] xmatrix=[0.18] cmatrix=[0]
New LineCode.service_1 nphases=1 units=km normamps=90 emergamps=110
~ rmatrix=[2.3] xmatrix=[0.16] cmatrix=[0]
New LineCode.service_2 nphases=2 units=km normamps=90 emergamps=110
~ rmatrix=[1.15 | 0 1.15] xmatrix=[0.08 | 0 0.08] cmatrix=[0 | 0 0]
New LineCode.service_3 nphases=3 units=km normamps=80 emergamps=100
~ r1=1.15 x1=0.08 r0=4.60 x0=0.32 c1=0 c0=0
"""


@dataclass(frozen=True)
class MvLine:
    """One section of the 22 kV line."""

    name: str
    start: str
    end: str
    km: float
    code: str = "mv_spur"

    @property
    def is_switch(self) -> bool:
        """Whether OpenDSS shall know the section as a switch."""
        return self.code == "mv_switch"


@dataclass(frozen=True)
class Street:
    """A transformer and the customers below it.

    `poles` holds one text per pole, away from the transformer. In it each word is a customer: the
    nodes it is connected to, `+` if it has PV, `@` and the metres of its service if these are not
    `SERVICE_M`. `spans` holds (metres, line code) of the line to each pole.
    """

    name: str
    transformer: str
    mv_bus: str
    direction_deg: float
    spans: tuple[tuple[float, str], ...] = ()
    poles: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """The short name, `t1` of `t1_long_line`."""
        return self.name.split("_", 1)[0]


@dataclass(frozen=True)
class Customer:
    """A service line with a customer, and perhaps PV, at its end."""

    name: str
    pole: str
    nodes: str
    metres: float
    has_pv: bool

    @property
    def terminals(self) -> str:
        """The nodes as OpenDSS wants them behind a bus name."""
        return "." + ".".join(self.nodes)

    @property
    def connection(self) -> str:
        """Phases, connection and rated kV; two nodes are the two legs of a split phase."""
        return {
            1: "phases=1 conn=wye kV=0.23",
            2: "phases=1 conn=delta kV=0.46",
            3: "phases=3 conn=wye kV=0.4",
        }[len(self.nodes)]


SERVICE_M = 10.0
BUSBAR_M = 10.0  # from the 22 kV bus, on the map alone
LOAD_KW = {1: 1.2, 2: 2.0, 3: 3.0}  # by the number of nodes
LOAD_POWER_FACTOR = 0.97
PV_KW = {1: 3.0, 2: 4.0, 3: 6.0}
PV_IRRADIANCE = 0.6

MV_XY = {
    "sourcebus": (0.0, 0.0),
    "mv0": (10.0, 0.0),
    "mv1": (510.0, 0.0),
    "mv2": (1010.0, 0.0),
    "mv2s": (1020.0, 0.0),
    "mv3": (1520.0, 0.0),
    "mv4": (1920.0, 0.0),
    "mv5": (1010.0, -600.0),
    "mv6": (1010.0, -900.0),
    "swer0": (1010.0, -910.0),
    "swer1": (1010.0, -6910.0),
}
MV_LINES = (
    MvLine("mv_breaker", "sourcebus", "mv0", 0.010, "mv_switch"),
    MvLine("mv_l1", "mv0", "mv1", 0.5, "mv_fused"),
    MvLine("mv_l2", "mv1", "mv2", 0.5),
    MvLine("mv_section_switch", "mv2", "mv2s", 0.010, "mv_switch"),
    MvLine("mv_l3", "mv2s", "mv3", 0.5),
    MvLine("mv_l4", "mv3", "mv4", 0.4),
    MvLine("mv_l5", "mv2", "mv5", 0.6),
    MvLine("mv_l6", "mv5", "mv6", 0.3),
)

DYN = "phases=3 windings=2 buses=[{mv} {lv}] conns=[delta wye] kVAs=[{kva} {kva}] XHL=4 "
THREE_PHASE = DYN + "kVs=[22 0.415] %loadloss=1.2 %noloadloss=0.2"
HIGH_TAP = DYN + "kVs=[22 0.433] %loadloss=1.2 %noloadloss=0.2 wdg=1 tap=0.975"
# Centre-tapped: each half has half the kVA of winding 1, though all three are entered alike.
SPLIT_PHASE = (
    "phases=1 windings=3 buses=[{mv}.1.2 {lv}.1.0 {lv}.0.2] conns=[delta wye wye] "
    "kVs=[22 0.24 0.24] kVAs=[{kva} {kva} {kva}] %Rs=[0.6 1.2 1.2] "
    "XHL=4 XHT=4 XLT=2.6 %noloadloss=0.2"
)
SWER = (
    "phases=1 windings=2 buses=[{mv}.1 {lv}.1] conns=[wye wye] kVs=[12.7 0.25] kVAs=[{kva} {kva}] "
    "XHL=4 %loadloss=2 %noloadloss=0.2 wdg=1 tap=1.025"
)
SWER_ISOLATOR = (
    "New Transformer.swer_isolator phases=1 windings=2 buses=[mv6.2.3 swer0.1] conns=[delta wye] "
    "kVs=[22 12.7] kVAs=[50 50] XHL=4 %loadloss=2 %noloadloss=0.2"
)
SWER_LINE = "New Line.swer_l1 bus1=swer0.1 bus2=swer1.1 phases=1 linecode=swer_wire length=6 units=km"

STREETS = (
    Street(
        "t1_long_line",
        THREE_PHASE.replace("{kva}", "160"),
        "mv1",
        90.0,
        ((120.0, "lv_bundle_95"),) * 5,
        ("1+ 2 3", "1 2+ 3", "1 2 3+", "1+ 2 3", "123 123+ 123@60"),
    ),
    Street(
        "t2_small_unit",
        THREE_PHASE.replace("{kva}", "100"),
        "mv2",
        90.0,
        ((40.0, "lv_cable_185"),) * 2,
        ("1 1+ 2 2 3 3", "1 1+ 1 2 2+ 3+"),
    ),
    Street(
        "t3_thin_cable",
        THREE_PHASE.replace("{kva}", "200"),
        "mv4",
        0.0,
        ((30.0, "lv_cable_50"), (40.0, "lv_cable_185"), (40.0, "lv_cable_185")),
        ("1 2 3+ 2", "1+ 1 2 3 3+", "1 2 2+ 3"),
    ),
    Street(
        "t4_high_tap",
        HIGH_TAP.replace("{kva}", "50"),
        "mv3",
        270.0,
        ((30.0, "lv_cable_185"),),
        ("1 2 3 123+",),
    ),
    Street(
        "t5_strong",
        THREE_PHASE.replace("{kva}", "200"),
        "mv4",
        270.0,
        ((50.0, "lv_cable_185"),),
        ("123 123+ 123",),
    ),
    Street(
        "t6_split_phase",
        SPLIT_PHASE.replace("{kva}", "50"),
        "mv5",
        0.0,
        ((30.0, "lv_legs_95"),) * 2,
        ("1 1+ 2", "1 1+ 2 12+"),
    ),
    Street(
        "t7_swer",
        SWER.replace("{kva}", "50"),
        "swer1",
        180.0,
        ((40.0, "lv_pair_95"),) * 2,
        ("1 1+", "1 1+ 1@22"),
    ),
    Street("t8_spare", THREE_PHASE.replace("{kva}", "100"), "mv5", 180.0),
    Street(
        "t9_mixed",
        THREE_PHASE.replace("{kva}", "200"),
        "mv3",
        90.0,
        ((80.0, "lv_bundle_95"),) * 3,
        ("1 2+ 3 3 123", "1+ 2 3+ 123", "1 2 3+ 3@30 123 123+"),
    ),
)

MASTER = """\
! The demo feeder of hostcap. Written by `python -m hostcap_stock.demo.make_feeder`: edit that.
Clear
Set DefaultBaseFrequency=50
New Circuit.demo basekv=22 pu=1.0 angle=0 phases=3
~ R1=0.24 X1=1.92 R0=0.30 X0=2.00
Redirect LineCodes.dss
Redirect MvLines.dss
Redirect Transformers.dss
Redirect LvLines.dss
Redirect Loads.dss
Redirect PVSystems.dss
Set VoltageBases=[22 0.4]
CalcVoltageBases
Buscoords BusCoords.csv
"""
QUARRY = (
    "! A customer at 22 kV: part of the snapshot, never grown.\n"
    "New Load.hv_quarry bus1=mv4.1.2.3 phases=3 conn=delta kV=22 kW=900 kvar=180 "
    "Vminpu=0.85 Vmaxpu=1.20"
)


def customers(street: Street) -> Iterator[Customer]:
    """Yield the customers of a street in order, numbered from 1."""
    number = 0
    for at, words in enumerate(street.poles, start=1):
        for word in words.split():
            number += 1
            what, _, metres = word.partition("@")
            nodes = what.removesuffix("+")
            yield Customer(
                name=f"{street.id}_c{number}",
                pole=f"{street.id}_p{at}",
                nodes=nodes,
                metres=float(metres or SERVICE_M),
                has_pv=what.endswith("+"),
            )


def mv_lines() -> Iterator[str]:
    """Yield the 22 kV and SWER lines; `switch=yes` comes first, or it would undo the line code."""
    for line in MV_LINES:
        yield (
            f"New Line.{line.name} bus1={line.start}.1.2.3 bus2={line.end}.1.2.3 phases=3 "
            + ("switch=yes " if line.is_switch else "")
            + f"linecode={line.code} length={line.km:g} units=km"
        )
    yield SWER_LINE


def transformers() -> Iterator[str]:
    """Yield the isolating transformer of the SWER line and the distribution transformers."""
    yield SWER_ISOLATOR
    for street in STREETS:
        record = street.transformer.replace("{mv}", street.mv_bus)
        yield f"New Transformer.{street.name} {record.replace('{lv}', street.id + '_bb')}"


def lv_lines() -> Iterator[str]:
    """Yield the lines from busbar to poles, and the services from pole to customer."""
    for street in STREETS:
        bus = f"{street.id}_bb"
        for at, (metres, code) in enumerate(street.spans, start=1):
            end = f"{street.id}_p{at}"
            nodes = {"lv_legs_95": "1.2", "lv_pair_95": "1"}.get(code, "1.2.3")
            yield (
                f"New Line.{street.id}_span{at} bus1={bus}.{nodes} bus2={end}.{nodes} "
                f"phases={nodes.count('.') + 1} linecode={code} length={metres / 1e3:g} units=km"
            )
            bus = end
        for c in customers(street):
            yield (
                f"New Line.{c.name} bus1={c.pole}{c.terminals} bus2={c.name}{c.terminals} "
                f"phases={len(c.nodes)} linecode=service_{len(c.nodes)} "
                f"length={c.metres / 1e3:g} units=km"
            )


def loads() -> Iterator[str]:
    """Yield the quarry at 22 kV and one load per customer."""
    yield QUARRY
    for street in STREETS:
        for c in customers(street):
            yield (
                f"New Load.{c.name} bus1={c.name}{c.terminals} {c.connection} "
                f"kW={LOAD_KW[len(c.nodes)]:g} pf={LOAD_POWER_FACTOR:g} Vminpu=0.85 Vmaxpu=1.20"
            )


def pv_systems() -> Iterator[str]:
    """Yield the PV of every third customer, with the customer's name."""
    for street in STREETS:
        for c in customers(street):
            if c.has_pv:
                kw = PV_KW[len(c.nodes)]
                yield (
                    f"New PVSystem.{c.name} bus1={c.name}{c.terminals} {c.connection} "
                    f"kVA={kw:g} Pmpp={kw:g} irradiance={PV_IRRADIANCE:g} pf=1"
                )


def coordinates() -> Iterator[str]:
    """Yield bus, x and y in metres: poles in a row, customers to their left and right."""
    for bus, (x, y) in MV_XY.items():
        yield f"{bus}, {x:.1f}, {y:.1f}"
    for street in STREETS:
        origin = complex(*MV_XY[street.mv_bus])
        direction = cmath.rect(1.0, math.radians(street.direction_deg))
        metres = [BUSBAR_M, *(metres for metres, _ in street.spans)]
        buses = [f"{street.id}_bb", *(f"{street.id}_p{i + 1}" for i in range(len(street.spans)))]
        along = dict(zip(buses, accumulate(metres), strict=True))
        places = {bus: complex(distance, 0.0) for bus, distance in along.items()}
        for number, c in enumerate(customers(street)):
            side = -1.0 if number % 2 else 1.0
            places[c.name] = complex(along[c.pole] + 3.0 * (number % 5 - 2), side * c.metres)
        for bus, place in places.items():
            at = origin + direction * place
            yield f"{bus}, {at.real:.1f}, {at.imag:.1f}"


def files() -> dict[str, str]:
    """Return the whole model: text by file name."""
    parts = {
        "MvLines.dss": mv_lines(),
        "Transformers.dss": transformers(),
        "LvLines.dss": lv_lines(),
        "Loads.dss": loads(),
        "PVSystems.dss": pv_systems(),
        "BusCoords.csv": coordinates(),
    }
    texts = {name: "".join(f"{line}\n" for line in lines) for name, lines in parts.items()}
    return {"Master.dss": MASTER, "LineCodes.dss": LINE_CODES, **texts}


def homes() -> list[tuple[str, int, float]]:
    """Name, number of nodes and kW of PV of each customer, for whom readings are made."""
    return [
        (c.name, len(c.nodes), PV_KW[len(c.nodes)] if c.has_pv else 0.0)
        for street in STREETS
        for c in customers(street)
    ]


def main() -> None:
    """Write the files into the folder of the command line, by default `feeder` here."""
    parser = argparse.ArgumentParser(description="Write the OpenDSS files of the demo feeder.")
    parser.add_argument("folder", nargs="?", type=Path, default=Path(__file__).parent / "feeder")
    folder: Path = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files().items():
        (folder / name).write_text(text, encoding="utf-8", newline="\n")
    tables = make_readings.write(homes(), folder)
    print(f"{len(files()) + len(tables)} files in {folder}")


if __name__ == "__main__":
    main()
