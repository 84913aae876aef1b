"""Reported states of HV locations solved again by another solver: said with numbers; disagreement is a warning."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import attrs
import pytest
from hv_studying import demo_case, real_hv_cases
from test_cross_check import Odd, findings

from hostcap.errors import ConfigError, HostcapError, StoppedError
from hostcap.network import Network
from hostcap.running import run
from hostcap_stock.constraints.config import VoltageConfig
from hostcap_stock.constraints.voltage import Voltage
from hostcap_stock.headroom import HVNodeHeadroom
from hostcap_stock.opendss.config import OpenDssConfig
from hostcap_stock.opendss.source import OpenDssSource

CODES = ("cross-check", "cross-check-disagrees", "cross-check-failed")


SNAPSHOTS = {"debug_snapshots": True, "debug_snapshot_stops": 1000}


def reported(results: Any) -> int:
    """States: the start of each direction, and each site at its headroom and at its breaking step."""
    keys = ("headroom_direction", "timestamp", "growth_at", "iteration")
    return len({tuple(row[key] for key in keys) for row in results["debug_snapshots"].rows()})


@pytest.mark.parametrize(("solver", "checker"), [("batched", "opendss"), ("opendss", "batched")])
def test_two_solvers_that_share_nothing_agree_and_the_numbers_are_said(
    solver: str, checker: str, demo_folder: Path
) -> None:
    case = demo_case(demo_folder, direction="both", kinds=["dtx-hv-terminal"])
    results = case.run(study={"cross_check": checker, **SNAPSHOTS}, solver={"plugin": solver, "tolerance_pu": 1e-9})
    (found,) = findings(results, *CODES)
    assert (found["severity"], found["code"], found["element"]) == ("info", "cross-check", checker)
    assert found["count"] == reported(results)
    assert "which changes nothing" in found["message"]
    apart = float(re.search(r"at most (\S+) pu apart", found["message"]).group(1))  # type: ignore[union-attr]
    assert 0 < apart < 1e-6


@pytest.mark.shared
def test_every_reported_state_of_a_real_feeder_is_confirmed_by_the_engine(networks: Path) -> None:
    case = attrs.evolve(real_hv_cases(networks)["p1uhs23-import"], kinds=["line-tee"])
    results = case.run(study={"cross_check": "opendss", **SNAPSHOTS})
    (found,) = findings(results, *CODES)
    assert found["count"] == reported(results) > 10
    assert "which changes nothing" in found["message"]


def test_without_it_nothing_is_checked_and_the_answer_is_the_same(demo_folder: Path) -> None:
    case = demo_case(demo_folder)
    plain, checked = case.run(), case.run(study={"cross_check": "opendss"})
    assert not findings(plain, *CODES)
    for name in plain["hv_node_headroom"].columns:
        if not name.endswith("_id"):
            assert list(map(str, plain["hv_node_headroom"][name])) == list(map(str, checked["hv_node_headroom"][name]))


@pytest.fixture
def network(demo_folder: Path) -> Network:
    config = OpenDssConfig(master=demo_folder / "feeder" / "Master.dss", frequency_hz=50.0)
    return OpenDssSource(config=config).load("demo")


def composed(**more: Any) -> HVNodeHeadroom:
    limits = [Voltage(config=VoltageConfig(hv_min_pu=0.9, hv_max_pu=1.03))]
    return HVNodeHeadroom(constraints=limits, step_kw_per_node=500.0, max_steps_per_node=20, **more)


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ("diverges", ["have no solution by it: export, start"]),
        ("higher", ["break other limits by it", "have voltages more than 1e-05 pu apart"]),
        ("a little higher", ["have voltages more than 1e-05 pu apart"]),
    ],
)
def test_disagreement_is_a_warning_with_its_states(network: Network, how: str, told: list[str]) -> None:
    results = composed(checker=Odd(how)).run(network)
    warned = findings(results, "cross-check-disagrees")
    assert all(row["severity"] == "warning" for row in warned)
    for words in told:
        assert any(words in row["message"] for row in warned), [row["message"] for row in warned]
    (found,) = findings(results, "cross-check")
    assert "with disagreements" in found["message"]
    assert found["element"] == "Odd"


def test_a_checker_that_cannot_is_a_warning_and_the_answer_stays(network: Network) -> None:
    results = composed(checker=Odd("refuses")).run(network)
    (found,) = findings(results, *CODES)
    assert found["code"] == "cross-check-failed"
    assert "no form for line 7" in found["message"]
    assert list(results["hv_node_headroom"].rows())


def test_it_stops_between_states(network: Network) -> None:
    stages: list[str] = []

    def told(stage: str, done: int, most: int) -> None:
        stages.append(stage)

    with pytest.raises(StoppedError, match="stopped while cross-checking"):
        composed(checker=Odd("as it is")).run(
            network, progress=told, should_stop=lambda: stages[-1:] == ["cross-checking"]
        )


def test_a_name_alone_is_refused_in_python_and_a_solver_that_does_not_fit_in_files(
    network: Network, demo_folder: Path
) -> None:
    with pytest.raises(ConfigError, match="in Python give the solver itself as checker"):
        composed(cross_check="opendss").run(network)
    # Where pandapower is not installed, that is said first.
    with pytest.raises(HostcapError, match=r"study.cross_check:? 'pandapower'"):
        run(demo_case(demo_folder).work_package(study={"cross_check": "pandapower"}))
