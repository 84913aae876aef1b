"""``hostcap trace-report``: what follows from a trace, without a study file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from hostcap.config import structure_study
from hostcap.config.toml_file import apply_overrides
from hostcap.plugins import Registry, default_registry
from hostcap.work_package import WorkPackage

STUDY = "trace-report"
_FILE = click.Path(path_type=Path)


def options(command: click.decorators.FC) -> click.decorators.FC:
    """The options that say what is reported."""
    for option in reversed(
        (
            click.option("--by", "user_map", type=_FILE, help="CSV of two columns: node, and its company or zone."),
            click.option("--attribute", type=_FILE, help="CSV of two columns: supplier, and its value for one MWh."),
            click.option("--interval", help="Interval of the trace, such as 2014-01; total unless given."),
        )
    ):
        command = option(command)
    return command


def report_package(
    *,
    results: Path,
    user_map: Path | None,
    attribute: Path | None,
    interval: str | None,
    overrides: tuple[str, ...],
    registry: Registry | None = None,
) -> WorkPackage:
    """The study that the command line says, in the working directory.

    Raises:
        ConfigError: Everything that is wrong, a line each.
    """
    said = {"user_map": user_map, "attribute": attribute, "interval": interval}
    study: dict[str, Any] = {"plugin": STUDY, "results": str(results)}
    study |= {key: str(value) for key, value in said.items() if value is not None}
    known = registry or default_registry()
    data = apply_overrides({"name": STUDY, "study": study}, overrides)
    return WorkPackage(document=structure_study(data, Path.cwd(), known), registry=known)
