"""Solvers: from a frozen network, growth and limits to a plan that solves states in batches."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from types import TracebackType
from typing import Literal, Protocol, Self, runtime_checkable

import numpy as np
from attrs import field, frozen

from hostcap._arrays import BoolArray, FloatArray, IntArray, bools, ints
from hostcap.errors import HostcapError
from hostcap.findings import Finding
from hostcap.growth import Growth
from hostcap.limits import Extremes, LimitSet, Violations
from hostcap.linear import LinearNetwork
from hostcap.network import Network, _ByContent
from hostcap.operating_point import OperatingPoint
from hostcap.solution import Solution

LINEARISE = "linearise"
"""Capability of a frozen network: it gives its start as arrays."""
Want = Literal["extremes", "violations", "nodes", "branches"]


@frozen(kw_only=True)
class Settling:
    """How long the controlled solve of the start may take.

    Attributes:
        max_iterations: Iterations of one solve.
        max_control_iterations: Rounds of control actions.
    """

    max_iterations: int = 100
    max_control_iterations: int = 200


@frozen(kw_only=True, eq=False)
class States(_ByContent):
    """What a plan says about a batch of states; what was not wanted is None.

    Attributes:
        converged: Shape (state,).
        iterations: int32, shape (state,).
        extremes, violations: Reductions over the plan's limits.
        solution: Node voltages (``nodes``) and conductor currents (``branches``); an array that was not wanted
            has no columns.
    """

    converged: BoolArray = field(converter=bools)
    iterations: IntArray = field(converter=ints)
    extremes: Extremes | None = None
    violations: Violations | None = None
    solution: Solution | None = None

    def part(self, states: slice) -> States:
        """Some of the states, with their extremes alone."""
        found = self.extremes
        return States(
            converged=self.converged[states],
            iterations=self.iterations[states],
            extremes=None
            if found is None
            else Extremes(margin=found.margin[states], row=found.row[states], families=found.families),
        )


def checked_injections(p_kw: FloatArray, q_kvar: FloatArray, injectors: int) -> tuple[FloatArray, FloatArray]:
    """What a plan was given to inject, as read-only float64 arrays of shape (state, injector).

    Raises:
        HostcapError: Another shape, or something that is no number.
    """
    found = []
    for name, values in (("p_kw", p_kw), ("q_kvar", q_kvar)):
        array = np.ascontiguousarray(values, dtype=np.float64)[...]
        if array.ndim != 2 or array.shape[1] != injectors:
            raise HostcapError(f"{name} has the shape {array.shape}; expected (state, {injectors}), one per injector")
        # The sum of a large batch costs much less than a look at each number, and hides none that is not finite.
        if not np.isfinite(array.sum()) and not np.all(np.isfinite(array)):
            state, injector = np.argwhere(~np.isfinite(array))[0]
            raise HostcapError(
                f"{name} is {array[state, injector]} in state {state} at injector {injector}; expected finite numbers"
            )
        array.setflags(write=False)
        found.append(array)
    if found[0].shape != found[1].shape:
        raise HostcapError(f"p_kw has {found[0].shape[0]} states and q_kvar has {found[1].shape[0]}; expected as many")
    return found[0], found[1]


class Plan(Protocol):
    """Solves states of one frozen network, growth and limit set.

    Every state starts from the start's voltages: what was solved before does not matter, nor which other plans of the
    same frozen network are open.
    """

    def solve(self, levels: IntArray, want: Collection[Want]) -> States:
        """Solve states.

        Args:
            levels: Steps of growth of each scope, int32, shape (state, scope), >= 0.
            want: What to report.

        Returns:
            The states in the same order. A state that does not converge is reported as such.
        """
        ...

    def solve_injections(self, p_kw: FloatArray, q_kvar: FloatArray, want: Collection[Want]) -> States:
        """Solve states by what every injector does, without growth: a time series, all at the start's taps.

        Each injector is its own element with another power. A load keeps its connection and its voltage law, and
        takes the whole net injection: what its operating point generates beside it is off, and a load that injects
        is a negative load. A generating element injects constant power, whatever it did at the start.

        Args:
            p_kw: Injection of each of ``Network.injectors``, nominal at 1 pu, kW into the network (consumption is
                negative), shape (state, injector); ``OperatingPoint.p_kw`` is the start's.
            q_kvar: The same in kvar into the network.
            want: What to report.

        Returns:
            The states in the same order. A state that does not converge is reported as such.

        Raises:
            HostcapError: Arrays of another shape, or with something that is no finite number.
        """
        ...

    def close(self) -> None:
        """Give back what the plan holds of the frozen network; the network stays usable."""
        ...


class FrozenNetwork(Protocol):
    """A network at its start: operating point applied, controls solved, taps and inverters frozen.

    A context manager; ``close`` gives its engine back.

    Attributes:
        network: The feeder.
        operating_point: What was applied.
        start: One solved state without growth.
        findings: What was noticed on the way to the start.
        capabilities: What solvers may ask it for.
    """

    @property
    def network(self) -> Network:
        """The feeder."""
        ...

    @property
    def operating_point(self) -> OperatingPoint:
        """What was applied."""
        ...

    @property
    def start(self) -> Solution:
        """One solved state without growth."""
        ...

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What was noticed on the way to the start."""
        ...

    @property
    def capabilities(self) -> frozenset[str]:
        """What solvers may ask it for."""
        ...

    def engine(self) -> object:
        """The engine at the start, for a solver that asks for this capability."""
        ...

    def linear(self) -> LinearNetwork:
        """The start as arrays, for a solver that asks for the capability ``linearise``.

        Raises:
            ModelError: Something injects that has no linear form, by name.
        """
        ...

    def close(self) -> None:
        """Give the engine back."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Solver(Protocol):
    """Makes plans.

    Attributes:
        laws: Voltage laws of growth that it can model.
        needs: Capabilities that it asks a frozen network for.
        settling: How long the start's controlled solve may take.
        states_at_once: How many states one call of its plans solves best; 1 where batches gain nothing.
    """

    @property
    def laws(self) -> frozenset[type]:
        """Voltage laws of growth that it can model."""
        ...

    @property
    def needs(self) -> frozenset[str]:
        """Capabilities that it asks a frozen network for."""
        ...

    @property
    def settling(self) -> Settling:
        """How long the start's controlled solve may take."""
        ...

    @property
    def states_at_once(self) -> int:
        """How many states one call of its plans solves best."""
        ...

    def plan(self, frozen: FrozenNetwork, growth: Growth, limits: LimitSet) -> Plan:
        """Prepare to solve states of ``frozen`` with ``growth``, watched by ``limits``."""
        ...


