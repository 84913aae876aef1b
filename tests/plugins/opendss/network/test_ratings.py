"""Ratings of lines and windings, as an OpenDSS model states them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
from circuits import BASES, HEAD, Loaded, codes, conductors, finding, house, one_phase_unit, split_phase, unit

from hostcap.network import Network
from hostcap_stock.opendss.config import OpenDssConfig
from hostcap_stock.opendss.source import OpenDssSource

SQRT3 = math.sqrt(3.0)


def ratings(network: Network, name: str) -> list[tuple[float, float]]:
    """Normal and emergency amps by terminal; the conductors of one terminal must agree."""
    found: dict[int, set[tuple[float, float]]] = {}
    for row in conductors(network, name):
        pair = (round(float(row["normal_a"]), 6), round(float(row["emergency_a"]), 6))
        found.setdefault(int(row["terminal"]), set()).add(pair)
    assert all(len(pairs) == 1 for pairs in found.values()) or all("nan" in str(p) for p in found.values())
    return [next(iter(found[terminal])) for terminal in sorted(found)]


CODES = """new linecode.both nphases=3 r1=.3 x1=.1 normamps=250 emergamps=300
new linecode.norm nphases=3 r1=.3 x1=.1 normamps=250
new linecode.silent nphases=3 r1=.3 x1=.1
new linecode.zero nphases=3 r1=.3 x1=.1 normamps=0
new linecode.typed nphases=3 r1=.3 x1=.1 normamps=400
new wiredata.wire gmrac=.2 gmrunits=cm radius=.3 radunits=cm rac=.3 runits=km normamps=300
new wiredata.quiet gmrac=.2 gmrunits=cm radius=.3 radunits=cm rac=.3 runits=km
new linegeometry.wires nconds=3 nphases=3 cond=1 wire=wire x=0 h=9 units=m cond=2 wire=wire x=1 h=9 cond=3 wire=wire x=2 h=9
new linegeometry.own nconds=3 nphases=3 normamps=280 cond=1 wire=wire x=0 h=9 units=m cond=2 wire=wire x=1 h=9 cond=3 wire=wire x=2 h=9
new linegeometry.mute nconds=3 nphases=3 cond=1 wire=quiet x=0 h=9 units=m cond=2 wire=quiet x=1 h=9 cond=3 wire=quiet x=2 h=9
"""  # noqa: E501
NAN = math.nan
LINES = {
    "code states both": ("linecode=both", (250.0, 300.0)),
    "code states normal alone": ("linecode=norm", (250.0, 375.0)),
    "code is silent": ("linecode=silent", (NAN, NAN)),
    "code states 0": ("linecode=zero", (NAN, NAN)),
    "code states 400": ("linecode=typed", (400.0, 600.0)),
    "own amps beside a silent code": ("linecode=silent normamps=180", (180.0, 270.0)),
    "own amps that differ from the code": ("linecode=both normamps=180 emergamps=190", (180.0, 190.0)),
    "own 400 beside a silent code": ("linecode=silent normamps=400", (NAN, NAN)),
    "own amps, no code": ("r1=.3 x1=.1 normamps=400", (400.0, 600.0)),
    "own emergency beside": ("r1=.3 x1=.1 normamps=120 emergamps=130", (120.0, 130.0)),
    "nothing, no code": ("r1=.3 x1=.1", (NAN, NAN)),
    "code dropped by switch": ("linecode=norm switch=y", (250.0, 375.0)),
    "geometry of rated wires": ("geometry=wires", (300.0, 450.0)),
    "geometry with its own amps": ("geometry=own", (280.0, 420.0)),
    "geometry of silent wires": ("geometry=mute", (NAN, NAN)),
}


@pytest.fixture(scope="module")
def rated(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Network]:
    """One model with every kind of line, read with given options."""
    master = tmp_path_factory.mktemp("rated") / "master.dss"
    lines = "".join(
        f"new line.l{place} bus1=a bus2=b{place} length=.1 units=km {definition}\n"
        for place, (definition, _) in enumerate(LINES.values())
    )
    copies = "new line.copy like=l1 bus1=a bus2=c\n"
    body = HEAD + CODES + unit("t", "src", "a") + lines + copies + house("d", "b0.1") + BASES
    master.write_text(body, encoding="utf-8")

    def read(**options: Any) -> Network:
        config = OpenDssConfig(master=master, frequency_hz=50.0, **options)
        return OpenDssSource(config=config).load("f")

    return read


@pytest.mark.parametrize("name", list(LINES))
def test_a_line_rating_counts_as_the_model_states_it(rated: Callable[..., Network], name: str) -> None:
    place = list(LINES).index(name)
    for pair in ratings(rated(), f"l{place}"):
        assert pair == pytest.approx(LINES[name][1], nan_ok=True)


def test_a_copied_line_is_judged_by_its_amps(rated: Callable[..., Network]) -> None:
    assert ratings(rated(), "copy") == [(250.0, 375.0)] * 2


def test_unstated_ratings_are_counted(rated: Callable[..., Network]) -> None:
    network = rated()
    silent = sum(math.isnan(amps[0]) for _, amps in LINES.values())
    assert finding(network, "unrated-lines").count == silent
    assert f"{silent} of {len(LINES) + 1} lines" in finding(network, "unrated-lines").message
    stated_both = ("code states both", "own amps that differ from the code", "own emergency beside")
    assert finding(network, "emergency-ratings-derived").count == len(LINES) + 1 - silent - len(stated_both)


def test_the_emergency_factor_is_the_studys(rated: Callable[..., Network]) -> None:
    network = rated(emergency_factor=2.0)
    assert ratings(network, "l1") == [(250.0, 500.0)] * 2
    assert ratings(network, "l0") == [(250.0, 300.0)] * 2


def test_the_engines_defaults_are_taken_where_the_study_says_so(rated: Callable[..., Network]) -> None:
    network = rated(unrated="engine-default")
    assert ratings(network, "l2") == [(400.0, 600.0)] * 2
    assert "unrated-lines" not in codes(network)


def test_the_engines_defaults_do_not_replace_a_derived_emergency_rating(rated: Callable[..., Network]) -> None:
    """`unrated` is about lines without a normal rating; 600 A is no emergency rating of a line of 250 A."""
    assert ratings(rated(unrated="engine-default"), "l1") == [(250.0, 375.0)] * 2


def test_a_line_with_an_emergency_rating_alone_is_unrated(load: Loaded) -> None:
    code = "new linecode.odd nphases=3 r1=.3 x1=.1 emergamps=500\n"
    network = load(
        code + unit("t", "src", "a") + "new line.l bus1=a bus2=b linecode=odd length=.1\n" + house("d", "b.1")
    )
    assert finding(network, "unrated-lines").element == "l"
    for pair in ratings(network, "l"):
        assert pair == pytest.approx((NAN, NAN), nan_ok=True)  # left out of thermal limits, of either basis


@pytest.mark.parametrize(
    ("transformer", "normal"),
    [
        (unit("t", "src", "a"), [100 / (SQRT3 * 22), 100 / (SQRT3 * 0.4)]),
        (one_phase_unit("t", "src.1", "a.1"), [25 / 12.7, 25 / 0.23]),
        (
            "new transformer.t phases=2 windings=2 buses=[src.1.2 a.1.2] kvs=[22 .4] kvas=[50 50] xhl=4\n",
            [25 / (22 / SQRT3), 25 / (0.4 / SQRT3)],
        ),
        (split_phase("t", "src.1.2", "a"), [50 / 22, 25 / 0.24, 25 / 0.24]),
        (
            "new transformer.t phases=3 windings=3 buses=[src a b] conns=[delta wye wye] kvs=[22 .4 .4] "
            "kvas=[100 60 40] xhl=4 xht=4 xlt=4\n",
            [100 / (SQRT3 * 22), 60 / (SQRT3 * 0.4), 40 / (SQRT3 * 0.4)],
        ),
    ],
    ids=["3 phases", "1 phase", "2 phases", "centre-tapped", "3 windings"],
)
@pytest.mark.parametrize(("rating", "factor"), [("nameplate", 1.0), ("engine", 1.1)])
def test_windings_are_rated_by_hand_arithmetic(
    load: Loaded, transformer: str, normal: list[float], rating: str, factor: float
) -> None:
    network = load(transformer + house("d", "a.1"), transformer_rating=rating)
    expected = [(amps * factor, amps * 1.5) for amps in normal]
    for found, due in zip(ratings(network, "t"), expected, strict=True):
        assert found == pytest.approx(due, rel=1e-6)


def test_stated_normal_and_emergency_kva_set_the_ratios(load: Loaded) -> None:
    body = unit("t", "src", "a", "normhkva=120 emerghkva=130") + house("d", "a.1")
    rated_a = 100 / (SQRT3 * 0.4)
    assert ratings(load(body), "t")[1] == pytest.approx((rated_a, 1.3 * rated_a))
    assert ratings(load(body, transformer_rating="engine"), "t")[1] == pytest.approx((1.2 * rated_a, 1.3 * rated_a))
