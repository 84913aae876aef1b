"""Paths in study files: relative to the file, with ``{feeder}`` where feeders differ.

A part's config holds absolute paths, so that it means the same in every process whatever its working directory.
Nothing has to remember what the file said: joining folder and path keeps every ``..``, so that taking the folder away
again gives the path as written. That also serves a study composed in Python, which never had a file.
"""

from __future__ import annotations

from pathlib import Path

FEEDER = "{feeder}"


def resolved(path: Path, folder: Path) -> Path:
    """A path of a study file as an absolute one; ``~`` and links are left alone."""
    return folder.absolute() / path


def as_written(path: Path, folder: Path) -> str:
    """A path as the study file in ``folder`` says it: relative where it starts there, with ``/`` on every system."""
    folder = folder.absolute()
    return (path.relative_to(folder) if path.is_relative_to(folder) else path).as_posix()


def expand(path: Path, feeder: str) -> Path:
    """The path for one feeder."""
    return Path(str(path).replace(FEEDER, feeder))
