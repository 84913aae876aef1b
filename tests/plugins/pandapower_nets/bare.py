"""A net as the library gives it, grown and solved by one plain ``runpp``, and what breaks there; no code of hostcap."""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandapower as pp
import pytest

Broken = dict[tuple[str, str, int, str], float]
"""Value of each broken limit by type and name of equipment, terminal, and metric."""
TABLES = {"Line": ("line", ("from", "to")), "Transformer": ("trafo", ("hv", "lv"))}


class BareNet:
    """A balanced net.

    Args:
        net: What the library or the benchmark makes; taken as it is.
        limits: Any of ``lv_min_pu``, ``lv_max_pu``, ``hv_min_pu``, ``hv_max_pu`` and ``percent_of_rating``.
    """

    def __init__(self, net: Any, limits: Mapping[str, float]) -> None:
        self.net = copy.deepcopy(net)
        self.limits = limits
        self.grown: list[int] = []

    def start(self, load_kw: Mapping[str, float] | float | None) -> BareNet:
        """Loads draw these kW, by name or each, and nothing else injects; None: as the net has it."""
        if load_kw is not None:
            names = [self.name("load", i) for i in self.net.load.index]
            kw = [load_kw if isinstance(load_kw, float) else load_kw.get(name, 0.0) for name in names]
            self.net.load["p_mw"], self.net.load["q_mvar"] = np.asarray(kw) / 1000, 0.0
            self.net.sgen["in_service"] = False
        return self

    def name(self, table: str, index: int) -> str:
        stated = self.net[table].name.at[index]
        return stated if isinstance(stated, str) and stated else f"{table} {index}"

    def index(self, table: str, name: str) -> int:
        (found,) = [i for i in self.net[table].index if self.name(table, i) == name]
        return int(found)

    def bus_of(self, row: Mapping[str, Any]) -> int:
        """Bus of a row of ``hv_node_headroom``."""
        name, kind = row["conducting_equipment_mrid"], row["location_type"]
        if kind == "line-tee":
            return self.index("bus", name)
        table, sides = TABLES["Transformer" if kind == "dtx-hv-terminal" else "Line"]
        side = sides[int(row["terminal_mrid"].removeprefix(f"{name}.")) - 1]
        return int(self.net[table][f"{side}_bus"].at[self.index(table, name)])

    def solve(self, grown: Mapping[int, complex]) -> BareNet:
        """Inject kW + j kvar at buses, positive into the network, beside what is there."""
        self.net.sgen = self.net.sgen.drop(self.grown)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.grown = [
                int(pp.create_sgen(self.net, bus, s.real / 1000, s.imag / 1000)) for bus, s in grown.items() if s
            ]
            pp.runpp(self.net, tolerance_mva=1e-9, calculate_voltage_angles=True)
        return self

    def value(self, row: Mapping[str, Any]) -> float:
        """What a row of ``constraint_violations`` is about."""
        name, kind = row["conducting_equipment_mrid"], row["conducting_equipment_type"]
        if kind == "Bus":
            at = self.index("bus", name)
            return float(self.net.res_bus.vm_pu.at[at] * self._unit(at))
        table, sides = TABLES[kind]
        side = sides[row["terminal_sequence_number"] - 1]
        return float(self.net[f"res_{table}"].loc[self.index(table, name), f"i_{side}_ka"] * 1000)

    def broken(self) -> Broken:
        """Every limit that the last state breaks by more than 1e-6 of it."""
        found: Broken = {}
        for i, kv in self.net.bus.vn_kv.items():
            level, pu = "lv" if kv < 1 else "hv", float(self.net.res_bus.vm_pu.at[i])
            if pu > self.limits.get(f"{level}_max_pu", math.inf) * (1 + 1e-6):
                found["Bus", self.name("bus", i), 0, "voltage-high"] = pu * self._unit(i)
            if pu < self.limits.get(f"{level}_min_pu", 0.0) * (1 - 1e-6):
                found["Bus", self.name("bus", i), 0, "voltage-low"] = pu * self._unit(i)
        share = self.limits.get("percent_of_rating", math.inf) / 100
        for kind, (table, sides) in TABLES.items():
            for i, row in self.net[table].iterrows():
                for terminal, side in enumerate(sides, start=1):
                    ka = row.max_i_ka if kind == "Line" else row.sn_mva / math.sqrt(3) / row[f"vn_{side}_kv"]
                    flows = float(self.net[f"res_{table}"].at[i, f"i_{side}_ka"])
                    if flows > share * ka * row.df * row.parallel * (1 + 1e-6):
                        found[kind, self.name(table, i), terminal, "thermal"] = flows * 1000
        return found

    def _unit(self, bus: int) -> float:
        """V of one pu at low voltage, phase to neutral; high voltages stay in pu."""
        kv = self.net.bus.vn_kv.at[bus]
        return float(kv * 1000 / math.sqrt(3)) if kv < 1 else 1.0


def reported(rows: Any, binding_id: str) -> Broken:
    """Violations of one set of a study, in the words of ``BareNet.broken``."""
    return {
        (
            row["conducting_equipment_type"],
            row["conducting_equipment_mrid"],
            row["terminal_sequence_number"] or 0,
            row["metric"],
        ): row["violating_value"]
        for row in rows
        if row["binding_id"] == binding_id
    }


def grown(kw: float, direction: str, power_factor: float) -> complex:
    """What growth of so many kW injects, kW + j kvar: positive power factors consume."""
    kvar = -math.copysign(kw * math.tan(math.acos(abs(power_factor))), power_factor)
    return complex(kw if direction == "export" else -kw, kvar)


def check_every_location(
    results: Any, net: BareNet, *, step_kw: float, most: int, power_factor: float = 1.0, injected: float = 1.0
) -> set[str]:
    """Nothing is broken at the level of each location, and at the next all that is reported; returns the statuses."""
    violations, statuses = list(results["constraint_violations"].rows()), set()
    for row in results["hv_node_headroom"].rows():
        level, bus, way = round(row["available_headroom_kw"] / step_kw), net.bus_of(row), row["headroom_direction"]
        statuses.add(str(row["status"]))
        here, beyond = (
            net.solve({bus: grown(n * step_kw * injected, way, power_factor)}).broken() for n in (level, level + 1)
        )
        assert here == {}, row["terminal_mrid"]
        if row["status"] == "unconstrained":
            assert level == most
        else:
            assert row["status"] == "bound" and row["iteration"] == level + 1
            expected = reported(violations, row["binding_id"])
            assert expected and beyond == pytest.approx(expected, rel=1e-6), row["terminal_mrid"]
    return statuses
