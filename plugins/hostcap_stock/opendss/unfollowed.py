"""What OpenDSS moves in its daily and yearly modes and the profiles ``opendss-shapes`` do not: named, never silent.

Controls of inverters and generators follow voltages and flows, which a profile does not know; the voltage of a source
is no injector's.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from attrs import frozen

from hostcap.findings import Finding, Severity, counted, some
from hostcap.network import Network
from hostcap_stock.opendss.engine import Engine
from hostcap_stock.opendss.shapes import acting

_CONTROLLED = {
    "InvControl": ("pvsystem", "storage"),
    "ExpControl": ("pvsystem", "storage"),
    "GenDispatcher": ("generator",),
}
"""Classes of controls of power; and what one acts on whose list is empty: all of these classes."""
_LISTS = ("derlist", "pvsystemlist", "genlist")


@frozen(kw_only=True)
class Unfollowed:
    """What a mode moves and the profiles do not.

    Attributes:
        mode: ``daily`` or ``yearly``.
        controls: Names of controls with their class.
        elements: ``class.name`` of what they act on, lower case.
        sources: Sources whose voltage follows a shape of the mode.
    """

    mode: Literal["daily", "yearly"]
    controls: tuple[str, ...]
    elements: frozenset[str]
    sources: tuple[str, ...]

    def findings(self, network: Network) -> list[Finding]:
        """Elements with their kW in the snapshot, and sources."""
        injectors, found = network.injectors, []
        names = [f"{kind}.{name}".lower() for kind, name in zip(injectors.kind, injectors.name, strict=True)]
        acted = np.flatnonzero(np.isin(names, sorted(self.elements)))
        if acted.size:
            kw = float(np.sum(injectors.generation_kw[acted]))
            found.append(
                Finding(
                    severity=Severity.WARNING,
                    code="inverter-controls-not-followed",
                    element=some([str(injectors.name[place]) for place in acted]),
                    count=int(acted.size),
                    kw=kw,
                    message=f"{counted(acted.size, 'generating element')} with {kw:.6g} kW in the snapshot: what the "
                    f"shapes say counts, without what {some(list(self.controls))} would make of it, which follow "
                    "voltages or flows",
                )
            )
        if self.sources:
            found.append(
                Finding(
                    severity=Severity.WARNING,
                    code="source-shape-not-followed",
                    element=some(list(self.sources)),
                    count=len(self.sources),
                    message=f"{counted(len(self.sources), 'source has', 'sources have')} a {self.mode} shape; the "
                    "voltage stays that of the snapshot at every instant",
                )
            )
        return found


def read_unfollowed(engine: Engine, mode: Literal["daily", "yearly"]) -> Unfollowed:
    """What of a model the profiles of a mode leave as it is."""
    controls, elements = [], set[str]()
    for kind, classes in _CONTROLLED.items():
        for name, record in engine.records(kind).items():
            if record.get("enabled") is False:
                continue
            controls.append(f"{kind} {name}")
            elements |= set(_listed(record, classes[0])) or {
                f"{each}.{element}" for each in classes for element in engine.records(each)
            }
    sources = [name for name, record in engine.records("Vsource").items() if acting(record, mode)]
    return Unfollowed(mode=mode, controls=tuple(controls), elements=frozenset(elements), sources=tuple(sources))


def _listed(record: dict[str, Any], kind: str) -> list[str]:
    """What a control lists, as ``class.name``; the older keys list names alone."""
    names = [str(name).lower() for key in _LISTS for name in record.get(key) or ()]
    return [name if name.startswith(("pvsystem.", "storage.", "generator.")) else f"{kind}.{name}" for name in names]
