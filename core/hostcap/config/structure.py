"""From the tables of a study file to config classes, exactly: nothing is guessed, and every finding is reported.

Plain cattrs takes ``"12"`` for a number, 3.7 for an integer and ``"false"`` for true, and stops at the first value
that a validator refuses. The hooks here take each type as TOML writes it, and check every field of a class before the
class is made. What they raise is a tree of exception groups with a note at each step, as cattrs' own is, and
``problems`` walks it.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from datetime import UTC, date, datetime
from functools import lru_cache
from math import isfinite
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin

import attrs
from cattrs import Converter, StructureHandlerNotFoundError

from hostcap.config.wording import choices, is_union, joined, shown, type_words
from hostcap.errors import ConfigError, PluginError
from hostcap.plugins._nearest import did_you_mean

T = TypeVar("T")
_INTEGER_BITS = 63
# attrs' stubs leave the attributes of the one out, and call the other a function.
_CONVERTER: Any = attrs.Converter
_FACTORY: Any = attrs.Factory


class _Key(str):
    """Note on an error: it is about the value of this key."""


class _Entry(str):
    """Note on an error: it is about this entry of a list."""


def structure(data: object, cls: type[T], *, path: str = "", folder: Path) -> T:
    """An instance of a config class from a table.

    Args:
        data: The table as ``tomllib`` gives it.
        cls: attrs class; its fields' types say what is accepted.
        path: Where the table stands in its file, for messages.
        folder: Relative paths start here.

    Raises:
        ConfigError: All findings, a line each.
        PluginError: The class has a field of a type that no study file can hold.
    """
    try:
        return make_converter(folder).structure(data, cls)
    except PluginError:
        raise
    except Exception as error:  # whatever a validator or a converter of an author's class raises is a finding
        raise ConfigError(tuple(problems(error, path))) from error


def problems(error: BaseException, path: str) -> Iterator[str]:
    """The lines of an exception tree of ``structure``, each ``path: what is wrong``."""
    for note in getattr(error, "__notes__", ()):
        if isinstance(note, _Key):
            path = joined(path, str(note))
        elif isinstance(note, _Entry):
            path = f"{path}[{note}]"
    if isinstance(error, ExceptionGroup):
        for inner in error.exceptions:
            yield from problems(inner, path)
    elif isinstance(error, ConfigError):  # a class's own cross-field check may name the key: "lv_min_v: must be ..."
        yield from (f"{path}.{line}" if path else line for line in error.problems)
    else:
        yield f"{path or 'study'}: {_reason(error)}"


def config_fields(cls: type) -> tuple[attrs.Attribute[Any], ...]:
    """Fields that a study file can set, with their types resolved.

    Raises:
        PluginError: An annotation cannot be resolved.
    """
    try:
        attrs.resolve_types(cls)
    except NameError as error:
        raise PluginError(
            f"config class {cls.__qualname__}: {error}; import the types of its fields at run time,"
            " not under TYPE_CHECKING"
        ) from error
    return tuple(a for a in attrs.fields(cls) if a.init)


def key_of(attribute: attrs.Attribute[Any]) -> str:
    """The key of a field in a file, which is its argument in Python."""
    return attribute.alias or attribute.name


def default_of(attribute: attrs.Attribute[Any], instance: object | None = None) -> Any:
    """Default of a field: ``attrs.NOTHING`` where it is required, None where it depends on an instance not given."""
    default: Any = attribute.default
    if not isinstance(default, _FACTORY):
        return default
    if not default.takes_self:
        return default.factory()
    return None if instance is None else default.factory(instance)


@lru_cache(maxsize=16)
def make_converter(folder: Path) -> Converter:
    """A cattrs converter with the exact hooks; relative paths start at ``folder``.

    To make one takes longer than to use it.
    """
    converter = Converter(detailed_validation=True)
    for exact in (str, int, float, bool, datetime, date):
        converter.register_structure_hook(exact, _scalar)
    converter.register_structure_hook(Path, lambda value, _: folder.absolute() / _path(value))
    converter.register_structure_hook_factory(lambda t: bool(choices(t)), lambda t: _choice)
    converter.register_structure_hook_factory(is_union, lambda t: _union_hook(converter, t))
    converter.register_structure_hook_factory(_is_list, lambda t: _list_hook(converter, t))
    converter.register_structure_hook_factory(_is_table, lambda t: _table_hook(converter, t))
    converter.register_structure_hook_factory(attrs.has, lambda t: _class_hook(converter, t, folder))
    return converter


def _scalar(value: Any, kind: Any) -> Any:
    if choices(kind):  # a StrEnum is a str to cattrs' dispatch
        return _choice(value, kind)
    if kind is float and type(value) in (int, float):
        if (type(value) is int and value.bit_length() > _INTEGER_BITS) or not isfinite(value):
            raise ValueError(f"must be finite, got {shown(value)}")
        return float(value)
    if type(value) is not kind:
        raise ValueError(_expected(kind, value))
    if kind is int and value.bit_length() > _INTEGER_BITS:
        raise ValueError("expected an integer of at most 64 bits")
    return _instant(value) if kind is datetime else value


def _instant(value: datetime) -> datetime:
    if value.utcoffset() is None:
        raise ValueError(f"needs an offset, such as {value.isoformat()}Z for UTC; got {value.isoformat()}")
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise ValueError(f"is outside the years 1 to 9999 in UTC: {value.isoformat()}") from None


def _path(value: object) -> Path:
    if not isinstance(value, str):
        raise ValueError(_expected(Path, value))
    if not value.strip() or "\0" in value:
        raise ValueError(f"expected a path, got {shown(value)}")
    return Path(value)


def _choice(value: Any, kind: Any) -> Any:
    allowed = choices(kind)
    for choice in allowed:
        if type(value) is type(choice) and value == choice:
            return kind(choice) if get_origin(kind) is not Literal else choice
    hint = did_you_mean(value, map(str, allowed)) if isinstance(value, str) else ""
    raise ValueError(f"expected one of {', '.join(map(str, allowed))}, got {shown(value)}{hint}")


def _union_hook(converter: Converter, kind: Any) -> Callable[[Any, Any], Any]:
    members = [member for member in get_args(kind) if member is not types.NoneType]
    optional = len(members) < len(get_args(kind))

    def structure_union(value: Any, _: Any) -> Any:
        if value is None and optional:
            return None
        if len(members) == 1:
            return converter.structure(value, members[0])
        for member in members:
            try:
                return converter.structure(value, member)
            except (ValueError, ExceptionGroup):
                continue
        raise ValueError(_expected(kind, value))

    return structure_union


def _is_list(kind: Any) -> bool:
    origin = get_origin(kind) or kind
    return isinstance(origin, type) and issubclass(origin, (Sequence, Set)) and not issubclass(origin, (str, bytes))


def _list_hook(converter: Converter, kind: Any) -> Callable[[Any, Any], Any]:
    arguments: tuple[Any, ...] = get_args(kind) or (Any, ...)
    origin: type = get_origin(kind) or kind
    fixed = origin is tuple and Ellipsis not in arguments
    make = list if origin is list else frozenset if issubclass(origin, Set) else tuple

    def structure_list(value: Any, _: Any) -> Any:
        if not isinstance(value, (list, tuple)):
            raise ValueError(_expected(kind, value))
        if fixed and len(value) != len(arguments):
            raise ValueError(f"expected a list of {len(arguments)}, got {len(value)}")
        items, errors = [], []
        for index, item in enumerate(value):
            member = arguments[index] if fixed else arguments[0]
            try:
                items.append(converter.structure(item, member))
            except PluginError:
                raise
            except Exception as error:
                errors.append(_noted(error, _Entry(index)))
        if errors:
            raise ExceptionGroup("list", errors)
        return make(items)

    return structure_list


def _is_table(kind: Any) -> bool:
    origin = get_origin(kind) or kind
    return isinstance(origin, type) and issubclass(origin, Mapping)


def _table_hook(converter: Converter, kind: Any) -> Callable[[Any, Any], Any]:
    member: Any = (get_args(kind) or (str, Any))[1]

    def structure_table(value: Any, _: Any) -> Any:
        if not isinstance(value, Mapping):
            raise ValueError(_expected(kind, value))
        items, errors = {}, []
        for key, item in value.items():
            try:
                items[key] = converter.structure(item, member)
            except PluginError:
                raise
            except Exception as error:
                errors.append(_noted(error, _Key(key)))
        if errors:
            raise ExceptionGroup("table", errors)
        return items

    return structure_table


def _class_hook(converter: Converter, target: Any, folder: Path) -> Callable[[Any, Any], Any]:
    cls: type = get_origin(target) or target
    fields = {key_of(a): a for a in config_fields(cls)}

    def structure_class(value: Any, _: Any) -> Any:
        if not isinstance(value, Mapping):
            raise ValueError(_expected(cls, value))
        given: dict[str, Any] = {}
        errors: list[Exception] = []
        for key, attribute in fields.items():
            note = _Key(key)
            if key not in value:
                if attribute.default is attrs.NOTHING:
                    errors.append(_noted(ValueError("required key is missing"), note))
                continue
            try:
                kind: Any = attribute.type
                given[key] = converter.structure(value[key], kind)
            except StructureHandlerNotFoundError as error:
                raise PluginError(
                    f"config class {cls.__qualname__}: no study file can hold {attribute.name!r},"
                    f" a {type_words(attribute.type)}"
                ) from error
            except PluginError:
                raise
            except Exception as error:
                errors.append(_noted(error, note))
        for key in value:
            if key not in fields:
                hint = did_you_mean(key, fields) or f"; known: {', '.join(fields) or 'none'}"
                errors.append(_noted(ValueError(f"unknown key{hint}"), _Key(key)))
        errors += _checked(cls, fields, given, set(value), folder)
        if errors:
            raise ExceptionGroup(cls.__qualname__, errors)
        return cls(**given)

    return structure_class


def _checked(
    cls: type, fields: Mapping[str, attrs.Attribute[Any]], given: dict[str, Any], keys: set[str], folder: Path
) -> list[Exception]:
    """What validators say of each field; fills ``given`` with defaults that hold relative paths.

    attrs' own ``__init__`` stops at the first validator that refuses, so each is called here on an instance that is
    never given away.
    """
    errors: list[Exception] = []
    probe: Any = object.__new__(cls)
    valued = []
    for key, attribute in fields.items():
        note = _Key(key)
        try:
            if key in given:
                value = given[key]
            elif key in keys or attribute.default is attrs.NOTHING:
                continue  # reported already
            else:
                default = default_of(attribute, probe)
                value = anchored(default, folder)
                if value != default:
                    given[key] = value
            object.__setattr__(probe, attribute.name, _converted(attribute, value, probe))
            valued.append((attribute, note))
        except Exception as error:
            errors.append(_noted(error, note))
    incomplete = len(valued) < len(fields)
    for attribute, note in valued:
        if attribute.validator is None:
            continue
        try:
            attribute.validator(probe, attribute, getattr(probe, attribute.name))
        except AttributeError as error:
            if not incomplete:  # else it looked at a field that has its own line in the report
                errors.append(_noted(error, note))
        except Exception as error:
            errors.append(_noted(error, note))
    return errors


def _converted(attribute: attrs.Attribute[Any], value: Any, probe: object) -> Any:
    converter: Any = attribute.converter
    if isinstance(converter, _CONVERTER):
        taken = [probe] * converter.takes_self + [attribute] * converter.takes_field
        return converter.converter(value, *taken)
    return value if converter is None else converter(value)


def anchored(value: Any, folder: Path) -> Any:
    """A default with its relative paths resolved as those of a file are."""
    if isinstance(value, Path):
        return folder.absolute() / value
    if type(value) in (list, tuple):
        return type(value)(anchored(item, folder) for item in value)
    if attrs.has(type(value)):
        fields = {key_of(a): getattr(value, a.name) for a in attrs.fields(type(value)) if a.init}
        changed = {key: new for key, old in fields.items() if (new := anchored(old, folder)) != old}
        return attrs.evolve(value, **changed) if changed else value
    return value


def _noted(error: Exception, note: str) -> Exception:
    error.add_note(note)
    return error


def _expected(kind: Any, value: object) -> str:
    words = type_words(kind)
    if words not in ("text", "true or false") and not words.startswith("one of"):
        words = ("an " if words[0] in "aeiou" else "a ") + words
    return f"expected {words}, got {shown(value)}"


def _reason(error: BaseException) -> str:
    # attrs' own validators put the field, the class and the value behind the text, and quote the field before it.
    text = str(error.args[0]) if error.args else ""
    if text.startswith("'") and "' " in text:
        text = text.split("' ", 1)[1]
    text = " ".join(text.split())
    return text if isinstance(error, (ValueError, TypeError)) and text else f"{type(error).__name__}: {text}"
