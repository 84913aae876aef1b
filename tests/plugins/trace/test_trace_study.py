"""The study ``trace``: means, counts, resuming, and memory, against plain sums over single traced periods."""

from __future__ import annotations

import csv
import tracemalloc
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import attrs
import pytest
from attrs import field, frozen
from tracing_cases import BIALEK, period_of, random_case

from hostcap import WorkPackage, read_results, run
from hostcap.config import about, structure_study
from hostcap.errors import ConfigError, FlowsError, HostcapError, OutputError, StoppedError
from hostcap.flows import Days, FailedPeriod, FlowPeriod
from hostcap.plugins import FlowsPlugin, Registry, default_registry, hookimpl
from hostcap.running import check
from hostcap_stock.bialek.config import BialekConfig
from hostcap_stock.bialek.tracer import BialekTracer

ASKED: list[Days] = []
"""Days that the flows of these tests were asked for."""


@frozen(kw_only=True)
class MadeConfig:
    """Periods made of a seed."""

    days: int = field(default=3, metadata=about("Days"))
    a_day: int = field(default=4, metadata=about("Periods of a day"))
    first: date = field(default=date(2024, 12, 30), metadata=about("First day"))
    failing: tuple[int, ...] = field(default=(), metadata=about("Numbers of periods that fail"))
    alike: bool = field(default=False, metadata=about("All periods alike"))
    wrong: str = field(default="", metadata=about("What the source does wrong"))


@frozen(kw_only=True)
class Made:
    """A source whose periods have other networks, and other lengths, every time."""

    config: MadeConfig

    def hashes(self) -> dict[str, str]:
        return {"made": repr(self.config)}

    def days(self) -> Sequence[date]:
        return [self.config.first + timedelta(days=n) for n in range(self.config.days)]

    def periods(self, days: Days) -> Iterator[FlowPeriod | FailedPeriod]:
        ASKED.append(days)
        same = period_of(*BIALEK)
        for number in range(self.config.days * self.config.a_day):
            day, within = divmod(number, self.config.a_day)
            moment = self.config.first + timedelta(days=day)
            start = datetime(moment.year, moment.month, moment.day, tzinfo=UTC) + timedelta(minutes=30 * within)
            if start.date() not in days:
                continue
            if self.config.wrong == "breaks" and number == 5:
                raise FlowsError("file x.csv, line 7: column flow_mw: expected a number, got 'abc'")
            if number in self.config.failing:
                yield FailedPeriod(label=f"TP{within + 1}", start=start, minutes=30.0, reason="was not solved")
                continue
            made = same if self.config.alike else period_of(*random_case(number, cyclic=False))
            minutes = 30.0 if self.config.alike else (30.0, 5.0)[number % 2]
            yield attrs.evolve(made, start=start, label=f"TP{within + 1}", minutes=minutes)


class Offer:
    @hookimpl
    def hostcap_flows(self) -> Any:
        return [FlowsPlugin(name="made", summary="Made", config=MadeConfig, make=lambda c: Made(config=c))]


REGISTRY = default_registry() | Registry.of(Offer())


def package(flows: Any = None, study: Any = None, folder: Path = Path(), **more: Any) -> WorkPackage:
    data = {
        "name": "made",
        "study": {"plugin": "trace", "station_letters": 0, "least_mw": 0.0, **(study or {})},
        "flows": {"plugin": "made", **(flows or {})},
        **more,
    }
    return WorkPackage(document=structure_study(data, folder, REGISTRY), registry=REGISTRY)


EVERY = ["period", "day", "month", "year", "total"]


def single(config: MadeConfig, mode: Any = "balanced") -> list[Any]:
    """Every period traced by itself: (period, branch shares, pairs)."""
    tracer, found = BialekTracer(BialekConfig(mode=mode, threads=1)), []
    for period in Made(config=config).periods(Days()):
        if isinstance(period, FailedPeriod):
            continue
        trace, shares, pairs = tracer.trace(period), {}, {}
        for way, part in (("up", trace.up), ("down", trace.down)):
            for e, branch in enumerate(trace.network.branch):
                for k, node in enumerate(trace.network.node[part.user]):
                    shares[branch, way, node] = part.branch_mw[e, k]
        for way, mw in (("up", trace.up_mw), ("down", trace.down_mw)):
            for k, generator in enumerate(trace.network.node[trace.up.user]):
                for m, load in enumerate(trace.network.node[trace.down.user]):
                    pairs[generator, way, load] = mw[k, m]
        found.append((period, shares, pairs))
    return found


