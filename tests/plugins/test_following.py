"""Starts that follow readings, with readings of a hand: which instant, which part, and what is refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from attrs import field, frozen
from hypothesis import given
from hypothesis import strategies as st

from hostcap.config import structure
from hostcap.errors import ConfigError, ProfileError
from hostcap.findings import Finding, Severity
from hostcap.network import Network
from hostcap.operating_point import FeederScope, OperatingPoint
from hostcap.plugins import InitialStatePlugin, default_registry
from hostcap.plugins.kinds import SeveralInstants
from hostcap.profiles import PowerProfiles, Series, Window, as_us
from hostcap.testing import street
from hostcap_stock.initial_states import following

NETWORK = street()
SCOPE = FeederScope(feeder="street", year=2025)
START = datetime(2025, 1, 6, tzinfo=UTC)
HALF_HOUR = timedelta(minutes=30)
FOLLOWING = ("fixed-time", "peak-import", "peak-export", "instants")


def at(place: int) -> datetime:
    """End of the half hour of a place, from 1."""
    return START + place * HALF_HOUR


@frozen(kw_only=True)
class Told:
    """Readings as told: kW that c1 and the mill (at HV) draw and c4 gives, by half hour from the first."""

    draw: list[float]
    give: list[float]
    mill: float = 0.0
    asked: list[Window] = field(factory=list)
    left_out: frozenset[int] = frozenset()

    def customers(self, network: Network, window: Window) -> PowerProfiles:
        self.asked.append(window)
        instant = window.instants(30)
        place = (instant.astype(np.int64) - as_us(START)) // 1_800_000_000 - 1
        kept = [k for k, p in enumerate(place) if p not in self.left_out]
        instant, place = instant[kept], place[kept]
        if place.size and not 0 <= place.min() <= place.max() < len(self.draw):
            raise ProfileError("outside")
        load, generation = np.zeros((2, instant.size, network.injectors.name.size))
        names = list(network.injectors.name)
        load[:, names.index("c1")] = np.asarray(self.draw)[place]
        load[:, names.index("mill")] = self.mill
        generation[:, names.index("c4")] = np.asarray(self.give)[place]
        finding = Finding(severity=Severity.WARNING, code="told", message=window.start.isoformat())
        return PowerProfiles(
            instant=instant,
            interval_minutes=30,
            load_kw=load,
            load_kvar=0.3 * load,
            generation_kw=generation,
            generation_kvar=-0.1 * generation,
            findings=(finding,),
        )

    def series(self, network: Network, name: str, window: Window) -> Series:
        raise ProfileError(name)


def made(plugin: str, **settings: Any) -> Any:
    """An initial state by the table of a study file."""
    record: Any = default_registry().get(InitialStatePlugin, plugin)
    config = structure(settings, record.config, path="initial_state", folder=Path())
    return record.make(config)


def picked(plugin: str, told: Told | None, **settings: Any) -> OperatingPoint:
    """The point that it picks."""
    point: OperatingPoint = made(plugin, **settings).operating_point(NETWORK, SCOPE, told)
    return point


def of(point: OperatingPoint, name: str, quantity: str = "load_kw") -> float:
    """What one injector does."""
    return float(getattr(point, quantity)[list(NETWORK.injectors.name).index(name)])


DAY = Told(draw=[1.0, 4.0, 4.0, 2.0, 0.5, 3.0], give=[0.0, 0.5, 0.0, 6.0, 5.0, 0.0])
"""Net import 1, 3.5, 4, -4, -4.5, 3 kW: the peaks are the third and the fifth half hour."""
WINDOW: dict[str, Any] = {"start_time": START, "end_time": at(6)}


def test_a_fixed_time_is_the_readings_of_its_interval() -> None:
    point = picked("fixed-time", DAY, start_time=at(4))
    assert point.instant == at(4)
    assert not point.as_modelled
    assert (of(point, "c1"), of(point, "c4", "generation_kw")) == (2.0, 6.0)
    assert (of(point, "c1", "load_kvar"), of(point, "c4", "generation_kvar")) == (
        pytest.approx(0.6),
        pytest.approx(-0.6),
    )
    assert [finding.code for finding in point.findings] == ["told"]


def test_an_instant_is_the_same_in_any_zone() -> None:
    """02:00 in market time of eastern Australia, UTC+10, is 16:00 UTC of the day before."""
    told = Told(draw=[float(k) for k in range(48)], give=[0.0] * 48)
    local = datetime(2025, 1, 7, 2, tzinfo=timezone(timedelta(hours=10)))
    point = picked("fixed-time", told, start_time=local)
    assert point.instant == datetime(2025, 1, 6, 16, tzinfo=UTC)
    assert of(point, "c1") == 31.0


def test_the_peak_of_net_import_is_not_that_of_load() -> None:
    point = picked("peak-import", DAY, **WINDOW)
    assert point.instant == at(3)
    assert (of(point, "c1"), of(point, "c4", "generation_kw")) == (4.0, 0.0)


def test_the_peak_of_net_export_is_not_that_of_generation() -> None:
    point = picked("peak-export", DAY, **WINDOW)
    assert point.instant == at(5)
    assert (of(point, "c1"), of(point, "c4", "generation_kw")) == (0.5, 5.0)


def test_what_draws_at_hv_is_in_the_net() -> None:
    point = picked("peak-import", Told(draw=[1.0], give=[0.0], mill=40.0), start_time=START, end_time=at(1))
    [finding] = [f for f in point.findings if f.code == "peak-instant"]
    assert finding.kw == pytest.approx(41.0)


def test_of_equal_peaks_the_earliest_counts() -> None:
    """0.1 + 0.2 is not 0.3 to a computer, and is to a meter."""
    ties = Told(draw=[0.0, 0.3, 0.1 + 0.2, 0.3], give=[0.0] * 4)
    assert picked("peak-import", ties, start_time=START, end_time=at(4)).instant == at(2)
    exports = Told(draw=[0.0] * 4, give=[0.0, 0.3, 0.1 + 0.2, 0.3])
    assert picked("peak-export", exports, start_time=START, end_time=at(4)).instant == at(2)


def test_a_window_holds_what_ends_in_it() -> None:
    """The window begins where the peak's interval ends, so that interval is the window's no more."""
    assert picked("peak-import", DAY, start_time=at(3), end_time=at(6)).instant == at(6)
    assert picked("peak-import", DAY, start_time=at(2), end_time=at(3)).instant == at(3)


def test_scaling_and_what_is_included_act_at_the_peak_and_do_not_move_it() -> None:
    """With twice the load the fifth half hour would export 4, the fourth 2; the readings' peak stays the fifth."""
    point = picked("peak-export", DAY, **WINDOW, load_scaling_factor=4.0, der_scaling_factor=0.5)
    assert point.instant == at(5)
    assert (of(point, "c1"), of(point, "c4", "generation_kw")) == (2.0, 2.5)
    assert (of(point, "c1", "load_kvar"), of(point, "c4", "generation_kvar")) == (
        pytest.approx(0.6),
        pytest.approx(-0.25),
    )
    bare = picked("peak-import", DAY, **WINDOW, include_loads=False)
    assert (bare.instant, of(bare, "c1"), of(bare, "c1", "load_kvar")) == (at(3), 0.0, 0.0)
    loads = picked("fixed-time", DAY, start_time=at(4), include_existing_der=False)
    assert (of(loads, "c1"), of(loads, "c4", "generation_kw")) == (2.0, 0.0)


