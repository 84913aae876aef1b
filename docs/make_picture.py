"""Draw what ``hostcap demo`` prints on a terminal: ``python docs/make_picture.py`` writes ``docs/images/demo.svg``.

The command runs in a pseudo-terminal of a fixed width, and rich draws the characters and colours that came out of it.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

PICTURE = Path(__file__).resolve().parent / "images" / "demo.svg"
COLUMNS = 145
"""Wide enough for the longest line of the table."""
_FONTS = re.compile(r"\s*@font-face \{.*?\}\n", re.DOTALL)


def terminal_output(*command: str) -> str:
    """What a command prints on a terminal of ``COLUMNS``, with its control codes."""
    import pty  # where there are no pseudo-terminals, the module can still be imported

    ours, theirs = pty.openpty()
    environment = os.environ | {"COLUMNS": str(COLUMNS), "LINES": "60", "TERM": "xterm-256color"}
    environment.pop("NO_COLOR", None)
    process = subprocess.Popen(command, stdout=theirs, stderr=subprocess.PIPE, env=environment)
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
    _, errors = process.communicate()
    if process.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} failed: {errors.decode()}")
    return b"".join(parts).decode().replace("\r\n", "\n")


def picture() -> str:
    """The demo as SVG."""
    from rich.console import Console
    from rich.text import Text

    hostcap = Path(sys.executable).parent / "hostcap"
    with open(os.devnull, "w", encoding="utf-8") as nowhere:
        console = Console(record=True, width=COLUMNS, file=nowhere)
        console.print(Text("$ hostcap demo", style="bold"))
        console.print(Text.from_ansi(terminal_output(str(hostcap), "demo").rstrip("\n")))
    drawn = console.export_svg(title="hostcap demo", unique_id="hostcap")
    # Fonts from elsewhere on the web are left out: the reader's own monospace does.
    drawn = _FONTS.sub("", drawn).replace("Fira Code, ", "")
    return "\n".join(line.rstrip() for line in drawn.splitlines()) + "\n"


if __name__ == "__main__":
    PICTURE.parent.mkdir(exist_ok=True)
    PICTURE.write_text(picture(), encoding="utf-8")
