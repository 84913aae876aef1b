"""What one plugin offers: its hooks checked against the specifications, called once, their answers checked.

Each plugin gets a pluggy manager of its own, so that whatever it does wrong is its own fault: neither a misspelled
hook nor an exception inside one can be blamed on another plugin or stop it.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator
from typing import Any

import attrs
from pluggy import HookCaller, PluginManager, PluginValidationError

from hostcap.errors import PluginError
from hostcap.plugins import hookspecs
from hostcap.plugins._hook_calls import CALLS
from hostcap.plugins._nearest import did_you_mean
from hostcap.plugins.kinds import KINDS, PluginRecord

_PREFIX = "hostcap_"
_HOOKS = tuple(_PREFIX + kind.kind for kind in KINDS)


def offers(plugin: object) -> tuple[PluginRecord[Any], ...]:
    """All records of one plugin.

    Args:
        plugin: A module or object with hook implementations.

    Raises:
        PluginError: It breaks a rule; the message does not name the plugin, the registry does.
        Exception: Whatever the plugin's own code raises.
    """
    if inspect.isclass(plugin):
        raise PluginError(f"the class {plugin.__name__} where an instance is due; let the entry point name an object")
    manager = PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    try:
        manager.register(plugin)
    except PluginValidationError as error:
        raise PluginError(": ".join(str(error).splitlines())) from error
    _check_names(manager, plugin)
    found: dict[tuple[str, str], PluginRecord[Any]] = {}
    for kind in KINDS:
        for record in _records(manager, kind):
            key = (record.kind, record.name)
            if key in found:
                raise PluginError(f"{_PREFIX}{record.kind} offers two plugins named {record.name!r}")
            if "plugin" in attrs.fields_dict(record.config):
                raise PluginError(f"config of {record.name!r} has a field 'plugin', the key by which a file picks it")
            found[key] = record
    return tuple(found.values())


def _check_names(manager: PluginManager, plugin: object) -> None:
    callers = manager.get_hookcallers(plugin) or []
    for caller in callers:
        required = any(not implementation.optionalhook for implementation in caller.get_hookimpls())
        if not caller.has_spec() and required:
            raise PluginError(_no_such_hook(caller.name))
    marked = {caller.name for caller in callers}
    for name in dir(plugin):
        if not name.startswith(_PREFIX) or name in marked:
            continue
        value = inspect.getattr_static(plugin, name)
        # Routines only: a module that says `import hostcap_stock` has an attribute of that name.
        if not (inspect.isroutine(value) and manager.parse_hookimpl_opts(plugin, name) is None):
            continue
        if name in _HOOKS:
            raise PluginError(f"{name} is not marked; put @hookimpl above it (from hostcap.plugins import hookimpl)")
        raise PluginError(_no_such_hook(name))
    if not callers:
        raise PluginError(f"no hook found; mark a function with @hookimpl: one of {', '.join(_HOOKS)}")


def _no_such_hook(name: str) -> str:
    return f"no hook named {name!r}{did_you_mean(name, _HOOKS) or '; hooks: ' + ', '.join(_HOOKS)}"


def _records(manager: PluginManager, kind: type[PluginRecord[Any]]) -> Iterator[PluginRecord[Any]]:
    hook, due = _PREFIX + kind.kind, kind.__name__
    answers = list(CALLS[kind](manager))
    caller: HookCaller = getattr(manager.hook, hook)
    # pluggy drops a None, so that a forgotten `return` would be silence.
    if len(answers) < len(caller.get_hookimpls()):
        raise PluginError(f"{hook} returned nothing; return a list of {due}")
    for answer in answers:
        # What authors return is checked here, whatever the hook's annotation promises.
        offered: object = answer
        if isinstance(offered, PluginRecord):
            raise PluginError(f"{hook} returned one {type(offered).__name__}; return a list of them")
        if isinstance(offered, str) or not isinstance(offered, Iterable):
            raise PluginError(f"{hook} returned {_what(offered)}; return a list of {due}")
        for record in offered:
            if isinstance(record, kind):
                yield record
            else:
                raise PluginError(f"{hook} offers {_what(record)} where an instance of {due} is due")


def _what(value: object) -> str:
    if inspect.isclass(value):
        return f"the class {value.__name__}"
    if isinstance(value, PluginRecord):
        return f"the {type(value).__name__} {value.name!r}"
    text = repr(value)
    return f"{type(value).__name__} {text if len(text) < 60 else text[:57] + '...'}"
