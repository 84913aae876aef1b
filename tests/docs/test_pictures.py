"""The picture of the README shows what the demo prints now."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

PICTURE = Path(__file__).resolve().parents[2] / "docs" / "images" / "demo.svg"
TEXT = "{http://www.w3.org/2000/svg}text"


def test_every_line_that_the_demo_prints_is_in_its_picture(tmp_path: Path) -> None:
    """Without spaces, as a terminal pads and wraps; ``python docs/make_picture.py`` draws it anew."""
    hostcap = Path(sys.executable).parent / "hostcap"
    printed = subprocess.run([hostcap, "demo"], cwd=tmp_path, capture_output=True, text=True, check=True)
    shown = "".join("".join("".join(each.itertext()).split()) for each in ElementTree.parse(PICTURE).iter(TEXT))
    # On standard error are findings and, at the first start of a machine, word of compiling.
    told = [line for line in printed.stderr.splitlines() if line.startswith(("warning[", "info["))]
    lines = ["".join(line.split()) for line in (*printed.stdout.splitlines(), *told)]
    assert sum(bool(line) for line in lines) > 15
    assert [line for line in lines if line not in shown] == []
