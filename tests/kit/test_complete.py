"""No hook without a suite, a page and a complete example; no stock plugin that does not run the kit."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import hostcap.testing
from hostcap.plugins import KINDS, default_registry, hookspecs
from hostcap.plugins.registry import singular
from hostcap.testing import PluginSuite
from hostcap.testing.new_distribution import SHAPES, texts

HERE = Path(__file__).resolve().parent
PAGES = HERE.parents[1] / "docs" / "reference" / "hooks"
HOOKS = [name for name in vars(hookspecs) if name.startswith("hostcap_")]
SUITES = {
    suite.kind.kind: name
    for name in hostcap.testing.__all__
    if isinstance(suite := getattr(hostcap.testing, name), type)
    and issubclass(suite, PluginSuite)
    and suite is not PluginSuite
}
WHERE = [*sorted(HERE.glob("test_stock_*.py")), *sorted(HERE.parent.glob("contrib/test_*.py"))]
TESTS = "\n".join(path.read_text(encoding="utf-8") for path in WHERE)


def test_every_hook_is_of_a_kind_and_every_kind_has_one() -> None:
    assert sorted(HOOKS) == sorted(f"hostcap_{kind.kind}" for kind in KINDS)


@pytest.mark.parametrize("kind", [kind.kind for kind in KINDS])
def test_every_hook_has_a_suite_a_page_and_a_complete_example(kind: str) -> None:
    assert SHAPES[kind].suite == SUITES[kind]
    page = (PAGES / f"{kind}.md").read_text(encoding="utf-8")
    assert f"def hostcap_{kind}(" in texts("an-example", singular(kind))["an_example/__init__.py"]
    assert f"def hostcap_{kind}(" in page
    assert f"hostcap.testing.{SUITES[kind]}" in page


@pytest.mark.parametrize("kind", [kind.kind for kind in KINDS])
def test_every_hook_has_a_docstring_with_an_example(kind: str) -> None:
    words = vars(hookspecs)[f"hostcap_{kind}"].__doc__
    assert "Returns:" in words
    assert f"def hostcap_{kind}():" in words


def _stock() -> list[tuple[str, str]]:
    rows = default_registry().list()
    return [(singular(r.kind), r.name) for r in rows if r.distribution.split()[0] == "hostcap"]


@pytest.mark.parametrize(("kind", "name"), _stock(), ids=lambda value: value)
def test_every_stock_plugin_runs_the_kit(kind: str, name: str) -> None:
    cases = [block for block in re.split(r"\nclass ", TESTS) if f'kind="{kind}"' in block]
    assert any(f'"{name}"' in block for block in cases), f"add a test of {kind} {name} to tests/kit (or tests/contrib)"
