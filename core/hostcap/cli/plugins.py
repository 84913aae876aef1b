"""``hostcap plugins``: what is installed, the settings of one plugin, whether it keeps the rules, and a new one."""

from __future__ import annotations

from pathlib import Path

import click

from hostcap.cli._show import errors_in_one_line, show_table
from hostcap.config.describe import describe
from hostcap.plugins.kinds import KINDS, StudyPlugin
from hostcap.plugins.registry import Registry, default_registry

BROKEN_RULES = 1
"""Exit code of ``check`` where a plugin breaks a rule."""


@click.group(invoke_without_command=True)
@click.pass_context
def plugins(context: click.Context) -> None:
    """List the installed plugins, show one's settings, check one, or begin one of your own."""
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
    if record.lack:
        click.echo(f"not usable: {record.lack}")
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


@plugins.command()
@click.argument("kind")
@click.argument("name")
@click.pass_context
def check(context: click.Context, kind: str, name: str) -> None:
    """Check the rules that plugin NAME of KIND can be held to without running it; exits with 1 if it breaks one.

    The rest is in the kit for authors: inherit a suite of hostcap.testing.
    """
    from hostcap.testing.checking import check_plugin

    registry = _registry(context)
    with errors_in_one_line():
        record = registry.get(kind, name)
        problems = check_plugin(registry, kind, name)
    for problem in problems:
        click.echo(f"{problem.rule}: {problem.message}")
    if problems:
        count = "1 rule is" if len(problems) == 1 else f"{len(problems)} rules are"
        click.echo(f"{count} broken by {record.name} ({registry.distribution(record)})", err=True)
        raise SystemExit(BROKEN_RULES)
    click.echo(f"{record.name} keeps the rules ({record.kind}, {registry.distribution(record)})")
    click.echo("What runs is checked by the kit: see hostcap.testing")


@plugins.command()
@click.argument("name")
@click.option("--kind", required=True, help=f"One of {', '.join(kind.table for kind in KINDS)}.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder to make; NAME here unless given.")
@click.pass_context
def new(context: click.Context, name: str, kind: str, out: Path | None) -> None:
    """Begin a distribution with a plugin NAME: pyproject, module, and a test with the kit; it installs and passes."""
    from hostcap.testing.new_distribution import new_distribution

    with errors_in_one_line():
        made = new_distribution(name, kind, out or Path(name))
    for path in made:
        click.echo(path.as_posix())
    folder = made[0].parent.as_posix()
    click.echo(f"next: pip install -e {folder} && pytest {folder}")


def _how(required: bool, default: str | None) -> str:
    return "required" if required else "optional" if default is None else f"default {default}"


def _registry(context: click.Context) -> Registry:
    return context.find_object(Registry) or default_registry()
