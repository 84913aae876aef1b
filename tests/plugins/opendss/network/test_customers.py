"""Customers of an OpenDSS model: loads, generating elements, and customer files."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from circuits import LEGS, TWO, Loaded, codes, customers_of, finding, house, refusal

from hostcap.errors import ModelError


def test_every_lv_load_is_a_customer_and_hv_loads_are_none(load: Loaded) -> None:
    network = load(TWO + house("d", "b.1") + house("e", "b.1") + house("mine", "src", "kv=22 kw=100"))
    assert customers_of(network) == {"d": ["d"], "e": ["e"]}
    place = list(network.injectors.name).index("mine")
    assert network.injectors.group[place] == 0
    assert list(network.customers.grows) == [True, True]


@pytest.mark.parametrize(
    ("houses", "generator", "owners"),
    [
        (["d"], "g", {"d": ["d", "g"]}),
        (["d", "g"], "g", {"d": ["d"], "g": ["g", "g"]}),
        (["d", "e"], "g", {"d": ["d", "g"], "e": ["e"]}),
    ],
    ids=["one customer", "several, one of equal name", "several, the first"],
)
@pytest.mark.parametrize(
    "kind",
    [
        "generator.{} bus1=b.1 phases=1 kv=.23 kw=3",
        "pvsystem.{} bus1=b.1 phases=1 kv=.23 kva=3 pmpp=3 irradiance=1",
        "storage.{} bus1=b.1 phases=1 kv=.23 kwrated=3 kwhrated=6 state=discharging",
    ],
    ids=["generator", "pvsystem", "storage"],
)
def test_a_generating_element_belongs_to_a_customer_of_its_bus(
    load: Loaded, houses: list[str], generator: str, owners: Mapping[str, list[str]], kind: str
) -> None:
    body = TWO + "".join(house(name, "b.1") for name in houses) + f"new {kind.format(generator)}\n"
    network = load(body)
    assert customers_of(network) == owners
    assert all(network.customers.grows)
    ambiguous = houses == ["d", "e"]
    assert ("generation-of-several-customers" in codes(network)) == ambiguous
    if ambiguous:
        assert finding(network, "generation-of-several-customers").kw == pytest.approx(3.0, abs=0.05)


def test_a_generating_element_alone_on_its_bus_is_a_customer_that_does_not_grow(load: Loaded) -> None:
    network = load(TWO + house("d", "a.1") + "new generator.g bus1=b.2 phases=1 kv=.23 kw=3\n")
    assert customers_of(network) == {"d": ["d"], "g": ["g"]}
    assert list(network.customers.grows) == [True, False]
    assert list(network.customers.live) == [True, True]


def test_an_hv_generator_is_no_customer(load: Loaded) -> None:
    network = load(TWO + house("d", "a.1") + "new generator.g bus1=src kv=22 kw=300\n")
    assert customers_of(network) == {"d": ["d"]}


def test_a_customer_file_joins_the_legs_of_a_house_and_carries_columns(
    load: Loaded, table: Callable[[str | bytes], Path]
) -> None:
    rows = "customer,element,pv_kw,tariff\nhouse 7,leg1,3.5,flat\nhouse 7,Load.LEG2,,\nnew,d,,time\n"
    network = load(LEGS, customers=table("\ufeff" + rows))
    assert customers_of(network) == {"house 7": ["leg1", "leg2"], "new": ["d"], "other": ["other"]}
    assert network.customers.phase_code[0] == "AB"
    assert network.customers.columns["pv_kw"].tolist() == pytest.approx([3.5, math.nan, math.nan], nan_ok=True)
    assert network.customers.columns["pv_kw"].dtype == np.float64
    assert network.customers.columns["tariff"].tolist() == ["flat", "time", ""]
    rest = finding(network, "loads-not-in-customer-table")
    assert (rest.count, rest.element, rest.kw) == (1, "other", 2.0)


@pytest.mark.parametrize(
    ("content", "fragment"),
    [
        ("element,kw\nleg1,1\n", "column 'customer' is missing; found element, kw"),
        ("customer,name\na,leg1\n", "column 'element' is missing"),
        ("customer,element\na,leg9\n", "element 'leg9' of customer 'a' is not in the model"),
        ("customer,element\na,mine\n", "element 'mine' of customer 'a' is no load at an LV bus"),
        ("customer,element\na,leg1\nb,leg1\n", "line 3: element 'leg1' already belongs to 'a'"),
        ("customer,element\na,leg1\na,other\n", "customer 'a' joins loads of two groups"),
        ("customer,element\na,leg1,7\n", "line 2"),
        ("customer,element,kw\na,leg1\n", "line 2"),
        ("customer,element\n,leg1\n", "line 2: customer and element must not be empty"),
        ("customer,element,kw\na,leg1,1\na,leg2,2\n", "line 3: kw of 'a' is 2, was 1"),
        ("customer,element\nd,leg1\n", "has the name of a load that it does not list"),
        ("customer,element\ncaf\u00e9,leg1\n".encode("latin-1"), "UTF-8"),
        ("customer,element\na,leg1\n".encode("utf-16"), "UTF-8"),
        ("", "is missing; found nothing"),
        ('customer,element\n"a,leg1\n', "cannot be read as UTF-8 CSV"),
        ("customer,element\n", "has a header alone"),
    ],
)
def test_a_wrong_customer_file_is_refused_in_one_line(
    load: Loaded, table: Callable[[str | bytes], Path], content: str | bytes, fragment: str
) -> None:
    path = table(content)
    message = refusal(lambda: load(LEGS, customers=path))
    assert message.startswith(f"network.customers: {path}: ")
    assert fragment in message


def test_a_customer_file_with_a_header_alone_does_not_miss_its_columns(
    load: Loaded, table: Callable[[str | bytes], Path]
) -> None:
    assert "is missing" not in refusal(lambda: load(LEGS, customers=table("customer,element\n")))


def test_a_customer_file_that_is_not_there_is_refused(load: Loaded, tmp_path: Path) -> None:
    message = refusal(lambda: load(LEGS, customers=tmp_path / "none.csv"))
    assert "none.csv: no such file" in message
    assert "customer, element" in message


def test_a_feeder_without_lv_customers_is_read_for_studies_that_need_none(load: Loaded) -> None:
    network = load(TWO + house("mine", "src", "kv=22 kw=100"))
    assert customers_of(network) == {} and list(network.injectors.name) == ["mine"]
    assert customers_of(load(TWO)) == {} and load(TWO).injectors.name.size == 0


def test_a_load_that_touches_ground_alone_is_no_crash(load: Loaded) -> None:
    body = TWO + house("d", "b.1") + house("z", "b.0")
    try:
        network = load(body)
    except ModelError as error:
        assert "z" in str(error)  # noqa: PT017
    else:
        assert customers_of(network)["d"] == ["d"]
