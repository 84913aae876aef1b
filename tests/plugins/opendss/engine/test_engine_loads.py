"""Facts of the OpenDSS engine about elements: how loads are set, and the law that they follow."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from engine_cases import FEEDER, power_kva, run, set_load, voltages

AVOID_FULL_RECALC = 2  # SetterFlags.AvoidFullRecalc
BATCH_SET = 0  # BatchOperation_Set


def test_bulk_arrays_hold_disabled_elements_that_first_and_next_skip(dss: Any) -> None:
    run(
        dss,
        """
        new circuit.c basekv=.4 bus1=s
        new line.l0 bus1=s bus2=b0 length=1
        new reactor.r bus1=s bus2=b1 x=1
        new line.l1 bus1=s bus2=b1 length=1 enabled=no
        new line.l2 bus1=s bus2=b2 length=1
        new load.d0 bus1=b0 kv=.4 kw=1
        new load.d1 bus1=b1 kv=.4 kw=2
        new load.d2 bus1=b2 kv=.4 kw=3
        disable load.d1
        solve
        """,
    )
    elements = dss.PDElements
    assert elements.AllNames() == ["Line.l0", "Reactor.r", "Line.l1", "Line.l2"]  # as created
    assert elements.AllNumTerminals() == [2, 2, 2, 2]
    currents = np.array(elements.AllCurrents()).reshape(4, -1)
    assert np.abs(currents[2]).max() == 0
    assert np.abs(currents[3]).max() > 1
    walked = []
    more = elements.First()
    while more:
        walked.append(elements.Name())
        more = elements.Next()
    assert walked == ["Line.l0", "Reactor.r", "Line.l2"]

    assert dss.Lines.AllNames() == ["l0", "l1", "l2"]
    assert [loads.Name() for loads in dss.Loads] == ["d0", "d2"]
    assert [loads.Idx() for loads in dss.Loads] == [1, 3]  # the place among all
    assert dss.Loads.Count() == 3


def test_setting_kw_rescales_kvar(dss: Any) -> None:
    run(dss, FEEDER)
    set_load(dss, "d1", 20, 5)
    dss.Loads.kW(-40)
    assert dss.Loads.kvar() == pytest.approx(-10)
    dss.Loads.kvar(3)
    assert (dss.Loads.kW(), dss.Loads.kvar()) == (-40, 3)


@pytest.mark.parametrize("spec", ["kw=5 pf=.9", "kw=5 kvar=2", "kva=5 pf=.8", "xfkva=10 pf=-.9", "kwh=1000", ""])
def test_kvar_after_kw_sets_both_exactly_however_the_load_was_specified(dss: Any, spec: str) -> None:
    run(dss, FEEDER)
    run(dss, f"new load.x bus1=b1.1 phases=1 kv=.23 vminpu=.1 vmaxpu=3 {spec}\nsolve")
    dss.Text.Command("set tolerance=1e-10")
    for kw, kvar in [(0, 0), (3, 1), (0, 5), (3, 0), (-3, 1), (3, -1)]:
        set_load(dss, "x", kw, kvar)
        dss.Solution.Solve()
        assert power_kva(dss, "load.x") == pytest.approx(complex(kw, kvar), abs=1e-6)


@pytest.mark.parametrize(
    ("command", "rebuilds"),
    [
        ("edit load.d1 kw=21", True),
        ("load.d1.kw=22", True),
        ("edit load.d1 status=fixed", True),
        ("edit line.l1 length=.1", True),
        ("edit line.l1 normamps=500", False),
        ("disable load.d1", True),
        ("open line.l3 1", True),
        ("new load.d4 bus1=b1.1 phases=1 kv=.23 kw=0 kvar=0", True),
        ("set loadmult=1", True),
        ("set maxiterations=9", False),
        ("set tolerance=1e-5", False),
        ("set controlmode=static", False),
        ("set mode=snapshot", False),
    ],
)
def test_text_edits_of_elements_force_a_rebuild_of_the_matrix(dss: Any, command: str, rebuilds: bool) -> None:
    run(dss, FEEDER)
    assert not dss.YMatrix.SystemYChanged()
    dss.Text.Command(command)
    assert dss.YMatrix.SystemYChanged() is rebuilds
    dss.Solution.Solve()
    assert not dss.YMatrix.SystemYChanged()


@pytest.mark.parametrize(
    ("setter", "value", "rebuilds"),
    [
        ("kW", 7.0, False),
        ("kvar", 2.0, False),
        ("PF", 0.9, False),
        ("Status", 1, False),
        ("Model", 2, False),
        ("Vminpu", 0.8, True),
        ("Vmaxpu", 1.2, True),
        ("kVABase", 9.0, True),
    ],
)
def test_kw_and_kvar_of_loads_are_set_without_a_rebuild(dss: Any, setter: str, value: float, rebuilds: bool) -> None:
    run(dss, FEEDER)
    dss.Loads.Name("d1")
    getattr(dss.Loads, setter)(value)
    assert dss.YMatrix.SystemYChanged() is rebuilds


def test_all_ways_to_set_many_loads_give_the_same_bits(dss: Any) -> None:
    # 3000 loads: batch 0.5 ms, raw functions 1.2 ms, dss.Loads 2.8 ms, text 16 to 26 ms
    run(dss, FEEDER)
    run(dss, "set tolerance=1e-10\nsolve")
    start = voltages(dss).copy()
    api = dss._api_util
    ffi, raw = api.ffi, api.lib_unpatched
    pointers = []
    for index in (1, 2, 3):
        dss.Loads.Idx(index)
        pointers.append(api.lib.Loads_Get_Pointer())
    batch = ffi.new("void*[]", pointers)
    properties = [name.lower() for name in dss.Element.AllPropertyNames()]
    kw_at, kvar_at = properties.index("kw") + 1, properties.index("kvar") + 1
    kw, kvar = np.array([3.0, -40.0, 0.0]), np.array([-1.0, 6.5, 2.0])

    def by_loads() -> None:
        for index in range(3):
            dss.Loads.Idx(index + 1)
            dss.Loads.kW(kw[index])
            dss.Loads.kvar(kvar[index])

    def by_raw_functions() -> None:
        for index in range(3):
            raw.ctx_Loads_Set_idx(api.ctx, index + 1)
            raw.ctx_Loads_Set_kW(api.ctx, kw[index])
            raw.ctx_Loads_Set_kvar(api.ctx, kvar[index])

    def by_batch(flags: int = AVOID_FULL_RECALC) -> None:
        for at, values in ((kw_at, kw), (kvar_at, kvar)):
            data = ffi.from_buffer("double[]", values)
            raw.Batch_Float64Array(batch, 3, at, BATCH_SET, data, flags)

    answers = []
    for way in (by_loads, by_raw_functions, by_batch):
        for name in ("d1", "d2", "d3"):
            set_load(dss, name, 1, 1)
        way()
        assert not dss.YMatrix.SystemYChanged()
        read = []
        for index in (1, 2, 3):
            dss.Loads.Idx(index)
            read.append((dss.Loads.kW(), dss.Loads.kvar()))
        assert read == list(zip(kw, kvar, strict=True))
        voltages(dss)[:] = start
        dss.Solution.Solve()
        answers.append(voltages(dss).tobytes())
    assert len(set(answers)) == 1
    by_batch(flags=0)
    assert dss.YMatrix.SystemYChanged()


def test_a_load_added_after_solving_keeps_the_nodes_and_their_voltages(dss: Any) -> None:
    run(dss, FEEDER)
    order, before = dss.Circuit.YNodeOrder(), np.array(dss.Circuit.YNodeVArray())
    run(dss, "set tolerance=1e-8\nsolve")
    before = np.array(dss.Circuit.YNodeVArray())
    run(dss, "new load.g bus1=b2.3 phases=1 kv=.23 kw=0 kvar=0 status=fixed\nsolve")
    assert dss.Circuit.YNodeOrder() == order
    assert np.array(dss.Circuit.YNodeVArray()) == pytest.approx(before, abs=1e-4)


def test_status_fixed_shuts_out_load_multiplier_and_shapes_but_not_yearly_growth(dss: Any) -> None:
    run(dss, FEEDER)
    kinds = {
        "variable": "",
        "fixed": "status=fixed",
        "daily": "daily=s",
        "dailyfixed": "daily=s status=fixed",
        "kva": "pf=1 xfkva=10 allocationfactor=.2",
    }
    dss.Text.Command("new loadshape.s npts=2 interval=1 mult=[.5 .5]")
    for name, more in kinds.items():
        kw = "" if "xfkva" in more else "kw=2 kvar=0"
        dss.Text.Command(f"new load.{name} bus1=b1.1 phases=1 kv=.23 {kw} vminpu=.1 vmaxpu=3 {more}")

    def kilowatts(commands: str) -> dict[str, float]:
        run(dss, f"{commands}\nset tolerance=1e-9\nsolve")
        return {name: round(power_kva(dss, f"load.{name}").real, 4) for name in kinds}

    plain = dict.fromkeys(kinds, 2.0)
    assert kilowatts("set mode=snapshot") == plain  # shapes do not act in snapshots
    assert kilowatts("set loadmult=.5") == {
        **dict.fromkeys(kinds, 1.0),
        "fixed": 2,
        "dailyfixed": 2,
    }
    daily = "set loadmult=1 mode=daily number=1 hour=0 stepsize=1h"
    assert kilowatts(daily) == {**plain, "daily": 1}
    # only loads given by transformer kVA or kWh are reallocated, once
    assert kilowatts("set mode=snapshot\nset allocationfactors=.4") == {**plain, "kva": 4}
    set_load(dss, "kva", 2, 0)
    assert kilowatts("set year=2 %growth=10") == pytest.approx(dict.fromkeys(kinds, 2.2))


@pytest.mark.parametrize(
    ("wiring", "coils", "base_v"),
    [
        ("bus1=e.1 phases=1 kv=.23", 1, 230.0),
        ("bus1=e.1.2 phases=1 conn=delta kv=.4", 1, 400.0),
        ("bus1=e.1.2 phases=2 kv=.4", 2, 400 / math.sqrt(3)),
        ("bus1=e phases=3 kv=.4", 3, 400 / math.sqrt(3)),
        ("bus1=e phases=3 conn=delta kv=.4", 3, 400.0),
    ],
)
def test_a_constant_power_load_follows_its_law_outside_vminpu_and_vmaxpu(
    dss: Any, wiring: str, coils: int, base_v: float
) -> None:
    low, minimum, maximum = 0.5, 0.95, 1.05
    run(
        dss,
        f"""
        new circuit.c basekv=.4 bus1=s mvasc3=2000 mvasc1=2000
        new line.l bus1=s bus2=e r1=1e-4 x1=1e-4 r0=1e-4 x0=1e-4 c1=0 c0=0 length=1
        new load.d {wiring} kw={coils} kvar={coils / 2} model=1
        set voltagebases=[.4]
        calcvoltagebases
        set tolerance=1e-10 maxiterations=100
        """,
    )

    def law(pu: float) -> float:
        if pu > maximum:  # constant impedance
            return (pu / maximum) ** 2
        if pu > minimum:
            return 1.0
        if pu > low:  # the current between its values at vlowpu and vminpu, straight line
            at_low, at_minimum = low, 1 / minimum
            return pu * (at_low + (at_minimum - at_low) * (pu - low) / (minimum - low))
        return pu**2  # constant impedance of the nominal power

    for joint in (maximum, minimum, low):
        assert law(joint + 1e-12) == pytest.approx(law(joint), rel=1e-9)
    line_to_line = base_v == 400
    for source_pu in (1.2, 1.1, 1.055, 1.045, 1.0, 0.955, 0.945, 0.8, 0.6, 0.505, 0.495, 0.3):
        dss.Text.Command(f"edit vsource.source pu={source_pu}")
        dss.Solution.Solve()
        assert dss.Solution.Converged()
        dss.Circuit.SetActiveBus("e")
        v = np.array(dss.Bus.Voltages()).view(np.complex128)
        pu = abs(v[0] - v[1] if line_to_line else v[0]) / base_v
        expected = coils * law(pu) * complex(1, 0.5)
        assert power_kva(dss, "load.d") == pytest.approx(expected, rel=1e-6)
