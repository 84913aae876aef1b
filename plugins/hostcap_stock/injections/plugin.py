"""Registers the injections."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from hostcap.plugins import InjectionPlugin, hookimpl
from hostcap_stock.injections import NegativeLoad, NegativeLoadConfig

NEGATIVE_LOAD = InjectionPlugin(
    name="negative-load",
    summary="Constant power beside the base load, exported or imported",
    config=NegativeLoadConfig,
    make=lambda config: NegativeLoad(config=config),
)


@hookimpl
def hostcap_injections() -> Iterable[InjectionPlugin[Any]]:
    """The injections."""
    return [NEGATIVE_LOAD]
