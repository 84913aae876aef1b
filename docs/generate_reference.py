"""Write the reference pages that come from the code: ``python docs/generate_reference.py [--check]``.

``tables.md`` comes from the schemas of the tables, ``plugins.md`` from the config classes of hostcap's own plugins,
the pages of the hooks from their specifications, protocols and templates, ``arrays.md`` from the docstrings of what
parts are handed, ``published-fields.md`` from ``published_fields.py``.
With ``--check`` nothing is written, and the exit code is 1 where a page is stale.
"""

from __future__ import annotations

import argparse
import inspect
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from generate_arrays import arrays_page
from generate_hooks import FOLDER, hook_pages
from published_fields import FIELDS, VALUES, missing, sections

from hostcap.config.describe import describe
from hostcap.config.study import Scope
from hostcap.config.variants import Project, Variant
from hostcap.plugins import KINDS, REPEATED, PluginRecord, Registry, StudyPlugin, hookspecs
from hostcap.tables import FINDINGS, TableSchema
from hostcap_stock.headroom import schemas
from hostcap_stock.trace.schemas import TABLES as TRACE_TABLES

REFERENCE = Path(__file__).resolve().parent / "reference"
NOTE = "<!-- Written by docs/generate_reference.py from the code. Do not edit. -->"
PROJECT = "hostcap"
PRINTED = {
    "`lv-headroom`, a line for each transformer": schemas.GROUP_SUMMARY,
    "`hv-node-headroom`, a line for each location": schemas.LOCATION_SUMMARY,
}
"""What a run prints; it is not kept as a table."""


def escaped(text: str) -> str:
    """Text that stands in a cell of a Markdown table as it is."""
    return text.replace("<", "&lt;").replace("|", "\\|")


def markdown_table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> Iterator[str]:
    """Lines of a Markdown table."""
    names = list(head)
    yield f"| {' | '.join(names)} |"
    yield f"|{'---|' * len(names)}"
    for row in rows:
        yield f"| {' | '.join(row)} |".replace("|  |", "| |").replace("|  |", "| |")


# Tables


def kept_tables() -> list[TableSchema]:
    """Schemas of the tables that runs of hostcap's own studies keep, in the studies' order; findings last."""
    studies = own_records(Registry.from_entry_points())[StudyPlugin]
    found = {schema.name: schema for study in studies if isinstance(study, StudyPlugin) for schema in study.tables}
    return [*found.values(), FINDINGS]


def schema_lines(schema: TableSchema) -> Iterator[str]:
    """One table."""
    yield f"## {schema.name}"
    yield ""
    yield schema.meaning
    if schema.order:
        yield f"Rows: {schema.order}."
    yield ""
    yield from markdown_table(
        ("column", "type", "unit", "key", "meaning"),
        ((f"`{c.name}`", c.type, c.unit, "key" if c.key else "", escaped(c.meaning)) for c in schema.columns),
    )
    yield ""


