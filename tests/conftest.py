"""What every test may use: where the public networks are, and the rule about skipping."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

# A deadline measures the machine: what else it does at that moment makes a test fail.
settings.register_profile("hostcap", deadline=None)
settings.load_profile("hostcap")

REPOSITORY = Path(__file__).resolve().parent.parent
NETWORKS = Path(os.environ.get("HOSTCAP_NETWORKS", REPOSITORY.parent / "shared" / "data" / "networks"))


def pytest_runtest_setup(item: pytest.Item) -> None:
    """A test marked ``shared`` skips without the networks; with HOSTCAP_SHARED=1 that is a failure."""
    if item.get_closest_marker("shared") and not NETWORKS.is_dir():
        reason = "needs the folder of public networks, which is not beside this checkout (HOSTCAP_NETWORKS names one)"
        if os.environ.get("HOSTCAP_SHARED") == "1":
            pytest.fail(f"HOSTCAP_SHARED=1, but it {reason}")
        pytest.skip(reason)


@pytest.fixture(scope="session")
def networks() -> Path:
    """Folder of the public networks; only for tests marked ``shared``."""
    return NETWORKS


@pytest.fixture(scope="session")
def demo_folder() -> Path:
    """The demo's study files and feeder."""
    return REPOSITORY / "plugins" / "hostcap_stock" / "demo"


@pytest.fixture(scope="session")
def tracing_data() -> Path:
    """Folder of public solved flows; only for tests marked ``shared``."""
    return NETWORKS.parent / "tracing"
