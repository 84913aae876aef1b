"""A study back as TOML: the study as it will run, every default written out."""

from __future__ import annotations

from enum import Enum
from functools import lru_cache
from pathlib import Path
from typing import Any

import attrs
from cattrs import Converter

from hostcap.config.paths import as_written
from hostcap.config.structure import default_of, key_of
from hostcap.config.study import Part, StudyDocument
from hostcap.config.wording import joined, shown
from hostcap.errors import ConfigError
from hostcap.plugins.kinds import KINDS


def canonical(document: StudyDocument) -> str:
    """The study file that means ``document``: equal documents give equal text, and reading it gives an equal one.

    Tables stand in the order of a study file, keys in the order of their classes; paths are relative to the
    document's folder where they start there, times are UTC.
    """
    import tomlkit  # 20 ms that nobody pays who only lists plugins

    toml: dict[str, Any] = {"name": document.name}
    if not document.bare:
        toml["scope"] = unstructure(document.scope, document.folder, path="scope")
    if document.variants:
        toml["variants"] = {
            name: unstructure(variant, document.folder, path=f"variants.{name}")
            for name, variant in document.variants.items()
        }
    if document.projects:
        toml["projects"] = [
            unstructure(project, document.folder, path=f"projects[{i}]") for i, project in enumerate(document.projects)
        ]
    for table in (kind.table for kind in KINDS if kind.table in document.parts):
        part = document.parts[table]
        if isinstance(part, Part):
            toml[table] = _table(part, document.folder, table)
        else:
            toml[table] = [_table(entry, document.folder, f"{table}[{i}]") for i, entry in enumerate(part)]
    return tomlkit.dumps(toml)


def _table(part: Part[Any], folder: Path, path: str) -> dict[str, Any]:
    return {"plugin": part.plugin} | unstructure(part.config, folder, path=path)


def unstructure(config: Any, folder: Path, *, path: str = "") -> dict[str, Any]:
    """A config as a table of a study file in ``folder``; what is None is left out.

    Raises:
        ConfigError: A field is None whose default is not, which no file can say.
    """
    try:
        table: dict[str, Any] = _converter(folder).unstructure(config)
    except _UnsayableError as error:
        key, default = error.args
        raise ConfigError(
            f"{joined(path or type(config).__name__, key)}: nothing cannot be written to a study file, as leaving"
            f" the key out means {shown(default)}"
        ) from None
    return table


class _UnsayableError(Exception):
    """A field is None whose default is not: its key and the default."""


@lru_cache(maxsize=16)
def _converter(folder: Path) -> Converter:
    """Writes configs of a study file in ``folder``; to make one takes longer than to use it."""
    converter = Converter()
    converter.register_unstructure_hook(Path, lambda value: as_written(value, folder))
    converter.register_unstructure_hook(str, lambda value: value.value if isinstance(value, Enum) else value)
    converter.register_unstructure_hook(frozenset, sorted)
    converter.register_unstructure_hook_func(lambda t: attrs.has(t), lambda value: _class_table(converter, value))
    return converter


def _class_table(converter: Converter, value: Any) -> dict[str, Any]:
    table = {}
    for attribute in attrs.fields(type(value)):
        item = getattr(value, attribute.name)
        if not attribute.init:
            continue
        if item is None and (default := default_of(attribute)) is not None:
            raise _UnsayableError(key_of(attribute), default)
        if item is not None:
            # By what it is, not by what it is declared: a field typed as a base class keeps its own keys.
            table[key_of(attribute)] = converter.unstructure(item, unstructure_as=type(item))
    return table