def mean(parts: Sequence[tuple[float, dict[Any, float]]]) -> dict[Any, float]:
    """Weighted mean; a key that is absent counts as 0."""
    total: dict[Any, float] = defaultdict(float)
    weight = sum(w for w, _ in parts)
    for w, values in parts:
        for key, value in values.items():
            total[key] += w * value / weight
    return total


def rows_of(table: Any, level: str, asset: str = "branch", node: str = "node") -> dict[str, dict[Any, float]]:
    found: dict[str, dict[Any, float]] = defaultdict(dict)
    for row in table.rows():
        if row["level"] == level:
            found[row["interval"]][row[asset], row["direction"], row[node]] = row["mw"]
    return found


def assert_means(found: dict[Any, float], due: dict[Any, float]) -> None:
    assert {key for key, mw in due.items() if mw > 0} == set(found)
    for key, mw in found.items():
        assert mw == pytest.approx(due[key], abs=1e-9)


def test_every_level_is_the_mean_over_its_successful_periods_by_length() -> None:
    config = MadeConfig(days=4, failing=(1, 6))
    results = run(package({"days": 4, "failing": [1, 6]}, {"levels": EVERY}))
    traced = single(config)
    keys = {
        "period": lambda p: p.name,
        "day": lambda p: f"{p.day}",
        "month": lambda p: f"{p.day:%Y-%m}",
        "year": lambda p: f"{p.day:%Y}",
        "total": lambda p: "total",
    }
    for level, key in keys.items():
        shares = rows_of(results["branch_shares"], level)
        pairs = rows_of(results["generator_to_load"], level, "generator", "load")
        intervals = list(dict.fromkeys(key(period) for period, _, _ in traced))
        assert list(shares) == intervals
        for interval in intervals:
            of = [(p.minutes, s, q) for p, s, q in traced if key(p) == interval]
            assert_means(shares[interval], mean([(w, s) for w, s, _ in of]))
            assert_means(pairs[interval], mean([(w, q) for w, _, q in of]))


def test_periods_used_and_failed_stand_with_every_mean_and_the_first_reason_is_a_finding() -> None:
    results = run(package({"failing": [1, 6, 7]}, {"levels": EVERY}))
    balance = {(row["level"], row["interval"]): row for row in results["trace_balance"].rows()}
    assert [balance["day", d]["periods_failed"] for d in ("2024-12-30", "2024-12-31", "2025-01-01")] == [1, 2, 0]
    assert (balance["total", "total"]["periods_used"], balance["total", "total"]["periods_failed"]) == (9, 3)
    assert balance["period", "2024-12-30 00:30 TP2"]["periods_used"] == 0
    shares = [r for r in results["branch_shares"].rows() if r["level"] == "month" and r["interval"] == "2024-12"]
    assert {(r["periods_used"], r["periods_failed"]) for r in shares} == {(5, 3)}
    (failed,) = [row for row in results["findings"].rows() if row["code"] == "period-failed"]
    assert failed["message"] == "is in no mean: was not solved (in 3 periods, first 2024-12-30 00:30 TP2)"


def test_averages_of_averages_as_the_original_took_them() -> None:
    """30 and 31 December and 1 January: each day, month and year counts the same, whatever its periods."""
    config = MadeConfig(failing=(1,))
    results = run(package({"failing": [1]}, {"levels": EVERY, "averaging": "averages"}))
    traced = single(config)
    days = [
        mean([(p.minutes, s) for p, s, _ in traced if f"{p.day}" == day])
        for day in ("2024-12-30", "2024-12-31", "2025-01-01")
    ]
    december = mean([(1.0, days[0]), (1.0, days[1])])
    assert_means(rows_of(results["branch_shares"], "month")["2024-12"], december)
    assert_means(rows_of(results["branch_shares"], "total")["total"], mean([(1.0, december), (1.0, days[2])]))


def test_losses_charged_add_up_to_the_losses() -> None:
    results = run(package({"alike": True}))
    rows = [row for row in results["node_losses"].rows() if row["level"] == "total"]
    charged = {(row["direction"], row["node"]): row["loss_mw"] for row in rows}
    # Method, section 9: gross demand 309.759717 and 204.240283; net generation 387.716089 and 112.283911.
    assert charged == pytest.approx(
        {("down", "n3"): 9.759717, ("down", "n4"): 4.240283, ("up", "n1"): 12.283911, ("up", "n2"): 1.716089}, abs=1e-6
    )


