"""Commands of a study, run one by one; what the engine would pass over in silence is refused.

OpenDSS says nothing to ``edit``, ``enable`` and ``disable`` of an element that there is not, nor to ``batchedit`` of a
pattern that fits none: a name mistyped would leave the model as it was.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from hostcap.errors import ModelError
from hostcap.plugins._nearest import did_you_mean
from hostcap_stock.opendss.engine import Engine
from hostcap_stock.opendss.script import UnclosedQuoteError, parameters

_OF_ONE = ("edit", "enable", "disable")
_OF_MANY = "batchedit"


def run_commands(engine: Engine, commands: Sequence[str]) -> None:
    """Run commands on the model that an engine holds.

    Raises:
        ModelError: The engine refuses one, or would pass over it.
    """
    for command in commands:
        _refuse_about_nothing(engine, command)
        engine.command(command)


def _refuse_about_nothing(engine: Engine, command: str) -> None:
    try:
        words, _ = parameters(command)
    except UnclosedQuoteError:
        return  # the engine has a word for it
    if len(words) < 2 or words[0].value.casefold() not in (*_OF_ONE, _OF_MANY):
        return
    kind, _, name = words[1].value.partition(".")
    dss = engine.dss
    if not name or dss.Circuit.SetActiveClass(kind) <= 0:
        return  # the engine says that there is no such class
    names = [str(each) for each in dss.ActiveClass.AllNames()]
    if words[0].value.casefold() == _OF_MANY:
        if not _fits(name, names):
            raise ModelError(f"OpenDSS would pass over {command!r}: {name!r} fits none of {len(names)} of its {kind}")
    elif name.casefold() not in (each.casefold() for each in names):
        raise ModelError(
            f"OpenDSS would pass over {command!r}: the model has no {kind} {name!r}{did_you_mean(name, names)}"
        )


def _fits(pattern: str, names: Sequence[str]) -> bool:
    try:
        return any(re.search(pattern, each, re.IGNORECASE) for each in names)
    except re.error:
        return True  # the engine's expressions are of another kind; let it judge
