"""Drawing pages in tests, and reading what they hold."""

from __future__ import annotations

import gzip
import json
import re
from base64 import b64decode
from pathlib import Path
from typing import Any

import pyarrow.parquet
from click.testing import CliRunner, Result

from hostcap.cli.main import main
from hostcap.config import structure_study
from hostcap.plugins import default_registry
from hostcap.work_package import WorkPackage

PNG = b"\x89PNG\r\n\x1a\n"


def plot(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["plot", *map(str, arguments)])


def report_of(page: Path) -> dict[str, Any]:
    """What the page's script reads."""
    found = re.search(r'<script type="application/gzip" id="report">(.*?)</script>', page.read_text(), re.DOTALL)
    assert found
    return json.loads(gzip.decompress(b64decode(found.group(1))))  # type: ignore[no-any-return]


def unpacked(columns: dict[str, Any]) -> list[dict[str, Any]]:
    listed = {n: c if isinstance(c, list) else [c["of"][i] for i in c["at"]] for n, c in columns.items()}
    return [dict(zip(listed, row, strict=True)) for row in zip(*listed.values(), strict=True)]


def table(results: Path, name: str) -> list[dict[str, Any]]:
    return [r for p in sorted(results.glob(f"{name}/*/*/*.parquet")) for r in pyarrow.parquet.read_table(p).to_pylist()]


def hv_study(demo_folder: Path, **study: Any) -> WorkPackage:
    """HV locations of the demo, import, by currents and voltages."""
    data = {
        "name": "hv",
        "scope": {"feeders": ["demo"], "year": 2025},
        "network": {
            "plugin": "opendss",
            "master": str(demo_folder / "feeder" / "Master.dss"),
            "frequency_hz": 50,
            "voltage_bases_kv": [22.0, 0.4],
        },
        "study": {
            "plugin": "hv-node-headroom",
            "step_kw_per_node": 50.0,
            "max_steps_per_node": 60,
            "location_kinds": ["dtx-hv-terminal", "switch-upstream-terminal", "line-tee"],
            **study,
        },
        "initial_state": {"plugin": "zero-load"},
        "injection": {"direction": "import"},
        "constraints": [
            {"plugin": "voltage", "lv_min_v": 200.0, "lv_max_v": 258.0, "hv_min_pu": 0.94, "hv_max_pu": 1.06},
            {"plugin": "thermal"},
        ],
    }
    return WorkPackage(document=structure_study(data, demo_folder, default_registry()))
