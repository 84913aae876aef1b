"""What can be said of a plugin without running it: the part of the kit that needs no pytest."""

from __future__ import annotations

import inspect
import os
import pickle
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from attrs import frozen

from hostcap.config import describe, structure, unstructure
from hostcap.config.schema import study_schema
from hostcap.config.structure import config_fields
from hostcap.errors import ConfigError, HostcapError
from hostcap.plugins import PluginRecord, Registry

HEAVY = ("opendssdirect", "dss", "pandapower", "pandas", "scipy", "numba", "pyarrow", "rich", "matplotlib")
"""What the listing of plugins must not import."""
_LISTING = """
import sys, importlib
importlib.import_module({module!r})
sys.stdout.write(" ".join(sorted({{name.partition(".")[0] for name in sys.modules}})))
"""


@frozen(kw_only=True)
class Problem:
    """What is wrong with a plugin.

    Attributes:
        rule: Name of the rule, such as ``every-field-has-words``.
        message: What was found, and what to do.
    """

    rule: str
    message: str


def check_plugin(
    registry: Registry, kind: str, name: str, *, settings: Mapping[str, Any] | None = None, folder: Path | None = None
) -> tuple[Problem, ...]:
    """Everything that is wrong with a plugin, as far as can be said without running it.

    Args:
        registry: Where it is.
        kind: Such as ``constraint``.
        name: Its name.
        settings: Its table of a study file; checked too where given.
        folder: Relative paths of the settings start here.

    Raises:
        PluginError: There is no such plugin, or it did not load.
    """
    record = registry.get(kind, name)
    return tuple(_problems(registry, record, settings, folder or Path()))


def _problems(
    registry: Registry, record: PluginRecord[Any], settings: Mapping[str, Any] | None, folder: Path
) -> Iterator[Problem]:
    yield from packages_of(record)
    yield from words_of(record)
    yield from shape_of(record)
    yield from schema_of(registry, record)
    yield from lightness_of(record)
    if settings is not None:
        yield from round_trip_of(record, settings, folder)


def packages_of(record: PluginRecord[Any]) -> Iterator[Problem]:
    """Every package that its objects import is installed."""
    if record.lack:
        yield Problem(rule="packages-are-installed", message=record.lack)


def words_of(record: PluginRecord[Any]) -> Iterator[Problem]:
    """A summary of one line; words for the config class and each of its keys; units where names promise one."""
    if not record.summary.strip() or "\n" in record.summary or len(record.summary) > 120:
        yield Problem(
            rule="summary-is-one-line", message=f"summary must be one line of at most 120 letters: {record.summary!r}"
        )
    if not (inspect.getdoc(record.config) or "").strip():
        yield Problem(
            rule="config-has-words", message=f"{record.config.__qualname__} has no docstring; say what it sets"
        )
    for row in describe(record.config):
        if not row.meaning.strip():
            yield Problem(
                rule="every-field-has-words",
                message=f'{row.key}: has no words; give metadata=about("what it means", unit=...)',
            )
        if row.key.rsplit("_", 1)[-1] in UNITS and not row.unit:
            unit = UNITS[row.key.rsplit("_", 1)[-1]]
            yield Problem(
                rule="units-are-said", message=f"{row.key}: its name ends in a unit; add unit={unit!r} to about(...)"
            )


UNITS = {"kw": "kW", "kvar": "kvar", "kva": "kVA", "kv": "kV", "v": "V", "a": "A", "pu": "pu", "hz": "Hz", "km": "km"}
"""Endings of keys that name a unit."""


def shape_of(record: PluginRecord[Any]) -> Iterator[Problem]:
    """The config is a frozen attrs class whose fields a file can hold, and travels to worker processes."""
    config = record.config
    # attrs puts a method of its own in place of object's where a class is frozen.
    if "frozen" not in config.__setattr__.__name__:
        yield Problem(
            rule="config-is-frozen", message=f"{config.__qualname__} can be changed; make it with attrs.frozen"
        )
    try:
        config_fields(config)
    except HostcapError as error:
        yield Problem(rule="fields-fit-a-file", message=str(error))
    if "<locals>" in config.__qualname__:
        yield Problem(
            rule="config-travels",
            message=f"{config.__qualname__} is made inside a function, so that it cannot go to a worker process",
        )


def schema_of(registry: Registry, record: PluginRecord[Any]) -> Iterator[Problem]:
    """Every key of the config has a place in the JSON Schema of study files."""
    schema = study_schema(registry)
    text = repr(schema)
    for attribute in config_fields(record.config):
        key = attribute.alias or attribute.name
        if record.table in schema["properties"] and repr(key) not in text:
            yield Problem(rule="schema-has-every-key", message=f"{key}: is not in the JSON Schema of study files")


def lightness_of(record: PluginRecord[Any]) -> Iterator[Problem]:
    """The module that offers it imports no engine and no heavy library."""
    module = record.config.__module__
    paths = os.pathsep.join(path for path in sys.path if path)
    done = subprocess.run(
        [sys.executable, "-c", _LISTING.format(module=module)],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": paths},
        check=False,
    )
    if done.returncode:
        yield Problem(
            rule="listing-is-light",
            message=f"{module} cannot be imported by itself: {done.stderr.strip().splitlines()[-1]}",
        )
        return
    heavy = sorted(set(done.stdout.split()) & set(HEAVY))
    if heavy:
        yield Problem(
            rule="listing-is-light",
            message=f"importing {module} imports {', '.join(heavy)}; import them inside make, or where they are used",
        )


def round_trip_of(record: PluginRecord[Any], settings: Mapping[str, Any], folder: Path) -> Iterator[Problem]:
    """Settings are read, written and read again with one meaning; a key that is not there is refused."""
    try:
        config = structure(dict(settings), record.config, path=record.table, folder=folder)
    except ConfigError as error:
        yield Problem(rule="settings-are-accepted", message=str(error))
        return
    again = structure(unstructure(config, folder), record.config, path=record.table, folder=folder)
    if again != config:
        yield Problem(rule="settings-round-trip", message=f"{config} came back from its file as {again}")
    if pickle.loads(pickle.dumps(config)) != config:
        yield Problem(rule="settings-round-trip", message=f"{config} came back from a worker process as another")
    try:
        structure({**settings, "no_such_key": 1}, record.config, path=record.table, folder=folder)
    except ConfigError as error:
        if "no_such_key" not in str(error):
            yield Problem(rule="unknown-keys-are-refused", message=f"the error does not name the key: {error}")
    else:
        yield Problem(rule="unknown-keys-are-refused", message="an unknown key was taken without a word")
