"""Facts of the OpenDSS engine about solving: voltages in place, single iterations, modes, floating nodes."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from engine_cases import FEEDER, run, set_load, voltages

NETWORKS = Path(
    os.environ.get("HOSTCAP_NETWORKS", Path(__file__).resolve().parents[5] / "shared" / "data" / "networks")
)
CRE21 = NETWORKS / "au-cre21-mvlv/Network-CRE21/Master.txt"


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
