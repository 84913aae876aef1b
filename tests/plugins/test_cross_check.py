"""Reported states solved again by another solver: agreement is said with numbers, disagreement is a warning."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import attrs
import pytest

from hostcap import WorkPackage, run
from hostcap.config import structure_study
from hostcap.errors import ConfigError, HostcapError, ModelError, UnknownPluginError
from hostcap.plugins import default_registry
from hostcap.power_flow import Settling, States
from hostcap.solution import Solution
from hostcap_stock.batched.solver import BatchedSolver
from hostcap_stock.constraints.config import VoltageConfig
from hostcap_stock.constraints.voltage import Voltage
from hostcap_stock.headroom import LVHeadroom
from hostcap_stock.initial_states import ZeroLoad
from hostcap_stock.opendss.config import OpenDssConfig
from hostcap_stock.opendss.source import OpenDssSource


def study(demo_folder: Path, solver: str, cross_check: str | None, **more: Any) -> Any:
    data = {
        "name": "demo",
        "scope": {"feeders": ["demo"], "year": 2025},
        "network": {
            "plugin": "opendss",
            "master": str(demo_folder / "feeder" / "Master.dss"),
            "frequency_hz": 50,
            "voltage_bases_kv": [22.0, 0.4],
        },
        "study": {
            "plugin": "lv-headroom",
            "step_kw_per_customer": 0.5,
            "max_steps": 40,
            **({"cross_check": cross_check} if cross_check else {}),
        },
        "initial_state": {"plugin": "zero-load"},
        "constraints": [
            {"plugin": "voltage", "lv_min_v": 216.0, "lv_max_v": 253.0, "hv_min_pu": 0.94, "hv_max_pu": 1.06},
            {"plugin": "thermal"},
        ],
        "solver": {"plugin": solver},
        **more,
    }
    return WorkPackage(document=structure_study(data, demo_folder, default_registry()))


def findings(results: Any, *codes: str) -> list[Any]:
    return [row for row in results["findings"].rows() if row["code"] in codes]


@pytest.mark.parametrize(("solver", "checker"), [("batched", "opendss"), ("opendss", "batched")])
def test_two_solvers_that_share_nothing_agree_and_the_numbers_are_said(
    demo_folder: Path, solver: str, checker: str
) -> None:
    results = run(study(demo_folder, solver, checker))
    assert not results.failed
    (found,) = findings(results, "cross-check", "cross-check-disagrees", "cross-check-failed")
    assert (found["severity"], found["code"], found["element"]) == ("info", "cross-check", checker)
    # The start, each breaking state, the last solved step and the final levels, each once.
    steps = {row["iteration"] for row in results["constraint_violations"].rows()} | {0}
    assert len(steps) + 1 <= found["count"] <= len(steps) + 2
    apart = float(re.search(r"at most (\S+) pu apart", found["message"]).group(1))  # type: ignore[union-attr]
    assert 0 < apart < 1e-5


@pytest.mark.parametrize("solver", ["batched", "opendss"])
def test_a_solver_that_would_agree_with_itself_is_refused(demo_folder: Path, solver: str) -> None:
    with pytest.raises(HostcapError, match=f"study.cross_check: '{solver}' is the study's own solver"):
        run(study(demo_folder, solver, solver))


def test_without_it_nothing_is_checked_and_the_tables_are_the_same(demo_folder: Path) -> None:
    plain, checked = (run(study(demo_folder, "batched", c)) for c in (None, "opendss"))
    assert not findings(plain, "cross-check")
    for name in ("lv_group_hosting_capacity", "customer_allocations"):
        a, b = (
            [{key: str(value) for key, value in row.items() if not key.endswith("_id")} for row in r[name].rows()]
            for r in (plain, checked)
        )
        assert a == b


def test_a_solver_that_does_not_fit_the_network_is_an_error_that_names_both(demo_folder: Path) -> None:
    # Where pandapower is not installed, that is said first.
    with pytest.raises(HostcapError, match=r"study.cross_check:? 'pandapower'"):
        study(demo_folder, "batched", "pandapower").study()


def test_a_misspelled_solver_is_answered(demo_folder: Path) -> None:
    with pytest.raises(UnknownPluginError, match="did you mean 'opendss'"):
        study(demo_folder, "batched", "opendds").study()


class Odd:
    """A solver that gives other answers than ``batched``."""

    laws, needs, states_at_once, settling = BatchedSolver().laws, BatchedSolver().needs, 1, Settling()

    def __init__(self, how: str) -> None:
        self.how = how

    def plan(self, *arguments: Any) -> Any:
        if self.how == "refuses":
            raise ModelError("no form for line 7")
        inner, how = BatchedSolver().plan(*arguments), self.how
        limits, start = arguments[2], arguments[0].start

        class Plan:
            def solve(self, levels: Any, want: Any) -> States:
                states = inner.solve(levels, {"nodes", "branches"})
                assert states.solution is not None
                factor = {"higher": 1.01, "a little higher": 1.0 + 3e-5}.get(how, 1.0)
                converged = states.converged & (how != "diverges")
                solution = attrs.evolve(states.solution, node_v=states.solution.node_v * factor, converged=converged)
                return States(
                    converged=converged,
                    iterations=states.iterations,
                    violations=limits.violations(solution, start),
                    solution=Solution(**{f.name: getattr(solution, f.name) for f in attrs.fields(Solution)}),
                )

            def close(self) -> None:
                inner.close()

        return Plan()


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ("diverges", ["have no solution by it: export, start"]),
        ("higher", ["break other limits by it", "have voltages more than 1e-05 pu apart"]),
        ("a little higher", ["have voltages more than 1e-05 pu apart"]),
    ],
)
def test_disagreement_is_a_warning_with_its_states(demo_folder: Path, how: str, told: list[str]) -> None:
    config = OpenDssConfig(master=demo_folder / "feeder" / "Master.dss", frequency_hz=50.0)
    network = OpenDssSource(config=config).load("demo")
    composed = LVHeadroom(
        constraints=[Voltage(config=VoltageConfig(lv_min_v=216.0, lv_max_v=253.0))],
        initial_state=ZeroLoad(),
        step_kw_per_customer=1.0,
        max_steps=20,
        checker=Odd(how),
    )
    results = composed.run(network)
    warned = findings(results, "cross-check-disagrees")
    assert all(row["severity"] == "warning" for row in warned)
    for words in told:
        assert any(words in row["message"] for row in warned), [row["message"] for row in warned]
    assert "with disagreements" in findings(results, "cross-check")[0]["message"]


def test_a_checker_that_cannot_is_a_warning_and_the_answer_stays(demo_folder: Path) -> None:
    config = OpenDssConfig(master=demo_folder / "feeder" / "Master.dss", frequency_hz=50.0)
    network = OpenDssSource(config=config).load("demo")
    limits = [Voltage(config=VoltageConfig(lv_max_v=253.0))]
    composed = LVHeadroom(constraints=limits, initial_state=ZeroLoad(), max_steps=20, checker=Odd("refuses"))
    results = composed.run(network)
    (found,) = findings(results, "cross-check-failed")
    assert "no form for line 7" in found["message"]
    assert list(results["lv_group_hosting_capacity"].rows())


def test_a_name_alone_is_refused_in_python(demo_folder: Path) -> None:
    config = OpenDssConfig(master=demo_folder / "feeder" / "Master.dss", frequency_hz=50.0)
    network = OpenDssSource(config=config).load("demo")
    limits = [Voltage(config=VoltageConfig(lv_max_v=253.0))]
    with pytest.raises(ConfigError, match="in Python give the solver itself as checker"):
        LVHeadroom(constraints=limits, cross_check="opendss").run(network)
