"""The errors of hostcap: one base, and the few that somebody would catch apart.

A message says what is wrong, where, what was found, what was expected and what to try.
"""

from __future__ import annotations

from collections.abc import Sequence


class HostcapError(Exception):
    """Base of every error that hostcap raises on purpose; the command line prints it as one line."""


class ConfigError(HostcapError, ValueError):
    """A study or a part's configuration is wrong.

    Attributes:
        problems: Every problem found, one line each, ``path: what is wrong; what to do``.
    """

    def __init__(self, problems: str | Sequence[str]) -> None:
        self.problems: tuple[str, ...] = (problems,) if isinstance(problems, str) else tuple(problems)
        super().__init__("\n".join(self.problems))


class PluginError(HostcapError):
    """A plugin broke the rules of the registry, or failed at its boundary."""


class UnknownPluginError(PluginError, LookupError):
    """No plugin of that kind and name is installed (and loads)."""


class PluginConflictError(PluginError, ValueError):
    """Two installed distributions offer a plugin of one kind and name."""


class PluginLoadError(PluginError, ImportError):
    """An entry point failed to import; the cause is chained."""


class MissingPackageError(PluginError, ImportError):
    """A plugin needs packages that are not installed; the message has the line that installs them."""


class ModelError(HostcapError, ValueError):
    """The network model cannot be used as it is: missing, unreadable, inconsistent."""


class MissingBasesError(ModelError):
    """Buses of the model have no voltage base, and the study gives none.

    Attributes:
        suggested: Line-to-line bases that the model's source and transformers speak for, kV.
    """

    def __init__(self, message: str, *, suggested: Sequence[float] = ()) -> None:
        super().__init__(message)
        self.suggested = tuple(suggested)


class ProfileError(HostcapError, ValueError):
    """Readings or a series are missing, or break a rule that no explicit setting says how to handle."""


class FlowsError(HostcapError, ValueError):
    """Solved flows cannot be read as they are: a column, a number, a node or a period is wrong."""


class TraceError(HostcapError, ArithmeticError):
    """The flows of a period have no shares, as a loop of branches circulates without a source."""


class NotConvergedError(HostcapError, ArithmeticError):
    """The start of a study has no solution, so nothing can be said about the feeder.

    Attributes:
        iterations: Iterations tried.
        largest_change_pu: Largest voltage change of a live node in the last one, per unit of nominal.
    """

    def __init__(self, message: str, *, iterations: int = 0, largest_change_pu: float = float("nan")) -> None:
        super().__init__(message)
        self.iterations = iterations
        self.largest_change_pu = largest_change_pu


class OutputError(HostcapError, OSError):
    """Results cannot be written to, or read from, a folder."""


class StoppedError(HostcapError):
    """The caller asked to stop (``should_stop`` or Ctrl-C); finished feeders are kept."""
