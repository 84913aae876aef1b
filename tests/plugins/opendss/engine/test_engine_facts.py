"""Facts of the OpenDSS engine that hostcap relies on, one test each.

Bare engine calls on small made-up circuits: nothing here imports hostcap. A test that fails after
an upgrade of the engine names the assumption that no longer holds.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from engine_cases import FEEDER, new_context, odd, run, set_load


def error_of(action: Callable[[], object]) -> tuple[int, str]:
    with pytest.raises(odd.DSSException) as caught:
        action()
    number, message = caught.value.args
    return number, message


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
