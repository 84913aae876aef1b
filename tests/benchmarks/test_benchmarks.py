"""The machinery of the benchmarks, once around the demo feeder: both sides give the same answers; nothing is timed."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("opendssdirect", reason="needs the OpenDSS engine")
pytest.importorskip("numba", reason="needs compiled kernels")


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "bench_snapshot",
        "bench_search",
        "bench_hv_nodes",
        "bench_instants",
        "bench_scaling",
        "bench_tracing",
        "bench_readings",
    ],
)
def test_a_benchmark_runs_on_the_demo_and_its_answers_agree(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    from importlib import import_module

    from bench_timing import Settings, in_markdown

    settings = Settings(networks=None, repetitions=1, states=16, full=False)
    section = import_module(name).run(settings)
    assert all(len(row) == len(head) for head, rows in section.tables for row in rows)
    assert section.tables and all(rows for _, rows in section.tables)
    assert f"<!-- benchmark: {section.name} -->" in in_markdown(section, "here")


def test_the_page_keeps_sections_that_were_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    from bench_timing import Section, in_markdown, put

    def section(name: str, row: str) -> str:
        return in_markdown(Section(name=name, title=name, text=[], tables=[(("a",), [[row]])]), "here")

    page, order = tmp_path / "page.md", ("one", "two")
    put(page, "# Head", order, {"two": section("two", "old")})
    put(page, "# Head", order, {"one": section("one", "new")})
    text = page.read_text(encoding="utf-8")
    assert text.index("| new |") < text.index("| old |")
    assert text.count("# Head") == 1
