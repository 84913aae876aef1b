"""Facts of the OpenDSS engine that hostcap relies on, one test each.

Bare engine calls on small made-up circuits: nothing here imports hostcap. A test that fails after
an upgrade of the engine names the assumption that no longer holds.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

odd = pytest.importorskip("opendssdirect")

Complex = npt.NDArray[np.complex128]

NETWORKS = Path(
    os.environ.get("HOSTCAP_NETWORKS", Path(__file__).resolve().parents[4] / "shared" / "data" / "networks")
)
CRE21 = NETWORKS / "au-cre21-mvlv/Network-CRE21/Master.txt"
LOWER_CASE_KEYS = 0x80  # DSSJSONFlags.LowercaseKeys
AVOID_FULL_RECALC = 2  # SetterFlags.AvoidFullRecalc
BATCH_SET = 0  # BatchOperation_Set


@pytest.fixture
def dss() -> Iterator[Any]:
    """A context of its own at 50 Hz, emptied afterwards."""
    context = new_context()
    yield context
    context.Text.Command("clearall")


def new_context(frequency_hz: int = 50) -> Any:
    context = odd.dss.NewContext()
    context.Text.Command(f"set defaultbasefrequency={frequency_hz}")
    return context


def run(dss: Any, script: str) -> None:
    for line in script.strip().splitlines():
        if line.strip():
            dss.Text.Command(line.strip())


def error_of(action: Callable[[], object]) -> tuple[int, str]:
    with pytest.raises(odd.DSSException) as caught:
        action()
    number, message = caught.value.args
    return number, message


def voltages(dss: Any) -> Complex:
    """The engine's own voltage vector, writable; slot 0 is ground, then `YNodeOrder`."""
    count = 16 * (dss.Circuit.NumNodes() + 1)
    pointer = dss.YMatrix.VVector()
    return np.frombuffer(dss._api_util.ffi.buffer(pointer, count), dtype=np.complex128)


def power_kva(dss: Any, element: str) -> complex:
    assert dss.Circuit.SetActiveElement(element) >= 0
    values = np.array(dss.CktElement.Powers())
    return complex(values[0::2].sum(), values[1::2].sum())


FEEDER = """
clear
new circuit.c basekv=22 pu=1.02 bus1=s
new transformer.t phases=3 windings=2 buses=[s b0] conns=[delta wye] kvs=[22 .4] kvas=[500 500]
new line.l1 bus1=b0 bus2=b1 r1=.3 x1=.1 r0=.6 x0=.2 c1=0 c0=0 length=.1 units=km
new line.l2 bus1=b1 bus2=b2 r1=.3 x1=.1 r0=.6 x0=.2 c1=0 c0=0 length=.1 units=km
new line.l3 bus1=b2 bus2=b3 r1=.3 x1=.1 r0=.6 x0=.2 c1=0 c0=0 length=.1 units=km
new load.d1 bus1=b1.1 phases=1 kv=.23 kw=20 kvar=5 vminpu=.7 vmaxpu=2
new load.d2 bus1=b2.2 phases=1 kv=.23 kw=25 kvar=5 vminpu=.7 vmaxpu=2
new load.d3 bus1=b3.3 phases=1 kv=.23 kw=30 kvar=5 vminpu=.7 vmaxpu=2
set voltagebases=[22 .4]
calcvoltagebases
set controlmode=off maxiterations=100
solve
"""


def set_load(dss: Any, name: str, kw: float, kvar: float) -> None:
    dss.Loads.Name(name)
    dss.Loads.kW(kw)
    dss.Loads.kvar(kvar)


# Base frequency, working directory, contexts


def test_base_frequency_belongs_to_the_context_and_survives_clear() -> None:
    def frequency(context: Any) -> float:
        run(context, "clear\nnew circuit.c basekv=.4 bus1=s\nnew line.l bus1=s bus2=b\nsolve")
        context.Circuit.SetActiveElement("line.l")
        assert float(context.Properties.Value("basefreq")) == context.Solution.Frequency()
        return float(context.Solution.Frequency())

    first, other = odd.dss.NewContext(), odd.dss.NewContext()
    first.Text.Command("set defaultbasefrequency=50")  # needs no circuit
    assert frequency(first) == 50
    assert frequency(first) == 50  # after a Clear
    first.Text.Command("clearall")
    assert frequency(first) == 50
    assert frequency(other) == 60
    assert frequency(odd.dss.NewContext()) == 60


