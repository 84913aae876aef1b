"""HV node headroom on two buses, in closed form: every connection, both directions, signs of power factors.

A stiff source of 22 kV, a line of Z = 3 + 3.5j ohm in each phase, nothing between phases, an unloaded transformer.
Power S = P + jQ drawn at voltage V over an impedance Z from E obeys E conj(V) = |V|^2 + Z conj(S), so that |V|^2 is the
upper root of x^2 + (2 Re(Z conj(S)) - |E|^2) x + |Z S|^2 = 0. Three phases carry a third each to ground; one phase all
of it; two phases carry it between them, over 2 Z, and each of the two then stands where its own drop leaves it.
"""

from __future__ import annotations

import cmath
import math
from pathlib import Path

import pytest
from hv_studying import HvCase, across, locations, terminal

Z = complex(3.0, 3.5)
E_V = 22_000.0 / math.sqrt(3.0)
A = [cmath.rect(1.0, -2.0 * math.pi / 3.0 * k) for k in range(3)]
TRANSFORMERS = {
    "ABC": "phases=3 buses=[end lv] conns=[delta wye] kvs=[22 0.4]",
    "AB": "phases=1 buses=[end.1.2 lv.1] conns=[delta wye] kvs=[22 0.2309]",
    "C": "phases=1 buses=[end.3 lv.1] conns=[wye wye] kvs=[12.7 0.2309]",
}
STEP_KW, MOST = 40.0, 400


def phase_pu(code: str, kw: float, kvar: float) -> list[float]:
    """Voltage of each phase to ground at the end of the line, per unit; kW and kvar drawn there."""
    s = complex(kw, kvar) * 1000.0
    volts = [E_V * a for a in A]
    if code == "ABC":
        volts = [across(v, Z, s / 3.0) for v in volts]
    elif code == "C":
        volts[2] = across(volts[2], Z, s)
    else:
        amps = (s / across(volts[0] - volts[1], 2.0 * Z, s)).conjugate()
        volts[0], volts[1] = volts[0] - Z * amps, volts[1] + Z * amps
    return [abs(v) / E_V for v in volts]


def master(folder: Path, code: str) -> Path:
    """The model."""
    lines = [
        "clear",
        "set defaultbasefrequency=50",
        "new circuit.two basekv=22 pu=1.0 phases=3 r1=1e-7 x1=1e-6 r0=1e-7 x0=1e-6",
        "new line.l bus1=sourcebus bus2=end phases=3 r1=3 x1=3.5 r0=3 x0=3.5 c1=0 c0=0 length=1 normamps=100000",
        f"new transformer.t windings=2 {TRANSFORMERS[code]} kvas=[50 50] xhl=4 %noloadloss=0 %imag=0",
        "new load.home bus1=lv.1 phases=1 kv=0.2309 kw=1",
        "set voltagebases=[22 0.4]",
        "calcvoltagebases",
    ]
    path = folder / "Master.dss"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.mark.parametrize("solver", ["batched", "opendss"])
@pytest.mark.parametrize(("direction", "pf"), [("export", 1.0), ("export", 0.9), ("import", -0.99), ("import", 0.8)])
@pytest.mark.parametrize("code", list(TRANSFORMERS))
def test_a_location_stops_where_the_closed_form_says(
    code: str, direction: str, pf: float, solver: str, tmp_path: Path
) -> None:
    sign = -1.0 if direction == "export" else 1.0
    # Positive power factors consume kvar, negative ones supply it, in both directions.
    kvar = math.copysign(STEP_KW * math.tan(math.acos(abs(pf))), pf)
    limit = (0.98, 1.02)
    expected, value = MOST, 1.0
    for n in range(1, MOST + 1):
        pu = phase_pu(code, sign * STEP_KW * n, kvar * n)
        if not all(limit[0] <= v <= limit[1] for v in pu):
            expected, value = n - 1, max(pu, key=lambda v: max(v / limit[1] - 1.0, 1.0 - v / limit[0]))
            break
    assert 1 < expected < MOST
    case = HvCase(
        master=master(tmp_path, code),
        frequency_hz=50.0,
        initial="zero-load",
        direction=direction,
        power_factor=pf,
        step_kw=STEP_KW,
        max_steps=MOST,
        kinds=("dtx-hv-terminal",),
        hv=limit,
        thermal_percent=1e6,
    )
    results = case.run(solver={"plugin": solver})
    (row,) = results["hv_node_headroom"].rows()
    assert (terminal(row), row["phase_code"]) == (("dtx-hv-terminal", "t", 1), code)
    assert row["available_headroom_kw"] == pytest.approx(expected * STEP_KW)
    assert (row["status"], row["iteration"]) == ("bound", expected + 1)
    (answer,) = locations(results, STEP_KW, direction).values()
    metric, bus, _, _, measured, of = answer["binding"]
    assert (metric, bus) == ("voltage-high" if value > 1.0 else "voltage-low", "end")
    assert (measured, of) == (pytest.approx(value, rel=1e-7), limit[1] if value > 1.0 else limit[0])
