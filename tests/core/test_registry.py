"""The registry: what is installed, and whose fault it is where something is not."""

from __future__ import annotations

import inspect
import re
import sys
import textwrap
from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from attrs import frozen

from hostcap.errors import PluginConflictError, PluginError, PluginLoadError, UnknownPluginError
from hostcap.plugins import KINDS, Registry, SolverPlugin, WriterPlugin, default_registry, hookimpl, hookspecs
from hostcap.plugins._hook_calls import CALLS


@frozen(kw_only=True)
class Empty:
    pass


def solver(name: str) -> SolverPlugin[Any]:
    return SolverPlugin(name=name, summary=f"Solver {name}", config=Empty, make=lambda config: config)


def offering(*names: str) -> object:
    """A plugin that offers solvers of these names."""

    class Plugin:
        @hookimpl
        def hostcap_solvers(self) -> list[SolverPlugin[Any]]:
            return [solver(name) for name in names]

    return Plugin()


def with_hook(function: Callable[..., Any], name: str = "hostcap_solvers") -> object:
    """A plugin whose one hook is ``function``, marked."""
    return SimpleNamespace(**{name: hookimpl(function)})


def state(plugin: object) -> str:
    (row,) = Registry.of(plugin, distribution="mine 1.0").list()
    return row.state


# --- the hooks ---------------------------------------------------------------------------------------------------


def test_every_kind_has_one_hook_and_one_typed_call() -> None:
    specified = {name for name in vars(hookspecs) if name.startswith("hostcap_")}
    assert specified == {f"hostcap_{kind.kind}" for kind in KINDS}
    assert list(CALLS) == list(KINDS)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)
def test_the_example_of_every_hook_is_a_plugin(kind: Any) -> None:
    text = inspect.getdoc(getattr(hookspecs, f"hostcap_{kind.kind}"))
    assert text is not None
    example = ModuleType(f"example_{kind.kind}")
    exec(textwrap.dedent(text.split("::\n", 1)[1]), vars(example))
    (row,) = Registry.of(example).list()
    assert (row.kind, row.state) == (kind.kind, "ok")


# --- finding -----------------------------------------------------------------------------------------------------


def test_get_finds_a_record_by_hook_table_or_class() -> None:
    registry = Registry.of(offering("opendss"))
    found = [registry.get(kind, "opendss") for kind in ("solvers", "solver", SolverPlugin)]
    assert found[0] is found[1] is found[2]


def test_every_kind_is_known_by_its_plural_its_table_and_its_singular_with_dashes_or_not() -> None:
    registry = Registry()
    for form in ("initial-state", "initial_states", "study", "constraint", "constraints", "writer", "network"):
        assert registry.names(form) == ()


def test_an_unknown_name_is_answered_with_the_nearest_and_the_installed_ones() -> None:
    with pytest.raises(UnknownPluginError) as caught:
        Registry.of(offering("opendss", "batched")).get("solver", "opendds")
    assert str(caught.value) == "no solver named 'opendds'; did you mean 'opendss'? installed: batched, opendss"
    assert isinstance(caught.value, LookupError)


def test_an_unknown_name_with_nothing_near_lists_the_installed_ones() -> None:
    with pytest.raises(UnknownPluginError, match=r"^no study named 'x'; installed: none$"):
        Registry().get("studies", "x")


def test_an_unknown_kind_is_answered_with_the_nearest_kind() -> None:
    with pytest.raises(
        UnknownPluginError, match=r"no kind named 'solvrs'; did you mean 'solvers'[?] kinds: networks, "
    ):
        Registry().get("solvrs", "opendss")


def test_the_listing_follows_kinds_and_names() -> None:
    class Writers:
        @hookimpl
        def hostcap_writers(self) -> list[WriterPlugin[Any]]:
            return [WriterPlugin(name="csv", summary="Text", config=Empty, make=lambda config: config)]

    rows = Registry.of(Writers(), offering("b", "a"), distribution="mine 1.0").list()
    assert [(row.kind, row.name, row.summary, row.distribution, row.state) for row in rows] == [
        ("solvers", "a", "Solver a", "mine 1.0", "ok"),
        ("solvers", "b", "Solver b", "mine 1.0", "ok"),
        ("writers", "csv", "Text", "mine 1.0", "ok"),
    ]


def test_each_hook_is_called_once() -> None:
    calls = []

    def hook() -> list[Any]:
        calls.append(1)
        return [solver("a")]

    registry = Registry.of(with_hook(hook))
    registry.list()
    registry.get("solver", "a")
    registry.names("solver")
    assert calls == [1]


# --- blame -------------------------------------------------------------------------------------------------------


def test_a_misspelled_hook_is_blamed_on_its_plugin_with_the_nearest_hook() -> None:
    plugin = with_hook(lambda: [], "hostcap_solver")
    assert state(plugin) == "failed: no hook named 'hostcap_solver'; did you mean 'hostcap_solvers'?"


