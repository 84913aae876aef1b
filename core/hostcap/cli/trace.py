"""``hostcap trace``: a trace without a study file."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path
from typing import Any

import click

from hostcap.config import structure_study
from hostcap.config.toml_file import apply_overrides
from hostcap.errors import ConfigError
from hostcap.plugins import FlowsPlugin, Registry, default_registry
from hostcap.work_package import WorkPackage

STUDY, EXAMPLES = "trace", "example"
"""The study that is run, and the flows that ``--example`` picks."""


def _date(context: click.Context, parameter: click.Parameter, value: str | None) -> date | None:
    if value is None:
        return None
    try:
        return date.fromisoformat(value)
    except ValueError:
        raise click.BadParameter(f"expected a day such as 2014-01-31, got {value!r}") from None


def options(command: click.decorators.FC) -> click.decorators.FC:
    """The options that say what is traced."""
    for option in reversed(
        (
            click.option("--source", metavar="FLOWS", help="Flows plugin that reads PLACE, such as vspd or table."),
            click.option("--example", metavar="SYSTEM", help="Trace a small built-in system, such as three-bus."),
            click.option("--start", callback=_date, metavar="DAY", help="First day, such as 2014-01-01."),
            click.option("--end", callback=_date, metavar="DAY", help="Last day, itself included."),
            click.option("--level", metavar="LEVELS", help="Means that are kept, such as day,month; total always is."),
            click.option("--periods", is_flag=True, help="Keep each trading period as well."),
            click.option("--mode", help="The tracer's mode, such as balanced, standard, actual or compat."),
        )
    ):
        command = option(command)
    return command


def trace_package(
    *,
    place: str | None,
    source: str | None,
    example: str | None,
    start: date | None,
    end: date | None,
    level: str | None,
    periods: bool,
    mode: str | None,
    overrides: tuple[str, ...],
    registry: Registry | None = None,
) -> WorkPackage:
    """The study that the command line says, in the working directory.

    Raises:
        ConfigError: Everything that is wrong, a line each.
    """
    known = registry or default_registry()
    if (example is None) == (source is None):
        raise ConfigError("trace: give --source FLOWS and what it reads, or --example SYSTEM")
    plugin, given = (EXAMPLES, example) if source is None else (source, place)
    if given is None or (source is None and place is not None):
        raise ConfigError(
            f"trace: --source {source} reads a folder or file; name it"
            if source
            else f"trace: --example reads no place; leave out {place!r}"
        )
    flows: dict[str, Any] = {"plugin": plugin}
    key = known.get(FlowsPlugin, plugin).place
    if key:
        flows[key] = given
    study: dict[str, Any] = {"plugin": STUDY}
    levels = [part.strip() for part in level.split(",")] if level else None
    if periods:
        levels = ["period", *(levels or ["day", "month", "year"])]
    if levels is not None:
        study["levels"] = list(dict.fromkeys([*levels, "total"]))
    study |= {key: value for key, value in (("start", start), ("end", end)) if value is not None}
    data: dict[str, Any] = {"name": _name(given), "study": study, "flows": flows}
    if mode is not None:
        data["tracer"] = {"mode": mode}
    return WorkPackage(document=structure_study(apply_overrides(data, overrides), Path.cwd(), known), registry=known)


def _name(given: str) -> str:
    """Name of the study: ``trace`` and the last part of what is traced."""
    stem = re.sub(r"[^A-Za-z0-9_-]+", "-", Path(given).absolute().name).strip("-")
    return f"trace-{stem}" if stem else "trace"
