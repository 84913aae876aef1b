"""One page for each hook, from the code: what it offers, its objects, a complete example, the kit, what ships."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from typing import Any

from hostcap.plugins import PluginRecord, hookspecs, kinds
from hostcap.plugins.registry import singular
from hostcap.testing.new_distribution import SHAPES, texts

FOLDER = "hooks"
NAMES = {
    "networks": "my-feeder",
    "profiles": "my-readings",
    "initial_states": "winter-night",
    "injections": "heat-pump",
    "allocations": "by-phases",
    "constraints": "neutral-current",
    "solvers": "dense",
    "studies": "start-voltages",
    "flows": "my-flows",
    "tracers": "my-tracer",
    "writers": "json-tables",
}
"""What the example of each kind is called."""


SEE_ALL = ("What a network, a state and a limit hold is in [arrays](../arrays.md).",)
SEE = {
    "constraints": (
        "A network's arrays are in [arrays](../arrays.md#the-feeder). `limits` returns a list, empty where there is",
        "nothing to watch, of two kinds of things:",
        "",
        "- [`LinearLimits`](../arrays.md#linearlimits), rows `abs(a . V + b . I)`, as",
        "  [`node_rows` and `conductor_rows`](../arrays.md#rows-in-one-call) make them;",
        "- a [`Measure`](../arrays.md#measure), for what is no such row: an object of yours that says the value of",
        "  each row in each state. [Write a measure](../../how-to/write-a-measure.md) makes one.",
    )
}


def hook_pages(records: Mapping[type[PluginRecord[Any]], list[PluginRecord[Any]]], note: str) -> dict[str, str]:
    """Text of each page by file name."""
    return {f"{kind.kind}.md": "\n".join(_page(kind, own, note)) + "\n" for kind, own in records.items()}


def _page(kind: type[PluginRecord[Any]], own: list[PluginRecord[Any]], note: str) -> Iterator[str]:
    one, hook = singular(kind.kind), f"hostcap_{kind.kind}"
    words = inspect.getdoc(getattr(hookspecs, hook)) or ""
    name = NAMES[kind.kind]
    example = texts(name, one)
    made = _made(kind)
    yield from (note, "", f"# Hook {hook}", "", words.splitlines()[0], "")
    yield f'A study file picks one with `plugin = "..."` in the table `{kind.table}`. The hook is called once and'
    yield f"returns `{kind.__name__}` records; see"
    yield "[how plugins are found](../../explanation/architecture.md#kinds-of-plugins)."
    yield from ("", "## The record", "")
    yield from _attributes(kind)
    if made is not None:
        yield from ("", f"## The object: {made.__name__}", "", *as_markdown(made), "")
        for method in _methods(made):
            yield from _method(method)
        yield from SEE.get(kind.kind, SEE_ALL)
        yield ""
    yield from ("## A complete example", "")
    yield f"`hostcap plugins new {name} --kind {one}` writes this distribution, which installs and passes the kit."
    yield ""
    for path, text in example.items():
        language = "toml" if path.endswith(".toml") else "py"
        yield from (f"`{path}`:", "", f"```{language}", text.rstrip("\n"), "```", "")
    yield from ("## The kit", "")
    yield f"Inherit `hostcap.testing.{SHAPES[kind.kind].suite}`, as the test above does;"
    yield f"`hostcap plugins check {one} NAME` does the part that needs no pytest."
    yield "What the suites ask is in [the kit](../testing-kit.md)."
    yield from ("", "## What ships", "")
    for record in own:
        anchor = f"{record.table}-{record.name}"
        yield f"- [`{record.name}`](../plugins.md#{anchor}): {record.summary.rstrip('.')}."


def _made(kind: type[PluginRecord[Any]]) -> type | None:
    """The protocol of what the plugins of a kind make, by its name."""
    found: dict[str, Any] = {
        "networks": kinds.NetworkSource,
        "profiles": kinds.Profiles,
        "studies": kinds.Study,
        "initial_states": kinds.InitialState,
        "injections": kinds.Injection,
        "allocations": kinds.Allocation,
        "constraints": kinds.Constraint,
        "flows": kinds.Flows,
        "writers": kinds.Writer,
    }
    if kind.kind == "solvers":
        from hostcap.power_flow import Solver

        return Solver
    made: type | None = found.get(kind.kind) or getattr(kinds, singular(kind.kind).capitalize(), None)
    return made


def as_markdown(thing: object) -> Iterator[str]:
    """A docstring as Markdown: its sections of Google style as lists."""
    yield from _markdown(inspect.getdoc(thing) or "")


def _markdown(text: str) -> Iterator[str]:
    listed = False
    for line in text.replace("``", "`").splitlines():
        if line in ("Args:", "Attributes:", "Returns:", "Raises:"):
            listed = True
            yield f"{line}"
            yield ""
        elif listed and line.startswith("    ") and not line.startswith("     "):
            yield f"- {line.strip()}"
        elif listed and line.strip():
            yield f"  {line.strip()}"
        else:
            listed = listed and not line
            yield line


def _attributes(kind: type[PluginRecord[Any]]) -> Iterator[str]:
    yield from as_markdown(kinds.PluginRecord)
    own = inspect.getdoc(kind) or ""
    if own:
        yield from ("", *_markdown(own))


def _methods(made: type) -> Iterator[Any]:
    for name, value in vars(made).items():
        if not name.startswith("_") and inspect.isfunction(value):
            yield value


def _method(method: Any) -> Iterator[str]:
    signature = str(inspect.signature(method)).replace("'", "")
    yield from (f"`{method.__name__}{signature}`", "", *as_markdown(method), "")
