"""How values, keys and types are called in messages and tables, so that every room calls them the same."""

from __future__ import annotations

import json
import re
import types
from collections.abc import Iterable, Mapping, Sequence, Set
from datetime import date, datetime
from enum import Enum
from pathlib import PurePath
from typing import Any, Literal, NewType, Union, get_args, get_origin

import attrs

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_NAMES: Mapping[object, str] = {
    float: "number",
    int: "integer",
    str: "text",
    bool: "true or false",
    datetime: "date and time",
    date: "date",
    Any: "anything",
}


def shown(value: object) -> str:
    """A value as a message gives it: short, on one line, in the words of a study file."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int) and value.bit_length() > 64:
        return f"an integer of {value.bit_length()} bits"  # Python refuses to print those of many thousands
    if isinstance(value, Mapping):
        return "a table"
    if isinstance(value, (list, tuple)):
        return "a list"
    if isinstance(value, (date, datetime)):
        return value.isoformat()
    text = repr(str(value)) if isinstance(value, PurePath) else repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def key_text(key: str) -> str:
    """A key as a path gives it, quoted where TOML would want that."""
    if _BARE_KEY.fullmatch(key) and len(key) <= 80:
        return key
    return json.dumps(key if len(key) <= 80 else key[:77] + "...", ensure_ascii=False)


def joined(path: str, key: str) -> str:
    """The path of a key in the table at ``path``; the file itself is the empty path."""
    return f"{path}.{key_text(key)}" if path else key_text(key)


def alternatives(words: Iterable[str]) -> str:
    """``a, b or c``."""
    listed = list(words)
    return listed[0] if len(listed) == 1 else f"{', '.join(listed[:-1])} or {listed[-1]}" if listed else "nothing"


def choices(kind: Any) -> tuple[Any, ...]:
    """Values that a ``Literal`` or an enum allows, as a file writes them; empty for another type."""
    if get_origin(kind) is Literal:
        return get_args(kind)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return tuple(member.value for member in kind)
    return ()


def is_union(kind: Any) -> bool:
    """Whether a type is ``A | B`` or ``Optional[A]``."""
    return get_origin(kind) in (Union, types.UnionType)


def type_words(kind: Any) -> str:
    """A type in words: ``number``, ``path``, ``list of integer``, ``one of export, import``."""
    if isinstance(kind, NewType):
        return type_words(kind.__supertype__)
    if kind in _NAMES:
        return _NAMES[kind]
    if values := choices(kind):
        return "one of " + ", ".join(map(str, values))
    origin, arguments = get_origin(kind) or kind, get_args(kind)
    if is_union(kind):
        return " or ".join(type_words(a) for a in arguments if a is not types.NoneType)
    if isinstance(origin, type):
        if issubclass(origin, PurePath):
            return "path"
        if issubclass(origin, Mapping):
            return f"table of {type_words(arguments[1])}" if arguments else "table"
        if issubclass(origin, (Sequence, Set)):
            items = dict.fromkeys(type_words(a) for a in arguments if a is not Ellipsis)
            return f"list of {' or '.join(items)}" if items else "list"
        if attrs.has(origin):
            return "table"
    return getattr(kind, "__name__", str(kind))
