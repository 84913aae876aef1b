"""Listing plugins imports no engine and no heavy library, whatever is installed."""

from __future__ import annotations

import os
import subprocess
import sys

HEAVY = ("opendssdirect", "dss", "pandas", "scipy", "numba", "pyarrow", "rich", "matplotlib", "tomlkit", "pandapower")
SCRIPT = """
import sys
import hostcap.plugins
rows = hostcap.plugins.Registry.from_entry_points().list()
sys.stdout.write(" ".join(sorted({name.partition(".")[0] for name in sys.modules})))
"""


def fresh(script: str) -> set[str]:
    """Top-level modules of a fresh interpreter after a script."""
    # A failing entry point would be listed, not raised, and its imports would still be seen here.
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment, check=True)
    return set(done.stdout.split())


def test_listing_plugins_imports_nothing_heavy() -> None:
    assert fresh(SCRIPT).isdisjoint(HEAVY)


def test_the_registry_by_itself_does_without_numpy_and_cattrs() -> None:
    script = "import hostcap.plugins, sys; sys.stdout.write(' '.join(sys.modules))"
    assert fresh(script).isdisjoint({*HEAVY, "numpy", "cattrs", "click"})


def test_reading_study_files_imports_nothing_heavy() -> None:
    script = "import hostcap.config, sys; sys.stdout.write(' '.join(sys.modules))"
    assert fresh(script).isdisjoint({*HEAVY, "numpy", "click"})
