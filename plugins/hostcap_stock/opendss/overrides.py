"""What a study file says about the model's loads and generating elements in place of the model itself."""

from __future__ import annotations

import attrs
import numpy as np

from hostcap.findings import Finding, Severity
from hostcap.network import Network
from hostcap.operating_point import OperatingPoint, kvar_per_kw
from hostcap_stock.opendss.config import OpenDssConfig
from hostcap_stock.opendss.engine import Engine
from hostcap_stock.opendss.model import GENERATING_CLASSES


def set_bands(engine: Engine, config: OpenDssConfig) -> None:
    """The engine's own normal and emergency voltages; meters and exports of the engine judge by them, no study does."""
    for option, value in (
        ("normvminpu", config.normal_vmin_pu),
        ("normvmaxpu", config.normal_vmax_pu),
        ("emergvminpu", config.emergency_vmin_pu),
        ("emergvmaxpu", config.emergency_vmax_pu),
    ):
        if value is not None:
            engine.command(f"set {option}={value!r}")


def edit_laws(engine: Engine, config: OpenDssConfig) -> None:
    """Voltage laws of base loads and generating elements; the study's commands may refine them."""
    edits: list[tuple[str, str, float | None]] = [("load", "model", config.load_model)]
    edits += [("load", key, value) for key, value in (("vminpu", config.load_vmin_pu), ("vmaxpu", config.load_vmax_pu))]
    for kind in GENERATING_CLASSES:
        edits += [(kind, "vminpu", config.generation_vmin_pu), (kind, "vmaxpu", config.generation_vmax_pu)]
    for kind, key, value in edits:
        if value is not None and engine.dss.Circuit.SetActiveClass(kind) and engine.dss.ActiveClass.Count():
            engine.command(f"batchedit {kind}..* {key}={value!r}")


def edit_power_factors(engine: Engine, config: OpenDssConfig) -> None:
    """Kvar of the model's loads; one of negative kW is generation. Generating elements are held by ``freeze``."""
    if config.load_power_factor is None and config.generation_power_factor is None:
        return
    loads = engine.dss.Loads
    names, kw, kvar = [], [], []
    more = loads.First()
    while more:
        power_factor = config.generation_power_factor if loads.kW() < 0 else config.load_power_factor
        if power_factor is not None:
            names.append(str(loads.Name()))
            kw.append(float(loads.kW()))
            kvar.append(abs(kw[-1]) * kvar_per_kw(power_factor))
        more = loads.Next()
    if names:
        engine.set_loads(engine.load_pointers(names), np.asarray(kw), np.asarray(kvar))


def at_power_factors(point: OperatingPoint, config: OpenDssConfig) -> OperatingPoint:
    """An operating point as the study's power factors have it."""
    return point.at_power_factors(load=config.load_power_factor, generation=config.generation_power_factor)


def snapshot_at_power_factors(network: Network, config: OpenDssConfig) -> Network:
    """The network with its snapshot as the study's power factors have it, and a finding for each."""
    injectors, findings = network.injectors, list(network.findings)
    kvar = {"load_kvar": injectors.load_kvar, "generation_kvar": injectors.generation_kvar}
    for what, power_factor in (("load", config.load_power_factor), ("generation", config.generation_power_factor)):
        if power_factor is None:
            continue
        kw = getattr(injectors, f"{what}_kw")
        kvar[f"{what}_kvar"] = kw * kvar_per_kw(power_factor)
        findings.append(
            Finding(
                severity=Severity.INFO,
                code="power-factor-of-study",
                count=int(np.count_nonzero(kw)),
                kw=float(kw.sum()),
                message=f"network.{what}_power_factor sets the power factor of all {what} to {power_factor:g} at the "
                "start, whatever the model, its controls, readings or the initial state say",
            )
        )
    return attrs.evolve(network, injectors=attrs.evolve(injectors, **kvar), findings=tuple(findings))
