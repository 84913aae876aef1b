"""Circuits that fit on a screen, and what the OpenDSS source makes of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import pytest

from hostcap.errors import ModelError
from hostcap.findings import Finding
from hostcap.network import Network
from hostcap_stock.opendss.source import OpenDssSource

HEAD = "clear\nnew circuit.c basekv=22 pu=1 bus1=src mvasc3=2000 mvasc1=2000\n"
BASES = "set voltagebases=[22 .4]\ncalcvoltagebases\n"
NO_BASES = ""


def unit(name: str, hv: str, lv: str, more: str = "") -> str:
    """A three-phase 22/0.4 kV transformer of 100 kVA."""
    return (
        f"new transformer.{name} phases=3 windings=2 buses=[{hv} {lv}] conns=[delta wye] kvs=[22 .4] kvas=[100 100] "
        f"xhl=4 {more}\n"
    )


def one_phase_unit(name: str, hv: str, lv: str) -> str:
    return (
        f"new transformer.{name} phases=1 windings=2 buses=[{hv} {lv}] conns=[wye wye] kvs=[12.7 .23] kvas=[25 25] "
        "xhl=4\n"
    )


def split_phase(name: str, hv: str, lv: str) -> str:
    """A centre-tapped unit between two 22 kV phases, 2 x 240 V, 50 kVA."""
    return (
        f"new transformer.{name} phases=1 windings=3 buses=[{hv} {lv}.1.0 {lv}.0.2] conns=[delta wye wye] "
        "kvs=[22 .24 .24] kvas=[50 50 50] xhl=4 xht=4 xlt=2.6\n"
    )


def line(name: str, left: str, right: str, more: str = "") -> str:
    return f"new line.{name} bus1={left} bus2={right} r1=.3 x1=.1 r0=.6 x0=.2 c1=0 c0=0 length=.1 units=km {more}\n"


def house(name: str, bus: str, more: str = "phases=1 kv=.23 kw=2 kvar=.5") -> str:
    return f"new load.{name} bus1={bus} {more}\n"


class Sourced(Protocol):
    def __call__(self, body: str, bases: str = BASES, head: str = HEAD, **config: Any) -> OpenDssSource: ...


class Loaded(Protocol):
    def __call__(self, body: str, bases: str = BASES, head: str = HEAD, **config: Any) -> Network: ...


def buses_of(network: Network) -> dict[str, set[str]]:
    """Buses of every group, by its id."""
    return {
        str(identity): {str(b) for b in network.buses.name[network.buses.group == place]}
        for place, identity in enumerate(network.groups.id, start=1)
    }


def customers_of(network: Network) -> dict[str, list[str]]:
    """Elements of every customer."""
    return {
        str(identity): [str(network.injectors.name[e]) for e in network.customers.elements(place)]
        for place, identity in enumerate(network.customers.id)
    }


def codes(network: Network) -> list[str]:
    return [finding.code for finding in network.findings]


def finding(network: Network, code: str) -> Finding:
    (found,) = (each for each in network.findings if each.code == code)
    return found


def refusal(action: Callable[[], object]) -> str:
    """The message of a refused model, which must be one line."""
    with pytest.raises(ModelError) as caught:
        action()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def conductors(network: Network, name: str) -> list[dict[str, Any]]:
    """Conductors of one piece of equipment, as rows."""
    place = list(network.equipment.name).index(name)
    c = network.conductors
    names = ("terminal", "node", "phase", "lv", "watched", "normal_a", "emergency_a")
    return [{n: getattr(c, n)[i] for n in names} for i in np.flatnonzero(c.equipment == place)]


TWO = unit("t", "src", "a") + line("l", "a", "b")
LEGS = (
    split_phase("t", "src.1.2", "a")
    + house("leg1", "a.1")
    + house("leg2", "a.2")
    + house("d", "a.1")
    + unit("t2", "src", "b")
    + house("other", "b.1")
    + house("mine", "src", "kv=22 kw=100")
)
