"""Every resident of contrib has a README with its owner, status and checks, an extra of its own, and runs the kit."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from hostcap.plugins import default_registry

ROOT = Path(__file__).resolve().parents[2]
CONTRIB = ROOT / "contrib" / "hostcap_contrib"
RESIDENTS = sorted(path.parent.name for path in CONTRIB.glob("*/plugin.py"))


def test_there_are_residents() -> None:
    assert {"power_grid_model", "simbench"} <= set(RESIDENTS)


@pytest.mark.parametrize("name", RESIDENTS)
def test_a_resident_says_whose_it_is_what_was_checked_and_how_to_install_it(name: str) -> None:
    text = (CONTRIB / name / "README.md").read_text(encoding="utf-8")
    assert re.search(r"^- Owner: \S.*Status: \S", text, re.MULTILINE)
    table = text.partition("Checked against:")[2]
    assert len(re.findall(r"^\| .+ \| .* \| .* \|$", table, re.MULTILINE)) > 2
    assert "`hostcap.testing`" in table
    extra = name.replace("_", "-")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert extra in project["optional-dependencies"]
    assert f"pip install 'hostcap[{extra}]'" in text
    assert project["entry-points"]["hostcap"][extra] == f"hostcap_contrib.{name}.plugin"


@pytest.mark.parametrize("name", RESIDENTS)
def test_a_resident_runs_the_kit_and_states_its_extra(name: str) -> None:
    registry, extra = default_registry(), name.replace("_", "-")
    own = [registry.get(row.kind, row.name) for row in registry.list() if row.kind]
    records = [record for record in own if record.config.__module__.startswith(f"hostcap_contrib.{name}.")]
    assert records
    tests = "\n".join(path.read_text(encoding="utf-8") for path in Path(__file__).parent.glob(f"test_{name}*.py"))
    for record in records:
        assert record.extra is not None and record.extra.install == f"hostcap[{extra}]"
        assert f'module="hostcap_contrib.{name}.plugin"' in tests and f'name="{record.name}"' in tests
