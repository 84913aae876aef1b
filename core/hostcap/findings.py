"""What was noticed in the input or the answer and is not an error of the user's command."""

from __future__ import annotations

from enum import StrEnum

from attrs import frozen


class Severity(StrEnum):
    """How much a finding matters; ``error`` means that the feeder has no result."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


@frozen(kw_only=True)
class Finding:
    """One thing that a reader of the results should know.

    Attributes:
        severity: ``error``, ``warning`` or ``info``.
        code: Stable kebab-case name of the kind of finding.
        element: The element concerned, or a summary of several; empty for the whole feeder.
        count: How many elements it concerns.
        kw: The kW that it concerns, where that makes sense.
        message: One sentence: what was found, and what to do about it.
    """

    severity: Severity
    code: str
    message: str
    element: str = ""
    count: int = 1
    kw: float | None = None


def counted(count: int, one: str, many: str = "") -> str:
    """A count and its words: ``1 line``, ``3 lines``; ``many`` where an s does not make it, as in ``3 lines state``."""
    return f"{count} {one if count == 1 else many or f'{one}s'}"


def some(names: list[str], most: int = 3) -> str:
    """Name the first few of many elements: ``a, b, c and 17 more``."""
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"