def test_a_feeder_that_never_exports_says_so() -> None:
    told = Told(draw=[3.0, 1.0, 2.0], give=[0.0] * 3)
    point = picked("peak-export", told, start_time=START, end_time=at(3))
    assert point.instant == at(2)
    [finding] = [f for f in point.findings if f.severity == "warning" and f.code != "told"]
    assert finding.code == "no-net-power"
    assert "no net export" in finding.message


def test_a_long_window_is_read_in_pieces_and_the_peak_is_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "MOST_CELLS", 7 * 100)
    draw = [1.0] * 480
    draw[50], draw[300], draw[301] = 5.0, 9.0, 9.0
    told = Told(draw=draw, give=[0.0] * 480)
    point = picked("peak-import", told, start_time=START, end_time=at(480))
    assert point.instant == at(301)
    assert [w.end for w in told.asked][-1] == at(480)
    assert all(a.end == b.start for a, b in zip(told.asked, told.asked[1:], strict=False))
    assert max(w.end - w.start for w in told.asked) <= timedelta(days=2)
    assert len([f for f in point.findings if f.code == "told"]) == len(told.asked)


def test_instants_of_a_list_are_points_in_order() -> None:
    state = made("instants", instants=[at(4), at(1)])
    assert isinstance(state, SeveralInstants)
    points = state.operating_points(NETWORK, SCOPE, DAY)
    assert [point.instant for point in points] == [at(1), at(4)]
    assert [of(point, "c1") for point in points] == [1.0, 2.0]
    assert state.operating_point(NETWORK, SCOPE, DAY) == points[0]
    assert [len(point.findings) for point in points] == [1, 0]


