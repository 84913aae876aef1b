"""Facts of the OpenDSS engine about ratings that were stated or not, and about generation with controls off."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from engine_cases import power_kva, run, set_load

LOWER_CASE_KEYS = 0x80  # DSSJSONFlags.LowercaseKeys


def test_ratings_are_shown_where_nobody_stated_any(dss: Any) -> None:
    run(
        dss,
        """
        new circuit.c basekv=22 bus1=s
        new linecode.thousand nphases=3 normamps=1000
        new line.bare bus1=s bus2=b1
        new line.coded bus1=s bus2=b2 linecode=thousand
        new transformer.t windings=2 buses=[s b3] kvs=[22 .4] kvas=[500 500]
        new transformer.u windings=2 buses=[s b4] kvs=[22 .4] kvas=[500 500] normhkva=500
        solve
        """,
    )

    def amps(element: str) -> tuple[float, float]:
        dss.Circuit.SetActiveElement(element)
        return dss.CktElement.NormalAmps(), dss.CktElement.EmergAmps()

    assert amps("line.bare") == (400, 600)
    assert amps("line.coded") == (1000, 600)
    nameplate = 500 / (math.sqrt(3) * 22)
    assert amps("transformer.t") == pytest.approx((1.1 * nameplate, 1.5 * nameplate))
    assert amps("transformer.u")[0] == pytest.approx(nameplate)


def records(dss: Any, class_name: str) -> dict[str, dict[str, Any]]:
    """What the engine holds as stated, by lower-case name: `ToJSON` skips what was never set."""
    dss.Circuit.SetActiveClass(class_name)
    text = dss.ActiveClass.ToJSON(LOWER_CASE_KEYS)
    return {found["Name"].lower(): found for found in json.loads(text)} if text else {}


def stated_ratings(dss: Any) -> dict[str, tuple[bool, bool]]:
    """For each line whether its normal and its emergency amps were stated. After a solve only."""
    keys = ("normamps", "emergamps")
    codes, geometries = records(dss, "LineCode"), records(dss, "LineGeometry")
    wires = {
        f"{kind}.{name}".lower(): record
        for kind in ("WireData", "CNData", "TSData")
        for name, record in records(dss, kind).items()
    }

    def given(line: dict[str, Any]) -> tuple[tuple[float, float], tuple[bool, bool]] | None:
        """Amps of the line's source and whether that source states them; None: no source."""
        if line.get("linecode"):
            code = codes[line["linecode"].lower()]
            amps = code.get("normamps", 400.0), code.get("emergamps", 600.0)
            return amps, (keys[0] in code, keys[1] in code)
        if line.get("geometry"):
            geometry = geometries[line["geometry"].lower()]
            wire = wires[geometry["wires"][0].lower()]
            dss.LineGeometries.Name(line["geometry"])
            amps = dss.LineGeometries.NormAmps(), dss.LineGeometries.EmergAmps()
            both = geometry.keys() | wire.keys()
            return amps, (keys[0] in both, keys[1] in both)
        if line.get("spacing") and line.get("wires"):
            wire = wires[line["wires"][0].lower()]
            normal, emergency = wire.get(keys[0]), wire.get(keys[1])
            amps = (
                normal if normal is not None else emergency / 1.5 if emergency else -1.0,
                emergency if emergency is not None else normal * 1.5 if normal else -1.0,
            )
            return amps, (keys[0] in wire, keys[1] in wire)
        sources = ("linecode", "geometry", "spacing")
        if "ratings" in line or any(line.get(source, "") is None for source in sources):
            return (400.0, 600.0), (False, False)  # copied from a source that is gone
        return None

    lines = records(dss, "Line")
    answer = {}
    for name, line in lines.items():
        dss.Lines.Name(name)
        shown = dss.Lines.NormAmps(), dss.Lines.EmergAmps()
        source = given(line)
        if source is None:
            stated = [key in line for key in keys]
        else:
            amps, by_source = source
            stated = [by_source[i] or shown[i] != amps[i] for i in (0, 1)]
        answer[name] = (stated[0] and shown[0] > 0, stated[1] and shown[1] > 0)
    return answer


