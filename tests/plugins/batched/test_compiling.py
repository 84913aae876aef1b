"""The first start on a machine: compiled within a minute, announced, and by two processes at once without harm."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

SCRIPT = """
import logging, sys
logging.basicConfig(stream=sys.stderr)
from batched.cases import chain, growth, plan, ports
from hostcap_stock.batched.solver import BatchedPlan
grown = growth([(1, -1, 1.0, 0.2, 0)], scopes=1)
want = {"extremes", "nodes", "branches"}
states = plan(BatchedPlan, chain([0.3], ports([{"kw": 1.0}])), grown).solve([[n] for n in range(11)], want)
print(states.solution.node_v.tobytes().hex(), states.extremes.margin.tobytes().hex())
"""


@pytest.mark.slow
def test_two_cold_processes_compile_within_a_minute_and_agree(tmp_path: Path) -> None:
    environment = os.environ | {
        "NUMBA_CACHE_DIR": str(tmp_path),
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent.parent), *sys.path]),
    }
    command = [sys.executable, "-c", SCRIPT]

    def begin() -> subprocess.Popen[str]:
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)

    began = time.perf_counter()
    cold = [process.communicate() for process in (begin(), begin())]
    assert time.perf_counter() - began < 120  # two at once on two cores: a minute each
    warm = begin().communicate()
    assert "compiling the kernels of solver 'batched' once for this machine" in cold[0][1]
    assert warm[1] == ""
    assert cold[0][0] == cold[1][0] == warm[0] != ""


@pytest.mark.slow
def test_where_no_cache_folder_can_be_written_the_demo_still_works(demo_folder: Path) -> None:
    """numba is left with the one locator that NUMBA_CACHE_DIR feeds, and that is not set."""
    script = (
        "import numba.core.caching as caching\n"
        "caching.CacheImpl._locator_classes = [caching.UserProvidedCacheLocator]\n"
        "from hostcap import WorkPackage, run\n"
        f"results = run(WorkPackage.read({str(demo_folder / 'demo.toml')!r}))\n"
        "assert not results.failed\n"
        "print(results.names)\n"
    )
    environment = {name: value for name, value in os.environ.items() if name != "NUMBA_CACHE_DIR"}
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, encoding="utf-8", env=environment, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "lv_group_hosting_capacity" in done.stdout
    assert "no cache folder can be written" in done.stderr
