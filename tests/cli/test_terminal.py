"""What a person sees on terminals of several widths: nothing is lost, and a narrow one gets a layout of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pty = pytest.importorskip("pty", reason="there are no pseudo-terminals on this system")
pytest.importorskip("termios", reason="there are no pseudo-terminals on this system")


def on_a_terminal(columns: int) -> list[str]:
    """Lines that ``hostcap demo`` prints on a terminal, without colours."""
    ours, theirs = pty.openpty()
    environment = os.environ | {"COLUMNS": str(columns), "LINES": "60", "TERM": "xterm-256color"}
    command = [str(Path(sys.executable).parent / "hostcap"), "demo"]
    process = subprocess.Popen(command, stdout=theirs, stderr=subprocess.DEVNULL, env=environment)
    os.close(theirs)
    parts = []
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # Linux says so when the other end is closed
            break
        if not part:
            break
        parts.append(part)
    os.close(ours)
    assert process.wait() == 0
    return [line.rstrip() for line in re.sub(r"\x1b\[[\d;]*m", "", b"".join(parts).decode()).splitlines()]


def test_a_wide_terminal_has_a_line_for_each_transformer() -> None:
    lines = on_a_terminal(150)
    (line,) = [line for line in lines if line.startswith("t3_thin_cable")]
    said = "t3_thin_cable 13 6.1 79.3 bound line t3_span1 terminal 1 phase B thermal 126.56 A 125 A"
    assert line.split() == said.split()


@pytest.mark.parametrize("columns", [80, 100, 117, 140])
def test_a_narrow_terminal_has_what_binds_below_with_value_and_limit_together(columns: int) -> None:
    lines = on_a_terminal(columns)
    assert lines[0].split() == ["transformer", "customers", "headroom_kw", "total_kw", "status"]
    at = next(i for i, line in enumerate(lines) if line.startswith("t3_thin_cable"))
    assert lines[at].split() == ["t3_thin_cable", "13", "6.1", "79.3", "bound"]
    assert lines[at + 1] == "    line t3_span1 terminal 1 phase B: thermal 126.56 A, limit 125 A"
    spare = next(i for i, line in enumerate(lines) if line.startswith("t8_spare"))
    assert lines[spare + 1].startswith("t9_mixed")  # nothing stops it: nothing is said
    table = lines[: next(i for i, line in enumerate(lines) if line.startswith("limits:"))]
    assert max(map(len, table)) <= columns


def test_a_terminal_too_narrow_for_either_loses_nothing() -> None:
    (line,) = [line for line in on_a_terminal(40) if line.startswith("t3_thin_cable")]
    assert line.endswith("thermal       126.56 A  125 A")
