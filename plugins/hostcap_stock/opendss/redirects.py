"""Scripts that lead back to themselves: the engine would follow them until the process dies."""

from __future__ import annotations

import re
from pathlib import Path

from hostcap.errors import ModelError

_REDIRECT = re.compile(
    rb"""^[ \t]*(?:red\w*|compi\w*)[ \t]+(?:file[ \t]*=[ \t]*)?(?:["'(\[{]([^"')\]}\r\n]+)|([^\s!"'(\[{]+))""",
    re.IGNORECASE | re.MULTILINE,
)


def refuse_redirect_loops(master: Path) -> None:
    """Follow every redirect of a script.

    Raises:
        ModelError: A file leads back to itself.
    """
    _follow(master, ())


def _follow(path: Path, above: tuple[Path, ...]) -> None:
    resolved = path.resolve()
    if resolved in above:
        chain = " -> ".join(each.name for each in (*above[above.index(resolved) :], resolved))
        raise ModelError(f"{path}: the script leads back to itself: {chain}; remove one of these redirects")
    try:
        text = resolved.read_bytes()
    except OSError:
        return  # the engine says which file is missing, and in which line
    for match in _REDIRECT.finditer(text):
        name = next(group for group in match.groups() if group is not None).decode("utf-8", "replace")
        _follow(resolved.parent / name.replace("\\", "/"), (*above, resolved))
