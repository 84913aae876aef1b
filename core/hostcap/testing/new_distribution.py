"""A new distribution with one plugin: what ``hostcap plugins new`` writes."""

from __future__ import annotations

import keyword
import sys
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from string import Template

from attrs import frozen

from hostcap.errors import OutputError, PluginError
from hostcap.plugins.kinds import KEBAB
from hostcap.plugins.registry import plural, singular


@frozen(kw_only=True)
class _Shape:
    """What differs between kinds.

    Attributes:
        suite: The suite of the kit.
        case: Further arguments of the test's ``Case``.
        more: Name of a second module, where the first would not be light to import.
        before: What the test module says before its class.
    """

    suite: str
    case: str = "settings={}"
    more: str = ""
    before: str = ""


_STUDY_PARTS = """from hostcap.testing import TwoBusSource
from hostcap_stock.batched.solver import BatchedSolver
from hostcap_stock.initial_states import AsModelled

PARTS = {"network": TwoBusSource(), "initial_state": AsModelled(), "solver": BatchedSolver()}
"""
SHAPES: Mapping[str, _Shape] = {
    "networks": _Shape(suite="NetworkSuite", case='settings={"load_kw": 2.0}, wrong=[{"load_kw": -1.0}]'),
    "profiles": _Shape(
        suite="ProfilesSuite", case='settings={"evening_kw": 2.0}, series="evening", wrong=[{"evening_kw": -1.0}]'
    ),
    "studies": _Shape(suite="StudySuite", case="parts=PARTS", more="study", before=_STUDY_PARTS),
    "initial_states": _Shape(suite="InitialStateSuite", case='wrong=[{"load_factor": -1.0}]'),
    "injections": _Shape(suite="InjectionSuite", case='wrong=[{"power_factor": 0.0}]'),
    "allocations": _Shape(suite="AllocationSuite", case='wrong=[{"one_phase_weight": 2.0}]'),
    "constraints": _Shape(suite="ConstraintSuite", case='wrong=[{"max_a": -5.0}]'),
    "solvers": _Shape(suite="SolverSuite", case='wrong=[{"tolerance_pu": 1.0}, {"max_iterations": 0}]', more="solver"),
    "flows": _Shape(suite="FlowsSuite", case='settings={"folder": "."}, wrong=[{"minutes": 0.0}]'),
    "tracers": _Shape(suite="TracerSuite", case='wrong=[{"least_mw": -1.0}]', more="tracer"),
    "writers": _Shape(suite="WriterSuite", case='wrong=[{"indent": 99}]'),
}
"""By kind; every kind has one."""


def texts(name: str, kind: str) -> dict[str, str]:
    """Files of a new distribution by their path in its folder, ``pyproject.toml`` first.

    Args:
        name: Of the plugin and of the distribution, kebab-case.
        kind: Such as ``constraint``.

    Raises:
        PluginError: The name is not kebab-case, is no name for a package, or there is no such kind.
    """
    known = plural(kind)
    package = name.replace("-", "_")
    if not KEBAB.fullmatch(name) or not package.isidentifier() or keyword.iskeyword(package):
        raise PluginError(f"name: expected kebab-case that begins with a letter, as in 'my-limit'; got {name!r}")
    if package in sys.stdlib_module_names or package.startswith("hostcap"):
        raise PluginError(f"name: the package {package!r} would hide another; choose a name of your own")
    shape, one = SHAPES[known], singular(known)
    words = {
        "distribution": name,
        "plugin": name,
        "package": package,
        "kind": one,
        "class_name": "".join(part.capitalize() for part in name.split("-")),
        "constant": package.upper(),
        "suite": shape.suite,
        "case": shape.case,
        "before": shape.before,
    }
    templates = {
        "pyproject.toml": "pyproject.toml",
        f"{package}/__init__.py": one,
        f"tests/test_{package}.py": "test",
    }
    if shape.more:
        templates[f"{package}/{shape.more}.py"] = f"{one}_more"
    return {path: _filled(template, words) for path, template in templates.items()}


def new_distribution(name: str, kind: str, folder: Path) -> tuple[Path, ...]:
    """Write a distribution with one plugin, which installs and passes the kit as it is.

    Args:
        name: Of the plugin and of the distribution, kebab-case.
        kind: Such as ``constraint``.
        folder: Made by this function.

    Returns:
        The files, ``pyproject.toml`` first.

    Raises:
        PluginError: As in ``texts``.
        OutputError: The folder is there already, or cannot be written.
    """
    written = {folder / path: text for path, text in texts(name, kind).items()}
    if folder.exists():
        raise OutputError(f"{folder}: is there already; give another folder with --out")
    try:
        for path, text in written.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise OutputError(f"{folder}: cannot be written: {error.strerror or error}") from error
    return tuple(written)


def _filled(template: str, words: Mapping[str, str]) -> str:
    text = files("hostcap.testing").joinpath("templates", f"{template}.txt").read_text(encoding="utf-8")
    return Template(text).substitute(words)