def test_compile_changes_the_working_directory_and_redirect_does_not(
    dss: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "master.dss").write_text("clear\nnew circuit.c bus1=s\nredirect part.dss\n")
    (folder / "part.dss").write_text("new line.l bus1=s bus2=b\n")
    (folder / "broken.dss").write_text("clear\nnew circuit.c bus1=s\nredirect nowhere.dss\n")
    monkeypatch.chdir(tmp_path)
    dss.Text.Command(f'redirect "{folder / "master.dss"}"')
    assert Path.cwd() == tmp_path
    dss.Text.Command(f'compile "{folder / "master.dss"}"')
    assert Path.cwd() == folder
    os.chdir(tmp_path)
    error_of(lambda: dss.Text.Command(f'compile "{folder / "broken.dss"}"'))
    assert Path.cwd() == folder
    os.chdir(tmp_path)
    try:
        dss.Basic.AllowChangeDir(False)
        dss.Text.Command(f'compile "{folder / "master.dss"}"')
        assert Path.cwd() == tmp_path
        assert dss.Lines.AllNames() == ["l"]  # relative redirects work all the same
    finally:
        dss.Basic.AllowChangeDir(True)


def test_allow_change_dir_is_process_wide(dss: Any) -> None:
    other = odd.dss.NewContext()
    try:
        dss.Basic.AllowChangeDir(False)
        assert not other.Basic.AllowChangeDir()
        assert not odd.dss.Basic.AllowChangeDir()
        assert not odd.dss.NewContext().Basic.AllowChangeDir()
    finally:
        other.Basic.AllowChangeDir(True)
    assert dss.Basic.AllowChangeDir()


