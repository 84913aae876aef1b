"""What a study that nobody vouches for may not say: engine commands, and paths that lead out of its folder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from pathlib import Path
from typing import Any

import attrs

from hostcap.config.fields import ENGINE_COMMANDS
from hostcap.config.paths import as_written, expand
from hostcap.config.structure import key_of
from hostcap.config.study import Part, StudyDocument
from hostcap.config.wording import joined


def refused_untrusted(document: StudyDocument) -> list[str]:
    """What an untrusted study may not say, a line each, ``path: what is wrong; what to do``."""
    problems: list[str] = []
    for table, given in document.parts.items():
        for place, part in enumerate((given,) if isinstance(given, Part) else given):
            path = table if isinstance(given, Part) else f"{table}[{place}]"
            problems += _of_config(part.config, path, document)
    return problems


def _of_config(config: Any, path: str, document: StudyDocument) -> Iterator[str]:
    for attribute in attrs.fields(type(config)):
        if not attribute.init:
            continue
        value, where = getattr(config, attribute.name), joined(path, key_of(attribute))
        if value and attribute.metadata.get(ENGINE_COMMANDS):
            yield f"{where}: an untrusted study may not run engine commands; remove the key"
        else:
            yield from _of_value(value, where, document)


def _of_value(value: Any, path: str, document: StudyDocument) -> Iterator[str]:
    if isinstance(value, Path):
        yield from _of_path(value, path, document)
    elif attrs.has(type(value)):
        yield from _of_config(value, path, document)
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _of_value(item, joined(path, str(key)), document)
    elif isinstance(value, (Sequence, Set)) and not isinstance(value, (str, bytes)):
        for place, item in enumerate(value):
            yield from _of_value(item, f"{path}[{place}]", document)


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
