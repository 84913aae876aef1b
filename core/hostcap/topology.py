"""Who is joined to whom: live nodes and capacity groups, from plain index arrays (no engine).

The rules are section 1 of docs/explanation/headroom-method.md. Every network source uses them.
"""

from __future__ import annotations

import numpy as np
from attrs import field, frozen

from hostcap._arrays import BoolArray, FloatArray, IntArray, ints

SOURCE_GROUP = -1
"""Marks LV buses below no distribution transformer, in ``capacity_groups``."""


def components(size: int, left: IntArray, right: IntArray) -> IntArray:
    """Label the connected components of an undirected graph.

    Args:
        size: Number of vertices.
        left: First end of each edge, shape (edge,); an end below 0 joins nothing.
        right: Second end of each edge.

    Returns:
        Component of each vertex, int32, shape (vertex,).
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    kept = (left >= 0) & (right >= 0)
    ends = (left[kept], right[kept])
    graph = coo_array((np.ones(ends[0].size, dtype=np.int8), ends), shape=(size, size))
    return np.asarray(connected_components(graph, directed=False)[1], dtype=np.int32)


def live_nodes(size: int, left: IntArray, right: IntArray, source_nodes: IntArray) -> BoolArray:
    """Nodes that conductors and coils join to a source.

    Args:
        size: Number of nodes.
        left: First of each node pair joined by a closed conductor or a coil; -1 (ground) joins nothing.
        right: Second of each pair.
        source_nodes: Nodes held by a voltage source; -1 is ignored.

    Returns:
        True for live nodes, shape (node,).
    """
    label = components(size, left, right)
    fed = np.zeros(int(label.max(initial=-1)) + 1, dtype=bool)
    fed[label[source_nodes[source_nodes >= 0]]] = True
    return fed[label]


def distances(size: int, left: IntArray, right: IntArray, length: FloatArray, sources: IntArray) -> FloatArray:
    """Shortest way from the nearest source to each vertex of an undirected graph.

    Args:
        size: Number of vertices.
        left: First end of each edge, shape (edge,); an end below 0 joins nothing.
        right: Second end of each edge.
        length: Length of each edge, >= 0; its unit is that of the answer.
        sources: Vertices to start from.

    Returns:
        Distance of each vertex, shape (vertex,); inf where no way leads there.
    """
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import dijkstra

    if sources.size == 0:
        return np.full(size, np.inf)
    kept = np.flatnonzero((left >= 0) & (right >= 0))
    # Of parallel edges the shortest counts, where a sparse matrix would add them up.
    order = kept[np.lexsort((length[kept], right[kept], left[kept]))]
    fresh = np.ones(order.size, dtype=bool)
    fresh[1:] = (np.diff(left[order]) != 0) | (np.diff(right[order]) != 0)
    first = order[fresh]
    # A length of 0 would be taken for no edge: it gets one too small to see, which is rounded away again.
    graph = csr_array((np.maximum(length[first], 1e-12), (left[first], right[first])), shape=(size, size))
    return np.asarray(dijkstra(graph, directed=False, indices=np.unique(sources), min_only=True).round(9))


def coil_nodes(conductors: IntArray, *, phases: int, delta: bool) -> list[tuple[int, int]]:
    """The two ends of each coil of one winding.

    Args:
        conductors: Node of each conductor of the winding; -1 is ground.
        phases: Coils of the winding.
        delta: Coils lie between conductors; else between a conductor and the neutral (the last one).

    Returns:
        One (node, node) for each coil, in order.
    """
    ends = []
    for k in range(phases):
        following = k + 1 if phases < 3 else (k + 1) % phases
        other = following if delta else phases
        ends.append((int(conductors[k]), int(conductors[other]) if other < len(conductors) else -1))
    return ends


@frozen(kw_only=True)
class FeedingTransformer:
    """A distribution transformer, as far as groups need it.

    Attributes:
        name: Its name.
        lv_buses: Bus of each LV winding.
        lv_windings: Number of each LV winding, from 1.
    """

    name: str
    lv_buses: tuple[int, ...]
    lv_windings: tuple[int, ...]


@frozen(kw_only=True, eq=False)
class CapacityGroups:
    """Groups and who belongs to them.

    Attributes:
        bus_group: 0 for HV, 1..G for LV buses, shape (bus,).
        ids: Transformer names, sorted, joined with ``+``; the source's name for the group below none.
        head_types: ``distribution-transformer`` or ``source``.
        terminals: Lowest LV winding.
        transformer_group: Group of each distribution transformer given.
        transformer_counts: Distribution transformers of each group.
    """

    bus_group: IntArray = field(converter=ints)
    ids: tuple[str, ...]
    head_types: tuple[str, ...]
    terminals: tuple[int, ...]
    transformer_group: IntArray = field(converter=ints)
    transformer_counts: tuple[int, ...]


def capacity_groups(
    *,
    lv: BoolArray,
    left: IntArray,
    right: IntArray,
    transformers: list[FeedingTransformer],
    source_name: str,
    wanted: BoolArray,
) -> CapacityGroups:
    """Form capacity groups.

    Args:
        lv: Whether each bus is LV, shape (bus,).
        left: First of each bus pair joined by enabled, closed lines, reactors, series capacitors and LV/LV
            transformers.
        right: Second of each pair.
        transformers: The distribution transformers, in model order.
        source_name: Id of the group of LV buses below no transformer.
        wanted: Buses that a group below no transformer is formed for: live, or with an injector.

    Returns:
        Groups in the model order of their first transformer; the one below no transformer is last.
    """
    joined = lv[left] & lv[right]
    fed_left = [t.lv_buses[0] for t in transformers for _ in t.lv_buses[1:]]
    fed_right = [bus for t in transformers for bus in t.lv_buses[1:]]
    label = components(
        lv.size,
        np.concatenate([left[joined], np.asarray(fed_left, dtype=np.int32)]),
        np.concatenate([right[joined], np.asarray(fed_right, dtype=np.int32)]),
    )
    number: dict[int, int] = {}
    members: list[list[FeedingTransformer]] = []
    of_transformer = []
    for transformer in transformers:
        own = int(label[transformer.lv_buses[0]])
        if own not in number:
            number[own] = len(number) + 1
            members.append([])
        members[number[own] - 1].append(transformer)
        of_transformer.append(number[own])
    bus_group = np.zeros(lv.size, dtype=np.int32)
    for bus in np.flatnonzero(lv):
        bus_group[bus] = number.get(int(label[bus]), SOURCE_GROUP)
    orphan = bus_group == SOURCE_GROUP
    ids = ["+".join(sorted(t.name for t in group)) for group in members]
    heads = ["distribution-transformer"] * len(ids)
    terminals = [min(w for t in group for w in t.lv_windings) for group in members]
    counts = [len(group) for group in members]
    if np.any(orphan & wanted):
        ids.append(source_name)
        heads.append("source")
        terminals.append(1)
        counts.append(0)
        bus_group[orphan] = len(ids)
    bus_group[bus_group == SOURCE_GROUP] = 0
    return CapacityGroups(
        bus_group=bus_group,
        ids=tuple(ids),
        head_types=tuple(heads),
        terminals=tuple(terminals),
        transformer_group=of_transformer,
        transformer_counts=tuple(counts),
    )
