"""The feeders of the benchmarks: models, growth with a power of its own for each customer, and limits everywhere."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from attrs import frozen

from hostcap.growth import Direction, Directions, Growth, customer_growth
from hostcap.limits import BROKEN, LimitSet, LinearLimits
from hostcap.network import Network
from hostcap.operating_point import FeederScope
from hostcap_stock.constraints.config import ThermalConfig, VoltageConfig
from hostcap_stock.constraints.thermal import Thermal
from hostcap_stock.constraints.voltage import Voltage
from hostcap_stock.initial_states import ZeroLoad
from hostcap_stock.injections import NegativeLoad, NegativeLoadConfig
from hostcap_stock.opendss.config import OpenDssConfig
from hostcap_stock.opendss.frozen import FrozenOpenDss
from hostcap_stock.opendss.source import OpenDssSource

HIGHEST = 10
"""Levels of the snapshot states are drawn from 0 to this."""


@frozen(kw_only=True)
class Feeder:
    """A model, and the mean growth of its customers at the highest level."""

    name: str
    master: str
    frequency_hz: float
    mean_kw: float
    voltage_bases_kv: Sequence[float] | None = None

    @property
    def config(self) -> dict[str, Any]:
        """The model's settings without its master file; every line has a rating, so that every current is checked."""
        return {
            "frequency_hz": self.frequency_hz,
            "voltage_bases_kv": self.voltage_bases_kv,
            "unrated": "engine-default",
        }


EU_LV = Feeder(name="eu-lv", master="eu-lv-test-feeder/Master.dss", frequency_hz=50.0, mean_kw=2.0)
CKT5 = Feeder(name="ckt5", master="epri-ckt5/Master_ckt5.dss", frequency_hz=60.0, mean_kw=3.0)
I8500U = Feeder(name="8500-unbalanced", master="ieee-8500/Master-unbal.dss", frequency_hz=60.0, mean_kw=1.5)
CRE21 = Feeder(
    name="CRE21",
    master="au-cre21-mvlv/Network-CRE21/Master.txt",
    frequency_hz=50.0,
    mean_kw=1.0,
    voltage_bases_kv=(66.0, 22.0, 0.400, 0.2309),
)
PUBLIC = (EU_LV, CKT5, I8500U, CRE21)
DEMO = Feeder(name="demo", master="", frequency_hz=50.0, mean_kw=2.0)


def master(feeder: Feeder, networks: Path | None) -> Path:
    """The model's file."""
    if feeder is DEMO:
        import hostcap_stock.demo

        return Path(str(hostcap_stock.demo.__file__)).parent / "feeder" / "Master.dss"
    if networks is None:
        raise ValueError(f"{feeder.name} needs the folder of public networks")
    return networks / feeder.master


@contextmanager
def frozen_feeder(feeder: Feeder, networks: Path | None) -> Iterator[FrozenOpenDss]:
    """A feeder without load, controls solved and frozen."""
    source = OpenDssSource(config=OpenDssConfig(master=master(feeder, networks), **feeder.config))
    network = source.load(feeder.name)
    point = ZeroLoad().operating_point(network, FeederScope(feeder=feeder.name, year=2025))
    with source.freeze(network, point) as start:
        yield start


def growth_of(network: Network, *, step_kw: Any, direction: str, power_factor: float) -> Growth:
    """Growth beside every customer's loads."""
    settings = NegativeLoadConfig(direction=Directions(direction), power_factor=power_factor)
    unit = NegativeLoad(config=settings).unit(Direction(direction))
    return customer_growth(network, np.where(network.customers.grows, step_kw, 0.0), unit)


def snapshot_growth(feeder: Feeder, network: Network) -> Growth:
    """Every customer has a power of its own: mean_kw on average at the highest level."""
    weight = np.random.default_rng(7).uniform(0.5, 1.5, network.customers.id.size)
    step_kw = 2.0 * feeder.mean_kw / HIGHEST * weight  # levels are half the highest on average
    return growth_of(network, step_kw=step_kw, direction="import", power_factor=0.95)


def snapshot_levels(network: Network, states: int) -> Any:
    """Levels of every group at random, int32, shape (state, group)."""
    generator = np.random.default_rng(11)
    return generator.integers(0, HIGHEST + 1, (states, len(network.groups))).astype(np.int32)


def limits_in_pu(network: Network) -> LimitSet:
    """Every phase voltage and every phase current."""
    volts = VoltageConfig(lv_min_pu=0.9, lv_max_pu=1.1, hv_min_pu=0.94, hv_max_pu=1.06)
    return _joined(network, volts)


def limits_in_volts(network: Network) -> LimitSet:
    """The limits of the search benchmark: LV 216 to 253 V, HV 0.94 to 1.06, thermal 100 % of nameplate."""
    volts = VoltageConfig(lv_min_v=216.0, lv_max_v=253.0, hv_min_pu=0.94, hv_max_pu=1.06)
    return _joined(network, volts)


def _joined(network: Network, volts: VoltageConfig) -> LimitSet:
    rows = [*Voltage(config=volts).limits(network), *Thermal(config=ThermalConfig()).limits(network)]
    return LimitSet(rows, group_count=len(network.groups))


@frozen(kw_only=True)
class Side:
    """Rows of one kind as an engine's user would hold them: where to read, and between what.

    Attributes:
        place: Node or conductor of the network.
        low, high: Bounds, moved out by the tolerance of "broken"; V or A.
        group: Group of each row.
    """

    place: Any
    low: Any
    high: Any
    group: Any


def watched(limits: LimitSet) -> tuple[Side, Side]:
    """Voltages and currents to watch; a limit of the benchmarks is on one node or one conductor."""
    found: dict[str, list[tuple[Any, Any, Any, Any]]] = {"node": [], "conductor": []}
    for limit in limits.limits:
        assert isinstance(limit, LinearLimits)
        for kind, rows in found.items():
            index, size = getattr(limit, f"{kind}_index"), np.abs(getattr(limit, f"{kind}_coefficient"))
            if index.size == 0:
                continue
            assert np.array_equal(getattr(limit, f"{kind}_ptr"), np.arange(index.size + 1))
            low = np.where(np.isfinite(limit.lower), limit.lower * (1.0 - BROKEN), -np.inf) / size
            high = np.where(np.isfinite(limit.upper), limit.upper * (1.0 + BROKEN), np.inf) / size
            rows.append((index, low, high, limit.labels.group))
    sides = []
    for rows in found.values():
        place, low, high, group = (np.concatenate(columns) for columns in zip(*rows, strict=True))
        sides.append(Side(place=place.astype(np.int64), low=low, high=high, group=group.astype(np.int64)))
    return sides[0], sides[1]