def test_days_outside_start_and_end_are_not_asked_for() -> None:
    ASKED.clear()
    results = run(
        package({"days": 9}, {"start": date(2025, 1, 1), "end": date(2025, 1, 2), "levels": ["day", "total"]})
    )
    assert [Days(first=date(2025, 1, 1), last=date(2025, 1, 2))] == ASKED
    assert set(rows_of(results["branch_shares"], "day")) == {"2025-01-01", "2025-01-02"}
    with pytest.raises(FlowsError, match="2026-01-01 to the last; there are 9 days, 2024-12-30 to 2025-01-07"):
        run(package({"days": 9}, {"start": date(2026, 1, 1)}))


def stopping_after(days: int, package_: WorkPackage, out: Path) -> None:
    """Run until so many days are written, then stop."""
    with pytest.raises(StoppedError):
        run(package_, out=out, should_stop=lambda: len(list((out / "trace_balance").rglob("*-??-??.parquet"))) >= days)


def test_an_interrupted_run_goes_on_with_the_day_that_was_not_finished(tmp_path: Path) -> None:
    flows, study = {"days": 5, "failing": [2]}, {"levels": EVERY}
    stopping_after(3, package(flows, study), tmp_path / "cut")
    assert read_results(tmp_path / "cut").summary["state"] == "interrupted"
    ASKED.clear()
    resumed = run(package(flows, study), out=tmp_path / "cut")
    assert [Days(first=date(2025, 1, 2), last=date(2025, 1, 3))] == ASKED
    whole = run(package(flows, study), out=tmp_path / "whole")
    one, other = read_results(tmp_path / "cut"), read_results(tmp_path / "whole")
    assert one.names == other.names
    for name in one.names:
        a, b = one[name], other[name]
        for column in a.schema.columns:
            if column.type == "number":
                assert a[column.name] == pytest.approx(b[column.name], rel=1e-12, abs=1e-12, nan_ok=True)
            else:
                assert a[column.name].tolist() == b[column.name].tolist(), (name, column.name)
    assert resumed["findings"]["message"].tolist() == whole["findings"]["message"].tolist()
    assert not (tmp_path / "cut" / ".resume").exists()


def test_an_error_in_the_flows_names_itself_and_finished_days_stay(tmp_path: Path) -> None:
    with pytest.raises(FlowsError, match="line 7: column flow_mw"):
        run(package({"wrong": "breaks", "alike": True}), out=tmp_path / "out")
    assert [path.name for path in (tmp_path / "out" / "branch_shares").rglob("*.parquet")] == ["2024-12-30.parquet"]


def test_what_is_written_is_not_kept_in_memory(tmp_path: Path) -> None:
    results = run(package({"days": 3}, {"levels": EVERY}), out=tmp_path)
    assert set(results["branch_shares"]["level"]) == {"total"}
    assert set(read_results(tmp_path)["branch_shares"]["level"]) == set(EVERY)


@pytest.mark.slow
def test_memory_does_not_grow_with_the_number_of_periods(tmp_path: Path) -> None:
    def peak(days: int) -> int:
        tracemalloc.start()
        run(package({"days": days, "alike": True, "a_day": 48}, {"levels": EVERY}), out=tmp_path / f"{days}")
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    peak(1)
    assert peak(31) < 1.5 * peak(3)


def test_nothing_that_could_be_traced_is_an_error_with_the_reason() -> None:
    with pytest.raises(FlowsError, match=r"none of 4 periods could be traced; 2024-12-30 00:00 TP1 .* was not solved"):
        run(package({"days": 1, "failing": [0, 1, 2, 3]}))


