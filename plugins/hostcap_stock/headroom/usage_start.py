"""What all binding limits of one start share: ports, whose they are, and the factor of the network."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from attrs import frozen

from hostcap._arrays import ComplexArray, FloatArray, IntArray, floats, ints
from hostcap.growth import Growth
from hostcap.limits import LimitSet
from hostcap.linear import LinearNetwork, Ports, growth_ports
from hostcap.network import Network
from hostcap_stock.batched.equations import held_admittance
from hostcap_stock.flows.solved import PortEnds
from hostcap_stock.headroom.usage_owners import Owners


@frozen(kw_only=True, eq=False)
class Batch:
    """Some solved states.

    Attributes:
        node_v: Voltages, V, shape (state, node).
        levels: Steps of growth, shape (state, scope).
    """

    node_v: ComplexArray
    levels: IntArray


class Start:
    """What a start gives all its binding limits; each is made when it is first asked for.

    Attributes:
        network, linear, growth, limits: Of the search.
    """

    def __init__(
        self, network: Network, linear: LinearNetwork, growth: Growth, limits: LimitSet, *, at_locations: bool
    ) -> None:
        """Prepare; nothing is factored before it is needed."""
        self.network, self.linear, self.growth, self.limits = network, linear, growth, limits
        self._at_locations = at_locations
        self._ends: dict[bool, tuple[PortEnds, PortEnds]] = {}
        self._factor: Any = None

    @cached_property
    def owners(self) -> Owners:
        """Whose everything is."""
        return Owners.of(self.network, self.growth, at_locations=self._at_locations)

    @cached_property
    def grown(self) -> Ports:
        """Ports of one step of growth."""
        return growth_ports(self.growth)

    @cached_property
    def source(self) -> IntArray:
        """Nodes of sources."""
        return ints(np.flatnonzero(self.linear.source_a != 0))

    @cached_property
    def conductors(self) -> Any:
        """Conductor currents per node voltage."""
        return self.linear.conductors()

    @cached_property
    def drawn_at_start_a(self) -> ComplexArray:
        """What base ports draw at the start, A, shape (port,)."""
        return self.linear.base.drawn_a(self.linear.base.voltage_v(self.linear.start_v))

    def ends(self, *, by_phase: bool) -> tuple[PortEnds, PortEnds]:
        """Ends of base ports and of growth; power is measured to neutrals if by phase."""
        if by_phase not in self._ends:
            reference = self.network.nodes.reference
            reference = reference if by_phase else np.full_like(reference, -1)
            self._ends[by_phase] = (
                PortEnds.of_ports(self.linear.base, reference),
                PortEnds.of_ports(self.grown, reference),
            )
        return self._ends[by_phase]

    def parts(self) -> tuple[IntArray, IntArray]:
        """User and node of each part of what users do."""
        base, grown = self.ends(by_phase=False)
        of = np.concatenate([base.of, grown.of + self.network.injectors.name.size])
        return ints(of), ints(np.concatenate([base.node, grown.node]))

    def parts_kw(self, batch: Batch, *, by_phase: bool) -> FloatArray:
        """What each part does in some states, kW into the network, shape (state, part)."""
        base, grown = self.ends(by_phase=by_phase)
        return np.concatenate([base.kw(batch.node_v), grown.kw(batch.node_v, self.times(batch))], axis=1)

    def times(self, batch: Batch) -> FloatArray:
        """Steps of each port of growth, shape (state, port)."""
        return floats(batch.levels[:, self.growth.scope[self.grown.injector]])

    def impedance(self, forms: ComplexArray) -> ComplexArray:
        """``z`` with ``Y' z = w`` for each form, shape (form, node).

        Dead nodes stay in the equations: a conductor that carries nothing takes up what its neighbours induce in it.
        """
        from scipy.sparse.linalg import splu

        if self._factor is None:
            # The pattern is symmetric, which SuperLU wants to be told: a tenth of the time.
            self._factor = splu(
                held_admittance(self.linear).T.tocsc(),
                permc_spec="MMD_AT_PLUS_A",
                diag_pivot_thresh=0.01,
                options={"SymmetricMode": True},
            )
        return np.asarray(self._factor.solve(np.ascontiguousarray(forms.T)).T)
