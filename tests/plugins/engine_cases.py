"""The OpenDSS engine without hostcap around it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

odd = pytest.importorskip("opendssdirect")
Complex = npt.NDArray[np.complex128]


def new_context(frequency_hz: int = 50) -> Any:
    context = odd.dss.NewContext()
    context.Text.Command(f"set defaultbasefrequency={frequency_hz}")
    return context


def run(dss: Any, script: str) -> None:
    for line in script.strip().splitlines():
        if line.strip():
            dss.Text.Command(line.strip())


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
