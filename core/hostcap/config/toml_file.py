"""TOML files as tables, and the overrides of a command line: what can be wrong before any meaning is looked for."""

from __future__ import annotations

import copy
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hostcap.config.wording import shown
from hostcap.errors import ConfigError
from hostcap.findings import counted

MAX_BYTES = 10_000_000
"""A larger file is not a study; reading it would fill the memory before it failed."""
_BARE_WORD = re.compile(r"[^\s\"'\[\]{}=,#][^\s\"'\[\],=#]*")
_KEY = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*")
_EXAMPLE = "write KEY=VALUE, such as solver.max_iterations=50"


def read_toml(path: Path) -> dict[str, Any]:
    """The tables of a TOML file.

    Raises:
        ConfigError: It is missing, no file, unreadable, too large, not text, not TOML or empty; one line.
    """
    try:
        if path.is_dir():
            raise ConfigError(f"{path}: is a folder; name the study file in it")
        if not path.exists():
            raise ConfigError(f"{path}: no such file")
        if not path.is_file():
            raise ConfigError(f"{path}: is not a regular file")
        if path.stat().st_size > MAX_BYTES:
            raise ConfigError(f"{path}: is larger than {MAX_BYTES // 1_000_000} MB; is it a study file?")
        content = path.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: this file's ConfigErrors, and a name with a null character
        if isinstance(error, ConfigError):
            raise
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise ConfigError(f"{shown(path)}: cannot be read: {reason}") from error
    if b"\0" in content:
        raise ConfigError(f"{path}: is not a text file; a study file is TOML in UTF-8")
    try:
        text = content.decode("utf-8-sig")  # editors on Windows put a mark in front
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{path}: is not UTF-8 (byte 0x{content[error.start]:02x} at line {line})") from error
    try:
        data = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # a TOMLDecodeError, or a number of thousands of digits
        raise ConfigError(f"{path}: is not TOML: {_one_line(error)}") from error
    if not data:
        raise ConfigError(f"{path}: is empty; a study needs name, [scope] and [study]")
    return data


def apply_overrides(data: Mapping[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """The tables with ``solver.max_iterations=50`` and the like put in; ``data`` is left as it is.

    A value is TOML, or a bare word that stands for itself: ``solver.plugin=opendss``. An entry of a list is named by
    its place, from 0: ``constraints.0.lv_max_v=250``. Tables that are not there yet are made.

    Raises:
        ConfigError: All overrides that cannot be understood or placed, a line each.
    """
    result: dict[str, Any] = copy.deepcopy(dict(data))
    problems = []
    for override in overrides:
        try:
            key, value = _parsed(override)
            _put(result, key.split("."), value)
        except ValueError as error:
            problems.append(f"--set {_one_line(override)}: {error}")
    if problems:
        raise ConfigError(problems)
    return result


def _parsed(override: str) -> tuple[str, Any]:
    key, equals, text = (part.strip() for part in override.partition("="))
    if not equals or not text:
        raise ValueError(_EXAMPLE)
    if not _KEY.fullmatch(key):
        raise ValueError(f"not a key: {shown(key)}; {_EXAMPLE}")
    try:
        parsed = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):
        parsed = {}
    if parsed.keys() == {"value"}:
        return key, parsed["value"]
    if _BARE_WORD.fullmatch(text):
        return key, text
    raise ValueError(f"not a TOML value: {shown(text)}; put text in quotes, such as {key}='\"a, b\"'")


def _put(data: dict[str, Any], keys: Sequence[str], value: Any) -> None:
    place: Any = data
    for depth, key in enumerate(keys):
        last = depth == len(keys) - 1
        where = ".".join(keys[:depth])
        if isinstance(place, list):
            if not key.isdecimal() or int(key) >= len(place):
                raise ValueError(
                    f"{where} has {counted(len(place), 'entry', 'entries')}; name one by its place, from 0"
                )
            index: Any = int(key)
        elif isinstance(place, dict):
            index = key
            if not last:
                place.setdefault(key, {})
        else:
            raise ValueError(f"{where} is {shown(place)}, which has no key {key!r}")
        if last:
            place[index] = value
        else:
            place = place[index]


def _one_line(text: object) -> str:
    line = " ".join(str(text).split())
    line = line if line.isprintable() else repr(line)
    return line if len(line) <= 200 else line[:197] + "..."