LEAK = """
import gc, os
import opendssdirect

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6

def load(dss):
    dss.Text.Command("clear")
    dss.Text.Command("new circuit.c basekv=.4 bus1=b0")
    for i in range(300):
        dss.Text.Command(f"new line.l{i} bus1=b{i // 10 * 10} bus2=b{i + 1} length=.1")
        dss.Text.Command(f"new load.d{i} bus1=b{i + 1} kv=.4 kw=.01")
    dss.Text.Command("solve")

def grown(last_command, times=6, one=None):
    before = resident()
    for _ in range(times):
        dss = one or opendssdirect.dss.NewContext()
        load(dss)
        if last_command:
            dss.Text.Command(last_command)
        del dss
        gc.collect()
    return resident() - before

one = opendssdirect.dss.NewContext()
load(one)
load(one)
print(grown("", one=one), grown("clearall"), grown(""))
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads /proc")
def test_a_dropped_context_is_never_freed_and_clearall_releases_its_circuit() -> None:
    done = subprocess.run([sys.executable, "-c", LEAK], capture_output=True, text=True, check=True, timeout=60)
    reused, cleared, dropped = (float(x) for x in done.stdout.split())
    assert reused < 2  # MB in six loads of one context
    assert cleared < 0.75 * dropped
    assert cleared > 3  # the empty context itself stays for ever, about 2 MB


def test_a_feeder_gives_the_same_bytes_after_any_other_when_its_frequency_is_pinned() -> None:
    charged = FEEDER.replace("c1=0 c0=0", "c1=9000 c0=9000")
    feeders = {50: charged, 60: charged.replace("kw=25", "kw=40")}

    def solved(context: Any, frequency_hz: int) -> bytes:
        context.Text.Command(f"set defaultbasefrequency={frequency_hz}")
        run(context, feeders[frequency_hz])
        return np.array(context.Circuit.YNodeVArray()).tobytes()

    alone = {hz: solved(odd.dss.NewContext(), hz) for hz in feeders}
    for order in ([50, 60], [60, 50], [50, 60, 50]):
        context = odd.dss.NewContext()  # one context, Clear between
        assert [solved(context, hz) for hz in order] == [alone[hz] for hz in order]
    context = new_context(60)
    run(context, charged)  # not pinned: the same file, another answer
    assert np.array(context.Circuit.YNodeVArray()).tobytes() != alone[50]


# Errors


def test_non_convergence_raises_nothing(dss: Any) -> None:
    run(dss, FEEDER)
    set_load(dss, "d3", 900, 0)
    dss.Text.Command("edit load.d3 vminpu=.01 vlowpu=.005")
    dss.Text.Command("solve")
    dss.Solution.Solve()
    assert not dss.Solution.Converged()
    assert dss.Error.Number() == 0


def test_exceeding_the_control_iterations_raises_485_and_aborts_the_next_solve(dss: Any) -> None:
    run(
        dss,
        """
        new circuit.c basekv=22 bus1=s pu=.93
        new transformer.t windings=2 buses=[s b] kvs=[22 11] kvas=[5000 5000] xhl=8
        new transformer.u windings=2 buses=[b e] kvs=[11 .4] kvas=[500 500] xhl=4
        new regcontrol.r transformer=t winding=2 vreg=120 ptratio=52.92 band=1 delay=15
        new regcontrol.s transformer=u winding=2 vreg=130 ptratio=1.92 band=.5 delay=15
        new load.d bus1=e kv=.4 kw=300
        set voltagebases=[22 11 .4]
        calcvoltagebases
        set maxcontroliter=1
        """,
    )
    number, message = error_of(dss.Solution.Solve)
    assert (number, "Max Control Iterations" in message) == (485, True)
    dss.Solution.MaxControlIterations(50)
    assert error_of(dss.Solution.Solve) == (99, "")  # the abort flag is still up
    dss.Text.Command("set maxcontroliter=50")  # any text command takes it down
    dss.Solution.Solve()
    assert dss.Solution.Converged()


def test_duplicate_new_raises_266_and_a_missing_master_243(dss: Any, tmp_path: Path) -> None:
    run(dss, "new circuit.c bus1=s\nnew line.l bus1=s bus2=b")
    assert error_of(lambda: dss.Text.Command("new line.l bus1=s bus2=c"))[0] == 266
    missing = tmp_path / "missing.dss"
    number, message = error_of(lambda: dss.Text.Command(f'compile "{missing}"'))
    assert number == 243
    assert str(missing) in message


@pytest.mark.parametrize(
    ("line", "number"),
    [
        ("new lne.k bus1=s", 263),
        ("foo", 302),
        ("new line.k bus1=s bus3=3", 110),
        ("new line.k bus1=s bus2=b linecode=nope", 401),
        ("new line.k bus1=s bus2=b r1=1.x", 303),
        ("new line.l bus1=s bus2=c", 266),
        ("redirect nope.dss", 243),
    ],
)
def test_an_error_in_a_redirected_file_names_every_file_and_line(
    dss: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str, number: int
) -> None:
    monkeypatch.chdir(tmp_path)
    master, part = tmp_path / "master.dss", tmp_path / "part.dss"
    master.write_text("clear\nnew circuit.c bus1=s\nredirect part.dss\n")
    part.write_text(f"new line.l bus1=s bus2=b\n\n{line}\n")
    found, message = error_of(lambda: dss.Text.Command(f'compile "{master}"'))
    assert found == number
    assert message.endswith(f'\n[file: "{part}", line: 3]\n[file: "{master}", line: 3]')


def test_editing_an_unknown_element_and_an_open_bracket_raise_nothing(dss: Any) -> None:
    run(dss, "new circuit.c bus1=s")
    dss.Text.Command("edit line.nobody r1=1")
    dss.Text.Command("new line.l bus1=s bus2=b rmatrix=[1|2")
    assert dss.Lines.AllNames() == ["l"]


# Elements and the matrix


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


# The voltage law of loads


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


# Voltages and iterations


def test_the_voltage_vector_can_be_read_and_written_in_place(dss: Any) -> None:
    run(dss, FEEDER)
    view = voltages(dss)
    assert view[0] == 0  # ground
    assert view[1:].tobytes() == np.array(dss.Circuit.YNodeVArray()).tobytes()
    assert view.size - 1 == len(dss.Circuit.YNodeOrder())
    view[3] += 1
    assert np.array(dss.Circuit.YNodeVArray()).view(np.complex128)[2] == view[3]


def test_a_state_depends_on_the_path_unless_started_from_the_same_voltages(dss: Any) -> None:
    run(dss, FEEDER)
    start = voltages(dss).copy()

    def solved(*d3: float, reset: bool) -> bytes:
        for kw in d3:
            set_load(dss, "d3", kw, 0)
            if reset:
                voltages(dss)[:] = start
            dss.Solution.Solve()
            assert dss.Solution.Converged()
        return voltages(dss).tobytes()

    straight, detour = (40,), (80, -20, 40)
    assert solved(*straight, reset=False) != solved(*detour, reset=False)
    assert solved(*straight, reset=True) == solved(*detour, reset=True)


def test_one_solve_at_maxiterations_1_is_exactly_one_fixed_point_iteration(dss: Any) -> None:
    run(dss, FEEDER)
    start = voltages(dss).copy()
    set_load(dss, "d3", 60, 10)
    matrix = dss.YMatrix
    assert dss.Solution.MinIterations() == 2  # which does not matter

    def by_hand() -> None:
        matrix.ZeroInjCurr()
        matrix.GetSourceInjCurrents()
        matrix.GetPCInjCurr()
        matrix.SolveSystem()

    def states(step: Callable[[], object], times: int = 6) -> list[bytes]:
        voltages(dss)[:] = start
        found = []
        for _ in range(times):
            step()
            found.append(voltages(dss).tobytes())
        return found

    dss.Text.Command("set maxiterations=1 tolerance=1e-12")
    singly = states(dss.Solution.Solve)
    assert dss.Solution.Iterations() == 1
    assert len(set(singly)) == 6
    assert states(dss.Solution.SolveNoControl) == singly
    assert states(dss.Solution.SolvePlusControl) == singly
    assert states(by_hand) == singly
    dss.Text.Command("set maxiterations=6")
    assert states(dss.Solution.Solve, 1) == singly[-1:]
    assert dss.Solution.Iterations() == 6


def test_an_iteration_runs_no_control_action_with_controls_off(dss: Any) -> None:
    run(dss, FEEDER)
    run(dss, "new regcontrol.r transformer=t winding=2 vreg=90 ptratio=1.92 band=1\nsolve")
    run(dss, "set maxiterations=1")
    dss.RegControls.Name("r")
    for _ in range(30):
        dss.Solution.Solve()
    assert dss.RegControls.TapNumber() == 0
    run(dss, "set controlmode=static maxiterations=100 maxcontroliter=100")
    dss.Solution.Solve()
    assert dss.RegControls.TapNumber() != 0


def test_solve_without_control_sees_new_loads_but_a_multiplier_only_when_told(dss: Any) -> None:
    run(dss, FEEDER)
    start = voltages(dss).copy()

    def solved(solve: Callable[[], object]) -> bytes:
        voltages(dss)[:] = start
        solve()
        return voltages(dss).tobytes()

    before = solved(dss.Solution.Solve)
    set_load(dss, "d3", 10, 0)
    new_load = solved(dss.Solution.SolveNoControl)
    assert new_load == solved(dss.Solution.Solve) != before
    dss.Solution.LoadMult(0.5)
    assert solved(dss.Solution.SolveNoControl) == new_load
    dss.YMatrix.LoadsNeedUpdating(True)
    halved = solved(dss.Solution.SolveNoControl)
    assert halved == solved(dss.Solution.Solve) != new_load


@pytest.mark.parametrize(
    ("command", "keeps"),
    [
        ("set mode=snapshot", False),
        ("calcvoltagebases", False),
        ("set maxiterations=1", True),
        ("set controlmode=off", True),
        ("set tolerance=1e-9", True),
        ("set loadmult=1", True),
        ("edit load.d3 vminpu=.7", True),
        ("open line.l3 1\nclose line.l3 1", True),
    ],
)
def test_setting_the_mode_discards_the_voltages_and_other_settings_keep_them(
    dss: Any, command: str, keeps: bool
) -> None:
    run(dss, FEEDER)
    dss.Text.Command("set maxiterations=1")
    start = voltages(dss) * 1.01

    def voltages_after(commands: str) -> bytes:
        voltages(dss)[:] = start
        run(dss, commands)
        dss.Solution.Solve()
        return voltages(dss).tobytes()

    plain = voltages_after("")
    assert (voltages_after(command) == plain) is keeps


def test_a_set_mode_is_undone_by_marking_the_solution_as_initialised(dss: Any) -> None:
    run(dss, FEEDER)
    dss.Text.Command("set maxiterations=1")
    start = voltages(dss) * 1.01
    answers = []
    for commands in ("", "set mode=snapshot"):
        voltages(dss)[:] = start
        run(dss, commands)
        dss.YMatrix.SolutionInitialized(True)
        dss.Solution.Solve()
        answers.append(voltages(dss).tobytes())
    assert answers[0] == answers[1]


SPLIT_PHASE = """
clear
new circuit.c basekv=22 bus1=s
new linecode.lc nphases=3 r1=.211 x1=.106 b1=.001 r0=.257 x0=.801 b0=.001 units=km
new transformer.t phases=1 windings=3 buses=[s.1.2 b0.1.0 b0.0.2] conns=[delta wye wye]
~ kvs=[22 .25 .25] kvas=[50 50 50] xhl=2.46 %noloadloss=.18 %loadloss=2.2
"""


def test_the_voltage_of_a_floating_node_is_an_accident_of_rounding(dss: Any) -> None:
    # three-phase lines below a two-leg transformer: the third conductor is driven by nothing
    numbers = range(40)
    parts = [
        f"new line.l{i} bus1=b{i} bus2=b{i + 1} linecode=lc length=15 units=m\n"
        f"new load.d{i} bus1=b{i + 1}.{i % 2 + 1} phases=1 kv=.23 kw=.5 vminpu=.85 vmaxpu=1.2"
        for i in numbers
    ]

    def solved(order: list[str]) -> dict[str, complex]:
        run(dss, SPLIT_PHASE + "\n".join(order))
        run(dss, "set voltagebases=[22 .4]\ncalcvoltagebases\nset maxiterations=100")
        run(dss, "set controlmode=off tolerance=1e-7\nsolve")
        v = np.array(dss.Circuit.YNodeVArray()).view(np.complex128)
        return dict(zip(dss.Circuit.YNodeOrder(), v, strict=True))

    forward, backward = solved(parts), solved(parts[::-1])
    assert forward.keys() == backward.keys()
    gaps = {node: abs(forward[node] - backward[node]) for node in forward}
    dead = {node for node in gaps if node.startswith("B") and node.endswith(".3")}
    assert len(dead) == len(numbers) + 1
    assert max(gaps[node] for node in gaps.keys() - dead) < 1e-3
    assert min(gaps[node] for node in dead) > 1e-2


@pytest.mark.shared
def test_floating_nodes_keep_cre21_from_converging_while_its_live_nodes_stand_still(
    dss: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    dss.Text.Command(f'compile "{CRE21}"')
    run(dss, "set voltagebases=[66 22 .4 .2309]\ncalcvoltagebases\nset maxiterations=100")
    run(dss, "set controlmode=off tolerance=1e-9\nsolve")
    assert not dss.Solution.Converged()
    dead = np.abs(voltages(dss)[1:]) < 20
    assert dead.sum() == 200
    dss.Text.Command("set maxiterations=1")
    for _ in range(3):
        before = voltages(dss).copy()
        dss.Solution.Solve()
        moved = np.abs(voltages(dss) - before)[1:]
        assert not dss.Solution.Converged()
        assert moved[~dead].max() < 1e-7
        assert moved[dead].max() > 1e-6


# Ratings


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


# Generating elements


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
