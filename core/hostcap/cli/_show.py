"""Printing for people on a terminal, and plainly into a pipe."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import click
import numpy as np

from hostcap.errors import ConfigError, HostcapError, PluginError, StoppedError
from hostcap.plugins.kinds import Progress
from hostcap.running import FEEDER_FAILED
from hostcap.tables import Column, Table

FAILED, REFUSED, FEEDERS_FAILED, INTERRUPTED = 1, 2, 3, 130
"""Exit codes; docs/reference/command-line.md explains them."""
_STATUS_STYLE = {
    "bound": "yellow",
    "bound_at_start": "red",
    "stopped_by_hv": "magenta",
    "diverged": "red",
    "unconstrained": "green",
    "error": "red",
    "warning": "yellow",
}


def _terminal_width() -> int:
    from rich.console import Console

    return Console().width


def _needed(head: Sequence[str], rows: Sequence[Sequence[str]]) -> int:
    """Columns of a terminal that a table needs where its widest column alone may be wrapped, at its blanks."""
    widths = _widths(head, rows)
    widest = widths.index(max(widths))
    longest_word = max(len(word) for row in (head, *rows) for word in (row[widest].split() or [""]))
    return sum(widths) - widths[widest] + longest_word + 2 * len(widths)


def _widths(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[int]:
    return [max(len(row[i]) for row in (head, *rows)) for i in range(len(head))]


def show_table(head: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[bool] = ()) -> None:
    """A table for a terminal; for a pipe plain columns that nothing cuts off."""
    aligned = list(right) or [False] * len(head)
    widths = _widths(head, rows)
    widest = widths.index(max(widths))
    # A terminal too narrow for every column but the widest gets plain lines, which it wraps itself: nothing is lost.
    if sys.stdout.isatty() and _terminal_width() >= _needed(head, rows):
        from rich.console import Console
        from rich.table import Table as RichTable
        from rich.text import Text

        table = RichTable(box=None, pad_edge=False, header_style="bold")
        for name, to_right, width in zip(head, aligned, widths, strict=True):
            # On a narrow terminal the widest column alone is wrapped, at its blanks.
            table.add_column(
                name, justify="right" if to_right else "left", overflow="fold", no_wrap=width < widths[widest]
            )
        for row in rows:
            table.add_row(*(Text(cell, style=_STATUS_STYLE.get(cell, "")) for cell in row))
        Console().print(table)
        return
    for row in (head, *rows):
        cells = (
            cell.rjust(width) if to_right else cell.ljust(width)
            for cell, width, to_right in zip(row, widths, aligned, strict=True)
        )
        click.echo("  ".join(cells).rstrip())


def _show_narrow(
    head: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[bool], below: Sequence[str]
) -> None:
    """A table for a terminal, with a line of its own below each row that has more to say."""
    from rich.console import Console
    from rich.padding import Padding
    from rich.text import Text

    widths, console = _widths(head, rows), Console()
    for number, (row, more) in enumerate(zip((head, *rows), ("", *below), strict=True)):
        line = Text()
        for cell, width, to_right in zip(row, widths, right, strict=True):
            style = _STATUS_STYLE.get(cell, "") if number else "bold"
            line.append(cell.rjust(width) if to_right else cell.ljust(width), style=style).append("  ")
        line.rstrip()
        console.print(line, no_wrap=True, overflow="ignore", crop=False)
        if more:
            console.print(Padding(Text(more), (0, 0, 0, 4), expand=False))


def cell(column: Column, value: Any) -> str:
    """One value in words."""
    if column.type == "texts":
        return " ".join(value or ())
    if value is None or (isinstance(value, float) and np.isnan(value)):
        return ""
    if column.type == "number":
        return f"{value:.6g}"
    if column.type == "boolean":
        return "yes" if value else "no"
    return str(value)


def show_results_table(table: Table, *, leave_out: Sequence[str] = ()) -> None:
    """A table of results with units in the header; below it the limits applied, and what else its metadata notes."""
    columns = [c for c in table.schema.columns if c.name not in leave_out]
    head = [f"{c.name} [{c.unit}]" if c.unit and not c.name.endswith(f"_{c.unit.lower()}") else c.name for c in columns]
    rows = [[cell(c, row[c.name]) for c in columns] for row in table.rows()]
    right = [c.type in ("number", "integer") for c in columns]
    kept = [i for i, c in enumerate(columns) if f"{{{c.name}}}" not in table.schema.narrow]
    above = [head[i] for i in kept], [[row[i] for i in kept] for row in rows]
    whole = sum(_widths(head, rows)) + 2 * (len(columns) - 1)
    if len(kept) < len(columns) and sys.stdout.isatty() and _needed(*above) <= _terminal_width() < whole:
        said = [dict(zip((c.name for c in columns), row, strict=True)) for row in rows]
        below = [table.schema.narrow.format(**values) if _says(table, values) else "" for values in said]
        _show_narrow(*above, [right[i] for i in kept], below)
    else:
        show_table(head, rows, right=right)
    if table.metadata.get("limits"):
        click.echo(f"limits: {table.metadata['limits']}")
    if table.metadata.get("variant"):
        click.echo(f"variant of the network: {table.metadata['variant']}")
    if table.metadata.get("note"):
        click.echo(table.metadata["note"])


def _says(table: Table, values: Mapping[str, str]) -> bool:
    """Whether the line below a row has something to say: one of the columns that it names is filled."""
    return any(value for name, value in values.items() if f"{{{name}}}" in table.schema.narrow)


def show_findings(table: Table) -> None:
    """Findings, worst first, a line each; why a feeder failed is said on standard error instead."""
    for row in table.rows():
        if row["code"] == FEEDER_FAILED:
            continue
        kw = "" if np.isnan(row["kw"]) else f"{row['kw']:.6g} kW"
        told = ", ".join(part for part in (row["element"], kw) if part)
        where = f" [{told}]" if told else ""
        click.secho(
            f"{row['severity']}[{row['code']}]: {row['feeder']}: {row['message']}{where}",
            fg=_STATUS_STYLE.get(row["severity"]),
        )


@contextmanager
def progress_shown() -> Iterator[Progress]:
    """A progress line on standard error; nothing where that is no terminal."""
    if not sys.stderr.isatty():
        yield lambda stage, done, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None)

        def told(stage: str, done: int, total: int) -> None:
            bar.update(task, description=stage, completed=done, total=total or None)

        yield told


@contextmanager
def errors_in_one_line() -> Iterator[None]:
    """Errors of the user's on standard error, one line each, with an exit code that means something."""
    try:
        yield
    except (ConfigError, PluginError) as error:
        for line in str(error).splitlines():
            click.echo(f"error: {line}", err=True)
        raise SystemExit(REFUSED) from error
    except StoppedError as error:
        click.echo(f"stopped: {error}", err=True)
        raise SystemExit(INTERRUPTED) from error
    except HostcapError as error:
        click.echo(f"error: {' '.join(str(error).split())}", err=True)
        raise SystemExit(FAILED) from error
    except KeyboardInterrupt as error:
        click.echo("interrupted; what was not finished has left nothing behind", err=True)
        raise SystemExit(INTERRUPTED) from error
    except BrokenPipeError as error:
        raise SystemExit(FAILED) from error
    except OSError as error:
        click.echo(f"error: {error.filename or 'output'}: {error.strerror or error}", err=True)
        raise SystemExit(FAILED) from error
    except MemoryError as error:
        click.echo("error: out of memory", err=True)
        raise SystemExit(FAILED) from error
