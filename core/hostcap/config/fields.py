"""Furniture for the fields of config classes: their words for people, and the checks of their values.

A config class is a frozen attrs class; each field says what it is and holds its own range, so that a Python user
meets the same checks as a study file::

    @frozen(kw_only=True)
    class SolverConfig:
        max_iterations: int = field(default=100, validator=positive, metadata=about("Most iterations of one state"))
        tolerance_pu: float = field(default=1e-6, validator=between(1e-12, 1e-2), metadata=about("Mismatch", unit="pu"))

Words go into ``metadata`` and not through a function of ours around ``field``: mypy knows attrs' own field specifiers
alone, and would take every field made by a wrapper for one with a default.

A validator lets None pass, so that it serves ``float | None`` too. What it checks it also says in the words of JSON
Schema, through ``in_schema``, so that an editor marks a wrong value while it is typed.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from numbers import Integral, Real
from typing import Any, TypeVar

import attrs

from hostcap.config.wording import shown
from hostcap.plugins._nearest import did_you_mean

Validator = Callable[[Any, "attrs.Attribute[Any]", Any], None]
CheckT = TypeVar("CheckT", bound=Callable[..., None])
DOC, UNIT = "doc", "unit"
ENGINE_COMMANDS = "engine_commands"
"""Metadata of a field whose value an engine will run."""
ENVIRONMENT_VARIABLE = "environment_variable"
"""Metadata of a field that names an environment variable."""
TABLE_NAMES = "table_names"
"""Metadata of a field that lists tables of the study."""
SOLVER_NAME = "solver_name"
"""Metadata of a field that names a solver, which the study is given under the name that stands here."""
SCHEMA = "json_schema"
"""Attribute of a validator that ``in_schema`` sets."""
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
# JSON Schema knows no flag for case.
_DEVICE = r"(?:[cC][oO][nN]|[pP][rR][nN]|[aA][uU][xX]|[nN][uU][lL]|(?:[cC][oO][mM]|[lL][pP][tT])[0-9])(?:\.[\s\S]*)?$"
_FOLDER_NAME = rf'^(?!{_DEVICE})(?![\s\S]*[/\\:*?"<>|\u0000-\u001f\u007f])(?!\s)[\s\S]*[^\s.]$'


def about(
    doc: str,
    *,
    unit: str = "",
    runs_engine_commands: bool = False,
    reads_environment: bool = False,
    names_tables: bool = False,
    solver_as: str = "",
) -> Mapping[str, Any]:
    """Metadata of a config field.

    Args:
        doc: What the key means, in a line, for tables and the JSON Schema.
        unit: Its unit, such as ``kW``.
        runs_engine_commands: An engine runs what the key says, so that a study that is not trusted may not give it.
        reads_environment: The key names an environment variable, whose value a study that is not trusted may not use.
        names_tables: The key lists tables of the study; names that it does not make are refused before it runs.
        solver_as: The key of a study names a further solver; it must fit the network, and the study is made with it
            under this name.
    """
    marks = {
        ENGINE_COMMANDS: runs_engine_commands,
        ENVIRONMENT_VARIABLE: reads_environment,
        TABLE_NAMES: names_tables,
    }
    named = {SOLVER_NAME: solver_as} if solver_as else {}
    return {DOC: doc, UNIT: unit} | {mark: True for mark, given in marks.items() if given} | named


def in_schema(**keywords: Any) -> Callable[[CheckT], CheckT]:
    """Say what a validator checks in keywords of JSON Schema; for validators of plugin authors as well.

    Example::

        @in_schema(minimum=0, maximum=1)
        def share(instance, attribute, value): ...

    They may allow what the validator refuses, as not every check can be said, and never refuse what it allows.
    Keywords for another type than the field's are left out, so that one validator may serve lists and texts.
    """

    def say(check: CheckT) -> CheckT:
        setattr(check, SCHEMA, keywords)
        return check

    return say


def _quoted(attribute: attrs.Attribute[Any]) -> str:
    return f"'{attribute.name}' "


def _refused(attribute: attrs.Attribute[Any], why: str) -> ValueError:
    """Begins with the quoted field, as attrs' own validators do; the report of a study file names the key instead."""
    return ValueError(_quoted(attribute) + why)


