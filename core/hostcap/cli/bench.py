"""``hostcap bench``: how fast a study is on this machine, and where its time goes."""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np

from hostcap.benching import SIZES, Agreement, BenchReport, Stage
from hostcap.benching import bench as measure
from hostcap.cli._show import FEEDERS_FAILED, errors_in_one_line, progress_shown, show_table
from hostcap.errors import ConfigError, HostcapError, PluginError
from hostcap.work_package import WorkPackage


@click.command()
@click.argument("study", type=click.Path(path_type=Path))
@click.option("--feeder", help="One feeder of the study; all of them otherwise.")
@click.option("--against", default="opendss", show_default=True, help="Solver to compare speed and answers with.")
@click.option(
    "--seconds",
    type=click.FloatRange(min=0.0),
    default=5.0,
    show_default=True,
    help="Most for one timing.",
)
@click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    help="Change a key of the study, such as solver.threads=1; may be repeated.",
)
def bench(study: Path, feeder: str | None, against: str, seconds: float, overrides: tuple[str, ...]) -> None:
    """Measure states per second of STUDY on its own feeders, and compare the answers with another solver's.

    Nothing is searched and nothing is written.
    """
    with errors_in_one_line():
        work_package = WorkPackage.read(study, overrides=overrides)
        chosen = work_package.scope.feeders if feeder is None else (feeder,)
        failed = False
        for name in chosen:
            try:
                with progress_shown() as progress:
                    report = measure(work_package, name, against=against, most_seconds=seconds, progress=progress)
            except (ConfigError, PluginError):
                raise
            except HostcapError as error:
                failed = True
                click.echo(f"error: {name}: {' '.join(str(error).split())}", err=True)
                continue
            _show(report)
        if failed:
            raise SystemExit(FEEDERS_FAILED)


def _show(report: BenchReport) -> None:
    click.echo(f"# feeder {report.feeder}")
    show_table(("what", "value"), report.facts)
    click.echo()
    stages = [*report.stages, *(stage for solver in report.solvers for stage in solver.stages)]
    show_table(("stage", "seconds", "peak memory MB"), [_row(s) for s in stages], right=(False, True, True))
    click.echo()
    head = ["states a call", *(f"{s.solver} {unit}" for s in report.solvers for unit in ("us/state", "states/s"))]
    rows = []
    for size in SIZES:
        cells = [str(size)]
        for solver in report.solvers:
            each = solver.per_state.get(size)
            cells += ["", ""] if each is None else [f"{each * 1e6:.3g}", f"{1.0 / each:.3g}"]
        if len(report.solvers) > 1:
            ours, theirs = (solver.per_state.get(size) for solver in report.solvers)
            cells.append("" if ours is None or theirs is None else f"{theirs / ours:.3g}x")
        rows.append(cells)
    if len(report.solvers) > 1:
        head.append("ratio")
    show_table(head, rows, right=[True] * len(head))
    for solver in report.solvers:
        click.echo(f"{solver.solver}: {solver.mean_iterations:.3g} iterations a state, peak {_mb(solver.peak_mb)} MB")
    click.echo(f"not compared: {report.reason}" if report.agreement is None else _words(report.agreement))
    click.echo()


def _words(agreement: Agreement) -> str:
    same = agreement.differing == 0 and agreement.verdicts == 0
    return (
        f"answers {'agree' if same else 'DIFFER'} on {agreement.states} states: margins within "
        f"{agreement.margin:.2g} of their limits; {agreement.differing} groups broken for one solver alone, "
        f"{agreement.near_ties} near-ties, {agreement.verdicts} states diverged for one solver alone"
    )


def _row(stage: Stage) -> tuple[str, str, str]:
    return stage.name, f"{stage.seconds:.3g}", _mb(stage.peak_mb)


def _mb(amount: float) -> str:
    return "" if np.isnan(amount) else f"{amount:.0f}"
