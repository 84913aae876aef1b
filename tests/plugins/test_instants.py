"""Several instants in one run: each as if it were run alone, and the least of them, group by group."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest
from attrs import frozen
from instants import MIDNIGHT, RUN_ID, Day, OneInstant, run_from, table
from studying import Case, demo_cases, real_cases

from hostcap._arrays import FloatArray
from hostcap.errors import HostcapError, NotConvergedError, StoppedError
from hostcap.findings import Finding, Severity
from hostcap.growth import Directions
from hostcap.network import Network
from hostcap.plugins.kinds import SeveralInstants
from hostcap.power_flow import FrozenNetwork
from hostcap.tables import Chunk, Results, Table
from hostcap_stock.headroom.joining import joined_findings
from hostcap_stock.headroom.summary import by_transformer
from hostcap_stock.injections import NegativeLoad, NegativeLoadConfig

SOLVERS = ["opendss", "batched"]
PUBLISHED = ["lv_group_hosting_capacity", "customer_allocations", "constraint_violations", "binding_constraints"]
GROUP = "capacity_group_head_id"


def loaded(case: Case, solver: str) -> tuple[Any, Network]:
    """The work package of a case, and its feeder."""
    work_package = case.work_package(solver={"plugin": solver})
    return work_package, work_package.source().load("f")


def listed(tables: Sequence[Table], keep: Any = lambda row: True) -> list[str]:
    """Rows of tables as text, to the last digit of every number."""
    return [repr(row) for found in tables for row in found.rows() if keep(row)]


def assert_each_is_alone(case: Case, day: Day, solver: str, **changes: Any) -> tuple[Chunk, list[Chunk]]:
    """One run of a day against a run of each instant: every row is one of theirs, byte for byte."""
    work_package, network = loaded(case, solver)
    together = run_from(work_package, network, day, **changes)
    alone = [run_from(work_package, network, OneInstant(day=day, number=i), **changes) for i in range(day.count)]
    profile = list(table(together, "headroom_profile").rows())
    groups = [list(table(chunk, PUBLISHED[0]).rows()) for chunk in alone]
    directions = sorted({row["headroom_direction"] for row in profile})
    assert len(profile) == len(directions) * day.count * len(network.groups)
    shared = set(profile[0]) & set(groups[0][0])
    expected = [
        {name: row[name] for name in shared}
        for direction in directions
        for rows in groups
        for row in rows
        if row["headroom_direction"] == direction
    ]
    assert [repr({name: row[name] for name in shared}) for row in profile] == [repr(row) for row in expected]
    answering = {(r["headroom_direction"], r[GROUP]): r["timestamp"] for r in profile if r["is_least"]}
    assert len(answering) == len(directions) * len(network.groups)

    # The published tables hold the rows of each group's own instant and no other.
    for name in PUBLISHED[:2]:
        own = listed(
            [table(chunk, name) for chunk in alone],
            lambda row: answering[row["headroom_direction"], row[GROUP]] == row["timestamp"],
        )
        assert sorted(listed([table(together, name)])) == sorted(own)
        order = [str(head) for head in table(together, name)[GROUP]]
        first = list(dict.fromkeys(order))
        assert first == [str(g) for g in network.groups.id if str(g) in set(order)]
    sets = {row["binding_id"] for row in table(together, PUBLISHED[0]).rows()} - {None}
    for name in PUBLISHED[2:]:
        own = listed([table(chunk, name) for chunk in alone], lambda row: row["binding_id"] in sets)
        assert sorted(listed([table(together, name)], lambda row: row["binding_id"] is not None)) == sorted(own)
    return together, alone


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("name", ["export", "import", "no-lock"])
def test_instants_of_the_demo_are_each_alone_byte_for_byte(name: str, solver: str, demo_folder: Path) -> None:
    case = demo_cases(demo_folder)[name]
    together, _ = assert_each_is_alone(case, Day(count=5, mean_kw=0.8), solver)
    assert len({row["timestamp"] for row in table(together, PUBLISHED[0]).rows()}) > 1, "instants differ by group"


@pytest.mark.parametrize("solver", SOLVERS)
def test_instants_of_both_directions_are_each_alone(solver: str, demo_folder: Path) -> None:
    both = NegativeLoad(config=NegativeLoadConfig(direction=Directions.BOTH, power_factor=0.95))
    together, _ = assert_each_is_alone(demo_cases(demo_folder)["export"], Day(count=3), solver, injection=both)
    assert set(table(together, PUBLISHED[0])["headroom_direction"]) == {"export", "import"}


def test_both_solvers_give_one_profile(demo_folder: Path) -> None:
    case, day = demo_cases(demo_folder)["import"], Day(count=4, mean_kw=0.8)
    one, other = (table(run_from(*loaded(case, solver), day), "headroom_profile") for solver in SOLVERS)
    for name in ("headroom_kw_per_customer", "status", "is_least", "total_kw_added"):
        assert one[name].tolist() == other[name].tolist()


@pytest.mark.shared
@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("name", ["p1uhs23-export", "csiro-n-import"])
def test_instants_of_a_real_feeder_are_each_alone(name: str, solver: str, networks: Path) -> None:
    assert_each_is_alone(attrs.evolve(real_cases(networks)[name], max_steps=60), Day(count=4), solver)


def test_equal_headroom_goes_to_the_earliest_instant_and_the_least_to_its_own(demo_folder: Path) -> None:
    """Three equal instants and a fourth of more load: by hand, import headroom is less there in every bound group."""

    @frozen(kw_only=True)
    class Stairs(Day):
        def operating_points(self, *args: Any) -> Any:
            points = super().operating_points(*args)
            first = points[0]
            kw = first.load_kw
            same = [attrs.evolve(first, instant=p.instant) for p in points[:3]]
            return [*same, attrs.evolve(points[3], load_kw=2.0 * kw, load_kvar=2.0 * first.load_kvar)]

    work_package, network = loaded(demo_cases(demo_folder)["import"], "batched")
    chunk = run_from(work_package, network, Stairs(count=4, mean_kw=0.5))
    profile = table(chunk, "headroom_profile")
    kw = profile["headroom_kw_per_customer"].reshape(4, -1)
    assert (kw[0] == kw[1]).all() and (kw[1] == kw[2]).all()
    least = profile["is_least"].reshape(4, -1)
    assert least.sum(axis=0).tolist() == [1] * len(network.groups)
    assert not least[1:3].any()
    assert (least[3] == (kw[3] < kw[0])).all()
    assert least[3].any()


@frozen(kw_only=True)
class Only:
    """An allocation that lets customers grow at some instants alone."""

    grows_at: frozenset[int]
    scaled: bool = True

    def weights(self, frozen: FrozenNetwork) -> FloatArray:
        minutes = (frozen.operating_point.instant - MIDNIGHT) / timedelta(minutes=30)
        customers = frozen.network.customers
        first = customers.group == 1
        return np.where(first & (round(minutes) - 1 not in self.grows_at), 0.0, 1.0)


def test_an_instant_at_which_nothing_grows_says_nothing_unless_it_never_does(demo_folder: Path) -> None:
    case, day = demo_cases(demo_folder)["export"], Day(count=3)
    for grows_at, expected in ((frozenset({1}), "bound"), (frozenset(), "no_growth")):
        work_package, network = loaded(case, "batched")
        chunk = run_from(work_package, network, day, allocation=Only(grows_at=frozenset(grows_at)))
        row = next(table(chunk, PUBLISHED[0]).rows())
        assert row["status"] == expected
        instant = MIDNIGHT + timedelta(minutes=30 * (2 if grows_at else 1))
        assert row["timestamp"] == np.datetime64(instant.replace(tzinfo=None), "us")


def test_a_start_that_does_not_converge_names_its_instant(demo_folder: Path) -> None:
    work_package, network = loaded(demo_cases(demo_folder)["export"], "batched")

    @frozen
    class Failing:
        source: Any

        def freeze(self, network: Network, point: Any, settling: Any) -> Any:
            if point.instant > MIDNIGHT + timedelta(minutes=30):
                raise NotConvergedError("the start does not converge", iterations=7)
            return self.source.freeze(network, point, settling)

    job = attrs.evolve(work_package.job(network, RUN_ID), source=Failing(work_package.source()))
    study = attrs.evolve(work_package.study(), initial_state=Day(count=2))
    with pytest.raises(NotConvergedError, match="instant 2025-01-01T01:00Z: the start does not converge") as caught:
        list(study.run(job))
    assert caught.value.iterations == 7


@pytest.mark.parametrize("order", [[], [1, 0], [0, 0]])
def test_instants_that_do_not_rise_are_refused(order: list[int], demo_folder: Path) -> None:
    @frozen(kw_only=True)
    class Wrong(Day):
        def operating_points(self, *args: Any) -> Any:
            points = super().operating_points(*args)
            return [points[i] for i in order]

    work_package, network = loaded(demo_cases(demo_folder)["export"], "batched")
    with pytest.raises(HostcapError, match=r"'day' gives the instants .*one or more, rising"):
        run_from(work_package, network, Wrong(count=2))


def test_one_instant_alone_has_a_profile_and_a_plain_start_has_none(demo_folder: Path) -> None:
    work_package, network = loaded(demo_cases(demo_folder)["export"], "batched")
    assert isinstance(Day(count=1), SeveralInstants)
    assert not isinstance(OneInstant(day=Day(count=1), number=0), SeveralInstants)
    one = run_from(work_package, network, Day(count=1))
    plain = run_from(work_package, network, OneInstant(day=Day(count=1), number=0))
    assert [t.name for t in one.tables if t.name not in {u.name for u in plain.tables}] == ["headroom_profile"]
    assert table(one, "headroom_profile")["is_least"].all()
    printed, unprinted = (
        by_transformer(Results(work_package_id=RUN_ID, chunks=(found,)))[0].schema.names for found in (one, plain)
    )
    assert "instant" in printed, "all answer at one instant, and which it is stands beside them"
    assert "instant" not in unprinted


def test_findings_of_several_instants_say_where_and_are_told_once(demo_folder: Path) -> None:
    case = demo_cases(demo_folder)["import"]
    work_package, network = loaded(case, "batched")
    chunk = run_from(work_package, network, Day(count=4, mean_kw=2.5))
    told = [row["message"] for row in table(chunk, "findings").rows()]
    assert len(told) == len(set(told))
    about = [m for m in told if m.startswith("at 2025-01-01T")]
    assert about, told
    network_findings = {f.message for f in network.findings}
    assert network_findings <= set(told)


def test_of_many_findings_of_one_kind_a_few_are_told_and_the_rest_is_counted() -> None:
    def finding(code: str, number: int) -> Finding:
        return Finding(severity=Severity.WARNING, code=code, message=f"number {number}")

    found = [(f"at {i}", finding("broken", i)) for i in range(8)]
    found += [("at 0", finding("alike", 1)), ("at 1", finding("alike", 1)), ("at 2", finding("alike", 1))]
    found += [("", finding("once", 1)), ("", finding("once", 1))]
    told = joined_findings(found)
    assert [f.message for f in told] == [
        "at 0: number 0",
        "at 1: number 1",
        "at 2: number 2",
        "at 3, at 4 and 3 more: the same with other numbers; search these instants alone to read them",
        "at 0, at 1 and 1 more: number 1",
        "number 1",
    ]
    assert [f.count for f in told if f.code == "broken"] == [1, 1, 1, 5]


def test_what_readings_say_is_about_all_instants(demo_folder: Path) -> None:
    note = Finding(severity=Severity.INFO, code="readings", message="a meter is silent")

    @frozen(kw_only=True)
    class Noted(Day):
        def operating_points(self, *args: Any) -> Any:
            first, *others = super().operating_points(*args)
            return [attrs.evolve(first, findings=(note,)), *others]

    work_package, network = loaded(demo_cases(demo_folder)["export"], "batched")
    chunk = run_from(work_package, network, Noted(count=3))
    assert [r["message"] for r in table(chunk, "findings").rows() if r["code"] == "readings"] == ["a meter is silent"]


def test_a_stop_is_heard_while_instants_are_frozen_and_searched(demo_folder: Path) -> None:
    work_package, network = loaded(demo_cases(demo_folder)["export"], "batched")
    stages: list[str] = []
    study = attrs.evolve(work_package.study(), initial_state=Day(count=3))

    def asked(word: str) -> Any:
        return work_package.job(
            network, RUN_ID, lambda stage, done, most: stages.append(stage), lambda: word in stages[-1]
        )

    for word in ("freezing instants", "searching export, instants"):
        with pytest.raises(StoppedError, match=word):
            list(study.run(asked(word)))
    assert any("freezing instants" in stage for stage in stages)
