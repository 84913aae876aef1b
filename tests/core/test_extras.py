"""Packages that do not come with a plugin's distribution: found without an import, told in one line."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.metadata import metadata
from pathlib import Path

import pytest

from hostcap.errors import MissingPackageError, PluginError
from hostcap.plugins import Extra, default_registry
from hostcap.plugins.extras import require_all

ABSENT = Extra(modules=("no_such_package", "attrs", "nor_this"), install="mine[engine]")
LINE = "the packages no-such-package, nor-this are not installed; pip install 'mine[engine]'"


def test_what_is_missing_is_named_with_the_line_that_installs_it() -> None:
    assert ABSENT.missing == ("no_such_package", "nor_this") and ABSENT.lack == LINE
    with pytest.raises(MissingPackageError) as caught:
        ABSENT.require("solver 'mine'")
    assert str(caught.value) == f"solver 'mine': {LINE}"
    assert isinstance(caught.value, PluginError) and isinstance(caught.value, ImportError)
    there = Extra(modules=("attrs",), install="mine[x]")
    there.require("solver 'mine'")
    assert there.lack == ""


def test_those_that_lack_the_same_are_told_together_and_others_behind_them() -> None:
    other = Extra(modules=("nor_this",), install="other")
    with pytest.raises(MissingPackageError) as caught:
        require_all([("a", ABSENT), ("b", None), ("c", other), ("d", ABSENT)])
    assert str(caught.value) == f"a, d: {LINE}; c: the package nor-this is not installed; pip install 'other'"
    require_all([("b", None)])


def test_a_folder_of_that_name_is_no_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "nor_this").mkdir()
    monkeypatch.syspath_prepend(str(tmp_path))
    assert "nor_this" in ABSENT.missing


@pytest.mark.parametrize("modules", [(), ("power-grid-model",), ("a.b",)])
def test_modules_are_names_that_can_be_imported(modules: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="modules: expected the names that are imported"):
        Extra(modules=modules, install="x")


def test_asking_imports_nothing(tmp_path: Path) -> None:
    (tmp_path / "heavy.py").write_text("raise SystemExit('was imported')\n")
    code = "from hostcap.plugins import Extra; print(Extra(modules=('heavy',), install='x').missing)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True, env={"PYTHONPATH": "."}
    )
    assert done.stdout.strip() == "()"


def test_extras_of_our_own_plugins_are_extras_of_our_distribution() -> None:
    known = set(metadata("hostcap").get_all("Provides-Extra") or ())
    registry = default_registry()
    stated = {}
    for row in registry.list():
        if row.kind and row.distribution.split()[0] == "hostcap":
            extra = registry.get(row.kind, row.name).extra
            if extra is not None:
                stated[row.kind, row.name] = extra.install
    assert {("networks", "pandapower"), ("networks", "simbench"), ("solvers", "power-grid-model")} <= set(stated)
    for install in stated.values():
        found = re.fullmatch(r"hostcap\[([a-z-]+)\]", install)
        assert found and found[1] in known, install
