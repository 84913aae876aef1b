"""Profiles ``table``: what files of readings say, long and wide, their times, and series."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reading_files import HALF_HOUR, NAMES, NOON, at, long_rows, of, profiles, window, write

from hostcap.config import structure
from hostcap.errors import ProfileError
from hostcap.network import Network
from hostcap.profiles import Window
from hostcap.testing import street
from hostcap_stock.profiles.config import TableConfig
from hostcap_stock.profiles.table import TableProfiles


@pytest.fixture
def network() -> Network:
    """Two transformers, five customers, an HV load."""
    return street()


class TestWhatAFileSays:
    @pytest.mark.parametrize("ending", ["parquet", "csv"])
    def test_import_is_the_loads_and_export_is_beside_it(self, tmp_path: Path, network: Network, ending: str) -> None:
        write(tmp_path, long_rows(), f"readings.{ending}")
        found = profiles(tmp_path, file=f"readings.{ending}").customers(network, window(1, 4))
        assert found.instant.tolist() == [when.replace(tzinfo=None) for when in at(1, 2, 3, 4)]
        assert of(found, network, "c2") == pytest.approx([2.1, 2.2, 2.3, 2.4])
        assert of(found, network, "mill") == pytest.approx([6.1, 6.2, 6.3, 6.4])
        assert of(found, network, "c4", "generation_kw") == [1.0, 2.0, 3.0, 4.0]
        # Metered export already holds what the customer's PV gave: the PV itself is off.
        assert of(found, network, "c4_pv", "generation_kw") == [0.0] * 4
        # c5 has no load: what it exports comes from its PV.
        assert of(found, network, "c5", "generation_kw") == [1.0, 2.0, 3.0, 4.0]

    def test_a_window_holds_what_ends_in_it(self, tmp_path: Path, network: Network) -> None:
        """12:30 to 13:30 are the half hours that end at 13:00 and 13:30, not the one that ends at 12:30."""
        write(tmp_path, long_rows())
        found = profiles(tmp_path).customers(network, Window(start=at(1)[0], end=at(3)[0]))
        assert of(found, network, "c1") == pytest.approx([1.2, 1.3])

    def test_energy_of_half_an_hour_is_twice_its_power(self, tmp_path: Path, network: Network) -> None:
        write(tmp_path, long_rows())
        found = profiles(tmp_path, unit="kWh").customers(network, window(1, 1))
        assert of(found, network, "c1") == pytest.approx([2.2])

    def test_energy_of_five_minutes_is_twelve_times(self, tmp_path: Path, network: Network) -> None:
        rows = [{"time": NOON + timedelta(minutes=5), "customer": name, "in": 0.1} for name in NAMES]
        write(tmp_path, rows)
        table = profiles(tmp_path, unit="kWh", interval_minutes=5, export_column=None)
        found = table.customers(network, Window.of_instant(NOON + timedelta(minutes=5)))
        assert of(found, network, "c1") == pytest.approx([1.2])

    @pytest.mark.parametrize("ending", ["parquet", "csv"])
    def test_starts_of_intervals_become_ends(self, tmp_path: Path, network: Network, ending: str) -> None:
        write(tmp_path, long_rows(), f"r.{ending}")
        found = profiles(tmp_path, file=f"r.{ending}", stamp="start").customers(network, window(2, 2))
        assert of(found, network, "c1") == pytest.approx([1.1])

    def test_net_readings_are_split_by_sign(self, tmp_path: Path, network: Network) -> None:
        rows = [{"time": at(1)[0], "customer": name, "net": -2.0 if name == "c1" else 3.0} for name in NAMES]
        write(tmp_path, [row for row in rows if row["customer"] != "c5"] + [rows[4] | {"net": -1.0}])
        found = profiles(tmp_path, import_column=None, export_column=None, net_column="net").customers(
            network, window(1, 1)
        )
        assert of(found, network, "c1") == [0.0]
        assert of(found, network, "c1", "generation_kw") == [2.0]
        assert of(found, network, "c2") == [3.0]

    def test_kvar_are_read_positive_consumes(self, tmp_path: Path, network: Network) -> None:
        write(tmp_path, [row | {"q": -0.5, "r": 0.25} for row in long_rows((1,))])
        table = profiles(tmp_path, import_kvar_column="q", export_kvar_column="r")
        found = table.customers(network, window(1, 1))
        assert of(found, network, "c4", "load_kvar") == [-0.5]
        assert of(found, network, "c4", "generation_kvar") == [0.25]

    def test_kvar_follow_a_power_factor(self, tmp_path: Path, network: Network) -> None:
        """0.8 lagging: 0.75 kvar consumed for each kW; 0.6 leading: 4/3 kvar supplied."""
        write(tmp_path, long_rows((1,)))
        table = profiles(tmp_path, import_power_factor=0.8, export_power_factor=-0.6)
        found = table.customers(network, window(1, 1))
        assert of(found, network, "c1", "load_kvar") == pytest.approx([1.1 * 0.75])
        assert of(found, network, "c4", "generation_kvar") == pytest.approx([-4 / 3])

    def test_no_kvar_at_all_is_said(self, tmp_path: Path, network: Network) -> None:
        write(tmp_path, long_rows((1,)))
        found = profiles(tmp_path).customers(network, window(1, 1))
        assert not found.load_kvar.any()
        assert [f.code for f in found.findings if f.severity == "info"] == ["readings-without-kvar"] * 2

    def test_names_are_found_whatever_their_case(self, tmp_path: Path, network: Network) -> None:
        write(tmp_path, [row | {"customer": row["customer"].upper()} for row in long_rows((1,))])
        assert of(profiles(tmp_path).customers(network, window(1, 1)), network, "c1") == pytest.approx([1.1])

    def test_several_files_are_one_table_and_feeders_have_their_own(self, tmp_path: Path, network: Network) -> None:
        (tmp_path / network.feeder).mkdir()
        write(tmp_path / network.feeder, long_rows((1, 2)), "a.parquet")
        write(tmp_path / network.feeder, long_rows((3, 4)), "b.csv")
        table = profiles(tmp_path, files=["{feeder}/a.parquet", "{feeder}/b.csv"])
        assert of(table.customers(network, window(1, 4)), network, "c1") == pytest.approx([1.1, 1.2, 1.3, 1.4])

    def test_a_pool_serves_customers_by_a_column_of_their_table(self, tmp_path: Path, network: Network) -> None:
        """Two customers follow one profile; numbers that a spreadsheet made of names are names again."""
        columns = {"pool": np.asarray([7.0, 7.0, 8.0, 8.0, 9.0])}
        known = attrs.evolve(network, customers=attrs.evolve(network.customers, columns=columns))
        rows = [{"time": at(1)[0], "customer": name, "in": kw} for name, kw in ((7, 1.5), (8, 2.5), (9, 0.0))]
        write(tmp_path, rows)
        table = profiles(tmp_path, customer_id="pool", export_column=None, missing="as-modelled")
        found = table.customers(known, window(1, 1))
        assert [of(found, known, name) for name in ("c1", "c2", "c3", "c4")] == [[1.5], [1.5], [2.5], [2.5]]
        assert of(found, known, "mill") == [40.0]

    def test_of_a_pool_customers_are_counted_and_not_meters(self, tmp_path: Path, network: Network) -> None:
        """Profile 7 has a gap: c1 and c2 lack a reading each, whether it is refused or filled."""
        columns = {"pool": np.asarray(["7", "7", "8", "8", "9"])}
        known = attrs.evolve(network, customers=attrs.evolve(network.customers, columns=columns))
        names = ("7", "8", "9", "mill")
        rows = [{"time": when, "customer": name, "in": 1.0} for when in at(1, 2) for name in names]
        write(tmp_path, [row for row in rows if (row["time"], row["customer"]) != (at(2)[0], "7")])
        settings_ = {"customer_id": "pool", "export_column": None}
        refused = r"2 readings of 2 customers missing \('7' of customer 'c1', '7' of customer 'c2'\)"
        with pytest.raises(ProfileError, match=refused):
            profiles(tmp_path, **settings_).customers(known, window(1, 2))
        found = profiles(tmp_path, missing="zero", **settings_).customers(known, window(1, 2))
        [finding] = [f for f in found.findings if f.code == "readings-filled"]
        assert (finding.count, finding.element) == (2, "c1, c2")
        assert finding.message.startswith("2 readings of 2 customers are missing")


class TestWide:
    def rows(self) -> list[dict[str, Any]]:
        return [
            {"time": when}
            | {f"{name} kW": number + place / 10 for number, name in enumerate(NAMES, start=1)}
            | {"c4 out": float(place)}
            for place, when in zip((1, 2, 3), at(1, 2, 3), strict=True)
        ]

    def table(self, folder: Path, **more: Any) -> TableProfiles:
        return profiles(
            folder,
            **({"layout": "wide", "import_column": "{customer} kW", "export_column": "{customer} out"} | more),
        )

    @pytest.mark.parametrize("ending", ["parquet", "csv"])
    def test_columns_are_customers(self, tmp_path: Path, network: Network, ending: str) -> None:
        write(tmp_path, self.rows(), f"wide.{ending}")
        found = self.table(tmp_path, file=f"wide.{ending}").customers(network, window(2, 3))
        assert of(found, network, "c3") == pytest.approx([3.2, 3.3])
        assert of(found, network, "c4", "generation_kw") == [2.0, 3.0]
        assert of(found, network, "c1", "generation_kw") == [0.0, 0.0]

    def test_who_has_no_column_of_export_is_listed(self, tmp_path: Path, network: Network) -> None:
        write(tmp_path, self.rows())
        [finding] = [f for f in self.table(tmp_path).customers(network, window(1, 3)).findings if "column" in f.code]
        assert (finding.code, finding.count) == ("customers-without-column", 5)

    def test_the_longest_pattern_wins(self, tmp_path: Path, network: Network) -> None:
        """`c4_out` fits `{customer}` too; it is the export of c4, not the import of c4_out."""
        rows = [{"time": at(1)[0], "c4_out": 9.0} | dict.fromkeys(NAMES, 1.0)]
        write(tmp_path, rows)
        found = self.table(tmp_path, import_column="{customer}", export_column="{customer}_out").customers(
            network, window(1, 1)
        )
        assert of(found, network, "c4", "generation_kw") == [9.0]

    def test_quantities_may_be_in_files_of_their_own(self, tmp_path: Path, network: Network) -> None:
        write(tmp_path, [{"time": at(1)[0]} | {f"{name} kW": 1.0 for name in NAMES}], "in.parquet")
        write(tmp_path, [{"time": at(1)[0]} | {f"{name} out": 2.0 for name in NAMES}], "out.parquet")
        found = self.table(tmp_path, files=["in.parquet", "out.parquet"]).customers(network, window(1, 1))
        assert of(found, network, "c1") == [1.0]
        assert of(found, network, "c1", "generation_kw") == [2.0]

    def test_a_pattern_that_fits_nothing_is_refused(self, tmp_path: Path, network: Network) -> None:
        write(tmp_path, self.rows())
        with pytest.raises(
            ProfileError, match=r"no column fits export_column = '\{customer\}_exp'; it has time, c1 kW"
        ):
            self.table(tmp_path, export_column="{customer}_exp").customers(network, window(1, 1))

    @pytest.mark.parametrize(("rule", "kw"), [("first", 1.1), ("last", 7.0)])
    def test_a_time_that_is_there_twice(self, tmp_path: Path, network: Network, rule: str, kw: float) -> None:
        rows = self.rows()
        write(tmp_path, [*rows, rows[0] | {"c1 kW": 7.0}])
        with pytest.raises(ProfileError, match="6 readings are there twice"):
            self.table(tmp_path).customers(network, window(1, 3))
        found = self.table(tmp_path, duplicates=rule).customers(network, window(1, 3))
        assert of(found, network, "c1")[0] == pytest.approx(kw)

    def test_unknown_columns_are_refused_or_listed_with_their_kw(self, tmp_path: Path, network: Network) -> None:
        write(tmp_path, [row | {"c9 kW": 3.0} for row in self.rows()])
        with pytest.raises(ProfileError, match="1 customer that the feeder does not have: c9"):
            self.table(tmp_path).customers(network, window(1, 3))
        found = self.table(tmp_path, unknown_customers="leave-out").customers(network, window(1, 3))
        [finding] = [f for f in found.findings if "unknown" in f.code]
        assert (finding.element, finding.count, finding.kw) == ("c9", 1, pytest.approx(3.0))


class TestTimes:
    @pytest.mark.parametrize("ending", ["parquet", "csv"])
    def test_naive_times_are_refused_with_the_reason(self, tmp_path: Path, network: Network, ending: str) -> None:
        rows = [row | {"time": row["time"].replace(tzinfo=None)} for row in long_rows()]
        write(tmp_path, rows, f"r.{ending}")
        with pytest.raises(ProfileError, match=r"twice in autumn and never in spring.*utc_offset"):
            profiles(tmp_path, file=f"r.{ending}").customers(network, window(1, 1))

    @pytest.mark.parametrize("ending", ["parquet", "csv"])
    def test_a_clock_that_never_changes_is_stated(self, tmp_path: Path, network: Network, ending: str) -> None:
        """Market time of eastern Australia, UTC+10: 22:30 there is 12:30 UTC."""
        rows = [row | {"time": (row["time"] + timedelta(hours=10)).replace(tzinfo=None)} for row in long_rows()]
        write(tmp_path, rows, f"r.{ending}")
        found = profiles(tmp_path, file=f"r.{ending}", utc_offset="+10:00").customers(network, window(1, 2))
        assert of(found, network, "c1") == pytest.approx([1.1, 1.2])

    def test_an_offset_behind_utc(self, tmp_path: Path, network: Network) -> None:
        rows = [
            row | {"time": (row["time"] - timedelta(hours=3, minutes=30)).replace(tzinfo=None)} for row in long_rows()
        ]
        write(tmp_path, rows)
        found = profiles(tmp_path, utc_offset="-03:30").customers(network, window(1, 1))
        assert of(found, network, "c1") == pytest.approx([1.1])

    @pytest.mark.parametrize("ending", ["parquet", "csv"])
    def test_times_of_any_zone_are_instants(self, tmp_path: Path, network: Network, ending: str) -> None:
        from zoneinfo import ZoneInfo

        rows = [row | {"time": row["time"].astimezone(ZoneInfo("Australia/Sydney"))} for row in long_rows()]
        write(tmp_path, rows, f"r.{ending}")
        found = profiles(tmp_path, file=f"r.{ending}").customers(network, window(1, 1))
        assert of(found, network, "c1") == pytest.approx([1.1])

    def test_times_that_say_their_offset_take_no_other(self, tmp_path: Path, network: Network) -> None:
        write(tmp_path, long_rows())
        with pytest.raises(ProfileError, match="states its zone, UTC; remove utc_offset"):
            profiles(tmp_path, utc_offset="+10:00").customers(network, window(1, 1))

    def test_a_clock_put_back_gives_an_hour_twice(self, tmp_path: Path, network: Network) -> None:
        """Melbourne, 6 April 2025: 02:00 to 03:00 came twice. Taken for a clock that never changes it is refused."""
        from zoneinfo import ZoneInfo

        begin = datetime(2025, 4, 5, 13, tzinfo=UTC)
        rows = [
            {"time": (begin + k * HALF_HOUR).astimezone(ZoneInfo("Australia/Melbourne")).replace(tzinfo=None)}
            | {"customer": name, "in": 1.0, "out": 0.0}
            for k in range(12)
            for name in NAMES
        ]
        write(tmp_path, rows)
        table = profiles(tmp_path, utc_offset="+11:00")
        with pytest.raises(ProfileError, match=r"12 readings are there twice.*clock put back"):
            table.customers(network, Window(start=begin, end=begin + timedelta(hours=4)))

    def test_other_intervals_than_stated_are_refused(self, tmp_path: Path, network: Network) -> None:
        write(tmp_path, long_rows())
        hourly = write(tmp_path, long_rows((2, 4, 6, 8)), "hourly.parquet")
        with pytest.raises(ProfileError, match="are 60 minutes apart, and interval_minutes is 30"):
            profiles(tmp_path, file=hourly.name, unit="kWh").customers(network, window(2, 2))
        with pytest.raises(ProfileError, match=r"12:30:00.* is not the end of an interval of 60 minutes"):
            profiles(tmp_path, interval_minutes=60).customers(network, window(2, 2))

    def test_an_instant_that_ends_no_interval_is_refused(self, tmp_path: Path, network: Network) -> None:
        write(tmp_path, long_rows())
        with pytest.raises(ProfileError, match=r"near it are 2025-01-06T12:30:00\+00:00 and 2025-01-06T13:00:00"):
            profiles(tmp_path).customers(network, Window.of_instant(NOON + timedelta(minutes=40)))

    @pytest.mark.parametrize(
        ("time", "what"), [("06/01/2025 12:30Z", "is no time"), ("soon", "is no time"), ("", "rows without a time")]
    )
    def test_what_is_no_time_is_named(self, tmp_path: Path, network: Network, time: str, what: str) -> None:
        write(tmp_path, [row | {"time": time} for row in long_rows((1,))], "r.csv")
        with pytest.raises(ProfileError, match=what):
            profiles(tmp_path, file="r.csv").customers(network, window(1, 1))

    def test_numbers_are_no_times(self, tmp_path: Path, network: Network) -> None:
        write(tmp_path, [row | {"time": 7} for row in long_rows((1,))])
        with pytest.raises(ProfileError, match="column 'time' holds int64; expected timestamps"):
            profiles(tmp_path).customers(network, window(1, 1))


def series(folder: Path, **settings_: Any) -> TableProfiles:
    """Profiles with series alone."""
    table = {"files": ["pv.csv"], "interval_minutes": 30} | settings_
    return TableProfiles(structure({"series": table}, TableConfig, path="profiles", folder=folder))


class TestSeries:
    def test_a_column_is_a_series(self, tmp_path: Path, network: Network) -> None:
        write(tmp_path, [{"time": when, "pv": place / 10} for place, when in enumerate(at(1, 2, 3))], "pv.csv")
        found = series(tmp_path).series(network, "pv", window(2, 3))
        assert found.name == "pv"
        assert found.value.tolist() == [0.1, 0.2]

    def test_rows_may_name_their_series(self, tmp_path: Path, network: Network) -> None:
        rows = [{"time": w, "profile": p, "value": i + len(p)} for i, w in enumerate(at(1, 2)) for p in ("a", "bb")]
        write(tmp_path, rows, "pv.csv")
        found = series(tmp_path, name_column="profile").series(network, "bb", window(1, 2))
        assert found.value.tolist() == [2.0, 3.0]

    def test_it_may_be_in_the_readings_own_table(self, tmp_path: Path, network: Network) -> None:
        write(tmp_path, [{"time": at(1)[0], "pv": 0.5} | {f"{name} kW": 1.0 for name in NAMES}])
        tables = {
            "readings": {
                "files": ["readings.parquet"],
                "interval_minutes": 30,
                "unit": "kW",
                "layout": "wide",
                "import_column": "{customer} kW",
            },
            "series": {"files": ["readings.parquet"], "interval_minutes": 30},
        }
        both = TableProfiles(structure(tables, TableConfig, path="profiles", folder=tmp_path))
        assert both.series(network, "pv", window(1, 1)).value.tolist() == [0.5]
        assert of(both.customers(network, window(1, 1)), network, "c1") == [1.0]

    @pytest.mark.parametrize("names", [{}, {"name_column": "name"}])
    def test_a_name_that_is_not_there_is_refused_with_those_that_are(
        self, tmp_path: Path, network: Network, names: dict[str, str]
    ) -> None:
        row = {"time": at(1)[0], "name": "north", "value": 1.0} if names else {"time": at(1)[0], "north": 1.0}
        write(tmp_path, [row], "pv.csv")
        with pytest.raises(ProfileError, match="no series named 'nort'; did you mean 'north'"):
            series(tmp_path, **names).series(network, "nort", window(1, 1))

    def test_gaps_and_duplicates_are_refused(self, tmp_path: Path, network: Network) -> None:
        write(tmp_path, [{"time": when, "pv": 0.1} for when in at(1, 2, 4)], "pv.csv")
        with pytest.raises(ProfileError, match="'pv' has no value at 1 of 4 instants, such as 2025-01-06T13:30"):
            series(tmp_path).series(network, "pv", window(1, 4))
        write(tmp_path, [{"time": when, "pv": 0.1} for when in at(1, 2, 2)], "pv.csv")
        with pytest.raises(ProfileError, match="'pv' has 1 value twice"):
            series(tmp_path).series(network, "pv", window(1, 2))

    def test_readings_do_not_make_series_nor_series_readings(self, tmp_path: Path, network: Network) -> None:
        with pytest.raises(ProfileError, match=r"add \[profiles.readings\]"):
            series(tmp_path).customers(network, window(1, 1))
        with pytest.raises(ProfileError, match=r"series 'pv' is needed; add \[profiles.series\]"):
            profiles(tmp_path).series(network, "pv", window(1, 1))


@settings(max_examples=25, deadline=None)
@given(
    kw=st.lists(st.lists(st.floats(0, 50), min_size=6, max_size=6), min_size=2, max_size=9),
    cut=st.integers(1, 8),
    order=st.randoms(use_true_random=False),
)
def test_any_order_of_rows_and_any_cut_of_the_window_is_the_same(
    tmp_path_factory: pytest.TempPathFactory, kw: list[list[float]], cut: int, order: Any
) -> None:
    folder, network = tmp_path_factory.mktemp("readings"), street()
    rows = [
        {"time": when, "customer": name, "in": value, "out": 0.0}
        for when, values in zip(at(*range(1, len(kw) + 1)), kw, strict=True)
        for name, value in zip(NAMES, values, strict=True)
    ]
    order.shuffle(rows)
    write(folder, rows)
    table = profiles(folder)
    whole = table.customers(network, window(1, len(kw)))
    for place, name in enumerate(NAMES):
        if name != "c5":
            assert of(whole, network, name) == [values[place] for values in kw]
    cut = min(cut, len(kw) - 1)
    parts = [table.customers(network, w).load_kw for w in (window(1, cut), window(cut + 1, len(kw)))]
    assert np.array_equal(np.concatenate(parts), whole.load_kw)
