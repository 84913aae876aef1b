"""What a study's parts say, value by value, and the files among it: their content is input of a run."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence, Set
from pathlib import Path
from typing import Any

import attrs
from attrs import frozen

from hostcap.config.fields import ENGINE_COMMANDS
from hostcap.config.paths import FEEDER, as_written, expand
from hostcap.config.structure import key_of
from hostcap.config.study import Part, StudyDocument
from hostcap.config.variants import realised
from hostcap.config.wording import joined
from hostcap.errors import ConfigError


@frozen(kw_only=True)
class Said:
    """One value of a study.

    Attributes:
        key: Such as ``profiles.readings.files[0]``.
        value: Neither a list nor a table, save a list of engine commands, which is one value.
        about: Metadata of the field that it is in.
    """

    key: str
    value: Any
    about: Mapping[str, Any]


def values_said(document: StudyDocument, *, without: Collection[str] = ()) -> Iterator[Said]:
    """Every value that the parts of a study say, defaults included; tables in ``without`` are left out."""
    for table, given in document.parts.items():
        if table in without:
            continue
        for place, part in enumerate((given,) if isinstance(given, Part) else given):
            yield from _of_config(part.config, table if isinstance(given, Part) else f"{table}[{place}]")


def _of_config(config: Any, path: str) -> Iterator[Said]:
    for attribute in attrs.fields(type(config)):
        if attribute.init:
            value, key = getattr(config, attribute.name), joined(path, key_of(attribute))
            if attribute.metadata.get(ENGINE_COMMANDS):
                yield Said(key=key, value=value, about=attribute.metadata)
            else:
                yield from _of_value(value, key, attribute.metadata)


def _of_value(value: Any, path: str, about: Mapping[str, Any]) -> Iterator[Said]:
    if attrs.has(type(value)):
        yield from _of_config(value, path)
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _of_value(item, joined(path, str(key)), about)
    elif isinstance(value, (Sequence, Set)) and not isinstance(value, (str, bytes)):
        for place, item in enumerate(value):
            yield from _of_value(item, f"{path}[{place}]", about)
    else:
        yield Said(key=path, value=value, about=about)


def file_hashes(document: StudyDocument, *, without: Collection[str]) -> dict[str, str]:
    """SHA-256 of each file that parts name, by ``key: path as written``.

    A file that is not there has none: whoever reads it says so.

    Args:
        document: The study.
        without: Tables that are left out, as they hash what they read, or read nothing.

    Raises:
        ConfigError: A file cannot be read.
    """
    found: dict[str, str] = {}
    for said in values_said(realised(document), without=without):
        if not isinstance(said.value, Path):
            continue
        feeders = document.scope.feeders if FEEDER in str(said.value) else document.scope.feeders[:1]
        for path in (expand(said.value, feeder) for feeder in feeders):
            if path.is_file():
                found[f"{said.key}: {as_written(path, document.folder)}"] = _digest(path, said.key)
    return found


def _digest(path: Path, key: str) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ConfigError(f"{key}: {path}: cannot be read: {error.strerror or error}") from error
