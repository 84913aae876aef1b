"""Python users: parts constructed by hand, run on a network, give what a study file gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest

import hostcap_stock.demo
from hostcap import Results, WorkPackage, run
from hostcap.composing import run_study
from hostcap.errors import ConfigError, StoppedError
from hostcap.limit_rows import node_rows
from hostcap.network import Network
from hostcap_stock.constraints.config import ThermalConfig, VoltageConfig
from hostcap_stock.constraints.thermal import Thermal
from hostcap_stock.constraints.voltage import Voltage
from hostcap_stock.headroom import HVNodeHeadroom, LVHeadroom
from hostcap_stock.initial_states import ZeroLoad
from hostcap_stock.opendss.config import OpenDssConfig
from hostcap_stock.opendss.source import OpenDssSource

FOLDER = Path(hostcap_stock.demo.__file__).parent / "feeder"
LIMITS = (Voltage(config=VoltageConfig(lv_min_v=216.0, lv_max_v=253.0)), Thermal(config=ThermalConfig()))


@pytest.fixture(scope="module")
def network() -> Network:
    return OpenDssSource(config=OpenDssConfig(master=FOLDER / "Master.dss", frequency_hz=50.0)).load("demo")


def _columns(results: Results) -> dict[str, dict[str, list[Any]]]:
    """Tables by name, without the ids that derive from the run's own."""
    tables = {name: results[name] for name in results.names}
    return {
        name: {c: list(map(str, v)) for c, v in table.columns.items() if not _an_id(list(map(str, v)))}
        for name, table in tables.items()
    }


def _an_id(values: list[str]) -> bool:
    return any(len(value) == 36 and value.count("-") == 4 for value in values)


def test_composed_parts_give_the_tables_of_the_study_file(network: Network, tmp_path: Path) -> None:
    study = tmp_path / "study.toml"
    study.write_text(
        f"""name = "x"
[scope]
feeders = ["demo"]
year = 2025
[network]
plugin = "opendss"
master = "{(FOLDER / "Master.dss").as_posix()}"
frequency_hz = 50.0
[study]
plugin = "lv-headroom"
step_kw_per_customer = 0.5
max_steps = 60
[initial_state]
plugin = "zero-load"
[[constraints]]
plugin = "voltage"
lv_min_v = 216.0
lv_max_v = 253.0
[[constraints]]
plugin = "thermal"
""",
        encoding="utf-8",
    )
    composed = LVHeadroom(constraints=LIMITS, initial_state=ZeroLoad(), step_kw_per_customer=0.5, max_steps=60)
    ours, theirs = _columns(composed.run(network)), _columns(run(WorkPackage.read(study)))
    assert ours == theirs
    assert set(ours["lv_group_hosting_capacity"]["status"]) >= {"bound", "no_customers"}


class Ceiling:
    """A constraint that nobody registered, of a plain class without a repr."""

    def __init__(self, volts: float) -> None:
        self.volts = volts

    def limits(self, network: Network) -> Any:
        live = np.flatnonzero(network.nodes.live & ~network.nodes.neutral & network.node_lv)
        return [node_rows(network, live, to=network.nodes.reference[live], upper=self.volts, description="ceiling")]


def test_an_unregistered_limit_binds_like_the_stock_one_and_ids_do_not_depend_on_the_object(network: Network) -> None:
    def answer(limit: Any) -> Results:
        return LVHeadroom(constraints=[limit], step_kw_per_customer=0.5, max_steps=60).run(network)

    first, again, other = answer(Ceiling(253.0)), answer(Ceiling(253.0)), answer(Ceiling(252.0))
    stock = answer(Voltage(config=VoltageConfig(lv_max_v=253.0)))
    headroom = "headroom_kw_per_customer"
    assert first.work_package_id == again.work_package_id != other.work_package_id
    group = "lv_group_hosting_capacity"
    np.testing.assert_array_equal(first[group][headroom], stock[group][headroom])
    assert np.all(other[group][headroom] <= first[group][headroom])
    assert np.any(other[group][headroom] < first[group][headroom])


def test_no_constraint_is_refused() -> None:
    with pytest.raises(ConfigError, match="constraints: give at least one, such as"):
        LVHeadroom(constraints=[])


@pytest.mark.parametrize(
    ("parts", "told"),
    [
        ({"constraints": LIMITS[0]}, "constraints: expected a list of objects, such as"),
        ({"constraints": "voltage"}, "constraints: expected a list of objects"),
        ({"constraints": [type(LIMITS[0])]}, r"constraints: expected an object, got the class \w+; construct it"),
        ({"solver": "batched"}, "solver: expected an object that was constructed, .* got 'batched'"),
        ({"checker": "opendss"}, "checker: expected an object"),
        ({"allocation": None}, "allocation: expected an object .* got None"),
    ],
)
def test_what_is_no_part_is_one_line_before_anything_runs(parts: Any, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        LVHeadroom(**({"constraints": LIMITS} | parts))


def test_the_other_study_checks_its_parts_too() -> None:
    with pytest.raises(ConfigError, match=r"solver: expected an object .* got 'opendss'"):
        HVNodeHeadroom(constraints=LIMITS, solver="opendss")  # type: ignore[arg-type]


def test_what_is_no_network_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"network: expected a Network, .* got 'feeder'"):
        LVHeadroom(constraints=LIMITS).run("feeder")  # type: ignore[arg-type]


def test_settings_are_checked_as_in_a_study_file() -> None:
    with pytest.raises(ValueError, match="max_steps"):
        LVHeadroom(constraints=LIMITS, max_steps=0)


def test_a_network_of_no_source_is_refused(network: Network) -> None:
    with pytest.raises(ConfigError, match="has no origin"):
        LVHeadroom(constraints=LIMITS).run(attrs.evolve(network, origin=None))


def test_a_run_stops_when_asked(network: Network) -> None:
    with pytest.raises(StoppedError):
        LVHeadroom(constraints=LIMITS).run(network, should_stop=lambda: True)


def test_a_given_id_is_used_and_the_year_labels_the_tables(network: Network) -> None:
    study = LVHeadroom(constraints=LIMITS, max_steps=5)
    stamps = study.run(network, year=2031)["lv_group_hosting_capacity"]["timestamp"]
    assert set(map(str, stamps)) == {"2031-01-01T00:00:00.000000"}
    given = "8366fe7a-54d2-5230-a780-47a09cfc36a6"
    assert run_study(study._study(), network, work_package_id=given).work_package_id == given


def test_check_says_what_a_run_would_do(network: Network) -> None:
    preview = LVHeadroom(constraints=LIMITS, max_steps=60).check(network)
    assert dict(preview.facts)["states to solve at most"] == "61"