def test_a_misspelled_hook_does_not_stop_the_other_plugins() -> None:
    class Misspelled:
        @hookimpl
        def hostcap_solver(self) -> list[Any]:
            return []

    registry = Registry.of(Misspelled(), distribution="bad 0.1") | Registry.of(offering("opendss"))
    assert registry.get("solver", "opendss").name == "opendss"
    with pytest.raises(UnknownPluginError) as caught:
        registry.get("solver", "batched")
    assert str(caught.value) == (
        "no solver named 'batched'; installed: opendss; failed to load: Misspelled (bad 0.1):"
        " no hook named 'hostcap_solver'; did you mean 'hostcap_solvers'?"
    )
    assert isinstance(caught.value.__cause__, PluginError)
    assert str(caught.value.__cause__) == (
        "plugin 'Misspelled' of bad 0.1: no hook named 'hostcap_solver'; did you mean 'hostcap_solvers'?"
    )


def test_a_marked_function_of_another_name_is_a_misspelled_hook() -> None:
    assert state(with_hook(lambda: [], "solvers")) == (
        "failed: no hook named 'solvers'; did you mean 'hostcap_solvers'?"
    )


def test_a_hook_that_a_newer_hostcap_has_may_be_optional() -> None:
    plugin = offering("a")
    plugin.hostcap_tracers = hookimpl(optionalhook=True)(lambda: [])  # type: ignore[attr-defined]
    assert state(plugin) == "ok"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("hostcap_solvers", "hostcap_solvers is not marked; put @hookimpl above it"),
        ("hostcap_solver", "no hook named 'hostcap_solver'; did you mean 'hostcap_solvers'?"),
    ],
)
def test_a_hook_without_its_mark_is_found(name: str, message: str) -> None:
    assert message in state(SimpleNamespace(**{name: lambda: []}))


def test_a_module_called_hostcap_something_is_no_hook() -> None:
    plugin = offering("a")
    plugin.hostcap_stock = ModuleType("hostcap_stock")  # type: ignore[attr-defined]
    assert state(plugin) == "ok"


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda: None, "hostcap_solvers returned nothing; return a list of SolverPlugin"),
        (lambda: solver("a"), "hostcap_solvers returned one SolverPlugin; return a list of them"),
        (lambda: 3, "hostcap_solvers returned int 3; return a list of SolverPlugin"),
        (lambda: "opendss", "hostcap_solvers returned str 'opendss'; return a list of SolverPlugin"),
        (lambda: ["opendss"], "hostcap_solvers offers str 'opendss' where an instance of SolverPlugin is due"),
        (lambda: [Empty], "hostcap_solvers offers the class Empty where an instance of SolverPlugin is due"),
        (
            lambda: [WriterPlugin(name="csv", summary="", config=Empty, make=lambda config: config)],  # type: ignore[arg-type,return-value]
            "hostcap_solvers offers the WriterPlugin 'csv' where an instance of SolverPlugin is due",
        ),
        (lambda: [solver("a"), solver("a")], "hostcap_solvers offers two plugins named 'a'"),
        (lambda: 1 / 0, "ZeroDivisionError: division by zero"),
        (lambda: (solver(name) for name in ["Not Kebab"]), "ValueError: plugin name 'Not Kebab' must be kebab-case"),
    ],
)
def test_what_a_hook_returns_is_checked_and_its_errors_are_its_own(answer: Any, message: str) -> None:
    assert state(with_hook(answer)).startswith(f"failed: {message}")


def test_a_hook_with_an_argument_is_refused() -> None:
    assert "Argument(s) {'registry'} are declared" in state(with_hook(lambda registry: []))


def test_a_class_where_an_object_is_due_is_refused() -> None:
    assert state(type(offering("a"))).startswith("failed: the class Plugin where an instance is due")


def test_a_plugin_without_a_hook_is_refused() -> None:
    assert state(SimpleNamespace()).startswith("failed: no hook found; mark a function with @hookimpl")


def test_a_config_may_not_use_the_key_that_picks_the_plugin() -> None:
    @frozen(kw_only=True)
    class Config:
        plugin: str = ""

    record = SolverPlugin(name="a", summary="", config=Config, make=lambda config: config)  # type: ignore[arg-type,return-value]
    assert "has a field 'plugin'" in state(with_hook(lambda: [record]))


# --- conflicts ---------------------------------------------------------------------------------------------------


def test_two_plugins_of_one_name_conflict_where_it_is_asked_for() -> None:
    registry = Registry.of(offering("a", "b"), distribution="one 1.0") | Registry.of(
        offering("a"), distribution="two 2.0"
    )
    with pytest.raises(PluginConflictError) as caught:
        registry.get("solver", "a")
    assert str(caught.value) == (
        "2 plugins offer solver 'a': one 1.0 ('Plugin') and two 2.0 ('Plugin');"
        " uninstall one, or name the wanted entry points in HOSTCAP_PLUGINS"
    )
    assert registry.get("solver", "b").name == "b"
    assert [(row.name, row.distribution, row.state) for row in registry.list()] == [
        ("a", "one 1.0", "conflict with two 2.0 ('Plugin')"),
        ("a", "two 2.0", "conflict with one 1.0 ('Plugin')"),
        ("b", "one 1.0", "ok"),
    ]


