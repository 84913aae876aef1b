"""Headroom studies. Python users construct ``LVHeadroom`` or ``HVNodeHeadroom``; they are imported when asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hostcap_stock.headroom.compose import HVNodeHeadroom, LVHeadroom

__all__ = ["HVNodeHeadroom", "LVHeadroom"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from hostcap_stock.headroom import compose

    return getattr(compose, name)
