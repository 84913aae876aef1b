"""The `hostcap` command."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command; an interruption while it is still being imported ends it quietly too."""
    try:
        from hostcap.cli.main import main as command

        command()
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        raise SystemExit(130) from None
