"""The kit for plugin authors: one suite for each kind of plugin, to inherit, with one fixture to override.

A whole test file::

    import pytest
    from hostcap.testing import Case, ConstraintSuite

    class TestNeutral(ConstraintSuite):
        @pytest.fixture
        def case(self):
            return Case(module="my_package.plugin", kind="constraint", name="neutral",
                        settings={"max_v": 5.0}, wrong=[{"max_v": -1.0}])

What runs: the contract (names, words, settings to a file and back, JSON Schema, light listing), shapes and units, laws
(a batch is its states in any split and order), numbers with a closed form, state (two objects, working directory,
reopening in another process), failure (what is wrong is our error, what does not converge is a result). What a plugin
declares in ``capabilities`` decides what is asked of it. ``check_plugin`` is the part that needs no pytest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hostcap.testing.case import Case
    from hostcap.testing.checking import Problem, check_plugin
    from hostcap.testing.engine_suites import NetworkSuite, SolverSuite, watched
    from hostcap.testing.flow_samples import three_bus_period
    from hostcap.testing.flow_suites import FlowsSuite, TracerSuite
    from hostcap.testing.frozen import TwoBusSource, at_nominal, two_bus, two_bus_voltage_v
    from hostcap.testing.networks import SmallNetwork, street
    from hostcap.testing.part_suites import AllocationSuite, ConstraintSuite, InitialStateSuite, InjectionSuite
    from hostcap.testing.plugin_suite import PluginSuite
    from hostcap.testing.profiles_suite import ProfilesSuite
    from hostcap.testing.result_suites import StudySuite, WriterSuite

__all__ = [
    "AllocationSuite",
    "Case",
    "ConstraintSuite",
    "FlowsSuite",
    "InitialStateSuite",
    "InjectionSuite",
    "NetworkSuite",
    "PluginSuite",
    "Problem",
    "ProfilesSuite",
    "SmallNetwork",
    "SolverSuite",
    "StudySuite",
    "TracerSuite",
    "TwoBusSource",
    "WriterSuite",
    "at_nominal",
    "check_plugin",
    "street",
    "three_bus_period",
    "two_bus",
    "two_bus_voltage_v",
    "watched",
]
_SUITES = ("plugin_suite", "part_suites", "engine_suites", "profiles_suite", "flow_suites", "result_suites")
_ROOMS = {
    "AllocationSuite": "part_suites",
    "Case": "case",
    "ConstraintSuite": "part_suites",
    "FlowsSuite": "flow_suites",
    "InitialStateSuite": "part_suites",
    "InjectionSuite": "part_suites",
    "NetworkSuite": "engine_suites",
    "PluginSuite": "plugin_suite",
    "Problem": "checking",
    "ProfilesSuite": "profiles_suite",
    "SmallNetwork": "networks",
    "SolverSuite": "engine_suites",
    "StudySuite": "result_suites",
    "TracerSuite": "flow_suites",
    "TwoBusSource": "frozen",
    "WriterSuite": "result_suites",
    "at_nominal": "frozen",
    "check_plugin": "checking",
    "street": "networks",
    "three_bus_period": "flow_samples",
    "two_bus": "frozen",
    "two_bus_voltage_v": "frozen",
    "watched": "engine_suites",
}


def __getattr__(name: str) -> Any:
    if name not in _ROOMS:
        raise AttributeError(f"module 'hostcap.testing' has no attribute {name!r}")
    from importlib import import_module

    room = _ROOMS[name]
    if room in _SUITES:
        import pytest

        # Before the suites are imported: without it an author sees a bare AssertionError.
        pytest.register_assert_rewrite(*(f"hostcap.testing.{suite}" for suite in _SUITES))
    return getattr(import_module(f"hostcap.testing.{room}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
