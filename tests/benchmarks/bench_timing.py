"""Medians side by side, what machine they were taken on, and how a section of the page looks."""

from __future__ import annotations

import datetime
import gc
import os
import platform
import re
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
from attrs import field, frozen

DISTRIBUTIONS = (
    "hostcap",
    "numba",
    "numpy",
    "scipy",
    "opendssdirect.py",
    "dss-python",
    "dss_python_backend",
    "power-grid-model",
)


@frozen(kw_only=True)
class Settings:
    """How much work a benchmark does.

    Attributes:
        networks: Folder of the public networks; None runs the demo feeder alone.
        repetitions: Timings of each side; the median counts.
        states: States in one batch.
        full: False does the smallest piece that still compares answers.
    """

    networks: Path | None
    repetitions: int = 7
    states: int = 512
    full: bool = True


@frozen(kw_only=True)
class Section:
    """One benchmark on the page.

    Attributes:
        name: What the runner calls it.
        title: Heading.
        text: Paragraphs before the tables.
        tables: Head and rows of each table.
        after: Paragraphs after them, such as goals met and missed.
    """

    name: str
    title: str
    text: Sequence[str]
    tables: Sequence[tuple[Sequence[str], Sequence[Sequence[str]]]]
    after: Sequence[str] = field(factory=tuple)


def one_core() -> int | None:
    """Keep this process on the last core it may use; None where the system cannot."""
    if not hasattr(os, "sched_setaffinity"):
        return None
    core = max(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {core})
    return core


clock = time.process_time
"""Processor seconds: what everybody else does on a shared machine is not counted. All sides run on one thread."""


def in_turns(works: Mapping[str, Callable[[], object]], repetitions: int) -> dict[str, list[float]]:
    """Seconds of each piece of work; they take turns, so that a slow minute hits all of them."""
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for work in works.values():
        work()  # warm: memory is touched, code is compiled
    for _ in range(repetitions):
        for name, work in works.items():
            gc.collect()
            began = clock()
            work()
            seconds[name].append(clock() - began)
    return seconds


def ratio(slow: Sequence[float], fast: Sequence[float]) -> float:
    """Median of the ratios of neighbours in time."""
    return float(np.median(np.array(slow) / np.array(fast)))


def processor() -> str:
    """Name of the processor."""
    info = Path("/proc/cpuinfo")
    if info.is_file():
        text = info.read_text(encoding="utf-8")
        found = {
            key: match[1]
            for key in ("model name", "cpu family", "model", "flags")
            if (match := re.search(rf"^{key}\s*: (.+)$", text, re.MULTILINE))
        }
        wide = "AVX-512" if "avx512f" in found.get("flags", "") else "AVX2" if "avx2" in found.get("flags", "") else ""
        family = f"family {found.get('cpu family', '?')} model {found.get('model', '?')}"
        return ", ".join(p for p in (found.get("model name", platform.machine()), family, wide) if p)
    return platform.processor() or platform.machine()


def conditions(core: int | None, repetitions: int, commit: str) -> str:
    """Where and how, in one paragraph."""
    found = []
    for name in DISTRIBUTIONS:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    python = ".".join(map(str, sys.version_info[:3]))
    pinned = "not pinned to a core" if core is None else "pinned to one core"
    today = datetime.datetime.now(tz=datetime.UTC).date()
    return (
        f"Commit {commit}; {today.isoformat()}; {processor()}; {os.cpu_count()} cores, "
        f"process {pinned}; {platform.system()}; Python {python}, "
        f"{', '.join(found)}; processor seconds, medians of {repetitions} unless stated."
    )


def peak_mb() -> float:
    """Largest memory of this process so far."""
    status = Path("/proc/self/status")
    if status.is_file():  # what getrusage says begins with the parent's
        line = next(line for line in status.read_text(encoding="utf-8").splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 2**10
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10


def in_markdown(section: Section, where: str) -> str:
    """A section between its marks."""
    lines = [f"<!-- benchmark: {section.name} -->", f"## {section.title}", ""]
    for paragraph in section.text:
        lines += [paragraph, ""]
    for head, rows in section.tables:
        lines += [_row(head), _row(["---"] * len(head)), *map(_row, rows), ""]
    if section.after:
        lines += [*(f"- {each}" for each in section.after), ""]
    lines += [f"*{where}*", f"<!-- end: {section.name} -->"]
    return "\n".join(lines)


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def put(
    page: Path, head: str, order: Sequence[str], fresh: Mapping[str, str], to_come: Mapping[str, str] | None = None
) -> None:
    """Write the page: sections that were run are replaced, others stay as they are."""
    waiting = (to_come or {}).items()
    kept = {name: f"<!-- benchmark: {name} -->\n{text}\n<!-- end: {name} -->" for name, text in waiting}
    if page.is_file():
        text = page.read_text(encoding="utf-8")
        for match in re.finditer(r"<!-- benchmark: (\S+) -->.*?<!-- end: \1 -->", text, re.DOTALL):
            kept[match[1]] = match[0]
    kept |= fresh
    parts = [head.strip(), *(kept[name] for name in order if name in kept)]
    page.write_text("\n\n".join(parts) + "\n", encoding="utf-8", newline="\n")


def us(seconds: float) -> str:
    """Microseconds, three digits."""
    return digits(seconds * 1e6)


def digits(value: float) -> str:
    """Three significant digits, thousands with a blank."""
    if value >= 100:
        return f"{round(value):,}".replace(",", " ")
    return f"{value:.3g}"


def times(value: float) -> str:
    """A ratio."""
    return f"{value:.0f}x" if value >= 9.95 else f"{value:.1f}x"


def judged(name: str, value: float, goal: float) -> str:
    """A goal and whether it was met."""
    return f"{name}: goal >= {goal:g}x, measured {times(value)}: **{'met' if value >= goal else 'missed'}**."
