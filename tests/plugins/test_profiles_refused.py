"""Profiles ``table``: what is not right in readings is refused, or handled by a stated rule; which files are read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import pytest
from reading_files import at, long_rows, of, profiles, window, write

from hostcap.config import structure
from hostcap.errors import ConfigError, ProfileError
from hostcap.network import Network
from hostcap.testing import street
from hostcap_stock.profiles.config import TableConfig


@pytest.fixture
def network() -> Network:
    """Two transformers, five customers, an HV load."""
    return street()


class TestWhatIsNotRight:
    def gap(self, folder: Path, name: str = "c2", place: int = 3) -> None:
        rows = long_rows()
        write(folder, [row for row in rows if not (row["customer"] == name and row["time"] == at(place)[0])])

    def test_a_gap_is_refused_by_name_and_time(self, tmp_path: Path, network: Network) -> None:
        self.gap(tmp_path)
        with pytest.raises(ProfileError, match=r"1 reading of 1 customer missing \('c2'\).*2025-01-06T13:30"):
            profiles(tmp_path).customers(network, window(1, 4))

    @pytest.mark.parametrize(
        ("rule", "kw", "mean"), [("zero", 0.0, 0.0), ("previous", 2.2, 2.2 / 4), ("as-modelled", 2.0, 0.5)]
    )
    def test_a_rule_fills_it_and_says_so(
        self, tmp_path: Path, network: Network, rule: str, kw: float, mean: float
    ) -> None:
        self.gap(tmp_path)
        found = profiles(tmp_path, missing=rule).customers(network, window(1, 4))
        assert of(found, network, "c2") == pytest.approx([2.1, 2.2, kw, 2.4])
        [finding] = [f for f in found.findings if f.code == "readings-filled"]
        assert (finding.element, finding.count, finding.kw) == ("c2", 1, pytest.approx(mean))

    def test_an_empty_cell_is_a_gap(self, tmp_path: Path, network: Network) -> None:
        rows = [row | {"out": None} if row["customer"] == "c1" else row for row in long_rows((1,))]
        write(tmp_path, rows)
        with pytest.raises(ProfileError, match="'c1'"):
            profiles(tmp_path).customers(network, window(1, 1))

    def test_the_reading_before_a_window_fills_its_first_gap(self, tmp_path: Path, network: Network) -> None:
        self.gap(tmp_path)
        found = profiles(tmp_path, missing="previous").customers(network, window(3, 3))
        assert of(found, network, "c2") == pytest.approx([2.2])

    def test_a_reading_of_more_than_a_day_before_fills_nothing(self, tmp_path: Path, network: Network) -> None:
        rows = [row for row in long_rows((1, 2, 49, 50)) if row["customer"] != "c1" or row["time"] != at(50)[0]]
        rows = [row for row in rows if row["customer"] != "c2" or row["time"] not in (at(2)[0], at(49)[0], at(50)[0])]
        write(tmp_path, rows)
        table = profiles(tmp_path, missing="previous")
        assert of(table.customers(network, window(49, 49)), network, "c2") == pytest.approx([2.1])
        with pytest.raises(ProfileError, match="takes readings of the day before, and 1 customer has none"):
            table.customers(network, window(50, 50))

    def test_a_customer_without_readings_has_a_rule_of_its_own(self, tmp_path: Path, network: Network) -> None:
        write(tmp_path, [row for row in long_rows() if row["customer"] not in ("c3", "mill")])
        with pytest.raises(ProfileError, match="2 customers have no reading: 'c3', 'mill'"):
            profiles(tmp_path).customers(network, window(1, 4))
        found = profiles(tmp_path, missing_customers="as-modelled").customers(network, window(1, 2))
        assert of(found, network, "c3") == [0.5, 0.5]
        assert of(found, network, "mill") == [40.0, 40.0]
        [finding] = [f for f in found.findings if f.code == "readings-filled"]
        assert (finding.count, finding.kw) == (4, pytest.approx(40.5))

    def test_a_gap_is_no_customer_without_readings(self, tmp_path: Path, network: Network) -> None:
        """c2 has readings elsewhere in the table, so the rule for whole customers does not fill its gap."""
        self.gap(tmp_path)
        with pytest.raises(ProfileError, match="'c2'"):
            profiles(tmp_path, missing_customers="zero").customers(network, window(3, 3))

    def test_instants_of_nobody_are_refused_left_out_or_filled(self, tmp_path: Path, network: Network) -> None:
        write(tmp_path, long_rows((1, 2, 4)))
        with pytest.raises(ProfileError, match="nobody has a reading at 1 of 4 instants, such as 2025-01-06T13:30"):
            profiles(tmp_path, missing="zero").customers(network, window(1, 4))
        found = profiles(tmp_path, missing_instants="leave-out").customers(network, window(1, 4))
        assert of(found, network, "c1") == pytest.approx([1.1, 1.2, 1.4])
        assert [f.count for f in found.findings if f.code == "instants-without-readings"] == [1]
        found = profiles(tmp_path, missing_instants="fill", missing="previous").customers(network, window(1, 4))
        assert of(found, network, "c1") == pytest.approx([1.1, 1.2, 1.2, 1.4])

    def test_a_window_outside_the_table_is_refused_with_what_it_holds(self, tmp_path: Path, network: Network) -> None:
        write(tmp_path, long_rows())
        with pytest.raises(ProfileError, match=r"the table holds 2025-01-06T12:30:00\+00:00 to 2025-01-06T14:00:00"):
            profiles(tmp_path, missing_instants="fill", missing="zero").customers(network, window(60, 61))

    def test_a_window_that_is_left_out_whole_is_no_instant(self, tmp_path: Path, network: Network) -> None:
        write(tmp_path, long_rows())
        found = profiles(tmp_path, missing_instants="leave-out").customers(network, window(60, 61))
        assert found.instant.size == 0
        assert found.load_kw.shape == (0, 7)
        assert [f.count for f in found.findings if f.code == "instants-without-readings"] == [2]

    def test_unknown_customers_are_refused_or_listed_with_their_kw(self, tmp_path: Path, network: Network) -> None:
        write(tmp_path, [*long_rows(), {"time": at(1)[0], "customer": "c9", "in": 3.0, "out": 1.0}])
        with pytest.raises(ProfileError, match="1 customer that the feeder does not have: c9"):
            profiles(tmp_path).customers(network, window(1, 4))
        found = profiles(tmp_path, unknown_customers="leave-out").customers(network, window(1, 4))
        [finding] = [f for f in found.findings if "unknown" in f.code]
        assert (finding.element, finding.count, finding.kw) == ("c9", 1, pytest.approx(1.0))

    @pytest.mark.parametrize(("rule", "kw", "dropped"), [("first", 1.1, 9.0), ("last", 9.0, 1.1)])
    @pytest.mark.parametrize("ending", ["parquet", "csv"])
    def test_duplicates(
        self, tmp_path: Path, network: Network, rule: str, kw: float, dropped: float, ending: str
    ) -> None:
        write(tmp_path, [*long_rows(), {"time": at(1)[0], "customer": "c1", "in": 9.0, "out": 0.0}], f"r.{ending}")
        with pytest.raises(ProfileError, match="1 reading is there twice"):
            profiles(tmp_path, file=f"r.{ending}").customers(network, window(1, 4))
        found = profiles(tmp_path, file=f"r.{ending}", duplicates=rule).customers(network, window(1, 4))
        assert of(found, network, "c1")[0] == pytest.approx(kw)
        [finding] = [f for f in found.findings if "duplicate" in f.code]
        assert (finding.count, finding.kw) == (1, pytest.approx(dropped / 4))

    def test_duplicates_in_two_files(self, tmp_path: Path, network: Network) -> None:
        write(tmp_path, long_rows((1,)), "a.parquet")
        write(tmp_path, [row | {"in": 0.0} for row in long_rows((1,))], "b.parquet")
        table = profiles(tmp_path, files=["a.parquet", "b.parquet"], duplicates="first")
        assert of(table.customers(network, window(1, 1)), network, "c1") == pytest.approx([1.1])

    @pytest.mark.parametrize("ending", ["parquet", "csv"])
    def test_negative_readings_are_refused(self, tmp_path: Path, network: Network, ending: str) -> None:
        rows = [row | {"in": -0.5} if row["customer"] == "c3" else row for row in long_rows((1,))]
        write(tmp_path, rows, f"r.{ending}")
        with pytest.raises(ProfileError, match=r"1 reading of import is negative, such as -0.5 kW of 'c3' at .*net"):
            profiles(tmp_path, file=f"r.{ending}").customers(network, window(1, 1))

    def test_what_is_no_number_is_named(self, tmp_path: Path, network: Network) -> None:
        write(tmp_path, [row | {"in": "much"} for row in long_rows((1,))])
        with pytest.raises(ProfileError, match="column 'in' holds string; expected numbers, not 'much'"):
            profiles(tmp_path).customers(network, window(1, 1))

    def test_infinite_readings_are_refused(self, tmp_path: Path, network: Network) -> None:
        write(tmp_path, [row | {"in": float("inf")} for row in long_rows((1,))])
        with pytest.raises(ProfileError, match="column 'in' holds infinite numbers"):
            profiles(tmp_path).customers(network, window(1, 1))

    def test_a_customer_on_a_dead_node_needs_none_and_its_kw_are_listed(self, tmp_path: Path, network: Network) -> None:
        live = network.customers.live.copy()
        live[0] = False
        dead = attrs.evolve(network, customers=attrs.evolve(network.customers, live=live))
        write(tmp_path, long_rows((1,)))
        found = profiles(tmp_path).customers(dead, window(1, 1))
        assert of(found, dead, "c1") == [0.0]
        [finding] = [f for f in found.findings if f.code == "readings-on-dead-nodes"]
        assert finding.kw == pytest.approx(1.1)
        write(tmp_path, [row for row in long_rows((1,)) if row["customer"] != "c1"])
        assert profiles(tmp_path).customers(dead, window(1, 1)).instant.size == 1

    def test_import_of_who_has_no_load_is_listed(self, tmp_path: Path, network: Network) -> None:
        write(tmp_path, [row | {"in": 0.2} if row["customer"] == "c5" else row for row in long_rows((1,))])
        [finding] = [
            f for f in profiles(tmp_path).customers(network, window(1, 1)).findings if f.code == "import-without-load"
        ]
        assert (finding.element, finding.kw) == ("c5", pytest.approx(0.2))


class TestFiles:
    @pytest.mark.parametrize(
        ("name", "text", "what"),
        [
            ("none.parquet", None, "no such file"),
            ("readings.xlsx", b"", "expected a file that ends in"),
            ("broken.parquet", b"PAR1nothing", "cannot be read"),
            ("empty.csv", b"", "cannot be read|no column"),
            ("head.csv", b"time,customer,in,out\n", "has no rows"),
            ("typo.csv", b"time,customer,inn,out\n2025-01-06T12:30Z,c1,1,1\n", "no column 'in'; did you mean 'inn'"),
            ("ragged.csv", b"time,customer,in,out\n2025-01-06T12:30Z,c1,1,1\n1,2\n", "cannot be read"),
            ("nobody.csv", b"time,customer,in,out\n2025-01-06T12:30Z,,1,1\n", "1 row without a customer"),
        ],
    )
    def test_a_file_that_cannot_be_used_is_named(
        self, tmp_path: Path, network: Network, name: str, text: bytes | None, what: str
    ) -> None:
        if text is not None:
            (tmp_path / name).write_bytes(text)
        with pytest.raises(ProfileError, match=what) as caught:
            profiles(tmp_path, file=name).customers(network, window(1, 1))
        assert name in str(caught.value)
        assert "\n" not in str(caught.value)

    @pytest.mark.parametrize(
        ("more", "what"),
        [
            ({"unit": "MWh"}, "profiles.readings.unit: expected one of kW, kWh"),
            ({"interval_minutes": 7}, "profiles.readings.interval_minutes: must divide a day"),
            ({"utc_offset": "AEST"}, "profiles.readings.utc_offset: must be an offset from UTC such as"),
            ({"files": []}, "profiles.readings.files: must not be empty"),
            ({"import_column": None, "export_column": None}, "import_column: name at least one of"),
            ({"net_column": "net"}, "net_column: stands instead of import_column and export_column"),
            ({"import_kvar_column": "q", "import_power_factor": 0.9}, "import_power_factor: import_kvar_column says"),
            ({"export_column": None, "export_power_factor": 0.9}, "export_power_factor: there is no export_column"),
            ({"layout": "wide"}, "import_column: a wide table has a column for each customer"),
            ({"import_column": "{customer}"}, "import_column: {customer} is for wide tables"),
            ({"export_column": "in"}, "export_column: 'in' is import_column already"),
            ({"import_power_factor": 1.2}, "import_power_factor: must satisfy"),
            ({"colour": "red"}, "profiles.readings.colour: unknown key"),
        ],
    )
    def test_settings_that_cannot_be_are_refused_by_name(self, tmp_path: Path, more: dict[str, Any], what: str) -> None:
        with pytest.raises(ConfigError) as caught:
            profiles(tmp_path, **more)
        assert what in str(caught.value)

    def test_nothing_at_all_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match=r"add \[profiles.readings\], \[profiles.series\], or both"):
            structure({}, TableConfig, path="profiles", folder=tmp_path)
