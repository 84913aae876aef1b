"""Customers without readings follow a meter of a pool: the draw against a second writing of it, and its laws."""

from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reading_files import at, long_rows, of, profiles, window, write

from hostcap.errors import ConfigError, ProfileError
from hostcap.findings import Severity
from hostcap.network import Network
from hostcap.profiles import PowerProfiles
from hostcap.testing import street
from hostcap_stock.profiles.pool import draw

NAMES = st.lists(st.text("abcdefgh0123_-", min_size=1, max_size=6), min_size=1, max_size=12, unique=True)
SEEDS = st.integers(-(2**31), 2**31 - 1)
MASK = 2**64 - 1


def hashed(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


def weight(seed: int, feeder: str, customer: str, meter: str) -> int:
    """The rule of the page, in whole numbers of Python."""
    bits = hashed(f"{seed}\0{feeder}\0{customer}") ^ hashed(meter)
    bits = (bits ^ bits >> 30) * 0xBF58476D1CE4E5B9 & MASK
    bits = (bits ^ bits >> 27) * 0x94D049BB133111EB & MASK
    return bits ^ bits >> 31


def follows(customer: str, meters: list[str], seed: int, feeder: str) -> str:
    return max(meters, key=lambda meter: weight(seed, feeder, customer, meter))


class TestTheDraw:
    @given(customers=NAMES, meters=NAMES, seed=SEEDS)
    def test_each_customer_follows_the_meter_of_the_greatest_weight(
        self, customers: list[str], meters: list[str], seed: int
    ) -> None:
        found = draw(customers, meters, seed=seed, feeder="Street")
        assert found == {customer: follows(customer, meters, seed, "street") for customer in customers}

    @given(data=st.data(), customers=NAMES, meters=NAMES, seed=SEEDS)
    def test_order_does_not_matter(
        self, data: st.DataObject, customers: list[str], meters: list[str], seed: int
    ) -> None:
        others = data.draw(st.permutations(customers)), data.draw(st.permutations(meters))
        assert draw(*others, seed=seed, feeder="f") == draw(customers, meters, seed=seed, feeder="f")

    @given(customers=NAMES, meters=NAMES, seed=SEEDS)
    def test_who_comes_or_goes_moves_no_other(self, customers: list[str], meters: list[str], seed: int) -> None:
        whole = draw(customers, meters, seed=seed, feeder="f")
        assert draw(customers[1:], meters, seed=seed, feeder="f") == {c: whole[c] for c in customers[1:]}
        if len(meters) > 1:
            without = draw(customers, meters[1:], seed=seed, feeder="f")
            assert {c: m for c, m in without.items() if whole[c] != meters[0]} == {
                c: m for c, m in whole.items() if m != meters[0]
            }

    def test_it_is_the_same_on_every_machine(self) -> None:
        """As it was drawn when this was written."""
        found = draw(["house-1", "house-2", "house-3", "house-4"], ["a", "b", "c"], seed=1, feeder="demo")
        assert list(found.values()) == ["b", "c", "c", "a"]

    def test_every_meter_is_as_likely(self) -> None:
        """12 000 customers, 12 meters: chi-square of 11 degrees of freedom is below 31.3 but once in a thousand."""
        customers = [f"load{k}" for k in range(12_000)]
        drawn = Counter(draw(customers, [f"meter-{k}" for k in range(12)], seed=5, feeder="f").values())
        assert sum((count - 1000.0) ** 2 / 1000.0 for count in drawn.values()) < 31.3

    def test_another_seed_or_feeder_is_another_draw(self) -> None:
        """Of 1000 customers and 100 meters about ten are drawn alike by chance; 30 would be six deviations off."""
        customers, meters = [f"load{k}" for k in range(1000)], [f"m{k}" for k in range(100)]
        first = draw(customers, meters, seed=1, feeder="north")
        for seed, feeder in ((2, "north"), (1, "south")):
            other = draw(customers, meters, seed=seed, feeder=feeder)
            assert sum(first[c] == other[c] for c in customers) < 30


@pytest.fixture
def network() -> Network:
    """Two transformers, five customers, an HV load."""
    return street()


def pool_rows(meters: int = 6) -> list[dict[str, Any]]:
    """Meter k of the pool imports 10 k kW and a tenth more each half hour; the mill has readings of its own."""
    pool = [(f"Meter-{k}", 10.0 * k) for k in range(1, meters + 1)]
    return [
        {"time": when, "customer": name, "in": kw + place / 10, "out": 0.0}
        for place, when in enumerate(at(1, 2), start=1)
        for name, kw in [*pool, ("mill", 7.0)]
    ]


def pooled(folder: Path, **settings: Any) -> PowerProfiles:
    given_ = {"missing_customers": "from-pool", "seed": 3} | settings
    return profiles(folder, **given_).customers(street(), window(1, 2))


class TestThePool:
    def test_customers_without_readings_do_what_their_meters_did(self, tmp_path: Path, network: Network) -> None:
        """c5 has no load and draws none; the mill is no customer and has its own."""
        write(tmp_path, pool_rows())
        found = pooled(tmp_path, missing="zero")
        meters, drawn, mean = [f"meter-{k}" for k in range(1, 7)], [], 0.0
        for name in ("c1", "c2", "c3", "c4"):
            drawn.append(follows(name, meters, 3, "street"))
            kw = 10.0 * float(drawn[-1].removeprefix("meter-"))
            assert of(found, network, name) == pytest.approx([kw + 0.1, kw + 0.2])
            mean += kw + 0.15
        assert of(found, network, "mill") == pytest.approx([7.1, 7.2])
        assert of(found, network, "c5", "generation_kw") == [0.0, 0.0]
        notes = {finding.code: finding for finding in found.findings}
        pool = notes["readings-from-pool"]
        assert (pool.count, pool.kw, pool.severity) == (4, pytest.approx(mean), Severity.WARNING)
        assert pool.element == f"c1 as {drawn[0]}, c2 as {drawn[1]}, c3 as {drawn[2]} and 1 more"
        assert f"4 customers without readings follow {len(set(drawn))} of 6 meters of the pool" in pool.message
        assert "seed 3" in pool.message
        assert "readings-of-unknown-customers" not in notes
        assert notes["readings-filled"].element == "c5"

    def test_readings_of_ones_own_come_first(self, tmp_path: Path, network: Network) -> None:
        write(tmp_path, [*long_rows((1, 2)), *(row for row in pool_rows() if row["customer"] != "mill")])
        found = pooled(tmp_path)
        assert of(found, network, "c2") == pytest.approx([2.1, 2.2])
        [note] = [finding for finding in found.findings if finding.code == "readings-from-pool"]
        assert (note.count, note.kw, note.severity) == (0, 0.0, Severity.INFO)

    def test_meters_that_the_customer_table_names_are_no_pool(self, tmp_path: Path, network: Network) -> None:
        """c1 follows Meter-2 by the table; the others, whose cells are empty, draw among the other five."""
        write(tmp_path, pool_rows())
        column = np.asarray(["METER-2", "", "", "", ""], dtype=object)
        evolved = attrs.evolve(network, customers=attrs.evolve(network.customers, columns={"pool": column}))
        settings = {"customer_id": "pool", "missing_customers": "from-pool", "seed": 3, "missing": "zero"}
        found = profiles(tmp_path, **settings).customers(evolved, window(1, 2))
        assert of(found, network, "c1") == pytest.approx([20.1, 20.2])
        rest = [f"meter-{k}" for k in (1, 3, 4, 5, 6)]
        for name in ("c2", "c3", "c4"):
            kw = 10.0 * float(follows(name, rest, 3, "street").removeprefix("meter-"))
            assert of(found, network, name) == pytest.approx([kw + 0.1, kw + 0.2])

    @pytest.mark.parametrize("ending", ["parquet", "csv"])
    def test_order_of_rows_and_form_of_the_table_change_nothing(
        self, tmp_path: Path, network: Network, ending: str
    ) -> None:
        rows = pool_rows()
        write(tmp_path, rows)
        write(tmp_path, rows[::-1], f"back.{ending}")
        names = sorted({str(row["customer"]) for row in rows})
        cells = {(row["time"], row["customer"]): row["in"] for row in rows}
        write(tmp_path, [{"time": t, **{n: cells[t, n] for n in names}} for t in at(1, 2)], f"wide.{ending}")
        one = pooled(tmp_path, missing="zero")
        other = pooled(tmp_path, missing="zero", file=f"back.{ending}")
        wide = pooled(
            tmp_path,
            missing="zero",
            file=f"wide.{ending}",
            layout="wide",
            import_column="{customer}",
            export_column=None,
        )
        assert one.load_kw.tolist() == other.load_kw.tolist() == wide.load_kw.tolist()

    def test_the_draw_is_the_same_at_every_instant(self, tmp_path: Path, network: Network) -> None:
        """A meter without a reading in the window is drawn all the same, and is a gap."""
        rows = [row for row in pool_rows() if row["customer"] in ("mill", "Meter-1") or row["time"] == at(1)[0]]
        write(tmp_path, rows)
        table = profiles(tmp_path, missing_customers="from-pool", seed=3, missing="zero")
        late = table.customers(network, window(2, 2))
        for name in ("c1", "c2", "c3", "c4"):
            meter = follows(name, [f"meter-{k}" for k in range(1, 7)], 3, "street")
            assert of(late, network, name) == pytest.approx([10.2 if meter == "meter-1" else 0.0])

    def test_an_hv_load_without_readings_draws_none(self, tmp_path: Path) -> None:
        write(tmp_path, [row for row in pool_rows() if row["customer"] != "mill"])
        with pytest.raises(ProfileError, match=r"2 customers have no reading: 'c5', 'mill'.*set missing = \"zero\""):
            pooled(tmp_path)

    def test_a_table_without_a_pool_is_refused(self, tmp_path: Path) -> None:
        write(tmp_path, [row for row in long_rows((1, 2)) if row["customer"] != "c2"])
        with pytest.raises(ProfileError, match="each of 5 in the table is that of a customer of the feeder"):
            pooled(tmp_path)


class TestBadSettings:
    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({"missing_customers": "from-pool"}, r"seed: .*draws at random; state a whole number"),
            ({"seed": 1}, r'seed: nothing is drawn at random; remove it, or set missing_customers = "from-pool"'),
            ({"missing_customers": "from-pool", "seed": 1.5}, r"seed: expected"),
            ({"missing_customers": "from-pool", "seed": True}, r"seed: expected"),
            (
                {"missing_customers": "from-pool", "seed": 1, "unknown_customers": "leave-out"},
                r"unknown_customers: .*are the pool; remove it",
            ),
        ],
    )
    def test_one_line_says_what_is_wrong(self, tmp_path: Path, settings: dict[str, Any], message: str) -> None:
        with pytest.raises(ConfigError, match=message):
            profiles(tmp_path, **settings)