RATED = """
new circuit.c basekv=.4 bus1=s
new linecode.both nphases=3 r1=.1 x1=.1 units=km normamps=1000 emergamps=1200
new linecode.normal nphases=3 r1=.1 x1=.1 units=km normamp=1000
new linecode.emergency nphases=3 r1=.1 x1=.1 units=km emergamps=777
new linecode.default nphases=3 r1=.1 x1=.1 units=km normamps=400 emergamps=600
new linecode.silent nphases=3 r1=.1 x1=.1 units=km
new linecode.likenormal like=normal
new linecode.likesilent like=silent
new wiredata.both rac=.1 diam=1 gmrac=.4 runits=km radunits=cm gmrunits=cm
~ normamps=230 emergamps=300
new wiredata.normal rac=.1 diam=1 gmrac=.4 runits=km radunits=cm gmrunits=cm normamps=230
new wiredata.emergency rac=.1 diam=1 gmrac=.4 runits=km radunits=cm gmrunits=cm emergamps=300
new wiredata.silent rac=.1 diam=1 gmrac=.4 runits=km radunits=cm gmrunits=cm
new cndata.cable rac=.1 diam=1 gmrac=.4 runits=km radunits=cm gmrunits=cm k=10 diains=2
~ inslayer=.3 diacable=2.5 diastrand=.1 gmrstrand=.05 rstrand=1 normamps=330
new linespacing.sp nconds=3 nphases=3 x=[0 1 2] h=[10 10 10] units=m
new linegeometry.both nconds=3 nphases=3 spacing=sp wires=[both silent silent]
new linegeometry.normal nconds=3 nphases=3 spacing=sp wires=[normal normal normal]
new linegeometry.silent nconds=3 nphases=3 spacing=sp wires=[silent both both]
new linegeometry.own nconds=3 nphases=3 spacing=sp wires=[silent silent silent] normamps=111
new linegeometry.cables nconds=3 nphases=3 spacing=sp cncables=[cable cable cable]
"""
# line, its amps as shown, whether they were stated
CASES = [
    ("bare length=1", (400, 600), (False, False)),
    ("own_n normamps=123", (123, 600), (True, False)),
    ("own_e emergamps=123", (400, 123), (False, True)),
    ("own_default normamps=400 emergamps=600", (400, 600), (True, True)),
    ("own_zero normamps=0", (0, 600), (False, False)),
    ("switch switch=y", (400, 600), (False, False)),
    ("c_both linecode=both", (1000, 1200), (True, True)),
    ("c_normal linecode=normal", (1000, 600), (True, False)),
    ("c_emergency linecode=emergency", (400, 777), (False, True)),
    ("c_default linecode=default", (400, 600), (True, True)),
    ("c_silent linecode=silent", (400, 600), (False, False)),
    ("c_like linecode=likenormal", (1000, 600), (True, False)),
    ("c_likesilent linecode=likesilent", (400, 600), (False, False)),
    ("c_normal_n linecode=normal normamps=500", (500, 600), (True, False)),
    ("c_normal_e linecode=normal emergamps=500", (1000, 500), (True, True)),
    ("c_silent_n linecode=silent normamps=500", (500, 600), (True, False)),
    ("c_silent_400 linecode=silent normamps=400", (400, 600), (False, False)),
    ("n_c_normal normamps=500 linecode=normal", (1000, 600), (True, False)),
    ("n_c_silent normamps=500 linecode=silent", (400, 600), (False, False)),
    # a property that changes the impedance takes the code away and leaves its amps
    ("c_normal_lost linecode=normal switch=y", (1000, 600), (True, False)),
    ("c_silent_lost linecode=silent r1=.2", (400, 600), (False, False)),
    ("g_both geometry=both", (230, 300), (True, True)),
    ("g_normal geometry=normal", (230, 345), (True, False)),
    ("g_silent geometry=silent", (0, 0), (False, False)),
    ("g_silent_n geometry=silent normamps=99", (99, 0), (True, False)),
    ("g_own geometry=own", (111, 0), (True, False)),
    ("g_cables geometry=cables", (330, 495), (True, False)),
    ("s_both spacing=sp wires=[both silent silent]", (230, 300), (True, True)),
    ("s_normal spacing=sp wires=[normal normal normal]", (230, 345), (True, False)),
    ("s_emergency spacing=sp wires=[emergency normal normal]", (200, 300), (False, True)),
    ("s_silent spacing=sp wires=[silent both both]", (-1, -1), (False, False)),
    ("s_normal_n spacing=sp wires=[normal normal normal] normamps=98", (98, 345), (True, False)),
    ("s_cables spacing=sp cncables=[cable cable cable]", (330, 495), (True, False)),
    # a copy forgets the name of the code, geometry or spacing
    ("like_own like=own_n", (123, 600), (True, False)),
    ("like_bare like=bare", (400, 600), (False, False)),
    ("like_normal like=c_normal", (1000, 600), (True, False)),
    ("like_silent like=c_silent", (400, 600), (False, False)),
    ("like_normal_n like=c_normal normamps=55", (55, 600), (True, False)),
    ("like_g like=g_both", (230, 300), (True, True)),
    ("like_g_silent like=g_silent", (0, 0), (False, False)),
    # before the first solve a spacing line shows its last wire's amps: its copies keep them
    ("like_s like=s_normal", (230, 345), (True, True)),
    ("like_s_both like=s_both", (-1, -1), (False, False)),
    ("like_s_silent like=s_silent", (230, 300), (True, True)),
]


