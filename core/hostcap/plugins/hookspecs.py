"""The hooks: one for each kind of plugin, each called once to ask what a distribution offers.

A plugin is a module (or an object) with functions of these names, marked with ``hookimpl``, and an entry point in
the group ``hostcap`` that leads to it::

    [project.entry-points.hostcap]
    my-plugins = "my_package.my_module"

Keep the module light to import: engines and pandas belong inside ``make``, or inside the object that it makes.
Write each record as a module constant, so that type checkers compare ``make`` with ``config``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    from hostcap.plugins.kinds import (
        AllocationPlugin,
        ConstraintPlugin,
        FlowsPlugin,
        InitialStatePlugin,
        InjectionPlugin,
        NetworkPlugin,
        ProfilesPlugin,
        SolverPlugin,
        StudyPlugin,
        TracerPlugin,
        WriterPlugin,
    )

PROJECT = "hostcap"
"""pluggy's project name, and the entry-point group."""
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)
"""Marks a function as an implementation of the hook of its name."""


@hookspec
def hostcap_networks() -> Iterable[NetworkPlugin[Any]]:
    """Offer network sources, which load a feeder and freeze it at its start.

    Returns:
        One ``NetworkPlugin`` for each source; its ``capabilities`` say what its frozen networks can be asked for.

    Example:
        ::

            from attrs import frozen
            from hostcap.plugins import NetworkPlugin, hookimpl

            @frozen(kw_only=True)
            class JsonNetwork:
                frequency_hz: float
                def load(self, feeder): ...
                def freeze(self, network, operating_point, settling): ...

            JSON = NetworkPlugin(name="json", summary="Feeders in JSON", config=JsonNetwork, make=lambda config: config)

            @hookimpl
            def hostcap_networks():
                return [JSON]
    """
    return ()


@hookspec
def hostcap_profiles() -> Iterable[ProfilesPlugin[Any]]:
    """Offer profiles, which say what customers do, and what named series are, over time.

    Returns:
        One ``ProfilesPlugin`` for each.

    Example:
        ::

            from attrs import frozen
            from hostcap.plugins import ProfilesPlugin, hookimpl

            @frozen(kw_only=True)
            class MeterStore:
                def customers(self, network, window): ...
                def series(self, network, name, window): ...

            STORE = ProfilesPlugin(name="meter-store", summary="Readings of the store", config=MeterStore,
                                   make=lambda config: config)

            @hookimpl
            def hostcap_profiles():
                return [STORE]
    """
    return ()


@hookspec
def hostcap_studies() -> Iterable[StudyPlugin[Any]]:
    """Offer studies, which turn a feeder and its parts into tables.

    Returns:
        One ``StudyPlugin`` for each study; its ``parts`` say which tables of a study file it takes.

    Example:
        ::

            from attrs import frozen
            from hostcap.plugins import StudyPlugin, Takes, hookimpl

            @frozen(kw_only=True)
            class StartConfig: ...

            class Start:
                def __init__(self, config, parts): self.state = parts["initial_state"]
                def run(self, job): yield from ()

            START = StudyPlugin(name="start", summary="The start alone", config=StartConfig, make=Start,
                                parts={"network": Takes(required=True), "initial_state": Takes(default="as-modelled")})

            @hookimpl
            def hostcap_studies():
                return [START]
    """
    return ()


@hookspec
def hostcap_initial_states() -> Iterable[InitialStatePlugin[Any]]:
    """Offer initial states, which pick the operating point that a search starts from.

    Returns:
        One ``InitialStatePlugin`` for each initial state.

    Example:
        ::

            from attrs import frozen
            from hostcap.plugins import InitialStatePlugin, hookimpl

            @frozen(kw_only=True)
            class Night:
                def operating_point(self, network, scope, profiles):
                    from datetime import UTC, datetime  # what only the work needs is imported by the work
                    from hostcap.operating_point import OperatingPoint
                    base, midnight = network.injectors, datetime(scope.year, 1, 1, tzinfo=UTC)
                    return OperatingPoint(instant=midnight, as_modelled=False, load_kw=base.load_kw,
                                          load_kvar=base.load_kvar, generation_kw=0.0 * base.generation_kw,
                                          generation_kvar=0.0 * base.generation_kvar)

            NIGHT = InitialStatePlugin(name="night", summary="No generation", config=Night, make=lambda config: config)

            @hookimpl
            def hostcap_initial_states():
                return [NIGHT]
    """
    return ()


@hookspec
def hostcap_injections() -> Iterable[InjectionPlugin[Any]]:
    """Offer injections, which say what one kW of growth is electrically.

    Returns:
        One ``InjectionPlugin`` for each injection.

    Example:
        ::

            from attrs import frozen
            from hostcap.plugins import InjectionPlugin, hookimpl

            @frozen(kw_only=True)
            class Heater:
                directions = ("import",)
                power_factor = 1.0
                def unit(self, direction, moment):
                    from hostcap.growth import UnitInjection  # numpy stays out of the listing of plugins
                    return UnitInjection(p_kw=-1.0, q_kvar=0.0)

            HEATER = InjectionPlugin(name="heater", summary="Resistive load", config=Heater, make=lambda config: config)

            @hookimpl
            def hostcap_injections():
                return [HEATER]
    """
    return ()


