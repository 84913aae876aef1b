"""``hostcap plugins``: what is installed, and the settings of one plugin."""

from __future__ import annotations

import click

from hostcap.cli._show import errors_in_one_line, show_table
from hostcap.config.describe import describe
from hostcap.plugins.kinds import StudyPlugin
from hostcap.plugins.registry import Registry, default_registry


@click.group(invoke_without_command=True)
@click.pass_context
def plugins(context: click.Context) -> None:
    """List the installed plugins, or show one's settings."""
    if context.invoked_subcommand is None:
        rows = [(p.kind or "-", p.name, p.summary, p.distribution, p.state) for p in _registry(context).list()]
        show_table(("kind", "name", "summary", "distribution", "state"), rows)


@plugins.command()
@click.argument("kind")
@click.argument("name")
@click.pass_context
def show(context: click.Context, kind: str, name: str) -> None:
    """Show the settings of plugin NAME of KIND, such as: solver opendss."""
    registry = _registry(context)
    with errors_in_one_line():
        record = registry.get(kind, name)
        rows = describe(record.config)
    click.echo(f"{record.name}: {record.summary} ({record.kind}, {registry.distribution(record)})")
    if record.capabilities:
        click.echo(f"capabilities: {', '.join(sorted(record.capabilities))}")
    if isinstance(record, StudyPlugin):
        takes = (f"{table} ({_how(t.required, t.default)})" for table, t in record.parts.items())
        click.echo(f"takes: {', '.join(takes)}")
    if not rows:
        click.echo("It has no settings.")
        return
    click.echo()
    show_table(
        ("key", "type", "unit", "default", "meaning"), [(r.key, r.type, r.unit, r.default, r.meaning) for r in rows]
    )


def _how(required: bool, default: str | None) -> str:
    return "required" if required else "optional" if default is None else f"default {default}"


def _registry(context: click.Context) -> Registry:
    return context.find_object(Registry) or default_registry()