def test_stated_ratings_are_told_from_shown_ones_by_the_records_of_line_and_source(
    dss: Any,
) -> None:
    run(dss, RATED)
    for text, _, _ in CASES:
        name, _, rest = text.partition(" ")
        dss.Text.Command(f"new line.{name} bus1=s bus2=b_{name} {rest}")
    run(dss, "set voltagebases=[.4]\ncalcvoltagebases\nsolve")
    shown = {}
    for name in dss.Lines.AllNames():
        dss.Lines.Name(name)
        shown[name] = (dss.Lines.NormAmps(), dss.Lines.EmergAmps())
    assert shown == {text.partition(" ")[0]: pytest.approx(amps) for text, amps, _ in CASES}
    expected = {text.partition(" ")[0]: stated for text, _, stated in CASES}
    assert stated_ratings(dss) == expected


def test_a_line_lists_the_amps_of_its_code_as_if_they_were_its_own(dss: Any) -> None:
    run(dss, RATED)
    run(dss, "new line.c bus1=s bus2=b linecode=silent\nnew line.copy bus1=s bus2=d like=c")
    run(dss, "new line.bare bus1=s bus2=e\nsolve")
    lines = records(dss, "Line")
    copied = {"ratings": [400.0], "normamps": 400.0, "emergamps": 600.0}
    assert lines["c"].items() >= {"linecode": "silent", **copied}.items()
    assert lines["copy"].items() >= {"linecode": None, **copied}.items()
    assert not lines["bare"].keys() & copied.keys()
    code = records(dss, "LineCode")["silent"]
    assert not code.keys() & copied.keys()


def test_a_property_that_changes_the_impedance_drops_the_code_and_keeps_its_amps(
    dss: Any,
) -> None:
    run(dss, RATED)
    for number, change in enumerate(["switch=y", "r1=.2", "rmatrix=[.1|0 .1|0 0 .1]"]):
        dss.Text.Command(f"new line.l{number} bus1=s bus2=b{number} linecode=normal {change}")
        dss.Lines.Name(f"l{number}")
        assert dss.Lines.LineCode() == ""
        record = records(dss, "Line")[f"l{number}"]
        assert "linecode" not in record
        assert (record["normamps"], record["emergamps"]) == (1000, 600)


def test_amps_from_a_spacing_reach_the_record_of_the_line_with_the_first_solve(dss: Any) -> None:
    run(dss, RATED)
    run(dss, "new line.l bus1=s bus2=b spacing=sp wires=[both both both]")
    assert "normamps" not in records(dss, "Line")["l"]
    dss.Text.Command("solve")
    assert records(dss, "Line")["l"]["normamps"] == 230


