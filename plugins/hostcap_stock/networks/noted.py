"""Findings about a model as it was read."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hostcap._arrays import BoolArray, IntArray
from hostcap.findings import Finding, Severity, counted, some
from hostcap.network import Customers, Injectors
from hostcap.topology import CapacityGroups


def note_ratings(
    unrated: list[str],
    derived: list[str],
    lines: int,
    emergency_factor: float,
    findings: list[Finding],
    *,
    way_out: str,
    emergency_way_out: str,
) -> None:
    """Lines that state no normal or no emergency rating; ``way_out`` is what to do about the first."""
    if unrated:
        findings.append(
            Finding(
                severity=Severity.WARNING,
                code="unrated-lines",
                element=some(unrated),
                count=len(unrated),
                message=f"{len(unrated)} of {lines} lines state no normal rating and are not watched by thermal "
                f"limits; {way_out}",
            )
        )
    if derived:
        findings.append(
            Finding(
                severity=Severity.INFO,
                code="emergency-ratings-derived",
                element=some(derived),
                count=len(derived),
                message=f"{counted(len(derived), 'line states', 'lines state')} no emergency rating; "
                f"{emergency_factor:g} x normal is used where emergency ratings are asked for; {emergency_way_out}",
            )
        )


def note_network(
    *,
    buses: int,
    node_names: Sequence[str],
    node_bus: IntArray,
    left_as_modelled: Sequence[str],
    live: BoolArray,
    groups: CapacityGroups,
    customers: Customers,
    injectors: Injectors,
    unjudged: list[str],
    findings: list[Finding],
) -> None:
    """Dead nodes and who hangs on them, loads without kW, meshed groups, and what acts unseen."""
    dead = np.flatnonzero(~live)
    if dead.size:
        listed = [node_names[int(n)] for n in dead]
        findings.append(
            Finding(
                severity=Severity.WARNING,
                code="dead-nodes",
                element=some(listed),
                count=int(dead.size),
                message=f"{counted(dead.size, 'node is', 'nodes are')} joined to no source; left out of limits and "
                "convergence; close or complete what should feed them",
            )
        )
    _note_dead_customers(buses, node_bus, live, customers, injectors, findings)
    idle = (injectors.kind == "load") & (injectors.load_kw == 0) & (injectors.generation_kw == 0)
    if np.any(idle):
        findings.append(
            Finding(
                severity=Severity.INFO,
                code="loads-without-kw",
                element=some([str(n) for n in injectors.name[idle]]),
                count=int(idle.sum()),
                message=f"{counted(int(idle.sum()), 'load')} of the model with 0 kW; counted as customers, and "
                "growing; state kW if the start is as-modelled",
            )
        )
    several = [i for i, n in zip(groups.ids, groups.transformer_counts, strict=True) if n > 1]
    if several:
        findings.append(
            Finding(
                severity=Severity.INFO,
                code="group-fed-by-several-transformers",
                element=some(several),
                count=len(several),
                message=f"{counted(len(several), 'group is', 'groups are')} fed by more than one transformer (banks "
                "or meshed LV); if that is not meant, look for a closed switch between LV networks",
            )
        )
    if left_as_modelled:
        findings.append(
            Finding(
                severity=Severity.WARNING,
                code="elements-left-as-modelled",
                element=some(list(left_as_modelled)),
                count=len(left_as_modelled),
                message="elements that are neither load nor generator, PV or storage act as the engine has them; "
                "replace them by loads or generators if they should be part of the start",
            )
        )
    if unjudged:
        findings.append(
            Finding(
                severity=Severity.INFO,
                code="controls-not-judged",
                element=some(unjudged),
                count=len(unjudged),
                message=f"{counted(len(unjudged), 'control is', 'controls are')} frozen at the start like all, and "
                "not judged as to acting later (capacitor, inverter and remote-bus controls); solve the stop with "
                "them to see",
            )
        )


def _note_dead_customers(
    buses: int,
    node_bus: IntArray,
    live: BoolArray,
    customers: Customers,
    injectors: Injectors,
    findings: list[Finding],
) -> None:
    off = np.flatnonzero(~customers.live).astype(np.int32)
    live_bus = np.zeros(buses, dtype=bool)
    live_bus[node_bus[live]] = True
    # On a bus with live nodes only the phase is missing; elsewhere the whole bus is.
    phase_missing = live_bus[customers.bus[off]]
    for chosen, code, why in (
        (off[~phase_missing], "customers-on-dead-nodes", "on buses that are joined to no source"),
        (off[phase_missing], "customers-on-missing-phases", "on a phase that does not reach the bus"),
    ):
        if chosen.size:
            findings.append(
                Finding(
                    severity=Severity.WARNING,
                    code=code,
                    element=some([str(c) for c in customers.id[chosen]]),
                    count=int(chosen.size),
                    kw=_load_kw(customers, injectors, chosen),
                    message=f"{counted(chosen.size, 'customer')} {why}; not counted, and not growing: connect them",
                )
            )


def _load_kw(customers: Customers, injectors: Injectors, chosen: IntArray) -> float:
    return float(np.sum(injectors.load_kw[customers.element[np.isin(customers.of_element, chosen)]]))
