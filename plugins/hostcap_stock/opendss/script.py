"""How OpenDSS takes a line apart: words, ``name=value`` pairs, quotes and comments, as its own parser does."""

from __future__ import annotations

import re

from attrs import frozen

_CLOSING = {"(": ")", '"': '"', "'": "'", "[": "]", "{": "}"}
_STOP = re.compile(r"!|//|[,= \t]")
_BLANK = re.compile(r"[ \t]*")


class UnclosedQuoteError(Exception):
    """A bracket or quote has no end on its line; the engine takes everything to the end of the line."""


@frozen
class Parameter:
    """A word of a line.

    Attributes:
        name: What stands before the ``=``; empty without one.
        value: Without the quotes around it.
    """

    name: str
    value: str


@frozen
class _Token:
    text: str
    at: int
    """Where the next one starts."""
    stop: str
    """What ended it: a comma, an equals sign, a blank, or ! for a comment."""


def parameters(line: str) -> tuple[list[Parameter], int]:
    """The words of a line, and where its comment starts.

    Raises:
        UnclosedQuoteError: A quote is not closed.
    """
    found: list[Parameter] = []
    at, end = _skip(line, 0), len(line)
    while at < len(line):
        token = _token(line, at, " ")
        name = ""
        if token.stop == "=":
            name = token.text
            token = _token(line, token.at, "=")
        if token.text or name or token.stop != "!":
            found.append(Parameter(name, token.text))
        at = token.at
        if token.stop == "!":
            end = at
            break
    return found, end


def _token(line: str, at: int, stop: str) -> _Token:
    """The next token; ``stop`` is what ended the one before, which the engine forgets only at an unquoted token."""
    closing = _CLOSING.get(line[at : at + 1])
    if closing:
        last = line.find(closing, at + 1)
        if last < 0:
            raise UnclosedQuoteError(line[at])
        text, at = line[at + 1 : last], last + 1
    else:
        match = _STOP.search(line, at)
        last, ended = (match.start(), match.group()) if match else (len(line), "")
        text, at = line[at:last], last
        if ended in ("!", "//"):
            return _Token(text, at, "!")
        stop = ended if ended in (",", "=") else " "
    if stop == " ":
        at = _skip(line, at)
    if line[at : at + 1] in (",", "="):
        stop = line[at]
        at += 1
    return _Token(text, _skip(line, at), stop)


def _skip(line: str, at: int) -> int:
    match = _BLANK.match(line, at)
    return at if match is None else match.end()
