"""``hostcap plot``: a run as one page, and on request as PNG files and GeoJSON."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from pathlib import Path

import attrs
import click

from hostcap.cli._files import write_files, write_text
from hostcap.cli._show import errors_in_one_line
from hostcap.errors import ConfigError, OutputError
from hostcap.findings import some
from hostcap.plugins import StudyPlugin, default_registry
from hostcap.plugins._nearest import did_you_mean
from hostcap.report import Report, View, geojson, page, pictures
from hostcap.results_folder import read_results
from hostcap.tables import Results

_PATH = click.Path(path_type=Path)
MARK = '<meta name="generator" content="hostcap">'
"""Tells a page of ours from a file that is not to be replaced."""


@click.command()
@click.argument("folder", metavar="RESULTS", type=_PATH)
@click.option("-o", "--out", type=_PATH, help="The page; report.html in RESULTS otherwise.")
@click.option("--feeder", help="One feeder of the run; all of them otherwise.")
@click.option("--direction", type=click.Choice(["export", "import"]), help="One direction of a run of both.")
@click.option("--group", help="Transformer or location to begin with; that of least headroom otherwise.")
@click.option("--png", type=_PATH, metavar="FOLDER", help="Write every figure as a PNG file there, too.")
@click.option(
    "--geojson", "geo", type=_PATH, metavar="FILE", help="Write transformers, lines and what binds there, too."
)
@click.option("--crs", metavar="EPSG:CODE", help="What the model's coordinates are; needed for --geojson.")
def plot(
    folder: Path,
    out: Path | None,
    feeder: str | None,
    direction: str | None,
    group: str | None,
    png: Path | None,
    geo: Path | None,
    crs: str | None,
) -> None:
    """Draw the run in RESULTS as one page that needs no network."""
    with errors_in_one_line():
        if crs is not None and geo is None:
            raise ConfigError("--crs: says what coordinates of --geojson are; give --geojson, too")
        report = _chosen(_report(folder, read_results(folder)), folder, feeder, direction, group)
        target = out if out is not None else folder / "report.html"
        _refuse_foreign(target)
        # Everything is made before anything is written.
        text = page(report)
        map_text = None if geo is None else geojson(report, crs)
        drawn = dict(pictures(report)) if png is not None else {}
        if png is not None:
            write_files(png, drawn)
        if geo is not None and map_text is not None:
            write_text(geo, map_text, replace=True)
        write_text(target, text, replace=True)
        click.echo(f"page: {target} ({len(text.encode()) / 1e6:.1f} MB)")
        if png is not None:
            click.echo(f"pictures: {len(drawn)} in {png}")
        if geo is not None:
            click.echo(f"GeoJSON: {geo}, longitude and latitude (WGS 84) from {crs}")


def _report(folder: Path, results: Results) -> Report:
    try:
        name = str(tomllib.loads(results.summary["study"])["study"]["plugin"])
    except (KeyError, TypeError, ValueError) as error:
        raise OutputError(f"{folder}: the run does not say which study it is of ({error}); run it again") from error
    record = default_registry().get(StudyPlugin, name)
    if record.report is None:
        raise OutputError(
            f"{folder}: holds a run of study {name!r}, which has no pictures; see hostcap results {folder}"
        )
    report = record.report(results)
    if not report.views:
        reason = "every feeder failed" if results.failed else f"the tables it keeps are {', '.join(results.names)}"
        raise OutputError(f"{folder}: there is nothing to draw, as {reason}; see hostcap results {folder} findings")
    return report


def _chosen(report: Report, folder: Path, feeder: str | None, direction: str | None, group: str | None) -> Report:
    views = list(report.views)
    if feeder is not None:
        names = dict.fromkeys(view.feeder for view in views)
        views = [view for view in views if view.feeder == feeder]
        if not views:
            raise ConfigError(f"--feeder: no feeder {feeder!r} in {folder}{_nearest(feeder, names)}")
    if direction is not None:
        there = dict.fromkeys(view.direction for view in views)
        views = [view for view in views if view.direction == direction]
        if not views:
            raise ConfigError(f"--direction: {folder} holds no {direction}; there is: {', '.join(there)}")
    if group is not None:
        names = dict.fromkeys(choice.id for view in views for choice in view.choices)
        if group not in names:
            of_one_kind = [name for name in names if name.endswith(f" {group}")]  # an HV location without its kind
            if len(of_one_kind) != 1:
                raise ConfigError(f"--group: nothing is called {group!r} in {folder}{_nearest(group, names)}")
            [group] = of_one_kind
        views = [_begun_with(view, group) for view in views]
    return attrs.evolve(report, views=tuple(views))


def _nearest(word: str, names: Iterable[str]) -> str:
    """What may have been meant, or the first few that there are."""
    listed = list(names)
    return did_you_mean(word, listed) or f"; there are {some(listed, most=5)}"


def _begun_with(view: View, group: str) -> View:
    first = [choice for choice in view.choices if choice.id == group]
    rest = [choice for choice in view.choices if choice.id != group]
    return attrs.evolve(view, choices=(*first, *rest))


def _refuse_foreign(target: Path) -> None:
    """Replace nothing but an earlier page."""
    if target.is_dir():
        raise OutputError(f"{target}: is a folder; give a file with --out")
    try:
        with target.open("rb") as file:
            ours = MARK.encode() in file.read(2000)
    except FileNotFoundError:
        return
    except OSError as error:
        raise OutputError(f"{target}: cannot be read: {error.strerror or error}") from error
    if not ours:
        raise OutputError(f"{target}: is there already and is no page of hostcap; give another file with --out")
