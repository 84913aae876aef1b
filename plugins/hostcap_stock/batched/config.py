"""Settings of the solver ``batched``; light to import."""

from __future__ import annotations

from attrs import field, frozen

from hostcap.config import about, between
from hostcap_stock.iterating import Iterating


@frozen(kw_only=True)
class BatchedConfig(Iterating):
    """When a state counts as solved, and on how many cores."""

    threads: int = field(
        default=2,
        validator=between(1, 256),
        metadata=about("Threads that solve states; never more than the machine has cores; answers do not depend on it"),
    )
