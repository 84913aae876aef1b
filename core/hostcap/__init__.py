"""hostcap: how much more an electricity distribution network can take, and what stops it.

Light to import: engines, pandas and pyarrow are imported when they are used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hostcap.errors import HostcapError
    from hostcap.results_folder import read_results
    from hostcap.running import check, run
    from hostcap.tables import Results, Table
    from hostcap.work_package import WorkPackage

__all__ = ["HostcapError", "Results", "Table", "WorkPackage", "check", "read_results", "run"]
_ROOMS = {
    "HostcapError": "errors",
    "Results": "tables",
    "Table": "tables",
    "WorkPackage": "work_package",
    "check": "running",
    "read_results": "results_folder",
    "run": "running",
}


def __getattr__(name: str) -> Any:
    if name not in _ROOMS:
        raise AttributeError(f"module 'hostcap' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"hostcap.{_ROOMS[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