# --- entry points ------------------------------------------------------------------------------------------------


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Installs a distribution with entry points of a group of its own."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delenv("HOSTCAP_PLUGINS", raising=False)

    def install(distribution: str, version: str, entries: dict[str, str], **modules: str) -> None:
        for name, source in modules.items():
            (tmp_path / f"{name}.py").write_text(source, encoding="utf-8")
            monkeypatch.delitem(sys.modules, name, raising=False)
        info = tmp_path / f"{distribution}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n")
        lines = "".join(f"{name} = {value}\n" for name, value in entries.items())
        (info / "entry_points.txt").write_text(f"[hostcap-test]\n{lines}")

    return install


GOOD = """
from attrs import frozen
from hostcap.plugins import SolverPlugin, hookimpl

@frozen(kw_only=True)
class Config: ...

@hookimpl
def hostcap_solvers():
    return [SolverPlugin(name="good", summary="Works", config=Config, make=lambda config: config)]
"""


def test_an_entry_point_that_fails_to_import_does_not_stop_the_others(installed: Callable[..., None]) -> None:
    installed("good-dist", "1.2", {"good": "cfg_good"}, cfg_good=GOOD)
    installed("bad-dist", "0.3", {"bad": "cfg_bad"}, cfg_bad="import no_such_engine")
    registry = Registry.from_entry_points("hostcap-test")
    assert [(row.kind, row.name, row.distribution, row.state) for row in registry.list()] == [
        ("solvers", "good", "good-dist 1.2", "ok"),
        ("", "bad", "bad-dist 0.3", "failed: ModuleNotFoundError: No module named 'no_such_engine'"),
    ]
    assert registry.get("solver", "good").summary == "Works"
    with pytest.raises(UnknownPluginError) as caught:
        registry.get("solver", "bad")
    assert str(caught.value) == (
        "no solver named 'bad'; installed: good;"
        " failed to load: bad (bad-dist 0.3): ModuleNotFoundError: No module named 'no_such_engine'"
    )
    assert isinstance(caught.value.__cause__, PluginLoadError)
    assert isinstance(caught.value.__cause__.__cause__, ModuleNotFoundError)


def test_several_failures_are_chained_as_a_group(installed: Callable[..., None]) -> None:
    installed("bad-dist", "0.3", {"a": "cfg_a", "b": "cfg_b"}, cfg_a="import no_such", cfg_b="raise SystemExit(3)")
    with pytest.raises(UnknownPluginError, match=r"failed to load: a .*; b .*SystemExit: 3") as caught:
        Registry.from_entry_points("hostcap-test").get("solver", "x")
    assert isinstance(caught.value.__cause__, ExceptionGroup)
    assert [type(error) for error in caught.value.__cause__.exceptions] == [PluginLoadError, PluginLoadError]


def test_an_entry_point_to_what_is_not_there_is_a_failure(installed: Callable[..., None]) -> None:
    installed("bad-dist", "0.3", {"bad": "cfg_good:nothing"}, cfg_good=GOOD)
    (row,) = Registry.from_entry_points("hostcap-test").list()
    assert row.state == "failed: AttributeError: module 'cfg_good' has no attribute 'nothing'"


def test_the_environment_narrows_discovery(installed: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    installed("good-dist", "1.2", {"good": "cfg_good"}, cfg_good=GOOD)
    installed("bad-dist", "0.3", {"bad": "cfg_bad"}, cfg_bad="import no_such_engine")
    monkeypatch.setenv("HOSTCAP_PLUGINS", " good ,")
    assert [row.name for row in Registry.from_entry_points("hostcap-test").list()] == ["good"]
    monkeypatch.setenv("HOSTCAP_PLUGINS", "god")
    (row,) = Registry.from_entry_points("hostcap-test").list()
    assert row.state == "failed: HOSTCAP_PLUGINS names it, and no entry point is called so; did you mean 'good'?"
    monkeypatch.setenv("HOSTCAP_PLUGINS", "")
    assert len(Registry.from_entry_points("hostcap-test").list()) == 2


def test_every_entry_point_is_loaded_once(installed: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    installed("good-dist", "1.2", {"good": "cfg_good"}, cfg_good=GOOD)
    loaded = []
    load = EntryPoint.load

    def counted(point: EntryPoint) -> Any:
        loaded.append(point.name)
        return load(point)

    monkeypatch.setattr(EntryPoint, "load", counted)
    registry = Registry.from_entry_points("hostcap-test")
    registry.list()
    registry.get("solver", "good")
    assert loaded == ["good"]


def test_the_default_registry_is_made_once() -> None:
    assert default_registry() is default_registry()


def test_the_distribution_of_a_record_is_known() -> None:
    registry = Registry.of(offering("a"), distribution="mine 1.0")
    assert registry.distribution(registry.get("solver", "a")) == "mine 1.0"


def test_a_failure_is_told_on_one_line() -> None:
    def hook() -> list[Any]:
        raise RuntimeError("one\n  two")

    assert re.fullmatch("failed: RuntimeError: one two", state(with_hook(hook)))
