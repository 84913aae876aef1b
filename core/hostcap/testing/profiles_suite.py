"""The suite of profiles: shapes, signs, instants, and that a window is the sum of its parts."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest

from hostcap.errors import ProfileError
from hostcap.network import Network
from hostcap.plugins import ProfilesPlugin
from hostcap.profiles import InstantArray, PowerProfiles, Series, Window, as_datetime, as_us
from hostcap.testing.case import Case
from hostcap.testing.plugin_suite import PluginSuite

POWERS = ("load_kw", "load_kvar", "generation_kw", "generation_kvar")


class ProfilesSuite(PluginSuite):
    """What customers do over time, and named series.

    ``Case.window`` is what they are asked for; ``Case.series`` names a series that they have.
    """

    kind = ProfilesPlugin

    @pytest.fixture
    def network(self, case: Case) -> Network:
        """The feeder."""
        return case.feeder_network()

    @pytest.fixture
    def whole(self, case: Case, network: Network) -> PowerProfiles:
        """What its injectors do in the case's window."""
        profiles: PowerProfiles = case.make().customers(network, case.window)
        return profiles

    def test_instants_rise_and_lie_in_the_window(self, whole: PowerProfiles, case: Case) -> None:
        assert whole.instant.size, "nothing ends in the case's window; give Case(window=...) one where something does"
        _check_instants(whole.instant, case.window)

    def test_instants_are_intervals_apart(self, whole: PowerProfiles) -> None:
        step = np.timedelta64(round(whole.interval_minutes * 60e6), "us")
        assert (np.diff(whole.instant) % step == np.timedelta64(0, "us")).all()

    def test_every_injector_has_finite_power_in_its_natural_direction(
        self, whole: PowerProfiles, network: Network
    ) -> None:
        for name in POWERS:
            values = getattr(whole, name)
            assert values.shape == (whole.instant.size, network.injectors.name.size), name
            assert np.isfinite(values).all(), name
        assert (whole.load_kw >= 0).all()
        assert (whole.generation_kw >= 0).all()

    def test_somebody_does_something(self, whole: PowerProfiles) -> None:
        assert whole.load_kw.any() or whole.generation_kw.any()

    def test_two_parts_of_a_window_are_the_window(self, case: Case, network: Network, whole: PowerProfiles) -> None:
        middle = as_datetime(whole.instant[whole.instant.size // 2])
        if not case.window.start < middle < case.window.end:
            pytest.skip("the window holds one interval")
        profiles = case.make()
        first = profiles.customers(network, Window(start=case.window.start, end=middle))
        second = profiles.customers(network, Window(start=middle, end=case.window.end))
        assert np.array_equal(np.concatenate([first.instant, second.instant]), whole.instant)
        for name in POWERS:
            joined = np.concatenate([getattr(first, name), getattr(second, name)])
            assert np.array_equal(joined, getattr(whole, name)), name

    def test_one_instant_is_its_row(self, case: Case, network: Network, whole: PowerProfiles) -> None:
        last = whole.instant.size - 1
        one = case.make().customers(network, Window.of_instant(as_datetime(whole.instant[last])))
        assert one.instant.tolist() == whole.instant[last:].tolist()
        for name in POWERS:
            assert np.array_equal(getattr(one, name)[0], getattr(whole, name)[last]), name

    def test_asking_twice_gives_one_answer(self, case: Case, network: Network, whole: PowerProfiles) -> None:
        assert case.make().customers(network, case.window) == whole

    def test_a_series_has_a_value_for_each_instant(self, case: Case, network: Network) -> None:
        if not case.series:
            pytest.skip("the case names no series; add Case(series=...)")
        series: Series = case.make().series(network, case.series, case.window)
        assert series.name == case.series
        assert series.instant.size
        assert series.value.shape == series.instant.shape
        assert np.isfinite(series.value).all()
        _check_instants(series.instant, case.window)

    def test_a_series_that_is_not_there_is_refused_by_name(self, case: Case, network: Network) -> None:
        with pytest.raises(ProfileError, match="no-such-series"):
            case.make().series(network, "no-such-series", case.window)


def _check_instants(instant: InstantArray, window: Window) -> None:
    assert instant.dtype == np.dtype("datetime64[us]")
    assert (np.diff(instant) > np.timedelta64(0)).all()
    us = instant.astype(np.int64)
    assert us[0] > as_us(window.start), "an interval belongs to the window that it ends in, the start left out"
    assert us[-1] <= as_us(window.end)
    assert as_datetime(instant[0]).utcoffset() == timedelta(0)