def test_wide_files_have_assets_in_rows_and_nodes_in_columns(tmp_path: Path) -> None:
    """The layout of the original: MW to four places; its numbers of testB, and compat's bus use."""
    flows = {"alike": True, "days": 2, "a_day": 1}
    writers = [{"plugin": "csv", "wide": True}, {"plugin": "parquet"}]
    run(package(flows, {"levels": EVERY}, tracer={"mode": "compat"}, writers=writers), out=tmp_path)
    names = {
        "tp": ["20241230_0000_TP1", "20241231_0000_TP1"],
        "d": ["20241230", "20241231"],
        "m": ["202412"],
        "y": ["2024"],
    }
    for folder, stamps in names.items():
        expected = sorted(f"{kind}_{stamp}.csv" for kind in ("td", "tu", "sd", "su") for stamp in stamps)
        assert sorted(path.name for path in (tmp_path / folder).iterdir()) == expected
    assert sorted(path.name for path in (tmp_path / "t").iterdir()) == ["sd.csv", "su.csv", "td.csv", "tu.csv"]
    with (tmp_path / "d" / "td_20241230.csv").open(encoding="utf-8") as file:
        table = list(csv.reader(file))
    assert table[0] == ["", "n3", "n4"]
    assert table[1] == ["L1", "16.8978", "41.2141"]
    assert table[5] == ["L5", "82.0000", "0.0000"]
    with (tmp_path / "y" / "sd_2024.csv").open(encoding="utf-8") as file:
        assert list(csv.reader(file))[1] == ["n1", "193.8580", "0.0000", "133.6750", "60.1830"]
    # Another study in the same folder leaves none of them behind.
    run(package({"alike": True, "days": 1}), out=tmp_path, replace=True)
    assert not (tmp_path / "tp").exists()


def test_stations_come_from_a_file_or_from_letters(tmp_path: Path) -> None:
    (tmp_path / "stations.csv").write_text("n1,West\nn2,West\nn3,East\nn4,East\n", encoding="utf-8")
    flows = {"alike": True, "days": 1}
    results = run(package(flows, {"stations": "stations.csv"}, tmp_path))
    found = rows_of(results["station_shares"], "total", "station")["total"]
    # West is entered by its own generation alone, East by L2, L3 and L4 (upstream: gross at the sending end).
    assert found["West", "up", "n1"] == pytest.approx(400.0)
    assert found["East", "up", "n1"] == pytest.approx(60.0 + 115.0 + 225.0)
    assert found["East", "up", "n2"] == pytest.approx(114.0)
    results = run(package(flows, {"station_letters": 1}))
    assert set(results["station_shares"]["station"]) == {"n"}
    (tmp_path / "bad.csv").write_text("n1\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"bad.csv: line 1: expected name,station"):
        run(package(flows, {"stations": "bad.csv"}, tmp_path))


def test_check_says_what_a_run_would_do() -> None:
    report = check(package({"alike": True}))
    facts = dict(report.previews[0].facts)
    assert facts["days"] == "3, 2024-12-30 to 2025-01-01"
    assert facts["generation, load"] == "514 MW, 500 MW"


def test_a_bare_study_takes_no_scope_and_no_network(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="scope: flows say their own dates"):
        package(scope={"feeders": ["a"], "year": 2025})
    network = {"plugin": "opendss", "master": "x.dss", "frequency_hz": 50}
    both = package(network=network, scope={"feeders": ["a"], "year": 2025})
    with pytest.raises(ConfigError, match="network: flows 'made' need none; remove"):
        both.study()
    assert "[scope]" not in package().canonical
    (tmp_path / "study.toml").write_text(package().canonical, encoding="utf-8")
    again = WorkPackage.read(tmp_path / "study.toml", registry=REGISTRY)
    assert again.canonical == package().canonical


def test_wrong_settings_are_a_line_each() -> None:
    with pytest.raises(ConfigError) as caught:
        package(study={"start": date(2025, 1, 2), "end": date(2025, 1, 1), "levels": ["week"], "least_mw": -1.0})
    text = str(caught.value)
    assert "study.end: must not be before start, 2025-01-02" in text
    assert "study.levels[0]: expected one of period, day, month, year, total" in text
    assert "study.least_mw: must be >= 0" in text


def test_a_day_that_cannot_be_taken_up_again_says_so(tmp_path: Path) -> None:
    stopping_after(1, package(), tmp_path)
    (kept,) = (tmp_path / ".resume").rglob("*.npz")
    kept.write_bytes(b"cut short")
    with pytest.raises(OutputError, match="remove it, and its day is traced again"):
        run(package(), out=tmp_path)
    kept.unlink()
    assert not run(package(), out=tmp_path).failed


def test_errors_are_of_ours() -> None:
    assert issubclass(FlowsError, HostcapError)
