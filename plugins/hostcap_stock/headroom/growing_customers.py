"""A feeder whose LV networks are not in its model: refused where customers grow, told where they need not."""

from __future__ import annotations

import numpy as np

from hostcap._arrays import IntArray
from hostcap.errors import ModelError
from hostcap.findings import Finding, Severity, some
from hostcap.network import Network


def require_customers(network: Network) -> None:
    """Refuse a feeder without an LV customer.

    Raises:
        ModelError: No load is at an LV bus; the message names the HV loads.
    """
    if _any_customer(network):
        return
    loads = _hv_loads(network)
    names = [str(name) for name in network.injectors.name[loads]]
    found = f"found {len(names)} HV loads: {some(names)}" if names else "found no load at all"
    raise ModelError(
        f"the feeder has no LV customer (a load at a bus below 1 kV line-to-line); {found}; "
        "check the nominal voltages (OpenDSS: voltage_bases_kv; pandapower: vn_kv), use a model that holds the LV "
        "networks, or ask for hv-node-headroom, which needs no customer"
    )


def without_customers(network: Network) -> list[Finding]:
    """That no customer is there to be looked at, with the HV loads and their kW in the model; else nothing."""
    if _any_customer(network):
        return []
    loads = _hv_loads(network)
    return [
        Finding(
            severity=Severity.INFO,
            code="no-lv-customer",
            element=some([str(name) for name in network.injectors.name[loads]]),
            count=int(loads.size),
            kw=float(np.sum(network.injectors.load_kw[loads])),
            message="the feeder has no LV customer (a load at a bus below 1 kV line-to-line); "
            + (f"its {loads.size} HV loads" if loads.size != 1 else "its 1 HV load")
            + " do not grow, and what LV networks would allow is not known",
        )
    ]


def _any_customer(network: Network) -> bool:
    return bool(np.any(network.injectors.kind[network.customers.element] == "load"))


def _hv_loads(network: Network) -> IntArray:
    return np.flatnonzero(network.injectors.kind == "load").astype(np.int32)
