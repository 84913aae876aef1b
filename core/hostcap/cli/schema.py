"""``hostcap schema``: the JSON Schema of study files, for editors."""

from __future__ import annotations

import json
from pathlib import Path

import click

from hostcap.cli._files import write_text
from hostcap.cli._show import errors_in_one_line
from hostcap.plugins.registry import Registry, default_registry


@click.command()
@click.option("--out", type=click.Path(path_type=Path), help="File to write it to, such as hostcap.schema.json.")
@click.pass_context
def schema(context: click.Context, out: Path | None) -> None:
    """Print the JSON Schema of study files with all installed plugins."""
    from hostcap.config.schema import study_schema

    registry = context.find_object(Registry) or default_registry()
    with errors_in_one_line():
        text = json.dumps(study_schema(registry), indent=2, ensure_ascii=False) + "\n"
        if out is None:
            click.echo(text, nl=False)
        else:
            write_text(out, text, replace=True)
    for row in registry.list():
        if not row.can_be_named:
            click.echo(
                f"warning: left out, as no study can name it: {row.name} of {row.distribution}: {row.state}", err=True
            )