def tables_page() -> str:
    """Text of ``tables.md``."""
    lines = [
        NOTE,
        "",
        "# Tables of results",
        "",
        "A headroom run keeps its own of these tables, for each feeder: `hv-node-headroom` those of `hv_node_`, "
        "`lv-headroom` the others, both the violations and the findings. The writers put them at"
        " `<results>/<table>/<scenario>/<feeder>/<year>.parquet` (or `.csv`).",
        "Signs and units follow the [conventions](conventions.md); what the numbers mean is in the"
        " [headroom method](../explanation/headroom-method.md).",
        "",
        "- `key` marks the columns that together name one row.",
        "- A missing value is null in Parquet, empty in CSV, and `None` or nan in Python.",
        "- Parquet carries type, unit, key and meaning of each column, and the limits applied, in its metadata."
        " CSV carries none of it.",
        "- A writer keeps all tables, or those that `[[writers]] tables = [...]` names.",
        "- Ids (`work_package_id`, `binding_id`, `violation_id`) are UUIDs as text. They derive from the study and its"
        " input: the same run has the same ids.",
        "",
    ]
    for schema in kept_tables():
        lines += schema_lines(schema)
    lines += [
        "## Tables of a trace",
        "",
        "A study `trace` keeps the tables below and `findings`, in files by day, month and year:"
        " `<results>/<table>/<scenario>/<name>/<year>-<month>-<day>.parquet`, `<year>-<month>`, `<year>` and"
        " `<year>-total`.",
        "Zero shares have no row. What the numbers mean is in [modes of tracing](../explanation/tracing.md).",
        "",
    ]
    for schema in TRACE_TABLES:
        lines += schema_lines(schema)
    lines += [
        "## Printed after a run",
        "",
        "What `hostcap run` prints first is made from the tables above. It is not kept.",
    ]
    for study, schema in PRINTED.items():
        rows = ((f"`{c.name}`", c.unit, escaped(c.meaning)) for c in schema.columns)
        lines += ["", f"{study}:", "", *markdown_table(("column", "unit", "meaning"), rows)]
    return "\n".join(lines) + "\n"


# Plugins


def own_records(registry: Registry) -> Mapping[type[PluginRecord[Any]], list[PluginRecord[Any]]]:
    """Records of hostcap's own plugins by kind, in the order of a study file and by name."""
    names = {(row.kind, row.name) for row in registry.list() if row.distribution.split()[0] == PROJECT}
    return {
        kind: [registry.get(kind, name) for name in registry.names(kind) if (kind.kind, name) in names]
        for kind in KINDS
    }


def config_lines(config: type) -> Iterator[str]:
    """The settings of one config class."""
    rows = describe(config)
    if not rows:
        yield "It has no settings."
        return

    def default(text: str) -> str:
        return text if text in ("", "required") else f"`{text}`"

    yield from markdown_table(
        ("key", "type", "unit", "default", "meaning"),
        ((f"`{r.key}`", escaped(r.type), r.unit, default(r.default), escaped(r.meaning)) for r in rows),
    )


def record_lines(record: PluginRecord[Any]) -> Iterator[str]:
    """One plugin."""
    yield f"### {record.table}: {record.name}"
    yield ""
    yield f"{escaped(record.summary)}."
    if record.capabilities:
        yield f"Capabilities: {', '.join(f'`{c}`' for c in sorted(record.capabilities))}."
    if record.extra is not None:
        yield f"Needs an extra: `{record.extra.how_to_install}`."
    yield ""
    if isinstance(record, StudyPlugin):
        yield "It takes these tables of a study file, and refuses others:"
        yield ""
        yield from markdown_table(
            ("table", "if left out"),
            (
                (f"`{table}`", "refused" if t.required else "none" if t.default is None else f"`{t.default}`")
                for table, t in record.parts.items()
            ),
        )
        yield ""
    yield from config_lines(record.config)
    yield ""


def hook_line(kind: type[PluginRecord[Any]]) -> str:
    """What the hook of a kind offers, in its own words."""
    hook: Callable[..., Any] = getattr(hookspecs, f"hostcap_{kind.kind}")
    words = (inspect.getdoc(hook) or "").splitlines()[0]
    return f"Hook `hostcap_{kind.kind}`: {words[0].lower()}{words[1:]}"


