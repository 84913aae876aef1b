"""A commented study file to start from: every key of every part with its meaning, type, unit and default.

A key that is set stands as TOML; one that is left at its default stands behind ``#``, ready to be set; one that is
required and not known yet is marked ``REQUIRED``. Everything comes from the config classes.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from attrs import field, frozen

from hostcap.config.describe import Row, describe
from hostcap.config.study import Scope
from hostcap.config.study_file import DEFAULT_WRITERS
from hostcap.config.wording import alternatives
from hostcap.plugins.kinds import KINDS, REPEATED, PluginRecord, StudyPlugin
from hostcap.plugins.registry import Registry

_WIDTH = 118


@frozen(kw_only=True)
class Choice:
    """What one table of the new study says.

    Attributes:
        plugin: The plugin that it picks.
        values: Keys that are set, and to what, as TOML has it; ``a.b`` for a key of a nested table.
        notes: Why, by key; a line or more of comment.
    """

    plugin: str
    values: Mapping[str, Any] = field(factory=dict)
    notes: Mapping[str, str] = field(factory=dict)


def study_template(
    registry: Registry,
    *,
    heading: str,
    name: str,
    scope: Mapping[str, Any],
    choices: Mapping[str, Sequence[Choice]],
) -> str:
    """Text of a commented study file.

    Args:
        registry: Plugins that it may name.
        heading: Comment at the top.
        name: Name of the study.
        scope: Values of ``[scope]``.
        choices: By table; ``study`` is needed. A table that is not here gets the study's default plugin, or the first
            one installed where the study has none and needs one.

    Raises:
        UnknownPluginError: A choice names a plugin that is not installed.
    """
    study = registry.get(StudyPlugin, choices["study"][0].plugin)
    lines = [*_comment(heading), f"name = {_toml(name)}", "", "[scope]"]
    lines += _keys(describe(Scope), scope, {})
    for kind in KINDS:
        if kind is StudyPlugin:
            chosen = choices["study"]
        else:
            takes = study.parts.get(kind.table, DEFAULT_WRITERS if kind.table == "writers" else None)
            if takes is None:
                continue
            chosen = choices.get(kind.table, ())
            if not chosen and takes.default:
                chosen = [Choice(plugin=takes.default)]
            elif not chosen and takes.required:
                chosen = [Choice(plugin=plugin) for plugin in registry.offered(kind)[:1]]
        for choice in chosen:
            others = [n for n in registry.offered(kind) if n not in {c.plugin for c in chosen}]
            lines += ["", *_table(registry.get(kind, choice.plugin), choice, others)]
    return "\n".join(lines) + "\n"


def required_keys(registry: Registry, choices: Mapping[str, Sequence[Choice]]) -> tuple[str, ...]:
    """Keys of the chosen plugins that are required and not set, such as ``network.master``."""
    return tuple(
        f"{kind.table}.{row.key}"
        for kind in KINDS
        for choice in choices.get(kind.table, ())
        for row in describe(registry.get(kind, choice.plugin).config)
        if row.default == "required" and row.key not in choice.values
    )


def _table(record: PluginRecord[Any], choice: Choice, others: Sequence[str]) -> Iterator[str]:
    yield f"[[{record.table}]]" if record.table in REPEATED else f"[{record.table}]"
    also = f"; other plugins: {alternatives(others)}" if others else ""
    yield from _comment(f"{record.summary}{also}.")
    yield f"plugin = {_toml(record.name)}"
    yield from _keys(describe(record.config), choice.values, choice.notes)


def _keys(rows: Sequence[Row], values: Mapping[str, Any], notes: Mapping[str, str]) -> Iterator[str]:
    for row in rows:
        kind = f"{row.type}, {row.unit}" if row.unit else row.type
        default = "required" if row.default == "required" else f"default {row.default}" if row.default else "no default"
        yield from _comment(f"{row.meaning or row.key} ({kind}; {default}).")
        if row.key in notes:
            yield from _comment(notes[row.key])
        if row.key in values:
            yield f"{row.key} = {_toml(values[row.key])}"
        elif row.default == "required":
            yield f"#{row.key} =  # REQUIRED: fill in, and take the first # away"
        else:
            yield f"#{row.key} = {row.default}".rstrip()


def _comment(text: str) -> Iterator[str]:
    for paragraph in text.splitlines():
        for line in textwrap.wrap(paragraph, _WIDTH, break_long_words=False, break_on_hyphens=False):
            yield f"# {line}"


def _toml(value: Any) -> str:
    import tomlkit  # 20 ms that nobody pays who only lists plugins

    text: str = tomlkit.item(value).as_string()
    return text
