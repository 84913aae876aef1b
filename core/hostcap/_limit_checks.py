"""What a limit says of a feeder must be there: groups, nodes and conductors; otherwise another's row is read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hostcap._arrays import IntArray
from hostcap.errors import PluginError

if TYPE_CHECKING:
    from hostcap.limits import Limits
    from hostcap.network import Network


def check_places(of: str, limit: Limits, network: Network) -> None:
    """Refuse a limit that points beyond the feeder.

    Args:
        of: Whose limits they are, for the message.
        limit: Rows, or a measure.
        network: The feeder.

    Raises:
        PluginError: A group, node or conductor is not there, or pointers do not fit the rows.
    """
    groups = np.asarray(limit.labels.group)
    if groups.size and not (groups.min() >= 0 and groups.max() <= len(network.groups)):
        beyond = int(groups[np.argmax((groups < 0) | (groups > len(network.groups)))])
        raise PluginError(
            f"{of} ({limit.description}): labels.group has {beyond}; the feeder has groups 1 to {len(network.groups)}, "
            "and 0 for itself"
        )
    for name, size in (("node", network.nodes.bus.size), ("conductor", network.conductors.node.size)):
        if hasattr(limit, f"{name}_ptr"):
            _check_pointers(of, limit, name, size)


def _check_pointers(of: str, limit: Limits, name: str, size: int) -> None:
    pointer: IntArray = getattr(limit, f"{name}_ptr")
    index: IntArray = getattr(limit, f"{name}_index")
    rows = np.size(limit.lower)
    fits = pointer.shape == (rows + 1,) and pointer[0] == 0 and pointer[-1] == index.size
    if not fits or np.any(np.diff(pointer) < 0):
        raise PluginError(
            f"{of} ({limit.description}): {name}_ptr must rise from 0 to the {index.size} entries of {name}_index in "
            f"{rows + 1} steps, one more than there are rows"
        )
    if index.size and not (index.min() >= 0 and index.max() < size):
        beyond = int(index[np.argmax((index < 0) | (index >= size))])
        raise PluginError(
            f"{of} ({limit.description}): {name}_index has {beyond}; the feeder has {name}s 0 to {size - 1}"
        )
