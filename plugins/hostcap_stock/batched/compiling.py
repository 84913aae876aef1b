"""Fetch the compiled kernels, and say so when the first start has to compile them.

numba keeps compiled code beside the package, or in the user's cache folder where the package cannot be written
(``NUMBA_CACHE_DIR`` names another place); it writes files whole, so two processes that compile at once do no harm.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import frozen

if TYPE_CHECKING:
    from hostcap_stock.batched.layout import Layout

_LOG = logging.getLogger(__name__)


@frozen(kw_only=True)
class Kernels:
    """What a plan calls; everything below imports numba.

    Attributes:
        lay_out: See ``layout.lay_out``.
        solve_tiles, room_for: See ``kernel``.
        lanes: States in one tile.
    """

    lay_out: Callable[..., Layout]
    solve_tiles: Callable[..., None]
    room_for: Callable[..., Any]
    lanes: int


@lru_cache(maxsize=1)
def kernels() -> Kernels:
    """The kernels, compiled on their first call."""
    try:
        from hostcap_stock.batched import kernel
    except RuntimeError:
        cache_for_this_process()
        from hostcap_stock.batched import kernel
    from hostcap_stock.batched.lanes import LANES
    from hostcap_stock.batched.layout import lay_out

    if folder := not_yet_compiled(kernel.solve_tiles):
        _LOG.warning("compiling the kernels of solver 'batched' once for this machine, into %s", folder)
    return Kernels(lay_out=lay_out, solve_tiles=kernel.solve_tiles, room_for=kernel.room_for, lanes=LANES)


def not_yet_compiled(function: Any) -> str:
    """The folder that will keep the code of a kernel, where it has none of it yet; "" where it has."""
    folder, module = str(function.stats.cache_path), function.py_func.__module__.rpartition(".")[2]
    return "" if any(Path(folder).glob(f"{module}.{function.py_func.__name__}-*.nbi")) else folder


def cache_for_this_process() -> None:
    """Where neither the package nor a cache folder of the user can be written, compile for this process alone.

    The folder has a name that nobody can foresee: what is in it is run.
    """
    import atexit
    import shutil
    import tempfile

    from numba import config

    folder = tempfile.mkdtemp(prefix="hostcap-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    config.CACHE_DIR = folder  # type: ignore[attr-defined, unused-ignore]
    _LOG.warning("no cache folder can be written; name one with NUMBA_CACHE_DIR to compile the kernels only once")