@hookspec
def hostcap_allocations() -> Iterable[AllocationPlugin[Any]]:
    """Offer allocations, which weigh growth among customers.

    Returns:
        One ``AllocationPlugin`` for each allocation.

    Example:
        ::

            from attrs import frozen
            from hostcap.plugins import AllocationPlugin, hookimpl

            @frozen(kw_only=True)
            class ByLoad:
                scaled = True
                def weights(self, frozen):
                    return frozen.operating_point.customer_kw(frozen.network).clip(0.0)

            BY_LOAD = AllocationPlugin(name="by-load", summary="As existing load", config=ByLoad, make=lambda c: c)

            @hookimpl
            def hostcap_allocations():
                return [BY_LOAD]
    """
    return ()


@hookspec
def hostcap_constraints() -> Iterable[ConstraintPlugin[Any]]:
    """Offer constraints, which state limits.

    Returns:
        One ``ConstraintPlugin`` for each constraint.

    Example:
        ::

            from attrs import field, frozen
            from hostcap.config import about, positive
            from hostcap.plugins import ConstraintPlugin, hookimpl

            @frozen(kw_only=True)
            class Neutral:
                max_v: float = field(default=10.0, validator=positive, metadata=about("Neutral to earth", unit="V"))
                def limits(self, network): ...  # a list of hostcap.limits.LinearLimits

            NEUTRAL = ConstraintPlugin(name="neutral", summary="Neutral voltage", config=Neutral, make=lambda c: c)

            @hookimpl
            def hostcap_constraints():
                return [NEUTRAL]
    """
    return ()


@hookspec
def hostcap_solvers() -> Iterable[SolverPlugin[Any]]:
    """Offer power-flow solvers, which make plans that solve states in batches.

    Returns:
        One ``SolverPlugin`` for each solver; its ``capabilities`` say what it asks a frozen network for.

    Example:
        ::

            from attrs import field, frozen
            from hostcap.config import about, positive
            from hostcap.plugins import SolverPlugin, hookimpl

            @frozen(kw_only=True)
            class GaussConfig:
                max_iterations: int = field(default=50, validator=positive, metadata=about("Iterations of a state"))

            def make(config):
                from my_package.gauss import Gauss  # the engine is imported when it is needed, not when it is listed
                return Gauss(config)

            GAUSS = SolverPlugin(name="gauss", summary="Z-bus", config=GaussConfig, make=make,
                                 capabilities={"linearise"})

            @hookimpl
            def hostcap_solvers():
                return [GAUSS]
    """
    return ()


@hookspec
def hostcap_flows() -> Iterable[FlowsPlugin[Any]]:
    """Offer flows, which give periods of solved flows to trace.

    Returns:
        One ``FlowsPlugin`` for each source of flows.

    Example:
        ::

            from pathlib import Path
            from attrs import field, frozen
            from hostcap.config import about
            from hostcap.plugins import FlowsPlugin, hookimpl

            @frozen(kw_only=True)
            class Scada:
                folder: Path = field(metadata=about("Folder with one file a day"))
                def hashes(self): ...
                def days(self): ...
                def periods(self, days): ...

            SCADA = FlowsPlugin(name="scada", summary="Measured flows", config=Scada, make=lambda config: config,
                                place="folder")

            @hookimpl
            def hostcap_flows():
                return [SCADA]
    """
    return ()


@hookspec
def hostcap_tracers() -> Iterable[TracerPlugin[Any]]:
    """Offer tracers, which share flows among users.

    Returns:
        One ``TracerPlugin`` for each tracer.

    Example:
        ::

            from attrs import frozen
            from hostcap.plugins import TracerPlugin, hookimpl

            @frozen(kw_only=True)
            class Marginal:
                mode = "marginal"
                def trace(self, period): ...
                def traces(self, periods): ...

            MARGINAL = TracerPlugin(name="marginal", summary="Shares by distribution factors", config=Marginal,
                                    make=lambda config: config)

            @hookimpl
            def hostcap_tracers():
                return [MARGINAL]
    """
    return ()


@hookspec
def hostcap_writers() -> Iterable[WriterPlugin[Any]]:
    """Offer writers, which keep tables in a folder, or elsewhere what the folder held until the run was whole.

    A writer with ``prepare`` and ``finish`` (``hostcap.plugins.RunWriter``) is asked before anything is computed, and
    told when the last chunk was written.

    Returns:
        One ``WriterPlugin`` for each writer.

    Example:
        ::

            from attrs import field, frozen
            from hostcap.config import about
            from hostcap.plugins import WriterPlugin, hookimpl

            @frozen(kw_only=True)
            class Excel:
                sheet: str = field(default="results", metadata=about("Name of the sheet"))
                def write(self, folder, chunk): ...

            EXCEL = WriterPlugin(name="excel", summary="One workbook", config=Excel, make=lambda config: config)

            @hookimpl
            def hostcap_writers():
                return [EXCEL]
    """
    return ()
