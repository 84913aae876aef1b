"""One feeder twice, for OpenDSS and for pandapower, written from one description: the demo's three-phase part.

Both have the demo's lengths, codes, transformers, taps and customers. Left out are what pandapower has no form for (the
split-phase and SWER transformers) and no-load losses, which OpenDSS puts at a terminal and pandapower in the middle.
Services have three phases, uncoupled, so that a customer on one phase sees what it sees in the demo. The source's
impedance is a line in pandapower, behind a stiff external grid.
"""

from __future__ import annotations

import math
from typing import Any

import pandapower as pp
from attrs import frozen

from hostcap_stock.demo.make_feeder import LOAD_KW, MV_LINES, STREETS, Street, customers

KV, LV_KV = 22.0, 0.4
SOURCE = {"r1": 0.24, "x1": 1.92, "r0": 0.30, "x0": 2.00}


@frozen
class Code:
    """A line code: ohm and nF per km, A."""

    r1: float
    x1: float
    r0: float
    x0: float
    c1: float
    c0: float
    amps: float
    emergency: float


CODES = {
    "mv_switch": Code(0.01, 0.01, 0.01, 0.01, 0, 0, 630, 800),
    "mv_fused": Code(0.28, 0.36, 0.45, 1.50, 9, 4, 32, 40),
    "mv_spur": Code(0.28, 0.36, 0.45, 1.50, 9, 4, 160, 190),
    "lv_bundle_95": Code(0.32, 0.09, 1.28, 0.36, 0, 0, 215, 260),
    "lv_cable_50": Code(0.64, 0.08, 2.56, 0.32, 0, 0, 125, 150),
    "lv_cable_185": Code(0.165, 0.075, 0.66, 0.30, 0, 0, 330, 400),
    "service_1": Code(2.3, 0.16, 2.3, 0.16, 0, 0, 90, 110),
    "service_3": Code(1.15, 0.08, 4.60, 0.32, 0, 0, 80, 100),
}


@frozen
class Line:
    name: str
    start: str
    end: str
    km: float
    code: str


@frozen
class Unit:
    """A transformer, delta-wye."""

    name: str
    mv: str
    lv: str
    kva: float
    lv_kv: float
    tap: float


@frozen
class House:
    name: str
    phases: str
    kw: float


def three_phase(street: Street) -> bool:
    """Whether pandapower has a form for the street's transformer."""
    return "phases=3" in street.transformer


def kva(street: Street) -> float:
    return float(street.transformer.split("kVAs=[")[1].split()[0])


def units() -> list[Unit]:
    return [
        Unit(
            s.name,
            s.mv_bus,
            f"{s.id}_bb",
            kva(s),
            float(s.transformer.split("kVs=[22 ")[1].split("]")[0]),
            0.975 if "tap=0.975" in s.transformer else 1.0,
        )
        for s in STREETS
        if three_phase(s)
    ]


def lines() -> list[Line]:
    found = [Line(m.name, m.start, m.end, m.km, m.code) for m in MV_LINES]
    for s in filter(three_phase, STREETS):
        bus = f"{s.id}_bb"
        for at, (metres, code) in enumerate(s.spans, start=1):
            found.append(Line(f"{s.id}_span{at}", bus, f"{s.id}_p{at}", metres / 1000, code))
            bus = f"{s.id}_p{at}"
        found += [Line(c.name, c.pole, c.name, c.metres / 1000, f"service_{len(c.nodes)}") for c in customers(s)]
    return found


def houses() -> list[House]:
    return [House(c.name, c.nodes, LOAD_KW[len(c.nodes)]) for s in filter(three_phase, STREETS) for c in customers(s)]