INVERTER = """
new circuit.c basekv=.4 bus1=s pu=1.05
new line.l bus1=s bus2=b r1=.3 x1=.15 r0=.3 x0=.15 c1=0 c0=0 length=1
new load.swing bus1=b kv=.4 kw=0 kvar=0 vminpu=.5 vmaxpu=2
new xycurve.vv npts=6 xarray=[.5 .92 .98 1.02 1.08 1.5] yarray=[1 1 0 0 -1 -1]
new xycurve.vw npts=4 xarray=[0 1.05 1.12 2] yarray=[1 1 .2 .2]
new pvsystem.pv bus1=b phases=3 kv=.4 kva=30 pmpp=30 irradiance=1
new storage.st bus1=b phases=3 kv=.4 kwrated=6 kva=8 kwhrated=20 state=discharging pf=.97
new generator.g1 bus1=b phases=3 kv=.4 kw=4 kvar=1 model=1
new generator.g3 bus1=b phases=3 kv=.4 kw=4 model=3 maxkvar=3 minkvar=-3 vpu=1.09
new invcontrol.ic derlist=[pvsystem.pv] combimode=vv_vw vvc_curve1=vv voltwatt_curve=vw
~ deltaq_factor=.2 deltap_factor=.2
set voltagebases=[.4]
calcvoltagebases
set maxcontroliter=200 maxiterations=100
solve
set controlmode=off tolerance=1e-9
solve
"""


def test_an_inverter_keeps_its_controlled_power_when_controls_are_off(dss: Any) -> None:
    run(dss, INVERTER)
    kept = power_kva(dss, "pvsystem.pv")
    assert kept.imag > 20  # volt-var absorbs
    assert kept.real > -20  # and volt-watt curtails 30 kW
    for action in (
        "solve",
        "set mode=snapshot\nsolve",
        "edit load.swing vminpu=.4\nsolve",
        "disable invcontrol.ic\nsolve",
        "edit pvsystem.pv vminpu=.1 vmaxpu=3\nsolve",
    ):
        run(dss, action)
        assert power_kva(dss, "pvsystem.pv") == pytest.approx(kept, rel=1e-6)
    for kw in (-40, 20):
        set_load(dss, "swing", kw, 0)
        dss.Solution.Solve()
        assert power_kva(dss, "pvsystem.pv") == pytest.approx(kept, rel=1e-6)


def test_generating_elements_hold_their_power_only_inside_their_own_voltage_band(
    dss: Any,
) -> None:
    run(dss, INVERTER)
    constant = ("pvsystem.pv", "storage.st", "generator.g1")
    before = {name: power_kva(dss, name) for name in (*constant, "generator.g3")}
    set_load(dss, "swing", -60, 0)
    dss.Solution.Solve()
    dss.Circuit.SetActiveBus("b")
    pu = dss.Bus.puVmagAngle()[0]
    assert pu > 1.12  # beyond vmaxpu = 1.1
    for name in constant:
        assert power_kva(dss, name) == pytest.approx(before[name] * (pu / 1.1) ** 2, rel=1e-6)
    g3 = power_kva(dss, "generator.g3")  # model 3 regulates with controls off too
    assert abs(g3.imag - before["generator.g3"].imag) > 0.1


def test_a_generating_element_is_frozen_by_a_load_of_its_solved_power(dss: Any) -> None:
    run(dss, INVERTER)
    start = np.array(dss.Circuit.YNodeVArray())
    names = ("pvsystem.pv", "storage.st", "generator.g1", "generator.g3")
    solved = {name: power_kva(dss, name) for name in names}
    for name, power in solved.items():
        dss.Text.Command(
            f"new load.{name.replace('.', '_')} bus1=b phases=3 kv=.4 kw={power.real!r} "
            f"kvar={power.imag!r} model=1 vminpu=.1 vmaxpu=3 status=fixed"
        )
        dss.Text.Command(f"disable {name}")
    dss.Text.Command("solve")
    assert np.array(dss.Circuit.YNodeVArray()) == pytest.approx(start, abs=1e-4)
    set_load(dss, "swing", -60, 0)
    dss.Solution.Solve()
    for name, power in solved.items():
        assert power_kva(dss, f"load.{name.replace('.', '_')}") == pytest.approx(power, rel=1e-6)
