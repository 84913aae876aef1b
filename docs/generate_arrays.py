"""The page of the arrays that parts are handed and give back, from their docstrings."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Iterator

from generate_hooks import as_markdown

from hostcap.limit_rows import conductor_rows, node_rows
from hostcap.limits import LinearLimits, Measure, RowLabels
from hostcap.network import (
    Buses,
    Conductors,
    Customers,
    Equipment,
    Groups,
    HvLocations,
    Injectors,
    Network,
    Nodes,
    Regulators,
)
from hostcap.operating_point import OperatingPoint
from hostcap.solution import Solution

ARRAYS = {
    "The feeder": {
        "network": Network,
        "network.buses": Buses,
        "network.nodes": Nodes,
        "network.equipment": Equipment,
        "network.conductors": Conductors,
        "network.injectors": Injectors,
        "network.customers": Customers,
        "network.groups": Groups,
        "network.hv_locations": HvLocations,
        "network.regulators": Regulators,
    },
    "States": {"": OperatingPoint, " ": Solution},
    "Limits": {"": LinearLimits, " ": Measure, "limit.labels": RowLabels},
}
"""What the page says, by heading: classes by how a part comes to them."""


def arrays_page(note: str) -> str:
    """The text of ``arrays.md``."""
    return "\n".join(_page(note)).rstrip("\n") + "\n"


def _page(note: str) -> Iterator[str]:
    yield from (note, "", "# Arrays that parts see", "")
    yield "What a plugin or an object of your own is handed, and what a constraint gives back: read-only numpy arrays."
    yield "Units, signs and axes are in [conventions](conventions.md). `help(hostcap.network.Nodes)` says the same."
    for title, classes in ARRAYS.items():
        yield from ("", f"## {title}")
        for place, of in classes.items():
            yield from ("", f"### {of.__name__}" + (f": `{place}`" if place.strip() else ""), "")
            yield from as_markdown(of)
            worked_out = [] if of is Measure else list(_worked_out(of))
            if worked_out:
                yield from ("", "Worked out of these:", "", *worked_out)
            if of is Measure:
                yield from ("", f"`evaluate{_signature(of.evaluate)}`", "", *as_markdown(of.evaluate))
    yield from ("", "## Rows in one call", "", "In `hostcap.limit_rows`; both make `LinearLimits`.")
    for function in (node_rows, conductor_rows):
        called = _call(function.__name__, _signature(function))
        yield from ("", f"### {function.__name__}", "", "```py", *called, "```", "")
        yield from as_markdown(function)


def _worked_out(of: type) -> Iterator[str]:
    """Properties and methods, from the source: a class with slots has no trace of what it keeps on first use."""
    (tree,) = ast.parse(textwrap.dedent(inspect.getsource(of))).body
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            kept = {ast.unparse(decorator) for decorator in node.decorator_list}
            if kept <= {"property", "cached_property"}:
                name = node.name if kept else f"{node.name}({', '.join(a.arg for a in node.args.args[1:])})"
                yield f"- {name}: {(ast.get_docstring(node) or '').splitlines()[0].replace('``', '`')}"


def _signature(function: object) -> str:
    """A signature without the quotes of its annotations; those of its defaults stay."""
    return re.sub(r"(: |-> )'([^']*)'", r"\1\2", str(inspect.signature(function)))  # type: ignore[arg-type]


def _call(name: str, signature: str) -> Iterator[str]:
    """A signature, an argument on each line."""
    arguments, _, returns = signature[1:].rpartition(") -> ")
    yield f"{name}("
    yield from (f"    {argument},".replace("'", '"') for argument in arguments.split(", "))
    yield f") -> {returns}"