def opendss() -> str:
    """The feeder as an OpenDSS script."""
    text = [
        "clear",
        "set defaultbasefrequency=50",
        f"new circuit.pair basekv={KV} pu=1.0 phases=3 bus1=sourcebus "
        + " ".join(f"{key}={value}" for key, value in SOURCE.items()),
    ]
    text += [
        f"new linecode.{name} nphases=3 units=km r1={c.r1} x1={c.x1} r0={c.r0} x0={c.x0} c1={c.c1} c0={c.c0} "
        f"normamps={c.amps} emergamps={c.emergency}"
        for name, c in CODES.items()
    ]
    text += [f"new line.{n.name} bus1={n.start} bus2={n.end} linecode={n.code} length={n.km} units=km" for n in lines()]
    text += [
        f"new transformer.{u.name} phases=3 windings=2 buses=[{u.mv} {u.lv}] conns=[delta wye] kvs=[22 {u.lv_kv}] "
        f"kvas=[{u.kva} {u.kva}] xhl=4 %loadloss=1.2 wdg=1 tap={u.tap}"
        for u in units()
    ]
    text.append("new load.hv_quarry bus1=mv4 phases=3 conn=delta kv=22 kw=900 kvar=180 vminpu=0.7 vmaxpu=1.3")
    text += [
        f"new load.{h.name} bus1={h.name}.{'.'.join(h.phases)} phases={len(h.phases)} "
        f"kv={0.23 if len(h.phases) == 1 else 0.4} kw={h.kw} pf=0.97 vminpu=0.7 vmaxpu=1.3"
        for h in houses()
    ]
    text += [f"set voltagebases=[{KV} {LV_KV}]", "calcvoltagebases", "solve"]
    return "\n".join(text) + "\n"


def net() -> Any:
    """The feeder as a pandapower net."""
    made = pp.create_empty_network(f_hz=50.0)
    bus = {"grid": pp.create_bus(made, KV, name="grid")}
    for line in lines():
        for name in (line.start, line.end):
            if name not in bus:
                at_mv = name.startswith(("mv", "source"))
                bus[name] = pp.create_bus(made, KV if at_mv else LV_KV, name=name)
    for u in units():
        if u.lv not in bus:
            bus[u.lv] = pp.create_bus(made, LV_KV, name=u.lv)
    pp.create_ext_grid(made, bus["grid"], s_sc_max_mva=1e9, rx_max=0.1, x0x_max=1.0, r0x0_max=0.1)
    pp.create_line_from_parameters(
        made, bus["grid"], bus["sourcebus"], 1.0, SOURCE["r1"], SOURCE["x1"], 0.0, math.nan, name="source",
        r0_ohm_per_km=SOURCE["r0"], x0_ohm_per_km=SOURCE["x0"], c0_nf_per_km=0.0,
    )  # fmt: skip
    for line in lines():
        c = CODES[line.code]
        pp.create_line_from_parameters(
            made, bus[line.start], bus[line.end], line.km, c.r1, c.x1, c.c1, c.amps / 1000, name=line.name,
            r0_ohm_per_km=c.r0, x0_ohm_per_km=c.x0, c0_nf_per_km=c.c0,
        )  # fmt: skip
    vk = math.hypot(1.2, 4.0)
    for u in units():
        pp.create_transformer_from_parameters(
            made, bus[u.mv], bus[u.lv], u.kva / 1000, KV, u.lv_kv, 1.2, vk, 0.0, 0.0, name=u.name, shift_degree=30,
            vector_group="Dyn", vk0_percent=vk, vkr0_percent=1.2, mag0_percent=1e9, mag0_rx=0.0, si0_hv_partial=0.5,
            tap_side="hv", tap_neutral=0, tap_step_percent=2.5, tap_pos=round((u.tap - 1) / 0.025),
            tap_changer_type="Ratio",
        )  # fmt: skip
    pp.create_load(made, bus["mv4"], 0.9, 0.18, name="hv_quarry", type="delta")
    for h in houses():
        kw = h.kw / len(h.phases) / 1000
        kvar = kw * math.tan(math.acos(0.97))
        drawn = (("p", "mw", kw), ("q", "mvar", kvar))
        own = {f"{q}_{'abc'[int(p) - 1]}_{unit}": value for p in h.phases for q, unit, value in drawn}
        pp.create_asymmetric_load(made, bus[h.name], name=h.name, **own)
    return made