def plugins_page(registry: Registry) -> str:
    """Text of ``plugins.md``."""
    lines = [
        NOTE,
        "",
        "# Plugins and their settings",
        "",
        'The keys of a study file, table by table. `plugin = "..."` picks the plugin of a table; its other keys are'
        " that plugin's own. `hostcap plugins` lists what is installed, plugins of others included, and"
        " `hostcap plugins show KIND NAME` prints one of the tables below.",
        "",
        "Relative paths start at the folder of the study file. An empty default means that the key may be left out."
        " A key that a plugin does not know is refused.",
        "",
        "## name",
        "",
        "Text at the top of the file: the name of the study. Results go to `results/<name>` beside the file unless"
        " `--out` says otherwise, so it must be able to name a folder.",
        "",
        "## scope",
        "",
        "Table `[scope]`: what the study is about.",
        "",
        *config_lines(Scope),
        "",
        "## variants",
        "",
        "Tables `[variants.NAME]`: which projects a variant of the network has. `scope.variant` picks one; see"
        " [variants](../how-to/variants.md).",
        "",
        *config_lines(Variant),
        "",
        "## projects",
        "",
        'Tables `[[projects]]`: what variants select among. In their place, `projects = "file.toml"` at the top of the'
        " study file names a file that holds them.",
        "",
        *config_lines(Project),
        "",
    ]
    for kind, records in own_records(registry).items():
        header = f"[[{kind.table}]]" if kind.table in REPEATED else f"[{kind.table}]"
        several = ", which may be given several times" if kind.table in REPEATED else ""
        lines += [f"## {kind.table}", "", f"Table `{header}`{several}. {hook_line(kind)}", ""]
        for record in records:
            lines += record_lines(record)
    return "\n".join(lines).rstrip("\n") + "\n"


# Published fields


def published_page(registry: Registry) -> str:
    """Text of ``published-fields.md``.

    Raises:
        LookupError: The words name a key or a plugin that there is not.
    """
    lost = [*missing(FIELDS, registry), *missing(VALUES, registry)]
    if lost:
        raise LookupError("docs/published_fields.py names what no plugin has: " + "; ".join(lost))
    lines = [
        NOTE,
        "",
        "# Published fields, and how to say them here",
        "",
        "The hosting capacity service of Zepben publishes what its intrinsic (LV) and HV node headroom work packages"
        " take (client `zepben.eas` 2.20.0). This page has a row for every field of the two, of `solve` and `model`,"
        " which they share with other work packages, and of what they are made of.",
        "",
        "- *here*: the named key or table of a [study file](plugins.md) says it.",
        "- *always so*: nothing needs to be said.",
        "- *not yet*: it cannot be said; the words say why, and what to do instead.",
        "",
        "Units differ: hostcap has kW, kvar, kV and minutes where the published fields have W, var, V and hours. Times"
        " are UTC, or have an offset; published ones are local. A key that a plugin does not know is refused, where the"
        " published client drops it silently.",
        "",
    ]
    for published, title, cells in sections(FIELDS):
        lines += [f"## {title}", "", f"Type `{published}`.", "", *markdown_table(("field", "", "how"), cells), ""]
    lines += ["## Values", ""]
    for published, _, cells in sections(VALUES):
        lines += [f"### {published}", "", *markdown_table(("value", "", "how"), cells), ""]
    return "\n".join(lines).rstrip("\n") + "\n"


def pages() -> dict[Path, str]:
    """Every generated page and its text."""
    registry = Registry.from_entry_points()
    hooks = {REFERENCE / FOLDER / name: text for name, text in hook_pages(own_records(registry), NOTE).items()}
    return {
        REFERENCE / "arrays.md": arrays_page(NOTE),
        REFERENCE / "tables.md": tables_page(),
        REFERENCE / "plugins.md": plugins_page(registry),
        REFERENCE / "published-fields.md": published_page(registry),
        **hooks,
    }


def main() -> int:
    """Write the pages, or say which are stale."""
    parser = argparse.ArgumentParser(description="Write the reference pages that come from the code.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 where a page is stale")
    check: bool = parser.parse_args().check
    stale = [path for path, text in pages().items() if not path.is_file() or path.read_text(encoding="utf-8") != text]
    for path in stale:
        if check:
            sys.stderr.write(f"{path}: is stale; run python docs/generate_reference.py\n")
        else:
            path.parent.mkdir(exist_ok=True)
            path.write_text(pages()[path], encoding="utf-8")
    return 1 if check and stale else 0


if __name__ == "__main__":
    raise SystemExit(main())
