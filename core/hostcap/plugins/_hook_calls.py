"""One typed function for each hook: ``manager.hook.<name>()`` is ``Any``, and nowhere else is it called."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pluggy import PluginManager

from hostcap.plugins.kinds import (
    AllocationPlugin,
    ConstraintPlugin,
    FlowsPlugin,
    InitialStatePlugin,
    InjectionPlugin,
    NetworkPlugin,
    PluginRecord,
    ProfilesPlugin,
    SolverPlugin,
    StudyPlugin,
    TracerPlugin,
    WriterPlugin,
)


def networks(manager: PluginManager) -> list[Iterable[NetworkPlugin[Any]]]:
    """Call ``hostcap_networks``."""
    offers: list[Iterable[NetworkPlugin[Any]]] = manager.hook.hostcap_networks()
    return offers


def profiles(manager: PluginManager) -> list[Iterable[ProfilesPlugin[Any]]]:
    """Call ``hostcap_profiles``."""
    offers: list[Iterable[ProfilesPlugin[Any]]] = manager.hook.hostcap_profiles()
    return offers


def studies(manager: PluginManager) -> list[Iterable[StudyPlugin[Any]]]:
    """Call ``hostcap_studies``."""
    offers: list[Iterable[StudyPlugin[Any]]] = manager.hook.hostcap_studies()
    return offers


def initial_states(manager: PluginManager) -> list[Iterable[InitialStatePlugin[Any]]]:
    """Call ``hostcap_initial_states``."""
    offers: list[Iterable[InitialStatePlugin[Any]]] = manager.hook.hostcap_initial_states()
    return offers


def injections(manager: PluginManager) -> list[Iterable[InjectionPlugin[Any]]]:
    """Call ``hostcap_injections``."""
    offers: list[Iterable[InjectionPlugin[Any]]] = manager.hook.hostcap_injections()
    return offers


def allocations(manager: PluginManager) -> list[Iterable[AllocationPlugin[Any]]]:
    """Call ``hostcap_allocations``."""
    offers: list[Iterable[AllocationPlugin[Any]]] = manager.hook.hostcap_allocations()
    return offers


def constraints(manager: PluginManager) -> list[Iterable[ConstraintPlugin[Any]]]:
    """Call ``hostcap_constraints``."""
    offers: list[Iterable[ConstraintPlugin[Any]]] = manager.hook.hostcap_constraints()
    return offers


def solvers(manager: PluginManager) -> list[Iterable[SolverPlugin[Any]]]:
    """Call ``hostcap_solvers``."""
    offers: list[Iterable[SolverPlugin[Any]]] = manager.hook.hostcap_solvers()
    return offers


def flows(manager: PluginManager) -> list[Iterable[FlowsPlugin[Any]]]:
    """Call ``hostcap_flows``."""
    offers: list[Iterable[FlowsPlugin[Any]]] = manager.hook.hostcap_flows()
    return offers


def tracers(manager: PluginManager) -> list[Iterable[TracerPlugin[Any]]]:
    """Call ``hostcap_tracers``."""
    offers: list[Iterable[TracerPlugin[Any]]] = manager.hook.hostcap_tracers()
    return offers


def writers(manager: PluginManager) -> list[Iterable[WriterPlugin[Any]]]:
    """Call ``hostcap_writers``."""
    offers: list[Iterable[WriterPlugin[Any]]] = manager.hook.hostcap_writers()
    return offers


CALLS: Mapping[type[PluginRecord[Any]], Callable[[PluginManager], Iterable[Iterable[PluginRecord[Any]]]]] = {
    NetworkPlugin: networks,
    ProfilesPlugin: profiles,
    StudyPlugin: studies,
    InitialStatePlugin: initial_states,
    InjectionPlugin: injections,
    AllocationPlugin: allocations,
    ConstraintPlugin: constraints,
    SolverPlugin: solvers,
    FlowsPlugin: flows,
    TracerPlugin: tracers,
    WriterPlugin: writers,
}
"""The call of each kind's hook."""
