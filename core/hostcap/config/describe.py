"""A config class as rows for people: the source of ``hostcap plugins show``, the reference pages and JSON Schema."""

from __future__ import annotations

import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import attrs
from attrs import frozen

from hostcap.config.canonical import unstructure
from hostcap.config.fields import DOC, UNIT
from hostcap.config.structure import config_fields, default_of, key_of
from hostcap.config.wording import is_union, type_words


@frozen(kw_only=True)
class Row:
    """One key of a config class.

    Attributes:
        key: As a study file writes it; ``a.b`` for a key of a nested table.
        type: In words, such as ``number`` or ``one of export, import``.
        unit: Empty where there is none.
        default: As a study file would write it; ``required``, or empty for a key that may be left out.
        meaning: One line.
    """

    key: str
    type: str
    unit: str
    default: str
    meaning: str


def describe(config: type) -> tuple[Row, ...]:
    """Rows of a config class, in the order of its fields."""
    return tuple(_rows(config, "", None))


def _rows(config: type, prefix: str, given: object) -> Iterator[Row]:
    for attribute in config_fields(config):
        key = prefix + key_of(attribute)
        default = default_of(attribute) if given is None else getattr(given, attribute.name)
        nested = _nested(attribute.type)
        if nested is not None:
            yield from _rows(nested, key + ".", default if isinstance(default, nested) else None)
            continue
        yield Row(
            key=key,
            type=type_words(attribute.type),
            unit=attribute.metadata.get(UNIT, ""),
            default="required" if default is attrs.NOTHING else _toml(default),
            meaning=attribute.metadata.get(DOC, ""),
        )


def _nested(kind: Any) -> type | None:
    members = [a for a in get_args(kind) if a is not types.NoneType] if is_union(kind) else [kind]
    return members[0] if len(members) == 1 and isinstance(members[0], type) and attrs.has(members[0]) else None


def _toml(value: Any) -> str:
    if value is None:
        return ""
    import tomlkit

    @frozen
    class Holder:
        value: Any

    inline = tomlkit.array()  # within a list a table is written on one line
    inline.append(unstructure(Holder(value), Path())["value"])
    return inline.as_string()[1:-1]
