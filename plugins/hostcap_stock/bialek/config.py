"""Settings of the tracer ``bialek``; light to import."""

from __future__ import annotations

from typing import Any, Literal

import attrs
from attrs import field, frozen

from hostcap.config import about, between

Mode = Literal["balanced", "standard", "actual", "compat"]
Netted = Literal["none", "node", "bus"]


def _not_with_compat(instance: Any, attribute: attrs.Attribute[Netted], value: Netted) -> None:
    if value != "none" and instance.mode == "compat":
        raise ValueError(f"must be 'none' with mode 'compat', as the original does not net; got {value!r}")


@frozen(kw_only=True)
class BialekConfig:
    """How flows are shared; see the explanation of the modes."""

    mode: Mode = field(
        default="balanced",
        metadata=about(
            "balanced carries fixed losses, standard is the textbook, actual adds up to the real flows, compat is the"
            " original program"
        ),
    )
    netting: Netted = field(
        default="none",
        validator=_not_with_compat,
        metadata=about("Generation and load netted against each other before tracing: never, by node, or by bus"),
    )
    circulation: Literal["refuse", "drop"] = field(
        default="refuse",
        metadata=about("A loop of branches that nothing leaves: fail the period, or drop the loop's flows and say so"),
    )
    threads: int = field(
        default=0, validator=between(0, 1024), metadata=about("Periods traced at once; 0 takes every processor")
    )