@runtime_checkable
class TellsSettled(FrozenNetwork, Protocol):
    """A frozen network that can tell without its arrays whether they equal those of another start of its feeder."""

    def settled(self) -> str | None:
        """What controls decided: equal for two starts whose linear networks are equal but for base ports and start.

        None where that cannot be told, such as with controls that open and close lines.
        """
        ...

    def linear_like(self, other: LinearNetwork) -> LinearNetwork:
        """The start as arrays, where those of a start that settled alike are at hand: reads what injects alone."""
        ...


class Closing:
    """Closes itself at the end of a ``with`` block, as every frozen network does."""

    __slots__ = ()

    def close(self) -> None:
        """Nothing is held."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


@frozen(kw_only=True, eq=False)
class FrozenArrays(Closing):
    """A frozen network whose engine was given back: what solvers need that bring their own arithmetic.

    Attributes:
        network, operating_point, start, findings: As in ``FrozenNetwork``.
        arrays: The start as arrays.
        settled: As in ``TellsSettled``; None where that cannot be told.
    """

    network: Network
    operating_point: OperatingPoint
    start: Solution
    findings: tuple[Finding, ...]
    arrays: LinearNetwork
    settled: str | None = None
    capabilities: frozenset[str] = frozenset({LINEARISE})

    @classmethod
    def of(cls, frozen: FrozenNetwork, like: Sequence[FrozenArrays] = ()) -> FrozenArrays:
        """Take the arrays of a frozen network, which may be closed then.

        Args:
            frozen: Offers ``linearise``.
            like: Other starts of the feeder; the arrays of the first that has equal taps, and all else equal but what
                injects, are shared.
        """
        settled = frozen.settled() if isinstance(frozen, TellsSettled) else None
        twins = [other.arrays for other in like if settled is not None and other.settled == settled]
        if isinstance(frozen, TellsSettled) and twins:
            arrays = frozen.linear_like(twins[0])
        else:
            own = frozen.linear()
            shared = (own.shared_with(other.arrays) for other in like)
            arrays = next((found for found in shared if found is not own), own)
        return cls(
            network=frozen.network,
            operating_point=frozen.operating_point,
            start=frozen.start,
            findings=frozen.findings,
            arrays=arrays,
            settled=settled,
        )

    def engine(self) -> object:
        """There is none.

        Raises:
            HostcapError: Always.
        """
        raise HostcapError("the frozen network was closed and has its arrays alone; freeze the network again")

    def linear(self) -> LinearNetwork:
        """The start as arrays."""
        return self.arrays


class JointPlan(Protocol):
    """Plans of several starts of one feeder, whose states are solved in one batch."""

    def extremes(self, start: IntArray, levels: IntArray) -> States:
        """Solve states of several starts.

        Args:
            start: Which start each state belongs to, rising, int32, shape (state,).
            levels: Steps of growth of each scope, int32, shape (state, scope), >= 0.

        Returns:
            The states in the same order, with their extremes; each bit for bit what its own plan says of it.
        """
        ...

    def of(self, start: int) -> Plan:
        """The plan of one start; it is closed with this one."""
        ...

    def close(self) -> None:
        """Give back what all plans hold."""
        ...


@runtime_checkable
class JointSolver(Solver, Protocol):
    """A solver that needs no engine and takes the states of several starts in one batch."""

    def joint_plan(self, starts: Sequence[tuple[FrozenNetwork, Growth]], limits: LimitSet) -> JointPlan:
        """Prepare to solve states of several starts of one feeder, each with its growth, all watched by ``limits``."""
        ...
