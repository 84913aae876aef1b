"""Loads and generating elements of a read OpenDSS model: refused where they make no sense, and as arrays."""

from __future__ import annotations

import numpy as np

from hostcap.errors import ModelError
from hostcap.network import Injectors
from hostcap.topology import CapacityGroups
from hostcap_stock.opendss.model import Model


def check_loads(model: Model) -> None:
    """Refuse loads without a finite power or a rated voltage: they leave the whole model without voltages.

    Raises:
        ModelError: Such a load, or two elements of one name.
    """
    for injector in model.injectors:
        powers = (injector.load_kw, injector.load_kvar, injector.generation_kw, injector.generation_kvar)
        if not np.all(np.isfinite(powers)):
            raise ModelError(f"{injector.kind} {injector.name}: kW and kvar must be finite numbers, got {powers}")
        if not injector.kv > 0:
            raise ModelError(f"{injector.kind} {injector.name}: kv must be > 0, got {injector.kv:g}")
    named = [f"{injector.kind} {injector.name}" for injector in model.injectors]
    twice = sorted({name for name in named if named.count(name) > 1}) if len(set(named)) < len(named) else []
    if twice:
        raise ModelError(f"{twice[0]}: the model has several of this name; give each its own (AllowDuplicates)")


def injectors_of(model: Model, groups: CapacityGroups) -> Injectors:
    """Every load and generating element as arrays, in the order of the model."""
    records = model.injectors
    counts = [r.nodes.size for r in records]
    place = {name.lower(): i for i, name in enumerate(model.bus_names)}
    bus = np.asarray([place[r.bus] for r in records], dtype=np.int32)
    return Injectors(
        name=[r.name for r in records],
        kind=[r.kind for r in records],
        bus=bus,
        group=groups.bus_group[bus],
        phases=[r.phases for r in records],
        delta=[r.delta for r in records],
        kv=[r.kv for r in records],
        terminal_ptr=np.concatenate([[0], np.cumsum(counts, dtype=np.int64)]),
        terminal_node=np.concatenate([r.nodes for r in records]) if records else [],
        load_kw=[r.load_kw for r in records],
        load_kvar=[r.load_kvar for r in records],
        generation_kw=[r.generation_kw for r in records],
        generation_kvar=[r.generation_kvar for r in records],
    )
