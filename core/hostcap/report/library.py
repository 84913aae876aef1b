"""The drawing library, an extra: Vega-Lite and its JavaScript, from ``vl-convert-python``."""

from __future__ import annotations

from functools import cache
from typing import Any

from hostcap.errors import PluginError

VEGA_LITE = "6.1"
"""Version of the language that figures are written in."""
INSTALL = "pip install 'hostcap[plot]'"


def drawing() -> Any:
    """The module ``vl_convert``.

    Raises:
        PluginError: It is not installed.
    """
    try:
        import vl_convert
    except ImportError as error:
        raise PluginError(f"pictures are drawn by vl-convert-python, which is not installed; {INSTALL}") from error
    return vl_convert


@cache
def javascript() -> str:
    """Vega, Vega-Lite and Vega-Embed in one script without outside needs, as ``window.vegaEmbed``."""
    text: str = drawing().javascript_bundle(vl_version=VEGA_LITE)
    return text
