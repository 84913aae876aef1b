"""OpenDSS by its own commands alone, to solve again what a study says: nothing here is the product's but its answer."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import opendssdirect

NODE = {"A": 1, "B": 2, "C": 3}
GROWTH = "vminpu=0.7 vmaxpu=2 vlowpu=0.5 model=1 status=fixed"
"""The voltage law of growth by the method, section 4; status=fixed keeps multipliers and shapes away."""


def compiled(master: Path, frequency_hz: float, bases_kv: Sequence[float] = ()) -> Any:
    """A model in an engine of its own, its last solve by the model's own script."""
    dss = opendssdirect.dss.NewContext()
    dss.Basic.AllowChangeDir(False)
    dss.Text.Command("clear")
    dss.Text.Command(f"set defaultbasefrequency={frequency_hz}")
    dss.Text.Command(f'compile "{master}"')
    if bases_kv:
        dss.Text.Command(f"set voltagebases={list(bases_kv)}")
        dss.Text.Command("calcvoltagebases")
    return dss


def snapshot(dss: Any, *commands: str) -> Any:
    """The start of a snapshot: commands, one solve with controls, then everything that moves stays."""
    for command in commands:
        dss.Text.Command(command)
    dss.Text.Command("set maxiterations=100 maxcontroliter=200")
    dss.Text.Command("solve mode=snapshot")
    dss.Text.Command("set controlmode=off tolerance=1e-8")
    dss.Text.Command("solve")
    return dss


def at_hour(dss: Any, mode: str, seconds: int) -> Any:
    """The engine's own solution of that many seconds after its daily or yearly shapes begin, without controls."""
    hour, rest = divmod(seconds - 1, 3600)  # it steps on by a second before it solves
    dss.Text.Command(f"set mode={mode} number=1 stepsize=1s controlmode=off maxiterations=200 tolerance=1e-9")
    dss.Text.Command(f"set time=({hour}, {rest})")
    dss.Text.Command("solve")
    return dss


def again(dss: Any, seconds: int | None = None) -> None:
    """One more solution of the same instant."""
    if seconds is not None:
        hour, rest = divmod(seconds - 1, 3600)
        dss.Text.Command(f"set time=({hour}, {rest})")
    dss.Text.Command("solve")
    if not dss.Solution.Converged():  # the rounding of a large feeder may be more than what it was asked for
        asked = dss.Solution.Convergence()
        dss.Text.Command("set tolerance=1e-6")
        dss.Text.Command("solve")
        assert dss.Solution.Converged()
        dss.Solution.Convergence(asked)


def reactive(kw: float, power_factor: float) -> float:
    """Kvar consumed beside kW of either sign."""
    return math.copysign(abs(kw) * math.tan(math.acos(abs(power_factor))), power_factor)


def add_growth(dss: Any, elements: Mapping[str, float], power_factor: float = 1.0) -> None:
    """Growth as new loads beside loads of the model, by their names; kW drawn, negative for export."""
    for number, (name, kw) in enumerate(elements.items()):
        dss.Loads.Name(name)
        bus, phases = dss.CktElement.BusNames()[0], dss.CktElement.NumPhases()
        connection = "delta" if dss.Loads.IsDelta() else "wye"
        kv = dss.Loads.kV()
        dss.Text.Command(
            f"new load.grown{number} bus1={bus} phases={phases} conn={connection} kv={kv!r} kw={float(kw)!r} "
            f"kvar={reactive(kw, power_factor)!r} {GROWTH}"
        )


def add_at_hv(dss: Any, bus: str, phases: str, kw: float, kvar: float) -> None:
    """Growth at an HV bus: three phases wye to ground, two between them, one to ground."""
    dss.Circuit.SetActiveBus(bus)
    kv = dss.Bus.kVBase() * (1.0 if len(phases) == 1 else math.sqrt(3.0))
    nodes = ".".join(str(NODE[letter]) for letter in phases)
    dss.Text.Command(
        f"new load.grown bus1={bus}.{nodes} phases={3 if len(phases) == 3 else 1} kv={kv!r} "
        f"conn={'delta' if len(phases) == 2 else 'wye'} kw={float(kw)!r} kvar={float(kvar)!r} {GROWTH}"
    )


def measured(dss: Any, row: Mapping[str, Any]) -> float:
    """The value of a binding violation's row, read with the engine's own calls, in its unit."""
    name, phase = row["conducting_equipment_mrid"], row["phase"]
    if row["conducting_equipment_type"] == "Bus":
        dss.Circuit.SetActiveBus(name)
        nodes, parts = dss.Bus.Nodes(), dss.Bus.Voltages()
        volts = {node: complex(parts[2 * i], parts[2 * i + 1]) for i, node in enumerate(nodes)}
        volt = abs(volts[NODE[phase]] - volts.get(4, 0.0))  # to node 4 where the bus has one
        return volt if row["unit"] == "V" else volt / (dss.Bus.kVBase() * 1000.0)
    dss.Circuit.SetActiveElement(f"{row['conducting_equipment_type']}.{name}")
    conductors = dss.CktElement.NumConductors()
    first = (row["terminal_sequence_number"] - 1) * conductors
    amps = dss.CktElement.CurrentsMagAng()[::2][first : first + conductors]
    numbers = dss.CktElement.NodeOrder()[first : first + conductors]
    return float(max(a for a, n in zip(amps, numbers, strict=True) if n in {NODE[letter] for letter in phase}))


def broken(value: float, row: Mapping[str, Any]) -> bool:
    """By the one rule: beyond the limit by more than a millionth of it."""
    limit = row["constraint_limit"]
    excess = limit - value if row["metric"] == "voltage-low" else value - limit
    return bool(excess > 1e-6 * abs(limit))
