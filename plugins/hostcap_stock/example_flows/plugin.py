"""Registers the flows ``example``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from hostcap.plugins import FlowsPlugin, hookimpl
from hostcap_stock.example_flows.config import ExampleConfig

if TYPE_CHECKING:
    from hostcap.plugins import Flows


def _example(config: ExampleConfig) -> Flows:
    from hostcap_stock.example_flows.systems import Example

    return Example(config=config)


EXAMPLE = FlowsPlugin(
    name="example",
    summary="One period of a small published system: three buses, or Bialek's four",
    config=ExampleConfig,
    make=_example,
    place="system",
)


@hookimpl
def hostcap_flows() -> Iterable[FlowsPlugin[Any]]:
    """The flows."""
    return [EXAMPLE]
