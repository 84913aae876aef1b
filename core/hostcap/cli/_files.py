"""Text files that appear whole or not at all."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from hostcap.errors import OutputError


def write_text(path: Path, text: str, *, replace: bool) -> None:
    """Write beside the file, then rename.

    Args:
        path: The file.
        text: What it is to hold, written in UTF-8.
        replace: Whether a file that is there may be replaced.

    Raises:
        OutputError: It cannot be written, or is there and may not be replaced.
    """
    beside = path.parent / f".{path.name}.{os.getpid()}.part"
    try:
        beside.write_text(text, encoding="utf-8", newline="\n")
        if not replace:
            refuse_existing(path)
        beside.replace(path)
    except OutputError:
        raise
    except (OSError, ValueError) as error:  # ValueError: a null character, or half a character pair, in a name
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise OutputError(f"{path}: cannot be written: {reason}") from error
    finally:
        with suppress(OSError, ValueError):
            beside.unlink(missing_ok=True)


def refuse_existing(path: Path) -> None:
    """Refuse a path at which there is something, be it a broken link.

    Raises:
        OutputError: There is.
    """
    if os.path.lexists(path):
        raise OutputError(
            f"{path}: is there already and is not overwritten; remove it, or give another file with --out"
        )
