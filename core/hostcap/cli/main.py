"""The ``hostcap`` command."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from hostcap.cli._show import (
    FEEDERS_FAILED,
    errors_in_one_line,
    progress_shown,
    show_findings,
    show_results_table,
    show_table,
)
from hostcap.cli.bench import bench
from hostcap.cli.new_study import new_study
from hostcap.cli.plot import plot
from hostcap.cli.plugins import plugins
from hostcap.cli.schema import schema
from hostcap.cli.trace import options as trace_options
from hostcap.cli.trace import trace_package
from hostcap.cli.trace_report import options as report_options
from hostcap.cli.trace_report import report_package
from hostcap.errors import HostcapError
from hostcap.results_folder import read_results
from hostcap.running import check, run
from hostcap.tables import Results
from hostcap.work_package import WorkPackage

_SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
_FILE = click.Path(path_type=Path)


@click.group(context_settings=_SETTINGS)
@click.version_option(package_name="hostcap")
def main() -> None:
    """How much more solar, export or load a distribution network can take, and what stops it."""


main.add_command(plugins)
main.add_command(schema)
main.add_command(new_study)
main.add_command(bench)
main.add_command(plot)


def _overrides(command: click.decorators.FC) -> click.decorators.FC:
    return click.option(
        "--set",
        "overrides",
        multiple=True,
        metavar="KEY=VALUE",
        help="Change a key of the study, such as study.max_steps=50; may be repeated.",
    )(command)


def _untrusted(command: click.decorators.FC) -> click.decorators.FC:
    return click.option(
        "--untrusted",
        is_flag=True,
        help="For a study or model of unknown origin: refuse what could reach out of its folder, and contain the rest.",
    )(command)


@main.command(name="run")
@click.argument("study", type=_FILE)
@click.option("--out", type=_FILE, help="Folder for the results; results/NAME beside the study otherwise.")
@click.option("--replace", is_flag=True, help="Replace the run that the folder holds.")
@click.option("--id", "given_id", metavar="UUID", help="Id of the run; made from the study and its input otherwise.")
@click.option("--workers", type=int, default=1, show_default=True, help="Processes that share the feeders.")
@_untrusted
@_overrides
def run_command(
    study: Path,
    out: Path | None,
    replace: bool,
    given_id: str | None,
    workers: int,
    untrusted: bool,
    overrides: tuple[str, ...],
) -> None:
    """Run STUDY, a TOML study file."""
    with errors_in_one_line():
        work_package = WorkPackage.read(study, overrides=overrides, given_id=given_id)
        folder = out if out is not None else work_package.default_folder
        with progress_shown() as progress:
            results = run(
                work_package, out=folder, replace=replace, progress=progress, workers=workers, trusted=not untrusted
            )
        show_run(work_package, results)
        if len(results.failed) < len(work_package.scope.feeders):
            click.echo(f"results: {folder}")
        _end(results.failed)


@main.command()
@click.argument("place", required=False)
@trace_options
@click.option("--out", type=_FILE, help="Folder for the results; results/NAME here otherwise, none for an example.")
@click.option("--replace", is_flag=True, help="Replace the run that the folder holds.")
@_overrides
def trace(place: str | None, out: Path | None, replace: bool, example: str | None, **said: Any) -> None:
    """Trace who uses what: the flows of PLACE, a folder or file that the plugin --source reads."""
    with errors_in_one_line():
        work_package = trace_package(place=place, example=example, **said)
        folder = out if out is not None or example is not None else work_package.default_folder
        with progress_shown() as progress:
            found = run(work_package, out=folder, replace=replace, progress=progress)
        show_run(work_package, found)
        if folder is not None:
            click.echo(f"results: {folder}")
        _end(found.failed)


@main.command(name="trace-report")
@click.argument("results", type=_FILE)
@report_options
@click.option("--out", type=_FILE, help="Folder for the tables; none are kept unless given.")
@click.option("--replace", is_flag=True, help="Replace the run that the folder holds.")
@_overrides
def trace_report(results: Path, out: Path | None, replace: bool, **said: Any) -> None:
    """Report on the trace in the folder RESULTS: concentration of use, values by user, attributes of each mix."""
    with errors_in_one_line():
        work_package = report_package(results=results, **said)
        found = run(work_package, out=out, replace=replace)
        show_run(work_package, found)
        if out is not None:
            click.echo(f"results: {out}")
        _end(found.failed)


@main.command(name="check")
@click.argument("study", type=_FILE)
@click.option("--strict", is_flag=True, help="Exit with 1 if there is any warning.")
@_untrusted
@_overrides
def check_command(study: Path, strict: bool, untrusted: bool, overrides: tuple[str, ...]) -> None:
    """Load STUDY, solve its start, and print the study as it will run; write nothing."""
    with errors_in_one_line():
        work_package = WorkPackage.read(study, overrides=overrides)
        with progress_shown() as progress:
            report = check(work_package, progress=progress, trusted=not untrusted)
        click.echo(work_package.canonical)
        for preview in report.previews:
            click.echo(f"# feeder {preview.feeder}")
            show_table(("what", "value"), [(name, value) for name, value in preview.facts])
            click.echo()
        show_findings(report.findings)
        _end(report.failed)
        warnings = int(sum(severity == "warning" for severity in report.findings["severity"]))
        if strict and warnings:
            counted = "1 warning" if warnings == 1 else f"{warnings} warnings"
            raise HostcapError(f"{counted}, and --strict makes an error of each")


@main.command()
@click.argument("folder", type=_FILE)
@click.argument("table", required=False)
@click.option("--csv", "as_csv", is_flag=True, help="Print the table as CSV.")
def results(folder: Path, table: str | None, as_csv: bool) -> None:
    """Print TABLE of the run in FOLDER; without TABLE, what the run is and which tables there are."""
    with errors_in_one_line():
        found = read_results(folder)
        if table is None:
            if as_csv:
                raise click.UsageError(f"--csv needs a table; there are: {', '.join(found.names)}")
            _show_summary(found)
            return
        if table not in found.names:
            raise click.UsageError(f"no table {table!r} in {folder}; there are: {', '.join(found.names)}")
        if as_csv:
            click.echo(found[table].to_flat_arrow().to_pandas(integer_object_nulls=True).to_csv(index=False), nl=False)
        else:
            show_results_table(found[table], leave_out=["work_package_id"])


@main.command()
@click.option("--out", type=_FILE, help="Folder to keep the demo's study files, network and results in.")
def demo(out: Path | None) -> None:
    """Run the demo feeder: nine transformers, each stopped by something else."""
    from hostcap.cli.demo import demo_study

    with errors_in_one_line(), demo_study(out) as (study, folder):
        work_package = WorkPackage.read(study)
        with progress_shown() as progress:
            found = run(work_package, out=folder, progress=progress)
        show_run(work_package, found)
        if folder is not None:
            click.echo(f"results: {folder}")
            click.echo(f"study file to start from: {study}")
        _end(found.failed)


def show_run(work_package: WorkPackage, results: Results) -> None:
    """The tables that a person reads first, then the findings."""
    summarise = work_package.study_record.summarise
    if summarise is not None and len(results.names) > 1:
        for table in summarise(results):
            one_feeder = len(work_package.scope.feeders) == 1
            show_results_table(table, leave_out=["feeder"] if one_feeder else [])
            click.echo()
    show_findings(results["findings"])


def _show_summary(found: Results) -> None:
    summary = found.summary
    rows = [(key, str(summary.get(key, ""))) for key in ("name", "work_package_id", "state", "seconds")]
    rows += [(f"input {name}", digest) for name, digest in summary.get("inputs", {}).items()]
    rows += [(f"version of {name}", number) for name, number in summary.get("versions", {}).items()]
    rows += [(f"machine: {name}", str(value)) for name, value in summary.get("machine", {}).items()]
    for feeder, facts in summary.get("feeders", {}).items():
        rows += [(f"{feeder}: {name}", _in_words(value)) for name, value in facts.items() if name != "searches"]
    show_table(("run", ""), rows)
    click.echo()
    show_table(("table", "rows", "meaning"), [(n, str(len(found[n])), found[n].schema.meaning) for n in found.names])
    _say_failed(found.failed)


def _in_words(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {amount}" for name, amount in value.items())
    return str(value)


def _say_failed(failed: Mapping[str, str]) -> None:
    for feeder, message in failed.items():
        click.echo(f"error: {feeder}: {' '.join(message.split())}", err=True)


def _end(failed: Mapping[str, str]) -> None:
    """Exit code 3 where a feeder failed; the errors name it."""
    _say_failed(failed)
    if failed:
        raise SystemExit(FEEDERS_FAILED)
