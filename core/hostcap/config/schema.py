"""JSON Schema of a study file, for editors: made from the installed plugins' config classes, so never typed twice.

The schema refuses nothing that ``structure_study`` accepts. The other way round it leaves through what JSON Schema has
no words for: rules across keys, texts that differ in case alone, 3.0 for an integer, and dates, which JSON has as text.
"""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping, Sequence, Set
from datetime import UTC, date, datetime
from pathlib import Path, PurePath
from typing import Any, NewType, get_args, get_origin

import attrs

from hostcap.config.canonical import unstructure
from hostcap.config.fields import DOC, SCHEMA, UNIT
from hostcap.config.structure import config_fields, default_of, key_of
from hostcap.config.study import BARE, Scope, StudyDocument
from hostcap.config.study_file import DEFAULT_WRITERS
from hostcap.config.variants import Project, Variant
from hostcap.config.wording import alternatives, choices, is_union
from hostcap.errors import PluginError
from hostcap.plugins.kinds import KINDS, REPEATED, PluginRecord, StudyPlugin, Takes
from hostcap.plugins.registry import Registry

Schema = dict[str, Any]
DRAFT = "https://json-schema.org/draft/2020-12/schema"
_NOT_BLANK = r"\S"
_OFFSET = r"(?:[zZ]|[+-]\d{2}:\d{2})$"
_SCALARS: Mapping[Any, Schema] = {
    str: {"type": "string"},
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    float: {"type": "number"},
    datetime: {"type": "string", "format": "date-time", "pattern": _OFFSET},
    date: {"type": "string", "format": "date"},
}
_ABOUT = {
    "minimum": "number",
    "maximum": "number",
    "exclusiveMinimum": "number",
    "exclusiveMaximum": "number",
    "pattern": "string",
    "minLength": "string",
    "maxLength": "string",
    "items": "array",
    "minItems": "array",
    "maxItems": "array",
    "uniqueItems": "array",
    "minProperties": "object",
    "maxProperties": "object",
}
"""The type that a keyword speaks about."""
_COMPARISONS = {">": "exclusiveMinimum", ">=": "minimum", "<": "exclusiveMaximum", "<=": "maximum"}


def study_schema(registry: Registry) -> Schema:
    """JSON Schema (2020-12) of a study file with the plugins of a registry; the same registry gives the same text.

    A plugin that failed to load, is offered twice or has a broken config class is not in it, as no study can name it.
    """
    records = {kind: _usable(registry, kind) for kind in KINDS}
    studies = [record for record in records[StudyPlugin] if isinstance(record, StudyPlugin)]
    properties: Schema = {
        "name": _checked({"type": "string"}, attrs.fields(StudyDocument).name.validator)
        | {"description": "Name of the study; results are kept under it"},
        "scope": {"description": "Which feeders the study is about, and how its results are labelled"}
        | _object(Scope, None),
        "variants": {
            "description": "Variants of the network by name: which projects each has",
            "type": "object",
            "additionalProperties": _object(Variant, None),
        },
        "projects": {
            "description": "What variants select among; or the path of a TOML file with [[projects]]",
            "anyOf": [{"type": "array", "items": _object(Project, None)}, {"type": "string", "pattern": _NOT_BLANK}],
        },
    }
    for kind in KINDS:
        taken = [takes for study in studies if (takes := _takes(study, kind))]
        if records[kind] and (kind is StudyPlugin or taken):
            properties[kind.table] = _table(kind, records[kind], {takes.default for takes in taken} or {None})
    return {
        "$schema": DRAFT,
        "title": "hostcap study",
        "description": "A study of hosting capacity; `hostcap check FILE` says what an editor cannot know",
        "type": "object",
        "properties": properties,
        "required": ["name", "study"] if any(map(_may_be_bare, studies)) else ["name", "scope", "study"],
        "additionalProperties": False,
        **({"allOf": [_if_study(s, records, properties, studies) for s in studies]} if studies else {}),
    }


# Tables of the file


def _usable(registry: Registry, kind: type[PluginRecord[Any]]) -> list[PluginRecord[Any]]:
    found = []
    for name in registry.names(kind):
        try:
            record = registry.get(kind, name)
            config_fields(record.config)
        except PluginError:
            continue
        found.append(record)
    return found


def _takes(study: StudyPlugin[Any], kind: type[PluginRecord[Any]]) -> Takes | None:
    return study.parts.get(kind.table, DEFAULT_WRITERS if kind.table == "writers" else None)


