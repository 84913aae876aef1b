"""Registers the tracer ``bialek``; numba is imported when a period is traced."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from hostcap.plugins import TracerPlugin, hookimpl
from hostcap_stock.bialek.config import BialekConfig

if TYPE_CHECKING:
    from hostcap.plugins import Tracer


def _tracer(config: BialekConfig) -> Tracer:
    try:
        from hostcap_stock.bialek.tracer import BialekTracer
    except RuntimeError:  # numba finds no folder to keep compiled code in
        from hostcap_stock.batched.compiling import cache_for_this_process

        cache_for_this_process()
        from hostcap_stock.bialek.tracer import BialekTracer

    return BialekTracer(config=config)


TRACER = TracerPlugin(
    name="bialek",
    summary="Proportional sharing: every MW that leaves a bus has the mix of what enters it",
    config=BialekConfig,
    make=_tracer,
)


@hookimpl
def hostcap_tracers() -> Iterable[TracerPlugin[Any]]:
    """The tracer."""
    return [TRACER]