def test_instants_of_a_window_are_all_its_intervals() -> None:
    points = made("instants", start_time=at(1), end_time=at(4)).operating_points(NETWORK, SCOPE, DAY)
    assert [point.instant for point in points] == [at(2), at(3), at(4)]


def test_instants_far_apart_are_read_apart() -> None:
    told = Told(draw=[1.0] * 480, give=[0.0] * 480)
    points = made("instants", instants=[at(1), at(3), at(400)]).operating_points(NETWORK, SCOPE, told)
    assert [point.instant for point in points] == [at(1), at(3), at(400)]
    assert sum((w.end - w.start for w in told.asked), timedelta()) < timedelta(hours=2)


def test_an_instant_without_readings_is_named() -> None:
    told = Told(draw=[1.0] * 4, give=[0.0] * 4, left_out=frozenset({1}))
    with pytest.raises(ProfileError, match=r"no interval with readings ends at 2025-01-06T01:00:00"):
        made("instants", instants=[at(1), at(2)]).operating_points(NETWORK, SCOPE, told)
    with pytest.raises(ProfileError, match=r"nobody has a reading at 2025-01-06T01:00:00"):
        picked("fixed-time", told, start_time=at(2))
    with pytest.raises(ProfileError, match="nobody has a reading from"):
        picked("peak-import", told, start_time=at(1), end_time=at(2))


@pytest.mark.parametrize(
    ("plugin", "settings"),
    [("fixed-time", {"start_time": at(1)}), ("peak-import", WINDOW), ("peak-export", WINDOW), ("instants", WINDOW)],
)
def test_without_profiles_nothing_is_followed(plugin: str, settings: dict[str, Any]) -> None:
    with pytest.raises(ProfileError, match=rf"'{plugin}' follows readings; add \[profiles\]"):
        picked(plugin, None, **settings)


@pytest.mark.parametrize(
    ("plugin", "settings", "what"),
    [
        ("fixed-time", {}, "initial_state.start_time: required key is missing"),
        ("fixed-time", {"start_time": datetime(2025, 1, 6)}, "initial_state.start_time: needs an offset"),
        ("fixed-time", {"start_time": START, "end_time": at(1)}, "initial_state.end_time: unknown key"),
        ("peak-import", {"start_time": START}, "initial_state.end_time: required key is missing"),
        ("peak-import", {"start_time": at(1), "end_time": at(1)}, "initial_state.end_time: must be after start_time"),
        ("peak-export", WINDOW | {"load_scaling_factor": -1.0}, "load_scaling_factor: must be >= 0"),
        ("peak-export", WINDOW | {"include_loads": "no"}, "include_loads: expected true or false"),
        ("instants", {}, "initial_state.instants: give a list, or start_time and end_time"),
        ("instants", WINDOW | {"instants": [at(1)]}, "initial_state.instants: give a list, or start_time and"),
        ("instants", {"instants": [at(1), at(1)]}, "initial_state.instants: names"),
        ("instants", {"start_time": at(2), "end_time": at(1)}, "initial_state.end_time: must be after start_time"),
        *((one, {"load_kw_per_customer": 1.0}, "initial_state.load_kw_per_customer: unknown key") for one in FOLLOWING),
        *(
            (one, {key: 1.0}, f"initial_state.{key}: unknown key")
            for one in ("as-modelled", "zero-load", "fixed-load")
            for key in (
                "include_loads",
                "include_existing_der",
                "load_scaling_factor",
                "der_scaling_factor",
                "end_time",
            )
        ),
        ("zero-load", {"load_kvar_per_customer": 1.0}, "initial_state.load_kvar_per_customer: unknown key"),
    ],
)
def test_keys_that_do_not_belong_to_a_mode_are_refused_by_name(
    plugin: str, settings: dict[str, Any], what: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        made(plugin, **settings)
    assert what in str(caught.value)


@given(
    st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), min_size=1, max_size=20),
    st.sampled_from(["import", "export"]),
)
def test_the_peak_is_the_first_of_the_largest(pairs: list[tuple[int, int]], direction: str) -> None:
    told = Told(draw=[a / 10 for a, _ in pairs], give=[b / 10 for _, b in pairs])
    net = [a - b if direction == "import" else b - a for a, b in pairs]
    point = picked(f"peak-{direction}", told, start_time=START, end_time=at(len(pairs)))
    assert point.instant == at(net.index(max(net)) + 1)