def _may_be_bare(study: StudyPlugin[Any]) -> bool:
    network = study.parts.get("network")
    return BARE in study.capabilities or ("flows" in study.parts and (network is None or not network.required))


def _table(kind: type[PluginRecord[Any]], records: Sequence[PluginRecord[Any]], defaults: Set[str | None]) -> Schema:
    """The table of one kind; ``defaults``: what the installed studies use where the file names no plugin."""
    default = next(iter(defaults)) if len(defaults) == 1 else None
    words = f"Its plugin: {alternatives(record.name for record in records)}"
    words += f"; {default} where it is left out" if default else ""
    branches = [_branch(record, may_be_left_out=record.name in defaults) for record in records]
    # Where studies differ, a table without a plugin may fit several branches here; `_if_study` then decides.
    one: Schema = {"type": "object", "oneOf" if len(defaults) == 1 else "anyOf": branches}
    if kind.table not in REPEATED:
        return {"description": words} | one
    return {"description": words, "type": "array", "minItems": 1, "items": one}


def _branch(record: PluginRecord[Any], *, may_be_left_out: bool) -> Schema:
    return {"title": record.name, "description": record.summary} | _object(
        record.config,
        None,
        plugin={"description": record.summary, "const": record.name}
        | ({"default": record.name} if may_be_left_out else {}),
        plugin_required=not may_be_left_out,
    )


def _if_study(
    study: StudyPlugin[Any],
    records: Mapping[type[PluginRecord[Any]], Sequence[PluginRecord[Any]]],
    properties: Mapping[str, Schema],
    studies: Sequence[StudyPlugin[Any]],
) -> Schema:
    """What holds where the file picks this study: tables that it needs, refuses, or takes with its own default."""
    tables: Schema = {}
    required = [] if _may_be_bare(study) or not any(map(_may_be_bare, studies)) else ["scope"]
    for kind in KINDS:
        if kind is StudyPlugin:
            continue
        takes = _takes(study, kind)
        if takes is None:
            if kind.table in properties:
                tables[kind.table] = False
            continue
        default = next((record for record in records[kind] if record.name == takes.default), None)
        if takes.required or (takes.default and (default is None or _needed_keys(default))):
            required.append(kind.table)
        others = {other.default for one in studies if (other := _takes(one, kind))}
        if len(others) > 1 and kind.table in properties:
            unnamed: Schema = (
                {"required": ["plugin"]}
                if default is None
                else {"if": {"not": {"required": ["plugin"]}}, "then": _branch(default, may_be_left_out=True)}
            )
            tables[kind.table] = {"items": unnamed} if kind.table in REPEATED else unnamed
    picked = {"properties": {"plugin": {"const": study.name}}, "required": ["plugin"]}
    return {
        "if": {"properties": {"study": picked}, "required": ["study"]},
        "then": {"properties": tables, "required": required},
    }


def _needed_keys(record: PluginRecord[Any]) -> list[str]:
    """Keys that a plugin cannot do without."""
    return [key_of(a) for a in config_fields(record.config) if a.default is attrs.NOTHING]


# Config classes


def _object(cls: type, given: object, *, plugin: Schema | None = None, plugin_required: bool = False) -> Schema:
    """A config class; ``given`` is an instance whose values stand in place of the class's defaults."""
    properties: Schema = {} if plugin is None else {"plugin": plugin}
    required = ["plugin"] if plugin_required else []
    for attribute in config_fields(cls):
        default = default_of(attribute) if given is None else getattr(given, attribute.name)
        properties[key_of(attribute)] = _key(attribute, default)
        if attribute.default is attrs.NOTHING:
            required.append(key_of(attribute))
    return {
        "type": "object",
        "properties": properties,
        **({"required": required} if required else {}),
        "additionalProperties": False,
    }


def _key(attribute: attrs.Attribute[Any], default: Any) -> Schema:
    doc, unit = attribute.metadata.get(DOC, ""), attribute.metadata.get(UNIT, "")
    words = f"{doc} [{unit}]" if doc and unit else doc
    schema: Schema = ({"description": words} if words else {}) | ({"x-unit": unit} if unit else {})
    # A default of a nested class is shown key by key.
    schema |= _type(attribute.type, default if attrs.has(type(default)) else None)
    if attribute.converter is None:  # else the validator looks at another value than the file's
        schema = _checked(schema, attribute.validator)
    return schema if default is None or default is attrs.NOTHING else schema | {"default": _json(default)}


