"""Stock limits as rows, on networks of a few buses: what is watched, against what, and what is refused."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from hostcap.config import structure
from hostcap.errors import ConfigError
from hostcap.limits import THERMAL, VOLTAGE_HIGH, VOLTAGE_LOW, LimitSet, LinearLimits
from hostcap.network import Network
from hostcap.solution import Solution
from hostcap.testing.networks import SmallNetwork
from hostcap_stock.constraints.config import ThermalConfig, VoltageConfig
from hostcap_stock.constraints.thermal import Thermal
from hostcap_stock.constraints.voltage import Voltage

SQRT3 = math.sqrt(3.0)
A = complex(-0.5, SQRT3 / 2)  # 120 degrees ahead


def feeder() -> SmallNetwork:
    """22 kV bus ``hv``, 0.4 kV bus ``four`` with a neutral (group 1), 0.4 kV bus ``three`` to ground (group 2)."""
    return (
        SmallNetwork()
        .bus("hv", 22.0)
        .bus("four", 0.4, (1, 2, 3, 4), group=1)
        .bus("three", 0.4, group=2)
        .group("t1", "t2")
    )


def voltage(network: Network, **config: Any) -> list[LinearLimits]:
    found = Voltage(config=VoltageConfig(**config)).limits(network)
    assert all(isinstance(limit, LinearLimits) for limit in found)
    return list(found)  # type: ignore[arg-type]


def thermal(network: Network, **config: Any) -> LinearLimits:
    (limit,) = Thermal(config=ThermalConfig(**config)).limits(network)
    assert isinstance(limit, LinearLimits)
    return limit


def values(
    network: Network, limits: Sequence[LinearLimits], volts: dict[str, complex], amps: Sequence[complex] = ()
) -> dict[tuple[str, int, str], float]:
    """Value of every row by (equipment, terminal, phase), with voltages by ``bus.number`` and 0 elsewhere."""
    names = network.node_names(range(network.nodes.bus.size))
    state = Solution(
        node_v=[[volts.get(name, 0.0) for name in names]],
        conductor_a=[amps or [0.0] * network.conductors.node.size],
        converged=[True],
        iterations=[1],
    )
    limit_set = LimitSet(limits, group_count=len(network.groups))
    label = limit_set.labels
    keys = zip(label.equipment, label.terminal.tolist(), label.phase, strict=True)
    return dict(zip(keys, limit_set.values(state)[0].tolist(), strict=True))


def rows(limits: Sequence[LinearLimits]) -> list[tuple[str, str]]:
    return [(e, p) for limit in limits for e, p in zip(limit.labels.equipment, limit.labels.phase, strict=True)]


# --- voltage, LV ---------------------------------------------------------------------------------------------------


def test_lv_phases_are_measured_to_node_4_where_the_bus_has_one_and_else_to_ground() -> None:
    network = feeder().build()
    volts = {"four.1": 230.0, "four.2": 230j, "four.4": 10.0, "three.1": 231.0, "three.2": -232j, "three.3": 233.0}
    found = values(network, voltage(network, lv_max_v=253.0), volts)
    assert found == pytest.approx(
        {
            ("four", 0, "A"): 220.0,  # |230 - 10|
            ("four", 0, "B"): math.hypot(230.0, 10.0),
            ("four", 0, "C"): 10.0,
            ("three", 0, "A"): 231.0,
            ("three", 0, "B"): 232.0,
            ("three", 0, "C"): 233.0,
        }
    )


def test_lv_rows_are_in_volts_and_belong_to_the_group_of_the_bus() -> None:
    (limit,) = voltage(feeder().build(), lv_min_v=216.0, lv_max_v=253.0)
    assert limit.labels.group.tolist() == [1, 1, 1, 2, 2, 2]
    assert set(limit.labels.unit) == {"V"}
    assert set(limit.labels.equipment_type) == {"Bus"}
    assert set(limit.labels.v_base_v.tolist()) == {400.0}
    assert (limit.metric_high, limit.metric_low) == (VOLTAGE_HIGH, VOLTAGE_LOW)
    assert limit.lower.tolist() == [216.0] * 6
    assert limit.upper.tolist() == [253.0] * 6
    assert limit.description == "LV 216-253 V"


def test_lv_limits_per_unit_are_of_each_nodes_own_nominal() -> None:
    # 0.208 kV is 120.09 V to neutral, 0.48 kV is 277.13 V: side by side, as in the US.
    network = SmallNetwork().bus("small", 0.208, group=1).bus("big", 0.48, (1,), group=1).group("t").build()
    (limit,) = voltage(network, lv_min_pu=0.95, lv_max_pu=1.05)
    assert limit.upper.tolist() == pytest.approx([208 / SQRT3 * 1.05] * 3 + [480 / SQRT3 * 1.05])
    assert limit.lower.tolist() == pytest.approx([208 / SQRT3 * 0.95] * 3 + [480 / SQRT3 * 0.95])
    assert set(limit.labels.unit) == {"V"}
    assert limit.labels.v_base_v.tolist() == [208.0, 208.0, 208.0, 480.0]
    assert "pu" in limit.description


def test_one_side_in_volts_and_the_other_per_unit_may_be_mixed() -> None:
    (limit,) = voltage(feeder().build(), lv_min_v=216.0, lv_max_pu=1.1)
    assert limit.lower[0] == 216.0
    assert limit.upper[0] == pytest.approx(400 / SQRT3 * 1.1)


def test_a_side_that_is_not_given_is_not_watched() -> None:
    (limit,) = voltage(feeder().build(), lv_max_v=253.0)
    assert np.isnan(limit.lower).all()
    assert limit.upper.tolist() == [253.0] * 6


def test_neutrals_and_dead_nodes_are_not_watched() -> None:
    network = feeder().bus("cut", 0.4, (1, 4), group=1, live=False).bus("cuthv", 22.0, (1,), live=False).build()
    limits = voltage(network, lv_max_v=253.0, hv_max_pu=1.06)
    assert rows(limits) == [(bus, phase) for bus in ("four", "three", "hv") for phase in "ABC"]


def test_volts_that_do_not_enclose_the_nominal_are_refused_with_the_nominal_and_the_count() -> None:
    network = SmallNetwork().bus("a", 0.4, group=1).bus("b", 0.48, (1, 2), group=1).group("t").build()
    with pytest.raises(ConfigError) as caught:
        voltage(network, lv_min_v=216.0, lv_max_v=253.0)
    text = str(caught.value)
    assert "LV 216-253 V does not enclose the nominal" in text
    assert "277.1 V (2 nodes)" in text
    assert "lv_min_pu" in text
    assert "230.9" not in text


@pytest.mark.parametrize("config", [{"lv_max_v": 230.0}, {"lv_min_v": 231.0}, {"lv_min_v": 100.0, "lv_max_v": 127.0}])
def test_one_side_in_volts_on_the_wrong_side_of_the_nominal_is_refused(config: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=r"230\.9 V \(6 nodes\)"):
        voltage(feeder().build(), **config)


def test_the_nominal_of_dead_nodes_does_not_matter() -> None:
    network = feeder().bus("cut", 0.48, (1,), group=1, live=False).build()
    assert len(rows(voltage(network, lv_min_v=216.0, lv_max_v=253.0))) == 6


# --- voltage, HV ---------------------------------------------------------------------------------------------------


def test_hv_phases_are_per_unit_of_nominal_over_sqrt_3_to_ground() -> None:
    network = feeder().build()
    limits = voltage(network, hv_min_pu=0.94, hv_max_pu=1.06)
    ground = 22000 / SQRT3
    found = values(network, limits, {"hv.1": 1.05 * ground, "hv.2": 0.93 * ground * A, "hv.3": ground})
    assert found == pytest.approx({("hv", 0, "A"): 1.05, ("hv", 0, "B"): 0.93, ("hv", 0, "C"): 1.0})
    (limit,) = limits
    assert set(limit.labels.unit) == {"pu"}
    assert limit.labels.group.tolist() == [0, 0, 0]
    assert limit.labels.v_base_v.tolist() == [22000.0] * 3
    assert (limit.lower[0], limit.upper[0]) == (0.94, 1.06)


def test_hv_phases_may_be_measured_to_each_other() -> None:
    network = feeder().build()
    limits = voltage(network, hv_max_pu=1.06, hv_reference="phase-to-phase")
    ground = 22000 / SQRT3
    balanced = values(network, limits, {"hv.1": ground, "hv.2": ground * A * A, "hv.3": ground * A})
    assert balanced == pytest.approx({("hv", 0, "AB"): 1.0, ("hv", 0, "AC"): 1.0, ("hv", 0, "BC"): 1.0})
    # An earth fault on A moves the neutral point, and leaves the phases to each other as they are.
    shifted = values(network, limits, {"hv.1": 0.0, "hv.2": ground * (A * A - 1), "hv.3": ground * (A - 1)})
    assert shifted == pytest.approx(balanced)
    # A missing phase: 1 / sqrt 3 of nominal to each of the others.
    missing = values(network, limits, {"hv.1": ground, "hv.2": ground * A * A})
    assert missing[("hv", 0, "AC")] == pytest.approx(1 / SQRT3)


def test_a_two_phase_hv_bus_has_one_pair_and_a_one_phase_bus_is_watched_to_ground() -> None:
    network = SmallNetwork().bus("two", 22.0, (1, 3)).bus("one", 22.0, (2,)).bus("lv", 0.4, group=1).group("t").build()
    limits = voltage(network, hv_max_pu=1.06, hv_reference="phase-to-phase")
    assert sorted(rows(limits)) == [("one", "B"), ("two", "AC")]
    found = values(network, limits, {"two.1": 22000.0, "one.2": 1.03 * 22000 / SQRT3})
    assert found == pytest.approx({("two", 0, "AC"): 1.0, ("one", 0, "B"): 1.03})


def test_a_one_phase_hv_bus_alone_is_watched_too() -> None:
    network = SmallNetwork().bus("swer", 22.0, (1,)).bus("lv", 0.4, group=1).group("t").build()
    limits = voltage(network, hv_max_pu=1.06, hv_reference="phase-to-phase")
    assert rows(limits) == [("swer", "A")]


def test_hv_and_lv_limits_stand_side_by_side_and_each_level_has_its_own() -> None:
    limits = voltage(feeder().build(), lv_max_v=253.0, hv_min_pu=0.94)
    assert [set(limit.labels.unit) for limit in limits] == [{"V"}, {"pu"}]
    assert [limit.labels.equipment.size for limit in limits] == [6, 3]
    assert np.isnan(limits[1].upper).all()


def test_limits_for_a_level_that_the_feeder_does_not_have_watch_nothing() -> None:
    network = SmallNetwork().bus("lv", 0.4, group=1).group("t").build()
    assert voltage(network, hv_max_pu=1.06) == []
    assert voltage(network, hv_max_pu=1.06, hv_reference="phase-to-phase") == []
    with pytest.raises(ConfigError, match="nothing on this feeder is watched"):
        LimitSet(voltage(network, hv_max_pu=1.06), group_count=1)


# --- voltage, settings ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({}, "give at least one limit"),
        ({"hv_reference": "phase-to-phase"}, "give at least one limit"),
        ({"lv_min_v": 216.0, "lv_min_pu": 0.94}, "lv_min_v or lv_min_pu, not both"),
        ({"lv_max_v": 253.0, "lv_max_pu": 1.1, "lv_min_v": 216.0}, "lv_max_v or lv_max_pu, not both"),
        ({"lv_min_v": 253.0, "lv_max_v": 216.0}, r"lv_min_v \(253\) must be below lv_max_v \(216\)"),
        ({"lv_min_v": 216.0, "lv_max_v": 216.0}, "must be below"),
        ({"lv_min_pu": 1.1, "lv_max_pu": 0.9}, "lv_min_pu"),
        ({"hv_min_pu": 1.0, "hv_max_pu": 1.0}, "hv_min_pu"),
        ({"lv_max_v": -253.0}, "> 0"),
        ({"lv_max_v": 0.0}, "> 0"),
        ({"hv_max_pu": math.nan}, "finite"),
    ],
)
def test_voltage_limits_without_sense_are_refused(config: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        VoltageConfig(**config)


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({}, "give at least one limit"),
        ({"lv_max_v": 253.0, "lv_max_pu": 1.1}, "lv_max_v or lv_max_pu, not both"),
        ({"lv_max_v": "253"}, "expected a number, got '253'"),
        ({"hv_max_pu": 1.06, "hv_reference": "phase-to-neutral"}, "hv_reference: expected one of phase-to-ground"),
        ({"lv_max": 253.0}, "lv_max: unknown key"),
    ],
)
def test_a_study_file_says_where_a_voltage_limit_is_wrong(table: dict[str, Any], said: str, tmp_path: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        structure(table, VoltageConfig, path="constraints[0]", folder=tmp_path)
    assert all(line.startswith("constraints[0]") for line in caught.value.problems)
    assert said in str(caught.value)


# --- thermal -------------------------------------------------------------------------------------------------------


def rated() -> Network:
    """An HV line (A-C), an LV line with a neutral in group 1, an unrated LV line, and t1 from 22 kV to 0.4 kV."""
    return (
        feeder()
        .bus("hv2", 22.0)
        .bus("four2", 0.4, (1, 2, 3, 4), group=1)
        .line("mv", "hv", "hv2", normal=200.0, emergency=300.0)
        .line("lv", "four", "four2", (1, 2, 4), normal=100.0, emergency=150.0, group=1)
        .line("bare", "four", "four2", (3,), group=1)
        .transformer("t1", ("hv", (1, 2, 3), 2.6, 3.9), ("four", (1, 2, 3, 4), 144.0, 216.0), group=1)
        .build()
    )


def thermal_rows(limit: LinearLimits) -> list[tuple[str, int, str, float]]:
    label = limit.labels
    return [
        (str(e), int(t), str(p), float(u))
        for e, t, p, u in zip(label.equipment, label.terminal, label.phase, limit.upper, strict=True)
    ]


def test_every_phase_conductor_is_watched_at_both_ends_of_a_line_and_at_every_winding() -> None:
    found = thermal_rows(thermal(rated()))
    assert found == [
        *[("mv", 1, p, 200.0) for p in "ABC"],
        *[("mv", 2, p, 200.0) for p in "ABC"],
        *[("lv", 1, p, 100.0) for p in "AB"],
        *[("lv", 2, p, 100.0) for p in "AB"],
        *[("t1", 1, p, 2.6) for p in "ABC"],
        *[("t1", 2, p, 144.0) for p in "ABC"],
    ]


def test_thermal_rows_have_an_upper_limit_in_amps_and_the_group_of_the_equipment() -> None:
    limit = thermal(rated())
    assert np.isnan(limit.lower).all()
    assert limit.metric_high == THERMAL
    assert set(limit.labels.unit) == {"A"}
    by_equipment = dict(zip(limit.labels.equipment, limit.labels.group.tolist(), strict=True))
    # The HV winding of a distribution transformer belongs to its group; the HV line to the feeder.
    assert by_equipment == {"mv": 0, "lv": 1, "t1": 1}
    kinds = dict(zip(limit.labels.equipment, limit.labels.equipment_type, strict=True))
    assert kinds == {"mv": "Line", "lv": "Line", "t1": "Transformer"}
    bases = {
        (e, t): v for e, t, v in zip(limit.labels.equipment, limit.labels.terminal, limit.labels.v_base_v, strict=True)
    }
    assert bases[("t1", 1)] == 22000.0
    assert bases[("t1", 2)] == 400.0


def test_a_value_is_the_magnitude_of_its_conductors_current() -> None:
    network = rated()
    amps = [complex(n, -n) for n in range(network.conductors.node.size)]
    found = values(network, [thermal(network)], {}, amps)
    place = {
        (str(network.equipment.name[e]), int(t), str(p)): i
        for i, (e, t, p) in enumerate(
            zip(network.conductors.equipment, network.conductors.terminal, network.conductors.phase, strict=True)
        )
    }
    assert found == pytest.approx({key: place[key] * math.sqrt(2.0) for key in found})
    assert found[("t1", 2, "C")] > 0


@pytest.mark.parametrize(
    ("level", "expected"),
    [
        ("lv", {("lv", 1), ("lv", 2), ("t1", 2)}),
        ("hv", {("mv", 1), ("mv", 2), ("t1", 1)}),
        ("both", {("lv", 1), ("lv", 2), ("t1", 2), ("mv", 1), ("mv", 2), ("t1", 1)}),
    ],
)
def test_a_voltage_level_picks_lines_and_windings_by_the_bus_that_they_end_at(
    level: str, expected: set[tuple[str, int]]
) -> None:
    assert {(e, t) for e, t, _, _ in thermal_rows(thermal(rated(), voltage_level=level))} == expected


def test_a_percentage_scales_the_limit_and_the_emergency_basis_takes_the_other_rating() -> None:
    found = {(e, t): u for e, t, _, u in thermal_rows(thermal(rated(), percent_of_rating=80.0))}
    assert found[("mv", 1)] == pytest.approx(160.0)
    assert found[("t1", 2)] == pytest.approx(115.2)
    found = {
        (e, t): u for e, t, _, u in thermal_rows(thermal(rated(), rating_basis="emergency", percent_of_rating=110.0))
    }
    assert found[("mv", 2)] == pytest.approx(330.0)
    assert found[("t1", 1)] == pytest.approx(4.29)


def test_unrated_and_dead_conductors_are_left_out() -> None:
    network = (
        feeder()
        .bus("cut", 0.4, (1,), group=1, live=False)
        .line("dead", "cut", "cut", (1,), normal=10.0, group=1)
        .line("none", "four", "four", (1,), group=1)
        .line("zero", "four", "four", (1,), normal=0.0, group=1)
        .build()
    )
    assert Thermal().limits(network) == []
    with pytest.raises(ConfigError, match="nothing on this feeder is watched"):
        LimitSet(Thermal().limits(network), group_count=2)


def test_the_table_may_be_given_twice() -> None:
    network = rated()
    both = [thermal(network), thermal(network, rating_basis="emergency", percent_of_rating=90.0)]
    limits = LimitSet(both, group_count=2)
    assert limits.row_count == 32
    assert limits.families == (THERMAL,)


@pytest.mark.parametrize(
    ("config", "said"), [({"percent_of_rating": 0.0}, "> 0"), ({"percent_of_rating": math.inf}, "finite")]
)
def test_a_thermal_limit_without_sense_is_refused(config: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        ThermalConfig(**config)


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"voltage_level": "mv"}, "constraints[1].voltage_level: expected one of lv, hv, both, got 'mv'"),
        ({"rating_basis": "nameplate"}, "constraints[1].rating_basis: expected one of normal, emergency"),
        ({"percent_of_rating": -5}, "constraints[1].percent_of_rating: must be > 0, got -5"),
    ],
)
def test_a_study_file_says_where_a_thermal_limit_is_wrong(table: dict[str, Any], said: str, tmp_path: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        structure(table, ThermalConfig, path="constraints[1]", folder=tmp_path)
    assert said in str(caught.value)