def finite(instance: Any, attribute: attrs.Attribute[Any], value: float | None) -> None:
    """Neither nan nor infinite; a number at all, and whole where the field is, as nothing else looks in Python."""
    if value is None:
        return
    whole = attribute.type in (int, "int", "int | None")
    if not isinstance(value, Integral if whole else Real):
        raise _refused(attribute, f"expected {'an integer' if whole else 'a number'}, got {shown(value)}")
    if not math.isfinite(value):
        raise _refused(attribute, f"must be finite, got {shown(value)}")


@in_schema(exclusiveMinimum=0)
def positive(instance: Any, attribute: attrs.Attribute[Any], value: float | None) -> None:
    """Finite and > 0."""
    finite(instance, attribute, value)
    if value is not None and not value > 0:
        raise _refused(attribute, f"must be > 0, got {shown(value)}")


@in_schema(minimum=0)
def non_negative(instance: Any, attribute: attrs.Attribute[Any], value: float | None) -> None:
    """Finite and >= 0."""
    finite(instance, attribute, value)
    if value is not None and not value >= 0:
        raise _refused(attribute, f"must be >= 0, got {shown(value)}")


def between(low: float, high: float) -> Validator:
    """Finite and within ``low`` to ``high``, both included."""

    @in_schema(minimum=low, maximum=high)
    def check(instance: Any, attribute: attrs.Attribute[Any], value: float | None) -> None:
        finite(instance, attribute, value)
        if value is not None and not low <= value <= high:
            raise _refused(attribute, f"must be {low} to {high}, got {shown(value)}")

    return check


def one_of(*allowed: str) -> Validator:
    """One of the texts; prefer a ``Literal`` or an enum where they are known to the type checker."""

    @in_schema(enum=list(allowed))
    def check(instance: Any, attribute: attrs.Attribute[Any], value: str | None) -> None:
        if value is not None and value not in allowed:
            hint = did_you_mean(value, allowed)
            raise _refused(attribute, f"must be one of {', '.join(allowed)}, got {shown(value)}{hint}")

    return check


def with_offset(instance: Any, attribute: attrs.Attribute[Any], value: datetime | None) -> None:
    """A time that says its offset; a naive one could be anywhere."""
    if value is not None and value.utcoffset() is None:
        raise _refused(attribute, f"must have an offset, such as {value.isoformat()}Z for UTC, got {shown(value)}")


@in_schema(minItems=1, pattern=r"\S")
def not_empty(instance: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    """A list with an entry, a text with more than blanks."""
    if value is not None and not (value.strip() if isinstance(value, str) else value):
        raise _refused(attribute, f"must not be {'blank' if isinstance(value, str) else 'empty'}")


@in_schema(uniqueItems=True)
def unique(instance: Any, attribute: attrs.Attribute[Any], value: Iterable[Any] | None) -> None:
    """No entry twice; texts that differ in case alone are one, as they are for engines and many disks."""
    seen: set[Any] = set()
    for item in value or ():
        same = item.casefold() if isinstance(item, str) else item
        if same in seen:
            raise _refused(attribute, f"names {shown(item)} twice")
        seen.add(same)


@in_schema(pattern=_FOLDER_NAME, maxLength=200)
def folder_name(instance: Any, attribute: attrs.Attribute[Any], value: str | None) -> None:
    """A text that can name a folder on every system: results are kept under it."""
    if value is None:
        return
    not_empty(instance, attribute, value)
    reason = (
        'holds one of / \\ : * ? " < > |'
        if set(value) & set('/\\:*?"<>|')
        else "holds a character that cannot be printed"
        if not value.isprintable()
        else "starts or ends with a blank, or ends with a dot"
        if value != value.strip() or value.endswith(".")
        else "is a name that Windows keeps for itself"
        if _RESERVED.fullmatch(value)
        else "is longer than 200 bytes"
        if len(value.encode()) > 200
        else None
    )
    if reason:
        raise _refused(attribute, f"cannot name a folder, as it {reason}: {shown(value)}")


def each(*checks: Validator) -> Validator:
    """All of the checks, on every entry of a list."""
    said: list[Mapping[str, Any]] = [getattr(one, SCHEMA) for one in checks if hasattr(one, SCHEMA)]

    @in_schema(items={"allOf": said} if len(said) > 1 else said[0] if said else {})
    def check(instance: Any, attribute: attrs.Attribute[Any], value: Iterable[Any] | None) -> None:
        for index, item in enumerate(value or ()):
            for one in checks:
                try:
                    one(instance, attribute, item)
                except ValueError as error:
                    raise _refused(
                        attribute, f"entry {index}: {str(error).removeprefix(_quoted(attribute))}"
                    ) from error

    return check