def _type(kind: Any, given: object = None) -> Schema:
    """What ``structure`` takes for a type; what is not known here is left to it."""
    if isinstance(kind, NewType):
        return _type(kind.__supertype__, given)
    if values := choices(kind):
        texts: Schema = {"type": "string"} if all(isinstance(value, str) for value in values) else {}
        return texts | {"enum": list(values)}
    if is_union(kind):
        members = [member for member in get_args(kind) if member is not types.NoneType]
        if len(members) == 1:
            return _type(members[0], given if isinstance(given, _class_of(members[0])) else None)
        return {"anyOf": [_type(member) for member in members]}
    origin, arguments = _class_of(kind), get_args(kind)
    if origin in _SCALARS:
        return dict(_SCALARS[origin])
    if issubclass(origin, PurePath):
        return {"type": "string", "pattern": _NOT_BLANK}
    if issubclass(origin, Mapping):
        return {"type": "object", "additionalProperties": _type(arguments[1]) if arguments else {}}
    if issubclass(origin, (Sequence, Set)) and not issubclass(origin, (str, bytes)):
        return _list(origin, arguments or (Any, ...))
    return _object(origin, given) if attrs.has(origin) else {}


def _class_of(kind: Any) -> type:
    origin = get_origin(kind) or kind
    return origin if isinstance(origin, type) else object


def _list(origin: type, arguments: tuple[Any, ...]) -> Schema:
    if origin is tuple and Ellipsis not in arguments:
        places: Schema = {"prefixItems": [_type(a) for a in arguments]} if arguments else {}
        return {"type": "array", **places, "minItems": len(arguments), "maxItems": len(arguments)}
    return {"type": "array", "items": _type(arguments[0])}


def _json(value: Any) -> Any:
    """A default as JSON has it: paths and dates as text, tables without what is None."""
    if attrs.has(type(value)):
        return _json(unstructure(value, Path()))
    if isinstance(value, Mapping):
        return {str(key): _json(item) for key, item in value.items()}
    if isinstance(value, Set):
        return [_json(item) for item in sorted(value)]
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_json(item) for item in value]
    if isinstance(value, PurePath):
        return value.as_posix()
    if isinstance(value, datetime):
        return (value if value.tzinfo is None else value.astimezone(UTC)).isoformat().replace("+00:00", "Z")
    if isinstance(value, date):
        return value.isoformat()
    return getattr(value, "value", value)  # an enum's


# What validators check


def _checked(schema: Schema, validator: Any) -> Schema:
    for keywords in _said(validator):
        schema = _joined(schema, keywords)
    return schema


def _said(validator: Any) -> Iterator[Schema]:
    """Keywords of a validator: its own words (``in_schema``), or what is known of one of attrs'."""
    if hasattr(validator, SCHEMA):
        yield dict(getattr(validator, SCHEMA))
    if not type(validator).__module__.startswith("attr"):
        return
    for inner in getattr(validator, "_validators", ()) if type(validator).__name__ == "_AndValidator" else ():
        yield from _said(inner)
    match type(validator).__name__:
        case "_OptionalValidator":
            yield from _said(validator.validator)
        case "_NumberValidator":
            yield {_COMPARISONS[validator.compare_op]: validator.bound}
        case "_InValidator":
            yield {"enum": [_json(option) for option in validator.options]}
        case "_MinLengthValidator":
            yield dict.fromkeys(("minLength", "minItems", "minProperties"), validator.min_length)
        case "_MaxLengthValidator":
            yield dict.fromkeys(("maxLength", "maxItems", "maxProperties"), validator.max_length)


def _joined(schema: Schema, keywords: Mapping[str, Any]) -> Schema:
    """Both together; what both say at once goes into ``allOf``, what speaks about another type is left out."""
    own = {"integer": "number"}.get(schema.get("type", ""), schema.get("type"))
    joined, beside = dict(schema), {}
    for word, value in keywords.items():
        if own and _ABOUT.get(word, own) != own:
            continue
        if word == "items" and isinstance(joined.get("items"), dict):
            joined["items"] = _joined(joined["items"], value)
        elif word in joined or (word == "items" and "prefixItems" in joined):
            beside[word] = value
        else:
            joined[word] = value
    return joined | {"allOf": [*joined.get("allOf", ()), beside]} if beside else joined
