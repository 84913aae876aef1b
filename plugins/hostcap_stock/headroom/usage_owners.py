"""Whose each injector and growth point is, as ``binding_usage`` names them."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from attrs import field, frozen

from hostcap._arrays import BoolArray, IntArray, NameArray, bools, ints, names
from hostcap.growth import Growth
from hostcap.network import Network, _ByContent

Who = tuple[str, str, str]
"""Kind, name, and ``growth`` or ``existing``."""


@frozen(kw_only=True, eq=False)
class Owners(_ByContent):
    """Whose each user is; users are injectors, then growth points.

    Attributes:
        customer: Of each user, -1 for none, shape (user,).
        name: Name of each user's element, or of the location that grows, shape (user,).
        kind: ``element`` or ``location``, shape (user,).
        group: Group of its bus; 0 for HV, shape (user,).
        growth: Whether it is growth, shape (user,).
        customer_id: Names of customers.
        group_id: Names of groups.
    """

    customer: IntArray = field(converter=ints)
    name: NameArray = field(converter=names)
    kind: NameArray = field(converter=names)
    group: IntArray = field(converter=ints)
    growth: BoolArray = field(converter=bools)
    customer_id: NameArray = field(converter=names)
    group_id: NameArray = field(converter=names)

    @classmethod
    def of(cls, network: Network, growth: Growth, *, at_locations: bool = False) -> Owners:
        """Owners of a network's injectors and of growth.

        Args:
            network: The feeder.
            growth: What grows: beside loads of customers, by the names of the loads.
            at_locations: Growth is at HV locations instead, and is theirs.
        """
        injectors, customers = network.injectors, network.customers
        points = growth.name.size
        customer = np.full(injectors.name.size, -1, dtype=np.int32)
        customer[customers.element] = customers.of_element
        if at_locations:
            grown, group = np.full(points, -1), np.zeros(points, dtype=np.int32)
        else:
            loads = {str(injectors.name[i]): i for i in np.flatnonzero(injectors.kind == "load")}
            point = np.asarray([loads[str(name)] for name in growth.name], dtype=np.int64)
            grown, group = customer[point], injectors.group[point]
        kind = "location" if at_locations else "element"
        return cls(
            customer=np.concatenate([customer, grown]),
            name=[*injectors.name.tolist(), *growth.name.tolist()],
            kind=["element"] * injectors.name.size + [kind] * points,
            group=np.concatenate([injectors.group, group]),
            growth=np.arange(injectors.name.size + points) >= injectors.name.size,
            customer_id=customers.id,
            group_id=network.groups.id,
        )

    @cached_property
    def _coded(self) -> tuple[list[Who], IntArray, IntArray]:
        numbers: dict[Who, int] = {}
        near, far = np.full((2, self.customer.size), -1, dtype=np.int32)
        rows = zip(self.customer.tolist(), self.group.tolist(), self.growth.tolist(), strict=True)
        for user, (customer, group, growth) in enumerate(rows):
            part = "growth" if growth else "existing"
            if customer >= 0:
                own: Who = ("customer", str(self.customer_id[customer]), part)
            else:
                own = (str(self.kind[user]), str(self.name[user]), part)
            near[user] = numbers.setdefault(own, len(numbers))
            if group > 0:
                whole: Who = ("group", str(self.group_id[group - 1]), part)
                far[user] = numbers.setdefault(whole, len(numbers))
        return list(numbers), near, far

    @property
    def listed(self) -> list[Who]:
        """Everybody that a code stands for."""
        return self._coded[0]

    def codes(self, group: int) -> IntArray:
        """Who each user is, seen from a group (0 is the feeder): customers of other groups are their groups."""
        _, near, far = self._coded
        return np.where(self.is_far(group), far, near)

    def is_far(self, group: int) -> BoolArray:
        """Whether each user is in another group."""
        return np.asarray((self.group > 0) & (self.group != group))
