"""What somebody may have meant."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from hostcap.findings import some


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that looks most like ``word``, whatever its case; None where nothing is near."""
    if len(word) > 100:  # a slip is short; comparing a page of text with every name takes seconds
        return None
    by_lower: dict[str, str] = {}
    for name in known:
        by_lower.setdefault(name.lower(), name)
    close = get_close_matches(word.lower(), by_lower, n=1, cutoff=0.6)
    return by_lower[close[0]] if close else None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """``; did you mean 'opendss'?``, or nothing."""
    name = nearest(word, known)
    return "" if name is None else f"; did you mean {name!r}?"


def suggestion(word: str, known: Iterable[str], label: str, most: int = 30) -> str:
    """``; did you mean 'opendss'? installed: batched, opendss``, the last part under ``label``; of many the first."""
    names = list(known)
    hint = did_you_mean(word, names)
    return f"{hint}{' ' if hint else '; '}{label}: {some(names, most) or 'none'}"
