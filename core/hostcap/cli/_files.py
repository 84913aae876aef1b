"""Text files that appear whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Mapping
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


def write_files(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write files into a folder, all of them or none; those that are there are replaced.

    Raises:
        OutputError: They cannot be written.
    """
    beside = {folder / name: folder / f".{name}.{os.getpid()}.part" for name in files}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, part in beside.items():
            part.write_bytes(files[path.name])
        for path, part in beside.items():
            part.replace(path)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be written: {error.strerror or error}") from error
    finally:
        for part in beside.values():
            with suppress(OSError):
                part.unlink(missing_ok=True)


def refuse_existing(path: Path) -> None:
    """Refuse a path at which there is something, be it a broken link.

    Raises:
        OutputError: There is.
    """
    if os.path.lexists(path):
        raise OutputError(
            f"{path}: is there already and is not overwritten; remove it, or give another file with --out"
        )
