"""Run the benchmarks and write their page: ``python tests/benchmarks/run.py [names] [--out PAGE]``.

Nothing here is a test: timings are not asserted, but every benchmark asserts that both sides give the same answers.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")  # before numpy is imported

from bench_timing import Section, Settings, conditions, in_markdown, one_core, put  # noqa: E402

REPOSITORY = Path(__file__).resolve().parents[2]
NETWORKS = Path(os.environ.get("HOSTCAP_NETWORKS", REPOSITORY.parent / "shared" / "data" / "networks"))
PAGE = REPOSITORY / "docs" / "reference" / "benchmarks.md"
ORDER = ("snapshot", "search", "hv-nodes", "instants", "year", "readings", "power-grid-model", "scaling", "tracing")
TO_COME = {
    "year": "## A year of half-hours\n\nTo be measured: `python tests/benchmarks/run.py year` puts the table here."
}
HEAD = """# Benchmarks

How fast the solver `batched` is, against honest uses of the same engine that it is checked against. Both sides run side
by side in one process on one core, take turns, and are compared in the run: a benchmark whose answers differ fails.
Trust the ratios more than the times: the machine is a shared one.

To run them again, with the folder of public networks beside the checkout (or named by `HOSTCAP_NETWORKS`):

```sh
python tests/benchmarks/run.py                # all of them, and this page
python tests/benchmarks/run.py snapshot       # one of them; the others stay on the page as they are
```

`hostcap bench STUDY` measures your own feeder. [The batched solver](../explanation/batched-solver.md) says where the
time goes and why the answers are the same."""


def _benchmarks() -> dict[str, Callable[[Settings], Section]]:
    sys.path.append(str(REPOSITORY / "tests" / "plugins"))
    import bench_hv_nodes
    import bench_instants
    import bench_power_grid_model
    import bench_readings
    import bench_scaling
    import bench_search
    import bench_snapshot
    import bench_tracing
    import bench_year

    return {
        "snapshot": bench_snapshot.run,
        "search": bench_search.run,
        "hv-nodes": bench_hv_nodes.run,
        "instants": bench_instants.run,
        "year": bench_year.run,
        "readings": bench_readings.run,
        "power-grid-model": bench_power_grid_model.run,
        "scaling": bench_scaling.run,
        "tracing": bench_tracing.run,
    }


def _commit() -> str:
    """The commit of this checkout, marked where it has changes."""
    command = ["git", "-C", str(REPOSITORY), "describe", "--always", "--dirty"]
    with suppress(OSError):
        done = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)
        return done.stdout.strip() or "unknown"
    return "unknown"


def main(arguments: list[str] | None = None) -> None:
    """Run some benchmarks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help=f"of {', '.join(ORDER)}; all unless given")
    parser.add_argument("--out", type=Path, default=PAGE, help="page to write")
    parser.add_argument("--repetitions", type=int, default=7)
    parser.add_argument("--commit", default="", help="what is measured; asked of git unless given")
    given = parser.parse_args(arguments)
    settings = Settings(networks=NETWORKS if NETWORKS.is_dir() else None, repetitions=given.repetitions)
    core = one_core()
    known = _benchmarks()
    for name in given.names or [n for n in ORDER if n in known]:
        section = known[name](settings)
        text = in_markdown(section, conditions(core, settings.repetitions, given.commit or _commit()))
        sys.stdout.write(text + "\n\n")
        put(given.out, HEAD, ORDER, {name: text}, TO_COME)


if __name__ == "__main__":
    main()
