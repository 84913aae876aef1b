"""What a study that nobody vouches for may not say: engine commands, environment variables, paths out of its folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from hostcap.config.fields import ENGINE_COMMANDS, ENVIRONMENT_VARIABLE
from hostcap.config.inputs import values_said
from hostcap.config.paths import as_written, expand
from hostcap.config.study import StudyDocument
from hostcap.config.variants import realised


def refused_untrusted(document: StudyDocument) -> list[str]:
    """What an untrusted study may not say, a line each, ``path: what is wrong; what to do``."""
    problems = [
        f"projects[{place}].commands: an untrusted study may not run engine commands; remove the project"
        for place in range(len(document.projects))
    ]
    if document.projects_file is not None:
        problems += _of_path(document.projects_file, "projects", document)
    for said in values_said(realised(document)):
        if said.value and said.about.get(ENGINE_COMMANDS):
            problems.append(f"{said.key}: an untrusted study may not run engine commands; remove the key")
        elif said.value and said.about.get(ENVIRONMENT_VARIABLE):
            problems.append(
                f"{said.key}: an untrusted study may not use what your environment variables hold, such as passwords; "
                "remove the part that names one"
            )
        elif isinstance(said.value, Path):
            problems += _of_path(said.value, said.key, document)
    return problems


def _of_path(value: Path, path: str, document: StudyDocument) -> Iterator[str]:
    written = as_written(value, document.folder)
    reason = None
    if Path(written).is_absolute():
        reason = "is absolute"
    elif written.startswith("~"):
        reason = "starts at a home folder"
    elif any(leads_out(expand(value, feeder), document.folder) for feeder in document.scope.feeders):
        reason = "leads out of the study's folder"
    if reason:
        yield (
            f"{path}: a path of an untrusted study must stay in the study's folder, and {written!r} {reason}; "
            "put the files beside the study file"
        )


def leads_out(path: Path, folder: Path) -> bool:
    """Whether a path lies outside a folder, links followed; also where it cannot be followed."""
    try:
        return not path.resolve().is_relative_to(folder.resolve())
    except (OSError, RuntimeError):  # a loop of links
        return True
