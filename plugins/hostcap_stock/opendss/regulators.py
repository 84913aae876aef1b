"""Regulator controls of a model as what they sense: nodes and conductors of the network."""

from __future__ import annotations

import numpy as np

from hostcap.network import Conductors, Equipment, Regulators
from hostcap_stock.opendss.model import Model


def read_regulators(model: Model, equipment: Equipment, conductors: Conductors) -> tuple[Regulators, list[str]]:
    """What each regulator senses.

    Returns:
        The regulators, and the names of controls that cannot be judged: those that sense a remote bus, and every
        other kind of control.
    """
    place = {str(n).lower(): i for i, n in enumerate(equipment.name) if equipment.kind[i] == "Transformer"}
    delta = {t.name.lower(): t.delta for t in model.transformers}
    unjudged = list(model.other_controls)
    rows: list[tuple[object, ...]] = []
    for record in model.regulators:
        own = place.get(record.transformer.lower(), -1)
        here = np.flatnonzero((conductors.equipment == own) & (conductors.terminal == record.winding))
        if record.monitored_bus or here.size < record.phase:
            unjudged.append(f"regcontrol.{record.name}")
            continue
        conductor = int(here[record.phase - 1])
        back = -1
        if delta[record.transformer.lower()][record.winding - 1]:
            back = int(conductors.node[here[record.phase % here.size]])
        rows.append(
            (
                record.name,
                int(conductors.node[conductor]),
                back,
                conductor if record.compensation_v else -1,
                record.pt_ratio,
                record.ct_primary_a,
                record.compensation_v,
                record.target_v - record.band_v / 2.0,
                record.target_v + record.band_v / 2.0,
            )
        )
    if not rows:
        return Regulators(), unjudged
    name, node, return_node, conductor_of, pt_ratio, ct_primary, compensation, low, high = zip(*rows, strict=True)
    return (
        Regulators(
            name=[str(n) for n in name],
            node=node,
            return_node=return_node,
            conductor=conductor_of,
            pt_ratio=pt_ratio,
            ct_primary_a=ct_primary,
            compensation_v=compensation,
            low_v=low,
            high_v=high,
        ),
        unjudged,
    )
